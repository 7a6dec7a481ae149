"""All that a finished run writes, in an order that a kill at any moment does not harm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cyclorama.curate.config import CurateConfig
from cyclorama.curate.decisions import Decision
from cyclorama.curate.reading import Input
from cyclorama.curate.reporting import write_report
from cyclorama.curate.reviewing import write_review
from cyclorama.curate.rules import Rules
from cyclorama.curate.settling import Row
from cyclorama.curate.splits import assign_set_splits
from cyclorama.curate.store import Store
from cyclorama.curate.tables import write_rejects, write_results
from cyclorama.curate.training_set import write_training_set
from cyclorama.curate.worker import get_limits


def write_outputs(
    store: Store,
    found: Input,
    rows: Sequence[Row],
    config: CurateConfig,
    rules: Rules,
    decisions: Mapping[str, Decision],
) -> int:
    """Write splits, training set, tables, review and report; the number of the set's shards.

    Raises OutputError, DataError (a file that has gone since it was judged).
    """
    kept = [row for row in rows if row.is_kept]
    splits = assign_set_splits([row.record for row in kept], config.output.seed, config.splits)
    for row, split in zip(kept, splits, strict=True):
        row.split = split
    limits = get_limits(config)
    keys = write_training_set(store, rows, config.output.shard_size, limits)
    write_results(store, rows, keys)
    write_rejects(store, rows, rules.names)
    write_review(store, rows, config, decisions, keys, limits)
    write_report(store, found, rows, config, rules, limits)
    return -(-len(kept) // config.output.shard_size)
