"""What a run would do: images, time and disk, without making one."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pyarrow as pa

from cyclorama.catalogue.batching import choose_batch_size
from cyclorama.catalogue.config import CatalogueConfig
from cyclorama.catalogue.disk import count_bytes, try_encoding
from cyclorama.catalogue.job import Job, LoadModel, build_loader, build_toolkit
from cyclorama.catalogue.measuring import measure_job
from cyclorama.catalogue.plan import Plan, build_plan
from cyclorama.catalogue.results import read_table
from cyclorama.catalogue.run import find_finished
from cyclorama.catalogue.shard import build_run_values
from cyclorama.catalogue.status import measure_shard
from cyclorama.catalogue.store import Store
from cyclorama.generation.model import ModelHandle
from cyclorama.jobs.job import build_engine


@dataclass(frozen=True)
class Estimate:
    """What is ahead."""

    rows: int
    failing_rows: int
    """Rows that cannot be worked on, as is known without opening an image."""
    finished_rows: int
    images: int
    """To be made, candidates and layouts included."""
    shards: int
    seconds: float
    """With the workers of the settings."""
    seconds_per_image: float
    basis: str
    """Where that comes from: earlier shards of this output folder, or a short trial of the model."""
    bytes: int
    free_bytes: int


def estimate_run(
    manifest: str,
    out: Path,
    model: ModelHandle,
    config: CatalogueConfig,
    load_model: LoadModel | None = None,
) -> Estimate:
    """The estimate for ``manifest``; nothing is written into ``out``.

    Raises as :func:`cyclorama.catalogue.run.run_catalogue` does before its first image.
    """
    toolkit = build_toolkit(config, out)
    store = Store(out)
    values = build_run_values(config.describe(), toolkit.describe(), model.hash)
    with tempfile.TemporaryDirectory(prefix="cyclorama-plan-") as scratch:
        plan = build_plan(manifest, Path(scratch), config, model.registry, values)
        finished, with_failures = find_finished(store, plan, toolkit)
        if config.retry_failed:
            finished -= with_failures
        ahead = [shard for shard in range(len(plan.keys)) if shard not in finished]
        rows = sum(_count_rows(plan, shard) for shard in ahead)
        usable = rows if not plan.rows else round(rows * (plan.rows - plan.failed) / plan.rows)
        kept = sum(_count_kept(plan, store, shard, config.retry_failed) for shard in ahead)
        images = max(0, usable - kept) * config.settings.candidates * len(toolkit.layouts)
        job = Job(out, plan, config, model, 1, load_model or build_loader(config), toolkit)
        seconds, basis = _measure(job, store)
        size = _estimate_bytes(job, store) if images else 0.0
    return Estimate(
        rows=plan.rows,
        failing_rows=plan.failed,
        finished_rows=plan.rows - rows,
        images=images,
        shards=len(ahead),
        seconds=images * seconds / config.workers,
        seconds_per_image=seconds,
        basis=basis,
        bytes=round(images * size),
        free_bytes=shutil.disk_usage(_find_existing(out)).free,
    )


def format_estimate(estimate: Estimate) -> str:
    """``estimate`` as lines of text."""
    values = asdict(estimate)
    hours, rest = divmod(round(estimate.seconds), 3600)
    lines = [
        f"{estimate.rows} rows: {estimate.finished_rows} in finished shards, {estimate.failing_rows} cannot "
        f"be used (see `cyclorama catalogue check`)",
        f"{estimate.images} images to make in {estimate.shards} shards",
        f"about {hours}:{rest // 60:02d}:{rest % 60:02d} ({values['seconds_per_image']:.3g} s an image, "
        f"from {estimate.basis})",
        f"about {format_bytes(estimate.bytes)} of disk; {format_bytes(estimate.free_bytes)} are free",
    ]
    if estimate.bytes > estimate.free_bytes:
        lines.append(
            "the disk is too small: the run would stop when it is full, and go on when there is room"
        )
    return "\n".join(lines)


def format_bytes(count: float) -> str:
    """``count`` in MB, or from 1 GB on in GB.

    >>> format_bytes(2_340_000), format_bytes(5.1e12)
    ('2.34 MB', '5100.00 GB')
    """
    return f"{count / 1e6:.2f} MB" if count < 1e9 else f"{count / 1e9:.2f} GB"


def _count_rows(plan: Plan, shard: int) -> int:
    return min(plan.shard_size, plan.rows - shard * plan.shard_size)


def _count_kept(plan: Plan, store: Store, shard: int, retry: bool) -> int:
    """Rows of an unfinished ``shard`` that stay as an earlier run has left them, as far as it opened them."""
    finished = dict(_read_finished(store, shard))
    keys = {key.hex() for key in plan.read_keys(shard).to_pylist()}
    return sum(not (retry and finished[key] == "failed") for key in keys & finished.keys())


def _read_finished(store: Store, shard: int) -> Iterator[tuple[str, str]]:
    """(key, status) of rows whose input could be opened, from the shard's tables and its journal."""
    try:
        keys = read_table(store.get_timings(shard), columns=["plan_key"]).column("plan_key")
        rows = read_table(store.get_results(shard), columns=["status", "input_height"])
    except (OSError, pa.ArrowException):
        pass
    else:
        for key, row in zip(keys.to_pylist(), rows.to_pylist(), strict=False):
            if row["input_height"] is not None:
                yield key, row["status"]
    try:
        lines = store.get_journal(shard).read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        with suppress(ValueError):  # the line that a kill has torn
            entry = json.loads(line)
            if entry.get("result", {}).get("input_height") is not None:
                yield entry["key"], entry["result"]["status"]


def _list_equal_shards(job: Job, store: Store) -> list[int]:
    """Finished shards of an earlier run with the same settings."""
    values = build_run_values(job.config.describe(), job.toolkit.describe(), job.model.hash)
    return store.list_shards() if store.load_run().get("settings") == values else []


def _measure(job: Job, store: Store) -> tuple[float, str]:
    """The model's seconds for an image, and where they come from."""
    rows, seconds = 0, 0.0
    for shard in _list_equal_shards(job, store):
        count, spent = measure_shard(store, shard)
        rows, seconds = rows + count, seconds + spent
    per_row = job.config.settings.candidates * len(job.toolkit.layouts)
    if rows and seconds:
        return seconds / rows / per_row, f"{rows} finished rows"
    engine = build_engine(job.engine)
    if job.config.device.startswith("cpu"):  # there the model decides the batch, elsewhere the trial does
        size = choose_batch_size(job, engine, store.load_run(), needed=False)
        settings = replace(job.config.settings, batch_size=size)
        job = replace(job, config=replace(job.config, settings=settings))
    return engine.call(job.engine, measure_job, job).image_seconds, "a short trial"


def _estimate_bytes(job: Job, store: Store) -> float:
    """Bytes of an image with its layers: of those there are, else of a few inputs encoded in their stead."""
    count, size = count_bytes(store, _list_equal_shards(job, store))
    return size / count if count else try_encoding(job.plan, job.toolkit)


def _find_existing(path: Path) -> Path:
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path
