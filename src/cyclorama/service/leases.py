"""How workers get images to make: each claimed for a minute, renewed while it is made, published once.

A worker that vanishes loses its leases; its images are queued again, and fail after five such losses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, func, or_, select, update

from cyclorama.errors import WorkerLostError
from cyclorama.service.events import write_event
from cyclorama.service.jobs import ASSETS, settle_job
from cyclorama.service.store import Store, get_time, make_id, upsert
from cyclorama.service.tables import assets, images, jobs, turns, workers

LEASE_SECONDS = 60.0
LOSSES = 5
"""An image over which so many workers were lost fails; workers killed from outside hit fewer by chance."""
RUNNING_JOBS = 4
"""Of a key at once; its others wait, so that the first ones end."""
BULK_SHARE = 5
"""Of so many claims of a worker one goes to the bulk lane, if anything waits there."""


@dataclass(frozen=True)
class Claim:
    """An image that this worker is to make, with all that it needs of the store."""

    image: str
    lease: str
    job: str
    key: str
    item: int
    output: int
    candidate: int
    name: str
    model: str
    request: Mapping[str, Any]
    """As :class:`cyclorama.service.schemas.JobRequest`."""
    digests: Mapping[str, str]
    """Field of the item to the sha256 of its asset; without those that were deleted."""
    titles: Mapping[str, str]
    """Field of the item to the name of its asset."""
    state: str = "running"
    """Of the image while it is worked on; a finished one is taken apart."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Of a finished image, kind to digest."""


def claim_image(store: Store, worker: str, models: list[str], number: int) -> Claim | None:
    """The next image that ``worker``, which has ``models``, shall make; None if nothing waits for it.

    The interactive lane goes first, but every fifth ``number`` of a worker's claims; within a lane keys take
    turns, and a key's images are made in the order of its requests, those of RUNNING_JOBS at a time. An
    image over which a worker was lost comes after the others of its job, so that workers which are lost for
    other reasons are not lost over the same image again and again.
    """
    order = ["interactive", "bulk"]
    if number % BULK_SHARE == BULK_SHARE - 1:
        order.reverse()
    with store.read() as connection:  # writers wait for each other, so look first
        if (
            connection.execute(select(images.c.seq).where(images.c.state == "queued").limit(1)).first()
            is None
        ):
            return None
    other = jobs.alias()
    of_this_key = (other.c.key == jobs.c.key, other.c.state == "running")
    running = select(func.count()).select_from(other).where(*of_this_key).scalar_subquery()
    may_begin = or_(jobs.c.state == "running", running < RUNNING_JOBS)
    with store.write() as connection:
        for lane in order:
            served = (turns.c.key == images.c.key) & (turns.c.lane == lane)
            query = (
                select(images)
                .join(jobs, jobs.c.id == images.c.job)
                .outerjoin(turns, served)
                .where(images.c.state == "queued", images.c.lane == lane, jobs.c.model.in_(models), may_begin)
                .order_by(func.coalesce(turns.c.served, 0), jobs.c.seq, images.c.losses, images.c.seq)
                .limit(1)
                .with_for_update(of=images, skip_locked=True)
            )
            row = connection.execute(query).mappings().first()
            if row is not None:
                return _take(connection, row, worker, lane)
    return None


def _take(connection: Connection, row: Any, worker: str, lane: str) -> Claim:
    now, lease = get_time(), make_id("ls")
    values = {"state": "running", "worker": worker, "lease": lease, "lease_until": now + LEASE_SECONDS}
    connection.execute(update(images).where(images.c.id == row["id"]).values(**values))
    upsert(connection, turns, {"lane": lane, "key": row["key"]}, {"served": now})
    job = connection.execute(select(jobs).where(jobs.c.id == row["job"])).mappings().one()
    if job["state"] == "queued":
        started = {"state": "running", "started": job["started"] or now}
        connection.execute(update(jobs).where(jobs.c.id == row["job"]).values(**started))
    spot = {name: row[name] for name in ("item", "output", "candidate")}
    write_event(connection, row["key"], row["job"], "started", image=row["id"], **spot)
    return describe_claim(connection, row, job, lease)


def describe_claim(
    connection: Connection, row: RowMapping, job: RowMapping, lease: str, state: str = "running"
) -> Claim:
    """The claim of an image's ``row`` of ``job``, with what the store knows of its files."""
    item = job["request"]["items"][row["item"]]
    ids = {name: item[name] for name in ASSETS if item.get(name) is not None}
    if logo := (job["request"].get("poster") or {}).get("logo"):
        ids["logo"] = logo
    mine = (assets.c.key == row["key"], assets.c.id.in_(list(ids.values())))
    known = {found["id"]: found for found in connection.execute(select(assets).where(*mine)).mappings()}
    stated = {name: row[name] for name in ("job", "key", "item", "output", "candidate", "name")}
    return Claim(
        row["id"],
        lease,
        **stated,
        model=job["model"],
        request=job["request"],
        digests={name: known[id]["sha256"] for name, id in ids.items() if id in known},
        titles={name: known[id]["name"] for name, id in ids.items() if id in known},
        state=state,
        files=row["files"] or {},
    )


def renew_lease(store: Store, claim: Claim) -> bool:
    """Keep the claim for another minute; False if it is no longer this worker's, as after a cancel."""
    with store.write() as connection:
        until = {"lease_until": get_time() + LEASE_SECONDS}
        return bool(connection.execute(update(images).where(*hold(claim)).values(**until)).rowcount)


def is_held(store: Store, claim: Claim) -> bool:
    """Whether the claim is still this worker's."""
    with store.read() as connection:
        query = select(func.count()).select_from(images).where(*hold(claim))
        return bool(connection.execute(query).scalar_one())


def show_preview(store: Store, claim: Claim, digest: str) -> None:
    """Let the image's preview be seen until it is made, unless the claim is no longer held."""
    with store.write() as connection:
        shown = update(images).where(*hold(claim)).values(files={"preview": digest})
        if connection.execute(shown).rowcount:
            spot = {"item": claim.item, "output": claim.output, "candidate": claim.candidate}
            write_event(connection, claim.key, claim.job, "preview", image=claim.image, **spot)


def publish_image(store: Store, claim: Claim, result: Mapping[str, Any], files: Mapping[str, str]) -> bool:
    """Make the image public; False, and nothing is changed, if the claim is no longer held."""
    return _end(store, claim, "done", "image", result=dict(result), files=dict(files))


def fail_image(store: Store, claim: Claim, error: Mapping[str, Any]) -> bool:
    """Let the image stand as failed; False, and nothing is changed, if the claim is no longer held."""
    return _end(store, claim, "failed", "image_failed", error=dict(error), files=None)


def _end(store: Store, claim: Claim, state: str, event: str, **values: Any) -> bool:
    with store.write() as connection:
        ended = {"state": state, "finished": get_time(), "lease": None, "lease_until": None, **values}
        if not connection.execute(update(images).where(*hold(claim)).values(**ended)).rowcount:
            return False
        spot = {"item": claim.item, "output": claim.output, "candidate": claim.candidate}
        write_event(
            connection, claim.key, claim.job, event, image=claim.image, error=values.get("error"), **spot
        )
        settle_job(connection, claim.job)
        return True


def give_back(store: Store, claim: Claim) -> None:
    """Queue the image again, as if it had not been claimed."""
    with store.write() as connection:
        _queue_again(connection, claim.image, claim.lease)


def recover_images(store: Store, worker: str | None = None, lost: bool = True) -> int:
    """Queue images again whose lease has run out, or all of a ``worker`` that is gone; gives their number.

    Those ``lost`` for the fifth time fail; without it the worker was ended by us, which does not count.
    """
    gone = images.c.lease_until < get_time() if worker is None else images.c.worker == worker
    with store.write() as connection:
        query = select(images).where(images.c.state == "running", gone)
        rows = connection.execute(query.with_for_update(skip_locked=True)).mappings().all()
        connection.execute(delete(workers).where(workers.c.id == worker))
        for row in rows:
            losses = row["losses"] + lost
            if losses < LOSSES:
                _queue_again(connection, row["id"], row["lease"], losses=losses)
                continue
            reason = f"{losses} workers were lost while they made this image; try a smaller size or preset"
            error = {"error": WorkerLostError.__name__, "reason": reason}
            ended = {"state": "failed", "finished": get_time(), "lease": None, "error": error, "files": None}
            values = {"losses": losses, **ended}
            connection.execute(update(images).where(images.c.id == row["id"]).values(**values))
            spot = {name: row[name] for name in ("item", "output", "candidate")}
            write_event(
                connection, row["key"], row["job"], "image_failed", image=row["id"], error=error, **spot
            )
            settle_job(connection, row["job"])
        return len(rows)


def _queue_again(connection: Connection, image: str, lease: str | None, **values: Any) -> None:
    mine = (images.c.id == image, images.c.lease == lease, images.c.state == "running")
    fresh = {"state": "queued", "worker": None, "lease": None, "lease_until": None, **values}
    connection.execute(update(images).where(*mine).values(**fresh))


def hold(claim: Claim) -> tuple[Any, ...]:
    """The conditions under which an image's row is still the claim's."""
    return images.c.id == claim.image, images.c.lease == claim.lease, images.c.state == claim.state
