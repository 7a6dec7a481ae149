"""Which glyphs stand where on a line?

HarfBuzz shapes each stretch of one direction, script, face and span, with the rest of the line as context.
Lengths are in ems of the block (a block set at 40 px: times 40), x to the right, y down from the baseline.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from cyclorama.typography.fonts import FontFace, hb
from cyclorama.typography.itemise import SOFT_HYPHEN, Paragraph, Trait
from cyclorama.typography.records import TextBlock

Extent = tuple[float, float, float, float]
"""(left, top, right, bottom)."""
CAPITALS = 0.714
"""Height of capitals where a face does not say, in ems."""


class Glyph(NamedTuple):
    """A glyph on its line."""

    number: int
    """In its face; 0 is the box for a missing letter."""
    cluster: int
    """Index, in the line's text, of the first character that it stands for."""
    x: float
    y: float


@dataclass(frozen=True)
class GlyphRun:
    """Glyphs of one stretch, from left to right."""

    face: FontFace
    scale: float
    """Its size in ems of the block."""
    start: int
    end: int
    """The stretch in the line's text."""
    rtl: bool
    script: str
    glyphs: tuple[Glyph, ...]


@dataclass(frozen=True)
class ShapedLine:
    """A line, its baseline's left end at (0, 0)."""

    start: int
    end: int
    """What of the block's text it accounts for, with spaces at its ends and a line end after it."""
    text: str
    """What is drawn."""
    offset: int
    """Where ``text`` begins in the block's text."""
    runs: tuple[GlyphRun, ...]
    """From left to right."""
    advance: float
    ink: Extent | None
    """Smallest box round the outlines; None if nothing is seen."""


def shape_line(paragraph: Paragraph, start: int, end: int, block: TextBlock) -> ShapedLine:
    """The line that holds ``paragraph.text[start:end]``; spaces at its ends are not drawn.

    A soft hyphen at its end becomes a hyphen.
    """
    first, last = start, end
    while last > first and paragraph.text[last - 1] in " \u3000\u200b":
        last -= 1
    while first < last and paragraph.text[first] in " \u200b":
        first += 1
    text, traits = paragraph.text[first:last], paragraph.traits[first:last]
    if text.endswith(SOFT_HYPHEN) and end < len(paragraph.text):
        text = text[:-1] + "-"
    runs, x = [], 0.0
    ends: list[Extent] = []
    for begin, stop in _split(traits):
        run, width, ink = _shape_run(text, (begin, stop), traits[begin], block, x)
        runs.append(run)
        x += width
        ends += [ink] if ink else []
    ink = None
    if ends:
        lefts, tops, rights, bottoms = zip(*ends, strict=True)
        ink = (min(lefts), min(tops), max(rights), max(bottoms))
    covered = end + (1 if end == len(paragraph.text) else 0)
    at = paragraph.start
    return ShapedLine(at + start, at + covered, text, at + first, tuple(runs), x, ink)


def _split(traits: tuple[Trait, ...]) -> list[tuple[int, int]]:
    """Stretches alike in everything, from left to right."""
    starts = [0] if traits else []
    for index, (before, here) in enumerate(pairwise(traits), 1):
        step = -1 if here.odd else 1
        if before[1:] != here[1:] or here.place != before.place + step:
            starts.append(index)
    stretches = list(pairwise([*starts, len(traits)]))
    return sorted(stretches, key=lambda stretch: traits[stretch[0]].place)


def _shape_run(
    text: str, stretch: tuple[int, int], trait: Trait, block: TextBlock, x: float
) -> tuple[GlyphRun, float, Extent | None]:
    """The run of ``stretch``, its width and its ink if its left end is at ``x``."""
    face, span = trait.face, block.words[trait.span]
    shaped = shape_text(face, text, stretch, (trait.odd, trait.script, block.language))
    unit = span.scale / face.upem
    lift = face.measure("CAP_HEIGHT", CAPITALS) * (1 - span.scale) if span.raised else 0.0
    glyphs, extents, pen = [], [], x
    for number, cluster, advance, dx, dy in shaped:
        left, up = pen + dx * unit, lift + dy * unit
        glyphs.append(Glyph(number, cluster, left, -up))
        box = measure_glyph(face, number)
        if box is not None:
            extents.append(
                (left + box[0] * unit, box[1] * unit - up, left + box[2] * unit, box[3] * unit - up)
            )
        pen += advance * unit
    ink = None
    if extents:
        lefts, tops, rights, bottoms = zip(*extents, strict=True)
        ink = (min(lefts), min(tops), max(rights), max(bottoms))
    run = GlyphRun(face, span.scale, *stretch, trait.odd, trait.script, tuple(glyphs))
    return run, pen - x, ink


def shape_text(
    face: FontFace, text: str, stretch: tuple[int, int], manner: tuple[bool, str, str]
) -> list[tuple[int, int, int, int, int]]:
    """(glyph, cluster, advance, x offset, y offset) from left to right, in the face's units, y up.

    ``stretch`` of ``text`` is shaped, the rest is context; ``manner``: from right to left, script, language.
    """
    if stretch[0] == stretch[1]:
        return []
    rtl, script, language = manner
    buffer = hb.Buffer()
    buffer.add_codepoints([ord(letter) for letter in text], stretch[0], stretch[1] - stretch[0])
    buffer.direction = "rtl" if rtl else "ltr"
    buffer.script = script
    buffer.language = language
    hb.shape(face.font, buffer)
    return [
        (info.codepoint, info.cluster, place.x_advance, place.x_offset, place.y_offset)
        for info, place in zip(buffer.glyph_infos, buffer.glyph_positions, strict=True)
    ]


@lru_cache(maxsize=65536)
def measure_glyph(face: FontFace, number: int) -> Extent | None:
    """The box of a glyph's outline in the face's units, y down; None if it has no outline."""
    box = face.font.get_glyph_extents(number)
    if box is None or not (box.width and box.height):
        return None
    return box.x_bearing, -box.y_bearing, box.x_bearing + box.width, -box.y_bearing - box.height
