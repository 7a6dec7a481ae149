"""A run knows its images and its start again: all of them, wherever they lie."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from _training import SIZE, TinyData, build_config, load_state, save_tiny_model
from PIL import Image
from safetensors.torch import load_file, save_file

from cyclorama.config import build_config as build_settings
from cyclorama.config import to_plain
from cyclorama.data.examples import SourceConfig
from cyclorama.errors import CheckpointError, ConfigError, DataError, ModelNotFoundError
from cyclorama.models.base import encode_image, load_base
from cyclorama.tensors import to_image
from cyclorama.training.config import DataConfig, TrainConfig
from cyclorama.training.loop import build_accelerator, train
from cyclorama.training.prepare import prepare_run
from cyclorama.training.stages import STAGES
from cyclorama.training.state import find_checkpoint

COUNT = 70
UNPROBED = min(set(range(COUNT)) - {int(i) for i in np.linspace(0, COUNT - 1, 64)})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A table of more images than are probed."""
    data, folder = TinyData(COUNT), tmp_path / "set"
    folder.mkdir()
    rows = ["image,mask,category"]
    for index in range(COUNT):
        pixels, mask = data.load(index)
        Image.fromarray(pixels).save(folder / f"i{index}.png")
        Image.fromarray((255 * mask).astype(np.uint8)).save(folder / f"m{index}.png")
        rows.append(f"i{index}.png,m{index}.png,{data.category(index)}")
    (folder / "list.csv").write_text("\n".join(rows) + "\n")
    return folder


def build(model: Path, images: Path, **data: Any) -> TrainConfig:
    source = SourceConfig(path=images / "list.csv", kind="table")
    return build_config(str(model), steps=1, data=DataConfig(source=source, image_size=SIZE, **data))


def change_image(images: Path) -> np.ndarray:
    path = images / f"i{UNPROBED}.png"
    pixels = 255 - np.asarray(Image.open(path))
    Image.fromarray(pixels).save(path)
    return pixels


def forget(out: Path, *names: str) -> None:
    """Make the newest checkpoint one that was written before ``names`` were recorded."""
    newest = find_checkpoint(out / "checkpoints")
    assert newest is not None
    values = json.loads((newest / "state.json").read_text())
    for name in names:
        del values["run"][name]
    (newest / "state.json").write_text(json.dumps(values))


@pytest.mark.parametrize("pack", [False, True])
def test_latents_are_of_the_images_as_they_are_now(
    model: Path, images: Path, tmp_path: Path, pack: bool
) -> None:
    config, out = build(model, images, pack=pack), tmp_path / "out"
    given = STAGES["category"], config, out, build_accelerator(config)
    prepare_run(*given)
    first = list((out / "cache").glob("latents-*.npy"))
    prepare_run(*given)
    assert len(first) == 1 and list((out / "cache").glob("latents-*.npy")) == first
    pixels = change_image(images)
    found = prepare_run(*given).builder.latents
    assert len(list((out / "cache").glob("latents-*.npy"))) == 2
    expected = encode_image(load_base(model).vae, to_image(pixels)).numpy()[0]
    np.testing.assert_allclose(found[UNPROBED, 0], expected, atol=2e-3)


WRONG = (
    ("category", {"model": {"base": "/no/model"}}, ModelNotFoundError, "no model folder at '/no/model'"),
    ("category", {"model": {"build": {}}}, ConfigError, r"stage 'category' needs model\.base"),
    ("personality", {"fresh": "category_generator"}, ConfigError, "needs a trained category generator"),
    ("autoencoder", {"crop": 6}, ConfigError, "crop 6 is no multiple of the autoencoder's patch of 4"),
    ("base", {"size": 34}, DataError, "images of 34 x 34 pixels do not fit the base"),
    ("base", {"validation": {"split": "none"}}, DataError, "in split 'none'"),
)


@pytest.mark.parametrize(("stage", "wrong", "error", "message"), WRONG)
def test_a_wrong_recipe_is_told_before_the_images_are_packed(
    model: Path, images: Path, tmp_path: Path, stage: str, wrong: dict[str, Any], error: Any, message: str
) -> None:
    changes, base = dict(wrong), tmp_path / "base"
    shutil.copytree(model, base)
    shutil.rmtree(base / changes.pop("fresh", "none"), ignore_errors=True)
    config = build(base, images)
    config = config.replace(data=config.data.replace(image_size=changes.pop("size", SIZE)))
    config = build_settings(TrainConfig, {**to_plain(config), **changes})
    with pytest.raises(error, match=message):
        train(STAGES[stage], config, tmp_path / "out")
    assert not {path.name for path in (tmp_path / "out").iterdir()} & {"packed", "cache"}


def test_a_run_goes_on_with_the_same_images_elsewhere_and_with_no_others(
    model: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(images)
    config, out = build(model, Path()), tmp_path / "out"
    train(STAGES["category"], config, out)
    shutil.copytree(images, tmp_path / "moved", copy_function=shutil.copyfile)  # with other times
    monkeypatch.chdir(tmp_path / "moved")
    shutil.rmtree(images)
    moved = config.replace(steps=2)
    assert train(STAGES["category"], moved, out, resume=True).step == 2
    change_image(tmp_path / "moved")
    with pytest.raises(CheckpointError, match=r"was made on other images than .*list\.csv now gives"):
        train(STAGES["category"], moved.replace(steps=3), out, resume=True)
    forget(out, "files")
    assert train(STAGES["category"], moved.replace(steps=3), out, resume=True).step == 3


def test_a_run_goes_on_from_the_start_it_had(model: Path, tmp_path: Path) -> None:
    base, out = tmp_path / "base", tmp_path / "out"
    shutil.copytree(model, base)
    config = build_config(str(base), steps=1)
    train(STAGES["category"], config, out, data=TinyData())
    config = config.replace(steps=2)
    (weights,) = (base / "unet").glob("*.safetensors")
    save_file({name: 1.5 * value for name, value in load_file(weights).items()}, weights, {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"another start than .*base now holds; restore it"):
        train(STAGES["category"], config, out, data=TinyData(), resume=True)
    assert load_state(out).step == 1
    forget(out, "start")
    assert train(STAGES["category"], config, out, data=TinyData(), resume=True).step == 2
