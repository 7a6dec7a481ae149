"""Spelling proof over twelve scripts, and the speed of setting text.

``python benchmarks/typography.py spelling`` sets and proves 10,000 texts, and takes one letter out of the
glyphs of each to see that the proof notices. ``speed`` fits blocks in boxes of a canvas of 1080 x 1350.
Needs Debian's fonts-noto-core and fonts-noto-cjk.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from cyclorama.errors import TextError
from cyclorama.typography.contrast import make_legible
from cyclorama.typography.drawing import draw_text
from cyclorama.typography.fitting import fit_text
from cyclorama.typography.proof import check_spelling
from cyclorama.typography.records import TextBlock, TypeStyle
from cyclorama.typography.shaping import ShapedLine
from phrases import FONTS, list_texts

BOX = (90.0, 80.0, 990.0, 430.0)
CANVAS = (1350, 1080)


def spelling(count: int) -> None:
    """Proved, refused (and why), and losses planted and found, by script."""
    start = time.perf_counter()
    total: Counter[str] = Counter()
    for number, (script, (language, font)) in enumerate(FONTS.items()):
        share = count // len(FONTS) + (number < count % len(FONTS))
        style = TypeStyle(fonts=(str(font),), min_x_height=0.001)
        tally: Counter[str] = Counter()
        for text in list_texts(script, share):
            block = TextBlock(words=text, language=language, style=style)
            try:
                done = fit_text(block, BOX, CANVAS)
            except TextError as error:
                print(f"  {script}: {text!r}: {type(error).__name__}: {error}")
                tally["refused"] += 1
                continue
            tally["proved"] += 1
            tally["losses found"] += notices_loss(block, done.lines)
        print(f"{script}: {dict(tally)}", flush=True)
        total += tally
    print(f"all: {dict(total)}; {time.perf_counter() - start:.0f} s")


def notices_loss(block: TextBlock, lines: tuple[ShapedLine, ...]) -> bool:
    """Whether the proof refuses ``lines`` without the middle cluster of the first run."""
    line = lines[0]
    run = line.runs[len(line.runs) // 2]
    gone = run.glyphs[len(run.glyphs) // 2].cluster
    left = replace(run, glyphs=tuple(glyph for glyph in run.glyphs if glyph.cluster != gone))
    runs = tuple(left if one is run else one for one in line.runs)
    try:
        check_spelling(block, (replace(line, runs=runs), *lines[1:]))
    except TextError:
        return True
    return False


def speed(count: int) -> None:
    """Milliseconds a block of one to eight words, and of its layer and contrast."""
    pixels = np.random.default_rng(0).integers(90, 140, (*CANVAS, 3)).astype(np.uint8)
    for script in ("latin", "arabic", "japanese"):
        language, font = FONTS[script]
        spent = np.zeros(3)
        for text in list_texts(script, count):
            style = TypeStyle(fonts=(str(font),), min_x_height=0.001)
            times = [time.perf_counter()]
            done = fit_text(TextBlock(words=text, language=language, style=style), BOX, CANVAS)
            times.append(time.perf_counter())
            draw_text(done, (255, 255, 255), CANVAS)
            times.append(time.perf_counter())
            make_legible(pixels, done, [(255, 255, 255)])
            times.append(time.perf_counter())
            spent += np.diff(times)
        fit, draw, legible = 1000 * spent / count
        print(f"{script}: fitted and proved {fit:.1f} ms, drawn {draw:.1f} ms, made legible {legible:.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("spelling", "speed"))
    parser.add_argument("--count", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.what == "spelling":
        spelling(arguments.count or 10_000)
    else:
        speed(arguments.count or 100)


if __name__ == "__main__":
    main()
