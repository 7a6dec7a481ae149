"""Verdicts of finished posters anew, from their files alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from cyclorama.errors import CycloramaError, SettingsError
from cyclorama.layout.elements import ENDING
from cyclorama.posters.files import open_poster
from cyclorama.posters.maker import edit
from cyclorama.posters.record import PosterVerdict
from cyclorama.posters.words import PosterBrand
from cyclorama.types import Pixels


@dataclass(frozen=True)
class Inspected:
    """What was found of one poster."""

    name: str
    """Its record's path below the folder that was asked for, without its ending."""
    image: Path
    verdict: PosterVerdict | None = None
    failure: dict[str, str] = field(default_factory=dict)
    """``error`` and ``reason`` where nothing could be found."""

    @property
    def status(self) -> str:
        """done, marked (a check has failed) or failed, as in a run's results."""
        if self.verdict is None:
            return "failed"
        return "done" if self.verdict.accepted else "marked"

    def describe(self) -> dict[str, object]:
        """A row of plain values."""
        verdict = self.verdict
        found = {} if verdict is None else {"faults": verdict.faults, "values": verdict.values}
        return {"name": self.name, "status": self.status, **found, **self.failure}


def list_records(place: Path) -> list[Path]:
    """The record ``place``, or all records in and below that folder, sorted. Raises SettingsError."""
    if place.is_file():
        return [place]
    found = sorted(path for path in place.rglob(f"*{ENDING}") if path.is_file())
    if not found:
        raise SettingsError(f"{place} holds no record of a poster; give NAME{ENDING} or a folder of them")
    return found


def inspect_record(record: Path, name: str) -> Inspected:
    """What the checks say of a poster now; a poster that cannot be judged is a failure with its reason."""
    image = record.with_name(record.name.removesuffix(ENDING) + ".png")
    try:
        return Inspected(name, image, judge_files(record, image))
    except (CycloramaError, OSError) as error:
        return Inspected(name, image, failure={"error": type(error).__name__, "reason": str(error)})


def judge_files(record: Path, image: Path) -> PosterVerdict:
    """The verdict on the poster that a record and its parts give; ``differs`` is a fault where ``image`` is
    another one. Raises what a record, its parts, fonts and logo are refused with, OSError."""
    old = open_poster(record)
    new = edit(old, PosterBrand(**old.record.brand))
    with Image.open(image) as opened:
        shown = np.asarray(opened.convert("RGB"))
    verdict = new.record.verdict
    said = _compare(shown, new.drawn.pixels)
    if said is None:
        return verdict
    return verdict.model_copy(update={"accepted": False, "faults": {"differs": said, **verdict.faults}})


def _compare(shown: Pixels, drawn: Pixels) -> str | None:
    if shown.shape != drawn.shape:
        sizes = [f"{pixels.shape[1]}x{pixels.shape[0]}" for pixels in (shown, drawn)]
        return f"the image is {sizes[0]}, its record and parts give {sizes[1]}"
    off = int((shown != drawn).any(2).sum())
    return f"{off} pixels are not what its record and parts give; 0 is the limit" if off else None
