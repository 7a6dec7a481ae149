"""How do results reach the disk whole, how is an output folder held against a second run, what is a path?"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from cyclorama.errors import OutputError

LOCK_NAME = "lock"
POLL_SECONDS = 0.05
"""How often a lock that another process holds is tried again."""


def refuse(path: Path, error: OSError) -> OutputError:
    """The OutputError for a failed write: what failed, why, and how to go on."""
    reason = error.strerror or str(error)
    return OutputError(
        f"cannot write {path}: {reason}. What is finished is kept; when there is room and permission, "
        f"run the same command again to go on"
    )


def expand_path(text: str) -> str:
    """``~`` and ``file://`` as plain paths; all else as it is."""
    if text.startswith("~"):
        return os.path.expanduser(text)  # noqa: PTH111 - also for a million rows
    if text[:7].lower() == "file://":
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
                os.fsync(file.fileno())
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
        os.fsync(file.fileno())
    except OSError as error:
        with suppress(OSError):
            file.truncate(start)
        raise refuse(path, error) from error


def lock_file(file: IO[bytes], path: Path, patience: float = 0.0) -> None:
    """Lock ``file``, opened at ``path``, until it is closed.

    Raises OutputError if another holder keeps it for ``patience`` seconds.
    """
    try:
        import fcntl
    except ImportError:  # a system without POSIX locks: two runs at once are the user's to avoid
        return
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if time.monotonic() >= deadline:
                raise OutputError(
                    f"another run is writing to {path.parent}; wait for it, or choose another folder"
                ) from error
            time.sleep(POLL_SECONDS)


@contextmanager
def open_locked(path: Path, patience: float = 0.0) -> Iterator[IO[bytes]]:
    """The file at ``path``, created with its folder if need be: locked, unbuffered, to read and append to.

    Raises OutputError (disk; another holder for ``patience`` seconds).
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+b", buffering=0)
    except OSError as error:
        raise refuse(path, error) from error
    with file:
        lock_file(file, path, patience)
        yield file


@contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Hold the output ``folder``, made if need be, against a second run.

    Raises OutputError (a file instead of a folder, read-only, another run at work in it).
    """
    check_output_folder(folder)
    with open_locked(folder / LOCK_NAME):
        yield


def check_output_folder(folder: Path) -> None:
    """Raises OutputError if a file stands where the output ``folder`` should be."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"output {folder} is a file; give a folder with --out")
