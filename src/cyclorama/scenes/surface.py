"""What does a thing look like?  Plain descriptions of materials, light and style, free of any renderer."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cyclorama.config import Settings

Colour = tuple[float, float, float]
"""sRGB, each in [0, 1]."""

Texture = NDArray[np.uint8]
"""(H, W, 3) sRGB, row 0 is the top."""


@dataclass(frozen=True)
class Surface:
    """One material.

    Attributes:
        colour: sRGB colour or an sRGB texture (H, W, 3) uint8.
        kind: ``matte``, ``plastic`` (coloured body under a clear coat), ``metal``, ``glass`` (thin, clear),
            ``ice`` (solid, clouded, bends light) or ``photo`` (gives off the light that the image shows; only
            its clear coat reflects).
        roughness: microfacet width in [0.01, 1]; smaller is shinier.
        glow: emitted radiance, as a factor on the colour; 0 for none.
        tiles: how often the texture repeats along u and v.
    """

    colour: Colour | Texture
    kind: str = "matte"
    roughness: float = 0.3
    glow: float = 0.0
    tiles: tuple[float, float] = (1.0, 1.0)


def matte(colour: Colour | Texture, tiles: tuple[float, float] = (1.0, 1.0)) -> Surface:
    """A dull surface."""
    return Surface(colour, tiles=tiles)


def plastic(
    colour: Colour | Texture, roughness: float = 0.2, tiles: tuple[float, float] = (1.0, 1.0)
) -> Surface:
    """A coloured surface under a clear coat: plastic, paint, lacquer, wet floors, fruit."""
    return Surface(colour, "plastic", roughness, tiles=tiles)


def metal(colour: Colour, roughness: float = 0.2) -> Surface:
    """A metal that reflects with ``colour``."""
    return Surface(colour, "metal", roughness)


def glass() -> Surface:
    """A thin clear pane or wall of glass."""
    return Surface((1.0, 1.0, 1.0), "glass", 0.01)


def ice(colour: Colour) -> Surface:
    """Clouded ice, for closed shapes: what is behind shows through, bent."""
    return Surface(colour, "ice", 0.06)


def light(colour: Colour | Texture, strength: float) -> Surface:
    """A surface that shines with ``strength`` times its colour."""
    return Surface(colour, "matte", 0.3, strength)


WHITE: Colour = (1.0, 1.0, 1.0)
MILK: Colour = (0.98, 0.98, 0.96)
CREAM: Colour = (0.95, 0.92, 0.86)
GOLD: Colour = (0.95, 0.78, 0.45)
SILVER: Colour = (0.88, 0.88, 0.9)
COPPER: Colour = (0.9, 0.6, 0.45)


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """sRGB of hue in degrees, saturation and value in [0, 1] (clipped)."""
    r, g, b = colorsys.hsv_to_rgb(
        (hue % 360.0) / 360.0, min(max(saturation, 0.0), 1.0), min(max(value, 0.0), 1.0)
    )
    return (r, g, b)


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """``a`` moved by ``share`` towards ``b``."""
    return (
        a[0] + (b[0] - a[0]) * share,
        a[1] + (b[1] - a[1]) * share,
        a[2] + (b[2] - a[2]) * share,
    )


def shade(colour: Colour, factor: float) -> Colour:
    """``colour`` with its value multiplied by ``factor`` (clipped to [0, 1])."""
    h, s, v = colorsys.rgb_to_hsv(*colour)
    return hsv(h * 360, s, v * factor)


def jitter(colour: Colour, rng: np.random.Generator, amount: float = 1.0) -> Colour:
    """``colour`` with a slight change of hue (4 degrees), saturation and value (4 %)."""
    h, s, v = colorsys.rgb_to_hsv(*colour)
    d = rng.normal(0, amount, 3)
    return hsv(h * 360 + 4 * float(d[0]), s * (1 + 0.06 * float(d[1])), v * (1 + 0.03 * float(d[2])))


Channel = Annotated[float, Field(ge=0, le=1)]
PaletteColour = tuple[Channel, Channel, Channel]


class Style(Settings):
    """How a scene is dressed: what a brand fixes, and what the unbranded rest draws afresh."""

    wall: PaletteColour
    """sRGB colour of the wall, or what stands for it."""
    floor: PaletteColour
    """sRGB colour of the ground."""
    prop: PaletteColour
    """sRGB colour of the main props."""
    accent: PaletteColour
    """sRGB colour of small things that stand out."""
    elements: tuple[str, ...]
    """The props and patterns the category's scene is told to use."""
    layout: Annotated[int, Field(ge=0, le=9)] = 0
    """Number of the arrangement; its meaning is the category's own."""
    key_side: Annotated[float, Field(ge=-3, le=3)] = -0.6
    """Where the key light stands, -1 left to 1 right."""
    key_warmth: Annotated[float, Field(ge=-2, le=2)] = 0.0
    """-1 cold to 1 warm."""
    key_strength: Annotated[float, Field(ge=0, le=10)] = 1.0
    """Factor on the key light."""
    fill: Annotated[float, Field(ge=0, le=10)] = 1.0
    """Factor on the sky's constant light."""

    def varied(self, rng: np.random.Generator) -> Style:
        """The style as one image of a campaign shows it: slightly different colours and light."""
        return self.replace(
            wall=jitter(self.wall, rng),
            floor=jitter(self.floor, rng),
            prop=jitter(self.prop, rng),
            accent=jitter(self.accent, rng),
            key_side=self.key_side + rng.normal(0, 0.06),
            key_strength=self.key_strength * np.exp(rng.normal(0, 0.05)),
        )

    @property
    def palette(self) -> tuple[Colour, ...]:
        """Wall, floor, prop and accent colour."""
        return (self.wall, self.floor, self.prop, self.accent)
