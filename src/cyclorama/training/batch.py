"""From sample numbers to batches: order, chance, latents, prompts, hints, all on the CPU and ready to move.

Every draw is a function of (run seed, global sample number) and nothing else. The number counts the samples
of a run from 0, whatever the number of processes, accumulation steps or interruptions, so a resumed run needs
no saved generator states. Orders come from raw PCG64 bits and a stable sort, which numpy keeps equal between
its versions.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cyclorama.data.augment import HintConfig, PerturbConfig, augment_hint, perturb
from cyclorama.seeding import build_numpy_generator, compute_seed
from cyclorama.tensors import build_generator, to_image, to_mask_tensor
from cyclorama.training.dataset import Array, PromptTable, TrainingData
from cyclorama.types import Matte, Pixels


@dataclass(frozen=True, eq=False)
class Draws:
    """What chance decides for one sample."""

    number: int
    """Global sample number of the run."""
    index: int
    """Image of the training set."""
    flip: bool
    drop_prompt: bool
    timestep: int
    noise: npt.NDArray[np.float32]
    """Standard normal, (c, h, w)."""


@dataclass(frozen=True)
class DrawSettings:
    """What the draws of a run depend on besides the sample number."""

    seed: int
    latent_shape: tuple[int, ...]
    """(c, h, w)."""
    num_timesteps: int
    flip: bool
    prompt_dropout: float


def sample_draws(number: int, index: int, settings: DrawSettings) -> Draws:
    """The draws of global sample ``number``, which shows image ``index``.

    All draws are made in a fixed order and always, so that switching one off leaves the others as they were.
    """
    generator = build_numpy_generator(settings.seed, number, "training")
    flip = generator.random() < 0.5
    drop = generator.random() < settings.prompt_dropout
    timestep = int(generator.integers(settings.num_timesteps))
    noise = generator.standard_normal(settings.latent_shape, dtype=np.float32)
    return Draws(number, index, bool(flip and settings.flip), bool(drop), timestep, noise)


def list_sample_numbers(step: int, part: int, *, batch_size: int, parts: int, rank: int, world: int) -> range:
    """Global sample numbers of one process in one part of optimiser step ``step`` (0-based).

    A step covers ``[step * batch_size, (step + 1) * batch_size)``. Invariant: over all ``parts``
    (accumulation) and ranks each number occurs once, so the step's gradient does not depend on the split.
    """
    share = batch_size // (parts * world)
    start = step * batch_size + (part * world + rank) * share
    return range(start, start + share)


@lru_cache(maxsize=4)
def sample_order(count: int, epoch: int, seed: int) -> npt.NDArray[np.int64]:
    """int64 (count,): a permutation of 0 … count - 1, another one for each epoch (read-only)."""
    bits = np.random.PCG64(compute_seed(seed, epoch, "sample order")).random_raw(count)
    order = np.argsort(bits, kind="stable").astype(np.int64)
    order.setflags(write=False)
    return order


def sample_indices(count: int, seed: int, start: int, n: int) -> npt.NDArray[np.int64]:
    """int64 (n,): dataset indices of samples start … start + n - 1 of a run over ``count`` images.

    Epoch e is samples e * count … (e + 1) * count - 1, each image once.
    """
    first, end = start // count, (start + n) // count + 1
    order = np.concatenate([sample_order(count, epoch, seed) for epoch in range(first, end)])
    return order[start - first * count :][:n]


@dataclass(frozen=True, eq=False)
class TrainBatch:
    """One batch. What a stage does not ask for is None."""

    numbers: tuple[int, ...]
    """Global sample numbers."""
    indices: tuple[int, ...]
    categories: tuple[str, ...]
    latents: Tensor
    """Clean latents, float32 (B, c, h, w), scaled."""
    noise: Tensor
    """(B, c, h, w)."""
    timesteps: Tensor
    """int64 (B,)."""
    product_prompt: Tensor | None = None
    """Embeddings (B, L, D)."""
    background_prompt: Tensor | None = None
    full_prompt: Tensor | None = None
    """Embeddings (B, L, D), or token ids (B, L) where the text encoder is trained."""
    dropped: Tensor | None = None
    """bool (B,): whose prompts were dropped."""
    image: Tensor | None = None
    """(B, 3, H, W) in [-1, 1]."""
    product_mask: Tensor | None = None
    """(B, 1, H, W), 1 = product."""
    hint_image: Tensor | None = None
    """What the category generator's hint shows, (B, 3, H, W) in [-1, 1]: ``image``, or its augmented form."""
    hint_mask: Tensor | None = None
    """The mask that goes with it, (B, 1, H, W)."""
    reference: Tensor | None = None
    """Perturbed image I_aug (B, 3, H, W) in [-1, 1]."""
    reference_mask: Tensor | None = None
    """Perturbed product mask M_aug (B, 1, H, W)."""
    flips: Tensor | None = None
    """bool (B,): which are mirrored, where the images are made on the accelerator."""

    def get_base_prompt(self, kind: Literal["full", "product"]) -> Tensor:
        """The prompt of that kind."""
        prompt = self.full_prompt if kind == "full" else self.product_prompt
        assert prompt is not None
        return prompt

    def to(self, device: torch.device) -> TrainBatch:
        """The batch with all tensors on ``device``."""
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        moved: dict[str, Any] = {name: t.to(device, non_blocking=True) for name, t in tensors.items()}
        return replace(self, **moved)


@dataclass(frozen=True)
class BatchNeeds:
    """What a stage asks its batches to hold."""

    prompts: bool = True
    product: bool = False
    """``image`` and ``product_mask``."""
    hint: bool = False
    """Whether ``hint_image`` may be augmented."""
    reference: bool = False
    """``reference`` and ``reference_mask``."""


@dataclass(frozen=True, eq=False)
class BatchBuilder:
    """Turns draws into batches. Invariant: a sample is the same in any batch, thread and process."""

    data: TrainingData
    latents: Array
    """(N, 1 or 2, c, h, w); the second view is the mirror image's."""
    prompts: PromptTable | None
    needs: BatchNeeds
    perturb: PerturbConfig
    augment: HintConfig | None
    seed: int

    def build(self, draws: list[Draws]) -> TrainBatch:
        """The batch of ``draws``."""
        latents = np.stack([self.latents[d.index, int(d.flip)] for d in draws]).astype(np.float32)
        categories = tuple(self.data.category(d.index) for d in draws)
        parts = self._build_images(draws) if self.needs.product else {}
        if self.needs.prompts:
            assert self.prompts is not None
            dropped = [d.drop_prompt for d in draws]
            rows = [self.prompts.list_rows(*pair) for pair in zip(categories, dropped, strict=True)]
            texts = (self.prompts.gather(column) for column in zip(*rows, strict=True))
            parts |= zip(("product_prompt", "background_prompt", "full_prompt"), texts, strict=True)
            parts["dropped"] = torch.tensor(dropped)
        return TrainBatch(
            numbers=tuple(d.number for d in draws),
            indices=tuple(d.index for d in draws),
            categories=categories,
            latents=torch.from_numpy(latents),
            noise=torch.from_numpy(np.stack([d.noise for d in draws])),
            timesteps=torch.tensor([d.timestep for d in draws], dtype=torch.int64),
            **parts,
        )

    def place(self, batch: TrainBatch, device: torch.device) -> TrainBatch:
        """``batch`` on ``device``."""
        return batch.to(device)

    def _build_images(self, draws: list[Draws]) -> dict[str, Tensor]:
        pairs = [self._load(d.index, d.flip) for d in draws]
        image, mask = hint_image, hint_mask = _to_tensors(pairs)
        if self.augment is not None:
            chances = (build_numpy_generator(self.seed, d.number, "augment") for d in draws)
            hints = [augment_hint(*p, self.augment, c) for p, c in zip(pairs, chances, strict=True)]
            hint_image, hint_mask = _to_tensors(hints)
        parts = {"image": image, "product_mask": mask, "hint_image": hint_image, "hint_mask": hint_mask}
        if self.needs.reference:
            perturbed = [self._perturb(d, image[i], mask[i]) for i, d in enumerate(draws)]
            references, masks = zip(*perturbed, strict=True)
            parts |= {"reference": torch.stack(references), "reference_mask": torch.stack(masks)}
        return parts

    def _load(self, index: int, flip: bool) -> tuple[Pixels, Matte]:
        pixels, mask = self.data.load(index)
        return (pixels[:, ::-1].copy(), mask[:, ::-1].copy()) if flip else (pixels, mask)

    def _perturb(self, draws: Draws, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        other = None
        if self.perturb.mix:
            chosen = build_numpy_generator(self.seed, draws.number, "mix").integers(len(self.data))
            other = to_image(self.data.load(int(chosen))[0])[0]
        generator = build_generator(self.seed, draws.number, "perturb")
        return perturb(image, mask, other, self.perturb, generator)


def _to_tensors(pairs: Sequence[tuple[Pixels, Matte]]) -> tuple[Tensor, Tensor]:
    images, masks = zip(*pairs, strict=True)
    return torch.cat([*map(to_image, images)]), torch.cat([*map(to_mask_tensor, masks)])


def iterate_ahead(
    make: Callable[[int], TrainBatch], items: Iterable[int], workers: int
) -> Generator[TrainBatch, None, None]:
    """``make(item)`` for each item in order, up to ``workers + 1`` of them prepared ahead in threads."""
    if workers == 0:
        yield from map(make, items)
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="batches") as pool:
        waiting: list[Future[TrainBatch]] = []
        try:
            for item in items:
                waiting.append(pool.submit(make, item))
                if len(waiting) > workers + 1:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()
