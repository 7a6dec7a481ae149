"""What is to be scored: images, masks and labels by key, from folders, manifests, shards or arrays.

A key names one product image in every set that shows it: the file's path below its folder without suffix,
a manifest row's ``id`` (else the stem of its input), a shard member's stem. Images are decoded when asked
for, so a set of any size costs no memory.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cyclorama.errors import DataError, MissingImageError
from cyclorama.evaluation.tar_members import list_members, read_span
from cyclorama.imaging.loading import load_image
from cyclorama.imaging.masks import load_mask

if TYPE_CHECKING:
    from cyclorama.types import Matte, Pixels

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".avif"})
MASK_ENDINGS = (".mask", "_mask", "-mask")
MANIFEST_NAME = "manifest.jsonl"

Bytes = Path | tuple[Path, int, int]
"""A file, or (shard, offset, size)."""


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
class Item:
    """Where one image lies and what is known of it."""

    image: Bytes | None
    mask: Bytes | None = None
    category: str | None = None
    reference: str | None = None
    """Key or path of the reference it was made with."""
    meta: Mapping[str, Any] = field(default_factory=dict, hash=False)


class ImageSet:
    """Images by key, in the order of their keys; made by :func:`open_images` or :func:`from_arrays`."""

    def __init__(
        self, name: str, items: Mapping[str, Item], arrays: Mapping[str, ScoredImage] | None = None
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
        pixels = load_image(_get(item.image)).pixels
        mask = None
        if item.mask is not None:
            mask = load_mask(_get(item.mask), (pixels.shape[0], pixels.shape[1]), allow_inverted=True)
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
        items[key] = Item(None, None, categories.get(key), references.get(key))
        arrays[key] = ScoredImage(key, pixels, mask, categories.get(key))
    return ImageSet(name, items, arrays)


def open_images(source: str | Path) -> ImageSet:
    """The images of a folder, of a manifest (.jsonl, .csv) or of shards (.tar, folder of them).

    A folder with ``manifest.jsonl`` (as ``cyclorama generate`` leaves it) is read through the manifest, so
    that failed inputs are left out and categories known. In a plain folder ``name.mask.png`` or
    ``name_mask.png`` is the mask of ``name.png``.

    Raises DataError (nothing there, unreadable manifest or shard, a key twice).
    """
    path = Path(source)
    if path.is_dir():
        if (path / MANIFEST_NAME).is_file():
            items = _read_manifest(path / MANIFEST_NAME)
        elif shards := sorted(path.glob("*.tar")):
            items = _read_shards(shards)
        else:
            items = _read_folder(path)
    elif path.suffix == ".tar" and path.is_file():
        items = _read_shards([path])
    elif path.suffix.lower() in (".jsonl", ".csv") and path.is_file():
        items = _read_manifest(path)
    else:
        raise DataError(f"no images at {path}: give a folder, a .jsonl or .csv manifest, or .tar shards")
    if not items:
        raise DataError(
            f"{path} holds no image; looked for {', '.join(sorted(SUFFIXES))}, {MANIFEST_NAME}, .tar"
        )
    return ImageSet(str(path), items)


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


def _get(place: Bytes) -> Path | bytes:
    return place if isinstance(place, Path) else read_span(*place)


def _read_folder(folder: Path) -> dict[str, Item]:
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    by_key: dict[str, Path] = {}
    for file in files:
        key = file.relative_to(folder).with_suffix("").as_posix()
        if key in by_key:
            raise DataError(f"{folder}: {by_key[key].name} and {file.name} share the key {key!r}; rename one")
        by_key[key] = file
    masks = {}
    for key, file in by_key.items():
        ending = next((e for e in MASK_ENDINGS if key.endswith(e)), None)
        if ending is not None and key.removesuffix(ending) in by_key:
            masks[key.removesuffix(ending)] = (key, file)
    mask_keys = {key for key, _ in masks.values()}
    return {
        key: Item(file, masks[key][1] if key in masks else None)
        for key, file in by_key.items()
        if key not in mask_keys
    }


def _read_manifest(path: Path) -> dict[str, Item]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".csv":
            rows: list[Any] = list(csv.DictReader(text.splitlines()))
        else:
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise DataError(
            f"cannot read the manifest {path}: {error}; save it as UTF-8 JSON lines or CSV"
        ) from error
    items: dict[str, Item] = {}
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise DataError(f"{path}, row {number} is no object; give one JSON object a line")
        if row.get("status", "done") != "done":
            continue
        image = row.get("output") or row.get("image")
        if not image:
            raise DataError(f"{path}, row {number} has neither 'output' nor 'image'; columns: {sorted(row)}")
        key = str(row.get("id") or Path(str(row.get("input") or image)).stem)
        if key in items:
            raise DataError(f"{path}, row {number}: the key {key!r} is there twice; give ids of their own")
        mask = row.get("mask")
        is_file = bool(mask) and Path(str(mask)).suffix.lower() in SUFFIXES
        items[key] = Item(
            path.parent / str(image),
            path.parent / str(mask) if is_file else None,
            row.get("category") or None,
            row.get("reference") or None,
            row,
        )
    return items


def _read_shards(shards: Sequence[Path]) -> dict[str, Item]:
    items: dict[str, Item] = {}
    for shard in shards:
        for key, members in list_members(shard).items():
            if key in items:
                raise DataError(f"{shard}: the key {key!r} is also in another shard; keys must be unique")
            image = next((members[s] for s in ("png", "jpg", "jpeg", "webp") if s in members), None)
            if image is None:
                raise DataError(f"{shard}: {key!r} has no image, only {sorted(members)}")
            mask = next((members[s] for s in ("mask.png", "mask.webp") if s in members), None)
            meta = _parse_meta(members, shard, key)
            items[key] = Item(image, mask, meta.get("category"), meta.get("reference"), meta)
    return items


def _parse_meta(members: Mapping[str, tuple[Path, int, int]], shard: Path, key: str) -> dict[str, Any]:
    if "json" not in members:
        return {}
    try:
        meta = json.loads(read_span(*members["json"]))
    except ValueError as error:
        raise DataError(f"{shard}: the json member of {key!r} cannot be read: {error}") from error
    if not isinstance(meta, dict):
        raise DataError(f"{shard}: the json member of {key!r} is no object")
    return meta
