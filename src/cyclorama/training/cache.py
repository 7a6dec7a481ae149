"""Latents and prompt embeddings computed once, memory-mapped ever after.

Files are named by a hash of all they depend on and get their ``.done`` mark last; one without a
mark is computed again. Autoencoder and text encoder are not needed once the cache is filled.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from cyclorama.errors import OutputError
from cyclorama.models.base import encode_image
from cyclorama.prompts import EMPTY_PROMPT, Prompts
from cyclorama.training.config import DataConfig
from cyclorama.training.data import TrainingData

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class PromptTable:
    """Embeddings (or token ids) of all prompts of all categories, and of the empty prompt."""

    rows: Array
    """(3 x categories + 1, L, D) embeddings, or (3 x categories + 1, L) token ids."""
    categories: tuple[str, ...]

    def list_rows(self, category: str, drop: bool) -> tuple[int, int, int]:
        """Rows of product, background and full prompt of ``category``; all the empty prompt's if ``drop``."""
        if drop:
            return (len(self.rows) - 1,) * 3
        first = 3 * self.categories.index(category)
        return first, first + 1, first + 2

    def gather(self, rows: Sequence[int]) -> Tensor:
        """Embeddings float32 (B, L, D), or token ids int64 (B, L), of ``rows``."""
        picked = self.rows[np.asarray(rows)]
        return torch.from_numpy(picked.astype(np.int64 if picked.ndim == 2 else np.float32))


def list_prompt_texts(prompts: Sequence[Prompts]) -> list[str]:
    """The texts of a :class:`PromptTable` in the order of its rows."""
    texts = [text for p in prompts for text in (p.product, p.background, p.full)]
    return [*texts, EMPTY_PROMPT]


def load_or_build(
    folder: Path,
    name: str,
    key: str,
    build: Callable[[Path], None],
    *,
    main: bool,
    poll_seconds: float = 0.5,
) -> Array:
    """The array ``folder/name-key.npy``, memory-mapped; built by the main process if it is not there.

    ``build(path)`` writes it. The other processes wait for the done mark. Raises OutputError if the
    disk is full or the folder cannot be written.
    """
    path = folder / f"{name}-{key}.npy"
    done = path.with_suffix(".done")
    if not done.exists() and main:
        partial = folder / f".{name}-{key}.partial.npy"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            build(partial)
            partial.replace(path)
            done.write_text(json.dumps({"bytes": path.stat().st_size}) + "\n", encoding="utf-8")
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise OutputError(
                f"cannot write the training cache {path}: {error.strerror or error}; free some space or "
                f"set data.cache to a folder on another disk"
            ) from error
    while not done.exists():
        time.sleep(poll_seconds)
    array: Array = np.load(path, mmap_mode="r")
    return array


def build_latents(
    path: Path, data: TrainingData, vae: Any, settings: DataConfig, device: torch.device, progress: bool
) -> None:
    """Write scaled latents (N, 1 or 2, c, h, w) of all images (and of their mirror images) to ``path``."""
    array: Array | None = None
    views, count, step = 1 + settings.flip, len(data), settings.cache_batch
    console = Console(stderr=True)
    starts, silent = range(0, count, step), not (progress and console.is_terminal)
    vae.to(device)
    for start in track(starts, "latents", console=console, disable=silent):
        stop = min(start + step, count)
        pixels = np.stack([data.load(i)[0] for i in range(start, stop)])
        for view in range(views):
            image = to_image(pixels[:, :, ::-1] if view else pixels).to(device)
            latents = encode_image(vae, image).cpu().numpy()
            if array is None:
                shape, dtype = (count, views, *latents.shape[1:]), np.dtype(settings.cache_dtype)
                array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
            array[start:stop, view] = latents
    vae.to("cpu")
    assert array is not None
    array.flush()  # type: ignore[attr-defined]


def to_image(pixels: Array) -> Tensor:
    """Image float32 (B, 3, H, W) in [-1, 1] of pixels uint8 (B, H, W, 3)."""
    tensor = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2)
    return tensor.float().div_(127.5).sub_(1.0)


def compute_module_hash(module: nn.Module) -> str:
    """16 hex digits of all weights and buffers of ``module`` (names, shapes, values)."""
    digest = hashlib.blake2b(digest_size=8)
    for name, value in sorted(module.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}\n".encode())
        raw = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(raw.numpy().data)
    return digest.hexdigest()
