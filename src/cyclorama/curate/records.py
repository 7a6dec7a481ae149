"""What a row is, what a rule says of it, and what a rule must offer.

A :class:`Record` (one input row) goes to the rules that need no pixels, a :class:`RuleImage` (the decoded
row) to one image rule after another, and a :class:`Summary` to the rules that compare images. Every rule
answers with one :class:`Finding` per row and changes nothing: a repaired image is a new one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from cyclorama.types import Matte, Pixels

SHAPE_SIDE = 32
"""Side of :attr:`Summary.mask_shape`, in cells."""


class Verdict(StrEnum):
    """What a rule decides about one row; a run's decision is the worst of its rules'."""

    KEEP = "keep"
    REPAIR = "repair"
    REVIEW = "review"
    DROP = "drop"

    @property
    def severity(self) -> int:
        """0 (keep) to 3 (drop), the order in which verdicts outweigh each other."""
        return list(Verdict).index(self)


@dataclass(frozen=True)
class Box:
    """A marked rectangle in pixels of the image; ``right`` and ``bottom`` are exclusive."""

    left: int
    top: int
    right: int
    bottom: int
    label: str
    score: float
    """The detector's own confidence; its range is the detector's."""


@dataclass(frozen=True)
class Record:
    """One input row, as its manifest, folder or layout gave it; None where the input says nothing."""

    key: str
    """Unique in a run, and stable between runs."""
    image: str
    """Address of the image (a path, or any fsspec address)."""
    product_id: str | None = None
    category: str | None = None
    """The category's name as the input writes it; the category rule normalises it."""
    mask: str | None = None
    """Address of a product mask, if the input names one."""
    brand: str | None = None
    impressions: int | None = None
    clicks: int | None = None
    licence: str | None = None
    language: str | None = None
    """Language code of ``category`` (``en``, ``zh`` …)."""
    extra: Mapping[str, str] = field(default_factory=dict)
    """Every other column of the row, as text."""


@dataclass(frozen=True, eq=False)
class RuleImage:
    """A decoded record on its way from rule to rule. ``pixels``, ``alpha`` and ``mask`` share one size."""

    record: Record
    pixels: Pixels
    """uint8 (H, W, 3), sRGB, EXIF rotation applied; over white where the file is transparent."""
    alpha: Matte | None
    """float32 (H, W) in [0, 1]: the file's own transparency; None for an opaque file."""
    mask: Matte | None
    """float32 (H, W) in [0, 1], 1 = product; None until the input or the mask rule gives one."""
    raw: bytes = b""
    """The undecoded file, for rules that look at its compression."""

    @property
    def product(self) -> Matte | None:
        """What is known of the product: the mask, else the file's own transparency."""
        return self.alpha if self.mask is None else self.mask


@dataclass(frozen=True, eq=False)
class Finding:
    """What one rule says of one row."""

    rule: str
    verdict: Verdict
    reason: str = ""
    """Why, in words that hold the value and the limit; empty when kept."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    """The evidence, name to value; numbers are given for kept rows as well."""
    boxes: tuple[Box, ...] = ()
    repaired: RuleImage | None = None
    """The image to go on with; with ``REVIEW`` the one that is kept if a person accepts it."""
    values: Mapping[str, str] = field(default_factory=dict)
    """Words a rule settles for the row, such as the category rule's ``category`` and ``identifier``."""


@dataclass(frozen=True, eq=False)
class Summary:
    """What set rules see of an image once its pixels are gone; of the image as repaired."""

    record: Record
    findings: tuple[Finding, ...]
    """Of every rule before, in their order; ``repaired`` is None in all of them."""
    embedding: npt.NDArray[np.float32]
    """float32 (D,), unit length: features of the whole image."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    """``height``, ``width``, ``sharpness``, and ``rule.number`` of rules."""
    mask_shape: npt.NDArray[np.float32] | None = None
    """float32 (SHAPE_SIDE, SHAPE_SIDE) in [0, 1]: the product mask cropped to the product, centred on a
    square, averaged down; None without a mask."""
    product: npt.NDArray[np.uint8] | None = None
    """uint8 (SHAPE_SIDE, SHAPE_SIDE): luminance of the product alone, laid out as ``mask_shape``."""
    digest: str = ""
    """SHA-256 of the file's bytes, in hexadecimal digits."""
    thumbnail: npt.NDArray[np.uint8] | None = None
    """uint8, THUMBNAIL_SIDE of :mod:`.summary` squared: luminance of the whole image, aspect not kept."""


@runtime_checkable
class ImageRule(Protocol):
    """A rule that looks at one image: a pure function of it and of the rule's settings."""

    @property
    def name(self) -> str:
        """The rule's name in the recipe, the logs and the report."""

    def judge(self, image: RuleImage) -> Finding:
        """What the rule says of ``image``."""


@runtime_checkable
class SetRule(Protocol):
    """A rule that compares the rows of a set with each other."""

    @property
    def name(self) -> str:
        """The rule's name in the recipe, the logs and the report."""

    @property
    def needs_images(self) -> bool:
        """Whether it runs after the images, on Summary rows, or before them, on Record rows."""

    def judge_all(self, rows: Sequence[Record | Summary]) -> list[Finding]:
        """One finding per row, in the rows' order."""
