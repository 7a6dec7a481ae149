"""A model made ready to ship: half precision, other decoder, aliases, small files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cyclorama.cli import main
from cyclorama.errors import ModelFormatError
from cyclorama.models.base import BaseModel, save_base
from cyclorama.models.pipeline import CycloramaPipeline
from cyclorama.models.registry import CategoryRegistry
from cyclorama.models.scratch import BaseShape, build_base
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


def test_a_decoder_of_another_encoder_is_refused(tmp_path: Path) -> None:
    CycloramaPipeline.from_base(_base(0)).save_pretrained(tmp_path / "model")
    save_base(_base(1), tmp_path / "other")
    with pytest.raises(ModelFormatError, match="encoder is not the one"):
        CycloramaPipeline.from_pretrained(tmp_path / "model").bundle(tmp_path / "other", {})
    build_tiny_pipeline().save_pretrained(tmp_path / "sd")
    with pytest.raises(ModelFormatError, match="only a PatchAutoencoder"):
        CycloramaPipeline.from_pretrained(tmp_path / "sd").bundle(tmp_path / "model", {})


@pytest.mark.parametrize("seed", [0, 5])
def test_tiny_parts_draw_from_seeds_of_their_own(seed: int) -> None:
    """Base, UNet and generators from ``seed``, ``seed + 1`` and ``seed + 2``: no numbers twice."""
    generator = build_tiny_pipeline(seed=seed).category_generator
    weight = generator.controlnet_down_blocks[0].weight
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 2)
        assert torch.equal(weight, torch.empty_like(weight).normal_(std=0.2))
