"""Which products train, and which are kept aside for the paper's two kinds of evaluation set?

``train``; ``bg1k``, products to be given a background without a reference; ``bgpair``, products that get a
reference of another product (arXiv 2312.13309, section 5.1). The split is a function of product id and seed
alone: adding rows never moves an old product, and no product is in two splits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Self

from pydantic import model_validator

from cyclorama.config import Settings, Share
from cyclorama.curate.records import Record
from cyclorama.data.order import assign_split
from cyclorama.errors import ConfigError

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


def find_unseen_categories(categories: Sequence[str | None], splits: Sequence[str]) -> dict[str, int]:
    """Category -> images kept aside, for the categories of which no image trains.

    Such images can be judged only for how a model deals with categories it never saw.
    """
    pairs = list(zip(categories, splits, strict=True))
    trained = {category for category, split in pairs if split == TRAIN}
    aside = Counter(c for c, split in pairs if split != TRAIN and c is not None and c not in trained)
    return dict(aside)
