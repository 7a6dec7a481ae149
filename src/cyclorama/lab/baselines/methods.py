"""Which baselines have a small version that the training loop can make."""

from __future__ import annotations

from typing import Any

METHOD_NAMES = ("inpaint", "controlnet", "paint-by-example", "lama")
"""Stages of `cyclorama train`; Blended Diffusion trains nothing."""


def build_methods() -> tuple[Any, ...]:
    """One object per name in METHOD_NAMES, as ``cyclorama.training.stages.register_method`` takes them."""
    from cyclorama.lab.baselines.lama_training import LamaMethod
    from cyclorama.lab.baselines.small_models import ControlNetMethod, InpaintMethod, PaintByExampleMethod

    return InpaintMethod(), ControlNetMethod(), PaintByExampleMethod(), LamaMethod()
