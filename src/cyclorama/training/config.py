"""Settings of one training run; YAML in and out through :mod:`cyclorama.config`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from cyclorama.config import to_plain
from cyclorama.data.augment import HintConfig
from cyclorama.data.perturb import PerturbConfig
from cyclorama.data.sources import SourceConfig
from cyclorama.errors import ConfigError
from cyclorama.models.tiny import BaseShape

StageName = Literal[
    "autoencoder",
    "base",
    "category",
    "personality",
    "joint",
    "inpaint",
    "controlnet",
    "paint-by-example",
    "lama",
]
STAGES: tuple[StageName, ...] = (
    "autoencoder",
    "base",
    "category",
    "personality",
    "joint",
    "inpaint",
    "controlnet",
    "paint-by-example",
    "lama",
)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


@dataclass(frozen=True)
class DataConfig:
    """Which images are trained on, and where what is computed from them once is kept."""

    source: SourceConfig
    """Shards, a manifest or a published set, and the split of it."""
    image_size: int = 512
    """Side in pixels that images are cropped or padded and resized to."""
    fit: Literal["crop", "pad"] = "crop"
    """``crop``: short side to size, centre crop. ``pad``: long side to size, border pixels repeated."""
    limit: int | None = None
    """Use the first ``limit`` images only."""
    flip: bool = True
    """Mirror half of the samples."""
    pack: bool = True
    """Decode all images once into memory-mapped arrays (4 bytes a pixel); else decode at every step."""
    packed: Path | None = None
    """Folder of those arrays; None keeps them in the run's own folder."""
    cache: Path | None = None
    """Folder of latents and prompt embeddings; None keeps them in the run's own folder."""
    cache_batch: int = 16
    """Images encoded at once while the cache is filled."""
    cache_dtype: Literal["float16", "float32"] = "float16"
    workers: int = 1
    """Threads that prepare coming batches while one is trained on; 0 prepares them in the loop."""

    def __post_init__(self) -> None:
        _require(self.workers >= 0, f"data.workers must be 0 or more, got {self.workers}")
        _require(
            self.cache_batch > 0,
            f"data.cache_batch must be 1 or more, got {self.cache_batch}",
        )
        _require(
            self.limit is None or self.limit > 0,
            f"data.limit must be 1 or more, got {self.limit}",
        )
        _require(
            self.image_size > 0,
            f"data.image_size must be above 0, got {self.image_size}",
        )


@dataclass(frozen=True)
class ModelConfig:
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
    """Stage ``base``: train the text encoder, too (for one built from scratch)."""

    def __post_init__(self) -> None:
        _require(
            (self.base is None) != (self.build is None),
            "model: set exactly one of `base` (a folder or hub id) and `build` (sizes from scratch)",
        )
        _require(
            self.autoencoder is None or self.build is not None,
            "model.autoencoder goes with `build`; a `base` brings its own autoencoder",
        )


@dataclass(frozen=True)
class OptimiserConfig:
    """AdamW and its learning rate."""

    learning_rate: float = 1e-5
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 1e-2
    epsilon: float = 1e-8
    schedule: Literal["constant", "cosine"] = "constant"
    warm_up_steps: int = 0
    """Optimiser steps over which the rate rises linearly from 0."""
    final_fraction: float = 0.0
    """Cosine: the rate at the last step as a fraction of ``learning_rate``."""
    max_grad_norm: float = 1.0
    """Gradients are scaled down to this norm."""

    def __post_init__(self) -> None:
        _require(
            self.learning_rate > 0,
            f"optimiser.learning_rate must be above 0, got {self.learning_rate}",
        )
        _require(
            all(0 <= beta < 1 for beta in self.betas),
            f"optimiser.betas must be in [0, 1), got {self.betas}",
        )
        _require(
            self.weight_decay >= 0,
            f"optimiser.weight_decay must be 0 or more, got {self.weight_decay}",
        )
        _require(
            self.warm_up_steps >= 0,
            f"optimiser.warm_up_steps must be 0 or more, got {self.warm_up_steps}",
        )
        _require(
            0 <= self.final_fraction <= 1,
            f"optimiser.final_fraction must be in [0, 1], got {self.final_fraction}",
        )
        _require(
            self.max_grad_norm > 0,
            f"optimiser.max_grad_norm must be above 0, got {self.max_grad_norm}",
        )


@dataclass(frozen=True)
class ValidationConfig:
    """Images sampled while training, to look at."""

    every_steps: int | None = 1000
    """Optimiser steps between two validation sheets; None for none."""
    images: int = 8
    num_inference_steps: int = 25
    guidance_scale: float = 2.0
    split: str | None = None
    """Split of ``data.source`` that the shown products come from; None shows images trained on."""

    def __post_init__(self) -> None:
        _require(
            self.every_steps is None or self.every_steps > 0,
            f"validation.every_steps must be 1 or more, got {self.every_steps}",
        )
        _require(
            self.images > 0,
            f"validation.images must be 1 or more, got {self.images}",
        )
        _require(
            self.num_inference_steps > 0,
            f"validation.num_inference_steps must be 1 or more, got {self.num_inference_steps}",
        )


@dataclass(frozen=True)
class CheckpointConfig:
    """When the run's state is written."""

    every_minutes: float | None = 15.0
    every_steps: int | None = None
    keep: int = 2
    """Newest checkpoints that are kept."""

    def __post_init__(self) -> None:
        _require(
            self.every_minutes is None or self.every_minutes > 0,
            f"checkpoint.every_minutes must be above 0, got {self.every_minutes}",
        )
        _require(
            self.every_steps is None or self.every_steps > 0,
            f"checkpoint.every_steps must be 1 or more, got {self.every_steps}",
        )
        _require(self.keep > 0, f"checkpoint.keep must be 1 or more, got {self.keep}")


@dataclass(frozen=True)
class DiscriminatorConfig:
    """A patch discriminator beside the decoder, for crisp images where absolute error alone blurs."""

    adversarial: float = 0.05
    """Weight of the adversarial loss beside the absolute error of pixels and edges."""
    feature_matching: float = 0.1
    """Weight of the squared distance of the discriminator's own maps."""
    widths: tuple[int, ...] = (32, 64, 128)
    """Channels of its layers; each halves the sides."""
    rate: float = 1.0
    """Its learning rate as a share of the decoder's."""

    def __post_init__(self) -> None:
        _require(
            self.adversarial > 0 and self.feature_matching >= 0,
            f"discriminator: adversarial must be above 0 and feature_matching 0 or more, got "
            f"{self.adversarial} and {self.feature_matching}; leave the section out to train without",
        )
        _require(0 < self.rate <= 1, f"discriminator.rate must be above 0 and at most 1, got {self.rate}")
        _require(
            bool(self.widths) and min(self.widths) > 0,
            f"discriminator.widths must name 1 or more channels per layer, got {self.widths}",
        )


@dataclass(frozen=True)
class TrainConfig:
    """One stage of training. Defaults are the paper's (arXiv 2312.13309, 5.1) where it states them."""

    data: DataConfig
    model: ModelConfig
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    batch_size: int = 128
    """Images per optimiser step, over all processes and accumulation steps together."""
    gradient_accumulation: int = 1
    """Parts in which each process works through its share of a batch."""
    steps: int | None = None
    """Optimiser steps; exactly one of ``steps`` and ``epochs``."""
    epochs: float | None = None
    """Passes over the data."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    gradient_checkpointing: bool = False
    channels_last: bool = False
    compile: bool = False
    ema_decay: float | None = None
    """Decay of the moving average of the weights that is exported; None exports the weights themselves."""
    prompt_dropout: float = 0.5
    """Chance that all prompts of a sample are empty."""
    min_snr_gamma: float | None = None
    """Weigh timesteps by min-SNR-gamma (arXiv 2303.09556); None weighs them alike, as the paper does."""
    latent_jitter: float = 0.05
    """Stage ``autoencoder``: standard deviation of the noise on the latents the decoder learns from."""
    discriminator: DiscriminatorConfig | None = None
    """Stage ``autoencoder``: judge decoded images also by a discriminator that learns with it."""
    perturb: PerturbConfig = field(default_factory=PerturbConfig)
    """Stages ``personality`` and ``joint``: how the reference background is perturbed (Eq. 5, 6)."""
    augment: HintConfig | None = None
    """Stages ``category`` and ``joint``: treat the hint like a photo of unknown care (not in the paper)."""
    method: dict[str, Any] | None = None
    """Settings of a registered method's own, checked by the method itself."""
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    log_every_steps: int = 20
    """Optimiser steps between two rows of metrics.jsonl and TensorBoard."""
    seed: int = 0

    def __post_init__(self) -> None:
        _require(self.batch_size > 0, f"batch_size must be 1 or more, got {self.batch_size}")
        _require(
            self.gradient_accumulation > 0 and self.batch_size % self.gradient_accumulation == 0,
            f"gradient_accumulation {self.gradient_accumulation} must divide batch_size {self.batch_size}",
        )
        _require(
            (self.steps is None) != (self.epochs is None),
            f"set exactly one of steps and epochs, got {self.steps} and {self.epochs}",
        )
        _require(
            self.steps is None or self.steps > 0,
            f"steps must be 1 or more, got {self.steps}",
        )
        _require(
            self.epochs is None or self.epochs > 0,
            f"epochs must be above 0, got {self.epochs}",
        )
        _require(
            self.ema_decay is None or 0 < self.ema_decay < 1,
            f"ema_decay must be between 0 and 1, got {self.ema_decay}",
        )
        _require(
            0 <= self.prompt_dropout <= 1,
            f"prompt_dropout must be in [0, 1], got {self.prompt_dropout}",
        )
        _require(
            self.min_snr_gamma is None or self.min_snr_gamma > 0,
            f"min_snr_gamma must be above 0, got {self.min_snr_gamma}",
        )
        _require(
            self.latent_jitter >= 0,
            f"latent_jitter must be 0 or more, got {self.latent_jitter}",
        )
        _require(
            self.log_every_steps > 0,
            f"log_every_steps must be 1 or more, got {self.log_every_steps}",
        )

    def compute_steps(self, count: int) -> int:
        """Optimiser steps of the whole run over ``count`` images."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return max(1, round(self.epochs * count / self.batch_size))


FREE_KEYS = frozenset(
    {
        "steps",
        "epochs",
        "gradient_checkpointing",
        "compile",
        "validation",
        "checkpoint",
        "log_every_steps",
        "data.workers",
        "data.pack",
        "data.packed",
        "data.cache",
        "data.cache_batch",
    }
)
"""Settings that a resumed run may change: none of them alters what a sample is or what it teaches."""


def list_differences(saved: dict[str, Any], config: TrainConfig) -> list[str]:
    """``key: old -> new`` for every setting that a resumed run must not change but does."""
    new = _flatten(to_plain(config))
    old = _flatten(saved)
    return [
        f"{key}: {old.get(key)!r} -> {new.get(key)!r}"
        for key in sorted(set(old) | set(new))
        if old.get(key) != new.get(key) and not _is_free(key)
    ]


def _is_free(key: str) -> bool:
    return any(key == free or key.startswith(free + ".") for free in FREE_KEYS)


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            flat.update(_flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
