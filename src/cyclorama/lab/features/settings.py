"""What decides the weights of the feature network, beside the images."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from cyclorama.config import Settings
from cyclorama.errors import SettingsError
from cyclorama.seeding import MAX_SEED


class FeatureTrainingSettings(Settings):
    """What decides the weights, beside the images."""

    error_type: ClassVar[type[SettingsError]] = SettingsError

    steps: Annotated[int, Field(ge=1)] = 1600
    """Training steps; the default is that of the bundled network."""
    batch_size: Annotated[int, Field(ge=2)] = 64
    """Images a step."""
    learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    """Highest rate of AdamW, reached after 5 % of the steps, then down to 0 on a cosine."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.05
    """Of AdamW."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Of the category's loss."""
    brand_weight: Annotated[float, Field(ge=0)] = 0.3
    """Of the brand's loss beside the category's."""
    palette_weight: Annotated[float, Field(ge=0)] = 1.0
    """Of the palette's loss beside the category's."""
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = 0
    """Seed of the run."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the network's sums."""
    checkpoint_steps: Annotated[int, Field(ge=1)] = 200
    """Steps between two saved states."""
