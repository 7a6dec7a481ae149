"""What happened to jobs, as rows in the order in which it happened."""

from __future__ import annotations

import asyncio
from asyncio import to_thread
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select

from cyclorama.service.store import Changes, Store, get_time
from cyclorama.service.tables import events

KEPT_SECONDS = 24 * 3600
"""How long a reader may be away and still go on without a gap."""
QUEUED = 256
"""Events that wait for one reader."""


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
        rows = connection.execute(query.order_by(events.c.seq).limit(limit)).all()
    return [(row.seq, row.data) for row in rows]


def find_last_event(store: Store) -> int:
    """The number of the newest event, 0 without any."""
    with store.read() as connection:
        return connection.execute(select(func.max(events.c.seq))).scalar() or 0


def find_first_event(store: Store) -> int:
    """The number of the oldest event that is still kept, 0 without any."""
    with store.read() as connection:
        return connection.execute(select(func.min(events.c.seq))).scalar() or 0


def drop_old_events(store: Store) -> None:
    """Delete what is older than a reader may be away."""
    with store.write() as connection:
        connection.execute(delete(events).where(events.c.created < get_time() - KEPT_SECONDS))


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
        """Look for new events while anybody follows, until cancelled."""
        self._loop, changes = asyncio.get_running_loop(), Changes(self._store)
        try:
            while True:
                await self._wanted.wait()
                last = await to_thread(find_last_event, self._store)
                self._ready.set()
                while self._readers:
                    if changes.poll():
                        for row in await to_thread(_read_new, self._store, last):
                            last = row.seq
                            for reader in self._readers:
                                if reader.key == row.key and (not reader.jobs or row.job in reader.jobs):
                                    reader.put(row.seq, row.data)
                    await asyncio.sleep(changes.pause)
                self._wanted.clear()
                self._ready.clear()
        finally:
            changes.close()


def _read_new(store: Store, last: int) -> Sequence[Any]:
    with store.read() as connection:
        return connection.execute(select(events).where(events.c.seq > last).order_by(events.c.seq)).all()
