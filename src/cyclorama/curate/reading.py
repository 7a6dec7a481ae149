"""From an input of any kind to rows: a manifest, a folder, a published set.

Every line of a manifest and every image of a folder becomes one row, also if it cannot be used; the
reason stands in the row.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from cyclorama.catalogue.manifest import is_remote, open_remote
from cyclorama.curate.columns import build_record, match_columns
from cyclorama.curate.config import ReadingSettings
from cyclorama.curate.files import is_folder, resolve
from cyclorama.curate.folders import read_folder
from cyclorama.curate.records import Record
from cyclorama.data.tables import SUFFIXES, Table, load_table
from cyclorama.errors import ManifestError

PITA_COLUMNS = {"image": "img_path", "mask": "mask_path"}
"""Columns of the PITA set (arXiv 2501.14316): also img_wh, prompts, layouts and allow_occlude, kept as
extra."""
PUBLISHED = ("bg60k", "bg1k", "bgpair")


@dataclass(frozen=True)
class InputRow:
    """One row of the input, and why it cannot be used, if so."""

    record: Record
    problem: str = ""


@dataclass(frozen=True)
class Input:
    """All rows of an input and what was found out about it."""

    kind: str
    rows: list[InputRow]
    notes: tuple[str, ...] = ()
    """What was detected, for the report."""


def read_input(source: str, settings: ReadingSettings) -> Input:
    """The rows of ``source``, a manifest file or a folder, here or at an fsspec address.

    Keys are unique: a key that comes again gets a number. Raises ManifestError (nothing there, no column
    for the image, no rows), DataError (a published set that cannot be made out).
    """
    kind = detect_kind(source) if settings.kind == "auto" else settings.kind
    if kind in PUBLISHED:
        found = _read_published(source, kind, settings)
    elif kind == "folder":
        rows = [
            InputRow(build_record(values, match_columns(values, settings.columns, source)))
            for values in read_folder(source, settings.folder_category)
        ]
        found = Input(kind, rows)
    else:
        found = _read_manifest(source, kind, settings)
    if not found.rows:
        raise ManifestError(f"{source} holds no images; give a folder of images or a manifest")
    return replace(found, rows=_complete(found.rows, settings))


def detect_kind(source: str) -> str:
    """Which kind of input ``source`` is. Raises ManifestError: nothing there, or no kind that is known."""
    if is_folder(source):
        if not is_remote(source):
            for name in PUBLISHED:
                if (Path(source) / f"{name}_info.txt").is_file():
                    return name
        return "folder"
    name = PurePosixPath(source).name if is_remote(source) else Path(source).name
    if not is_remote(source) and not Path(source).exists():
        raise ManifestError(f"no such file or folder: {source}")
    if Path(name).suffix.lower() in SUFFIXES:
        return "manifest"
    raise ManifestError(f"{source} is neither a folder nor a manifest ({', '.join(SUFFIXES)})")


def _read_manifest(source: str, kind: str, settings: ReadingSettings) -> Input:
    table = _load_table(source)
    folder = source.rpartition("/")[0] if is_remote(source) else str(Path(source).absolute().parent)
    given = dict(settings.columns)
    if kind == "pita" or {"img_path", "mask_path", "graphic_layout"} <= set(table.columns):
        kind, given = "pita", PITA_COLUMNS | given
    columns = match_columns(table.columns, given, source)
    rows = []
    for raw in table.rows:
        key = f"row-{raw.number}"
        if raw.problem is not None:
            rows.append(InputRow(Record(key, ""), f"row {raw.number}: {raw.problem}"))
            continue
        try:
            record = build_record(raw.values, columns)
        except ManifestError as error:
            rows.append(InputRow(Record(key, ""), f"row {raw.number}: {error}"))
            continue
        mask = None if record.mask is None else resolve(folder, record.mask)
        extra = dict(record.extra)
        if mask is not None and not Path(mask).suffix:  # a note ("white background"), and no file
            extra["mask"], mask = record.mask or "", None
        rows.append(
            InputRow(
                replace(
                    record,
                    key=record.key or record.image,
                    image=resolve(folder, record.image),
                    mask=mask,
                    extra=extra,
                )
            )
        )
    taken = ", ".join(f"{name} from {column!r}" for name, column in columns.items())
    return Input(kind, rows, (f"columns: {taken}",))


def _load_table(source: str) -> Table:
    if not is_remote(source):
        return load_table(Path(source))
    with tempfile.TemporaryDirectory() as folder, open_remote(source) as stream:
        copy = Path(folder) / PurePosixPath(source).name
        copy.write_bytes(stream.read())
        return load_table(copy)


def _read_published(source: str, kind: str, settings: ReadingSettings) -> Input:
    """The published sets: BG60k with BG1k beside it if both are there, or BG-pair's images."""
    from cyclorama.data.bg60k import Bg60kSettings, load_bg60k

    if is_remote(source):
        raise ManifestError(f"{source}: the published sets are read from folders of this machine; copy it")
    wanted = [kind]
    if settings.kind == "auto":
        wanted = [name for name in ("bg60k", "bg1k") if (Path(source) / f"{name}_info.txt").is_file()] or [
            kind
        ]
    rows: list[InputRow] = []
    notes: list[str] = []
    for name in wanted:
        subset = name if name in ("bg60k", "bg1k") else "bgpair"
        found = load_bg60k(source, subset, Bg60kSettings(mask_means=settings.mask_means))  # type: ignore[arg-type]
        notes.append(found.detection.describe())
        language = {"chinese": "zh"}.get(found.detection.category_script.value)
        for record in found.records:
            extra = {"subset": name}
            if record.mask_means is not None:
                extra["mask_means"] = record.mask_means
            if record.reference is not None:
                extra["reference"] = str(record.reference)
            rows.append(
                InputRow(
                    Record(
                        key=record.id,
                        image=str(record.image),
                        product_id=record.product_id,
                        category=record.category,
                        mask=None if record.mask is None else str(record.mask),
                        licence=record.licence,
                        language=language,
                        extra=extra,
                    )
                )
            )
        for line in found.rejected:
            row = Record(f"{name}/line-{line.row}", "", extra={"subset": name, **line.values})
            rows.append(InputRow(row, f"{name}_info.txt, line {line.row}: {line.reason}"))
    return Input(kind, rows, tuple(notes))


def _complete(rows: Iterable[InputRow], settings: ReadingSettings) -> list[InputRow]:
    """Unique keys, and the recipe's word where a row has none."""
    taken: dict[str, int] = {}
    names = set()
    done = []
    for row in rows:
        record, key = row.record, row.record.key
        while key in names:
            taken[record.key] = taken.get(record.key, 1) + 1
            key = f"{record.key}-{taken[record.key]}"
        names.add(key)
        extra = dict(record.extra)
        if settings.mask_means is not None:
            extra.setdefault("mask_means", settings.mask_means)
        done.append(
            replace(
                row,
                record=replace(
                    record,
                    key=key,
                    licence=record.licence or settings.licence,
                    language=record.language or settings.language,
                    extra=extra,
                ),
            )
        )
    return done
