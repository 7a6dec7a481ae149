"""One seed for every (run, item, purpose), so that nothing depends on order, batch or worker."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

MAX_SEED = 2**63 - 1


def compute_seed(run_seed: int, item: str | int, purpose: str) -> int:
    """A 63-bit seed that depends on the run's seed, the item and the purpose, and on nothing else.

    ``item`` may be a name or an index; ``1`` and ``"1"`` are different items. Invariant: equal on
    every machine and Python version (BLAKE2b of the written-out arguments).
    """
    text = f"{run_seed!r}\x1f{item!r}\x1f{purpose!r}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") & MAX_SEED


def build_numpy_generator(run_seed: int, item: str | int, purpose: str) -> np.random.Generator:
    """A ``numpy.random.Generator`` (PCG64) of its own for (run, item, purpose)."""
    import numpy as np

    return np.random.Generator(np.random.PCG64(compute_seed(run_seed, item, purpose)))
