"""What stands on a poster, and where: the record that planners write and all later steps read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from cyclorama.config import Settings
from cyclorama.errors import CycloramaError, LayoutError

Kind = Literal["product", "text", "underlay", "logo", "badge", "prop", "calm"]
Role = Literal["headline", "subline", "body", "price", "action", "legal"]
Align = Literal["left", "center", "right"]
Box = tuple[float, float, float, float]
"""left, top, right, bottom in shares of the canvas, 0-1."""
NEAR = 0.12
"""Share of the canvas' height from which on a gap parts two stacks of texts."""
LEADING: dict[str, float] = {"headline": 1.08, "action": 1.8}
LEADING_OTHERS = 1.2
"""From one line to the next, in em, by role; an action's is its button's height."""
ENDING = ".poster.json"
"""How the file of a poster's record ends; the layout is its key ``layout``."""
PARTS = {"background": ".background.png", "product": ".product.png"}
"""Endings of the files beside a record that an edit is made from."""


class Element(Settings):
    """One thing on the canvas."""

    error_type: ClassVar[type[CycloramaError]] = LayoutError
    id: str
    """Unique in its layout; a text's is the name its words are given by."""
    kind: Kind
    role: Role | None = None
    """What a text says; None for all that is no text."""
    box: Box
    """left, top, right, bottom in shares of the canvas."""
    layer: int = 0
    """What has a higher number lies above."""
    lines: Annotated[int, Field(ge=1)] = 1
    """Lines of a text."""
    align: Align = "left"
    """To which side of its box a text's lines keep."""
    locked: bool = False
    """Its box was given and is not to be changed."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        left, top, right, bottom = self.box
        if not (-1e-6 <= left < right <= 1 + 1e-6 and -1e-6 <= top < bottom <= 1 + 1e-6):
            raise LayoutError(
                f"element {self.id!r}: box {self.box} is none; left < right and top < bottom, all from 0 to 1"
            )
        if (self.kind == "text") != (self.role is not None):
            raise LayoutError(
                f"element {self.id!r}: a text has a role, nothing else has; role is {self.role}"
            )
        return self

    def find_em(self, height: int) -> float:
        """Size of a text's letters in pixels on a canvas of ``height``."""
        return (self.box[3] - self.box[1]) * height / (self.lines * find_leading(self.role))


class PosterLayout(Settings):
    """A canvas and what stands on it, lowest layer first."""

    error_type: ClassVar[type[CycloramaError]] = LayoutError
    height: Annotated[int, Field(ge=64)]
    width: Annotated[int, Field(ge=64)]
    family: str
    """The grammar's family it comes from, or the planner's name."""
    elements: tuple[Element, ...]
    energy: float | None = None
    """What :func:`cyclorama.layout.energy.compute_energy` finds; lower is better."""
    settled: bool = False
    """Whether :func:`cyclorama.layout.settle.settle` has found every constraint kept."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [element.id for element in self.elements]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise LayoutError(f"elements {twice} are there twice; every id stands once")
        return self

    def select(self, *kinds: Kind) -> list[Element]:
        """The elements of these kinds."""
        return [element for element in self.elements if element.kind in kinds]

    def describe(self) -> dict[str, Any]:
        """Plain values, which :meth:`model_validate` reads again."""
        return self.model_dump(mode="json")


def find_leading(role: str | None) -> float:
    """From one line of a text to the next, in em; large letters stand closer."""
    return LEADING.get(role or "", LEADING_OTHERS)


def find_stacks(texts: Sequence[Element]) -> list[list[Element]]:
    """Texts that stand closely below one another, from above."""
    stacks: list[list[Element]] = []
    for text in sorted(texts, key=lambda one: one.box[1]):
        left, top, right, _ = text.box
        for stack in stacks:
            above = stack[-1].box
            if left < above[2] and above[0] < right and top - above[3] < NEAR:
                stack.append(text)
                break
        else:
            stacks.append([text])
    return stacks


def compute_hull(boxes: Sequence[Box]) -> Box:
    """The smallest box round ``boxes``."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def intersect(first: Box, second: Box) -> float:
    """Area that two boxes share, as a share of the canvas."""
    wide = min(first[2], second[2]) - max(first[0], second[0])
    high = min(first[3], second[3]) - max(first[1], second[1])
    return wide * high if wide > 0 and high > 0 else 0.0


def compute_area(box: Box) -> float:
    """Area of a box as a share of the canvas."""
    return (box[2] - box[0]) * (box[3] - box[1])
