"""CG and PG: untrained they change nothing, PG is zero on the product, both equal diffusers' ControlNet."""

from __future__ import annotations

import pytest
import torch
from diffusers import ControlNetModel

from cyclorama.models.generators import PersonalityGenerator, Residuals, build_condition_image, predict_noise
from cyclorama.models.speed import (
    combine_guidance,
    list_prompt_free_layers,
    shared_halves,
    shared_timestep,
)
from tiny_models import build_tiny_base, build_tiny_pipeline


def _inputs(batch: int = 2) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(7)
    mask = torch.zeros(batch, 1, 64, 64)
    mask[..., 16:48, 20:44] = 1
    return {
        "latents": torch.randn(batch, 4, 8, 8, generator=g),
        "timesteps": torch.tensor([3, 900])[:batch],
        "prompt": torch.randn(batch, 32, 16, generator=g),
        "background": torch.randn(batch, 32, 16, generator=g),
        "image": torch.rand(batch, 3, 64, 64, generator=g) * 2 - 1,
        "mask": mask,
    }


@pytest.mark.parametrize("levels", [3, 4])
@torch.no_grad()
def test_untrained_generators_leave_the_bases_output_unchanged(levels: int) -> None:
    pipeline = build_tiny_pipeline(trained=False, levels=levels)
    x = _inputs()
    plain = predict_noise(pipeline.unet, x["latents"], x["timesteps"], x["prompt"])
    cg, pg = pipeline.category_generator, pipeline.personality_generator
    cg_hint = cg.encode_hint(build_condition_image(x["image"], x["mask"]))
    pg_hint = pg.encode_hint(build_condition_image(x["image"], 1 - x["mask"]))
    residuals = cg.predict_residuals(
        x["latents"], x["timesteps"], x["prompt"], x["background"], cg_hint, x["mask"]
    ) + pg.predict_residuals(x["latents"], x["timesteps"], x["prompt"], pg_hint, x["mask"])
    assert all(bool((r == 0).all()) for r in (*residuals.down, residuals.mid))
    with_generators = predict_noise(pipeline.unet, x["latents"], x["timesteps"], x["prompt"], residuals)
    assert torch.equal(plain, with_generators)


@torch.no_grad()
def test_personality_residuals_are_exactly_zero_on_the_product() -> None:
    pipeline = build_tiny_pipeline()
    pg, x = pipeline.personality_generator, _inputs()
    hint = pg.encode_hint(build_condition_image(x["image"], 1 - x["mask"]))
    residuals = pg.predict_residuals(x["latents"], x["timesteps"], x["prompt"], hint, x["mask"])
    for residual in (*residuals.down, residuals.mid):
        level = torch.nn.functional.adaptive_avg_pool2d(x["mask"], residual.shape[-2:]).expand_as(residual)
        inside = residual[level == 1]
        assert bool((inside == 0).all())
        assert residual[level == 0].numel() == 0 or bool((residual[level == 0] != 0).any())
    finest = torch.nn.functional.adaptive_avg_pool2d(x["mask"], (8, 8))
    assert int((finest == 1).sum()) > 0, "the test needs a level with fully covered positions"


@torch.no_grad()
def test_a_full_mask_silences_personality_entirely() -> None:
    pipeline = build_tiny_pipeline()
    pg, x = pipeline.personality_generator, _inputs()
    hint = pg.encode_hint(build_condition_image(x["image"], torch.ones_like(x["mask"])))
    residuals = pg.predict_residuals(
        x["latents"], x["timesteps"], x["prompt"], hint, torch.ones_like(x["mask"])
    )
    assert all(bool((r == 0).all()) for r in (*residuals.down, residuals.mid))


@pytest.mark.parametrize("levels", [3, 4])
@torch.no_grad()
def test_forward_equals_diffusers_controlnet(levels: int) -> None:
    """Independent reference: the same weights in diffusers' own class and forward."""
    pipeline = build_tiny_pipeline(levels=levels)
    pg, x = pipeline.personality_generator, _inputs()
    reference = ControlNetModel(**{k: v for k, v in pg.config.items() if not k.startswith("_")})
    reference.load_state_dict(pg.state_dict())
    reference.eval()
    condition = build_condition_image(x["image"], 1 - x["mask"])
    expected = reference(x["latents"], x["timesteps"], x["prompt"], condition, return_dict=False)
    actual = pg(x["latents"], x["timesteps"], x["prompt"], pg.encode_hint(condition))
    for a, b in zip((*actual.down, actual.mid), (*expected[0], expected[1]), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


def test_condition_image_is_black_outside_and_can_carry_the_mask() -> None:
    image = torch.full((1, 3, 4, 4), -1.0)
    image[..., 2:] = 0.5
    visible = torch.zeros(1, 1, 4, 4)
    visible[..., 1:] = 1
    condition = build_condition_image(image, visible, with_mask=True)
    assert condition.shape == (1, 4, 4, 4)
    assert condition[0, 0, 0].tolist() == [0, 0, 0.75, 0.75]
    assert condition[0, 3, 0].tolist() == [0, 1, 1, 1]
    assert torch.equal(build_condition_image(image, visible), condition[:, :3])


def test_a_mask_channel_tells_a_black_product_from_nothing() -> None:
    black, mask = torch.full((1, 3, 64, 64), -1.0), torch.zeros(1, 1, 64, 64)
    mask[..., 20:40, 20:40] = 1
    base = build_tiny_base()
    for with_mask, differs in ((False, False), (True, True)):
        branch = PersonalityGenerator.from_base(base.unet, 8, with_mask)
        torch.nn.init.normal_(branch.controlnet_cond_embedding.conv_out.weight)
        with torch.no_grad():
            shown = branch.encode_hint(build_condition_image(black, mask, with_mask))
            hidden = branch.encode_hint(build_condition_image(black, torch.zeros_like(mask), with_mask))
        assert bool((shown != hidden).any()) is differs


def test_residuals_add_scale_and_mask() -> None:
    a = Residuals((torch.ones(1, 2, 4, 4),), torch.full((1, 2, 2, 2), 3.0))
    total = a + a.scale(0.5)
    assert total.down[0].unique().tolist() == [1.5]
    assert total.mid.unique().tolist() == [4.5]
    assert a.scale(1) is a
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., :1] = 1
    masked = a.mask(mask)
    assert masked.down[0][0, 0, 0].tolist() == [0, 1, 1, 1]
    assert masked.mid[0, 0, 0].tolist() == [1.5, 3]


@pytest.mark.parametrize("levels", [3, 4])
@torch.no_grad()
def test_sharing_equal_halves_changes_no_output_and_leaves_no_hook(levels: int) -> None:
    pipeline = build_tiny_pipeline(levels=levels)
    unet, x = pipeline.unet, _inputs()
    latents = x["latents"].repeat(2, 1, 1, 1)
    prompts = torch.cat([x["prompt"], x["background"]])
    layers = list_prompt_free_layers(unet)
    assert [type(layer).__name__ for layer in layers] == ["ResnetBlock2D", "Attention"]
    sizes: list[int] = []
    handle = layers[0].register_forward_hook(lambda _, __, out: sizes.append(out.shape[0]))
    plain = predict_noise(unet, latents, torch.tensor(7), prompts)
    with shared_halves(layers):
        shared = predict_noise(unet, latents, torch.tensor(7), prompts)
    again = predict_noise(unet, latents, torch.tensor(7), prompts)
    handle.remove()
    assert sizes == [4, 2, 4]
    torch.testing.assert_close(shared, plain, rtol=0, atol=1e-6)
    assert torch.equal(again, plain)


@torch.no_grad()
def test_one_timestep_row_serves_the_batch_and_leaves_no_hook() -> None:
    pipeline = build_tiny_pipeline()
    unet, branch, x = pipeline.unet, pipeline.personality_generator, _inputs()
    torch.nn.init.normal_(branch.controlnet_mid_block.weight)
    latents, prompts = x["latents"].repeat(2, 1, 1, 1), torch.cat([x["prompt"], x["background"]])
    hint = torch.zeros(4, *branch.conv_in(x["latents"]).shape[1:])
    rows: list[int] = []
    handles = [
        n.time_embedding.register_forward_hook(lambda _, __, out: rows.append(out.shape[0]))
        for n in (unet, branch)
    ]

    def run() -> tuple[torch.Tensor, torch.Tensor]:
        residuals = branch(latents, torch.tensor(7), prompts, hint)
        return residuals.mid, predict_noise(unet, latents, torch.tensor(7), prompts, residuals)

    plain = run()
    with shared_timestep([unet, branch]), shared_halves(list_prompt_free_layers(unet)):
        shared = run()
    again = run()
    for handle in handles:
        handle.remove()
    assert rows == [4, 4, 1, 1, 4, 4]
    torch.testing.assert_close(shared, plain, rtol=0, atol=1e-5)
    assert torch.equal(again[1], plain[1])


def test_layers_before_the_first_cross_attention_are_found_behind_plain_blocks() -> None:
    base = build_tiny_base()
    config = {k: v for k, v in base.unet.config.items() if not k.startswith("_")}
    config["down_block_types"] = ("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D")
    config["up_block_types"] = ("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D")
    names = [type(layer).__name__ for layer in list_prompt_free_layers(type(base.unet)(**config))]
    assert names == ["ResnetBlock2D", "Downsample2D", "ResnetBlock2D", "Attention"]


def test_guidance_extrapolates_from_the_empty_prompt() -> None:
    halves = torch.tensor([[1.0], [2.0], [3.0], [6.0]])
    assert combine_guidance(halves, 2.0).tolist() == [[5.0], [10.0]]
    assert combine_guidance(halves, 1.0).tolist() == [[3.0], [6.0]]


@torch.no_grad()
def test_an_open_hint_reaches_the_copy_but_not_the_output() -> None:
    base, x = build_tiny_base(), _inputs()
    condition = build_condition_image(x["image"], x["mask"])
    for open_hint in (False, True):
        torch.manual_seed(0)
        branch = PersonalityGenerator.from_base(base.unet, 8, open_hint=open_hint)
        hint = branch.encode_hint(condition)
        assert bool((hint != 0).any()) is open_hint
        residuals = branch(x["latents"], x["timesteps"], x["prompt"], hint)
        assert all(bool((r == 0).all()) for r in (*residuals.down, residuals.mid))
