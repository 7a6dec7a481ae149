"""Servers and workers apart from each other: they share a PostgreSQL database and a folder of files."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from drawn import save_product
from service_server import QUICK, SECONDS, TINY, ServiceProcess
from service_store import find_postgres, run_postgres

pytestmark = pytest.mark.skipif(
    find_postgres() is None, reason="needs a PostgreSQL server; install Debian's postgresql"
)


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[tuple[str, ...]]:
    """The options that all of them have."""
    with run_postgres() as url:
        yield "--database", url, "--store", str(tmp_path / "files")


def start_worker(folder: Path, shared: tuple[str, ...]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(QUICK), "serve", "worker", "--data", str(folder), *shared])


def count_done(server: ServiceProcess, job: str) -> int:
    return int(server.get(f"/v1/jobs/{job}")["counts"]["done"])


@pytest.mark.skipif(sys.platform != "linux", reason="a worker ends with its parent's pipe")
def test_two_servers_and_workers_that_come_and_go(tmp_path: Path, shared: tuple[str, ...]) -> None:
    one, two = (
        ServiceProcess(tmp_path / name, ("--workers", "0", *shared), quick=True) for name in ("one", "two")
    )
    for server in (one, two):
        server.start()
    workers = [start_worker(tmp_path / "a", shared)]
    save_product(tmp_path / "a.png", 1, soft=False)
    items = [{"image": one.upload(tmp_path / "a.png"), "category": "perfume", "seed": n} for n in range(9)]
    ask = {"Idempotency-Key": "order-1"}
    job = one.send("/v1/jobs", {"items": items, "settings": TINY}, **ask).json["id"]
    assert two.send("/v1/jobs", {"items": items, "settings": TINY}, **ask).json["id"] == job
    until = time.monotonic() + SECONDS
    while not count_done(two, job) and time.monotonic() < until:
        time.sleep(0.15)
    assert two.ask("GET", "/readyz").status == 200
    workers[0].kill()
    workers[0].wait()
    workers.append(start_worker(tmp_path / "b", shared))
    found = two.wait_for(job)
    assert found["counts"] == {"queued": 0, "running": 0, "done": 9, "failed": 0, "cancelled": 0}
    kinds = []
    for event in one.follow(job, last="0"):
        kinds.append(event["type"])
        if event["type"] == "done":
            break
    assert kinds.count("image") == 9
    path = f"/v1/images/{found['images'][0]['id']}/file"
    assert one.ask("GET", path).body == two.ask("GET", path).body
    workers[1].send_signal(signal.SIGTERM)
    assert workers[1].wait(SECONDS) == 0
    assert [server.stop() for server in (one, two)] == [0, 0]
