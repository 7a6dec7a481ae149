"""Which images are sampled together, so that neither order nor a restart changes a bit of them."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cyclorama.seeding import compute_seed

CPU_BATCH = 1
ACCELERATOR_BATCH = 8
CPU_POSITIONS = 2048
"""Latent positions of a full batch on a CPU: 8 images of the bundled model (16 × 16), one of Stable
Diffusion (64 × 64)."""


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


def compute_cpu_batch(folder: Path) -> int:
    """Images of a batch on a CPU for the model in ``folder``, from its configuration alone: 1 to 8.

    A batch pays while the model's feature maps are small; a trial would make the last bits of images depend
    on how busy the machine was. Invariant: equal models give equal sizes on every machine.
    """
    try:
        side = int(json.loads((folder / "unet" / "config.json").read_text(encoding="utf-8"))["sample_size"])
    except (OSError, ValueError, KeyError, TypeError):
        return 1
    return max(1, min(ACCELERATOR_BATCH, CPU_POSITIONS // max(1, side * side)))
