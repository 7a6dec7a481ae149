"""Which image is the k-th sample of a training run: a pure function of seed and k.

No iterator has a state, so a resumed run only needs the number of images seen. Orders come from raw
PCG64 bits and a stable sort, which numpy keeps equal between its versions.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from cyclorama.errors import DataError, SettingsError
from cyclorama.seeding import compute_seed


@lru_cache(maxsize=4)
def _shuffle(count: int, epoch: int, seed: int) -> npt.NDArray[np.int64]:
    bits = np.random.PCG64(compute_seed(seed, epoch, "sample order")).random_raw(count)
    order = np.argsort(bits, kind="stable").astype(np.int64)
    order.setflags(write=False)
    return order


def sample_order(count: int, epoch: int, seed: int) -> npt.NDArray[np.int64]:
    """int64 (count,): a permutation of 0 … count - 1, another one for each epoch (read-only).

    Raises DataError for an empty set.
    """
    if count < 1:
        raise DataError(f"cannot order a set of {count} images")
    return _shuffle(count, epoch, seed)


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
