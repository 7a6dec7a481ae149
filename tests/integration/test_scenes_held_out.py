"""Proves of rendered held-out sets: a pair shares its scene, equal bytes for any workers, unpacked files."""

from __future__ import annotations

import csv
import io
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from cyclorama import cli
from cyclorama.errors import OutputError
from cyclorama.generation.items import ItemSource
from cyclorama.imaging.product import Product, Reference
from cyclorama.scenes import geometry as g
from cyclorama.scenes.items import RenderConfig, RenderedItem, clear_shared_view, render_held_out_item
from cyclorama.scenes.render import render_mask
from cyclorama.scenes.runner import render_set
from cyclorama.scenes.stage import Camera, Part, Stage
from cyclorama.scenes.surface import matte

PAIRS = RenderConfig(
    seed=3,
    size=32,
    categories=("perfume", "washing machine", "cabinet", "game console"),
    shard_size=2,
    kind="bgpair",
)


def as_pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png))).astype(int)


def widen(mask: np.ndarray, reach: int) -> np.ndarray:
    """True within ``reach`` pixels of the mask."""
    image = Image.fromarray((mask > 0).astype(np.uint8) * 255)
    return np.asarray(image.filter(ImageFilter.MaxFilter(2 * reach + 1))) > 0


@pytest.fixture(scope="module")
def pairs() -> list[tuple[RenderedItem, dict[str, np.ndarray]]]:
    found = []
    for index in range(len(PAIRS.categories)):
        item = render_held_out_item(PAIRS, index)
        found.append((item, {name: as_pixels(data) for name, data in item.members.items()}))
    return found


def test_a_pair_differs_at_its_products_and_hardly_elsewhere(pairs) -> None:
    scenes = []
    for item, found in pairs:
        mask, reference_mask = found["mask.png"], found["reference_mask.png"]
        apart = np.abs(found["png"] - found["reference.png"]).mean(axis=2)
        both = (mask == 255) & (reference_mask == 255)
        far = ~widen(np.maximum(mask, reference_mask), 4)  # shadow and reflected light lie nearer than that
        assert far.mean() > 0.2
        assert np.median(apart[far]) <= 2, item.key
        assert apart[far].mean() < 4, item.key
        assert apart[both].mean() > 10, item.key
        scenes.append(found["reference.png"])
    for a, b in itertools.pairwise(scenes):
        assert np.abs(a - b).mean() > 20  # what another scene would give


def test_the_cutout_is_the_truths_product_in_neutral_light(pairs) -> None:
    for item, found in pairs:
        product, mask = found["product.png"], found["mask.png"]
        assert np.array_equal(product[..., 3], mask)
        inside = mask == 255
        away = np.abs(product[inside][:, :3] - found["png"][inside]).mean()
        other = np.abs(product[inside][:, :3] - found["reference.png"][inside]).mean()
        assert away < other, item.key


def test_metadata_names_both_products_and_the_scene(pairs) -> None:
    for item, _ in pairs:
        data = item.metadata
        assert data["id"] == item.key
        assert data["split"] == "test"
        assert data["kind"] == "bgpair"
        assert data["product_id"] != data["reference_product_id"]
        slug = data["category"].replace(" ", "-")
        for name in ("product_id", "reference_product_id", "scene_id", "brand"):
            assert data[name].startswith(f"{slug}-")


def test_a_single_item_has_truth_mask_and_cutout_only() -> None:
    item = render_held_out_item(
        RenderConfig(seed=3, size=16, samples=1, categories=("whisky",), kind="bg1k"), 0
    )
    assert list(item.members) == ["png", "mask.png", "product.png"]
    data = item.metadata
    assert (data["kind"], data["split"], data["id"]) == ("bg1k", "test", "bg1k-3-000000")
    assert "reference_product_id" not in data


def test_what_hides_one_product_of_a_pair_is_missing_in_both() -> None:
    camera = Camera((0.0, -6.0, 0.0), (0.0, 0.0, 0.0), 30.0)
    wall = Part(g.quad(9.0, 9.0).moved(0.0, 2.0, -4.5), matte((0, 0, 1)))
    screens = [Part(g.quad(0.5, 0.5).moved(x, -1.0, -0.25), matte((1, 0, 0))) for x in (-0.6, 0.6)]
    beside = Part(g.quad(0.3, 0.3).moved(0.0, -1.0, 0.8), matte((0, 1, 0)))
    stages = [
        Stage([Part(g.sphere(0.4).moved(x), matte((1, 1, 1)))], [wall, *screens, beside], camera=camera)
        for x in (-0.7, 0.7)
    ]
    clear_shared_view(stages, [render_mask(stage, 32, 16, 1) for stage in stages])
    assert [stage.parts for stage in stages] == [[wall, beside]] * 2


def test_same_bytes_after_a_kill(tmp_path: Path) -> None:
    """Of two workers, ``test_scenes_render`` proves it."""
    config = PAIRS.replace(size=16, samples=1, shard_size=1)
    assert render_set(tmp_path, config, 2, 1) == 2
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(before) == 5
    (tmp_path / "shard-000001.done.json").unlink()  # as a kill between shard and mark leaves it
    assert render_set(tmp_path, config, 2, 1) == 1
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(OutputError, match="kind: 'bgpair' there, 'train' asked"):
        render_set(tmp_path, config.replace(kind="train"), 2)


def run(*words: str) -> int:
    return cli.main(["lab", "render", *words])


def test_command_unpacks_pairs_that_generate_loads(tmp_path: Path, capsys) -> None:
    words = (
        "--count",
        "2",
        "--size",
        "64",
        "--samples",
        "1",
        "--categories",
        "mug,fruit",
        "--kind",
        "bgpair",
    )
    assert run("--out", str(tmp_path), *words, "--long-tail", "--unpack") == 0
    said = capsys.readouterr().out
    assert "2 items, 6 images in" in said
    assert "a second and core by processor time" in said
    assert "2 items unpacked" in said
    rows = list(csv.DictReader((tmp_path / "manifest.csv").read_text().splitlines()))
    assert len(rows) == 2
    for item, row in zip(ItemSource(tmp_path / "manifest.csv").iterate(tmp_path), rows, strict=True):
        product = Product.from_image(item.image, item.mask, mask_means=item.mask_means)
        reference = Reference.from_image(item.reference, item.reference_mask, mask_means=item.mask_means)
        mask = np.asarray(Image.open(tmp_path / row["mask"])) / np.float32(255)
        assert product.mask_source == "mask"
        assert np.abs(product.matte - mask).max() < 0.05
        assert np.array_equal(reference.pixels, np.asarray(Image.open(tmp_path / row["reference"])))
        assert np.asarray(Image.open(tmp_path / row["truth"])).shape == (64, 64, 3)
    statistics = json.loads((tmp_path / "statistics.json").read_text())
    assert statistics["images_per_split"] == {"test": 2}
    assert json.loads((tmp_path / "config.json").read_text())["long_tail"] is True


@pytest.mark.parametrize("option", [("--kind", "bg1k"), ("--long-tail",), ("--unpack",)])
def test_command_refuses_options_that_mean_nothing_for_cutouts(tmp_path: Path, capsys, option) -> None:
    words = ("--out", str(tmp_path / "x"), "--count", "1", "--products-only", *option)
    assert run(*words) == 2
    assert f"SettingsError: {option[0]} does not go with --products-only" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
