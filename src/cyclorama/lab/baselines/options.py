"""Which baselines there are, and what they can be told."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import Field, model_validator

from cyclorama.config import Settings
from cyclorama.errors import CycloramaError, SettingsError

BaselineName = Literal["lama", "inpaint", "controlnet", "blended", "paint-by-example"]
BASELINES: tuple[BaselineName, ...] = get_args(BaselineName)
ANY_CATEGORY = "product"
"""What a product is called for a method that asks for no category."""


class BaselineOptions(Settings):
    """What a baseline can be told beside the sampler; a method reads what concerns it."""

    error_type: ClassVar[type[CycloramaError]] = SettingsError

    weights: str | None = None
    """lama: file or folder of the generator; controlnet: folder or hub id of a published ControlNet for the
    base in --model."""
    features: str = "cyclorama"
    """blended: the network that guides, cyclorama, cyclorama=FOLDER or clip=FOLDER_OR_HUB_ID."""
    prompt: str | None = None
    """Text for the base with {category} in it (default: the kind of prompt that the model has learnt where it
    knows the category, else 'A photo of {category}')."""
    hint_fill: float | None = None
    """controlnet: value of removed pixels in the hint (default: what it was trained with, 0 for ours, -1 for
    published in-painting ControlNets)."""
    guide_strength: Annotated[float, Field(ge=0)] = 300.0
    """blended: factor on the gradient of the feature distance; 0 guides nothing."""

    @model_validator(mode="after")
    def _check_fill(self) -> Self:
        if self.hint_fill not in (None, -1, 0):
            raise SettingsError(f"hint_fill must be -1 or 0, got {self.hint_fill:g}")
        return self
