"""What a study is: its settings, its pairs, who sees which images in which order, and the key.

The key says which image is whose. Only the experimenter may have it: ``key.json``, outside the page.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import Field, TypeAdapter, model_validator

from cyclorama.config import Settings
from cyclorama.errors import SettingsError, StudyError
from cyclorama.seeding import MAX_SEED, build_numpy_generator

QUESTIONS = ("similarity", "quality")
"""What is ranked: likeness to the reference's style; quality as an advertising image."""
LETTERS = "ABCDEFGH"
"""Places on the page, in the order of showing."""
MAX_METHODS = len(LETTERS)
CODE_LETTERS = "ACDEFHJKLMNPQRTUVWXY34679"  # none that is taken for another when read aloud or typed
KEY_NAME = "key.json"
PAGE_FOLDER = "page"
PAGE_NAME = "index.html"
IMAGE_FOLDER = "images"
ANSWERS_FOLDER = "answers"
KEY_FORMAT = "cyclorama-study-key/1"


class StudySettings(Settings):
    """How large a study is, and how its page is made."""

    error_type: ClassVar[type[SettingsError]] = SettingsError

    pairs: Annotated[int, Field(ge=1)] = 20
    """Product–reference pairs, the same for all raters."""
    raters: Annotated[int, Field(ge=1, le=1000)] = 10
    """Rater codes to make."""
    repeats: Annotated[int | None, Field(ge=0)] = None
    """Pairs that each rater meets a second time, unannounced (default: 3, or half of the pairs)."""
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = Field(
        default_factory=lambda: secrets.randbelow(MAX_SEED)
    )
    """Builds the same study again; keep it secret, it gives the key away (default: random)."""
    side: Annotated[int, Field(ge=128, le=2048)] = 768
    """Longest side of an image on the page, in pixels."""
    embed: bool = True
    """Images inside the page (one file) instead of beside it (for a web server)."""

    @property
    def repeated(self) -> int:
        """How many pairs come twice."""
        return min(3, self.pairs // 2) if self.repeats is None else self.repeats

    @model_validator(mode="after")
    def _check_repeats(self) -> Self:
        if self.repeated > self.pairs // 2:
            raise SettingsError(
                f"repeats must be 0 to {self.pairs // 2} (half of {self.pairs} pairs), got {self.repeats}"
            )
        return self


@dataclass(frozen=True)
class RatingTask:
    """One screen of one rater: a pair, its images in the order they are shown."""

    name: str
    """Random; says neither the pair nor whether it is a repeat."""
    pair: int
    """Index into the study's pairs."""
    images: tuple[str, ...]
    """Random image names as shown, first place first."""
    repeats: str | None = None
    """Name of the task whose pair is shown again here."""


class Namer:
    """Random names that say nothing and never repeat; fixed by (seed, purpose)."""

    def __init__(self, seed: int, purpose: str) -> None:
        self._random = build_numpy_generator(seed, "study names", purpose)
        self._used: set[str] = set()

    def draw(self, length: int = 12, letters: str = "0123456789abcdef") -> str:
        """A new name of ``length`` of ``letters``."""
        while True:
            name = "".join(letters[n] for n in self._random.integers(0, len(letters), length))
            if name not in self._used:
                self._used.add(name)
                return name


def sample_keys(keys: Sequence[str], count: int, seed: int) -> list[str]:
    """``count`` of ``keys`` without replacement, in a random order; fixed by the seed and the set of keys.

    Raises SettingsError if there are fewer.
    """
    if count > len(keys):
        raise SettingsError(
            f"--pairs {count}, but only {len(keys)} product–reference pairs are there for all methods; "
            f"give --pairs {len(keys)} or fewer"
        )
    random = build_numpy_generator(seed, "study", "pairs")
    ordered = sorted(keys)
    return [ordered[n] for n in random.permutation(len(ordered))[:count]]


def plan_rater(images: Sequence[Sequence[str]], repeats: int, seed: int, code: str) -> tuple[RatingTask, ...]:
    """The tasks of rater ``code``: every pair once in an order of the rater's own, ``repeats`` of them twice.

    ``images`` holds each pair's image names. A repeat comes at least a third of the study (and never
    directly) after the first showing and shows the images in another order.
    Invariant: it depends on (seed, code) alone, so raters can be added without changing the others.
    """
    random = build_numpy_generator(seed, code, "study tasks")
    namer = Namer(seed, f"tasks of {code}")
    order = [int(n) for n in random.permutation(len(images))]
    if repeats:
        head = max(repeats, len(order) // 3)
        gap = max(1, min(len(order) // 3, len(order) - head))
        again = [order[n] for n in random.permutation(head)[:repeats]]
        rest = order[head + gap :] + again
        order = order[: head + gap] + [rest[n] for n in random.permutation(len(rest))]
    seen: dict[int, RatingTask] = {}
    tasks = []
    for pair in order:
        first = seen.get(pair)
        shown = None
        while shown is None or (first is not None and shown == first.images):
            shown = tuple(images[pair][n] for n in random.permutation(len(images[pair])))
        task = RatingTask(namer.draw(), pair, shown, first.name if first else None)
        seen.setdefault(pair, task)
        tasks.append(task)
    return tuple(tasks)


@dataclass(frozen=True)
class Pair:
    """One product with one reference, as every method made it."""

    product: str
    """Key of the images in the methods' sets."""
    reference: str
    """Key in the set of references."""
    category: str | None
    reference_image: str
    """Random name of the reference on the page."""
    images: Mapping[str, str]
    """Method -> random name of its image on the page."""


@dataclass(frozen=True)
class Study:
    """A built study."""

    name: str
    """Random; in the page and in every answer, so that answers find their study."""
    seed: int
    methods: tuple[str, ...]
    pairs: tuple[Pair, ...]
    raters: Mapping[str, tuple[RatingTask, ...]]
    """Rater code -> tasks in their order."""
    sources: Mapping[str, str]
    """Where each method's images, and the references, came from."""

    def get_methods(self, pair: int) -> dict[str, str]:
        """Random image name -> method, for one pair."""
        return {image: method for method, image in self.pairs[pair].images.items()}


def load_study(folder: Path) -> Study:
    """The study in ``folder``. Raises StudyError (no key there, or not one that ``build`` wrote)."""
    path = folder / KEY_NAME
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StudyError(
            f"{folder} holds no study ({KEY_NAME} is missing); give the folder that "
            "'cyclorama lab study build --out' wrote"
        ) from error
    except (OSError, ValueError) as error:
        raise StudyError(
            f"cannot read {path}: {error}; build the study again or bring the file back"
        ) from error
    found = values.get("format") if isinstance(values, dict) else None
    if found != KEY_FORMAT:
        raise StudyError(f"{path} has format {found!r}, not {KEY_FORMAT!r}; it was not made by this version")
    try:
        study = TypeAdapter(Study).validate_python({n: v for n, v in values.items() if n != "format"})
        for tasks in study.raters.values():
            for task in tasks:
                if set(study.get_methods(task.pair)) != set(task.images):
                    raise ValueError(f"task {task.name}")
        if any(set(pair.images) != set(study.methods) for pair in study.pairs):
            raise ValueError("methods")
    except (ValueError, IndexError) as error:
        raise StudyError(
            f"{path} is damaged ({str(error)[:200]}); build the study again or bring the file back"
        ) from error
    return study
