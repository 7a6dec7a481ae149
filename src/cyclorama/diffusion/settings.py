"""What a sampler can be told. Loads neither torch nor diffusers, so that bad settings are refused at once."""

from __future__ import annotations

import difflib
from typing import Annotated, ClassVar

from pydantic import Field, field_validator

from cyclorama.config import Settings
from cyclorama.errors import CycloramaError, SettingsError

SCHEDULERS = (
    "DDIMScheduler",
    "DDIMParallelScheduler",
    "DDPMScheduler",
    "DDPMParallelScheduler",
    "DEISMultistepScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "HeunDiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "LCMScheduler",
    "LMSDiscreteScheduler",
    "PNDMScheduler",
    "SASolverScheduler",
    "TCDScheduler",
    "UniPCMultistepScheduler",
)
"""The classes of diffusers that sample a model of Stable Diffusion's kind (discrete timesteps; noise or
velocity). A test gives every class that diffusers exports a perfect prediction: these end at the image."""


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
    initial_latent: bool = True
    """With a reference, start from its noised latent instead of pure noise (method, 7)."""

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
    by_short = {_shorten(known): known for known in SCHEDULERS}
    short = _shorten(name)
    if short in by_short:
        return by_short[short]
    starting = [known for known in by_short if short and known.startswith(short)]
    near = starting or difflib.get_close_matches(short, by_short, n=3, cutoff=0.4)
    hint = ", ".join(by_short[known] for known in near) or "DDIMScheduler"
    raise SettingsError(
        f"scheduler {name!r} cannot sample this kind of model (or does not exist); nearest that can: {hint}"
    )


def _shorten(name: str) -> str:
    return name.strip().lower().removesuffix("scheduler")
