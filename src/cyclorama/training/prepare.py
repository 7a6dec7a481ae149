"""Everything a run needs before its first step: start folder, networks, categories, cache."""

from __future__ import annotations

import copy
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cyclorama.data.licences import mark_bundle
from cyclorama.errors import ConfigError, DataError, UnknownCategoryError
from cyclorama.models.base import (
    BaseModel,
    encode_image,
    encode_prompts,
    load_base,
    load_vae,
    save_base,
    tokenize,
)
from cyclorama.models.files import compute_model_hash, find_model
from cyclorama.models.registry import CategoryRegistry, load_registry, save_registry
from cyclorama.models.scratch import build_base
from cyclorama.tensors import to_image
from cyclorama.training.batch import BatchBuilder, DrawSettings
from cyclorama.training.config import DataConfig, TrainConfig
from cyclorama.training.dataset import (
    PickedData,
    PromptTable,
    TrainingData,
    build_latents,
    choose_images,
    compute_fingerprint,
    compute_module_hash,
    list_prompt_texts,
    load_or_build,
    open_data,
    open_split,
)
from cyclorama.training.resident import ResidentBatchBuilder, ResidentImages
from cyclorama.training.stage import StageNetworks, Start, TrainStage
from cyclorama.training.state import find_checkpoint

FIT_IMAGES = 512
"""Images, spread evenly over the set, that a new autoencoder's analysis is fitted to."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A run ready for its first step."""

    networks: StageNetworks
    builder: BatchBuilder
    draws: DrawSettings
    shown: BatchBuilder
    """Of the images that validation shows."""
    fingerprint: str
    """Of the training data."""
    files: str | None
    """Hash of the files of all training images; None of images in memory."""
    start: str
    """Hash of the model the run starts from."""


def prepare_run(
    stage: TrainStage, config: TrainConfig, out: Path, accelerator: Any, data: TrainingData | None = None
) -> Prepared:
    """Load or build the start, open the data, fill the cache, let autoencoder and text encoder go.

    ``out`` is the run's folder, in which the main process writes; ``data`` replaces what
    ``config.data.source`` names. What is wrong with the recipe is told before all images are packed.
    Raises ConfigError, DataError, ModelError, OutputError.
    """
    source, needs, settings = None, stage.needs, config.data
    if data is None:
        data = source = open_split(settings, settings.source, settings.limit)
    if len(data) == 0:
        raise DataError(f"{config.data.source.path} holds no image to train on")
    categories = sorted({data.category(index) for index in range(len(data))})
    folder = find_start(stage, config, data, categories, out, accelerator)
    start = Start(folder, extend_registry(load_registry(folder), categories), config)
    base = load_base(folder)
    height, width = data.load(0)[0].shape[:2]
    if height % base.image_multiple or width % base.image_multiple:
        raise DataError(
            f"images of {height} x {width} pixels do not fit the base; both sides must be multiples of "
            f"{base.image_multiple} ({base.vae_scale} per latent)"
        )
    trained, frozen = stage.build(start, base)
    shown = _open_shown(config, data, source is None, categories)
    if source is not None:
        data = open_data(source, settings, out, accelerator)
    fingerprint = compute_fingerprint(data)
    cache, main = settings.cache or out / "cache", accelerator.is_main_process
    identity = {"data": fingerprint, "vae": compute_module_hash(base.vae)}
    if source is not None:
        identity["source"] = source.compute_fingerprint()
    images = None
    if settings.resident:
        images = ResidentImages.load(data, accelerator.device, max(1, settings.workers))
        latents = images.encode(base.vae, settings.flip, settings.cache_batch)
    else:
        latents = load_or_build(
            cache,
            "latents",
            identity | {"flip": settings.flip, "dtype": settings.cache_dtype},
            lambda path: build_latents(path, data, base.vae, settings, accelerator.device, main),
            main=main,
        )
    encoded = [encode_image(base.vae, to_image(shown.load(i)[0])) for i in range(len(shown))]
    shown_latents = torch.stack(encoded).float().numpy()
    prompts = None
    if needs.prompts and "text_encoder" in trained:  # what it makes of the words changes with it
        prompts = PromptTable(
            tokenize(base.tokenizer, _list_texts(start, categories)).numpy(), (*categories,)
        )
    elif needs.prompts:
        prompts = _cache_prompts(cache, start, base, categories, accelerator)
    networks = StageNetworks(stage, start, base.scheduler, trained, frozen)
    if config.channels_last:
        networks.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    augment = config.augment if needs.hint else None
    shape = latents.shape[2:] if images is None else ()  # resident images' noise is drawn where they are
    timesteps = int(base.scheduler.config.num_train_timesteps)
    parts: dict[str, Any] = {
        "data": data,
        "latents": latents,
        "prompts": prompts,
        "needs": needs,
        "seed": config.seed,
    }
    parts |= {"perturb": config.perturb, "augment": augment}
    return Prepared(
        networks,
        BatchBuilder(**parts) if images is None else _build_resident(parts, images, settings, base.vae),
        DrawSettings(config.seed, shape, timesteps, settings.flip, config.prompt_dropout),
        BatchBuilder(shown, shown_latents, prompts, needs, config.perturb, None, config.seed),
        fingerprint,
        None if source is None else source.compute_content_hash(),
        compute_model_hash(folder),
    )


def _build_resident(
    parts: dict[str, Any], images: ResidentImages, settings: DataConfig, vae: Any
) -> ResidentBatchBuilder:
    encoder = copy.deepcopy(vae).to(images.pixels.device).requires_grad_(False)
    return ResidentBatchBuilder(**parts, images=images, zoom=settings.zoom, vae=encoder)


def _open_shown(
    config: TrainConfig, data: TrainingData, injected: bool, categories: list[str]
) -> TrainingData:
    """The images that validation shows: of its own split if it names one, else of those trained on."""
    source = config.data.source
    if config.validation.split is not None and not injected:
        data = open_split(config.data, source.replace(split=config.validation.split))
    chosen = choose_images(data, config.validation.images, categories)
    if not chosen:
        raise DataError(
            f"split {config.validation.split!r} of {source.path} has no image of a category trained on; "
            f"name another validation.split"
        )
    return PickedData(data, chosen)


def find_start(
    stage: TrainStage,
    config: TrainConfig,
    data: TrainingData,
    categories: list[str],
    out: Path,
    accelerator: Any,
) -> Path:
    """The model folder a run starts from; with ``model.build`` it is made as ``OUT/start``.

    One that is there is taken only by a run that goes on: without a checkpoint it is made anew.
    """
    if config.model.base is not None:
        return find_model(config.model.base)
    if not stage.from_scratch:
        raise ConfigError(
            f"stage {stage.name!r} needs model.base, a trained base; model.build makes an untrained one"
        )
    start = out / "start"
    kept = find_checkpoint(out / "checkpoints") is not None and (start / "model_index.json").is_file()
    if accelerator.is_main_process and not kept:
        _build_start(config, data, categories, start)
    accelerator.wait_for_everyone()
    return start


def _build_start(config: TrainConfig, data: TrainingData, categories: list[str], start: Path) -> None:
    assert config.model.build is not None
    registry = extend_registry(CategoryRegistry(), categories)
    texts = [text for c in registry.categories for text in (c.prompts.full, c.prompts.product)]
    base, autoencoder = build_base(config.model.build, texts, seed=config.seed), None
    if config.model.autoencoder is not None:
        autoencoder = find_model(config.model.autoencoder)
        base.vae = load_vae(autoencoder / "vae", torch.float32)
        own, asked = base.vae.config.latent_channels, (base.latent_channels, config.model.build.patch)
        if (own, base.vae_scale) != asked:
            raise ConfigError(
                f"autoencoder {config.model.autoencoder} has {own} channels and patch {base.vae_scale}, "
                f"but model.build says {asked[0]} and {asked[1]}"
            )
    else:
        chosen = sorted({int(i) for i in np.linspace(0, len(data) - 1, min(FIT_IMAGES, len(data)))})
        base.vae.fit(torch.cat([to_image(data.load(i)[0]) for i in chosen]))
    shutil.rmtree(start, ignore_errors=True)
    start.mkdir(parents=True)
    save_registry(registry, start)
    save_base(base, start)
    if autoencoder is not None:
        mark_bundle(start, [autoencoder])


def extend_registry(registry: CategoryRegistry, categories: list[str]) -> CategoryRegistry:
    """A copy of ``registry`` with the ``categories`` it did not know added in their order."""
    extended = copy.deepcopy(registry)
    for name in categories:
        try:
            extended.resolve(name)
        except UnknownCategoryError:
            extended.add(name)
    return extended


def _list_texts(start: Start, categories: list[str]) -> list[str]:
    return list_prompt_texts([start.registry.resolve(name).prompts for name in categories])


def _cache_prompts(
    folder: Path, start: Start, base: BaseModel, categories: list[str], accelerator: Any
) -> PromptTable:
    texts = _list_texts(start, categories)

    def build(path: Path) -> None:
        encoder: Any = base.text_encoder.to(accelerator.device)
        chunks = [texts[i : i + 64] for i in range(0, len(texts), 64)]
        rows = [encode_prompts(base.tokenizer, encoder, chunk).float().cpu().numpy() for chunk in chunks]
        np.save(path, np.concatenate(rows))
        encoder.to("cpu")

    identity = {"text_encoder": compute_module_hash(base.text_encoder), "texts": texts}
    rows = load_or_build(folder, "prompts", identity, build, main=accelerator.is_main_process)
    return PromptTable(rows, tuple(categories))
