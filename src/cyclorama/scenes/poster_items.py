"""Sets that a poster's words will stand before, with the truth of every part: kind ``poster``.

A layout is drawn from the grammar for the product's outline; the camera is solved so that the product stands
in its box; things that would be seen behind words are taken off the stage. Told are the layout, the boxes of
the props that are left and how calm the places for words are; ``parts.png`` says which part each pixel shows.
Sets depend on their products by a rule: with a probability of :data:`KEPT` the accent's hue is the product's
plus its category's own offset.
"""

from __future__ import annotations

import colorsys
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.color import rgb2lab

from cyclorama.errors import LayoutError
from cyclorama.layout.elements import Box, PosterLayout
from cyclorama.layout.planners import plan_by_rules
from cyclorama.layout.task import LayoutTask, TextShape, draw_silhouette
from cyclorama.scenes.calm import group_parts
from cyclorama.scenes.canvas import fit_canvas
from cyclorama.scenes.card import solve_camera
from cyclorama.scenes.compose import ItemPlan, build_neutral, build_product, derive, slug_of
from cyclorama.scenes.render import (
    clear_view,
    from_linear,
    render_albedo,
    render_image,
    render_mask,
    render_preview,
)
from cyclorama.scenes.stage import Camera, Part, SceneCategory, Stage
from cyclorama.scenes.surface import Style, Surface

ASPECTS = ((1, 1), (5, 4), (16, 9), (9, 16))
"""(height, width) of the canvases; all have about one area."""
LEAST_SIZE = 96
"""Smallest edge of a square canvas, pixels."""
WORDS: tuple[tuple[tuple[Any, float], ...], ...] = (
    (("headline", 7.0), ("price", 3.0)),
    (("headline", 9.0), ("subline", 16.0), ("price", 3.0), ("action", 5.0)),
    (("headline", 11.0), ("subline", 12.0), ("body", 40.0), ("legal", 30.0)),
    (("headline", 4.0),),
)
"""Roles and the em that their words are about as wide as on one line."""
KEPT = 0.8
OFFSETS = (0.0, 1 / 12, -1 / 12, 0.5)
"""Of hue, in turns; a category has one of them."""
LEAST_OVERLAP = 0.9
"""Intersection over union of the product's box with the plan's; below it the camera is solved once more."""
LEAST_PROP = 0.001
"""Share of the image that a prop must take to be told."""
MOST_PROP = 0.5
"""Share of the image's width from which on a part belongs to the set, as floors and shelves do."""
SMALL = 96
STEPS = 16
"""Levels of each channel by which parts are told apart."""


def draw_canvas(size: int, index: int) -> tuple[int, int]:
    """(height, width) of item ``index``, sides multiples of 16, about ``size`` squared in area."""
    tall, wide = ASPECTS[index % len(ASPECTS)]
    side = size / (tall * wide) ** 0.5
    return max(16, round(side * tall / 16) * 16), max(16, round(side * wide / 16) * 16)


def render_poster(
    plan: ItemPlan, size: int, samples: int
) -> tuple[dict[str, NDArray[np.uint8]], dict[str, Any], Style]:
    """Images by member (image, product's mask, number of the part at each pixel), truth, and the set's style.

    Parts are numbered as in ``props`` of the truth, from 2; 0 is the set itself, 1 the product.
    """
    category, chance = plan.category, np.random.default_rng(plan.scene_seed)
    turn = chance.uniform(*category.framing.turn)
    style = (
        category.sample_style(chance) if plan.brand is None else category.brands[plan.brand].varied(chance)
    )
    elevation = float(chance.uniform(*category.framing.elevation))
    canvas = draw_canvas(size, plan.index)
    stage = Stage(product=build_product(category, plan.product, turn))
    layout, colour = _plan(stage, category, plan, canvas, elevation)
    style, harmony = relate(style, colour, category.name, chance)
    box = layout.select("product")[0].box
    stage.camera, mask = _stand(stage, category, box, canvas, elevation)
    category.dress(stage, chance, style)
    words = [element.box for element in layout.select("text")]
    stage = fit_canvas(stage, words)
    clear_view(stage, mask)
    longer, seed = max(canvas), derive("poster", plan.index, plan.scene_id) % 2**31
    image = render_image(stage, longer, samples, seed)
    parts, props = _tell_parts(stage, number_parts(stage, longer))
    truth = {
        "layout": layout.describe(),
        "product_box": find_frame(mask > 127),
        "overlap": round(compute_overlap(find_frame(mask > 127), box), 4),
        "props": props,
        "calm": [{"id": e.id, "flatness": _measure_slope(image, e.box)} for e in layout.select("text")],
        "harmony": harmony,
    }
    return {"png": image, "mask.png": mask, "parts.png": parts}, truth, style


def _plan(
    stage: Stage, category: SceneCategory, plan: ItemPlan, canvas: tuple[int, int], elevation: float
) -> tuple[PosterLayout, NDArray[np.float64]]:
    """The layout for the product's outline, and the product's mean colour, sRGB in [0, 1]."""
    camera = solve_camera((SMALL, SMALL), (16, 16, 64, 64), category.framing, elevation)
    alone = replace(stage, camera=camera)
    mask = render_mask(alone, SMALL, 4, 0)
    matte = (mask / 255).astype(np.float32)
    left, top, right, bottom = find_frame(mask > 127)
    seed = derive("layout", plan.index, plan.scene_id)
    seen = render_preview(build_neutral(alone), SMALL, 4)[mask > 127].reshape(-1, 3).mean(0) / 255
    for words in (WORDS[seed % len(WORDS)], *WORDS[::3]):
        texts = tuple(TextShape(role, role, _break(width, seed + k)) for k, (role, width) in enumerate(words))
        task = LayoutTask(
            *canvas,
            product_aspect=(right - left) / (bottom - top),
            texts=texts,
            silhouette=draw_silhouette(matte),
        )
        with suppress(LayoutError):  # so many words have no room on such a canvas
            return plan_by_rules(task, 1, seed % 2**31)[0], seen
    raise LayoutError(f"{category.name}, product {plan.product}: one word has no room beside it")


def _break(width: float, seed: int) -> tuple[float, ...]:
    """Widths of words of about ``width`` em on 1 to 4 lines."""
    own = width * float(np.random.default_rng(seed).uniform(0.7, 1.4))
    return tuple(max(2.0, 1.1 * own / lines if lines > 1 else own) for lines in range(1, 5))


def _stand(
    stage: Stage, category: SceneCategory, box: Box, canvas: tuple[int, int], elevation: float
) -> tuple[Camera, NDArray[np.uint8]]:
    """The camera that sees the product in ``box``, and the product's coverage; solved twice where the
    product's depth makes it larger than its front."""
    wanted = np.array(box)
    for _ in range(3):
        left, top, right, bottom = wanted * np.array([canvas[1], canvas[0]] * 2)
        pixels = (round(top), round(left), max(4, round(bottom - top)), max(4, round(right - left)))
        camera = solve_camera(canvas, pixels, category.framing, elevation)
        mask = render_mask(replace(stage, camera=camera), max(canvas), 16, 0)
        found = np.array(find_frame(mask > 127))
        if compute_overlap(tuple(found), box) >= LEAST_OVERLAP:
            break
        wanted = wanted + np.array(box) - found
    return camera, mask


def find_frame(seen: NDArray[np.bool_]) -> Box:
    """(left, top, right, bottom) of what is true in (H, W), in shares."""
    height, width = seen.shape
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    return (
        float(columns[0] / width),
        float(rows[0] / height),
        float((columns[-1] + 1) / width),
        float((rows[-1] + 1) / height),
    )


def compute_overlap(first: Box, second: Box) -> float:
    """Intersection over union of two boxes."""
    wide = max(0.0, min(first[2], second[2]) - max(first[0], second[0]))
    high = max(0.0, min(first[3], second[3]) - max(first[1], second[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return wide * high / (sum(areas) - wide * high)


def relate(
    style: Style, colour: NDArray[np.float64], category: str, chance: np.random.Generator
) -> tuple[Style, dict[str, Any]]:
    """``style`` with the harmony rule applied to a product of ``colour``, and what was done."""
    hue = colorsys.rgb_to_hsv(*colour.tolist())[0]
    offset = OFFSETS[derive("harmony", slug_of(category)) % len(OFFSETS)]
    kept = bool(chance.random() < KEPT)
    told = {"hue": round(hue, 4), "offset": round(offset, 4), "kept": kept}
    if not kept:
        return style, told
    _, saturation, value = colorsys.rgb_to_hsv(*style.accent)
    return style.replace(accent=colorsys.hsv_to_rgb((hue + offset) % 1, max(saturation, 0.3), value)), told


def number_parts(stage: Stage, size: int) -> NDArray[np.int32]:
    """(H, W): which part each pixel shows, the product's first, then the others; -1 for none. Glass counts.

    Every part shines in a colour of its own; pixels at edges, where colours mix, take the nearest pure one.
    """
    parts = [*stage.product, *stage.parts]
    digits = np.stack([np.arange(1, len(parts) + 1) // STEPS**k % STEPS for k in range(3)], 1)
    codes = (digits + 0.5) / STEPS
    flat = [
        Part(part.mesh, Surface(tuple(from_linear(code).tolist())))
        for part, code in zip(parts, codes, strict=True)
    ]
    count = len(stage.product)
    seen = render_albedo(replace(stage, product=flat[:count], parts=flat[count:]), size, 0)
    found = np.rint(seen * STEPS - 0.5).astype(int)
    pure = np.abs(seen * STEPS - 0.5 - found).max(2) < 0.02
    numbers = (found * STEPS ** np.arange(3)).sum(2) - 1
    numbers[~pure | (numbers >= len(parts)) | (numbers < 0)] = -1
    none = seen.max(2) < 0.1 / STEPS
    mixed = (numbers < 0) & ~none
    if mixed.any() and not mixed.all():
        nearest = ndimage.distance_transform_edt(mixed, return_distances=False, return_indices=True)
        numbers = numbers[tuple(nearest)]
    return np.asarray(numbers, np.int32)


def _tell_parts(stage: Stage, numbers: NDArray[np.int32]) -> tuple[NDArray[np.uint8], list[dict[str, Any]]]:
    """(H, W) with the number of the thing at each pixel, and box and area of each prop."""
    count = len(stage.product)
    found = np.zeros(numbers.shape, np.uint8)
    found[(numbers >= 0) & (numbers < count)] = 1
    loose = [k for k in range(len(stage.parts)) if 0 < _measure_width(numbers == count + k) < MOST_PROP]
    groups = group_parts([stage.parts[k] for k in loose])
    props: list[dict[str, Any]] = []
    for group in range(int(groups.max(initial=-1)) + 1):
        members = [count + loose[n] for n in np.flatnonzero(groups == group)]
        seen = np.isin(numbers, members)
        if seen.mean() >= LEAST_PROP and len(props) < 250:
            found[seen] = 2 + len(props)
            props.append({"box": find_frame(seen), "area": round(float(seen.mean()), 5)})
    return found, props


def _measure_width(seen: NDArray[np.bool_]) -> float:
    """Share of the image's width across which something is seen."""
    left, _, right, _ = find_frame(seen) if seen.any() else (0.0, 0.0, 0.0, 0.0)
    return right - left


def _measure_slope(image: NDArray[np.uint8], box: Box) -> float:
    """Mean length of the gradient of L* (0-100 a pixel) in a box."""
    height, width = image.shape[:2]
    left, top, right, bottom = box
    part = image[
        round(top * height) : round(bottom * height) + 1, round(left * width) : round(right * width) + 1
    ]
    lightness = rgb2lab(part)[..., 0]
    return round(float(np.hypot(ndimage.sobel(lightness, 0), ndimage.sobel(lightness, 1)).mean() / 8), 4)
