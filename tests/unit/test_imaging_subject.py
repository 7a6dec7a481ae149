"""A photo that nothing else tells apart: the bundled network finds its product or says it is unsure."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from PIL import Image

from cyclorama.errors import MissingMaskError
from cyclorama.imaging import cutout
from cyclorama.imaging.product import Product
from cyclorama.imaging.subject import LEAST_CONFIDENCE, NETWORK, Subject, find_subject

SIDE = 160


def draw_bottle() -> tuple[np.ndarray, np.ndarray]:
    """A red bottle before a wall and a table in daylight, uint8 (H, W, 3), and its mask."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    photo = np.zeros((SIDE, SIDE, 3))
    photo[:] = np.array([96, 122, 140]) + 0.2 * (columns - 80)[..., None]
    photo[104:] = np.array([120, 88, 60]) + 6 * np.sin(columns[104:] / 5)[..., None]
    body = (abs(columns - 84) <= 22) & (rows >= 62) & (rows < 136)
    neck = (abs(columns - 84) <= 8) & (rows >= 30) & (rows < 62)
    mask = body | neck
    photo[mask] = np.array([176, 28, 34]) * (1.15 - 0.01 * abs(columns - 76))[mask][:, None]
    photo[body & (rows >= 84) & (rows < 112)] = (232, 226, 210)
    noise = np.random.default_rng(0).normal(0, 2, photo.shape)
    return (photo + noise).clip(0, 255).round().astype(np.uint8), mask


def test_the_file_is_the_one_its_provenance_names() -> None:
    stated = NETWORK.with_name("PROVENANCE.md").read_text(encoding="utf-8")
    assert hashlib.sha256(NETWORK.read_bytes()).hexdigest() in stated
    assert "Apache License" in NETWORK.with_name("LICENSE").read_text(encoding="utf-8")


def test_a_bottle_on_a_table_is_found_and_its_pixels_stay() -> None:
    photo, mask = draw_bottle()
    product = Product.from_image(photo)
    found = product.matte >= 0.5
    assert product.mask_source == "u2netp"
    assert product.mask_confidence is not None and product.mask_confidence >= LEAST_CONFIDENCE
    assert (found & mask).sum() / (found | mask).sum() >= 0.95
    opaque = product.matte == 1
    assert opaque.sum() > 0.85 * mask.sum() and (product.foreground[opaque] == photo[opaque]).all()
    again = find_subject(photo)
    assert again.confidence == product.mask_confidence


def test_what_shows_no_product_is_refused_with_value_limit_and_remedy() -> None:
    noise = np.random.default_rng(1).integers(0, 200, (96, 128, 3)).astype(np.uint8)
    with pytest.raises(MissingMaskError, match=rf"is 0\.\d\d, {LEAST_CONFIDENCE} is the least.*--mask FILE"):
        Product.from_image(noise)


def test_a_confidence_just_below_the_limit_is_told_as_below_it() -> None:
    doubt = Subject(np.zeros((1, 1), np.float32), LEAST_CONFIDENCE - 0.001).doubt
    assert "confidence is 0.74, 0.75 is the least" in doubt


def test_every_other_source_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    photo, mask = draw_bottle()

    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(cutout, "find_subject", refuse)
    alpha = np.dstack([photo, mask * np.uint8(255)])
    white = np.where(mask[..., None], photo, np.uint8(255))
    given = Product.from_image(photo, network=lambda pixels: mask.astype(np.float32))
    sources = [Product.from_image(photo, mask), Product.from_image(alpha), Product.from_image(white), given]
    assert [one.mask_source for one in sources] == ["mask", "alpha", "white", "network"]
    assert [one.mask_confidence for one in sources] == [None] * 4


def test_confidence_is_agreement_less_what_is_unsure(monkeypatch: pytest.MonkeyPatch) -> None:
    from cyclorama.imaging import subject

    first, second = np.zeros((10, 10), np.float32), np.zeros((10, 10), np.float32)
    first[:, :4] = 1
    second[:, :5], second[:2, 4] = 1, 0.6
    assert subject._agree(first, second) == pytest.approx(0.8 * (1 - 2 / 50))
    assert subject._agree(first, second * 0) == 0


def test_what_only_its_colour_tells_is_less_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    from cyclorama.imaging import subject

    photo, _mask = draw_bottle()
    look = subject.look_at
    half = np.where(np.arange(SIDE)[:, None] < 85, look(photo), 0).astype(np.float32)
    sure = find_subject(photo).confidence

    def look_without_colours(pixels: np.ndarray, size: tuple[int, ...] | None = None) -> np.ndarray:
        return half if size is not None and not np.ptp(pixels, axis=2).any() else look(pixels, size)

    first = look(photo) >= 0.5
    share = float(((half >= 0.5) & first).sum() / first.sum())
    grey = look(np.asarray(Image.fromarray(photo).convert("L").convert("RGB"))) >= 0.5
    both = float((grey & first).sum() / (grey | first).sum())
    monkeypatch.setattr(subject, "look_at", look_without_colours)
    assert find_subject(photo).confidence == pytest.approx(sure * (0.8 + 0.2 * share) / (0.8 + 0.2 * both))


def test_things_that_the_frame_cuts_are_left_out_beside_whole_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    from cyclorama.imaging import subject

    rows, columns = np.mgrid[:SIDE, :SIDE]
    whole = (abs(columns - 80) <= 25) & (abs(rows - 90) <= 40)
    cut = (columns >= 140) & (abs(rows - 60) <= 20)
    second = (abs(columns - 25) <= 10) & (abs(rows - 100) <= 20)

    def look(pixels: np.ndarray, size: tuple[int, ...] | None = None) -> np.ndarray:
        mask = (pixels.max(axis=2) > 128).astype(np.float32)
        return mask if size is None else np.asarray(Image.fromarray(mask).resize(size[::-1], 0))

    monkeypatch.setattr(subject, "look_at", look)
    for shown, kept in (
        (whole | cut, whole),
        (whole | second | cut, whole | second),
        (cut, cut),  # a product cut by the frame is all there is
        (cut | second & (rows > 105), cut | second & (rows > 105)),  # a small thing beside it
    ):
        found = find_subject(np.where(shown[..., None], np.uint8(200), np.uint8(20)) + np.zeros(3, np.uint8))
        solid = found.matte >= 0.5
        assert (solid & kept).sum() / (solid | kept).sum() > 0.97 and not found.doubt
        assert bool(found.notes) is bool((shown & ~kept).any())
