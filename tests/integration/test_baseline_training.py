"""The small versions: what moves, what they learn from, resuming, and the folder that comes out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from _training import TinyData, build_config, load_state, save_tiny_model
from PIL import Image
from safetensors.torch import load_file

from cyclorama.cli import main
from cyclorama.commands.train import StageName
from cyclorama.diffusion.settings import SamplingConfig
from cyclorama.errors import ConfigError, ModelFormatError
from cyclorama.lab.baselines import latent
from cyclorama.lab.baselines.background_features import load_background_features
from cyclorama.lab.baselines.protocol import open_baseline
from cyclorama.lab.baselines.stages import STAGES as LAB_STAGES
from cyclorama.lab.commands.train import MethodName
from cyclorama.models.base import encode_image, load_base
from cyclorama.models.generators import Branch, build_condition_image, predict_noise
from cyclorama.training.batch import DrawSettings, sample_draws
from cyclorama.training.config import ModelConfig, ValidationConfig
from cyclorama.training.loop import build_accelerator, train
from cyclorama.training.prepare import prepare_run
from cyclorama.training.stages import STAGES as OWN_STAGES

STAGES = {**LAB_STAGES, **OWN_STAGES}
SETTINGS = {
    "inpaint": {"gradient_accumulation": 2, "gradient_checkpointing": True},
    "controlnet": {"precision": "bf16", "min_snr_gamma": 5.0},
    "paint-by-example": {"precision": "bf16", "gradient_accumulation": 2},
}
MOVED = {"inpaint": {"unet"}, "controlnet": {"controlnet"}, "paint-by-example": {"unet", "image_encoder"}}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model"))


def prepare(stage, config, out):
    return prepare_run(STAGES[stage], config, out, build_accelerator(config), TinyData())


def build_batch(prepared, count, dropout=0.5):
    settings = replace(prepared.draws, prompt_dropout=dropout)
    return prepared.builder.build([sample_draws(number, number, settings) for number in range(count)])


def call(folder, name, with_reference=True):
    pixels, mask = TinyData().load(0)
    image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 127.5 - 1
    baseline = open_baseline(name, str(folder)).load("cpu", "float32")
    return baseline(
        image,
        torch.from_numpy(mask)[None, None],
        ["perfume"],
        [torch.Generator().manual_seed(0)],
        image.flip(-1) if with_reference else None,
        None,
        SamplingConfig(num_inference_steps=2),
    )


@pytest.mark.parametrize("stage", sorted(SETTINGS))
def test_two_and_two_steps_are_four_and_the_model_paints(stage, model, tmp_path):
    validation = ValidationConfig(every_steps=4, images=2, num_inference_steps=2)
    config = build_config(str(model), validation=validation, **SETTINGS[stage])
    whole = train(STAGES[stage], config, tmp_path / "whole", data=TinyData())
    train(STAGES[stage], config.replace(steps=2), tmp_path / "halves", data=TinyData())
    train(STAGES[stage], config, tmp_path / "halves", data=TinyData(), resume=True)
    one, other = load_state(tmp_path / "whole"), load_state(tmp_path / "halves")
    assert (one.step, other.step) == (4, 4)
    for part in ("weights", "ema", "optimizer"):
        first, second = getattr(one, part), getattr(other, part)
        assert first.keys() == second.keys() and len(first) > 0
        assert [name for name, value in first.items() if not torch.equal(value, second[name])] == []

    assert {name.split(".", 1)[0] for name in one.ema} == MOVED[stage]
    for name, average in one.ema.items():
        part, parameter = name.split(".", 1)
        (path,) = (whole.model / part).glob("*.safetensors")
        assert torch.equal(load_file(path)[parameter], average)
    for part in {"unet", "vae", "text_encoder"} - MOVED[stage]:
        (before,), (after,) = (list((f / part).glob("*.safetensors")) for f in (model, whole.model))
        old, new = load_file(before), load_file(after)
        assert all(torch.equal(value, new[name]) for name, value in old.items())

    with Image.open(tmp_path / "whole" / "validation" / "step-00000004.png") as sheet:
        assert sheet.size == ((5 if stage == "paint-by-example" else 4) * 32, 64)
    made = call(whole.model, stage)
    assert made.shape == (1, 3, 32, 32) and torch.isfinite(made).all() and float(made.std()) > 0.01
    handle = open_baseline(stage, str(whole.model))
    assert handle.registry.names == ["fruit", "perfume"]
    if stage == "controlnet":
        assert handle.settings["hint_fill"] == 0.0
    index = json.loads((whole.model / "model_index.json").read_text())
    assert index["_class_name"].startswith(("StableDiffusion", "PaintByExample"))


@pytest.mark.parametrize("stage", ["inpaint", "controlnet"])
def test_a_baseline_is_shown_and_used_with_the_kind_of_prompt_it_has_learnt(
    stage, model, tmp_path, monkeypatch
):
    seen, encode = [], latent.encode_prompts
    monkeypatch.setattr(latent, "encode_prompts", lambda *given: seen.extend(given[2]) or encode(*given))
    validation = ValidationConfig(every_steps=1, images=2, num_inference_steps=2)
    config = build_config(str(model), steps=1, validation=validation)
    for kind, texts in (("product", {"", "A photo of perfume", "A photo of fruit"}), ("full", None)):
        made = train(STAGES[stage], config.replace(prompt=kind), tmp_path / kind, data=TinyData())
        shown = set(seen)
        seen.clear()
        call(made.model, stage)
        if texts is None:
            assert shown > {""} and all("in the background of" in text for text in shown - {""})
        else:
            assert shown == texts and set(seen) == {"", "A photo of perfume"}
        assert set(seen) <= shown
        seen.clear()


def test_in_painting_predicts_from_latents_mask_and_product(model, tmp_path):
    prepared = prepare("inpaint", build_config(str(model)), tmp_path)
    batch, base, stage = build_batch(prepared, 4), load_base(model), prepared.networks
    torch.nn.init.normal_(stage.trained["unet"].conv_in.weight, std=0.2)
    hole = torch.nn.functional.interpolate(1 - batch.product_mask, size=(8, 8))
    product = encode_image(base.vae, batch.image * batch.product_mask)
    alpha = base.scheduler.alphas_cumprod[batch.timesteps].view(-1, 1, 1, 1)
    noisy = alpha.sqrt() * batch.latents + (1 - alpha).sqrt() * batch.noise
    velocity = alpha.sqrt() * batch.noise - (1 - alpha).sqrt() * batch.latents
    with torch.no_grad():
        wide = torch.cat([noisy, hole, product], dim=1)
        predicted = stage.trained["unet"](wide, batch.timesteps, batch.full_prompt).sample
        torch.testing.assert_close(stage(batch), (predicted - velocity).square().mean(), rtol=1e-4, atol=1e-5)


def test_an_untrained_control_net_has_the_bases_loss_and_a_trained_one_its_own(model, tmp_path):
    prepared = prepare("controlnet", build_config(str(model)), tmp_path)
    batch, base, stage = build_batch(prepared, 4), load_base(model), prepared.networks
    assert isinstance(stage.trained["controlnet"], Branch)
    alpha = base.scheduler.alphas_cumprod[batch.timesteps].view(-1, 1, 1, 1)
    noisy = alpha.sqrt() * batch.latents + (1 - alpha).sqrt() * batch.noise
    velocity = alpha.sqrt() * batch.noise - (1 - alpha).sqrt() * batch.latents
    with torch.no_grad():
        plain = predict_noise(base.unet, noisy, batch.timesteps, batch.full_prompt)
        torch.testing.assert_close(stage(batch), (plain - velocity).square().mean(), rtol=1e-4, atol=1e-5)
        control = stage.trained["controlnet"]
        torch.nn.init.normal_(control.controlnet_mid_block.weight, std=0.2)
        hint = control.encode_hint(build_condition_image(batch.image, batch.product_mask))
        residuals = control(noisy, batch.timesteps, batch.full_prompt, hint)
        own = predict_noise(base.unet, noisy, batch.timesteps, batch.full_prompt, residuals)
        torch.testing.assert_close(stage(batch), (own - velocity).square().mean(), rtol=1e-4, atol=1e-5)
    assert float((own - plain).abs().max()) > 1e-3


def test_paint_by_example_learns_from_the_perturbed_background_or_from_nothing(model, tmp_path):
    prepared = prepare("paint-by-example", build_config(str(model)), tmp_path)
    stage, batch = prepared.networks, build_batch(prepared, 6)
    assert (
        batch.dropped.tolist() == [draw(n).drop_prompt for n in range(6)] and 0 < int(batch.dropped.sum()) < 6
    )
    encoder, features = stage.trained["image_encoder"], stage.frozen["features"]
    assert encoder.config.features_hash == load_background_features("cyclorama").weights_hash
    torch.nn.init.normal_(encoder.unconditional)
    seen = []
    hook = stage.trained["unet"].register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["encoder_hidden_states"].detach()), with_kwargs=True
    )
    stage(batch).backward()
    hook.remove()
    with torch.no_grad():
        own = encoder(features(batch.reference, batch.reference_mask))
    for row, dropped in enumerate(batch.dropped):
        expected = encoder.unconditional[0] if dropped else own[row]
        torch.testing.assert_close(seen[0][row], expected)
    assert (
        float(encoder.unconditional.grad.abs().sum()) > 0 < float(encoder.projection.weight.grad.abs().sum())
    )
    assert all(p.grad is None for p in features.parameters())


def draw(number):
    return sample_draws(number, number, DrawSettings(0, (4, 8, 8), 1000, True, 0.5))


def test_a_later_run_goes_on_from_the_model_or_afresh(model, tmp_path):
    once = train(STAGES["inpaint"], build_config(str(model), steps=1), tmp_path / "a", data=TinyData()).model
    again = prepare("inpaint", build_config(str(once)), tmp_path / "b").networks["unet"]
    assert again.config.in_channels == 9
    assert torch.equal(again.conv_in.weight, load_base(once).unet.conv_in.weight)
    once = train(
        STAGES["controlnet"], build_config(str(model), steps=1), tmp_path / "c", data=TinyData()
    ).model
    config = build_config(model=ModelConfig(base=str(once), fresh=True, condition_mask_channel=True))
    fresh = prepare("controlnet", config, tmp_path / "d").networks["controlnet"]
    assert fresh.with_mask and float(fresh.controlnet_mid_block.weight.detach().abs().sum()) == 0


def test_another_feature_network_than_the_trained_one_is_refused(model, tmp_path):
    made = train(
        STAGES["paint-by-example"], build_config(str(model), steps=1), tmp_path, data=TinyData()
    ).model
    path = made / "image_encoder" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"features_hash": "0123"}))
    with pytest.raises(
        ModelFormatError, match="trained with the feature network 0123, --features cyclorama is"
    ):
        open_baseline("paint-by-example", str(made))


def test_a_stage_without_a_base_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="stage 'inpaint' needs model.base"):
        train(STAGES["inpaint"], build_config(), tmp_path / "a", data=TinyData())


def test_the_command_names_every_stage_and_trains_one(model, tmp_path, capsys):
    assert get_args(MethodName) == tuple(LAB_STAGES) and get_args(StageName) == tuple(OWN_STAGES)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("data: {source: {path: none}}\nmodel: {base: none}\nsteps: 1\n")
    arguments = ["lab", "train", "controlnet", "--config", str(recipe), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--set", "data.source.path=nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_the_batches_of_all_stages_are_the_same(model, tmp_path):
    ours = build_batch(prepare("category", build_config(str(model)), tmp_path / "a"), 3)
    theirs = build_batch(prepare("controlnet", build_config(str(model)), tmp_path / "b"), 3)
    for field in ("latents", "noise", "timesteps", "full_prompt", "hint_image", "hint_mask"):
        np.testing.assert_array_equal(getattr(ours, field), getattr(theirs, field))
