"""What a shard has finished so far, so that a kill costs no image that lies complete on the disk.

One JSON object a line, appended and flushed after what it tells of is in place. A torn last line is cut off.
While a worker is at the shard, its journal is locked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from cyclorama.files import append_json, open_locked

PATIENCE = 30.0
"""Seconds to wait for a worker of a killed run to notice and let go."""


class ShardJournal:
    """Finished rows and images of one shard; made by :func:`open_shard_journal`."""

    def __init__(self, path: Path, file: IO[bytes], entries: list[dict[str, Any]]) -> None:
        self._path = path
        self._file = file
        self.entries = entries
        """What earlier runs recorded, in order."""

    def append(self, entry: dict[str, Any]) -> None:
        """Record ``entry``. Raises OutputError if the disk refuses; then nothing of it stays."""
        append_json(self._file, self._path, entry)


@contextmanager
def open_shard_journal(path: Path, patience: float = PATIENCE) -> Iterator[ShardJournal]:
    """The journal at ``path``, created if need be and locked. Raises OutputError (disk, another worker)."""
    with open_locked(path, patience) as file:
        yield ShardJournal(path, file, _read(file))


def _read(file: IO[bytes]) -> list[dict[str, Any]]:
    file.seek(0)
    data = file.read()
    entries: list[dict[str, Any]] = []
    end = 0
    for line in data.splitlines(keepends=True):
        try:
            entry = json.loads(line) if line.endswith(b"\n") else None
        except ValueError:
            entry = None
        if not isinstance(entry, dict):
            break
        entries.append(entry)
        end += len(line)
    if end < len(data):
        file.truncate(end)
    return entries
