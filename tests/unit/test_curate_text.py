"""Text rule: whose text it is, what is erased, and how the result is checked."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from cyclorama.curate.records import Record, RuleImage, Verdict
from cyclorama.curate.text import TextRule, TextSettings, count_repeats, measure_seam
from cyclorama.curate.text_finding import FindingSettings, FoundText, RapidTextFinder, draw_texts
from cyclorama.errors import ConfigError
from cyclorama.evaluation.preservation import compute_edit_distance

SIDE = 128
_MARKS = ("© Sample", "sample", "SAMPIE", "Sample")


def _text(left: float, top: float, right: float, bottom: float, **changes) -> FoundText:
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.float32)
    values = {"detection": 0.8, "text": "SALE", "recognition": 0.95} | changes
    return FoundText(corners, **values)


def _mask() -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), dtype=np.float32)
    mask[50:110, 40:90] = 1
    return mask


def _image(mask: np.ndarray | None = None, pixels: np.ndarray | None = None) -> RuleImage:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    scene = np.stack([90 + rows * 0.6, 120 + columns * 0.4, np.full((SIDE, SIDE), 160.0)], axis=-1)
    pixels = scene.astype(np.uint8) if pixels is None else pixels
    return RuleImage(Record("a", "a.png"), pixels, None, _mask() if mask is None else mask)


class _Finder:
    """Finds given texts, each only while the pixels at its middle have not changed."""

    def __init__(self, image: RuleImage, *texts: FoundText, stubborn: bool = False) -> None:
        self.before, self.texts, self.stubborn, self.calls = image.pixels.copy(), texts, stubborn, 0

    def __call__(self, pixels: np.ndarray) -> list[FoundText]:
        self.calls += 1
        found = []
        for text in self.texts:
            column, row = (int(value) for value in text.polygon.mean(axis=0))
            if self.stubborn or np.array_equal(pixels[row, column], self.before[row, column]):
                found.append(text)
        return found


def _smooth(pixels: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """A filler without a network: the nearest known colour, one level off so that it shows."""
    place = ndimage.distance_transform_edt(hole, return_distances=False, return_indices=True)
    filled = pixels[tuple(place)]
    return np.where(hole[..., None], filled + 1, pixels).astype(np.uint8)


def test_text_on_the_product_stays() -> None:
    image = _image()
    found = TextRule(erase=_smooth, finder=_Finder(image, _text(45, 60, 85, 75))).judge(image)
    assert (found.verdict, found.reason, found.repaired) == (Verdict.KEEP, "", None)
    assert [box.label for box in found.boxes] == ["text on product"]
    assert found.numbers == {"product_texts": 1, "background_texts": 0, "score": 0, "repeats": 0}


def test_text_on_the_background_is_erased_and_nothing_else_changes() -> None:
    image = _image()
    text = _text(10, 10, 60, 22)
    settings = TextSettings(grow=0.5, extra=1.0)
    found = TextRule(settings, _smooth, _Finder(image, text)).judge(image)
    assert found.verdict is Verdict.REPAIR and found.reason == "text on the background: 'SALE'"
    hole = draw_texts([text], (SIDE, SIDE), 0.5, 1.0)
    assert hole[3:30, 3:68].all() and not hole[:2].any() and not hole[31:].any()
    changed = (found.repaired.pixels != image.pixels).any(axis=2)
    assert changed[hole].all() and not changed[~hole].any()
    assert found.numbers["changed_outside"] == 0 and found.numbers["left"] == 0
    assert found.numbers["erased_share"] == hole.mean()
    assert found.numbers["score"] == pytest.approx(0.95)
    box = found.boxes[0]
    assert (box.left, box.top, box.right, box.bottom, box.label) == (10, 10, 60, 22, "text")


def test_the_product_is_never_erased() -> None:
    image = _image()
    settings = TextSettings(stray_overlap=0.0, product_overlap=0.7)
    found = TextRule(settings, _smooth, _Finder(image, _text(20, 40, 70, 56))).judge(image)
    changed = (found.repaired.pixels if found.repaired else image.pixels) != image.pixels
    assert not changed[_mask() > 0].any()
    assert found.verdict is Verdict.REVIEW
    overlap = draw_texts([_text(20, 40, 70, 56)], (SIDE, SIDE))
    assert found.numbers["overlap"] == _mask()[overlap].mean()
    assert "of a text lies on the product, the limit is 0%" in found.reason


def test_what_is_still_read_is_erased_again_and_then_reviewed() -> None:
    image = _image()
    finder = _Finder(image, _text(10, 10, 60, 22), stubborn=True)
    found = TextRule(TextSettings(rounds=2), _smooth, finder).judge(image)
    assert found.verdict is Verdict.REVIEW and "1 texts are left: 'SALE'" in found.reason
    assert found.numbers["left"] == 1 and finder.calls == 2  # nothing more to erase: no third look
    changed = (found.repaired.pixels != image.pixels).any(axis=2)  # what a person who accepts it takes
    assert changed[10:22, 10:60].all() and not changed[40:].any()


def test_a_filler_that_changes_more_than_the_hole_is_caught() -> None:
    image = _image()

    def careless(pixels: np.ndarray, hole: np.ndarray) -> np.ndarray:
        changed = _smooth(pixels, hole)
        changed[120:122, 120:123] += 1
        return changed

    found = TextRule(erase=careless, finder=_Finder(image, _text(10, 10, 60, 22))).judge(image)
    assert found.verdict is Verdict.REVIEW
    assert found.numbers["changed_outside"] == 6 and found.repaired is None
    assert "6 pixels outside the erased part changed, none may" in found.reason


def test_a_patch_that_shows_goes_to_review() -> None:
    image = _image()

    def paint(pixels: np.ndarray, hole: np.ndarray) -> np.ndarray:
        return np.where(hole[..., None], 255 - pixels, pixels).astype(np.uint8)

    found = TextRule(erase=paint, finder=_Finder(image, _text(10, 10, 60, 22))).judge(image)
    assert found.verdict is Verdict.REVIEW and "the rim shows with" in found.reason


def test_too_much_text_is_reviewed_and_a_page_of_it_dropped() -> None:
    image = _image()
    wide = _Finder(image, _text(4, 4, 124, 40))
    found = TextRule(TextSettings(max_erased=0.2), _smooth, wide).judge(image)
    assert found.verdict is Verdict.REVIEW and "of the image is erased, the limit is 20.0%" in found.reason
    page = _Finder(image, _text(1, 1, 127, 127))
    found = TextRule(TextSettings(product_overlap=0.9), _smooth, page).judge(image)
    assert found.verdict is Verdict.DROP and "the limit is 50%" in found.reason


def test_unsure_places_count_only_beside_a_sure_text() -> None:
    image = _image()
    weak = {"detection": 0.3, "text": "9", "recognition": 0.9}
    beside, apart = _text(62, 11, 68, 21, **weak), _text(100, 10, 106, 20, **weak)
    assert beside.confidence == pytest.approx(0.5 * 0.9 * 0.6)
    found = TextRule(erase=_smooth, finder=_Finder(image, beside, apart)).judge(image)
    assert found.verdict is Verdict.KEEP
    assert found.numbers["score"] == pytest.approx(0.27)
    found = TextRule(erase=_smooth, finder=_Finder(image, _text(10, 10, 60, 22), beside, apart)).judge(image)
    assert found.verdict is Verdict.REPAIR and found.numbers["background_texts"] == 2


def test_large_places_count_only_if_they_can_be_read() -> None:
    """A potato is found as surely as a word, and read as a zero; a headline is read."""
    image = _image(mask=np.zeros((SIDE, SIDE), dtype=np.float32))
    place = (4, 4, 124, 4 + 0.25 * SIDE)
    potato = {"text": "0", "recognition": 0.9, "detection": 0.95}
    planks = {"text": "HEN", "recognition": 0.6, "detection": 0.95}
    fruit = {"text": "88", "recognition": 0.95, "detection": 0.3}
    for unread in (potato, planks, fruit):
        found = TextRule(erase=_smooth, finder=_Finder(image, _text(*place, **unread))).judge(image)
        assert (found.verdict, found.numbers["score"]) == (Verdict.KEEP, 0)
        lower = _text(4, 4, 124, 3 + 0.25 * SIDE, **unread)
        found = TextRule(erase=_smooth, finder=_Finder(image, lower)).judge(image)
        assert found.numbers["background_texts"] == 1
    found = TextRule(erase=_smooth, finder=_Finder(image, _text(*place, recognition=0.8))).judge(image)
    assert found.numbers["background_texts"] == 1


def test_without_a_filler_or_without_a_mask_a_person_must_look() -> None:
    image = _image()
    found = TextRule(finder=_Finder(image, _text(10, 10, 60, 22))).judge(image)
    assert found.verdict is Verdict.REVIEW and found.reason == "text on the background: 'SALE'"
    bare = RuleImage(image.record, image.pixels, None, None)
    found = TextRule(erase=_smooth, finder=_Finder(bare, _text(10, 10, 60, 22))).judge(bare)
    assert found.verdict is Verdict.REVIEW and "without a mask" in found.reason


def test_confidence_of_marks_letters_and_words() -> None:
    assert _text(0, 0, 9, 9, text="--").confidence == 0
    assert _text(0, 0, 9, 9, text="a", recognition=1.0).confidence == pytest.approx(0.5)
    assert _text(0, 0, 9, 9, text="ab", recognition=0.8, detection=0.25).confidence == pytest.approx(0.4)
    boxes = {"recognition": 1.0, "detection": 0.9}
    for words, confidence in (("口日", 0.5), ("D日", 0.5), ("1", 0.25), ("50%", 0.75), ("SOLD", 1.0)):
        assert _text(0, 0, 9, 9, text=words, **boxes).confidence == pytest.approx(confidence)
    unread = {"text": "", "recognition": 0.0, "detection": 0.6}
    assert _text(0, 0, 40, 10, **unread).confidence == pytest.approx(0.6)
    assert _text(0, 0, 10, 20, **unread).confidence == pytest.approx(0.3)
    on_its_head = {"text": "", "recognition": 0.0, "detection": 0.3, "upside_down": 0.7}
    assert _text(0, 0, 40, 10, **on_its_head).confidence == pytest.approx(0.7)
    assert _text(0, 0, 20, 10, **on_its_head).confidence == pytest.approx(0.35)


def test_the_same_words_over_product_and_background_are_a_watermark() -> None:
    image = _image()
    marks = [_text(5 + 30 * i, 20 + 22 * i, 30 + 30 * i, 30 + 22 * i, text=t) for i, t in enumerate(_MARKS)]
    found = TextRule(erase=_smooth, finder=_Finder(image, *marks)).judge(image)
    assert found.verdict is Verdict.REVIEW
    assert found.reason == "the same words in 4 places, the limit is 3: a watermark"
    assert count_repeats(marks[:3], marks[3:]) == 4
    assert count_repeats([], marks) == 0 and count_repeats(marks, []) == 0
    assert count_repeats(marks, [_text(0, 0, 9, 9, text="other")]) == 1


def test_only_readings_that_can_be_the_same_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def compare(words: str, other: str) -> int:
        compared.append((words, other))
        return compute_edit_distance(words, other)

    monkeypatch.setattr("cyclorama.curate.text.compute_edit_distance", compare)
    texts = [_text(0, 0, 9, 9, text="abcdefghi"[:length]) for length in range(1, 10)]
    assert count_repeats([], texts) == 0 and compared == []
    assert count_repeats(texts[:8], texts[8:]) == 4  # of nine letters: those of 6 to 9
    assert [len(other) for _, other in compared] == [9, 6, 7, 8]
    compared.clear()
    assert count_repeats(texts[4:], texts[:4]) == 3
    assert {(len(words), len(other)) for words, other in compared} == {
        (3, 2),
        (3, 3),
        (3, 4),
        (4, 3),
        (4, 4),
        (4, 5),
    }


def test_seam_is_zero_on_one_colour_and_the_step_on_a_patch() -> None:
    hole = np.zeros((SIDE, SIDE), dtype=bool)
    hole[30:60, 30:90] = True
    grey = np.full((SIDE, SIDE, 3), 119, dtype=np.uint8)  # L* 50.0
    assert measure_seam(grey, hole) == 0
    patch = np.where(hole[..., None], np.uint8(145), grey)  # L* 60.0
    assert measure_seam(patch, hole) == pytest.approx(10.0, abs=0.3)
    assert measure_seam(patch, hole, product=np.ones_like(hole)) == 0
    assert measure_seam(grey, np.zeros_like(hole)) == 0


def test_tilted_text_is_drawn_along_its_direction() -> None:
    corners = np.array([[40, 20], [60, 40], [55, 45], [35, 25]], dtype=np.float32)
    text = FoundText(corners, 0.9, "x", 0.9)
    assert text.height == pytest.approx(50**0.5)
    plain, grown = draw_texts([text], (SIDE, SIDE)), draw_texts([text], (SIDE, SIDE), extra=3.0)
    assert plain.sum() == pytest.approx(800**0.5 * 50**0.5, rel=0.2)
    assert (grown & plain).sum() == plain.sum() and grown.sum() > 1.8 * plain.sum()
    assert not grown[20:24, 56:62].any()  # a corner of the upright box stays free


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="stray_overlap is 0.9, product_overlap is 0.7"):
        TextSettings(stray_overlap=0.9)
    with pytest.raises(ConfigError, match="working_side: must be .* 32, got 10"):
        FindingSettings(working_side=10)
    with pytest.raises(ConfigError, match="scales: must .* at least 1 item"):
        FindingSettings(scales=())


@cache
def _finder() -> RapidTextFinder:
    return RapidTextFinder(FindingSettings(working_side=384))


def _write(pixels: np.ndarray, words: str, place: tuple[int, int], size: int, colour, tilt: float = 0.0):
    layer = Image.new("L", pixels.shape[1::-1], 0)
    ImageDraw.Draw(layer).text(place, words, fill=255, font=ImageFont.load_default(size))
    share = np.asarray(layer.rotate(tilt, Image.Resampling.BICUBIC))[..., None] / 255
    return np.rint(pixels * (1 - share) + np.array(colour) * share).astype(np.uint8), share[..., 0] > 0.1


@pytest.mark.parametrize("tilt", [0.0, 25.0])
def test_planted_words_are_read_and_erased_with_the_real_networks(tilt: float) -> None:
    pytest.importorskip("rapidocr")
    mask = np.zeros((192, 192), dtype=np.float32)
    mask[110:180, 60:140] = 1
    rows = np.mgrid[:192, :192][0]
    scene = np.stack([200 - rows * 0.3, 170 + rows * 0.2, 150 + rows * 0.1], axis=-1).astype(np.uint8)
    scene[mask > 0] = (60, 30, 90)
    scene, _ = _write(scene, "Coffee", (70, 130), 20, (240, 230, 200))
    spoilt, letters = _write(scene, "SUMMER SALE", (30, 50), 20, (30, 20, 20), tilt)
    image = RuleImage(Record("a", "a.png"), spoilt, None, mask)
    found = TextRule(erase=_smooth, finder=_finder()).judge(image)
    assert found.verdict is Verdict.REPAIR, found.reason
    assert "SUMMER" in found.reason
    assert [box.label for box in found.boxes].count("text on product") == 1
    changed = (found.repaired.pixels != spoilt).any(axis=2)
    assert changed[letters].mean() > 0.99 and not changed[mask > 0].any()
    clean = TextRule(erase=_smooth, finder=_finder()).judge(
        RuleImage(Record("a", "a.png"), scene, None, mask)
    )
    assert clean.verdict is Verdict.KEEP and clean.numbers["product_texts"] == 1


class _Engine:
    """Finds one line; reads ``words`` where it begins dark, ``others`` where it begins bright."""

    def __init__(self, words: str, others: str) -> None:
        self.words, self.others, self.reads = words, others, 0

    def __call__(self, image: np.ndarray, use_det: bool, **_) -> SimpleNamespace:
        if use_det:
            side = image.shape[0] / 64
            return SimpleNamespace(
                boxes=np.array([[[8, 20], [56, 20], [56, 32], [8, 32]]]) * side, scores=[0.3]
            )
        self.reads += 1
        words = self.words if image[:, 0].mean() < image[:, -1].mean() else self.others
        return SimpleNamespace(txts=[words], scores=[0.7])


@pytest.mark.parametrize(
    ("words", "others", "upside_down", "confidence", "reads"),
    [
        ("", "HOHa", 0.7, 0.7, 2),
        ("", "o", 0.0, 0.3, 2),
        ("W", "HOHa", 0.0, 0.3, 1),
        ("SALE", "HOHa", 0.0, 0.42, 1),
    ],
)
def test_what_cannot_be_read_is_read_upside_down(words, others, upside_down, confidence, reads) -> None:
    pytest.importorskip("cv2")
    finder = RapidTextFinder(FindingSettings(working_side=64))
    finder._engine = engine = _Engine(words, others)
    bright = np.tile(np.arange(0, 256, 4, dtype=np.uint8)[None, :, None], (64, 1, 3))
    (text,) = finder(bright)
    assert (text.text, text.upside_down, engine.reads) == (words, upside_down, reads)
    assert text.confidence == pytest.approx(confidence)


@pytest.mark.parametrize(
    ("left", "top", "near"), [(15, 0, True), (16, 0, False), (0, 15, True), (-15, -15, True), (0, -16, False)]
)
def test_near_is_within_so_many_heights_and_the_edge_counts(left: float, top: float, near: bool) -> None:
    square = np.array([[0, 0], [10, 0], [10, 10], [0, 10]], np.float32)
    text = FoundText(square, 0.9, "ab", 0.9)
    assert FoundText(square + np.float32([left, top]), 0.9, "ab", 0.9).is_near(text, 1.0) is near
