"""Which split is a product in, and which image is the k-th sample of a training run?

Both are pure functions of names, numbers and a seed: adding products never moves an old one to another split,
and a resumed run only needs the number of images seen. Orders come from raw PCG64 bits and a stable sort,
which numpy keeps equal between its versions.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from cyclorama.errors import DataError, SettingsError
from cyclorama.seeding import MAX_SEED, compute_seed

DEFAULT_FRACTIONS = {"train": 0.9, "validation": 0.05, "test": 0.05}


def assign_split(product_id: str, seed: int = 0, fractions: Mapping[str, float] = DEFAULT_FRACTIONS) -> str:
    """The split of a product: ``fractions`` of all products, in the order of the mapping.

    Raises SettingsError if the fractions are not positive or do not sum to 1.
    """
    total = sum(fractions.values())
    if not fractions or min(fractions.values()) < 0 or abs(total - 1) > 1e-6:
        raise SettingsError(f"split fractions {dict(fractions)} must be >= 0 and sum to 1, not {total:g}")
    point = compute_seed(seed, product_id, "split") / (MAX_SEED + 1)
    bound = 0.0
    for name, fraction in fractions.items():
        bound += fraction
        if point < bound:
            return name
    return [name for name, fraction in fractions.items() if fraction > 0][-1]


@lru_cache(maxsize=4)
def sample_order(count: int, epoch: int, seed: int) -> npt.NDArray[np.int64]:
    """int64 (count,): a permutation of 0 … count - 1, another one for each epoch (read-only).

    Raises DataError for an empty set.
    """
    if count < 1:
        raise DataError(f"cannot order a set of {count} images")
    bits = np.random.PCG64(compute_seed(seed, epoch, "sample order")).random_raw(count)
    order = np.argsort(bits, kind="stable").astype(np.int64)
    order.setflags(write=False)
    return order


def sample_indices(
    count: int, seed: int, start: int, n: int, rank: int = 0, world_size: int = 1
) -> npt.NDArray[np.int64]:
    """int64 (n / world_size,): dataset indices of this process's share of samples start … start + n - 1.

    ``start`` and ``n`` count samples of the whole run (all processes together); process ``rank`` takes
    every ``world_size``-th of them. Epoch e is samples e * count … (e + 1) * count - 1, each image once.
    Invariant: the shares of all ranks, interleaved, are the order of one process.

    Raises SettingsError: negative numbers, rank out of range, n not a multiple of world_size.
    """
    if start < 0 or n < 0:
        raise SettingsError(f"start and n must not be negative, got {start} and {n}")
    if world_size < 1 or not 0 <= rank < world_size:
        raise SettingsError(f"rank {rank} is outside a world of {world_size} processes")
    if n % world_size:
        raise SettingsError(
            f"{n} samples do not divide among {world_size} processes; use a multiple of {world_size}"
        )
    if count < 1:
        raise DataError(f"cannot sample from a set of {count} images")
    positions = np.arange(start + rank, start + n, world_size, dtype=np.int64)
    indices = np.empty_like(positions)
    for epoch in np.unique(positions // count):
        chosen = positions // count == epoch
        indices[chosen] = sample_order(count, int(epoch), seed)[positions[chosen] % count]
    return indices
