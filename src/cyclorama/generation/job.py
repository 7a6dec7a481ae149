"""A run of images: what a worker needs to know of it, and the steps of one row outside the model.

All of it is plain values that travel to other machines. Steps look at a row's files, cut the product out,
finish and stage its images; each is a function, so that it can run in a thread, a process or elsewhere.
"""

from __future__ import annotations

import errno
import hashlib
import threading
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Self

from cyclorama.data.table import open_file
from cyclorama.errors import SettingsError, UnreadableImageError
from cyclorama.files import refuse, write_atomic
from cyclorama.generation.items import FILES, name_files
from cyclorama.generation.model import ModelHandle
from cyclorama.generation.plan import Plan, PlanRow
from cyclorama.generation.result import Generated, encode_files
from cyclorama.generation.scenes import SceneModel, compute_scenes_hash
from cyclorama.generation.settings import SCENE_REFERENCE, RunConfig
from cyclorama.generation.sheet import write_thumbnail
from cyclorama.generation.styles import STYLES, FittedStyle, FittedStyles
from cyclorama.generation.task import Model
from cyclorama.generation.writers import FileWriter, TarWriter, build_ending
from cyclorama.imaging.cutout import RembgNetwork
from cyclorama.imaging.layout import CanvasLayout
from cyclorama.imaging.product import Product, Reference
from cyclorama.jobs.job import EngineSettings
from cyclorama.jobs.store import compute_key
from cyclorama.scenes.backdrop import Backdrop
from cyclorama.scenes.brand import Brand
from cyclorama.types import Matte, Pixels, Size

if TYPE_CHECKING:
    from cyclorama.generation.gates import GateVerdict

LoadModel = Callable[[ModelHandle, str, str], Model]
"""Gives the model of a handle on a device in a dtype."""


@dataclass(frozen=True)
class ImageRun:
    """A planned run. All fields can be pickled; :class:`cyclorama.generation.worker.ImageJob` is its job."""

    out: Path
    config: RunConfig
    model: ModelHandle
    plan: Plan = None  # type: ignore[assignment]
    batch_size: int = 1
    """Places of a full batch; part of the run, since it decides the images' last bits."""
    load_model: LoadModel | None = None
    """None loads the handle's own pipeline, tuned as the settings ask."""
    gate: Callable[..., GateVerdict] | None = None

    def __post_init__(self) -> None:
        if self.gate is None and self.config.gate is not None:
            from cyclorama.generation.gates import build_gate

            object.__setattr__(self, "gate", build_gate(self.config.gate))

    @property
    def engine(self) -> EngineSettings:
        """Where it runs."""
        return self.config.engine

    @property
    def parallel_steps(self) -> bool:
        """Decoding, cutting out and encoding may be done in other processes."""
        return True

    @cached_property
    def layouts(self) -> tuple[CanvasLayout, ...]:
        """The canvases of every input."""
        return self.config.settings.build_layouts()

    @cached_property
    def writer(self) -> FileWriter:
        """Where finished images go."""
        return TarWriter(self.out) if self.config.run.storage == "webdataset" else FileWriter(self.out)

    @property
    def images_per_row(self) -> int:
        """Candidates of all canvases."""
        return self.config.settings.candidates * len(self.layouts)

    def locate_images(self, shard: int, row: int, stem: str) -> list[str]:
        """The addresses below the output folder of the images of a ``row`` with the path ``stem``."""
        run, settings = self.config.run, self.config.settings
        kept = 1 if run.keep == "best" else settings.candidates
        endings = [build_ending(each.name, k + 1, kept) for each in self.layouts for k in range(kept)]
        names = [self.writer.build_names(row, stem, end, [settings.encoding.suffix])[0] for end in endings]
        return [self.writer.locate(shard, name) for name in names]

    def describe_settings(self, referenced: bool = False) -> dict[str, Any]:
        """The settings that change an image, as rows and images with or without a reference state them."""
        return self.config.describe_settings(self.model.learned, referenced)

    def describe(self) -> dict[str, Any]:
        """All that images depend on beside their rows."""
        judge: Any = self.gate
        gate = None if judge is None else judge.describe()
        return {"config": self.config.describe(self.model.learned), "gate": gate, "model": self.model.hash}

    def open_model(self, device: str) -> Model:
        """The model on ``device``, from where this machine has it. Raises ModelError."""
        handle, run = self.model.find_here(), self.config.run
        if self.load_model is not None:
            return self.load_model(handle, device, run.dtype)
        pipeline = handle.load(device, run.dtype)
        if isinstance(pipeline, SceneModel):
            pipeline.styles = FittedStyles(self.out / STYLES, pipeline.library)
        elif run.channels_last or run.compile:
            pipeline.tune(channels_last=run.channels_last, compile=run.compile)
        return pipeline

    def replace(self, **changes: Any) -> Self:
        """A copy with other values."""
        return replace(self, **changes)


_EXIF_ORIENTATION = 0x0112
_BLOCK = 1 << 20
REFERENCE_BYTES = 1 << 30
"""Decoded references that a worker keeps."""


@dataclass(frozen=True)
class RowFiles:
    """A row's files on this machine, with what is known of them before decoding."""

    paths: Mapping[str, Path]
    """Column to file."""
    digests: Mapping[str, str]
    """Column to sha256 of the file."""
    size: Size
    """(height, width) of the input, upright, from its header."""
    key: str
    """Digest of contents and settings: equal keys, equal images."""


def inspect_row(job: ImageRun, row: PlanRow, scratch: Path) -> RowFiles:
    """The files of ``row``, fetched into ``scratch`` if they are elsewhere, hashed, the header read.

    Raises the named errors of the loader for what the header already shows, and SettingsError for a canvas
    that the format asked for cannot hold.
    """
    paths, digests = {}, {}
    for column in FILES:
        address = getattr(row, column)
        if address is None:
            continue
        if address == SCENE_REFERENCE:
            if not job.model.learned:
                raise SettingsError("--reference scene is for learned models: name one with --model")
            digests[column] = hashlib.sha256(f"{compute_scenes_hash()} {row.key}".encode()).hexdigest()
            continue
        path = paths[column] = _fetch(job, address, scratch)
        shared = column not in ("image", "mask")
        digests[column] = _hash_shared(*_stamp(path)) if shared else hash_file(path)
    size = read_size(paths["image"])
    for layout in job.layouts:
        job.config.settings.check_canvas(layout.compute_size(size))
    if "reference" in paths:
        _read_shared_size(*_stamp(paths["reference"]))
    load_style(job, paths)
    values = job.describe() | {
        "files": digests,
        "mask_means": row.mask_means,
        "category": [row.category, row.identifier],
        "name": row.name,
        "output": row.output,
        "seed": row.seed,
    }
    return RowFiles(paths, digests, size, compute_key(values))


def load_style(job: ImageRun, paths: Mapping[str, Path]) -> FittedStyle | None:
    """The style file or backdrop among a row's files, named after it and its content, or None.

    Raises ConfigError, SettingsError, ImageError.
    """
    if "backdrop" in paths:
        look: Brand | Backdrop = job.model.read_backdrop(paths["backdrop"])
    elif "style" in paths:
        look = job.model.read_style(paths["style"])
    else:
        return None
    path = paths.get("backdrop") or paths["style"]
    return FittedStyle(f"{path.stem}-{_hash_shared(*_stamp(path))[:12]}", look)


def load_product(job: ImageRun, row: PlanRow, files: RowFiles) -> tuple[Product, float]:
    """The product, decoded and cut out, and the seconds that took. Raises the errors of loader and masks."""
    start = time.perf_counter()
    network = open_network(job.config.run.cutout)
    image, mask = files.paths["image"], files.paths.get("mask")
    product = Product.from_image(image, mask, mask_means=row.mask_means, network=network)
    return product, time.perf_counter() - start


class ReferenceCache:
    """The references used last, decoded once for all products that follow them; known by content."""

    def __init__(self, capacity: int = REFERENCE_BYTES) -> None:
        self._capacity = capacity
        self._kept: OrderedDict[tuple[str, ...], Reference] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self.decoded = 0
        """How many have been decoded."""

    def load(self, row: PlanRow, files: RowFiles) -> Reference | None:
        """The reference of ``row``, or None. Raises the errors of loader and masks."""
        if "reference" not in files.paths:
            return None
        key = (
            files.digests["reference"],
            files.digests.get("reference_mask", ""),
            (row.mask_means or "") if "reference_mask" in files.paths else "",
        )
        with self._lock:  # held while decoding, so that one brand's first batch decodes its reference once
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            mask = files.paths.get("reference_mask")
            reference = Reference.from_image(files.paths["reference"], mask, mask_means=row.mask_means)
            self.decoded += 1
            self._kept[key] = reference
            self._bytes += _count_bytes(reference)
            while self._bytes > self._capacity and len(self._kept) > 1:
                _, old = self._kept.popitem(last=False)
                self._bytes -= _count_bytes(old)
            return reference


def _count_bytes(reference: Reference) -> int:
    mask = reference.product_mask
    return int(reference.pixels.nbytes) + (0 if mask is None else int(mask.nbytes))


@lru_cache(1)
def open_network(name: str | None) -> Any:
    """The cut-out network called ``name``, one per process, or None. Raises MissingDependencyError."""
    return None if name is None else RembgNetwork(name)


def finish_image(
    job: ImageRun,
    made: Generated,
    product: Product,
    reference: Reference | None,
    recipe: dict[str, Any],
    target: Path,
    thumbnails: Mapping[str, str],
) -> dict[str, Any]:
    """Judge, encode and stage one image; its entry as plain values. ``product`` is on the image's canvas.

    ``recipe``: what goes into its files. ``target``: where these are staged, without suffix. ``thumbnails``:
    kind (result, product, second, reference) to name; empty beyond the sheet's rows. Raises OutputError.
    """
    start = time.perf_counter()
    verdict = None if job.gate is None else job.gate(made, product, reference)
    settings = job.config.settings
    encoded, measured = encode_files(made.pixels, made.background, product, recipe, settings, made.empty)
    files = []
    for suffix, data in encoded.items():
        staged = target.with_name(target.name + suffix)
        write_atomic(staged, data)
        digest = hashlib.sha256(data).hexdigest()
        files.append({"staged": staged.name, "suffix": suffix, "bytes": len(data), "sha256": digest})
    shown: dict[str, tuple[Pixels, Matte | None]]
    shown = {"result": (made.pixels, None), "product": (product.pixels, product.matte)}
    if reference is not None:
        shown["reference"] = (reference.pixels, None)
    if product.second is not None:
        shown["second"] = (product.second[..., :3], product.second[..., 3] / 255)
    for kind, name in thumbnails.items():
        if kind in shown and not (kind == "reference" and (job.out / name).exists()):
            write_thumbnail(job.out, name, *shown[kind])
    height, width = made.pixels.shape[:2]
    return {
        "seed": made.seed,
        "files": files,
        "height": height,
        "width": width,
        "mask_source": product.mask_source,
        "mask_confidence": product.mask_confidence,
        "style": made.style,
        "report": made.report.describe() | measured,
        "verdict": None if verdict is None else asdict(verdict),
        "finish_seconds": time.perf_counter() - start,
    }


def hash_file(path: Path) -> str:
    """sha256 of a file's bytes. Raises UnreadableImageError."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _explain(path, error) from error


def _explain(path: Path, error: OSError) -> UnreadableImageError:
    return UnreadableImageError(f"cannot read {path}: {error.strerror}; check the path and its rights")


def read_size(path: Path) -> Size:
    """(height, width) of an image file, EXIF orientation applied, from its header.

    Raises the named error of :func:`cyclorama.imaging.loading.load_image` if the header already shows that it
    cannot be used.
    """
    from PIL import Image

    from cyclorama.imaging.decoding import FORMATS
    from cyclorama.imaging.loading import LoadLimits, load_image

    limits = LoadLimits()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=FORMATS) as image:
                width, height = image.size
                # Asking a PNG for EXIF that is not in its header would decode the whole image.
                exif = {} if image.format == "PNG" and "exif" not in image.info else image.getexif()
                turned = exif.get(_EXIF_ORIENTATION, 1) in (5, 6, 7, 8)
                frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    except Exception:  # whatever the decoder dislikes, the loader gives it its name
        return load_image(path).size
    suspicious = width * height > limits.pixels or min(width, height) < limits.side or frames > 1
    if suspicious or path.stat().st_size > limits.file_bytes:
        return load_image(path).size
    return (width, height) if turned else (height, width)


def _stamp(path: Path) -> tuple[Path, int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise _explain(path, error) from error
    return path, found.st_size, found.st_mtime_ns


# Many rows share a reference: its file is read once as long as it keeps its size and time.
_hash_shared = lru_cache(4096)(lambda path, size, changed: hash_file(path))
_read_shared_size = lru_cache(4096)(lambda path, size, changed: read_size(path))


def _fetch(job: ImageRun, address: str, scratch: Path) -> Path:
    """The file at a local address, or the copy in ``scratch`` of one that is elsewhere, fetched once."""
    if "://" not in address and "::" not in address:
        return Path(address)
    name = PurePosixPath(address.partition("?")[0].partition("::")[0]).name
    path = scratch / f"{hashlib.blake2b(address.encode(), digest_size=8).hexdigest()}-{name[-80:]}"
    if path.exists():
        return path
    part = path.with_name(f"{path.name}.{threading.get_ident()}.part")
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        with open_file(address, job.config.urls) as stream, part.open("wb") as copy:
            while block := stream.read(_BLOCK):
                copy.write(block)
        part.replace(path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise refuse(path, error) from error
        raise UnreadableImageError(
            f"cannot fetch {address}: {error}; check the address and the network"
        ) from error
    return path


def rename_paths(row: PlanRow, files: RowFiles | None, reason: str) -> str:
    """``reason`` with the row's names of its files instead of where they lie."""
    for column, path in ({} if files is None else files.paths).items():
        reason = reason.replace(str(path), getattr(row, column))
    return name_files(row, reason)
