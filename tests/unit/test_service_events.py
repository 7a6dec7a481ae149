"""Events reach those who follow, whatever becomes of a look and in whatever order rows are kept."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.exc import OperationalError

from cyclorama.service import events, jobs, leases, tables
from cyclorama.service.events import Feed, find_last_event, read_events, write_event
from cyclorama.service.store import Store
from cyclorama.service.submit import wait_for_job
from service_store import NEEDS_POSTGRES, add_asset, order, run_postgres


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path)
    yield opened
    opened.close()


def write(store: Store, job: str) -> None:
    with store.write() as connection:
        write_event(connection, "k", job, "progress", step=1)


def fail_once(monkeypatch: pytest.MonkeyPatch, error: Exception) -> list[int]:
    """Let the first look for new events fail; what is put in the list is a look."""
    look, looks = events._read_new, list[int]()

    def read(store: Store, last: int) -> Any:
        looks.append(last)
        if len(looks) == 1:
            raise error
        return look(store, last)

    monkeypatch.setattr(events, "_read_new", read)
    monkeypatch.setattr(events, "RETRY_SECONDS", 0.01)
    return looks


async def follow(store: Store, act: Callable[[Any], Any]) -> Any:
    feed = Feed(store)
    task = asyncio.create_task(feed.run())
    try:
        async with feed.subscribe("k") as reader:
            return await act(reader)
    finally:
        task.cancel()


@pytest.mark.parametrize(
    "error",
    [OperationalError("SELECT", {}, Exception("the connection was closed")), sqlite3.OperationalError("I/O")],
)
def test_a_look_that_fails_loses_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    write(store, "jb_0")
    looks = fail_once(monkeypatch, error)

    async def act(reader: Any) -> list[str]:
        found: list[str] = []
        for job in ("jb_1", "jb_2"):
            await asyncio.to_thread(write, store, job)
            found += [data["job"] for _, data in await reader.take(5)]
        return found

    assert asyncio.run(follow(store, act)) == ["jb_1", "jb_2"]
    assert looks[0] == 1 and len(looks) >= 3


def test_who_waits_for_a_job_hears_of_its_end_though_a_look_failed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_once(monkeypatch, OperationalError("SELECT", {}, Exception("the connection was closed")))
    job = jobs.submit_once(store, order(add_asset(store)), "local", "scenes", "server", None, "")[0]

    async def wait() -> str:
        service: Any = SimpleNamespace(store=store, feed=Feed(store))
        task = asyncio.create_task(service.feed.run())
        waiting = asyncio.create_task(wait_for_job(service, "local", job, 30.0))
        await asyncio.sleep(0.1)
        held = leases.claim_image(store, "w", ["scenes"], 0)
        assert held is not None
        leases.publish_image(store, held, {}, {"file": "x"})
        state = await waiting
        task.cancel()
        return state

    assert asyncio.run(wait()) == "done"


@NEEDS_POSTGRES
def test_a_number_that_is_kept_late_is_delivered_in_its_place(tmp_path: Path) -> None:
    with run_postgres() as url:
        store = Store(tmp_path, url)

        async def act(reader: Any) -> list[list[str]]:
            with store.engine.connect() as slow:
                write_event(slow, "k", "jb_1", "done")  # has number 1, and is not kept yet
                await asyncio.to_thread(write, store, "jb_2")
                assert read_events(store, "k", [], 0) == [] and find_last_event(store) == 0
                early = await reader.take(0.5)
                slow.commit()
            late = await reader.take(5)
            return [[data["job"] for _, data in rows] for rows in (early, late)]

        assert asyncio.run(follow(store, act)) == [[], ["jb_1", "jb_2"]]

        with store.engine.connect() as given_up:
            write_event(given_up, "k", "jb_3", "done")
            write(store, "jb_4")
            given_up.rollback()  # number 3 never comes
        assert find_last_event(store) == 2
        with store.write() as connection:
            aged = tables.events.c.created - events.SETTLE_SECONDS
            connection.execute(update(tables.events).values(created=aged))
        assert [data["job"] for _, data in read_events(store, "k", [], 1)] == ["jb_2", "jb_4"]
        store.close()


def test_the_newest_event_stays_however_old(store: Store) -> None:
    for job in ("jb_1", "jb_2"):
        write(store, job)
    with store.write() as connection:
        connection.execute(update(tables.events).values(created=0.0))
    events.drop_old_events(store)
    assert [data["job"] for _, data in read_events(store, "k", [], 0)] == ["jb_2"]
