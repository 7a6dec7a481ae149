"""What is said of a text before it is set: its words, its language, its manner.

Sizes are pixels of the canvas; boxes are ``(left, top, right, bottom)`` with right and bottom outside.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, field_validator

from cyclorama.config import Settings, Share
from cyclorama.errors import CycloramaError, SettingsError

BoxPixels = tuple[float, float, float, float]
"""(left, top, right, bottom) in pixels."""
LONGEST = 2000
"""Characters of a block."""
_LINE_END = re.compile("\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")


class Span(Settings):
    """A stretch of a text with a manner of its own, such as the cents of a price."""

    error_type: ClassVar[type[CycloramaError]] = SettingsError
    text: str
    """Its words."""
    weight: Annotated[int, Field(ge=100, le=900)] | None = None
    """100 (thin) to 900 (black); None is the block's."""
    scale: Annotated[float, Field(ge=0.2, le=1)] = 1.0
    """Its size as a share of the block's."""
    raised: bool = False
    """Whether its capitals end at the height of the block's capitals, not at the baseline."""


class TypeStyle(Settings):
    """How a text is set."""

    error_type: ClassVar[type[CycloramaError]] = SettingsError
    fonts: Annotated[tuple[str, ...], Field(min_length=1)] = ("sans",)
    """``sans`` or ``serif`` (bundled), font files, folders of fonts, or ``system``; asked in this order for
    each letter, the bundled sans last."""
    weight: Annotated[int, Field(ge=100, le=900)] = 400
    """100 (thin) to 900 (black); the nearest that a family has."""
    line_height: Annotated[float, Field(ge=0.8, le=3)] = 1.2
    """Distance of baselines as a multiple of the size; lines that would touch are set further apart."""
    align: Literal["start", "centre", "end"] = "start"
    """Across: start is left, or right if the text runs from the right."""
    anchor: Literal["top", "middle", "bottom"] = "top"
    """Where in its box a text stands that does not fill it."""
    max_size: Annotated[float, Field(gt=0)] | None = None
    """Largest size in pixels; None is as large as the box allows."""
    min_x_height: Share = 0.011
    """Smallest height of a lower-case x as a share of the canvas's shorter side; 0.007 for legal lines."""


def _take_words(value: Any) -> Any:
    return ({"text": value},) if isinstance(value, str) else value


class TextBlock(Settings):
    """A text that stands in one box."""

    error_type: ClassVar[type[CycloramaError]] = SettingsError
    words: Annotated[tuple[Span, ...], BeforeValidator(_take_words), Field(min_length=1)]
    """A text, or its spans in reading order. Line ends are kept."""
    language: str = "en"
    """BCP 47, such as ``de``, ``ar``, ``zh-Hant``: chooses forms of letters and where lines break."""
    direction: Literal["auto", "ltr", "rtl"] = "auto"
    """auto: as the first letter runs, or the language if there is none."""
    style: TypeStyle = TypeStyle()
    """How it is set."""

    @field_validator("words")
    @classmethod
    def _check_length(cls, words: tuple[Span, ...]) -> tuple[Span, ...]:
        length = sum(len(span.text) for span in words)
        if not any(span.text.strip() for span in words):
            raise SettingsError("words: the text is empty; leave the block out")
        if length > LONGEST:
            raise SettingsError(f"words: {length} characters, a block takes up to {LONGEST}; split it")
        return words

    @property
    def text(self) -> str:
        """The whole text in Unicode's NFC, as it is set and proved; line ends are ``\\n``."""
        return "".join(self.parts)

    @property
    def parts(self) -> tuple[str, ...]:
        """The text span by span; together they are :attr:`text`."""
        return tuple(_LINE_END.sub("\n", unicodedata.normalize("NFC", span.text)) for span in self.words)
