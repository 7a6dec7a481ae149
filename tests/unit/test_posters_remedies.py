"""A fault's remedy is what the table says: colours apart, a larger product, the next layout, another seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from skimage.color import rgb2lab

from cyclorama.imaging.product import Product
from cyclorama.layout.elements import Box, Element, PosterLayout, intersect
from cyclorama.posters.checks import LIMITS
from cyclorama.posters.remedies import APART, LARGER, REMEDIES, Attempt, choose_next, move_palette
from cyclorama.scenes.look import measure_rim
from cyclorama.scenes.surface import Style

GREY = Style(wall=(0.5,) * 3, floor=(0.52,) * 3, prop=(0.9, 0.1, 0.1), accent=(0.5,) * 3, elements=())


def make_product(colour: tuple[int, int, int] = (128, 128, 128)) -> Product:
    matte = np.zeros((60, 60), np.float32)
    matte[10:50, 20:40] = 1
    pixels = np.broadcast_to(np.array(colour, np.uint8), (60, 60, 3)).copy()
    return Product(pixels, matte, pixels)


def make_layout(family: str, product: Box, text: Box, locked: bool = False) -> PosterLayout:
    elements = (
        Element(id="product", kind="product", box=product, locked=locked),
        Element(id="headline", kind="text", role="headline", box=text),
    )
    return PosterLayout(height=200, width=160, family=family, elements=elements)


FIRST = make_layout("a", (0.4, 0.6, 0.6, 0.8), (0.1, 0.1, 0.9, 0.2))
SECOND = make_layout("b", (0.4, 0.6, 0.6, 0.8), (0.1, 0.82, 0.9, 0.9))
PLANS = [FIRST, SECOND]


def test_remedies_are_for_faults_that_there_are() -> None:
    assert set(REMEDIES) <= {limit.fault for limit in LIMITS}


@pytest.mark.parametrize(
    ("faults", "layout"),
    [({"floating"}, FIRST), ({"indistinct"}, FIRST), ({"unreadable"}, SECOND), ({"crowded"}, SECOND),
     (set(), SECOND), ({"indistinct", "unreadable"}, SECOND)],
)  # fmt: skip
def test_the_layout_changes_where_the_table_says_so(faults: set[str], layout: PosterLayout) -> None:
    found = choose_next(Attempt(FIRST), faults, PLANS, make_product(), GREY)
    assert found.layout == layout
    assert (found.style is not None) == ("indistinct" in faults)
    assert choose_next(found, {"crowded"}, PLANS, make_product()).layout != found.layout
    assert choose_next(Attempt(FIRST), {"indistinct"}, PLANS, make_product()) == Attempt(SECOND), (
        "no style known"
    )


def test_a_small_product_becomes_larger_where_its_texts_let_it() -> None:
    larger = choose_next(Attempt(FIRST), {"size"}, PLANS, make_product()).layout
    left, top, right, bottom = larger.select("product")[0].box
    assert (right - left, bottom - top) == pytest.approx((0.2 * LARGER, 0.2 * LARGER))
    assert ((left + right) / 2, bottom) == pytest.approx((0.5, 0.8)), "it stands where it stood"
    tight = make_layout("a", (0.4, 0.6, 0.6, 0.8), (0.1, 0.4, 0.9, 0.57))
    grown = choose_next(Attempt(tight), {"size"}, PLANS, make_product()).layout
    product, text = (element.box for element in grown.elements)
    assert 0.2 < product[3] - product[1] < 0.2 * LARGER and intersect(product, text) == 0
    locked = make_layout("a", (0.4, 0.6, 0.6, 0.8), (0.1, 0.1, 0.9, 0.2), locked=True)
    assert choose_next(Attempt(locked), {"size"}, PLANS, make_product()).layout == locked


@settings(max_examples=60, deadline=None)
@example((197, 48, 40), (0.0, 0.0, 0.0), 0)  # where a screen's colours end
@given(st.tuples(*[st.integers(0, 255)] * 3), st.tuples(*[st.floats(0, 1)] * 3), st.integers(0, 255))
def test_every_colour_of_the_set_is_apart_from_the_products_rim(
    product: tuple[int, int, int], wall: tuple[float, float, float], level: int
) -> None:
    shown = make_product(product)
    like = tuple(channel / 255 for channel in product)
    style = GREY.replace(wall=wall, floor=like, accent=(level / 255,) * 3)
    moved = move_palette(style, shown).style
    rim = np.median(measure_rim(shown.foreground, shown.matte), axis=0)
    for old, new in zip(style.palette, moved.palette, strict=True):
        distance = np.linalg.norm(rgb2lab(np.array(old)) - rim)
        assert np.linalg.norm(rgb2lab(np.array(new)) - rim) >= APART - 0.01
        if distance >= APART:
            assert new == old, "what is apart stays"
