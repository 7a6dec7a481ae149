"""What a run leaves, complete or absent: checkpoints (safetensors and JSON), and the finished model.

``OUT/checkpoints/step-00000100/`` holds ``weights``, ``ema`` and ``optimizer.safetensors`` and, written
last, ``state.json``. It is written under another name and renamed, so a kill or a full disk leaves
the older ones untouched.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from cyclorama.data.licences import mark_model
from cyclorama.errors import CheckpointError, OutputError
from cyclorama.files import write_atomic
from cyclorama.training.stage import StageNetworks

STATE_FILE = "state.json"
FORMAT = 1
_PARTS = ("weights", "ema", "optimizer")


@dataclass(frozen=True, eq=False)
class TrainState:
    """All a run needs to go on exactly where it was."""

    step: int
    """Optimiser steps done."""
    images_seen: int
    weights: Mapping[str, Tensor]
    ema: Mapping[str, Tensor]
    """Empty if the run keeps no average."""
    optimizer: Mapping[str, Tensor]
    """``{parameter}/{exp_avg|exp_avg_sq|step}``."""
    run: Mapping[str, Any]
    """JSON: stage, config, data fingerprint, hashes of the images' files and of the start, loss scaler, and
    the losses that no row of metrics.jsonl tells of yet."""


def save_checkpoint(state: TrainState, folder: Path, keep: int) -> Path:
    """Write ``state`` under ``folder`` and drop all but the ``keep`` newest; returns the checkpoint's folder.

    Raises OutputError if it cannot be written; older checkpoints then stand as they were.
    """
    target = folder / f"step-{state.step:08d}"
    partial = folder / f".partial-{target.name}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".partial-*"):  # by a save that was killed
            shutil.rmtree(left, ignore_errors=True)
        partial.mkdir()
        files = {}
        for part in _PARTS:
            path = partial / f"{part}.safetensors"
            save_file({name: t.detach().cpu().contiguous() for name, t in getattr(state, part).items()}, path)
            _sync(path)
            files[path.name] = path.stat().st_size
        body = {"format": FORMAT, "step": state.step, "images_seen": state.images_seen, "files": files}
        write_atomic(partial / STATE_FILE, json.dumps({**body, "run": state.run}, indent=1).encode())
        if target.exists():
            shutil.rmtree(target)
        partial.replace(target)
    except Exception as error:
        shutil.rmtree(partial, ignore_errors=True)
        if not isinstance(error, OSError) and "SafetensorError" not in type(error).__name__:
            raise
        newest = find_checkpoint(folder)
        kept = f"the last good one is {newest}" if newest else "there is no earlier one"
        reason = getattr(error, "strerror", None) or error
        raise OutputError(
            f"cannot write checkpoint {target}: {reason}; {kept}. Free some space and go on with --resume"
        ) from error
    for old in list_checkpoints(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def list_checkpoints(folder: Path) -> list[Path]:
    """Complete checkpoints under ``folder``, oldest first; incomplete ones are passed over."""
    found = sorted(folder.glob("step-*")) if folder.is_dir() else []
    return [path for path in found if _is_complete(path)]


def find_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint under ``folder``, or None."""
    found = list_checkpoints(folder)
    return found[-1] if found else None


def load_checkpoint(path: Path) -> TrainState:
    """The state in ``path``. Raises CheckpointError if it is incomplete, damaged or of another format."""
    if not _is_complete(path):
        raise CheckpointError(f"checkpoint {path} is incomplete; use another one or start anew")
    body = json.loads((path / STATE_FILE).read_text(encoding="utf-8"))
    if body.get("format") != FORMAT:
        raise CheckpointError(
            f"checkpoint {path} has format {body.get('format')!r}; this version reads {FORMAT}"
        )
    try:
        parts = {part: load_file(path / f"{part}.safetensors") for part in _PARTS}
    except Exception as error:  # safetensors raises a class of its own that is no OSError
        raise CheckpointError(f"checkpoint {path} is damaged: {error}") from error
    return TrainState(step=body["step"], images_seen=body["images_seen"], run=body["run"], **parts)


def _is_complete(path: Path) -> bool:
    try:
        files = json.loads((path / STATE_FILE).read_text(encoding="utf-8"))["files"]
        return all((path / name).stat().st_size == size for name, size in files.items())
    except (OSError, ValueError, KeyError):
        return False


def _sync(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def pack_optimizer(optimizer: torch.optim.Optimizer, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """AdamW's state as flat tensors named after the parameters."""
    return {
        f"{name}/{key}": value
        for name, parameter in parameters.items()
        for key, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, Tensor)
    }


def unpack_optimizer(
    optimizer: torch.optim.Optimizer,
    parameters: Mapping[str, Tensor],
    tensors: Mapping[str, Tensor],
) -> None:
    """Put tensors from :func:`pack_optimizer` back, bit for bit and in their parameters' order in memory.

    A fused optimiser walks memory linearly: moments in another order would be those of other weights.
    """
    for packed, value in tensors.items():
        name, key = packed.rsplit("/", 1)
        parameter = parameters[name].detach()
        own = value.to(parameter.device)
        if own.shape == parameter.shape:
            own = torch.empty_like(parameter, dtype=own.dtype).copy_(own)
        optimizer.state[parameters[name]][key] = own


def load_weights(parameters: Mapping[str, Tensor], tensors: Mapping[str, Tensor], path: Path) -> None:
    """Copy ``tensors`` into the parameters. Raises CheckpointError unless names and shapes are the same."""
    wrong = sorted(set(parameters) ^ set(tensors)) or [
        name for name, p in parameters.items() if p.shape != tensors[name].shape
    ]
    if wrong:
        raise CheckpointError(
            f"checkpoint {path} belongs to another model: {len(wrong)} parameters differ "
            f"({', '.join(wrong[:3])})"
        )
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors[name])


def export_model(networks: StageNetworks, folder: Path) -> Path:
    """Write the model folder ``folder``: the start's parts with the stage's networks as they are now.

    An older folder of that name is replaced in one step. The licences of the images, and of the model
    started from, go along. Raises OutputError if the disk is full.
    """
    partial, old = folder.parent / f".partial-{folder.name}", folder.parent / f".old-{folder.name}"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        networks.stage.save(networks, partial)
        mark_model(partial, networks.start.folder, networks.start.config.data.source)
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.replace(old)
        partial.replace(folder)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise OutputError(f"cannot write the model to {folder}: {error.strerror or error}") from error
    return folder
