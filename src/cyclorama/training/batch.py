"""Samples become batches: latents, noise, prompts, hints, all on the CPU and ready to move."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from cyclorama.data.augment import HintConfig, augment_hint
from cyclorama.data.perturb import PerturbConfig, perturb
from cyclorama.seeding import build_generator, build_numpy_generator
from cyclorama.training.cache import Array, PromptTable, to_image
from cyclorama.training.data import TrainingData
from cyclorama.training.draws import Draws

if TYPE_CHECKING:
    from cyclorama.types import Matte, Pixels


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
        parts = self._build_prompts(draws, categories) if self.needs.prompts else {}
        if self.needs.product:
            parts |= self._build_images(draws)
        return TrainBatch(
            numbers=tuple(d.number for d in draws),
            indices=tuple(d.index for d in draws),
            categories=categories,
            latents=torch.from_numpy(latents),
            noise=torch.from_numpy(np.stack([d.noise for d in draws])),
            timesteps=torch.tensor([d.timestep for d in draws], dtype=torch.int64),
            **parts,
        )

    def _build_prompts(self, draws: list[Draws], categories: tuple[str, ...]) -> dict[str, Tensor]:
        assert self.prompts is not None
        dropped = [d.drop_prompt for d in draws]
        rows = [self.prompts.list_rows(*pair) for pair in zip(categories, dropped, strict=True)]
        product, background, full = (self.prompts.gather(column) for column in zip(*rows, strict=True))
        return {
            "product_prompt": product,
            "background_prompt": background,
            "full_prompt": full,
            "dropped": torch.tensor(dropped),
        }

    def _build_images(self, draws: list[Draws]) -> dict[str, Tensor]:
        images = [self._load(d.index, d.flip) for d in draws]
        image, product_mask = hint_image, hint_mask = _to_tensors(images)
        if self.augment is not None:
            augmented = [self._augment(d, *pair) for d, pair in zip(draws, images, strict=True)]
            hint_image, hint_mask = _to_tensors(augmented)
        parts = {"image": image, "product_mask": product_mask}
        parts |= {"hint_image": hint_image, "hint_mask": hint_mask}
        if self.needs.reference:
            perturbed = [self._perturb(d, image[i], product_mask[i]) for i, d in enumerate(draws)]
            references, masks = zip(*perturbed, strict=True)
            parts |= {"reference": torch.stack(references), "reference_mask": torch.stack(masks)}
        return parts

    def _load(self, index: int, flip: bool) -> tuple[Pixels, Matte]:
        pixels, mask = self.data.load(index)
        return (pixels[:, ::-1], mask[:, ::-1]) if flip else (pixels, mask)

    def _augment(self, draws: Draws, pixels: Pixels, mask: Matte) -> tuple[Pixels, Matte]:
        assert self.augment is not None
        generator = build_numpy_generator(self.seed, draws.number, "augment")
        pair = np.ascontiguousarray(pixels), np.ascontiguousarray(mask)
        return augment_hint(*pair, self.augment, generator)

    def _perturb(self, draws: Draws, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        other = None
        if self.perturb.mix:
            chosen = build_numpy_generator(self.seed, draws.number, "mix").integers(len(self.data))
            other = to_image(self.data.load(int(chosen))[0][None])[0]
        generator = build_generator(self.seed, draws.number, "perturb")
        return perturb(image, mask, other, self.perturb, generator)


def _to_tensors(images: Sequence[tuple[Pixels, Matte]]) -> tuple[Tensor, Tensor]:
    image = to_image(np.stack([pixels for pixels, _ in images]))
    return image, torch.from_numpy(np.stack([mask for _, mask in images])[:, None])


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
