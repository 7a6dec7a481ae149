"""From rankings to the scores of the methods, with their doubt and the raters' reliability."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from cyclorama.evaluation.compare import MeanEstimate
from cyclorama.lab.study.answers import Answers, check_complete
from cyclorama.lab.study.rank_statistics import (
    Array,
    Friedman,
    Unit,
    average_blocks,
    compute_agreement,
    compute_interval,
    compute_tau,
    correct_holm,
    run_friedman,
    run_wilcoxon,
    sample_means,
)
from cyclorama.lab.study.study import QUESTIONS, Study

UNITS: tuple[Unit, ...] = ("pairs", "raters")
_LAZY_SHARE = 0.8
_LAZY_LEAST = 5


@dataclass(frozen=True)
class MethodScore:
    """One method under one question."""

    method: str
    score: MeanEstimate
    """Mean rank score: n for the first of n places, 1 for the last; ``count`` rankings."""
    first_share: float
    """Share of rankings that place it first."""


@dataclass(frozen=True)
class Difference:
    """Two methods under one question."""

    first: str
    second: str
    difference: MeanEstimate
    """Mean of first - second."""
    first_above: float
    """Share of rankings that place the first above the second."""
    p: Mapping[str, float | None]
    """Unit (pairs, raters) -> p of Wilcoxon's test over it, corrected by Holm for all pairs of methods."""


@dataclass(frozen=True)
class Repetition:
    """How alike raters ranked the pairs they met twice."""

    count: int
    tau: float
    """Mean Kendall's tau between the two rankings: 1 the same, 0 by chance."""
    same_first: float
    """Share with the same first place; 1 / methods by chance."""


@dataclass(frozen=True)
class QuestionScore:
    """All about one question."""

    question: str
    methods: tuple[MethodScore, ...]
    """Best first."""
    differences: tuple[Difference, ...]
    friedman: Mapping[str, Friedman | None]
    """By unit."""
    agreement: float | None
    """Kendall's W among the raters of one pair, mean over pairs."""
    agreement_by_chance: float | None
    repetition: Repetition | None
    places: tuple[float, ...]
    """Mean rank score by place on the page: all alike if raters looked."""


@dataclass(frozen=True)
class RaterScore:
    """What is known of one rater's care."""

    rater: str
    rankings: int
    repetition: Repetition | None
    as_shown: float
    """Share of rankings equal to the order of showing."""
    median_seconds: float


@dataclass(frozen=True)
class StudyScore:
    """The result of a study."""

    study: str
    methods: tuple[str, ...]
    pairs: int
    questions: tuple[QuestionScore, ...]
    raters: tuple[RaterScore, ...]
    notes: tuple[str, ...]


def score_study(study: Study, answers: Answers, allow_incomplete: bool = False, seed: int = 0) -> StudyScore:
    """The scores of all methods. Repeats count for the raters' reliability only, not for the scores.

    Raises IncompleteAnswersError.
    """
    notes = check_complete(study, answers, allow_incomplete)
    raters = sorted(answers)
    questions = []
    for question in QUESTIONS:
        scores = collect_scores(study, answers, raters, question)
        if np.isnan(scores).all():
            notes.append(f"nobody answered {question}")
            continue
        questions.append(_score_question(study, answers, question, scores, seed))
    people = tuple(_score_rater(study, answers, rater) for rater in raters)
    return StudyScore(
        study.name, study.methods, len(study.pairs), tuple(questions), people, (*notes, *_warn(people))
    )


def collect_scores(study: Study, answers: Answers, raters: list[str], question: str) -> Array:
    """Rank scores (raters, pairs, methods) of the first showings; NaN where there is no answer."""
    count = len(study.methods)
    scores = np.full((len(raters), len(study.pairs), count), np.nan)
    columns = {method: n for n, method in enumerate(study.methods)}
    for row, rater in enumerate(raters):
        for task in study.raters[rater]:
            answer = answers[rater].get((task.name, question))
            if answer is None or task.repeats is not None:
                continue
            method_of = study.get_methods(task.pair)
            for place, image in enumerate(answer.order):
                scores[row, task.pair, columns[method_of[image]]] = count - place
    return scores


def _score_question(study: Study, answers: Answers, question: str, scores: Array, seed: int) -> QuestionScore:
    means, samples = np.nanmean(scores, axis=(0, 1)), sample_means(scores, seed)
    given = scores[~np.isnan(scores[:, :, 0])]  # (rankings, methods)

    def estimate(value: float, drawn: Array) -> MeanEstimate:
        low, high = compute_interval(drawn, scores.shape)
        return MeanEstimate(float(value), low, high, len(given))

    firsts = (given == len(study.methods)).mean(axis=0)
    methods = [
        MethodScore(method, estimate(means[n], samples[:, n]), float(firsts[n]))
        for n, method in enumerate(study.methods)
    ]
    blocks = {unit: average_blocks(scores, unit) for unit in UNITS}
    duels = list(combinations(range(len(study.methods)), 2))
    corrected = {
        unit: correct_holm([run_wilcoxon(blocks[unit][:, a], blocks[unit][:, b]) for a, b in duels])
        for unit in UNITS
    }
    differences = [
        Difference(
            study.methods[a],
            study.methods[b],
            estimate(means[a] - means[b], samples[:, a] - samples[:, b]),
            float((given[:, a] > given[:, b]).mean()),
            {unit: corrected[unit][n] for unit in UNITS},
        )
        for n, (a, b) in enumerate(duels)
    ]
    agreement, by_chance = compute_agreement(scores) or (None, None)
    return QuestionScore(
        question,
        tuple(sorted(methods, key=lambda one: -one.score.value)),
        tuple(differences),
        {unit: run_friedman(blocks[unit]) for unit in UNITS},
        agreement,
        by_chance,
        _compare_repeats(study, answers, sorted(answers), [question]),
        _score_places(study, answers, question),
    )


def _compare_repeats(
    study: Study, answers: Answers, raters: Iterable[str], questions: Sequence[str]
) -> Repetition | None:
    """How alike the rankings are that ``raters`` gave twice to ``questions``; None if there are none."""
    twice = [
        (answers[rater][task.repeats, question].order, answers[rater][task.name, question].order)
        for rater in raters
        for question in questions
        for task in study.raters[rater]
        if task.repeats is not None
        and {(task.repeats, question), (task.name, question)} <= answers[rater].keys()
    ]
    if not twice:
        return None
    taus = [compute_tau(*both) for both in twice]
    same = [first[0] == second[0] for first, second in twice]
    return Repetition(len(twice), float(np.mean(taus)), float(np.mean(same)))


def _score_places(study: Study, answers: Answers, question: str) -> tuple[float, ...]:
    count = len(study.methods)
    totals, rankings = np.zeros(count), 0
    for rater, given in answers.items():
        for task in study.raters[rater]:
            answer = given.get((task.name, question))
            if answer is not None:
                totals += [count - answer.order.index(image) for image in task.images]
                rankings += 1
    return tuple(float(total) / rankings for total in totals)


def _score_rater(study: Study, answers: Answers, rater: str) -> RaterScore:
    given = answers[rater]
    shown = {task.name: task.images for task in study.raters[rater]}
    return RaterScore(
        rater,
        len(given),
        _compare_repeats(study, answers, [rater], QUESTIONS),
        float(np.mean([answer.order == shown[answer.task] for answer in given.values()])),
        float(np.median([answer.seconds for answer in given.values()])),
    )


def _warn(raters: tuple[RaterScore, ...]) -> list[str]:
    notes = []
    for one in raters:
        if one.repetition is not None and one.repetition.tau <= 0:
            notes.append(
                f"rater {one.rater} repeats the own rankings no better than chance "
                f"(tau {one.repetition.tau:.2f} over {one.repetition.count})"
            )
        if one.rankings >= _LAZY_LEAST and one.as_shown >= _LAZY_SHARE:
            notes.append(
                f"rater {one.rater} left {one.as_shown:.0%} of the images' orders as they were shown"
            )
    return notes
