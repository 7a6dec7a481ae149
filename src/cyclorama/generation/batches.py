"""Which images are sampled together, so that neither order nor a restart changes a bit of them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from cyclorama.seeding import compute_seed

CPU_BATCH = 1
ACCELERATOR_BATCH = 8


@dataclass(frozen=True)
class Batch:
    """Indices of the images in one batch, and how many places it has (the rest is padding)."""

    members: tuple[int, ...]
    places: int


def build_batches(shapes: Sequence[Hashable], batch_size: int) -> list[Batch]:
    """Batches of at most ``batch_size`` images with equal ``shapes``, in the order of their first members.

    A shape with more images than one batch holds has ``batch_size`` places in every batch, the last too,
    so all its images pass through the same arithmetic whatever their order.
    """
    groups: dict[Hashable, list[int]] = {}
    for index, shape in enumerate(shapes):
        groups.setdefault(shape, []).append(index)
    batches = []
    for members in groups.values():
        places = min(batch_size, len(members))
        for start in range(0, len(members), batch_size):
            batches.append(Batch(tuple(members[start : start + batch_size]), places))
    return sorted(batches, key=lambda batch: batch.members[0])


def choose_batch_size(batch_size: int | None, device: str) -> int:
    """``batch_size``, or 1 on a CPU (where larger batches gain nothing) and 8 on an accelerator."""
    if batch_size is not None:
        return batch_size
    return CPU_BATCH if device.startswith("cpu") else ACCELERATOR_BATCH


def compute_item_seeds(run_seed: int, name: str, own_seed: int | None, candidates: int) -> list[int]:
    """The seed of each candidate of one input; no other input has any influence on them.

    An input's ``own_seed`` is its first candidate's seed as it stands, so that the seed in a manifest row or
    an image makes that image again.
    """
    base = run_seed if own_seed is None else own_seed
    seeds = [compute_seed(base, name, f"candidate {k + 1}") for k in range(candidates)]
    if own_seed is not None:
        seeds[0] = own_seed
    return seeds
