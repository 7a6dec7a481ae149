"""How large a study is."""

from __future__ import annotations

import secrets
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from cyclorama.config import Settings
from cyclorama.errors import SettingsError
from cyclorama.seeding import MAX_SEED


class StudySettings(Settings):
    """How large a study is, and how its page is made."""

    error_type: ClassVar[type[SettingsError]] = SettingsError

    pairs: Annotated[int, Field(ge=1)] = 20
    """Product–reference pairs, the same for all raters."""
    raters: Annotated[int, Field(ge=1, le=1000)] = 10
    """Rater codes to make."""
    repeats: Annotated[int | None, Field(ge=0)] = None
    """Pairs that each rater meets a second time, unannounced (default: 3, or half of the pairs)."""
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = Field(
        default_factory=lambda: secrets.randbelow(MAX_SEED)
    )
    """Builds the same study again; keep it secret, it gives the key away (default: random)."""
    side: Annotated[int, Field(ge=128, le=2048)] = 768
    """Longest side of an image on the page, in pixels."""
    embed: bool = True
    """Images inside the page (one file) instead of beside it (for a web server)."""

    @property
    def repeated(self) -> int:
        """How many pairs come twice."""
        return min(3, self.pairs // 2) if self.repeats is None else self.repeats

    @model_validator(mode="after")
    def _check_repeats(self) -> Self:
        if self.repeated > self.pairs // 2:
            raise SettingsError(
                f"repeats must be 0 to {self.pairs // 2} (half of {self.pairs} pairs), got {self.repeats}"
            )
        return self
