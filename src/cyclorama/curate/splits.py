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
from cyclorama.curate.review import Choice, pair_key
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


def build_proposal(
    product: Summary, reference: Summary, categories: tuple[str | None, str | None]
) -> PairProposal | None:
    """The pair of two rows with these settled ``categories``, however little their shapes are alike.

    None if they are none: one product, neither brand nor category in common, no ``mask_shape``.
    """
    if (
        product.mask_shape is None
        or reference.mask_shape is None
        or not _is_other_product(product, reference)
    ):
        return None
    brand, category = (
        bool(_fold(one)) and _fold(one) == _fold(other)
        for one, other in ((product.record.brand, reference.record.brand), categories)
    )
    if not (brand or category):
        return None
    alike = float(compute_shape_similarity(product.mask_shape[None], reference.mask_shape[None])[0, 0])
    ground = f"same brand {product.record.brand}" if brand else "same category"
    numbers = {"shape_similarity": alike, "same_brand": float(brand)}
    reason = f"{ground}; outlines overlap by {alike:.0%}"
    return PairProposal(product.record.key, reference.record.key, reason, numbers)


def propose_pairs(
    rows: Sequence[Summary],
    categories: Sequence[str | None],
    settings: PairsSettings,
    decided: Mapping[tuple[str, str], Choice] | None = None,
) -> list[PairProposal]:
    """Proposals among ``rows`` (those of the pairs' split), each in turn as the product, in order of keys.

    ``categories`` are the rows' settled ones. A reference shows another product than its partner; the same
    brand goes before the same category, then the more similar shape, then a fixed order by hash. Rows without
    ``mask_shape`` take no part. Pairs (product's, reference's key) that people have ``decided`` about are not
    proposed again; accepted ones count as their product's and their reference's. The result does not depend
    on the order of ``rows``.
    """
    decided = decided or {}
    accepted = [pair for pair, choice in decided.items() if choice == "accept"]
    served = Counter(product for product, _ in accepted)
    used = Counter(reference for _, reference in accepted)
    usable = [
        (row, category, row.mask_shape)
        for row, category in sorted(zip(rows, categories, strict=True), key=lambda pair: pair[0].record.key)
        if row.mask_shape is not None
    ]
    keys = [row.record.key for row, _, _ in usable]
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, (row, category, _) in enumerate(usable):
        if brand := _fold(row.record.brand):
            groups["brand", brand].append(place)
        if settings.same_category and (named := _fold(category)):
            groups["category", named].append(place)
    found: dict[int, list[tuple[int, float, int, int]]] = defaultdict(list)
    for (kind, name), members in sorted(groups.items()):
        kept = _sample(members, keys, name, settings.group_limit)
        shapes = np.stack([usable[m][2] for m in kept]).astype(np.float32)
        hashes = np.array([compute_seed(0, keys[m], "pair") for m in kept], np.uint64)
        wanted = settings.per_product + settings.per_reference * 4
        for product, shape, own in zip(kept, shapes, hashes, strict=True):
            if served[keys[product]] >= settings.per_product:
                continue
            values = compute_shape_similarity(shape[None], shapes)[0]
            ties = hashes * (own | np.uint64(1))  # wraps: every product has its own order of equal shapes
            fitting = (
                int(other)
                for other in np.lexsort((ties, -values))
                if values[other] >= settings.shape_similarity
                and _is_other_product(usable[product][0], usable[kept[other]][0])
                and (keys[product], keys[kept[other]]) not in decided
            )
            for other, _ in zip(fitting, range(wanted)):
                rank = 0 if kind == "brand" else 1
                found[product].append((rank, -float(values[other]), int(ties[other]), kept[other]))
    proposals = []
    for product in sorted(found):
        chosen: set[int] = set()
        for _, _, _, reference in sorted(found[product]):
            if served[keys[product]] == settings.per_product:
                break
            if reference in chosen or used[keys[reference]] >= settings.per_reference:
                continue
            chosen.add(reference)
            served[keys[product]] += 1
            used[keys[reference]] += 1
            both = usable[product], usable[reference]
            proposal = build_proposal(both[0][0], both[1][0], (both[0][1], both[1][1]))
            if proposal is not None:
                proposals.append(proposal)
    return proposals


def _sample(members: list[int], keys: Sequence[str], name: str, limit: int) -> list[int]:
    return sorted(sorted(members, key=lambda m: compute_seed(0, keys[m], f"pairs of {name}"))[:limit])


def _is_other_product(row: Summary, other: Summary) -> bool:
    if row.record.key == other.record.key:
        return False
    return row.record.product_id is None or row.record.product_id != other.record.product_id


def _fold(name: str | None) -> str:
    return " ".join((name or "").casefold().split())
