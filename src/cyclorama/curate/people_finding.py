"""Who is in an image, where, and how sure is the detector?

Four kinds of detectors behind one form: cascades and the body detector that OpenCV carries, an object
detection model from a folder, and MediaPipe's BlazeFace and BlazePose, networks of a few milliseconds (arXiv
1907.05047 and 2006.10204; Apache-2.0), run by ``ai-edge-litert``. The latter's files are not part of this
package: any folder that holds them will do, such as an unpacked wheel of ``mediapipe`` 0.10.21. Both expect
people who fill most of an image, so that it is looked at as a whole and in overlapping quarters. Each
detector tells its score as a multiple of the score from which it counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cyclorama.curate.records import Box
from cyclorama.errors import MissingDependencyError, ModelFormatError, ModelNotFoundError, import_optional
from cyclorama.imaging.transforms import resize_pixels
from cyclorama.types import Pixels

Plane = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float32]

_MODEL_SIDE = 640
"""Longest side, in pixels, that an object detection model sees."""


@dataclass(frozen=True)
class FoundPerson:
    """A face or a body."""

    box: Box
    """Where; its score is the detector's own."""
    ratio: float
    """Score over the score from which it counts, 0 or more."""


def build_cascade_finder(
    file: str, label: str, limit: float, working_side: int, smallest: float, mirrored: bool = False
) -> Callable[[Pixels], list[FoundPerson]]:
    """A finder of faces with OpenCV's cascade ``file``; ``mirrored`` also looks at the mirrored image.

    The score is the number of neighbouring windows that see the face too, halved where a coloured image
    shows no skin there. Raises MissingDependencyError when first used.
    """

    def find(pixels: Pixels) -> list[FoundPerson]:
        cascade = _load_cascade(file)
        grey, scale = _prepare(pixels, working_side)
        least = (max(20, round(smallest * min(grey.shape))),) * 2
        found = []
        for turned in range(1 + mirrored):
            view = np.ascontiguousarray(grey[:, ::-1]) if turned else grey
            places, counts = cascade.detectMultiScale2(view, scaleFactor=1.1, minNeighbors=2, minSize=least)
            for (x, y, width, height), score in zip(places, np.ravel(counts)):
                left = grey.shape[1] - x - width if turned else x
                person = _describe((left, y, width, height), scale, label, float(score), limit)
                counted = 1.0 if shows_skin(pixels, person.box) else 0.5
                found.append(FoundPerson(person.box, counted * person.ratio))
        return found

    return find


def build_body_finder(limit: float, working_side: int) -> Callable[[Pixels], list[FoundPerson]]:
    """A finder of upright bodies with OpenCV's default people detector.

    The score is the distance from the separating plane. Raises MissingDependencyError when first used.
    """

    def find(pixels: Pixels) -> list[FoundPerson]:
        detector = _load_body_detector()
        grey, scale = _prepare(pixels, working_side)
        places, scores = detector.detectMultiScale(grey, winStride=(8, 8), padding=(16, 16), scale=1.08)
        found = zip(places, np.ravel(scores))
        return [_describe(tuple(place), scale, "body", float(score), limit) for place, score in found]

    return find


def build_model_finder(
    folder: Path, labels: tuple[str, ...], limit: float, smallest: float
) -> Callable[[Pixels], list[FoundPerson]]:
    """A finder with the object detection model in ``folder``, whose class names say who is a person.

    Raises, when first used, ModelNotFoundError (no such folder) and ModelFormatError (not a detection model,
    pickled weights, or none of ``labels`` among its classes).
    """
    wanted = {name.lower() for name in labels}
    loaded: list[tuple[Any, Any]] = []

    def find(pixels: Pixels) -> list[FoundPerson]:
        if not loaded:
            loaded.append(_load_model(folder, wanted))
        model, processor = loaded[0]
        import torch

        height, width = pixels.shape[:2]
        scale = min(1.0, _MODEL_SIDE / max(height, width))
        small = resize_pixels(pixels, (max(32, round(height * scale)), max(32, round(width * scale))))
        inputs = processor(images=small, return_tensors="pt")
        with torch.inference_mode():
            outputs = model(**inputs)
        sizes, least = torch.tensor([[height, width]]), 0.25 * limit
        (result,) = processor.post_process_object_detection(outputs, threshold=least, target_sizes=sizes)
        found = []
        for score, label, corners in zip(result["scores"], result["labels"], result["boxes"]):
            if model.config.id2label[int(label)].lower() not in wanted:
                continue
            left, top, right, bottom = (float(value) for value in corners)
            if min(right - left, bottom - top) < smallest * min(height, width):
                continue
            place = (left, top, right - left, bottom - top)
            found.append(_describe(place, 1.0, "person", float(score), limit))
        return found

    return find


def shows_skin(pixels: Pixels, box: Box, least: float = 0.15) -> bool:
    """Whether enough of the box's middle has a skin's hue, of any tone; grey images always pass.

    Hue by Cr and Cb (BT.601), in which human skin of all tones lies close together.
    """
    rows = slice(max(0, (3 * box.top + box.bottom) // 4), (box.top + 3 * box.bottom) // 4)
    columns = slice(max(0, (3 * box.left + box.right) // 4), (box.left + 3 * box.right) // 4)
    red, green, blue = np.moveaxis(pixels[rows, columns].astype(np.float32), -1, 0)
    if red.size == 0:
        return True
    if max(np.ptp([red.mean(), green.mean(), blue.mean()]), np.abs(red - blue).mean()) < 3.0:
        return True
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    cr, cb = 128 + 0.713 * (red - luma), 128 + 0.564 * (blue - luma)
    return float(((cr >= 135) & (cr <= 180) & (cb >= 80) & (cb <= 130)).mean()) >= least


def _prepare(pixels: Pixels, working_side: int) -> tuple[Plane, float]:
    """The image in grey with ``working_side`` pixels on its shorter side, and its scale."""
    cv2 = import_cv2("people")
    height, width = pixels.shape[:2]
    scale = working_side / min(height, width)
    size = (round(height * scale), round(width * scale))
    grey: Plane = cv2.cvtColor(np.ascontiguousarray(resize_pixels(pixels, size)), cv2.COLOR_RGB2GRAY)
    return grey, scale


def _describe(place: tuple[float, ...], scale: float, label: str, score: float, limit: float) -> FoundPerson:
    left, top, width, height = (float(value) / scale for value in place)
    box = Box(round(left), round(top), round(left + width), round(top + height), label, score)
    return FoundPerson(box, max(0.0, score / limit))


@cache
def _load_cascade(file: str) -> Any:
    cv2 = import_cv2("people")
    path = Path(cv2.data.haarcascades) / file
    if not hasattr(cv2, "CascadeClassifier") or not path.is_file():
        raise _report_lacking(cv2, f"cascade {file}", "face: null, profile: null")
    return cv2.CascadeClassifier(str(path))


def _report_lacking(cv2: Any, what: str, switch: str) -> MissingDependencyError:
    return MissingDependencyError(
        f"OpenCV {cv2.__version__} carries no {what}; install 'opencv-python-headless<5', set "
        f"'people: {{{switch}}}' or give people.model"
    )


@cache
def _load_body_detector() -> Any:
    cv2 = import_cv2("people")
    if not hasattr(cv2, "HOGDescriptor"):
        raise _report_lacking(cv2, "people detector", "body: null")
    detector = cv2.HOGDescriptor()
    detector.setSVMDetector(cv2.HOGDescriptor_getDefaultPeopleDetector())
    return detector


def _load_model(folder: Path, wanted: set[str]) -> tuple[Any, Any]:
    if not (folder / "config.json").is_file():
        raise ModelNotFoundError(
            f"people.model: {folder} holds no config.json; give the folder of an object detection model in "
            "the layout of transformers"
        )
    from transformers import AutoImageProcessor, AutoModelForObjectDetection

    try:
        processor = AutoImageProcessor.from_pretrained(folder, use_fast=False, local_files_only=True)
        model = AutoModelForObjectDetection.from_pretrained(
            folder, use_safetensors=True, local_files_only=True
        ).eval()
    except (OSError, ValueError, KeyError) as error:
        raise ModelFormatError(
            f"people.model: {folder} cannot be loaded as an object detection model with safetensors: {error}"
        ) from error
    names = {str(name).lower() for name in model.config.id2label.values()}
    if not names & wanted:
        raise ModelFormatError(
            f"people.model: none of its {len(names)} classes is among people.model_labels "
            f"({', '.join(sorted(wanted))}); it knows {', '.join(sorted(names)[:8])}"
        )
    return model, processor


def import_cv2(what: str) -> Any:
    """OpenCV. Raises MissingDependencyError: the rule ``what`` needs it."""
    return import_optional(
        "cv2", f'finding {what} needs OpenCV: pip install "cyclorama[curate]"; or set "{what}: null"'
    )


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
