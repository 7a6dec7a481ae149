"""What became of every row: the kept as shards that ``cyclorama train`` reads, all in the result table, the
dropped in a log per rule. A shard whose images are the same is left alone.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cyclorama.curate.records import Finding, Verdict
from cyclorama.curate.settling import JudgedRow, format_time, list_repairs
from cyclorama.curate.store import CurateStore, ImageCache, encode_png, to_levels, to_values
from cyclorama.data.decode import find_stored_suffix
from cyclorama.data.licences import count_licences, save_set_licence
from cyclorama.data.shards import Sample, get_done_path, load_done_mark, name_keys, write_shards
from cyclorama.errors import DataError
from cyclorama.files import write_atomic
from cyclorama.jobs.store import compute_key, encode_lines


def write_training_set(
    store: CurateStore, cache: ImageCache, rows: Sequence[JudgedRow], shard_size: int
) -> dict[int, str]:
    """Write the kept of ``rows`` in their order; place in ``rows`` to key in the set.

    Beside each shard stands a note of what it is made from (``.from``), written before it: a shard with
    another note is made anew. Raises OutputError, DataError (a file that has gone since it was judged).
    """
    keys = name_rows(rows)
    places = list(keys)
    batches = [places[start : start + shard_size] for start in range(0, len(places), shard_size)]
    store.set.mkdir(parents=True, exist_ok=True)
    for number, batch in enumerate(batches):
        samples = [[keys[p], rows[p].state, dict(rows[p].layers), build_meta(rows[p])] for p in batch]
        made_from = compute_key({"samples": samples})
        tar = store.set / f"shard-{number:06d}.tar"
        note = tar.with_suffix(".from")
        if not (tar.is_file() and note.is_file() and note.read_bytes().strip() == made_from.encode()):
            get_done_path(tar).unlink(missing_ok=True)
            write_atomic(note, f"{made_from}\n".encode())
    for path in sorted(store.set.glob("shard-*")):  # of a larger set before
        if int(path.name.removeprefix("shard-").partition(".")[0]) >= len(batches):
            path.unlink(missing_ok=True)
    save_set_licence(count_licences(rows[place].record.licence for place in places), store.set)
    write_shards(_encode_open(store, cache, rows, keys, batches), store.set, shard_size)
    return keys


def name_rows(rows: Sequence[JudgedRow]) -> dict[int, str]:
    """Place of every kept row to its key in the shards: the row's own key without dots and slashes."""
    places = [place for place, row in enumerate(rows) if row.is_kept]
    return dict(zip(places, name_keys(rows[place].record.key for place in places), strict=True))


def build_meta(row: JudgedRow) -> dict[str, Any]:
    """The JSON member of a kept row; without ``mask_means``, which is of the input's mask."""
    record = row.record
    meta: dict[str, Any] = {
        "id": record.key,
        "category": row.category,
        "brand": record.brand,
        "product_id": record.product_id or record.key,
        "seed": None,
        "split": row.split or None,
        "licence": record.licence,
        "repaired_by": list_repairs(row),
    }
    if row.decision is not None:
        meta["accepted_by"] = row.decision.who
    meta |= {name: value for name, value in row.values.items() if name not in meta}
    left_out = {*meta, "mask_means"}
    return meta | {name: value for name, value in record.extra.items() if name not in left_out}


def _encode_open(
    store: CurateStore,
    cache: ImageCache,
    rows: Sequence[JudgedRow],
    keys: dict[int, str],
    batches: Sequence[Sequence[int]],
) -> Iterator[Sample]:
    """A sample per kept row; of shards that are finished, only the keys, which is all that is looked at."""
    for number, batch in enumerate(batches):
        finished = load_done_mark(store.set / f"shard-{number:06d}.tar") is not None
        for place in batch:
            key = keys[place]
            yield Sample(key, b"", None) if finished else encode_sample(rows[place], key, cache)


def encode_sample(row: JudgedRow, key: str, cache: ImageCache) -> Sample:
    """A kept row for a shard: the file's own bytes where nothing was changed, else PNG.

    Raises DataError: the file has gone or changed since it was judged.
    """
    image = cache.load_image(row.record, row.layers)
    if hashlib.sha256(image.raw).hexdigest() != row.digest:
        raise DataError(f"{row.record.image} has changed since it was judged; run again")
    if image.mask is None:
        raise DataError(f"row {row.record.key!r} has no mask; shards hold one for every image")
    suffix = find_stored_suffix(image.raw) if row.layers["pixels"] == "file" else None
    data = image.raw if suffix is not None else encode_png(image.pixels)
    return Sample(key, data, encode_png(to_levels(image.mask)), build_meta(row), suffix or "png")


RESULTS_FILE = "results.parquet"
_TO_JSON = partial(json.dumps, sort_keys=True, ensure_ascii=False)
_TEXT = pa.string()
_COLUMNS: tuple[tuple[str, pa.DataType, Callable[[JudgedRow], Any]], ...] = (
    ("row", pa.int64(), lambda row: None),  # number of the input's row, from 0
    ("key", _TEXT, lambda row: row.record.key),
    ("image", _TEXT, lambda row: row.record.image),
    ("product_id", _TEXT, lambda row: row.record.product_id),
    ("verdict", _TEXT, lambda row: row.verdict.value),  # keep, repair, review or drop
    ("rule", _TEXT, lambda row: row.rule),  # whose word it is; empty for a row kept as it came
    ("reason", _TEXT, lambda row: row.reason),
    ("category_given", _TEXT, lambda row: row.record.category),
    ("category", _TEXT, lambda row: row.category),
    ("identifier", _TEXT, lambda row: row.values.get("identifier")),
    ("brand", _TEXT, lambda row: row.record.brand),
    ("licence", _TEXT, lambda row: row.record.licence),
    ("split", _TEXT, lambda row: row.split or None),
    ("set_key", _TEXT, lambda row: None),  # key in the training set's shards
    ("sha256", _TEXT, lambda row: row.digest or None),  # of the file
    ("height", pa.int32(), lambda row: row.summary and int(row.summary.numbers["height"])),
    ("width", pa.int32(), lambda row: row.summary and int(row.summary.numbers["width"])),
    # below the output folder, if a rule changed the image, or made or changed its mask
    ("repaired_pixels", _TEXT, lambda row: _locate(row, "pixels")),
    ("product_mask", _TEXT, lambda row: _locate(row, "mask")),
    ("decided", _TEXT, lambda row: row.decision and row.decision.choice),  # if a person's decision counts
    ("decided_by", _TEXT, lambda row: row.decision and row.decision.who),
    ("decided_at", _TEXT, lambda row: row.decision and format_time(row.decision.when)),  # UTC
    # every rule's verdict, reason, numbers, boxes, values: JSON
    ("findings", _TEXT, lambda row: _TO_JSON([_compress(f) for f in row.findings])),
)


def write_results(store: CurateStore, rows: Sequence[JudgedRow], set_keys: Mapping[int, str]) -> None:
    """Write ``results.parquet``, one row per input row. Raises OutputError."""
    columns = {name: [read(row) for row in rows] for name, _, read in _COLUMNS}
    columns |= {"row": list(range(len(rows))), "set_key": [*map(set_keys.get, range(len(rows)))]}
    table = pa.table(columns, pa.schema([(name, kind) for name, kind, _ in _COLUMNS]))
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    write_atomic(store.out / RESULTS_FILE, sink.getvalue())


def write_rejects(store: CurateStore, rows: Sequence[JudgedRow], names: Sequence[str]) -> None:
    """Write a log per rule of ``names`` and per further reason, one line per dropped row.

    Raises OutputError.
    """
    logs: dict[str, list[dict[str, Any]]] = defaultdict(list, {name: [] for name in names})
    for row in rows:
        if row.verdict == Verdict.DROP:
            logs[row.rule].append(_describe_reject(row))
    for name, lines in logs.items():
        write_atomic(store.rejects / f"{name}.jsonl", encode_lines(lines))
    for path in store.rejects.glob("*.jsonl"):
        if path.stem not in logs:
            path.unlink()


def _compress(finding: Finding) -> dict[str, Any]:
    """A finding's values without those that are empty."""
    return {name: value for name, value in to_values(finding).items() if value not in ("", {}, [])}


def _locate(row: JudgedRow, layer: str) -> str | None:
    name = row.layers[layer]
    return None if name in ("file", "none") else f"cache/{name[:2]}/{name}.png"


def _describe_reject(row: JudgedRow) -> dict[str, Any]:
    blamed = next((f for f in row.findings if f.rule == row.rule and f.verdict == Verdict.DROP), None)
    names = ["key", "image", "product_id", "rule", "reason"]
    names += [] if row.decision is None else ["decided_by", "decided_at"]
    evidence = {} if blamed is None else _compress(blamed)
    kept = {name: read(row) for name, _, read in _COLUMNS if name in names}
    return kept | {name: evidence[name] for name in ("numbers", "boxes") if name in evidence}
