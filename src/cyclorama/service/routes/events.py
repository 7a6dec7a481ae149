"""What happens to jobs, as it happens: Server-Sent Events."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from cyclorama.errors import RequestError
from cyclorama.service.answers import to_problem
from cyclorama.service.context import Here, Key, Service
from cyclorama.service.events import find_first_event, find_last_event, read_events
from cyclorama.service.schemas import Event

router = APIRouter(prefix="/v1/events", tags=["events"])
PING_SECONDS = 15.0
RETRY_MILLISECONDS = 1000
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@router.get(
    "",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "model": Event}},
)
async def follow_events(
    request: Request,
    service: Here,
    key: Key,
    jobs: Annotated[str | None, Query(max_length=8192)] = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> StreamingResponse:
    """This key's events from now on, or those after `Last-Event-ID`, without a gap for 24 hours.

    `jobs`: only of these, with commas. Each event's `data` is an Event, its `event` the type.
    """
    if last_event_id is not None and not last_event_id.isdecimal():
        raise RequestError(
            f"Last-Event-ID {last_event_id!r} is no number; send the last event's id", "Last-Event-ID"
        )
    wanted = [job for job in (jobs or "").split(",") if job]
    last = None if last_event_id is None else int(last_event_id)
    return StreamingResponse(
        _follow(service, key, wanted, last), media_type="text/event-stream", headers=_HEADERS
    )


async def _follow(service: Service, key: str, jobs: list[str], last: int | None) -> AsyncIterator[str]:
    yield f"retry: {RETRY_MILLISECONDS}\n\n"
    async with service.feed.subscribe(key, jobs) as reader:
        if last is None:
            last = await run_in_threadpool(find_last_event, service.store)
        elif await run_in_threadpool(_has_gap, service, last):
            last = min(last, await run_in_threadpool(find_last_event, service.store))
            yield format_event({"type": "resync"}, last)
        while rows := await run_in_threadpool(read_events, service.store, key, jobs, last):
            for last, data in rows:
                yield format_event(data, last)
        sent = time.monotonic()
        while not service.feed.stopping:
            rows = await reader.take(max(0.0, sent + PING_SECONDS - time.monotonic()))
            if reader.dropped:
                reader.dropped = False
                yield format_event({"type": "resync"})
            for number, data in rows:
                if number > last:
                    last = number
                    yield format_event(data, number)
            if not rows and not service.feed.stopping:
                yield ": ping\n\n"
            sent = time.monotonic()
        yield format_event({"type": "bye"})


def _has_gap(service: Service, last: int) -> bool:
    """Whether events after number ``last`` are no longer kept, or the number is none of this store's."""
    first = find_first_event(service.store)
    return last + 1 < first or last > find_last_event(service.store)


def format_event(data: dict[str, Any], number: int | None = None) -> str:
    """An event as it is sent.

    >>> format_event({"type": "bye"})
    'event: bye\\ndata: {"type": "bye"}\\n\\n'
    """
    if data.get("error") is not None:
        problem = to_problem(data["error"])
        data = data | {"error": problem and problem.model_dump(mode="json", exclude_none=True)}
    start = "" if number is None else f"id: {number}\n"
    return f"{start}event: {data['type']}\ndata: {json.dumps(data)}\n\n"
