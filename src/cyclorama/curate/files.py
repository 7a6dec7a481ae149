"""Bytes and stamps of images, whether they lie on this machine or at an fsspec address."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

from cyclorama.catalogue.manifest import is_remote, open_remote
from cyclorama.errors import DataError, ManifestError, MissingDependencyError

REMOTE_THREADS = 16
"""Remote files asked for their state at a time."""


def resolve(folder: str, address: str) -> str:
    """``address`` as something that can be opened: paths that are not absolute count from ``folder``."""
    if is_remote(address):
        return address
    if is_remote(folder):
        return address if address.startswith("/") else f"{folder.rstrip('/')}/{address}"
    path = Path(folder, address)
    if "\\" in address and not path.exists():  # written on Windows
        path = Path(folder, address.replace("\\", "/"))
    return str(path)


def read_bytes(address: str, limit: int) -> bytes:
    """The file at ``address``. Raises DataError: not there, not readable, more than ``limit`` bytes."""
    try:
        if is_remote(address):
            with open_remote(address) as stream:
                data = stream.read(limit + 1)
        else:
            with Path(address).open("rb") as stream:
                data = stream.read(limit + 1)
    except (OSError, ValueError, ManifestError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"cannot read {address}: {reason}") from error
    if len(data) > limit:
        raise DataError(f"{address} has more than {limit:,} bytes (reading.file_bytes); raise the limit")
    return data


def read_stamps(addresses: Iterable[str]) -> list[str]:
    """For each address a text that changes when the file may have changed; empty where there is none.

    Local files: size and time of change. Remote ones: whatever their file system tells of them.
    """
    wanted = list(addresses)
    remote = sorted({address for address in wanted if is_remote(address)})
    known: dict[str, str] = {}
    if remote:
        with ThreadPoolExecutor(REMOTE_THREADS) as pool:
            known = dict(zip(remote, pool.map(_read_remote_stamp, remote), strict=True))
    return [known[address] if address in known else _read_local_stamp(address) for address in wanted]


def list_files(address: str) -> Iterator[str]:
    """Paths of all files below the folder ``address``, relative to it, in the order of their names."""
    if not is_remote(address):
        root = Path(address)
        for parent, folders, files in os.walk(root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            below = Path(parent).relative_to(root)
            yield from ((below / name).as_posix() for name in sorted(files) if not name.startswith("."))
        return
    system, start = open_system(address)
    for path in sorted(system.find(start)):
        name = str(path).removeprefix(start).lstrip("/")
        if not any(part.startswith(".") for part in PurePosixPath(name).parts):
            yield name


def is_folder(address: str) -> bool:
    """Whether there is a folder at ``address``."""
    if not is_remote(address):
        return Path(address).is_dir()
    system, start = open_system(address)
    return bool(system.isdir(start))


def open_system(address: str) -> tuple[Any, str]:
    """(file system, path in it) of a remote ``address``. Raises MissingDependencyError, ManifestError."""
    import fsspec  # type: ignore[import-untyped]

    try:
        system, path = fsspec.core.url_to_fs(address)
    except ImportError as error:
        raise MissingDependencyError(f"reading {address} needs a further package: {error}") from error
    except (OSError, ValueError) as error:
        raise ManifestError(f"cannot read {address}: {error}") from error
    return system, str(path)


def _read_local_stamp(address: str) -> str:
    try:
        found = os.stat(address)  # noqa: PTH116 - a Path per file costs more than the call itself
    except (OSError, ValueError):
        return ""
    return f"{found.st_size}:{found.st_mtime_ns}"


def _read_remote_stamp(address: str) -> str:
    try:
        system, path = open_system(address)
        return str(system.ukey(path))
    except (OSError, ValueError, NotImplementedError):
        return ""
