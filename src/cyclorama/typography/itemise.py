"""Of a paragraph: which way does each character run, what writes it, and where may the line break?

Direction is Unicode's bidirectional algorithm (UAX 9), line breaks are UAX 14, letters with their marks stay
together (UAX 29). Thai, Lao and Khmer break at spaces and where the text has a zero-width space (U+200B):
there is no dictionary here. Korean breaks at spaces only, as its printed matter does.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from cyclorama.errors import NEEDS_POSTER, EmojiError, MissingGlyphError, TextError, import_optional
from cyclorama.typography.fonts import FontFace, hb
from cyclorama.typography.records import TextBlock

_bidi: Any = import_optional("bidi", NEEDS_POSTER)
_emoji: Any = import_optional("uniseg.emoji", NEEDS_POSTER)
_graphemes: Any = import_optional("uniseg.graphemecluster", NEEDS_POSTER)
_linebreak: Any = import_optional("uniseg.linebreak", NEEDS_POSTER)

SOFT_HYPHEN = "\u00ad"
_RIGHT_TO_LEFT = {"ar", "ckb", "dv", "fa", "he", "ps", "sd", "ug", "ur", "yi"}
_COMMON = {"Zyyy", "Zinh", "Zzzz"}
_TEXT_STYLE, _EMOJI_STYLE, _KEYCAP = "\ufe0e", "\ufe0f", "\u20e3"
_FLAGS = range(0x1F1E6, 0x1F200)
_TAG, _TAGS = 0xE0020, 95
_LOW_TAG, _LOWS = 0xE0050, 47
"""The second half of the tag characters; 48 x 47 is more than a block's characters."""
_ENDS = ("a", "\u05d0")
"""A letter that runs from left to right, and one from right to left."""


class Trait(NamedTuple):
    """What is known of one character."""

    place: int
    """Its rank from left to right if the paragraph were one line."""
    odd: bool
    """Whether it runs from right to left."""
    script: str
    """ISO 15924; a common character's is its neighbour's."""
    face: FontFace
    span: int
    """Index of its span in the block."""


class Paragraph(NamedTuple):
    """A paragraph ready to be broken into lines."""

    start: int
    """Where it begins in the block's text."""
    text: str
    traits: tuple[Trait, ...]
    breaks: tuple[int, ...]
    """Places where a line may end, rising; the last is the paragraph's end."""


def check_text(text: str) -> None:
    """Raise EmojiError or TextError for what is no letter, sign or space, or if nothing shows."""
    if all(letter.isspace() or is_ignorable(letter) for letter in text):
        raise TextError(f"the text {text!r} shows nothing; leave the block out")
    for index, letter in enumerate(text):
        code = ord(letter)
        following = text[index + 1 : index + 2]
        emoji = _emoji.emoji_presentation(letter) and following != _TEXT_STYLE
        if emoji or letter in (_EMOJI_STYLE, _KEYCAP) or code in _FLAGS or _TAG <= code < _TAG + _TAGS:
            raise EmojiError(
                f"the text holds an emoji, {_name(letter)} at character {index + 1}; fonts of letters "
                "have none; take it out, or put it on the image as a file of its own"
            )
        if unicodedata.category(letter) in ("Cc", "Cs", "Cn", "Co") and letter != "\n":
            raise TextError(
                f"the text holds {_name(letter)} at character {index + 1}, which no font draws; take it out"
            )


def find_direction(block: TextBlock) -> bool:
    """Whether ``block`` runs from right to left."""
    if block.direction != "auto":
        return block.direction == "rtl"
    for letter in block.text:
        kind = unicodedata.bidirectional(letter)
        if kind in ("L", "R", "AL"):
            return kind != "L"
    return block.language.split("-")[0].lower() in _RIGHT_TO_LEFT


def itemise(block: TextBlock, faces: Sequence[tuple[FontFace, ...]], rtl: bool) -> tuple[Paragraph, ...]:
    """The paragraphs of ``block``, of which ``faces`` are each span's in the order in which to ask them.

    ``rtl``: whether it runs from right to left. Raises EmojiError, MissingGlyphError, TextError.
    """
    text = block.text
    check_text(text)
    spans = [number for number, part in enumerate(block.parts) for _ in part]
    paragraphs, start = [], 0
    for line in text.split("\n"):
        owners = spans[start : start + len(line)]
        order = order_characters(line, rtl)
        scripts = find_scripts(line)
        chosen = choose_faces(line, [faces[owner] for owner in owners])
        traits = tuple(
            Trait(place, odd, script, face, owner)
            for (place, odd), script, face, owner in zip(order, scripts, chosen, owners, strict=True)
        )
        paragraphs.append(Paragraph(start, line, traits, find_breaks(line, block.language)))
        start += len(line) + 1
    return tuple(paragraphs)


def order_characters(text: str, rtl: bool) -> list[tuple[int, bool]]:
    """(rank from left, whether it runs from the right) of each character of ``text`` on one line.

    The order within any part of ``text`` is the order of these ranks: what a line shows of a paragraph
    follows from the whole paragraph, as UAX 9 wants. The library gives the reordered text alone. So each
    character is followed by two tag characters that number it; these are of the class BN, which the algorithm
    passes over, and stand reversed where their character runs from right to left. A letter that runs as the
    paragraph does ends it, because the algorithm sets what is passed over at the end apart. Raises TextError.
    """
    tagged = "".join(
        letter + chr(_TAG + index // _LOWS) + chr(_LOW_TAG + index % _LOWS)
        for index, letter in enumerate(text)
    )
    closed = "\u2069" * sum(letter in "\u2066\u2067\u2068" for letter in text)  # what was left open
    shown = _bidi.get_display(tagged + closed + _ENDS[rtl], base_dir="R" if rtl else "L")
    tags = [ord(letter) for letter in shown if _TAG <= ord(letter) < _TAG + _TAGS]
    order: list[tuple[int, bool]] = [(-1, False)] * len(text)
    for rank, (first, second) in enumerate(zip(tags[::2], tags[1::2], strict=False)):
        odd = first >= _LOW_TAG
        high, low = (second, first) if odd else (first, second)
        index = (high - _TAG) * _LOWS + low - _LOW_TAG
        if high < _LOW_TAG <= low and index < len(text):
            order[index] = (rank, odd)
    if sorted(rank for rank, _ in order) != list(range(len(text))):
        raise TextError(f"the direction marks of {text!r} cannot be followed; take out U+202A to U+202E")
    return order


def find_scripts(text: str) -> list[str]:
    """The ISO 15924 script of each character; common and inherited ones take the one before, else after."""
    found = [_find_script(letter) for letter in text]
    current = next((script for script in found if script not in _COMMON), "Zyyy")
    scripts = []
    for script in found:
        current = current if script in _COMMON else script
        scripts.append(current)
    return scripts


@lru_cache(maxsize=4096)
def _find_script(letter: str) -> str:
    buffer = hb.Buffer()
    buffer.add_codepoints([ord(letter)])
    buffer.guess_segment_properties()
    return buffer.script or "Zyyy"


def choose_faces(text: str, faces: Sequence[tuple[FontFace, ...]]) -> list[FontFace]:
    """A face for each character, of ``faces`` that may be asked for it. A letter and its marks have one.

    Spaces, digits and signs stay in the face before them if that has them. Raises MissingGlyphError.
    """
    chosen: list[FontFace] = []
    start = 0
    for end in _graphemes.grapheme_cluster_boundaries(text):
        cluster, asked = text[start:end], faces[start]
        if chosen and chosen[-1] in asked and all(_find_script(c) in _COMMON for c in cluster):
            asked = (chosen[-1], *asked)
        chosen += [_choose(cluster, asked)] * (end - start)
        start = end
    return chosen


@lru_cache(maxsize=8192)
def _choose(cluster: str, faces: tuple[FontFace, ...]) -> FontFace:
    needed = [letter for letter in cluster if not is_ignorable(letter)]
    for face in faces:
        if all(_covers(face, letter) for letter in needed):
            return face
    missing = next((c for c in needed if not any(_covers(face, c) for face in faces)), needed[0])
    tried = ", ".join(dict.fromkeys(face.name for face in faces[:8])) + (" …" if len(faces) > 8 else "")
    raise MissingGlyphError(
        f"no font has {_name(missing)} (tried {tried}); give a font that has it, by file or folder, or "
        "'system' for those installed (Debian: fonts-noto-core, fonts-noto-cjk)"
    )


def _covers(face: FontFace, letter: str) -> bool:
    """Whether ``face`` has ``letter``, or what it is composed of or equal to."""
    if face.has(letter):
        return True
    parts = unicodedata.normalize("NFD", letter)
    alike = unicodedata.normalize("NFKC", letter)
    space = unicodedata.category(letter) == "Zs"
    return (
        (parts != letter and face.has(parts))
        or (space and face.has(alike))
        or (letter == "\u2011" and face.has("\u2010"))
    )


def is_ignorable(letter: str) -> bool:
    """Whether ``letter`` only says how others behave: joiners, directions, soft hyphens, break marks."""
    return unicodedata.category(letter) == "Cf" or letter == _TEXT_STYLE


def find_breaks(text: str, language: str) -> tuple[int, ...]:
    """The places in ``text`` where a line may end, rising, its end the last; none within a letter's marks."""
    korean = language.split("-")[0].lower() == "ko"
    places = [
        place
        for place in _linebreak.line_break_boundaries(text)
        if not korean or text[place - 1].isspace() or text[place - 1] in (SOFT_HYPHEN, "\u200b")
    ]
    if not places or places[-1] != len(text):
        places.append(len(text))
    return tuple(places)


def _name(letter: str) -> str:
    shown = f" {letter!r}" if letter.isprintable() else ""
    return f"U+{ord(letter):04X}{shown} {unicodedata.name(letter, '')}".rstrip()
