"""LaMa's weights in every wrapping: one generator, one hash; what is not LaMa or unsafe is refused."""

from __future__ import annotations

import json
import pickle
import sys
import types
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from cyclorama.erasing.files import (
    CARD_NAME,
    WEIGHTS_NAME,
    find_lama,
    infer_shape,
    load_lama,
    save_lama,
    state_of,
)
from cyclorama.erasing.network import BIG_LAMA, SMALL_LAMA, LamaGenerator, LamaShape
from cyclorama.errors import ModelFormatError, ModelNotFoundError
from cyclorama.lab.baselines.lama import open_method
from cyclorama.lab.baselines.options import BaselineOptions

TINY = LamaShape(width=4, downsamplings=2, blocks=2)


@pytest.fixture(scope="module")
def generator() -> LamaGenerator:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        made = LamaGenerator(TINY)
        made(torch.rand(2, 4, 16, 16))  # statistics that are not their resting values
    return made.eval()


def publish(generator: LamaGenerator, prefix: str) -> dict[str, torch.Tensor]:
    """The published layout: prefixed names, with the batch counters, beside a discriminator's."""
    named = {f"{prefix}{name}": value.detach().clone() for name, value in generator.state_dict().items()}
    return {**named, "discriminator.model0.0.weight": torch.zeros(8, 3, 4, 4)}


def save_checkpoint(generator: LamaGenerator, path: Path) -> None:
    """As pytorch-lightning leaves it: tensors under ``state_dict``, bookkeeping keyed by its own class."""
    names = [
        "pytorch_lightning",
        "pytorch_lightning.callbacks",
        "pytorch_lightning.callbacks.model_checkpoint",
    ]
    modules = {name: types.ModuleType(name) for name in names}
    module = modules[names[-1]]

    class ModelCheckpoint:
        pass

    ModelCheckpoint.__module__, ModelCheckpoint.__qualname__ = module.__name__, "ModelCheckpoint"
    module.ModelCheckpoint = ModelCheckpoint
    sys.modules.update(modules)
    try:
        state = publish(generator, "generator.")
        body = {"epoch": 39, "state_dict": state, "callbacks": {ModelCheckpoint: {"best": ModelCheckpoint()}}}
        torch.save(body, path)
    finally:
        for name in names:
            del sys.modules[name]


def save_script(generator: LamaGenerator, path: Path) -> None:
    """As the archive that is passed on: the generator inside a trainer inside a wrapper, traced."""

    class Wrapper(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = torch.nn.ModuleDict({"generator": generator})

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.model["generator"](inputs)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.trace(Wrapper().eval(), torch.rand(1, 4, 16, 16), check_trace=False).save(str(path))


SAVERS = {
    "best.ckpt": save_checkpoint,
    "big-lama.pt": save_script,
    "nested.pth": lambda g, path: torch.save({"gen_state_dict": publish(g, "")}, path),
    "flat.safetensors": lambda g, path: save_file(publish(g, ""), path),
    "big-lama.safetensors": lambda g, path: save_file(publish(g, "generator."), path),
}


@pytest.mark.parametrize("name", SAVERS)
def test_every_wrapping_gives_the_same_generator(name, generator, tmp_path):
    SAVERS[name](generator, tmp_path / name)
    model = load_lama(tmp_path / name)
    assert model.generator.shape == TINY
    wanted, found = state_of(generator), state_of(model.generator)
    assert wanted.keys() == found.keys()
    assert all(torch.equal(value, found[key]) for key, value in wanted.items())
    inputs = torch.rand(1, 4, 16, 16)
    with torch.no_grad():
        assert torch.equal(model.generator(inputs), generator(inputs))
    assert not any(value.requires_grad for value in model.generator.parameters())
    reference = tmp_path / "reference.safetensors"
    save_file({key: value.detach().contiguous() for key, value in wanted.items()}, reference)
    assert load_lama(reference).weights_hash == model.weights_hash


@pytest.mark.parametrize(
    "shape",
    [
        BIG_LAMA,
        SMALL_LAMA,
        TINY,
        LamaShape(width=8, downsamplings=3, blocks=1, global_share=0.5, max_width=32),
    ],
)
def test_sizes_are_read_off_the_tensors(shape):
    with torch.device("meta"):
        inferred = infer_shape(LamaGenerator(shape).state_dict())
        again = LamaGenerator(inferred).state_dict()
        assert {n: v.shape for n, v in again.items()} == {
            n: v.shape for n, v in LamaGenerator(shape).state_dict().items()
        }
    if shape.max_width == 1024:
        assert inferred == shape


def test_unpacked_archive_and_own_folder_are_found(generator, tmp_path):
    (tmp_path / "big-lama" / "models").mkdir(parents=True)
    save_checkpoint(generator, tmp_path / "big-lama" / "models" / "best.ckpt")
    assert find_lama(tmp_path / "big-lama").name == "best.ckpt"
    save_lama(generator, tmp_path / "own")
    assert find_lama(tmp_path / "own") == tmp_path / "own" / WEIGHTS_NAME


def test_missing_weights_say_what_to_get_and_where_it_goes(tmp_path):
    for wanted in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(ModelNotFoundError) as caught:
            load_lama(wanted)
        text = str(caught.value)
        assert str(wanted) in text
        assert all(
            part in text for part in ("big-lama.zip", "models/best.ckpt", "lama-small.yaml", WEIGHTS_NAME)
        )
    with pytest.raises(ModelNotFoundError, match="no LaMa weights"):
        open_method(str(tmp_path), BaselineOptions())


def test_own_folder_round_trip_stores_half_precision_and_checks_its_hash(generator, tmp_path):
    weights_hash = save_lama(generator, tmp_path, {"image_size": 128})
    model = load_lama(tmp_path)
    assert (model.weights_hash, model.image_size, model.generator.shape) == (weights_hash, 128, TINY)
    for name, value in state_of(generator).items():
        stored = value.half().float() if value.dim() > 1 else value
        assert torch.equal(state_of(model.generator)[name], stored), name
    assert save_lama(model.generator, tmp_path / "again") == weights_hash
    tensors = load_file(tmp_path / WEIGHTS_NAME)
    tensors["model.1.bn_l.bias"] += 1
    save_file(tensors, tmp_path / WEIGHTS_NAME)
    with pytest.raises(ModelFormatError, match="its card says"):
        load_lama(tmp_path)
    (tmp_path / CARD_NAME).write_text(json.dumps({"architecture": "other"}))
    with pytest.raises(ModelFormatError, match="'other'"):
        load_lama(tmp_path)


@pytest.mark.parametrize("fault", ["missing", "shape", "extra", "foreign"])
def test_other_tensors_are_named(fault, generator, tmp_path):
    tensors = publish(generator, "generator.")
    name = "generator.model.4.conv1.ffc.convg2g.fu.conv_layer.weight"
    if fault == "missing":
        del tensors[name]
    elif fault == "shape":
        tensors[name] = tensors[name][:, :-1].contiguous()
    elif fault == "extra":
        tensors["generator.model.4.conv1.ffc.gate.weight"] = torch.zeros(2, 16, 1, 1)
    else:
        tensors = {"unet.conv_in.weight": torch.zeros(1)}
    save_file(tensors, tmp_path / "bad.safetensors")
    with pytest.raises(ModelFormatError) as caught:
        load_lama(tmp_path / "bad.safetensors")
    expected = {"extra": "ffc.gate.weight", "foreign": "unet.conv_in.weight"}
    assert expected.get(fault, name.removeprefix("generator.")) in str(caught.value)


class Explosive:
    def __reduce__(self):
        return (exec, ("import pathlib; pathlib.Path('exploded').touch()",))


@pytest.mark.parametrize("save", [torch.save, lambda body, path: path.write_bytes(pickle.dumps(body))])
def test_nothing_in_a_pickled_file_is_run(save, generator, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save({"state_dict": publish(generator, "generator."), "hook": Explosive()}, tmp_path / "evil.ckpt")
    with pytest.raises(ModelFormatError, match=r"evil\.ckpt"):
        load_lama(tmp_path / "evil.ckpt")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("name", ["cut.safetensors", "cut.ckpt", "cut.pt"])
def test_damaged_files_are_named(name, tmp_path):
    (tmp_path / name).write_bytes(b"PK\x03\x04 not much")
    with pytest.raises(ModelFormatError, match="cut"):
        load_lama(tmp_path / name)
