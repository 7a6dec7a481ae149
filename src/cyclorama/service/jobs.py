"""Jobs: how they are taken in, read, cancelled and tried again.

A job is items × outputs × candidates, each a row of ``images`` from the start, so that rows in are rows out.
An image is ``queued``, ``running``, then ``done``, ``failed`` or ``cancelled``; its job follows from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from cyclorama.config import to_plain
from cyclorama.errors import NotReadyError, QueueFullError, QuotaError, RequestError
from cyclorama.service.events import write_event
from cyclorama.service.idempotency import do_once
from cyclorama.service.schemas import JobRequest
from cyclorama.service.store import Store, find, get_time, make_id, read_page
from cyclorama.service.tables import assets, images, jobs
from cyclorama.service.webhooks import order_delivery

MAX_WAITING = 2000
"""Images that wait in a server."""
MAX_WAITING_OF_A_KEY = 200
OPEN = ("queued", "running")
ASSETS = ("image", "mask", "reference", "reference_mask", "style", "backdrop")
"""Fields of an item that name assets."""


def submit_job(
    connection: Connection, request: JobRequest, key: str, model: str, limit: int = MAX_WAITING_OF_A_KEY
) -> str:
    """Take ``request`` in and give the new job's id, all in the caller's transaction.

    Raises UnknownIdError (an asset), RequestError (more images than ``limit``), QuotaError, QueueFullError.
    """
    names = [_read_item(connection, item, key) for item in request.items]
    if request.poster is not None and request.poster.logo is not None:
        _use(connection, [find(connection, assets, request.poster.logo, key)])
    outputs, candidates = measure_item(request)
    spots = [
        (number, output, candidate)
        for number in range(len(names))
        for output in range(outputs)
        for candidate in range(1, candidates + 1)
    ]
    if len(spots) > limit:
        raise RequestError(
            f"{len(spots)} images in one job, the limit is {limit}; send several jobs, or a batch", "items"
        )
    _check_room(connection, key, len(spots), limit)
    job, now = make_id("jb"), get_time()
    values = to_request(request)
    connection.execute(
        insert(jobs).values(
            id=job, key=key, lane=request.lane, state="queued", model=model, request=values,
            items=len(names), created=now,
        )
    )  # fmt: skip
    common = {"job": job, "key": key, "lane": request.lane, "state": "queued", "losses": 0, "created": now}
    rows = [
        {"id": make_id("im"), "item": n, "output": o, "candidate": c, "name": names[n], **common}
        for n, o, c in spots
    ]
    connection.execute(insert(images), rows)
    write_event(connection, key, job, "queued", state="queued", counts={"queued": len(rows)})
    return job


def count_asked(request: JobRequest) -> int:
    """How many images a request asks for."""
    outputs, candidates = measure_item(request)
    return len(request.items) * outputs * candidates


def measure_item(request: JobRequest) -> tuple[int, int]:
    """How many outputs an item has, and candidates an output; of posters sizes and languages."""
    if request.poster is not None:
        return len(request.poster.sizes), len(request.poster.texts)
    return len(request.settings.build_layouts()), request.settings.candidates


def list_request_assets(request: Mapping[str, Any]) -> Iterator[str]:
    """Assets that a job's plain request names."""
    for item in request["items"]:
        yield from (item[name] for name in ASSETS if item.get(name))
    if logo := (request.get("poster") or {}).get("logo"):
        yield logo


def to_request(request: JobRequest) -> dict[str, Any]:
    """The request as plain values, with the settings that it names and no others."""
    settings = {name: to_plain(getattr(request.settings, name)) for name in request.settings.model_fields_set}
    return request.model_dump(mode="json", exclude={"settings"}) | {"settings": settings}


def _read_item(connection: Connection, item: Any, key: str) -> str:
    """The name of an item whose assets are all there."""
    rows = {
        name: find(connection, assets, id, key) for name in ASSETS if (id := getattr(item, name)) is not None
    }
    _use(connection, rows.values())
    return str(item.name or rows["image"]["name"])


def _use(connection: Connection, rows: Iterable[RowMapping]) -> None:
    """Note that a job asks for these assets."""
    used = [row["seq"] for row in rows]
    connection.execute(update(assets).where(assets.c.seq.in_(used)).values(seen=get_time()))


def _check_room(connection: Connection, key: str, count: int, limit: int) -> None:
    waiting = select(func.count()).select_from(images).where(images.c.state == "queued")
    own = connection.execute(waiting.where(images.c.key == key)).scalar_one()
    if own + count > limit:
        raise QuotaError(
            f"{count} images would make {own + count} waiting ones, the limit is {limit}; "
            "wait for some to be done, or ask for fewer"
        )
    everybody = connection.execute(waiting).scalar_one()
    if everybody + count > MAX_WAITING:
        raise QueueFullError(f"{everybody} images wait here, the limit is {MAX_WAITING}; come again later")


def submit_once(
    store: Store, request: JobRequest, key: str, model: str, server: str, token: str | None, fingerprint: str
) -> tuple[str, dict[str, Any] | None]:
    """The job of ``request``, and the answer that was given to it before, if ``token`` came before.

    Raises as :func:`cyclorama.service.idempotency.do_once` and :func:`submit_job` do.
    """

    def submit(connection: Connection) -> str:
        return submit_job(connection, request, key, model)

    return do_once(store, key, server, token, fingerprint, submit)


def count_images(connection: Connection, job: str) -> dict[str, int]:
    """How many of the job's images are in which state; states without any are left out."""
    query = select(images.c.state, func.count()).where(images.c.job == job).group_by(images.c.state)
    return {row[0]: row[1] for row in connection.execute(query)}


def list_images(connection: Connection, job: str) -> Sequence[RowMapping]:
    """The rows of the job's images by item, output and candidate."""
    query = select(images).where(images.c.job == job)
    order = (images.c.item, images.c.output, images.c.candidate)
    return connection.execute(query.order_by(*order)).mappings().all()


def count_ahead(connection: Connection, job: RowMapping) -> int | None:
    """Waiting images that were taken in before this job's first waiting one, in its lane or one served before
    it; None if none of its own waits."""
    waiting = images.c.state == "queued"
    first = connection.execute(
        select(func.min(images.c.seq)).where(images.c.job == job["id"], waiting)
    ).scalar()
    if first is None:
        return None
    before = select(func.count()).select_from(images).where(waiting, images.c.lane == job["lane"])
    return int(connection.execute(before.where(images.c.seq < first)).scalar_one())


def read_jobs(
    store: Store, key: str, after: str | None, limit: int, state: str | None = None
) -> tuple[list[tuple[RowMapping, dict[str, int]]], str | None]:
    """A page of jobs with their counts, newest first, and the next cursor. Raises UnknownIdError."""
    conditions = () if state is None else (jobs.c.state == state,)
    with store.read() as connection:
        rows, cursor = read_page(connection, jobs, key, after, limit, *conditions)
        return [(row, count_images(connection, row["id"])) for row in rows], cursor


def cancel_job(store: Store, id: str, key: str) -> None:
    """Let none of the job's images begin, and throw away what is being made; finished ones stay.

    A job that has ended stays as it is. Raises UnknownIdError.
    """
    with store.write() as connection:
        job, now = find(connection, jobs, id, key), get_time()
        if job["state"] not in OPEN:
            return
        mine = (images.c.job == id, images.c.state.in_(OPEN))
        gone = {"state": "cancelled", "finished": now, "lease": None, "worker": None, "files": None}
        connection.execute(update(images).where(*mine).values(**gone))
        _end(connection, job, "cancelled", count_images(connection, id))


def retry_job(store: Store, id: str, key: str) -> int:
    """Queue the job's failed images again, no others, and say how many they are.

    Raises UnknownIdError, NotReadyError (the job has not ended), QuotaError, QueueFullError.
    """
    with store.write() as connection:
        job = find(connection, jobs, id, key)
        if job["state"] in OPEN:
            raise NotReadyError(f"job {id} is {job['state']}; wait until it has ended, or cancel it")
        counts = count_images(connection, id)
        count = counts.get("failed", 0)
        if not count:
            return 0
        _check_room(connection, key, count, MAX_WAITING_OF_A_KEY)
        mine = (images.c.job == id, images.c.state == "failed")
        fresh = {"state": "queued", "error": None, "losses": 0, "finished": None}
        connection.execute(update(images).where(*mine).values(**fresh))
        connection.execute(update(jobs).where(jobs.c.id == id).values(state="queued", finished=None))
        write_event(connection, key, id, "queued", state="queued", counts=count_images(connection, id))
        return count


def settle_job(connection: Connection, id: str) -> None:
    """Bring the job's state in line with its images', after one of them has changed."""
    locked = select(jobs).where(jobs.c.id == id).with_for_update()  # two last images at once count each other
    job = connection.execute(locked).mappings().one()
    counts = count_images(connection, id)
    if job["state"] == "cancelled" or any(counts.get(state) for state in OPEN):
        return
    _end(connection, job, "done" if counts.get("done") else "failed", counts)


def _end(connection: Connection, job: RowMapping, state: str, counts: dict[str, int]) -> None:
    ended = {"state": state, "finished": get_time()}
    connection.execute(update(jobs).where(jobs.c.id == job["id"]).values(**ended))
    write_event(connection, job["key"], job["id"], "done", state=state, counts=counts)
    order_delivery(connection, "job", job, state, counts)
