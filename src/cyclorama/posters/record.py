"""The record of a poster: all that makes it again, and the proof about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from cyclorama import __version__
from cyclorama.config import Settings
from cyclorama.errors import CycloramaError, SettingsError
from cyclorama.files import write_atomic
from cyclorama.layout.elements import ENDING, Box, PosterLayout


class TextProof(Settings):
    """What was found of one text on the finished poster."""

    error_type: ClassVar[type[CycloramaError]] = SettingsError
    id: str
    words: str
    """As they are drawn: read back from the glyphs."""
    size: float
    """Pixels to the em."""
    lines: int
    fonts: tuple[str, ...]
    colour: tuple[int, int, int]
    contrast: float
    """WCAG's ratio on the worst 5 % of the pixels behind it."""
    limit: float
    remedy: Literal["none", "colour", "scrim", "plate"]
    place: Box
    """Its ink's box in shares of the canvas."""


class PosterVerdict(Settings):
    """What the checks say."""

    error_type: ClassVar[type[CycloramaError]] = SettingsError
    accepted: bool
    faults: dict[str, str] = Field(default_factory=dict)
    """Fault to what was measured and its limit."""
    values: dict[str, float] = Field(default_factory=dict)
    """What the checks measured."""


class PosterRecord(Settings):
    """One poster in one language on one canvas."""

    error_type: ClassVar[type[CycloramaError]] = SettingsError
    version: Literal[1] = 1
    cyclorama: str = __version__
    name: str
    category: str
    language: str
    texts: dict[str, str]
    """Role to words."""
    layout: PosterLayout
    plans: tuple[PosterLayout, ...] = ()
    """The other layouts, best first."""
    seed: int
    """Of the background."""
    attempt: int
    """Which attempt it is, from 1."""
    model: str
    model_hash: str
    preset: str
    palette: tuple[str, ...] = ()
    """Wall, floor, props and accent as #rrggbb where a remedy moved the set's colours off the product's;
    empty: as brand and seed give them."""
    brand: dict[str, Any] = Field(default_factory=dict)
    proofs: tuple[TextProof, ...] = ()
    verdict: PosterVerdict
    exact: bool | None
    """Whether every opaque pixel of the product is the given one's (resampled, where it was scaled)."""
    scale: float
    """Factor on the product's own pixels."""

    def save(self, path: Path) -> None:
        """Write it as JSON. Raises OutputError."""
        text = json.dumps(self.model_dump(mode="json"), ensure_ascii=False, indent=1)
        write_atomic(path, text.encode())


def read_record(path: Path) -> PosterRecord:
    """The record in a file. Raises SettingsError with the file and what is wrong."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} is no record of a poster ({error}); give NAME{ENDING}") from error
    if not isinstance(values, dict) or values.get("version") != 1:
        raise SettingsError(f"{path} is no record of a poster that this version reads; give NAME{ENDING}")
    return PosterRecord(**values)
