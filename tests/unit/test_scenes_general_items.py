"""The world of the base model: any product on any set, whole and unhidden, in wide ranges of framing."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cyclorama.scenes import general_items
from cyclorama.scenes.compose import build_product, list_held_out
from cyclorama.scenes.general_items import MARGIN, draw_camera, find_ground, hide_lamp, strew, wear
from cyclorama.scenes.geometry import cylinder, floor
from cyclorama.scenes.grammar.reader import list_scenes, load_category
from cyclorama.scenes.items import RenderConfig, RenderedItem, render_item
from cyclorama.scenes.stage import Camera, Light, Part, Stage, compute_bounds, project
from cyclorama.scenes.surface import glass, light, matte, plastic

CONFIG = RenderConfig(seed=5, size=48, samples=1, kind="general", categories=("perfume", "mug"))


@pytest.fixture(scope="module")
def item() -> RenderedItem:
    return render_item(CONFIG, 1)


def open_member(item: RenderedItem, name: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(item.members[name])))


def test_an_item_shows_its_whole_product_and_tells_both_categories(item: RenderedItem) -> None:
    image, mask = open_member(item, "png"), open_member(item, "mask.png")
    assert image.shape == (48, 48, 3) and mask.shape == (48, 48)
    assert 0.01 < (mask > 127).mean() < 0.6
    assert not mask[[0, -1]].any() and not mask[:, [0, -1]].any()
    assert item.key == "general-5-000001"
    assert (item.metadata["category"], item.metadata["kind"], item.metadata["brand"]) == (
        "mug",
        "general",
        None,
    )
    assert item.metadata["scene_category"] in list_scenes()


def test_an_item_has_the_same_bytes_twice_and_others_with_another_seed(item: RenderedItem) -> None:
    again, other = (render_item(CONFIG.replace(seed=seed), 1) for seed in (5, 6))
    assert (again.members, again.metadata) == (item.members, item.metadata)
    assert other.members["png"] != item.members["png"]


def test_no_camera_cuts_its_product_off_and_their_ranges_are_wide() -> None:
    rng, shares, shifts = np.random.default_rng(0), [], []
    for name in ("camera", "cabinet", "perfume"):
        for turn in (-90, 0, 60):
            product = build_product(load_category(name), 1, turn)
            points = np.concatenate([part.mesh.vertices for part in product])
            for _ in range(12):
                seen = project(points, draw_camera(product, rng))
                assert seen.min() >= MARGIN - 1e-6 and seen.max() <= 1 - MARGIN + 1e-6
                shares.append(np.ptp(seen, axis=0).max())
                shifts.append(np.abs(seen.min(0) + seen.max(0) - 1).max() / 2)
    assert min(shares) < 0.3 and max(shares) > 0.7
    assert max(shifts) > 0.15


def test_the_ground_is_the_highest_thing_at_a_place() -> None:
    parts = [
        Part(floor(4, -2, 2).moved(0, 0, -0.3), matte((1, 1, 1))),
        Part(cylinder(0.5, 0.2).moved(1, 0, -0.3), matte((1, 1, 1))),
    ]
    found = find_ground(parts, np.array([[0.0, 0.0], [1.2, 0.1], [1.4, 0.4], [3.0, 0.0]]))
    assert found.tolist() == pytest.approx([-0.3, -0.1, -0.3, -np.inf])


def test_things_stand_on_the_ground_and_neither_touch_nor_hide_the_product(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[tuple[str, int]] = []

    def note(category, number, turn):  # type: ignore[no-untyped-def]
        shown.append((category.name, number))
        return [Part(cylinder(0.3, 1.0), matte((0.5, 0.5, 0.5)))]

    monkeypatch.setattr(general_items, "build_product", note)
    count = 0
    for seed in range(12):
        stage = Stage(product=[Part(cylinder(0.3, 1.0), matte((1, 0, 0)))])
        stage.add(floor(8, -4, 2).moved(0, 0, -0.2), matte((1, 1, 1)))
        strew(stage, np.random.default_rng(seed))
        own = project(stage.product[0].mesh.vertices, stage.camera)
        boxes = [compute_bounds(stage.product), *(compute_bounds([part]) for part in stage.parts[1:])]
        for k, (low, high) in enumerate(boxes[1:], 1):
            assert low[2] == pytest.approx(-0.2, abs=1e-5)
            for other_low, other_high in boxes[:k]:
                assert (low[:2] >= other_high[:2]).any() or (high[:2] <= other_low[:2]).any()
            seen = project(stage.parts[k].mesh.vertices, stage.camera)
            apart = (seen.min(0) >= own.max(0)).any() or (seen.max(0) <= own.min(0)).any()
            assert apart or low[1] + high[1] > 0
        count += len(boxes) - 1
    assert count > 12
    assert not [name for name, number in shown if number in list_held_out(name)]


def test_worn_things_are_darker_and_duller_and_what_shines_stays() -> None:
    mesh = cylinder(0.3, 1.0)
    new = Part(mesh, plastic((0.9, 0.4, 0.1), 0.1))
    old, older = wear(new, 0.3).surface, wear(new, 1.0).surface
    assert sum(older.colour) < sum(old.colour) < sum(new.surface.colour)
    assert np.ptp(older.colour) < np.ptp(old.colour) < np.ptp(new.surface.colour)
    assert new.surface.roughness < old.roughness < older.roughness
    assert (old.kind, older.kind) == ("plastic", "matte")
    printed = wear(Part(mesh, plastic(np.full((2, 2, 3), 200, np.uint8))), 1.0).surface
    assert isinstance(printed.colour, np.ndarray) and printed.colour.dtype == np.uint8
    assert (printed.colour == 110).all()
    for surface in (glass(), light((1, 1, 1), 2.0)):
        assert wear(Part(mesh, surface), 1.0).surface is surface


def test_a_lamp_that_is_seen_goes_off_and_gives_the_same_light() -> None:
    camera = Camera((0.0, -4.0, 3.5), (0.0, 0.0, 0.5), 50.0)
    lamp = Light((0.5, -2.0, 2.0), (0.0, 0.0, 0.5), 0.8, (1.0, 1.0, 1.0))
    away = hide_lamp(lamp, camera)
    way, new = (np.subtract(one.position, one.target) for one in (lamp, away))
    factor = away.size / lamp.size
    assert factor > 1, "the lamp was seen"
    assert new == pytest.approx(way * factor)
    assert hide_lamp(away, camera) == away
    assert hide_lamp(replace(lamp, position=(0.0, -6.0, 4.0)), camera).size == lamp.size
