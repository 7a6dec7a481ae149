"""The product guarantee: opaque pixels bit for bit, soft ones by the equation."""

from __future__ import annotations

from math import erf, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cyclorama.errors import SettingsError
from cyclorama.imaging.compositing import composite, compute_contact_shadow, compute_product_report
from cyclorama.imaging.product import Product


def build(seed: int) -> tuple[np.ndarray, Product]:
    rng = np.random.default_rng(seed)
    pixels, foreground, background = rng.integers(0, 256, (3, 9, 11, 3), dtype=np.uint8)
    matte = np.clip(rng.random((9, 11)) * 2 - 0.5, 0, 1).astype(np.float32)
    foreground = np.where((matte == 1)[..., None], pixels, foreground).astype(np.uint8)
    return background, derive(pixels, matte, foreground)


def derive(pixels: np.ndarray, matte: np.ndarray, foreground: np.ndarray) -> Product:
    """As on a canvas: of any size, with any matte."""
    square = np.zeros((32, 32), np.float32)
    square[8:24, 8:24] = 1
    whole = Product(np.zeros((32, 32, 3), np.uint8), square)
    return whole.derive(pixels=pixels, matte=matte, foreground=foreground)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31))
def test_equals_a_literal_loop(seed: int) -> None:
    background, product = build(seed)
    output = composite(background, product)
    for y, x, c in np.ndindex(output.shape):
        alpha = float(product.matte[y, x])
        if alpha == 1:
            expected = product.pixels[y, x, c]
        else:
            value = alpha * int(product.foreground[y, x, c]) + (1 - alpha) * int(background[y, x, c])
            expected = round(value)  # Python rounds halves to even
        assert output[y, x, c] == expected
    report = compute_product_report(output, product)
    assert report.exact and report.opaque_pixels == int((product.matte == 1).sum())
    assert report.soft_pixels == int(((product.matte > 0) & (product.matte < 1)).sum())


def test_float_backgrounds_round_once() -> None:
    background, product = build(1)
    soft = np.full((9, 11), 0.5, np.float32)
    product = derive(product.pixels, soft, np.zeros_like(product.pixels))
    output = composite(np.full(background.shape, 101.0), product)
    assert (output == 50).all()  # 50.5 rounds to the even 50
    product = derive(product.pixels, soft * 0, product.foreground)
    assert (composite(np.full(background.shape, 10.5), product) == 10).all()
    assert (composite(np.full(background.shape, 300.0), product) == 255).all()


def test_report_sees_a_single_changed_level() -> None:
    background, product = build(2)
    output = composite(background, product)
    y, x = np.argwhere(product.matte == 1)[0]
    output[y, x, 1] ^= 1
    report = compute_product_report(output, product)
    assert report.max_difference == 1 and not report.exact
    assert report.mean_difference == pytest.approx(1 / (3 * report.opaque_pixels))


def test_nothing_is_proved_where_no_pixel_is_opaque() -> None:
    background, product = build(4)
    product = derive(product.pixels, product.matte.clip(0, 0.9), product.foreground)
    report = compute_product_report(composite(background, product), product)
    assert (report.opaque_pixels, report.exact, report.max_difference, report.mean_difference) == (
        0,
        *[None] * 3,
    )
    assert report.describe()["exact"] is None and "nothing proves" in report.describe()["notes"][0]


def test_wrong_sizes_and_bad_values_are_refused() -> None:
    background, product = build(3)
    with pytest.raises(SettingsError, match=r"\(8, 11, 3\).*\(9, 11, 3\)"):
        composite(background[:8], product)
    with pytest.raises(SettingsError, match="not finite"):
        composite(np.full(background.shape, np.nan), product)


def test_the_contact_shadow_is_as_wide_and_deep_as_the_contact() -> None:
    """Two Gaussians, a dark line and a soft pool, whose widths follow from the contact's own."""
    matte = np.zeros((400, 700), np.float32)
    matte[100:300, 200:500] = 1
    shadow = compute_contact_shadow(matte, 0.8)

    def blur(distance: float, sigma: float, half: float) -> float:
        return (erf((distance + half) / (sqrt(2) * sigma)) - erf((distance - half) / (sqrt(2) * sigma))) / 2

    for offset in (0, 2, 4, 8, 12, 20):
        parts = [
            weight * blur(offset + 0.5, sigma, 2) / blur(0.5, sigma, 2)
            for sigma, weight in ((3, 0.6), (9, 0.4))
        ]
        assert shadow[300 + offset, 350] == pytest.approx(204 * sum(parts), abs=1.5)
        assert shadow[299 - offset, 350] == shadow[300 + offset, 350]
    for offset in (-40, -10, 0, 5, 10, 20, 40):
        ends = [weight * blur(offset + 150.5, sigma, 150) for sigma, weight in ((6, 0.6), (24, 0.4))]
        assert shadow[300, 500 + offset] == pytest.approx(204 * sum(ends), abs=1.5)
