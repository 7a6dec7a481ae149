"""One worker of a curation run (``cyclorama.curate.judging``): what is asked, kept, taken over and timed."""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cyclorama.curate.config import CurateConfig, Rules
from cyclorama.curate.judging import READING, CurateJob, CurateWorker, find_worst
from cyclorama.curate.records import Finding, RuleImage, Verdict
from cyclorama.errors import ConfigError
from cyclorama.jobs.job import EngineSettings, Hooks


class Rule:
    """Says ``verdict`` of every image, and counts; ``act`` may do more."""

    def __init__(self, name: str, verdict: Verdict = Verdict.KEEP, act: Any = None) -> None:
        self.name, self.verdict, self.act, self.seen = name, verdict, act, []

    def judge(self, image: RuleImage) -> Finding:
        self.seen.append(int(image.pixels[0, 0, 0]))
        repaired = self.act(image) if self.act is not None else None
        return Finding(self.name, self.verdict, numbers={"n": 1.0}, repaired=repaired)


def brighten(image: RuleImage) -> RuleImage:
    return replace(image, pixels=image.pixels + np.uint8(5))


def build_worker(folder: Path, *rules: Rule) -> CurateWorker:
    def build(config: CurateConfig) -> Rules:
        identities = {rule.name: rule.name for rule in rules}
        return Rules((), rules, (), identities, "summary", lambda pixels: np.ones(1, np.float32))

    return CurateWorker(CurateJob(folder / "out", EngineSettings(), CurateConfig(), build, ("key",)))


def judge(worker: CurateWorker, folder: Path, name: str = "a.png", **given: Any) -> dict[str, Any]:
    record = {"key": name, "image": str(folder / name)}
    return worker._judge(record, given.get("accepted", False), given.get("skip", False))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    Image.fromarray(np.full((48, 40, 3), 100, np.uint8)).save(tmp_path / "a.png")
    return tmp_path


def test_a_repair_is_what_the_next_rule_sees_and_answers_are_taken_over(folder: Path) -> None:
    first, second = Rule("first", Verdict.REPAIR, brighten), Rule("second")
    worker = build_worker(folder, first, second)
    found = judge(worker, folder)
    assert [(f["rule"], f["verdict"]) for f in found["findings"]] == [("first", "repair"), ("second", "keep")]
    assert (first.seen, second.seen) == ([100], [105])
    assert found["digest"] == hashlib.sha256((folder / "a.png").read_bytes()).hexdigest()
    assert found["content"] != found["state"] and found["summary"] is not None
    again = judge(build_worker(folder, first, second), folder)
    assert again == found and (first.seen, second.seen) == ([100], [105])
    other = Rule("other")
    judge(build_worker(folder, first, other), folder)
    assert (first.seen, other.seen) == ([100], [105])  # taken over, and read from its layer


def test_answers_are_written_when_there_are_new_ones_and_only_then(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = []
    for number in (1, 1, 2):
        worker = build_worker(folder, *(Rule(f"r{n}") for n in range(number)))
        keep = worker.cache.save
        monkeypatch.setattr(worker.cache, "save", lambda *a, keep=keep: (saved.append(a[0]), keep(*a)))
        judge(worker, folder)
        saved.append("")
    assert [bool(name) for name in saved] == [True, False, False, True, False]


def test_answers_of_another_reading_are_not_taken_over(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = Rule("first")
    before = judge(build_worker(folder, rule), folder)
    monkeypatch.setattr("cyclorama.curate.store.FORMAT", 2)
    after = judge(build_worker(folder, rule), folder)
    assert rule.seen == [100, 100] and before["state"] != after["state"]


@pytest.mark.parametrize(
    ("verdict", "accepted", "asked"),
    [
        (Verdict.DROP, False, 1),
        (Verdict.DROP, True, 2),
        (Verdict.REVIEW, False, 2),
        (Verdict.REPAIR, False, 2),
        (Verdict.KEEP, False, 2),
    ],
)
def test_a_dropped_row_is_asked_no_more_unless_a_person_accepted_it(
    folder: Path, verdict: Verdict, accepted: bool, asked: int
) -> None:
    found = judge(build_worker(folder, Rule("a", verdict), Rule("b")), folder, accepted=accepted)
    assert len(found["findings"]) == asked and (found["summary"] is not None) == (asked == 2)


def test_what_cannot_be_judged_is_a_finding_of_its_row(folder: Path) -> None:
    (folder / "b.png").write_bytes(b"no image")

    def fail(image: RuleImage) -> RuleImage:
        raise ValueError("torn\n  apart")

    def refuse(image: RuleImage) -> RuleImage:
        raise ConfigError("wrong")

    worker = build_worker(folder, Rule("a", act=fail))
    found = judge(worker, folder)["findings"]
    assert [(f["verdict"], f["reason"]) for f in found] == [
        ("drop", "the rule failed: ValueError: torn apart")
    ]
    for name in ("b.png", "none.png"):
        found = judge(worker, folder, name)
        assert [(f["rule"], f["verdict"]) for f in found["findings"]] == [(READING, "drop")]
        assert found["summary"] is None
    skipped = judge(worker, folder, skip=True)
    assert (skipped["findings"], skipped["digest"], skipped["content"]) == ([], "", "")
    with pytest.raises(ConfigError, match="wrong"):
        judge(build_worker(folder, Rule("b", act=refuse)), folder)


def test_a_shard_counts_its_rows_and_the_time_of_each_rule(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(process=3.0, wall=50.0)

    def work(image: RuleImage) -> None:
        clock.process += 0.25
        clock.wall += 2.0

    worker = build_worker(folder, Rule("slow", act=work))
    store = worker._store
    record = {"key": "a", "image": str(folder / "a.png")}
    row = {"record": record, "accepted": False, "skip": False}
    store.save_plan(0, [row, row | {"record": record | {"key": "b", "brand": "x"}}])
    monkeypatch.setattr(time, "process_time", lambda: clock.process)
    monkeypatch.setattr(time, "perf_counter", lambda: clock.wall)
    steps: list[int] = []
    report = worker.process(0, Hooks(advanced=steps.append))
    assert (report.done, report.made, report.advanced, steps) == (2, 2, 2, [1, 1])
    assert report.wall_seconds == pytest.approx(4.0)
    times = store.load_mark(0, "key")
    assert times is not None
    assert times["seconds"]["slow"] == pytest.approx(0.5) and times["seconds"][READING] == 0
    assert times["counts"] == {READING: 2, "decoding": 2, "slow": 2, "summary": 2}


def test_a_shard_counts_the_remote_files_that_could_not_be_read(folder: Path) -> None:
    worker = build_worker(folder, Rule("a"))
    store, a = worker._store, str(folder / "a.png")
    records = [
        {"key": "a", "image": a},
        {"key": "b", "image": str(folder / "gone.png")},
        {"key": "c", "image": "memory://gone/c.png"},
        {"key": "d", "image": a, "mask": "memory://gone/d.png"},
    ]
    for number, expected in ((4, 2), (2, 0)):
        rows = [{"record": record, "accepted": False, "skip": False} for record in records[:number]]
        store.save_plan(0, rows)
        worker.process(0, Hooks())
        mark = store.load_mark(0, "key")
        assert mark is not None and mark["unread"] == expected
        store.open_unread(0)
        assert store.is_done(0, "key") == (expected == 0)


def test_a_stop_ends_a_shard_between_its_rows(folder: Path) -> None:
    worker, stop = build_worker(folder, Rule("a", act=lambda image: stop.set())), threading.Event()
    rows = [
        {"record": {"key": key, "image": str(folder / "a.png")}, "accepted": False, "skip": False}
        for key in "ab"
    ]
    worker._store.save_plan(0, rows)
    report = worker.process(0, Hooks(stopping=stop.is_set))
    assert (report.finished, report.advanced, report.done) == (False, 1, 0)
    assert worker._store.load_mark(0, "key") is None


def test_the_worst_verdict_outweighs() -> None:
    verdicts = [Verdict.REPAIR, Verdict.DROP, Verdict.REVIEW]
    assert find_worst(Finding("r", verdict) for verdict in verdicts) is Verdict.DROP
    assert find_worst([]) is Verdict.KEEP
