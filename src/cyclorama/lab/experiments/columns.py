"""What the table's columns are called, and which way is better."""

from __future__ import annotations

from cyclorama.evaluation.settings import METRICS, Metric

COLUMNS = {
    metric.name: metric
    for metric in (
        *METRICS.values(),
        Metric("fid", "FID, whole image", "lower", "", 2),
        Metric("kid", "KID, whole image", "lower", "", 3),
        Metric("fid_background", "FID, background", "lower", "", 2),
        Metric("kid_background", "KID, background", "lower", "", 3),
    )
}

HEADS = {
    "similarity_truth": "sim. truth",
    "similarity_truth_background": "sim. truth, bg",
    "similarity_reference": "sim. ref.",
    "similarity_reference_background": "sim. ref., bg",
    "fid": "FID",
    "kid": "KID",
    "fid_background": "FID bg",
    "kid_background": "KID bg",
    "psnr": "PSNR bg",
    "ssim": "SSIM bg",
    "perceptual": "perceptual bg",
    "product_max_difference": "product max diff.",
    "product_mean_difference": "product mean diff.",
    "rim_delta_e": "rim ΔE",
    "expansion": "expansion",
    "palette_distance": "palette to ref.",
    "palette_follows": "palette follows",
    "feature_distance": "features to ref.",
    "feature_follows": "features follow",
    "category_right": "category right",
    "leak": "leak",
    "leak_null": "leak, other ref.",
    "layout_copied": "layout",
}
ARROWS = {"higher": " ↑", "lower": " ↓", "none": ""}


def build_head(name: str) -> str:
    """The short head of column ``name``, with an arrow towards better."""
    return HEADS.get(name, COLUMNS[name].title) + ARROWS[COLUMNS[name].better]
