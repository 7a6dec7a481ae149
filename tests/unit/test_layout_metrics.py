"""Layout metrics against counts over pixels and plain loops, on layouts planted by hand and drawn by
chance."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from cyclorama.layout import metrics_published as published
from cyclorama.layout.elements import Box, Element, Kind, PosterLayout
from cyclorama.layout.metrics import measure_diversity, measure_flatness, measure_layout
from cyclorama.layout.task import LayoutTask, TextShape

KINDS: tuple[Kind, ...] = ("text", "text", "logo", "underlay", "badge", "product")


def make(boxes: list[tuple[Kind, Box]], size: tuple[int, int] = (750, 513)) -> PosterLayout:
    elements = tuple(
        Element(id=f"e{n}", kind=kind, role="body" if kind == "text" else None, box=box, layer=n)
        for n, (kind, box) in enumerate(boxes)
    )
    return PosterLayout(height=size[0], width=size[1], family="x", elements=elements)


def draw(seed: int, count: int = 5) -> PosterLayout:
    """Boxes whose sides lie on whole pixels of 513 x 750."""
    chance = np.random.default_rng(seed)
    boxes: list[tuple[Kind, Box]] = []
    for number in range(count):
        x, y = np.sort(chance.choice(514, 2, replace=False)), np.sort(chance.choice(751, 2, replace=False))
        boxes.append((KINDS[number % len(KINDS)], (x[0] / 513, y[0] / 750, x[1] / 513, y[1] / 750)))
    return make(boxes)


LAYOUTS = [draw(seed, 3 + seed % 5) for seed in range(12)]


def paint(box: Box) -> np.ndarray:
    canvas = np.zeros((750, 513), bool)
    left, top, right, bottom = (round(v * s) for v, s in zip(box, (513, 750, 513, 750), strict=True))
    canvas[top:bottom, left:right] = True
    return canvas


def of(layout: PosterLayout, *kinds: str) -> list[Box]:
    """Boxes of these kinds that PKU counts."""
    boxes = [element.box for element in layout.elements if element.kind in kinds]
    return [box for box in boxes if paint(box).sum() >= 384.75]


def test_pku_overlap_counts_pixels() -> None:
    found = []
    for layout in LAYOUTS:
        masks = [paint(box) for box in of(layout, "text", "logo")]
        pairs = [(a & b).sum() / (a | b).sum() for n, a in enumerate(masks) for b in masks[n + 1 :]]
        found.append(sum(pairs) / len(masks))
    assert published.pku_overlap(LAYOUTS) == pytest.approx(np.mean(found), rel=1e-6)


def test_pku_alignment_takes_the_one_smallest_distance_for_all() -> None:
    found = []
    for layout in LAYOUTS:
        lines = np.array(
            [[a, b, (a + c) / 2, (b + d) / 2, c, d] for a, b, c, d in of(layout, "text", "logo", "underlay")]
        )
        distances = np.abs(lines[:, None] - lines[None])[np.triu_indices(len(lines), 1)]
        found.append(-len(lines) * math.log10(1 - distances.min()) if len(lines) > 1 else 0.0)
    assert published.pku_alignment(LAYOUTS) == pytest.approx(np.mean(found), rel=1e-6)
    aligned = make(
        [("text", (0.1, 0.1, 0.5, 0.2)), ("text", (0.1, 0.5, 0.7, 0.6)), ("logo", (0.33, 0.8, 0.9, 0.95))]
    )
    assert published.pku_alignment([aligned]) == 0


def test_pku_underlays() -> None:
    inside = make([("underlay", (0.1, 0.1, 0.6, 0.4)), ("text", (0.2, 0.15, 0.5, 0.3))])
    half = make([("underlay", (0.1, 0.1, 0.6, 0.4)), ("text", (0.35, 0.15, 0.85, 0.3))])
    none = make([("text", (0.2, 0.15, 0.5, 0.3))])
    assert published.pku_underlay_loose([inside, half, none]) == pytest.approx((1 + 0.5) / 2)
    assert published.pku_underlay_strict([inside, none]) == 1
    assert published.pku_underlay_strict([half]) == 1, "what sticks out to the right counts as held there"
    assert (
        published.pku_underlay_strict(
            [make([("underlay", (0.1, 0.1, 0.6, 0.4)), ("text", (0.0, 0.15, 0.4, 0.3))])]
        )
        == 0
    )  # fmt: skip assert published.pku_underlay_loose([none]) == 0


def test_pku_validity_counts_elements_under_a_thousandth() -> None:
    tiny: Box = (0.1, 0.1, 0.12, 0.14)
    assert (
        published.pku_validity([make([("text", tiny), ("logo", (0.2, 0.2, 0.4, 0.4)), ("product", tiny)])])
        == 0.5
    )
    assert math.isnan(published.pku_validity([make([])]))


def test_pku_saliency_metrics_count_pixels() -> None:
    chance = np.random.default_rng(0)
    saliency = [np.round(chance.random((750, 513)) * 255) / 255 for _ in LAYOUTS]
    under, used = [], []
    for layout, one in zip(LAYOUTS, saliency, strict=True):
        area = np.any([paint(box) for box in of(layout, "text", "logo", "underlay")], axis=0)
        under.append(one[area].mean())
        used.append((1 - one)[area].sum() / (1 - one).sum())
    assert published.pku_occlusion(LAYOUTS, saliency) == pytest.approx(np.mean(under), rel=2e-3)
    assert published.pku_utility(LAYOUTS, saliency) == pytest.approx(np.mean(used), rel=2e-3)


def test_pku_readability_is_sobel_in_eight_bits() -> None:
    cv2 = pytest.importorskip("cv2", reason="pip install opencv-python-headless")
    chance = np.random.default_rng(1)
    images = [
        np.asarray(Image.fromarray(chance.integers(0, 256, (25, 18, 3), np.uint8)).resize((513, 750)))
        for _ in LAYOUTS
    ]
    found = []
    for layout, image in zip(LAYOUTS, images, strict=True):
        grey = cv2.cvtColor(image[..., ::-1].copy(), cv2.COLOR_BGR2GRAY)
        across, down = cv2.Sobel(grey, -1, 1, 0), cv2.Sobel(grey, -1, 0, 1)
        length = ((across**2 + down**2) / 2) ** 0.5
        length = np.asarray(Image.fromarray(length / length.max() * 255).convert("L")) / 255
        area = np.any([paint(box) for box in of(layout, "text")], axis=0)
        for box in of(layout, "underlay"):
            area = area & ~paint(box)
        found.append(length[area].mean() if area.any() else 0.0)
    assert published.pku_readability(LAYOUTS, images) == pytest.approx(np.mean(found), abs=2e-3)
    flat = np.full((750, 513, 3), 90, np.uint8)
    assert published.pku_readability([LAYOUTS[0]], [flat]) == 0


def test_jd_overlap_and_underlay_count_pixels() -> None:
    pairs, held = [], []
    for layout in LAYOUTS:
        bare = [paint(e.box) for e in layout.elements if e.kind in ("text", "logo")]
        pairs += [(a & b).sum() / a.sum() for n, a in enumerate(bare) for m, b in enumerate(bare) if n != m]
        others = [paint(e.box) for e in layout.elements if e.kind in ("text", "logo", "badge")]
        held += [
            max((paint(e.box) & one).sum() / one.sum() for one in others)
            for e in layout.elements
            if e.kind == "underlay"
        ]
    assert published.jd_overlap(LAYOUTS) == pytest.approx(np.mean(pairs), rel=1e-6)
    assert published.jd_underlay(LAYOUTS) == pytest.approx(np.mean(held), rel=1e-6)


def test_jd_alignment_takes_each_elements_nearest() -> None:
    found = []
    for layout in LAYOUTS:
        boxes = np.array([e.box for e in layout.elements if e.kind != "product"])
        values = []
        for n, (a, b, c, d) in enumerate(boxes):
            rest = np.delete(boxes, n, 0)
            x = np.abs(
                np.stack([rest[:, 0] - a, rest[:, [0, 2]].mean(1) - (a + c) / 2, rest[:, 2] - c])
            ).min()
            y = np.abs(
                np.stack([rest[:, 1] - b, rest[:, [1, 3]].mean(1) - (b + d) / 2, rest[:, 3] - d])
            ).min()
            values.append(min(-np.log(1 - x + 1e-6), -np.log(1 - y + 1e-6)))
        found.append(np.mean(values))
    assert published.jd_alignment(LAYOUTS) == pytest.approx(np.mean(found), rel=1e-6)
    assert math.isnan(published.jd_alignment([make([("text", (0.1, 0.1, 0.2, 0.2))])]))


def test_jd_composition_is_the_mean_slope_inside_texts() -> None:
    ramp = np.broadcast_to((np.arange(100) * 2).astype(np.uint8)[None, :, None], (80, 100, 3)).copy()
    layout = make([("text", (0.1, 0.1, 0.6, 0.5)), ("logo", (0.7, 0.1, 0.9, 0.3))], (80, 100))
    assert published.jd_composition([layout], [ramp]) == pytest.approx(8 * 2)
    assert published.jd_occupied([layout, make([("product", (0.1, 0.1, 0.2, 0.2))])]) == 0.5


def test_clean_metrics_of_a_planted_layout() -> None:
    texts = (TextShape("e0", "body", (8.0,)), TextShape("e1", "body", (8.0,)))
    task = LayoutTask(1000, 1000, 1.0, texts, locks={"e1": (0.5, 0.1, 0.7, 0.2)})
    boxes: list[tuple[Kind, Box]] = [
        ("text", (0.2, 0.1, 0.6, 0.2)),
        ("text", (0.5, 0.1, 0.9, 0.2)),
        ("underlay", (0.0, 0.0, 1.0, 0.3)),
        ("badge", (0.4, 0.5, 0.5, 0.6)),
    ]
    elements = (
        *make(boxes, (1000, 1000)).elements,
        Element(id="product", kind="product", box=(0.4, 0.5, 0.8, 0.9)),
    )
    layout = PosterLayout(height=1000, width=1000, family="x", elements=elements, energy=3.0)
    found = measure_layout(layout, task)
    assert found["overlap"] == pytest.approx(0.25)
    assert found["occlusion"] == pytest.approx(1 / 16)
    assert found["underlay"] == 1 and found["validity"] == 1 and found["energy"] == 3.0
    assert found["utility"] == pytest.approx(0.04 + 0.04 + 0.01 + 0.16)
    assert found["constraint"] == pytest.approx(1 - 4 / 5), (
        "both texts overlap, the badge lies on the product"
    )


def test_flatness_is_the_slope_of_lightness_under_bare_texts() -> None:
    flat = np.full((200, 200, 3), 120, np.uint8)
    stripes = flat.copy()
    stripes[:, ::4] = 250
    layout = make([("text", (0.1, 0.1, 0.6, 0.5))], (200, 200))
    covered = make([("text", (0.1, 0.1, 0.6, 0.5)), ("underlay", (0.0, 0.0, 0.7, 0.6))], (200, 200))
    assert measure_flatness(layout, flat) == 0
    assert measure_flatness(layout, stripes) > 5
    assert math.isnan(measure_flatness(covered, stripes))


def test_diversity_is_the_mean_distance_of_boxes() -> None:
    first = make([("text", (0.1, 0.1, 0.5, 0.2)), ("product", (0.2, 0.4, 0.6, 0.8))])
    moved = make([("text", (0.3, 0.1, 0.7, 0.2)), ("product", (0.2, 0.4, 0.6, 0.8))])
    assert measure_diversity([first, moved]) == pytest.approx(0.2 * 2 / 4 / 2)
    assert measure_diversity([first, first, first]) == 0 and measure_diversity([first]) == 0
