"""Answers: which belong to this study, what they say, and where a server keeps them.

Several raters may write at once, and a killed server loses nothing that it confirmed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cyclorama.errors import (
    ConflictingAnswersError,
    ForeignAnswersError,
    IncompleteAnswersError,
    MalformedAnswersError,
)
from cyclorama.files import open_locked, write_atomic
from cyclorama.lab.study.study import ANSWERS_FOLDER, QUESTIONS, Study

FORMAT = "cyclorama-study-answers/1"
_WAIT_SECONDS = 30.0
MAX_BYTES = 4 * 2**20
"""Largest file of answers that is read; 1,000 rankings take about 0.2 MB."""


@dataclass(frozen=True)
class Answer:
    """One ranking."""

    task: str
    question: str
    order: tuple[str, ...]
    """Random image names, first place first."""
    seconds: float
    """From the showing of the screen to going on; 0 or more."""
    changed: int
    """When it was given, in milliseconds since 1970 by the rater's clock."""


Answers = Mapping[str, Mapping[tuple[str, str], Answer]]
"""Rater code -> (task, question) -> answer."""


def format_answers(study: Study, rater: str, answers: Sequence[Answer]) -> dict[str, Any]:
    """Plain values that :func:`parse_answers` reads."""
    rows = [asdict(answer) for answer in answers]
    return {"format": FORMAT, "study": study.name, "rater": rater, "answers": rows}


def parse_answers(values: object, study: Study, source: str) -> tuple[str, list[Answer]]:
    """(rater code, answers) of one decoded file or request; ``source`` names it in errors.

    Raises MalformedAnswersError, ForeignAnswersError.
    """
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        found = values.get("format") if isinstance(values, dict) else type(values).__name__
        raise MalformedAnswersError(f"{source} is no file of answers: format {found!r}, not {FORMAT!r}")
    if values.get("study") != study.name:
        raise ForeignAnswersError(
            f"{source} answers study {values.get('study')!r}, not this one ({study.name!r}); leave it out"
        )
    rater = values.get("rater")
    if not isinstance(rater, str) or rater not in study.raters:
        raise ForeignAnswersError(f"{source} comes from rater {rater!r}, whom this study does not know")
    rows = values.get("answers")
    if not isinstance(rows, list):
        raise MalformedAnswersError(f"{source} has no list 'answers'; ask the rater to save the file again")
    tasks = {task.name: task.images for task in study.raters[rater]}
    answers: dict[tuple[str, str], Answer] = {}
    for number, row in enumerate(rows, start=1):
        answer = _parse_row(row, f"{source}, answer {number}", rater, tasks)
        if (answer.task, answer.question) in answers:
            raise MalformedAnswersError(
                f"{source}, answer {number} answers a question that is answered before"
            )
        answers[answer.task, answer.question] = answer
    return rater, list(answers.values())


def read_answers(path: Path, study: Study) -> tuple[str, list[Answer]]:
    """(rater code, answers) of one downloaded file.

    Raises MalformedAnswersError (missing, unreadable, too large, no answers in it), ForeignAnswersError.
    """
    try:
        size = path.stat().st_size
        values = json.loads(path.read_text(encoding="utf-8-sig")) if size <= MAX_BYTES else None
    except (OSError, ValueError, RecursionError) as error:
        raise MalformedAnswersError(
            f"cannot read answers from {path}: {error}; ask the rater to save the file again"
        ) from error
    if size > MAX_BYTES:
        raise MalformedAnswersError(
            f"{path} has {size} bytes, more than {MAX_BYTES}; it is no file of answers"
        )
    return parse_answers(values, study, str(path))


def find_answer_files(places: Iterable[Path]) -> list[Path]:
    """The given files, and the ``.json`` files directly in given folders. Raises MalformedAnswersError."""
    result = []
    for place in places:
        if place.is_dir():
            result += sorted(place.glob("*.json"))
        elif place.is_file():
            result.append(place)
        else:
            raise MalformedAnswersError(f"no answers at {place}: no such file or folder")
    return result


def merge_answers(batches: Sequence[tuple[str, str, list[Answer]]]) -> Answers:
    """All answers by rater, from (source, rater, answers); the same ranking may come more than once.

    Raises ConflictingAnswersError if one rater ranked the same images in two ways.
    """
    merged: dict[str, dict[tuple[str, str], Answer]] = {}
    origins: dict[tuple[str, str, str], str] = {}
    for source, rater, answers in batches:
        for answer in answers:
            key = (answer.task, answer.question)
            first = merged.setdefault(rater, {}).setdefault(key, answer)
            origin = origins.setdefault((rater, *key), source)
            if first.order != answer.order:
                raise ConflictingAnswersError(
                    f"rater {rater} answered {answer.question} of task {answer.task} differently in "
                    f"{origin} and in {source}; keep one of the two"
                )
    return merged


def check_complete(study: Study, answers: Answers, allow_incomplete: bool) -> list[str]:
    """Notes on who answered and what is open.

    Raises IncompleteAnswersError if nobody answered, or if a rater who began left questions open and that is
    not allowed.
    """
    if not answers:
        raise IncompleteAnswersError(
            "there are no answers yet; put the raters' files into the study's folder 'answers', or name them"
        )
    notes = [f"{len(answers)} of {len(study.raters)} raters answered"]
    for rater, given in answers.items():
        asked = len(study.raters[rater]) * len(QUESTIONS)
        if len(given) < asked:
            notes.append(f"rater {rater} left {asked - len(given)} of {asked} questions open")
            if not allow_incomplete:
                raise IncompleteAnswersError(
                    f"{notes[-1]}; wait for the rest, or score with --allow-incomplete"
                )
    return notes


def _parse_row(row: Any, where: str, rater: str, tasks: Mapping[str, tuple[str, ...]]) -> Answer:
    if not isinstance(row, dict):
        raise MalformedAnswersError(f"{where} is {type(row).__name__}, not an object")
    task, question, order = row.get("task"), row.get("question"), row.get("order")
    if not isinstance(task, str) or task not in tasks:
        raise ForeignAnswersError(f"{where} is to task {task!r}, which rater {rater} was not given")
    if question not in QUESTIONS:
        raise MalformedAnswersError(f"{where} is to question {question!r}, not one of {', '.join(QUESTIONS)}")
    given = list(order) if isinstance(order, (list, tuple)) else []
    if not all(isinstance(name, str) for name in given) or sorted(given) != sorted(tasks[task]):
        raise MalformedAnswersError(
            f"{where} does not place each of the task's {len(tasks[task])} images once: {str(order)[:200]}"
        )
    seconds, changed = row.get("seconds", 0), row.get("changed", 0)
    numbers = all(isinstance(n, (int, float)) and not isinstance(n, bool) for n in (seconds, changed))
    if not numbers or not (math.isfinite(seconds) and seconds >= 0 and 0 <= changed < 2**53):
        raise MalformedAnswersError(f"{where} has times {seconds!r} and {changed!r}; they must be 0 or more")
    return Answer(task, question, tuple(given), float(seconds), int(changed))


class AnswerStore:
    """The answers that a server takes, a file of each rater's in the study's folder ``answers``.

    Any number of threads and processes may use it. Of two answers to one question the later given stays, in
    whatever order they arrive.
    """

    def __init__(self, folder: Path, study: Study) -> None:
        """Raises ForeignAnswersError (another study's are there), MalformedAnswersError, OutputError."""
        self.study, self._folder = study, folder / ANSWERS_FOLDER
        with self._lock():
            for rater in study.raters:
                self.load(rater)

    def load(self, rater: str) -> list[Answer]:
        """The answers of ``rater``. Raises MalformedAnswersError."""
        path = self._find(rater)
        return read_answers(path, self.study)[1] if path.exists() else []

    def save(self, rater: str, answers: Sequence[Answer]) -> None:
        """Keep ``answers``, all or none; they are on the disk when this returns. Raises OutputError."""
        with self._lock():
            kept = {(answer.task, answer.question): answer for answer in self.load(rater)}
            for answer in answers:
                first = kept.setdefault((answer.task, answer.question), answer)
                if answer.changed >= first.changed:
                    kept[answer.task, answer.question] = answer
            values = format_answers(self.study, rater, list(kept.values()))
            write_atomic(self._find(rater), json.dumps(values).encode())

    def _find(self, rater: str) -> Path:
        return self._folder / f"served-{rater}.json"

    def _lock(self) -> AbstractContextManager[Any]:
        return open_locked(self._folder / ".lock", _WAIT_SECONDS)
