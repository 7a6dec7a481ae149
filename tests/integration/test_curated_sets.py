"""What a curated set says of its images is what every reader of the set takes from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from _curating import SIDE, build_recipe, build_test_rules, draw_image, encode
from PIL import Image

from cyclorama.curate.run import run_curate
from cyclorama.data.examples import ExampleConfig, ExampleSource, SourceConfig
from cyclorama.data.shards import Sample, read_shards, write_shards
from cyclorama.data.table import open_table
from cyclorama.evaluation.reading import open_images
from cyclorama.jobs.job import EngineSettings

ENGINE = EngineSettings(threads=None)
RECIPE = build_recipe(few={"least": 0})
MASK = np.zeros((SIDE, SIDE), np.uint8)
MASK[16:40, 12:30] = 255


def curate(source: Path, out: Path) -> Path:
    """The set that is made of ``source``."""
    assert run_curate(str(source), out, RECIPE, ENGINE, build=build_test_rules).finished
    return out / "set"


def write_row(folder: Path) -> Path:
    """A table whose mask is bright on the background."""
    (folder / "a.png").write_bytes(encode(draw_image(0)))
    (folder / "am.png").write_bytes(encode(255 - MASK))
    (folder / "m.csv").write_text("image,mask,mask_means,category\na.png,am.png,background,cup\n")
    return folder / "m.csv"


def write_published(folder: Path) -> Path:
    """A folder laid out as BG60k, whose masks are alpha channels."""
    for name in ("imgs", "masks"):
        (folder / f"bg60k_{name}_0").mkdir()
    (folder / "bg60k_imgs_0" / "0.png").write_bytes(encode(draw_image(0)))
    marks = np.zeros((SIDE, SIDE, 4), np.uint8)
    marks[..., 3] = MASK
    Image.fromarray(marks).save(folder / "bg60k_masks_0" / "0_mask.png")
    (folder / "bg60k_info.txt").write_text("0.png\tcups\n")
    return folder


def check_masks(shards: Path) -> None:
    """Every reader gives 1 at the product."""
    assert [row.values["mask_means"] for row in open_table(shards)] == ["product"]
    images = open_images(shards)
    found = [images.load(images.keys[0]).mask]
    for kind in ("table", "shards"):
        source = SourceConfig(path=shards, kind=kind)  # type: ignore[arg-type]
        found.append(ExampleSource.open(source, ExampleConfig(height=SIDE, width=SIDE)).load(0)[1])
    for mask in found:
        assert mask is not None and np.array_equal(mask, MASK / np.float32(255))


@pytest.mark.parametrize("write", [write_row, write_published])
def test_masks_mean_the_product_whatever_the_input_said(write, tmp_path: Path) -> None:
    made = curate(write(tmp_path), tmp_path / "out")
    assert ["mask_means" in sample.meta for sample in read_shards(made)] == [False]
    check_masks(made)


@pytest.mark.parametrize("means", ["background", "alpha"])
def test_a_shards_mask_means_the_product_whatever_its_json_says(means: str, tmp_path: Path) -> None:
    meta = {"category": "cup", "mask_means": means}
    write_shards([Sample("a", encode(draw_image(0)), encode(MASK), meta)], tmp_path)
    check_masks(tmp_path)
