"""What each stage trains, on what, and what it asks of its batches.

A stage is one ``nn.Module`` whose ``forward`` maps a batch to its loss, so that one wrapper (mixed
precision, several processes) serves them all. Parameters that are not the stage's own are frozen.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from cyclorama.diffusion.objective import compute_loss
from cyclorama.errors import ConfigError
from cyclorama.models.discriminator import (
    PatchDiscriminator,
    compute_discriminator_loss,
    compute_generator_loss,
)
from cyclorama.models.generators import (
    CategoryGenerator,
    PersonalityGenerator,
    Residuals,
    build_condition_image,
    predict_noise,
)
from cyclorama.models.registry import CategoryRegistry
from cyclorama.training.batch import Batch, BatchNeeds
from cyclorama.training.config import StageName, TrainConfig


@dataclass
class Networks:
    """The networks at hand; a stage takes those it needs and marks which of them move."""

    unet: Any
    scheduler: Any
    vae: Any = None
    text_encoder: Any = None
    category_generator: CategoryGenerator | None = None
    personality_generator: PersonalityGenerator | None = None


class Stage(nn.Module):
    """One stage of training."""

    name: StageName
    needs: BatchNeeds

    def __init__(
        self,
        config: TrainConfig,
        trained: Mapping[str, nn.Module],
        frozen: Mapping[str, nn.Module],
    ) -> None:
        super().__init__()
        self.config = config
        self.trained = nn.ModuleDict(dict(trained))
        self.frozen = nn.ModuleDict(dict(frozen))
        self.frozen.requires_grad_(False).eval()
        self.trained.requires_grad_(True).train()

    def train(self, mode: bool = True) -> Stage:
        """Training mode for the stage's own networks; frozen ones stay in evaluation mode."""
        super().train(mode)
        self.frozen.eval()
        return self

    def trainable_parameters(self) -> dict[str, nn.Parameter]:
        """The stage's own parameters by name; all others are frozen."""
        return {name: p for name, p in self.trained.named_parameters() if p.requires_grad}

    @abstractmethod
    def compute_loss(self, batch: Batch) -> Tensor:
        """The loss () of ``batch``."""

    def forward(self, batch: Batch) -> Tensor:
        """The same as :meth:`compute_loss`; the call that several processes share gradients through."""
        return self.compute_loss(batch)


class DiffusionStage(Stage):
    """A stage that learns to predict noise (Eq. 1)."""

    def __init__(
        self,
        config: TrainConfig,
        scheduler: Any,
        trained: Mapping[str, nn.Module],
        frozen: Mapping[str, nn.Module],
    ) -> None:
        super().__init__(config, trained, frozen)
        self.register_buffer("alphas_cumprod", scheduler.alphas_cumprod.clone(), persistent=False)
        self.prediction_type = scheduler.config.prediction_type
        if config.gradient_checkpointing:
            networks: list[Any] = [*trained.values(), *frozen.values()]
            for network in networks:
                network.enable_gradient_checkpointing()

    @abstractmethod
    def predict(self, noisy_latents: Tensor, timesteps: Tensor, batch: Batch) -> Tensor:
        """The prediction (B, c, h, w) for noisy latents under the batch's conditions."""

    def compute_loss(self, batch: Batch) -> Tensor:
        """Eq. 1 over the whole latent."""
        alphas_cumprod = self.alphas_cumprod
        assert isinstance(alphas_cumprod, Tensor)
        return compute_loss(
            lambda noisy_latents, timesteps: self.predict(noisy_latents, timesteps, batch),
            batch.latents,
            batch.noise,
            batch.timesteps,
            alphas_cumprod,
            self.prediction_type,
            self.config.min_snr_gamma,
        )


class BaseStage(DiffusionStage):
    """Trains the base's UNet (and, built from scratch, its text encoder) on the full prompt."""

    name = "base"
    needs = BatchNeeds(prompts=True)

    def __init__(self, config: TrainConfig, networks: Networks) -> None:
        trained = {"unet": networks.unet}
        if config.model.train_text_encoder:
            trained["text_encoder"] = networks.text_encoder
        super().__init__(config, networks.scheduler, trained, {})

    def predict(self, noisy_latents: Tensor, timesteps: Tensor, batch: Batch) -> Tensor:
        """The base's prediction."""
        assert batch.full_prompt is not None
        prompt = batch.full_prompt
        if "text_encoder" in self.trained:
            ids, rows = torch.unique(prompt, dim=0, return_inverse=True)
            prompt = self.trained["text_encoder"](ids)[0][rows]
        unet: Any = self.trained["unet"]
        return predict_noise(unet, noisy_latents, timesteps, prompt)


class GeneratorStage(DiffusionStage):
    """A stage with the category generator, the personality generator or both on the frozen base."""

    def predict(self, noisy_latents: Tensor, timesteps: Tensor, batch: Batch) -> Tensor:
        """The base's prediction with the generators' residuals (Eq. 2)."""
        assert batch.full_prompt is not None
        residuals = self.predict_residuals(noisy_latents, timesteps, batch)
        unet: Any = self.frozen["unet"]
        return predict_noise(unet, noisy_latents, timesteps, batch.full_prompt, residuals)

    @abstractmethod
    def predict_residuals(self, noisy_latents: Tensor, timesteps: Tensor, batch: Batch) -> Residuals:
        """What the stage's generators add to the base."""


def predict_category(generator: Any, noisy_latents: Tensor, timesteps: Tensor, batch: Batch) -> Residuals:
    """CG's residuals: product on black as hint, product and background prompt (Eq. 3)."""
    assert batch.hint_image is not None and batch.hint_mask is not None
    condition = build_condition_image(batch.hint_image, batch.hint_mask, generator.with_mask)
    hint = generator.encode_hint(condition)
    residuals: Residuals = generator.predict_residuals(
        noisy_latents,
        timesteps,
        batch.product_prompt,
        batch.background_prompt,
        hint,
        batch.hint_mask,
    )
    return residuals


def predict_personality(generator: Any, noisy_latents: Tensor, timesteps: Tensor, batch: Batch) -> Residuals:
    """PG's residuals: the perturbed background as hint (Eq. 5, 6), zero on the product (Eq. 4)."""
    assert batch.reference is not None and batch.reference_mask is not None
    condition = build_condition_image(batch.reference, 1 - batch.reference_mask, generator.with_mask)
    hint = generator.encode_hint(condition)
    residuals: Residuals = generator.predict_residuals(
        noisy_latents, timesteps, batch.full_prompt, hint, batch.product_mask
    )
    return residuals


class CategoryStage(GeneratorStage):
    """Trains the category generator alone."""

    name = "category"
    needs = BatchNeeds(prompts=True, product=True, hint=True)

    def __init__(self, config: TrainConfig, networks: Networks) -> None:
        assert networks.category_generator is not None
        trained = {"category_generator": networks.category_generator}
        super().__init__(config, networks.scheduler, trained, {"unet": networks.unet})

    def predict_residuals(self, noisy_latents: Tensor, timesteps: Tensor, batch: Batch) -> Residuals:
        """CG's."""
        return predict_category(self.trained["category_generator"], noisy_latents, timesteps, batch)


class PersonalityStage(GeneratorStage):
    """Trains the personality generator with the category generator frozen and at work."""

    name = "personality"
    needs = BatchNeeds(prompts=True, product=True, reference=True)

    def __init__(self, config: TrainConfig, networks: Networks) -> None:
        assert networks.category_generator is not None and networks.personality_generator is not None
        trained = {"personality_generator": networks.personality_generator}
        frozen = {
            "unet": networks.unet,
            "category_generator": networks.category_generator,
        }
        super().__init__(config, networks.scheduler, trained, frozen)

    def predict_residuals(self, noisy_latents: Tensor, timesteps: Tensor, batch: Batch) -> Residuals:
        """CG's, without gradient, plus PG's."""
        with torch.no_grad():
            category = predict_category(self.frozen["category_generator"], noisy_latents, timesteps, batch)
        own = predict_personality(self.trained["personality_generator"], noisy_latents, timesteps, batch)
        return category + own


class JointStage(GeneratorStage):
    """Trains both generators together."""

    name = "joint"
    needs = BatchNeeds(prompts=True, product=True, hint=True, reference=True)

    def __init__(self, config: TrainConfig, networks: Networks) -> None:
        assert networks.category_generator is not None and networks.personality_generator is not None
        trained = {
            "category_generator": networks.category_generator,
            "personality_generator": networks.personality_generator,
        }
        super().__init__(config, networks.scheduler, trained, {"unet": networks.unet})

    def predict_residuals(self, noisy_latents: Tensor, timesteps: Tensor, batch: Batch) -> Residuals:
        """CG's plus PG's."""
        category = predict_category(self.trained["category_generator"], noisy_latents, timesteps, batch)
        own = predict_personality(self.trained["personality_generator"], noisy_latents, timesteps, batch)
        return category + own


class AutoencoderStage(Stage):
    """Trains the refiner of :class:`~cyclorama.models.autoencoder.PatchAutoencoder`'s decoder.

    L1 on pixels plus L1 on their differences to the right and downwards (edges). Latents are jittered, so
    that the decoder forgives what a sampler leaves imperfect.
    """

    name = "autoencoder"
    needs = BatchNeeds(prompts=False, product=True)

    def __init__(self, config: TrainConfig, networks: Networks) -> None:
        trained = {"vae": networks.vae}
        if config.discriminator is not None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(config.seed)
                trained["discriminator"] = PatchDiscriminator(
                    config.discriminator.widths, config.discriminator.rate
                )
        super().__init__(config, trained, {})
        own = {id(p) for p in networks.vae.decoder_parameters()}
        for parameter in networks.vae.parameters():
            parameter.requires_grad_(id(parameter) in own)

    def compute_loss(self, batch: Batch) -> Tensor:
        """L1 + image-gradient loss of the decoded image; with a discriminator, both sides' losses too."""
        assert batch.image is not None
        vae: Any = self.trained["vae"]
        latents = batch.latents + self.config.latent_jitter * batch.noise
        decoded = vae.decode(latents / vae.config.scaling_factor).sample.float()
        loss = compute_reconstruction_loss(decoded, batch.image)
        settings = self.config.discriminator
        if settings is None:
            return loss
        discriminator = self.trained["discriminator"]
        loss = loss + compute_generator_loss(
            discriminator, decoded, batch.image, settings.adversarial, settings.feature_matching
        )
        everywhere = torch.ones_like(decoded[:, :1])
        return loss + compute_discriminator_loss(discriminator, decoded, batch.image, everywhere, r1=0.0)


def compute_reconstruction_loss(decoded: Tensor, image: Tensor) -> Tensor:
    """Mean absolute error of pixels plus that of horizontal and vertical differences, both (B, 3, H, W)."""
    error = decoded - image
    across = (error[..., :, 1:] - error[..., :, :-1]).abs().mean()
    down = (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    return error.abs().mean() + across + down


class Method(Protocol):
    """What another room adds to the loop: networks of its own, their loss, their model folder."""

    @property
    def name(self) -> StageName:
        """The stage's name."""

    @property
    def needs_reference(self) -> bool:
        """Whether batches hold a perturbed reference."""

    def build_networks(
        self, start: Path, base: Any, config: Any
    ) -> tuple[dict[str, nn.Module], dict[str, nn.Module]]:
        """(trained, frozen) by name, from the model folder ``start``, whose base is loaded."""

    def compute_loss(
        self, trained: Mapping[str, Any], frozen: Mapping[str, Any], batch: Any, config: Any
    ) -> Tensor:
        """The loss () of ``batch``."""

    def save_model(
        self,
        trained: Mapping[str, Any],
        frozen: Mapping[str, Any],
        start: Path,
        registry: CategoryRegistry,
        folder: Path,
    ) -> None:
        """Write the finished model into ``folder``."""

    def build_pipeline(
        self,
        trained: Mapping[str, Any],
        frozen: Mapping[str, Any],
        start: Path,
        registry: CategoryRegistry,
        config: Any,
    ) -> Any:
        """What samples images with the networks as they are, called like CycloramaPipeline."""


class MethodStage(Stage):
    """Trains a registered method's networks."""

    def __init__(
        self,
        method: Method,
        config: TrainConfig,
        trained: Mapping[str, nn.Module],
        frozen: Mapping[str, nn.Module],
    ) -> None:
        super().__init__(config, trained, frozen)
        self.method = method
        self.name = method.name
        self.needs = find_needs(method.name)

    def compute_loss(self, batch: Batch) -> Tensor:
        """The method's."""
        return self.method.compute_loss(_view(self.trained), _view(self.frozen), batch, self.config)


def _view(networks: nn.ModuleDict) -> dict[str, nn.Module]:
    return dict(networks.items())


STAGE_CLASSES: dict[StageName, Any] = {
    "autoencoder": AutoencoderStage,
    "base": BaseStage,
    "category": CategoryStage,
    "personality": PersonalityStage,
    "joint": JointStage,
}


METHODS: dict[str, Method] = {}


def register_method(method: Method) -> None:
    """Make ``method`` a stage; a later one of the same name takes its place."""
    METHODS[method.name] = method


def find_needs(name: StageName) -> BatchNeeds:
    """What stage ``name`` asks of its batches. Raises ConfigError for a method that is not registered."""
    if name in STAGE_CLASSES:
        needs: BatchNeeds = STAGE_CLASSES[name].needs
        return needs
    if name not in METHODS:
        known = ", ".join([*STAGE_CLASSES, *METHODS])
        raise ConfigError(f"stage {name!r} is not registered (register_method); known here: {known}")
    return BatchNeeds(product=True, hint=True, reference=METHODS[name].needs_reference)


def build_stage(name: StageName, config: TrainConfig, networks: Networks) -> Stage:
    """The stage called ``name`` on ``networks``."""
    stage: Stage = STAGE_CLASSES[name](config, networks)
    return stage
