"""What each stage moves, what it leaves, what it computes, and what it exports."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from _training import TinyData, build_config, load_state, save_tiny_model
from PIL import Image
from safetensors.torch import load_file

from cyclorama.cli import main
from cyclorama.commands.train import load_train_config
from cyclorama.data.shards import Sample, write_shards
from cyclorama.errors import ConfigError, DataError
from cyclorama.models.base import encode_image, encode_prompts, load_base, load_part, load_vae
from cyclorama.models.generators import CategoryGenerator, build_condition_image, predict_noise
from cyclorama.models.pipeline import CycloramaPipeline
from cyclorama.models.registry import load_registry
from cyclorama.tensors import build_generator, to_image, to_mask_tensor
from cyclorama.training import prepare as prepare_module
from cyclorama.training.batch import DrawSettings, sample_draws
from cyclorama.training.config import DataConfig, DiscriminatorConfig, ModelConfig, ValidationConfig
from cyclorama.training.loop import build_accelerator, train
from cyclorama.training.prepare import prepare_run
from cyclorama.training.stages import STAGES, predict

PARTS = ("unet", "vae", "text_encoder", "category_generator", "personality_generator")
MOVED = {
    "base": {"unet"},
    "category": {"category_generator"},
    "personality": {"personality_generator"},
    "joint": {"category_generator", "personality_generator"},
}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model"))


def prepare(stage, config, out):
    return prepare_run(STAGES[stage], config, out, build_accelerator(config), TinyData())


def build_batch(prepared, count):
    return prepared.builder.build([sample_draws(number, number, prepared.draws) for number in range(count)])


@pytest.mark.parametrize("stage", sorted(MOVED))
def test_only_the_stages_own_weights_move_and_the_average_is_exported(stage, model, tmp_path):
    result = train(STAGES[stage], build_config(str(model), steps=2), tmp_path, data=TinyData())
    moved = set()
    for part in PARTS:
        if not (result.model / part).is_dir():
            continue
        (before,), (after,) = (list((f / part).glob("*.safetensors")) for f in (model, result.model))
        old, new = load_file(before), load_file(after)
        assert old.keys() == new.keys()
        if any(not torch.equal(old[name], new[name]) for name in old):
            moved.add(part)
    assert moved == MOVED[stage]
    for name, average in load_state(tmp_path).ema.items():
        part, parameter = name.split(".", 1)
        (path,) = (result.model / part).glob("*.safetensors")
        assert torch.equal(load_file(path)[parameter], average)
    if stage != "base":
        assert CycloramaPipeline.from_pretrained(result.model).registry.names == ["fruit", "perfume"]


@pytest.mark.parametrize("stage", ["category", "personality", "joint"])
def test_prediction_equals_the_equations_written_out(stage, model, tmp_path):
    prepared = prepare(stage, build_config(str(model)), tmp_path)
    batch = build_batch(prepared, 6)
    parts = CycloramaPipeline.from_pretrained(model)
    names = ["perfume" if index % 2 == 0 else "fruit" for index in batch.indices]
    drops = [sample_draws(n, n, DrawSettings(0, (4, 8, 8), 1000, True, 0.5)).drop_prompt for n in range(6)]
    assert len(set(drops)) == 2  # both cases occur
    texts = [parts.registry.resolve(name).prompts for name in names]

    def encode(field):
        rows = [
            parts._encode_prompt("" if drop else getattr(t, field), torch.device("cpu"))
            for t, drop in zip(texts, drops, strict=True)
        ]
        return torch.stack(rows)

    cg, pg, mask = parts.category_generator, parts.personality_generator, batch.product_mask
    t = batch.timesteps
    with torch.no_grad():
        hint = cg.encode_hint((batch.image * 0.5 + 0.5) * mask)
        residuals = cg.predict_residuals(
            batch.latents, t, encode("product"), encode("background"), hint, mask
        )
        if stage != "category":
            hint = pg.encode_hint(build_condition_image(batch.reference, 1 - batch.reference_mask))
            residuals = residuals + pg.predict_residuals(batch.latents, t, encode("full"), hint, mask)
        expected = predict_noise(parts.unet, batch.latents, t, encode("full"), residuals)
        actual = predict(prepared.networks, batch.latents, t, batch)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


def test_latents_in_the_cache_are_the_autoencoders_also_of_mirror_images(model, tmp_path):
    data = TinyData()
    prepared = prepare("base", build_config(str(model)), tmp_path)
    vae = load_base(model).vae
    for index in (0, 4):
        pixels = data.load(index)[0]
        for view, shown in enumerate((pixels, pixels[:, ::-1])):
            cached = torch.from_numpy(prepared.builder.latents[index, view].astype(np.float32))
            torch.testing.assert_close(cached, encode_image(vae, to_image(shown))[0], rtol=2e-3, atol=2e-3)


def test_a_shared_cache_is_filled_once(model, tmp_path, monkeypatch):
    data = DataConfig(source=build_config().data.source, image_size=32, cache=tmp_path / "shared")
    first = prepare("category", build_config(str(model), data=data), tmp_path / "a")
    monkeypatch.setattr(prepare_module, "build_latents", None)  # not called again
    second = prepare("personality", build_config(str(model), data=data), tmp_path / "b")
    np.testing.assert_array_equal(first.builder.latents, second.builder.latents)
    assert len(list((tmp_path / "shared").glob("*.done"))) == 2


def test_generators_start_from_the_model_or_afresh(model, tmp_path):
    trained = prepare("category", build_config(str(model)), tmp_path / "a").networks
    assert float(trained["category_generator"].controlnet_mid_block.weight.detach().abs().sum()) > 0
    config = build_config(model=ModelConfig(base=str(model), fresh=True, condition_mask_channel=True))
    fresh = prepare("category", config, tmp_path / "b").networks["category_generator"]
    assert float(fresh.controlnet_mid_block.weight.detach().abs().sum()) == 0
    assert fresh.with_mask


def test_what_cannot_be_trained_is_refused_before_anything_is_computed(model, tmp_path):
    with pytest.raises(ConfigError, match="stage 'category' needs model.base"):
        train(STAGES["category"], build_config(), tmp_path / "a", data=TinyData())
    base = train(STAGES["base"], build_config(steps=1), tmp_path / "base", data=TinyData()).model
    with pytest.raises(
        ConfigError, match="needs a trained category generator, but .* run stage 'category' first"
    ):
        train(STAGES["personality"], build_config(str(base)), tmp_path / "b", data=TinyData())
    with pytest.raises(DataError, match=r"28 x 28 pixels do not fit the base; .* multiples of 8 \(4 per"):

        class Odd(TinyData):
            def load(self, index):
                pixels, mask = super().load(index)
                return pixels[:28, :28], mask[:28, :28]

        train(STAGES["base"], build_config(str(base)), tmp_path / "c", data=Odd())
    with pytest.raises(ConfigError, match="precision fp16 needs a GPU"):
        train(STAGES["base"], build_config(str(base), precision="fp16"), tmp_path / "d", data=TinyData())
    with pytest.raises(DataError, match="no image"):
        train(STAGES["base"], build_config(str(base)), tmp_path / "e", data=TinyData(0))


def test_validation_sheets_have_a_row_per_image(model, tmp_path):
    validation = ValidationConfig(every_steps=1, images=3, num_inference_steps=2)
    columns = {"autoencoder": 3, "base": 2, "category": 4, "personality": 5}
    for stage, count in columns.items():
        config = build_config(None if stage == "autoencoder" else str(model), steps=1, validation=validation)
        train(STAGES[stage], config, tmp_path / stage, data=TinyData())
        with Image.open(tmp_path / stage / "validation" / "step-00000001.png") as image:
            sheet = np.asarray(image)
        assert sheet.shape == (3 * 32, count * 32, 3)
        truth = np.concatenate([TinyData().load(index)[0] for index in (1, 0, 3)])  # fruit, perfume, fruit
        if stage != "base":
            np.testing.assert_array_equal(sheet[:, -32:], truth)
        if stage == "category":
            mask = np.concatenate([TinyData().load(index)[1] for index in (1, 0, 3)])[..., None] == 1
            np.testing.assert_array_equal(sheet[:, :32], np.where(mask, truth, 0))
            np.testing.assert_array_equal(np.where(mask, sheet[:, 64:96], 0), np.where(mask, truth, 0))
    rows = load_metrics(tmp_path / "autoencoder")
    assert rows[-1]["psnr_linear"] > 5 and "psnr" in rows[-1]


def test_the_validation_loss_is_the_mean_of_the_stage_s_loss_at_eight_timesteps(model, tmp_path):
    validation = ValidationConfig(every_steps=1, images=3, num_inference_steps=2)
    config = build_config(str(model), steps=2, validation=validation, ema_decay=None)
    train(STAGES["category"], config, tmp_path / "a", data=TinyData())
    told = [row["validation_loss"] for row in load_metrics(tmp_path / "a") if "validation_loss" in row]
    assert len(told) == 2 and told[0] != told[1]
    trained = load_base(tmp_path / "a" / "model")
    cg = load_part(CategoryGenerator, tmp_path / "a" / "model" / "category_generator", torch.float32)
    chosen, losses = (1, 0, 3), []
    prompts = load_registry(tmp_path / "a" / "model")
    generators = [build_generator(config.seed, k, "validation") for k in range(3)]
    for timestep in (62, 187, 312, 437, 562, 687, 812, 937):
        errors = []
        for index, generator in zip(chosen, generators, strict=True):
            pixels, matte = TinyData().load(index)
            image, mask = to_image(pixels), to_mask_tensor(matte)
            clean = encode_image(trained.vae, image)
            noise = torch.randn(clean.shape[1:], generator=generator)[None]
            t = torch.tensor([timestep])
            noisy = trained.scheduler.add_noise(clean, noise, t)
            texts = prompts.resolve(TinyData().category(index)).prompts
            product, background, full = (
                encode_prompts(trained.tokenizer, trained.text_encoder, [text])
                for text in (texts.product, texts.background, texts.full)
            )
            hint = cg.encode_hint(build_condition_image(image, mask, cg.with_mask))
            with torch.no_grad():
                residuals = cg.predict_residuals(noisy, t, product, background, hint, mask)
                found = predict_noise(trained.unet, noisy, t, full, residuals)
            target = noise
            if trained.scheduler.config.prediction_type == "v_prediction":
                target = trained.scheduler.get_velocity(clean, noise, t)
            errors.append((found - target).square().mean())
        losses.append(torch.stack(errors).mean())
    assert told[1] == pytest.approx(float(torch.stack(losses).mean()), rel=1e-4)


def load_metrics(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def encode_png(array):
    import io

    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


def test_the_command_trains_from_shards(tmp_path, capsys):
    data = TinyData(9)
    samples = []
    for index in range(9):
        pixels, mask = data.load(index)
        meta = {"id": str(index), "category": data.category(index), "split": "test" if index > 6 else "train"}
        samples.append(
            Sample(f"{index:03d}", encode_png(pixels), encode_png((mask * 255).astype(np.uint8)), meta)
        )
    write_shards(samples, tmp_path / "shards")
    recipe = Path(__file__).parents[2] / "recipes" / "tiny.yaml"
    arguments = ["train", "base", "--config", str(recipe), "--out", str(tmp_path / "run"), "--steps", "2"]
    settings = {
        "data.source.path": tmp_path / "shards",
        "data.source.split": "train",
        "validation.split": "test",
        "validation.every_steps": 2,
        "log_every_steps": 1,
    }
    for key, value in settings.items():
        arguments += ["--set", f"{key}={value}"]
    assert main(arguments) == 0
    assert "base finished after step 2" in capsys.readouterr().out
    out = tmp_path / "run"
    rows = load_metrics(out)
    assert rows.pop()["validation_loss"] > 0 and [row["step"] for row in rows] == [1, 2]
    assert all(0 < row["loss"] < 10 and row["images_per_second"] > 0 for row in rows)
    assert np.load(out / "packed" / "pixels.npy").shape == (7, 32, 32, 3)
    with Image.open(out / "validation" / "step-00000002.png") as sheet:
        assert sheet.size == (64, 64)
    assert list((out / "tensorboard").iterdir())
    assert load_base(out / "model").image_size == 32


@pytest.mark.parametrize(
    ("crop", "message"),
    [
        (40, r"crop 40 is larger than data\.image_size 32; give at most 32"),
        (30, r"crop 30 is no multiple of the autoencoder's patch of 4 pixels; .* data\.image_size 32"),
    ],
)
def test_a_crop_that_fits_no_image_or_no_latent_is_refused(crop, message, model, tmp_path):
    with pytest.raises(ConfigError, match=message):
        build_config(crop=crop)
    with pytest.raises(ConfigError, match=message):  # the model says its patch when it is opened
        train(STAGES["autoencoder"], build_config(str(model), crop=crop), tmp_path, data=TinyData())
    assert not (tmp_path / "cache").exists()
    config = build_config(crop=28, steps=1)
    assert train(STAGES["autoencoder"], config, tmp_path / "fits", data=TinyData()).step == 1


def test_the_tiny_recipe_goes_through_all_stages_as_it_stands(tmp_path):
    recipe, model = Path(__file__).parents[2] / "recipes" / "tiny.yaml", None
    for stage in ("base", "category", "personality", "joint"):
        start = () if model is None else ("model.build=null", f"model.base={model}")
        config = load_train_config(recipe, start, steps=2)
        assert config.model.train_text_encoder
        model = train(STAGES[stage], config, tmp_path / stage, data=TinyData()).model
        moved = {name.split(".")[0] for name in load_state(tmp_path / stage).weights}
        assert moved == ({"unet", "text_encoder"} if stage == "base" else MOVED[stage])
    assert CycloramaPipeline.from_pretrained(model).registry.names == ["fruit", "perfume"]


def test_a_discriminator_teaches_the_decoder_and_stays_behind(tmp_path):
    runs = {}
    for name, discriminator in (("without", None), ("with", DiscriminatorConfig(widths=(8, 8)))):
        config = build_config(steps=3, discriminator=discriminator, ema_decay=None)
        train(STAGES["autoencoder"], config, tmp_path / name, data=TinyData())
        runs[name] = load_vae(tmp_path / name / "model" / "vae", torch.float32).state_dict()
        weights = load_state(tmp_path / name).weights
        assert any(key.startswith("discriminator.") for key in weights) is (discriminator is not None)
    moved = [key for key, value in runs["with"].items() if not torch.equal(value, runs["without"][key])]
    assert moved
    assert all(key.startswith("refiner.") for key in moved)
    assert not (tmp_path / "with" / "model" / "discriminator").exists()
