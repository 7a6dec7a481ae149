"""Where do MediaPipe's BlazeFace and BlazePose see a face or a person?

Networks of a few milliseconds (arXiv 1907.05047 and 2006.10204; Apache-2.0), run by ``ai-edge-litert``. Their
files are not part of this package: any folder that holds them will do, such as an unpacked wheel of
``mediapipe`` 0.10.21. Both expect people who fill most of an image, so that it is looked at as a
whole and in overlapping quarters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cyclorama.curate.people_finding import FoundPerson
from cyclorama.curate.records import Box
from cyclorama.errors import ModelFormatError, ModelNotFoundError, import_optional
from cyclorama.imaging.transforms import resize_pixels
from cyclorama.types import Pixels

Values = npt.NDArray[np.float32]

Network = Callable[[Values], tuple[Values, Values]]
"""Input float32 (1, side, side, 3) in [-1, 1] -> (regressions (N, R), logits (N,)) of its N anchors."""

_QUARTER = 0.6
"""Side of an overlapping quarter as a share of the image's."""
_MOST = 8
"""Most finds in one view."""
_SAME = 0.3
"""Intersection over union from which two finds are one."""


@dataclass(frozen=True)
class BlazeLayout:
    """What a network's file does not say of itself."""

    file: str
    label: str
    side: int
    """Side, in pixels, of its input."""
    grid: tuple[tuple[int, int], ...]
    """(cells per side, anchors per cell), in the order of its outputs."""

    @property
    def anchors(self) -> Values:
        """(N, 2) centres (x, y) in shares of the input's side."""
        centres = []
        for cells, each in self.grid:
            place = (np.arange(cells, dtype=np.float32) + 0.5) / cells
            x, y = np.meshgrid(place, place)
            centres.append(np.repeat(np.stack([x, y], axis=-1).reshape(-1, 2), each, axis=0))
        return np.concatenate(centres)


FACE = BlazeLayout("face_detection_full_range_sparse.tflite", "face", 192, ((48, 1),))
BODY = BlazeLayout("pose_detection.tflite", "person", 224, ((28, 2), (14, 2), (7, 6)))


def build_blaze_finder(
    folder: Path, layout: BlazeLayout, limit: float, smallest: float, network: Network | None = None
) -> Callable[[Pixels], list[FoundPerson]]:
    """A finder with the network of ``layout`` in or below ``folder``; counting from probability ``limit`` on.

    A person's place is half as wide as the circle round the hips that holds all of it. ``network`` stands in
    for the file. Raises, when first used, ModelNotFoundError (no such file), ModelFormatError (another
    network), MissingDependencyError (no ai-edge-litert).
    """
    loaded: list[Network] = [] if network is None else [network]
    anchors = layout.anchors

    def find(pixels: Pixels) -> list[FoundPerson]:
        if not loaded:
            loaded.append(_load_network(folder, layout))
        found: list[FoundPerson] = []
        for left, top, view in split_views(pixels):
            values, scale = letterbox(view, layout.side)
            regressions, logits = loaded[0](values)
            if len(logits) != len(anchors):
                raise ModelFormatError(
                    f"people.blaze: {layout.file} gives {len(logits)} anchors, {len(anchors)} are needed"
                )
            chances = 1 / (1 + np.exp(-np.clip(logits, -50, 50)))
            for place in np.argsort(-chances)[:_MOST]:
                if chances[place] < 0.25 * limit:
                    break
                box = decode_box(regressions[place], anchors[place], layout, scale, view.shape[:2])
                corners = (box.left + left, box.top + top, box.right + left, box.bottom + top)
                chance = float(chances[place])
                found.append(FoundPerson(Box(*corners, layout.label, chance), chance / limit))
        least = smallest * min(pixels.shape[:2])
        large = [p for p in found if min(p.box.right - p.box.left, p.box.bottom - p.box.top) >= least]
        return keep_best(large)

    return find


def split_views(pixels: Pixels) -> list[tuple[int, int, Pixels]]:
    """(left, top, pixels) of the whole image and of its four overlapping quarters."""
    height, width = pixels.shape[:2]
    tall, wide = max(1, round(_QUARTER * height)), max(1, round(_QUARTER * width))
    views = [(0, 0, pixels)]
    for top in (0, height - tall):
        for left in (0, width - wide):
            views.append((left, top, pixels[top : top + tall, left : left + wide]))
    return views


def letterbox(pixels: Pixels, side: int) -> tuple[Values, float]:
    """(float32 (1, side, side, 3) in [-1, 1], input pixels per pixel): centred, black (-1) beside it."""
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    tall, wide = max(1, round(height * scale)), max(1, round(width * scale))
    canvas = np.zeros((side, side, 3), dtype=np.uint8)
    top, left = (side - tall) // 2, (side - wide) // 2
    canvas[top : top + tall, left : left + wide] = resize_pixels(np.ascontiguousarray(pixels), (tall, wide))
    return (canvas.astype(np.float32) / 127.5 - 1)[None], scale


def decode_box(
    regression: Values, anchor: Values, layout: BlazeLayout, scale: float, shape: tuple[int, int]
) -> Box:
    """The find in pixels of a view of ``shape`` (height, width).

    A regression is (x, y, width, height, x and y of its points …) in input pixels, places from the anchor on.
    """
    x, y, width, height = (float(value) for value in regression[:4])
    if layout.label == "person":
        hips, whole = regression[4:6], regression[6:8]
        x, y = float(hips[0]), float(hips[1])
        height = 2 * float(np.hypot(*(whole - hips)))
        width = height / 2
    x, y = x + float(anchor[0]) * layout.side, y + float(anchor[1]) * layout.side
    margins = [(layout.side - round(length * scale)) // 2 for length in shape]
    left, right = ((x + turn * width / 2 - margins[1]) / scale for turn in (-1, 1))
    top, bottom = ((y + turn * height / 2 - margins[0]) / scale for turn in (-1, 1))
    left, top, right, bottom = max(0.0, left), max(0.0, top), min(shape[1], right), min(shape[0], bottom)
    return Box(round(left), round(top), round(right), round(bottom), layout.label, 0.0)


def keep_best(found: list[FoundPerson]) -> list[FoundPerson]:
    """``found``, best first, without what overlaps a better one."""
    kept: list[FoundPerson] = []
    for person in sorted(found, key=lambda one: -one.ratio):
        if all(_compute_overlap(person.box, other.box) < _SAME for other in kept):
            kept.append(person)
    return kept


def _compute_overlap(one: Box, other: Box) -> float:
    wide = min(one.right, other.right) - max(one.left, other.left)
    tall = min(one.bottom, other.bottom) - max(one.top, other.top)
    if wide <= 0 or tall <= 0:
        return 0.0
    areas = sum((box.right - box.left) * (box.bottom - box.top) for box in (one, other))
    return wide * tall / (areas - wide * tall)


def _load_network(folder: Path, layout: BlazeLayout) -> Network:
    files = sorted(folder.rglob(layout.file)) if folder.is_dir() else []
    if not files:
        raise ModelNotFoundError(
            f"people.blaze: no {layout.file} in or below {folder}; unpack a wheel of mediapipe 0.10.21 there "
            "(pip download --no-deps mediapipe==0.10.21), or set 'people: {blaze: null}'"
        )
    litert = import_optional(
        "ai_edge_litert.interpreter",
        "people.blaze needs LiteRT: pip install ai-edge-litert; or set 'people: {blaze: null}'",
    )
    try:
        interpreter: Any = litert.Interpreter(str(files[0]), num_threads=1)
    except (ValueError, RuntimeError) as error:
        raise ModelFormatError(f"people.blaze: {files[0]} cannot be read: {error}") from error
    interpreter.allocate_tensors()
    entrance = interpreter.get_input_details()[0]
    exits = sorted(interpreter.get_output_details(), key=lambda details: -int(details["shape"][-1]))
    if tuple(entrance["shape"]) != (1, layout.side, layout.side, 3) or len(exits) != 2:
        raise ModelFormatError(
            f"people.blaze: {files[0]} takes {tuple(int(n) for n in entrance['shape'])} and has {len(exits)} "
            f"outputs; (1, {layout.side}, {layout.side}, 3) and 2 are needed"
        )

    def run(values: Values) -> tuple[Values, Values]:
        interpreter.set_tensor(entrance["index"], values)
        interpreter.invoke()
        regressions, logits = (interpreter.get_tensor(details["index"])[0] for details in exits)
        return regressions, logits[:, 0]

    return run
