"""A finished image taken apart by a worker, once, when it is first asked for.

Its files then hold, beside the finished image: ``product`` on its canvas and ``cut`` from its photo (RGBA),
``lit``, the ground with the product's shadow, ``empty``, the ground without, ``shadow`` and ``light``, what
the product changes there. From them layers are made, and the image is put together anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import RowMapping, or_, select, update

from cyclorama.errors import WorkerLostError
from cyclorama.service.decisions import read_done
from cyclorama.service.events import write_event
from cyclorama.service.leases import LEASE_SECONDS, LOSSES, Claim, describe_claim, hold
from cyclorama.service.store import Store, get_time, make_id
from cyclorama.service.tables import images, jobs

PARTS = "parts"
_GONE: dict[str, Any] = {"wanted": None, "lease": None, "lease_until": None, "worker": None}


def ask_for_parts(store: Store, key: str, id: str) -> RowMapping:
    """The row of a finished image that a worker is to take apart. Raises UnknownIdError, NotReadyError."""
    with store.write() as connection:
        mine = (images.c.id == id, images.c.key == key, images.c.state == "done", images.c.wanted.is_(None))
        connection.execute(update(images).where(*mine).values(wanted=PARTS, losses=0))
    return read_done(store, key, id)


def claim_parts(store: Store, worker: str, models: list[str]) -> Claim | None:
    """The next finished image that ``worker`` shall take apart; somebody looks at it, so it goes first."""
    with store.read() as connection:
        if connection.execute(select(images.c.seq).where(images.c.wanted == PARTS).limit(1)).first() is None:
            return None
    now = get_time()
    free = or_(images.c.lease_until.is_(None), images.c.lease_until < now)
    where = (images.c.wanted == PARTS, images.c.state == "done", free, jobs.c.model.in_(models))
    with store.write() as connection:
        query = select(images).join(jobs, jobs.c.id == images.c.job).where(*where).limit(1)
        row = connection.execute(query.with_for_update(of=images, skip_locked=True)).mappings().first()
        if row is None:
            return None
        losses, lease = row["losses"] + (row["lease"] is not None), make_id("ls")
        mine = update(images).where(images.c.id == row["id"])
        if losses >= LOSSES:
            reason = f"{losses} workers were lost while they took this image apart; make it anew, smaller"
            _end(connection, mine, row, {"error": WorkerLostError.__name__, "reason": reason})
            return None
        held = {"worker": worker, "lease": lease, "lease_until": now + LEASE_SECONDS, "losses": losses}
        connection.execute(mine.values(**held))
        job = connection.execute(select(jobs).where(jobs.c.id == row["job"])).mappings().one()
        return describe_claim(connection, row, job, lease, "done")


def publish_parts(store: Store, claim: Claim, said: Mapping[str, Any], files: Mapping[str, str]) -> None:
    """Keep the parts and what is ``said`` of them, unless the claim is no longer held."""
    with store.write() as connection:
        query = select(images).where(*hold(claim)).with_for_update()
        row = connection.execute(query).mappings().first()
        if row is not None:
            kept = {"files": {**row["files"], **files}, "result": {**row["result"], **said}}
            _end(connection, update(images).where(*hold(claim)), row, None, **kept)


def fail_parts(store: Store, claim: Claim, error: Mapping[str, Any]) -> None:
    """Tell who waits that the image could not be taken apart."""
    with store.write() as connection:
        row = connection.execute(select(images).where(*hold(claim))).mappings().first()
        if row is not None:
            _end(connection, update(images).where(*hold(claim)), row, error)


def _end(
    connection: Any, statement: Any, row: RowMapping, error: Mapping[str, Any] | None, **kept: Any
) -> None:
    connection.execute(statement.values(**_GONE, **kept))
    write_event(connection, row["key"], row["job"], "parts", image=row["id"], error=error)
