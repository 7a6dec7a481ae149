"""2 + 2 = 4: an interrupted run ends with the very bits of one that was not."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from _training import TINY_SHAPE, TinyData, build_config, load_state, save_tiny_model

from cyclorama.errors import CheckpointError, NonFiniteLossError, OutputError
from cyclorama.training import state as state_module
from cyclorama.training.config import DataConfig, DiscriminatorConfig
from cyclorama.training.loop import _Run, train
from cyclorama.training.stage import StageNetworks
from cyclorama.training.stages import STAGES
from cyclorama.training.state import find_checkpoint, list_checkpoints

SETTINGS = {
    "autoencoder": {"latent_jitter": 0.1, "discriminator": DiscriminatorConfig(widths=(8, 8))},
    "base": {"gradient_accumulation": 2},
    "category": {"precision": "bf16", "min_snr_gamma": 5.0, "channels_last": True},
    "personality": {"gradient_accumulation": 2, "channels_last": True},
    "joint": {"gradient_checkpointing": True},
}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model"))


def assert_same_state(one, other):
    assert (one.step, one.images_seen) == (other.step, other.images_seen)
    for part in ("weights", "ema", "optimizer"):
        first, second = getattr(one, part), getattr(other, part)
        assert first.keys() == second.keys() and len(first) > 0
        differing = [name for name, value in first.items() if not torch.equal(value, second[name])]
        assert differing == [], f"{part} differ"


@pytest.mark.parametrize("stage", sorted(SETTINGS))
def test_two_and_two_steps_are_four_bit_for_bit(stage, model, tmp_path):
    base = None if stage == "autoencoder" else str(model)
    config = build_config(base, **SETTINGS[stage])
    data = TinyData()
    whole = train(STAGES[stage], config, tmp_path / "whole", data=data)
    assert (whole.step, whole.images_seen) == (4, 16)
    half = config.replace(steps=2)
    train(STAGES[stage], half, tmp_path / "halves", data=data)
    halves = train(STAGES[stage], config, tmp_path / "halves", data=data, resume=True)
    assert halves.step == 4
    assert_same_state(load_state(tmp_path / "whole"), load_state(tmp_path / "halves"))


class KillingData(TinyData):
    """Sends this process ``number`` when its ``fuse``-th image is loaded."""

    def __init__(self, number: int, fuse: int) -> None:
        super().__init__()
        self._number, self._fuse = number, fuse

    def load(self, index):
        self._fuse -= 1
        if self._fuse == 0:
            os.kill(os.getpid(), self._number)
        return super().load(index)


@pytest.fixture(scope="module")
def undisturbed(model, tmp_path_factory):
    """A run of five steps to its end."""
    data = DataConfig(source=build_config().data.source, image_size=32, workers=0)
    config = build_config(str(model), steps=5, data=data)
    out = tmp_path_factory.mktemp("undisturbed")
    train(STAGES["category"], config, out, data=TinyData())
    return config, load_state(out)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_step_saves_and_resumes(number, undisturbed, tmp_path):
    config, whole = undisturbed
    handler = signal.getsignal(number)
    loads_before = 7 + 7 + 3 + 1  # fingerprint, cache, shown images, size check
    stopped = train(STAGES["category"], config, tmp_path / "cut", data=KillingData(number, loads_before + 10))
    assert stopped.stopped_by == number and stopped.model is None
    assert stopped.step == 3  # the 10th image of the run belongs to the third step, which is finished
    assert load_state(tmp_path / "cut").step == 3
    assert signal.getsignal(number) is handler
    finished = train(STAGES["category"], config, tmp_path / "cut", data=TinyData(), resume=True)
    assert finished.stopped_by is None and finished.model == tmp_path / "cut" / "model"
    assert_same_state(whole, load_state(tmp_path / "cut"))


@pytest.fixture(scope="module")
def finished_once(model, tmp_path_factory):
    checkpoint = build_config().checkpoint.replace(every_steps=1)
    config = build_config(str(model), steps=2, checkpoint=checkpoint)
    out = tmp_path_factory.mktemp("finished") / "run"
    train(STAGES["base"], config, out, data=TinyData())
    return config, out


@pytest.fixture
def finished(finished_once, tmp_path):
    """A run of two steps with a checkpoint after each."""
    config, out = finished_once
    shutil.copytree(out, tmp_path / "run")
    return config, tmp_path / "run"


def test_resume_is_refused_for_another_run(finished):
    config, out = finished
    longer = config.replace(steps=3)
    with pytest.raises(OutputError, match="already holds a run .*--resume"):
        train(STAGES["base"], longer, out, data=TinyData())
    with pytest.raises(CheckpointError, match="of stage 'base', not 'category'"):
        train(STAGES["category"], longer, out, data=TinyData(), resume=True)
    with pytest.raises(CheckpointError, match="batch_size: 4 -> 2; prompt_dropout: 0.5 -> 0.1"):
        other = longer.replace(batch_size=2, prompt_dropout=0.1)
        train(STAGES["base"], other, out, data=TinyData(), resume=True)
    with pytest.raises(CheckpointError, match="on other images"):
        train(STAGES["base"], longer, out, data=TinyData(seed=1), resume=True)


def test_an_incomplete_checkpoint_is_passed_over(finished):
    config, out = finished
    newest = find_checkpoint(out / "checkpoints")
    assert newest is not None and newest.name == "step-00000002"
    with (newest / "weights.safetensors").open("r+b") as stream:
        stream.truncate(100)
    assert [path.name for path in list_checkpoints(out / "checkpoints")] == ["step-00000001"]
    again = train(STAGES["base"], config, out, data=TinyData(), resume=True)
    assert again.step == 2
    assert load_state(out).step == 2


def test_a_full_disk_leaves_the_last_checkpoint(finished, monkeypatch):
    config, out = finished
    before = load_state(out)
    save = state_module.save_file

    def fail(tensors, path):
        if Path(path).name == "optimizer.safetensors":
            raise OSError(errno.ENOSPC, "No space left on device")
        save(tensors, path)

    monkeypatch.setattr(state_module, "save_file", fail)
    with pytest.raises(OutputError, match=r"No space left on device; the last good one is .*step-00000002"):
        train(STAGES["base"], config.replace(steps=4), out, data=TinyData(), resume=True)
    assert_same_state(before, load_state(out))
    assert not list((out / "checkpoints").glob(".partial*"))


def test_a_loss_that_is_no_number_ends_the_run_with_evidence(finished, monkeypatch):
    config, out = finished
    before = load_state(out)
    monkeypatch.setattr(
        StageNetworks,
        "forward",
        lambda networks, batch: networks["unet"].conv_in.bias.sum() * float("nan"),
    )
    with pytest.raises(NonFiniteLossError, match=r"the loss became nan at step 3; .*step-00000002"):
        train(STAGES["base"], config.replace(steps=4), out, data=TinyData(), resume=True)
    (evidence,) = out.glob("non_finite_*.json")
    assert '"samples": [\n  8,\n  9,\n  10,\n  11\n ]' in evidence.read_text(encoding="utf-8")
    assert_same_state(before, load_state(out))


def test_a_run_that_died_before_a_checkpoint_leaves_nothing_to_the_next(tmp_path, monkeypatch):
    config = build_config(steps=1)
    with monkeypatch.context() as patched:
        patched.setattr(
            StageNetworks,
            "forward",
            lambda networks, batch: networks["unet"].conv_in.bias.sum() * float("nan"),
        )
        with pytest.raises(NonFiniteLossError, match="there is no checkpoint yet"):
            train(STAGES["base"], config, tmp_path, data=TinyData())
    other = config.replace(
        model=config.model.replace(build=TINY_SHAPE.replace(unet_channels=(12, 20))), seed=5
    )
    result = train(STAGES["base"], other, tmp_path, data=TinyData())
    assert result.model is not None
    unet = json.loads((result.model / "unet" / "config.json").read_text(encoding="utf-8"))
    assert unet["block_out_channels"] == [12, 20]


def list_steps(out: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (out / "metrics.jsonl").read_text().splitlines()]


def test_a_killed_run_that_goes_on_tells_of_each_step_once(model, tmp_path, monkeypatch):
    checkpoint = build_config().checkpoint.replace(every_steps=2)
    config = build_config(str(model), steps=5, checkpoint=checkpoint)
    take, out = _Run._take_step, tmp_path / "run"

    def die_at(last: int):
        def step(run, batches, log):
            if run.step == last:
                raise KeyError("killed")
            take(run, batches, log)

        monkeypatch.setattr(_Run, "_take_step", step)
        with pytest.raises(KeyError, match="killed"):
            train(STAGES["base"], config, out, data=TinyData(), resume=True)

    die_at(1)  # before any checkpoint
    assert list_steps(out) == [1]
    die_at(3)
    assert list_steps(out) == [1, 2, 3]
    monkeypatch.setattr(_Run, "_take_step", take)
    train(STAGES["base"], config, out, data=TinyData(), resume=True)
    assert list_steps(out) == [1, 2, 3, 4, 5]


def test_a_stopped_run_that_goes_on_shows_and_tells_what_one_that_was_not_does(model, tmp_path, monkeypatch):
    validation = build_config().validation.replace(every_steps=2)
    config = build_config(str(model), steps=5, log_every_steps=3, validation=validation)
    take = _Run._take_step
    stops = [4, 5]  # a sheet is due at 4; 5 is the last step

    def step(run, batches, log):
        take(run, batches, log)
        if run.step in stops:
            stops.remove(run.step)
            os.kill(os.getpid(), signal.SIGTERM)

    out = {name: tmp_path / name for name in ("whole", "cut")}
    train(STAGES["base"], config, out["whole"], data=TinyData())
    with monkeypatch.context() as patched:
        patched.setattr(_Run, "_take_step", step)
        ends = [train(STAGES["base"], config, out["cut"], data=TinyData(), resume=True) for _ in range(3)]
    assert [(end.step, end.stopped_by) for end in ends] == [(4, 15), (5, 15), (5, None)]
    rows, sheets = {}, {}
    for name, folder in out.items():
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        rows[name] = [{k: v for k, v in line.items() if k != "images_per_second"} for line in lines]
        sheets[name] = {path.name: path.read_bytes() for path in (folder / "validation").iterdir()}
    assert sorted(sheets["cut"]) == [f"step-0000000{step}.png" for step in (2, 4, 5)]
    assert sheets["cut"] == sheets["whole"]
    assert [row["step"] for row in rows["cut"]] == [2, 3, 4, 5]
    assert rows["cut"] == rows["whole"]
    assert_same_state(load_state(out["whole"]), load_state(out["cut"]))


def test_the_loss_of_a_row_is_of_all_its_steps_also_when_the_run_was_stopped(model, tmp_path):
    config = build_config(str(model), steps=4, log_every_steps=4)
    train(STAGES["base"], config, tmp_path / "whole", data=TinyData())
    train(STAGES["base"], config.replace(steps=3), tmp_path / "cut", data=TinyData())
    train(STAGES["base"], config, tmp_path / "cut", data=TinyData(), resume=True)
    whole, cut = (json.loads((tmp_path / name / "metrics.jsonl").read_text()) for name in ("whole", "cut"))
    assert whole["loss"] == cut["loss"] and whole["step"] == cut["step"] == 4


def test_a_folder_in_which_a_run_trains_is_refused_to_a_second(model, tmp_path):
    config = build_config(str(model), steps=1)

    class Second(TinyData):
        def load(self, index):
            with pytest.raises(OutputError, match=f"another run is writing to {tmp_path}"):
                train(STAGES["base"], config, tmp_path, data=TinyData())
            return super().load(index)

    assert train(STAGES["base"], config, tmp_path, data=Second()).step == 1
    assert list_steps(tmp_path) == [1]
