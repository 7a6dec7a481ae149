"""The pieces of a run of shards alone: devices, counting, progress, the stop signal, and what Ray is told."""

from __future__ import annotations

import io
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest

from cyclorama.errors import InputError, MaskError, ModelError, OutputError, SettingsError
from cyclorama.jobs.in_process import InProcessEngine, _list_devices
from cyclorama.jobs.job import EngineSettings, Hooks, Job, ShardReport, Worker
from cyclorama.jobs.progress import ProgressReport, catch_stop
from cyclorama.jobs.run import Totals, build_engine, run_shards
from cyclorama.jobs.store import ShardStore, decode_lines, encode_lines


class Scripted:
    """An engine that gives the reports it was made with."""

    def __init__(self, reports: Sequence[ShardReport], advanced: Sequence[int] = ()) -> None:
        self.reports, self.advanced = reports, advanced

    def settle(self, settings: EngineSettings) -> EngineSettings:
        return settings

    def call(self, settings: EngineSettings, function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)

    def run(self, job: Job, shards: Sequence[int], hooks: Hooks) -> Iterator[ShardReport]:
        for count in self.advanced:
            hooks.advanced(count)
        yield from self.reports


class Nothing:
    out = Path()
    engine = EngineSettings()
    parallel_steps = False

    def open_worker(self, device: str, pool: Executor | None = None) -> Worker:
        raise AssertionError("not opened")


def test_totals_are_summed_and_notes_told_once() -> None:
    notes: list[str] = []
    reports = [
        ShardReport(
            0, done=3, failed=1, reused=2, made=1, wall_seconds=4.0, busy_seconds=3.0, notes=("small",)
        ),
        ShardReport(1, done=2, made=2, wall_seconds=6.0, busy_seconds=2.0, notes=("small", "other")),
    ]
    totals = run_shards(Nothing(), {0: 4, 1: 2}, Hooks(noted=notes.append), Scripted(reports))
    assert (totals.done, totals.failed, totals.reused, totals.made) == (5, 1, 2, 3)
    assert (totals.worker_seconds, totals.busy_seconds, totals.idle_share) == (10.0, 5.0, 0.5)
    assert totals.notes == notes == ["small", "other"]
    assert (Totals().idle_share, Totals(worker_seconds=1, busy_seconds=2).idle_share) == (0.0, 0.0)


def test_progress_reaches_the_whole_and_never_more() -> None:
    counts: list[int] = []
    reports = [ShardReport(0, advanced=1), ShardReport(1, advanced=0, finished=False)]
    run_shards(Nothing(), {0: 4, 1: 2}, Hooks(advanced=counts.append), Scripted(reports, [1]))
    assert counts == [1, 3]  # what shard 0 had from before; nothing of the unfinished one
    counts.clear()
    run_shards(Nothing(), {0: 2}, Hooks(advanced=counts.append), Scripted([], [1, 5, 1]))
    assert counts == [1, 1]


def test_workers_share_the_cuda_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert _list_devices("cuda") == ["cuda:0", "cuda:1"]
    assert _list_devices("cuda:1") == ["cuda:1"]
    assert _list_devices("cpu") == ["cpu"]
    engine = InProcessEngine()
    workers = [engine.settle(EngineSettings(device=device)).workers for device in ("cpu", "cuda")]
    assert workers == [1, 2]
    assert engine.settle(EngineSettings(device="cuda", workers=5)).workers == 5
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert _list_devices("cuda") == ["cuda:0"]


def test_a_call_has_the_threads_of_its_settings() -> None:
    import torch

    before = torch.get_num_threads()
    try:
        assert InProcessEngine().call(EngineSettings(threads=1), pow, 2, 5) == 32
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
    assert isinstance(build_engine(EngineSettings()), InProcessEngine)


def test_lines_and_shard_numbers_come_back(tmp_path: Path) -> None:
    rows = [{"b": 1, "a": "ä\u2028"}, {}]
    assert encode_lines(rows) == '{"a": "ä\u2028", "b": 1}\n{}\n'.encode()
    assert decode_lines(encode_lines(rows)) == rows
    store = ShardStore(tmp_path)
    for shard in (1_000_000, 0):
        store.save_shard(shard, "k", rows, {})
    assert store.list_shards() == [0, 1_000_000]
    store.get_rows(0).write_bytes(b"{torn")
    assert (store.load_rows(0), store.load_rows(5)) == ([], [])
    store.get_mark(0).write_text("[]")
    assert store.load_mark(0) is None


def test_a_line_of_progress_comes_every_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, stream = [0.0], io.StringIO()
    monkeypatch.setattr("cyclorama.jobs.progress.time.monotonic", lambda: clock[0])
    with ProgressReport(4, stream=stream) as report:
        for now in (1.0, 2.0, 6.0, 8.0):
            clock[0] = now
            report.advance()
    assert stream.getvalue().splitlines() == [
        "2/4 images, 1.00/s, 0:02 left",
        "4/4 images, 0.50/s, 0:00 left",
    ]
    quiet = ProgressReport(1, quiet=True, stream=stream)
    clock[0] = 100.0
    quiet.advance()
    assert len(stream.getvalue().splitlines()) == 2


def test_the_first_signal_asks_and_the_second_interrupt_ends(capsys: pytest.CaptureFixture[str]) -> None:
    former = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), catch_stop() as stop:
        assert not stop()
        signal.raise_signal(signal.SIGTERM)
        assert (stop(), stop.number) == (True, signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert stop.number == signal.SIGTERM
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is former
    assert capsys.readouterr().err.count("stopping after the items in hand") == 2


# --- Ray, without a cluster ---


def test_ray_sets_aside_what_the_settings_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray_cluster = pytest.importorskip("cyclorama.jobs.ray_cluster")
    settings = EngineSettings(engine="ray", workers=3, threads=2, loaders=4)
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    options = ray_cluster._build_local_options(settings, tmp_path)
    assert (options["num_cpus"], options["_temp_dir"]) == (6, str(tmp_path))
    assert options["object_store_memory"] == 536_870_912
    options = ray_cluster._build_local_options(settings.replace(device="cuda"), tmp_path)
    assert options["num_cpus"] == 18
    assert ray_cluster.shorten(ValueError("a\n  b" + "c" * 400)) == "a b" + "c" * 297
    with pytest.raises(SettingsError, match="use --device cuda"):
        EngineSettings(engine="ray", device="cuda:1")


@pytest.mark.parametrize("address", ["here", "ray://", "host:", "host:x"])
def test_what_is_no_address_is_named(address: str) -> None:
    ray_cluster = pytest.importorskip("cyclorama.jobs.ray_cluster")
    with pytest.raises(SettingsError, match="is no address of a Ray cluster"):
        ray_cluster._check_answers(address)


def test_nobody_and_another_server_at_an_address_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    ray_cluster = pytest.importorskip("cyclorama.jobs.ray_cluster")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(SettingsError, match="nothing answers at"):
        ray_cluster._check_answers(f"127.0.0.1:{port}")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"HTTP/1.1 400")
        assert not ray_cluster._speaks_http2(ours)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"\0\0\0\x04\0\0\0\0\0")
        assert ray_cluster._speaks_http2(ours)
        assert theirs.recv(24) == b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def test_steps_give_back_errors_as_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray_worker = pytest.importorskip("cyclorama.jobs.ray_cluster")
    monkeypatch.chdir(tmp_path)

    def fail(error: Exception) -> None:
        raise error

    assert ray_worker._run_step(tmp_path, pow, 2, 5) == (32, None)
    for error in (MaskError("no mask"), ValueError("odd")):
        value, found = ray_worker._run_step(tmp_path, fail, error)
        assert (value, type(found), str(found)) == (None, type(error), str(error))
    future: Future[Any] = Future()
    lost: Future[Any] = Future()
    lost.set_exception(RuntimeError("first\nkilled by the kernel"))
    ray_worker._settle(future, lost)
    with pytest.raises(InputError, match=r"lost 4 times \(RuntimeError: killed by the kernel\)"):
        future.result()


def test_a_machine_of_another_version_or_disk_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray_worker = pytest.importorskip("cyclorama.jobs.ray_cluster")
    monkeypatch.chdir(tmp_path)
    place = ray_worker.Surroundings(tmp_path, tmp_path / "probe", 1, False)
    with pytest.raises(OutputError, match="must be on a disk that all machines share"):
        ray_worker.ClusterWorker(Nothing(), place).load()
    old = ray_worker.Surroundings(tmp_path, None, 1, False, version="0.0.0")
    with pytest.raises(ModelError, match=r"the run was started with 0\.0\.0"):
        ray_worker.ClusterWorker(Nothing(), old).load()


@pytest.mark.parametrize(
    ("steps", "cpus", "tasks"), [("auto", 8, True), ("auto", 7, False), ("tasks", 0, True)]
)
def test_steps_are_tasks_where_the_cluster_has_room(steps: Any, cpus: int, tasks: bool) -> None:
    ray = pytest.importorskip("cyclorama.jobs.ray")
    cluster = pytest.importorskip("cyclorama.jobs.ray_cluster").Cluster(cpus, 0)
    settings = EngineSettings(engine="ray", workers=4)
    job = Nothing()
    assert not ray.RayEngine(steps)._uses_tasks(job, settings, cluster)
    job.parallel_steps = True
    assert ray.RayEngine(steps)._uses_tasks(job, settings, cluster) is tasks
