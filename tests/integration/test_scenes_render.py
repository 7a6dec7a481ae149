"""Proves of rendered sets: masks, visibility, equal bytes for any worker count and after a kill."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cyclorama import cli
from cyclorama.errors import OutputError
from cyclorama.scenes import geometry as g
from cyclorama.scenes.compose import ItemPlan, build_stage
from cyclorama.scenes.grammar.reader import NAMES, load_category
from cyclorama.scenes.items import RenderConfig, render_item
from cyclorama.scenes.render import clear_view, render_image, render_mask
from cyclorama.scenes.runner import list_open_shards, render_set
from cyclorama.scenes.shards import shard_path
from cyclorama.scenes.stage import Camera, Part, Stage
from cyclorama.scenes.surface import light, matte

CATEGORIES = tuple(load_category(name) for name in NAMES)
TINY = RenderConfig(seed=5, size=32, samples=1, categories=("perfume", "laptop"), shard_size=2)


def as_pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


def test_mask_of_a_sphere_covers_its_disc() -> None:
    camera = Camera((0.0, -4.0, 0.0), (0.0, 0.0, 0.0), 30.0)
    stage = Stage(product=[Part(g.sphere(0.5, 128), matte((1, 1, 1)))], camera=camera)
    mask = render_mask(stage, 64, 16, 1) / 255.0
    # a sphere of radius r at distance d is seen under asin(r / d): a disc of tan of it over tan(fov / 2)
    radius = np.tan(np.arcsin(0.5 / 4)) / np.tan(np.deg2rad(15)) * 32
    assert mask.sum() == pytest.approx(np.pi * radius**2, rel=0.01)
    v, u = np.mgrid[:64, :64] + 0.5 - 32
    distance = np.hypot(u, v)
    assert (mask[distance < radius - 1] == 1).all()
    assert (mask[distance > radius + 1] == 0).all()
    rim = mask[np.abs(distance - radius) < 0.4]
    assert ((rim > 0) & (rim < 1)).mean() > 0.8


def test_mask_of_a_panel_has_fractional_edges_where_they_belong() -> None:
    camera = Camera((0.0, -2.0, 0.0), (0.0, 0.0, 0.0), 90.0)  # the image spans -2..2 in the plane y = 0
    panel = g.quad(2.125, 2.0).moved(z=-1.0)  # at 16 pixels a pixel is 0.25 wide: columns 3.75 to 12.25
    mask = render_mask(Stage(product=[Part(panel, matte((1, 1, 1)))], camera=camera), 16, 64, 1) / 255.0
    assert mask[8] == pytest.approx([0] * 3 + [0.25] + [1] * 8 + [0.25] + [0] * 3, abs=0.02)
    assert mask[:, 8] == pytest.approx([0] * 4 + [1] * 8 + [0] * 4, abs=1e-6)


def test_what_hides_the_product_is_taken_off_the_stage() -> None:
    stage = Stage(
        product=[Part(g.sphere(0.5), light((0, 1, 0), 1.0))],
        sky=(0.0, 0.0, 0.0),
        camera=Camera((0.0, -4.0, 0.0), (0.0, 0.0, 0.0), 30.0),
    )
    stage.add(g.quad(1.0, 1.0).moved(0.2, -1.0, -0.5), light((1, 0, 0), 1.0))
    stage.add(g.quad(4.0, 4.0).moved(0.0, 1.0, -2.0), light((0, 0, 1), 1.0))
    mask = render_mask(stage, 32, 16, 1)
    image = render_image(stage, 32, 1, 1, mask)
    assert len(stage.parts) == 1
    assert np.median(image[mask == 255], axis=0) == pytest.approx([0, 245, 0], abs=12)
    assert (image[mask == 255][:, 1] > 150).all()
    assert image[2, 2].tolist() == pytest.approx([0, 0, image[2, 2, 2]], abs=40)
    assert image[2, 2, 2] > 200


def test_a_gap_in_the_product_does_not_cost_what_stands_behind_it() -> None:
    """The mask says covered, yet a ray may slip through a gap that its samples missed."""
    leaves = [Part(g.quad(1.0, 1.0).moved(x, 0.0, -0.5), light((0, 1, 0), 1.0)) for x in (-0.56, 0.56)]
    stage = Stage(product=leaves, sky=(0.0, 0.0, 0.0), camera=Camera((0.0, -4.0, 0.0), (0.0, 0.0, 0.0), 30.0))
    stage.add(g.quad(4.0, 4.0).moved(0.0, 1.0, -2.0), light((0, 0, 1), 1.0))
    covered = np.zeros((32, 32), np.uint8)
    covered[12:20, 8:24] = 255  # the gap between the leaves runs through columns 15 and 16
    assert not clear_view(stage, covered)
    deep = Part(g.quad(0.2, 0.2).moved(0.9, 3.0, -0.1), light((0, 1, 0), 1.0))
    stage.product.append(
        deep
    )  # its farthest part is behind the wall: the wall still hides nothing in the gap
    assert not clear_view(stage, covered)
    assert len(stage.parts) == 1


@pytest.mark.parametrize("number", range(len(CATEGORIES)), ids=NAMES)
def test_scene_grammars_hide_next_to_nothing(number: int) -> None:
    """The product shines green in the dark: what the mask covers must be green."""
    stage, _ = build_stage(ItemPlan(0, CATEGORIES[number], number % 3, 3, 77))
    stage.product = [Part(p.mesh, light((0, 1, 0), 1.0)) for p in stage.product]
    stage.parts = [Part(p.mesh, matte((0, 0, 0))) for p in stage.parts]
    stage.lights, stage.sky, stage.exposure = [], (0.0, 0.0, 0.0), 1.0
    mask = render_mask(stage, 32, 16, 1)
    image = render_image(stage, 32, 4, 1, mask, depth=1)
    assert (image[mask == 255][:, 1] > 128).mean() > 0.99


def test_every_category_renders_and_differs_in_its_background() -> None:
    items = [render_item(RenderConfig(seed=2, size=32, samples=1), k) for k in range(len(CATEGORIES))]
    images = [as_pixels(i.members["png"]) for i in items]
    assert {p.shape for p in images} == {(32, 32, 3)}
    for item, image in zip(items, images, strict=True):
        mask, data = as_pixels(item.members["mask.png"]), item.metadata
        assert 0.02 < (mask / 255).mean() < 0.6, data["category"]
        assert image.std() > 10, data["category"]
        assert data["licence"] == "CC0-1.0"
        assert data["product_id"].startswith(data["category"].replace(" ", "-"))
        assert len(data["palette"]) == 4
    for a in range(len(images)):
        for b in range(a):
            assert np.abs(images[a].astype(int) - images[b]).mean() > 8, (a, b)


def test_same_bytes_for_one_and_two_workers_and_after_a_kill(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    seen: list[int] = []
    assert render_set(one, TINY, 5, 1, seen.append) == 5
    assert render_set(two, TINY, 5, 2) == 5
    assert seen[-1] == 5
    names = sorted(p.name for p in one.iterdir())
    assert names == sorted(p.name for p in two.iterdir())
    assert "shard-000002.done.json" in names
    before = {name: (one / name).read_bytes() for name in names}
    assert before == {name: (two / name).read_bytes() for name in names}
    (two / "shard-000001.done.json").unlink()  # as a kill between shard and mark leaves it
    shard_path(two, 2).write_bytes(b"half")  # as a broken disk leaves it
    assert list_open_shards(two, TINY, 5) == [(1, 2), (2, 1)]
    assert render_set(two, TINY, 5, 1) == 3
    assert before == {name: (two / name).read_bytes() for name in names}
    assert render_set(two, TINY, 5, 1) == 0
    with pytest.raises(OutputError, match="seed: 5 there, 6 asked"):
        render_set(two, RenderConfig(seed=6, size=32, samples=1, categories=TINY.categories, shard_size=2), 5)


def run(*words: str) -> int:
    return cli.main(["lab", "render", *words])


def test_command_writes_shards_statistics_and_sheet(tmp_path: Path, capsys) -> None:
    out = tmp_path / "set"
    words = (
        "--out",
        str(out),
        "--count",
        "3",
        "--size",
        "32",
        "--samples",
        "1",
        "--categories",
        "fruit,juice carton",
    )
    assert run(*words) == 0
    assert "3 items, 3 images in" in capsys.readouterr().out
    with tarfile.open(out / "shard-000000.tar") as tar:
        assert len(tar.getmembers()) == 9
    statistics = json.loads((out / "statistics.json").read_text())
    assert statistics["images_per_category"] == {"fruit": 2, "juice carton": 1}
    assert sum(statistics["images_per_split"].values()) == 3
    assert (out / "index.html").read_text().count("data:image/jpeg;base64,") == 3


def test_command_writes_cutouts_with_a_table(tmp_path: Path) -> None:
    words = (
        "--out",
        str(tmp_path),
        "--count",
        "2",
        "--size",
        "48",
        "--samples",
        "1",
        "--categories",
        "sauce,juice_carton",
    )
    assert run(*words, "--products-only") == 0
    rows = list(csv.DictReader((tmp_path / "products.csv").read_text().splitlines()))
    assert [r["category"] for r in rows] == ["sauce", "juice carton"]
    for row in rows:
        image = Image.open(tmp_path / row["image"])
        assert image.mode == "RGBA"
        assert image.size == (48, 48)
        alpha = np.asarray(image)[..., 3]
        assert alpha[0].max() == 0
        assert alpha.max() == 255
    stamp = (tmp_path / rows[0]["image"]).read_bytes()
    assert run(*words, "--products-only") == 0
    assert (tmp_path / rows[0]["image"]).read_bytes() == stamp


@pytest.mark.parametrize("words", [("--count", "0"), ("--count", "2", "--workers", "0")])
def test_command_refuses_counts_below_one(tmp_path: Path, capsys, words: tuple[str, ...]) -> None:
    assert run("--out", str(tmp_path / "x"), *words) == 2
    assert "give 1 or more" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
