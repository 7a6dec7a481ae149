"""Where everything of a curating run lies below its output folder.

::

    DIR/set/shard-000000.tar          the training set, with done marks                 byte-stable
    DIR/results.parquet               one row per input row                             byte-stable
    DIR/rejects/RULE.jsonl            rows dropped, by the rule that dropped them       byte-stable
    DIR/pairs.jsonl                   pairs of the BG-pair-like split                   byte-stable
    DIR/index.html, DIR/card.md       report and data card                              byte-stable
    DIR/categories.json               every category met so far, with its identifier    byte-stable
    DIR/review.jsonl, DIR/review/     what is put to review, and its images             byte-stable
    DIR/decisions.sqlite              what people decided
    DIR/cache/                        every answer of every rule by content, repaired images
    DIR/journal/run.json              the recipe
    DIR/journal/shards/               what rules say of a range of input rows (jobs/store.py)
    DIR/journal/timings.json          processor seconds per rule, of what was worked out
    DIR/journal/done.json             written last: digests of what is byte-stable

What is byte-stable is equal for equal inputs, recipe, models and decisions, however often the run was
killed and whatever engine and number of workers it had.

The cache holds, per image content, one JSON file with every answer ever given about it, and beside it what
rules have repaired, as PNG layers. A key is a digest of the image as the rule saw it and of the rule's name,
version and settings, so a run takes over exactly what would come out again. Files of web servers and files
embedded in a table are kept here, too. The cache and the journal may be deleted at any time between runs.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from cyclorama.curate.config import ReadingSettings
from cyclorama.curate.records import Box, Finding, Record, RuleImage, Verdict
from cyclorama.data.addresses import is_url, read_bytes
from cyclorama.data.decode import open_image, read_mask
from cyclorama.errors import DataError, InputError, MaskSizeError, OutputError
from cyclorama.files import write_atomic
from cyclorama.imaging.colour import to_srgb
from cyclorama.imaging.loading import LoadLimits, load_image
from cyclorama.imaging.masks import load_mask
from cyclorama.jobs.store import RUN_FILE, ShardStore, decode_lines, encode_lines
from cyclorama.types import Matte, Pixels, Size

FORMAT = 3
"""Of what is kept and of how images are read; another one voids every answer."""
DONE_FILE, TIMINGS_FILE = "done.json", "timings.json"
_STABLE = ("results.parquet", "pairs.jsonl", "review.jsonl", "index.html", "card.md", "categories.json")


class CurateStore(ShardStore):
    """The files of one output folder."""

    def __init__(self, out: Path) -> None:
        super().__init__(out)
        self.cache, self.set, self.rejects = out / "cache", out / "set", out / "rejects"

    def lock(
        self, results: Sequence[str] = (), noted: Callable[[str], None] = lambda text: None
    ) -> AbstractContextManager[None]:
        """A context that holds the output folder against a second run.

        Raises OutputError: another run is at work, or ``set`` is there without a sign of an earlier run.
        """
        signs = (self.folder / RUN_FILE, self.out / "results.parquet", self.out / "categories.json")
        if self.set.exists() and not any(sign.exists() for sign in signs):
            raise OutputError(f"{self.set} was not made by a curating run; choose another folder with --out")
        return super().lock(results, noted)

    def _get_plan(self, shard: int) -> Path:
        return self.plan_folder / f"shard-{shard:06d}.jsonl"

    def save_plan(self, shard: int, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write the rows of ``shard`` for the worker that takes it. Raises OutputError."""
        write_atomic(self._get_plan(shard), encode_lines(rows), durable=False)

    def load_plan(self, shard: int) -> list[dict[str, Any]]:
        """The rows of ``shard``. Raises OutputError: the folder is not shared between machines."""
        try:
            return decode_lines(self._get_plan(shard).read_bytes())
        except OSError as error:
            raise OutputError(
                f"cannot read {self._get_plan(shard)}: {error.strerror}; the output folder must be on a disk "
                f"that all machines share, under one path"
            ) from error

    def open_uncached(self) -> None:
        """Without its cache no shard is finished: what its rows name there has gone."""
        if not self.cache.is_dir():
            self.drop_shards_from(0)
            self.cache.mkdir()

    def is_done(self, shard: int, key: str) -> bool:
        """Whether ``shard`` is finished under ``key``."""
        return self.load_mark(shard, key) is not None and self.get_rows(shard).is_file()

    def open_unread(self, shard: int) -> None:
        """A ``shard`` some of whose remote files could not be read is no longer finished."""
        if (self.load_mark(shard) or {}).get("unread"):
            self.get_mark(shard).unlink()

    def forget_outcome(self) -> None:
        """The outputs are about to change: they are no longer what the last run has finished."""
        (self.folder / DONE_FILE).unlink(missing_ok=True)

    def save_outcome(self) -> None:
        """Remove the plan and write the run's own mark. Raises OutputError."""
        shutil.rmtree(self.plan_folder, ignore_errors=True)
        self.clear_work()
        self.save_values({"files": self.compute_digests(self.list_stable())}, DONE_FILE)

    def compute_digests(self, paths: Iterable[Path]) -> dict[str, str]:
        """Place below the output folder to SHA-256, of the files at ``paths``."""
        digests = ((path, hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths)
        return {path.relative_to(self.out).as_posix(): digest for path, digest in digests}

    def list_stable(self) -> list[Path]:
        """All files that are equal for equal runs, in the order of their names."""
        folders = (self.set, self.rejects, self.out / "review")
        found = [self.out / name for name in _STABLE]
        found += [path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir())]
        return [path for path in found if path.is_file()]


Layer = Literal["pixels", "alpha", "mask"]
LAYERS: tuple[Layer, ...] = ("pixels", "alpha", "mask")
Layers = dict[str, str]
"""Layer to where it lies: ``file`` (in the input), ``none``, or the name of a stored layer."""
FROM_FILE: Layers = {"pixels": "file", "alpha": "file", "mask": "file"}


class ImageCache:
    """The images, answers and layers of one run, in its ``folder``."""

    def __init__(self, folder: Path, reading: ReadingSettings) -> None:
        self._folder = folder
        self._urls = reading.urls
        self.limits = LoadLimits(pixels=reading.pixels, file_bytes=reading.file_bytes)

    def keep(self, data: bytes) -> str:
        """The address at which the file ``data`` can be read from now on. Raises OutputError."""
        return str(self._keep(hashlib.sha256(data).hexdigest(), lambda: data))

    def read(self, address: str) -> bytes:
        """The file at ``address``; one of a web server is fetched once. Raises DataError, FetchError."""
        if is_url(address):
            name = hashlib.sha256(address.encode()).hexdigest()
            path = self._keep(name, lambda: read_bytes(address, self.limits.file_bytes, self._urls))
            return path.read_bytes()
        return read_bytes(address, self.limits.file_bytes)

    def load_image(self, record: Record, layers: Layers) -> RuleImage:
        """The image of ``record`` as ``layers`` describe it. Raises DataError, InputError, OSError."""
        needs_mask = layers["mask"] == "file" and record.mask is not None
        mask = self.read(record.mask) if needs_mask and record.mask is not None else None
        return self.get(decode_record(record, self.read(record.image), mask, self.limits), layers)

    def _locate(self, name: str, kind: str) -> Path:
        return self._folder / name[:2] / f"{name}.{kind}"

    def _keep(self, name: str, get: Callable[[], bytes]) -> Path:
        path = self._locate(name, "file")
        if not path.is_file():
            _write(path, get())
        return path

    def load(self, content: str) -> dict[str, Any]:
        """Answers about the image with digest ``content``, by key; empty if there are none."""
        try:
            values = json.loads(self._locate(content, "json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return values if isinstance(values, dict) else {}

    def save(self, content: str, answers: dict[str, Any]) -> None:
        """Keep ``answers``. Raises OutputError."""
        text = json.dumps(answers, sort_keys=True, ensure_ascii=False, allow_nan=False)
        _write(self._locate(content, "json"), text.encode("utf-8", "backslashreplace"))

    def has(self, layers: Layers) -> bool:
        """Whether all stored layers are there."""
        stored = set(layers.values()) - {"file", "none"}
        return all(self._locate(name, "png").is_file() for name in stored)

    def put(self, digest: str, former: RuleImage, layers: Layers, image: RuleImage) -> Layers:
        """Store what differs in ``image`` from ``former``, whose layers are ``layers``; its layers."""
        result: Layers = {}
        for name in LAYERS:
            array, before = getattr(image, name), getattr(former, name)
            if array is None:
                result[name] = "none"
            elif array is before:
                result[name] = layers[name]
            else:
                result[name] = f"{digest}-{name}"
                levels = array if name == "pixels" else to_levels(array)
                _write(self._locate(result[name], "png"), encode_png(levels, fast=True))
        return result

    def get(self, original: RuleImage, layers: Layers) -> RuleImage:
        """The image that ``layers`` describe, of the input's ``original``. Raises OSError."""
        found: dict[str, Any] = {}
        for name, place in layers.items():
            if place not in ("file", "none"):
                levels = decode_png(self._locate(place, "png").read_bytes())
                found[name] = levels if name == "pixels" else (levels / 255).astype("float32")
            elif place == "none":
                found[name] = None
        return replace(original, **found)

    def sweep(self) -> None:
        """Remove what a killed run has left half-written."""
        for path in self._folder.glob("*/.*.part"):
            path.unlink(missing_ok=True)


def _write(path: Path, data: bytes) -> None:
    """Two workers may be at the same ``path``, as for a file that is there twice."""
    write_atomic(path, data, durable=False, shared=True)


def to_values(finding: Finding) -> dict[str, Any]:
    """Plain values of ``finding``, without its image; numbers that are not finite are left out."""
    kinds = {"label": str, "score": float, "left": int, "top": int, "right": int, "bottom": int}
    boxes = [{name: kind(getattr(box, name)) for name, kind in kinds.items()} for box in finding.boxes]
    return {
        "rule": finding.rule,
        "verdict": finding.verdict.value,
        "reason": finding.reason,
        "numbers": {n: float(value) for n, value in finding.numbers.items() if abs(value) < float("inf")},
        "boxes": boxes,
        "values": {str(name): str(value) for name, value in finding.values.items()},
    }


def from_values(values: dict[str, Any]) -> Finding:
    """The finding that :func:`to_values` was given, without its image."""
    kept = {name: values[name] for name in ("rule", "reason", "numbers", "values")}
    boxes = tuple(Box(**box) for box in values["boxes"])
    return Finding(verdict=Verdict(values["verdict"]), boxes=boxes, **kept)


JUDGED_FIELDS = ("product_id", "category", "brand", "licence", "language")
"""What of a record an image rule's answer may depend on, beside ``mask_means``; addresses, keys, clicks and
a shop's further columns change without it."""


def decode_record(record: Record, data: bytes, mask_data: bytes | None, limits: LoadLimits) -> RuleImage:
    """The image in ``data`` with the mask in ``mask_data``, as the rules see it: in sRGB.

    Raises InputError: unreadable, animated, too large or too small; a mask that does not fit the image.
    """
    loaded = load_image(data, limits)
    pixels, alpha = to_srgb(loaded.pixels, loaded.icc_profile), loaded.alpha
    if alpha is not None and float(alpha.min()) == 1.0:
        alpha = None
    if alpha is not None:
        alpha = round_matte(alpha)
        shown = pixels.astype(np.float32) * alpha[..., None] + 255 * (1 - alpha[..., None])
        pixels = np.asarray(np.rint(shown), dtype=np.uint8)
    mask = None
    if mask_data is not None:
        mask = round_matte(_decode_mask(record, mask_data, (pixels.shape[0], pixels.shape[1]), limits))
    return RuleImage(record, pixels, alpha, mask, data)


def round_matte(matte: Matte) -> Matte:
    """``matte`` in steps of 1/255, as a file keeps it: an image is the same fresh and read again."""
    return (to_levels(matte) / 255).astype(np.float32)


def to_levels(matte: Matte) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """uint8 (H, W), 255 = product."""
    return np.asarray(np.rint(np.clip(matte, 0, 1) * 255), dtype=np.uint8)


def settle(image: RuleImage, former: RuleImage) -> RuleImage:
    """``image`` as it would be if it had been written and read again: mattes in steps of 1/255.

    Layers equal to those of ``former`` become the same objects. Raises InputError for sizes that differ.
    """
    layers: dict[str, Any] = {}
    for name in ("pixels", "alpha", "mask"):
        array, before = getattr(image, name), getattr(former, name)
        if array is not None and array is not before and name != "pixels":
            array = round_matte(array)
        if array is not None and before is not None and np.array_equal(array, before):
            array = before
        if array is not None and array.shape[:2] != image.pixels.shape[:2]:
            raise MaskSizeError(f"{name} has {array.shape[:2]}, the image {image.pixels.shape[:2]}")
        layers[name] = array
    return replace(image, **layers)


def compute_content_digest(record: Record, data: bytes, mask_data: bytes | None) -> str:
    """What an image's first results are kept under: digest of its files and of what is known about it."""
    known: dict[str, Any] = {name: getattr(record, name) for name in JUDGED_FIELDS}
    known["format"] = FORMAT
    known["mask_means"] = record.extra.get("mask_means")
    digest = hashlib.sha256(json.dumps(known, sort_keys=True, ensure_ascii=False).encode())
    digest.update(hashlib.sha256(data).digest())
    digest.update(b"-" if mask_data is None else hashlib.sha256(mask_data).digest())
    return digest.hexdigest()


def compute_changed_digest(former: str, image: RuleImage) -> str:
    """The digest after a rule has put ``image`` in place of the one with digest ``former``."""
    digest = hashlib.sha256(former.encode())
    mattes = (None if matte is None else to_levels(matte) for matte in (image.alpha, image.mask))
    for array in (image.pixels, *mattes):
        digest.update(
            b"-" if array is None else repr(array.shape).encode() + np.ascontiguousarray(array).tobytes()
        )
    return digest.hexdigest()


def encode_png(array: Pixels | np.ndarray[tuple[int, int], np.dtype[np.uint8]], fast: bool = False) -> bytes:
    """A PNG of uint8 (H, W, 3) or (H, W); ``fast`` for files that are thrown away one day."""
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG", compress_level=1 if fast else 6)
    return stream.getvalue()


def decode_png(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """What :func:`encode_png` was given."""
    with Image.open(io.BytesIO(data)) as image:
        return np.array(image, dtype=np.uint8)


def _decode_mask(record: Record, data: bytes, size: Size, limits: LoadLimits) -> Matte:
    """A mask file as it is: whether it makes sense is the mask rule's question."""
    where, means = f"mask of {record.key!r}", record.extra.get("mask_means", "").lower()
    if means == "alpha":
        return load_mask(np.asarray(read_mask(open_image(data, where), "alpha", where)), size)
    known: dict[str, Literal["product", "background"]] = {"product": "product", "background": "background"}
    try:
        return load_mask(data, size, known.get(means, "product"), allow_inverted=True, limits=limits)
    except MaskSizeError as error:
        raise MaskSizeError(f"{where}: {error}") from error
    except InputError as error:  # empty, full or otherwise senseless, yet perhaps a mask
        try:
            image = read_mask(open_image(data, where), known.get(means), where)
        except DataError:
            raise error from None
        levels = np.asarray(image, dtype=np.float32) / np.float32(255)
        if levels.shape != tuple(size):
            raise
        return levels
