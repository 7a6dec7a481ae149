"""How do results reach the disk whole, how is an output folder held against a second run, what is a path?"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from cyclorama.errors import OutputError

LOCK_NAME = "lock"
POLL_SECONDS = 0.05
"""How often a lock that another process holds is tried again."""


_UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ESPIPE, errno.EXDEV}
"""What disks answer that have no such operation."""


_FULL = (errno.ENOSPC, errno.EDQUOT)


def refuse(path: Path, error: OSError, action: str = "") -> OutputError:
    """The OutputError for a failed write: what failed, why, and how to go on.

    ``action`` names what the disk could not do (``append to a file``), where that is known.
    """
    reason = error.strerror or str(error)
    if action or error.errno in _UNSUPPORTED:
        what = action or "append to, rename or sync files as asked"
        return OutputError(
            f"cannot write {path}: this disk cannot {what} ({reason}), as is usual for mounts of object "
            f"stores. Choose an output folder on an ordinary disk, and copy it when the run is done"
        )
    return OutputError(
        f"cannot write {path}: {reason}. What is finished is kept; when there is room and permission, "
        f"run the same command again to go on"
    )


def is_full(error: BaseException) -> bool:
    """Whether ``error`` was raised because the disk is full."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in _FULL


def expand_path(text: str) -> str:
    """``~`` and ``file://`` as plain paths; all else as it is."""
    if text.startswith("~"):
        return os.path.expanduser(text)  # noqa: PTH111 - also for a million rows
    if "://" in text and text[:7].lower() == "file://":
        found = urlsplit(text)
        return unquote(found.path if found.netloc in ("", "localhost") else f"//{found.netloc}{found.path}")
    return text


def write_atomic(path: Path, data: bytes, durable: bool = True, shared: bool = False) -> None:
    """Put ``data`` at ``path``, its folder made if need be, in one step: a reader sees the old file or the
    whole new one.

    ``durable`` also waits until the disk has it, so that it outlives a power cut. ``shared`` lets several
    processes or threads write ``path`` at once; what a kill leaves half-written is then not written over by
    the next run. Raises OutputError; nothing half-written stays behind.
    """
    tag = f".{os.urandom(8).hex()}" if shared else ""
    temporary = path.with_name(f".{path.name}{tag}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            if durable:
                file.flush()
                _sync(file)
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise refuse(path, error) from error


def append_json(file: IO[bytes], path: Path, values: Mapping[str, Any]) -> None:
    """Append ``values`` as a line of JSON to ``file``, unbuffered and opened at ``path``, onto the disk.

    Raises OutputError if the disk refuses; then nothing of the line stays.
    """
    line = json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n"
    data = line.encode("utf-8", errors="backslashreplace")
    start = file.seek(0, os.SEEK_END)
    try:
        if file.write(data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        _sync(file)
    except OSError as error:
        with suppress(OSError):
            file.truncate(start)
        raise refuse(path, error) from error


def _sync(file: IO[bytes]) -> None:
    """Wait until the disk has ``file``; a disk that knows no such thing keeps it as it does."""
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def lock_file(
    file: IO[bytes], path: Path, patience: float = 0.0, noted: Callable[[str], None] = lambda text: None
) -> bool:
    """Lock ``file``, opened at ``path``, until it is closed; False if this system or disk has no locks.

    ``noted`` is told if another holder is waited for. Raises OutputError if that one keeps it for
    ``patience`` seconds.
    """
    try:
        import fcntl
    except ImportError:
        return False
    deadline, waiting = time.monotonic() + patience, False
    while True:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES):
                return False
            if time.monotonic() >= deadline:
                raise OutputError(
                    f"another run is writing to {path.parent}; wait for it, or choose another folder"
                ) from error
            if not waiting:
                noted(f"another run is writing to {path.parent}; waiting for it")
            waiting = True
            time.sleep(POLL_SECONDS)


@contextmanager
def open_locked(
    path: Path, patience: float = 0.0, noted: Callable[[str], None] = lambda text: None
) -> Iterator[IO[bytes]]:
    """The file at ``path``, created with its folder if need be: locked, unbuffered, to read and append to.

    ``noted`` is told if the disk has no locks, and if another holder is waited for. Raises OutputError (disk;
    another holder for ``patience`` seconds).
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+b", buffering=0)
    except OSError as error:
        action = "append to a file" if path.exists() and os.access(path, os.W_OK) else ""
        raise refuse(path, error, action) from error
    with file:
        if not lock_file(file, path, patience, noted):
            noted(f"the disk of {path.parent} has no file locks; make sure that no second run writes to it")
        yield file


@contextmanager
def hold_folder(folder: Path, noted: Callable[[str], None] = lambda text: None) -> Iterator[None]:
    """Hold the output ``folder``, made if need be, against a second run, and try what a run needs of a disk.

    ``noted`` is told if the disk has no locks. Raises OutputError (a file instead of a folder, read-only,
    another run at work in it, a disk that can neither append nor rename).
    """
    check_output_folder(folder)
    with open_locked(folder / LOCK_NAME, noted=noted):
        _try_disk(folder)
        yield


def _try_disk(folder: Path) -> None:
    first, second = folder / f".{LOCK_NAME}.try", folder / f".{LOCK_NAME}.tried"
    action = ""
    try:
        first.write_bytes(b"a")
        action = "append to a file"
        with first.open("a+b", buffering=0) as file:
            file.write(b"b")
        action = "rename a file"
        first.replace(second)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise refuse(folder, error, "" if full else action) from error
    finally:
        for path in (first, second):
            with suppress(OSError):
                path.unlink()


def check_output_folder(folder: Path) -> None:
    """Raises OutputError if a file stands where the output ``folder`` should be."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"output {folder} is a file; give a folder with --out")


OUTPUT_FOLDERS = ("images", "layers", "webdataset", "journal", "styles", "posters", "plans")
"""Folders that runs fill below their output folder."""
RECORD = "journal/run.json"
"""What a run of images or posters says of itself, ``source``, its input's address, included."""
RESULTS = ("results.jsonl", "results.parquet", "plans.jsonl", "remote.json", "index.html")
"""Files that runs write into their output folder."""


class Written:
    """What a run writes below its output folder: ``names`` there, and RESULTS. No input may lie there."""

    def __init__(self, out: Path, names: Iterable[str]) -> None:
        places = [out / name for name in (*names, *RESULTS)]
        self._places = {os.path.realpath(place): place for place in places}
        self._folders: dict[str, str] = {}

    def find(self, address: str) -> Path | None:
        """The place that ``address``, a path or another address, is or lies in, links followed."""
        path = expand_path(address).rpartition("::")[0] or expand_path(address)  # of a tar's member
        if "://" in path:
            return None
        folder, name = os.path.split(path)
        if folder not in self._folders:  # a million rows lie in few folders
            self._folders[folder] = os.path.realpath(folder)
        real = os.path.realpath(path) if os.path.islink(path) else os.path.join(self._folders[folder], name)  # noqa: PTH114, PTH118
        return next((self._places[p] for p in self._places if f"{real}/".startswith(f"{p}/")), None)

    def find_fault(self, files: Mapping[str, Any]) -> str:
        """What is wrong with a row of ``files``, address by column, if one lies there; empty if none does."""
        for column, address in files.items():
            if type(address) is str and (place := self.find(address)):
                return f"its {column} lies where this run writes, in {place.name}; choose another --out"
        return ""

    def check(self, address: str) -> None:
        """Raise OutputError if an input at ``address`` lies there."""
        if place := self.find(address):
            raise OutputError(
                f"{address} lies where this run writes, in {place}; give another folder with --out"
            )
