"""The training loop's clock: rates, shares of a step, what is saved and shown when.

Of cyclorama.training.loop, by its values.
"""

from __future__ import annotations

import contextlib
import json
import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from cyclorama.config import build_config, load_config, to_plain
from cyclorama.errors import CheckpointError, ConfigError, NonFiniteLossError, OutputError
from cyclorama.training import loop
from cyclorama.training.batch import TrainBatch
from cyclorama.training.config import OptimiserConfig, TrainConfig, list_differences
from cyclorama.training.log import locate_sheet
from cyclorama.training.loop import _check_share, _is_multiple, _Run, compute_learning_rate

PLAIN = {"data": {"source": {"path": "shards"}}, "model": {"base": "folder"}, "steps": 6, "batch_size": 8}


def build(**changes: Any) -> TrainConfig:
    return build_config(TrainConfig, {**PLAIN, **changes})


def test_rates_of_a_cosine_with_a_floor() -> None:
    config = OptimiserConfig(learning_rate=2.0, schedule="cosine", warm_up_steps=2, final_fraction=0.25)
    found = [compute_learning_rate(step, 6, config) for step in range(8)]
    half = [2 * (0.25 + 0.75 * 0.5 * (1 + math.cos(math.pi * done / 4))) for done in range(5)]
    assert found == pytest.approx([1.0, 2.0, *half, 0.5])
    assert compute_learning_rate(2, 2, config) == 2.0  # nothing left after the warm-up
    constant = OptimiserConfig(learning_rate=2.0, schedule="constant", warm_up_steps=2)
    assert [compute_learning_rate(step, 6, constant) for step in (0, 1, 2, 5)] == [1.0, 2.0, 2.0, 2.0]


def test_a_step_divides_among_processes_and_parts() -> None:
    config = build(gradient_accumulation=2)
    for processes in (1, 2, 4):
        _check_share(config, processes)
    for processes in (3, 8):
        with pytest.raises(ConfigError, match=f"8 does not divide among {processes} processes x 2"):
            _check_share(config, processes)
    assert [_is_multiple(step, 3) for step in (1, 2, 3, 4, 6)] == [False, False, True, False, True]
    assert not _is_multiple(3, None)


class Accelerator:
    is_main_process, num_processes, process_index = True, 2, 1
    device = torch.device("cpu")
    scaler = None

    def __init__(self) -> None:
        self.unsynced = 0

    prepare_model = prepare_optimizer = staticmethod(lambda given: given)
    gather = staticmethod(lambda flag: torch.cat([flag, torch.zeros_like(flag)]))
    wait_for_everyone = free_memory = staticmethod(lambda: None)
    backward = staticmethod(lambda loss: loss.backward())
    clip_grad_norm_ = staticmethod(
        lambda parameters, limit: torch.nn.utils.clip_grad_norm_(parameters, limit)
    )

    @contextlib.contextmanager
    def no_sync(self, model: Any):
        self.unsynced += 1
        yield


class Networks(torch.nn.Module):
    """The loss is the mean timestep times the weight."""

    stage = SimpleNamespace(name="base")

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(1.0))

    def trainable_parameters(self) -> dict[str, torch.nn.Parameter]:
        return {"weight": self.weight}

    def forward(self, batch: TrainBatch) -> torch.Tensor:
        return batch.timesteps.float().mean() * self.weight


class Builder:
    data = range(20)

    def build(self, draws: list[tuple[int, int]]) -> TrainBatch:
        numbers, indices = zip(*draws, strict=True)
        zeros = torch.zeros(len(draws), 1, 1, 1)
        return TrainBatch(numbers, indices, ("a",) * len(draws), zeros, zeros, torch.tensor(numbers))

    def place(self, batch: TrainBatch, device: torch.device) -> TrainBatch:
        return batch


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "sample_draws", lambda number, index, settings: (number, index))

    def start(**changes: Any) -> _Run:
        prepared = SimpleNamespace(
            networks=Networks(), builder=Builder(), draws=None, shown="shown", fingerprint="f", files=None,
            start="s",
        )  # fmt: skip
        return _Run(build(**{"ema_decay": None, **changes}), prepared, Accelerator(), tmp_path)

    return start


class Log:
    def __init__(self, *_: Any, **options: Any) -> None:
        self.options, self.rows = options, []

    def add_step(self, *row: Any) -> None:
        self.rows.append(row)

    pause = staticmethod(contextlib.nullcontext)

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: Any) -> None:
        pass


@pytest.fixture
def record(monkeypatch):
    """What a whole run did: (steps that were saved, shown, the log)."""
    done = SimpleNamespace(saved=[], shown=[], logs=[], now=0.0, seconds=0.0)

    def log(*given: Any, **options: Any) -> Log:
        done.logs.append(Log(*given, **options))
        return done.logs[-1]

    def save(state: Any, folder: Any, keep: int) -> None:
        done.saved.append((state.step, state.images_seen, folder.name, keep))

    monkeypatch.setattr(loop, "RunLog", log)
    monkeypatch.setattr(loop, "save_checkpoint", save)
    monkeypatch.setattr(loop, "validate", lambda networks, shown, step, out, log: done.shown.append(step))
    monkeypatch.setattr(loop, "export_model", lambda networks, folder: folder)
    monkeypatch.setattr(loop.time, "monotonic", lambda: done.now)
    take = _Run._take_step

    def step(self: _Run, batches: Any, log: Any) -> None:
        take(self, batches, log)
        done.now += done.seconds

    monkeypatch.setattr(_Run, "_take_step", step)
    return done


def test_this_process_takes_its_share_of_each_part(run) -> None:
    one = run(gradient_accumulation=2)
    assert [one._build_batch(item).numbers for item in (0, 1, 2)] == [(2, 3), (6, 7), (10, 11)]
    indices = [index for item in range(4) for index in one._build_batch(item).indices]
    assert len(set(indices)) == 8 and max(indices) < 20


def test_a_step_is_the_mean_of_its_parts(run) -> None:
    one = run(
        gradient_accumulation=2, optimiser={"learning_rate": 0.1, "weight_decay": 0.0, "max_grad_norm": 1.0}
    )
    log = Log()
    one._take_step(iter([one._build_batch(0), one._build_batch(1)]), log)
    ((step, loss, norm, rate),) = log.rows
    assert (step, one.step, rate) == (1, 1, 0.1)
    assert loss == pytest.approx((2.5 + 6.5) / 2) and norm == pytest.approx(4.5)
    assert one.accelerator.unsynced == 1  # all parts but the last
    assert float(one.networks.weight.detach()) == pytest.approx(0.9, abs=1e-4)
    assert one.networks.weight.grad is None
    four = run(gradient_accumulation=4)
    four._take_step(iter(map(four._build_batch, range(4))), log)
    assert four.accelerator.unsynced == 3


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_the_run_with_evidence(run, bad: float) -> None:
    one = run()
    one.step = 4
    with torch.no_grad():
        one.networks.weight.fill_(bad)
    with pytest.raises(
        NonFiniteLossError, match=rf"the loss became {bad} at step 5; there is no checkpoint yet"
    ):
        one._take_step(iter([one._build_batch(4)]), Log())
    path = one.out / "non_finite_step_00000004_rank_1.json"
    evidence = json.loads(path.read_text())
    assert evidence["samples"] == [36, 37, 38, 39] and evidence["step"] == 4 and evidence["stage"] == "base"
    assert path.read_text().endswith("}\n")


def test_a_run_saves_and_shows_at_its_steps_and_at_the_end(run, record) -> None:
    one = run(checkpoint={"every_minutes": None, "every_steps": 4, "keep": 3}, validation={"every_steps": 2})
    result = one.train()
    assert record.saved == [(4, 32, "checkpoints", 3), (6, 48, "checkpoints", 3)]
    assert record.shown == [2, 4, 6]
    assert (result.step, result.images_seen, result.stopped_by) == (6, 48, None)
    assert result.model == one.out / "model"
    (log,) = record.logs
    assert [row[0] for row in log.rows] == [1, 2, 3, 4, 5, 6]
    assert log.options == {"step": 0, "steps": 6, "batch_size": 8, "every": 20, "main": True}


def test_a_run_saves_after_so_many_minutes(run, record) -> None:
    record.seconds = 60.0
    run(checkpoint={"every_minutes": 2.0}, validation={"every_steps": None}).train()
    assert [saved[0] for saved in record.saved] == [2, 4, 6] and record.shown == []


def test_a_run_goes_on_from_its_step_and_takes_no_step_at_the_end(run, record) -> None:
    one = run(gradient_accumulation=2, checkpoint={"every_minutes": None}, validation={"every_steps": None})
    one.step = 5
    first = []
    build_batch = one._build_batch
    one._build_batch = lambda item: first.append(item) or build_batch(item)
    result = one.train()
    assert sorted(first) == [10, 11] and result.step == 6 and [s[0] for s in record.saved] == [6]
    record.saved.clear()
    again = one.train()
    assert again.step == 6 and record.saved == [] and again.model == one.out / "model"


def test_a_stopped_run_saves_and_leaves_its_sheet_to_the_next(run, record, monkeypatch) -> None:
    one = run(checkpoint={"every_minutes": None}, validation={"every_steps": 1})
    stops = [3]
    monkeypatch.setattr(one, "_agree_on", lambda number: 15 if one.step in stops else None)
    result = one.train()
    assert (result.step, result.stopped_by, result.model) == (3, 15, None)
    assert [s[0] for s in record.saved] == [3] and record.shown == [1, 2]
    stops.clear()
    assert one.train().step == 6 and record.shown == [1, 2, 3, 4, 5, 6]
    locate_sheet(one.out, 6).parent.mkdir()
    locate_sheet(one.out, 6).touch()
    assert one.train().step == 6 and record.shown == [1, 2, 3, 4, 5, 6]


def test_processes_agree_on_a_signal(run) -> None:
    one = run()
    assert one._agree_on(15) == 15 and one._agree_on(None) is None


def test_a_checkpoint_of_another_run_is_refused(run, tmp_path) -> None:
    one = run()
    state = SimpleNamespace(run={"stage": "joint", "data": "other", "config": {}})
    with pytest.raises(CheckpointError, match="is of stage 'joint', not 'base'"):
        loop._check_same_run(state, SimpleNamespace(name="base"), one.config, tmp_path)
    with pytest.raises(CheckpointError, match="was made on other images than shards now gives"):
        one.restore(state, tmp_path)


@pytest.mark.parametrize(
    ("changes", "count", "steps"),
    [
        ({}, 100, 6),
        ({"steps": None, "epochs": 2.0}, 100, 25),
        ({"steps": None, "epochs": 0.5}, 100, 6),
        ({"steps": None, "epochs": 0.5}, 4, 1),
    ],
)
def test_steps_are_those_asked_for_or_passes_over_the_data(
    changes: dict[str, Any], count: int, steps: int
) -> None:
    assert build(**changes).compute_steps(count) == steps


def test_settings_that_a_resumed_run_must_not_change_are_told() -> None:
    saved = to_plain(build())
    free = {"steps": 9, "validation": {"images": 2}, "data": {"source": {"path": "shards"}, "workers": 3}}
    assert list_differences(saved, build()) == list_differences(saved, build(**free)) == []
    assert list_differences(saved, build(seed=4, optimiser={"learning_rate": 0.5})) == [
        "optimiser.learning_rate: 1e-05 -> 0.5",
        "seed: 0 -> 4",
    ]


def test_exactly_one_start_and_one_length_are_given() -> None:
    for changes in ({"steps": None}, {"epochs": 1.0}):
        with pytest.raises(ConfigError, match="set exactly one of steps and epochs"):
            build(**changes)
    for model in ({}, {"base": "folder", "build": {}}):
        with pytest.raises(ConfigError, match="set exactly one of `base`"):
            build(model=model)


def test_a_decoder_must_fit_the_patch_where_it_is_built() -> None:
    with pytest.raises(ConfigError, match="patch 4 cannot be halved for each of 4 decoder_widths"):
        build(model={"build": {"patch": 4}})
    build(model={"build": {"patch": 4}, "autoencoder": "own"})


def test_a_run_leaves_its_settings_and_is_not_begun_twice(run, record, monkeypatch) -> None:
    one = run(checkpoint={"every_minutes": None}, validation={"every_steps": None})
    stage: Any = SimpleNamespace(name="base")
    monkeypatch.setattr(loop, "build_accelerator", lambda config: one.accelerator)
    monkeypatch.setattr(loop, "prepare_run", lambda *given: one.prepared)
    result = loop.train(stage, one.config, one.out / "new")
    assert (result.step, result.model) == (6, one.out / "new/model")
    assert load_config(TrainConfig, one.out / "new/config.yaml") == one.config
    monkeypatch.setattr(loop, "find_checkpoint", lambda folder: folder / "step_4")
    with pytest.raises(OutputError, match=r"already holds a run \(checkpoint step_4\); add --resume"):
        loop.train(stage, one.config, one.out / "new")
