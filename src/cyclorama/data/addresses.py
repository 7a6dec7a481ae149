"""What lies at an address: a path of this machine, ``file://``, any fsspec address, a web address, a member
of a tar, or the bytes themselves.

A member of a tar is written ``shard.tar::OFFSET+SIZE``, so that reading it is one seek.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote

from cyclorama.data.fetch import UrlPolicy, fetch
from cyclorama.errors import CycloramaError, DataError, ManifestError, MissingDependencyError
from cyclorama.files import expand_path

Address = str | bytes
_MEMBER = re.compile(r"(.+)::(\d+)\+(\d+)", re.DOTALL)
_WEB = re.compile(r"(^|::|\+)(https?|ftp)://", re.IGNORECASE)


def is_remote(address: str) -> bool:
    """Whether ``address`` is none of this machine's paths."""
    return "://" in address


def is_url(address: str) -> bool:
    """Whether reading ``address`` would ask a web server, also as a part of a chained fsspec address."""
    return is_remote(address) and _WEB.search(address) is not None


def normalise_address(address: str) -> str:
    """``~`` and ``file://`` as plain paths; ``//host/path`` as an https address."""
    if address.startswith("//") and re.match(r"//[\w-]+(\.[\w-]+)+/", address):
        return f"https:{address}"
    return expand_path(address)


def resolve_address(folder: str, cell: str) -> str:
    """``cell`` as an address that can be opened; relative ones count from ``folder``."""
    address = normalise_address(cell)
    if is_remote(address) or not folder or address.startswith("/"):
        return address
    return f"{folder.rstrip('/')}/{address}"


def get_folder(address: str) -> str:
    """The folder that relative paths in the table at ``address`` count from."""
    if is_remote(address):
        return address.split("?")[0].rpartition("/")[0]
    return str(Path(address).absolute().parent)


def find_file(folder: str, cell: str, column: str, check: bool = True) -> str:
    """The address of a cell's file; with ``check``, after a look whether a local one is there.

    Raises ManifestError: no such file, a folder, a name that cannot be one.
    """
    if "\0" in cell:
        raise ManifestError(f"column {column!r} holds a NUL character: {cell!r}")
    address = resolve_address(folder, cell)
    windows = "\\" in cell
    if is_remote(address) or not (check or windows) or _MEMBER.fullmatch(address):
        return address
    mode = _read_mode(address, column)
    for other in (cell.replace("\\", "/"), unquote(cell), cell.partition("?")[0]):  # as written elsewhere
        if mode is None and other != cell:
            address = resolve_address(folder, other)
            mode = _read_mode(address, column)
    if mode is None and check:
        raise ManifestError(
            f"column {column!r}: no such file {cell!r} (relative paths count from the table's folder)"
        )
    if mode is not None and stat.S_ISDIR(mode):
        raise ManifestError(f"column {column!r}: {cell!r} is a folder, not a file")
    return address if mode is not None else resolve_address(folder, cell)


def check_inside(folder: str, cell: str, column: str) -> None:
    """Raise ManifestError unless a cell's file lies below ``folder``, in any spelling, or on the web."""
    for spelled in (cell, cell.replace("\\", "/"), unquote(cell)):
        address = resolve_address(folder, spelled)
        inside = address.startswith(f"{folder.rstrip('/')}/") and ".." not in re.split(r"[/\\]", address)
        if not (is_url(address) or (inside and not is_remote(address))):
            raise ManifestError(
                f"column {column!r}: {cell!r:.200} is outside the table's folder; name a file below it"
            )


def _read_mode(path: str, column: str) -> int | None:
    try:
        return os.stat(path).st_mode  # noqa: PTH116 - a million times
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:  # no permission, or a name longer than the file system allows
        reason = getattr(error, "strerror", None) or error
        raise ManifestError(f"column {column!r}: {path[-80:]!r}: {reason}") from error


def open_file(address: Address, urls: UrlPolicy | None = None) -> BinaryIO:
    """A seekable binary stream of what lies at ``address``; web addresses only with ``urls``.

    Raises DataError (not there, not readable, cut off), FetchError (web address), MissingDependencyError.
    """
    if isinstance(address, bytes):
        return io.BytesIO(address)
    address = normalise_address(address)
    if is_url(address):
        return io.BytesIO(fetch(address, urls))
    member = _MEMBER.fullmatch(address)
    try:
        if member is not None:
            with open_file(member[1]) as shard:
                shard.seek(int(member[2]))
                data = shard.read(int(member[3]))
            if len(data) == int(member[3]):
                return io.BytesIO(data)
            raise DataError(
                f"{member[1]} is cut off: {len(data)} of {member[3]} bytes at {member[2]}; write it anew"
            )
        if not is_remote(address):
            return Path(address).open("rb")
        system, path = open_system(address)
        return system.open(path, "rb")  # type: ignore[no-any-return]
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"cannot read {address}: {reason}") from error


def read_bytes(address: Address | Path, limit: int = 2**28, urls: UrlPolicy | None = None) -> bytes:
    """What lies at ``address``. Raises as :func:`open_file`, and DataError above ``limit`` bytes."""
    with open_file(str(address) if isinstance(address, Path) else address, urls) as stream:
        try:
            data = stream.read(limit + 1)
        except OSError as error:
            raise DataError(f"cannot read {address!r:.200}: {error.strerror or error}") from error
    if len(data) > limit:
        raise DataError(f"{address!r:.200} has more than {limit:,} bytes; raise the limit")
    return data


def read_end(address: Address | Path, count: int = 4096) -> tuple[int, bytes]:
    """(bytes, the last ``count`` of them) of what lies at ``address``, a member of a tar included.

    Raises DataError.
    """
    if isinstance(address, bytes):
        return len(address), address[-count:]
    member = _MEMBER.fullmatch(str(address))
    with open_file(member[1] if member else str(address)) as stream:
        try:
            size = int(member[3]) if member else stream.seek(0, io.SEEK_END)
            stream.seek((int(member[2]) if member else 0) + max(0, size - count))
            return size, stream.read(min(size, count))
        except OSError as error:
            raise DataError(f"cannot read {address!s:.200}: {error.strerror or error}") from error


def read_stamp(address: Address) -> str:
    """A text that changes when the file may have changed: size and time, or what its store tells of it.

    Empty where there is no file.
    """
    if isinstance(address, bytes):
        return hashlib.sha256(address).hexdigest()
    member = _MEMBER.fullmatch(address)
    path = member[1] if member is not None else address
    try:
        if is_url(path):
            return ""
        if is_remote(path):
            system, inside = open_system(path)
            return str(system.ukey(inside))
        found = os.stat(path)  # noqa: PTH116 - a million times
        return f"{found.st_size}:{found.st_mtime_ns}" if stat.S_ISREG(found.st_mode) else ""
    except (OSError, ValueError, NotImplementedError, CycloramaError):
        return ""


def open_system(address: str) -> tuple[Any, str]:
    """(file system, path in it) of an fsspec ``address``. Raises MissingDependencyError, ManifestError."""
    import fsspec  # type: ignore[import-untyped]

    try:
        system, path = fsspec.core.url_to_fs(address)
    except ImportError as error:
        raise MissingDependencyError(f"reading {address} needs a further package: {error}") from error
    except (OSError, ValueError) as error:
        raise ManifestError(f"cannot read {address}: {error}") from error
    return system, str(path)


def is_folder(address: str) -> bool:
    """Whether there is a folder at ``address``."""
    if not is_remote(address):
        return Path(address).is_dir()
    if is_url(address):
        return False
    system, start = open_system(address)
    return bool(system.isdir(start))
