"""Which faults of a finished image are looked for, from which value on do they count, and how much?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from cyclorama.config import Settings
from cyclorama.errors import CycloramaError, SettingsError

MAX_WEIGHT = 100.0
_Share = Annotated[float | None, Field(ge=0, le=1)]


@dataclass(frozen=True)
class Check:
    """One fault: its value is 0 for none, and larger for worse."""

    title: str
    """As failures name it."""
    unit: str
    step: float
    """Stands for the limit in the score where the limit is smaller."""


CHECKS = {
    "interior": Check("difference inside the product", "levels", 1.0),
    "rim": Check("colour difference along the rim", "CIEDE2000", 0.1),
    "halo": Check("old background along the rim", "share of the edge", 0.01),
    "seam": Check("seam energy", "ΔE", 0.1),
    "expansion": Check("product expansion", "share of the product", 0.001),
    "ghost": Check("ghost beside the product", "share of the ring", 0.001),
    "doubled": Check("copy of the product beside it", "0-1", 0.01),
    "floating": Check("floating", "0-1", 0.01),
    "leak": Check("leak of the reference's product", "0-1", 0.01),
    "off_category": Check("background of another category", "1 - probability", 0.01),
}
"""Name in :class:`GateThresholds` to what is measured; ``docs/gates.md`` says how."""


class GateThresholds(Settings):
    """Largest values that pass; None leaves a check out. Defaults are measured: ``benchmarks/gates.py``.

    Raises SettingsError for a limit outside its range, an unknown name or a negative weight.
    """

    error_type: ClassVar[type[CycloramaError]] = SettingsError

    interior: Annotated[float | None, Field(ge=0, le=255)] = 0.0
    """Levels (0-255) of any channel where the matte is 1."""
    rim: Annotated[float | None, Field(ge=0, le=100)] = 2.0
    """Mean CIEDE2000 in the band 3 units (1/256 of the shorter side) inside the edge of the solid product
    (matte 0.9)."""
    halo: _Share = 0.5
    """Share (0-1) of the edge, where it can be told, that wears the photo's old background."""
    seam: Annotated[float | None, Field(ge=0, le=375)] = 9.0
    """ΔE (CIE76) by which a narrow band round the product stands out from the scene."""
    expansion: Annotated[float | None, Field(ge=0, le=1_000_000)] = 0.06
    """Area by which the product seems to have grown, as a share of its own."""
    ghost: _Share = 0.13
    """Share (0-1) of the ring 3-20 units outside the product that looks like more of it."""
    doubled: _Share = 0.2
    """Likeness (0-1) of what stands within 32 units beside the product to the product itself."""
    floating: _Share = 0.8
    """0 (a shadow meets the product) to 1 (none, or far below)."""
    leak: _Share = 0.2
    """Likeness (0-1) of the background to the reference's product: 0 as by accident, 1 an exact copy."""
    off_category: _Share = 0.9
    """1 minus the feature network's probability of the image's category, from the background alone."""
    advisory: tuple[str, ...] = ("floating",)
    """Checks that count in the score but never refuse an image."""
    advisory_weight: Annotated[float, Field(ge=0, le=MAX_WEIGHT)] = 0.25
    """Weight of an advisory check in the score; the others weigh 1."""
    side: Annotated[int, Field(ge=128, le=4096)] = 512
    """Shorter side in pixels at which larger images are judged, 128-4096; ``interior`` always sees all
    pixels."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        unknown = [name for name in self.advisory if name not in CHECKS]
        if unknown:
            raise SettingsError(f"gate: no check {unknown[0]!r} to be advisory; known: {', '.join(CHECKS)}")
        if all(self.get_limit(name) is None for name in CHECKS):
            raise SettingsError("gate: every check is left out; name a limit, or run without the gate")
        return self

    def get_limit(self, name: str) -> float | None:
        """The limit of check ``name``, None if it is left out."""
        limit: float | None = getattr(self, name)
        return limit
