"""Personality-Wise Generator: the background style of one reference, never inside the product."""

from __future__ import annotations

from torch import Tensor

from cyclorama.models.branch import Branch, Residuals


class PersonalityGenerator(Branch):
    """ControlNet copy of the base encoder whose residuals are zero on the product.

    arXiv 2312.13309, 3.3. Sees the reference's background ``I_aug ⊗ (1 − M_aug)`` (method, 5: the
    paper's ``I_aug ⊗ M_aug`` is a slip) and the full prompt.
    """

    def predict_residuals(
        self,
        noisy_latents: Tensor,
        timesteps: Tensor,
        prompt_embeds: Tensor,
        hint: Tensor,
        product_mask: Tensor,
    ) -> Residuals:
        """Residuals of PG, multiplied by ``1 − M_l`` after the zero convolutions (Eq. 4).

        ``product_mask`` (B, 1, H, W) in [0, 1] is that of the *target* product. Invariant: every
        residual is exactly 0 where ``M_l`` = 1.
        """
        residuals: Residuals = self(noisy_latents, timesteps, prompt_embeds, hint)
        return residuals.mask(product_mask)
