"""Where everything of a curating run lies below its output folder.

::

    DIR/set/shard-000000.tar          the training set, with done marks                 byte-stable
    DIR/results.parquet               one row per input row                             byte-stable
    DIR/rejects/RULE.jsonl            rows dropped, by the rule that dropped them       byte-stable
    DIR/pairs.jsonl                   pairs of the BG-pair-like split                   byte-stable
    DIR/index.html, DIR/card.md       report and data card                              byte-stable
    DIR/categories.json               every category met so far, with its identifier    byte-stable
    DIR/review.jsonl, DIR/review/     what is put to review, and its images             byte-stable
    DIR/decisions.sqlite              what people decided
    DIR/cache/                        every answer of every rule by content, repaired images
    DIR/journal/run.json              the recipe
    DIR/journal/shards/               what rules say of a range of input rows (jobs/store.py)
    DIR/journal/timings.json          processor seconds per rule, of what was worked out
    DIR/journal/done.json             written last: digests of what is byte-stable

What is byte-stable is equal for equal inputs, recipe, models and decisions, however often the run was
killed and whatever engine and number of workers it had.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from cyclorama.errors import OutputError
from cyclorama.files import write_atomic
from cyclorama.jobs.store import RUN_FILE, ShardStore, decode_lines, encode_lines

DONE_FILE, TIMINGS_FILE = "done.json", "timings.json"
_STABLE = ("results.parquet", "pairs.jsonl", "review.jsonl", "index.html", "card.md", "categories.json")


class CurateStore(ShardStore):
    """The files of one output folder."""

    def __init__(self, out: Path) -> None:
        super().__init__(out)
        self.cache, self.set, self.rejects = out / "cache", out / "set", out / "rejects"

    def lock(
        self, results: Sequence[str] = (), noted: Callable[[str], None] = lambda text: None
    ) -> AbstractContextManager[None]:
        """A context that holds the output folder against a second run. Raises OutputError."""
        if self.set.exists() and not (self.folder / RUN_FILE).exists():
            raise OutputError(f"{self.set} was not made by a curating run; choose another folder with --out")
        return super().lock(results, noted)

    def _get_plan(self, shard: int) -> Path:
        return self.plan_folder / f"shard-{shard:06d}.jsonl"

    def save_plan(self, shard: int, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write the rows of ``shard`` for the worker that takes it. Raises OutputError."""
        write_atomic(self._get_plan(shard), encode_lines(rows), durable=False)

    def load_plan(self, shard: int) -> list[dict[str, Any]]:
        """The rows of ``shard``. Raises OutputError: the folder is not shared between machines."""
        try:
            return decode_lines(self._get_plan(shard).read_bytes())
        except OSError as error:
            raise OutputError(
                f"cannot read {self._get_plan(shard)}: {error.strerror}; the output folder must be on a disk "
                f"that all machines share, under one path"
            ) from error

    def is_done(self, shard: int, key: str) -> bool:
        """Whether ``shard`` is finished under ``key``."""
        return self.load_mark(shard, key) is not None and self.get_rows(shard).is_file()

    def forget_outcome(self) -> None:
        """The outputs are about to change: they are no longer what the last run has finished."""
        (self.folder / DONE_FILE).unlink(missing_ok=True)

    def save_outcome(self) -> None:
        """Remove the plan and write the run's own mark. Raises OutputError."""
        shutil.rmtree(self.plan_folder, ignore_errors=True)
        self.clear_work()
        self.save_values({"files": self.compute_digests(self.list_stable())}, DONE_FILE)

    def compute_digests(self, paths: Iterable[Path]) -> dict[str, str]:
        """Place below the output folder to SHA-256, of the files at ``paths``."""
        digests = ((path, hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths)
        return {path.relative_to(self.out).as_posix(): digest for path, digest in digests}

    def list_stable(self) -> list[Path]:
        """All files that are equal for equal runs, in the order of their names."""
        folders = (self.set, self.rejects, self.out / "review")
        found = [self.out / name for name in _STABLE]
        found += [path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir())]
        return [path for path in found if path.is_file()]
