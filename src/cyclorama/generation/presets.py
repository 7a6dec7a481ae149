"""How are speed and quality traded?  Named choices of sampler and steps."""

from __future__ import annotations

from dataclasses import dataclass

from cyclorama.errors import SettingsError


@dataclass(frozen=True)
class Preset:
    """A sampler and its number of steps; what each costs and loses stands in RESULTS.md."""

    num_inference_steps: int
    scheduler: str | None = None
    """Class name of a diffusers scheduler; None takes the model's own (DDIM)."""


PRESETS = {
    "quality": Preset(50),
    "balanced": Preset(25),
    "fast": Preset(10, "DPMSolverMultistep"),
}
"""By name; ``quality`` is the paper's sampler."""


def choose_sampler(preset: str, steps: int | None = None, scheduler: str | None = None) -> Preset:
    """The preset called ``preset``, with ``steps`` and ``scheduler`` in place of its own where given.

    Raises SettingsError (unknown preset).
    """
    if preset not in PRESETS:
        raise SettingsError(f"unknown preset {preset!r}; there are {', '.join(PRESETS)}")
    own = PRESETS[preset]
    return Preset(
        own.num_inference_steps if steps is None else steps,
        own.scheduler if scheduler is None else scheduler,
    )
