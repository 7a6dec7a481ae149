"""A request for images, from the moment it is understood: taken in once, waited for, answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from anyio import to_thread
from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import RowMapping

from cyclorama import errors
from cyclorama.errors import CycloramaError, NotReadyError, QueueFullError, QuotaError, RequestError
from cyclorama.posters.words import PosterBrand, check_wordings, check_words
from cyclorama.service import jobs
from cyclorama.service.answers import summarise, to_image, to_request
from cyclorama.service.brands import dress
from cyclorama.service.context import LOCAL, Service
from cyclorama.service.decisions import read_done
from cyclorama.service.health import estimate_seconds
from cyclorama.service.idempotency import compute_fingerprint, do_once, forget, keep_answer, read_token
from cyclorama.service.parts import ask_for_parts
from cyclorama.service.schemas import Image, JobDetail, JobRequest, Shape
from cyclorama.service.store import find
from cyclorama.service.tables import images
from cyclorama.service.tables import jobs as jobs_table
from cyclorama.service.webhooks import check_address

MAX_WAIT_SECONDS = 120.0
LOOK_SECONDS = 5.0
"""After so long without an event the state is read all the same."""


async def submit(
    service: Service, key: str, request: Request, order: JobRequest
) -> tuple[str, dict[str, Any] | None]:
    """The id of the job that ``order`` is, and the first answer if this request came before.

    Raises UnknownIdError, SettingsError (model), FetchError (webhook), KeyReusedError, InProgressError,
    QuotaError, QueueFullError.
    """
    service.check_open()
    handle = service.find_model(order.model)
    check_address(order.webhook, service.settings.webhooks)
    token, mark = read_token(request), compute_fingerprint(request, jobs.to_request(order))
    if key != LOCAL:
        service.rates.check(key, "images")
    order = await run_in_threadpool(dress, service.store, key, handle, order)
    if order.poster is not None:
        check_words(check_wordings(order.poster.texts), PosterBrand(avoid=order.poster.avoid))
    values = (service.store, order, key, handle.name, service.server, token, mark)
    try:
        job, answer = await run_in_threadpool(jobs.submit_once, *values)
    except (QuotaError, QueueFullError) as error:
        seconds = await run_in_threadpool(
            estimate_seconds, service.store, len(order.items), order.settings.preset
        )
        error.retry_after = min(600.0, max(1.0, seconds or 10.0))
        raise
    if key != LOCAL and answer is None:
        service.rates.take(key, "images", jobs.count_asked(order))
    return job, answer


async def wait_for_job(service: Service, key: str, job: str, seconds: float) -> str:
    """The job's state once it has ended, or after ``seconds``, or when the server stops."""
    until = time.monotonic() + seconds

    def read() -> str:
        with service.store.read() as connection:
            return str(find(connection, jobs_table, job, key)["state"])

    async with service.feed.subscribe(key, [job]) as events:
        state = await run_in_threadpool(read)
        while state in jobs.OPEN and (left := until - time.monotonic()) > 0 and not service.feed.stopping:
            taken = await events.take(min(left, LOOK_SECONDS))
            if not taken or events.dropped or any(data["type"] == "done" for _, data in taken):
                state = await run_in_threadpool(read)
    return state


async def wait_for_parts(service: Service, key: str, id: str) -> RowMapping:
    """The row of a finished image that was taken apart; waits until that is so.

    Raises UnknownIdError, NotReadyError (it is not made yet, or no worker came), what the worker met.
    """
    row = await run_in_threadpool(read_done, service.store, key, id)
    if "poster" in row["result"]:
        raise RequestError(f"image {id} is a poster; POST /v1/images/{id}/poster edits it")
    if "cut" in row["files"]:
        return row
    until = time.monotonic() + MAX_WAIT_SECONDS
    async with service.feed.subscribe(key, [row["job"]]) as events:
        row = await run_in_threadpool(ask_for_parts, service.store, key, id)
        while "cut" not in row["files"]:
            left = until - time.monotonic()
            if left <= 0 or service.feed.stopping:
                raise NotReadyError(f"no worker has taken image {id} apart yet; ask again")
            for _, data in await events.take(min(left, LOOK_SECONDS)):
                if data["type"] == "parts" and data["image"] == id and data.get("error"):
                    kind = getattr(errors, data["error"]["error"], CycloramaError)
                    raise kind(data["error"]["reason"])
            row = await run_in_threadpool(read_done, service.store, key, id)
    return row


async def make_once(
    service: Service, request: Request, order: Shape, parent: RowMapping, make: Callable[[], RowMapping]
) -> Image:
    """The image that ``make`` makes of ``parent`` while the client waits, or made when ``order`` came before.

    Raises KeyReusedError, InProgressError, and what ``make`` does.
    """
    service.check_open()
    store, key, token = service.store, parent["key"], read_token(request)
    mark = compute_fingerprint(request, order.model_dump(mode="json"))

    def work() -> Image:
        _, answer = do_once(store, key, service.server, token, mark, lambda connection: str(parent["job"]))
        if answer is not None:
            with store.read() as connection:
                return to_image(find(connection, images, answer["image"], key))
        try:
            made = make()
        except BaseException:
            forget(store, key, token)
            raise
        keep_answer(store, key, token, {"image": made["id"]})
        return to_image(made)

    return await to_thread.run_sync(work, limiter=service.children.entry)


async def drop_when_gone(service: Service, key: str, job: str, request: Request) -> None:
    """Cancel the job once the client hangs up."""
    while not await request.is_disconnected():
        await asyncio.sleep(0.25)
    await run_in_threadpool(jobs.cancel_job, service.store, job, key)


def read_detail(service: Service, key: str, id: str) -> JobDetail:
    """The job with its images. Raises UnknownIdError."""
    with service.store.read() as connection:
        row = find(connection, jobs_table, id, key)
        images = jobs.list_images(connection, id)
        counts = jobs.count_images(connection, id)
        ahead = jobs.count_ahead(connection, row) if row["state"] in jobs.OPEN else None
    values = summarise(row, counts) | {"ahead": ahead}
    if row["state"] in jobs.OPEN:
        count = (ahead or 0) + sum(counts.get(state, 0) for state in jobs.OPEN)
        preset = row["request"]["settings"].get("preset", "quality")
        values["seconds_left"] = estimate_seconds(service.store, count, preset)
    return JobDetail(**values, request=to_request(row), images=[to_image(image) for image in images])
