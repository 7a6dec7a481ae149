"""What is asked of a Ray cluster, without one: its address, its size, tries of starting it, its answers."""

from __future__ import annotations

import os
import signal
import socket
import threading
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cyclorama.errors import InputError, ModelError, SettingsError

cluster = pytest.importorskip("cyclorama.jobs.ray_cluster")


def settle(**values: Any) -> Any:
    return cluster.EngineSettings(engine="ray", **values)


class FakeRay:
    """Ray's own calls, which only write down what they are asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.connected, self.failures, self.calls = False, 0, list[Any]()
        monkeypatch.delenv("RAY_ADDRESS", raising=False)
        for name in ("init", "shutdown", "is_initialized", "cluster_resources"):
            monkeypatch.setattr(cluster.ray, name, getattr(self, name))

    def init(self, address: str, **options: Any) -> None:
        self.calls.append((address, options))
        assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
        if len(self.calls) <= self.failures:
            raise ConnectionError("no\n raylet")
        self.connected = True

    def shutdown(self) -> None:
        self.connected = False

    def is_initialized(self) -> bool:
        return self.connected

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 6.0, "GPU": 2.0}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    return FakeRay(monkeypatch)


def test_constants_keep_ray_small() -> None:
    assert cluster._OBJECT_STORE_BYTES == 536_870_912
    assert (cluster.START_TRIES, cluster.TASK_RETRIES) == (3, 3)


def test_a_cluster_of_ones_own_is_started_here_and_gone_afterwards(fake: FakeRay) -> None:
    with cluster.join_cluster(settle(workers=3, threads=2)) as found:
        assert (found.cpus, found.gpus, fake.connected) == (6.0, 2.0, True)
        ((address, options),) = fake.calls
        assert (address, options["num_cpus"], options["include_dashboard"]) == ("local", 6, False)
        assert options["object_store_memory"] == 536_870_912
        folder = Path(options["_temp_dir"])
        assert folder.is_dir()
    assert not fake.connected and not folder.exists()
    assert "RAY_USAGE_STATS_ENABLED" not in os.environ


@pytest.mark.parametrize("variable", [False, True])
def test_another_cluster_is_joined_by_its_address(
    fake: FakeRay, monkeypatch: pytest.MonkeyPatch, variable: bool
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(cluster, "_check_answers", asked.append)
    if variable:
        monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    settings = settle() if variable else settle(address="head:6379")
    assert not cluster.is_local(settings)
    with cluster.join_cluster(settings):
        assert [(address, set(options)) for address, options in fake.calls] == [
            ("head:6379", {"logging_level", "log_to_driver"})
        ]
    assert asked == ["head:6379"] and not fake.connected


def test_a_connection_of_the_caller_is_used_and_left(fake: FakeRay) -> None:
    fake.connected = True
    assert not cluster.is_local(settle())
    with cluster.join_cluster(settle()):
        pass
    assert fake.connected and fake.calls == []


@pytest.mark.parametrize(("failures", "calls"), [(0, 1), (1, 2), (2, 3)])
def test_a_start_is_tried_three_times(fake: FakeRay, failures: int, calls: int) -> None:
    fake.failures = failures
    with cluster.join_cluster(settle()):
        assert len(fake.calls) == calls


def test_a_start_that_fails_three_times_is_named(fake: FakeRay) -> None:
    fake.failures = 99
    with pytest.raises(ModelError) as refused:
        cluster._connect("local", {})
    assert str(refused.value) == (
        "Ray cannot be started on this machine, in 3 tries (no raylet); use --engine in-process"
    )
    assert len(fake.calls) == 3


def test_a_connection_that_fails_is_tried_once(fake: FakeRay) -> None:
    fake.failures = 99
    with pytest.raises(SettingsError, match=r"no connection to the Ray cluster at 'head:1' \(no raylet\)"):
        cluster._connect("head:1", {})
    assert len(fake.calls) == 1


def test_processes_of_a_failed_start_are_ended() -> None:
    ended: list[dict[str, bool]] = []

    class Node:
        def kill_all_processes(self, **options: bool) -> None:
            ended.append(options)

        def start(self) -> None:
            raise RuntimeError("late")

    with pytest.raises(RuntimeError) as failed:
        Node().start()
    cluster._end_half_started(failed.value)
    assert ended == [{"check_alive": False, "allow_graceful": False}]


@pytest.mark.parametrize(
    ("values", "places"),
    [({}, 6), ({"threads": 2}, 3), ({"threads": 4}, 1), ({"threads": 9}, 1), ({"device": "cuda"}, 2)],
)
def test_a_cluster_has_room_for_a_worker_per_gpu_or_for_its_cpus(
    fake: FakeRay, values: dict[str, Any], places: int
) -> None:
    fake.connected = True
    assert cluster.count_places(settle(**values)) == places


@pytest.mark.parametrize(("values", "places"), [({}, 8), ({"threads": 3}, 2), ({"device": "cuda"}, 5)])
def test_without_a_cluster_this_machine_counts(
    fake: FakeRay, monkeypatch: pytest.MonkeyPatch, values: dict[str, Any], places: int
) -> None:
    import torch

    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 5)
    assert cluster.count_places(settle(**values)) == places
    assert fake.calls == []


def test_no_more_places_than_workers_are_allowed(fake: FakeRay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 10**6)
    assert cluster.count_places(settle()) == cluster.MAX_WORKERS


@pytest.mark.parametrize(
    ("values", "machine", "cpus"),
    [
        ({}, 64, 1),
        ({"workers": 3, "threads": 2}, 64, 6),
        ({"workers": 3, "threads": 2, "loaders": 4, "device": "cuda"}, 64, 18),
        ({"workers": 3, "threads": 2, "loaders": 4, "device": "cuda"}, 10, 10),
        ({"workers": 3, "threads": 2, "loaders": 4, "device": "cuda"}, 2, 6),
        ({"loaders": 4, "device": "cuda"}, None, 1),
    ],
)
def test_cpus_of_a_cluster_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: dict[str, Any], machine: int | None, cpus: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: machine)
    options = cluster._build_local_options(settle(**values), tmp_path)
    assert (options["num_cpus"], options["_temp_dir"]) == (cpus, str(tmp_path))


@pytest.mark.parametrize(("length", "usual"), [(39, True), (40, True), (41, False)])
def test_rays_folder_has_a_short_path(monkeypatch: pytest.MonkeyPatch, length: int, usual: bool) -> None:
    made: list[Any] = []
    long = "/" + "a" * (length - 1)
    monkeypatch.setattr(cluster.tempfile, "gettempdir", lambda: long)
    monkeypatch.setattr(cluster.tempfile, "mkdtemp", lambda prefix, dir: made.append(dir) or "/made")
    cluster._make_folder()
    assert made == [long if usual else "/tmp"]


# --- who answers at an address ---


class Server:
    """Answers one connection with ``parts``, each sent alone."""

    def __init__(self, *parts: bytes) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port, self.heard, self._parts = self._listening.getsockname()[1], b"", parts
        self._thread = threading.Thread(target=self._answer)
        self._thread.start()

    def _answer(self) -> None:
        connection, _ = self._listening.accept()
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while len(self.heard) < 33:
                self.heard += connection.recv(64)
            for part in self._parts:
                connection.sendall(part)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.join()
        self._listening.close()


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "ray://[127.0.0.1]:{}"])
def test_a_server_that_speaks_http2_is_ray(form: str) -> None:
    with Server(b"\0\0\0\x04", b"\0\0", b"\0\0\0and more") as server:
        cluster._check_answers(form.format(server.port))
    assert server.heard == b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"


@pytest.mark.parametrize("answer", [b"\0\0\0\x04\0\0\0\0", b"\0\0\0\x05\0\0\0\0\0", b"HTTP/1.1 400", b""])
def test_another_server_is_named(answer: bytes) -> None:
    with Server(answer) as server, pytest.raises(SettingsError, match="is not Ray; check --address"):
        cluster._check_answers(f"127.0.0.1:{server.port}")


@pytest.mark.parametrize("address", ["host", ":6379", "host:", "host:x", "ray://host", "host:-1"])
def test_what_is_no_address_is_named(address: str) -> None:
    with pytest.raises(SettingsError, match="is no address of a Ray cluster"):
        cluster._check_answers(address)


def test_nobody_is_asked_for_an_automatic_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster.socket, "create_connection", None)
    cluster._check_answers("auto")
    with pytest.raises(TypeError):
        cluster._check_answers("host:1")


# --- what runs there ---


def test_a_workers_device_is_the_only_one_it_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cluster, "set_threads", lambda count: None)
    opened: list[Any] = []
    for device in ("cuda", "cpu", "mps"):
        job = SimpleNamespace(
            engine=SimpleNamespace(device=device),
            open_worker=lambda *given: opened.append(given),
            out=tmp_path,
        )
        cluster.ClusterWorker(job, cluster.Surroundings(tmp_path, None, 1, False)).load()
    assert opened == [("cuda:0", None), ("cpu", None), ("mps", None)]
    place = cluster.Surroundings(tmp_path, None, 1, False, version="0.0.1")
    with pytest.raises(ModelError, match=r"the run was started with 0\.0\.1"):
        cluster.ClusterWorker(job, place).load()


def test_a_worker_counts_what_it_has_dealt_with(tmp_path: Path) -> None:
    worker = cluster.ClusterWorker(None, cluster.Surroundings(tmp_path, None, 1, False))
    for count in (2, 3):
        worker._advance(count)
    assert worker.count() == 5


def test_a_lost_step_tells_how_often_it_was_tried() -> None:
    for error, said in ((RuntimeError("first\nkilled"), "killed"), (RuntimeError(""), "RuntimeError")):
        future, lost = Future[Any](), Future[Any]()
        lost.set_exception(error)
        cluster._settle(future, lost)
        with pytest.raises(InputError) as told:
            future.result()
        assert str(told.value) == (
            f"the process at this item was lost 4 times (RuntimeError: {said}); is it too large for the "
            "machine's memory?"
        )
    for value, failure in ((7, None), (None, ValueError("odd"))):
        future, done = Future[Any](), Future[Any]()
        done.set_result((value, failure))
        cluster._settle(future, done)
        assert (future.exception(), None if failure else future.result()) == (failure, value)


def test_handlers_of_signals_stay_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    former = signal.getsignal(signal.SIGTERM)
    with cluster._keep_surroundings():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        assert os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] == "0"
    assert signal.getsignal(signal.SIGTERM) is former
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "1"
    assert "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO" not in os.environ
