"""What is finished in an output folder, so that a killed run goes on where it stopped.

An image is written beside its place, renamed into it, and only then recorded by one appended line.
Whatever moment a run is killed at, a recorded image is complete, and an image that is not recorded is
made again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from cyclorama.errors import OutputError
from cyclorama.files import append_json, check_output_folder, open_locked

FILE_NAME = "journal.jsonl"


@dataclass(frozen=True)
class Entry:
    """One finished image."""

    key: str
    """Digest of everything the image depends on."""
    output: str
    """Path below the output folder."""
    bytes: int
    """Size of the file."""
    seed: int
    seconds: float
    size: tuple[int, int]
    """(height, width) of the image."""
    mask_source: str
    report: dict[str, Any]
    placement: dict[str, Any] = field(default_factory=dict)
    """Where the product stands on its canvas; empty if nothing but a size was asked for."""
    layers: dict[str, int] = field(default_factory=dict)
    """Files written beside the image, below the output folder, and their sizes in bytes."""

    def to_values(self) -> dict[str, Any]:
        """Plain values; what is empty is left out."""
        values = asdict(self)
        return {name: value for name, value in values.items() if value != {} or name == "report"}


def compute_key(values: dict[str, Any]) -> str:
    """A 32-digit digest of plain ``values``; equal values in any order of keys give equal digests."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(text.encode("utf-8", errors="surrogatepass"), digest_size=16).hexdigest()


def compute_file_digest(path: Path) -> str:
    """A 32-digit digest of a file's bytes. Raises OSError."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


class Journal:
    """The finished images of one output folder; made by :func:`open_journal`."""

    def __init__(self, folder: Path, file: IO[bytes], entries: dict[str, Entry]) -> None:
        self._folder = folder
        self._file = file
        self._entries = entries

    def find(self, key: str, image: str) -> Entry | None:
        """The entry of ``image`` if it was made with ``key`` and its files are still there in full."""
        entry = self._entries.get(image)
        if entry is None or entry.key != key:
            return None
        files = {image: entry.bytes} | entry.layers
        try:
            complete = all((self._folder / path).stat().st_size == size for path, size in files.items())
        except OSError:
            return None
        return entry if complete else None

    def append(self, entry: Entry) -> None:
        """Record an image that lies in its place. Raises OutputError if the disk refuses."""
        append_json(self._file, self._folder / FILE_NAME, entry.to_values())
        self._entries[entry.output] = entry


@contextmanager
def open_journal(folder: Path, overwrite: bool = False) -> Iterator[Journal]:
    """The journal of ``folder``, created with the folder if need be and locked against a second run.

    Raises OutputError (a file instead of a folder, read-only, images that no run recorded, another
    run at work in the folder).
    """
    path = folder / FILE_NAME
    check_output_folder(folder)
    try:
        strangers = not path.exists() and any((folder / "images").iterdir())
    except OSError:
        strangers = False
    if strangers and not overwrite:
        raise OutputError(
            f"{folder / 'images'} holds images that no run recorded; choose another folder, "
            f"or give --overwrite to write over them"
        )
    with open_locked(path) as file:
        if overwrite:
            file.truncate(0)
        yield Journal(folder, file, _read(file, path))


def _read(file: IO[bytes], path: Path) -> dict[str, Entry]:
    file.seek(0)
    data = file.read()
    end = data.rfind(b"\n") + 1
    if end < len(data):  # the last line of a killed run; its image is made again
        file.truncate(end)
    entries: dict[str, Entry] = {}
    for number, line in enumerate(data[:end].splitlines(), start=1):
        try:
            values = json.loads(line)
            values["size"] = tuple(values["size"])
            entry = Entry(**values)
        except (ValueError, TypeError, KeyError) as error:
            raise OutputError(
                f"{path}, line {number} is not a journal of this version ({error}); choose another folder, "
                f"or give --overwrite to start it anew"
            ) from error
        entries[entry.output] = entry
    return entries
