"""What a curated set says of its images is what every reader of the set takes from it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from _curating import SIDE, BrightRule, build_recipe, build_test_rules, draw_image, encode
from PIL import Image

from cyclorama.curate.config import ReadingSettings
from cyclorama.curate.records import Finding, Record, RuleImage
from cyclorama.curate.run import run_curate
from cyclorama.curate.store import decode_record
from cyclorama.data.examples import ExampleConfig, ExampleSource, SourceConfig
from cyclorama.data.fetch import UrlPolicy
from cyclorama.data.shards import Sample, read_shards, write_shards
from cyclorama.data.table import open_table
from cyclorama.errors import FetchError
from cyclorama.evaluation.reading import open_images
from cyclorama.imaging.colour import build_profile, to_srgb
from cyclorama.imaging.loading import LoadLimits, load_image
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


P3 = build_profile(
    "P3", (0.68, 0.32, 0.265, 0.69, 0.15, 0.06), (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
)
GREEN = np.full((SIDE, SIDE, 3), (60, 180, 60), np.uint8)


def read_colour(data: bytes) -> np.ndarray:
    """The sRGB levels of a file's first pixel."""
    loaded = load_image(data)
    return to_srgb(loaded.pixels, loaded.icc_profile)[0, 0].astype(int)


def test_a_wide_colour_is_one_colour_in_every_room(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray(GREEN).save(stream, "PNG", icc_profile=P3)
    (tmp_path / "a.png").write_bytes(stream.getvalue())
    (tmp_path / "a.mask.png").write_bytes(encode(MASK))
    (tmp_path / "m.csv").write_text("image,mask,category\na.png,a.mask.png,cup\n")
    expected = to_srgb(GREEN, P3)[0, 0].astype(int)
    assert np.abs(expected - GREEN[0, 0]).max() > 20
    source = SourceConfig(path=tmp_path / "m.csv", kind="table")
    seen = [
        ExampleSource.open(source, ExampleConfig(height=SIDE, width=SIDE)).load(0)[0],
        open_images(tmp_path / "m.csv").load("a").pixels,
        decode_record(Record("a", "a.png"), stream.getvalue(), None, LoadLimits()).pixels,
    ]
    for pixels in seen:
        assert np.abs(pixels - expected).max() <= 1
    plain = draw_image(0)
    assert (decode_record(Record("a", "a.png"), encode(plain), None, LoadLimits()).pixels == plain).all()


def test_a_turned_photo_of_wide_colours_keeps_them_in_the_set(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 3
    pixels = np.where(MASK[..., None] > 0, np.uint8(30), GREEN)
    for name, exif in (("turned", turned), ("upright", Image.Exif())):
        Image.fromarray(pixels).save(
            tmp_path / f"{name}.jpg", quality=95, subsampling=0, icc_profile=P3, exif=exif
        )
    (tmp_path / "m.csv").write_text("image,category\nturned.jpg,cup\nupright.jpg,cup\n")
    found = {
        sample.meta["id"]: sample for sample in read_shards(curate(tmp_path / "m.csv", tmp_path / "out"))
    }
    assert found["upright.jpg"].image == (tmp_path / "upright.jpg").read_bytes()
    assert found["turned.jpg"].image_suffix == "png"
    colours = [read_colour(found[name].image) for name in ("turned.jpg", "upright.jpg")]
    assert np.abs(colours[0] - colours[1]).max() <= 1
    assert np.abs(colours[1] - to_srgb(GREEN, P3)[0, 0].astype(int)).max() <= 2


def test_a_photo_that_a_server_failed_to_give_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(encode(draw_image(number)))
    names = ["0.png", "1.png", "https://cdn.shop.example/2.png"]
    (tmp_path / "m.csv").write_text("\n".join(["image,category", *(f"{name},cup" for name in names)]))
    recipe = RECIPE.replace(reading=ReadingSettings(urls=UrlPolicy(hosts=("*",))))
    asked: list[str] = []
    fails = True

    def fetch(url: str, policy: UrlPolicy) -> bytes:
        asked.append(url)
        if fails:
            raise FetchError(f"{url}: connection failed, after 4 tries")
        return (tmp_path / "2.png").read_bytes()

    judged: list[str] = []
    judge = BrightRule.judge

    def count(rule: BrightRule, image: RuleImage) -> Finding:
        judged.append(image.record.key)
        return judge(rule, image)

    def run() -> tuple[int, int, int, dict[str, int]]:
        """Rows looked at, images judged and fetched, and what came of the rows."""
        asked.clear()
        judged.clear()
        engine = EngineSettings(threads=None, shard_size=1 if split else 3)
        found = run_curate(
            str(tmp_path / "m.csv"), tmp_path / f"out-{split}", recipe, engine, build=build_test_rules
        )
        assert found.finished and found.rows == 3
        return found.looked_at, len(judged), len(asked), found.verdicts

    monkeypatch.setattr("cyclorama.data.addresses.fetch", fetch)
    monkeypatch.setattr(BrightRule, "judge", count)
    every = {"keep": 3, "repair": 0, "review": 0, "drop": 0}
    for split in (False, True):
        fails = True
        lacking = every | {"keep": 2, "drop": 1}
        assert run() == (3, 2, 1, lacking)
        assert run() == (1 if split else 3, 0, 1, lacking)
        fails = False
        assert run() == (1 if split else 3, 1, 1, every)
        assert run() == (0, 0, 0, every)
