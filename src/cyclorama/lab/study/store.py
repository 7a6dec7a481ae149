"""Answers in SQLite: several raters may write at once, and a killed server loses nothing it confirmed."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cyclorama.errors import ForeignAnswersError, MalformedAnswersError, OutputError
from cyclorama.lab.study.answers import Answer

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
