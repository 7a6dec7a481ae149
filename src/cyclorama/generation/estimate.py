"""Before a run: what would it make, in which time, with how many bytes?"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from cyclorama.errors import ImageError, MaskError
from cyclorama.generation.batches import choose_batch_size, measure_job
from cyclorama.generation.earlier import compare_left, find_left
from cyclorama.generation.items import ItemSource
from cyclorama.generation.job import ImageRun, LoadModel
from cyclorama.generation.model import ModelHandle
from cyclorama.generation.plan import PlanRow
from cyclorama.generation.result import encode_files
from cyclorama.generation.run import plan_job, settle_config
from cyclorama.generation.settings import RunConfig
from cyclorama.generation.worker import ImageJob
from cyclorama.imaging.compositing import composite
from cyclorama.imaging.product import Product
from cyclorama.jobs.run import build_engine
from cyclorama.jobs.store import ShardStore

R = TypeVar("R", bound=ImageRun)
USUAL_BYTES = 2.0 * 1024 * 1024
"""Of a photographic PNG of a megapixel, about; for inputs that cannot be looked at from here."""
TRIALS = 8


@dataclass(frozen=True)
class Estimate:
    """What is ahead of a run."""

    rows: int
    finished: int
    """Rows in finished shards."""
    failed: int
    """Rows that cannot be used, as is known already."""
    images: int
    """To be made."""
    shards: int
    """That they lie in."""
    seconds_an_image: float
    basis: str
    """Where that comes from."""
    workers: int
    bytes: int
    """Of the images to be made."""
    free_bytes: int
    """Of the disk."""

    @property
    def seconds(self) -> float:
        """Of the whole run."""
        return self.images * self.seconds_an_image / self.workers

    def describe(self) -> str:
        """Lines of text."""
        hours, rest = divmod(round(self.seconds), 3600)
        lines = [
            f"{self.rows} rows: {self.finished} in finished shards, {self.failed} cannot be used "
            "(see `cyclorama check`)",
            f"{self.images} images to make in {self.shards} shards",
            f"about {hours}:{rest // 60:02d}:{rest % 60:02d} ({self.seconds_an_image:.3g} s an image, from "
            f"{self.basis})",
            f"about {format_bytes(self.bytes)} of disk; {format_bytes(self.free_bytes)} are free",
        ]
        if self.bytes > self.free_bytes:
            lines.append(
                "the disk is too small: the run would stop when it is full, and go on with more room"
            )
        return "\n".join(lines)


def estimate_run(
    source: ItemSource, out: Path, model: ModelHandle, config: RunConfig, load_model: LoadModel | None = None
) -> Estimate:
    """What is ahead for ``source``; nothing is written into ``out``.

    Raises as :func:`cyclorama.generation.run.run_images` does before its first image.
    """
    config = settle_config(config, build_engine(config.engine), model)
    return estimate_job(source, ImageJob(out, config, model, load_model=load_model), _try_image)


def estimate_job(source: ItemSource, job: R, trial: Callable[[R], tuple[float, float]]) -> Estimate:
    """What is ahead for ``source`` in a job of one or more images a row.

    ``trial`` gives seconds and bytes of an image where no earlier run tells them.
    """
    store = ShardStore(job.out)
    with tempfile.TemporaryDirectory(prefix="cyclorama-plan-") as scratch:
        job, finished = plan_job(source, job, Path(scratch) / "plan")
        if not job.config.run.overwrite:
            stale = [shard for shard in store.list_known() if shard not in finished]
            compare_left(job, store, find_left(store, stale), finished, source)
        plan = job.plan
        ahead = [shard for shard in range(len(plan.keys)) if shard not in finished]
        rows = sum(map(plan.count_rows, ahead))
        usable = rows if not plan.rows else round(rows * (plan.rows - plan.failed) / plan.rows)
        kept = sum(_count_kept(job, store, shard) for shard in ahead)
        images = max(0, usable - kept) * job.images_per_row
        seconds, size, basis = _measure(job, store, images > 0, trial)
    place = next(p for p in [job.out.absolute(), *job.out.absolute().parents] if p.exists())
    return Estimate(
        rows=plan.rows,
        finished=plan.rows - rows,
        failed=plan.failed,
        images=images,
        shards=len(ahead),
        seconds_an_image=seconds,
        basis=basis,
        workers=job.engine.workers or 1,
        bytes=round(images * size),
        free_bytes=shutil.disk_usage(place).free,
    )


def format_bytes(count: float) -> str:
    """``count`` in MB, or from 1 GB on in GB.

    >>> format_bytes(2_340_000), format_bytes(5.1e12)
    ('2.34 MB', '5100.00 GB')
    """
    return f"{count / 1e6:.2f} MB" if count < 1e9 else f"{count / 1e9:.2f} GB"


def _count_kept(job: ImageRun, store: ShardStore, shard: int) -> int:
    """Rows of an unfinished ``shard`` that stay as an earlier run has left them, as far as it opened them."""
    rows = store.load_rows(shard) + [e["result"] for e in store.read_journal(shard) if "result" in e]
    retry = job.config.run.retry == "failed"
    known = {r["plan_key"] for r in rows if r.get("input_height") and not (retry and r["status"] == "failed")}
    return len(known.intersection(job.plan.read_keys(shard)))


def _measure(
    job: R, store: ShardStore, needed: bool, trial: Callable[[R], tuple[float, float]]
) -> tuple[float, float, str]:
    """The model's seconds and the bytes of an image, and where they come from: of finished shards of an
    earlier run with the same settings, else a trial."""
    rows = images = size = 0
    seconds = 0.0
    same = store.load_values().get("settings") == job.describe()
    for shard in store.list_shards() if same else ():
        mark = store.load_mark(shard) or {"done": 0, "images": 0, "files": [], "model_seconds": 0.0}
        rows, images, seconds = rows + mark["done"], images + mark["images"], seconds + mark["model_seconds"]
        size += sum(count for _, count in mark["files"])
    if images and seconds:
        return seconds / rows / job.images_per_row, size / images, f"{rows} finished rows"
    if not needed:
        return 0.0, 0.0, "nothing to make"
    return *trial(job), "a short trial"


def _try_image(job: ImageRun) -> tuple[float, float]:
    """The model's seconds and the bytes of an image, by trial."""
    engine = build_engine(job.engine)
    if job.engine.device.startswith("cpu"):  # there the model decides the batch, elsewhere the trial does
        images = job.plan.rows * job.images_per_row
        earlier = {} if job.config.run.overwrite else ShardStore(job.out).load_values()
        count = choose_batch_size(job, engine, earlier, images)
        settings = job.config.settings.replace(batch_size=count)
        job = job.replace(config=job.config.replace(settings=settings))
    found: float = engine.call(job.engine, measure_job, job)[1]
    return found, try_encoding(job)


def try_encoding(job: ImageRun) -> float:
    """Mean bytes of an image with the job's canvases and files: eight inputs, spread over the plan, stand in
    for images.

    Inputs elsewhere than on a disk, and such as cannot be read, are passed over; with none left it is two
    bytes a pixel.
    """
    sizes: list[float] = []
    step = max(1, len(job.plan.keys) // TRIALS)
    for shard in range(0, len(job.plan.keys), step):
        rows = [row for row in job.plan.read_shard(shard) if row.failure is None]
        for row in rows[:: max(1, len(rows) * step // TRIALS)][: 2 * TRIALS]:  # more: some may fail
            if len(sizes) < TRIALS and row.image is not None and Path(row.image).is_file():
                with suppress(ImageError, MaskError, OSError):  # the run will name it; this is an estimate
                    sizes.append(_encode(job, row))
    return sum(sizes) / len(sizes) if sizes else USUAL_BYTES


def _encode(job: ImageRun, row: PlanRow) -> float:
    product, total = Product.from_image(row.image, row.mask, mask_means=row.mask_means), 0
    for layout in job.layouts:
        placed = layout.place(product)
        size = placed.size[::-1]
        photo = np.asarray(Image.fromarray(product.pixels).resize(size, Image.Resampling.BICUBIC))
        files, _ = encode_files(composite(photo, placed), photo, placed, {}, job.config.settings)
        total += sum(map(len, files.values()))
    return total / len(job.layouts)
