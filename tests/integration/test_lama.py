"""LaMa through the training loop: exact resume, a fill that is learnt, the model folder in use."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from _training import SIZE, TinyData, build_config, load_state, save_tiny_model

from cyclorama.config import load_config
from cyclorama.erasing.erase import erase
from cyclorama.erasing.files import CARD_NAME, WEIGHTS_NAME, LamaModel, load_lama, state_of
from cyclorama.erasing.network import LamaGenerator, LamaShape
from cyclorama.errors import ConfigError
from cyclorama.evaluation.feature_network import FeatureNetwork, FeatureNetworkConfig, save_network
from cyclorama.lab.baselines.lama import KNOWN_MATTE, LamaBaseline, open_method
from cyclorama.lab.baselines.lama_training import LAMA, build_networks, read_settings, sample_holes
from cyclorama.lab.baselines.options import BaselineOptions
from cyclorama.models.registry import CategoryRegistry
from cyclorama.training.config import OptimiserConfig, TrainConfig
from cyclorama.training.loop import train
from cyclorama.training.stage import Start

ROOT = Path(__file__).resolve().parents[2]
SHAPE = {"width": 8, "downsamplings": 2, "blocks": 2}


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> str:
    return str(save_tiny_model(tmp_path_factory.mktemp("base")))


@pytest.fixture(scope="module")
def features(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("features")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_network(FeatureNetwork(FeatureNetworkConfig(categories=("a", "b"), widths=(4, 4, 4, 4))), folder)
    return folder


def build_lama_config(base: str, features: Path, **changes) -> TrainConfig:
    losses = {"l1_missing": 5.0, "features": str(features), "discriminator_widths": [8, 8]}
    method = {"shape": SHAPE, "holes": {"background": 1.0}, "losses": losses}
    return build_config(base, **{"method": method, **changes})


def test_two_and_two_steps_are_four_bit_for_bit(base, features, tmp_path):
    config, data = build_lama_config(base, features), TinyData()
    train(LAMA, config, tmp_path / "whole", data=data)
    train(LAMA, config.replace(steps=2), tmp_path / "halves", data=data)
    train(LAMA, config, tmp_path / "halves", data=data, resume=True)
    one, other = load_state(tmp_path / "whole"), load_state(tmp_path / "halves")
    assert one.step == other.step == 4
    for part in ("weights", "ema", "optimizer"):
        first, second = getattr(one, part), getattr(other, part)
        assert first.keys() == second.keys()
        assert [name for name, value in first.items() if not torch.equal(value, second[name])] == []
    moved = one.weights["generator.model.1.bn_l.running_mean"]
    assert moved.abs().min() > 0  # the normalisations' statistics are part of the state
    assert any(name.startswith("discriminator.") for name in one.weights)
    pair = [(tmp_path / run / "model" / WEIGHTS_NAME).read_bytes() for run in ("whole", "halves")]
    assert pair[0] == pair[1]


class FlatData(TinyData):
    """Images of one colour each."""

    colours = np.array([(200, 60, 40), (40, 120, 220), (240, 230, 90), (30, 40, 30)], dtype=np.uint8)

    def __init__(self) -> None:
        super().__init__(len(self.colours))
        self._pixels = np.repeat(self.colours[:, None, None], SIZE, 1).repeat(SIZE, 2)


def test_training_learns_to_fill_a_flat_image_with_its_colour(base, features, tmp_path):
    losses = {"l1_missing": 10.0, "perceptual": 0.0, "adversarial": 0.0}
    config = build_lama_config(
        base,
        features,
        method={"shape": SHAPE, "losses": losses},
        steps=120,
        ema_decay=None,
        optimiser=OptimiserConfig(
            learning_rate=1e-2, weight_decay=0.0, schedule="cosine", max_grad_norm=100.0
        ),
    )
    data = FlatData()
    result = train(LAMA, config, tmp_path, data=data)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    losses_seen = [row["loss"] for row in rows if "loss" in row]
    assert np.mean(losses_seen[-5:]) < 0.1 * np.mean(losses_seen[:5])
    model = load_lama(result.model)
    hole = np.zeros((SIZE, SIZE), dtype=bool)
    hole[8:22, 10:26] = True
    for index, colour in enumerate(data.colours):
        pixels = data.load(index)[0].copy()
        pixels[hole] = 255 - colour
        filled = erase(pixels, hole, model)
        assert (filled[~hole] == colour).all()
        assert np.abs(filled[hole].astype(int) - colour).mean() < 8, f"colour {colour}"


def test_the_model_folder_opens_as_baseline_and_is_trained_on(base, features, tmp_path):
    config, data = build_lama_config(base, features, steps=1), TinyData()
    model = train(LAMA, config, tmp_path / "first", data=data).model
    card = json.loads((model / CARD_NAME).read_text())
    assert card["image_size"] == SIZE and card["shape"]["width"] == 8
    assert card["training"]["losses"]["l1_missing"] == 5.0 and "features" not in card["training"]["losses"]
    handle = open_method(None, BaselineOptions(weights=str(model)))
    assert (handle.method, handle.name, handle.uses_reference, handle.folder) == (
        "lama",
        "lama:model",
        False,
        model,
    )
    assert handle.hash == open_method(str(model), BaselineOptions()).hash
    baseline = handle.load("cpu", "float32")
    assert isinstance(baseline, LamaBaseline) and baseline.image_size == SIZE
    trained, _ = build_networks(Start(model, CategoryRegistry(), config), None)
    assert all(
        torch.equal(v, state_of(trained["generator"])[n])
        for n, v in state_of(load_lama(model).generator).items()
    )
    fresh = config.replace(model=config.model.replace(fresh=True))
    anew, _ = build_networks(Start(model, CategoryRegistry(), fresh), None)
    again, _ = build_networks(Start(Path(base), CategoryRegistry(), config), None)
    first = "model.1.ffc.convl2l.weight"
    weights = [state_of(networks["generator"])[first] for networks in (trained, anew, again)]
    assert torch.equal(weights[1], weights[2]) and not torch.equal(weights[0], weights[1])


def test_holes_are_a_function_of_seed_and_sample_alone():
    masks = torch.from_numpy(np.stack([TinyData().load(i)[1] for i in range(3)]))[:, None]
    config = read_settings(build_config(method={"holes": {"background": 1.0}})).holes
    together = sample_holes((5, 6, 7), masks, config, seed=1)
    alone = torch.cat([sample_holes((n,), masks[i : i + 1], config, seed=1) for i, n in enumerate((5, 6, 7))])
    assert torch.equal(together, alone)
    assert not torch.equal(together, sample_holes((5, 6, 7), masks, config, seed=2))
    assert set(together.unique().tolist()) == {0.0, 1.0}


def test_own_settings_are_checked_by_name():
    with pytest.raises(
        ConfigError, match=r"method: losses: unknown key 'perceptal'; did you mean perceptual"
    ):
        read_settings(build_config(method={"losses": {"perceptal": 1.0}}))


def test_the_recipe_is_a_small_lama_for_256_pixels():
    config = load_config(TrainConfig, ROOT / "recipes" / "baselines" / "lama-small.yaml")
    own = read_settings(config)
    assert config.data.image_size == 256 and config.optimiser.weight_decay == 0
    assert own.shape.width == 24 and own.holes.background > 0 and own.losses.adversarial > 0


def test_a_matte_of_the_known_limit_is_known(monkeypatch: pytest.MonkeyPatch):
    holes = []
    monkeypatch.setattr(
        "cyclorama.lab.baselines.lama.fill", lambda image, hole, model: holes.append(hole) or image
    )
    generator = LamaGenerator(LamaShape(width=4, max_width=8, downsamplings=2, blocks=1))
    baseline = LamaBaseline(LamaModel(generator, Path(), "0" * 12, 32))
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., :8], mask[..., 8:16] = KNOWN_MATTE, KNOWN_MATTE - 1e-3
    baseline(torch.zeros(1, 3, 32, 32), mask, ["vase"], [torch.Generator()])
    assert not holes[0][..., :8].any() and bool(holes[0][..., 8:].all())
