"""The pipeline on tiny checkpoints saved in Stable Diffusion's layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch

from cyclorama.diffusion.sampling import build_scheduler, build_start, sample_noise
from cyclorama.diffusion.settings import SamplingConfig
from cyclorama.errors import ModelFormatError, ModelNotFoundError, SettingsError, UnknownCategoryError
from cyclorama.models.base import save_base
from cyclorama.models.files import compute_model_hash
from cyclorama.models.pipeline import CycloramaPipeline
from cyclorama.models.scratch import build_ddim
from tiny_models import build_tiny_base, build_tiny_pipeline

STEPS = SamplingConfig(num_inference_steps=3)


def _generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def _inputs(batch: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Product images, masks and references; image i is the same in every batch size."""
    rows = [torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(100 + i)) for i in range(batch)]
    images = torch.stack([r[0] for r in rows]) * 2 - 1
    references = torch.stack([r[1] for r in rows]) * 2 - 1
    masks = torch.zeros(batch, 1, 64, 64)
    for i in range(batch):
        masks[i, :, 10 + i : 50, 20:40] = 1
    return images, masks, references


@pytest.fixture(scope="module")
def pipeline() -> CycloramaPipeline:
    built = build_tiny_pipeline()
    built.set_progress_bar_config(disable=True)
    return built


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("levels", [3, 4])
def test_any_base_in_the_diffusers_layout_loads_and_keeps_its_images(
    tmp_path: Path, levels: Any, prediction_type: Any
) -> None:
    """Untrained generators on a saved base equal diffusers' own Stable Diffusion pipeline."""
    save_base(build_tiny_base(levels=levels, prediction_type=prediction_type), tmp_path / "base")
    ours = CycloramaPipeline.from_base(tmp_path / "base")
    ours.registry.add("perfume")
    ours.set_progress_bar_config(disable=True)
    assert ours.scheduler.config.prediction_type == prediction_type
    images, masks, _ = _inputs(1)
    settings = SamplingConfig(num_inference_steps=4, guidance_scale=3.0)
    actual = ours(images, masks, ["perfume"], _generators(5), settings=settings)

    peer = diffusers.StableDiffusionPipeline(
        **{n: getattr(ours, n) for n in ("unet", "vae", "text_encoder", "tokenizer", "scheduler")},
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    peer.set_progress_bar_config(disable=True)
    latents = sample_noise((4, 8, 8), _generators(5))
    expected = peer(
        "A photo of perfume, in the background of sks 0",
        latents=latents,
        num_inference_steps=4,
        guidance_scale=3.0,
        height=64,
        width=64,
        output_type="pt",
    ).images
    assert (actual - (expected * 2 - 1)).abs().max() < 1e-4


def test_saved_and_loaded_pipelines_give_equal_images(tmp_path: Path, pipeline: CycloramaPipeline) -> None:
    pipeline.save_pretrained(tmp_path / "model", max_shard_size="20KB")
    assert len(list((tmp_path / "model" / "unet").glob("*.safetensors"))) > 1
    assert not list(tmp_path.rglob("*.bin"))
    loaded = CycloramaPipeline.from_pretrained(tmp_path / "model")
    loaded.set_progress_bar_config(disable=True)
    images, masks, references = _inputs(1)
    a = pipeline(images, masks, ["fruit"], _generators(1), references, settings=STEPS)
    b = loaded(images, masks, ["fruit"], _generators(1), references, settings=STEPS)
    assert (a - b).abs().max() < 1e-5  # shards may be mapped at other alignments
    for name in ("unet", "vae", "text_encoder", "category_generator", "personality_generator"):
        before, after = getattr(pipeline, name).state_dict(), getattr(loaded, name).state_dict()
        assert before.keys() == after.keys()
        assert all(torch.equal(before[key], after[key]) for key in before)
    assert loaded.registry.names == ["perfume", "fruit"]


def test_starting_noise_is_a_images_own() -> None:
    together = sample_noise((4, 8, 8), _generators(3, 4, 5))
    turned = sample_noise((4, 8, 8), _generators(5, 3, 4))
    assert torch.equal(sample_noise((4, 8, 8), _generators(4))[0], together[1])
    assert torch.equal(turned[[1, 2, 0]], together)
    assert abs(float(together.std()) - 1) < 0.1


def test_images_do_not_depend_on_order_and_hardly_on_batch_size(pipeline: CycloramaPipeline) -> None:
    """With two threads and AVX-512, few-row products and group norm once rounded by an image's place."""
    images, masks, references = _inputs(3)
    names = ["perfume", "fruit", "perfume"]
    base = pipeline(images, masks, names, _generators(1, 2, 3), references, settings=STEPS)
    order = [2, 0, 1]
    turned = pipeline(
        images[order], masks[order], [names[i] for i in order], _generators(3, 1, 2), references[order],
        settings=STEPS,
    )  # fmt: skip
    assert torch.equal(turned, base[order])
    alone = pipeline(images[1:2], masks[1:2], names[1:2], _generators(2), references[1:2], settings=STEPS)
    assert (alone[0] - base[1]).abs().max() * 127.5 <= 2


def test_personality_does_not_run_without_a_reference(pipeline: CycloramaPipeline) -> None:
    calls: list[str] = []
    handle = pipeline.personality_generator.register_forward_hook(lambda *_: calls.append("run"))
    images, masks, references = _inputs(1)
    without = pipeline(images, masks, ["fruit"], _generators(1), settings=STEPS)
    assert calls == []
    with_reference = pipeline(images, masks, ["fruit"], _generators(1), references, settings=STEPS)
    assert len(calls) == 3
    handle.remove()
    assert (without - with_reference).abs().max() > 1e-3


def test_strengths_dial_the_generators(pipeline: CycloramaPipeline) -> None:
    images, masks, references = _inputs(1)

    def run(**values: Any) -> torch.Tensor:
        settings = SamplingConfig(num_inference_steps=3, initial_latent=False, **values)
        return pipeline(images, masks, ["fruit"], _generators(1), references, settings=settings)

    none = pipeline(images, masks, ["fruit"], _generators(1), settings=SamplingConfig(num_inference_steps=3))
    assert torch.equal(run(reference_strength=0.0), none)
    full = (run() - none).abs().mean()
    half = (run(reference_strength=0.5) - none).abs().mean()
    assert 0 < half < full
    assert (run(category_strength=0.0) - run()).abs().max() > 1e-3


def test_the_hint_is_encoded_once_per_generation(pipeline: CycloramaPipeline) -> None:
    calls: list[int] = []
    embedding = pipeline.category_generator.controlnet_cond_embedding
    handle = embedding.register_forward_hook(lambda *_: calls.append(1))
    images, masks, _ = _inputs(1)
    pipeline(images, masks, ["fruit"], _generators(1), settings=STEPS)
    handle.remove()
    assert len(calls) == 1


def test_guidance_one_runs_without_the_empty_prompt(pipeline: CycloramaPipeline) -> None:
    sizes: list[int] = []
    handle = pipeline.unet.register_forward_pre_hook(lambda _, args: sizes.append(args[0].shape[0]))
    images, masks, _ = _inputs(1)
    for guidance in (1.0, 2.0):
        settings = SamplingConfig(num_inference_steps=1, guidance_scale=guidance)
        pipeline(images, masks, ["fruit"], _generators(1), settings=settings)
    handle.remove()
    assert sizes == [1, 2]


def test_the_noised_reference_start_is_the_schedulers_own_noising() -> None:
    scheduler = build_scheduler(build_ddim("epsilon"), None)
    scheduler.set_timesteps(50)
    noise, reference = sample_noise((4, 8, 8), _generators(1)), torch.full((1, 4, 8, 8), 2.0)
    start = build_start(scheduler, noise, reference)
    alpha = float(scheduler.alphas_cumprod[981])
    torch.testing.assert_close(start, alpha**0.5 * reference + (1 - alpha) ** 0.5 * noise)
    assert torch.equal(build_start(scheduler, noise, None), noise)


def test_a_schedule_without_terminal_signal_refuses_the_noised_reference() -> None:
    ddim = build_ddim("v_prediction")
    config = {k: v for k, v in ddim.config.items() if not k.startswith("_")}
    config |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    scheduler = diffusers.DDIMScheduler(**config)
    scheduler.set_timesteps(10)
    noise = sample_noise((4, 8, 8), _generators(1))
    with pytest.raises(SettingsError, match="zero terminal.*--no-initial-latent"):
        build_start(scheduler, noise, noise)
    assert torch.equal(build_start(scheduler, noise, None), noise)


@pytest.mark.parametrize(
    "name",
    [
        "PNDMScheduler",
        "EulerDiscrete",
        "EulerAncestralDiscreteScheduler",
        "DPMSolverMultistep",
        "unipcmultistep",
    ],
)
def test_diffusers_schedulers_can_be_named(pipeline: CycloramaPipeline, name: str) -> None:
    images, masks, references = _inputs(2)
    settings = SamplingConfig(num_inference_steps=3, scheduler=name)
    a = pipeline(images, masks, ["fruit", "fruit"], _generators(1, 2), references, settings=settings)
    b = pipeline(
        images.flip(0),
        masks.flip(0),
        ["fruit", "fruit"],
        _generators(2, 1),
        references.flip(0),
        settings=settings,
    )
    assert bool(a.isfinite().all())
    assert torch.equal(a, b.flip(0))


def test_callback_sees_every_step_and_may_change_the_latents(pipeline: CycloramaPipeline) -> None:
    seen: list[tuple[int, int]] = []

    def watch(pipe: Any, index: int, timestep: torch.Tensor, tensors: dict[str, torch.Tensor]) -> None:
        seen.append((index, int(timestep)))

    images, masks, _ = _inputs(1)
    plain = pipeline(images, masks, ["fruit"], _generators(1), settings=STEPS, callback_on_step_end=watch)
    assert [i for i, _ in seen] == [0, 1, 2]
    assert [t for _, t in seen] == sorted((t for _, t in seen), reverse=True)
    changed = pipeline(
        images, masks, ["fruit"], _generators(1), settings=STEPS,
        callback_on_step_end=lambda *args: {"latents": args[3]["latents"] * 0},
    )  # fmt: skip
    assert not torch.equal(plain, changed)


def test_wrong_inputs_are_refused_before_anything_is_computed(pipeline: CycloramaPipeline) -> None:
    images, masks, _ = _inputs(1)
    g = _generators(1)
    with pytest.raises(SettingsError, match=r"product_mask has shape \(1, 3, 64, 64\)"):
        pipeline(images, images, ["fruit"], g)
    with pytest.raises(SettingsError, match="multiples of 32"):
        pipeline(images[..., :40], masks[..., :40], ["fruit"], g)
    with pytest.raises(SettingsError, match="1 images need 1 categories"):
        pipeline(images, masks, ["fruit", "fruit"], g)
    with pytest.raises(SettingsError, match="reference_mask given without"):
        pipeline(images, masks, ["fruit"], g, reference_mask=masks)
    with pytest.raises(UnknownCategoryError, match="unknown category 'fruitz'; nearest: fruit"):
        pipeline(images, masks, ["fruitz"], g)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"num_inference_steps": 0}, "num_inference_steps: must be from 1 to 1000, got 0"),
        ({"guidance_scale": 0.5}, "guidance_scale: must be from 1 to 30, got 0.5"),
        ({"eta": 1.5}, "eta: must be from 0 to 1, got 1.5"),
        ({"reference_strength": -1.0}, "reference_strength: must be at least 0, got -1.0"),
        ({"category_strength": float("nan")}, "category_strength: must be a finite number, got nan"),
        (
            {"scheduler": "Euler"},
            "scheduler 'Euler' cannot .*; nearest that can: EulerAncestral",
        ),
    ],
)
def test_sampling_settings_are_checked(values: dict[str, Any], text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        SamplingConfig(**values)


def test_eta_needs_a_scheduler_that_has_it(pipeline: CycloramaPipeline) -> None:
    images, masks, _ = _inputs(1)
    with pytest.raises(SettingsError, match="eta=0.5 has no meaning for PNDMScheduler"):
        settings = SamplingConfig(num_inference_steps=2, eta=0.5, scheduler="PNDM")
        pipeline(images, masks, ["fruit"], _generators(1), settings=settings)


def test_folders_that_are_no_model_are_refused_by_name(tmp_path: Path, pipeline: CycloramaPipeline) -> None:
    with pytest.raises(ModelNotFoundError, match="no model folder at"):
        CycloramaPipeline.from_pretrained(tmp_path / "absent")
    with pytest.raises(ModelFormatError, match="no model_index.json"):
        CycloramaPipeline.from_pretrained(tmp_path)
    base = tmp_path / "base"
    save_base(pipeline, base)
    with pytest.raises(ModelFormatError, match="no category_generator and no personality_generator"):
        CycloramaPipeline.from_pretrained(base)
    weights = base / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(ModelFormatError, match="holds only .*bin; wanted are safetensors"):
        CycloramaPipeline.from_pretrained(base)


def test_unknown_autoencoder_and_broken_weights_are_named(
    tmp_path: Path, pipeline: CycloramaPipeline
) -> None:
    pipeline.save_pretrained(tmp_path / "m")
    config = tmp_path / "m" / "vae" / "config.json"
    original = config.read_text()
    config.write_text(json.dumps({**json.loads(original), "_class_name": "OtherVAE"}))
    with pytest.raises(ModelFormatError, match="autoencoder class 'OtherVAE'"):
        CycloramaPipeline.from_pretrained(tmp_path / "m")
    config.write_text(original)
    weights = tmp_path / "m" / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ModelFormatError, match="is not a whole safetensors file"):
        CycloramaPipeline.from_pretrained(tmp_path / "m")


def test_the_model_hash_names_the_content_and_not_the_place(
    tmp_path: Path, pipeline: CycloramaPipeline
) -> None:
    pipeline.save_pretrained(tmp_path / "a")
    pipeline.save_pretrained(tmp_path / "deep" / "b")
    (tmp_path / "a" / "notes.txt").write_text("beside the model")
    first = compute_model_hash(tmp_path / "a")
    assert first == compute_model_hash(tmp_path / "deep" / "b")
    assert len(first) == 12
    registry = tmp_path / "a" / "categories.json"
    registry.write_text(registry.read_text().replace("fruit", "fruits"))
    assert compute_model_hash(tmp_path / "a") != first


def test_generators_can_run_in_bfloat16(tmp_path: Path, pipeline: CycloramaPipeline) -> None:
    pipeline.save_pretrained(tmp_path / "m")
    half = CycloramaPipeline.from_pretrained(tmp_path / "m", dtype=torch.bfloat16)
    half.set_progress_bar_config(disable=True)
    images, masks, references = _inputs(1)
    a = half(images, masks, ["fruit"], _generators(1), references, settings=STEPS)
    b = pipeline(images, masks, ["fruit"], _generators(1), references, settings=STEPS)
    assert a.dtype == torch.float32
    assert (a - b).abs().mean() < 0.05


def test_sliced_decoding_gives_the_same_images_and_tiling_runs(pipeline: CycloramaPipeline) -> None:
    images, masks, _ = _inputs(2)
    plain = pipeline(images, masks, ["fruit", "fruit"], _generators(1, 2), settings=STEPS)
    try:
        pipeline.vae.enable_slicing()
        assert pipeline.vae.use_slicing
        sliced = pipeline(images, masks, ["fruit", "fruit"], _generators(1, 2), settings=STEPS)
        pipeline.vae.enable_tiling()
        assert pipeline.vae.use_tiling
        tiled = pipeline(images, masks, ["fruit", "fruit"], _generators(1, 2), settings=STEPS)
    finally:
        pipeline.vae.disable_slicing()
        pipeline.vae.disable_tiling()
    torch.testing.assert_close(sliced, plain, rtol=0, atol=1e-5)
    torch.testing.assert_close(tiled, plain, rtol=0, atol=1e-5)  # one tile holds these small images


def test_model_offload_moves_the_generators_for_their_hints_too(pipeline: CycloramaPipeline) -> None:
    """Offload hooks act on calls of a module; encoding the hint must wake them as well."""
    from accelerate.hooks import ModelHook, add_hook_to_module, remove_hook_from_module

    seen: list[str] = []

    class Watch(ModelHook):
        def pre_forward(self, module: Any, *args: Any, **kwargs: Any) -> Any:
            seen.append("moved")
            return args, kwargs

    images, masks, _ = _inputs(1)
    plain = pipeline(images, masks, ["fruit"], _generators(1), settings=STEPS)
    add_hook_to_module(pipeline.category_generator, Watch())
    try:
        hooked = pipeline(images, masks, ["fruit"], _generators(1), settings=STEPS)
    finally:
        remove_hook_from_module(pipeline.category_generator)
    assert len(seen) == 4  # once for the hint, once per step
    assert torch.equal(plain, hooked)
