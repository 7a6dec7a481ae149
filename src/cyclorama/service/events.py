"""What happened to jobs, as rows in the order in which it happened."""

from __future__ import annotations

import asyncio
import logging
from asyncio import to_thread
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select

from cyclorama.service.store import Changes, Store, get_time
from cyclorama.service.tables import events

KEPT_SECONDS = 24 * 3600
"""How long a reader may be away and still go on without a gap."""
QUEUED = 256
"""Events that wait for one reader."""
SETTLE_SECONDS = 3.0
"""So long a missing number may still be written: PostgreSQL gives numbers before it keeps their rows."""
RETRY_SECONDS = 1.0
"""Between two looks while they fail."""
_LATEST = 512
_LOG = logging.getLogger("cyclorama.service")


def write_event(connection: Connection, key: str, job: str, type: str, **values: Any) -> None:
    """Append an event, in the transaction of what it tells; ``values`` are fields of its shape."""
    data = {"type": type, "job": job} | {name: value for name, value in values.items() if value is not None}
    connection.execute(insert(events).values(key=key, job=job, data=data, created=get_time()))


def read_events(
    store: Store, key: str, jobs: Sequence[str], after: int, limit: int = 256
) -> list[tuple[int, dict[str, Any]]]:
    """Up to ``limit`` events of ``key`` that came after number ``after``, the oldest first.

    ``jobs``: only of these; empty: of all.
    """
    query = select(events.c.seq, events.c.data).where(events.c.key == key, events.c.seq > after)
    if jobs:
        query = query.where(events.c.job.in_(jobs))
    with store.read() as connection:
        query = query.where(events.c.seq <= _find_settled(connection))
        rows = connection.execute(query.order_by(events.c.seq).limit(limit)).all()
    return [(row.seq, row.data) for row in rows]


def find_last_event(store: Store) -> int:
    """The number of the newest event before which none is still to come, 0 without any."""
    with store.read() as connection:
        return _find_settled(connection)


def _find_settled(connection: Connection) -> int:
    """As :func:`find_last_event`: later ones wait for numbers between, until those are too late to come."""
    if connection.dialect.name == "sqlite":  # one writer at a time: the numbers are in the order of commits
        return connection.execute(select(func.max(events.c.seq))).scalar() or 0
    latest = select(events.c.seq, events.c.created).order_by(events.c.seq.desc()).limit(_LATEST)
    rows, settled = connection.execute(latest).all(), 0
    earlier = [row.seq for row in rows[1:]]
    if rows:
        earlier.append(0 if len(rows) < _LATEST else rows[-1].seq - 1)
    for row, before in zip(rows, earlier, strict=True):
        settled = settled or row.seq
        if before != row.seq - 1 and row.created > get_time() - SETTLE_SECONDS:
            settled = 0
    return settled


def find_first_event(store: Store) -> int:
    """The number of the oldest event that is still kept, 0 without any."""
    with store.read() as connection:
        return connection.execute(select(func.min(events.c.seq))).scalar() or 0


def drop_old_events(store: Store) -> None:
    """Delete what is older than a reader may be away, but the newest, from which numbers go on."""
    with store.write() as connection:
        newest = select(func.max(events.c.seq)).scalar_subquery()
        old = (events.c.created < get_time() - KEPT_SECONDS, events.c.seq < newest)
        connection.execute(delete(events).where(*old))


@dataclass(eq=False)
class Subscription:
    """New events of one reader; what it does not take in time is dropped, and it is told so."""

    key: str
    jobs: frozenset[str]
    queue: deque[tuple[int, dict[str, Any]]] = field(default_factory=lambda: deque(maxlen=QUEUED))
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    dropped: bool = False

    def put(self, number: int, data: dict[str, Any]) -> None:
        """Add an event; the oldest one goes if too many wait."""
        self.dropped |= len(self.queue) == QUEUED
        self.queue.append((number, data))
        self.arrived.set()

    async def take(self, seconds: float) -> list[tuple[int, dict[str, Any]]]:
        """What has come, after waiting for it up to ``seconds``; empty if nothing did."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.arrived.wait()
        self.arrived.clear()
        taken = list(self.queue)
        self.queue.clear()
        return taken


class Feed:
    """Hands new events of the store, whoever writes them, to those who follow them in this process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._readers: set[Subscription] = set()
        self._wanted, self._ready = asyncio.Event(), asyncio.Event()
        self._last = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self.stopping = False
        """Whether readers shall say good-bye."""

    @property
    def readers(self) -> int:
        """How many follow."""
        return len(self._readers)

    @asynccontextmanager
    async def subscribe(self, key: str, jobs: Iterable[str] = ()) -> AsyncIterator[Subscription]:
        """Events of ``key`` from now on; ``jobs``: only of these, if any are named.

        What the store holds once the block begins is not among them: read it there.
        """
        reader = Subscription(key, frozenset(jobs))
        self._readers.add(reader)
        self._wanted.set()
        try:
            await self._ready.wait()
            yield reader
        finally:
            self._readers.discard(reader)

    def stop_soon(self) -> None:
        """Let all readers say good-bye; from any thread."""
        self.stopping = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for reader in self._readers:
            reader.arrived.set()

    async def run(self) -> None:
        """Look for new events while anybody follows, until cancelled; a look that fails is taken again."""
        self._loop = asyncio.get_running_loop()
        while True:
            await self._wanted.wait()
            try:
                with closing(Changes(self._store)) as changes:
                    await self._follow(changes)
            except Exception:  # such as a database that starts anew
                _LOG.exception("the events cannot be read; again in %s s", RETRY_SECONDS)
                await asyncio.sleep(RETRY_SECONDS)

    async def _follow(self, changes: Changes) -> None:
        """Hand events on until nobody follows; after an error from the first one that was not."""
        if not self._ready.is_set():
            self._last = await to_thread(find_last_event, self._store)
            self._ready.set()
        while self._readers:
            if changes.poll():
                for row in await to_thread(_read_new, self._store, self._last):
                    self._last = row.seq
                    for reader in self._readers:
                        if reader.key == row.key and (not reader.jobs or row.job in reader.jobs):
                            reader.put(row.seq, row.data)
            await asyncio.sleep(changes.pause)
        self._wanted.clear()
        self._ready.clear()


def _read_new(store: Store, last: int) -> Sequence[Any]:
    with store.read() as connection:
        new = (events.c.seq > last, events.c.seq <= _find_settled(connection))
        return connection.execute(select(events).where(*new).order_by(events.c.seq)).all()
