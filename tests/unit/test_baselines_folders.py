"""Published layouts load and give diffusers' own images; what is missing is named with its remedy."""

from __future__ import annotations

import json
import pickle
import shutil
import warnings
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, ControlNetModel, PaintByExamplePipeline, UNet2DConditionModel
from diffusers.pipelines.stable_diffusion import StableDiffusionInpaintPipeline
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from cyclorama.diffusion.sampling import sample_noise
from cyclorama.diffusion.settings import SamplingConfig
from cyclorama.errors import ModelFormatError, ModelNotFoundError, UnknownCategoryError
from cyclorama.lab.baselines.background_features import load_background_features
from cyclorama.lab.baselines.folders import compute_weights_hash
from cyclorama.lab.baselines.inpaint import widen_unet
from cyclorama.lab.baselines.options import BaselineOptions
from cyclorama.lab.baselines.paint_by_example import _get_encoder_class
from cyclorama.lab.baselines.protocol import OpenRegistry, open_baseline
from cyclorama.models.base import BaseModel, save_base
from cyclorama.models.registry import CategoryRegistry, save_registry
from tiny_models import build_tiny_base

SETTINGS = SamplingConfig(num_inference_steps=2, guidance_scale=3.0)
MEAN, STD = [0.48, 0.46, 0.41], [0.27, 0.26, 0.28]


@pytest.fixture(scope="module")
def base() -> BaseModel:
    built = build_tiny_base(levels=4)
    with torch.no_grad():  # no chance in the encoder: pipelines that sample from it take its mode
        built.vae.quant_conv.weight[4:] = 0
        built.vae.quant_conv.bias[4:] = -30
    return built


@pytest.fixture(scope="module")
def base_folder(base, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "sd"
    save_base(base, folder)
    return folder


@pytest.fixture(scope="module")
def inpaint_folder(base, tmp_path_factory) -> Path:
    """As StableDiffusionInpaintPipeline.save_pretrained writes it."""
    folder = tmp_path_factory.mktemp("inpaint") / "sd-inpaint"
    wide = widen_unet(base.unet, 5)
    torch.nn.init.normal_(wide.conv_in.weight, std=0.2, generator=torch.Generator().manual_seed(0))
    pipeline = StableDiffusionInpaintPipeline(
        base.vae, base.text_encoder, base.tokenizer, wide, base.scheduler, None, None,
        requires_safety_checker=False,
    )  # fmt: skip
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def example_folder(base, inpaint_folder, tmp_path_factory) -> Path:
    """Parts of Paint-by-Example as its pipeline saves them."""
    folder = tmp_path_factory.mktemp("example") / "pbe"
    for part in ("unet", "vae", "scheduler"):
        shutil.copytree(inpaint_folder / part, folder / part)
    config = CLIPVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=4, num_attention_heads=2, image_size=32,
        patch_size=8, projection_dim=16,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        _get_encoder_class()(config).save_pretrained(folder / "image_encoder")
    (folder / "feature_extractor").mkdir()
    card = {"image_mean": MEAN, "image_std": STD, "size": {"shortest_edge": 32}}
    (folder / "feature_extractor" / "preprocessor_config.json").write_text(json.dumps(card))
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "PaintByExamplePipeline"}))
    return folder


def make_arguments(with_reference: bool = True) -> dict:
    generator = torch.Generator().manual_seed(5)
    image, reference = (torch.rand((1, 3, 64, 64), generator=generator) * 2 - 1 for _ in range(2))
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 16:48, 24:40] = 1
    small = reference[..., :32, :32].repeat_interleave(2, -1).repeat_interleave(2, -2)
    return {
        "product_image": image,
        "product_mask": mask,
        "categories": ["vase"],
        "generators": [torch.Generator().manual_seed(1)],
        "reference_image": small if with_reference else None,
        "settings": SETTINGS,
    }


def test_paint_by_example_in_the_published_layout_equals_diffusers_pipeline(example_folder):
    handle = open_baseline("paint-by-example", str(example_folder))
    assert handle.needs_reference and handle.name == "paint-by-example:pbe" and len(handle.hash) == 12
    baseline = handle.load("cpu", "float32")
    arguments = make_arguments()
    made = baseline(**arguments)
    square = torch.nn.functional.interpolate(
        arguments["reference_image"], (32, 32), mode="bicubic", antialias=True
    )
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (MEAN, STD))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = PaintByExamplePipeline(
            AutoencoderKL.from_pretrained(example_folder / "vae"),
            _get_encoder_class().from_pretrained(example_folder / "image_encoder").eval(),
            UNet2DConditionModel.from_pretrained(example_folder / "unet"),
            baseline.scheduler,
            None,
            None,
            requires_safety_checker=False,
        )
        theirs.set_progress_bar_config(disable=True)
        expected = theirs(
            example_image=(square.clamp(-1, 1) * 0.5 + 0.5 - mean) / std,
            image=arguments["product_image"],
            mask_image=1 - arguments["product_mask"],
            latents=sample_noise((4, 8, 8), [torch.Generator().manual_seed(1)]),
            num_inference_steps=2,
            guidance_scale=3.0,
            output_type="pt",
        ).images
    torch.testing.assert_close(made, torch.as_tensor(expected) * 2 - 1, rtol=1e-4, atol=1e-4)


def test_in_painting_in_the_published_layout_loads_and_paints(inpaint_folder):
    handle = open_baseline("inpaint", str(inpaint_folder))
    assert (handle.name, handle.method) == ("inpaint:sd-inpaint", "inpaint")
    made = handle.load("cpu", "float32")(**make_arguments())
    assert made.shape == (1, 3, 64, 64) and float(made.std()) > 0.001 and float(made.abs().max()) <= 1
    assert handle.registry.resolve("Any name").prompts.full == "A photo of Any name"
    bfloat = handle.load("cpu", "bfloat16")(**make_arguments())
    assert float((bfloat - made).abs().mean()) < 0.1


def test_handles_travel_to_other_processes(base_folder, inpaint_folder, example_folder):
    """Several workers each load the method themselves, so a handle can be pickled."""
    for name, folder in (("inpaint", inpaint_folder), ("blended", base_folder), ("lama", None)):
        handle = pickle.loads(pickle.dumps(open_baseline(name, None if folder is None else str(folder))))
        assert handle.load("cpu", "float32").name == name
    handle = pickle.loads(pickle.dumps(open_baseline("paint-by-example", str(example_folder))))
    assert handle.load("cpu", "float32").image_size == 64


def test_a_published_control_net_goes_with_a_base(base, base_folder, tmp_path):
    ControlNetModel.from_unet(base.unet).save_pretrained(tmp_path / "control")
    options = BaselineOptions(weights=str(tmp_path / "control"), prompt="{category} on a table")
    handle = open_baseline("controlnet", str(base_folder), options)
    assert handle.settings == {"prompt": "{category} on a table", "hint_fill": -1.0}
    made = handle.load("cpu", "float32")(**make_arguments())
    assert torch.isfinite(made).all() and float(made.std()) > 0.001
    black = open_baseline(
        "controlnet", str(base_folder), BaselineOptions(weights=str(tmp_path / "control"), hint_fill=0.0)
    )
    assert black.settings["hint_fill"] == 0.0 and black.hash == handle.hash
    config = json.loads((tmp_path / "control" / "config.json").read_text())
    (tmp_path / "control" / "config.json").write_text(json.dumps(config | {"cross_attention_dim": 1024}))
    with pytest.raises(ModelFormatError, match=r"cross_attention_dim 1024, the base in .* 16"):
        open_baseline("controlnet", str(base_folder), options)


def test_blended_diffusion_is_guided_by_a_clip_folder(base_folder, tmp_path):
    config = CLIPVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=32,
        patch_size=8, projection_dim=8,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        CLIPVisionModelWithProjection(config).save_pretrained(tmp_path / "clip")
    card = {"image_mean": MEAN, "image_std": STD, "size": {"shortest_edge": 32}, "crop_size": 32}
    (tmp_path / "clip" / "preprocessor_config.json").write_text(json.dumps(card))
    choice = f"clip={tmp_path / 'clip'}"
    features = load_background_features(choice)
    assert (features.side, features.dimensions) == (32, 8)
    torch.testing.assert_close(features.mean.flatten(), torch.tensor(MEAN))
    handle = open_baseline("blended", str(base_folder), BaselineOptions(features=choice))
    assert handle.settings["features"] == f"clip-{features.weights_hash}"
    guided = handle.load("cpu", "float32")(**make_arguments())
    free = open_baseline("blended", str(base_folder), BaselineOptions(features=choice, guide_strength=0.0))
    plain = free.load("cpu", "float32")(**make_arguments())
    assert torch.isfinite(guided).all() and float((guided - plain).abs().max()) > 1e-3
    bfloat = free.load("cpu", "bfloat16")(**make_arguments())
    assert float((bfloat - plain).abs().mean()) < 0.1
    assert torch.isfinite(handle.load("cpu", "bfloat16")(**make_arguments())).all()


def test_missing_weights_are_named_with_what_to_do(
    base_folder, inpaint_folder, example_folder, tmp_path, monkeypatch
):
    for name, words in (
        ("inpaint", "cyclorama lab train inpaint .*"),
        ("controlnet", "cyclorama lab train controlnet .*"),
        ("paint-by-example", "Fantasy-Studio/Paint-by-Example.*cyclorama lab train paint-by-example"),
    ):
        with pytest.raises(ModelNotFoundError, match=f"no folder at .*{words}"):
            open_baseline(name, str(tmp_path / "nowhere"))
    with pytest.raises(ModelNotFoundError, match=r"no weights for baseline 'inpaint' are installed; give a"):
        open_baseline("inpaint")
    with pytest.raises(
        ModelNotFoundError, match=r"cannot fetch model 'owner/name' from the hub .* give the folder"
    ):
        open_baseline("inpaint", "owner/name")
    with pytest.raises(ModelFormatError, match=r"takes 4 channels, an in-painting one 9"):
        open_baseline("inpaint", str(base_folder))
    with pytest.raises(ModelFormatError, match=r"lacks the sub-folder controlnet/; give --model DIR/model"):
        open_baseline("controlnet", str(base_folder))
    with pytest.raises(ModelFormatError, match=r"lacks the sub-folder image_encoder/"):
        open_baseline("paint-by-example", str(inpaint_folder))
    broken = tmp_path / "pickled"
    shutil.copytree(example_folder, broken)
    (broken / "unet" / "diffusion_pytorch_model.safetensors").rename(broken / "unet" / "model.bin")
    with pytest.raises(ModelFormatError, match=r"only pickled weights \(model.bin\); .* safe_serialization"):
        open_baseline("paint-by-example", str(broken))


def test_hashes_follow_the_weights_and_not_the_place(inpaint_folder, tmp_path):
    first = compute_weights_hash(inpaint_folder)
    shutil.copytree(inpaint_folder, tmp_path / "copy")
    (tmp_path / "copy" / "README.md").write_text("a note")
    assert compute_weights_hash(tmp_path / "copy") == first
    path = tmp_path / "copy" / "unet" / "diffusion_pytorch_model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert compute_weights_hash(tmp_path / "copy") != first


def test_an_open_registry_knows_its_own_and_takes_every_name(tmp_path):
    known = CategoryRegistry()
    known.add("fruit", ["apple"])
    save_registry(known, tmp_path)
    registry = OpenRegistry(known.categories)
    assert registry.resolve("Apple").prompts.full == "A photo of fruit, in the background of sks 0"
    first = registry.resolve("garden  chair")
    registry.resolve("lamp")
    assert registry.resolve("garden chair") == first
    assert (first.name, first.identifier, first.prompts.background) == ("garden chair", "", "")
    assert registry.names == ["fruit"]
    with pytest.raises(UnknownCategoryError):
        known.resolve("lamp")
