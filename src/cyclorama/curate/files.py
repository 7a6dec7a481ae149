"""Has a file of the input changed since it was read? Its stamp tells, here or at an fsspec address."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from cyclorama.data.addresses import is_remote, is_url, open_system
from cyclorama.errors import ManifestError

REMOTE_THREADS = 16
"""Remote files asked for their state at a time."""


def read_stamps(addresses: Iterable[str]) -> list[str]:
    """For each address a text that changes when the file may have changed; empty where there is none.

    Local files: size and time of change. Remote ones: whatever their file system tells of them. Files of web
    servers are read once and have no stamp.
    """
    wanted = list(addresses)
    remote = sorted({address for address in wanted if is_remote(address)})
    known: dict[str, str] = {}
    if remote:
        with ThreadPoolExecutor(REMOTE_THREADS) as pool:
            known = dict(zip(remote, pool.map(_read_remote_stamp, remote), strict=True))
    return [known[address] if address in known else _read_local_stamp(address) for address in wanted]


def _read_local_stamp(address: str) -> str:
    try:
        found = os.stat(address)  # noqa: PTH116 - a Path per file costs more than the call itself
    except (OSError, ValueError):
        return ""
    return f"{found.st_size}:{found.st_mtime_ns}"


def _read_remote_stamp(address: str) -> str:
    if is_url(address):
        return ""
    try:
        system, path = open_system(address)
        return str(system.ukey(path))
    except (OSError, ValueError, NotImplementedError, ManifestError):
        return ""
