"""Large things by content: ``ab/abcdef…`` at an fsspec address; equal bytes are kept once."""

from __future__ import annotations

import hashlib
import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import fsspec  # type: ignore[import-untyped]

from cyclorama.errors import OutputError, SettingsError, UnknownIdError
from cyclorama.files import refuse, write_atomic

_BLOCK = 2**20
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Blob:
    """A file of the store."""

    digest: str
    bytes: int
    written: float
    """Seconds since 1970, UTC."""


class Blobs:
    """Files named by the sha256 of their bytes, on this machine's disk or at any address fsspec knows."""

    def __init__(self, address: str) -> None:
        """Raises SettingsError: an address that fsspec does not know, or not without a further package."""
        try:
            system, self._root = fsspec.core.url_to_fs(address)
        except (ImportError, ValueError) as error:
            raise SettingsError(f"--store {address}: {error}") from error
        self._system: Any = system
        self._local = type(system).__name__ == "LocalFileSystem"

    def put(self, data: bytes) -> str:
        """Keep ``data`` durably and give its digest. Raises OutputError."""
        digest = hashlib.sha256(data).hexdigest()
        path = self._locate(digest)
        if self._local:
            if Path(path).exists():
                os.utime(path)  # young again, so that no sweep takes it before its row is there
            else:
                write_atomic(Path(path), data, shared=True)
        else:
            try:
                self._system.pipe_file(path, data)
            except OSError as error:
                raise refuse(Path(path), error) from error
        return digest

    def put_file(self, source: IO[bytes]) -> str:
        """Keep what is left to read in ``source``, a megabyte in memory at a time. Raises OutputError."""
        if not self._local:
            return self.put(source.read())
        hasher, part = hashlib.sha256(), Path(self._root, f".{os.urandom(8).hex()}.part")
        try:
            part.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as copy:
                while block := source.read(_BLOCK):
                    hasher.update(block)
                    copy.write(block)
                copy.flush()
                os.fsync(copy.fileno())
            target = Path(self._locate(hasher.hexdigest()))
            target.parent.mkdir(exist_ok=True)
            part.replace(target)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise refuse(part, error) from error
        return hasher.hexdigest()

    def has(self, digest: str) -> bool:
        """Whether ``digest`` is there."""
        return bool(self._system.exists(self._locate(digest)))

    def read(self, digest: str) -> bytes:
        """The bytes of ``digest``. Raises UnknownIdError."""
        with self.open(digest) as file:
            return bytes(file.read())

    def open(self, digest: str) -> IO[bytes]:
        """The bytes of ``digest`` as an open file. Raises UnknownIdError."""
        try:
            file: IO[bytes] = self._system.open(self._locate(digest), "rb")
            return file
        except FileNotFoundError as error:
            raise UnknownIdError(f"the file {digest[:12]}… is gone; upload or make it again") from error

    def fetch(self, digest: str, folder: Path) -> Path:
        """A local file with the bytes of ``digest``: the blob itself, or a copy in ``folder``.

        Raises UnknownIdError, OutputError.
        """
        if self._local:
            path = Path(self._locate(digest))
            if path.exists():
                return path
        copy = folder / digest
        if not copy.exists():
            write_atomic(copy, self.read(digest), durable=False, shared=True)
        return copy

    def scan(self) -> list[Blob]:
        """All files."""
        found = self._system.find(self._root, detail=True)
        return [
            Blob(digest, info["size"], _read_time(info))
            for path, info in found.items()
            if _DIGEST.fullmatch(digest := path.rpartition("/")[2])
        ]

    def drop(self, digest: str) -> None:
        """Delete ``digest``, if it is there. Raises OutputError."""
        try:
            with suppress(FileNotFoundError):
                self._system.rm_file(self._locate(digest))
        except OSError as error:
            raise OutputError(f"cannot delete {digest}: {error}") from error

    def _locate(self, digest: str) -> str:
        if not _DIGEST.fullmatch(digest):
            raise UnknownIdError(f"{digest!r} is no digest")
        return f"{self._root}/{digest[:2]}/{digest}"


def _read_time(info: dict[str, Any]) -> float:
    """When a file was written, as its file system says it; now, if it does not."""
    value = next(
        (info[name] for name in ("mtime", "LastModified", "updated", "created") if name in info), None
    )
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        return value.timestamp()
    return time.time() if value is None else float(value)
