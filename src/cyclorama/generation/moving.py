"""Rows that were finished in one shard and now lie in another, because rows were added or the shard size
changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cyclorama.generation.plan import Plan
from cyclorama.generation.shard import name_moved
from cyclorama.jobs.store import ShardStore


def note_moved_rows(store: ShardStore, plan: Plan, open_shards: Sequence[int], finished: set[int]) -> None:
    """Write down, for each open shard, the finished rows that it finds in other shards.

    Must be done before any shard is written anew. Rows noted by an interrupted run stay. Raises OutputError.
    """
    stale = [shard for shard in store.list_shards() if shard not in finished]
    if not stale:
        return
    owners = {key: shard for shard in open_shards for key in plan.read_keys(shard)}
    found: dict[int, list[dict[str, Any]]] = {}
    for shard in stale:
        for row in store.load_rows(shard):
            owner = owners.get(row["plan_key"], shard)
            if owner != shard:
                found.setdefault(owner, []).append(row)
    for owner, rows in found.items():
        known = store.load_values(name_moved(owner)).get("rows", [])
        store.save_values({"rows": [*known, *rows]}, name_moved(owner))
