"""From answers to scores: what is refused, what is merged, and that known preferences come back."""

from __future__ import annotations

import copy
import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cyclorama.errors import (
    ConflictingAnswersError,
    ForeignAnswersError,
    IncompleteAnswersError,
    MalformedAnswersError,
)
from cyclorama.lab.study.answers import (
    Answer,
    AnswerStore,
    check_complete,
    find_answer_files,
    format_answers,
    merge_answers,
    parse_answers,
    read_answers,
)
from cyclorama.lab.study.report import format_html, format_json, format_markdown
from cyclorama.lab.study.score import score_study
from cyclorama.lab.study.study import QUESTIONS, Pair, Study, plan_rater

METHODS = ("plain", "<b>bold</b>", "fine|best")


def make_study(pairs: int = 12, raters: int = 5, repeats: int = 3) -> Study:
    shown = [[f"{pair:02x}{n}" for n in range(3)] for pair in range(pairs)]
    table = tuple(
        Pair(f"k{pair}", "r", None, f"ref{pair}", dict(zip(METHODS, names)))
        for pair, names in enumerate(shown)
    )
    codes = [f"R{n}" for n in range(raters)]
    tasks = {code: plan_rater(shown, repeats, 3, code) for code in codes}
    return Study("feed", 3, METHODS, table, tasks, {})


def rate(study: Study, rater: str, pull: float, seed: int) -> list[Answer]:
    """Answers of one who sees ``pull`` times the method's number, plus noise."""
    random = np.random.default_rng(seed)
    result = []
    for task in study.raters[rater]:
        for question in QUESTIONS:
            strength = pull if question == "similarity" else -pull
            seen = {name: strength * int(name[-1]) + random.normal() for name in task.images}
            order = tuple(sorted(seen, key=lambda name: -seen[name]))
            result.append(Answer(task.name, question, order, 2.5, 1000))
    return result


def collect(study: Study, pull: float) -> dict[str, Any]:
    return merge_answers([(c, c, rate(study, c, pull, n)) for n, c in enumerate(study.raters)])


def test_known_preferences_come_back() -> None:
    study = make_study()
    score = score_study(study, collect(study, 3.0))
    similarity, quality = score.questions
    assert [one.method for one in similarity.methods] == list(METHODS[::-1])
    assert [one.method for one in quality.methods] == list(METHODS)
    for question in score.questions:
        assert sum(one.score.value for one in question.methods) == pytest.approx(1 + 2 + 3)
        assert {one.score.count for one in question.methods} == {5 * 12}
        assert all(one.score.low <= one.score.value <= one.score.high for one in question.methods)
        assert all(abs(d.difference.value) > 0.5 for d in question.differences)
        assert all(d.p["pairs"] is not None and d.p["pairs"] < 0.01 for d in question.differences)
        friedman = question.friedman["pairs"]
        assert friedman is not None
        assert friedman.blocks == 12
        assert friedman.p < 1e-4
        assert question.agreement is not None
        assert question.agreement > 0.7
        assert question.agreement_by_chance == pytest.approx(1 / 5)
        assert question.repetition is not None
        assert question.repetition.count == 5 * 3
        assert question.repetition.tau > 0.7
        assert all(abs(value - 2) < 0.35 for value in question.places)
    assert score.notes == ("5 of 5 raters answered",)


def test_scores_by_hand() -> None:
    """Two raters, two pairs, no repeats: every figure can be counted."""
    study = make_study(pairs=2, raters=2, repeats=0)
    given = {  # rater -> pair -> methods' numbers, first place first
        "R0": {0: "210", 1: "210"},
        "R1": {0: "201", 1: "012"},
    }
    batches = []
    for rater, orders in given.items():
        answers = [
            Answer(task.name, question, tuple(f"{task.pair:02x}{n}" for n in orders[task.pair]), 1, 0)
            for task in study.raters[rater]
            for question in QUESTIONS
        ]
        batches.append((rater, rater, answers))
    question = score_study(study, merge_answers(batches)).questions[0]
    means = {one.method: one.score.value for one in question.methods}
    assert means == pytest.approx({METHODS[0]: 7 / 4, METHODS[1]: 7 / 4, METHODS[2]: 10 / 4})
    firsts = {one.method: one.first_share for one in question.methods}
    assert firsts == {METHODS[0]: 0.25, METHODS[1]: 0, METHODS[2]: 0.75}
    above = {(d.first, d.second): d.first_above for d in question.differences}
    assert above[METHODS[0], METHODS[1]] == 0.5
    assert above[METHODS[0], METHODS[2]] == 0.25
    # pair 0: sums of scores 2+1... = (3, 3, 6) W = 6 / 8; pair 1: (4, 4, 4) W = 0
    assert question.agreement == pytest.approx((0.75 + 0) / 2)
    assert question.repetition is None


def test_guessing_raters_give_no_verdict() -> None:
    study = make_study(pairs=16, raters=6, repeats=4)
    score = score_study(study, collect(study, 0.0))
    for question in score.questions:
        assert all(p is None or p > 0.05 for d in question.differences for p in d.p.values())
        assert question.repetition is not None
        assert abs(question.repetition.tau) < 0.5


def test_repeats_do_not_count_twice() -> None:
    study = make_study()
    answers = collect(study, 3.0)
    changed = copy.deepcopy(answers)
    for rater, given in changed.items():
        for task in study.raters[rater]:
            if task.repeats is not None:
                for question in QUESTIONS:
                    old = given[task.name, question]
                    first = given[task.repeats, question]
                    given[task.name, question] = replace(old, order=first.order[::-1])
    before, after = score_study(study, answers), score_study(study, changed)
    assert [q.methods for q in after.questions] == [q.methods for q in before.questions]
    assert all(q.repetition is not None and q.repetition.tau == -1 for q in after.questions)
    assert sum("no better than chance" in note for note in after.notes) == 5


def test_who_leaves_the_order_as_shown_is_named() -> None:
    study = make_study()
    answers = {rater: dict(given) for rater, given in collect(study, 3.0).items()}
    shown = {task.name: task.images for task in study.raters["R2"]}
    answers["R2"] = {k: Answer(*k, shown[k[0]], 0.4, 0) for k in answers["R2"]}
    score = score_study(study, answers)
    assert any("R2 left 100% of the images' orders as they were shown" in note for note in score.notes)
    assert {one.rater: one.median_seconds for one in score.raters}["R2"] == 0.4


def test_open_questions_are_refused_or_left_out() -> None:
    study = make_study()
    answers = {rater: dict(given) for rater, given in collect(study, 3.0).items() if rater != "R4"}
    assert "4 of 5 raters answered" in check_complete(study, answers, False)
    dropped = [key for key in answers["R1"] if key[1] == "quality"][:4]
    for key in dropped:
        del answers["R1"][key]
    with pytest.raises(IncompleteAnswersError, match="R1 left 4 of 30 questions open"):
        score_study(study, answers)
    score = score_study(study, answers, allow_incomplete=True)
    repeats = {task.name for task in study.raters["R1"] if task.repeats is not None}
    assert score.questions[1].methods[0].score.count == 4 * 12 - sum(t not in repeats for t, _ in dropped)
    with pytest.raises(IncompleteAnswersError, match="no answers yet"):
        score_study(study, {})


def test_what_is_no_answer_is_refused(tmp_path: Path) -> None:
    study = make_study()
    good = format_answers(study, "R0", rate(study, "R0", 1, 0))
    assert parse_answers(json.loads(json.dumps(good)), study, "x")[1] == rate(study, "R0", 1, 0)

    def refuse(kind: type[Exception], message: str, **changes: object) -> None:
        with pytest.raises(kind, match=message):
            parse_answers({**copy.deepcopy(good), **changes}, study, "x.json")

    def change(**changes: object) -> list[object]:
        return [{**good["answers"][0], **changes}]

    order = list(good["answers"][0]["order"])
    refuse(MalformedAnswersError, "format 'v0'", format="v0")
    refuse(ForeignAnswersError, "answers study 'abc'", study="abc")
    refuse(ForeignAnswersError, "rater 'R9'", rater="R9")
    refuse(ForeignAnswersError, "rater None", rater=None)
    refuse(MalformedAnswersError, "no list 'answers'", answers={})
    refuse(MalformedAnswersError, "answer 1 is int", answers=[3])
    refuse(ForeignAnswersError, "to task 'zz'", answers=change(task="zz"))
    refuse(ForeignAnswersError, "was not given", answers=change(task=study.raters["R1"][0].name))
    refuse(MalformedAnswersError, "question 'beauty'", answers=change(question="beauty"))
    refuse(MalformedAnswersError, "question \\['quality'\\]", answers=change(question=["quality"]))
    for wrong in (order[:2], [*order, order[0]], [order[0]] * 3, [*order[:2], 7], "abc", None, [[]]):
        refuse(
            MalformedAnswersError, "does not place each of the task's 3 images", answers=change(order=wrong)
        )
    for wrong in (-1, float("nan"), float("inf"), "2", None, True):
        refuse(MalformedAnswersError, "has times", answers=change(seconds=wrong))
    refuse(MalformedAnswersError, "has times", answers=change(changed=2**60))
    refuse(MalformedAnswersError, "answered before", answers=good["answers"][:1] * 2)

    for name, text in [("a", "{"), ("b", "[" * 100_000), ("c", "\x00"), ("d", "")]:
        (tmp_path / name).write_text(text)
        with pytest.raises(MalformedAnswersError, match="cannot read answers"):
            read_answers(tmp_path / name, study)
    (tmp_path / "e").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MalformedAnswersError, match="cannot read answers"):
        read_answers(tmp_path / "e", study)
    (tmp_path / "f").write_text(" " * (4 * 2**20 + 1))
    with pytest.raises(MalformedAnswersError, match="more than 4194304"):
        read_answers(tmp_path / "f", study)
    with pytest.raises(MalformedAnswersError, match="no such file"):
        find_answer_files([tmp_path / "none"])


def test_the_same_answers_may_come_twice_but_not_two_ways() -> None:
    study = make_study()
    one, two = rate(study, "R0", 1, 0), rate(study, "R0", 1, 99)
    merged = merge_answers([("a", "R0", one[:10]), ("b", "R0", one)])
    assert len(merged["R0"]) == len(one)
    with pytest.raises(ConflictingAnswersError, match=r"differently in a\.json and in b\.json"):
        merge_answers([("a.json", "R0", one), ("b.json", "R0", two)])


def test_reports_escape_names_and_hold_the_figures() -> None:
    study = make_study()
    score = score_study(study, collect(study, 3.0))
    best = score.questions[0].methods[0].score
    page, text = format_html(score), format_markdown(score)
    assert "<b>bold</b>" not in page
    assert "&lt;b&gt;bold&lt;/b&gt;" in page
    assert "fine\\|best" in text
    for report in (page, text):
        assert f"{best.value:.2f} ({best.low:.2f} to {best.high:.2f})" in report
        assert "Friedman over 12 pairs" in report
    assert json.loads(format_json(score))["questions"][0]["methods"][0]["score"]["value"] == best.value


def test_the_store_keeps_the_later_answer_and_its_own_study(tmp_path: Path) -> None:
    study = make_study()
    store = AnswerStore(tmp_path, study)
    early = rate(study, "R0", 1, 0)[0]
    late = replace(early, order=early.order[::-1], changed=2000)
    store.save("R0", [late])
    store.save("R0", [early])
    assert AnswerStore(tmp_path, study).load("R0") == [late]
    again = replace(early, changed=2000)  # of two of the same moment, what came last
    store.save("R0", [again])
    assert store.load("R0") == [again] and store.load("R1") == []
    assert read_answers(tmp_path / "answers" / "served-R0.json", study) == ("R0", [again])
    with pytest.raises(ForeignAnswersError, match="answers study 'feed', not this one"):
        AnswerStore(tmp_path, replace(study, name="other"))
    (tmp_path / "answers" / "served-R1.json").write_bytes(b"no JSON" * 100)
    with pytest.raises(MalformedAnswersError, match="cannot read answers"):
        AnswerStore(tmp_path, study)


def test_raters_write_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    study = make_study(pairs=4, raters=4, repeats=0)

    def write(rater: str, question: str) -> None:
        store = AnswerStore(tmp_path, study)
        for answer in rate(study, rater, 1, 0):
            if answer.question == question:
                store.save(rater, [answer])

    threads = [threading.Thread(target=write, args=(r, q)) for r in study.raters for q in QUESTIONS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store = AnswerStore(tmp_path, study)
    for rater in study.raters:
        assert sorted(store.load(rater), key=str) == sorted(rate(study, rater, 1, 0), key=str)
