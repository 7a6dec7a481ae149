"""What is to be measured, and the names and directions of all metrics."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from cyclorama.config import Settings
from cyclorama.errors import SettingsError
from cyclorama.seeding import MAX_SEED

MetricRow = dict[str, float]
"""Metric name -> value on one image; a metric that is not defined for the image is left out."""
GROUPS = (
    "distance",
    "similarity",
    "truth",
    "product",
    "text",
    "following",
    "category",
    "leak",
    "seams",
    "layout",
)
"""Groups of metrics that can be asked for with --metrics."""
DEFAULT_GROUPS = tuple(group for group in GROUPS if group not in ("text", "layout"))


@dataclass(frozen=True)
class Metric:
    """One column of a report."""

    name: str
    title: str
    better: Literal["higher", "lower", "none"]
    unit: str = ""
    digits: int = 3
    short: str = ""
    """The column's head in a table; empty: the title."""

    @property
    def head(self) -> str:
        """The short title with an arrow towards better."""
        return (self.short or self.title) + {"higher": " ↑", "lower": " ↓", "none": ""}[self.better]

    def format(self, value: float | None) -> str:
        """The value with the metric's decimals; a dash for none."""
        return "–" if value is None else f"{value:.{self.digits}f}"


METRICS = {
    metric.name: metric
    for metric in (
        Metric("similarity_truth", "Similarity to the original, whole image", "higher", "100 cos", 2,
               "sim. truth"),
        Metric("similarity_truth_background", "Similarity to the original, background", "higher",
               "100 cos", 2, "sim. truth, bg"),
        Metric("similarity_reference", "Similarity to the reference, whole image", "higher", "100 cos", 2,
               "sim. ref."),
        Metric("similarity_reference_background", "Similarity to the reference, background", "higher",
               "100 cos", 2, "sim. ref., bg"),
        Metric("psnr", "PSNR of the background", "higher", "dB", 2, "PSNR bg"),
        Metric("ssim", "SSIM of the background", "higher", "", 4, "SSIM bg"),
        Metric("perceptual", "Perceptual distance of the background", "lower", "", 4, "perceptual bg"),
        Metric("product_max_difference", "Largest difference in the product", "lower", "levels", 2,
               "product max diff."),
        Metric("product_mean_difference", "Mean difference in the product", "lower", "levels", 3,
               "product mean diff."),
        Metric("rim_delta_e", "Colour difference along the product's rim", "lower", "CIEDE2000", 3, "rim ΔE"),
        Metric("expansion", "Object expansion", "lower", "share of the product", 4, "expansion"),
        Metric("text_error", "Character error rate on the pack", "lower", "", 3),
        Metric("palette_distance", "Palette distance to the own reference", "lower", "ΔE", 2,
               "palette to ref."),
        Metric("palette_percentile", "Other references with a farther palette", "higher", "share", 3,
               "palette nearer than others"),
        Metric("feature_distance", "Feature distance to the own reference", "lower", "1 - cos", 4,
               "features to ref."),
        Metric("feature_percentile", "Other references with farther features", "higher", "share", 3,
               "features nearer than others"),
        Metric("category_accuracy", "Background recognised as its category", "higher", "share", 3,
               "category accuracy"),
        Metric("leak", "Leak of the reference's product", "lower", "0-1", 3, "leak"),
        Metric("leak_null", "Leak measured against another reference", "none", "0-1", 3, "leak, other ref."),
        Metric("layout_copied", "Copied layout of the reference", "none", "0-1", 3, "layout"),
        Metric("seam_energy", "Seam energy", "lower", "ΔE", 2),
        Metric("floating", "Floating", "lower", "0-1", 3),
        Metric("ghost_energy", "Ghost energy", "lower", "share", 4),
        Metric("layout_overlap", "Texts on texts", "lower", "share of the smaller", 4),
        Metric("layout_occlusion", "Product under texts", "lower", "share of the product", 4),
        Metric("layout_alignment", "Upright lines beyond four", "lower", "lines", 2),
        Metric("layout_underlay", "Texts wholly on their underlay", "higher", "share", 3),
        Metric("layout_utility", "Canvas that is used", "none", "share", 3),
        Metric("layout_validity", "Elements large enough to count", "higher", "share", 3),
        Metric("layout_constraint", "Elements that keep locks and limits", "higher", "share", 3),
        Metric("layout_energy", "Energy of the layout", "lower", "", 3),
        Metric("layout_flatness", "Gradient of L* under texts", "lower", "L* a pixel", 3),
        Metric("pku_validity", "PKU validity", "higher", "share", 4),
        Metric("pku_overlap", "PKU overlap", "lower", "", 4),
        Metric("pku_alignment", "PKU alignment", "lower", "", 4),
        Metric("pku_underlay_loose", "PKU underlay, loose", "higher", "", 4),
        Metric("pku_underlay_strict", "PKU underlay, strict", "higher", "", 4),
        Metric("pku_occlusion", "PKU occlusion", "lower", "", 4),
        Metric("pku_utility", "PKU utility", "higher", "", 4),
        Metric("pku_readability", "PKU readability", "lower", "", 4),
        Metric("jd_overlap", "JD overlap", "lower", "", 4),
        Metric("jd_alignment", "JD alignment", "lower", "", 4),
        Metric("jd_underlay", "JD underlay", "higher", "", 4),
        Metric("jd_composition", "JD composition", "lower", "levels", 2),
        Metric("jd_occupied", "JD occupied", "higher", "share", 3),
    )
}  # fmt: skip
"""Metrics of single images by name."""
DISTANCES = {
    metric.name: metric
    for metric in (
        Metric("fid", "FID, whole image", "lower", "", 2, "FID"),
        Metric("kid", "KID, whole image", "lower", "", 3, "KID"),
        Metric("fid_background", "FID, background", "lower", "", 2, "FID bg"),
        Metric("kid_background", "KID, background", "lower", "", 3, "KID bg"),
    )
}
"""Distances between whole sets by name."""


def check_names(names: Any, known: tuple[str, ...], what: str) -> Any:
    """``names`` with comma-separated ones split. Raises SettingsError for one that is not ``known``."""
    if isinstance(names, str):
        names = (names,)
    if isinstance(names, list | tuple):
        names = tuple(part.strip() for name in names for part in str(name).split(",") if part.strip())
        for name in names:
            if name not in known:
                raise SettingsError(f"no {what} {name!r}; choose from {', '.join(known)}")
    return names


class EvaluationSettings(Settings):
    """How a set is scored."""

    error_type: ClassVar[type[SettingsError]] = SettingsError

    metrics: Annotated[tuple[str, ...], Field(min_length=1)] = DEFAULT_GROUPS
    """Groups of metrics to compute."""
    features: str = "cyclorama"
    """Feature network of distances and similarities: cyclorama, efficientnet, inception=FILE
    or clip=FOLDER_OR_ID."""
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = 0
    """Seed of all samples."""
    device: str = "cpu"
    """cpu, cuda or mps."""
    allow_missing: bool = False
    """Leave out images without a partner, and say how many."""
    statistics: Path | None = None
    """Folder in which the true set's features are kept and found again."""
    projection: bool = True
    """Draw the map of the categories, which takes some seconds."""

    @field_validator("metrics", mode="before")
    @classmethod
    def _check_metrics(cls, names: Any) -> Any:
        return check_names(names, GROUPS, "metric group")
