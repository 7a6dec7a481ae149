"""Which products train, which are kept aside for the paper's two kinds of evaluation set, and in which pairs?

``train``; ``bg1k``, products to be given a background without a reference; ``bgpair``, products that get a
reference of another product (arXiv 2312.13309, section 5.1). The split is a function of product id and seed
alone: adding rows never moves an old product, and no product is in two splits. As references of ``bgpair``
are proposed images of the same brand or, failing that, the same category whose product has a similar shape;
whether a pair is a good one is for a person to say.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveInt, model_validator

from cyclorama.config import Settings, Share
from cyclorama.curate.records import Record, Summary
from cyclorama.curate.review import pair_key
from cyclorama.errors import ConfigError
from cyclorama.seeding import MAX_SEED, compute_seed

TRAIN, BG1K, BGPAIR = "train", "bg1k", "bgpair"


class SplitSettings(Settings):
    """Shares of the products that are kept out of training; BG60k's are 1,000 and 1,600 of about 63,000."""

    bg1k: Share = 0.016
    """Share of all products, 0-1."""
    bgpair: Share = 0.025
    """Share of all products, 0-1."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.bg1k + self.bgpair >= 1:
            raise ConfigError(
                f"bg1k {self.bg1k} and bgpair {self.bgpair} leave no product to train on; lower them"
            )
        return self

    @property
    def fractions(self) -> Mapping[str, float]:
        """Split -> share of the products; they sum to 1."""
        return {TRAIN: 1 - self.bg1k - self.bgpair, BG1K: self.bg1k, BGPAIR: self.bgpair}


def assign_set_splits(records: Sequence[Record], seed: int, settings: SplitSettings) -> list[str]:
    """The split of each record's product; a record without product id is a product of its own.

    Invariant: a record's split does not depend on the other records.
    """
    return [assign_split(record.product_id or record.key, seed, settings.fractions) for record in records]


def assign_split(product_id: str, seed: int, fractions: Mapping[str, float]) -> str:
    """The split of a product: ``fractions`` of all products, which sum to 1, in the order of the mapping."""
    point = compute_seed(seed, product_id, "split") / (MAX_SEED + 1)
    bound = 0.0
    for name, fraction in fractions.items():
        bound += fraction
        if point < bound:
            return name
    return [name for name, fraction in fractions.items() if fraction > 0][-1]


def find_unseen_categories(categories: Sequence[str | None], splits: Sequence[str]) -> dict[str, int]:
    """Category -> images kept aside, for the categories of which no image trains.

    Such images can be judged only for how a model deals with categories it never saw.
    """
    pairs = list(zip(categories, splits, strict=True))
    trained = {category for category, split in pairs if split == TRAIN}
    aside = Counter(c for c, split in pairs if split != TRAIN and c is not None and c not in trained)
    return dict(aside)


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
        for product, shape in zip(kept, shapes, strict=True):
            values = compute_shape_similarity(shape[None], shapes)[0]
            fitting = (
                int(other)
                for other in np.argsort(-values, kind="stable")
                if values[other] >= settings.shape_similarity
                and _is_other_product(usable[product][0], usable[kept[other]][0])
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
            ground = "same category" if rank else f"same brand {usable[product][0].record.brand}"
            keys = usable[product][0].record.key, usable[reference][0].record.key
            reason = f"{ground}; outlines overlap by {-distance:.0%}"
            numbers = {"shape_similarity": -distance, "same_brand": float(rank == 0)}
            proposals.append(PairProposal(*keys, reason, numbers))
            if len(chosen) == settings.per_product:
                break
    return proposals


def _sample(members: list[int], name: str, limit: int) -> list[int]:
    return sorted(sorted(members, key=lambda m: compute_seed(0, m, f"pairs of {name}"))[:limit])


def _is_other_product(row: Summary, other: Summary) -> bool:
    if row.record.key == other.record.key:
        return False
    return row.record.product_id is None or row.record.product_id != other.record.product_id


def _fold(name: str) -> str:
    return " ".join(name.casefold().split())
