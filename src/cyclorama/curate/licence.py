"""Under which licence does an image stand, and may a model trained on it be used commercially?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from cyclorama.config import Settings
from cyclorama.curate.records import Finding, Record, Summary, Verdict
from cyclorama.data.licences import is_restricted, is_stated

Restricted = Literal["mark", "review", "drop"]
Unstated = Literal["keep", "review", "drop"]


class LicenceSettings(Settings):
    """What becomes of rows whose licence forbids commercial use, and of those that state none."""

    restricted: Restricted = "mark"
    """``mark`` keeps the row; the set, and the models trained on it, say that commercial use is forbidden."""
    unstated: Unstated = "keep"
    """For rows without a licence; the set then says that its licence is not stated."""
    refused: tuple[Annotated[str, Field(pattern=r"\S")], ...] = ()
    """Licences whose rows are dropped: parts of the licence's text, without regard to case."""


class LicenceRule:
    """Records each row's licence (values ``licence`` and ``commercial_use``) and drops what is not wanted."""

    name = "licence"
    needs_images = False

    def __init__(self, settings: LicenceSettings | None = None) -> None:
        self.settings = settings or LicenceSettings()

    def judge_all(self, rows: Sequence[Record | Summary]) -> list[Finding]:
        """One finding per row."""
        return [self._judge(row if isinstance(row, Record) else row.record) for row in rows]

    def _judge(self, record: Record) -> Finding:
        licence = (record.licence or "").strip()
        verdict, reason, use = Verdict.KEEP, "", "allowed"
        if not is_stated(licence):
            use = "unstated"
            if self.settings.unstated != "keep":
                verdict = Verdict(self.settings.unstated)
                reason = "states no licence; give one in the manifest, or for all rows in the recipe"
        elif is_restricted(licence):
            use = "forbidden"
            if self.settings.restricted != "mark":
                verdict = Verdict(self.settings.restricted)
                reason = f"licence {licence!r} forbids commercial use"
        refused = [part for part in self.settings.refused if part.casefold() in licence.casefold()]
        if refused and is_stated(licence):
            verdict, reason = Verdict.DROP, f"licence {licence!r} is refused by {refused[0]!r} in the recipe"
        values = {"licence": licence or "not stated", "commercial_use": use}
        return Finding(self.name, verdict, reason, values=values)
