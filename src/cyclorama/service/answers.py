"""Rows of the store as the shapes that are sent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import RowMapping

from cyclorama import errors
from cyclorama.errors import CycloramaError
from cyclorama.service.problems import find_status
from cyclorama.service.schemas import (
    Asset,
    Gate,
    Image,
    JobCounts,
    JobRequest,
    JobSummary,
    PosterReport,
    Problem,
)

_STATED = ("id", "job", "item", "output", "candidate", "state", "name")
_RESULT = ("category", "identifier", "seed", "width", "height", "media_type", "bytes", "sha256",
           "mask_source", "mask_confidence", "style", "seconds")  # fmt: skip


def to_time(seconds: float | None) -> Any:
    """The time of a table's column."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def to_asset(row: RowMapping) -> Asset:
    """An asset's row."""
    stated = {name: row[name] for name in ("id", "name", "media_type", "bytes", "sha256")}
    facts = {name: value for name, value in row["facts"].items() if name != "thumbnail"}
    return Asset(**stated, **facts, created=to_time(row["created"]))


def to_problem(error: Mapping[str, Any] | None) -> Problem | None:
    """What failed in a worker: its error's class and reason."""
    if error is None:
        return None
    kind = getattr(errors, error["error"], CycloramaError)
    return Problem(
        type=f"urn:cyclorama:error:{error['error']}",
        title=(kind.__doc__ or "").partition("\n")[0],
        status=find_status(kind),
        detail=error["reason"],
    )


def to_image(row: RowMapping) -> Image:
    """An image's row."""
    result: dict[str, Any] = row["result"] or {}
    stated: dict[str, Any] = {name: row[name] for name in _STATED}
    verdict, poster = result.get("verdict"), result.get("poster")
    return Image(
        **stated,
        **{name: result.get(name) for name in _RESULT},  # type: ignore[arg-type]
        created=to_time(row["created"]),
        finished=to_time(row["finished"]),
        error=to_problem(row["error"]),
        report=result.get("report") or {},
        gate=None if verdict is None else Gate(**verdict),
        preview="preview" in (row["files"] or {}),
        decision=row["decision"],
        reasons=row["reasons"] or [],
        note=row["note"],
        decided=to_time(row["decided"]),
        parent=row["parent"],
        moved=bool(result.get("moved")),
        poster=None if poster is None else PosterReport(**poster),
    )


def to_summary(row: RowMapping, counts: Mapping[str, int]) -> JobSummary:
    """A job's row and the counts of its images."""
    return JobSummary(**summarise(row, counts))


def summarise(row: RowMapping, counts: Mapping[str, int]) -> dict[str, Any]:
    """The fields of a job's summary."""
    return {
        **{name: row[name] for name in ("id", "state", "lane", "model", "items")},
        **{name: to_time(row[name]) for name in ("created", "started", "finished")},
        "counts": JobCounts(**counts),
    }


def to_request(row: RowMapping) -> JobRequest:
    """What a job was asked for."""
    return JobRequest.model_validate(row["request"])
