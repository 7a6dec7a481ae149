"""Which rows are worked on together, and how is each known again? The inputs as shards on disk.

A plan is a pure function of inputs, files' sizes and times, settings and model, so it is made anew at every
start; what is finished is told by comparing keys. Shard *i* holds the rows from *i* times the shard size on.

Batches are not part of the plan's file, since an image's shape is only known from its own header, but they
follow from it: within a shard, in the order of rows, layouts and candidates, images of one model shape and
equally with or without reference fill batches of the run's batch size
(:func:`cyclorama.generation.batches.build_batches`). So neither the number of workers nor a restart changes
a batch.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Any

import pyarrow as pa

from cyclorama.data.addresses import find_file
from cyclorama.data.columns import MaskMeans
from cyclorama.errors import CycloramaError, OutputError
from cyclorama.files import refuse, write_atomic
from cyclorama.generation.items import FILES, Failure, Item, ItemSource, name_files
from cyclorama.generation.writers import build_stems
from cyclorama.jobs.store import compute_key
from cyclorama.models.registry import CategoryRegistry
from cyclorama.models.words import CategoryRules

FORMAT = 4
ROWS_FILE, INDEX_FILE = "rows.arrow", "plan.json"
_CHUNK = 8192
_TEXTS = ("name", "id", *FILES, "mask_means", "category_given", "category", "identifier", "category_source",
          "category_match", "words", "error", "reason", "output", "key")  # fmt: skip
_STATED = ("row", "key", "id", "category_given", "category_source", "category_match")
"""What a shard's results say of its rows, besides what follows from their keys."""
_UNSTAMPED = ("",) * len(FILES)
PLAN_SCHEMA = pa.schema(
    [("row", pa.int64()), ("seed", pa.int64()), *((name, pa.string()) for name in _TEXTS)]
)


_KEYED = (1, 2, 4, 5, 6, 7, 8, 9, 10, 12, 13, 17, 18, 20)
"""Columns whose values an image depends on, and the stamps, which stand in place of the key at first; not the
row's number, its id, and the words that named its category. A poster's words count where there are any."""
_WORDS = 16


@dataclass(frozen=True)
class PlanRow:
    """One input, ready to be worked on or with the reason why not."""

    row: int
    """From 0."""
    name: str
    id: str | None
    image: str | None
    mask: str | None
    reference: str | None
    reference_mask: str | None
    mask_means: MaskMeans | None
    seed: int | None
    category_given: str | None
    category: str | None
    identifier: str | None
    category_source: str | None
    category_match: str | None
    output: str
    """Path of the row's images without suffix, candidate and layout."""
    key: str
    """Digest of all that the images depend on, files by size and time."""
    failure: Failure | None = None
    style: str | None = None
    backdrop: str | None = None
    words: str | None = None
    """A poster's, as :class:`Item` holds them."""


@dataclass(frozen=True)
class Plan:
    """A plan on disk; :meth:`read_shard` gives its rows."""

    folder: Path
    rows: int
    failed: int
    """Rows that cannot be worked on, as is known already."""
    shard_size: int
    keys: tuple[str, ...]
    """One per shard: digest of its rows' keys."""

    def move(self, folder: Path) -> Plan:
        """The plan in another ``folder`` of the same disk, in place of the one there. Raises OutputError."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name in (ROWS_FILE, INDEX_FILE):
                (self.folder / name).replace(folder / name)
        except OSError as error:
            raise refuse(folder, error) from error
        return replace(self, folder=folder)

    def count_rows(self, shard: int) -> int:
        """Rows of ``shard``."""
        return min(self.shard_size, self.rows - shard * self.shard_size)

    def read_shard(self, shard: int) -> list[PlanRow]:
        """The rows of ``shard`` in order."""
        with pa.memory_map(str(self.folder / ROWS_FILE)) as source:
            rows = pa.ipc.open_file(source).get_batch(shard).to_pylist()
        for row in rows:
            error, reason = row.pop("error"), row.pop("reason")
            row["failure"] = None if error is None else Failure(error, reason)
        return [PlanRow(**row) for row in rows]

    def read_keys(self, shard: int) -> list[str]:
        """The keys of the rows of ``shard``."""
        return self.read_column(shard, "key")

    def read_column(self, shard: int, name: str) -> list[Any]:
        """The values of the rows of ``shard`` in the column ``name``."""
        with pa.memory_map(str(self.folder / ROWS_FILE)) as source:
            return _to_list(pa.ipc.open_file(source).get_batch(shard).column(name))

    def iterate(self) -> Iterator[PlanRow]:
        """All rows in order."""
        for shard in range(len(self.keys)):
            yield from self.read_shard(shard)


def build_plan(
    source: ItemSource | Iterable[Item],
    folder: Path,
    rules: CategoryRules,
    registry: CategoryRegistry,
    run_values: dict[str, Any],
    shard_size: int = 256,
) -> Plan:
    """The plan of ``source``, written into ``folder``.

    ``run_values``: all that images depend on beside their rows (settings, model), plain values. Memory stays
    within a few hundred bytes a row. Raises ManifestError, UnknownCategoryError (default or alias),
    OutputError.
    """
    rules.check(registry)
    part = folder / "inputs.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        items = source.iterate(folder.parent / "embedded") if isinstance(source, ItemSource) else source
        names, failed = _write_inputs(items, part, rules, registry)
        keys = _write_rows(folder, part, build_stems(names), shard_size, compute_key(run_values))
    except OSError as error:
        if isinstance(error, CycloramaError):
            raise
        raise refuse(folder, error) from error
    finally:
        part.unlink(missing_ok=True)
    plan = Plan(folder, len(names), failed, shard_size, keys)
    index = {"format": FORMAT, "rows": plan.rows, "failed": failed, "shard_size": shard_size, "keys": keys}
    write_atomic(folder / INDEX_FILE, (json.dumps(index, indent=1) + "\n").encode())
    return plan


def load_plan(folder: Path) -> Plan:
    """The plan in ``folder``. Raises OutputError if there is none of this version."""
    try:
        index = json.loads((folder / INDEX_FILE).read_text(encoding="utf-8"))
        if index.pop("format") != FORMAT:
            raise ValueError("another version")
        return Plan(folder=folder, keys=tuple(index.pop("keys")), **index)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(
            f"{folder} holds no plan of this version ({error}); run `cyclorama generate` with this --out"
        ) from error


def _write_inputs(
    items: Iterable[Item], part: Path, rules: CategoryRules, registry: CategoryRegistry
) -> tuple[list[str], int]:
    """Write all inputs in the order of the plan's columns; their names, and how many have failed."""

    @cache  # each given name is settled once, however many rows share it
    def choose(given: str | None, folders: tuple[str, ...]) -> tuple[tuple[str | None, ...], Failure | None]:
        try:
            found = rules.choose(given, registry, folders)
        except CycloramaError as error:
            return (None, None, None, None), Failure.of(error)
        if found is None:
            return (None, None, "image", None), None
        known = found.category
        return (known.name, known.identifier, found.source, found.matched), None

    names: list[str] = []
    failed = 0
    stamp, get_files = lru_cache(100_000)(_read_stamp), attrgetter(*FILES)
    numbered = enumerate(items)
    with pa.OSFile(str(part), "wb") as sink, pa.ipc.new_stream(sink, PLAN_SCHEMA) as writer:
        while True:
            rows = []
            for number, item in islice(numbered, _CHUNK):
                name = item.name
                if not name.isascii():  # half a surrogate pair cannot be written
                    name = name.encode("utf-8", "replace").decode()
                category, unknown = choose(item.category, item.folders if item.category is None else ())
                failure, stamps = item.failure, list(_UNSTAMPED)
                if failure is None:
                    for place, address in enumerate(get_files(item)):
                        if address is None:
                            continue
                        found = (stamp if place > 1 else _read_stamp)(address)
                        if found is None:
                            try:
                                kind = FILES[place]  # once more, as Windows writes it
                                address = find_file("", address, item.columns.get(kind, kind))
                                item = replace(item, **{kind: address})  # type: ignore[arg-type]
                                found = _read_stamp(address) or ""
                            except CycloramaError as error:
                                said = f"row {number + 1}: {name_files(item, str(error))}"
                                failure = failure or Failure("ManifestError", said)
                        stamps[place] = found or ""
                    if item.image is None:
                        failure = Failure("ManifestError", f"row {number + 1}: column 'image' is empty")
                failure = failure or unknown
                failed += failure is not None
                stated = (None, None) if failure is None else (failure.error, failure.reason)
                # the place of the images is not known yet: `output` holds the folder, `key` the stamps
                rows.append(
                    (number, item.seed, name, item.id, item.image, item.mask, item.reference,
                     item.reference_mask, item.style, item.backdrop, item.mask_means, item.category,
                     *category, item.words, *stated, item.folder, "\x1f".join(stamps))
                )  # fmt: skip
                names.append(name if item.folder is None else f"{item.folder}/{name}")
            if not rows:
                break
            writer.write_batch(_to_batch([*zip(*rows)]))
    return names, failed


def _write_rows(folder: Path, part: Path, stems: list[str], size: int, run_key: str) -> tuple[str, ...]:
    temporary = folder / f"{ROWS_FILE}.part"
    digests: list[str] = []
    waiting: list[pa.RecordBatch] = []
    with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, PLAN_SCHEMA) as writer:

        def write(table: pa.Table) -> None:
            batch = table.combine_chunks().to_batches()[0]
            stated = [_to_list(batch.column(name)) for name in _STATED]
            digests.append(hashlib.blake2b(repr(stated).encode(), digest_size=16).hexdigest())
            writer.write_batch(batch)

        for batch in _complete(part, stems, run_key):
            waiting.append(batch)
            table = pa.Table.from_batches(waiting)
            whole = len(table) - len(table) % size
            for start in range(0, whole, size):
                write(table.slice(start, size))
            waiting = table.slice(whole).to_batches()
        if waiting:
            write(pa.Table.from_batches(waiting))
    temporary.replace(folder / ROWS_FILE)
    return tuple(digests)


def _complete(part: Path, stems: list[str], run_key: str) -> Iterator[pa.RecordBatch]:
    """The inputs with their images' paths and keys."""
    prefix = hashlib.blake2b(f"{FORMAT} {run_key}".encode(), digest_size=16)
    with pa.OSFile(str(part), "rb") as source:
        for batch in pa.ipc.open_stream(source):
            columns = list(batch.columns)
            first = columns[0][0].as_py()
            keyed = [_to_list(columns[place]) for place in _KEYED]
            keys = []
            said = _to_list(columns[_WORDS])
            for values, words in zip(zip(*keyed, stems[first : first + len(batch)]), said, strict=True):
                own = prefix.copy()
                own.update(repr(values if words is None else (*values, words)).encode())
                keys.append(own.hexdigest())
            columns[-2] = pa.array(stems[first : first + len(batch)], pa.string())
            columns[-1] = pa.array(keys, pa.string())
            yield pa.RecordBatch.from_arrays(columns, schema=PLAN_SCHEMA)


def _to_batch(columns: list[Any]) -> pa.RecordBatch:
    arrays = []
    for values, kind in zip(columns, PLAN_SCHEMA.types, strict=True):
        try:
            arrays.append(pa.array(values, kind))
        except UnicodeEncodeError:  # half a surrogate pair, which JSON can spell but UTF-8 cannot
            clean = [None if v is None else v.encode("utf-8", "replace").decode() for v in values]
            arrays.append(pa.array(clean, kind))
    return pa.RecordBatch.from_arrays(arrays, schema=PLAN_SCHEMA)


def _to_list(column: pa.Array) -> list[Any]:
    """The values of ``column``; a tenth of the time that its own method takes."""
    if column.null_count == len(column):
        return [None] * len(column)
    text = pa.types.is_string(column.type)
    return column.to_numpy(zero_copy_only=False).tolist() if text else column.to_pylist()  # type: ignore[no-any-return]


def _read_stamp(address: str) -> str | None:
    """``bytes:nanoseconds`` of a local file, empty for another address, None if there is no such file."""
    try:
        found = os.stat(address)  # noqa: PTH116 - a million times; Path takes ten times as long
    except (OSError, ValueError):
        if "://" in address:
            return ""
        path, marked, _ = address.rpartition("::")  # a member of a tar
        return _read_stamp(path) if marked else None
    return f"{found.st_size}:{found.st_mtime_ns}" if stat.S_ISREG(found.st_mode) else None
