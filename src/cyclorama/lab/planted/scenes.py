"""Rendered images, and what makes a raw shop image of them: backdrops, frames, collages, faults.

Every function takes and gives uint8 (H, W, 3) pixels and float32 (H, W) masks with 1 = product, and draws
all chance from the generator it is given.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageOps
from scipy import ndimage

from cyclorama.data.shards import ShardEntry, scan_shard

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.float32]
Chance = np.random.Generator


@dataclass(frozen=True, eq=False)
class Base:
    """A rendered image at the size it is planted at."""

    pixels: Pixels
    mask: Mask
    labels: dict[str, Any]


@cache
def list_bases(folder: Path) -> list[ShardEntry]:
    """Where the members of every rendered image lie, in the order of their keys."""
    found = {entry.key: entry for shard in sorted(folder.glob("*.tar")) for entry in scan_shard(str(shard))}
    return [found[key] for key in sorted(found)]


def open_base(entry: ShardEntry, side: int, chance: Chance) -> Base:
    """A rendered image enlarged to ``side``, sharpened, with the grain of a camera."""
    labels = json.loads(entry.read("json"))
    image = Image.open(io.BytesIO(entry.read("png"))).convert("RGB")
    mask = Image.open(io.BytesIO(entry.read("mask.png"))).convert("L")
    large = image.resize((side, side), Image.Resampling.LANCZOS)
    large = large.filter(ImageFilter.UnsharpMask(radius=side / 400, percent=90, threshold=0))
    grain = chance.normal(0, 1.1, (side, side, 1)) + chance.normal(0, 0.6, (side, side, 3))
    pixels = to_bytes(np.asarray(large, np.float32) + grain)
    soft = np.asarray(mask.resize((side, side), Image.Resampling.BICUBIC), np.float32) / 255
    return Base(pixels, np.clip(soft, 0, 1), labels)


def to_bytes(values: npt.NDArray[Any]) -> Pixels:
    """``values`` as uint8, rounded and cut off at 0 and 255."""
    return values.clip(0, 255).round().astype(np.uint8)


def mix(first: npt.NDArray[Any], second: npt.NDArray[Any], share: npt.NDArray[Any]) -> Pixels:
    """``first`` where ``share`` (H, W) is 0, ``second`` where it is 1."""
    part = share[..., None]
    return to_bytes(first * (1.0 - part) + second * part)


def pick_colour(chance: Chance, low: int = 0, high: int = 255) -> tuple[int, int, int]:
    """A colour with every channel in ``low`` … ``high``."""
    red, green, blue = (int(v) for v in chance.integers(low, high + 1, 3))
    return red, green, blue


def draw_backdrop(kind: str, side: int, mask: Mask, chance: Chance) -> Pixels:
    """A studio backdrop (side, side, 3) without any content.

    ``white``, ``uniform``, ``gradient`` (straight or round), ``vignette`` (a lit paper wall with grain),
    ``two_tone`` (a bare wall above a bare floor), ``shadow`` (white, the product's soft shadow on it).
    """
    rows, columns = np.mgrid[0:side, 0:side] / (side - 1)
    if kind == "white":
        return np.full((side, side, 3), chance.choice([255, 255, 255, 254, 250, 246]), np.uint8)
    if kind == "uniform":
        colour = np.array(pick_colour(chance, 20, 245), np.float32)
        return to_bytes(colour + chance.normal(0, chance.uniform(0, 1.2), (side, side, 3)))
    if kind == "gradient":
        first, second = (np.array(pick_colour(chance, 60, 255), np.float32) for _ in range(2))
        second = first + 0.55 * (second - first)
        angle = chance.uniform(0, 2 * np.pi)
        share = (rows - 0.5) * np.sin(angle) + (columns - 0.5) * np.cos(angle) + 0.5
        if chance.random() < 0.5:
            share = np.hypot(rows - chance.uniform(0.3, 0.6), columns - chance.uniform(0.35, 0.65))
        return mix(first, second, share.clip(0, 1))
    if kind == "vignette":
        colour = np.array(pick_colour(chance, 140, 250), np.float32)
        far = np.hypot(rows - 0.45, columns - 0.5)
        lit = colour * (1.03 - chance.uniform(0.15, 0.4) * far**2)[..., None]
        return to_bytes(lit + chance.normal(0, 1.5, (side, side, 1)))
    if kind == "two_tone":
        wall, floor = (np.array(pick_colour(chance, 90, 250), np.float32) for _ in range(2))
        edge = int(chance.uniform(0.55, 0.8) * side)
        room = np.repeat(np.where(np.arange(side)[:, None] < edge, wall, floor)[:, None], side, 1)
        return to_bytes(room + chance.normal(0, 1.0, (side, side, 1)))
    paper = np.full((side, side), float(chance.uniform(240, 255)), np.float32)
    drop = ndimage.shift(mask, (0.02 * side, chance.uniform(-0.04, 0.04) * side), order=0)
    shade = ndimage.gaussian_filter(drop, 0.02 * side) * chance.uniform(0.15, 0.45)
    return np.repeat((paper * (1 - shade))[..., None], 3, 2).round().astype(np.uint8)


def draw_frame(pixels: Pixels, style: str, chance: Chance) -> Pixels:
    """``pixels`` with a frame over its rim: ``solid``, ``double``, ``round``, ``bars`` (above and below)."""
    height, width = pixels.shape[:2]
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    wide = max(3, int(chance.uniform(0.02, 0.07) * width))
    colour = pick_colour(chance)
    if style in ("solid", "double"):
        draw.rectangle((0, 0, width - 1, height - 1), outline=colour, width=wide)
        if style == "double":
            inner = wide + max(3, wide // 3)
            box = (inner, inner, width - 1 - inner, height - 1 - inner)
            draw.rectangle(box, outline=pick_colour(chance), width=max(2, wide // 6))
    elif style == "round":
        hole = Image.new("L", (width, height), 255)
        box = (wide, wide, width - 1 - wide, height - 1 - wide)
        ImageDraw.Draw(hole).rounded_rectangle(box, radius=4 * wide, fill=0)
        image.paste(Image.new("RGB", (width, height), colour), mask=hole)
    else:
        bar = int(chance.uniform(0.07, 0.14) * height)
        dark = (0, 0, 0) if chance.random() < 0.6 else (255, 255, 255)
        draw.rectangle((0, 0, width, bar), fill=dark)
        draw.rectangle((0, height - bar, width, height), fill=dark)
    return np.asarray(image)


def build_collage(bases: list[Base], side: int, chance: Chance) -> tuple[Pixels, Mask]:
    """Two to four images in one, with or without gutters, and the mask of all their products."""
    gap = int(chance.choice([0, 0, 4, 8, 14]))
    half = (side - gap) // 2
    far = side - half
    layouts = {
        2: [[(0, 0, half, side), (far, 0, half, side)], [(0, 0, side, half), (0, far, side, half)]],
        3: [[(0, 0, half, side), (far, 0, half, half), (far, far, half, half)]],
        4: [[(0, 0, half, half), (far, 0, half, half), (0, far, half, half), (far, far, half, half)]],
    }
    cells = layouts[len(bases)][int(chance.integers(len(layouts[len(bases)])))]
    back = 255 if chance.random() < 0.7 else 20
    pixels = np.full((side, side, 3), back, np.uint8)
    mask = np.zeros((side, side), np.float32)
    for base, (left, top, width, height) in zip(bases, cells):
        image, product = (  # the middle that fills the cell
            np.asarray(ImageOps.fit(Image.fromarray(layer), (width, height), Image.Resampling.LANCZOS))
            for layer in (base.pixels, (base.mask * 255).astype(np.uint8))
        )
        pixels[top : top + height, left : left + width] = image
        mask[top : top + height, left : left + width] = product.astype(np.float32) / 255
    return pixels, mask


def blur(pixels: Pixels, chance: Chance) -> Pixels:
    """Out of focus, or shaken."""
    side = max(pixels.shape[:2])
    if chance.random() < 0.6:
        sigma = chance.uniform(0.007, 0.014) * side
        return to_bytes(ndimage.gaussian_filter(pixels.astype(np.float32), (sigma, sigma, 0)))
    length = int(chance.uniform(0.035, 0.06) * side)
    angle = chance.uniform(0, np.pi)
    total = np.zeros(pixels.shape, np.float32)
    for step in np.linspace(-0.5, 0.5, length):
        total += np.roll(
            pixels, (round(step * length * np.sin(angle)), round(step * length * np.cos(angle))), (0, 1)
        )
    return to_bytes(total / length)


def break_mask(mask: Mask, fault: str, other: Mask, chance: Chance) -> Mask:
    """``mask`` as a careless step would have left it; ``other`` is another product's."""
    side = mask.shape[0]
    simple = {"inverted": 1 - mask, "empty": np.zeros_like(mask), "full": np.ones_like(mask), "other": other}
    if fault in simple:
        return simple[fault]
    if fault == "shifted":
        length = chance.uniform(0.07, 0.15) * side
        angle = chance.uniform(0, 2 * np.pi)
        shift = (length * np.sin(angle), length * np.cos(angle))
        return np.asarray(ndimage.shift(mask, shift, order=0), np.float32)
    if fault == "half":
        broken = mask.copy()
        turned = broken if chance.random() < 0.5 else broken.T  # a view: what it loses, broken loses
        places = np.flatnonzero((turned > 0.5).any(1))
        turned[: (places[0] + places[-1]) // 2] = 0
        return broken
    cell = side // int(chance.choice([10, 14, 18]))  # blocky
    small = Image.fromarray((mask * 255).astype(np.uint8)).resize((side // cell, side // cell))
    blocks = np.asarray(small.resize((side, side), Image.Resampling.NEAREST))
    return (blocks > 127).astype(np.float32)


def resize(layer: npt.NDArray[Any], side: int) -> npt.NDArray[Any]:
    """``layer``, pixels or a mask, with ``side`` as its width, its shape kept."""
    height = round(layer.shape[0] * side / layer.shape[1])
    resized = np.asarray(Image.fromarray(layer).resize((side, height), Image.Resampling.LANCZOS))
    return resized if layer.dtype == np.uint8 else resized.clip(0, 1)
