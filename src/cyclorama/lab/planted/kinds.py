"""Every kind of row in the planted set: how it is made, how many there are, and which rule must catch it."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from cyclorama.lab.planted import scenes
from cyclorama.lab.planted.fonts import (
    PHRASES,
    Fonts,
    TextStyle,
    draw_icon,
    draw_watermark,
    find_place,
    paste,
    plant_text,
)
from cyclorama.lab.planted.people import People
from cyclorama.lab.planted.scenes import Base, Chance, Mask, Pixels, mix, resize, to_bytes


@dataclass(frozen=True, eq=False)
class Scene:
    """What a kind is made from: rendered images that no other row uses (but copies), fonts, people."""

    bases: list[Base]
    fonts: Fonts
    people: People
    chance: Chance

    @property
    def pixels(self) -> Pixels:
        """The first image's."""
        return self.bases[0].pixels

    @property
    def mask(self) -> Mask:
        """The first image's."""
        return self.bases[0].mask

    @property
    def free(self) -> Mask:
        """1 where there is no product, nor any within a fortieth of the side."""
        near = ndimage.maximum_filter(self.mask, self.mask.shape[0] // 20)
        return np.asarray(near < 0.02, np.float32)


@dataclass(frozen=True, eq=False)
class Plant:
    """One row's image and what is known about it."""

    pixels: Pixels
    mask: Mask | None
    """As the manifest gives it; None for a row without one."""
    text: Mask | None = None
    """Opacity (H, W) of what was written onto the background."""
    alpha: Mask | None = None
    truth: Mask | None = None
    """The right mask, where the row's own is missing."""
    suffix: str = ""
    """``png``, ``jpg`` or ``webp``; empty for any."""
    quality: int = 0
    """Of lossy compression; 0 for the usual."""
    raw: bytes | None = None
    """The file's bytes, where they are no image's."""


@dataclass(frozen=True)
class Kind:
    """A kind of row."""

    make: Callable[[Scene], Plant | None]
    """None: this image does not lend itself to it."""
    count: int
    expect: str = ""
    """The rules that must not keep it as it is, separated by spaces."""
    allow: str = ""
    """Rules whose answer does not count: it may fire or not. ``*`` for all."""
    bases: int = 1
    clicks: str = "good"
    """``good``, ``low`` rate, ``few`` impressions or a ``tail`` product."""
    copy: bool = False
    """A copy of a clean row's image."""


def keep(scene: Scene) -> Plant:
    """The image as rendered."""
    return Plant(scene.pixels, scene.mask)


def repaint(draw: Callable[..., Pixels], *arguments: Any) -> Callable[[Scene], Plant]:
    """A maker that draws over all of the image: ``draw(pixels, *arguments, chance)``."""
    return lambda scene: Plant(draw(scene.pixels, *arguments, scene.chance), scene.mask)


def write(
    style: TextStyle, busy: bool | None, scene: Scene, pixels: Pixels | None = None, free: Mask | None = None
) -> Plant | None:
    """With text on the background, or where ``free`` is 1 of other ``pixels``."""
    pixels, free = scene.pixels if pixels is None else pixels, scene.free if free is None else free
    made = plant_text(pixels, free, style, scene.fonts, scene.chance, busy)
    return None if made is None else Plant(made[0], scene.mask, text=made[1])


def write_two(style: TextStyle, scene: Scene) -> Plant | None:
    """With two texts on the background."""
    first = write(style, None, scene)
    if first is None or first.text is None:
        return None
    free = scene.free * (ndimage.maximum_filter(first.text, 9) < 0.01)
    second = write(style, None, scene, first.pixels, free)
    if second is None or second.text is None:
        return None
    return replace(second, text=np.maximum(first.text, second.text))


def write_on_product(scene: Scene) -> Plant | None:
    """With a text on the product, well inside it."""
    inside = ndimage.minimum_filter((scene.mask > 0.99).astype(np.float32), 9)
    made = write(TextStyle(ALL, (0.03, 0.07)), None, scene, free=inside)
    return None if made is None else replace(made, text=None)


def place_icon(scene: Scene) -> Plant | None:
    """With a logo without letters on the background."""
    sprite = draw_icon(scene.pixels.shape[0], int(scene.pixels.mean()), scene.chance)
    place = find_place(sprite.size, scene.free, None, scene.chance)
    if place is None:
        return None
    pixels, share = paste(scene.pixels, sprite, place)
    return Plant(pixels, scene.mask, text=share)


def mark(tiled: bool, scene: Scene) -> Plant:
    """Under a watermark."""
    return Plant(draw_watermark(scene.pixels, tiled, scene.fonts, scene.chance), scene.mask)


def collect(scene: Scene) -> Plant:
    """Several images in one."""
    return Plant(*scenes.build_collage(scene.bases, scene.pixels.shape[0], scene.chance))


def set_before(backdrop: str, scene: Scene) -> Plant:
    """The product alone before a backdrop."""
    back = scenes.draw_backdrop(backdrop, scene.pixels.shape[0], scene.mask, scene.chance)
    return Plant(mix(back, scene.pixels, scene.mask), scene.mask)


def set_before_and_write(scene: Scene) -> Plant | None:
    """The product before a plain backdrop, with advertising text."""
    plain = set_before(str(scene.chance.choice(["white", "uniform", "gradient"])), scene).pixels
    return write(TextStyle(ALL), None, scene, plain)


def cut_out(scene: Scene) -> Plant:
    """The product alone on transparency, with no mask beside it."""
    return Plant(scene.pixels, None, alpha=scene.mask, truth=scene.mask, suffix="png")


def set_before_white_unmasked(scene: Scene) -> Plant:
    """The product on pure white, with no mask beside it."""
    return Plant(mix(np.full_like(scene.pixels, 255), scene.pixels, scene.mask), None, truth=scene.mask)


def misguide(fault: str, scene: Scene) -> Plant:
    """With a wrong mask."""
    other = scene.bases[-1].mask
    if other.shape != scene.mask.shape:
        other = resize(other, scene.mask.shape[0])
    return Plant(scene.pixels, scenes.break_mask(scene.mask, fault, other, scene.chance))


def copy(change: str, scene: Scene) -> Plant | None:
    """A near-duplicate of a clean row: overlay, recompress, resize, crop, colour."""
    pixels, mask, chance = scene.pixels, scene.mask, scene.chance
    if change == "overlay":
        return write(TextStyle(ALL, (0.05, 0.08), badge=True), None, scene)
    if change == "recompress":
        return Plant(pixels, mask, suffix="jpg", quality=int(chance.integers(30, 60)))
    if change == "resize":
        small = round(pixels.shape[0] * chance.uniform(0.62, 0.85))
        return Plant(resize(pixels, small), resize(mask, small))
    if change == "crop":
        left, top, right, bottom = (int(v) for v in (chance.uniform(0.01, 0.05, 4) * pixels.shape[0]))
        window = (slice(top, pixels.shape[0] - bottom), slice(left, pixels.shape[0] - right))
        return Plant(pixels[window], mask[window])
    gain = 1 + chance.uniform(-0.08, 0.08, 3)
    return Plant(to_bytes(pixels * gain + chance.uniform(-12, 12)), mask)


def shrink(scene: Scene) -> Plant:
    """Far too small."""
    side = int(scene.chance.integers(48, 150))
    return Plant(resize(scene.pixels, side), resize(scene.mask, side))


def stretch(scene: Scene) -> Plant:
    """A banner: five times as long as it is wide."""
    side = scene.pixels.shape[0]
    long = int(side * scene.chance.uniform(4, 6)) // 2
    upright = scene.chance.random() < 0.3
    size, step = ((side, long), np.s_[:, ::3]) if upright else ((long, side), np.s_[::3])
    strip = np.asarray(Image.fromarray(scene.pixels).resize(size))
    mask = np.asarray(Image.fromarray(scene.mask).resize(size), np.float32)
    return Plant(strip[step], mask[step].clip(0, 1))


def crush(scene: Scene) -> Plant:
    """Compressed until blocks show."""
    return Plant(scene.pixels, scene.mask, suffix="jpg", quality=int(scene.chance.integers(3, 11)))


def cut_short(scene: Scene) -> Plant:
    """A file that breaks off, is empty, or is no image."""
    stream = io.BytesIO()
    Image.fromarray(scene.pixels).save(stream, "JPEG", quality=90)
    data = stream.getvalue()
    files = [data[: int(len(data) * scene.chance.uniform(0.1, 0.8))], b"", b"not an image\n" * 20]
    raw = files[int(scene.chance.choice(3, p=[0.6, 0.2, 0.2]))]
    return Plant(scene.pixels, scene.mask, raw=raw, suffix="jpg")


def add_person(what: str, scene: Scene) -> Plant | None:
    """With a ``face``, ``bust``, ``body`` or ``part`` of a body beside the product."""
    made = scene.people.place(what, scene.pixels, scene.free, scene.chance)
    return None if made is None else Plant(made, scene.mask)


ALL = tuple(PHRASES)
TEXT, BLANK, MASK, PEOPLE, QUALITY = "text", "blank", "mask", "people", "quality"
_ASIAN = ("chinese", "japanese", "korean")
_WRITTEN: dict[str, tuple[int, TextStyle, bool | None]] = {
    "text_plain": (60, TextStyle(ALL), False),
    "text_busy": (50, TextStyle(ALL), True),
    "text_cjk": (40, TextStyle(_ASIAN, (0.05, 0.1)), None),
    "text_small": (30, TextStyle(ALL, (0.026, 0.04)), None),
    "text_large": (25, TextStyle(ALL, (0.1, 0.16)), None),
    "text_turned": (40, TextStyle(ALL, (0.05, 0.09), angle=(6, 35)), None),
    "text_outlined": (30, TextStyle(ALL, outline=True), None),
    "text_badge": (40, TextStyle(ALL, (0.04, 0.08), badge=True), None),
    "text_faint": (30, TextStyle(ALL, (0.06, 0.11), opacity=(0.35, 0.65)), None),
}
"""Kinds of text on the background: rows, look, and whether it lies on the busiest place."""
_LOGO = TextStyle(("latin",), (0.045, 0.08), symbol=True)
_BACKDROPS = {"white": 45, "uniform": 40, "gradient": 40, "vignette": 30, "shadow": 30}
_FAULTS = ("inverted", "shifted", "empty", "full", "other", "half", "blocky")

KINDS: dict[str, Kind] = {
    "clean": Kind(keep, 420),
    **{name: Kind(partial(write, look, busy), count, TEXT) for name, (count, look, busy) in _WRITTEN.items()},
    "text_two": Kind(partial(write_two, TextStyle(ALL, (0.035, 0.06), lines=2)), 30, TEXT),
    "logo_word": Kind(partial(write, _LOGO, None), 40, TEXT),
    "logo_icon": Kind(place_icon, 25, "", TEXT),
    "pack_text": Kind(write_on_product, 70),
    "watermark_tiled": Kind(partial(mark, True), 35, "watermark", TEXT),
    "watermark_single": Kind(partial(mark, False), 35, "watermark", TEXT),
    "frame_solid": Kind(repaint(scenes.draw_frame, "solid"), 20, QUALITY),
    **{f"frame_{n}": Kind(repaint(scenes.draw_frame, n), 15, QUALITY) for n in ("double", "round", "bars")},
    **{f"collage_{n}": Kind(collect, count, QUALITY, MASK, n) for n, count in ((2, 20), (3, 12), (4, 12))},
    **{f"blank_{name}": Kind(partial(set_before, name), count, BLANK) for name, count in _BACKDROPS.items()},
    "blank_cutout": Kind(cut_out, 20, BLANK),
    "blank_unmasked": Kind(set_before_white_unmasked, 20, BLANK),
    "blank_text": Kind(set_before_and_write, 15, "", f"{BLANK} {TEXT}"),
    "two_tone": Kind(partial(set_before, "two_tone"), 20, "", BLANK),
    "copy_resize": Kind(partial(copy, "resize"), 28, "duplicates", copy=True),
    "copy_crop": Kind(partial(copy, "crop"), 28, "duplicates", copy=True),
    "copy_recompress": Kind(partial(copy, "recompress"), 28, "duplicates", QUALITY, copy=True),
    "copy_colour": Kind(partial(copy, "colour"), 28, "duplicates", copy=True),
    "copy_overlay": Kind(partial(copy, "overlay"), 28, f"duplicates {TEXT}", copy=True),
    **{
        f"mask_{n}": Kind(partial(misguide, n), 25, MASK, f"{QUALITY} {BLANK} {TEXT}", 1 + (n == "other"))
        for n in _FAULTS
    },
    "clicks_low": Kind(keep, 50, "clicks", clicks="low"),
    "clicks_few": Kind(keep, 25, "clicks", clicks="few"),
    "clicks_tail": Kind(keep, 35, "clicks", clicks="tail"),
    "tiny": Kind(shrink, 25, "size", "*"),
    "banner": Kind(stretch, 20, "size", "*"),
    "blurred": Kind(repaint(scenes.blur), 40, QUALITY, f"{MASK} {BLANK}"),
    "crushed": Kind(crush, 40, QUALITY, f"{MASK} {TEXT} {BLANK}"),
    "broken_file": Kind(cut_short, 15, "reading"),
    "face": Kind(partial(add_person, "face"), 45, PEOPLE, TEXT),
    "bust": Kind(partial(add_person, "bust"), 35, PEOPLE, f"{TEXT} {QUALITY}"),
    "body": Kind(partial(add_person, "body"), 40, PEOPLE),
    "body_part": Kind(partial(add_person, "part"), 20, "", PEOPLE),
}
"""All kinds, in the order of their rows before shuffling."""
