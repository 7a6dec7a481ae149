"""Kept rows as shards that ``cyclorama train`` reads; a shard whose images are the same is left alone."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from typing import Any

from PIL import Image

from cyclorama.curate.cache import ImageCache
from cyclorama.curate.decoding import encode_png, to_levels
from cyclorama.curate.settling import JudgedRow, list_repairs
from cyclorama.curate.store import CurateStore
from cyclorama.data.licences import count_licences, save_set_licence
from cyclorama.data.shards import Sample, get_done_path, load_done_mark, write_shards
from cyclorama.errors import DataError
from cyclorama.files import write_atomic
from cyclorama.jobs.store import compute_key

_STORED = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp"}
"""Formats whose files go into a shard as they are."""
_ORIENTATION = 0x0112


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
        made_from = [[keys[p], rows[p].state, dict(rows[p].layers), build_meta(rows[p])] for p in batch]
        _prepare(store, number, compute_key({"samples": made_from}))
    _remove_from(store, len(batches))
    save_set_licence(count_licences(rows[place].record.licence for place in places), store.set)
    write_shards(_encode_open(store, cache, rows, keys, batches), store.set, shard_size)
    return keys


def name_rows(rows: Sequence[JudgedRow]) -> dict[int, str]:
    """Place of every kept row to its key in the shards: the row's own key without dots and slashes."""
    taken: set[str] = set()
    keys = {}
    for place, row in enumerate(rows):
        if not row.is_kept:
            continue
        stem = re.sub(r"[./\s\x00-\x1f]", "_", row.record.key).strip("_") or "image"
        key, count = stem, 1
        while key in taken:
            count += 1
            key = f"{stem}-{count}"
        taken.add(key)
        keys[place] = key
    return keys


def build_meta(row: JudgedRow) -> dict[str, Any]:
    """The JSON member of a kept row."""
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
    return meta | {name: value for name, value in record.extra.items() if name not in meta}


def _prepare(store: CurateStore, number: int, made_from: str) -> None:
    """Open the shard anew unless it was made, or begun, from the same."""
    tar = store.set / f"shard-{number:06d}.tar"
    note = tar.with_suffix(".from")
    try:
        same = note.read_text(encoding="utf-8").strip() == made_from
    except OSError:
        same = False
    if not same or not tar.is_file():
        get_done_path(tar).unlink(missing_ok=True)
        write_atomic(note, f"{made_from}\n".encode())


def _remove_from(store: CurateStore, count: int) -> None:
    """Shards that a smaller set no longer has."""
    for path in sorted(store.set.glob("shard-*")):
        if int(path.name.removeprefix("shard-").partition(".")[0]) >= count:
            path.unlink(missing_ok=True)


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
            if finished:
                yield Sample(keys[place], b"", None)
            else:
                yield encode_sample(rows[place], keys[place], cache)


def encode_sample(row: JudgedRow, key: str, cache: ImageCache) -> Sample:
    """A kept row for a shard: the file's own bytes where nothing was changed, else PNG.

    Raises DataError: the file has gone or changed since it was judged.
    """
    image = cache.load_image(row.record, row.layers)
    if hashlib.sha256(image.raw).hexdigest() != row.digest:
        raise DataError(f"{row.record.image} has changed since it was judged; run again")
    if image.mask is None:
        raise DataError(f"row {row.record.key!r} has no mask; shards hold one for every image")
    suffix = _get_stored_suffix(image.raw) if row.layers["pixels"] == "file" else None
    data = image.raw if suffix is not None else encode_png(image.pixels)
    return Sample(key, data, encode_png(to_levels(image.mask)), build_meta(row), suffix or "png")


def _get_stored_suffix(data: bytes) -> str | None:
    """The member suffix under which the bytes can stay as they are, or None if they must be rewritten."""
    with Image.open(io.BytesIO(data)) as image:
        if image.mode != "RGB" or image.getexif().get(_ORIENTATION, 1) != 1:
            return None
        return _STORED.get(image.format or "")
