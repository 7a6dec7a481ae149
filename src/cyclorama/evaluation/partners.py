"""Which original, which mask and which reference belong to each picture?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cyclorama.evaluation.errors import MissingPictureError
from cyclorama.evaluation.reading import PictureSet, attach_masks, match_keys
from cyclorama.seeding import compute_seed


@dataclass(frozen=True, eq=False)
class Partners:
    """The pictures to score and all that they are scored against."""

    pictures: PictureSet
    truth: PictureSet | None
    references: PictureSet | None
    reference_of: dict[str, str]
    """Picture key -> its reference's key; empty without references."""
    paired: bool
    """Whether every scored picture has an original of its key in ``truth``."""
    categories: dict[str, str]
    """Picture key -> category, where known."""
    notes: tuple[str, ...]
    products: PictureSet | None = None
    """What the methods were given; None: the product stands in ``truth`` as it was given."""


def find_partners(
    pictures: PictureSet,
    truth: PictureSet | None = None,
    references: PictureSet | None = None,
    masks: PictureSet | None = None,
    allow_missing: bool = False,
    products: PictureSet | None = None,
) -> Partners:
    """The partners by key. Masks come from ``masks``, else from the pictures' own set, else from ``truth``.

    A truth that shares no key is taken as a set of its own: distances between the sets are measured, pictures
    are not compared one by one, and a note says so. ``products`` are the pictures that were given to the
    method, where its product stands in another light than in ``truth``. Raises MissingPictureError (some keys
    without partner, a reference or a given product that is not there).
    """
    notes = []
    paired = False
    if truth is not None:
        keys = match_keys(pictures, truth, allow_missing)
        paired = bool(keys)
        if keys and len(keys) < len(pictures):
            notes.append(
                f"{len(pictures) - len(keys)} of {len(pictures)} pictures have no original; left out"
            )
            pictures = pictures.select(keys)
        if not keys:
            notes.append(f"no key of {pictures.name} is in {truth.name}: only the sets are compared")
    if masks is not None:
        pictures = attach_masks(pictures, masks)
        if truth is not None and paired and not truth.has_masks() and all(key in masks for key in truth.keys):
            truth = attach_masks(truth, masks)
    elif (
        not pictures.has_masks() and truth is not None and paired and truth.select(pictures.keys).has_masks()
    ):
        pictures = pictures.with_masks_of(truth)
    categories = {}
    for key, item in pictures.items.items():
        category = item.category
        if category is None and truth is not None and key in truth:
            category = truth.items[key].category
        if category is not None:
            categories[key] = category
    reference_of = {} if references is None else match_references(pictures, references)
    if products is not None and not match_keys(pictures, products):
        raise MissingPictureError(f"{pictures.name} and the given products {products.name} share no key")
    return Partners(pictures, truth, references, reference_of, paired, categories, tuple(notes), products)


def match_references(pictures: PictureSet, references: PictureSet) -> dict[str, str]:
    """Picture key -> reference key: what the manifest names (key, or file name), else the picture's own key.

    Raises MissingPictureError naming the first picture without one.
    """
    by_stem = {Path(key).name: key for key in references.keys}
    result = {}
    for key, item in pictures.items.items():
        named = [item.reference, Path(item.reference).stem] if item.reference else [key]
        found = next(
            (n if n in references else by_stem[n] for n in named if n in references or n in by_stem), None
        )
        if found is None:
            raise MissingPictureError(
                f"no reference {named[-1]!r} for {key!r} in {references.name}; it has "
                f"{', '.join(repr(k) for k in references.keys[:3])} … ({len(references)})"
            )
        result[key] = found
    return result


def get_reference_categories(partners: Partners) -> dict[str, str]:
    """Reference key -> category: its own, else that of the pictures made with it, else one for all."""
    assert partners.references is not None
    used = {reference: partners.categories.get(key) for key, reference in partners.reference_of.items()}
    return {key: item.category or used.get(key) or "" for key, item in partners.references.items.items()}


def choose_other(own: str, rivals: Sequence[str], seed: int) -> str | None:
    """One of ``rivals`` for the null of a score, fixed by ``own`` and the seed; None if there is none."""
    return rivals[compute_seed(seed, own, "other reference") % len(rivals)] if rivals else None
