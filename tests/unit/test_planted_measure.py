"""What rules say of a planted set (``cyclorama.lab.planted.measure``): lines, truth, times, what is left."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cyclorama.curate.config import CurateConfig, EraseSettings
from cyclorama.curate.records import Finding, Record, RuleImage, Verdict
from cyclorama.curate.stated import LicenceRule
from cyclorama.lab.planted import measure
from cyclorama.lab.planted.measure import (
    Measurer,
    WatchedEraser,
    build_rule,
    check_erased,
    judge_sets,
    read_lines,
    read_records,
    read_truth,
)

SIDE = 40


class Rule:
    """Answers by ``say``; each image takes 0.5 s."""

    def __init__(self, clock: SimpleNamespace, say: Callable[[RuleImage], RuleImage | None]) -> None:
        self.clock, self.say, self.seen = clock, say, []

    def judge(self, image: RuleImage) -> Finding:
        self.clock.now += 0.5
        self.seen.append(image)
        return Finding("rule", Verdict.KEEP, repaired=self.say(image))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=7.0)
    monkeypatch.setattr(measure.time, "process_time", lambda: clock.now)
    return clock


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "truth").mkdir()
    (tmp_path / "settings.json").write_text('{"seed": 4}')
    for name in "ab":
        Image.new("RGB", (SIDE, SIDE), (90, 100, 110)).save(tmp_path / f"{name}.png")
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[:10] = 255
    mask[10:12] = 128
    mask[12:14] = 127  # less than half
    Image.fromarray(mask).save(tmp_path / "truth" / "a.mask.png")
    text = np.zeros((SIDE, SIDE), np.uint8)
    text[20:24, 5:15] = 255
    Image.fromarray(text).save(tmp_path / "truth" / "a.text.png")
    rows = ["id,kind,base", "a,text_plain,3", "b,clean,4", "c,clean,5"]
    (tmp_path / "truth.csv").write_text("\n".join(rows))
    return tmp_path


def record(folder: Path, name: str) -> Record:
    return Record(name, str(folder / f"{name}.png"))


def build(
    folder: Path, monkeypatch: pytest.MonkeyPatch, rules: dict[str, Any], shards: Path | None = None
) -> tuple[Measurer, dict[str, Any]]:
    asked: dict[str, Any] = {}

    def find(name: str, config: Any, **options: Any) -> Any:
        asked[name] = options
        return rules[name]

    monkeypatch.setattr(measure, "build_rule", find)
    (folder / "out").mkdir(exist_ok=True)
    return Measurer(folder, folder / "out", CurateConfig(), shards), asked


def halve(image: RuleImage) -> RuleImage:
    """A mask of the upper half, soft at a line that counts and at one that does not."""
    mask = np.zeros((SIDE, SIDE), np.float32)
    mask[:4], mask[4:8], mask[8:12] = 1, 0.5, 0.51
    return replace(image, mask=mask)


def test_truth_and_rows_are_read(folder: Path) -> None:
    assert list(read_truth(folder)) == ["a", "b", "c"] and list(read_truth(folder, 2)) == ["a", "b"]
    assert read_truth(folder)["b"] == {"id": "b", "kind": "clean", "base": "4"}
    (folder / "set.csv").write_text("id,image\na,a.png\nb,b.png\n")
    assert [row.key for row in read_records(folder / "set.csv")] == ["a", "b"]
    assert isinstance(build_rule("licence", CurateConfig()), LicenceRule)
    assert build_rule("duplicates", CurateConfig()).name == "duplicates"


def test_rows_are_asked_once_and_lines_hold_times_and_the_masks_overlap(
    folder: Path, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = measure.open_image

    def open_image(given: Record) -> RuleImage:
        clock.now += 0.125
        return decode(given)

    monkeypatch.setattr(measure, "open_image", open_image)
    rule = Rule(clock, halve)
    measurer, asked = build(folder, monkeypatch, {"mask": rule})
    records, truth = [record(folder, name) for name in "abcd"], read_truth(folder)
    del truth["c"]
    assert measurer.measure("mask", records[:1], truth) == 1
    assert measurer.measure("mask", records, truth) == 2 and len(rule.seen) == 2
    assert asked == {"mask": {}} and rule.seen[0].mask is None
    text = (folder / "out" / "mask.jsonl").read_text()
    assert text.endswith("}\n") and text.count("\n") == 2
    lines = read_lines(folder / "out" / "mask.jsonl")
    assert [line["id"] for line in lines] == ["a", "b"]
    assert [(line["seconds"], line["decoding"]) for line in lines] == [(0.5, 0.125)] * 2
    # true rows 0 … 11, found 0 … 3 and 8 … 11: a half is none, more than a half is
    assert lines[0]["iou"] == pytest.approx(8 / 12) and "iou" not in lines[1]


def test_rules_that_need_a_mask_are_given_one(
    folder: Path, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask, size, blank = Rule(clock, halve), Rule(clock, lambda _: None), Rule(clock, lambda _: None)
    measurer, _ = build(folder, monkeypatch, {"mask": mask, "size": size, "blank": blank})
    (folder / "c.png").write_bytes(b"no image")
    for name in ("size", "blank"):
        assert measurer.measure(name, [record(folder, n) for n in "abc"], read_truth(folder)) == 3
    assert [image.mask is None for image in size.seen] == [True, True] and len(mask.seen) == 2
    assert [image.mask is None for image in blank.seen] == [False, False]
    lines = read_lines(folder / "out" / "blank.jsonl")
    assert [(line["verdict"], line["seconds"]) for line in lines] == [
        ("keep", 0.5),
        ("keep", 0.5),
        ("unread", 0),
    ]
    assert lines[2]["reason"] and "iou" not in lines[0] and "check" not in lines[0]


def test_summaries_are_timed(folder: Path, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    def sum_up(image: RuleImage, embed: Any) -> dict[str, Any]:
        clock.now += 2
        return {"side": len(image.pixels)}

    monkeypatch.setattr(measure, "summarise", sum_up)
    measurer, asked = build(folder, monkeypatch, {"mask": Rule(clock, lambda _: None)})
    measurer.measure("summary", [record(folder, "a")], read_truth(folder))
    assert read_lines(folder / "out" / "summary.jsonl") == [
        {"id": "a", "verdict": "keep", "summary": {"side": SIDE}, "seconds": 2.0}
    ]
    assert asked == {"mask": {}}


@pytest.mark.parametrize(
    ("shards", "kind", "error"), [(True, "text_plain", 10), (True, "clean", 1), (False, "logo_x", 1)]
)
def test_what_was_erased_is_compared_with_the_image_as_it_was(
    folder: Path, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, shards: bool, kind: str, error: int
) -> None:
    """Pixels of 90, 100, 110 are filled with one more; before the text was written they were nine less."""
    hole = np.zeros((SIDE, SIDE), np.float32)
    hole[19:25, 4:16] = 0.25
    monkeypatch.setattr(
        measure, "erase_hole", lambda settings, pixels, hole: pixels + (hole > 0)[..., None].astype(np.uint8)
    )
    bases: list[Any] = []

    def open_bases(places: list[int], shards: Path, seed: int) -> list[Any]:
        bases.append((places, shards, seed))
        return [SimpleNamespace(pixels=np.full((SIDE, SIDE, 3), (81, 91, 101), np.uint8))]

    monkeypatch.setattr(measure, "open_bases", open_bases)
    readers: list[Any] = []
    box = np.array([[5, 20], [14, 20], [14, 23], [5, 23]], float)
    reader = SimpleNamespace(
        RapidOCR=lambda params: (
            readers.append(params) or (lambda image: SimpleNamespace(boxes=[box], txts=["left"]))
        )
    )
    monkeypatch.setattr(measure, "import_module", lambda name: reader)
    rules: dict[str, Any] = {"mask": Rule(clock, lambda _: None)}
    measurer, asked = build(folder, monkeypatch, rules, folder if shards else None)
    rules["text"] = Rule(
        clock, lambda image: replace(image, pixels=asked["text"]["erase"](image.pixels, hole))
    )
    truth = read_truth(folder)
    truth["a"]["kind"] = kind
    assert measurer.measure("text", [record(folder, "a"), record(folder, "b")], truth) == 2
    first, second = read_lines(folder / "out" / "text.jsonl")
    assert first["check"] == {
        "left": ["left"], "touching": ["left"], "error": error, "changed_outside": 0, "changed_on_product": 0
    }  # fmt: skip
    assert "check" not in second and "iou" not in first and len(readers) == 1
    assert bases == ([([3], folder, 4)] if error == 10 else [])


def test_an_eraser_remembers_all_it_was_asked_to_fill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "erase_hole", lambda settings, pixels, hole: pixels + 1)
    eraser = WatchedEraser(EraseSettings())
    assert eraser(np.zeros(4), np.array([0, 0.01, 0, 0])).tolist() == [1] * 4  # type: ignore[arg-type]
    assert eraser.hole.tolist() == [False, True, False, False]
    eraser(np.zeros(4), np.array([0, 0, 2, 0]))  # type: ignore[arg-type]
    assert eraser.hole.tolist() == [False, True, True, False]


def check(**changes: Any) -> dict[str, Any]:
    """One pixel of text in row 20, column 10, is near within four steps: in its row columns 6 … 14."""
    text = np.zeros((SIDE, SIDE), np.float32)
    text[20, 10] = changes.get("text", 1)
    text[30, 10] = 0.05
    pixels = np.full((SIDE, SIDE, 3), 100, np.uint8)
    mask = np.zeros((SIDE, SIDE), np.float32)
    mask[0] = 0.02
    mask[1] = 0.03
    mask[20, : changes.get("product", 0)] = 1
    repaired = pixels.copy()
    repaired[:2, :5, 1] = 103
    repaired[20, 10] = 94
    hole = np.zeros((SIDE, SIDE), bool)
    hole[20, 10:12] = True
    boxes = [np.array([[a, row], [b, row], [b, row], [a, row]], float) for a, b, row in changes["boxes"]]
    words = [f"{a} {row}" for a, _, row in changes["boxes"]]

    def read(image: np.ndarray) -> Any:
        assert image[0, 0].tolist() == [100, 103, 100] and image.flags["C_CONTIGUOUS"]
        return SimpleNamespace(boxes=boxes, txts=words)

    image: Any = SimpleNamespace(pixels=pixels, mask=None if changes.get("unmasked") else mask)
    return check_erased(image, repaired, hole, pixels - np.uint8(2), text, read)


def test_words_are_left_from_three_tenths_of_their_place_on() -> None:
    found = check(boxes=[(12, 21, 20), (13, 22, 20), (14, 14, 20), (15, 24, 20), (12, 21, 30)])
    assert found["left"] == ["12 20", "14 20"] and found["touching"] == ["12 20", "13 20", "14 20"]
    assert found["error"] == 3.0  # 4 and 2 off what was there
    assert (found["changed_outside"], found["changed_on_product"]) == (10, 5)  # of a mask above 0.02
    bare = check(boxes=[(12, 21, 20)], unmasked=True)
    assert bare["left"] == ["12 20"] and bare["changed_on_product"] == 0
    assert check(boxes=[(2, 11, 20)], product=6)["touching"] == ["2 20"]  # four tenths are product
    assert check(boxes=[(2, 11, 20)], product=7)["touching"] == []  # half


def test_the_time_of_a_set_is_shared_by_its_rows(
    clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int]] = []

    def find(name: str, config: Any) -> Any:
        def judge_all(rows: list[Any]) -> list[Finding]:
            clock.now += 3
            asked.append((name, len(rows)))
            return [Finding(name, Verdict.KEEP, numbers={"n": float(n)}) for n in range(len(rows))]

        return SimpleNamespace(judge_all=judge_all)

    def build_summary(record: Record, findings: Any, summary: Any, digest: str) -> Any:
        return SimpleNamespace(record=record, findings=findings)

    monkeypatch.setattr(measure, "build_rule", find)
    monkeypatch.setattr(measure, "build_summary", build_summary)
    records = [Record(key, f"{key}.png") for key in "abcd"]
    found = {"summary": {key: {"summary": {}} for key in "db"} | {"a": {"verdict": "unread"}}}
    lines = dict(judge_sets(CurateConfig(), records, found))
    assert asked == [("licence", 4), ("clicks", 4), ("category", 4), ("duplicates", 2)]
    assert list(lines["clicks"]) == list("abcd") and list(lines["duplicates"]) == ["d", "b"]
    assert [line["seconds"] for line in lines["category"].values()] == [0.75] * 4
    assert [line["seconds"] for line in lines["duplicates"].values()] == [1.5] * 2
    assert json.loads(json.dumps(lines["clicks"]["c"]))["numbers"] == {"n": 2.0}
