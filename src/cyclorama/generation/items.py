"""What a run is to work on: one item per image of a folder or row of a manifest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from cyclorama.data.manifest import load_manifest
from cyclorama.data.schema import IMAGE_SUFFIXES, MaskMeans, Record
from cyclorama.data.tables import SUFFIXES as MANIFEST_SUFFIXES
from cyclorama.errors import InputError, ManifestError, SettingsError


@dataclass(frozen=True)
class Failure:
    """Why an input has no image: the error's class and its message."""

    error: str
    reason: str

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """The failure that ``error`` stands for."""
        text = str(error) or type(error).__name__
        return cls(type(error).__name__, text)


@dataclass(frozen=True)
class Item:
    """One input. ``name`` is its path relative to the input folder or manifest, with ``/``."""

    name: str
    image: Path | None
    mask: Path | None = None
    mask_means: MaskMeans | None = None
    category: str | None = None
    reference: Path | None = None
    reference_mask: Path | None = None
    seed: int | None = None
    """The item's own seed; None derives one from the run's seed and the name."""
    folders: tuple[str, ...] = ()
    """Names of the sub-folders it lies in, the nearest first; one of them may be its category."""
    folder: str | None = None
    """Sub-folder of the images' folder to put its images into; no part of its name."""
    id: str | None = None
    """The manifest row's own id, if it comes from one."""
    failure: Failure | None = None


@dataclass(frozen=True)
class InputConfig:
    """Where the inputs are, and what holds for all that do not say otherwise themselves."""

    path: Path
    mask: Path | None = None
    """A mask file for a single image; for a folder, a folder of masks with the images' relative names."""
    mask_means: MaskMeans | None = None
    reference: Path | None = None
    reference_mask: Path | None = None
    out: Path | None = None
    """The output folder, left out when it lies inside the input folder."""


def load_items(config: InputConfig) -> list[Item]:
    """One item per image or manifest row, in order; rows that cannot be used carry their failure.

    Raises InputError (no such input, empty folder, neither image nor manifest), ManifestError
    (unreadable, missing column, no rows), SettingsError (a mask that cannot belong to the inputs).
    """
    path = config.path
    for option, file in (("--reference", config.reference), ("--reference-mask", config.reference_mask)):
        if file is not None and not file.is_file():
            raise InputError(f"no such file for {option}: {file}")
    if config.reference_mask is not None and config.reference is None:
        raise SettingsError("--reference-mask is given without --reference; give both")
    if config.mask is not None and not config.mask.exists():
        raise InputError(f"no such file for --mask: {config.mask}")
    if path.is_dir():
        items = _load_folder(config)
    elif not path.exists():
        raise InputError(f"no such file or folder: {path}")
    elif path.suffix.lower() in IMAGE_SUFFIXES:
        if config.mask is not None and config.mask.is_dir():
            raise SettingsError(
                f"--mask {config.mask} is a folder but the input is one image; give the mask file"
            )
        items = [Item(path.name, path, mask=config.mask)]
    elif path.suffix.lower() in MANIFEST_SUFFIXES:
        items = _load_manifest(config)
    else:
        raise InputError(
            f"{path.name}: suffix {path.suffix!r} is neither an image ({_list(IMAGE_SUFFIXES)}) "
            f"nor a manifest ({_list(MANIFEST_SUFFIXES)})"
        )
    return [_fill(item, config) for item in items]


def _fill(item: Item, config: InputConfig) -> Item:
    if item.mask_means is None:
        item = replace(item, mask_means=config.mask_means)
    if item.reference is None and config.reference is not None:
        item = replace(item, reference=config.reference, reference_mask=config.reference_mask)
    return item


def _load_folder(config: InputConfig) -> list[Item]:
    folder = config.path
    if config.mask is not None and not config.mask.is_dir():
        raise SettingsError(
            f"--mask {config.mask} is one file but the input is a folder; give a folder of masks named like "
            f"the images, or a manifest with a mask column"
        )
    left_out = {p.resolve() for p in (config.out, config.mask) if p is not None}
    items = []
    for path in sorted(folder.rglob("*"), key=lambda p: p.relative_to(folder).as_posix()):
        relative = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in relative.parts)
        if hidden or path.suffix.lower() not in IMAGE_SUFFIXES or not path.is_file():
            continue
        if left_out and left_out.intersection(path.resolve().parents):
            continue
        item = Item(relative.as_posix(), path, folders=relative.parts[-2::-1])
        if config.mask is not None:
            item = _attach_mask(item, config.mask / relative)
        items.append(item)
    if not items:
        raise InputError(f"folder {folder} holds no images ({_list(IMAGE_SUFFIXES)})")
    return items


def _attach_mask(item: Item, beside: Path) -> Item:
    for suffix in (beside.suffix, *sorted(IMAGE_SUFFIXES)):
        mask = beside.with_suffix(suffix)
        if mask.is_file():
            return replace(item, mask=mask)
    reason = f"no mask {beside.with_suffix('')}.* for {item.name} in the folder given with --mask"
    return replace(item, failure=Failure("MissingMaskError", reason))


def _load_manifest(config: InputConfig) -> list[Item]:
    if config.mask is not None:
        raise SettingsError("--mask does not go with a manifest; give masks in its column 'mask'")
    folder = config.path.parent
    records, rejected = load_manifest(config.path, on_error="collect")
    if not records and not rejected:
        raise ManifestError(f"{config.path} has no rows")
    refused = {row.row: row for row in rejected}
    remaining = iter(records)
    items = []
    for number in range(1, len(records) + len(rejected) + 1):
        row = refused.get(number)
        if row is None:
            items.append(_from_record(next(remaining), folder))
            continue
        image, category = row.values.get("image"), row.values.get("category")
        items.append(
            Item(
                str(image) if image else f"row-{number}",
                None,
                category=str(category) if category else None,
                failure=Failure("ManifestError", f"row {number}: {row.reason}"),
            )
        )
    return items


def _from_record(record: Record, folder: Path) -> Item:
    try:
        name = record.image.absolute().relative_to(folder.absolute()).as_posix()
    except ValueError:
        name = record.image.name
    return Item(
        name=name,
        image=record.image,
        mask=record.mask,
        mask_means=record.mask_means,
        category=record.category,
        reference=record.reference,
        reference_mask=record.reference_mask,
        seed=record.seed,
        id=record.id,
    )


def _list(suffixes: Iterable[str]) -> str:
    return ", ".join(sorted(suffixes))
