"""Advertising text, logos and watermarks, drawn with whatever fonts installed packages carry.

Pillow brings one scalable font of Latin letters; ``find_fonts`` adds those of packages unpacked into a
folder, each with the scripts it can write (found by looking for its glyphs, not by its name).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from cyclorama.lab.planted.scenes import Chance, Mask, Pixels, mix, pick_colour

PHRASES: dict[str, tuple[str, ...]] = {
    "latin": (
        "SALE", "50% OFF", "Buy 1 Get 1 Free", "New Season", "Free shipping", "Only today!", "BEST PRICE",
        "Limited Edition", "Save $20", "Official Store", "Pure & Natural", "Now 19.99", "Top Seller",
        "Up to -70%", "Winter Deals", "Order now", "100% Original", "3 pcs / 59.90", "MEGA DEAL",
        "Final hours",
    ),
    "accented": (
        "Größte Auswahl", "Soldes d'été", "Última oportunidad", "Très léger", "Año nuevo", "Für dich",
    ),
    "cyrillic": ("Скидка 50%", "Новинка", "Только сегодня", "Бесплатная доставка", "Лучшая цена"),
    "greek": ("Προσφορά", "Νέα συλλογή", "Μόνο σήμερα"),
    "chinese": (
        "限时特惠", "买一送一", "官方旗舰店", "新品上市", "全场五折起", "正品保证", "满300减50", "次日送达",
        "双十一狂欢价", "天然萃取", "立即抢购", "第二件半价",
    ),
    "japanese": ("期間限定セール", "送料無料", "今だけポイント10倍", "新発売", "お買い得"),
    "korean": ("오늘만 할인", "무료 배송", "신상품 출시", "한정 판매", "특가 세일"),
}  # fmt: skip
"""What advertisements say, by script."""
_BRANDS = ("Novera", "LUMO", "Kestrel", "Arbor & Co", "VANTE", "Ostrea", "Milbo", "HALDEN", "Pirou", "Quill")
_BLANK = ImageDraw.Draw(Image.new("L", (1, 1)))
_NO_TEXT_FONTS = ("cmex", "cmmi", "cmsy", "Siz", "NonUni", "Display", "LastResort")  # codespell:ignore


@dataclass(frozen=True)
class Fonts:
    """Font files by script; an empty path is Pillow's own."""

    by_script: dict[str, tuple[str, ...]] = field(default_factory=lambda: {"latin": ("",)})

    def pick(self, script: str, size: int, chance: Chance) -> Any:
        """A font of ``size`` pixels that can write ``script``."""
        files = self.by_script[script]
        file = files[int(chance.integers(len(files)))]
        return ImageFont.truetype(file, size) if file else ImageFont.load_default(size)


@cache
def find_fonts(folder: Path | None) -> Fonts:
    """Pillow's font and all below ``folder``."""
    found: dict[str, list[str]] = {script: [] for script in PHRASES}
    found["latin"].append("")
    files = [] if folder is None else [p for end in ("ttf", "otf") for p in folder.rglob(f"*.{end}")]
    for path in sorted(files, key=lambda p: p.name):
        if any(word in path.name for word in _NO_TEXT_FONTS):
            continue
        font = ImageFont.truetype(str(path), 24)
        missing = bytes(font.getmask("\U0010fffe"))
        for script, phrases in PHRASES.items():
            if all(bytes(font.getmask(letter)) != missing for letter in set("".join(phrases))):
                found[script].append(str(path))
    return Fonts({script: tuple(names) for script, names in found.items() if names})


@dataclass(frozen=True)
class TextStyle:
    """How a text looks. Sizes are shares of the image's side."""

    scripts: tuple[str, ...] = ("latin",)
    size: tuple[float, float] = (0.05, 0.1)
    angle: tuple[float, float] = (0.0, 0.0)
    """Degrees, either way."""
    opacity: tuple[float, float] = (1.0, 1.0)
    outline: bool = False
    badge: bool = False
    """On a plate of its own."""
    symbol: bool = False
    """A sign before the words, as in a logo."""
    lines: int = 1


def draw_sprite(style: TextStyle, side: int, ground: int, fonts: Fonts, chance: Chance) -> Image.Image:
    """An RGBA image of a text, cropped to it; readable on a background of brightness ``ground``."""
    scripts = [s for s in style.scripts if s in fonts.by_script] or ["latin"]
    script = scripts[int(chance.integers(len(scripts)))]
    words = _BRANDS if style.symbol else PHRASES[script]
    text = "\n".join(words[int(chance.integers(len(words)))] for _ in range(style.lines))
    size = max(11, int(chance.uniform(*style.size) * side))
    font = fonts.pick(script, size, chance)
    stroke = max(1, size // 12) if style.outline else 0
    left, top, right, bottom = map(int, _BLANK.multiline_textbbox((0, 0), text, font, stroke_width=stroke))
    pad = size // 2 if style.badge else 2
    sign = size + size // 3 if style.symbol else 0
    wide, high = right - left + 2 * pad + sign, bottom - top + 2 * pad
    sprite = Image.new("RGBA", (wide, high), (0, 0, 0, 0))
    draw = ImageDraw.Draw(sprite)
    ink = pick_colour(chance, 0, 90) if ground > 127 else pick_colour(chance, 165, 255)
    if style.badge:
        plate = ink
        ink = pick_colour(chance, 215, 255) if max(plate) < 128 else pick_colour(chance, 0, 50)
        radius = int(chance.choice([0, high // 4, high // 2]))
        draw.rounded_rectangle((0, 0, wide - 1, high - 1), radius=radius, fill=(*plate, 255))
    if style.symbol:
        draw_symbol(draw, (pad, (high - size) // 2, size), ink, chance)
    edge = pick_colour(chance, 215, 255) if max(ink) < 128 else pick_colour(chance, 0, 40)
    draw.multiline_text(
        (pad + sign - left, pad - top), text, (*ink, 255), font, stroke_width=stroke, stroke_fill=(*edge, 255)
    )
    angle = chance.uniform(*style.angle) * chance.choice([-1, 1])
    if abs(angle) > 0.5:
        sprite = sprite.rotate(angle, Image.Resampling.BICUBIC, expand=True)
    opacity = chance.uniform(*style.opacity)
    sprite.putalpha(sprite.getchannel("A").point(lambda a: round(a * opacity)))
    return sprite


def draw_symbol(
    draw: ImageDraw.ImageDraw, place: tuple[int, int, int], ink: tuple[int, int, int], chance: Chance
) -> None:
    """A simple sign in the square ``place`` (left, top, side)."""
    left, top, side = place
    right, bottom, half = left + side, top + side, side // 2
    kind = int(chance.integers(4))
    wide, colour = max(2, side // 7), (*ink, 255)
    if kind == 0:
        draw.ellipse((left, top, right, bottom), outline=colour, width=wide)
        draw.pieslice((left, top, right, bottom), 200, 340, fill=colour)
    elif kind == 1:
        corners = [(left + side / 2, top), (right, bottom), (left, bottom)]
        draw.polygon(corners, outline=colour, width=wide)
    elif kind == 2:
        draw.rectangle((left, top, left + half, top + half), fill=colour)
        draw.ellipse((left + half, top + half, right, bottom), fill=colour)
    else:
        turns = np.arange(10) * np.pi / 5 - np.pi / 2
        far = np.where(np.arange(10) % 2 == 0, side / 2, side / 5)
        star = np.stack([left + side / 2 + far * np.cos(turns), top + side / 2 + far * np.sin(turns)], 1)
        draw.polygon([(float(x), float(y)) for x, y in star], fill=colour)


def draw_icon(side: int, ground: int, chance: Chance) -> Image.Image:
    """A logo without letters."""
    size = int(chance.uniform(0.09, 0.16) * side)
    sprite = Image.new("RGBA", (size + 2, size + 2), (0, 0, 0, 0))
    ink = pick_colour(chance, 0, 90) if ground > 127 else pick_colour(chance, 165, 255)
    draw_symbol(ImageDraw.Draw(sprite), (0, 0, size), ink, chance)
    return sprite


def find_place(
    size: tuple[int, int], free: Mask, rough: Mask | None, chance: Chance
) -> tuple[int, int] | None:
    """(left, top) where a sprite of ``size`` (width, height) lies where ``free`` is 1 throughout, or None.

    With ``rough`` (H, W), the place among several with the greatest mean of it.
    """
    width, height = size
    high, wide = free.shape
    if width >= wide - 8 or height >= high - 8:
        return None
    taken = np.pad((free < 0.5).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    best: tuple[float, tuple[int, int]] | None = None
    for _ in range(400):
        left, top = int(chance.integers(4, wide - width - 3)), int(chance.integers(4, high - height - 3))
        right, bottom = left + width, top + height
        if taken[bottom, right] - taken[top, right] - taken[bottom, left] + taken[top, left]:
            continue
        if rough is None:
            return left, top
        value = float(rough[top:bottom, left:right].mean())
        if best is None or value > best[0]:
            best = (value, (left, top))
    return None if best is None else best[1]


def paste(pixels: Pixels, sprite: Image.Image, place: tuple[int, int]) -> tuple[Pixels, Mask]:
    """``pixels`` with ``sprite`` at ``place``, and the sprite's opacity (H, W)."""
    layer = Image.new("RGBA", (pixels.shape[1], pixels.shape[0]))
    layer.paste(sprite, place)
    drawn = np.asarray(layer, np.float32)
    share = drawn[..., 3] / np.float32(255)
    return mix(pixels, drawn[..., :3], share), share


def measure_roughness(pixels: Pixels) -> Mask:
    """How busy each place of an image is (H, W): the local spread of its brightness."""
    grey = pixels.astype(np.float32).mean(2)
    mean = ndimage.uniform_filter(grey, 31)
    return np.asarray(np.sqrt(np.maximum(ndimage.uniform_filter(grey**2, 31) - mean**2, 0)), np.float32)


def plant_text(
    pixels: Pixels, free: Mask, style: TextStyle, fonts: Fonts, chance: Chance, busy: bool | None = None
) -> tuple[Pixels, Mask] | None:
    """``pixels`` with one text where ``free`` is 1, and the text's opacity (H, W); None if none fits.

    ``busy``: on the busiest free place, or (False) on the plainest.
    """
    side = max(pixels.shape[:2])
    rough = None if busy is None else measure_roughness(pixels) * (1 if busy else -1)
    ground = int(pixels[free > 0.5].mean()) if (free > 0.5).any() else 127
    for attempt in range(8):
        shrink = 0.85**attempt
        smaller = replace(style, size=(style.size[0] * shrink, style.size[1] * shrink))
        seed = int(chance.integers(2**32))
        sprite = draw_sprite(smaller, side, ground, fonts, np.random.default_rng(seed))
        place = find_place(sprite.size, free, rough, chance)
        if place is None:
            continue
        box = pixels[place[1] : place[1] + sprite.height, place[0] : place[0] + sprite.width]
        # the same sprite in an ink that is readable where it lies
        sprite = draw_sprite(smaller, side, int(box.mean()), fonts, np.random.default_rng(seed))
        return paste(pixels, sprite, place)
    return None


def draw_watermark(pixels: Pixels, tiled: bool, fonts: Fonts, chance: Chance) -> Pixels:
    """``pixels`` under a half-transparent name, once across the middle or tiled all over."""
    height, width = pixels.shape[:2]
    side = max(height, width)
    level = 255 if pixels.mean() < 150 else 20
    size = int(side * (chance.uniform(0.04, 0.06) if tiled else chance.uniform(0.11, 0.17)))
    script = str(chance.choice([s for s in ("latin", "latin", "chinese") if s in fonts.by_script]))
    font = fonts.pick(script, size, chance)
    words = str(chance.choice(PHRASES["chinese"] if script == "chinese" else _BRANDS))
    words = f"© {words}" if script == "latin" else words
    box = _BLANK.textbbox((0, 0), words, font)
    wide, high = int(box[2] - box[0]), int(box[3] - box[1])
    layer = Image.new("L", (2 * side, 2 * side), 0)
    draw = ImageDraw.Draw(layer)
    if tiled:
        for row, y in enumerate(range(0, 2 * side, high + int(1.6 * size))):
            for x in range((row % 2) * (wide // 2) - wide, 2 * side, wide + 2 * size):
                draw.text((x, y), words, 255, font)
    else:
        draw.text((side - wide / 2 - box[0], side - high / 2 - box[1]), words, 255, font)
    turned = layer.rotate(float(chance.uniform(15, 40)), Image.Resampling.BICUBIC)
    left, top = side - width // 2, side - height // 2
    opacity = chance.uniform(0.22, 0.45)
    share = np.asarray(turned.crop((left, top, left + width, top + height)), np.float32) / 255 * opacity
    return mix(pixels, np.full((1, 1, 3), level, np.float32), share)
