"""Where a poster's layouts put things: a brand's corner holds in every direction of reading."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cyclorama.imaging.product import Product
from cyclorama.layout.settle import find_conflicts
from cyclorama.posters.planning import PlanRequest, build_task, mirror, plan_poster
from cyclorama.posters.words import PosterBrand

WORDS = {"headline": "Slow evenings", "price": "39", "action": "Discover"}


def build_request(languages: tuple[str, ...], corner: Any, product: str) -> PlanRequest:
    """A block, or an L, which its own mirror image is not."""
    matte = np.zeros((200, 160), np.float32)
    matte[20:180, 50:110] = 1
    if product != "block":
        matte[:] = 0
        matte[20:180, 20:60] = matte[140:180, 20:140] = 1
    matte = matte[:, ::-1].copy() if product == "flipped" else matte
    pixels = np.full((200, 160, 3), 90, np.uint8)
    return PlanRequest(
        Product(pixels, matte, pixels, name="x"),
        (512, 512),
        dict.fromkeys(languages, WORDS),
        PosterBrand(logo_corner=corner),
        np.full((40, 100, 4), 255, np.uint8),
    )


@pytest.mark.parametrize("corner", ["top-left", "top-right", "bottom-left", "bottom-right"])
@pytest.mark.parametrize("languages", [("en",), ("he",), ("en", "he")])
@pytest.mark.parametrize("product", ["block", "L"])
def test_the_logo_stands_in_the_brands_corner(product: str, languages: tuple[str, ...], corner: str) -> None:
    request = build_request(languages, corner, product)
    found = plan_poster(request, "rules", 3, 0)
    assert len(found) == 3
    for layout in found:
        [logo] = layout.select("logo")
        across, down = (logo.box[0] + logo.box[2]) / 2, (logo.box[1] + logo.box[3]) / 2
        assert f"{'top' if down < 0.5 else 'bottom'}-{'left' if across < 0.5 else 'right'}" == corner
        assert list(find_conflicts(list(layout.elements), build_task(request))) == []


@pytest.mark.parametrize("corner", [None, "bottom-left"])
def test_a_poster_from_the_right_is_the_mirror_image_of_one_from_the_left(corner: Any) -> None:
    opposite = corner and "bottom-right"
    found = plan_poster(build_request(("he",), corner, "L"), "rules", 3, 0)
    other = plan_poster(build_request(("en",), opposite, "flipped"), "rules", 3, 0)
    assert found == [mirror(layout) for layout in other]
