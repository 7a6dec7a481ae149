"""What is written: PNG with its recipe, contact sheet, progress, overview, demo listing."""

from __future__ import annotations

import io
import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from cyclorama.errors import ModelFormatError, ModelNotFoundError, UnreadableImageError
from cyclorama.generation.demo import build_demo_items, load_demo
from cyclorama.generation.result import load_metadata
from cyclorama.generation.sheet import (
    CELL,
    GAP,
    LABEL,
    PAPER,
    Cell,
    SheetRow,
    build_sheet,
    encode_overview,
    encode_thumbnail,
)
from cyclorama.imaging.formats import encode_image
from cyclorama.jobs.progress import ProgressReport


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
    for name in ("products/perfume/01.png", "references/perfume-a.png", "references/perfume-b.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(folder / name)
    entry = {
        "product": "products/perfume/01.png",
        "category": "perfume",
        "references": [
            {"image": "references/perfume-a.png"},
            {"image": "references/perfume-b.png", "mask": None},
        ],
    } | changed
    (folder / "demo.json").write_text(json.dumps({"version": 1, "entries": [entry]}))


def test_demo_lists_a_product_three_times_under_one_name(tmp_path: Path) -> None:
    write_demo(tmp_path)
    (entry,) = load_demo(tmp_path)
    assert (entry.name, entry.category) == ("perfume/01.png", "perfume")
    items = build_demo_items([entry])
    assert [item.name for item in items] == ["perfume/01.png"] * 3
    assert [item.folder for item in items] == ["no-reference", "reference-a", "reference-b"]
    assert [item.reference and Path(item.reference).name for item in items] == [
        None,
        "perfume-a.png",
        "perfume-b.png",
    ]


def test_broken_demo_listings_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"demo\.json"):
        load_demo(tmp_path)
    write_demo(tmp_path, references=[])
    with pytest.raises(ModelFormatError, match="0 references"):
        load_demo(tmp_path)
    write_demo(tmp_path, product="products/none.png")
    with pytest.raises(ModelFormatError, match=r"none\.png"):
        load_demo(tmp_path)
    (tmp_path / "demo.json").write_text("[]")
    with pytest.raises(ModelFormatError, match="not a demo listing"):
        load_demo(tmp_path)


def test_one_references_thumbnail_is_written_by_many_threads_at_once(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from cyclorama.generation.sheet import write_thumbnail

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
