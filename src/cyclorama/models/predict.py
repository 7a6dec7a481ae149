"""The base's noise prediction with the generators' residuals added to its decoder."""

from __future__ import annotations

from diffusers import UNet2DConditionModel
from torch import Tensor

from cyclorama.models.branch import Residuals


def predict_noise(
    unet: UNet2DConditionModel,
    noisy_latents: Tensor,
    timesteps: Tensor,
    full_embeds: Tensor,
    residuals: Residuals | None = None,
) -> Tensor:
    """What the base predicts (noise or velocity, as its scheduler says), shape (B, c, h, w).

    With ``residuals`` they are added to the encoder's skips and to the middle block (Eq. 2). The
    encoder itself never sees them: with a frozen base no gradient is kept for it.
    """
    extra = {}
    if residuals is not None:
        extra = {
            "down_block_additional_residuals": residuals.down,
            "mid_block_additional_residual": residuals.mid,
        }
    prediction: Tensor = unet(
        noisy_latents, timesteps, encoder_hidden_states=full_embeds, return_dict=False, **extra
    )[0]
    return prediction
