"""A full disk costs time and no image: what workers and their supervisor do while the store takes nothing."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from cyclorama.errors import OutputError
from cyclorama.files import is_full
from cyclorama.service import batch_runner, batches, health, jobs, making, supervise, worker
from cyclorama.service.batch_runner import BatchRunner
from cyclorama.service.settings import ServiceSettings
from cyclorama.service.store import Store
from cyclorama.service.supervise import Workforce
from service_store import add_asset, order

FULL = OperationalError("INSERT", {}, OSError("database or disk is full"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path)
    yield opened
    opened.close()


class FullMaker:
    """Meets a full disk twice, then makes."""

    left = 2

    def make(self, claim: Any, watch: Any) -> Any:
        if self.left:
            self.left -= 1
            raise OutputError("the disk is full") from OSError(errno.ENOSPC, "no space")
        return {"seed": 1}, {}


def count(store: Store, job: str) -> dict[str, int]:
    with store.read() as connection:
        return jobs.count_images(connection, job)


def test_an_image_that_meets_a_full_disk_is_made_later(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert making  # loaded before the clock runs
    monkeypatch.setattr(worker, "PAUSE_SECONDS", 0.02)
    job = jobs.submit_once(store, order(add_asset(store), 2), "local", "scenes", "server", None, "")[0]
    free, refused, publish = [0] * 3, [FULL] * 3, worker.publish_image
    usage = lambda folder: SimpleNamespace(free=free.pop() if free else 2**40)  # noqa: E731
    monkeypatch.setattr(health.shutil, "disk_usage", usage)

    def publish_late(*values: Any) -> bool:
        if refused:
            raise refused.pop()
        return publish(*values)

    monkeypatch.setattr(worker, "publish_image", publish_late)
    hand = worker._Hand("w", store, {"scenes": FullMaker()}, threading.Event())  # type: ignore[dict-item]
    thread = threading.Thread(target=hand.work)
    thread.start()
    until = time.monotonic() + 20
    while count(store, job).get("done") != 2 and time.monotonic() < until:
        with store.write() as connection:  # as a worker's sign of life does, which lets it look again
            values = {"state": "ready", "models": [], "seen": time.time()}
            worker.upsert(connection, worker.workers, {"id": "w"}, values)
        time.sleep(0.05)
    hand.stopping.set()
    thread.join()
    assert count(store, job) == {"done": 2}
    assert (free, refused) == ([], [])


def test_who_watches_the_workers_goes_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(supervise, "SWEEP_SECONDS", 0.0)
    calls = []

    def recover(*values: Any, **more: Any) -> int:
        calls.append(values)
        if len(calls) < 3:
            raise FULL
        return 0

    monkeypatch.setattr(supervise, "recover_images", recover)
    workforce = Workforce(ServiceSettings(data=store.folder, workers=0), store)
    workforce.start()
    until = time.monotonic() + 10
    while len(calls) < 5 and time.monotonic() < until:
        time.sleep(0.02)
    workforce.stop(0)
    assert len(calls) >= 5


def test_a_batch_waits_for_room_and_no_loss_is_counted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its child ends without a word, since it cannot write one."""
    room, begun = [False], []

    class Child:
        def __init__(self, **values: Any) -> None:
            begun.append(values["name"])

        def start(self) -> None: ...

        def is_alive(self) -> bool:
            return False

    monkeypatch.setattr(batch_runner, "has_room", lambda store: room[0])
    id, _ = batches.begin_batch(store)
    with store.write() as connection:
        batches.add_batch(connection, id, "local", {"name": None, "rows": 1, "files": 1}, "scenes")
    batches.ask(store, "local", id, "queued", None)
    runner = BatchRunner(ServiceSettings(data=store.folder), store)
    monkeypatch.setattr(runner._context, "Process", Child, raising=False)
    assert runner._begin("run") is None
    room[0] = True
    child = runner._begin("run")
    assert child is not None
    room[0] = False
    runner._settle("run", child)
    row = batches.find_batch(store, "local", id)
    assert (row["state"], row["losses"], begun) == ("queued", 0, ["cyclorama-run"])


def test_only_a_full_disk_is_waited_for() -> None:
    def build(number: int) -> OutputError:
        try:
            raise OutputError("cannot write") from OSError(number, "no")
        except OutputError as error:
            return error

    assert is_full(build(errno.ENOSPC))
    assert not is_full(build(errno.EACCES))
    assert not is_full(OutputError("plain"))
