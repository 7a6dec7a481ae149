"""The ranges of what a sampler can be told: one source for everything that takes such settings."""

from __future__ import annotations

import math
from typing import Any

from cyclorama.errors import SettingsError

MAX_STEPS = 1000
MAX_GUIDANCE = 30.0


def check_integer(name: str, value: Any, low: int, high: int) -> None:
    """Raise SettingsError unless ``value`` is a whole number from ``low`` to ``high``."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise SettingsError(f"{name} must be {low} to {high}, got {value!r}")


def check_number(name: str, value: Any, low: float, high: float = math.inf, remark: str = "") -> None:
    """Raise SettingsError unless ``value`` is a finite number from ``low`` to ``high``.

    ``remark`` says what the lowest value stands for.
    """
    usable = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not (usable and low <= value <= high):
        least = f"{low:g} ({remark})" if remark else f"{low:g}"
        limit = f"{least} or more" if high == math.inf else f"{least} to {high:g}"
        raise SettingsError(f"{name} must be {limit}, got {value!r}")


def check_sampling(
    num_inference_steps: int,
    guidance_scale: float,
    eta: float,
    reference_strength: float,
    category_strength: float,
) -> None:
    """Raise SettingsError for the first setting of a sampler that lies outside its range, with both."""
    check_integer("steps", num_inference_steps, 1, MAX_STEPS)
    check_number("guidance", guidance_scale, 1.0, MAX_GUIDANCE, "none")
    check_number("eta", eta, 0.0, 1.0)
    check_number("reference_strength", reference_strength, 0.0)
    check_number("category_strength", category_strength, 0.0)
