"""How large can a text be set in its box, and where do its lines break?

The largest size, in steps of half a pixel, at which the outlines stay inside the box. The number of lines is
the smallest possible at that size; then the breaks are chosen that make them most alike in length, so that no
word stands alone on the last line where that can be helped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from cyclorama.errors import TextFitError, UnbreakableWordError
from cyclorama.types import Size
from cyclorama.typography.fonts import find_faces
from cyclorama.typography.itemise import Paragraph, find_direction, itemise
from cyclorama.typography.proof import check_spelling
from cyclorama.typography.records import BoxPixels, TextBlock
from cyclorama.typography.shaping import CAPITALS, Extent, ShapedLine, shape_line

STEP = 0.5
"""Sizes are multiples of this, in pixels."""
_GAP = 0.04
"""Smallest distance between the outlines of two lines, in ems."""
_X_HEIGHT = 0.5
"""Of a face that does not say, in ems."""
_TOLERANCE = 1e-6
_PAUSES = (",", ";", ":", ".", "!", "?", "…", "–", "—", "،", "؛", "؟", "、", "。", "，")
_PAUSE = 0.4
"""Gap that a line may have more to end at a pause, as a share of the width."""


@dataclass(frozen=True)
class SetText:
    """A text in its box."""

    block: TextBlock
    box: BoxPixels
    size: float
    """Pixels to the em."""
    lines: tuple[ShapedLine, ...]
    origins: tuple[tuple[float, float], ...]
    """Left end of each line's baseline in pixels of the canvas."""
    rtl: bool

    @property
    def ink(self) -> BoxPixels:
        """The smallest box round all outlines, in pixels."""
        boxes = [
            (
                x + line.ink[0] * self.size,
                y + line.ink[1] * self.size,
                x + line.ink[2] * self.size,
                y + line.ink[3] * self.size,
            )
            for line, (x, y) in zip(self.lines, self.origins, strict=True)
            if line.ink is not None
        ]
        lefts, tops, rights, bottoms = zip(*boxes, strict=True)
        return min(lefts), min(tops), max(rights), max(bottoms)

    @property
    def fonts(self) -> tuple[str, ...]:
        """Names of the faces that drew it, the first met first."""
        return tuple(dict.fromkeys(run.face.name for line in self.lines for run in line.runs))


def fit_text(block: TextBlock, box: BoxPixels, canvas: Size) -> SetText:
    """``block`` as large as ``box`` allows, on a canvas of (height, width) pixels; its spelling is proved.

    Raises TextFitError, UnbreakableWordError (too long at the smallest legible size), MissingGlyphError,
    EmojiError, TextError, FontFileError, SpellingError. Invariants: no outline leaves the box; at the next
    half pixel one would, unless ``max_size`` is reached.
    """
    style = block.style
    faces = [find_faces(style.fonts, span.weight or style.weight) for span in block.words]
    rtl = find_direction(block)
    setter = _Setter(block, itemise(block, faces, rtl), rtl)
    main = find_faces(style.fonts, style.weight)[0]
    smallest = style.min_x_height * min(canvas) / main.measure("X_HEIGHT", _X_HEIGHT)
    low = max(1, -int(-smallest // STEP))
    high = int(min((box[3] - box[1]) / setter.capitals, style.max_size or float("inf")) // STEP)
    if high < low or (best := setter.set(low * STEP, box)) is None:
        raise _explain(setter, low * STEP, box)
    while low < high:
        middle = (low + high + 1) // 2
        tried = setter.set(middle * STEP, box)
        if tried is None:
            high = middle - 1
        else:
            low, best = middle, tried
    check_spelling(block, best.lines)
    return best


def measure_widths(block: TextBlock, most: int = 3) -> tuple[float, ...]:
    """Width in ems of ``block`` on 1, 2 … ``most`` lines at the least, each line break where one is allowed.

    Falling, and no longer than further lines make it narrower; infinite for fewer lines than its own line
    ends allow. Raises as :func:`fit_text` does for what no size can set.
    """
    style = block.style
    faces = [find_faces(style.fonts, span.weight or style.weight) for span in block.words]
    rtl = find_direction(block)
    setter = _Setter(block, itemise(block, faces, rtl), rtl)
    widest = setter.find_widest()
    fewest = setter.count_lines(widest)
    found = [math.inf] * (fewest - 1)
    for count in range(fewest, max(fewest, most) + 1):
        low, high = 0.0, widest
        for _ in range(20):
            middle = (low + high) / 2
            if 0 < setter.count_lines(middle) <= count:
                high = middle
            else:
                low = middle
        if found and high > found[-1] - 1e-3:
            break
        found.append(high)
    return tuple(found)


class _Setter:
    """Sets one block at one size after another; lines that come again are shaped once."""

    def __init__(self, block: TextBlock, paragraphs: Sequence[Paragraph], rtl: bool) -> None:
        self.block, self.paragraphs, self.rtl = block, paragraphs, rtl
        self._lines: dict[tuple[int, int, int], ShapedLine] = {}
        main = find_faces(block.style.fonts, block.style.weight)[0]
        self.capitals = main.measure("CAP_HEIGHT", CAPITALS)
        self._widths = [self._measure(number) for number in range(len(paragraphs))]

    def shape(self, number: int, start: int, end: int) -> ShapedLine:
        """A line of paragraph ``number``."""
        key = (number, start, end)
        if key not in self._lines:
            self._lines[key] = shape_line(self.paragraphs[number], start, end, self.block)
        return self._lines[key]

    def _measure(self, number: int) -> list[float]:
        """Widths in ems of the paragraph up to each of its breaks, each stretch between two shaped alone."""
        stops = (0, *self.paragraphs[number].breaks)
        return [0.0, *accumulate(self._width(number, start, end) for start, end in pairwise(stops))]

    def _width(self, number: int, start: int, end: int) -> float:
        line = self.shape(number, start, end)
        return max(line.advance, line.ink[2] - line.ink[0]) if line.ink else line.advance

    def find_lines(self, number: int, width: float) -> list[ShapedLine] | None:
        """Lines of paragraph ``number`` within ``width`` ems, as few and as even as can be, and where that is
        much the same broken at a pause; or None."""
        text = self.paragraphs[number].text
        stops = (0, *self.paragraphs[number].breaks)
        if len(stops) == 1 or stops[-1] == 0:
            return [self.shape(number, 0, 0)]
        # best[j]: (lines, sum of squared gaps less that of pauses, minus the place before) up to the break j
        best: list[tuple[int, float, int] | None] = [(0, 0.0, 0)] + [None] * (len(stops) - 1)
        for last in range(1, len(stops)):
            for first in range(last - 1, -1, -1):
                before = best[first]
                wide = self._width(number, stops[first], stops[last])
                if wide > width + _TOLERANCE:
                    if self._widths[number][last] - self._widths[number][first] > 1.2 * width:
                        break
                    continue
                if before is None:
                    continue
                pause = last < len(stops) - 1 and text[: stops[last]].rstrip().endswith(_PAUSES)
                rated = (
                    before[0] + 1,
                    before[1] + (width - wide) ** 2 - pause * (_PAUSE * width) ** 2,
                    -first,
                )
                if best[last] is None or rated < best[last]:  # type: ignore[operator]
                    best[last] = rated
        if best[-1] is None:
            return None
        places = [len(stops) - 1]
        while places[-1]:
            places.append(-best[places[-1]][2])  # type: ignore[index]
        return [self.shape(number, stops[a], stops[b]) for b, a in reversed(list(pairwise(places)))]

    def find_widest(self) -> float:
        """Width in ems of the longest paragraph on one line."""
        ends = [(0, *paragraph.breaks)[-1] for paragraph in self.paragraphs]
        return max(self._width(number, 0, end) for number, end in enumerate(ends)) + _TOLERANCE

    def count_lines(self, width: float) -> int:
        """Fewest lines within ``width`` ems; 0 if some word is wider. Each line takes as much as it can."""
        count = 0
        for number, paragraph in enumerate(self.paragraphs):
            stops = (0, *paragraph.breaks)
            start, last = 0, len(stops) - 1
            while start < last:
                end = start
                while end < last and self._width(number, stops[start], stops[end + 1]) <= width + _TOLERANCE:
                    end += 1
                if end == start:
                    return 0
                start, count = end, count + 1
            count += last == 0
        return count

    def set(self, size: float, box: BoxPixels) -> SetText | None:
        """The block at ``size`` in ``box``; None if it leaves it."""
        width, height = (box[2] - box[0]) / size, (box[3] - box[1]) / size
        lines: list[ShapedLine] = []
        for number in range(len(self.paragraphs)):
            found = self.find_lines(number, width)
            if found is None:
                return None
            lines += found
        top, pitch, bottom = self.measure_height(lines)
        total = top + pitch * (len(lines) - 1) + bottom
        if total > height + _TOLERANCE:
            return None
        share = {"top": 0.0, "middle": 0.5, "bottom": 1.0}[self.block.style.anchor]
        y = box[1] + (share * (height - total) + top) * size
        origins = tuple(
            (self._place(line, box, size), y + index * pitch * size) for index, line in enumerate(lines)
        )
        return SetText(self.block, box, size, tuple(lines), origins, self.rtl)

    def measure_height(self, lines: Sequence[ShapedLine]) -> tuple[float, float, float]:
        """Ems above the first baseline, between two, and below the last.

        A line is as high as capitals at least, so that texts without them stand alike.
        """
        inks = [_get_ink(line) for line in lines]
        top, bottom = max(self.capitals, -inks[0][1]), max(0.0, inks[-1][3])
        touching = [above[3] - below[1] + _GAP for above, below in pairwise(inks)]
        return top, max([self.block.style.line_height, *touching]), bottom

    def _place(self, line: ShapedLine, box: BoxPixels, size: float) -> float:
        """Where the line's baseline begins: its outlines, not its advance, are aligned."""
        left, _, right, _ = _get_ink(line)
        align = self.block.style.align
        share = 0.5 if align == "centre" else float((align == "end") != self.rtl)
        return box[0] + share * (box[2] - box[0] - (right - left) * size) - left * size


def _get_ink(line: ShapedLine) -> Extent:
    return line.ink or (0.0, 0.0, line.advance, 0.0)


def _explain(setter: _Setter, size: float, box: BoxPixels) -> TextFitError:
    """The error of a block that does not fit ``box`` at ``size``, its smallest."""
    width, height = box[2] - box[0], box[3] - box[1]
    where = f"a box of {width:g} x {height:g} pixels at the smallest legible size, {size:g} pixels"
    for number, paragraph in enumerate(setter.paragraphs):
        for start, end in pairwise((0, *paragraph.breaks)):
            needed = setter._width(number, start, end) * size
            if needed > width + _TOLERANCE:
                word = paragraph.text[start:end].strip()
                return UnbreakableWordError(
                    f"{word!r} is {needed:.0f} pixels wide and has no place to break, too wide for {where}; "
                    "mark a break with a soft hyphen (U+00AD), give it a wider box, or choose a narrower font"
                )
    lines = [
        line
        for number in range(len(setter.paragraphs))
        for line in setter.find_lines(number, width / size) or []
    ]
    fitting = 0
    for count in range(len(lines), 0, -1):
        top, pitch, bottom = setter.measure_height(lines[:count])
        if (top + pitch * (count - 1) + bottom) * size <= height + _TOLERANCE:
            fitting = count
            break
    length = len(setter.block.text)
    if not fitting:
        return TextFitError(f"not one line of the text fits {where}; make the box higher")
    kept = setter.block.text[: lines[fitting - 1].end].rstrip()
    return TextFitError(
        f"the text has {length} characters, {len(kept)} fit {where}, up to {kept[-24:]!r}; "
        "shorten it, make the box larger, or allow a smaller min_x_height"
    )
