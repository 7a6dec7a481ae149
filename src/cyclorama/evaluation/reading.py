"""What is to be scored: images, masks and labels by key, from folders, manifests, shards or arrays.

A key names one product image in every set that shows it: the file's path below its folder without suffix,
a manifest row's ``id`` (else the stem of its input), a shard member's stem. Images are decoded when asked
for, so a set of any size costs no memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from cyclorama.data.addresses import read_bytes
from cyclorama.data.records import Place
from cyclorama.data.table import Row, open_table
from cyclorama.errors import DataError, ManifestError, MissingImageError
from cyclorama.imaging.loading import load_image
from cyclorama.imaging.masks import load_mask

if TYPE_CHECKING:
    from cyclorama.types import Matte, Pixels

RESULTS = ("results.jsonl", "manifest.jsonl")
"""What a run leaves in its output folder: its images and what became of each input."""


@dataclass(frozen=True, eq=False)
class ScoredImage:
    """One decoded image.

    ``pixels`` uint8 (H, W, 3); ``mask`` float32 (H, W) in [0, 1], 1 = product, None where unknown.
    """

    key: str
    pixels: Pixels
    mask: Matte | None = None
    category: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ImageItem:
    """Where one image lies and what is known of it."""

    image: Place | None
    mask: Place | None = None
    category: str | None = None
    reference: str | None = None
    """Key or path of the reference it was made with."""
    meta: Mapping[str, Any] = field(default_factory=dict, hash=False)


class ImageSet:
    """Images by key, in the order of their keys; made by :func:`open_images` or :func:`from_arrays`."""

    def __init__(
        self, name: str, items: Mapping[str, ImageItem], arrays: Mapping[str, ScoredImage] | None = None
    ) -> None:
        self.name = name
        self.items = dict(sorted(items.items()))
        self._arrays = dict(arrays or {})

    def __len__(self) -> int:
        return len(self.items)

    def __contains__(self, key: object) -> bool:
        return key in self.items

    def __iter__(self) -> Iterator[ScoredImage]:
        return (self.load(key) for key in self.items)

    @property
    def keys(self) -> list[str]:
        """All keys, sorted."""
        return list(self.items)

    def load(self, key: str) -> ScoredImage:
        """The decoded image. Raises MissingImageError, ImageError, MaskError (naming the file)."""
        if key not in self.items:
            raise MissingImageError(f"{self.name} has no image {key!r}{_hint(self.keys)}")
        if key in self._arrays:
            return self._arrays[key]
        item = self.items[key]
        assert item.image is not None
        pixels = load_image(read_place(item.image)).pixels
        mask = None
        if item.mask is not None:
            mask = load_mask(read_place(item.mask), (pixels.shape[0], pixels.shape[1]), allow_inverted=True)
        return ScoredImage(key, pixels, mask, item.category, item.meta)

    def select(self, keys: Sequence[str]) -> ImageSet:
        """The set of ``keys`` alone. Raises MissingImageError."""
        for key in keys:
            if key not in self.items:
                raise MissingImageError(f"{self.name} has no image {key!r}{_hint(self.keys)}")
        chosen = {key: self.items[key] for key in keys}
        return ImageSet(self.name, chosen, {k: p for k, p in self._arrays.items() if k in chosen})

    def with_masks_of(self, other: ImageSet) -> ImageSet:
        """The same images with the masks that ``other`` has for their keys."""
        items, arrays = {}, dict(self._arrays)
        for key, item in self.items.items():
            mask = other.items[key].mask
            items[key] = replace(item, mask=mask)
            if mask is None:  # the other set holds arrays: so must this image
                arrays[key] = replace(self.load(key), mask=other.load(key).mask)
        return ImageSet(self.name, items, arrays)

    def has_masks(self) -> bool:
        """Whether every image comes with a product mask."""
        return all(
            item.mask is not None or (key in self._arrays and self._arrays[key].mask is not None)
            for key, item in self.items.items()
        )


def from_arrays(
    images: Mapping[str, Pixels],
    masks: Mapping[str, Matte] | None = None,
    categories: Mapping[str, str] | None = None,
    references: Mapping[str, str] | None = None,
    name: str = "arrays",
) -> ImageSet:
    """The set of ``images`` (key to uint8 (H, W, 3)) with masks, categories and keys of references.

    Raises DataError for another dtype or shape.
    """
    masks, categories, references = masks or {}, categories or {}, references or {}
    items, arrays = {}, {}
    for key, pixels in images.items():
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise DataError(f"{name}: {key!r} is {pixels.dtype} {pixels.shape}; give uint8 (H, W, 3)")
        mask = masks.get(key)
        if mask is not None and mask.shape != pixels.shape[:2]:
            raise DataError(f"{name}: the mask of {key!r} has shape {mask.shape}, not {pixels.shape[:2]}")
        items[key] = ImageItem(None, None, categories.get(key), references.get(key))
        arrays[key] = ScoredImage(key, pixels, mask, categories.get(key))
    return ImageSet(name, items, arrays)


def open_images(source: str | Path) -> ImageSet:
    """The images of a folder, of any table that :func:`cyclorama.data.table.open_table` reads, or of shards.

    A folder with ``results.jsonl`` (as ``cyclorama generate`` leaves it) is read through that, so that
    failed inputs are left out and categories known. In a plain folder ``name.mask.png`` or
    ``name_mask.png`` is the mask of ``name.png``.

    Raises DataError (nothing there, unreadable manifest or shard, a key twice).
    """
    path = Path(source)
    results = next((path / name for name in RESULTS if (path / name).is_file()), path)
    if not path.exists():
        raise DataError(f"no images at {path}: give a folder, a table, a run's output or .tar shards")
    return ImageSet(str(path), _read_rows(results))


def read_place(place: Place) -> Path | bytes:
    """What the decoder takes: a path as it is, else the bytes. Raises DataError."""
    return place if isinstance(place, Path) else read_bytes(place)


def attach_masks(images: ImageSet, masks: ImageSet) -> ImageSet:
    """``images`` with the mask files of the same keys in ``masks`` (a folder of mask images, or a set
    that has masks). Raises MissingImageError if one has none.
    """
    for key in images.keys:
        if key not in masks:
            raise MissingImageError(f"no mask for {key!r} in {masks.name}{_hint(masks.keys)}")
    if not masks.has_masks():
        drawn = {key: replace(item, mask=item.mask or item.image) for key, item in masks.items.items()}
        masks = ImageSet(masks.name, drawn)
    return images.with_masks_of(masks)


def match_keys(images: ImageSet, others: ImageSet, allow_missing: bool = False) -> list[str]:
    """The keys of both sets, sorted; empty if they share none.

    Raises MissingImageError if only some of ``images`` have a partner, unless ``allow_missing``: a set
    that lost images must not pass for a whole one.
    """
    common = [key for key in images.keys if key in others]
    missing = [key for key in images.keys if key not in others]
    if common and missing and not allow_missing:
        shown = ", ".join(repr(key) for key in missing[:5])
        raise MissingImageError(
            f"{len(missing)} of {len(images)} images of {images.name} have no partner in "
            f"{others.name}: {shown}{' …' if len(missing) > 5 else ''}; add them, or score the "
            "others with --allow-missing"
        )
    return common


def _hint(keys: Sequence[str]) -> str:
    shown = ", ".join(repr(key) for key in keys[:3])
    return f"; it has {len(keys)}: {shown}{' …' if len(keys) > 3 else ''}"


def _read_rows(path: Path) -> dict[str, ImageItem]:
    try:
        table = open_table(path, columns=_name_columns(path), check_files=False)
        items: dict[str, ImageItem] = {}
        for row in table:
            values = row.values
            if values.get("status", "done") != "done":
                continue
            if row.error is not None:
                raise DataError(f"{path}, {row.place}: {row.error}")
            image = values["image"]
            key = _find_key(table.kind, row, image)
            if key in items:
                raise DataError(
                    f"{path}, {row.place}: the key {key!r} is there twice; give each image an id or name of "
                    "its own"
                )
            items[key] = ImageItem(
                _locate(image),
                _locate(values.get("mask")),
                values.get("category"),
                values.get("reference"),
                values,
            )
    except ManifestError as error:
        raise DataError(str(error)) from error
    return items


def _name_columns(path: Path) -> dict[str, str]:
    """The columns of a run's results, where the image made is called ``output``."""
    return {"image": "output"} if path.name in RESULTS else {}


def _find_key(kind: str, row: Row, image: Any) -> str:
    if kind == "shards":
        return str(row.values["shard_key"])
    if kind == "folder":
        return str(PurePosixPath(row.name).with_suffix(""))
    values = row.values
    own = values.get("title") if "status" in values else values.get("input")  # of a run's results
    named = values.get("id") or own or (image if isinstance(image, str) else row.name)
    return str(named) if "id" in values else PurePosixPath(str(named)).stem


def _locate(address: str | bytes | None) -> Place | None:
    """A path for a file of this machine, so that its name counts when it is decoded."""
    if isinstance(address, str) and "::" not in address and "://" not in address:
        return Path(address)
    return address
