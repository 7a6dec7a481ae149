"""What a generation run can be told, checked before anything expensive starts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cyclorama.errors import SettingsError
from cyclorama.types import Size

if TYPE_CHECKING:
    from cyclorama.diffusion.sampling import SamplingConfig

MAX_STEPS = 1000
MAX_GUIDANCE = 30.0
MAX_CANDIDATES = 64
MAX_BATCH = 256
MIN_SIDE = 64
MAX_SIDE = 8192


@dataclass(frozen=True)
class GenerateConfig:
    """Settings of a run; every picture's file and manifest row carries them.

    Raises SettingsError for a value outside its range, naming the value and the range.
    """

    num_inference_steps: int = 50
    """Denoising steps, 1–1000."""
    guidance_scale: float = 2.0
    """Classifier-free guidance, 1–30; 1 means none and halves the work."""
    eta: float = 0.0
    """DDIM's η in [0, 1]; 0 draws no noise after the start."""
    scheduler: str | None = None
    """Class name of any diffusers scheduler; None takes the model's own (DDIM)."""
    reference_strength: float = 1.0
    """Factor on the personality generator's residuals, 0 or more."""
    category_strength: float = 1.0
    """Factor on the category generator's residuals, 0 or more."""
    initial_latent: bool = True
    """With a reference, start from the noised reference instead of plain noise (method, 7)."""
    size: Size | None = None
    """(height, width) of the pictures in pixels; None keeps each input's own size."""
    candidates: int = 1
    """Pictures per input, each from a seed of its own, 1–64."""
    batch_size: int | None = None
    """Pictures sampled together; None means 1 on a CPU and 8 on an accelerator."""

    def __post_init__(self) -> None:
        _check_integer("steps", self.num_inference_steps, 1, MAX_STEPS)
        _check_integer("candidates", self.candidates, 1, MAX_CANDIDATES)
        if self.batch_size is not None:
            _check_integer("batch size", self.batch_size, 1, MAX_BATCH)
        _check_number("guidance", self.guidance_scale, 1.0, MAX_GUIDANCE)
        _check_number("eta", self.eta, 0.0, 1.0)
        _check_number("reference strength", self.reference_strength, 0.0, math.inf)
        _check_number("category strength", self.category_strength, 0.0, math.inf)
        if self.size is not None:
            _check_integer("size (height)", self.size[0], MIN_SIDE, MAX_SIDE)
            _check_integer("size (width)", self.size[1], MIN_SIDE, MAX_SIDE)

    def build_sampling(self) -> SamplingConfig:
        """The sampler's part of these settings. Raises SettingsError (unknown scheduler)."""
        from cyclorama.diffusion.sampling import SamplingConfig

        return SamplingConfig(
            num_inference_steps=self.num_inference_steps,
            guidance_scale=self.guidance_scale,
            eta=self.eta,
            scheduler=self.scheduler,
            reference_strength=self.reference_strength,
            category_strength=self.category_strength,
            initial_latent=self.initial_latent,
        )

    def describe(self) -> dict[str, Any]:
        """The settings that change a picture, as plain values; batch size and number of candidates do not."""
        return {
            "steps": self.num_inference_steps,
            "guidance": self.guidance_scale,
            "eta": self.eta,
            "scheduler": self.scheduler,
            "reference_strength": self.reference_strength,
            "category_strength": self.category_strength,
            "initial_latent": self.initial_latent,
            "size": "source" if self.size is None else f"{self.size[1]}x{self.size[0]}",
        }


def parse_size(text: str) -> Size | None:
    """(height, width) of ``"WxH"``; None for ``"source"``.

    >>> parse_size("640x480")
    (480, 640)

    Raises SettingsError for anything else.
    """
    if text.strip().lower() == "source":
        return None
    width, separator, height = text.lower().partition("x")
    if not (separator and width.strip().isdecimal() and height.strip().isdecimal()):
        raise SettingsError(
            f"size {text!r} is not understood: give 'source' or WIDTHxHEIGHT in pixels, such as 1024x768"
        )
    return (int(height), int(width))


def _check_integer(name: str, value: Any, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise SettingsError(f"{name} must be a whole number from {low} to {high}, got {value!r}")


def _check_number(name: str, value: Any, low: float, high: float) -> None:
    usable = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not (usable and low <= value <= high):
        limit = f"{low:g} or more" if high == math.inf else f"from {low:g} to {high:g}"
        raise SettingsError(f"{name} must be {limit}, got {value!r}")
