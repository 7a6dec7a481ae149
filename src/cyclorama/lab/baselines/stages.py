"""The baselines whose small versions the training loop can make; Blended Diffusion trains nothing."""

from __future__ import annotations

from cyclorama.lab.baselines.lama_training import LAMA
from cyclorama.lab.baselines.small_models import CONTROLNET_STAGE, INPAINT, PAINT_BY_EXAMPLE

STAGES = {stage.name: stage for stage in (INPAINT, CONTROLNET_STAGE, PAINT_BY_EXAMPLE, LAMA)}
