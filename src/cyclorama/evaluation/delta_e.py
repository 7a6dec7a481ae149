"""How different do two colours look?  CIEDE2000."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Values = npt.NDArray[np.float64]


def compute_ciede2000(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> Values:
    """The CIEDE2000 difference, float64 (...), of L*a*b* colours (..., 3).

    Source: Sharma, Wu, Dalal, "The CIEDE2000 color-difference formula" (2005), Eq. 2-22, all weights 1.
    About 1 is just visible side by side. Invariant: symmetric, 0 for equal colours.
    """
    light_1, a_1, b_1 = np.moveaxis(np.asarray(first, dtype=np.float64), -1, 0)
    light_2, a_2, b_2 = np.moveaxis(np.asarray(second, dtype=np.float64), -1, 0)
    chroma = (np.hypot(a_1, b_1) + np.hypot(a_2, b_2)) / 2
    stretch = 1.5 - 0.5 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7))
    chroma_1, hue_1 = _to_polar(a_1 * stretch, b_1)
    chroma_2, hue_2 = _to_polar(a_2 * stretch, b_2)
    grey = chroma_1 * chroma_2 == 0

    turn = hue_2 - hue_1
    turn = np.where(turn > 180, turn - 360, np.where(turn < -180, turn + 360, turn))
    turn = np.where(grey, 0, turn)
    d_light, d_chroma = light_2 - light_1, chroma_2 - chroma_1
    d_hue = 2 * np.sqrt(chroma_1 * chroma_2) * np.sin(np.radians(turn) / 2)

    light, chroma = (light_1 + light_2) / 2, (chroma_1 + chroma_2) / 2
    hue = (hue_1 + hue_2) / 2
    apart = np.abs(hue_1 - hue_2) > 180
    hue = np.where(apart, np.where(hue_1 + hue_2 < 360, hue + 180, hue - 180), hue)
    hue = np.where(grey, hue_1 + hue_2, hue)

    weight = (
        1
        - 0.17 * _cos(hue - 30)
        + 0.24 * _cos(2 * hue)
        + 0.32 * _cos(3 * hue + 6)
        - 0.20 * _cos(4 * hue - 63)
    )
    scale_light = 1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2)
    scale_chroma = 1 + 0.045 * chroma
    scale_hue = 1 + 0.015 * chroma * weight
    rotation = -2 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7))
    rotation = rotation * np.sin(np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2))))
    parts = (d_light / scale_light, d_chroma / scale_chroma, d_hue / scale_hue)
    total = parts[0] ** 2 + parts[1] ** 2 + parts[2] ** 2 + rotation * parts[1] * parts[2]
    difference: Values = np.sqrt(np.clip(total, 0, None))
    return difference


def _to_polar(a: Values, b: Values) -> tuple[Values, Values]:
    """(chroma, hue in degrees 0-360; 0 for grey)."""
    return np.hypot(a, b), np.degrees(np.arctan2(b, a)) % 360


def _cos(degrees: Values) -> Values:
    values: Values = np.cos(np.radians(degrees))
    return values
