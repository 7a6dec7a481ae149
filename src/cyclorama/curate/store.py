"""Where everything of a curating run lies below its output folder.

::

    DIR/set/shard-000000.tar          the training set, with done marks                 byte-stable
    DIR/results.parquet               one row per input row                             byte-stable
    DIR/rejects/RULE.jsonl            rows dropped, by the rule that dropped them       byte-stable
    DIR/pairs.jsonl                   pairs of the BG-pair-like split                   byte-stable
    DIR/index.html, DIR/card.md       report and data card                              byte-stable
    DIR/categories.json               every category met so far, with its identifier    byte-stable
    DIR/review.jsonl, DIR/review/     what is put to review, and its images           byte-stable
    DIR/decisions.sqlite              what people decided
    DIR/done.json                     written last: digests of what is byte-stable
    DIR/run.json                      the recipe
    DIR/shards/shard-000000.jsonl     what rules say of a range of input rows, and .key, written last
    DIR/cache/                        every answer of every rule by content, repaired images
    DIR/timings.json                  processor seconds per rule, of what was worked out
    DIR/work/                         the plan of a run under way

What is byte-stable is equal for equal inputs, recipe, models and decisions, however often the run was
killed and whatever engine and number of workers it had.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from cyclorama.errors import OutputError
from cyclorama.files import hold_folder, write_atomic

DONE_FILE, RUN_FILE, TIMINGS_FILE = "done.json", "run.json", "timings.json"


class Store:
    """The files of one output folder."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.cache = out / "cache"
        self.set = out / "set"
        self.rejects = out / "rejects"

    def get_plan(self, shard: int) -> Path:
        """The rows of ``shard`` for the worker that takes it."""
        return self.out / "work" / f"shard-{shard:06d}.jsonl"

    def get_results(self, shard: int) -> Path:
        """What the image rules say of the rows of ``shard``."""
        return self.out / "shards" / f"shard-{shard:06d}.jsonl"

    def get_key(self, shard: int) -> Path:
        """The key that a finished ``shard`` was made with."""
        return self.out / "shards" / f"shard-{shard:06d}.key"

    def lock(self) -> AbstractContextManager[None]:
        """A context that holds the output folder, made if need be, against a second run.

        Raises OutputError.
        """
        if self.set.exists() and not (self.out / RUN_FILE).exists():
            raise OutputError(f"{self.set} was not made by a curating run; choose another folder with --out")
        return hold_folder(self.out)

    def save_plan(self, shard: int, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write the rows of ``shard``. Raises OutputError."""
        write_atomic(self.get_plan(shard), encode_lines(rows), durable=False)

    def load_plan(self, shard: int) -> list[dict[str, Any]]:
        """The rows of ``shard``. Raises OutputError: the folder is not shared between machines."""
        try:
            return decode_lines(self.get_plan(shard).read_bytes())
        except OSError as error:
            raise OutputError(
                f"cannot read {self.get_plan(shard)}: {error.strerror}; the output folder must be on a disk "
                f"that all machines share, under one path"
            ) from error

    def save_shard(
        self, shard: int, key: str, rows: Iterable[Mapping[str, Any]], timings: Mapping[str, Any]
    ) -> None:
        """Write a finished shard, its key last. Raises OutputError."""
        self.get_key(shard).unlink(missing_ok=True)
        write_atomic(self.get_results(shard), encode_lines(rows))
        times = json.dumps(timings, sort_keys=True).encode()
        write_atomic(self.get_results(shard).with_suffix(".timings.json"), times, durable=False)
        write_atomic(self.get_key(shard), f"{key}\n".encode())

    def load_key(self, shard: int) -> str:
        """The key that ``shard`` was finished with; empty if it is not."""
        try:
            return self.get_key(shard).read_text(encoding="utf-8").strip()
        except OSError:
            return ""

    def load_shard(self, shard: int) -> list[dict[str, Any]]:
        """The rows of a finished shard."""
        return decode_lines(self.get_results(shard).read_bytes())

    def load_timings(self, shard: int) -> dict[str, Any]:
        """Seconds and counts per rule that a finished shard took; empty if unknown."""
        try:
            path = self.get_results(shard).with_suffix(".timings.json")
            values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return values

    def drop_shards_from(self, count: int) -> None:
        """Forget shards that a smaller input no longer has."""
        for path in (self.out / "shards").glob("shard-*"):
            if int(path.name.removeprefix("shard-").partition(".")[0]) >= count:
                path.unlink(missing_ok=True)

    def save_values(self, name: str, values: Mapping[str, Any]) -> None:
        """Write the JSON file ``name``. Raises OutputError."""
        text = json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        write_atomic(self.out / name, text.encode("utf-8", "backslashreplace"))

    def load_values(self, name: str) -> dict[str, Any]:
        """The JSON file ``name``; empty if there is none."""
        try:
            values = json.loads((self.out / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return values if isinstance(values, dict) else {}

    def list_stable(self) -> list[Path]:
        """All files that are equal for equal runs, in the order of their names."""
        names = ("results.parquet", "pairs.jsonl", "review.jsonl", "index.html", "card.md", "categories.json")
        folders = (self.set, self.rejects, self.out / "review")
        found = [self.out / name for name in names]
        found += [path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir())]
        return [path for path in found if path.is_file()]

    def clear_work(self) -> None:
        """Remove the plan of a finished run."""
        shutil.rmtree(self.out / "work", ignore_errors=True)


def encode_lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """``rows`` as JSON lines; equal rows give equal bytes."""
    lines = (json.dumps(row, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
    return "".join(lines).encode("utf-8", "backslashreplace")


def decode_lines(data: bytes) -> list[dict[str, Any]]:
    """What :func:`encode_lines` was given."""
    return [json.loads(line) for line in data.decode("utf-8").split("\n") if line]
