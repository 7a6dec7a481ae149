"""What a shard has finished so far, so that a kill costs nothing that lies complete on the disk.

One JSON object a line, appended and flushed after what it tells of is in place. A torn line costs what it
told of, and nothing else. While a worker is at the shard, its journal is locked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from cyclorama.files import append_json, open_locked

PATIENCE = 30.0
"""Seconds to wait for a worker of a killed run to notice and let go."""


class Journal:
    """What is finished of one shard; made by :func:`open_journal`."""

    def __init__(self, path: Path, file: IO[bytes], entries: list[dict[str, Any]]) -> None:
        self._path = path
        self._file = file
        self.entries = entries
        """What earlier runs recorded, in order."""

    def append(self, entry: Mapping[str, Any]) -> None:
        """Record ``entry``. Raises OutputError if the disk refuses; then nothing of it stays."""
        append_json(self._file, self._path, entry)


@contextmanager
def open_journal(path: Path, patience: float = PATIENCE) -> Iterator[Journal]:
    """The journal at ``path``, created if need be and locked. Raises OutputError (disk, another worker)."""
    with open_locked(path, patience) as file:
        file.seek(0)
        data = file.read()
        end = data.rfind(b"\n") + 1
        if end < len(data):  # the line that a kill has torn; a new one must not be joined to it
            file.truncate(end)
        yield Journal(path, file, list(parse_entries(data)))


def parse_entries(data: bytes) -> Iterator[dict[str, Any]]:
    """The entries of a journal that are whole; also of one that is being written."""
    for line in data.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            yield entry
