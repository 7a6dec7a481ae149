"""Where a baseline's weights are: folders in diffusers' layouts, the hub, or a word on what to fetch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from cyclorama.errors import ModelFormatError, ModelNotFoundError
from cyclorama.lab.baselines.options import BaselineName
from cyclorama.lab.baselines.protocol import Baseline, BaselineHandle, open_registry
from cyclorama.models.base import BaseModel, load_base
from cyclorama.models.files import fetch_model, load_json

_KEPT = {".safetensors", ".json", ".txt", ".pt", ".ckpt", ".pth"}


def find_weights(source: str | Path | None, method: str, parts: Sequence[str], remedy: str) -> Path:
    """The local folder of ``source``: a folder, a hub id, which must be given.

    ``parts`` are sub-folders with safetensors (or, for ``scheduler`` and the like, configs) it must have;
    none for a folder that is one network. ``remedy`` ends the message if there is nothing.
    Raises ModelNotFoundError, ModelFormatError.
    """
    if source is None:
        raise ModelNotFoundError(f"no weights for baseline {method!r} are installed; {remedy}")
    folder, text = Path(source), str(source)
    if not folder.is_dir():
        if folder.exists() or text.count("/") != 1 or text.startswith((".", "/", "~")):
            raise ModelNotFoundError(f"no folder at {text!r} for baseline {method!r}; {remedy}")
        try:
            folder = fetch_model(text)
        except ModelNotFoundError as error:
            raise ModelNotFoundError(f"{error}, for baseline {method!r}; {remedy}") from error
    check_parts(folder, parts, remedy)
    return folder


def load_base_on(folder: Path, device: str, dtype: str) -> BaseModel:
    """The base in ``folder`` on ``device``. Raises ModelFormatError."""
    base = load_base(folder, dtype=getattr(torch, dtype))
    for network in (base.unet, base.vae, base.text_encoder):
        network.to(device)
    return base


def find_prompt(folder: Path, given: str | None) -> str | None:
    """The template of prompts: ``given``, else what the model in ``folder`` has learnt; None: full."""
    return given or load_json(folder / "text_encoder" / "config.json").get("prompt")


def check_parts(folder: Path, parts: Sequence[str], remedy: str) -> None:
    """Raise ModelFormatError unless ``folder`` has each part, and networks as safetensors."""
    for place in [folder / part for part in parts] or [folder]:
        if not place.is_dir():
            raise ModelFormatError(f"{folder} lacks the sub-folder {place.name}/; {remedy}")
        if place.name in ("scheduler", "tokenizer", "feature_extractor"):
            continue
        if not (place / "config.json").is_file():
            raise ModelFormatError(f"{place} has no config.json; {remedy}")
        if not any(place.glob("*.safetensors")):
            pickled = sorted(p.name for p in place.iterdir() if p.suffix in {".bin", ".pt", ".ckpt", ".pth"})
            reason = f"only pickled weights ({', '.join(pickled)})" if pickled else "no weights"
            raise ModelFormatError(
                f"{place} holds {reason}; only safetensors are read. Convert them once with "
                f"save_pretrained(..., safe_serialization=True)"
            )


def name_source(method: str, source: str | Path | None) -> str:
    """What rows call a model: the method with ``bundled``, a folder's or file's own name, or the hub id."""
    if source is None:
        return f"{method}:bundled"
    path = Path(source)
    return f"{method}:{path.resolve().name if path.exists() else source}"


def compute_weights_hash(*places: Path) -> str:
    """12 hex digits over the weights and configs in ``places`` (folders or files), wherever they lie.

    Hidden entries and a run's ``README`` do not count.
    """
    digest = hashlib.sha256()
    for place in places:
        files = [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.suffix in _KEPT)
        for path in files:
            relative = path.relative_to(place.parent if place.is_file() else place)
            if not any(part.startswith(".") for part in relative.parts):
                digest.update(relative.as_posix().encode() + b"\0")
                with path.open("rb") as stream:
                    digest.update(hashlib.file_digest(stream, "sha256").digest())
        digest.update(b"\1")
    return digest.hexdigest()[:12]


def build_handle(
    method: BaselineName,
    source: str | None,
    folder: Path,
    parts: Sequence[str | Path],
    load: Callable[..., Baseline],
    *rest: Any,
    **stated: Any,
) -> BaselineHandle:
    """The handle of ``method`` whose weights are ``parts`` of ``folder``; ``stated`` are more of its fields.

    It loads by ``load(folder, registry, *rest, device, dtype)``; ``rest`` can be pickled.
    """
    registry = open_registry(folder)
    return BaselineHandle(
        name=name_source(method, source),
        folder=folder,
        hash=compute_weights_hash(*(folder / part for part in parts)),
        registry=registry,
        method=method,
        loader=partial(load, folder, registry, *rest),
        **stated,
    )
