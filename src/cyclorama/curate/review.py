"""What is a person asked to look at, and where do the answers go?

A run writes ``review.jsonl`` and the images in ``review/``; the review page shows them and keeps decisions
in ``decisions.sqlite``, which the next run takes in. Decided items stay in the list, so that a decision can
be taken back.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import TypeAdapter

from cyclorama.curate.decisions import FILE_NAME as DECISIONS_NAME
from cyclorama.curate.decisions import Choice, Decision, load_decisions, save_decision, undo
from cyclorama.errors import DataError, SettingsError
from cyclorama.files import write_atomic
from cyclorama.local_server import build_page

ITEMS_NAME = "review.jsonl"
IMAGE_FOLDER = "review"
Kind = Literal["image", "pair"]


@dataclass(frozen=True)
class ReviewImage:
    """One image of an item: its JPEG's path relative to the run's folder, and what it shows."""

    path: str
    label: str


@dataclass(frozen=True)
class ReviewItem:
    """An image or a pair that somebody must decide about."""

    key: str
    """The row's key, or :func:`cyclorama.curate.decisions.pair_key`."""
    kind: Kind
    title: str
    images: tuple[ReviewImage, ...]
    reasons: tuple[str, ...]
    """Why it is here, one line per rule."""
    numbers: Mapping[str, float] = field(default_factory=dict)

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
            item = _parse_item(line)
        except ValueError as error:
            raise DataError(f"{path}, line {number}: {error}; run cyclorama curate again") from error
        if item.key in items:
            raise DataError(f"{path}, line {number}: key {item.key!r} is there twice")
        items[item.key] = item
    return list(items.values())


def _parse_item(line: str) -> ReviewItem:
    item = TypeAdapter(ReviewItem).validate_json(line)
    for image in item.images:
        if PurePosixPath(image.path).parent != PurePosixPath(IMAGE_FOLDER):
            raise ValueError(f"image {image.path!r} does not lie in {IMAGE_FOLDER}/")
    return item


class Desk:
    """The review of one run's folder: what is asked, and where answers go."""

    def __init__(self, folder: str | Path) -> None:
        """Raises DataError (no review list in ``folder``)."""
        self._folder = Path(folder)
        self._items = {item.key: item for item in load_review_items(folder)}
        self._images = {
            PurePosixPath(image.path).name for item in self._items.values() for image in item.images
        }
        self._database = self._folder / DECISIONS_NAME
        title = f"Review · {self._folder.resolve().name}"
        needs = "This page needs JavaScript."
        self.page = build_page("cyclorama.curate", "review_page", title, "review", needs).encode()

    def __len__(self) -> int:
        return len(self._items)

    def load_state(self) -> dict[str, Any]:
        """Items in order, and the decision that stands for each decided one."""
        decisions = load_decisions(self._database)
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
        known: Choice = "accept" if choice == "accept" else "reject"
        if choice != known:
            raise SettingsError(f"choice is {choice!r}; it must be 'accept' or 'reject'")
        reason = _get_text(values, "reason") if "reason" in values else ""
        decision = Decision(key, known, who.strip(), time.time(), reason.strip(), self._items[key].basis)
        save_decision(self._database, decision)
        return {"decision": asdict(decision)}

    def undo(self, values: Any) -> dict[str, Any]:
        """Take back the newest decision of ``values["who"]``; what it was, and what now stands."""
        undone = undo(self._database, _get_text(values, "who").strip(), time.time())
        if undone is None:
            return {"undone": None, "decision": None}
        standing = load_decisions(self._database).get(undone.key)
        return {"undone": asdict(undone), "decision": asdict(standing) if standing else None}


def _get_text(values: Any, name: str) -> str:
    if not isinstance(values, dict) or not isinstance(values.get(name), str):
        raise SettingsError(f"a request must be a JSON object with the text {name!r}")
    text: str = values[name]
    return text
