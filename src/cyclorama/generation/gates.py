"""Can this image be shipped?  The product guarantee, measured on every finished image.

Each check gives a value that is 0 for no fault and larger for worse, and is held against a limit
(:class:`cyclorama.generation.gate_settings.GateThresholds`). A check that cannot be made on an image says so
and neither passes nor fails it. ``docs/gates.md`` has the measured rates of all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cyclorama.bundled import find_bundled
from cyclorama.config import to_plain
from cyclorama.errors import MaskError, MissingDependencyError, ModelFormatError, import_learned
from cyclorama.evaluation.preservation import (
    compute_expansion,
    compute_rim_delta_e,
    segment_by_rim_colours,
)
from cyclorama.evaluation.rim import (
    LIKENESS,
    Rim,
    build_rim,
    compute_floating,
    compute_ghost_energy,
    compute_seam_energy,
)
from cyclorama.generation.gate_copies import compute_copied, compute_doubled
from cyclorama.generation.gate_settings import CHECKS, GateThresholds
from cyclorama.imaging.colour import to_lab
from cyclorama.imaging.compositing import compute_product_report
from cyclorama.imaging.masks import fill_product
from cyclorama.imaging.transforms import check_same_size, resize_pixels, resize_plane

if TYPE_CHECKING:
    import numpy.typing as npt

    from cyclorama.evaluation.features import CycloramaNetwork
    from cyclorama.generation.result import Generated
    from cyclorama.imaging.product import Product, Reference
    from cyclorama.types import Matte, Pixels


VERSION = 2
"""Counts up when a check measures something else, so that earlier verdicts are not taken for new ones."""
SOLID = 0.9
"""Matte from which on ``rim`` expects the product's own colour; softer pixels rightly show the scene."""
DIGITS = 4
"""Decimals of every value: what different processors disagree about is cut off."""
Measured = float | str
"""A check's value, or the reason why there is none."""


@dataclass(frozen=True)
class GateVerdict:
    """What the gate says of one image."""

    passed: bool
    score: float | None
    """Higher is better; decides which candidate is kept. None: nothing could be measured, which ranks below
    every candidate that passed by measurement."""
    values: dict[str, Any] = field(default_factory=dict, hash=False)
    """The measurements behind it, plain values; must not depend on time or machine."""
    reason: str = ""
    """Which limits were broken; empty if it passed."""


@dataclass(frozen=True)
class QualityGate:
    """Judges finished images, in several threads at once. Can be pickled.

    Build it with :func:`build_gate`. Invariant: the verdict depends on the arguments alone.
    """

    thresholds: GateThresholds = field(default_factory=GateThresholds)
    features: Path | None = None
    """Folder of the feature network that names categories; None where there is none."""
    features_hash: str | None = None
    """Hash of its weights; another network on another machine is refused."""

    def __call__(self, made: Generated, product: Product, reference: Reference | None) -> GateVerdict:
        """The verdict on ``made``; ``product`` is on the image's canvas.

        Raises SettingsError (sizes differ), ModelNotFoundError, ModelFormatError (feature network).
        """
        measured = self.measure(made, product, reference)
        values = {name: value for name, value in measured.items() if not isinstance(value, str)}
        failures: dict[str, list[float]] = {}
        advice: dict[str, list[float]] = {}
        for name, value in values.items():
            limit = self.thresholds.get_limit(name)
            if limit is not None and value > limit:
                (advice if name in self.thresholds.advisory else failures)[name] = [value, limit]
        said: dict[str, Any] = {name: values.get(name) for name in measured}
        said["failures"], said["advice"] = failures, advice
        said["not_measured"] = {name: value for name, value in measured.items() if isinstance(value, str)}
        reason = "; ".join(
            f"{CHECKS[name].title} {value:g}, limit {limit:g} ({CHECKS[name].unit})"
            for name, (value, limit) in failures.items()
        )
        return GateVerdict(not failures, compute_score(values, self.thresholds), said, reason)

    def measure(self, made: Generated, product: Product, reference: Reference | None) -> dict[str, Measured]:
        """Every check that is asked for: its value, rounded, or the reason why it could not be made."""
        report = compute_product_report(made.pixels, product)
        height, width = made.pixels.shape[:2]
        scale = min(1.0, self.thresholds.side / min(height, width))
        size = (round(height * scale), round(width * scale))
        pixels, mask = resize_pixels(made.pixels, size), resize_plane(product.matte, size).clip(0, 1)
        checks: dict[str, Callable[[], Measured | None]] = {
            "interior": lambda: (
                "no pixel is fully product" if report.max_difference is None else float(report.max_difference)
            ),
            "rim": lambda: compute_rim_delta_e(
                pixels, resize_pixels(product.foreground, size), (mask >= SOLID).astype(np.float32)
            ),
            "halo": lambda: compute_halo(pixels, resize_pixels(product.pixels, size), mask),
            "seam": lambda: compute_seam_energy(pixels, mask),
            "expansion": lambda: compute_expansion(segment_by_rim_colours(pixels, mask), mask),
            "ghost": lambda: compute_ghost_energy(pixels, mask),
            "doubled": lambda: compute_doubled(pixels, mask),
            "floating": lambda: compute_floating(pixels, mask),
            "leak": lambda: _measure_leak(pixels, mask, reference),
            "off_category": lambda: self._measure_category(pixels, mask, made.category),
        }
        measured: dict[str, Measured] = {}
        for name, check in checks.items():
            if self.thresholds.get_limit(name) is None:
                continue
            try:
                value = check()
            except MaskError as error:
                value = str(error)
            if value is None:
                value = _WITHOUT[name]
            measured[name] = value if isinstance(value, str) else round(value, DIGITS)
        return measured

    def describe(self) -> dict[str, Any]:
        """Thresholds, version and the feature network's hash: they decide which image is kept."""
        return {"version": VERSION, "features": self.features_hash, "thresholds": to_plain(self.thresholds)}

    def _measure_category(self, pixels: Pixels, mask: Matte, category: str) -> Measured:
        if self.features is None:
            return "no feature network in this installation; the extra 'learned' has it"
        network = _load_network(self.features, self.features_hash)
        if category not in network.categories:
            return f"the feature network does not know {category!r}"
        probabilities = network.classify(network.compute([fill_product(pixels, mask)]))[0]
        return 1 - float(probabilities[network.categories.index(category)])


def build_gate(thresholds: GateThresholds | None = None, features: Path | None = None) -> QualityGate:
    """A gate with the bundled feature network, or the one in ``features``; without the extra ``learned`` it
    does without.

    Raises ModelNotFoundError if ``features`` is given and holds none, ModelFormatError for a broken card,
    MissingDependencyError if ``features`` is given without the extra.
    """
    thresholds = thresholds or GateThresholds()
    if thresholds.off_category is None:
        return QualityGate(thresholds)
    try:
        network = import_learned("cyclorama.evaluation.feature_network")
        folder = features or find_bundled("features")
    except MissingDependencyError:
        if features is not None:
            raise
        return QualityGate(thresholds)
    return QualityGate(thresholds, folder, str(network.load_card(folder).get("weights_hash")))


def compute_score(values: Mapping[str, float], thresholds: GateThresholds) -> float | None:
    """One number, 0 to 1, higher is better, that ranks the candidates of one row; None: nothing measured.

    ``values`` by check, as measured. With r = value / limit (the check's step where the limit is smaller),
    quality = 1 - weighted mean of r / (1 + r): a clean check adds 0, one at its limit one half. The score is
    ``(passed + quality) / 2``. Invariants: whatever passes scores 1/2 or more, whatever fails at most 1/2;
    a larger value of any check never gives a larger score.
    """
    total, weights, passed = 0.0, 0.0, True
    for name, value in values.items():
        limit = thresholds.get_limit(name)
        if limit is None:
            continue
        excess = value / max(limit, CHECKS[name].step)
        weight = thresholds.advisory_weight if name in thresholds.advisory else 1.0
        total += weight * excess / (1 + excess)
        weights += weight
        passed = passed and (value <= limit or name in thresholds.advisory)
    return round((passed + 1 - total / weights) / 2, 6) if weights else None


_WITHOUT = {
    "halo": "old background, product and scene are too alike along the edge",
    "floating": "the product reaches the frame's lower edge",
    "leak": "the reference, cropped to the image's shape, shows no product",
}


def _measure_leak(pixels: Pixels, mask: Matte, reference: Reference | None) -> Measured | None:
    if reference is None:
        return "no reference"
    if reference.product_mask is None:
        return "the reference's own product is not marked; give --reference-mask"
    return compute_copied(pixels, mask, reference.pixels, reference.product_mask)


@lru_cache(4)
def _load_network(folder: Path, weights_hash: str | None) -> CycloramaNetwork:
    from cyclorama.evaluation.feature_network import load_network
    from cyclorama.evaluation.features import CycloramaNetwork

    network, found = load_network(folder)
    if found != weights_hash:
        raise ModelFormatError(
            f"{folder} holds the feature network {found}, the run was planned with {weights_hash}; "
            "install the same version on every machine"
        )
    return CycloramaNetwork(network, found)


LEAST_SHARE = 0.1
"""Least share of the edge where old background, product and scene differ, for a value."""
_INSIDE, _BACKDROP = 5.0, 5.0
"""Depth at which the product's colour is taken, distance at which the photo's old background is; in units."""
_RIM, _MARGIN = ((-1.0, 0.0, 1.0), 5.0), ((2.0, 3.0, 4.0, 5.0), 16.0)
"""Offsets that are looked at, and the offset at which the new scene is taken for them; in units."""


def compute_halo(pixels: Pixels, photo: Pixels, mask: Matte) -> float | None:
    """Share (0-1) of the product's edge that wears the photo's old background, or None.

    ``pixels`` and ``photo`` uint8 (H, W, 3), ``mask`` float (H, W), 1 = product. Looked at along the edge's
    normals, in units of 1/256 of the shorter side, twice: the rim (any place from 1 inside to 1 outside,
    the new scene taken 5 outside) and a margin (all places from 2 to 5 outside, the scene 16 outside). A
    place wears the old background (``photo``, 5 outside) if it is at most half as far from it as from
    product and scene. Edges where these do not differ by ΔE 12 (CIE76) say nothing. The larger of the two
    shares; None where too little of the edge is left for either, for instance when old and new background
    are alike.

    Blind to halos of another colour, and fooled by a product with a narrow rim of the backdrop's colour.
    Raises ImageSizeError, MaskError.
    """
    check_same_size(pixels, photo, "output", "photo")
    check_same_size(pixels, mask, "output", "mask")
    rim, lab, old = build_rim(mask, 1.5), to_lab(pixels), to_lab(photo)
    shares = [
        share
        for share in (
            _compute_share(rim, lab, old, *_RIM, every=False),
            _compute_share(rim, lab, old, *_MARGIN, every=True),
        )
        if share is not None
    ]
    return max(shares, default=None)


def _compute_share(
    rim: Rim,
    lab: npt.NDArray[np.float32],
    old: npt.NDArray[np.float32],
    offsets: Sequence[float],
    beyond: float,
    every: bool,
) -> float | None:
    """Share of the usable edge whose places at any, or ``every``, offset look like the old background."""
    scene, product = rim.sample(lab, beyond), rim.sample(lab, -_INSIDE)
    backdrop = rim.sample(old, _BACKDROP)
    usable = rim.is_outside(beyond) & rim.is_outside(_BACKDROP) & rim.is_inside(_INSIDE)
    usable &= (_distance(backdrop, scene) >= LIKENESS) & (_distance(backdrop, product) >= LIKENESS)
    if usable.sum() < max(1.0, LEAST_SHARE * len(usable)):
        return None
    places = []
    for offset in offsets:
        here = rim.sample(lab, offset)
        others = np.minimum(_distance(here, product), _distance(here, scene))
        places.append(_distance(here, backdrop) <= 0.5 * others)
    worn = np.all(places, axis=0) if every else np.any(places, axis=0)
    return float(worn[usable].mean())


def _distance(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """ΔE (CIE76) row by row."""
    distance: npt.NDArray[Any] = np.linalg.norm(first - second, axis=1)
    return distance
