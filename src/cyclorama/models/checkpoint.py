"""Model folders: loading, saving, building on a base, and the hash that names a model."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from cyclorama.errors import ModelFormatError
from cyclorama.models.base import BaseModel, compute_vae_scale, load_base, load_part
from cyclorama.models.category import CategoryGenerator
from cyclorama.models.files import BASE_PARTS, find_model
from cyclorama.models.personality import PersonalityGenerator
from cyclorama.models.pipeline import CycloramaPipeline
from cyclorama.models.registry import CategoryRegistry, load_registry, save_registry

GENERATORS = {"category_generator": CategoryGenerator, "personality_generator": PersonalityGenerator}


def load_pipeline(
    folder_or_hub_id: str | Path,
    *,
    dtype: torch.dtype | None = None,
    device: str | torch.device | None = None,
) -> CycloramaPipeline:
    """The pipeline in a Cyclorama model folder or hub repository, ready on ``device``.

    Raises ModelNotFoundError, ModelFormatError (also for a plain base without generators).
    """
    folder = find_model(folder_or_hub_id)
    missing = [name for name in GENERATORS if not (folder / name).is_dir()]
    if missing:
        raise ModelFormatError(
            f"{folder} has no {' and no '.join(missing)}: it is a base, not a Cyclorama model. Train one on "
            f"it (`cyclorama train category --config …`) or CycloramaPipeline.from_base for an untrained pair"
        )
    dtype = dtype or torch.float32
    base = load_base(folder, dtype=dtype)
    generators = {name: load_part(cls, folder / name, dtype) for name, cls in GENERATORS.items()}
    pipeline = assemble(base, load_registry(folder), **generators)
    return pipeline if device is None else pipeline.to(device)


def build_pipeline(
    base: str | Path | BaseModel,
    *,
    dtype: torch.dtype = torch.float32,
    with_mask: bool = False,
    registry: CategoryRegistry | None = None,
) -> CycloramaPipeline:
    """A pipeline with untrained generators (zero convolutions) on ``base``."""
    if not isinstance(base, BaseModel):
        folder = find_model(base)
        registry = registry or load_registry(folder)
        base = load_base(folder, dtype=dtype)
    scale = compute_vae_scale(base.vae)
    generators = {name: cls.from_base(base.unet, scale, with_mask) for name, cls in GENERATORS.items()}
    if dtype != torch.float32:
        generators = {name: generator.to(dtype) for name, generator in generators.items()}
    return assemble(base, registry or CategoryRegistry(), **generators)


def assemble(
    base: BaseModel,
    registry: CategoryRegistry,
    category_generator: CategoryGenerator,
    personality_generator: PersonalityGenerator,
) -> CycloramaPipeline:
    """A pipeline of these parts, all in evaluation mode."""
    pipeline = CycloramaPipeline(
        unet=base.unet.eval(),
        vae=base.vae.eval(),
        text_encoder=base.text_encoder.eval(),
        tokenizer=base.tokenizer,
        scheduler=base.scheduler,
        category_generator=category_generator.eval(),
        personality_generator=personality_generator.eval(),
    )
    pipeline.registry = registry
    return pipeline


def save_base(base: BaseModel, folder: str | Path, max_shard_size: str = "10GB") -> None:
    """Write a base in the diffusers layout, safetensors, with Stable Diffusion's kind of index."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    index: dict[str, object] = {"_class_name": "StableDiffusionPipeline"}
    for name in BASE_PARTS:
        index[name] = _save_part(getattr(base, name), folder / name, max_shard_size)
    index |= {"safety_checker": [None, None], "feature_extractor": [None, None]}
    _write_index(folder, index)


def save_pipeline(pipeline: CycloramaPipeline, folder: str | Path, max_shard_size: str = "10GB") -> None:
    """Write a whole model folder: base, generators, registry."""
    folder = Path(folder)
    save_base(pipeline.base, folder, max_shard_size)
    index: dict[str, object] = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    index["_class_name"] = "CycloramaPipeline"
    for name in GENERATORS:
        index[name] = _save_part(getattr(pipeline, name), folder / name, max_shard_size)
    save_registry(pipeline.registry, folder)
    _write_index(folder, index)


def _save_part(part: object, folder: Path, max_shard_size: str) -> list[str]:
    saver = part.save_pretrained  # type: ignore[attr-defined]
    if isinstance(part, torch.nn.Module):
        saver(folder, safe_serialization=True, max_shard_size=max_shard_size)
    else:
        saver(folder)
    return [type(part).__module__.split(".")[0], type(part).__name__]


def _write_index(folder: Path, index: dict[str, object]) -> None:
    """Written last and in one step: a folder with an index is complete."""
    temporary = folder / "model_index.json.tmp"
    temporary.write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    temporary.replace(folder / "model_index.json")
