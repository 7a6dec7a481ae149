"""Figures of a study by hand (``cyclorama.lab.study.score``) and where its report draws them
(``cyclorama.lab.study.report``)."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from cyclorama.evaluation.compare import MeanEstimate
from cyclorama.lab.study.answers import Answer, merge_answers
from cyclorama.lab.study.rank_statistics import Friedman
from cyclorama.lab.study.report import format_html, format_json, format_markdown
from cyclorama.lab.study.score import (
    Difference,
    MethodScore,
    QuestionScore,
    RaterScore,
    Repetition,
    StudyScore,
    score_study,
)
from cyclorama.lab.study.study import QUESTIONS, Pair, RatingTask, Study

METHODS = ("a", "b", "c")


def build_study(repeated: int) -> Study:
    """Five pairs shown as a, b, c, the first ``repeated`` again as c, b, a, to one rater."""
    pairs = tuple(Pair(f"k{n}", "r", None, f"ref{n}", {m: f"{n}{m}" for m in METHODS}) for n in range(5))
    tasks = [RatingTask(f"t{n}", n, tuple(f"{n}{m}" for m in METHODS)) for n in range(5)]
    tasks += [
        RatingTask(f"again{n}", n, tuple(f"{n}{m}" for m in reversed(METHODS)), f"t{n}")
        for n in range(repeated)
    ]
    return Study("s", 1, METHODS, pairs, {"R": tuple(tasks)}, {})


def answer(study: Study, orders: dict[str, str], questions: tuple[str, ...] = QUESTIONS) -> Any:
    """Task to the methods in the order given; 1, 2, 3 … seconds."""
    pair_of = {task.name: task.pair for task in study.raters["R"]}
    given = [
        Answer(task, question, tuple(f"{pair_of[task]}{m}" for m in order), float(n + 1), 0)
        for question in questions
        for n, (task, order) in enumerate(orders.items())
    ]
    return merge_answers([("x", "R", given)])


def test_repeats_shares_and_places_by_hand() -> None:
    study = build_study(2)
    orders = {
        "t0": "abc",
        "t1": "bac",
        "t2": "abc",
        "t3": "cab",
        "t4": "bca",
        "again0": "abc",
        "again1": "cab",
    }
    score = score_study(study, answer(study, orders))
    first = score.questions[0]
    assert first.repetition == Repetition(2, pytest.approx(0), 0.5)  # tau 1 and -1
    means = {one.method: (one.score.value, one.first_share, one.score.count) for one in first.methods}
    assert means == {
        "a": (pytest.approx(11 / 5), 0.4, 5), "b": (pytest.approx(2.2), 0.4, 5),
        "c": (pytest.approx(1.6), 0.2, 5)
    }  # fmt: skip
    assert [one.method for one in first.methods][2] == "c"
    duels = {(d.first, d.second): (d.difference.value, d.first_above) for d in first.differences}
    assert duels == {
        ("a", "b"): (pytest.approx(0), 0.6), ("a", "c"): (pytest.approx(0.6), 0.6),
        ("b", "c"): (pytest.approx(0.6), 0.8)
    }  # fmt: skip
    for one in first.differences:
        low, high = one.difference.low, one.difference.high
        assert low is None or low <= one.difference.value <= high
    # shown a, b, c in five tasks and c, b, a in two: the first place shows 3 2 3 2 1, then 1 and 3
    assert first.places == pytest.approx(
        (15 / 7, (2 + 3 + 2 + 1 + 3 + 2 + 1) / 7, (1 + 1 + 1 + 3 + 2 + 3 + 2) / 7)
    )
    rater = score.raters[0]
    assert (rater.rankings, rater.median_seconds) == (14, 4.0)
    assert rater.as_shown == pytest.approx(2 / 7)  # t0 and t2
    assert rater.repetition == Repetition(4, pytest.approx(0), 0.5)


@pytest.mark.parametrize(
    ("again", "tau", "noted"), [("bca", -1 / 3, True), ("bac", 1 / 3, False), ("cba", -1.0, True)]
)
def test_a_rater_who_repeats_no_better_than_chance_is_named(again: str, tau: float, noted: bool) -> None:
    study = build_study(1)
    orders = {f"t{n}": "abc" for n in range(5)} | {"again0": again}
    score = score_study(study, answer(study, orders))
    assert score.raters[0].repetition == Repetition(2, pytest.approx(tau), float(again[0] == "a"))
    assert any("no better than chance" in note for note in score.notes) == noted


def test_chance_itself_is_no_better_than_chance() -> None:
    study = build_study(2)
    orders = {f"t{n}": "abc" for n in range(5)} | {"again0": "abc", "again1": "cba"}
    notes = score_study(study, answer(study, orders)).notes
    assert "rater R repeats the own rankings no better than chance (tau 0.00 over 4)" in notes


@pytest.mark.parametrize(
    ("tasks", "shown", "noted"), [(5, 4, True), (5, 3, False), (4, 4, False), (5, 5, True)]
)
def test_a_rater_who_leaves_orders_as_shown_is_named_from_four_of_five_on(
    tasks: int, shown: int, noted: bool
) -> None:
    study = build_study(0)
    orders = {f"t{n}": "abc" if n < shown else "cba" for n in range(tasks)}
    score = score_study(study, answer(study, orders, QUESTIONS[:1]), allow_incomplete=True)
    assert any("orders as they were shown" in note for note in score.notes) == noted
    assert f"nobody answered {QUESTIONS[1]}" in score.notes


def build_score(methods: int = 3, **changes: Any) -> StudyScore:
    names = ["x" * 26, "y" * 27, "<c>"][:methods]
    scores = [
        MethodScore(name, MeanEstimate(value, value - 0.25, value + 0.25, 12), share)
        for name, value, share in zip(names, (2.5, 2.0, 1.5), (0.5, 0.3, 0.2))
    ]
    scores[-1] = replace(scores[-1], score=MeanEstimate(1.5, None, None, 12))
    duel = Difference("p", "q", MeanEstimate(0.5, 0.1, 0.9, 12), 0.625, {"pairs": 0.001, "raters": 0.00099})
    question = QuestionScore(
        "quality", tuple(scores), (duel, replace(duel, p={"pairs": None, "raters": 0.25})),
        {"pairs": Friedman(12, 8.25, 0.0161, 0.344), "raters": None}, 0.512, 0.2, Repetition(6, 0.25, 0.5),
        (2.1, 2.0, 1.9),
    )  # fmt: skip
    raters = (RaterScore("R0", 30, Repetition(3, 0.5, 1.0), 0.125, 2.25), RaterScore("R1", 5, None, 0, 9.5))
    return StudyScore("s", tuple(names), 12, (replace(question, **changes),), raters, ("a note",))


def test_the_drawing_is_to_scale() -> None:
    page = format_html(build_score())
    assert 'width="640" height="120" viewBox="0 0 640 120"' in page
    lines = re.findall(
        r'<line x1="([\d.]+)" x2="([\d.]+)" y1="(\d+)" y2="(\d+)" stroke="var\(--line\)"', page
    )
    assert lines == [(x, x, "24", "114") for x in ("200.0", "410.0", "620.0")]
    numbers = re.findall(r'<text x="([\d.]+)" y="16" text-anchor="middle" fill="currentColor">(\d)<', page)
    assert numbers == [("200.0", "1"), ("410.0", "2"), ("620.0", "3")]
    names = re.findall(r'<text x="0" y="(\d+)" fill="currentColor">([^<]*)</text>', page)
    assert names == [("43", "x" * 26), ("73", "y" * 25 + "…"), ("103", "&lt;c&gt;")]
    dots = re.findall(r'<circle cx="([\d.]+)" cy="(\d+)" r="6"', page)
    assert dots == [("515.0", "39"), ("410.0", "69"), ("305.0", "99")]
    bars = re.findall(r'<line x1="([\d.]+)" x2="([\d.]+)" y1="(\d+)" y2="(\d+)" stroke="var\(--mark\)"', page)
    assert bars == [("462.5", "567.5", "39", "39"), ("357.5", "462.5", "69", "69")]
    assert f'aria-label="{"x" * 26} 2.50 (2.25 to 2.75); {"y" * 27} 2.00 (1.75 to 2.25); ' in page
    alone = format_html(build_score(1))
    assert 'width="640" height="60" viewBox="0 0 640 60"' in alone


def test_the_report_says_the_figures() -> None:
    text = format_markdown(build_score())
    assert "3 methods, 12 product–reference pairs, 2 raters; study s." in text
    flat = re.sub(r"[ ]*\|[ ]*", "|", text)
    for row in (
        "|method|quality|first place, quality|",
        f"|{'x' * 26}|2.50 (2.25 to 2.75)|50%|",
        "|methods|difference (95 % interval)|first above second|p over pairs|p over raters|",
        "|p − q|0.50 (0.10 to 0.90)|62%|0.001|< 0.001|",
        "|p − q|0.50 (0.10 to 0.90)|62%|–|0.250|",
        "|R0|30|0.50|100%|12%|2.2|",
        "|R1|5|–|–|0%|9.5|",
    ):
        assert row in flat, (row, flat)
    for line in (
        "quality: Friedman over 12 pairs: chi-square 8.25, p 0.016; Kendall's W 0.344",
        "quality: raters of one pair agree with Kendall's W 0.512 (by chance 0.200)",
        "quality: 6 repeated rankings: tau 0.250, same first place 50% (by chance 0 and 33%)",
        "quality: mean rank score by place on the page: 2.10, 2.00, 1.90",
        "a note",
    ):
        assert line in text, (line, text)
    assert "Friedman over 12 raters" not in text
    bare = format_markdown(build_score(agreement=None, repetition=None))
    assert "by chance" not in bare


def test_the_json_ends_its_line() -> None:
    text = format_json(build_score())
    assert text.endswith("}\n") and json.loads(text)["pairs"] == 12
