"""The last word about a row: what is said names the cause; what a person sees; what stays on the disk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cyclorama.curate.config import ReadingSettings
from cyclorama.curate.records import Box, Finding, Record, Summary, Verdict
from cyclorama.curate.review import Decision
from cyclorama.curate.settling import (
    JudgedRow,
    build_review_item,
    compute_basis,
    get_layers_after,
    list_against,
    list_repairs,
    settle_rows,
)
from cyclorama.curate.store import (
    FROM_FILE,
    CurateStore,
    ImageCache,
    decode_record,
    encode_png,
    from_values,
    to_values,
)
from cyclorama.errors import OutputError
from cyclorama.imaging.loading import LoadLimits


@pytest.mark.parametrize(
    ("findings", "reason"),
    [
        ([], "no product mask; give masks, or switch the mask rule on"),
        (
            [Finding("mask", Verdict.DROP, "no mask: neither transparency nor a mask")],
            "no product mask; the mask rule says: no mask: neither transparency nor a mask",
        ),
    ],
)
def test_an_accepted_row_without_a_mask_names_what_the_mask_rule_said(
    findings: list[Finding], reason: str
) -> None:
    record = Record("a", "a.png", category="cup")
    summary = Summary(record, tuple(findings), np.ones(1, np.float32))
    row = JudgedRow(
        record, findings, [{} for _ in findings], dict(FROM_FILE), "d", "c", "s", summary, len(findings)
    )
    settle_rows([row], [], {"a": Decision("a", "accept", "Ada", 1.0)})
    assert (row.verdict, row.rule, row.reason) == (Verdict.DROP, "output", reason)


AFTER = {"pixels": "0a-pixels", "alpha": "file", "mask": "file"}


@pytest.mark.parametrize(
    ("mask", "named", "labels"),
    [
        ("file", False, ["as it came, with the evidence", "as it would be kept"]),
        ("none", False, ["as it came, with the evidence", "as it would be kept"]),
        ("file", True, ["as it came, with the evidence", "as it would be kept", "the product by its mask"]),
        (
            "0b-mask",
            False,
            ["as it came, with the evidence", "as it would be kept", "the product by its mask"],
        ),
    ],
)
def test_a_reviewer_sees_what_was_repaired_and_what_speaks_against_it(
    mask: str, named: bool, labels: list[str]
) -> None:
    record = Record("a", "a.png", category="cup", mask="m.png" if named else None)
    findings = [
        Finding("size", Verdict.KEEP, numbers={"height": 9.0}),
        Finding("text", Verdict.REVIEW, "words", {"seam": 2.0}),
        Finding("people", Verdict.DROP, "a face", {"score": 3.0}),
        Finding("later", Verdict.REVIEW, "never asked but for a person's word", {"n": 1.0}),
        Finding("duplicates", Verdict.DROP, "the same as b"),
    ]
    after = {**AFTER, "mask": mask}
    seen = [FROM_FILE, FROM_FILE, after, after, {}]
    row = JudgedRow(record, findings, seen, after, "d", "c", "s", None, judged=4)
    row.basis = compute_basis(row)
    item = build_review_item(row)
    assert list_against(row) == [1, 2] and list_repairs(row) == ["text"]
    assert [image.label for image in item.images] == labels
    assert [image.path for image in item.images][:2] == [f"review/{row.basis}{x}.jpg" for x in ("", "-after")]
    assert item.title == "a · cup · duplicates: the same as b"
    assert item.reasons == ("text: words", "people: a face")
    assert item.numbers == {"text.seam": 2.0, "people.score": 3.0}
    undisturbed = JudgedRow(record, findings[:1], [FROM_FILE], dict(FROM_FILE), "", "c", "s", None, judged=1)
    assert list_repairs(undisturbed) == [] and get_layers_after(undisturbed) == FROM_FILE
    assert [image.label for image in build_review_item(undisturbed).images] == labels[:1]


def test_a_set_that_no_run_has_made_is_not_written_over(tmp_path: Path) -> None:
    store = CurateStore(tmp_path)
    with store.lock():
        pass
    store.set.mkdir()
    with (
        pytest.raises(OutputError, match="set was not made by a curating run; choose another folder"),
        store.lock(),
    ):
        pass
    store.save_values({"input": "x"})
    with store.lock():
        store.save_plan(3, [{"a": 1}, {"b": 2}])
    assert store.load_plan(3) == [{"a": 1}, {"b": 2}]
    with pytest.raises(OutputError, match="must be on a disk that all machines share"):
        store.load_plan(4)
    store.save_shard(3, "k", [{"a": 1}], {})
    assert store.is_done(3, "k") and not store.is_done(3, "other") and not store.is_done(4, "k")
    store.get_rows(3).unlink()
    assert not store.is_done(3, "k")
    for name in (
        "rejects/b.jsonl",
        "rejects/a.jsonl",
        "set/x.tar",
        "review/y.jpg",
        "results.parquet",
        "card.md",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = ["results.parquet", "card.md", "set/x.tar", "rejects/a.jsonl", "rejects/b.jsonl", "review/y.jpg"]
    assert [path.relative_to(tmp_path).as_posix() for path in store.list_stable()] == names


def test_findings_come_back_from_their_plain_values() -> None:
    numbers = {"a": 1, "b": float("inf"), "c": float("-inf"), "d": -2.5}
    box = Box(np.int64(1), 2, 3, 4, "face", np.float32(0.5))  # type: ignore[arg-type]
    finding = Finding("people", Verdict.DROP, "a face", numbers, (box,), values={"kept": "b"})
    values = json.loads(json.dumps(to_values(finding)))
    assert values["numbers"] == {"a": 1.0, "d": -2.5}
    back = from_values(values)
    assert (back.rule, back.verdict, back.reason, back.values) == (
        "people",
        Verdict.DROP,
        "a face",
        {"kept": "b"},
    )
    assert back.boxes == (Box(1, 2, 3, 4, "face", 0.5),)


def test_rules_that_compare_see_what_is_in_and_what_a_person_wants() -> None:
    seen: list[str] = []

    class Compare:
        name, needs_images = "compare", True

        def judge_all(self, rows: list[Summary]) -> list[Finding]:
            seen.extend(one.record.key for one in rows)
            return [Finding("", Verdict.KEEP) for _ in rows]

    rows = []
    for key in "abcd":
        record = Record(key, f"{key}.png", category="cup")
        findings = [Finding("text", Verdict.DROP if key in "bd" else Verdict.REVIEW, "words")]
        summary = Summary(
            record, tuple(findings), np.ones(1, np.float32), mask_shape=np.ones((2, 2), np.float32)
        )
        rows.append(JudgedRow(record, findings, [{}], dict(FROM_FILE), "d", "c", "s", summary, 1))
    decisions = {key: Decision(key, choice, "Ada", 1.0) for key, choice in (("c", "reject"), ("d", "accept"))}
    settle_rows(rows, [Compare()], decisions)  # type: ignore[arg-type]
    assert seen == ["a", "d"]
    assert [row.verdict.value for row in rows] == ["review", "drop", "drop", "keep"]
    assert [row.rule for row in rows[:3]] == ["text", "text", "review"]


def test_the_cache_shows_a_transparent_file_over_white_and_keeps_what_changed(tmp_path: Path) -> None:
    pixels = np.full((40, 40, 3), 100, np.uint8)
    alpha = np.full((40, 40), 51, np.uint8)
    limits = LoadLimits()
    shown = decode_record(Record("a", "a.png"), encode_png(np.dstack([pixels, alpha])), None, limits)
    assert shown.alpha is not None and np.array_equal(shown.alpha, np.full((40, 40), 0.2, np.float32))
    assert (shown.pixels == 224).all()  # 0.2 x 100 + 0.8 x 255
    opaque = decode_record(Record("a", "a.png"), encode_png(np.dstack([pixels, alpha | 255])), None, limits)
    assert opaque.alpha is None and (opaque.pixels == 100).all()
    cache = ImageCache(tmp_path, ReadingSettings())
    changed = replace(opaque, pixels=pixels + 1, mask=np.full((40, 40), 0.4, np.float32))
    layers = cache.put("0abc", opaque, dict(FROM_FILE), changed)
    assert layers == {"pixels": "0abc-pixels", "alpha": "none", "mask": "0abc-mask"}
    assert sorted(path.name for path in (tmp_path / "0a").iterdir()) == ["0abc-mask.png", "0abc-pixels.png"]
    assert cache.has(layers) and not cache.has({"mask": "0abd-mask"})
    again = cache.get(opaque, layers)
    assert (again.pixels == 101).all() and again.mask is not None
    assert np.array_equal(again.mask, np.full((40, 40), 0.4, np.float32))
