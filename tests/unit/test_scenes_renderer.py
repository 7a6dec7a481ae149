"""Proves the renderer on small stages whose light is known: energy, colours, masks, what hides a product."""

from __future__ import annotations

import numpy as np
import pytest

from cyclorama.scenes import geometry as g
from cyclorama.scenes.render import (
    _albedo_scene,
    clear_view,
    load_mitsuba,
    render_image,
    render_mask,
    render_noisy,
)
from cyclorama.scenes.stage import Camera, Light, Part, Stage
from cyclorama.scenes.surface import Surface, glass, ice, light, matte, metal, plastic

FRONT = Camera((0.0, -2.0, 0.0), (0.0, 0.0, 0.0), 90.0)
"""The image spans -2 to 2 in the plane y = 0."""


def to_srgb(radiance: float) -> float:
    low = radiance <= 0.0031308
    return 255 * (12.92 * radiance if low else 1.055 * radiance ** (1 / 2.4) - 0.055)


def to_linear(value: float) -> float:
    return float(((value + 0.055) / 1.055) ** 2.4)


def test_a_small_lamp_lights_the_floor_by_its_area_over_the_square_of_its_distance() -> None:
    lamp = Light((0.0, 0.0, 2.0), (0.0, 0.0, 0.0), 0.2, (25.0, 50.0, 100.0))
    camera = Camera((0.0, -3.0, 3.0), (0.0, 0.0, 0.0), 8.0)
    stage = Stage([Part(g.floor(4, -2, 2), matte((1, 1, 1)))], [], [lamp], (0, 0, 0), 0.5, camera)
    found = render_image(stage, 16, 64, 1, depth=2)[8, 8]
    expected = [to_srgb(0.5 * r * 0.2**2 / (np.pi * 2**2)) for r in lamp.radiance]
    assert found.tolist() == pytest.approx(expected, abs=5)


def test_a_stage_of_many_lamps_is_sampled_alike_however_often_it_is_built() -> None:
    lamps = [
        Light((k - 2.0, 0.0, 2.0), (0.0, 0.0, 0.0), 0.2 + 0.1 * k, (9.0, 5.0, 1.0 + k)) for k in range(5)
    ]
    camera = Camera((0.0, -3.0, 3.0), (0.0, 0.0, 0.0), 30.0)
    stage = Stage([Part(g.floor(4, -2, 2), matte((1, 1, 1)))], [], lamps, (0.1, 0.1, 0.1), 0.5, camera)
    assert len({render_noisy(stage, 8, 1, 1).tobytes() for _ in range(200)}) == 1


def look_at(surface: Surface, sky: float = 0.5) -> np.ndarray:
    """A panel that fills the image under an even sky."""
    panel = Part(g.quad(4.2, 4.2).moved(z=-2.1), surface)
    return render_image(Stage([panel], sky=(sky, sky, sky), camera=FRONT), 16, 16, 1)


def test_matte_panels_send_back_their_share_of_an_even_sky() -> None:
    image = look_at(matte((0.8, 0.5, 0.02)))
    expected = [to_srgb(0.5 * to_linear(0.8)), to_srgb(0.5 * to_linear(0.5)), to_srgb(0.5 * 0.02 / 12.92)]
    assert image.reshape(-1, 3).mean(0) == pytest.approx(expected, abs=1.5)
    half = np.array(look_at(matte((0.8, 0.5, 0.02)), 0.25)).mean()
    assert half < image.mean()


def test_a_texture_stands_upright_and_repeats() -> None:
    texture = np.zeros((8, 8, 3), np.uint8)
    texture[:4, :4], texture[:4, 4:], texture[4:, :4] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    image = look_at(matte(texture))
    assert image[4, 4].argmax() == 0
    assert image[4, 12].argmax() == 1
    assert image[12, 4].argmax() == 2
    assert image[12, 12].max() < 30
    twice = look_at(matte(texture, (2.0, 1.0)))
    assert [int(twice[4, x].argmax()) for x in (2, 6, 10, 14)] == [0, 1, 0, 1]
    shining = look_at(light(texture, 0.25), 0.0)
    assert shining[4, 12].tolist() == pytest.approx([0, to_srgb(0.25), 0], abs=12)


@pytest.mark.parametrize(
    ("surface", "low", "high"),
    [
        (glass(), to_srgb(0.49), to_srgb(0.51)),
        (metal((1, 1, 1), 0.2), to_srgb(0.4), to_srgb(0.51)),
        (plastic((0.5, 0.5, 0.5), 0.2), to_srgb(0.5 * to_linear(0.5)), to_srgb(0.25)),
    ],
)
def test_no_surface_makes_light_of_its_own(surface: Surface, low: float, high: float) -> None:
    assert low - 1 <= look_at(surface).mean() <= high + 1


def test_clear_ice_takes_little_light_and_shows_what_is_behind() -> None:
    block = [Part(g.rounded_box(1.5, 1.5, 1.5, 0.1).turned("z", 20).moved(z=-0.75), ice((1, 1, 1)))]
    alone = render_image(Stage([], block, sky=(0.5,) * 3, camera=FRONT), 24, 16, 1)
    assert to_srgb(0.4) < alone[6:18, 6:18].mean() < to_srgb(0.51)  # a path cut short after 4 gives 0.38
    wall = [Part(g.quad(9, 4.5).moved(y=2, z=-4.5), light((1, 0, 0), 0.5))]
    red = render_image(Stage([], [*block, *wall], sky=(0, 0, 0), camera=FRONT), 24, 16, 1)
    assert red[12:15, 8:17, 0].mean() > 120
    assert red[9:11, 8:17].max() < 20  # as high as the dark above the wall


def test_the_denoisers_guide_shows_colours_white_metal_and_no_glass() -> None:
    surfaces = (matte((0.5, 0.5, 0.5)), metal((0.2, 0.2, 0.2)), glass(), plastic((0.2, 0.2, 0.2)))
    stage = Stage(camera=FRONT)
    for x, surface in zip((-1.5, -0.5, 0.5, 1.5), surfaces, strict=True):
        stage.add(g.quad(1.0, 4.0).moved(x, 0.0, -2.0), surface)
    mi = load_mitsuba()
    guide = np.array(mi.render(_albedo_scene(mi, stage, 16), spp=4, seed=1))[8, [2, 6, 10, 14], 0]
    assert guide == pytest.approx([to_linear(0.5), to_linear(0.9), 0.0, to_linear(0.2)], abs=1e-3)


@pytest.mark.parametrize(("x", "left", "right"), [(-1.75, 0, 3), (1.75, 13, 16), (0.25, 7, 11)])
@pytest.mark.parametrize(("z", "top", "bottom"), [(1.0, 2, 4), (-2.25, 15, 16)])
def test_a_mask_lies_where_the_product_is_seen(x, left, right, z, top, bottom) -> None:
    panel = Part(g.quad(1.0, 0.5).moved(x, 0.0, z), matte((1, 1, 1)))
    expected = np.zeros((16, 16), np.uint8)
    expected[top:bottom, left:right] = 255
    assert np.array_equal(render_mask(Stage([panel], camera=FRONT), 16, 16, 1), expected)


def test_of_four_screens_the_one_before_the_covered_pixel_goes() -> None:
    camera = Camera((0.0, -4.0, 0.0), (0.0, 0.0, 0.0), 60.0)
    product = [Part(g.quad(2.0, 2.0).moved(0.0, 0.5, z), matte((1, 1, 1))) for z in (-1.0, -1.2)]
    spots = [(x, z) for x in (0.65, -0.65) for z in (0.5, -0.5)]
    screens = [Part(g.quad(0.5, 0.5).moved(x, 0.2, z - 0.25), matte((1, 0, 0))) for x, z in spots]
    behind = Part(g.quad(9.0, 9.0).moved(0.0, 2.0, -4.5), matte((0, 0, 1)))
    stage = Stage(product, [*screens, behind], camera=camera)
    mask = np.zeros((16, 16), np.uint8)
    assert not clear_view(stage, mask)
    mask[6, 10] = 254  # not wholly the product's
    mask[0, 0] = 255  # a gap: the ray meets what stands behind
    assert not clear_view(stage, mask)
    mask[6, 10] = 255  # depth 4.2: x = 0.76, z = 0.45
    assert clear_view(stage, mask)
    assert stage.parts == [*screens[1:], behind]
    fold = Part(g.floor(9.0, -3.0, 2.0).moved(z=0.3), matte((0, 1, 0)))
    stage.parts.append(fold)  # before the product, but ground
    assert not clear_view(stage, mask) and stage.parts[-1] is fold
