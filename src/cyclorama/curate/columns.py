"""Which column of a shop's table is which field of a record?

Shops export what their systems call it: ``goods_id``, ``ctr_clicks``, ``img_path``. Names are compared
without case, spaces, dashes and underscores; the recipe can name columns outright.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cyclorama.curate.records import Record
from cyclorama.errors import ManifestError

FIELDS = (
    "key",
    "image",
    "product_id",
    "category",
    "mask",
    "brand",
    "impressions",
    "clicks",
    "licence",
    "language",
)
"""The fields of a record that columns can fill, all but ``extra``."""
KNOWN: dict[str, tuple[str, ...]] = {
    "key": ("key", "id", "imageid", "picid", "rowid"),
    "image": (
        "image",
        "imagepath",
        "imgpath",
        "path",
        "file",
        "filename",
        "imageurl",
        "imgurl",
        "url",
        "img",
    ),
    "product_id": ("productid", "product", "sku", "skuid", "itemid", "goodsid", "spuid", "article", "asin"),
    "category": ("category", "categoryname", "cate", "catename", "class", "label", "producttype"),
    "mask": ("mask", "maskpath", "maskfile", "productmask"),
    "brand": ("brand", "brandname", "manufacturer"),
    "impressions": ("impressions", "impression", "views", "shows", "exposures", "exposure", "pv"),
    "clicks": ("clicks", "click", "clickcount"),
    "licence": ("licence", "license", "rights", "copyright"),
    "language": ("language", "lang", "locale", "categorylanguage"),
}
"""Spellings that are understood without being told, the first one found in this order wins."""
_NUMBERS = ("impressions", "clicks")


def fold(name: str) -> str:
    """``name`` without case, byte-order mark, spaces, dashes and underscores: how spellings are compared."""
    return "".join(char for char in name.lower() if char not in " -_\ufeff\t")


def match_columns(found: Iterable[str], given: Mapping[str, str], where: str) -> dict[str, str]:
    """Field to column. ``given`` names columns outright and goes before the known spellings.

    Raises ManifestError: no column for the image, a given field or column that does not exist.
    """
    columns = list(found)
    by_fold: dict[str, str] = {}
    for column in columns:
        by_fold.setdefault(fold(column), column)
    chosen: dict[str, str] = {}
    for name, column in given.items():
        if name not in FIELDS:
            raise ManifestError(f"reading.columns names {name!r}, which is no field; {', '.join(FIELDS)}")
        if column not in columns:
            raise ManifestError(
                f"{where}: reading.columns takes {name} from {column!r}, which is not there; columns found: "
                f"{', '.join(map(repr, columns))}"
            )
        chosen[name] = column
    for name, spellings in KNOWN.items():
        if name not in chosen:
            column = next((by_fold[s] for s in spellings if s in by_fold), "")
            if column and column not in chosen.values():
                chosen[name] = column
    if "image" not in chosen:
        listed = ", ".join(map(repr, columns)) or "none"
        raise ManifestError(
            f"{where}: no column for the image; columns found: {listed}. Name it in the recipe: "
            f"reading: {{columns: {{image: …}}}}"
        )
    return chosen


def build_record(values: Mapping[str, Any], columns: Mapping[str, str]) -> Record:
    """The record of one row's cells; ``key`` may still be empty. Cells of other columns become ``extra``.

    Raises ManifestError: no image named, a count that is no whole number from 0.
    """
    cells: dict[str, Any] = {}
    for name, column in columns.items():
        text = _to_text(values.get(column))
        cells[name] = _parse_count(text, column) if name in _NUMBERS else text
    if cells.get("image") is None:
        raise ManifestError(f"column {columns['image']!r} is empty")
    used = set(columns.values())
    extra = {name: text for name in values if name not in used and (text := _to_text(values[name]))}
    cells["key"] = cells.get("key") or ""
    return Record(**cells, extra=extra)


def _to_text(value: Any) -> str | None:
    """Trimmed text; None for an empty cell. Lists and mappings become JSON."""
    if value is None or value != value:  # Parquet files written from data frames hold NaN
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, list | dict | tuple):
        import json

        return json.dumps(value, ensure_ascii=False)
    return str(value).strip().encode("utf-8", "replace").decode() or None


def _parse_count(text: str | None, column: str) -> int | None:
    if text is None:
        return None
    try:
        count = int(text.replace(",", "").replace(" ", ""))
    except ValueError:
        count = -1
    if count < 0:
        raise ManifestError(f"column {column!r}: got {text!r}, need a whole number from 0")
    return count
