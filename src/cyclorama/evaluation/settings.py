"""What is to be measured, and the names and directions of all metrics."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cyclorama.errors import SettingsError

GROUPS = ("distance", "similarity", "truth", "product", "text", "following", "category", "leak", "seams")
"""Groups of metrics that can be asked for with --metrics."""

DEFAULT_GROUPS = tuple(group for group in GROUPS if group != "text")


@dataclass(frozen=True)
class Metric:
    """One column of the report."""

    name: str
    title: str
    better: str
    """``higher``, ``lower`` or ``none`` (no direction is better)."""
    unit: str = ""
    digits: int = 3


METRICS = {
    metric.name: metric
    for metric in (
        Metric("similarity_truth", "Similarity to the original, whole image", "higher", "100 cos", 2),
        Metric(
            "similarity_truth_background", "Similarity to the original, background", "higher", "100 cos", 2
        ),
        Metric("similarity_reference", "Similarity to the reference, whole image", "higher", "100 cos", 2),
        Metric(
            "similarity_reference_background",
            "Similarity to the reference, background",
            "higher",
            "100 cos",
            2,
        ),
        Metric("psnr", "PSNR of the background", "higher", "dB", 2),
        Metric("ssim", "SSIM of the background", "higher", "", 4),
        Metric("perceptual", "Perceptual distance of the background", "lower", "", 4),
        Metric("product_max_difference", "Largest difference in the product", "lower", "levels", 2),
        Metric("product_mean_difference", "Mean difference in the product", "lower", "levels", 3),
        Metric("rim_delta_e", "Colour difference along the product's rim", "lower", "CIEDE2000", 3),
        Metric("expansion", "Object expansion", "lower", "share of the product", 4),
        Metric("text_error", "Character error rate on the pack", "lower", "", 3),
        Metric("palette_distance", "Palette distance to the own reference", "lower", "ΔE", 2),
        Metric("palette_follows", "Other references with a farther palette", "higher", "share", 3),
        Metric("feature_distance", "Feature distance to the own reference", "lower", "1 - cos", 4),
        Metric("feature_follows", "Other references with farther features", "higher", "share", 3),
        Metric("category_right", "Background named as the right category", "higher", "share", 3),
        Metric("leak", "Leak of the reference's product", "lower", "0-1", 3),
        Metric("leak_null", "Leak measured against another reference", "none", "0-1", 3),
        Metric("layout_copied", "Copied layout of the reference", "none", "0-1", 3),
        Metric("seam_energy", "Seam energy", "lower", "ΔE", 2),
        Metric("floating", "Floating", "lower", "0-1", 3),
        Metric("ghost_energy", "Ghost energy", "lower", "share", 4),
    )
}


@dataclass(frozen=True)
class EvaluationSettings:
    """How a set is scored."""

    groups: tuple[str, ...] = DEFAULT_GROUPS
    features: str = "cyclorama"
    """``NAME`` or ``NAME=FILE_FOLDER_OR_ID`` of the feature network of distances and similarities."""
    seed: int = 0
    device: str = "cpu"
    allow_missing: bool = False
    """Score images that have a partner, and say how many had none."""
    statistics: Path | None = None
    """Folder in which the other side's feature statistics are kept and found again."""
    projection: bool = True
    """Draw the map of the categories, which takes some seconds."""

    def __post_init__(self) -> None:
        unknown = [group for group in self.groups if group not in GROUPS]
        if unknown or not self.groups:
            raise SettingsError(
                f"no metric group {(unknown or ['(none)'])[0]!r}; choose from {', '.join(GROUPS)}"
            )
