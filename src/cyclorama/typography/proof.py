"""Do the glyphs of a set text spell it, letter for letter?

Four questions, none of which asks a reader of images: do the lines account for every character, in order; is
no glyph the box for a missing letter, and each one that its font gives for letters of its cluster (by the
character map, or by the font's own substitutions of them); has each letter that is to be seen an outline; and
are these the glyphs of the whole text, which taking any one character out would change? What nobody sees
(joiners, direction marks, soft hyphens within a line) is accounted for by the first question alone.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from cyclorama.errors import NEEDS_POSTER, MissingGlyphError, SpellingError, import_optional
from cyclorama.typography.fonts import FontFace, hb
from cyclorama.typography.itemise import SOFT_HYPHEN, is_ignorable
from cyclorama.typography.records import TextBlock
from cyclorama.typography.shaping import GlyphRun, ShapedLine, measure_glyph, shape_text

_MIRRORED: dict[str, str] = import_optional("bidi.mirror", NEEDS_POSTER).MIRRORED
_BLANK = {"Zs", "Zl", "Zp", "Cc", "Cf"}
_DOTTED_CIRCLE = 0x25CC


def check_spelling(block: TextBlock, lines: Sequence[ShapedLine]) -> None:
    """Raise SpellingError or MissingGlyphError unless ``lines`` spell ``block``."""
    if read_back(lines, block.text) != block.text:
        raise SpellingError(f"the lines do not give back {block.text!r}; please report this")
    for line in lines:
        _check_order(line)
        for run in line.runs:
            for start, end, numbers in list_clusters(run):
                _check_cluster(run, line.text[start:end], numbers, line.text)
            _check_loss(run, line.text, block.language)


def read_back(lines: Sequence[ShapedLine], text: str) -> str:
    """What the glyphs of ``lines`` stand for, cluster by cluster in reading order, as parts of ``text``.

    Spaces at ends of lines, line ends and the soft hyphen that a line ends with are taken from ``text``.
    """
    parts: list[str] = []
    for line in lines:
        drawn = {start: line.text[start:end] for run in line.runs for start, end, _ in list_clusters(run)}
        read = "".join(drawn[start] for start in sorted(drawn))
        before, after = text[line.start : line.offset], text[line.offset + len(line.text) : line.end]
        if (
            read.endswith("-")
            and text[line.offset + len(line.text) - 1 : line.offset + len(line.text)] == SOFT_HYPHEN
        ):
            read = read[:-1] + SOFT_HYPHEN
        if (before + after).strip(" \n\u3000\u200b"):
            return "".join(parts)
        parts.append(before + read + after)
    return "".join(parts)


def list_clusters(run: GlyphRun) -> list[tuple[int, int, list[int]]]:
    """(start, end, glyph numbers) of the run's clusters in reading order."""
    by_start: dict[int, list[int]] = {}
    for glyph in run.glyphs:
        by_start.setdefault(glyph.cluster, []).append(glyph.number)
    return [(start, end, by_start[start]) for start, end in pairwise([*sorted(by_start), run.end])]


def _check_order(line: ShapedLine) -> None:
    """The runs cover the line once, and clusters rise or fall as the run's direction says."""
    covered = sorted((run.start, run.end) for run in line.runs)
    ends = [0, *(end for _, end in covered)]
    if [start for start, _ in covered] != ends[:-1] or ends[-1] != len(line.text):
        raise SpellingError(f"the runs of the line {line.text!r} do not cover it; please report this")
    for run in line.runs:
        clusters = [glyph.cluster for glyph in run.glyphs]
        if clusters != sorted(clusters, reverse=run.rtl):
            raise SpellingError(f"glyphs of the line {line.text!r} are out of order; please report this")


def _check_cluster(run: GlyphRun, cluster: str, numbers: Sequence[int], line: str) -> None:
    if 0 in numbers:
        raise MissingGlyphError(
            f"{run.face.name} has no glyph for {cluster!r} ({_codes(cluster)}); give a font that has it"
        )
    circle = run.face.font.get_nominal_glyph(_DOTTED_CIRCLE)
    if circle in numbers and chr(_DOTTED_CIRCLE) not in cluster:
        raise SpellingError(
            f"{cluster!r} ({_codes(cluster)}) is an incomplete syllable, marks without their letter; "
            "correct the text"
        )
    if not set(numbers) <= find_reachable(run.face, cluster) and not set(numbers) <= find_reachable(
        run.face, line
    ):
        raise SpellingError(
            f"{run.face.name} draws {cluster!r} with glyphs of other letters; take another font"
        )
    seen = [letter for letter in cluster if unicodedata.category(letter) not in _BLANK]
    if seen and all(measure_glyph(run.face, number) is None for number in numbers):
        raise MissingGlyphError(
            f"{run.face.name} has an empty glyph for {cluster!r} ({_codes(cluster)}); give a font that has it"
        )


@lru_cache(maxsize=16384)
def find_reachable(face: FontFace, text: str) -> frozenset[int]:
    """Glyphs that the face's character map and substitutions can make of the characters of ``text``.

    What HarfBuzz falls back to is of them: composed and decomposed forms, mirrored signs, spaces, hyphens.
    """
    wanted = hb.SubsetInput()
    forms = {text, *(unicodedata.normalize(form, text) for form in ("NFC", "NFD", "NFKD"))}
    letters = {letter for form in forms for letter in form}
    letters |= {_MIRRORED[letter] for letter in letters & _MIRRORED.keys()}
    letters |= {" "} | ({"-", "\u2010"} if letters & {SOFT_HYPHEN, "\u2010", "\u2011"} else set())
    for letter in letters:
        wanted.unicode_set.add(ord(letter))
    wanted.layout_feature_tag_set.clear()
    wanted.layout_feature_tag_set.invert()
    plan = hb.SubsetPlan(face.font.face, wanted)
    return frozenset(plan.old_to_new_glyph_mapping.keys())


def _check_loss(run: GlyphRun, line: str, language: str) -> None:
    """The glyphs are those of the run, and taking out any character that is seen changes them."""
    manner = (run.rtl, run.script, language)
    whole = shape_text(run.face, line, (run.start, run.end), manner)
    if [(number, cluster) for number, cluster, *_ in whole] != [g[:2] for g in run.glyphs]:
        raise SpellingError(
            f"the glyphs of {line[run.start : run.end]!r} are not all there; please report this"
        )
    seen = [(number, *place) for number, _, *place in whole]
    for index in range(run.start, run.end):
        if is_ignorable(line[index]):
            continue
        rest = line[:index] + line[index + 1 :]
        left = shape_text(run.face, rest, (run.start, run.end - 1), manner)
        if [(number, *place) for number, _, *place in left] == seen:
            raise MissingGlyphError(
                f"{run.face.name} draws {line[run.start : run.end]!r} the same without "
                f"{_codes(line[index])}; give a font that shows it"
            )


def _codes(text: str) -> str:
    return " ".join(f"U+{ord(letter):04X}" for letter in text)
