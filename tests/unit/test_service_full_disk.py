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
from cyclorama.service import jobs, making, supervise, worker
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
    monkeypatch.setattr(worker.shutil, "disk_usage", usage)

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


def test_only_a_full_disk_is_waited_for() -> None:
    def build(number: int) -> OutputError:
        try:
            raise OutputError("cannot write") from OSError(number, "no")
        except OutputError as error:
            return error

    assert worker.is_full(build(errno.ENOSPC))
    assert not worker.is_full(build(errno.EACCES))
    assert not worker.is_full(OutputError("plain"))
