"""What is to be scored, and which original, mask and reference belong to each image?

A key names one product image in every set that shows it: the file's path below its folder without suffix,
a manifest row's ``id`` (else the stem of its input), a shard member's stem; a run's results have the keys of
its input. Images come from folders, tables, shards or arrays and are decoded when asked for, so a set of any
size costs no memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from cyclorama.data.addresses import read_bytes
from cyclorama.data.columns import MaskMeans
from cyclorama.data.records import Place, locate
from cyclorama.data.shards import scan_shard
from cyclorama.data.table import Row, open_table
from cyclorama.errors import DataError, ManifestError, MissingImageError
from cyclorama.imaging.colour import to_srgb
from cyclorama.imaging.loading import load_image
from cyclorama.imaging.masks import load_mask
from cyclorama.jobs.store import ShardStore
from cyclorama.layout.elements import ENDING, PARTS
from cyclorama.types import Matte, Pixels

RESULTS = ("results.jsonl", "manifest.jsonl")
"""What a run leaves in its output folder: its images and what became of each input."""

ReferenceStyle = tuple[str, str | None]
"""Category and brand of a reference; "" and None where unknown."""


@dataclass(frozen=True, eq=False)
class ScoredImage:
    """One decoded image.

    ``pixels`` uint8 (H, W, 3), sRGB; ``mask`` float32 (H, W) in [0, 1], 1 = product, None where unknown.
    """

    key: str
    pixels: Pixels
    mask: Matte | None = None
    category: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ImageItem:
    """Where one image lies and what is known of it."""

    image: Place | Pixels
    """An address or bytes, or uint8 (H, W, 3)."""
    mask: Place | Matte | None = None
    category: str | None = None
    reference: str | None = None
    """Key or path of the reference it was made with."""
    meta: Mapping[str, Any] = field(default_factory=dict, hash=False)
    mask_means: MaskMeans | None = None
    """What white marks in the file of ``mask``; None: the product."""


class ImageSet:
    """Images by key, in the order of their keys; made by :func:`open_images` or :func:`from_arrays`."""

    def __init__(self, name: str, items: Mapping[str, ImageItem]) -> None:
        self.name, self.items = name, dict(sorted(items.items()))

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

    @cached_property
    def named(self) -> dict[str, str]:
        """File names, as keys end, to their first keys."""
        return {Path(key).name: key for key in reversed(self.keys)}

    def load(self, key: str) -> ScoredImage:
        """The decoded image. Raises MissingImageError, ImageError, MaskError (naming the file)."""
        item = self._find(key)
        pixels, mask = item.image, item.mask
        if not isinstance(pixels, np.ndarray):
            loaded = load_image(read_place(pixels))
            pixels = to_srgb(loaded.pixels, loaded.icc_profile)
        if mask is not None and not isinstance(mask, np.ndarray):
            size = (pixels.shape[0], pixels.shape[1])
            mask = load_mask(read_place(mask), size, item.mask_means, allow_inverted=True)
        return ScoredImage(key, pixels, mask, item.category, item.meta)

    def _find(self, key: str) -> ImageItem:
        if key not in self.items:
            raise MissingImageError(f"{self.name} has no image {key!r}{_hint(self.keys)}")
        return self.items[key]

    def select(self, keys: Sequence[str]) -> ImageSet:
        """The set of ``keys`` alone. Raises MissingImageError."""
        return ImageSet(self.name, {key: self._find(key) for key in keys})

    def has_masks(self) -> bool:
        """Whether every image comes with a product mask."""
        return all(item.mask is not None for item in self.items.values())


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
    items = {}
    for key, pixels in images.items():
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise DataError(f"{name}: {key!r} is {pixels.dtype} {pixels.shape}; give uint8 (H, W, 3)")
        mask = masks.get(key)
        if mask is not None and mask.shape != pixels.shape[:2]:
            raise DataError(f"{name}: the mask of {key!r} has shape {mask.shape}, not {pixels.shape[:2]}")
        items[key] = ImageItem(pixels, mask, categories.get(key), references.get(key))
    return ImageSet(name, items)


def open_images(source: str | Path) -> ImageSet:
    """The images of a folder, of any table that :func:`cyclorama.data.table.open_table` reads, or of shards.

    A folder with ``results.jsonl`` (as ``cyclorama generate`` leaves it) is read through that, so that
    failed inputs are left out and categories known. In a plain folder ``name.mask.png`` or
    ``name_mask.png`` is the mask of ``name.png``. A folder with records of posters is read through these:
    their parts are no images of the set.

    Raises DataError (nothing there, unreadable manifest or shard, a key twice).
    """
    path = Path(source)
    if path.is_dir() and (records := sorted(path.rglob(f"*{ENDING}"))):
        return ImageSet(str(path), dict(_read_poster(path, record) for record in records))
    results = next((path / name for name in RESULTS if (path / name).is_file()), path)
    if not path.exists():
        raise DataError(f"no images at {path}: give a folder, a table, a run's output or .tar shards")
    return ImageSet(str(path), _read_rows(results))


def _read_poster(folder: Path, record: Path) -> tuple[str, ImageItem]:
    stem = record.name.removesuffix(ENDING)
    image, product = record.with_name(f"{stem}.png"), record.with_name(stem + PARTS["product"])
    if not image.is_file():
        raise DataError(f"{record}: {image.name} is missing; it was written beside the record")
    key = record.relative_to(folder).with_name(stem).as_posix()
    return key, ImageItem(image, product if product.is_file() else None, meta={"record": record})


def read_place(place: Place) -> Path | bytes:
    """What the decoder takes: a path as it is, else the bytes. Raises DataError."""
    return place if isinstance(place, Path) else read_bytes(place)


def attach_masks(images: ImageSet, masks: ImageSet) -> ImageSet:
    """``images`` with the masks of the same keys in ``masks``, whose images are masks where they have none.

    Raises MissingImageError if one is missing.
    """
    items = {}
    for key, item in images.items.items():
        if key not in masks:
            raise MissingImageError(f"no mask for {key!r} in {masks.name}{_hint(masks.keys)}")
        mask = masks.items[key].mask
        if mask is None:
            drawn = masks.items[key].image
            mask = np.divide(drawn[..., 0], 255, dtype=np.float32) if isinstance(drawn, np.ndarray) else drawn
        items[key] = replace(item, mask=mask, mask_means=masks.items[key].mask_means)
    return ImageSet(images.name, items)


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
    results = path.name in RESULTS
    try:
        table = open_table(path, columns={"image": "output"} if results else {}, check_files=False)
        kind = table.kind
        if results:  # the first note of a run tells what its input is
            notes = ShardStore(path.parent).load_values().get("notes") or [""]
            kind = str(notes[0]).rpartition(": ")[2]
        items: dict[str, ImageItem] = {}
        members: dict[str, str] = {}
        for row in table:
            values = row.values
            if results and table.map.fields.get("id") != ("id",):
                values.pop("id", None)  # no row has one, so the digest in the column ``key`` was taken for it
            if values.get("status", "done") != "done":
                continue
            if row.error is not None:
                raise DataError(f"{path}, {row.place}: {row.error}")
            image = values["image"]
            key = _find_key(kind, row, image)
            if key in items:
                raise DataError(
                    f"{path}, {row.place}: the key {key!r} is there twice; give each image an id or name of "
                    "its own"
                )
            if results:
                image = _find_member(image, members)
            mask = None if values.get("mask") is None else locate(values["mask"])
            category, reference, means = (values.get(n) for n in ("category", "reference", "mask_means"))
            items[key] = ImageItem(locate(image), mask, category, reference, values, means)
    except ManifestError as error:
        raise DataError(str(error)) from error
    return items


def _find_member(image: str, members: dict[str, str]) -> str:
    """``image``, or where the member of a tar lies that a run's results name ``shard.tar:NAME``; ``members``
    keeps what was found."""
    stem, colon, name = image.rpartition(".tar:")
    if not colon:
        return image
    if image not in members:
        for entry in scan_shard(f"{stem}.tar"):
            members |= {f"{stem}.tar:{entry.key}.{suffix}": at for suffix, at in entry.members.items()}
    if image not in members:
        raise DataError(f"{stem}.tar has no member {name}, which the results name; make the run again")
    return members[image]


def _find_key(kind: str, row: Row, image: Any) -> str:
    """``kind``: of the table, or of a run's input where these are its results."""
    values = row.values
    if kind == "shards" and "shard_key" in values:
        return str(values["shard_key"])
    own = values.get("title") if "status" in values else values.get("input")  # of a run's results
    if kind in ("folder", "shards"):
        return str(PurePosixPath(str(own or row.name)).with_suffix(""))
    named = values.get("id") or own or (image if isinstance(image, str) else row.name)
    return str(named) if "id" in values else PurePosixPath(str(named)).stem


@dataclass(frozen=True, eq=False)
class Partners:
    """The images to score and all that they are scored against."""

    images: ImageSet
    truth: ImageSet | None
    references: ImageSet | None
    reference_of: dict[str, str]
    """Image key -> its reference's key; empty without references."""
    paired: bool
    """Whether every scored image has an original of its key in ``truth``."""
    categories: dict[str, str]
    """Image key -> category, where known."""
    notes: tuple[str, ...]
    products: ImageSet | None = None
    """What the methods were given; None: the product stands in ``truth`` as it was given."""


def find_partners(
    images: ImageSet,
    truth: ImageSet | None = None,
    references: ImageSet | None = None,
    masks: ImageSet | None = None,
    allow_missing: bool = False,
    products: ImageSet | None = None,
) -> Partners:
    """The partners by key. Masks come from ``masks``, else from the images' own set, else from ``truth``.

    A truth that shares no key is taken as a set of its own: distances between the sets are measured, images
    are not compared one by one, and a note says so. ``products`` are the images that were given to the
    method, where its product stands in another light than in ``truth``. Raises MissingImageError (some keys
    without partner, a reference or a given product that is not there).
    """
    notes = []
    paired = False
    if truth is not None:
        keys = match_keys(images, truth, allow_missing)
        paired = bool(keys)
        if keys and len(keys) < len(images):
            notes.append(f"{len(images) - len(keys)} of {len(images)} images have no original; left out")
            images = images.select(keys)
        if not keys:
            notes.append(f"no key of {images.name} is in {truth.name}: only the sets are compared")
    if masks is not None:
        images = attach_masks(images, masks)
        if truth is not None and paired and not truth.has_masks() and all(key in masks for key in truth.keys):
            truth = attach_masks(truth, masks)
    elif not images.has_masks() and truth is not None and paired and truth.select(images.keys).has_masks():
        images = attach_masks(images, truth)
    known = {} if truth is None else truth.items
    categories = {}
    for key, item in images.items.items():
        category = item.category or (known[key].category if key in known else None)
        if category is not None:
            categories[key] = category
    reference_of = {} if references is None else match_references(images, references)
    if products is not None and not match_keys(images, products):
        raise MissingImageError(f"{images.name} and the given products {products.name} share no key")
    return Partners(images, truth, references, reference_of, paired, categories, tuple(notes), products)


def match_references(images: ImageSet, references: ImageSet) -> dict[str, str]:
    """Image key -> reference key: what the manifest names (key, or file name), else the image's own key.

    Raises MissingImageError naming the first image without one.
    """
    result = {}
    for key, item in images.items.items():
        name = item.reference or key
        found = find_reference(name, references)
        if found is None:
            raise MissingImageError(
                f"no reference {Path(name).stem if item.reference else name!r} for {key!r} in "
                f"{references.name}; it has {', '.join(repr(k) for k in references.keys[:3])} … "
                f"({len(references)})"
            )
        result[key] = found
    return result


def find_reference(name: str, references: ImageSet) -> str | None:
    """The key of the reference called ``name``: a key, or a file name with or without folder and suffix."""
    for wanted in (name, Path(name).stem):
        if wanted in references:
            return wanted
        if wanted in references.named:
            return references.named[wanted]
    return None


def get_reference_styles(partners: Partners) -> dict[str, ReferenceStyle]:
    """Reference key -> category (its own, else that of the images made with it, else one for all), brand."""
    assert partners.references is not None
    used = {reference: partners.categories.get(key) for key, reference in partners.reference_of.items()}
    return {
        key: (item.category or used.get(key) or "", item.meta.get("brand"))
        for key, item in partners.references.items.items()
    }
