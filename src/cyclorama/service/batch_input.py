"""What comes in for a batch: a table from others, and a zip of images. Read in a child process.

Files lie below one folder, by the names that the table's cells have for them; no name leads out of it.
"""

from __future__ import annotations

import re
import shutil
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cyclorama.data.columns import match_columns
from cyclorama.data.opening import Options, named_errors, open_source
from cyclorama.errors import BodyTooLargeError, ManifestError, RequestError
from cyclorama.service.photos import TABLE_TYPES, hide_paths
from cyclorama.service.settings import FILE_BYTES

MAX_ROWS = 100_000
"""Records of a table."""
SAMPLE = 20
UNPACKED_BYTES = 2 * 2**30
"""Of all files of a zip."""
UNPACKED_FILES = 20_000
NAME_BYTES = 1000
_SHOWN = 120  # characters of a cell
_COLUMNS = 200
_ASSET = re.compile(r"\bas_[0-9a-f]{24}\b")


def look_at_table(path: Path, encoding: str | None = None) -> tuple[dict[str, Any], list[str]]:
    """The table as :class:`cyclorama.service.batch_schemas.BatchTable` states it, and the assets its cells
    name.

    Raises ManifestError (no table, or over MAX_ROWS), MissingDependencyError (Excel).
    """
    with hide_paths({path: path.name, path.absolute(): path.name}), named_errors(path.name):
        source = open_source(str(path), Options(check_files=False, encoding=encoding))
        if source.kind not in TABLE_TYPES:
            raise ManifestError(f"{path.name} is no table; give CSV, JSON lines, Parquet, Excel or a feed")
        names, count = dict.fromkeys(source.columns or ()), 0
        sample: list[dict[str, str]] = []
        assets: dict[str, None] = {}
        for _, cells, _ in source.rows(lambda column: True):
            count += 1
            if count > MAX_ROWS:
                raise ManifestError(f"{path.name} has more than {MAX_ROWS:,} rows; split it")
            if source.columns is None:
                names.update(dict.fromkeys(cells))
            if len(sample) < SAMPLE:
                sample.append({name: _show(cell) for name, cell in cells.items() if _show(cell)})
            for cell in cells.values():
                if isinstance(cell, str) and "as_" in cell:
                    assets.update(dict.fromkeys(_ASSET.findall(cell)))
        if not count:
            raise ManifestError(f"{path.name} has no rows; give one with images")
        if len(names) > _COLUMNS:
            raise ManifestError(f"{path.name} has {len(names)} columns, the limit is {_COLUMNS}")
        found = match_columns(list(names), {}, (), path.name)
    fields = {"image": list(found.images)} | {name: list(columns) for name, columns in found.fields.items()}
    stated = {
        "name": path.name,
        "kind": source.kind,
        "rows": count,
        "columns": list(names),
        "fields": {name: columns for name, columns in fields.items() if columns},
        "sample": sample,
        "notes": list(source.notes),
    }
    return stated, list(assets)


def _show(cell: Any) -> str:
    if cell is None or isinstance(cell, bytes | bytearray):
        return "" if cell is None else f"({len(cell):,} bytes)"
    text = str(cell) if not isinstance(cell, Mapping) else f"({', '.join(map(str, cell))})"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def unpack_images(archive: Path, folder: Path, kept: str | None = None) -> int:
    """Write the files of a zip below ``folder`` and say how many; the file called ``kept`` stays as it is.

    Raises RequestError (no zip, a name that leads elsewhere, encrypted, damaged), BodyTooLargeError.
    """
    count = size = 0
    try:
        with zipfile.ZipFile(archive) as source:
            for member in source.infolist():
                name = clean_path(member.filename)
                if member.is_dir() or name == kept or name.startswith("__MACOSX/"):
                    continue
                count, size = count + 1, size + member.file_size
                if count > UNPACKED_FILES or size > UNPACKED_BYTES or member.file_size > FILE_BYTES:
                    raise BodyTooLargeError(
                        f"a zip may hold {UNPACKED_FILES:,} files of {FILE_BYTES:,} bytes each and "
                        f"{UNPACKED_BYTES:,} together; {name} goes over it. Send several zips"
                    )
                target = place_file(folder, name)
                with source.open(member) as data, target.open("wb") as copy:
                    shutil.copyfileobj(data, copy, 2**20)  # zipfile gives no more than the stated size
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise RequestError(
            f"the zip cannot be unpacked: {error}; save it anew, unencrypted", "images"
        ) from error
    return count


def clean_path(name: str) -> str:
    """``name`` as a path below a folder. Raises RequestError (it leads elsewhere, or can be no file's).

    >>> clean_path("shoes\\\\./01.png")
    'shoes/01.png'
    """
    path = name.replace("\\", "/")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    odd = (
        path.startswith(("/", "~")) or re.match("[A-Za-z]:", path) or ".." in parts or not name.isprintable()
    )
    if (
        odd
        or not parts
        or len(path.encode("utf-8", "replace")) > NAME_BYTES
        or max(map(_measure, parts)) > 255
    ):
        raise RequestError(
            f"{name!r:.200} is no name of a file that comes with a table; give one like a/b.png"
        )
    return "/".join(parts)


def _measure(part: str) -> int:
    return len(part.encode("utf-8", "replace"))


def place_file(folder: Path, name: str) -> Path:
    """Where the file called ``name`` goes, its folders made. Raises RequestError (one of them is a file)."""
    target = folder / name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
    except (FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
        raise RequestError(f"{name!r:.200} is both a file and a folder; rename one of them") from error
    return target
