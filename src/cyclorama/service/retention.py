"""What is kept how long, and what goes when there is too much of it?

Rows grow old and are forgotten; then every file that no row names any more goes, so that nothing has to count
references. Images that were approved stay, and so do their jobs and the files of jobs that are not done.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, delete, func, select, update

from cyclorama.service.batches import BUSY, find_folder, list_left
from cyclorama.service.brands import list_assets
from cyclorama.service.events import drop_old_events
from cyclorama.service.jobs import OPEN, list_request_assets
from cyclorama.service.settings import ServiceSettings
from cyclorama.service.store import Store, get_time, list_named
from cyclorama.service.tables import assets, batches, deliveries, events, idempotency, images, jobs

DAY = 86400.0
DELIVERY_DAYS = 30.0
"""So long one can see what became of a message to a webhook."""
SWEEP_SECONDS = 3600.0
YOUNG_SECONDS = 3600.0
"""A file so young may be of a request whose row is still to come."""
_BATCH = 500


@dataclass(frozen=True)
class Swept:
    """What a sweep has taken away."""

    inputs: int = 0
    images: int = 0
    jobs: int = 0
    files: int = 0


async def keep_sweeping(store: Store, settings: ServiceSettings) -> None:
    """Sweep every hour, first after an hour."""
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        try:
            await asyncio.to_thread(sweep, store, settings)
        except Exception:
            logging.getLogger("cyclorama.service").exception("a sweep failed; the next one is in an hour")


def sweep(store: Store, settings: ServiceSettings) -> Swept:
    """Forget what is older than ``settings`` keep, and delete the files of which nothing is left to tell."""
    drop_old_events(store)
    now = get_time()
    with store.write() as connection:
        days = settings.keep_inputs
        gone_inputs = 0 if days is None else _forget_inputs(connection, now - days * DAY)
    with store.write() as connection:
        days = settings.keep_images
        gone_images = 0 if days is None else _empty_images(connection, images.c.finished < now - days * DAY)
    with store.write() as connection:
        days = settings.keep_jobs
        gone_jobs = 0 if days is None else _forget_jobs(connection, now - days * DAY)
        connection.execute(delete(idempotency).where(idempotency.c.created < now - DAY))
        connection.execute(delete(deliveries).where(deliveries.c.created < now - DELIVERY_DAYS * DAY))
        gone_batches = [] if days is None else _forget_batches(connection, now - days * DAY)
    for path in [*(find_folder(store, id) for id in gone_batches), *_list_old(list_left(store))]:
        shutil.rmtree(path, ignore_errors=True)
    files = _drop_unnamed(store)
    if settings.store_limit is not None:
        more, fewer = _make_room(store, int(settings.store_limit * 1e9))
        gone_images, files = gone_images + more, files + fewer
    _clear_incoming(store)
    return Swept(gone_inputs, gone_images, gone_jobs, files)


def _forget_inputs(connection: Connection, before: float) -> int:
    """Assets that nobody asked for since ``before`` and neither a brand nor an open job needs."""
    needed = set(list_assets(connection))
    for (request,) in connection.execute(select(jobs.c.request).where(jobs.c.state.in_(OPEN))):
        needed.update(list_request_assets(request))
    old = connection.execute(select(assets.c.seq, assets.c.id).where(assets.c.seen < before))
    gone = [seq for seq, id in old if id not in needed]
    for start in range(0, len(gone), _BATCH):
        connection.execute(delete(assets).where(assets.c.seq.in_(gone[start : start + _BATCH])))
    return len(gone)


def _empty_images(connection: Connection, *conditions: object) -> int:
    """Finished images that were not approved lose their files."""
    gone = {"state": "cancelled", "files": None, "result": None}
    where = (images.c.state == "done", images.c.decision != "approved", *conditions)
    return int(connection.execute(update(images).where(*where).values(**gone)).rowcount)  # type: ignore[arg-type]


def _forget_jobs(connection: Connection, before: float) -> int:
    """Jobs that ended before, with their images and events."""
    approved = select(images.c.job).where(images.c.state == "done", images.c.decision == "approved")
    where = (jobs.c.state.not_in(OPEN), jobs.c.finished < before, jobs.c.id.not_in(approved))
    gone = list(connection.execute(select(jobs.c.id).where(*where)).scalars())
    for start in range(0, len(gone), _BATCH):
        part = gone[start : start + _BATCH]
        connection.execute(delete(events).where(events.c.job.in_(part)))
        connection.execute(delete(images).where(images.c.job.in_(part)))
        connection.execute(delete(idempotency).where(idempotency.c.job.in_(part)))
        connection.execute(delete(jobs).where(jobs.c.id.in_(part)))
    return len(gone)


def _forget_batches(connection: Connection, before: float) -> list[str]:
    """Batches that ended before, or were begun before and never run; their ids."""
    latest = func.coalesce(batches.c.finished, batches.c.asked, batches.c.created)
    where = (batches.c.state.not_in(BUSY), latest < before)
    gone = list(connection.execute(select(batches.c.id).where(*where)).scalars())
    for id in gone:
        connection.execute(delete(events).where(events.c.job == id))
        connection.execute(delete(batches).where(batches.c.id == id))
    return gone


def _drop_unnamed(store: Store) -> int:
    """Files that no row names, except young ones."""
    before = time.time() - YOUNG_SECONDS
    found = [file.digest for file in store.blobs.scan() if file.written < before]
    with store.read() as connection:
        named = set(list_named(connection))
    gone = [digest for digest in found if digest not in named]
    for digest in gone:
        store.blobs.drop(digest)
    return len(gone)


def _make_room(store: Store, limit: int) -> tuple[int, int]:
    """The oldest images go until all files fit ``limit`` bytes, or only what stays is left."""
    sizes = {file.digest: file.bytes for file in store.blobs.scan()}
    over, gone = sum(sizes.values()) - limit, []
    if over <= 0:
        return 0, 0
    query = select(images.c.seq, images.c.files).where(
        images.c.state == "done", images.c.decision != "approved"
    )
    with store.read() as connection:
        for seq, files in connection.execute(query.order_by(images.c.finished)):
            if over <= 0:
                break
            gone.append(seq)
            over -= sum(sizes.pop(digest, 0) for digest in (files or {}).values())
    with store.write() as connection:
        for start in range(0, len(gone), _BATCH):
            _empty_images(connection, images.c.seq.in_(gone[start : start + _BATCH]))
    return len(gone), _drop_unnamed(store)


def _clear_incoming(store: Store) -> None:
    """What requests left behind that a kill cut short."""
    incoming = store.folder / "incoming"
    for path in _list_old(incoming.iterdir() if incoming.is_dir() else ()):
        shutil.rmtree(path, ignore_errors=True)


def _list_old(paths: Iterable[Path]) -> Iterator[Path]:
    """Those of ``paths`` that are no request's in work."""
    before = time.time() - YOUNG_SECONDS
    for path in paths:
        with suppress(OSError):
            if path.stat().st_mtime < before:
                yield path
