"""Settings of one training run; YAML in and out through :mod:`cyclorama.config`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from cyclorama.config import Settings, Share, to_plain
from cyclorama.data.augment import HintConfig, PerturbConfig
from cyclorama.data.examples import SourceConfig
from cyclorama.errors import ConfigError
from cyclorama.models.scratch import BaseShape

Count = Annotated[int, Field(ge=1)]
Above0 = Annotated[float, Field(gt=0)]
AtLeast0 = Annotated[float, Field(ge=0)]


class DataConfig(Settings):
    """Which images are trained on, and where what is computed from them once is kept."""

    source: SourceConfig
    """Shards, a manifest or a published set, and the split of it."""
    image_size: Count = 512
    """Side in pixels that images are cropped or padded and resized to."""
    fit: Literal["crop", "pad"] = "crop"
    """``crop``: short side to size, centre crop. ``pad``: long side to size, border pixels repeated."""
    limit: Count | None = None
    """Use the first ``limit`` images only."""
    flip: bool = True
    """Mirror half of the samples."""
    resident: bool = False
    """Keep all images on the accelerator (4 bytes a pixel) and make hints and perturbations there."""
    zoom: Annotated[float, Field(gt=0, le=1)] = 1.0
    """With ``resident``: least side of the part of an image that a sample shows, as a share of the whole."""
    pack: bool = True
    """Decode all images once into memory-mapped arrays (4 bytes a pixel); else decode at every step."""
    packed: Path | None = None
    """Folder of those arrays; None keeps them in the run's own folder."""
    cache: Path | None = None
    """Folder of latents and prompt embeddings; None keeps them in the run's own folder."""
    cache_batch: Count = 16
    """Images encoded at once while the cache is filled."""
    cache_dtype: Literal["float16", "float32"] = "float16"
    workers: Annotated[int, Field(ge=0)] = 1
    """Threads that prepare coming batches while one is trained on; 0 prepares them in the loop."""

    @model_validator(mode="after")
    def _check_resident(self) -> Self:
        if self.zoom < 1 and not self.resident:
            raise ConfigError(f"zoom {self.zoom:g} needs resident: true; other batches show whole images")
        if self.resident and self.cache_dtype != "float16":
            raise ConfigError(
                f"cache_dtype {self.cache_dtype} does not go with resident: true, whose latents are float16"
            )
        return self


class ModelConfig(Settings):
    """What training starts from: exactly one of ``base`` and ``build``."""

    base: str | None = None
    """Folder or hub id of a Stable Diffusion base or of a Cyclorama model."""
    build: BaseShape | None = None
    """Sizes of a base built from scratch (stages ``autoencoder`` and ``base``)."""
    autoencoder: str | None = None
    """With ``build``: model folder whose autoencoder is taken (``OUT/model`` of stage ``autoencoder``);
    None fits a new one to the training images."""
    condition_mask_channel: bool = False
    """Give new generators the product mask as fourth channel of their hint."""
    open_hint: bool = False
    """Start new generators with an open hint instead of ControlNet's zero convolution behind it; for short
    trainings. Either way an untrained generator changes nothing."""
    fresh: bool = False
    """Start the stage's generators anew even if ``base`` holds trained ones."""
    train_text_encoder: bool = False
    """Stage ``base``: train the text encoder, too (for one built from scratch); nothing in other stages."""

    @model_validator(mode="after")
    def _check_start(self) -> Self:
        if (self.base is None) == (self.build is None):
            raise ConfigError(
                "set exactly one of `base` (a folder or hub id) and `build` (sizes from scratch)"
            )
        if self.autoencoder is not None and self.build is None:
            raise ConfigError("autoencoder goes with `build`; a `base` brings its own autoencoder")
        if self.build is not None and self.autoencoder is None:
            self.build.check_autoencoder()
        return self


class OptimiserConfig(Settings):
    """AdamW and its learning rate."""

    learning_rate: Above0 = 1e-5
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.999)
    weight_decay: AtLeast0 = 1e-2
    epsilon: Above0 = 1e-8
    schedule: Literal["constant", "cosine"] = "constant"
    warm_up_steps: Annotated[int, Field(ge=0)] = 0
    """Optimiser steps over which the rate rises linearly from 0."""
    final_fraction: Share = 0.0
    """Cosine: the rate at the last step as a fraction of ``learning_rate``."""
    max_grad_norm: Above0 = 1.0
    """Gradients are scaled down to this norm."""


class ValidationConfig(Settings):
    """Images sampled while training, to look at."""

    every_steps: Count | None = 1000
    """Optimiser steps between two validation sheets; None for none."""
    images: Count = 8
    num_inference_steps: Count = 25
    guidance_scale: Annotated[float, Field(ge=1, le=30)] = 2.0
    split: str | None = None
    """Split of ``data.source`` that the shown products come from; None shows images trained on."""


class CheckpointConfig(Settings):
    """When the run's state is written."""

    every_minutes: Above0 | None = 15.0
    every_steps: Count | None = None
    keep: Count = 2
    """Newest checkpoints that are kept."""


class DiscriminatorConfig(Settings):
    """A patch discriminator beside the decoder, for crisp images where absolute error alone blurs."""

    adversarial: Above0 = 0.05
    """Weight of the adversarial loss beside the absolute error of pixels and edges."""
    feature_matching: AtLeast0 = 0.1
    """Weight of the squared distance of the discriminator's own maps."""
    widths: Annotated[tuple[Count, ...], Field(min_length=1)] = (32, 64, 128)
    """Channels of its layers; each halves the sides."""
    rate: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Its learning rate as a share of the decoder's."""


class TrainConfig(Settings):
    """One stage of training. Defaults are the paper's (arXiv 2312.13309, 5.1) where it states them."""

    data: DataConfig
    model: ModelConfig
    optimiser: OptimiserConfig = OptimiserConfig()
    batch_size: Count = 128
    """Images per optimiser step, over all processes and accumulation steps together."""
    gradient_accumulation: Count = 1
    """Parts in which each process works through its share of a batch."""
    steps: Count | None = None
    """Optimiser steps; exactly one of ``steps`` and ``epochs``."""
    epochs: Above0 | None = None
    """Passes over the data."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    gradient_checkpointing: bool = False
    channels_last: bool = False
    compile: bool = False
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Decay of the moving average of the weights that is exported; None exports the weights themselves."""
    prompt_dropout: Share = 0.5
    """Chance that all prompts of a sample are empty."""
    prompt: Literal["full", "product"] = "full"
    """Stage ``base`` and the baselines: what the base is told; ``product`` leaves the category's identifier
    out, for a base that does not know what advertisements of a category look like."""
    min_snr_gamma: Above0 | None = None
    """Weigh timesteps by min-SNR-gamma (arXiv 2303.09556); None weighs them alike, as the paper does."""
    latent_jitter: AtLeast0 = 0.05
    """Stage ``autoencoder``: standard deviation of the noise on the latents the decoder learns from."""
    crop: Count | None = None
    """Stage ``autoencoder``: side in pixels of the random part of an image that each sample shows; a multiple
    of the autoencoder's patch."""
    perceptual: AtLeast0 = 0.0
    """Stage ``autoencoder``: weight of the distance of EfficientNet-Lite0's features."""
    discriminator: DiscriminatorConfig | None = None
    """Stage ``autoencoder``: judge decoded images also by a discriminator that learns with it."""
    perturb: PerturbConfig = PerturbConfig()
    """Stages ``personality`` and ``joint``: how the reference background is perturbed (Eq. 5, 6)."""
    augment: HintConfig | None = None
    """Stages ``category`` and ``joint``: treat the hint like a photo of unknown care (not in the paper)."""
    method: dict[str, Any] | None = None
    """Settings of a stage from another room, checked by that stage itself."""
    validation: ValidationConfig = ValidationConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    log_every_steps: Count = 20
    """Optimiser steps between two rows of metrics.jsonl and TensorBoard."""
    seed: int = 0

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        if self.batch_size % self.gradient_accumulation:
            raise ConfigError(
                f"gradient_accumulation {self.gradient_accumulation} must divide batch_size {self.batch_size}"
            )
        if (self.steps is None) == (self.epochs is None):
            raise ConfigError(f"set exactly one of steps and epochs, got {self.steps} and {self.epochs}")
        if self.data.resident and self.perturb.shape != "elliptical":
            raise ConfigError(
                f"perturb.shape {self.perturb.shape} does not go with data.resident, which dilates by discs"
            )
        self.check_crop(self.model.build.patch if self.model.build is not None else 1)
        return self

    def check_crop(self, patch: int) -> None:
        """Raise ConfigError for a ``crop`` that no image holds, or no autoencoder of ``patch`` pixels."""
        if self.crop is None:
            return
        size = self.data.image_size
        if self.crop > size:
            raise ConfigError(f"crop {self.crop} is larger than data.image_size {size}; give at most {size}")
        if self.crop % patch:
            raise ConfigError(
                f"crop {self.crop} is no multiple of the autoencoder's patch of {patch} pixels; give one, at "
                f"most data.image_size {size}"
            )

    def compute_steps(self, count: int) -> int:
        """Optimiser steps of the whole run over ``count`` images."""
        return self.steps or max(1, round((self.epochs or 0) * count / self.batch_size))


FREE_KEYS = (
    "steps", "epochs", "gradient_checkpointing", "compile", "validation", "checkpoint", "log_every_steps",
    "data.workers", "data.pack", "data.packed", "data.cache", "data.cache_batch",
)  # fmt: skip
"""Settings that a resumed run may change: none of them alters what a sample is or what it teaches."""


def list_differences(saved: dict[str, Any], config: TrainConfig) -> list[str]:
    """``key: old -> new`` for every setting that a resumed run must not change but does."""
    new, old = _flatten(to_plain(config)), _flatten(saved)
    return [
        f"{key}: {old.get(key)!r} -> {new.get(key)!r}"
        for key in sorted(set(old) | set(new))
        if old.get(key) != new.get(key) and not f"{key}.".startswith(tuple(f"{free}." for free in FREE_KEYS))
    ]


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            flat.update(_flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
