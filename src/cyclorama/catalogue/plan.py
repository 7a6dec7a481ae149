"""Which rows are worked on together, and how is each known again? A manifest as shards on disk.

A plan is a pure function of manifest, files' sizes and times, settings and model, so it is made anew at every
start; what is finished is told by comparing keys. Shard *i* holds the rows from *i* times the shard size on,
in the manifest's order.

Batches are not part of the plan's file, since an image's shape is only known from its own header, but they
follow from it: within a shard, in the order of rows, layouts and candidates, images of one model shape and
equally with or without reference fill batches of the run's batch size
(:func:`cyclorama.generation.batches.build_batches`). So neither the number of workers nor a restart changes
a batch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cyclorama.catalogue.categories import CategoryChooser
from cyclorama.catalogue.config import CatalogueConfig
from cyclorama.catalogue.inputs import FILES, SCHEMA, RowReader, resolve_path
from cyclorama.catalogue.manifest import get_folder, read_chunks
from cyclorama.catalogue.names import build_stems, fold_case
from cyclorama.errors import OutputError
from cyclorama.files import refuse, write_atomic
from cyclorama.generation.items import Failure
from cyclorama.generation.journal import compute_key
from cyclorama.models.registry import CategoryRegistry

FORMAT = 1
KEY_BYTES = 16
ROWS_FILE, INDEX_FILE = "rows.arrow", "plan.json"
PLAN_SCHEMA = SCHEMA.append(pa.field("output", pa.string())).append(pa.field("key", pa.binary(KEY_BYTES)))
"""The rows of a plan: those of the inputs, with the images' path without suffix, and the row's key."""

_NULL = "\x1e"
_KEYED = (
    "name", "output", *FILES, *(f"{name}_stamp" for name in FILES), "mask_means", "seed", "category",
    "identifier", "error", "reason",
)  # fmt: skip


@dataclass(frozen=True)
class PlanRow:
    """One row of the manifest, ready to be worked on or with the reason why not."""

    row: int
    name: str
    id: str | None
    image: str | None
    mask: str | None
    reference: str | None
    reference_mask: str | None
    mask_means: str | None
    seed: int | None
    category_given: str | None
    category: str | None
    identifier: str | None
    category_choice: str | None
    output: str
    """Path of the row's images without suffix, candidate and layout."""
    key: str
    """Digest of all that the images depend on, files by size and time."""
    failure: Failure | None = None


@dataclass(frozen=True)
class Plan:
    """A plan on disk; :meth:`read_shard` gives its rows."""

    folder: Path
    manifest_folder: str
    """What relative paths of rows count from."""
    rows: int
    failed: int
    """Rows that cannot be worked on, as is known already."""
    shard_size: int
    keys: tuple[str, ...]
    """One per shard: digest of its rows' keys."""

    def read_shard(self, shard: int) -> list[PlanRow]:
        """The rows of ``shard`` in order."""
        with pa.memory_map(str(self.folder / ROWS_FILE)) as source:
            columns = pa.ipc.open_file(source).get_batch(shard).to_pydict()
        names = [name for name in PlanRow.__dataclass_fields__ if name not in ("key", "failure")]
        rows = []
        for place, key in enumerate(columns["key"]):
            error = columns["error"][place]
            failure = None if error is None else Failure(error, columns["reason"][place])
            values = {name: columns[name][place] for name in names}
            rows.append(PlanRow(**values, key=key.hex(), failure=failure))
        return rows

    def read_keys(self, shard: int) -> pa.Array:
        """The keys of the rows of ``shard``, binary."""
        with pa.memory_map(str(self.folder / ROWS_FILE)) as source:
            return pa.ipc.open_file(source).get_batch(shard).column("key")

    def resolve(self, cell: str | None) -> str | None:
        """The path or address that a row's ``cell`` names."""
        return None if cell is None else resolve_path(self.manifest_folder, cell)


def build_plan(
    manifest: str,
    folder: Path,
    config: CatalogueConfig,
    registry: CategoryRegistry,
    run_values: dict[str, Any],
) -> Plan:
    """The plan of ``manifest``, written into ``folder``.

    ``run_values``: all that images depend on beside their rows (settings, model), plain values. Memory
    stays within a few hundred bytes a row. Raises ManifestError, UnknownCategoryError (default or alias),
    OutputError.
    """
    chooser = CategoryChooser(config.rules, registry)
    source = get_folder(manifest)
    reader = RowReader(source, chooser, config.mask_means, config.reference, config.reference_mask)
    part = folder / "inputs.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        names, ids, usable = _write_inputs(manifest, part, reader)
        twice = _find_repeated_ids(ids, usable)
        keys, failed = _write_rows(folder, part, build_stems(names), twice, config.shard_size, run_values)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise refuse(folder, error) from error
    finally:
        part.unlink(missing_ok=True)
    plan = Plan(folder, source, len(names), failed, config.shard_size, keys)
    index = {
        "format": FORMAT,
        "manifest_folder": source,
        "rows": plan.rows,
        "failed": failed,
        "shard_size": config.shard_size,
        "keys": list(keys),
    }
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
            f"{folder} holds no plan of this version ({error}); run `cyclorama catalogue run` with this --out"
        ) from error


def _write_inputs(manifest: str, part: Path, reader: RowReader) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Write all inputs; keep what has to be known of all rows at once: names, ids, which are usable."""
    names, ids, usable = [], [], []
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.OSFile(str(part), "wb") as sink, pa.ipc.new_stream(sink, SCHEMA, options=options) as writer:
        for chunk in read_chunks(manifest):
            batch = reader.read(chunk)
            writer.write_batch(batch)
            names.append(batch.column("name"))
            ids.append(batch.column("id"))
            usable.append(pc.is_null(batch.column("error")))
    return pa.concat_arrays(names), pa.concat_arrays(ids), pa.concat_arrays(usable)


def _find_repeated_ids(ids: pa.Array, usable: pa.Array) -> dict[int, str]:
    """Rows whose id an earlier usable row has, with the reason."""
    given = pc.and_(pc.is_valid(ids), usable)
    where = np.flatnonzero(given.to_numpy(zero_copy_only=False))
    if not len(where):
        return {}
    known = ids.take(pa.array(where))
    codes = fold_case(known).dictionary_encode().indices.to_numpy(zero_copy_only=False)
    first = np.empty(codes.max() + 1, dtype=np.int64)
    first[codes[::-1]] = where[::-1]
    return {
        int(
            row
        ): f"row {row + 1}: id {known[place].as_py()!r} is already used by row {first[codes[place]] + 1}"
        for place, row in enumerate(where)
        if first[codes[place]] != row
    }


def _write_rows(
    folder: Path, part: Path, stems: pa.Array, twice: dict[int, str], size: int, run_values: dict[str, Any]
) -> tuple[tuple[str, ...], int]:
    run_key = compute_key(run_values | {"format": FORMAT})
    temporary = folder / f"{ROWS_FILE}.part"
    keys, failed, waiting = [], 0, []
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with (
        pa.OSFile(str(temporary), "wb") as sink,
        pa.ipc.new_file(sink, PLAN_SCHEMA, options=options) as writer,
    ):

        def write(batch: pa.RecordBatch) -> None:
            writer.write_batch(batch)
            digest = hashlib.blake2b(digest_size=KEY_BYTES)
            for key in batch.column("key").to_pylist():
                digest.update(key)
            keys.append(digest.hexdigest())

        held = 0
        for batch in _complete(part, stems, twice, run_key):
            failed += len(batch) - batch.column("error").null_count
            waiting.append(batch)
            held += len(batch)
            if held >= size:
                table = pa.Table.from_batches(waiting).combine_chunks()
                whole = held - held % size
                for start in range(0, whole, size):
                    write(table.slice(start, size).to_batches()[0])
                waiting = table.slice(whole).to_batches()
                held -= whole
        if held:
            write(pa.Table.from_batches(waiting).combine_chunks().to_batches()[0])
    temporary.replace(folder / ROWS_FILE)
    return tuple(keys), failed


def _complete(part: Path, stems: pa.Array, twice: dict[int, str], run_key: str) -> Iterator[pa.RecordBatch]:
    """The inputs with their images' paths and keys."""
    with pa.OSFile(str(part), "rb") as source:
        for batch in pa.ipc.open_stream(source):
            columns = {name: batch.column(name) for name in SCHEMA.names}
            first = columns["row"][0].as_py()
            columns["output"] = stems.slice(first, len(batch))
            ours = {row - first: text for row, text in twice.items() if first <= row < first + len(batch)}
            for place, reason in ours.items():
                mask = pa.array(np.arange(len(batch)) == place)
                columns["error"] = pc.if_else(mask, "ManifestError", columns["error"])
                columns["reason"] = pc.if_else(mask, reason, columns["reason"])
            columns["key"] = _compute_keys(columns, run_key)
            yield pa.RecordBatch.from_pydict(columns, schema=PLAN_SCHEMA)


def _compute_keys(columns: dict[str, pa.Array], run_key: str) -> pa.Array:
    parts = [pc.cast(columns[name], pa.string()) for name in _KEYED]
    texts = pc.binary_join_element_wise(*parts, "\x1f", null_handling="replace", null_replacement=_NULL)
    prefix = hashlib.blake2b(run_key.encode(), digest_size=KEY_BYTES)

    def digest(text: str) -> bytes:
        own = prefix.copy()
        own.update(text.encode())
        return own.digest()

    return pa.array([digest(text) for text in texts.to_pylist()], pa.binary(KEY_BYTES))
