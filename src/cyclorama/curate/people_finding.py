"""Who is in an image, where, and how sure is the detector?

Three kinds of detectors behind one form: cascades and the body detector that OpenCV carries, and an object
detection model from a folder. Each tells its score as a multiple of the score from which it counts.
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
        found = _run_cascade(cascade, grey, smallest)
        if mirrored:
            width = grey.shape[1]
            turned = _run_cascade(cascade, np.ascontiguousarray(grey[:, ::-1]), smallest)
            found += [((width - x - w, y, w, h), score) for (x, y, w, h), score in turned]
        people = [_describe(place, scale, label, score, limit) for place, score in found]
        return [
            person if shows_skin(pixels, person.box) else FoundPerson(person.box, 0.5 * person.ratio)
            for person in people
        ]

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


def _run_cascade(
    cascade: Any, grey: Plane, smallest: float
) -> list[tuple[tuple[float, float, float, float], float]]:
    side = max(20, round(smallest * min(grey.shape)))
    places, counts = cascade.detectMultiScale2(grey, scaleFactor=1.1, minNeighbors=2, minSize=(side, side))
    return [(tuple(place), float(count)) for place, count in zip(places, np.ravel(counts))]


def shows_skin(pixels: Pixels, box: Box, least: float = 0.15) -> bool:
    """Whether enough of the box's middle has a skin's hue, of any tone; grey images always pass.

    Hue by Cr and Cb (BT.601), in which human skin of all tones lies close together.
    """
    rows = slice(max(0, (3 * box.top + box.bottom) // 4), (box.top + 3 * box.bottom) // 4)
    columns = slice(max(0, (3 * box.left + box.right) // 4), (box.left + 3 * box.right) // 4)
    red, green, blue = np.moveaxis(pixels[rows, columns].astype(np.float32), -1, 0)
    if red.size == 0:
        return True
    if float(np.max([np.ptp([red.mean(), green.mean(), blue.mean()]), np.abs(red - blue).mean()])) < 3.0:
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
