"""Proves the arithmetic of colours, styles, light and tone: mixing, jitter, sRGB, key light, framing."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from cyclorama.errors import ConfigError
from cyclorama.scenes import render
from cyclorama.scenes.render import tone_map
from cyclorama.scenes.stage import Camera, Framing, Stage, add_key_light, compute_axes, project
from cyclorama.scenes.surface import Style, Surface, hsv, jitter, light, mix, shade

STYLE = Style(
    wall=(1, 0, 0),
    floor=(0, 1, 0),
    prop=(0, 0, 1),
    accent=(1, 1, 0),
    elements=(),
    key_side=-0.5,
    key_warmth=0.5,
)


def test_colours_are_mixed_and_shaded_channel_by_channel() -> None:
    assert mix((0.2, 0.4, 1.0), (0.6, 0.8, 0.0), 0.25) == pytest.approx((0.3, 0.5, 0.75))
    assert shade((0.8, 0.4, 0.2), 0.5) == pytest.approx((0.4, 0.2, 0.1))
    assert shade((0.8, 0.4, 0.2), 2.0) == pytest.approx((1.0, 0.5, 0.25))
    assert hsv(480, 0.5, 0.8) == pytest.approx((0.4, 0.8, 0.4))
    assert hsv(0, 2.0, -1.0) == (0, 0, 0)


def test_jitter_moves_hue_by_degrees_and_the_rest_by_shares() -> None:
    ones = SimpleNamespace(normal=lambda mean, spread, count: np.full(count, mean + spread))
    assert jitter(hsv(100, 0.5, 0.5), ones) == pytest.approx(hsv(104, 0.53, 0.515))  # type: ignore[arg-type]
    assert jitter(hsv(100, 0.5, 0.5), ones, 2.0) == pytest.approx(hsv(108, 0.56, 0.53))  # type: ignore[arg-type]


def test_a_varied_style_moves_its_light_a_little() -> None:
    ones = SimpleNamespace(normal=lambda mean, spread, count=None: mean + spread * np.ones(count or ()))
    varied = STYLE.varied(ones)  # type: ignore[arg-type]
    assert varied.key_side == pytest.approx(-0.44)
    assert varied.key_strength == pytest.approx(np.exp(0.05))
    assert varied.floor == pytest.approx(hsv(124, 1, 1))


def test_srgb_is_made_linear() -> None:
    assert render.to_linear((0.0, 0.04, 0.5, 1.0)) == pytest.approx([0, 0.0030960, 0.2140411, 1], abs=1e-6)


def test_a_shining_texture_emits_its_linear_colour_times_its_strength() -> None:
    mi = SimpleNamespace(Bitmap=lambda pixels: pixels)
    texture = np.full((2, 2, 3), 128, np.uint8)
    assert render._glow(mi, light(texture, 0), 2.0)["bitmap"] == pytest.approx(
        np.full((2, 2, 3), 0.431721), abs=1e-5
    )
    assert render._glow(mi, light((0.5, 0, 1), 0), 3.0)["value"] == pytest.approx([0.642123, 0, 3], abs=1e-5)


@pytest.mark.parametrize(
    ("surface", "kind", "entry", "value"),
    [
        (Surface((1, 1, 1), "metal", 0.3), "roughconductor", "alpha", 0.3),
        (Surface((1, 1, 1), "plastic", 0.25), "principled", "roughness", 0.5),
        (Surface((1, 1, 1), "plastic", 0.0001), "principled", "roughness", 0.08),
        (Surface((1, 1, 1), "photo"), "principled", "base_color", {"type": "rgb", "value": [0, 0, 0]}),
        (Surface((1, 1, 1), "photo"), "principled", "specular", 0.5),
        (
            Surface((0, 0.5, 1)),
            "diffuse",
            "reflectance",
            {"type": "rgb", "value": [0, pytest.approx(0.2140411), 1]},
        ),
    ],
)
def test_each_kind_of_surface_is_the_renderers(
    surface: Surface, kind: str, entry: str, value: object
) -> None:
    made = render._bsdf(None, surface)
    assert made["type"] == "twosided"
    assert made["bsdf"]["type"] == kind
    assert made["bsdf"][entry] == value


def test_tone_map_is_straight_below_its_knee_and_soft_above() -> None:
    seen = tone_map(np.array([[[0.001, 0.3, 0.6], [0.8, 1.0, 2.0]]], np.float32), 2.0)
    shoulder = [0.6 + 0.4 * (1 - np.exp(-(x - 0.6) / 0.4)) for x in (1.2, 1.6, 2.0, 4.0)]
    linear = np.array([0.002, 0.6, *shoulder])
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert seen.ravel().tolist() == np.round(srgb * 255).tolist()


def test_the_key_light_stands_on_its_side_with_its_warmth() -> None:
    stage = Stage()
    add_key_light(stage, STYLE, radiance=10.0, size=2.0, height=3.0)
    (lamp,) = stage.lights
    assert lamp.position == pytest.approx((-1.3, -2.6, 3.0))
    assert lamp.target == (0.0, 0.2, 0.3)
    assert lamp.radiance == pytest.approx((11.1, 10.1, 8.5))
    assert stage.sky == pytest.approx((0.42 * 0.975, 0.42, 0.42 * 1.03))


def test_the_cameras_axes_are_right_up_and_forward() -> None:
    axes = compute_axes(Camera((0.0, -2.0, 2.0), (0.0, 0.0, 0.0), 30.0))
    expected = [[1, 0, 0], [0, 0.5**0.5, 0.5**0.5], [0, 0.5**0.5, -(0.5**0.5)]]
    assert np.array(axes) == pytest.approx(np.array(expected))


def test_projection_of_a_point_at_half_the_field_lies_on_the_rim() -> None:
    camera = Camera((0.0, -2.0, 0.0), (0.0, 0.0, 0.0), 60.0)
    reach = 2 * np.tan(np.deg2rad(30))
    seen = project(np.array([[0, 0, 0], [reach, 0, 0], [0, 0, reach]]), camera)
    assert seen == pytest.approx(np.array([[0.5, 0.5], [1.0, 0.5], [0.5, 0.0]]))


def test_a_range_of_framing_may_be_a_point_and_must_rise() -> None:
    assert Framing(turn=(5, 5)).turn == (5, 5)
    with pytest.raises(ConfigError, match="lowest, highest"):
        Framing(turn=(5, 4.9))
    with pytest.raises(ConfigError, match="share"):
        Framing(share=(0.5, 1.0))
