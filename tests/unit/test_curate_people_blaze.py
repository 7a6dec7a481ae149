"""MediaPipe's detectors: where their anchors lie, what becomes of their outputs, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cyclorama.curate.people import PeopleRule, PeopleSettings
from cyclorama.curate.people_finding import (
    BODY,
    FACE,
    BlazeLayout,
    FoundPerson,
    build_blaze_finder,
    keep_best,
    letterbox,
    split_views,
)
from cyclorama.curate.records import Box
from cyclorama.errors import ConfigError, ModelFormatError, ModelNotFoundError

TINY = BlazeLayout("tiny.tflite", "face", 20, ((2, 1), (1, 2)))


def _answers(layout: BlazeLayout, anchor: int, regression: list[float], logit: float):
    """A network that sees one thing, in the first view it is shown."""
    calls: list[np.ndarray] = []

    def run(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        calls.append(values)
        regressions = np.zeros((len(layout.anchors), len(regression)), np.float32)
        logits = np.full(len(layout.anchors), -9.0, np.float32)
        if len(calls) == 1:
            regressions[anchor], logits[anchor] = regression, logit
        return regressions, logits

    return run, calls


def test_anchors_are_the_middles_of_the_cells_row_by_row() -> None:
    wanted = [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75], [0.5, 0.5], [0.5, 0.5]]
    assert np.array_equal(TINY.anchors, np.float32(wanted))
    assert len(FACE.anchors) == 2304 and len(BODY.anchors) == 2254  # as the published networks have
    assert np.allclose(BODY.anchors[0], 1 / 56) and np.allclose(BODY.anchors[-1], 13 / 14)


def test_a_wide_image_is_centred_between_black_bars() -> None:
    values, scale = letterbox(np.full((50, 100, 3), 255, np.uint8), 20)
    assert values.shape == (1, 20, 20, 3) and scale == 0.2
    assert (values[0, 5:15] == 1).all() and (values[0, :5] == -1).all() and (values[0, 15:] == -1).all()


def test_quarters_overlap_and_reach_every_corner() -> None:
    pixels = np.arange(50 * 100 * 3, dtype=np.uint32).reshape(50, 100, 3).astype(np.uint8)
    views = split_views(pixels)
    assert [(left, top, view.shape[:2]) for left, top, view in views] == [
        (0, 0, (50, 100)), (0, 0, (30, 60)), (40, 0, (30, 60)), (0, 20, (30, 60)), (40, 20, (30, 60)),
    ]  # fmt: skip
    for left, top, view in views:
        assert np.array_equal(view, pixels[top : top + view.shape[0], left : left + view.shape[1]])


def test_a_face_lies_where_the_network_says() -> None:
    """Anchor 1 of a 100 x 50 image in 20 pixels: (15, 5) + (1, 2) is pixel (16 / 0.2, (7 - 5) / 0.2)."""
    network, calls = _answers(TINY, 1, [1.0, 2.0, 4.0, 2.0], 2.0)
    find = build_blaze_finder(Path("none"), TINY, 0.65, 0.05, network)
    (person,) = find(np.zeros((50, 100, 3), np.uint8))
    box = person.box
    assert (box.left, box.top, box.right, box.bottom, box.label) == (70, 5, 90, 15, "face")
    chance = 1 / (1 + np.exp(-2.0))
    assert box.score == pytest.approx(chance) and person.ratio == pytest.approx(chance / 0.65)
    assert len(calls) == 5


def test_a_person_stands_in_the_middle_of_the_circle_round_the_hips() -> None:
    layout = BlazeLayout("tiny.tflite", "person", 20, ((2, 1), (1, 2)))
    regression = [
        9.0,
        9.0,
        9.0,
        9.0,
        1.0,
        0.0,
        1.0,
        -4.0,
    ]  # hips 1 right of anchor 4, the circle's edge 4 above
    network, _ = _answers(layout, 4, regression, 0.0)
    (person,) = build_blaze_finder(Path("none"), layout, 0.5, 0.05, network)(np.zeros((40, 40, 3), np.uint8))
    box = person.box
    assert (box.left, box.top, box.right, box.bottom) == (18, 12, 26, 28)
    assert person.ratio == pytest.approx(1.0)


def test_small_and_doubtful_finds_are_left_out() -> None:
    pixels = np.zeros((40, 40, 3), np.uint8)
    for regression, logit, smallest in (([0, 0, 4.0, 4.0], 2.0, 0.5), ([0, 0, 4.0, 4.0], -3.0, 0.1)):
        network, _ = _answers(TINY, 4, regression, logit)
        assert build_blaze_finder(Path("none"), TINY, 0.65, smallest, network)(pixels) == []


def test_of_overlapping_finds_the_best_stays() -> None:
    def person(left: int, right: int, ratio: float) -> FoundPerson:
        return FoundPerson(Box(left, 0, right, 10, "face", ratio), ratio)

    low, high, apart = person(0, 10, 0.8), person(2, 12, 1.2), person(30, 40, 0.5)
    assert keep_best([low, high, apart]) == [high, apart]


def test_another_network_and_missing_files_are_refused(tmp_path: Path) -> None:
    def wrong(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((896, 16), np.float32), np.zeros(896, np.float32)

    with pytest.raises(ModelFormatError, match="gives 896 anchors, 2304 are needed"):
        build_blaze_finder(tmp_path, FACE, 0.65, 0.06, wrong)(np.zeros((9, 9, 3), np.uint8))
    find = build_blaze_finder(tmp_path, FACE, 0.65, 0.06)
    with pytest.raises(ModelNotFoundError, match=r"no face_detection_full_range_sparse\.tflite in or below"):
        find(np.zeros((9, 9, 3), np.uint8))


class _Interpreter:
    """What LiteRT gives, with outputs in the order in which MediaPipe's files have them."""

    def __init__(self, file: str, num_threads: int) -> None:
        assert num_threads == 1 and Path(file).is_file()
        self.seen: np.ndarray | None = None

    def allocate_tensors(self) -> None: ...

    def get_input_details(self) -> list[dict]:
        return [{"index": 0, "shape": np.array([1, 192, 192, 3])}]

    def get_output_details(self) -> list[dict]:
        return [{"index": 5, "shape": np.array([1, 2304, 1])}, {"index": 7, "shape": np.array([1, 2304, 16])}]

    def set_tensor(self, index: int, values: np.ndarray) -> None:
        assert index == 0 and values.dtype == np.float32
        self.seen = values

    def invoke(self) -> None:
        assert self.seen is not None

    def get_tensor(self, index: int) -> np.ndarray:
        logits = np.full((1, 2304, 1), -9.0, np.float32)
        logits[0, 48 * 24 + 24] = 3.0
        return logits if index == 5 else np.tile(np.float32([0, 0, 96, 96] + [0] * 12), (1, 2304, 1))


def test_the_rule_asks_both_networks_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for layout in (FACE, BODY):
        (tmp_path / layout.file).write_bytes(b"TFL3")
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", SimpleNamespace(Interpreter=_Interpreter))
    find = build_blaze_finder(tmp_path, FACE, 0.65, 0.06)
    best = find(np.zeros((192, 192, 3), np.uint8))[0]
    assert (best.box.left, best.box.top, best.box.right, best.box.bottom) == (50, 50, 146, 146)
    settings = PeopleSettings(face=None, profile=None, blaze=tmp_path)
    image = SimpleNamespace(pixels=np.zeros((192, 192, 3), np.uint8), mask=None, alpha=None)
    with pytest.raises(ModelFormatError, match=r"takes \(1, 192, 192, 3\)"):  # the face's, not a person's
        PeopleRule(settings).judge(image)  # type: ignore[arg-type]


@pytest.mark.parametrize("limits", [{"blaze_face": 0.0}, {"blaze_body": 1.0}])
def test_probabilities_lie_between_0_and_1(limits: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"blaze_\w+: must be (greater than 0|less than 1), got"):
        PeopleSettings(**limits)
