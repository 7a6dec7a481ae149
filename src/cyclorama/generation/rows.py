"""``manifest.jsonl``: one row per input, in the input's order, whatever became of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cyclorama.files import write_atomic
from cyclorama.generation.journal import Entry
from cyclorama.generation.model import ModelHandle
from cyclorama.generation.plan import PlannedItem, RunConfig, describe_settings

FILE_NAME = "manifest.jsonl"


@dataclass(frozen=True)
class Outcome:
    """What became of one input: its finished images, or its failure, or neither (the run was stopped)."""

    planned: PlannedItem
    entries: tuple[Entry | None, ...]
    """One per image of the plan; None where it is not finished."""

    @property
    def status(self) -> str:
        """``done``, ``failed`` or ``pending``."""
        if self.planned.failure is not None:
            return "failed"
        return "done" if self.entries and all(self.entries) else "pending"


def build_row(index: int, outcome: Outcome, model: ModelHandle, config: RunConfig) -> dict[str, Any]:
    """The manifest row of one input as plain values."""
    planned, item = outcome.planned, outcome.planned.item
    row: dict[str, Any] = {"index": index, "input": item.name, "status": outcome.status}
    if item.id is not None:
        row["id"] = item.id
    if planned.failure is not None:
        row |= {"error": planned.failure.error, "reason": planned.failure.reason}
    row["category_given"] = item.category
    row["category"] = None if planned.category is None else planned.category.name
    row["identifier"] = None if planned.category is None else planned.category.identifier
    row["reference"] = None if item.reference is None else item.reference.name
    row |= {"run_seed": config.seed, "model": model.name, "model_hash": model.hash}
    row["settings"] = describe_settings(config)
    finished = [entry for entry in outcome.entries if entry is not None]
    if outcome.status == "done":
        first = finished[0]
        row |= {"size": list(first.size), "mask_source": first.mask_source}
        row |= _describe(first)
    if any(image.layout.name for image in planned.images) and finished:
        row["outputs"] = [
            {"layout": image.layout.name, "candidate": image.candidate, "size": list(entry.size)}
            | _describe(entry)
            for image, entry in zip(planned.images, outcome.entries, strict=True)
            if entry is not None
        ]
    elif len(planned.images) > 1 and finished:
        row["candidates"] = [_describe(entry) for entry in finished]
    return row


def _describe(entry: Entry) -> dict[str, Any]:
    values: dict[str, Any] = {
        "output": entry.output,
        "seed": entry.seed,
        "seconds": round(entry.seconds, 3),
        "report": entry.report,
    }
    if entry.placement:
        values["placement"] = entry.placement
    if entry.layers:
        values["layers"] = list(entry.layers)
    return values


def write_rows(folder: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write ``manifest.jsonl`` into ``folder`` in one step. Raises OutputError."""
    lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows]
    write_atomic(folder / FILE_NAME, "".join(lines).encode("utf-8", errors="backslashreplace"))
