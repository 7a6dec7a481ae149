"""What a run would do: pictures, time and disk, without making one."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from cyclorama.catalogue.config import CatalogueConfig
from cyclorama.catalogue.engines import build_engine
from cyclorama.catalogue.inputs import resolve_path
from cyclorama.catalogue.job import Job, build_toolkit, load_pipeline_model
from cyclorama.catalogue.manifest import is_remote
from cyclorama.catalogue.plan import Plan, build_plan
from cyclorama.catalogue.run import LoadModel, find_finished
from cyclorama.catalogue.shard import build_run_values
from cyclorama.catalogue.status import measure_shard
from cyclorama.catalogue.store import Store
from cyclorama.errors import CycloramaError
from cyclorama.generation.model import ModelHandle
from cyclorama.generation.plan import read_size

PIXEL_BYTES = 2.0
"""Bytes a pixel takes in a photographic PNG, about."""
_SAMPLE = 32


@dataclass(frozen=True)
class Estimate:
    """What is ahead."""

    rows: int
    failing_rows: int
    """Rows that cannot be worked on, as is known without opening a picture."""
    finished_rows: int
    pictures: int
    """To be made, candidates and layouts included."""
    shards: int
    seconds: float
    """With the workers of the settings."""
    seconds_per_picture: float
    basis: str
    """Where that comes from: earlier shards of this output folder, or a short trial of the model."""
    bytes: int
    free_bytes: int


def estimate_run(
    manifest: str,
    out: Path,
    model: ModelHandle,
    config: CatalogueConfig,
    load_model: LoadModel = load_pipeline_model,
) -> Estimate:
    """The estimate for ``manifest``; nothing is written into ``out``.

    Raises as :func:`cyclorama.catalogue.run.run_catalogue` does before its first picture.
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
        pictures = usable * config.settings.candidates * len(toolkit.layouts)
        job = Job(out, plan, config, model, 1, load_model, toolkit)
        seconds, basis = _measure(job, store)
        size = _estimate_bytes(plan, store, config)
    return Estimate(
        rows=plan.rows,
        failing_rows=plan.failed,
        finished_rows=plan.rows - rows,
        pictures=pictures,
        shards=len(ahead),
        seconds=pictures * seconds / config.workers,
        seconds_per_picture=seconds,
        basis=basis,
        bytes=round(pictures * size),
        free_bytes=shutil.disk_usage(_find_existing(out)).free,
    )


def format_estimate(estimate: Estimate) -> str:
    """``estimate`` as lines of text."""
    values = asdict(estimate)
    hours, rest = divmod(round(estimate.seconds), 3600)
    lines = [
        f"{estimate.rows} rows: {estimate.finished_rows} in finished shards, {estimate.failing_rows} cannot "
        f"be used (see `cyclorama catalogue check`)",
        f"{estimate.pictures} pictures to make in {estimate.shards} shards",
        f"about {hours}:{rest // 60:02d}:{rest % 60:02d} ({values['seconds_per_picture']:.3g} s a picture, "
        f"from {estimate.basis})",
        f"about {estimate.bytes / 1e9:.2f} GB of disk; {estimate.free_bytes / 1e9:.2f} GB are free",
    ]
    if estimate.bytes > estimate.free_bytes:
        lines.append(
            "the disk is too small: the run would stop when it is full, and go on when there is room"
        )
    return "\n".join(lines)


def _count_rows(plan: Plan, shard: int) -> int:
    return min(plan.shard_size, plan.rows - shard * plan.shard_size)


def _measure(job: Job, store: Store) -> tuple[float, str]:
    rows, seconds = 0, 0.0
    values = build_run_values(job.config.describe(), job.toolkit.describe(), job.model.hash)
    if store.load_run().get("settings") == values:
        for shard in store.list_shards():
            count, spent, _ = measure_shard(store, shard)
            rows, seconds = rows + count, seconds + spent
    per_row = job.config.settings.candidates * len(job.toolkit.layouts)
    if rows and seconds:
        return seconds / rows / per_row, f"{rows} finished rows"
    return build_engine(job.config).measure(job).picture_seconds, "a short trial"


def _estimate_bytes(plan: Plan, store: Store, config: CatalogueConfig) -> float:
    """Bytes of a picture: of those there are, else by the pixels of a sample of inputs."""
    counted, total = 0, 0
    for shard in store.list_shards():
        mark = store.load_mark(shard)
        if mark is not None and mark.done:
            counted, total = counted + mark.done, total + measure_shard(store, shard)[2]
    if counted:
        return total / counted
    if config.settings.size is not None:
        return config.settings.size[0] * config.settings.size[1] * PIXEL_BYTES
    pixels = []
    step = max(1, len(plan.keys) // _SAMPLE)
    for shard in range(0, len(plan.keys), step):
        usable = [row for row in plan.read_shard(shard) if row.failure is None and row.image]
        for row in usable[:: max(1, len(usable) * step // _SAMPLE)][:_SAMPLE]:
            path = resolve_path(plan.manifest_folder, row.image or "")
            if is_remote(path):
                continue
            try:
                height, width = read_size(Path(path))
            except (CycloramaError, OSError):
                continue
            pixels.append(height * width)
    return PIXEL_BYTES * (sum(pixels) / len(pixels) if pixels else 1024 * 1024)


def _find_existing(path: Path) -> Path:
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path
