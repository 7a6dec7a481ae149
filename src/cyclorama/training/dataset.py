"""The images of a run, and what is computed from them once: latents and prompt embeddings.

Cached files are named by a hash of all they depend on and get their ``.done`` mark last; one without a mark
is computed again. Autoencoder and text encoder are not needed once the cache is filled.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from cyclorama.data.examples import ExampleConfig, ExampleSource, PackedExamples, SourceConfig
from cyclorama.errors import OutputError
from cyclorama.files import open_locked
from cyclorama.jobs.store import compute_key
from cyclorama.models.base import encode_image
from cyclorama.models.speed import compute_digest
from cyclorama.prompts import EMPTY_PROMPT, Prompts
from cyclorama.tensors import to_image
from cyclorama.training.config import DataConfig
from cyclorama.types import Matte, Pixels

Array = npt.NDArray[Any]


class TrainingData(Protocol):
    """Images of one size with product mask and category, by index."""

    def __len__(self) -> int:
        """Number of images."""
        ...

    def load(self, index: int) -> tuple[Pixels, Matte]:
        """Pixels uint8 (H, W, 3) and product mask float32 (H, W), 1 = product."""
        ...

    def category(self, index: int) -> str:
        """Category name, without decoding anything."""
        ...


class PickedData:
    """Some images of a data set, decoded once and kept."""

    def __init__(self, data: TrainingData, chosen: Sequence[int]) -> None:
        self._images = [(data.load(index), data.category(index)) for index in chosen]

    def __len__(self) -> int:
        return len(self._images)

    def load(self, index: int) -> tuple[Pixels, Matte]:  # noqa: D102 - see TrainingData
        return self._images[index][0]

    def category(self, index: int) -> str:  # noqa: D102
        return self._images[index][1]


def open_data(source: ExampleSource, config: DataConfig, out: Path, accelerator: Any) -> TrainingData:
    """The images of ``source``, packed first if ``config`` says so (by the main process).

    Raises DataError, OutputError.
    """
    if not config.pack:
        return source
    folder = config.packed or out / "packed"
    if accelerator.is_main_process:
        PackedExamples.prepare(source, folder)
    accelerator.wait_for_everyone()
    return PackedExamples(folder, source.config)


def open_split(config: DataConfig, source: SourceConfig, limit: int | None = None) -> ExampleSource:
    """The images of ``source`` at ``config``'s size, decoded when asked for. Raises DataError."""
    geometry = ExampleConfig(height=config.image_size, width=config.image_size, fit=config.fit)
    return ExampleSource.open(source, geometry, limit)


def choose_images(data: TrainingData, count: int, categories: Collection[str]) -> list[int]:
    """Up to ``count`` images of ``categories``, the categories taking turns, so that all come into view."""
    by_category: dict[str, list[int]] = {name: [] for name in sorted(categories)}
    for index in range(len(data)):
        if data.category(index) in by_category:
            by_category[data.category(index)].append(index)
    rounds = zip_longest(*by_category.values())
    return [index for chosen in rounds for index in chosen if index is not None][:count]


def compute_fingerprint(data: TrainingData, probes: int = 64) -> str:
    """16 hex digits that tell one training set from another, also one in memory.

    Covers the number of images, all categories in order, and pixels and masks of up to ``probes``
    images spread evenly over the set; :meth:`ExampleSource.compute_content_hash` looks at all files.
    """
    digest = hashlib.blake2b(digest_size=8)
    count = len(data)
    digest.update(f"{count}\n".encode())
    for index in range(count):
        digest.update(data.category(index).encode() + b"\n")
    for index in sorted({int(i) for i in np.linspace(0, count - 1, min(probes, count))}):
        for array in data.load(index):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


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
    identity: dict[str, Any],
    build: Callable[[Path], None],
    *,
    main: bool,
) -> Array:
    """The array of ``identity`` in ``folder``, memory-mapped; built by the main process if missing.

    The other processes, and other runs that share ``folder``, wait until it is built. Raises OutputError
    (full disk, folder not writable).
    """
    path = folder / f"{name}-{compute_key(identity)}.npy"
    done = path.with_suffix(".done")
    if main and not done.exists():
        part = folder / f".partial-{path.name}"
        with open_locked(path.with_suffix(".lock"), math.inf, partial(print, file=sys.stderr)):
            try:
                if not done.exists():
                    build(part)
                    part.replace(path)
                    done.write_text(json.dumps({"bytes": path.stat().st_size}) + "\n", encoding="utf-8")
            except OSError as error:
                part.unlink(missing_ok=True)
                raise OutputError(
                    f"cannot write the training cache {path}: {error.strerror or error}; free some space or "
                    f"set data.cache to a folder on another disk"
                ) from error
    while not done.exists():
        time.sleep(0.5)
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
        images = torch.cat([to_image(data.load(i)[0]) for i in range(start, stop)]).to(device)
        for view in range(views):
            latents = encode_image(vae, images.flip(3) if view else images).cpu().numpy()
            if array is None:
                shape, dtype = (count, views, *latents.shape[1:]), np.dtype(settings.cache_dtype)
                array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
            array[start:stop, view] = latents
    vae.to("cpu")
    assert array is not None
    array.flush()  # type: ignore[attr-defined]


def compute_module_hash(module: nn.Module) -> str:
    """16 hex digits of all weights and buffers of ``module`` (names, shapes, values)."""
    digest = hashlib.blake2b(digest_size=8)
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode() + compute_digest(value))
    return digest.hexdigest()
