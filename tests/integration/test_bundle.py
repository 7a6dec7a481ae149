"""A model made ready to ship: half precision, other decoder, aliases, small files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from _training import TINY_SHAPE, TinyData, build_config

from cyclorama.cli import main
from cyclorama.data.examples import SourceConfig
from cyclorama.data.licences import SetLicence, count_licences, load_set_licence, save_set_licence
from cyclorama.errors import ModelFormatError
from cyclorama.generation.model import find_licence
from cyclorama.models.base import BaseModel, save_base
from cyclorama.models.pipeline import CycloramaPipeline
from cyclorama.models.registry import CategoryRegistry, load_registry
from cyclorama.models.scratch import BaseShape, build_base
from cyclorama.training.config import DataConfig, ModelConfig
from cyclorama.training.loop import train
from cyclorama.training.stages import STAGES
from tiny_models import build_tiny_pipeline

SHAPE = BaseShape(
    image_size=64, patch=8, latent_channels=4, unet_channels=(8, 16), attention_heads=2, norm_groups=4,
    text_width=16, text_layers=1, decoder_widths=(16, 8),
)  # fmt: skip


def _base(seed: int) -> BaseModel:
    return build_base(SHAPE, ["a photo of sks 0"], seed)


def test_bundle_takes_the_trained_decoder_and_the_aliases(tmp_path: Path) -> None:
    registry = CategoryRegistry()
    registry.add("fruit", ["apple"])
    registry.add("whisky")
    base = _base(0)
    CycloramaPipeline.from_base(base, registry=registry).save_pretrained(tmp_path / "model")
    with torch.no_grad():
        base.vae.refiner[0].weight.fill_(0.25)
    save_base(base, tmp_path / "autoencoder")
    (tmp_path / "aliases.yaml").write_text("fruit: [pear]\nwhisky: [whiskey]\n")
    arguments = ["--model", tmp_path / "model", "--autoencoder", tmp_path / "autoencoder"]
    arguments += ["--aliases", tmp_path / "aliases.yaml", "--out", tmp_path / "out"]
    assert main(["models", "bundle", *map(str, arguments)]) == 0
    loaded = CycloramaPipeline.from_pretrained(tmp_path / "out", dtype=torch.float16)
    assert {p.dtype for p in loaded.unet.parameters()} == {torch.float16}
    assert float(loaded.vae.refiner[0].weight.detach().float().mean()) == 0.25
    assert [loaded.registry.resolve(n).id for n in ("apple", "pear", "whiskey")] == [0, 0, 1]
    full = CycloramaPipeline.from_pretrained(tmp_path / "out")
    expected = base.unet.state_dict()["conv_in.weight"].half().float()
    assert torch.equal(full.unet.state_dict()["conv_in.weight"], expected)


def test_a_single_text_is_one_alias_and_other_values_are_refused(tmp_path: Path, capsys: Any) -> None:
    registry = CategoryRegistry()
    registry.add("perfume")
    pipeline = CycloramaPipeline.from_base(_base(0), registry=registry)
    pipeline.save_pretrained(tmp_path / "model")
    path = tmp_path / "aliases.yaml"
    arguments = ["--model", tmp_path / "model", "--aliases", path, "--out", tmp_path / "out"]
    for values in ("perfume: 5", "perfume: [scent, 5]", "perfume: {a: b}", "[perfume]", "5: [scent]"):
        path.write_text(values)
        assert main(["models", "bundle", *map(str, arguments)]) == 2
        assert "aliases" in capsys.readouterr().err and not (tmp_path / "out").exists()
    path.write_text("perfume: scent")
    assert main(["models", "bundle", *map(str, arguments)]) == 0
    assert load_registry(tmp_path / "out").resolve("perfume").aliases == ("scent",)
    pipeline.bundle(None, {"perfume": "scent"})
    assert pipeline.registry.resolve("perfume").aliases == ("scent",)


def test_a_decoder_of_another_encoder_is_refused(tmp_path: Path) -> None:
    CycloramaPipeline.from_base(_base(0)).save_pretrained(tmp_path / "model")
    save_base(_base(1), tmp_path / "other")
    with pytest.raises(ModelFormatError, match="encoder is not the one"):
        CycloramaPipeline.from_pretrained(tmp_path / "model").bundle(tmp_path / "other", {})
    build_tiny_pipeline().save_pretrained(tmp_path / "sd")
    with pytest.raises(ModelFormatError, match="only a PatchAutoencoder"):
        CycloramaPipeline.from_pretrained(tmp_path / "sd").bundle(tmp_path / "model", {})


def _mark(folder: Path, *licences: str) -> Path:
    folder.mkdir(exist_ok=True)
    save_set_licence(count_licences(licences), folder)
    return folder


def test_a_mark_goes_from_an_autoencoder_to_the_base_and_into_the_bundle(tmp_path: Path) -> None:
    def train_stage(stage: str, source: Path, model: ModelConfig) -> Path:
        data = DataConfig(source=SourceConfig(path=source), image_size=32)
        config = build_config(steps=1, data=data, model=model)
        found = train(STAGES[stage], config, tmp_path / stage, data=TinyData()).model
        assert found is not None
        return found

    marked = _mark(tmp_path / "marked", "CC-BY-NC-4.0", "CC0-1.0")
    free = _mark(tmp_path / "free", "CC0-1.0")
    autoencoder = train_stage("autoencoder", marked, ModelConfig(build=TINY_SHAPE))
    base = train_stage("base", free, ModelConfig(build=TINY_SHAPE, autoencoder=str(autoencoder)))
    model = train_stage("category", free, ModelConfig(base=str(base)))
    assert main(["models", "bundle", "--model", str(model), "--out", str(tmp_path / "out")]) == 0
    line = "non-commercial use only; trained on images under CC-BY-NC-4.0"
    for folder in (autoencoder, base, model, tmp_path / "out"):
        licence = load_set_licence(folder)
        assert licence is not None and licence.commercial_use == "forbidden"
        assert find_licence(folder) == line


def test_a_bundle_has_the_licences_of_both_models_and_the_model_s_cards(tmp_path: Path) -> None:
    base = _base(0)
    CycloramaPipeline.from_base(base).save_pretrained(tmp_path / "model")
    save_base(base, tmp_path / "autoencoder")
    arguments = ["--model", tmp_path / "model", "--autoencoder", tmp_path / "autoencoder", "--out"]
    (tmp_path / "model" / "README.md").write_text("licence: MIT\n")

    def bundle(name: str) -> Path:
        assert main(["models", "bundle", *map(str, arguments), str(tmp_path / name)]) == 0
        return tmp_path / name

    assert load_set_licence(bundle("unknown")) is None and find_licence(tmp_path / "unknown") == "MIT"
    _mark(tmp_path / "model", "MIT")
    assert load_set_licence(bundle("unstated")) == SetLicence({"": 1, "MIT": 1})
    _mark(tmp_path / "autoencoder", "CC-BY-NC-4.0")
    assert load_set_licence(bundle("marked")) == SetLicence({"CC-BY-NC-4.0": 1, "MIT": 1})
    assert find_licence(tmp_path / "marked").startswith("non-commercial use only")


@pytest.mark.parametrize("seed", [0, 5])
def test_tiny_parts_draw_from_seeds_of_their_own(seed: int) -> None:
    """Base, UNet and generators from ``seed``, ``seed + 1`` and ``seed + 2``: no numbers twice."""
    generator = build_tiny_pipeline(seed=seed).category_generator
    weight = generator.controlnet_down_blocks[0].weight
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 2)
        assert torch.equal(weight, torch.empty_like(weight).normal_(std=0.2))
