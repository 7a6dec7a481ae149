"""A poster's product is exact, its words are proved and readable, and an edit renders nothing."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from skimage.color import rgb2lab

from cyclorama.errors import LayoutError, MissingGlyphError, SettingsError
from cyclorama.generation.engine import sample_images
from cyclorama.generation.model import ModelHandle
from cyclorama.generation.result import Generated
from cyclorama.imaging.product import Product
from cyclorama.layout.elements import Element, PosterLayout
from cyclorama.models.registry import Category, CategoryRegistry
from cyclorama.posters import maker as making
from cyclorama.posters.drawing import find_accent, list_layers, set_texts
from cyclorama.posters.files import Poster, open_poster, write_poster
from cyclorama.posters.maker import PosterMaker, PosterSettings, edit, find_calm, place
from cyclorama.posters.record import PosterRecord, read_record
from cyclorama.posters.words import PosterBrand, choose_fonts, read_brand
from cyclorama.typography.drawing import lay_over

WORDS = {"headline": "Slow evenings", "subline": "Eau de parfum", "price": "€ 59", "action": "Discover"}
CATEGORY = Category("perfume", 1, (), 0.5)


def make_product() -> Product:
    """A blue disc with a soft rim, 200 x 160 in a photo of 240 x 200."""
    rows, columns = np.mgrid[:240, :200]
    distance = np.hypot((rows - 120) / 100, (columns - 100) / 80)
    matte = np.clip((1 - distance) * 40, 0, 1).astype(np.float32)
    pixels = np.zeros((240, 200, 3), np.uint8)
    pixels[...] = (30, 60, 150)
    pixels[::7, :, 0] = 200
    return Product(pixels, matte, pixels, name="disc.png")


class Grounds:
    """In place of the model: grounds by attempt, and what it was asked for."""

    def __init__(self, *grounds: Any) -> None:
        self.grounds, self.tasks = grounds, []

    def __call__(self, model: Any, tasks: Any, settings: Any) -> list[Generated]:
        [task] = tasks
        self.tasks.append(task)
        ground = self.grounds[min(len(self.tasks), len(self.grounds)) - 1]
        height, width = task.product.size
        background = np.broadcast_to(np.asarray(ground, np.uint8), (height, width, 3)).copy()
        report = sample_images.__globals__["compute_product_report"](task.product.pixels, task.product)
        return [Generated(background, background, report, "perfume", "x", task.seed, 0.0)]


@pytest.fixture
def grounds(monkeypatch: pytest.MonkeyPatch) -> Grounds:
    found = Grounds((225, 215, 205))
    monkeypatch.setattr(making, "sample_images", found)
    return found


def make(
    brand: PosterBrand | None = None, wordings: Any = None, canvas: Any = (500, 400), **values: Any
) -> dict[str, Poster]:
    handle = ModelHandle("scenes", Path(), "h", CategoryRegistry([CATEGORY]))
    maker = PosterMaker(None, handle, brand or PosterBrand(), PosterSettings(**values))  # type: ignore
    return maker.make(make_product(), CATEGORY, wordings or {"en": WORDS}, canvas, 3)


def test_the_product_is_exact_and_words_are_proved_and_readable(grounds: Grounds) -> None:
    poster = make()["en"]
    standing, record = poster.product, poster.record
    opaque = standing.matte == 1
    assert opaque.sum() > 5000
    assert (poster.drawn.pixels[opaque] == standing.pixels[opaque]).all()
    assert record.exact and record.verdict.accepted, record.verdict
    assert {proof.id: proof.words for proof in record.proofs} == WORDS
    assert all(proof.contrast >= proof.limit >= 3 for proof in record.proofs)
    changed = (poster.drawn.pixels != poster.drawn.background).any(2) & (standing.matte == 0)
    assert changed.sum() > 500, "words are drawn"
    assert [task.calm for task in grounds.tasks] == [find_calm(record.layout)]


def test_the_set_is_calm_behind_stacks_and_logo_but_for_panels() -> None:
    boxes: Any = {
        "headline": ("text", (0.1, 0.1, 0.6, 0.2)),
        "price": ("text", (0.1, 0.22, 0.3, 0.3)),
        "legal": ("text", (0.1, 0.8, 0.6, 0.84)),
        "logo": ("logo", (0.8, 0.1, 0.9, 0.15)),
        "panel": ("underlay", (0.0, 0.75, 1.0, 1.0)),
    }
    elements = tuple(
        Element(id=name, kind=kind, role=name if kind == "text" else None, box=box)
        for name, (kind, box) in boxes.items()
    )
    layout = PosterLayout(height=400, width=400, family="x", elements=elements)
    assert find_calm(layout) == ((0.1, 0.1, 0.6, 0.3), (0.8, 0.1, 0.9, 0.15))


def test_several_languages_share_one_background(grounds: Grounds) -> None:
    german = {**WORDS, "headline": "Langsame Abendstunden", "action": "Entdecken"}
    posters = make(wordings={"en": WORDS, "de": german})
    assert len(grounds.tasks) == 1
    first, second = posters["en"], posters["de"]
    assert (first.drawn.background == second.drawn.background).all()
    assert first.record.layout == second.record.layout
    assert second.record.proofs[0].words == "Langsame Abendstunden"


def test_an_unreadable_poster_is_tried_again_and_the_best_one_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    like_the_product = Grounds((32, 62, 150), (235, 235, 235))
    monkeypatch.setattr(making, "sample_images", like_the_product)
    record = make(attempts=3)["en"].record
    assert (record.attempt, record.verdict.accepted) == (2, True)
    assert len({task.seed for task in like_the_product.tasks}) == 2
    always = Grounds((32, 62, 150))
    monkeypatch.setattr(making, "sample_images", always)
    marked = make(attempts=2)["en"].record
    assert len(always.tasks) == 2 and not marked.verdict.accepted
    assert set(marked.verdict.faults) == {"indistinct"}


def test_words_that_an_edge_crosses_are_tried_elsewhere_but_not_marked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stripes = np.where(np.arange(400) // 20 % 2, 235, 160)[None, :, None]
    plain = Grounds(stripes, (235, 235, 235))
    monkeypatch.setattr(making, "sample_images", plain)
    record = make(attempts=3)["en"].record
    assert (record.attempt, record.verdict.values["uneven"]) == (2, 0)
    assert len({task.calm for task in plain.tasks}) == 2, "another layout"
    always = Grounds(stripes)
    monkeypatch.setattr(making, "sample_images", always)
    crossed = make(attempts=2)["en"].record
    assert len(always.tasks) == 2 and crossed.verdict.accepted
    steps = rgb2lab(np.array([[[160] * 3, [235] * 3]], np.uint8))[0, :, 0]
    assert crossed.verdict.values["uneven"] == pytest.approx(float(np.ptp(steps)), abs=0.1)


def test_words_of_one_stack_have_one_colour_where_their_ground_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = np.linspace(250, 95, 500)[:, None, None].repeat(3, 2)
    monkeypatch.setattr(making, "sample_images", Grounds(rows))
    words = {
        "headline": "Slow evenings",
        "subline": "Eau de parfum",
        "body": "Fig and cedar for the time after work",
    }
    for number in range(3):
        monkeypatch.setattr(making, "compute_seed", lambda *values, number=number: number)
        record = make(wordings={"en": words}, plans=1)["en"].record
        places = [element.box for element in record.layout.select("text")]
        if max(box[1] for box in places) - min(box[3] for box in places) < 0.12:
            assert len({proof.colour for proof in record.proofs}) == 1
        assert all(proof.contrast >= proof.limit for proof in record.proofs)


def paint_product(colour: tuple[int, int, int]) -> Product:
    product = make_product()
    return product.derive(
        pixels=np.full_like(product.pixels, colour), foreground=np.full_like(product.pixels, colour)
    )


@pytest.mark.parametrize(
    ("colour", "least", "most"), [((30, 60, 150), 35, 48), ((40, 170, 70), 35, 48), ((240, 215, 60), 74, 84)]
)
def test_an_accent_is_deep_but_for_yellow_which_would_be_olive(
    colour: tuple[int, int, int], least: float, most: float
) -> None:
    accent = rgb2lab(np.array([[find_accent(paint_product(colour))]]) / 255)[0, 0]
    own = rgb2lab(np.array([[colour]]) / 255)[0, 0]
    assert least - 1 <= accent[0] <= most + 1
    assert abs(np.arctan2(accent[2], accent[1]) - np.arctan2(own[2], own[1])) < 0.15  # its hue stays


@pytest.mark.parametrize("ground", [(225, 215, 205), (40, 60, 120), (30, 50, 130), (120, 150, 235)])
def test_a_button_shows_on_its_ground_and_a_price_is_no_shade_of_it(
    monkeypatch: pytest.MonkeyPatch, ground: tuple[int, int, int]
) -> None:
    monkeypatch.setattr(making, "sample_images", Grounds(ground))
    poster = make(plans=1)["en"]
    lab = rgb2lab(np.array([[ground]]) / 255)[0, 0]
    [button] = [patch for patch in poster.drawn.below if patch.name == "Button"]
    fill = rgb2lab(button.rgba[button.rgba[..., 3] == 255][:1, None, :3] / 255)[0, 0]
    assert np.linalg.norm(fill - lab) >= 34
    price = next(proof for proof in poster.record.proofs if proof.id == "price")
    shade = rgb2lab(np.array([[price.colour]]) / 255)[0, 0]
    assert abs(shade[0] - lab[0]) >= 34
    if lab[0] >= 62 and np.hypot(*lab[1:]) > 15:  # the blue product's own blue on light blue
        assert np.hypot(*shade[1:]) < 15


def test_words_of_arabic_alone_are_laid_out_from_the_right(grounds: Grounds) -> None:
    fonts = Path("/usr/share/fonts/truetype/noto/NotoSansArabic-Regular.ttf")
    if not fonts.is_file():
        pytest.skip("Arabic needs its font: apt-get install fonts-noto-core")
    words = {"headline": "أمسيات هادئة", "price": "٥٩ €"}
    brand = PosterBrand(fonts=("sans", str(fonts)))
    poster = make(brand, {"ar": words}, plans=1)["ar"]
    as_if_latin = make(brand, {"tlh": words}, plans=1)["tlh"]
    assert poster.record.proofs[0].words == words["headline"]
    for own, other in zip(poster.record.layout.elements, as_if_latin.record.layout.elements, strict=True):
        left, top, right, bottom = other.box
        assert own.box == pytest.approx((1 - right, top, 1 - left, bottom), abs=1e-9)
    assert poster.record.verdict.accepted


def test_words_from_the_right_keep_to_the_right_of_their_stack() -> None:
    boxes = {
        "headline": (0.1, 0.1, 0.6, 0.2),
        "price": (0.1, 0.22, 0.3, 0.3),
        "action": (0.1, 0.32, 0.4, 0.4),
    }
    texts = [Element(id=name, kind="text", role=name, box=box) for name, box in boxes.items()]  # type: ignore
    layout = PosterLayout(height=400, width=400, family="x", elements=tuple(texts))
    words = {"headline": "Fig", "price": "9", "action": "Go"}
    for language, right in (("en", None), ("he", 0.6)):
        for element, text in set_texts(layout, words, language, PosterBrand(), (400, 400)):
            left, top, edge, bottom = element.box
            assert (top, bottom) == boxes[element.id][1::2]
            assert edge == (right or boxes[element.id][2])
            if element.role != "action":
                place = text.ink[2] / 400 if right else text.ink[0] / 400
                assert place == pytest.approx(right or left, abs=0.003)


def test_headlines_of_quiet_categories_are_set_in_the_serif_unless_fonts_are_given() -> None:
    assert choose_fonts(PosterBrand(), "perfume").headline_fonts == ("serif",)
    assert choose_fonts(PosterBrand(), "milk carton") == PosterBrand()
    assert choose_fonts(PosterBrand(fonts=("system",)), "perfume").headline_fonts == ()


def test_what_the_brand_says_is_kept(grounds: Grounds, tmp_path: Path) -> None:
    logo = np.zeros((60, 200, 4), np.uint8)
    logo[10:50, 20:180] = (200, 0, 0, 255)
    Image.fromarray(logo).save(tmp_path / "logo.png")
    (tmp_path / "brand.yaml").write_text(
        'colours: ["#102030"]\naccent: "#7a1020"\nlogo: logo.png\nlogo_corner: top-right\navoid: [cheap]\n'
    )
    brand = read_brand(tmp_path / "brand.yaml")
    poster = make(brand)["en"]
    colours = {proof.id: proof.colour for proof in poster.record.proofs}
    if not poster.record.layout.select("underlay"):
        assert colours["headline"] == (16, 32, 48)
    [element] = poster.record.layout.select("logo")
    assert element.box[0] > 0.5 and element.box[3] < 0.5
    left, top, right, bottom = (round(v * s) for v, s in zip(element.box, (400, 500, 400, 500), strict=True))
    assert (poster.drawn.pixels[(top + bottom) // 2, (left + right) // 2] == (200, 0, 0)).all()
    assert (edit(poster, brand).drawn.pixels == poster.drawn.pixels).all(), "an edit keeps the logo"
    with pytest.raises(SettingsError, match="headline says 'cheap'"):
        make(brand, {"en": {"headline": "So Cheap"}})


def test_nothing_is_rendered_for_what_cannot_be_set(grounds: Grounds) -> None:
    with pytest.raises(MissingGlyphError):
        make(wordings={"en": {"headline": "\U000122a0 \U000122a1"}})
    with pytest.raises(LayoutError, match="no room"):
        make(wordings={"en": {"headline": "many words " * 80}})
    assert grounds.tasks == []


def test_layers_put_together_are_the_poster(grounds: Grounds, tmp_path: Path) -> None:
    poster = make()["en"]
    flat = np.zeros((*poster.product.size, 3), np.float64)
    for _, rgba in list_layers(poster.drawn, poster.product):
        alpha = rgba[..., 3:].astype(np.float64) / 255
        flat = np.rint(alpha * rgba[..., :3] + (1 - alpha) * flat)
    assert (flat.astype(np.uint8) == poster.drawn.pixels).all()
    write_poster(poster, tmp_path, "a", "ora")
    with zipfile.ZipFile(tmp_path / "a.ora") as archive:
        merged = np.asarray(Image.open(io.BytesIO(archive.read("mergedimage.png"))))
        assert (merged == poster.drawn.pixels).all()
        assert "Slow evenings" in archive.read("stack.xml").decode()
    write_poster(poster, tmp_path, "b", "psd")
    from psd_tools import PSDImage

    assert [layer.name for layer in PSDImage.open(tmp_path / "b.psd")][-1] in WORDS.values()
    write_poster(poster, tmp_path, "c", "svg")
    text = (tmp_path / "c.svg").read_text()
    assert all(f"<title>{words}</title>" in text for words in WORDS.values())
    with Image.open(tmp_path / "c.bare.png") as image:
        bare = np.asarray(image)
    assert (lay_over(bare, poster.drawn.above) == poster.drawn.pixels).all()


@pytest.mark.parametrize("stem", ["plain", "Salt & Pepper", 'a"b', "50% off #1", "50%25 <x>", "größe?"])
def test_an_svg_names_the_image_beside_it(grounds: Grounds, stem: str, tmp_path: Path) -> None:
    write_poster(make()["en"], tmp_path, stem, "svg")
    root = ElementTree.parse(tmp_path / f"{stem}.svg").getroot()
    [image] = root.iter("{http://www.w3.org/2000/svg}image")
    name = unquote(image.attrib["href"])
    assert name == f"{stem}.bare.png" and (tmp_path / name).is_file()
    assert set(image.attrib["href"]).isdisjoint('#? "&<') and image.attrib["width"] == "400"


def test_an_edit_renders_nothing_and_the_same_words_give_the_same_poster(
    grounds: Grounds, tmp_path: Path
) -> None:
    poster = make()["en"]
    write_poster(poster, tmp_path, "a")
    count = len(grounds.tasks)
    opened = open_poster(tmp_path / "a.poster.json")
    same = edit(opened, PosterBrand())
    assert (same.drawn.pixels == poster.drawn.pixels).all()
    assert same.record == poster.record
    changed = edit(opened, PosterBrand(), {**WORDS, "price": "€ 49"})
    moved = edit(opened, PosterBrand(), moves={"price": (0.06, 0.02, 0.3, 0.08)})
    assert len(grounds.tasks) == count
    assert {proof.id: proof.words for proof in changed.record.proofs}["price"] == "€ 49"
    price = next(proof for proof in moved.record.proofs if proof.id == "price")
    assert price.place[3] <= 0.081
    with pytest.raises(SettingsError, match="cannot be moved"):
        edit(opened, PosterBrand(), moves={"product": (0.1, 0.1, 0.5, 0.5)})
    with pytest.raises(SettingsError, match="give words for these"):
        edit(opened, PosterBrand(), {"headline": "alone"})
    with pytest.raises(LayoutError, match="left < right"):
        edit(opened, PosterBrand(), moves={"price": (0.5, 0, 0.4, 1)})


def test_a_text_over_the_product_is_a_fault(grounds: Grounds, tmp_path: Path) -> None:
    poster = make()["en"]
    left, top, right, bottom = poster.record.layout.select("product")[0].box
    middle = (left, (top + bottom) / 2, right, (top + bottom) / 2 + 0.08)
    moved = edit(poster, PosterBrand(), moves={"price": middle})
    assert "text_on_product" in moved.record.verdict.faults
    opaque = poster.product.matte == 1
    assert (moved.drawn.pixels[opaque] != poster.product.pixels[opaque]).any()
    assert moved.record.exact is False and "altered" in moved.record.verdict.faults


def test_a_record_is_itself_again(grounds: Grounds, tmp_path: Path) -> None:
    record = make()["en"].record
    record.save(tmp_path / "a.poster.json")
    assert read_record(tmp_path / "a.poster.json") == record
    assert PosterRecord(**json.loads(json.dumps(record.model_dump(mode="json")))) == record
    (tmp_path / "b.poster.json").write_text("{}")
    with pytest.raises(SettingsError, match="no record of a poster"):
        read_record(tmp_path / "b.poster.json")


def test_a_product_of_its_boxs_size_keeps_its_pixels(grounds: Grounds) -> None:
    poster = make()["en"]
    layout = poster.record.layout
    product = make_product()
    [element] = layout.select("product")
    rows, columns = np.nonzero(product.matte >= 0.05)
    tall, wide = np.ptp(rows) + 1, np.ptp(columns) + 1
    box = (0.2, 0.2, 0.2 + wide / layout.width, 0.2 + tall / layout.height)
    exact = layout.model_copy(update={"elements": (element.model_copy(update={"box": box}),)})
    standing, scale = place(product, exact)
    assert scale == pytest.approx(1)
    assert standing.pixels[standing.matte == 1].shape == product.pixels[product.matte == 1].shape


def test_an_edit_refuses_words_that_are_no_text(grounds: Grounds) -> None:
    with pytest.raises(SettingsError, match=r"price is 49\.9; give its words as one text"):
        edit(make()["en"], PosterBrand(), {**WORDS, "price": 49.9})  # type: ignore[dict-item]
