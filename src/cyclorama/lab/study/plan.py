"""Which images does each rater see, and in which order?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyclorama.errors import SettingsError
from cyclorama.seeding import build_numpy_generator

if TYPE_CHECKING:
    import numpy as np

QUESTIONS = ("similarity", "quality")
"""What is ranked: likeness to the reference's style; quality as an advertising image."""
LETTERS = "ABCDEFGH"
"""Places on the page, in the order of showing."""
MAX_METHODS = len(LETTERS)
_CODE_LETTERS = "ACDEFHJKLMNPQRTUVWXY34679"  # none that is taken for another when read aloud or typed
_CODE_LENGTH = 6


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

    def draw(self, digits: int = 12) -> str:
        """A new name of ``digits`` hexadecimal digits."""
        return self._take(lambda: self._random.bytes(digits // 2).hex())

    def draw_code(self) -> str:
        """A new rater code of six letters and digits that are not mistaken for each other."""
        return self._take(
            lambda: "".join(
                _CODE_LETTERS[n] for n in self._random.integers(0, len(_CODE_LETTERS), _CODE_LENGTH)
            )
        )

    def _take(self, make: Callable[[], str]) -> str:
        while (name := make()) in self._used:
            pass
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
        shown = _shuffle(images[pair], random)
        while first is not None and shown == first.images:
            shown = _shuffle(images[pair], random)
        task = RatingTask(namer.draw(), pair, shown, first.name if first else None)
        seen.setdefault(pair, task)
        tasks.append(task)
    return tuple(tasks)


def _shuffle(names: Sequence[str], random: np.random.Generator) -> tuple[str, ...]:
    return tuple(names[n] for n in random.permutation(len(names)))
