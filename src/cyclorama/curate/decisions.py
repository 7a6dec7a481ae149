"""What did people decide about the images and pairs put to review, who, and when?

One SQLite file holds every decision ever made as a row of its own; taking one back marks the row instead of
deleting it, so that the file also is the log of the review. The decision that counts for a key is the newest
that was not taken back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from cyclorama.errors import OutputError, SettingsError

FILE_NAME = "decisions.sqlite"
"""The file's name in the folder of a curating run."""
Choice = Literal["accept", "reject"]
MAX_TEXT = 2000
"""Longest key, name or reason, in characters."""
_WAIT_SECONDS = 30.0
_TABLES = """
CREATE TABLE IF NOT EXISTS decisions (
    number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, choice TEXT NOT NULL, who TEXT NOT NULL,
    made REAL NOT NULL, reason TEXT NOT NULL, basis TEXT NOT NULL, undone REAL
);
CREATE INDEX IF NOT EXISTS decisions_by_key ON decisions (key);
"""
_COLUMNS = "key, choice, who, made, reason, basis"


@dataclass(frozen=True)
class Decision:
    """One person's decision about one image or pair."""

    key: str
    """The row's key, or :func:`pair_key` of a pair."""
    choice: Choice
    who: str
    when: float
    """Seconds since 1970, UTC."""
    reason: str = ""
    """What the person wrote, if anything."""
    basis: str = ""
    """Digest of what the person was shown; another one now means that image or evidence changed."""

    def __post_init__(self) -> None:
        if self.choice not in get_args(Choice):
            raise SettingsError(f"choice is {self.choice!r}; it must be 'accept' or 'reject'")
        for name, text in (("key", self.key), ("who", self.who)):
            if not text.strip():
                raise SettingsError(f"a decision needs a {name}; got an empty text")
        longest = max(len(text) for text in (self.key, self.who, self.reason, self.basis))
        if longest > MAX_TEXT:
            raise SettingsError(f"a decision's text has {longest} characters, at most {MAX_TEXT}; shorten it")


def pair_key(product_key: str, reference_key: str) -> str:
    """The key under which a pair of a product and a reference is decided."""
    return f"pair:{product_key}|{reference_key}"


def load_decisions(path: str | Path) -> dict[str, Decision]:
    """Key -> the decision that counts; nothing if there is no such file. Raises OutputError."""
    path = Path(path)
    if not path.is_file():
        return {}
    query = f"SELECT {_COLUMNS} FROM decisions WHERE undone IS NULL ORDER BY number"
    with _connect(path) as connection:
        return {row[0]: Decision(*row) for row in connection.execute(query)}


def load_log(path: str | Path) -> list[tuple[Decision, float | None]]:
    """Every decision in the order of their making, each with the time it was taken back (None: it stands)."""
    path = Path(path)
    if not path.is_file():
        return []
    with _connect(path) as connection:
        rows = connection.execute(f"SELECT {_COLUMNS}, undone FROM decisions ORDER BY number").fetchall()
    return [(Decision(*row[:-1]), row[-1]) for row in rows]


def save_decision(path: str | Path, decision: Decision) -> None:
    """Add ``decision``; it is on the disk when this returns. Raises OutputError."""
    values = (
        decision.key,
        decision.choice,
        decision.who,
        decision.when,
        decision.reason,
        decision.basis,
    )
    with _connect(Path(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(f"INSERT INTO decisions ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", values)


def undo(path: str | Path, who: str, when: float) -> Decision | None:
    """Take back the newest standing decision of ``who``; that decision, or None if there was none.

    Invariant: after it, the decision that ``load_decisions`` gives for the key is the one before.
    """
    with _connect(Path(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        row = connection.execute(
            f"SELECT number, {_COLUMNS} FROM decisions WHERE who = ? AND undone IS NULL "
            "ORDER BY number DESC LIMIT 1",
            (who,),
        ).fetchone()
        if row is None:
            return None
        connection.execute("UPDATE decisions SET undone = ? WHERE number = ?", (when, row[0]))
        return Decision(*row[1:])


@contextmanager
def _connect(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection whose changes are committed at the end, or rolled back on any error."""
    try:
        connection = sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None)
    except sqlite3.Error as error:
        raise OutputError(f"cannot open the decisions in {path}: {error}") from error
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(_TABLES)
        yield connection
        if connection.in_transaction:
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise OutputError(f"cannot use the decisions in {path}: {error}") from error
    finally:
        connection.close()
