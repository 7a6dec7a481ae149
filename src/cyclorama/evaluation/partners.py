"""Which original, which mask and which reference belong to each image?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cyclorama.errors import MissingImageError
from cyclorama.evaluation.reading import ImageSet, attach_masks, match_keys
from cyclorama.seeding import compute_seed


@dataclass(frozen=True, eq=False)
class Partners:
    """The images to score and all that they are scored against."""

    images: ImageSet
    truth: ImageSet | None
    references: ImageSet | None
    reference_of: dict[str, str]
    """Image key -> its reference's key; empty without references."""
    paired: bool
    """Whether every scored image has an original of its key in ``truth``."""
    categories: dict[str, str]
    """Image key -> category, where known."""
    notes: tuple[str, ...]
    products: ImageSet | None = None
    """What the methods were given; None: the product stands in ``truth`` as it was given."""


def find_partners(
    images: ImageSet,
    truth: ImageSet | None = None,
    references: ImageSet | None = None,
    masks: ImageSet | None = None,
    allow_missing: bool = False,
    products: ImageSet | None = None,
) -> Partners:
    """The partners by key. Masks come from ``masks``, else from the images' own set, else from ``truth``.

    A truth that shares no key is taken as a set of its own: distances between the sets are measured, images
    are not compared one by one, and a note says so. ``products`` are the images that were given to the
    method, where its product stands in another light than in ``truth``. Raises MissingImageError (some keys
    without partner, a reference or a given product that is not there).
    """
    notes = []
    paired = False
    if truth is not None:
        keys = match_keys(images, truth, allow_missing)
        paired = bool(keys)
        if keys and len(keys) < len(images):
            notes.append(f"{len(images) - len(keys)} of {len(images)} images have no original; left out")
            images = images.select(keys)
        if not keys:
            notes.append(f"no key of {images.name} is in {truth.name}: only the sets are compared")
    if masks is not None:
        images = attach_masks(images, masks)
        if truth is not None and paired and not truth.has_masks() and all(key in masks for key in truth.keys):
            truth = attach_masks(truth, masks)
    elif not images.has_masks() and truth is not None and paired and truth.select(images.keys).has_masks():
        images = images.with_masks_of(truth)
    categories = {}
    for key, item in images.items.items():
        category = item.category
        if category is None and truth is not None and key in truth:
            category = truth.items[key].category
        if category is not None:
            categories[key] = category
    reference_of = {} if references is None else match_references(images, references)
    if products is not None and not match_keys(images, products):
        raise MissingImageError(f"{images.name} and the given products {products.name} share no key")
    return Partners(images, truth, references, reference_of, paired, categories, tuple(notes), products)


def match_references(images: ImageSet, references: ImageSet) -> dict[str, str]:
    """Image key -> reference key: what the manifest names (key, or file name), else the image's own key.

    Raises MissingImageError naming the first image without one.
    """
    result = {}
    for key, item in images.items.items():
        name = item.reference or key
        found = find_reference(name, references)
        if found is None:
            raise MissingImageError(
                f"no reference {Path(name).stem if item.reference else name!r} for {key!r} in "
                f"{references.name}; it has {', '.join(repr(k) for k in references.keys[:3])} … "
                f"({len(references)})"
            )
        result[key] = found
    return result


def find_reference(name: str, references: ImageSet) -> str | None:
    """The key of the reference called ``name``: a key, or a file name with or without folder and suffix."""
    for candidate in (name, Path(name).stem):
        if candidate in references:
            return candidate
        found = next((key for key in references.keys if Path(key).name == candidate), None)
        if found is not None:
            return found
    return None


def get_reference_categories(partners: Partners) -> dict[str, str]:
    """Reference key -> category: its own, else that of the images made with it, else one for all."""
    assert partners.references is not None
    used = {reference: partners.categories.get(key) for key, reference in partners.reference_of.items()}
    return {key: item.category or used.get(key) or "" for key, item in partners.references.items.items()}


def choose_other(own: str, rivals: Sequence[str], seed: int) -> str | None:
    """One of ``rivals`` for the null of a score, fixed by ``own`` and the seed; None if there is none."""
    return rivals[compute_seed(seed, own, "other reference") % len(rivals)] if rivals else None
