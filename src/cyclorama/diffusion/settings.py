"""What a sampler can be told and given. Loads neither torch nor diffusers: faults are found at once."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, NamedTuple, Self

from pydantic import Field, field_validator, model_validator

from cyclorama.config import Settings
from cyclorama.errors import CycloramaError, SettingsError

_NAMES = """
    DDIM DDIMParallel DDPM DDPMParallel DEISMultistep DPMSolverMultistep DPMSolverSinglestep
    EulerAncestralDiscrete EulerDiscrete HeunDiscrete KDPM2AncestralDiscrete KDPM2Discrete LCM
    LMSDiscrete PNDM SASolver TCD UniPCMultistep
"""
SCHEDULERS = tuple(f"{name}Scheduler" for name in _NAMES.split())
"""The classes of diffusers that sample a model of Stable Diffusion's kind (discrete timesteps; noise or
velocity). A test gives every class that diffusers exports a perfect prediction: these end at the image."""


LEAST_REUSED = 8
"""Fewest steps of which some may do with an earlier one's encoder."""


class Preset(NamedTuple):
    """How the learned models sample; what each costs and loses stands in RESULTS.md."""

    steps: int
    scheduler: str | None
    """None: the model's own."""
    guidance: float
    """With a reference."""
    encoder_every: int = 1
    """Where there are 8 steps or more."""


PRESETS = {
    "quality": Preset(50, None, 2.0),
    "balanced": Preset(25, None, 2.0),
    "fast": Preset(8, "DPMSolverMultistep", 1.0, 3),
}
GUIDANCE = 2.0
"""Guidance without a reference (method, 9)."""


class SamplingConfig(Settings):
    """How an image is sampled (method, 7 and 9).

    Raises SettingsError for a value outside its range.
    """

    error_type: ClassVar[type[CycloramaError]] = SettingsError

    num_inference_steps: Annotated[int, Field(ge=1, le=1000)] = 50
    """Denoising steps."""
    guidance_scale: Annotated[float, Field(ge=1, le=30)] = 2.0
    """Classifier-free guidance; 1 means none (and halves the work)."""
    eta: Annotated[float, Field(ge=0, le=1)] = 0.0
    """DDIM's stochasticity; schedulers without it refuse a value above 0."""
    scheduler: str | None = None
    """Class name of a suitable diffusers scheduler; None for the model's own (DDIM)."""
    reference_strength: Annotated[float, Field(ge=0)] = 1.0
    """Factor on the personality generator's residuals."""
    category_strength: Annotated[float, Field(ge=0)] = 1.0
    """Factor on the category generator's residuals."""
    encoder_every: Annotated[int, Field(ge=1, le=10)] = 1
    """Steps that one answer of the base's encoder, CG and PG serves; the first two and the last have their
    own. 1: all have. Above it 8 steps are the least."""
    initial_latent: bool = True
    """With a reference, start from its noised latent instead of pure noise (method, 7)."""

    @model_validator(mode="after")
    def _check_reuse(self) -> Self:
        if self.encoder_every > 1 and self.num_inference_steps < LEAST_REUSED:
            raise SettingsError(
                f"encoder_every is {self.encoder_every}, but {self.num_inference_steps} steps differ too "
                f"much to share an encoder's answer; take 1, or {LEAST_REUSED} steps or more"
            )
        return self

    @field_validator("scheduler")
    @classmethod
    def _check_scheduler(cls, name: str | None) -> str | None:
        if name is not None:
            find_scheduler_name(name)
        return name


def find_scheduler_name(name: str) -> str:
    """The class in SCHEDULERS called ``name``, in any case, with or without the ending ``Scheduler``.

    Raises SettingsError naming the nearest suitable ones.
    """
    by_short = {known.lower().removesuffix("scheduler"): known for known in SCHEDULERS}
    short = name.strip().lower().removesuffix("scheduler")
    if short in by_short:
        return by_short[short]
    starting = [known for known in by_short if short and known.startswith(short)]
    near = starting or difflib.get_close_matches(short, by_short, n=3, cutoff=0.4)
    hint = ", ".join(by_short[known] for known in near) or "DDIMScheduler"
    raise SettingsError(
        f"scheduler {name!r} cannot sample this kind of model (or does not exist); nearest that can: {hint}"
    )


def check_batch(
    product_image: Any,
    product_mask: Any,
    categories: Sequence[str],
    generators: Sequence[Any],
    reference_image: Any,
    reference_mask: Any,
    *,
    multiple: int,
) -> None:
    """Raise SettingsError unless all are one batch: images (B, 3, H, W), masks (B, 1, H, W), B names.

    Tensors or None; ``multiple``: H and W must be multiples of it, in pixels.
    """
    batch, _, height, width = product_image.shape
    expected = {
        "product_image": (product_image, (batch, 3, height, width)),
        "product_mask": (product_mask, (batch, 1, height, width)),
        "reference_image": (reference_image, (batch, 3, height, width)),
        "reference_mask": (reference_mask, (batch, 1, height, width)),
    }
    for name, (tensor, shape) in expected.items():
        if tensor is not None and tuple(tensor.shape) != shape:
            raise SettingsError(f"{name} has shape {tuple(tensor.shape)}, expected {shape}")
    if height % multiple or width % multiple:
        raise SettingsError(f"image size {height} x {width} must be multiples of {multiple}; pad it first")
    if len(categories) != batch or len(generators) != batch:
        raise SettingsError(
            f"{batch} images need {batch} categories and generators, "
            f"got {len(categories)} and {len(generators)}"
        )
    if reference_image is None and reference_mask is not None:
        raise SettingsError("reference_mask given without reference_image")
