"""Where is text in an image, how sure is that, and what does it say?

RapidOCR (Apache-2.0; PP-OCR models, carried by its package) finds lines of text of any direction. Its
detector also takes vases and window bars for text, its recogniser hardly ever: how surely a place can be read
counts for more than how surely it was found, unless it has the shape of a line. A line of a script that it
was not taught reads as nothing, and often as some letters when it stands on its head: that, too, tells it
from a shelf.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveFloat, PositiveInt

from cyclorama.config import Order, Settings, Share
from cyclorama.curate.people_finding import import_cv2
from cyclorama.curate.records import Box
from cyclorama.errors import import_optional
from cyclorama.imaging.transforms import resize_pixels
from cyclorama.types import Pixels

Flags = npt.NDArray[np.bool_]

_BOXES = frozenset("0OoD1Il一二三口日曰目回田由品")
"""What furniture is read as."""


class FindingSettings(Settings):
    """How text is sought."""

    ordered: ClassVar[Order] = (("working_side", "max_side"),)
    working_side: Annotated[int, Field(ge=32)] = 736
    """Shorter side, in pixels, to which smaller images are enlarged before text is sought."""
    max_side: PositiveInt = 1536
    """Longest side, in pixels, to which larger images are reduced."""
    scales: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)] = (1.0,)
    """Multiples of that size at which text is sought; a second one finds text of unusual size."""
    pixel_threshold: Share = 0.3
    """Probability from which a pixel may belong to text, 0-1."""
    detection: Share = 0.25
    """Detector score, 0-1, below which a place is not even a candidate."""
    threads: PositiveInt = 1
    """Threads of the networks."""


@dataclass(frozen=True, eq=False)
class FoundText:
    """One line of text."""

    polygon: npt.NDArray[np.float32]
    """(4, 2) corners (column, row) in pixels, clockwise from the line's beginning."""
    detection: float
    """Detector score, 0-1."""
    text: str
    """What the recogniser reads."""
    recognition: float
    """Recogniser score, 0-1; 0 where it reads nothing."""
    upside_down: float = 0.0
    """Recogniser score of two whole letters or more in the line turned by half a circle, 0-1; 0 where it
    reads any upright, or nothing either way."""

    @property
    def reading(self) -> float:
        """How surely it can be read, 0-1: the recogniser's score, less where the detector doubts (below 0.5).

        A single letter or digit counts for half of that, marks without one for nothing, and letters that look
        like a box or a bar for half a letter: so shelves and windows are read.
        """
        share = min(1.0, _weigh_letters(self.text) / 2)
        return share * self.recognition * min(1.0, self.detection / 0.5)

    @property
    def confidence(self) -> float:
        """How surely it is text, 0-1, by what can be read or by its shape, whichever is more.

        Shape, for scripts the recogniser does not know: the detector's score, or the recogniser's for the
        line upside down, for lines three times as long as high, less for shorter ones.
        """
        return max(self.reading, max(self.detection, self.upside_down) * _measure_line(self.polygon))

    @property
    def height(self) -> float:
        """Height of the line in pixels, across its direction."""
        return min(_measure_sides(self.polygon))

    def is_near(self, other: FoundText, reach: float) -> bool:
        """Whether its middle lies within ``reach`` heights of ``other`` of that text's upright rectangle."""
        middle = self.polygon.mean(axis=0)
        margin = reach * other.height
        low, high = other.polygon.min(axis=0) - margin, other.polygon.max(axis=0) + margin
        return bool(((middle >= low) & (middle <= high)).all())

    def to_box(self, label: str) -> Box:
        """The upright rectangle round it; the score is its confidence."""
        low, high = np.floor(self.polygon.min(axis=0)), np.ceil(self.polygon.max(axis=0))
        return Box(int(low[0]), int(low[1]), int(high[0]), int(high[1]), label, self.confidence)


class RapidTextFinder:
    """RapidOCR's detector and recogniser; the networks are loaded at the first call."""

    def __init__(self, settings: FindingSettings | None = None) -> None:
        self.settings = settings or FindingSettings()
        self._engine: Any = None

    def __call__(self, pixels: Pixels) -> list[FoundText]:
        """All places that may be text, those of a later scale only where no earlier one lies.

        Raises MissingDependencyError if RapidOCR is not installed.
        """
        if self._engine is None:
            self._engine = _load_engine(self.settings)
        found: list[FoundText] = []
        for scale in self.settings.scales:
            for text in self._find_at(pixels, scale):
                if not any(_is_inside(text.polygon, known.polygon) for known in found):
                    found.append(text)
        return found

    def _find_at(self, pixels: Pixels, scale: float) -> list[FoundText]:
        settings = self.settings
        height, width = pixels.shape[:2]
        factor = max(1.0, settings.working_side / min(height, width))
        factor = scale * min(factor, settings.max_side / max(height, width))
        size = (max(32, round(height * factor)), max(32, round(width * factor)))
        image = np.ascontiguousarray(resize_pixels(pixels, size)[..., ::-1])  # the networks take BGR
        result = self._engine(image, use_det=True, use_cls=False, use_rec=False)
        if result.boxes is None:
            return []
        ratio = np.array([width / size[1], height / size[0]], dtype=np.float32)
        texts = []
        for corners, score in zip(result.boxes, result.scores):
            polygon = np.asarray(corners, dtype=np.float32)
            strip = _cut_strip(image, polygon)
            words, confidence = self._read(strip)
            turned = 0.0
            if not _weigh_letters(words) and _measure_line(polygon) > 0:
                others, turned = self._read(np.ascontiguousarray(np.rot90(strip, 2)))
                turned = turned if _weigh_letters(others) >= 2 else 0.0
            texts.append(FoundText(polygon * ratio, float(score), words, confidence, turned))
        return texts

    def _read(self, strip: Pixels) -> tuple[str, float]:
        """What the line says, and the score."""
        result = self._engine(strip, use_det=False, use_cls=False, use_rec=True)
        if not result.txts or not result.txts[0].strip():
            return "", 0.0
        return str(result.txts[0]).strip(), float(result.scores[0])


def draw_texts(
    texts: list[FoundText], shape: tuple[int, int], grow: float = 0.0, extra: float = 0.0
) -> Flags:
    """Bool (H, W): the polygons of ``texts``, widened by ``grow`` times their height and ``extra`` pixels."""
    cv2 = import_cv2("text")
    drawn = np.zeros(shape, dtype=np.uint8)
    for text in texts:
        margin = grow * text.height + extra
        middle = text.polygon.mean(axis=0)
        along = text.polygon[1] - text.polygon[0]
        along = along / max(float(np.linalg.norm(along)), 1e-6)
        across = np.array([-along[1], along[0]])
        offsets = text.polygon - middle
        moved = text.polygon
        for way in (along, across):
            moved = moved + margin * np.sign(offsets @ way)[:, None] * way
        cv2.fillPoly(drawn, [np.rint(moved).astype(np.int32)], 1)
    return drawn.astype(bool)


def _weigh_letters(words: str) -> float:
    """Number of letters and digits, those that look like a box or a bar for half."""
    return sum(0.5 if letter in _BOXES else 1.0 for letter in words if letter.isalnum())


def _measure_line(polygon: npt.NDArray[np.float32]) -> float:
    """How much the (4, 2) ``polygon`` is a line, 0-1: 1 from three times as long as high, 0 for a square."""
    shorter, longer = sorted(_measure_sides(polygon))
    return min(1.0, max(0.0, longer / max(shorter, 1.0) - 1) / 2)


def _measure_sides(polygon: npt.NDArray[np.float32]) -> tuple[float, float]:
    """Lengths of the first two sides."""
    first, second = np.linalg.norm(np.diff(polygon[:3], axis=0), axis=1).tolist()
    return first, second


def _cut_strip(image: Pixels, polygon: npt.NDArray[np.float32]) -> Pixels:
    """The line upright and level; lines that stand on end are turned by 90 degrees."""
    cv2 = import_cv2("text")
    first, second, third, fourth = polygon
    width = max(1, round(max(np.linalg.norm(second - first), np.linalg.norm(third - fourth))))
    height = max(1, round(max(np.linalg.norm(fourth - first), np.linalg.norm(third - second))))
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    matrix = cv2.getPerspectiveTransform(polygon, target)
    strip = cv2.warpPerspective(
        image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE, flags=cv2.INTER_CUBIC
    )
    return np.ascontiguousarray(np.rot90(strip) if height >= 1.5 * width else strip)


def _is_inside(polygon: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> bool:
    """Whether more than half of the upright box of ``polygon`` lies in that of ``other``."""
    low = np.maximum(polygon.min(axis=0), other.min(axis=0))
    high = np.minimum(polygon.max(axis=0), other.max(axis=0))
    area = float(np.prod(np.ptp(polygon, axis=0)))
    return float(np.prod(np.maximum(high - low, 0))) > 0.5 * max(area, 1e-6)


def _load_engine(settings: FindingSettings) -> Any:
    rapidocr = import_optional(
        "rapidocr", 'finding text needs RapidOCR: pip install "cyclorama[curate]"; or set "text: null"'
    )
    return rapidocr.RapidOCR(
        params={
            "Global.log_level": "error",
            "Global.text_score": 0.0,
            "Global.max_side_len": 8192,  # sizes are settled here, not there
            "EngineConfig.onnxruntime.intra_op_num_threads": settings.threads,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            "Det.limit_side_len": 32,
            "Det.thresh": settings.pixel_threshold,
            "Det.box_thresh": settings.detection,
        }
    )
