"""What every rule and measure of curating says of drawn images, number by number, against stored values.

The values stand in ``tests/curate_numbers.json``; run this file as a program to write them anew, and read the
difference before it is committed.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from cyclorama.curate.borders import find_frame, find_seam
from cyclorama.curate.duplicates import (
    DuplicatesSettings,
    compute_product_likeness,
    compute_rank,
    find_copies,
)
from cyclorama.curate.duplicates_pairs import build_windows, find_embedding_pairs, find_hash_pairs, whiten
from cyclorama.curate.mask import MaskRule
from cyclorama.curate.mask_edges import EdgeSettings, measure_blocks, measure_edges
from cyclorama.curate.people import PeopleRule
from cyclorama.curate.people_finding import FACE, FoundPerson, build_blaze_finder, shows_skin
from cyclorama.curate.quality import BlankRule, QualityRule, SizeRule, measure_blurs
from cyclorama.curate.records import Box, Record, RuleImage, Summary
from cyclorama.curate.splits import compute_shape_similarity
from cyclorama.curate.summary import build_summary, compute_hashes, summarise
from cyclorama.curate.text import TextRule, TextSettings
from cyclorama.curate.text_finding import FindingSettings, FoundText, RapidTextFinder, draw_texts

STORED = Path(__file__).parents[1] / "curate_numbers.json"
HEIGHT, WIDTH = 150, 200
ROWS, COLUMNS = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)


def draw(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(uint8 (150, 200, 3), float32 (150, 200)): waves behind a striped ellipse, and the ellipse."""
    away = np.hypot((ROWS - 80) / 45, (COLUMNS - 90 - 10 * seed) / 55)
    product = np.clip((1 - away) * 25 + 0.5, 0, 1).astype(np.float32)
    waves = [np.sin(ROWS / (3 + k + seed)) * np.cos(COLUMNS / (9 - 2 * k)) for k in range(3)]
    behind = 120 + 50 * np.stack(waves, axis=-1)
    stripes = 60 * (np.sin((ROWS + 2 * COLUMNS) / 6) > 0)
    front = np.stack([190 - stripes, 90 + stripes, 60 + stripes], axis=-1)
    mixed = front * product[..., None] + behind * (1 - product[..., None])
    return np.rint(mixed).clip(0, 255).astype(np.uint8), product


def frame(pixels: np.ndarray) -> np.ndarray:
    output = pixels.copy()
    output[:6], output[-9:], output[:, :7] = 250, 250, 250
    return output


def crush(pixels: np.ndarray, quality: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality, subsampling=0)
    return stream.getvalue()


def build(pixels: np.ndarray, mask: np.ndarray | None, raw: bytes = b"") -> RuleImage:
    return RuleImage(Record("a", "a.png", product_id="p"), pixels, None, mask, raw)


def judge_images() -> dict[str, Any]:
    pixels, mask = draw(0)
    other, _ = draw(1)
    raw = crush(pixels, 20)
    crushed = np.asarray(Image.open(io.BytesIO(raw)))
    joined = np.concatenate([pixels[:, :104], other[:, :96]], axis=1)
    images = {
        "plain": build(pixels, mask),
        "without mask": build(pixels, None),
        "framed": build(frame(pixels), mask),
        "joined": build(joined, None),
        "joined upright": build(np.ascontiguousarray(joined.swapaxes(0, 1)), None),
        "crushed": build(crushed, mask, raw),
        "blurred": build(ndimage.gaussian_filter(pixels, (1.5, 1.5, 0)), mask),
        "shifted": build(pixels, ndimage.shift(mask, (8, -6), order=1)),
        "cut off": build(pixels, np.where(ROWS < 70, mask, 0).astype(np.float32)),
        "coarse": build(pixels, np.kron(mask[2::5, 2::5] > 0.5, np.ones((5, 5))).astype(np.float32)),
        "in pieces": build(
            pixels, np.where((ROWS % 30 < 6) | (np.hypot(ROWS - 80, COLUMNS - 90) < 9), 0, mask)
        ),
        "inverted": build(pixels, 1 - mask),
        "flat": build(np.full_like(pixels, 200), mask),
        "wide": build(np.ascontiguousarray(pixels[:70]), np.ascontiguousarray(mask[:70])),
    }
    found: dict[str, Any] = {}
    for name, image in images.items():
        for rule in (SizeRule(), QualityRule(), MaskRule(), BlankRule()):
            finding = rule.judge(image)
            boxes = [[b.left, b.top, b.right, b.bottom] for b in finding.boxes]
            said = {"verdict": finding.verdict.value, "reason": finding.reason, "boxes": boxes}
            found[f"{name}: {rule.name}"] = {**finding.numbers, **said}
    return found


def measure_edges_and_borders() -> dict[str, Any]:
    pixels, mask = draw(0)
    found: dict[str, Any] = {}
    for name, drawn in (("frame", frame(pixels)), ("turned", frame(pixels)[::-1, ::-1]), ("none", pixels)):
        borders = find_frame(drawn, mask)
        found[name] = [borders.top, borders.bottom, borders.left, borders.right]
        seam = find_seam(drawn)
        found[f"{name}: seam"] = [int(seam.upright), int(seam.place), seam.score]
    for wide in (14, 15, 16):  # of 15 allowed
        barred = pixels.copy()
        barred[:wide] = barred[-wide:] = 20
        borders = find_frame(barred, max_share=0.1)
        found[f"bars of {wide}"] = [borders.top, borders.bottom, borders.left, borders.right]
    for name, settings in (("wide", EdgeSettings(reach=7, tolerance=2)), ("few", EdgeSettings(points=90))):
        for down, right in ((0, 0), (3, 5), (-7, 2)):
            fit = measure_edges(pixels, np.roll(mask, (down, right), (0, 1)), settings)
            assert fit is not None
            found[f"{name} {down} {right}"] = [
                fit.agreement, fit.weakest_side, fit.straight, fit.shift_gain, *fit.shift,
            ]  # fmt: skip
    found["blocks"] = [measure_blocks(np.kron(mask[::k, ::k], np.ones((k, k)))) for k in (1, 2, 3, 4, 7)]
    found["blurs"] = [list(measure_blurs(pixels, m, side)) for m in (mask, None) for side in (64, 512)]
    return found


def judge_people() -> dict[str, Any]:
    pixels, mask = draw(0)
    people = [
        FoundPerson(Box(70, 60, 110, 100, "face", 7.0), 1.2),
        FoundPerson(Box(0, 0, 30, 40, "profile", 4.0), 0.8),
        FoundPerson(Box(120, 10, 180, 140, "body", 2.0), 1.6),
        FoundPerson(Box(60, 50, 120, 110, "body", 2.0), 1.1),
        FoundPerson(Box(-5, -5, 9, 9, "human face", 0.7), 1.75),
    ]
    found: dict[str, Any] = {}
    for count in range(1, len(people) + 1):
        finding = PeopleRule(finders=(lambda _, n=count: people[:n],)).judge(build(pixels, mask))
        boxes = [[b.left, b.top, b.right, b.bottom] for b in finding.boxes]
        found[f"{count}"] = {**finding.numbers, "reason": finding.reason, "boxes": boxes}

    def answer(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        places = np.arange(2304, dtype=np.float32)
        wave = np.sin(places / 97) * values.mean() + np.sin(places / 31)
        return np.stack([wave, -wave, 30 + 9 * wave, 26 - 5 * wave] * 4, axis=1), 6 * wave - 3

    finds = build_blaze_finder(Path("none"), FACE, 0.6, 0.05, answer)(pixels)
    found["blaze"] = [[p.box.left, p.box.top, p.box.right, p.box.bottom, p.ratio] for p in finds]
    skin = np.full((20, 20, 3), (200, 150, 130), np.uint8)
    skin[5:15, 5:15][np.arange(100).reshape(10, 10) >= 15] = (60, 160, 90)  # 15 of the middle's 100 are skin
    box = Box(0, 0, 20, 20, "face", 1.0)
    shares = [shows_skin(skin, box, least) for least in (0.149, 0.15, 0.151)]
    found["skin"] = [*map(int, shares), int(shows_skin(np.full_like(skin, 90), box))]
    return found


def judge_text() -> dict[str, Any]:
    pixels, mask = draw(0)

    def line(
        left: float, top: float, width: float, height: float, *said: Any, tilt: float = 0.0
    ) -> FoundText:
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        turn = np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]], np.float32)
        return FoundText((corners @ turn + (left, top)).astype(np.float32), *said)

    texts = [
        line(10, 8, 60, 9, 0.9, "SALE now", 0.95), line(12, 20, 14, 8, 0.4, "", 0.0),
        line(75, 70, 40, 10, 0.8, "sale NOW", 0.9), line(150, 120, 40, 8, 0.3, "ab", 0.7, tilt=0.3),
        line(20, 110, 10, 38, 0.35, "口", 0.8), line(135, 70, 30, 9, 0.7, "", 0.0, 0.5),
    ]  # fmt: skip
    found: dict[str, Any] = {"lines": [[t.reading, t.confidence, t.height] for t in texts]}
    for name, settings in (("usual", TextSettings()), ("strict", TextSettings(max_erased=0.01, join=0.1))):
        rule = TextRule(
            settings, lambda p, hole: np.where(hole[..., None], 120, p).astype(np.uint8), lambda p: texts
        )
        for given, product in (("mask", mask), ("no mask", None)):
            finding = rule.judge(build(pixels, product))
            boxes = [[b.left, b.top, b.right, b.bottom, b.score] for b in finding.boxes]
            said = {"verdict": finding.verdict.value, "reason": finding.reason, "boxes": boxes}
            found[f"{name}, {given}"] = {**finding.numbers, **said}
    strips: list[list[float]] = []

    def answer(image: np.ndarray, use_det: bool, **_: bool) -> SimpleNamespace:
        if use_det:
            factor = image.shape[0] / HEIGHT
            places = [text.polygon * factor + (5 if factor < 1.5 else 0) for text in texts]
            return SimpleNamespace(boxes=places, scores=[text.detection for text in texts])
        strips.append([*image.shape[:2], float(image.mean())])
        count = len(strips) % 4
        return SimpleNamespace(txts=(" ", "ab", "口", "|x")[count : count + 1], scores=(0.2 + 0.2 * count,))

    finder = RapidTextFinder(FindingSettings(working_side=300, max_side=500, scales=(1.0, 0.5)))
    finder._engine = answer
    found["found"] = [
        [*t.polygon.ravel().tolist(), t.recognition, t.upside_down, t.text] for t in finder(pixels)
    ]
    found["strips"] = strips
    found["drawn"] = [int(draw_texts([t], mask.shape, grow, 1.0).sum()) for t in texts for grow in (0, 0.3)]
    found["near"] = [[int(a.is_near(b, 1.0)) for a in texts] for b in texts]
    return found


def compare_images() -> dict[str, Any]:
    images = [draw(seed) for seed in (0, 1, 4)]
    first, mask = images[0]
    images += [
        (np.ascontiguousarray(first[8:-6, 11:-9]), np.ascontiguousarray(mask[8:-6, 11:-9])),
        (np.clip(first * 0.8 + 30, 0, 255).astype(np.uint8), mask),
        (frame(first), mask),
    ]
    rows: list[Summary] = []
    for number, (pixels, product) in enumerate(images):
        image = build(pixels, product)
        values = summarise(image, lambda p: np.cos(np.arange(8) * float(p[40:50, 60].mean())))
        record = Record(f"k{number}", "x", product_id="p", clicks=number)
        rows.append(build_summary(record, (), values, str(number)))
    shapes = np.stack([row.mask_shape for row in rows if row.mask_shape is not None])
    thumbnails = np.stack([row.thumbnail for row in rows if row.thumbnail is not None])
    pairs, likeness = find_copies(rows, DuplicatesSettings(gate=64, hash_distance=64))
    hashes = compute_hashes(thumbnails, build_windows())
    places = np.arange(2400, dtype=np.float64)
    many = np.stack([np.sin(places * (k + 1) * 0.37 + places**2 * 0.011) for k in range(6)], axis=1)
    near = find_embedding_pairs(many.astype(np.float32), 2)
    return {
        "numbers": [dict(row.numbers) for row in rows],
        "sums": [[float(r.mask_shape.sum()), int(r.product.sum()), int(r.thumbnail.sum())] for r in rows],
        "embeddings": [row.embedding.tolist() for row in rows],
        "ranks": [list(compute_rank(row)[:2]) for row in rows],
        "shapes": compute_shape_similarity(shapes, shapes).tolist(),
        "products": [[compute_product_likeness(a, b) for a in rows] for b in rows],
        "pairs": pairs.tolist(),
        "likeness": likeness.tolist(),
        "hashes": [[f"{value:016x}" for value in row] for row in hashes[:, :3]],
        "hash pairs": find_hash_pairs(hashes, 12).tolist(),
        "near": [float(len(near)), float(near.sum())],
        "whitened": np.abs(whiten(many[:40].astype(np.float32))[:3]).sum(axis=1).tolist(),
    }


TOPICS = {
    "images": judge_images,
    "edges": measure_edges_and_borders,
    "people": judge_people,
    "text": judge_text,
    "copies": compare_images,
}


def check(found: Any, wanted: Any, where: str) -> None:
    """Texts are equal, numbers nearly so: libraries of another build round otherwise."""
    if isinstance(wanted, dict):
        assert set(found) == set(wanted), where
        for name in wanted:
            check(found[name], wanted[name], f"{where}, {name}")
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), where
        for place, (one, other) in enumerate(zip(found, wanted)):
            check(one, other, f"{where}[{place}]")
    elif isinstance(wanted, float):
        assert found == pytest.approx(wanted, rel=1e-3, abs=1e-4), where
    else:
        assert found == wanted, where


@pytest.mark.parametrize("topic", TOPICS)
def test_numbers_are_the_stored_ones(topic: str) -> None:
    if topic == "text":
        pytest.importorskip("cv2")
    wanted = json.loads(STORED.read_text(encoding="utf-8"))[topic]
    check(json.loads(json.dumps(TOPICS[topic]())), wanted, topic)


if __name__ == "__main__":
    stored = {name: compute() for name, compute in TOPICS.items()}
    STORED.write_text(
        json.dumps(stored, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8"
    )
