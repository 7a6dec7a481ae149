"""How the service does: what waits, who works, how long images take."""

from __future__ import annotations

import shutil
import statistics
from dataclasses import dataclass

from sqlalchemy import func, select

from cyclorama.service.jobs import MAX_WAITING
from cyclorama.service.store import Store, get_time
from cyclorama.service.tables import images, jobs, workers

LEAST_DISK = 2 * 2**30
"""Free bytes of the data folder's disk below which nothing new is taken in."""
ROOM = 256 * 2**20
"""The same below which nothing that was taken in is begun."""
SEEN_SECONDS = 30.0
"""A worker that was not heard of for so long does not count."""
_SAMPLE = 100


def has_room(store: Store) -> bool:
    """Whether the data folder's disk has room for what is begun now."""
    return shutil.disk_usage(store.folder).free >= ROOM


@dataclass(frozen=True)
class Load:
    """What waits and who works, at one moment."""

    waiting: dict[str, int]
    """Lane to images."""
    running: int
    oldest: dict[str, float]
    """Lane to the seconds its first image has waited."""
    workers: dict[str, int]
    """State (loading, ready) to workers that were heard of lately."""
    free_bytes: int
    """Of the data folder's disk."""


def measure_load(store: Store) -> Load:
    """The load now."""
    now = get_time()
    with store.read() as connection:
        queued = images.c.state == "queued"
        lines = select(images.c.lane, func.count(), func.min(images.c.created)).where(queued)
        rows = connection.execute(lines.group_by(images.c.lane)).all()
        running = select(func.count()).select_from(images).where(images.c.state == "running")
        lately = workers.c.seen > now - SEEN_SECONDS
        crew = select(workers.c.state, func.count()).where(lately).group_by(workers.c.state)
        return Load(
            waiting={lane: count for lane, count, _ in rows},
            running=connection.execute(running).scalar_one(),
            oldest={lane: now - first for lane, _, first in rows},
            workers={row[0]: row[1] for row in connection.execute(crew)},
            free_bytes=shutil.disk_usage(store.folder).free,
        )


def find_fault(load: Load) -> str | None:
    """Why the server should get no more work now, or None."""
    if not load.workers.get("ready"):
        return "no worker is ready"
    if load.free_bytes < LEAST_DISK:
        return f"{load.free_bytes:,} bytes of disk are free, the least is {LEAST_DISK:,}"
    waiting = sum(load.waiting.values())
    if waiting >= 0.9 * MAX_WAITING:
        return f"{waiting} images wait, the most is {MAX_WAITING}"
    return None


def measure_presets(store: Store, model: str | None = None) -> dict[str, float]:
    """Median seconds the model worked on an image, by preset, over the last hundred that were made."""
    query = (
        select(images.c.result["model_seconds"].as_float(), jobs.c.request["settings"]["preset"].as_string())
        .join(jobs, jobs.c.id == images.c.job)
        .where(images.c.state == "done")
        .order_by(images.c.finished.desc())
        .limit(_SAMPLE)
    )
    if model is not None:
        query = query.where(jobs.c.model == model)
    seconds: dict[str, list[float]] = {}
    with store.read() as connection:
        for spent, preset in connection.execute(query):
            if spent is not None:
                seconds.setdefault(preset or "quality", []).append(spent)
    return {preset: round(statistics.median(values), 3) for preset, values in seconds.items()}


def estimate_seconds(store: Store, count: int, preset: str) -> float | None:
    """Seconds until ``count`` images are made, by what they took lately; None where nothing was made yet."""
    known = measure_presets(store)
    if not known:
        return None
    crew = max(1, sum(measure_load(store).workers.values()))
    return round(count * known.get(preset, max(known.values())) / crew, 1)
