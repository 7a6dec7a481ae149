"""Which light falls on a scene?  The key light of its style and the sky's fill."""

from __future__ import annotations

from cyclorama.scenes.stage import Light, Stage
from cyclorama.scenes.surface import Style


def add_key_light(
    stage: Stage, style: Style, radiance: float = 11.0, size: float = 2.6, height: float = 3.4
) -> None:
    """A large soft box above and in front, on the style's side, and the sky's fill."""
    w = style.key_warmth
    tint = (1.0 + 0.22 * w, 1.0 + 0.02 * w, 1.0 - 0.30 * w)
    r = radiance * style.key_strength
    side = style.key_side
    stage.lights.append(
        Light((2.6 * side, -2.6, height), (0.0, 0.2, 0.3), size, (tint[0] * r, tint[1] * r, tint[2] * r))
    )
    f = 0.42 * style.fill
    stage.sky = (f * (1 - 0.05 * w), f, f * (1 + 0.06 * w))
