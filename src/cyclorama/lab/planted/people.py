"""People for the planted set: public-domain portraits out of packages, and rendered bodies.

Portraits: the NASA portrait of Eileen Collins and the photographer of ``camera.png`` (scikit-image, public
domain and CC0), the US Navy's portrait of Grace Hopper (matplotlib) and the official portraits of
Barack Obama and Joe Biden (the source archive of face_recognition), works of the US government all. Bodies
are rendered by :mod:`.bodies` from MakeHuman's CC0 mesh. None of them is part of the project.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from cyclorama.lab.planted.scenes import Chance, Mask, Pixels, mix

_PORTRAITS: dict[str, tuple[tuple[int, int, int, int], tuple[int, int, int, int]]] = {
    "astronaut.png": ((150, 0, 305, 200), (0, 0, 370, 512)),
    "grace_hopper.jpg": ((140, 10, 390, 350), (90, 0, 512, 520)),
    "obama.jpg": ((340, 10, 650, 450), (140, 0, 860, 1000)),
    "biden.jpg": ((370, 80, 770, 650), (0, 50, 970, 1300)),
}
"""File to the boxes (left, top, right, bottom) of head and bust."""
_HEIGHTS = {"face": (0.16, 0.4), "bust": (0.3, 0.6), "body": (0.5, 0.92), "part": (0.35, 0.6)}
"""Of a person, as shares of the image's side."""
_PROFILE = ("camera.png", (0, 30, 350, 512))


@dataclass(frozen=True, eq=False)
class People:
    """Images of people by what they show."""

    heads: tuple[Image.Image, ...] = ()
    busts: tuple[Image.Image, ...] = ()
    bodies: tuple[Image.Image, ...] = ()
    """RGBA, cropped to the body; rendered ones, and none of a photo."""

    def place(self, what: str, pixels: Pixels, free: Mask, chance: Chance) -> Pixels | None:
        """``pixels`` with a ``face``, ``bust``, ``body`` or ``part`` of one; None if there is none of it.

        It stands beside or behind the product, whose pixels stay; at least four fifths of it are seen, and
        all of its upper third.
        """
        sources = {"face": self.heads, "bust": self.busts}.get(what, self.bodies)
        if not sources:
            return None
        source = sources[int(chance.integers(len(sources)))]
        if chance.random() < 0.5:
            source = source.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        side = pixels.shape[0]
        if what == "part":
            top = round(source.height * chance.uniform(0.2, 0.3))
            source = source.crop((0, top, source.width, round(source.height * chance.uniform(0.55, 0.7))))
        for attempt in range(60):
            low, high = _HEIGHTS[what]
            tall = max(low, chance.uniform(low, high) * 0.985**attempt)
            sprite = cut(source, what, round(tall * side), chance)
            left = int(chance.integers(0, max(1, pixels.shape[1] - sprite.width)))
            lowest = max(1, side - sprite.height)
            top = int(chance.integers(0, lowest)) if what in ("face", "bust") else lowest - int(0.04 * side)
            if top < 0 or sprite.width >= pixels.shape[1]:
                continue
            window = (slice(top, top + sprite.height), slice(left, left + sprite.width))
            share = np.asarray(sprite.getchannel("A"), np.float32) / 255
            seen = share * free[window]
            head = slice(0, sprite.height // 3)
            if seen.sum() < 0.8 * share.sum() or seen[head].sum() < 0.98 * share[head].sum():
                continue
            made = pixels.copy()
            colour = np.asarray(sprite.convert("RGB"), np.float32)
            made[window] = mix(pixels[window], colour, seen)
            return made
        return None


def cut(source: Image.Image, what: str, height: int, chance: Chance) -> Image.Image:
    """``source`` (RGB or RGBA) as an RGBA sprite of ``height``: its outline, an oval, a disc or a panel."""
    width = max(1, round(source.width * height / source.height))
    sprite = source.convert("RGBA").resize((width, height), Image.Resampling.LANCZOS)
    if source.mode != "RGBA":
        outline = Image.new("L", sprite.size, 0)
        draw = ImageDraw.Draw(outline)
        shape = str(chance.choice(["oval", "disc", "panel"] if what == "face" else ["panel", "round"]))
        margin = height // 30
        box = (margin, margin, width - 1 - margin, height - 1 - margin)
        if shape in ("oval", "disc"):
            draw.ellipse(box, fill=255)
        else:
            draw.rounded_rectangle(box, radius=0 if shape == "panel" else height // 10, fill=255)
        if shape == "oval":
            outline = outline.filter(ImageFilter.GaussianBlur(height / 40))
        sprite.putalpha(outline)
    gains = 1 + chance.uniform(-0.08, 0.08, 3)
    bands = [
        band.point(lambda v, g=gain: min(255, round(v * g))) for band, gain in zip(sprite.split(), gains)
    ]
    return Image.merge("RGBA", [*bands, sprite.getchannel("A")])


def find_people(assets: Path | None, bodies: Path | None) -> People:
    """The portraits found below ``assets`` and the rendered bodies (PNG) in ``bodies``."""
    heads, busts = [], []
    files = {} if assets is None else {p.name: p for p in sorted(assets.rglob("*")) if p.name in _PORTRAITS}
    for name, (head, bust) in _PORTRAITS.items():
        if name in files:
            photo = Image.open(files[name]).convert("RGB")
            heads.append(photo.crop(head))
            busts.append(photo.crop(bust))
    profiles = [] if assets is None else sorted(assets.rglob(_PROFILE[0]))
    busts += [Image.open(path).convert("RGB").crop(_PROFILE[1]) for path in profiles[:1]]
    rendered = [] if bodies is None else [Image.open(path) for path in sorted(bodies.glob("*.png"))]
    return People(tuple(heads), tuple(busts), tuple(rendered))
