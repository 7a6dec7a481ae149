"""A whole run of posters: plan, finish the open shards, write results and sheet."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from cyclorama import __version__
from cyclorama.files import write_atomic
from cyclorama.generation.estimate import Estimate, estimate_job
from cyclorama.generation.items import ItemSource
from cyclorama.generation.job import open_network
from cyclorama.generation.results import JSON_FILE, RESULT_SCHEMA, TABLE_FILE, merge_results
from cyclorama.generation.run import note_moved_rows, plan_run, settle_config
from cyclorama.generation.sheet import (
    SHEET_NAME,
    SHOWN_ROWS,
    Cell,
    SheetRow,
    build_sheet,
    name_thumbnails,
)
from cyclorama.jobs.job import Hooks
from cyclorama.jobs.run import build_engine, run_shards
from cyclorama.jobs.store import ShardStore
from cyclorama.posters.job import FOLDER, PosterJob, try_poster

_LEFT_OUT = {"batch_places", "file_max_difference", "file_mean_difference", "gate_passed", "gate_score",
             "gate", "images"}  # fmt: skip
_OWN = [
    ("size", pa.string()),  # name of the canvas
    ("language", pa.string()),
    ("record", pa.string()),  # address of NAME.poster.json
    ("faults", pa.string()),  # of a marked poster: fault to what was measured and its limit
    ("family", pa.string()),  # of the layout
    ("energy", pa.float64()),
    ("contrast_margin", pa.float64()),  # the worst text's contrast against its limit
]
POSTER_SCHEMA = pa.schema([*(one for one in RESULT_SCHEMA if one.name not in _LEFT_OUT), *_OWN])
"""Columns of a run's results: those of ``generate`` that a poster has, and its own. ``status`` is done,
marked (a check has failed) or failed."""


@dataclass
class PosterResult:
    """What a run has done."""

    posters: Counter[str] = field(default_factory=Counter)
    """Posters by status, once all are finished."""
    made: int = 0
    """Posters made now."""
    refused: int = 0
    """Inputs that cannot be used."""
    rows: int = 0
    """Inputs."""
    finished: bool = False
    failures: list[dict[str, Any]] = field(default_factory=list)
    """The first rows that failed."""


def run_posters(source: ItemSource, job: PosterJob, hooks: Hooks | None = None) -> PosterResult:
    """Make every poster of ``source`` that the job's folder does not hold yet: one row per input, canvas and
    language.

    Invariant: however often it is killed and run again, with any number of workers, the folder ends with the
    same posters and results, byte for byte. Raises UnknownCategoryError (default or alias), OutputError
    (disk, another run), ModelError.
    """
    hooks, store, config = hooks or Hooks(), ShardStore(job.out), job.config
    engine = build_engine(config.engine)
    job = job.replace(config=settle_config(config, engine, job.model))
    open_network(config.run.cutout)
    with store.lock(() if config.run.overwrite else (FOLDER,), hooks.noted):
        job, finished = plan_run(source, job, hooks)
        plan = job.plan
        items = {
            shard: job.images_per_row * plan.count_rows(shard)
            for shard in range(len(plan.keys))
            if shard not in finished
        }
        store.save_values(
            {
                "cyclorama": __version__,
                "input": source.name,
                "source": source.address,
                "notes": source.notes,
                "model": job.model.name,
                "model_hash": job.model.hash,
                "settings": job.describe(),
                "shard_size": job.engine.shard_size,
                "rows_per_input": job.images_per_row,
            }
        )
        result = PosterResult(rows=plan.rows)
        if items:
            for name in (JSON_FILE, TABLE_FILE):
                (job.out / name).unlink(missing_ok=True)
            note_moved_rows(store, plan, list(items), finished)
            result.made = run_shards(job, items, hooks, engine).made
        _conclude(store, job, result)
    return result


def estimate_posters(source: ItemSource, job: PosterJob) -> Estimate:
    """What is ahead, in posters; nothing is written. Raises as :func:`run_posters`, or a trial, does."""
    config = settle_config(job.config, build_engine(job.engine), job.model)
    return estimate_job(source, job.replace(config=config), try_poster)


def _conclude(store: ShardStore, job: PosterJob, result: PosterResult) -> None:
    """With every shard finished: results, sheet, and nothing left of smaller plans."""
    marks = (store.load_mark(shard, key) for shard, key in enumerate(job.plan.keys))
    refused = [None if mark is None else mark["refused"] for mark in marks]
    result.finished = None not in refused
    if not result.finished:
        return
    result.refused = sum(filter(None, refused))
    store.drop_shards_from(len(refused))
    shown: dict[int, list[dict[str, Any]]] = {}
    for row in merge_results(store, len(refused), POSTER_SCHEMA):
        result.posters[row["status"]] += 1
        if row["status"] == "failed" and len(result.failures) < SHOWN_ROWS:
            result.failures.append(row)
        elif row["status"] != "failed" and row["row"] < SHOWN_ROWS:
            shown.setdefault(row["row"], []).append(row)
    counts = result.posters
    said = f"{counts['done']} of {counts.total()} posters pass all checks"
    said += "".join(f", {counts[name]} {what}" for name, what in _OTHERS.items() if counts[name])
    settings = ", ".join(f"{name} {value}" for name, value in job.describe_settings().items())
    run = f"Model {job.model.name} ({job.model.hash}), run seed {job.config.run.seed}"
    cards = [_build_card(job, rows) for rows in shown.values()]
    page = build_sheet("Posters", [said, run, settings], cards, result.failures)
    write_atomic(store.out / SHEET_NAME, page.encode("utf-8", "backslashreplace"))
    store.clear_work()


_OTHERS = {"marked": "are marked", "failed": "failed"}


def _build_card(job: PosterJob, rows: list[dict[str, Any]]) -> SheetRow:
    """The sheet's card of one input: its product and its posters."""
    first, cells, notes = rows[0], [], []
    names = name_thumbnails(first["stem"], "", True, first.get("reference_digest"))
    for kind, caption in (("product", "product"), ("reference", f"reference {first.get('reference')}")):
        if kind in names and (job.out / names[kind]).exists():
            cells.append(Cell(caption, f"{caption.capitalize()} of {first['name']}", names[kind]))
    for row in rows:
        ending = job.name_ending(row["size"], row["language"])
        thumbnail = name_thumbnails(row["stem"], ending, False, None)["result"]
        label = f"{row['size']}, {row['language']}" + ("" if row["status"] == "done" else ": marked")
        alt = f"Poster of {row['name']}, {label}"
        shown = thumbnail if (job.out / thumbnail).exists() else row["output"]
        cells.append(Cell(label, alt, shown, row["output"]))
        notes += [f"{label}: {fault}: {why}" for fault, why in (row["faults"] or {}).items()]
    note = " · ".join([f"{first['category']} ({first['category_source']})", *notes, *(first["notes"] or ())])
    return SheetRow(first["name"], note, tuple(cells))
