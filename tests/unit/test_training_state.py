"""Checkpoints on disk: whole or absent, the newest kept, and read back as they were."""

from __future__ import annotations

import json

import pytest
import torch

from cyclorama.errors import CheckpointError, OutputError
from cyclorama.training.state import (
    TrainState,
    find_checkpoint,
    list_checkpoints,
    load_checkpoint,
    load_weights,
    pack_optimizer,
    save_checkpoint,
    unpack_optimizer,
)


def build_state(step=7):
    weights = {"a.w": torch.arange(6.0).reshape(2, 3).T, "b": torch.tensor(2.0)}
    return TrainState(step, 4 * step, weights, {}, {"b/step": torch.tensor(7.0)}, {"stage": "base"})


def test_a_checkpoint_is_read_back_as_it_was(tmp_path):
    path = save_checkpoint(build_state(), tmp_path / "new", keep=2)
    assert path == tmp_path / "new" / "step-00000007"
    read = load_checkpoint(path)
    assert (read.step, read.images_seen, read.run, dict(read.ema)) == (7, 28, {"stage": "base"}, {})
    assert torch.equal(read.weights["a.w"], build_state().weights["a.w"])
    assert torch.equal(read.optimizer["b/step"], torch.tensor(7.0))
    files = json.loads((path / "state.json").read_text())["files"]
    assert files == {p.name: p.stat().st_size for p in path.glob("*.safetensors")} and len(files) == 3


def test_the_newest_are_kept_and_an_older_one_of_the_same_step_is_replaced(tmp_path):
    for step in (1, 2, 10, 10):
        save_checkpoint(build_state(step), tmp_path, keep=2)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-00000002", "step-00000010"]
    assert find_checkpoint(tmp_path) == tmp_path / "step-00000010"
    assert find_checkpoint(tmp_path / "none") is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000002", "step-00000010"]


def test_what_a_killed_save_left_is_removed_by_the_next(tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    def die(path):
        raise Killed

    for step in (2, 3):
        with monkeypatch.context() as patched, pytest.raises(Killed):
            patched.setattr("cyclorama.training.state._sync", die)
            save_checkpoint(build_state(step), tmp_path, keep=2)
    assert (tmp_path / ".partial-step-00000003").is_dir()
    save_checkpoint(build_state(10), tmp_path, keep=2)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000010"]


def test_incomplete_and_other_formats_are_named(tmp_path):
    path = save_checkpoint(build_state(), tmp_path, keep=2)
    whole = (path / "ema.safetensors").read_bytes()
    (path / "ema.safetensors").write_bytes(whole[:-1])
    assert list_checkpoints(tmp_path) == []
    with pytest.raises(CheckpointError, match="is incomplete"):
        load_checkpoint(path)
    (path / "ema.safetensors").write_bytes(b"x" * len(whole))
    with pytest.raises(CheckpointError, match="is damaged"):
        load_checkpoint(path)
    body = json.loads((path / "state.json").read_text())
    (path / "state.json").write_text(json.dumps({**body, "format": 2}))
    with pytest.raises(CheckpointError, match="has format 2; this version reads 1"):
        load_checkpoint(path)


def test_a_refused_write_leaves_the_older_checkpoint(tmp_path, monkeypatch):
    first = save_checkpoint(build_state(1), tmp_path, keep=2)

    def refuse(tensors, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cyclorama.training.state.save_file", refuse)
    with pytest.raises(OutputError, match=r"No space left on device; the last good one is .*step-00000001"):
        save_checkpoint(build_state(2), tmp_path, keep=2)
    assert [path.name for path in tmp_path.iterdir()] == [first.name]
    with pytest.raises(OutputError, match="there is no earlier one"):
        save_checkpoint(build_state(2), tmp_path / "other", keep=2)


def test_an_optimiser_goes_on_bit_for_bit():
    def build():
        torch.manual_seed(0)
        layer = torch.nn.Linear(3, 2)
        return dict(layer.named_parameters()), torch.optim.AdamW(layer.parameters(), lr=0.1)

    def step(parameters, optimizer, factor):
        for value in parameters.values():
            value.grad = torch.full_like(value, factor)
        optimizer.step()

    (one, first), (two, second) = build(), build()
    for factor in (1.0, -2.0):
        step(one, first, factor)
        step(two, second, factor)
    packed = {name: value.clone() for name, value in pack_optimizer(first, one).items()}
    assert sorted(packed) == [
        f"{n}/{k}" for n in ("bias", "weight") for k in ("exp_avg", "exp_avg_sq", "step")
    ]
    fresh = torch.optim.AdamW(two.values(), lr=0.1)
    unpack_optimizer(fresh, two, packed)
    step(one, first, 0.5)
    step(two, fresh, 0.5)
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_weights_of_another_model_are_refused(tmp_path):
    parameters = {"a": torch.nn.Parameter(torch.zeros(2)), "b": torch.nn.Parameter(torch.zeros(1))}
    load_weights(parameters, {"a": torch.tensor([1.0, 2.0]), "b": torch.ones(1)}, tmp_path)
    assert parameters["a"].tolist() == [1.0, 2.0]
    with pytest.raises(CheckpointError, match=r"1 parameters differ \(b\)"):
        load_weights(parameters, {"a": torch.zeros(2), "b": torch.zeros(2)}, tmp_path)
    with pytest.raises(CheckpointError, match=r"2 parameters differ \(b, c\)"):
        load_weights(parameters, {"a": torch.zeros(2), "c": torch.zeros(1)}, tmp_path)
