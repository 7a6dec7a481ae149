"""From a reference to a style: its regions, the nearest of the bank, the fit."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.color import rgb2lab

from cyclorama.scenes import fit
from cyclorama.scenes.bank import build_bank, load_bank, measure_palettes, save_bank
from cyclorama.scenes.brand import Brand, BrandLight
from cyclorama.scenes.features import Description, describe_background
from cyclorama.scenes.grammar.reader import list_scenes, load_category
from cyclorama.scenes.look import to_colour

BLUE, SAND, RED = (30, 60, 140), (200, 170, 120), (220, 40, 40)


def draw_reference() -> NDArray[np.uint8]:
    """A blue wall over sand, a red square on it."""
    image = np.zeros((100, 100, 3), np.uint8)
    image[:66], image[66:] = BLUE, SAND
    image[20:40, 10:30] = RED
    return image


def make_brand(number: int = 0, wall: float = 0.5) -> Brand:
    grey = (wall, wall, wall)
    light = BrandLight(side=0.5, warmth=-0.25, strength=2.0, softness=0.5)
    return Brand(
        scene="whisky", arrangement=number, wall=grey, floor=(0.25, 0.5, 0.75), props=grey, accent=grey,
        elements=("bokeh", "ice"), layout=1, light=light,
    )  # fmt: skip


def describe(values: list[float]) -> Description:
    return Description(np.array(values, np.float32), np.full((16, 3), 50, np.float32))


def test_regions_are_the_colours_above_and_below_and_the_further_ones() -> None:
    found = fit.read_regions(draw_reference())
    colours = [np.array(to_colour(c)) * 255 for c in (found.wall, found.floor, found.accent)]
    assert colours[0] == pytest.approx(BLUE, abs=3)
    assert colours[1] == pytest.approx(SAND, abs=3)
    assert colours[2] == pytest.approx(RED, abs=25)
    hidden = np.zeros((100, 100), np.float32)
    hidden[15:45, 5:35] = 1
    without = fit.read_regions(draw_reference(), hidden)
    assert np.array(to_colour(without.accent)) * 255 != pytest.approx(RED, abs=60)


def test_the_lighter_side_is_told() -> None:
    ramp = np.broadcast_to(np.linspace(60, 220, 100)[None, :, None], (100, 100, 3)).astype(np.uint8)
    assert fit.read_regions(ramp).side == 1
    assert fit.read_regions(np.ascontiguousarray(ramp[:, ::-1])).side == -1
    assert fit.read_regions(np.full((50, 50, 3), 90, np.uint8)).side == 0


def test_bank_keeps_styles_and_distances(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    descriptions = [describe(list(rng.normal(0, 1, 12))) for _ in range(6)]
    brands = [make_brand(number, number / 8) for number in range(6)]
    save_bank(build_bank(brands, descriptions, dimensions=5), tmp_path / "bank.npz")
    bank = load_bank(tmp_path / "bank.npz")
    assert [bank.get(number) for number in range(6)] == brands
    for number, description in enumerate(descriptions):
        distances = bank.measure(description)
        assert int(np.argmin(distances)) == number
        assert distances[number] == pytest.approx(0, abs=0.01)
        exact = [float(np.linalg.norm(description.features - d.features)) for d in descriptions]
        assert distances == pytest.approx(exact, abs=0.01)  # six points lie in five dimensions


def test_palettes_differ_by_cie76() -> None:
    first, second = np.zeros((16, 3)), np.zeros((16, 3))
    second[:4, 0] = 20
    assert float(measure_palettes(first, second)) == pytest.approx(10)


def test_shipped_bank_holds_styles_of_every_category() -> None:
    bank = load_bank()
    assert set(bank.scenes) <= set(list_scenes())
    assert len(set(bank.scenes)) >= 54
    for number, scene in enumerate(bank.scenes):
        brand = bank.get(number)
        assert set(brand.elements) <= set(load_category(scene).elements), number
    assert sum(array.nbytes for array in vars(bank).values()) < 6e6


def test_fit_corrects_by_what_the_light_makes_of_a_colour() -> None:
    """A wall that is seen at half its wanted light becomes twice as light."""
    category = load_category("whisky")
    fitting = fit._Fit(category, draw_reference(), None)
    brand = make_brand()
    lab = rgb2lab(np.array([[[0.25, 0.25, 0.25], [0.25, 0.5, 0.75]]]))[0]
    wanted = fit.Regions(lab[0], lab[1], lab[0], lab[0], 0.0, lab)
    fitting.regions = wanted
    same = fitting.correct(fit.Candidate(brand, 1.0, wanted, 0))
    assert same.wall == pytest.approx(brand.wall, abs=1e-6)
    darker = rgb2lab(np.array([[[0.1, 0.1, 0.1]]]))[0, 0]
    lighter = fitting.correct(
        fit.Candidate(brand, 1.0, fit.Regions(darker, lab[1], darker, darker, 0.0, lab), 0)
    )
    assert lighter.wall[0] > brand.wall[0] + 0.2 and lighter.floor == pytest.approx(brand.floor, abs=1e-6)


def test_fit_finds_a_set_of_the_bank_again(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = fit.draw_empty
    monkeypatch.setattr(fit, "draw_empty", lambda category, brand: draw(category, brand, 64, 1))
    monkeypatch.setattr(fit, "DRAWN", 1)
    monkeypatch.setattr(fit, "_refine", lambda fit, candidate: candidate)
    category = load_category("perfume")
    brand = Brand.of(category.brands[0], "perfume", 0)
    reference = draw(category, brand, 96, 4)
    found = fit.fit_style(category, reference)
    assert (found.scene, found.elements, found.layout) == ("perfume", brand.elements, brand.layout)
    bank, wanted = load_bank(), describe_background(reference)
    made = describe_background(draw(category, found, 96, 4))
    assert fit.measure(bank, wanted, made) < np.median(bank.measure(wanted)[bank.scenes == "perfume"])


def test_fit_finds_where_things_stand() -> None:
    category = load_category("perfume")
    brand = Brand.of(category.brands[0], "perfume", 0)
    reference = fit.draw_empty(category, brand.replace(arrangement=5), 256, 4)
    fitting = fit._Fit(category, reference, None)
    assert fit._rearrange(fitting, fitting.draw(brand, 0)).brand.arrangement == 5


@pytest.mark.parametrize(
    ("far", "renders"),
    [
        ([2.0, 1.5, 0.8], 3 + 1 + 10 + 8),  # the search ends with the third, and that one alone is worked on
        ([1.2, 1.1, 2, 2, 2, 2, 2, 2, 2], 5 + 2 + 20 + 8),
        ([0.9], 1 + 1 + 10 + 8),  # as near as that is near enough
        ([0.7, 0.7, 0.7, 0.7, 0.7, 0.6], 1 + 1 + 9 + 8),  # a lower camera is better, so none is tried higher
    ],
)
def test_fit_draws_no_more_than_a_reference_needs(
    far: list[float], renders: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Brand] = []
    regions = fit.read_regions(draw_reference())

    def draw(fitting: fit._Fit, brand: Brand, behind: float) -> fit.Candidate:
        drawn.append(brand)
        distance = far[len(drawn) - 1] if len(drawn) <= len(far) else 2.5
        return fit.Candidate(brand, distance, regions, behind)

    monkeypatch.setattr(fit._Fit, "draw", draw)
    found = fit.fit_style(load_category("whisky"), draw_reference())
    assert found == drawn[int(np.argmin(far))]
    assert len(drawn) == renders


def test_furniture_stands_in_rooms_and_nothing_else_does() -> None:
    reference = draw_reference()
    fits = {name: fit._Fit(load_category(name), reference, None) for name in ("armchair", "whisky")}
    near = {name: [b for b, _ in islice(each.iterate_nearest(), 4)] for name, each in fits.items()}
    rooms = {n: [load_category(str(b.scene)).framing.room for b in brands] for n, brands in near.items()}
    assert rooms == {"armchair": [True] * 4, "whisky": [False] * 4}
    for brands in near.values():
        assert "jewellery" not in {b.scene for b in brands}  # seen from above
        assert len({(b.scene, b.elements, b.layout) for b in brands}) == 4
