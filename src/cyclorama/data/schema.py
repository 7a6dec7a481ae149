"""One row of any data set: the record, its columns, and the checks on a row.

``Record`` is what manifests, the BG60k reader and the training sources share. ``parse_row`` turns the
cells of one row into a record or says, in words, why it cannot.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from cyclorama.errors import ManifestError
from cyclorama.seeding import MAX_SEED

MaskMeans = Literal["product", "background", "alpha"]
"""What a mask file marks: bright = product, bright = background, or its alpha channel (opaque = product)."""

COLUMNS = (
    "id",
    "image",
    "mask",
    "mask_means",
    "category",
    "brand",
    "product_id",
    "reference",
    "reference_mask",
    "seed",
    "split",
    "licence",
)
"""Columns with a meaning of their own, in the order ``save_manifest`` writes them; all others are extra."""

COLUMN_ALIASES = {"license": "licence"}
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif"})


@dataclass(frozen=True)
class Record:
    """One image of a data set or of a batch: where its files are and what is known about them.

    ``mask_means`` None means that nobody said; readers then take a used alpha channel, else bright = product.
    ``extra`` holds unknown columns unchanged, and a mask cell that is a note instead of a path.
    """

    id: str
    image: Path
    mask: Path | None = None
    mask_means: MaskMeans | None = None
    category: str | None = None
    brand: str | None = None
    product_id: str | None = None
    reference: Path | None = None
    reference_mask: Path | None = None
    seed: int | None = None
    split: str | None = None
    licence: str | None = None
    extra: dict[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class RejectedRow:
    """A row that did not become a record: its number (from 1, header not counted), values and reason."""

    row: int
    reason: str
    values: dict[str, Any] = field(default_factory=dict, hash=False)


def check_columns(found: Sequence[str], required: Sequence[str], where: str) -> None:
    """Nothing, if every ``required`` column is there.

    Raises ManifestError naming the missing column and all columns found.
    """
    missing = [name for name in required if name not in found]
    if missing:
        listed = ", ".join(repr(name) for name in found) or "none"
        plural = "s" if len(missing) > 1 else ""
        raise ManifestError(
            f"{where}: missing column{plural} {', '.join(repr(name) for name in missing)}; "
            f"columns found: {listed}. Rename a column, or add the missing one."
        )


def normalise_column(name: str) -> str:
    """The column's own name: trimmed; known names lower-cased and their spellings unified."""
    trimmed = name.strip().lstrip("\ufeff")
    lowered = trimmed.lower().replace(" ", "_").replace("-", "_")
    lowered = COLUMN_ALIASES.get(lowered, lowered)
    return lowered if lowered in COLUMNS else trimmed


def parse_row(values: Mapping[str, Any], folder: Path, required: Sequence[str] = ("image",)) -> Record:
    """The record of one row; relative paths count from ``folder``; ``id`` may still be empty.

    ``mask`` may be a path or a note: a cell that names no existing file and has no image suffix
    ("white background, no alpha") is kept in ``extra["mask"]`` and the record has no mask file.

    Raises ManifestError (without the row's number) for an empty required cell, a file that does not
    exist, a bad seed or a bad ``mask_means``.
    """
    cells = {name: _clean(value) for name, value in values.items()}
    for name in required:
        if cells.get(name) is None:
            raise ManifestError(f"column {name!r} is empty")
    extra = {name: value for name, value in cells.items() if name not in COLUMNS and value is not None}
    image = _parse_path(cells.get("image"), folder, "image")
    if image is None:
        raise ManifestError("column 'image' is empty")
    mask, note = _parse_mask(cells.get("mask"), folder)
    if note is not None:
        extra["mask"] = note
    return Record(
        id=_parse_text(cells.get("id"), "id") or "",
        image=image,
        mask=mask,
        mask_means=_parse_mask_means(cells.get("mask_means")),
        category=_parse_text(cells.get("category"), "category"),
        brand=_parse_text(cells.get("brand"), "brand"),
        product_id=_parse_text(cells.get("product_id"), "product_id"),
        reference=_parse_path(cells.get("reference"), folder, "reference"),
        reference_mask=_parse_path(cells.get("reference_mask"), folder, "reference_mask"),
        seed=_parse_seed(cells.get("seed")),
        split=_parse_text(cells.get("split"), "split"),
        licence=_parse_text(cells.get("licence"), "licence"),
        extra=extra,
    )


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        value = value.strip()
        return value or None
    if isinstance(value, float) and value != value:  # Parquet files written from data frames hold NaN
        return None
    return value


def _parse_text(value: Any, column: str) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise ManifestError(f"column {column!r} must be text, got {value!r}")


def _find_file(value: Any, folder: Path, column: str) -> tuple[Path, bool]:
    if not isinstance(value, str):
        raise ManifestError(f"column {column!r} must be a file path, got {value!r}")
    if "\0" in value:
        raise ManifestError(f"column {column!r} holds a NUL character: {value!r}")
    path = folder / value
    mode = _read_mode(path, column)
    if mode is None and "\\" in value:  # written on Windows
        path = folder / value.replace("\\", "/")
        mode = _read_mode(path, column)
    if mode is not None and stat.S_ISDIR(mode):
        raise ManifestError(f"column {column!r}: {value!r} is a folder, not a file")
    return path, mode is not None


def _read_mode(path: Path, column: str) -> int | None:
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:  # no permission, or a name longer than the file system allows
        raise ManifestError(f"column {column!r}: {path.name[:80]!r}: {error.strerror}") from error


def _parse_path(value: Any, folder: Path, column: str) -> Path | None:
    if value is None:
        return None
    path, exists = _find_file(value, folder, column)
    if not exists:
        hint = "; download it first" if "://" in str(value) else " (relative paths count from the manifest)"
        raise ManifestError(f"column {column!r}: no such file {value!r}{hint}")
    return path


def _parse_mask(value: Any, folder: Path) -> tuple[Path | None, str | None]:
    if value is None:
        return None, None
    if isinstance(value, str) and Path(value).suffix.lower() not in IMAGE_SUFFIXES:
        try:
            path, exists = _find_file(value, folder, "mask")
        except ManifestError:
            return None, value
        return (path, None) if exists else (None, value)
    return _parse_path(value, folder, "mask"), None


def _parse_mask_means(value: Any) -> MaskMeans | None:
    if value is None:
        return None
    for option in get_args(MaskMeans):
        if isinstance(value, str) and value.lower() == option:
            return option  # type: ignore[no-any-return]
    allowed = ", ".join(repr(option) for option in get_args(MaskMeans))
    raise ManifestError(f"column 'mask_means': got {value!r}, allowed: {allowed}")


def _parse_seed(value: Any) -> int | None:
    if value is None:
        return None
    seed: int | None = None
    if isinstance(value, int) and not isinstance(value, bool):
        seed = value
    elif isinstance(value, float) and value.is_integer():
        seed = int(value)
    elif isinstance(value, str):
        try:
            seed = int(value)
        except ValueError:
            seed = None
    if seed is None or not 0 <= seed <= MAX_SEED:
        raise ManifestError(f"column 'seed': got {value!r}, need a whole number from 0 to 2**63 - 1")
    return seed
