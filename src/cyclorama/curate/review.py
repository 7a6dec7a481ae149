"""What is a person asked to look at, where do the answers go, and how does the page come and go by HTTP?

The page is curating's and that of people who label posters (``cyclorama inspect label``). A run writes
``review.jsonl`` and the images in ``review/``; the review page shows them and keeps decisions in
``decisions.sqlite``, which the next run takes in. Decided items stay in the list, so that a decision can be
taken back: that marks its row instead of deleting it, so that the file also is the log of the review. The
decision that counts for a key is the newest that was not taken back.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import time
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal, cast, get_args

from pydantic import TypeAdapter

from cyclorama.errors import DataError, OutputError, SettingsError
from cyclorama.files import write_atomic
from cyclorama.pages import Reply, Site, build_page

FILE_NAME = "decisions.sqlite"
"""The file's name in the folder of a curating run."""
Choice = Literal["accept", "reject"]
MAX_TEXT = 2000
"""Longest key, name or reason, in characters."""
_WAIT_SECONDS = 30.0
_TABLES = """
CREATE TABLE IF NOT EXISTS decisions (
    number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, choice TEXT NOT NULL, who TEXT NOT NULL,
    made REAL NOT NULL, reason TEXT NOT NULL, basis TEXT NOT NULL, undone REAL,
    labels TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS decisions_by_key ON decisions (key);
"""
_COLUMNS = "key, choice, who, made, reason, basis, labels"


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
    labels: str = ""
    """Which of the item's labels the person gave, separated by commas."""

    def __post_init__(self) -> None:
        if self.choice not in get_args(Choice):
            raise SettingsError(f"choice is {self.choice!r}; it must be 'accept' or 'reject'")
        for name, text in (("key", self.key), ("who", self.who)):
            if not text.strip():
                raise SettingsError(f"a decision needs a {name}; got an empty text")
        longest = max(len(text) for text in (self.key, self.who, self.reason, self.basis, self.labels))
        if longest > MAX_TEXT:
            raise SettingsError(f"a decision's text has {longest} characters, at most {MAX_TEXT}; shorten it")


def pair_key(product_key: str, reference_key: str) -> str:
    """The key under which a pair of a product and a reference is decided."""
    return f"pair:{product_key}|{reference_key}"


def find_pair(key: str, known: Container[str]) -> tuple[str, str] | None:
    """The keys of the product and the reference, both ``known``, that :func:`pair_key` made ``key`` of.

    None if there are none.
    """
    parts = key.removeprefix("pair:").split("|")
    for cut in range(1, len(parts)):
        product, reference = "|".join(parts[:cut]), "|".join(parts[cut:])
        if key == pair_key(product, reference) and product in known and reference in known:
            return product, reference
    return None


def load_decisions(path: str | Path) -> dict[str, Decision]:
    """Key -> the decision that counts; nothing if there is no such file. Raises OutputError."""
    return {decision.key: decision for decision, undone in load_log(path) if undone is None}


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
    with _connect(Path(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            f"INSERT INTO decisions ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)", astuple(decision)
        )


def undo(path: str | Path, who: str, when: float) -> Decision | None:
    """Take back the newest standing decision of ``who``; that decision, or None if there was none.

    Invariant: after it, the decision that ``load_decisions`` gives for the key is the one before.
    """
    with _connect(Path(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        own = "FROM decisions WHERE who = ? AND undone IS NULL ORDER BY number DESC LIMIT 1"
        row = connection.execute(f"SELECT number, {_COLUMNS} {own}", (who,)).fetchone()
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
        if "labels" not in {row[1] for row in connection.execute("PRAGMA table_info(decisions)")}:
            connection.execute("ALTER TABLE decisions ADD COLUMN labels TEXT NOT NULL DEFAULT ''")
        yield connection
        if connection.in_transaction:
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise OutputError(f"cannot use the decisions in {path}: {error}") from error
    finally:
        connection.close()


ITEMS_NAME = "review.jsonl"
IMAGE_FOLDER = "review"
Kind = Literal["image", "pair", "poster"]


@dataclass(frozen=True)
class ReviewImage:
    """One image of an item: its JPEG's path relative to the run's folder, and what it shows."""

    path: str
    label: str


@dataclass(frozen=True)
class ReviewItem:
    """An image or a pair that somebody must decide about."""

    key: str
    """The row's key, or :func:`cyclorama.curate.review.pair_key`."""
    kind: Kind
    title: str
    images: tuple[ReviewImage, ...]
    reasons: tuple[str, ...]
    """Why it is here, one line per rule."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    """What a person may say is wrong, by a key each."""

    @property
    def basis(self) -> str:
        """16 hex digits of what is shown: they change if the evidence does."""
        shown = [self.kind, [asdict(image) for image in self.images], list(self.reasons)]
        return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()[:16]


def save_review_items(folder: str | Path, items: Sequence[ReviewItem]) -> Path:
    """Write ``review.jsonl`` into the run's ``folder``, whole or not at all. Raises OutputError."""
    path = Path(folder) / ITEMS_NAME
    lines = [json.dumps(asdict(item), ensure_ascii=False) + "\n" for item in items]
    write_atomic(path, "".join(lines).encode())
    return path


def load_review_items(folder: str | Path) -> list[ReviewItem]:
    """The items in ``folder``, in their order.

    Raises DataError: no such list, a broken line, an image outside ``review/``, a key given twice.
    """
    path = Path(folder) / ITEMS_NAME
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(
            f"cannot read {path}: {error.strerror or error}; give the folder of a finished cyclorama curate"
        ) from error
    items: dict[str, ReviewItem] = {}
    for number, line in enumerate(lines, start=1):
        try:
            item = TypeAdapter(ReviewItem).validate_json(line)
            for image in item.images:
                if PurePosixPath(image.path).parent != PurePosixPath(IMAGE_FOLDER):
                    raise ValueError(f"image {image.path!r} does not lie in {IMAGE_FOLDER}/")
        except ValueError as error:
            raise DataError(f"{path}, line {number}: {error}; run cyclorama curate again") from error
        if item.key in items:
            raise DataError(f"{path}, line {number}: key {item.key!r} is there twice")
        items[item.key] = item
    return list(items.values())


class Review:
    """The review of one run's folder; a decision is on the disk when its request is answered."""

    def __init__(self, folder: str | Path) -> None:
        """Raises DataError (no review list in ``folder``)."""
        self._folder = Path(folder)
        self._items = {item.key: item for item in load_review_items(folder)}
        shown = [image.path for item in self._items.values() for image in item.images]
        self._images = {PurePosixPath(path).name for path in shown}
        self._database = self._folder / FILE_NAME
        title = f"Review · {self._folder.resolve().name}"
        needs = "This page needs JavaScript."
        self.page = build_page("cyclorama.curate", "review_page", title, "review", needs).encode()
        self.count = len(self._items)
        self.site = Site(self._read, {"/decisions": self.decide, "/undo": self.undo})
        """What a server gives and takes."""

    def _read(self, place: str, query: Mapping[str, str]) -> Reply | None:
        match = _IMAGE.fullmatch(place)
        image = self.load_image(match[1]) if match else None
        if place == "/":
            return Reply(self.page, "text/html; charset=utf-8")
        if place == "/items":
            state = self.load_state(query.get("who", ""))
            return Reply(json.dumps(state, ensure_ascii=False).encode(), "application/json")
        return None if image is None else Reply(image, "image/jpeg", "private, no-cache")

    def load_state(self, who: str = "") -> dict[str, Any]:
        """Items in order, and the decision that stands for each decided one; of labels those of ``who``
        alone, so that nobody sees what another has said."""
        decisions = self._load_decisions(who.strip())
        return {
            "items": [asdict(item) | {"basis": item.basis} for item in self._items.values()],
            "decisions": {key: asdict(d) for key, d in decisions.items() if key in self._items},
        }

    def load_image(self, name: str) -> bytes | None:
        """The bytes of the image ``name`` in ``review/``; None if no item shows it or it is gone."""
        if name not in self._images:
            return None
        try:
            return (self._folder / IMAGE_FOLDER / name).read_bytes()
        except OSError:
            return None

    def decide(self, values: Any) -> dict[str, Any]:
        """Keep the decision in ``values`` (key, choice, who, reason). Raises SettingsError, OutputError."""
        key, choice, who = (_get_text(values, name) for name in ("key", "choice", "who"))
        if key not in self._items:
            raise SettingsError(f"nothing under review has the key {key!r}; reload the page")
        reason = _get_text(values, "reason") if "reason" in values else ""
        item = self._items[key]
        labels = _get_text(values, "labels") if "labels" in values else ""
        if unknown := sorted({*filter(None, labels.split(","))} - {*item.labels}):
            raise SettingsError(
                f"labels are {', '.join(item.labels) or 'not asked for'}; got {', '.join(unknown)}"
            )
        decision = Decision(
            key, cast("Choice", choice), who.strip(), time.time(), reason.strip(), item.basis, labels
        )
        save_decision(self._database, decision)
        return {"decision": asdict(decision)}

    def undo(self, values: Any) -> dict[str, Any]:
        """Take back the newest decision of ``values["who"]``; what it was, and what now stands."""
        undone = undo(self._database, _get_text(values, "who").strip(), time.time())
        if undone is None:
            return {"undone": None, "decision": None}
        standing = self._load_decisions(undone.who).get(undone.key)
        return {"undone": asdict(undone), "decision": asdict(standing) if standing else None}

    def _load_decisions(self, who: str) -> dict[str, Decision]:
        if not any(item.labels for item in self._items.values()):
            return load_decisions(self._database)
        log = load_log(self._database)
        return {decision.key: decision for decision, undone in log if undone is None and decision.who == who}


def _get_text(values: Any, name: str) -> str:
    if not isinstance(values, dict) or not isinstance(values.get(name), str):
        raise SettingsError(f"a request must be a JSON object with the text {name!r}")
    text: str = values[name]
    return text


_IMAGE = re.compile(r"/images/([A-Za-z0-9][\w.-]{0,200}\.jpg)")
