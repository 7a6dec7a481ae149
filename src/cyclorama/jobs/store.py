"""Where a run's own records lie below its output folder, and which shards are finished.

::

    DIR/journal/run.json                        settings of the run
    DIR/journal/plan/                           the plan; made anew at every start
    DIR/journal/shards/shard-000000.jsonl       the rows of a finished shard
    DIR/journal/shards/shard-000000.done.json   its mark, written last: its key, counts
    DIR/journal/work/shard-000000/              journal and unfinished files of a shard in work
    DIR/lock

A shard is finished if its mark stands and it has no journal. A journal has one JSON object a line, appended
and flushed after what it tells of is in place, so that a kill costs nothing that lies complete on the disk:
a torn line costs what it told of, and nothing else. While a worker is at the shard, its journal is locked.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any

from cyclorama.errors import OutputError
from cyclorama.files import append_json, hold_folder, open_locked, write_atomic

RUN_FILE = "run.json"
PATIENCE = 30.0
"""Seconds to wait for a worker of a killed run to notice and let go of a journal."""


class Journal:
    """What is finished of one shard."""

    def __init__(self, path: Path, file: IO[bytes], entries: list[dict[str, Any]]) -> None:
        self._path = path
        self._file = file
        self.entries = entries
        """What earlier runs recorded, in order."""

    def append(self, entry: Mapping[str, Any]) -> None:
        """Record ``entry``. Raises OutputError if the disk refuses; then nothing of it stays."""
        append_json(self._file, self._path, entry)


class ShardStore:
    """The records of one output folder."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.folder = out / "journal"
        self.plan_folder = self.folder / "plan"

    def get_rows(self, shard: int) -> Path:
        """The rows of a finished ``shard``."""
        return self.folder / "shards" / f"shard-{shard:06d}.jsonl"

    def get_mark(self, shard: int) -> Path:
        """The mark of a finished ``shard``."""
        return self.folder / "shards" / f"shard-{shard:06d}.done.json"

    def get_work(self, shard: int) -> Path:
        """The folder of a ``shard`` in work."""
        return self.folder / "work" / f"shard-{shard:06d}"

    def get_journal(self, shard: int) -> Path:
        """The journal of a ``shard`` in work."""
        return self.get_work(shard) / "journal.jsonl"

    def lock(
        self, results: Sequence[str] = (), noted: Callable[[str], None] = lambda text: None
    ) -> AbstractContextManager[None]:
        """A context that holds the output folder, made if need be, against a second run.

        ``results``: folders below it that only a recorded run may have filled. ``noted`` is told if the disk
        has no locks. Raises OutputError.
        """
        for name in results if not (self.folder / RUN_FILE).exists() else ():
            if (self.out / name).is_dir() and any((self.out / name).iterdir()):
                raise OutputError(
                    f"{self.out / name} holds files that no run recorded; choose another folder, or give "
                    f"--overwrite to write over them"
                )
        return hold_folder(self.out, noted)

    def load_values(self, name: str = RUN_FILE) -> dict[str, Any]:
        """What the JSON file ``name`` holds; empty if there is none."""
        return _load_json(self.folder / name) or {}

    def save_values(self, values: Mapping[str, Any], name: str = RUN_FILE) -> None:
        """Write the JSON file ``name``. Raises OutputError."""
        text = json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        write_atomic(self.folder / name, text.encode("utf-8", "backslashreplace"))

    @contextmanager
    def open_journal(self, shard: int, patience: float = PATIENCE) -> Iterator[Journal]:
        """The journal of ``shard``, made if need be and locked. Raises OutputError (disk, another worker)."""
        path = self.get_journal(shard)
        with open_locked(path, patience) as file:
            file.seek(0)
            data = file.read()
            file.truncate(data.rfind(b"\n") + 1)  # no new line is joined to one that a kill has torn
            yield Journal(path, file, list(parse_entries(data)))

    def read_journal(self, shard: int) -> list[dict[str, Any]]:
        """The whole entries of the journal of ``shard``, also while it is written; none if there is none."""
        try:
            return list(parse_entries(self.get_journal(shard).read_bytes()))
        except OSError:
            return []

    def save_shard(
        self, shard: int, key: str, rows: Iterable[Mapping[str, Any]], values: Mapping[str, Any]
    ) -> None:
        """Write the rows and, last, the mark of a finished ``shard``: its ``key`` and plain ``values``.

        Its work folder goes, and with it the journal. Raises OutputError.
        """
        self.get_mark(shard).unlink(missing_ok=True)
        write_atomic(self.get_rows(shard), encode_lines(rows))
        text = json.dumps({"key": key, **values}, sort_keys=True, ensure_ascii=False) + "\n"
        write_atomic(self.get_mark(shard), text.encode("utf-8", "backslashreplace"))
        self.get_journal(shard).unlink(missing_ok=True)
        shutil.rmtree(self.get_work(shard), ignore_errors=True)

    def load_mark(self, shard: int, key: str | None = None) -> dict[str, Any] | None:
        """The mark of ``shard``; None if it is not finished, or under another ``key`` than the one given."""
        if self.get_journal(shard).exists():
            return None
        mark = _load_json(self.get_mark(shard))
        return mark if mark is not None and key in (None, mark.get("key")) else None

    def load_rows(self, shard: int) -> list[dict[str, Any]]:
        """The rows of a finished ``shard``; none if they are missing or damaged."""
        try:
            return decode_lines(self.get_rows(shard).read_bytes())
        except (OSError, ValueError):
            return []

    def read_rows(self, shard: int) -> list[dict[str, Any]]:
        """All rows that are known of ``shard``, finished or in work; the latest of a row comes last."""
        entries = self.read_journal(shard)
        noted = [row for e in entries for row in e.get("rows", [e["result"]] if "result" in e else [])]
        return [*self.load_rows(shard), *self.load_values(name_moved(shard)).get("rows", []), *noted]

    def list_shards(self) -> list[int]:
        """Numbers of all shards with a mark, in order."""
        found = (self.folder / "shards").glob("shard-*.done.json")
        return sorted(int(path.name.removeprefix("shard-").partition(".")[0]) for path in found)

    def list_known(self) -> list[int]:
        """Numbers of all shards of which rows are known, finished or in work, in order."""
        patterns = ("shards/shard-*.jsonl", "work/shard-*", "work/moved-*.json")
        names = [path.name for pattern in patterns for path in self.folder.glob(pattern)]
        return sorted({int(name.partition("-")[2].partition(".")[0]) for name in names})

    def drop_shards_from(self, count: int) -> None:
        """Forget shards that a smaller plan no longer has."""
        for shard in self.list_shards():
            if shard >= count:
                self.get_mark(shard).unlink(missing_ok=True)
                self.get_rows(shard).unlink(missing_ok=True)

    def clear_work(self) -> None:
        """Remove what is left of finished work."""
        shutil.rmtree(self.folder / "work", ignore_errors=True)


def name_moved(shard: int) -> str:
    """The file of rows that other shards had finished before the plan moved them to ``shard``."""
    return f"work/moved-{shard:06d}.json"


def parse_entries(data: bytes) -> Iterator[dict[str, Any]]:
    """The entries of a journal that are whole; also of one that is being written."""
    for line in data.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            yield entry


def encode_lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """``rows`` as JSON lines; equal rows give equal bytes."""
    lines = (json.dumps(row, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
    return "".join(lines).encode("utf-8", "backslashreplace")


def decode_lines(data: bytes) -> list[dict[str, Any]]:
    """What :func:`encode_lines` was given."""
    return [json.loads(line) for line in data.decode("utf-8").split("\n") if line]


def compute_key(values: Mapping[str, Any]) -> str:
    """A 32-digit digest of plain ``values``; equal values in any order of keys give equal digests."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(text.encode("utf-8", errors="surrogatepass"), digest_size=16).hexdigest()


def _load_json(path: Path) -> dict[str, Any] | None:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) else None
