"""The images of a run: read from the input, as rules have repaired them, and what rules have answered.

One JSON file per image content holds every answer ever given about it; the images that rules have
repaired lie beside it as PNG layers. A key is a digest of the image as the rule saw it and of the rule's
name, version and settings, so a run takes over exactly what would come out again. Files of web servers and
files embedded in a table are kept here, too. The folder may be deleted at any time between runs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cyclorama.curate.config import ReadingSettings
from cyclorama.curate.decoding import decode_png, decode_record, encode_png, to_levels
from cyclorama.curate.records import Box, Finding, Record, RuleImage, Verdict
from cyclorama.data.addresses import is_url, read_bytes
from cyclorama.files import write_atomic
from cyclorama.imaging.loading import LoadLimits

if TYPE_CHECKING:
    from cyclorama.types import Matte

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

    def _keep(self, name: str, get: Callable[[], bytes]) -> Path:
        path = self._folder / name[:2] / f"{name}.file"
        if not path.is_file():
            _write(path, get())
        return path

    def load(self, content: str) -> dict[str, Any]:
        """Answers about the image with digest ``content``, by key; empty if there are none."""
        try:
            values = json.loads(self._get_answers(content).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return values if isinstance(values, dict) else {}

    def save(self, content: str, answers: dict[str, Any]) -> None:
        """Keep ``answers``. Raises OutputError."""
        text = json.dumps(answers, sort_keys=True, ensure_ascii=False, allow_nan=False)
        _write(self._get_answers(content), text.encode("utf-8", "backslashreplace"))

    def get_path(self, layer: str) -> Path:
        """Where the stored ``layer`` lies."""
        return self._folder / layer[:2] / f"{layer}.png"

    def has(self, layers: Layers) -> bool:
        """Whether all stored layers are there."""
        stored = (name for name in layers.values() if name not in ("file", "none"))
        return all(self.get_path(name).is_file() for name in stored)

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
                _write(self.get_path(result[name]), encode_png(levels, fast=True))
        return result

    def get(self, original: RuleImage, layers: Layers) -> RuleImage:
        """The image that ``layers`` describe, of the input's ``original``. Raises OSError."""
        return replace(
            original,
            pixels=original.pixels if layers["pixels"] == "file" else self.load_layer(layers["pixels"]),
            alpha=self._get_matte(original.alpha, layers["alpha"]),
            mask=self._get_matte(original.mask, layers["mask"]),
        )

    def sweep(self) -> None:
        """Remove what a killed run has left half-written."""
        for path in self._folder.glob("*/.*.part"):
            path.unlink(missing_ok=True)

    def load_layer(self, name: str) -> Any:
        """The uint8 array of a stored layer. Raises OSError."""
        return decode_png(self.get_path(name).read_bytes())

    def _get_matte(self, original: Matte | None, name: str) -> Matte | None:
        if name == "none":
            return None
        if name == "file":
            return original
        levels = self.load_layer(name)
        matte: Matte = (levels / 255).astype("float32")
        return matte

    def _get_answers(self, content: str) -> Path:
        return self._folder / content[:2] / f"{content}.json"


def _write(path: Path, data: bytes) -> None:
    """Two workers may be at the same ``path``, as for a file that is there twice."""
    write_atomic(path, data, durable=False, shared=True)


def to_values(finding: Finding) -> dict[str, Any]:
    """Plain values of ``finding``, without its image; numbers that are not finite are left out."""
    edges = ("left", "top", "right", "bottom")
    boxes = [
        {"label": str(box.label), "score": float(box.score)} | {n: int(getattr(box, n)) for n in edges}
        for box in finding.boxes
    ]
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
