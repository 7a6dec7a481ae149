"""The model a run uses: found and named at once, loaded only when there is something to sample."""

from __future__ import annotations

import math
import os
import socket
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cyclorama.errors import ModelError, ModelNotFoundError, SettingsError
from cyclorama.models.registry import CategoryRegistry, load_registry

if TYPE_CHECKING:
    from cyclorama.models.pipeline import CycloramaPipeline

BUNDLED = "bundled"
DTYPES = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True)
class ModelHandle:
    """Where a model is and what it is called in rows and images."""

    name: str
    """``bundled``, the folder's own name, or the hub id."""
    folder: Path
    hash: str
    """Short digest over weights and configs."""
    registry: CategoryRegistry

    def load(self, device: str, dtype: str) -> CycloramaPipeline:
        """The pipeline on ``device``. Raises ModelFormatError."""
        import torch

        from cyclorama.models.pipeline import CycloramaPipeline

        if device.startswith("cpu"):
            torch.set_num_threads(min(torch.get_num_threads(), count_cpus()))
        pipeline = CycloramaPipeline.from_pretrained(self.folder, getattr(torch, dtype), device)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    def find_here(self) -> ModelHandle:
        """The handle with the folder that its model has on this machine. Raises ModelError if it has not."""
        bundled = self.name == BUNDLED
        if self.folder.exists() and not (bundled and self.folder != get_bundled_folder()):
            return self
        here = open_model(None if bundled else self.name)
        if here.hash != self.hash:
            raise ModelError(
                f"model {self.name!r} is another one on machine {socket.gethostname()} ({here.hash}) than "
                f"where the run began ({self.hash}); install the same release, or share the model's folder"
            )
        return replace(self, folder=here.folder)


def open_model(model: str | Path | None = None) -> ModelHandle:
    """The handle of a model folder, a hub id, or (None) the model inside the package.

    Raises ModelNotFoundError, ModelFormatError.
    """
    from cyclorama.models.files import compute_model_hash, find_model

    folder = find_model(get_bundled_folder() if model is None else model)
    if model is None:
        name = BUNDLED
    elif Path(model).expanduser().is_dir():
        name = folder.resolve().name
    else:
        name = str(model)
    return ModelHandle(name, folder, compute_model_hash(folder), load_registry(folder))


def get_bundled_folder() -> Path:
    """The folder of the model inside the package. Raises ModelNotFoundError if it was not installed."""
    folder = Path(__file__).resolve().parent.parent / "weights"
    if not (folder / "model_index.json").is_file():
        raise ModelNotFoundError(
            "this installation of cyclorama has no bundled model; reinstall it from a release, or give a "
            "model folder or hub id with --model"
        )
    return folder


def choose_device(device: str = "auto", dtype: str = "auto") -> tuple[str, str]:
    """(device, dtype) with ``auto`` settled: CUDA, Apple's GPU, else the CPU; half precision off the CPU.

    Raises SettingsError for a device this machine lacks or an unknown dtype.
    """
    import torch

    if dtype not in DTYPES:
        raise SettingsError(f"dtype {dtype!r} is unknown; use one of {', '.join(DTYPES)}")
    if device == "auto":
        device = (
            "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        )
    else:
        _check_device(device)
    if dtype == "auto":
        dtype = "float32" if device.startswith("cpu") else "float16"
        if device.startswith("cuda") and torch.cuda.is_bf16_supported():
            dtype = "bfloat16"
    return device, dtype


def count_cpus(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """CPUs that this process may keep busy: those it is bound to, within its container's share of time.

    Not fewer when others are busy: an image's bits depend on the number of threads.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        if (cgroup / "cpu.max").is_file():
            quota, period = (cgroup / "cpu.max").read_text().split()
        else:
            quota, period = ((cgroup / "cpu" / f"cpu.cfs_{n}_us").read_text() for n in ("quota", "period"))
        if quota != "max" and int(quota) > 0:
            return max(1, min(bound, math.ceil(int(quota) / int(period))))
    return bound


def _check_device(device: str) -> None:
    import torch

    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, ValueError, NotImplementedError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise SettingsError(
            f"device {device!r} cannot be used here ({first}); use 'auto', 'cpu' or one that is present"
        ) from error
