"""Rows that were finished in one shard and now lie in another, because rows were added or the shard size
changed."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cyclorama.catalogue.plan import Plan
from cyclorama.catalogue.results import read_table
from cyclorama.catalogue.store import Store
from cyclorama.files import write_atomic


def note_moved_rows(store: Store, plan: Plan, open_shards: Sequence[int], finished: set[int]) -> int:
    """Write down, for each open shard, the finished rows that it finds in other shards; how many there are.

    Must be done before any shard is written anew. Rows noted by an interrupted run stay. Raises OutputError.
    """
    stale = [shard for shard in store.list_shards() if shard not in finished]
    if not stale or not open_shards:
        return 0
    wanted = [plan.read_keys(shard) for shard in open_shards]
    owners = np.repeat(np.array(open_shards), [len(keys) for keys in wanted])
    lookup = pa.concat_arrays(wanted)
    found: dict[int, list[dict[str, object]]] = {}
    for shard in stale:
        keys = _read_keys(store, shard)
        places = pc.fill_null(pc.index_in(keys, value_set=lookup), -1).to_numpy(zero_copy_only=False)
        moved = {
            keys[int(at)].as_py().hex(): int(owners[places[at]])
            for at in np.flatnonzero(places >= 0)
            if owners[places[at]] != shard
        }
        for row in store.load_shard(shard) if moved else []:
            if row["plan_key"] in moved:
                found.setdefault(moved[row["plan_key"]], []).append(row)
    for owner, rows in found.items():
        text = json.dumps([*store.load_moved(owner), *rows], ensure_ascii=False)
        write_atomic(store.get_moved(owner), text.encode("utf-8", "backslashreplace"))
    return sum(map(len, found.values()))


def _read_keys(store: Store, shard: int) -> pa.Array:
    try:
        table = read_table(store.get_timings(shard), columns=["plan_key"])
    except (OSError, pa.ArrowException):
        return pa.array([], pa.binary(16))
    keys = [bytes.fromhex(key) for key in table.column("plan_key").to_pylist()]
    return pa.array(keys, pa.binary(16))
