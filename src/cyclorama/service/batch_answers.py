"""Batches as the shapes that are sent."""

from __future__ import annotations

from typing import Any

from sqlalchemy import RowMapping

from cyclorama.service.answers import to_problem, to_time
from cyclorama.service.batch_runner import read_progress
from cyclorama.service.batch_schemas import (
    BatchCheck,
    BatchCounts,
    BatchDetail,
    BatchFailure,
    BatchRequest,
    BatchSummary,
    BatchTable,
)
from cyclorama.service.batches import find_folder
from cyclorama.service.store import Store, get_time


def to_batch_summary(store: Store, row: RowMapping) -> BatchSummary:
    """A batch's row, and how far it is."""
    return BatchSummary(**_summarise(row, _read_result(store, row)))


def to_batch(store: Store, row: RowMapping) -> BatchDetail:
    """A batch's row, and all that is known of it."""
    result = _read_result(store, row)
    failures = [BatchFailure(**failure) for failure in result["failures"]]
    return BatchDetail(
        **_summarise(row, result),
        request=BatchRequest.model_validate(row["request"]),
        files=row["found"]["files"],
        check=None if row["report"] is None else BatchCheck.model_validate(row["report"]),
        seconds_left=_estimate_left(row, result["counts"]),
        failures=failures,
        error=to_problem(row["error"]),
    )


def _summarise(row: RowMapping, result: dict[str, Any]) -> dict[str, Any]:
    return {
        **{name: row[name] for name in ("id", "state")},
        **{name: to_time(row[name]) for name in ("created", "started", "finished")},
        "table": BatchTable(**{name: value for name, value in row["found"].items() if name != "files"}),
        "counts": BatchCounts(**result["counts"]),
    }


def _read_result(store: Store, row: RowMapping) -> dict[str, Any]:
    """Counts and failures: as they were written down at the end, else as they are now."""
    if row["result"] is not None:
        return dict(row["result"])
    if row["started"] is None:
        return {"counts": {}, "failures": []}
    return read_progress(find_folder(store, row["id"]) / "out")


def _estimate_left(row: RowMapping, counts: dict[str, int]) -> float | None:
    """Seconds by the rate since this run began; before that as the check says."""
    if row["state"] not in ("queued", "running"):
        return None
    dealt = counts.get("done", 0) + counts.get("failed", 0)
    if row["state"] == "running" and dealt and counts.get("rows"):
        spent = get_time() - float(row["started"])
        return round(spent * (counts["rows"] - dealt) / dealt, 1)
    return None if row["report"] is None else round(float(row["report"]["seconds"]), 1)
