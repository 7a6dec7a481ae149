"""How the Ray engine hands shards to its actors, without a cluster: who gets which, counts, deaths, waits."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cyclorama.errors import ModelError, OutputError

engine = pytest.importorskip("cyclorama.jobs.ray")
exceptions = engine.ray.exceptions


class Method:
    """A remote method: each call gives a new reference."""

    def __init__(self, world: World, actor: Any, name: str) -> None:
        self._world, self._actor, self._name = world, actor, name

    def remote(self, *given: Any) -> tuple[Any, ...]:
        self._world.calls.append((self._actor.number, self._name, *given))
        return (self._name, len(self._world.calls), *given)


class FakeActor:
    def __init__(self, world: World, number: int) -> None:
        self.number = number
        for name in ("load", "process", "count", "stop"):
            setattr(self, name, Method(world, self, name))


class World:
    """Ray's calls and the clock; references are tuples, ``answers`` what they hold."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.calls, self.killed, self.started = 1000.0, list[Any](), list[int](), list[Any]()
        self.answers: dict[Any, Any] = {}
        self.advanced: list[int] = []
        self.stopped = False
        self.hooks = engine.Hooks(advanced=self.advanced.append, stopping=lambda: self.stopped)
        for name in ("put", "kill", "get", "remote"):
            monkeypatch.setattr(engine.ray, name, getattr(self, name))
        monkeypatch.setattr(engine.time, "monotonic", lambda: self.now)

    def put(self, value: Any) -> Any:
        return value

    def kill(self, actor: FakeActor) -> None:
        self.killed.append(actor.number)

    def get(self, reference: Any) -> Any:
        answer = self.answers[reference]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def remote(self, **options: Any) -> Any:
        def build(*given: Any) -> FakeActor:
            self.started.append(options)
            return FakeActor(self, len(self.started))

        return lambda cls: SimpleNamespace(remote=build)

    def build(self, workers: int = 2, shards: int = 9, **values: Any) -> Any:
        settings = engine.EngineSettings(engine="ray", **values)
        actors = engine._Actors(None, None, settings, workers, self.hooks)
        actors._waiting.extend(range(shards))
        actors._members = [actors._start() for _ in range(workers)]
        return actors


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def open_all(world: World, actors: Any) -> None:
    for member in list(actors._members):
        world.answers[member.loading] = None
        assert actors._receive(member.loading) is None


def list_shards(actors: Any) -> list[list[int]]:
    return [sorted(member.shards.values()) for member in actors._members]


def test_patience_and_limits() -> None:
    assert (engine.START_SECONDS, engine.REST_SECONDS) == (600.0, 2.0)
    assert (engine.DEATHS, engine.SHARDS_AT_A_TIME) == (3, 2)


@pytest.mark.parametrize(
    ("values", "cpus", "gpus"), [({}, 1, 0), ({"threads": 3}, 3, 0), ({"device": "cuda"}, 1, 1)]
)
def test_an_actor_states_what_it_needs(world: World, values: dict[str, Any], cpus: int, gpus: int) -> None:
    world.build(1, **values)
    groups = {"shards": engine.SHARDS_AT_A_TIME, "control": 1}
    assert world.started == [{"concurrency_groups": groups, "num_cpus": cpus, "num_gpus": gpus}]


def test_everyone_gets_one_shard_before_anyone_gets_two(world: World) -> None:
    actors = world.build(3, shards=5)
    actors._hand_out()
    assert list_shards(actors) == [[], [], []]  # none is open yet
    open_all(world, actors)
    actors._hand_out()
    assert list_shards(actors) == [[0, 3], [1, 4], [2]]
    more = world.build(1, shards=9)
    open_all(world, more)
    more._hand_out()
    more._hand_out()
    assert list_shards(more) == [[0, 1]] and list(more._waiting) == [2, 3, 4, 5, 6, 7, 8]
    told = world.build(1)
    open_all(world, told)
    told._told = True
    told._hand_out()
    assert list_shards(told) == [[]]


def test_a_lost_workers_shards_rest_two_seconds(world: World) -> None:
    actors = world.build(2, shards=2)
    open_all(world, actors)
    actors._hand_out()
    lost = actors._members[0]
    (task,) = lost.shards
    world.answers[task] = exceptions.WorkerCrashedError()
    assert actors._receive(task) is None
    assert world.killed == [1] and len(actors._members) == 2 and len(world.started) == 3
    assert list(actors._waiting) == [0]
    world.answers[actors._members[1].loading] = None
    actors._receive(actors._members[1].loading)
    for now, shards in ((1001.99, []), (1002.0, [0])):
        world.now = now
        actors._hand_out()
        assert list_shards(actors)[1] == shards


def test_reports_and_counts_move_progress_on_once(world: World) -> None:
    actors = world.build(1)
    open_all(world, actors)
    actors._hand_out()
    member = actors._members[0]
    first, second = member.shards
    for seconds, asks in ((0.0, 1), (0.25, 1), (0.5, 1)):
        world.now = 1000.0 + seconds
        actors._ask_counts()
        assert sum(call[1] == "count" for call in world.calls) == asks
    for reference, answer in ((member.count, 4), (first, (engine.ShardReport(0), 4))):
        world.answers[reference] = answer
        report = actors._receive(reference)
    assert (report, member.count, world.advanced) == (engine.ShardReport(0), None, [4])
    world.answers[second] = (engine.ShardReport(1), 7)
    actors._receive(second)
    actors._advance(member, 3)  # an answer that was overtaken
    actors._advance(member, 7)
    assert world.advanced == [4, 3] and member.counted == 7


@pytest.mark.parametrize(("workers", "seconds"), [(1, 0.5), (50, 0.5), (200, 2.0)])
def test_counts_are_asked_for_less_often_of_many(world: World, workers: int, seconds: float) -> None:
    actors = world.build(1)
    open_all(world, actors)
    actors._hand_out()
    actors._workers = workers
    asked = []
    for elapsed in (0.0, seconds - 0.01, seconds, 2 * seconds - 0.01):
        world.now = 1000.0 + elapsed
        actors._ask_counts()
        asked.append(actors._members[0].count is not None)
        actors._members[0].count = None
    assert asked == [True, False, True, False]


def test_a_shard_that_kills_three_workers_ends_the_run(world: World) -> None:
    actors = world.build(1, shards=1)
    for death in range(3):
        world.now += 10.0
        open_all(world, actors)
        actors._hand_out()
        (task,) = actors._members[0].shards
        world.answers[task] = exceptions.OutOfMemoryError("too large")
        if death < 2:
            assert actors._receive(task) is None
    with pytest.raises(ModelError, match=r"3 workers have died at shard 0 \(.*\); give them more memory"):
        actors._receive(task)


def test_three_workers_in_a_row_that_do_not_start_end_the_run(world: World) -> None:
    actors = world.build(1)

    def fail() -> None:
        loading = actors._members[0].loading
        world.answers[loading] = exceptions.WorkerCrashedError()
        actors._receive(loading)

    for _ in range(2):
        fail()
    open_all(world, actors)  # one that starts: counted anew
    actors._members = [actors._start()]
    for _ in range(2):
        fail()
    with pytest.raises(ModelError, match="3 workers in a row could not be started on the cluster"):
        fail()


def test_a_first_worker_is_waited_for_ten_minutes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "measure_cluster", lambda: engine.Cluster(4, 0))
    actors = world.build(2, threads=8)
    world.now = 1600.0
    actors._check_start()
    open_all(world, actors)
    world.now = 5000.0
    actors._check_start()  # one is open: the clock begins anew
    actors._members = [actors._start()]
    world.now = 5600.0
    actors._check_start()
    world.now = 5600.1
    with pytest.raises(ModelError, match="within 600 s: each needs 8 CPUs and 0 GPUs, and the cluster has 4"):
        actors._check_start()


def test_an_error_of_the_run_is_raised_and_a_broken_device_replaced(world: World) -> None:
    actors = world.build(1)
    open_all(world, actors)
    actors._hand_out()
    first, second = actors._members[0].shards
    for cause in (OutputError("disk"), ValueError("odd")):
        world.answers[first] = exceptions.RayTaskError("process", "trace", cause)
        with pytest.raises(OutputError if isinstance(cause, OutputError) else exceptions.RayTaskError):
            actors._receive(first)
    world.answers[second] = exceptions.RayTaskError("process", "trace", ModelError("device lost"))
    assert actors._receive(second) is None and world.killed == [1]
    assert sorted(actors._waiting) == list(range(9))
    loading = actors._members[0].loading
    world.answers[loading] = exceptions.RayTaskError("load", "trace", ModelError("no weights"))
    with pytest.raises(ModelError, match="no weights"):
        actors._receive(loading)


# --- the engine ---


@pytest.mark.parametrize(
    ("values", "workers", "threads"),
    [({}, 5, 1), ({"threads": 3}, 5, 3), ({"device": "cuda"}, 5, None), ({"workers": 2}, 2, None)],
)
def test_as_many_workers_as_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, Any], workers: int, threads: int | None
) -> None:
    monkeypatch.setattr(engine, "count_places", lambda settings: 5)
    settled = engine.RayEngine().settle(engine.EngineSettings(**{"engine": "ray", "device": "cpu"} | values))
    assert (settled.workers, settled.threads) == (workers, threads)


@pytest.mark.parametrize(
    ("steps", "threads", "cpus", "tasks"),
    [
        ("auto", 1, 8, True), ("auto", 1, 7, False), ("auto", 2, 12, True), ("auto", 2, 11, False),
        ("auto", 3, 15, False), ("tasks", 1, 0, True), ("threads", 1, 99, False),
    ],
)  # fmt: skip
def test_steps_are_tasks_where_each_worker_has_a_cpu_beside(
    steps: Any, threads: int, cpus: int, tasks: bool
) -> None:
    settings = engine.EngineSettings(engine="ray", workers=4, threads=threads)
    job = SimpleNamespace(parallel_steps=True)
    uses = engine.RayEngine(steps)._uses_tasks
    assert uses(job, settings, engine.Cluster(cpus, 0)) is tasks
    assert not uses(SimpleNamespace(parallel_steps=False), settings, engine.Cluster(cpus, 0))


@pytest.mark.parametrize(
    ("device", "gpus", "options"),
    [
        ("cpu", 0, (2, 0)), ("cpu", 4, (2, 0)), ("auto", 4, (0, 1)), ("cuda", 4, (0, 1)), ("auto", 0, (2, 0)),
    ],
)  # fmt: skip
def test_a_call_takes_a_gpu_where_it_may(
    monkeypatch: pytest.MonkeyPatch, device: str, gpus: int, options: tuple[int, int]
) -> None:
    from contextlib import contextmanager

    asked: list[dict[str, int]] = []

    class Task:
        def options(self, **given: int) -> Task:
            asked.append(given)
            return self

        def remote(self, place: Any, function: Any, *given: Any) -> Any:
            return function(*given)

    monkeypatch.setattr(engine, "is_local", lambda settings: False)
    monkeypatch.setattr(
        engine, "join_cluster", contextmanager(lambda settings: iter([engine.Cluster(8, gpus)]))
    )
    monkeypatch.setattr(engine.ray, "remote", lambda function: Task())
    monkeypatch.setattr(engine.ray, "get", lambda answer, timeout: (answer, timeout))
    settings = SimpleNamespace(device=device, threads=2)
    assert engine.RayEngine().call(settings, pow, 2, 5) == (32, 600.0)
    assert asked == [{"num_cpus": options[0], "num_gpus": options[1]}]


def test_a_probe_lies_in_the_journal_while_it_is_needed(tmp_path: Path) -> None:
    with engine._write_probe(tmp_path) as probe:
        assert probe.is_file() and probe.parent == tmp_path / "journal"
        assert probe.name.startswith("probe-")
    assert not list((tmp_path / "journal").iterdir())
