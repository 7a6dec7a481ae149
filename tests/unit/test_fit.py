"""How a fit varies, judges and starts a style, without drawing: scenes.fit."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from skimage.color import rgb2lab

from cyclorama.scenes import fit
from cyclorama.scenes.brand import Brand, BrandLight
from cyclorama.scenes.features import Description

GREY = (0.5, 0.5, 0.5)
LIGHT = BrandLight(side=0.5, warmth=-0.25, strength=2.0, softness=0.5)
BRAND = Brand(
    scene="whisky", arrangement=0, wall=GREY, floor=GREY, props=GREY, accent=GREY, elements=(), light=LIGHT
)
REGIONS = fit.Regions(*(np.zeros(3) for _ in range(4)), 0.0, np.zeros((1, 3)))


class FlatBank:
    """A bank of the two styles ``brands``, as far from anything as ``distances`` say."""

    def __init__(self, brands: list[Brand], distances: list[float]) -> None:
        self.brands, self.distances = brands, distances
        self.scenes = np.array([b.scene for b in brands])

    def measure(self, wanted: Description) -> Any:
        return np.array(self.distances)

    def get(self, number: int) -> Brand:
        return self.brands[number]

    def reduce(self, features: Any) -> Any:
        return features


def fitting(name: str = "whisky", side: float = 0.0) -> fit._Fit:
    made = object.__new__(fit._Fit)
    made.category, made.regions = fit.load_category(name), replace(REGIONS, side=side)
    made.wanted = Description(np.array([3.0, 4.0], np.float32), np.zeros((16, 3), np.float32))
    made.bank = FlatBank([], [])  # type: ignore[assignment]
    made._drawn = {}
    return made


@pytest.mark.parametrize(
    ("elevation", "tried"),
    [(10.0, [5.0, 16.0]), (3.0, [2.0, 4.8]), (60.0, [30.0, 75.0]), (None, [2.0, 0.0])],
)
def test_a_camera_is_tried_lower_and_higher(elevation: float | None, tried: list[float]) -> None:
    lifted = fit.lift(BRAND.replace(elevation=elevation))
    assert [b.elevation for b in lifted] == pytest.approx(tried)


def test_light_is_tried_stronger_weaker_softer_and_harder_up_to_three_times() -> None:
    assert [b.light.strength for b in fit.strengthen(BRAND)] == pytest.approx([2.7, 1.48])
    assert [b.light.softness for b in fit.soften(BRAND)] == pytest.approx([0.8, 0.31])
    most = BRAND.replace(light=LIGHT.replace(strength=2.9, softness=2.9))
    assert [b.light.strength for b in fit.strengthen(most)] == pytest.approx([3.0, 2.146])
    assert [b.light.softness for b in fit.soften(most)] == pytest.approx([3.0, 1.798])


def test_a_set_is_as_far_as_it_looks_and_as_the_search_found_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Description(np.zeros(2, np.float32), np.full((16, 3), 10, np.float32))
    drawn: list[Brand] = []

    def draw(category: object, brand: Brand) -> np.ndarray:
        drawn.append(brand)
        return np.zeros((8, 8, 3), np.uint8)

    monkeypatch.setattr(fit, "draw_empty", draw)
    monkeypatch.setattr(fit, "describe_background", lambda image: found)
    monkeypatch.setattr(fit, "read_regions", lambda image: REGIONS)
    near = 5 + 0.015 * np.sqrt(300)  # CIE76 of (10, 10, 10)
    made = fitting()
    first, second = made.draw(BRAND, 0.0), made.draw(BRAND, 0.3)
    assert (first.distance, second.distance) == pytest.approx((near, near + 0.3))
    assert drawn == [BRAND]  # none is drawn twice
    darker = BRAND.replace(wall=(0.1, 0.1, 0.1))
    assert made.better(second, BRAND, darker) is second  # what began there is as far behind
    assert made.better(made.draw(darker, 0.4), BRAND).brand == darker
    assert drawn == [BRAND, darker]


def test_the_nearest_styles_come_first_and_their_own_category_sooner() -> None:
    other, own = BRAND.replace(scene="perfume"), BRAND
    made = fitting()
    for distances, order in (([1.0, 1.1], ["whisky", "perfume"]), ([1.0, 1.2], ["perfume", "whisky"])):
        made.bank = FlatBank([other, own], distances)  # type: ignore[assignment]
        assert [b.scene for b, _ in made.iterate_nearest()] == order
        assert [behind for _, behind in made.iterate_nearest()] == pytest.approx([0, 0.05])
    general = fitting("studio")  # which has no custom to keep to
    general.bank = FlatBank([other, own], [1.0, 1.2])  # type: ignore[assignment]
    assert [behind for _, behind in general.iterate_nearest()] == pytest.approx([0, 0.2])
    made.bank = FlatBank([own, own.replace(wall=(0, 0, 0)), own.replace(layout=2)], [1, 2, 3])  # type: ignore[assignment]
    near = [(b.wall, b.layout, behind) for b, behind in made.iterate_nearest()]
    assert near == [(GREY, 0, 0.0), (GREY, 2, 2.0)]


def test_sets_whose_camera_stands_much_higher_or_lower_are_left_out() -> None:
    made = fitting()
    framing = made.category.framing
    low, high = framing.elevation

    def may(shift: float, room: bool = framing.room) -> bool:
        moved = SimpleNamespace(room=room, elevation=(low + shift, high + shift))
        return made._may_be(moved)  # type: ignore[arg-type]

    assert [may(shift) for shift in (0, 15, -15, 15.5, -15.5)] == [True, True, True, False, False]
    assert not may(0, not framing.room)


def test_a_style_starts_lit_from_the_references_side_at_the_categorys_height(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fit._Fit, "draw", lambda self, brand, _: fit.Candidate(brand, 1.0, REGIONS, 0))
    usual = np.mean(fit.load_category("whisky").framing.elevation)
    weak = BRAND.replace(light=LIGHT.replace(side=-0.1))
    for side, brand, lit in (
        (0, BRAND, 0.5),
        (-1, BRAND, -0.5),
        (1, weak, 0.4),
        (-1, weak, -0.4),
        (0, weak, -0.1),
    ):
        started = fitting(side=side).start(brand, 0).brand
        assert (started.light.side, started.elevation) == (pytest.approx(lit), pytest.approx(usual))


def test_things_and_walls_take_the_references_colours() -> None:
    made = fitting()
    colours = {
        name: rgb2lab(np.full(3, level))
        for name, level in {"wall": 0.2, "floor": 0.4, "prop": 0.6, "accent": 0.8}.items()
    }
    made.regions = fit.Regions(**colours, side=0, colours=np.zeros((1, 3)))
    things, ground = made.recolour(BRAND), made.repaint(BRAND)
    assert (things.props[0], things.accent[0], things.wall) == (pytest.approx(0.6), pytest.approx(0.8), GREY)
    assert (ground.wall[0], ground.floor[0], ground.props) == (pytest.approx(0.2), pytest.approx(0.4), GREY)


def test_things_whose_colour_the_reference_has_not_start_in_one_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fit._Fit, "draw", lambda self, brand, _: fit.Candidate(brand, 1.0, REGIONS, 0))
    pink, pale, teal = (0.9, 0.4, 0.7), (0.98, 0.8, 0.9), (0.2, 0.6, 0.6)
    lab = [rgb2lab(np.array(colour)) for colour in (pink, pale)]
    made = fitting()
    made.regions = fit.Regions(lab[1], lab[1], lab[1], lab[0], 0, np.array(lab))
    dark = (0.45, 0.2, 0.35)  # pink in the shade
    for props, accent, started in (
        (dark, teal, (dark, pink)),
        (teal, pink, (pale, pink)),
        (pale, dark, (pale, dark)),
    ):
        brand = made.start(BRAND.replace(props=props, accent=accent), 0).brand
        assert (*brand.props, *brand.accent) == pytest.approx((*started[0], *started[1]), abs=1e-3)


def test_a_side_is_lighter_from_six_levels_on_by_the_outer_thirds() -> None:
    lightness, seen = np.full((64, 64), 50.0), np.ones((64, 64), bool)
    lightness[:, 21:43] = np.linspace(0, 100, 22)  # the middle does not count
    assert fit._compare_sides(lightness, seen) == 0
    for low, sign in ((44.0, 1), (56.0, -1), (44.1, 0), (55.9, 0)):
        lightness[:, :21] = low
        assert fit._compare_sides(lightness, seen) == sign
    lightness[:, :21] = 0
    assert fit._compare_sides(lightness, seen) == 1
    for hidden in (np.s_[:, :21], np.s_[:, 43:]):
        part = seen.copy()
        part[hidden] = False
        assert fit._compare_sides(lightness, part) == 0


def test_what_is_much_farther_than_the_nearest_is_given_up() -> None:
    made = [fit.Candidate(BRAND, distance, REGIONS, 0) for distance in (1.5, 1.25, 1.0, 1.26, 1.125)]
    assert [c.distance for c in fit._keep(made, 5)] == [1.0, 1.125]
    assert [c.distance for c in fit._keep(made[:2] + made[3:4], 2)] == [1.25, 1.26]
    assert len(fit._keep([made[2], fit.Candidate(BRAND, 1.0 + fit.CLOSE, REGIONS, 0)], 2)) == 2
    assert fit._best(*made).distance == 1.0


def test_a_correction_is_by_linear_light_within_what_surfaces_can_be() -> None:
    made = fitting()
    lab = {level: rgb2lab(np.full(3, fit.from_linear(np.array(level)))) for level in (0.09, 0.19, 0.99)}
    made.regions = fit.Regions(lab[0.19], lab[0.99], lab[0.09], lab[0.09], 0, np.zeros((1, 3)))
    seen = fit.Regions(lab[0.09], lab[0.09], lab[0.09], lab[0.09], 0, np.zeros((1, 3)))
    grey = tuple(float(fit.from_linear(np.array(0.2))) for _ in range(3))
    found = made.correct(fit.Candidate(BRAND.replace(wall=grey, floor=grey), 1.0, seen, 0))
    assert fit.to_linear(np.array(found.wall)) == pytest.approx(0.4, abs=1e-4)
    assert fit.to_linear(np.array(found.floor)) == pytest.approx(0.95, abs=1e-4)


def test_a_ground_that_nobody_sees_has_the_walls_colour() -> None:
    image = np.full((64, 64, 3), 60, np.uint8)
    image[:20] = 200
    mask = np.zeros((64, 64), np.float32)
    mask[24:] = 1
    found = fit.read_regions(image, mask)
    assert found.floor == pytest.approx(found.wall)
    assert found.wall[0] > 70
