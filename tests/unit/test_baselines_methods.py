"""Each baseline against its own definition, and against diffusers' pipeline of the same method."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from diffusers import (
    ControlNetModel,
    StableDiffusionControlNetPipeline,
    StableDiffusionInpaintPipeline,
)

from cyclorama.diffusion.sampling import sample_latents, sample_noise
from cyclorama.diffusion.settings import SamplingConfig
from cyclorama.errors import SettingsError
from cyclorama.evaluation.published import load_features
from cyclorama.imaging.masks import fill_product
from cyclorama.lab.baselines.background_features import (
    BackgroundFeatures,
    load_background_features,
)
from cyclorama.lab.baselines.blended import (
    BlendedBaseline,
    build_guided,
    join_prediction,
    split_prediction,
)
from cyclorama.lab.baselines.controlnet import ControlNetBaseline, build_hint
from cyclorama.lab.baselines.inpaint import InpaintBaseline, build_inpaint_condition, widen_unet
from cyclorama.lab.baselines.options import BaselineOptions
from cyclorama.lab.baselines.paint_by_example import (
    FeatureEncoder,
    PaintByExampleBaseline,
    build_example_channels,
    build_feature_encoder,
)
from cyclorama.lab.baselines.protocol import Inputs, OpenRegistry
from cyclorama.models.base import BaseModel, decode_latents, encode_image, encode_prompts
from cyclorama.models.generators import Branch, predict_noise
from cyclorama.models.scratch import build_ddim
from cyclorama.models.speed import combine_guidance
from cyclorama.tensors import to_image
from tiny_models import build_tiny_base

SETTINGS = SamplingConfig(num_inference_steps=3, guidance_scale=3.0)
SIZE = 64


@pytest.fixture(scope="module")
def base() -> BaseModel:
    return build_tiny_base()


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    generator = torch.Generator().manual_seed(7)
    image, reference = (torch.rand((2, 3, SIZE, SIZE), generator=generator) * 2 - 1 for _ in range(2))
    mask = torch.zeros(2, 1, SIZE, SIZE)
    mask[0, :, 16:40, 24:48] = 1
    mask[1, :, 8:56, 8:32] = 1
    registry = OpenRegistry()
    return Inputs(image, mask, (registry.resolve("vase"), registry.resolve("lamp")), reference, None)


def build_generators() -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in (3, 4)]


def call(baseline, inputs: Inputs, settings: SamplingConfig = SETTINGS):
    return baseline(
        inputs.image,
        inputs.mask,
        [category.name for category in inputs.categories],
        build_generators(),
        inputs.reference,
        inputs.reference_mask,
        settings,
    )


def encode(base: BaseModel, texts: list[str]) -> torch.Tensor:
    return encode_prompts(base.tokenizer, base.text_encoder, texts)


def randomise(module: torch.nn.Module, seed: int = 1) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for parameter in module.parameters():
            torch.nn.init.normal_(parameter, std=0.2)


def build_inpaint(base: BaseModel) -> InpaintBaseline:
    wide = widen_unet(base.unet, 5)
    randomise(wide.conv_in)
    return InpaintBaseline(replace(base, unet=wide), OpenRegistry(), BaselineOptions())


def test_a_widened_unet_gives_the_bases_output_whatever_the_new_channels_hold(base, inputs):
    latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    extra = torch.randn(2, 5, 8, 8, generator=torch.Generator().manual_seed(1))
    wide, embeds = widen_unet(base.unet, 5), encode(base, ["a", "b"])
    with torch.no_grad():
        expected = predict_noise(base.unet, latents, torch.tensor(500), embeds)
        actual = predict_noise(wide, torch.cat([latents, extra], dim=1), torch.tensor(500), embeds)
    assert wide.config.in_channels == 9 and wide.conv_in.weight.shape[1] == 9
    assert float(wide.conv_in.weight[:, 4:].detach().abs().sum()) == 0
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-6)


def test_in_painting_channels_mark_the_background_and_hold_the_product_alone(base, inputs):
    condition = build_inpaint_condition(base.vae, inputs.image, inputs.mask)
    assert condition.shape == (2, 5, 8, 8)
    hole = torch.ones(8, 8)
    hole[2:5, 3:6] = 0  # pixels 16 … 39 and 24 … 47 are the product
    assert torch.equal(condition[0, 0], hole)
    other = torch.where(inputs.mask == 1, inputs.image, torch.rand_like(inputs.image))
    assert torch.equal(build_inpaint_condition(base.vae, other, inputs.mask), condition)
    shown = encode_image(base.vae, inputs.image * inputs.mask)
    torch.testing.assert_close(condition[:, 1:], shown)
    example = build_example_channels(base.vae, inputs.image, inputs.mask)
    assert torch.equal(example[:, :4], condition[:, 1:]) and torch.equal(example[:, 4], 1 - condition[:, 0])


def test_in_painting_equals_diffusers_pipeline(base, inputs):
    baseline = build_inpaint(base)
    plain = replace(inputs, reference=None)
    theirs = StableDiffusionInpaintPipeline(
        base.vae, base.text_encoder, base.tokenizer, baseline.unet, base.scheduler, None, None,
        requires_safety_checker=False,
    )  # fmt: skip
    theirs.set_progress_bar_config(disable=True)
    expected = theirs(
        prompt_embeds=encode(base, ["A photo of vase", "A photo of lamp"]),
        negative_prompt_embeds=encode(base, ["", ""]),
        image=inputs.image * 0.5 + 0.5,
        mask_image=1 - inputs.mask,
        masked_image_latents=encode_image(base.vae, inputs.image * inputs.mask),
        height=SIZE,
        width=SIZE,
        latents=sample_noise((4, 8, 8), build_generators()),
        num_inference_steps=3,
        guidance_scale=3.0,
        output_type="pt",
    ).images
    torch.testing.assert_close(call(baseline, plain), expected * 2 - 1, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(call(baseline, inputs), expected * 2 - 1, atol=1e-3)


@pytest.mark.parametrize("fill", [-1.0, 0.0])
def test_control_net_equals_diffusers_pipeline(base, inputs, fill):
    published = ControlNetModel.from_unet(base.unet)
    for part in (published.controlnet_cond_embedding.conv_out, *published.controlnet_down_blocks):
        randomise(part)
    ours = Branch.from_config(published.config)
    ours.load_state_dict(published.state_dict())
    baseline = ControlNetBaseline(base, ours.eval(), OpenRegistry(), BaselineOptions(), fill)
    theirs = StableDiffusionControlNetPipeline(
        base.vae, base.text_encoder, base.tokenizer, base.unet, published.eval(), base.scheduler, None, None,
        requires_safety_checker=False,
    )  # fmt: skip
    theirs.set_progress_bar_config(disable=True)
    hint = torch.where(inputs.mask == 1, inputs.image * 0.5 + 0.5, torch.tensor(fill))
    expected = theirs(
        prompt_embeds=encode(base, ["A photo of vase", "A photo of lamp"]),
        negative_prompt_embeds=encode(base, ["", ""]),
        image=hint,
        latents=sample_noise((4, 8, 8), build_generators()),
        num_inference_steps=3,
        guidance_scale=3.0,
        output_type="pt",
    ).images
    torch.testing.assert_close(
        call(baseline, replace(inputs, reference=None)), expected * 2 - 1, rtol=1e-4, atol=1e-5
    )


def test_an_untrained_control_net_gives_the_bases_own_images(base, inputs):
    branch = Branch.from_base(base.unet, 8, open_hint=True)
    baseline = ControlNetBaseline(base, branch.eval(), OpenRegistry(), BaselineOptions(), 0.0)
    embeds = encode(base, ["", "", "A photo of vase", "A photo of lamp"])

    @torch.no_grad()
    def predict(latents, timestep):
        both = predict_noise(base.unet, latents.repeat(2, 1, 1, 1), timestep, embeds)
        return combine_guidance(both, 3.0)

    base.scheduler.set_timesteps(3)
    latents = sample_latents(predict, base.scheduler, sample_noise((4, 8, 8), build_generators()))
    actual = call(baseline, replace(inputs, reference=None))
    torch.testing.assert_close(actual, decode_latents(base.vae, latents), rtol=1e-4, atol=1e-5)


def test_the_hint_shows_the_product_alone_and_says_what_is_removed(inputs):
    soft = inputs.mask.clone()
    soft[0, 0, 15] = 0.25
    black, removed = build_hint(inputs.image, soft, 0.0), build_hint(inputs.image, soft, -1.0, with_mask=True)
    torch.testing.assert_close(black, (inputs.image * 0.5 + 0.5) * soft)
    assert set(removed[:, :3][(soft < 0.5).expand(2, 3, -1, -1)].tolist()) == {-1.0}
    product = (soft >= 0.5).expand(2, 3, -1, -1)
    assert torch.equal(removed[:, :3][product], (inputs.image * 0.5 + 0.5)[product])
    assert torch.equal(removed[:, 3:], (soft >= 0.5).float())


def test_starts_are_the_noised_reference_or_plain_noise(base, inputs):
    noise = sample_noise((4, 8, 8), build_generators())
    scheduler = build_ddim("epsilon")
    scheduler.set_timesteps(5)
    first = scheduler.timesteps[:1].expand(2)
    options, registry = BaselineOptions(), OpenRegistry()
    controlnet = ControlNetBaseline(base, Branch.from_base(base.unet, 8), registry, options, 0.0)
    pasted = torch.where(inputs.mask == 1, inputs.image, inputs.reference)
    for baseline, image in ((build_inpaint(base), pasted), (controlnet, inputs.reference)):
        expected = scheduler.add_noise(encode_image(base.vae, image), noise, first)
        assert torch.equal(baseline.build_start(inputs, scheduler, noise, SETTINGS), expected)
        plain = SamplingConfig(initial_latent=False)
        assert torch.equal(baseline.build_start(inputs, scheduler, noise, plain), noise)
        none = replace(inputs, reference=None)
        assert torch.equal(baseline.build_start(none, scheduler, noise, SETTINGS), noise)
    blended = BlendedBaseline(base, build_features(), registry, options)
    assert torch.equal(blended.build_start(inputs, scheduler, noise, SETTINGS), noise)


def build_features() -> BackgroundFeatures:
    """Mean colours of the quarters of an image."""
    return BackgroundFeatures(
        torch.nn.Sequential(torch.nn.AvgPool2d(8), torch.nn.Flatten()), 16, "q", "0", 12
    )


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_guidance_moves_the_noise_by_the_gradient(prediction_type):
    scheduler = build_ddim(prediction_type)
    generator = torch.Generator().manual_seed(0)
    latents, prediction, weight = (torch.randn(2, 4, 3, 3, generator=generator) for _ in range(3))
    alpha = scheduler.alphas_cumprod[700]
    clean, noise = split_prediction(latents, prediction, alpha, prediction_type)
    torch.testing.assert_close(alpha.sqrt() * clean + (1 - alpha).sqrt() * noise, latents)
    torch.testing.assert_close(join_prediction(latents, noise, alpha, prediction_type), prediction)

    def predict(noisy_latents, timestep):
        return prediction

    def measure(clean):
        return (weight * clean).sum(dim=(1, 2, 3))

    moved = build_guided(predict, measure, scheduler, 0.5)(latents, torch.tensor(700))
    _, moved_noise = split_prediction(latents, moved, alpha, prediction_type)
    slope = 1 / alpha.sqrt() if prediction_type == "epsilon" else alpha.sqrt()
    torch.testing.assert_close(
        moved_noise, noise + 0.5 * (1 - alpha).sqrt() * slope * weight, rtol=1e-4, atol=1e-4
    )
    still = build_guided(predict, measure, scheduler, 0.0)(latents, torch.tensor(700))
    torch.testing.assert_close(still, prediction, rtol=1e-4, atol=1e-5)


def test_blending_keeps_the_products_latents_and_leaves_the_others(base, inputs):
    blended = BlendedBaseline(base, build_features(), OpenRegistry(), BaselineOptions())
    noise = sample_noise((4, 8, 8), build_generators())
    base.scheduler.set_timesteps(3)
    blend = blended.build_on_step(inputs, base.scheduler, noise)
    pasted = torch.where(inputs.mask == 1, inputs.image, inputs.reference)
    product, latents = encode_image(base.vae, pasted), torch.randn(2, 4, 8, 8)
    inside = torch.nn.functional.avg_pool2d(inputs.mask, 8).expand(2, 4, 8, 8) == 1
    outside = torch.nn.functional.avg_pool2d(inputs.mask, 8).expand(2, 4, 8, 8) == 0
    assert 0 < int(inside.sum()) < inside.numel()
    for index, timestep in enumerate(base.scheduler.timesteps):
        known = product
        if index < 2:
            known = base.scheduler.add_noise(product, noise, base.scheduler.timesteps[index + 1].expand(2))
        mixed = blend(index, timestep, latents)
        assert torch.equal(mixed[inside], known[inside]) and torch.equal(mixed[outside], latents[outside])


def test_guided_images_are_nearer_to_the_references_background(base, inputs):
    features = build_features()
    coloured = replace(
        inputs, reference=torch.tensor([0.9, -0.6, 0.1])[:, None, None].expand(2, 3, SIZE, SIZE)
    )
    distances = []
    for strength in (0.0, 30.0):
        options = BaselineOptions(guide_strength=strength)
        made = call(
            BlendedBaseline(base, features, OpenRegistry(), options),
            coloured,
            SamplingConfig(num_inference_steps=10),
        )
        found, wanted = features(made, inputs.mask), features(coloured.reference)
        distances.append(1 - torch.cosine_similarity(found, wanted))
    assert bool((distances[1] < 0.7 * distances[0]).all()), distances


def test_background_features_are_those_of_the_evaluation_and_blind_to_the_product():
    ours, theirs = load_background_features("cyclorama"), load_features("cyclorama")
    pixels = torch.randint(0, 256, (128, 128, 3), generator=torch.Generator().manual_seed(0)).byte()
    pixels = (
        pixels.reshape(16, 8, 16, 8, 3)[:, :1, :, :1].expand(16, 8, 16, 8, 3).reshape(128, 128, 3).numpy()
    )
    mask = torch.zeros(128, 128)
    mask[32:96, 40:80] = 1
    image = to_image(pixels)
    with torch.no_grad():
        plain, hidden = ours(image), ours(image, mask[None, None])
    torch.testing.assert_close(plain, torch.from_numpy(theirs.compute([pixels])), rtol=1e-4, atol=1e-4)
    filled = torch.from_numpy(theirs.compute([fill_product(pixels, mask.numpy())]))
    assert float(torch.nn.functional.cosine_similarity(hidden, filled)) > 0.999
    other = torch.where(mask == 1, torch.zeros(()), image).requires_grad_()
    ours(other, mask[None, None]).sum().backward()
    assert torch.equal(ours(other, mask[None, None]), hidden)
    assert float(other.grad[0, :, 32:96, 40:80].abs().sum()) == 0 < float(other.grad.abs().sum())


def test_the_small_paint_by_example_follows_its_example_alone(base, inputs):
    features = build_features()
    encoder = FeatureEncoder(12, 16)
    randomise(encoder)
    wide = widen_unet(base.unet, 5)
    baseline = PaintByExampleBaseline(
        wide, base.vae, base.scheduler, build_feature_encoder(encoder, features), OpenRegistry()
    )
    made = call(baseline, inputs)
    category = OpenRegistry().resolve("other")
    assert torch.equal(call(baseline, replace(inputs, categories=(category, category))), made)
    other = call(baseline, replace(inputs, reference=inputs.reference.flip(-1) * 0.5))
    assert float((other - made).abs().max()) > 1e-4
    with pytest.raises(SettingsError, match="give a reference"):
        call(baseline, replace(inputs, reference=None))


def test_a_image_is_the_same_alone_and_in_any_order(base, inputs):
    baseline = build_inpaint(base)
    both = call(baseline, inputs)
    alone = baseline(
        inputs.image[1:],
        inputs.mask[1:],
        ["lamp"],
        build_generators()[1:],
        inputs.reference[1:],
        None,
        SETTINGS,
    )
    torch.testing.assert_close(alone[0], both[1], rtol=1e-4, atol=1e-5)
    swapped = baseline(
        inputs.image.flip(0),
        inputs.mask.flip(0),
        ["lamp", "vase"],
        build_generators()[::-1],
        inputs.reference.flip(0),
        None,
        SETTINGS,
    )
    assert torch.equal(swapped.flip(0), both)


def test_what_does_not_belong_together_is_refused(base, inputs):
    baseline = build_inpaint(base)
    with pytest.raises(SettingsError, match="product_mask has shape"):
        call(baseline, replace(inputs, mask=inputs.mask[:1]))
    with pytest.raises(SettingsError, match="multiples of 32"):
        call(
            baseline,
            replace(inputs, image=inputs.image[..., :48], mask=inputs.mask[..., :48], reference=None),
        )
    with pytest.raises(SettingsError, match="2 categories and generators, got 1 and 2"):
        baseline(inputs.image, inputs.mask, ["vase"], build_generators())
    with pytest.raises(SettingsError, match="reference_mask given without"):
        call(baseline, replace(inputs, reference=None, reference_mask=inputs.mask))
    with pytest.raises(SettingsError, match="hint_fill must be -1 or 0, got 0.5"):
        BaselineOptions(hint_fill=0.5)
    with pytest.raises(SettingsError, match="guide_strength: must be at least 0, got -1"):
        BaselineOptions(guide_strength=-1)
    with pytest.raises(SettingsError, match="'inception=x' cannot guide"):
        load_background_features("inception=x")
