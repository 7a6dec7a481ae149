"""Where everything of a run lies below its output folder, and which shards are finished.

::

    DIR/run.json                        settings and model of the run
    DIR/plan/                           the plan; made anew at every start
    DIR/images/…                      finished images (format ``files``)
    DIR/webdataset/shard-000000.tar     finished images (format ``webdataset``)
    DIR/shards/shard-000000.parquet     result rows of one shard                        byte-stable
    DIR/shards/shard-000000.done.json   its mark, written last: counts and digests      byte-stable
    DIR/timings/shard-000000.parquet    seconds and keys with file times
    DIR/work/shard-000000/              journal and staged images of a shard in work
    DIR/results.parquet                 all result rows                                 byte-stable
    DIR/timings.parquet                 all timings

A shard is finished if its mark stands and it has no journal. Images, tars and whatever is called
byte-stable are equal for equal inputs, settings and model; the rest holds seconds and file times.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cyclorama.catalogue.results import (
    RESULT_SCHEMA,
    RESULTS_FILE,
    TIMING_SCHEMA,
    TIMINGS_FILE,
    load_rows,
    merge_tables,
    write_table,
)
from cyclorama.errors import OutputError
from cyclorama.files import hold_folder, write_atomic
from cyclorama.jobs.journal import Journal, open_journal

RUN_FILE = "run.json"


@dataclass(frozen=True)
class Mark:
    """A shard's done mark."""

    rows: int
    done: int
    failed: int
    images: int
    results_sha256: str
    """Of the shard's result table."""
    images_sha256: str
    """Over the digests of its images in order."""
    files: dict[str, str]
    """sha256 of files made for the shard as a whole, such as its tar."""


class Store:
    """The files of one output folder."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.plan_folder = out / "plan"

    def get_results(self, shard: int) -> Path:
        """The result table of ``shard``."""
        return self.out / "shards" / f"shard-{shard:06d}.parquet"

    def get_mark(self, shard: int) -> Path:
        """The done mark of ``shard``."""
        return self.out / "shards" / f"shard-{shard:06d}.done.json"

    def get_timings(self, shard: int) -> Path:
        """The timings of ``shard``."""
        return self.out / "timings" / f"shard-{shard:06d}.parquet"

    def get_key(self, shard: int) -> Path:
        """Where the plan's key of a finished ``shard`` is kept (it depends on file times)."""
        return self.out / "timings" / f"shard-{shard:06d}.key"

    def get_work(self, shard: int) -> Path:
        """The folder of a shard in work."""
        return self.out / "work" / f"shard-{shard:06d}"

    def get_journal(self, shard: int) -> Path:
        """The journal of a shard in work."""
        return self.get_work(shard) / "journal.jsonl"

    def lock(self) -> AbstractContextManager[None]:
        """A context that holds the output folder, made if need be, against a second run.

        Raises OutputError.
        """
        strangers = (self.out / "images", self.out / "webdataset")
        if not (self.out / RUN_FILE).exists() and any(_has_content(folder) for folder in strangers):
            raise OutputError(
                f"{self.out} holds images that no catalogue run recorded; choose another folder"
            )
        return hold_folder(self.out)

    def load_run(self) -> dict[str, Any]:
        """What ``run.json`` holds; empty if there is none."""
        try:
            values = json.loads((self.out / RUN_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return values if isinstance(values, dict) else {}

    def save_run(self, values: dict[str, Any]) -> None:
        """Write ``run.json``. Raises OutputError."""
        text = json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        write_atomic(self.out / RUN_FILE, text.encode())

    def load_mark(self, shard: int) -> Mark | None:
        """The done mark of ``shard``; None if it is not finished."""
        try:
            values = json.loads(self.get_mark(shard).read_text(encoding="utf-8"))
            values.pop("shard")
            return Mark(**values)
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def load_key(self, shard: int) -> str:
        """The plan's key that a finished ``shard`` was made with; empty if it is not finished."""
        if self.get_journal(shard).exists() or not self.get_mark(shard).exists():
            return ""
        try:
            return self.get_key(shard).read_text(encoding="utf-8").strip()
        except OSError:
            return ""

    def load_shard(self, shard: int) -> list[dict[str, Any]]:
        """The result rows of ``shard`` with their timings in one, as far as both are there."""
        results = load_rows(self.get_results(shard), RESULT_SCHEMA)
        timings = {row["row"]: row for row in load_rows(self.get_timings(shard), TIMING_SCHEMA)}
        return [row | timings[row["row"]] for row in results if row["row"] in timings]

    def get_moved(self, shard: int) -> Path:
        """Rows that other shards had finished before the plan moved them to ``shard``."""
        return self.out / "work" / f"moved-{shard:06d}.json"

    def load_moved(self, shard: int) -> list[dict[str, Any]]:
        """The rows at :meth:`get_moved`."""
        try:
            rows = json.loads(self.get_moved(shard).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        return rows if isinstance(rows, list) else []

    def open_journal(self, shard: int) -> AbstractContextManager[Journal]:
        """A context with the shard's :class:`Journal`."""
        return open_journal(self.get_journal(shard))

    def save_shard(
        self, shard: int, key: str, rows: Sequence[Mapping[str, Any]], files: dict[str, str], images: int
    ) -> None:
        """Write tables, key and, last, the mark of a finished ``shard``. Raises OutputError."""
        data = write_table(self.get_results(shard), rows, RESULT_SCHEMA)
        write_table(self.get_timings(shard), rows, TIMING_SCHEMA)
        write_atomic(self.get_key(shard), f"{key}\n".encode())
        digest = hashlib.sha256()
        for row in rows:
            digest.update(f"{row.get('output')} {row.get('image_sha256')}\n".encode())
        done = sum(row["status"] == "done" for row in rows)
        mark = {
            "shard": shard,
            "rows": len(rows),
            "done": done,
            "failed": len(rows) - done,
            "images": images,
            "results_sha256": hashlib.sha256(data).hexdigest(),
            "images_sha256": digest.hexdigest(),
            "files": files,
        }
        text = json.dumps(mark, indent=1, sort_keys=True) + "\n"
        write_atomic(self.get_mark(shard), text.encode())

    def close_work(self, shard: int) -> None:
        """Remove what a finished ``shard`` needed while in work; from now on it counts as finished."""
        self.get_journal(shard).unlink(missing_ok=True)
        self.get_moved(shard).unlink(missing_ok=True)
        shutil.rmtree(self.get_work(shard), ignore_errors=True)

    def list_shards(self) -> list[int]:
        """Numbers of all shards with a mark, in order."""
        found = (self.out / "shards").glob("shard-*.done.json")
        return sorted(int(path.name.removeprefix("shard-").partition(".")[0]) for path in found)

    def remove_shard(self, shard: int) -> None:
        """Forget a shard that the plan no longer has; images stay."""
        for path in (
            self.get_mark(shard),
            self.get_results(shard),
            self.get_timings(shard),
            self.get_key(shard),
        ):
            path.unlink(missing_ok=True)
        shutil.rmtree(self.get_work(shard), ignore_errors=True)

    def merge(self, shards: int) -> int:
        """Write ``results.parquet`` and ``timings.parquet`` of a complete run; the number of rows."""
        merge_tables(map(self.get_timings, range(shards)), self.out / TIMINGS_FILE, TIMING_SCHEMA)
        return merge_tables(map(self.get_results, range(shards)), self.out / RESULTS_FILE, RESULT_SCHEMA)

    def is_merged(self) -> bool:
        """Whether the merged tables are there."""
        return (self.out / RESULTS_FILE).exists() and (self.out / TIMINGS_FILE).exists()

    def clear_work(self) -> None:
        """Remove what is left of finished work."""
        shutil.rmtree(self.out / "work", ignore_errors=True)

    def unmerge(self) -> None:
        """Remove merged tables that are about to become stale."""
        for name in (RESULTS_FILE, TIMINGS_FILE):
            with suppress(OSError):
                (self.out / name).unlink(missing_ok=True)


def _has_content(folder: Path) -> bool:
    try:
        return any(folder.iterdir())
    except OSError:
        return False
