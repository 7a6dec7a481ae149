"""Which other product's image could serve a product as its reference?

Proposed are images of the same brand or, failing that, the same category whose product has a similar shape,
as the pairs of BG-pair are (arXiv 2312.13309, section 5.1). Whether a pair is a good one is for a person to
say: proposals go to review.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field, PositiveInt

from cyclorama.config import Settings, Share
from cyclorama.curate.decisions import pair_key
from cyclorama.curate.records import Summary
from cyclorama.seeding import compute_seed

if TYPE_CHECKING:
    import numpy.typing as npt

_BLOCK = 256


class PairsSettings(Settings):
    """What is proposed as a pair."""

    per_product: PositiveInt = 1
    """References proposed for one product."""
    per_reference: PositiveInt = 3
    """Products that may be given one and the same reference."""
    shape_similarity: Share = 0.6
    """Least overlap of the two products' outlines, each centred in a square: intersection over union, 0-1."""
    same_category: bool = True
    """Whether a reference of the same category but another brand may stand in where the brand has none."""
    group_limit: Annotated[int, Field(ge=2)] = 2000
    """Images of one brand or category that are compared with each other; beyond it a fixed sample is."""


@dataclass(frozen=True)
class PairProposal:
    """A product and a reference that somebody should look at."""

    product_key: str
    reference_key: str
    reason: str
    numbers: dict[str, float] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Under which the pair is decided."""
        return pair_key(self.product_key, self.reference_key)


def compute_shape_similarity(
    shapes: npt.NDArray[np.float32], others: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Intersection over union (N, M), 0 to 1, of soft outlines ``shapes`` (N, S, S) and ``others`` (M, S, S).

    Invariant: 1 for equal outlines, and the same from either side.
    """
    first = shapes.reshape(len(shapes), 1, -1)
    second = others.reshape(1, len(others), -1)
    shared = np.minimum(first, second).sum(axis=2)
    united = np.maximum(first, second).sum(axis=2)
    return np.asarray(shared / np.maximum(united, 1e-9), np.float32)


def propose_pairs(
    rows: Sequence[Summary], categories: Sequence[str | None], settings: PairsSettings
) -> list[PairProposal]:
    """Proposals among ``rows`` (those of the pairs' split), each in turn as the product, in order of keys.

    ``categories`` are the rows' settled ones. A reference shows another product than its partner; the same
    brand goes before the same category, then the more similar shape, then a fixed order by hash. Rows without
    ``mask_shape`` take no part. The result does not depend on the order of ``rows``.
    """
    usable = [
        (row, category, row.mask_shape)
        for row, category in sorted(zip(rows, categories, strict=True), key=lambda pair: pair[0].record.key)
        if row.mask_shape is not None
    ]
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, (row, category, _) in enumerate(usable):
        if row.record.brand:
            groups["brand", _fold(row.record.brand)].append(place)
        if settings.same_category and category:
            groups["category", _fold(category)].append(place)
    found: dict[int, list[tuple[int, float, int, int]]] = defaultdict(list)
    for (kind, name), members in sorted(groups.items()):
        kept = _sample(members, name, settings.group_limit)
        shapes = np.stack([usable[m][2] for m in kept]).astype(np.float32)
        wanted = settings.per_product + settings.per_reference * 4
        for start in range(0, len(kept), _BLOCK):
            similar = _compare(shapes[start : start + _BLOCK], shapes)
            for row_number, values in enumerate(similar, start=start):
                product = kept[row_number]
                order = np.argsort(-values, kind="stable")
                fitting = (
                    int(o)
                    for o in order
                    if values[o] >= settings.shape_similarity
                    and _is_other_product(usable[product][0], usable[kept[o]][0])
                )
                for other, _ in zip(fitting, range(wanted)):
                    reference = kept[other]
                    tie = compute_seed(0, f"{product}|{reference}", "pair")
                    rank = 0 if kind == "brand" else 1
                    found[product].append((rank, -float(values[other]), tie, reference))
    used: dict[int, int] = defaultdict(int)
    proposals = []
    for product in sorted(found):
        chosen: list[int] = []
        for rank, distance, _, reference in sorted(found[product]):
            if reference in chosen or used[reference] >= settings.per_reference:
                continue
            chosen.append(reference)
            used[reference] += 1
            proposals.append(_propose(usable[product][0], usable[reference][0], rank, -distance))
            if len(chosen) == settings.per_product:
                break
    return proposals


def _compare(
    shapes: npt.NDArray[np.float32], others: npt.NDArray[np.float32]
) -> Iterable[npt.NDArray[np.float32]]:
    return (compute_shape_similarity(shape[None], others)[0] for shape in shapes)


def _sample(members: list[int], name: str, limit: int) -> list[int]:
    if len(members) <= limit:
        return members
    return sorted(sorted(members, key=lambda m: compute_seed(0, m, f"pairs of {name}"))[:limit])


def _is_other_product(row: Summary, other: Summary) -> bool:
    if row.record.key == other.record.key:
        return False
    return row.record.product_id is None or row.record.product_id != other.record.product_id


def _propose(product: Summary, reference: Summary, rank: int, similarity: float) -> PairProposal:
    ground = f"same brand {product.record.brand}" if rank == 0 else "same category"
    return PairProposal(
        product.record.key,
        reference.record.key,
        f"{ground}; outlines overlap by {similarity:.0%}",
        {"shape_similarity": similarity, "same_brand": float(rank == 0)},
    )


def _fold(name: str) -> str:
    return " ".join(name.casefold().split())
