"""What is written: PNG with its recipe, contact sheet, progress, overview, demo listing."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from cyclorama.errors import ModelFormatError, ModelNotFoundError, UnreadableImageError
from cyclorama.generation.demo import (
    DemoEntry,
    DemoPart,
    build_demo_items,
    load_demo,
    write_demo_report,
)
from cyclorama.generation.model import ModelHandle
from cyclorama.generation.result import load_metadata
from cyclorama.generation.sheet import (
    CELL,
    GAP,
    LABEL,
    PAPER,
    THUMBS,
    Cell,
    SheetRow,
    build_sheet,
    build_sheet_row,
    describe_run,
    encode_overview,
    encode_thumbnail,
    write_thumbnail,
)
from cyclorama.imaging.formats import encode_image
from cyclorama.jobs.progress import ProgressReport
from cyclorama.models.registry import CategoryRegistry
from stand_in import build_config


def test_png_carries_its_recipe_profile_and_exact_pixels(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (17, 23, 3), dtype=np.uint8)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    recipe = {"seed": 2**63 - 1, "category": "düfte", "settings": {"steps": 3, "scheduler": None}}
    data = encode_image(pixels, recipe, profile)
    assert data == encode_image(pixels, recipe, profile)
    path = tmp_path / "a.png"
    path.write_bytes(data)
    assert load_metadata(path) == recipe
    with Image.open(path) as image:
        assert image.info["icc_profile"] == profile
        assert np.array_equal(np.asarray(image), pixels)


def test_images_without_a_recipe_are_said_to_have_none(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(UnreadableImageError, match="carries no"):
        load_metadata(tmp_path / "a.png")
    with pytest.raises(UnreadableImageError, match=r"b\.png"):
        load_metadata(tmp_path / "b.png")


class Page(HTMLParser):
    """Collects the attributes of all tags, by tag, and all text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: dict[str, list[dict[str, str | None]]] = {}
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.setdefault(tag, []).append(dict(attrs))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_sheet_escapes_names_and_fetches_nothing() -> None:
    nasty = '<script>alert("x")</script>&.png'
    rows = [
        SheetRow(nasty, "n", (Cell("c<", f"alt {nasty}", "thumbs/ä #1?.webp", "images/a b.png"),)),
    ]
    failed = [{"name": "bad<i>.png", "error": "ImageError", "reason": "<b>broken</b>"}]
    html = build_sheet("T <1>", ["line & more"], rows, failed)
    page = Page(html)
    assert "script" not in page.tags
    assert "b" not in page.tags
    assert "i" not in page.tags
    assert nasty in page.text
    assert "ImageError: <b>broken</b>" in page.text
    assert page.tags["img"][0]["alt"] == f"alt {nasty}"
    assert page.tags["img"][0]["src"] == "thumbs/%C3%A4%20%231%3F.webp"
    assert page.tags["a"][0]["href"] == "images/a%20b.png"
    assert "link" not in page.tags
    assert "://" not in html
    assert "Failed (1)" in page.text
    assert page.tags["html"][0]["lang"] == "en"


def test_thumbnail_is_small_and_keeps_transparency() -> None:
    pixels = np.full((800, 400, 3), 200, dtype=np.uint8)
    matte = np.zeros((800, 400), dtype=np.float32)
    matte[:400] = 1
    with Image.open(io.BytesIO(encode_thumbnail(pixels, matte))) as image:
        assert image.size == (160, 320)
        alpha = np.asarray(image.convert("RGBA"))[..., 3]
    assert alpha[:150].min() == 255
    assert alpha[170:].max() == 0


def test_progress_counts_rates_and_rest() -> None:
    progress = ProgressReport(300)
    progress.done = 12
    assert progress.describe(8.0) == "12/300 images, 1.50/s, 3:12 left"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("quiet", [False, True])
def test_progress_speaks_only_after_two_seconds(monkeypatch: pytest.MonkeyPatch, quiet: bool) -> None:
    clock = [100.0]
    monkeypatch.setattr("cyclorama.jobs.progress.time.monotonic", lambda: clock[0])
    stream, terminal = io.StringIO(), Terminal()
    with (
        ProgressReport(quiet=quiet, stream=stream) as plain,
        ProgressReport(quiet=quiet, stream=terminal) as bar,
    ):
        for report in (plain, bar):
            report.start(4)
            report.advance()
        assert stream.getvalue() == terminal.getvalue() == ""
        clock[0] = 104.0
        for report in (plain, bar):
            report.advance(3)
    assert stream.getvalue() == ("" if quiet else "4/4 images, 1.00/s, 0:00 left\n")
    assert ("4/4" in terminal.getvalue()) is not quiet


def test_overview_puts_each_image_into_its_cell(tmp_path: Path) -> None:
    Image.new("RGB", (300, 300), (255, 0, 0)).save(tmp_path / "red.png")
    Image.new("RGBA", (100, 50), (0, 0, 255, 255)).save(tmp_path / "blue.png")
    rows = [[tmp_path / "red.png", None], [None, tmp_path / "blue.png"]]
    with Image.open(io.BytesIO(encode_overview(rows, ["one", "two"]))) as sheet:
        assert sheet.size == (2 * (CELL + GAP) + GAP, 2 * (CELL + GAP) + GAP + LABEL)
        middle = [GAP + CELL // 2 + i * (CELL + GAP) for i in range(2)]
        assert sheet.getpixel((middle[0], middle[0] + LABEL)) == (255, 0, 0)
        assert sheet.getpixel((middle[1], middle[0] + LABEL)) == PAPER
        assert sheet.getpixel((middle[1], middle[1] + LABEL)) == (0, 0, 255)
        assert sheet.getpixel((middle[0], middle[1] + LABEL)) == PAPER


def write_demo(folder: Path, **changed: object) -> None:
    for name in ("products/perfume/01.png", "references/perfume.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(folder / name)
    entry = {
        "product": "products/perfume/01.png",
        "category": "perfume",
        "reference": "references/perfume.png",
        "reference_mask": None,
    } | changed
    (folder / "demo.json").write_text(json.dumps({"version": 2, "entries": [entry]}))


def test_demo_lists_a_product_twice_under_one_name(tmp_path: Path) -> None:
    write_demo(tmp_path)
    (entry,) = load_demo(tmp_path)
    assert (entry.name, entry.category) == ("perfume/01.png", "perfume")
    items = build_demo_items([entry])
    assert [item.name for item in items] == ["perfume/01.png"] * 2
    assert [item.folder for item in items] == ["no-reference", "reference"]
    assert [item.reference and Path(item.reference).name for item in items] == [None, "perfume.png"]
    assert build_demo_items([entry], plain=False) == items[1:]


def test_broken_demo_listings_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"demo\.json"):
        load_demo(tmp_path)
    write_demo(tmp_path, reference=None)
    with pytest.raises(ModelFormatError, match="not a demo listing"):
        load_demo(tmp_path)
    write_demo(tmp_path, product="products/none.png")
    with pytest.raises(ModelFormatError, match=r"none\.png"):
        load_demo(tmp_path)
    (tmp_path / "demo.json").write_text("[]")
    with pytest.raises(ModelFormatError, match="not a demo listing"):
        load_demo(tmp_path)


def test_one_references_thumbnail_is_written_by_many_threads_at_once(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    pixels = np.full((400, 300, 3), 90, np.uint8)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: write_thumbnail(tmp_path, "a/shared.webp", pixels), range(400)))
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["shared.webp"]
    with Image.open(tmp_path / "a" / "shared.webp") as thumbnail:
        assert thumbnail.size == (240, 320)


def test_notes_of_rows_stand_on_the_terminal_unless_it_is_quiet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from cyclorama.commands.generate import SHOWN_FAILURES, finish
    from cyclorama.generation.run import RunResult

    notes = [f"a{k}.png: a frame line along the border is not product" for k in range(SHOWN_FAILURES + 2)]
    result = RunResult(rows=9, done=9, made=9, finished=True, notes=notes)
    assert finish(result, tmp_path) == 0
    said = capsys.readouterr().err.splitlines()
    assert said[0] == f"cyclorama: note: {notes[0]}"
    assert len(said) == SHOWN_FAILURES + 1 and said[-1].startswith("... and 2 more notes")
    assert finish(result, tmp_path, quiet=True) == 0
    assert capsys.readouterr().err == ""


# --- the sheet of a run and of the demo ---


def build_row_of_results(**changed: Any) -> dict[str, Any]:
    report = {"exact": True, "max_difference": 0}
    image = {
        "output": "images/a.png", "layout_name": None, "candidate": 1, "seed": 5, "width": 30, "height": 20,
        "report": report,
    }  # fmt: skip
    return {
        "name": "a.png", "stem": "a", "category": "fruit", "category_source": "alias", "images": [image],
        "reference_digest": None, "reference": None, "status": "done", "seconds": 1.26, "notes": ["dim"],
    } | changed  # fmt: skip


def test_a_card_shows_product_reference_and_every_image(tmp_path: Path) -> None:
    row = build_row_of_results()
    (cell,) = build_sheet_row(tmp_path, row, 1).cells
    assert (cell.caption, cell.thumbnail, cell.output) == ("result, seed 5", "images/a.png", "images/a.png")
    note = "fruit (alias) · 30 × 20 px, product exact · dim · 1.3 s"
    assert build_sheet_row(tmp_path, row, 1).note == note
    row["images"] = [
        row["images"][0] | {"layout_name": "1x1", "seed": 6},
        row["images"][0] | {"candidate": 2, "layout_name": "1x1", "output": "shard.tar:1.png"}
        | {"report": {"exact": False, "max_difference": 3, "file_max_difference": 7}},
        row["images"][0] | {"placement": {"notes": ["scaled"]}, "report": {"exact": None}},
    ]  # fmt: skip
    row |= {"reference_digest": "f" * 64, "reference": "r.png", "seconds": None}
    names = [f"{THUMBS}/products/a.webp", f"{THUMBS}/references/{'f' * 16}.webp"]
    names += [f"{THUMBS}/results/a.1x1-c1.webp", f"{THUMBS}/results/a.1x1-c2.webp"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    card = build_sheet_row(tmp_path, row, 2)
    assert [cell.caption for cell in card.cells] == [
        "product",
        "reference r.png",
        "1x1 candidate 1, seed 6",
        "1x1 candidate 2, seed 5",
        "candidate 1, seed 5",
    ]
    assert [cell.thumbnail for cell in card.cells] == [*names, "images/a.png"]
    assert [cell.output for cell in card.cells] == [None, None, "images/a.png", None, "images/a.png"]
    assert card.note == (
        "fruit (alias) · 30 × 20 px, product exact · 30 × 20 px, product off by 3 before encoding, off by up "
        "to 7 in the file · 30 × 20 px, no pixel is fully product, nothing to prove · scaled · dim"
    )


def test_the_summary_counts_what_is_shown() -> None:
    handle = ModelHandle("m", Path(), "abc", CategoryRegistry())
    config = build_config({"steps": 4, "batch_size": 2}, seed=9)
    assert describe_run(handle, config, 3, 0, 3)[:2] == ["3 of 3 inputs done", "Model m (abc), run seed 9"]
    counts = describe_run(handle, config, 3, 2, 4)[0]
    assert counts == (
        "3 of 5 inputs done, 2 failed; the first 4 are shown, all are in results.jsonl and results.parquet"
    )
    settings = describe_run(handle, config, 3, 0, 3)[2]
    assert settings.startswith("steps 4, guidance 2.0, eta 0.0, reference strength 1.0")
    assert settings.endswith("size source, dtype float32")


def test_the_demos_sheet_puts_each_thumbnail_into_its_place(tmp_path: Path) -> None:
    colours = {"scenes": {"results/no": 10, "products/no": 40, "references/aaaaaaaaaaaaaaaa": 60}}
    colours |= {"learned": {"results/a": 30, "products/a": 41, "references/aaaaaaaaaaaaaaaa": 61}}
    for folder, levels in colours.items():
        for name, level in levels.items():
            pixels = np.full((100, 100, 3), level, np.uint8)
            write_thumbnail(tmp_path, f"{folder}/{THUMBS}/{name}.webp", pixels)
    Image.new("RGB", (100, 100), (90, 90, 90)).save(tmp_path / "truth.png")
    entry = DemoEntry("p.png", tmp_path / "p.png", "fruit", tmp_path / "a.png", truth=tmp_path / "truth.png")
    done = {"status": "done", "seconds": 1.25, "images": [{"seed": 7}]}
    rows = [
        done | {"stem": "no", "output": "images/no.png"},
        {
            "stem": "a",
            "status": "failed",
            "error": "ImageError",
            "reason": "torn",
            "reference_digest": "a" * 64,
        },
    ]
    parts = [
        DemoPart("scenes", ("scene", "scene in its style"), rows),
        DemoPart(
            "learned",
            ("learned",),
            [done | {"stem": "a", "output": "images/a.png", "reference_digest": "a" * 64}],
        ),
    ]
    write_demo_report(tmp_path, [entry], parts, ["summary"])
    page = Page((tmp_path / "index.html").read_text())
    assert [image["alt"] for image in page.tags["img"]] == [
        "Product p.png",
        "fruit advertisement of p.png, scene",
        "Reference for p.png",
        "fruit advertisement of p.png, learned",
        "Truth: p.png rendered in the reference's scene",
    ]
    assert [link["href"] for link in page.tags["a"]] == ["scenes/images/no.png", "learned/images/a.png"]
    assert "scene, seed 7, 1.2 s" in page.text and "learned, seed 7, 1.2 s" in page.text
    assert "Failed (1)" in page.text and "scenes/a: ImageError: torn" in page.text
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (6 * (CELL + GAP) + GAP, CELL + 2 * GAP + LABEL)
        middles = [GAP + CELL // 2 + i * (CELL + GAP) for i in range(6)]
        found = [sheet.getpixel((x, GAP + LABEL + CELL // 2)) for x in middles]
    for pixel, level in zip(found, [40, 10, 60, 246, 30, 90], strict=True):
        assert abs(pixel[0] - level) <= 2
    write_demo_report(tmp_path, [replace(entry, truth=None)], parts, ["summary"])
    with Image.open(tmp_path / "sheet.png") as sheet:  # no truth: no column
        assert sheet.size == (5 * (CELL + GAP) + GAP, CELL + 2 * GAP + LABEL)
