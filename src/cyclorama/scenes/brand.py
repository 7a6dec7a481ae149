"""What does a brand's file say of a set?  Colours, things and light, in a designer's words."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Annotated, Any, Self

from PIL import ImageColor
from pydantic import BeforeValidator, Field

from cyclorama.config import Settings
from cyclorama.files import write_atomic
from cyclorama.scenes.grammar.document import read_document
from cyclorama.scenes.library import BUILT_IN, SceneLibrary
from cyclorama.scenes.stage import Elevation
from cyclorama.scenes.surface import Colour, PaletteColour, Style


def parse_colour(value: Any) -> Colour:
    """sRGB in [0, 1] of ``#RRGGBB`` or a CSS colour's name. Raises ValueError.

    >>> parse_colour("#ff0000"), parse_colour("white")
    ((1.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    """
    if isinstance(value, tuple):
        return value
    name = "" if value is None else str(value).strip().lower()
    if not re.fullmatch("#[0-9a-f]{6}", name) and name not in ImageColor.colormap:
        near = difflib.get_close_matches(name, ImageColor.colormap, n=3)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise ValueError(f"a colour such as '#1f3a5c' (in quotes) or the name of one{hint}")
    red, green, blue = ImageColor.getrgb(name)[:3]
    return red / 255, green / 255, blue / 255


def format_colour(colour: Colour) -> str:
    """``#rrggbb`` of sRGB in [0, 1]."""
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in colour)


BrandColour = Annotated[PaletteColour, BeforeValidator(parse_colour)]


class BrandLight(Settings):
    """The light of a brand's sets."""

    side: Annotated[float, Field(ge=-1, le=1)] = -0.6
    """-1 from the left, 1 from the right. A photo that shows its own light's side goes before it."""
    warmth: Annotated[float, Field(ge=-1, le=1)] = 0.0
    """-1 cold to 1 warm."""
    strength: Annotated[float, Field(ge=0, le=3)] = 1.0
    """Of the main light; 1 is usual."""
    softness: Annotated[float, Field(ge=0, le=3)] = 1.0
    """Light from all around; 0 gives black shadows, 1 is usual."""


class Brand(Settings):
    """A brand's style: what all images of its campaign share."""

    scene: str | None = None
    """The category whose set it is; None: each product's own."""
    arrangement: Annotated[int | None, Field(ge=0, le=9999)] = None
    """Which of the set's arrangements, the same for all products; None: each image's own."""
    wall: BrandColour
    """Colour of the wall, as #RRGGBB or a name."""
    floor: BrandColour
    """Colour of the ground."""
    props: BrandColour
    """Colour of the main things round the product."""
    accent: BrandColour
    """Colour of small things that stand out."""
    elements: tuple[str, ...] = ()
    """What stands and shows in the set (`cyclorama scenes list` names each category's)."""
    layout: Annotated[int, Field(ge=0, le=9)] = 0
    """Number of the category's layout."""
    elevation: Elevation | None = None
    """Camera's angle above the product's middle, degrees; None: the category's own."""
    light: BrandLight = BrandLight()
    """The light."""

    @classmethod
    def of(cls, style: Style, scene: str | None = None, arrangement: int | None = None) -> Self:
        """The brand whose style is ``style``; light beyond what a brand can say is brought into range."""
        side, warmth = (min(max(value, -1.0), 1.0) for value in (style.key_side, style.key_warmth))
        strength, softness = min(style.key_strength, 3.0), min(style.fill, 3.0)
        return cls(
            scene=scene, arrangement=arrangement,
            wall=style.wall, floor=style.floor, props=style.prop, accent=style.accent,
            elements=style.elements, layout=style.layout,
            light=BrandLight(side=side, warmth=warmth, strength=strength, softness=softness),
        )  # fmt: skip

    @property
    def style(self) -> Style:
        """The record that dresses a set."""
        light = self.light
        return Style(
            wall=self.wall, floor=self.floor, prop=self.props, accent=self.accent,
            elements=self.elements, layout=self.layout,
            key_side=light.side, key_warmth=light.warmth, key_strength=light.strength, fill=light.softness,
        )  # fmt: skip


def read_brand(path: Path, library: SceneLibrary = BUILT_IN) -> Brand:
    """The brand of the YAML file ``path``, its scene one of ``library``.

    Raises ConfigError naming file, line, field and limit, and the nearest name for an unknown one.
    """
    document = read_document(path)
    brand, keys = document.read_settings(Brand), document.mapping()
    if brand.scene is not None:
        if brand.scene not in library.names:
            raise keys["scene"].place.unknown("category", brand.scene, library.names)
        known = library.load(brand.scene).elements
        for element in brand.elements:
            if element not in known:
                raise keys["elements"].place.unknown(f"element of {brand.scene}", element, known)
    return brand


_KEYS = {
    "scene": "# whose set",
    "arrangement": "# which of its arrangements",
    "wall": "",
    "floor": "",
    "props": "",
    "accent": "",
    "elements": "",
    "layout": "",
    "elevation": "# of the camera, degrees",
}


def format_brand(brand: Brand) -> str:
    """``brand`` as the text of its file; :func:`read_brand` of it gives an equal one, colours to a level."""
    lines = ["# A brand's style for `cyclorama generate --style FILE`."]
    for name, remark in _KEYS.items():
        value = getattr(brand, name)
        if value is None:
            continue
        if name in ("wall", "floor", "props", "accent"):
            value = f"'{format_colour(value)}'"
        elif name == "elements":
            value = f"[{', '.join(value)}]"
        lines.append(f"{name}: {value}{'  ' * bool(remark)}{remark}")
    lines.append("light:")
    remarks = (
        "-1 from the left, 1 from the right",
        "-1 cold, 1 warm",
        "1 is usual",
        "0 black shadows, 1 usual",
    )
    for name, remark in zip(BrandLight.model_fields, remarks, strict=True):
        lines.append(f"  {name}: {round(getattr(brand.light, name), 3)}  # {remark}")
    return "\n".join(lines) + "\n"


def write_brand(brand: Brand, path: Path) -> None:
    """Write ``brand`` into the YAML file ``path``, which others may write at once. Raises OutputError."""
    write_atomic(path, format_brand(brand).encode(), shared=True)
