"""Answers: which belong to this study, what they say, and where a server keeps them (SQLite).

Several raters may write at once, and a killed server loses nothing that it confirmed.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cyclorama.errors import (
    ConflictingAnswersError,
    ForeignAnswersError,
    IncompleteAnswersError,
    MalformedAnswersError,
    OutputError,
)
from cyclorama.lab.study.study import QUESTIONS, Study

FORMAT = "cyclorama-study-answers/1"
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


_WAIT_SECONDS = 30.0
_TABLES = """
CREATE TABLE IF NOT EXISTS study (name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS answers (
    rater TEXT NOT NULL, task TEXT NOT NULL, question TEXT NOT NULL, image_order TEXT NOT NULL,
    seconds REAL NOT NULL, changed INTEGER NOT NULL, PRIMARY KEY (rater, task, question)
) WITHOUT ROWID;
"""
_SAVE = """
INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (rater, task, question) DO UPDATE SET
    image_order = excluded.image_order, seconds = excluded.seconds, changed = excluded.changed
WHERE excluded.changed >= answers.changed
"""


class AnswerStore:
    """The answers of one study in one file.

    Every call opens its own connection (write-ahead log, waiting for its turn), so that any number of threads
    and processes may use the file. Of two answers to one question the later given stays, in whatever order
    they arrive.
    """

    def __init__(self, path: Path, study_name: str) -> None:
        self._path = path
        self._study_name = study_name
        with self._connect() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(_TABLES)
            connection.execute("BEGIN IMMEDIATE")
            row = connection.execute("SELECT name FROM study").fetchone()
            if row is None:
                connection.execute("INSERT INTO study VALUES (?)", (study_name,))
            elif row[0] != study_name:
                raise ForeignAnswersError(
                    f"{path} holds answers to study {row[0]!r}, not to {study_name!r}; move it away"
                )

    def save(self, rater: str, answers: Sequence[Answer]) -> None:
        """Keep ``answers``, all or none; they are on the disk when this returns. Raises OutputError."""
        rows = [(rater, a.task, a.question, json.dumps(a.order), a.seconds, a.changed) for a in answers]
        with self._connect() as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_SAVE, rows)

    def load(self, rater: str | None = None) -> dict[str, list[Answer]]:
        """Rater -> answers; of one rater or of all. Raises OutputError, MalformedAnswersError."""
        query = "SELECT rater, task, question, image_order, seconds, changed FROM answers"
        result: dict[str, list[Answer]] = {}
        with self._connect() as connection:
            rows = connection.execute(
                query + (" WHERE rater = ?" if rater else ""), (rater,) if rater else ()
            )
            for owner, task, question, order, seconds, changed in rows:
                try:
                    answer = Answer(task, question, tuple(json.loads(order)), seconds, changed)
                except (ValueError, TypeError) as error:
                    raise MalformedAnswersError(
                        f"{self._path}: damaged answer of {owner}: {error}"
                    ) from error
                result.setdefault(owner, []).append(answer)
        return result

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        """A connection whose changes are committed at the end, or rolled back on any error."""
        try:
            connection = sqlite3.connect(self._path, timeout=_WAIT_SECONDS, isolation_level=None)
        except sqlite3.Error as error:
            raise OutputError(f"cannot open {self._path}: {error}") from error
        try:
            yield connection
            if connection.in_transaction:
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise OutputError(f"cannot use the answers in {self._path}: {error}") from error
        finally:
            connection.close()
