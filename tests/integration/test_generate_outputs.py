"""``generate`` with canvases, placements, formats and layers on a tiny model: files, rows, resuming."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from cyclorama import cli
from cyclorama.generate import BackgroundGenerator
from cyclorama.generation.result import load_metadata
from cyclorama.generation.settings import GenerateConfig
from cyclorama.imaging.formats import SOURCE_TYPE, decode_image
from cyclorama.imaging.layers import Layers, flatten

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
BOX = np.s_[20:60, 10:50]
"""The product of :func:`save_product`, 40 x 40 pixels of a photo of 72 x 64."""


def save_product(path: Path, seed: int = 0) -> np.ndarray:
    """Save a noisy square with a soft rim as PNG with alpha; its RGBA (72, 64, 4)."""
    rgba = np.random.default_rng(seed).integers(0, 256, (72, 64, 4), dtype=np.uint8)
    rgba[..., 3] = 0
    rgba[BOX][..., 3] = 128
    rgba[21:59, 11:49, 3] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rgba).save(path, icc_profile=PROFILE)
    return rgba


def run(model: Path, source: Path, out: Path, *options: object) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and rows of a run of two steps."""
    fixed = ["--model", model, "--category", "fruit", "--steps", 2, "--device", "cpu", "--quiet"]
    code = cli.main(["generate", *map(str, [source, "--out", out, *fixed, *options])])
    return code, [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def read_files(out: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(out)): p.read_bytes()
        for folder in ("images", "layers")
        for p in sorted((out / folder).rglob("*"))
        if p.is_file()
    }


def test_several_outputs_are_one_row_with_one_seed(model: Path, tmp_path: Path) -> None:
    rgba = save_product(tmp_path / "in/a.png")
    save_product(tmp_path / "in/b.png", 1)
    (tmp_path / "in/c.png").write_bytes(b"\x89PNG broken")
    out = tmp_path / "out"
    options = ["--outputs", "1:1,16:9,96x128", "--placement", "bottom", "--margin", 0.125]
    code, rows = run(model, tmp_path / "in", out, *options)
    assert code == 1
    assert [(row["name"], row["status"]) for row in rows] == [
        ("a.png", "done"),
        ("b.png", "done"),
        ("c.png", "failed"),
    ]
    first = rows[0]
    assert [output["layout_name"] for output in first["images"]] == ["1x1", "16x9", "96x128"]
    assert [(o["height"], o["width"]) for o in first["images"]] == [(72, 72), (72, 128), (128, 96)]
    assert [output["output"] for output in first["images"]] == [
        f"images/a.{name}.png" for name in ("1x1", "16x9", "96x128")
    ]
    assert first["output"] == "images/a.1x1.png"
    assert len({output["seed"] for output in first["images"]}) == 1
    opaque = rgba[BOX][..., 3] == 255
    for output in first["images"]:
        top, left, height, width = output["placement"]["box"]
        size = (output["height"], output["width"])
        margin = round(0.125 * min(size))
        assert (height, width, output["placement"]["scale"]) == (40, 40, 1)
        assert top + height == size[0] - margin
        assert abs(2 * left + width - size[1]) <= 1
        pixels = np.asarray(Image.open(out / output["output"]))
        assert pixels.shape[:2] == size
        window = pixels[top : top + height, left : left + width]
        assert np.array_equal(window[opaque], rgba[BOX][opaque][:, :3])
        assert output["report"]["exact"] is True
        assert load_metadata(out / output["output"])["layout"] == output["layout_name"]
    assert "16x9, seed" in (out / "index.html").read_text()
    # one more output leaves the others as they are, in another order too
    before = read_files(out)
    stamps = {name: (out / name).stat().st_mtime_ns for name in before}
    _, rows = run(model, tmp_path / "in", out, "--outputs", "96x128,1:1,source", *options[2:])
    assert [output["layout_name"] for output in rows[0]["images"]] == ["96x128", "1x1", "source"]
    kept = [name for name in before if "16x9" not in name]
    assert all((out / name).stat().st_mtime_ns == stamps[name] for name in kept)


def test_an_output_is_what_its_own_run_gives(model: Path, tmp_path: Path) -> None:
    save_product(tmp_path / "a.png")
    together, alone = tmp_path / "together", tmp_path / "alone"
    run(model, tmp_path / "a.png", together, "--outputs", "1:1,4:3", "--candidates", 2)
    run(model, tmp_path / "a.png", alone, "--aspect", "4:3", "--candidates", 2)
    for candidate in ("c1", "c2"):
        both = [
            np.asarray(Image.open(path))
            for path in (together / f"images/a.4x3-{candidate}.png", alone / f"images/a-{candidate}.png")
        ]
        assert np.array_equal(*both)
    (row,) = [json.loads(line) for line in (together / "results.jsonl").read_text().splitlines()]
    assert [(o["layout_name"], o["candidate"]) for o in row["images"]] == [
        ("1x1", 1),
        ("1x1", 2),
        ("4x3", 1),
        ("4x3", 2),
    ]
    assert row["images"][0]["seed"] == row["images"][2]["seed"] != row["images"][1]["seed"]


def test_scaled_down_product_is_said_in_its_row(model: Path, tmp_path: Path) -> None:
    save_product(tmp_path / "a.png")
    options = ["--size", "64x64", "--placement", "center", "--margin", 0.25]
    _, (row,) = run(model, tmp_path / "a.png", tmp_path / "out", *options)
    assert row["images"][0]["placement"]["box"] == [16, 16, 32, 32]
    assert row["images"][0]["placement"]["reduced"] is True
    assert "0.8 instead of 1" in row["images"][0]["placement"]["notes"][0]
    assert row["settings"]["placement"] == "center"
    assert row["exact"] is True
    assert "0.8 instead of 1" in (tmp_path / "out/index.html").read_text()


@pytest.mark.parametrize("options", [("webp",), ("jpeg",), ("avif",), ("webp", "--quality", 80)])
def test_formats_say_what_they_did_to_the_product(
    model: Path, tmp_path: Path, options: tuple[object, ...]
) -> None:
    rgba = save_product(tmp_path / "a.png")
    out = tmp_path / "out"
    _, (row,) = run(model, tmp_path / "a.png", out, "--format", *options)
    suffix = {"jpeg": ".jpg"}.get(str(options[0]), f".{options[0]}")
    assert row["output"] == f"images/a{suffix}"
    read = decode_image((out / row["output"]).read_bytes())
    assert (read.format, read.icc_profile, read.source_type) == (options[0], PROFILE, SOURCE_TYPE)
    assert load_metadata(out / row["output"])["seed"] == row["seed"]
    opaque = rgba[..., 3] == 255
    off = np.abs(read.pixels[opaque].astype(int) - rgba[opaque][:, :3]).max()
    assert row["exact"] is True  # before encoding
    if options == ("webp",):
        assert off == 0
        assert "file_max_difference" not in row
    else:
        assert row["file_max_difference"] == off > 0
        assert f"off by up to {off} in the file" in (out / "index.html").read_text()


def test_lossless_formats_hold_the_same_image(model: Path, tmp_path: Path) -> None:
    save_product(tmp_path / "a.png")
    pixels = []
    for options in ((), ("--provenance",), ("--format", "webp")):
        out = tmp_path / f"out{len(pixels)}"
        _, (row,) = run(model, tmp_path / "a.png", out, *options)
        read = decode_image((out / row["output"]).read_bytes())
        assert read.source_type == (SOURCE_TYPE if options else None)
        pixels.append(read.pixels)
    assert np.array_equal(pixels[0], pixels[1])
    assert np.array_equal(pixels[0], pixels[2])


def test_layers_make_the_image_and_belong_to_it(model: Path, tmp_path: Path) -> None:
    rgba = save_product(tmp_path / "a.png")
    out = tmp_path / "out"
    options = ["--layers", "ora", "--contact-shadow", 0.5]
    _, (row,) = run(model, tmp_path / "a.png", out, *options)
    assert [file["name"] for file in row["images"][0]["files"]] == ["images/a.png", "layers/a.ora"]
    pixels = np.asarray(Image.open(out / row["output"]))
    with zipfile.ZipFile(out / "layers/a.ora") as archive:
        read = {
            name: np.asarray(Image.open(io.BytesIO(archive.read(f"data/layer{number}.png"))))
            for number, name in enumerate(("plate", "shadow", "product"))
        }
    layers = Layers(read["plate"], read["product"], pixels, read["shadow"][..., 3])
    assert np.array_equal(flatten(layers), pixels)
    opaque = rgba[..., 3] == 255
    assert np.array_equal(read["product"][opaque], rgba[opaque])
    # without its layers the image counts as missing, and comes again bit for bit
    before = read_files(out)
    (out / "layers/a.ora").unlink()
    run(model, tmp_path / "a.png", out, *options)
    assert read_files(out) == before
    _, (plain,) = run(model, tmp_path / "a.png", tmp_path / "plain")
    without = np.asarray(Image.open(tmp_path / "plain" / plain["output"]))
    assert np.array_equal(without[opaque], pixels[opaque])
    below = np.s_[60:61, 25:35]
    assert pixels[below].mean() < 0.8 * without[below].mean()


@pytest.mark.parametrize(("kind", "count"), [("psd", 1), ("png", 2)])
def test_other_kinds_of_layers(model: Path, tmp_path: Path, kind: str, count: int) -> None:
    save_product(tmp_path / "shoes/a.png")
    _, (row,) = run(model, tmp_path / "shoes", tmp_path / "out", "--layers", kind, "--outputs", "1:1")
    names = [file["name"] for file in row["images"][0]["files"]][1:]
    assert len(names) == count
    for name in names:
        assert name.startswith("layers/a.1x1.")
        with Image.open(tmp_path / "out" / name) as image:
            assert image.size == (72, 72)
            assert image.info["icc_profile"] == PROFILE


def test_facade_gives_the_same_images_by_output(model: Path, tmp_path: Path) -> None:
    rgba = save_product(tmp_path / "a.png")
    generator = BackgroundGenerator.from_pretrained(model, device="cpu")
    settings = GenerateConfig(num_inference_steps=2, outputs=("1:1", "128x96"), product_scale=0.5)
    made = generator(tmp_path / "a.png", category="fruit", settings=settings)
    assert [image.recipe["layout"] for image in made] == ["1x1", "128x96"]
    assert [image.pixels.shape[:2] for image in made] == [(72, 72), (96, 128)]
    assert all(image.report.exact for image in made)
    run(model, tmp_path / "a.png", tmp_path / "out", "--outputs", "1:1,128x96", "--product-scale", 0.5)
    for image in made:
        path = tmp_path / f"out/images/a.{image.recipe['layout']}.png"
        assert np.array_equal(np.asarray(Image.open(path)), image.pixels)
    moved = generator(
        tmp_path / "a.png",
        category="fruit",
        settings=GenerateConfig(num_inference_steps=2, size=(80, 80), placement="top-left"),
    )
    assert np.array_equal(moved.pixels[1:39, 1:39], rgba[21:59, 11:49, :3])


def test_a_canvas_that_cannot_be_fails_its_row_alone(model: Path, tmp_path: Path) -> None:
    save_product(tmp_path / "in/a.png")
    wide = np.zeros((64, 16400, 4), dtype=np.uint8)
    wide[20:40, 20:40] = (200, 30, 30, 255)
    Image.fromarray(wide).save(tmp_path / "in/wide.png")
    code, rows = run(model, tmp_path / "in", tmp_path / "out", "--aspect", "1:1")
    assert code == 1
    assert [row["status"] for row in rows] == ["done", "failed"]
    assert "100,000,000 pixels" in rows[1]["reason"]
