"""What do the licence and the clicks that a row states mean for it?

May a model trained on the image be used commercially? Which products were seen most, and which of their
images were clicked more often than is usual? As in the paper's Appendix A (arXiv 2312.13309): products are
taken by their impressions, most seen first, down to a total; of their images those stay whose click-through
rate is high. High is judged by the lower bound of an interval, so that 3 clicks of 10 do not beat 2,000 of
10,000.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt
from scipy import special

from cyclorama.config import Settings, Share
from cyclorama.curate.records import Finding, Record, Summary, Verdict
from cyclorama.data.licences import is_restricted, is_stated
from cyclorama.errors import SettingsError

Interval = Literal["wilson", "beta"]
"""``wilson``: Wilson's score. ``beta``: Jeffreys' interval, quantiles of Beta(k + 1/2, n - k + 1/2)."""
Peers = Literal["category", "set"]


class ClicksSettings(Settings):
    """When a row stays for its impressions and clicks."""

    impressions_total: PositiveInt | None = 500_000_000
    """Products are taken, most impressions first, until theirs sum to this; None takes all products."""
    minimum_rate: Share | None = None
    """Least lower bound of the click-through rate, 0-1; None: ``relative`` decides."""
    relative: NonNegativeFloat = 0.8
    """Least lower bound as a share of the peers' rate (their clicks over their impressions)."""
    peers: Peers = "category"
    """Whose rate an image's is held to; a category with fewer than ``peer_impressions`` takes the set's."""
    peer_impressions: NonNegativeInt = 10_000
    """Impressions from which a category's own rate is trusted."""
    interval: Interval = "wilson"
    """How the lower bound is computed."""
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Two-sided confidence of the interval, between 0 and 1."""


def compute_lower_bound(
    clicks: int, impressions: int, interval: Interval = "wilson", confidence: float = 0.95
) -> float:
    """Lower bound of the click-through rate of ``clicks`` among ``impressions``; 0 without any.

    Raises SettingsError (clicks below 0 or above impressions, confidence outside 0 to 1). Invariant: the
    bound never exceeds clicks / impressions and rises with impressions at a constant rate.
    """
    if not 0 <= clicks <= impressions:
        raise SettingsError("clicks must be 0 to impressions; mend or drop the rows that count otherwise")
    if not 0 < confidence < 1:
        raise SettingsError(f"confidence is {confidence}, must lie between 0 and 1")
    if clicks == 0:
        return 0.0
    tail = (1 - confidence) / 2
    if interval == "beta":
        return float(special.betaincinv(clicks + 0.5, impressions - clicks + 0.5, tail))
    z, n, rate = float(special.ndtri(tail)), impressions, clicks / impressions
    centre, spread = rate + z * z / (2 * n), z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return (centre + spread) / (1 + z * z / n)  # z of the lower tail is negative


class ClicksRule:
    """Drops products that were seen too little and images that were clicked too little.

    A row that states no impressions is kept, as nothing speaks against it; one whose numbers cannot be true
    goes to review.
    """

    name = "clicks"
    needs_images = False

    def __init__(self, settings: ClicksSettings | None = None) -> None:
        self.settings = settings or ClicksSettings()

    def judge_all(self, rows: Sequence[Record | Summary]) -> list[Finding]:
        """One finding per row: numbers ``impressions``, ``clicks``, ``rate``, ``lower_bound``, ``bar``."""
        records = [row if isinstance(row, Record) else row.record for row in rows]
        sound = [record for record in records if not _find_fault(record)]
        taken = choose_products(sound, self.settings.impressions_total)
        bars = self._compute_bars(sound)
        return [self._judge(record, taken, bars) for record in records]

    def _judge(self, record: Record, taken: set[str] | None, bars: dict[str | None, float]) -> Finding:
        if fault := _find_fault(record):
            return Finding(self.name, Verdict.REVIEW, fault)
        if record.impressions is None:
            return Finding(self.name, Verdict.KEEP)
        numbers: dict[str, float] = {"impressions": record.impressions}
        if taken is not None and _get_product(record) not in taken:
            most = f"the most seen ones, whose impressions sum to {self.settings.impressions_total:,}"
            return Finding(self.name, Verdict.DROP, f"its product is not among {most}", numbers)
        if record.clicks is None or not bars:
            return Finding(self.name, Verdict.KEEP, numbers=numbers)
        bar = bars.get(self._get_peers(record), bars[None])
        how = self.settings.interval, self.settings.confidence
        bound = compute_lower_bound(record.clicks, record.impressions, *how)
        rate = record.clicks / max(1, record.impressions)
        numbers |= {"clicks": record.clicks, "rate": rate, "lower_bound": bound, "bar": bar}
        if bound >= bar:
            return Finding(self.name, Verdict.KEEP, numbers=numbers)
        reason = (
            f"click-through rate {rate:.3%} of {record.impressions:,} impressions is certain to be "
            f"{bound:.3%} only; at least {bar:.3%} is asked for"
        )
        return Finding(self.name, Verdict.DROP, reason, numbers)

    def _compute_bars(self, records: Sequence[Record]) -> dict[str | None, float]:
        """Least lower bound by category, and under None for everybody else; empty if no row counts clicks."""
        clicks: dict[str | None, int] = defaultdict(int)
        impressions: dict[str | None, int] = defaultdict(int)
        for record in records:
            if record.clicks is not None and record.impressions is not None:
                for peers in {None, self._get_peers(record)}:
                    clicks[peers] += record.clicks
                    impressions[peers] += record.impressions
        if not impressions:
            return {}
        if self.settings.minimum_rate is not None:
            return {None: self.settings.minimum_rate}
        trusted = {None} | {p for p, n in impressions.items() if n >= max(1, self.settings.peer_impressions)}
        return {p: self.settings.relative * clicks[p] / max(1, impressions[p]) for p in trusted}

    def _get_peers(self, record: Record) -> str | None:
        if self.settings.peers == "set" or record.category is None:
            return None
        return " ".join(record.category.casefold().split())


def choose_products(records: Sequence[Record], total: int | None) -> set[str] | None:
    """Product ids by impressions, most first, until ``total`` is reached; None if every product is taken.

    The product that reaches the total is taken too; of equally seen ones the smaller id comes first. A row
    without product id is a product of its own.
    """
    if total is None:
        return None
    impressions: dict[str, int] = defaultdict(int)
    for record in records:
        if record.impressions is not None:
            impressions[_get_product(record)] += record.impressions
    taken: set[str] = set()
    reached = 0
    for product in sorted(impressions, key=lambda name: (-impressions[name], name)):
        if reached >= total:
            return taken
        taken.add(product)
        reached += impressions[product]
    return None


def _get_product(record: Record) -> str:
    return record.product_id or f"\0{record.key}"


def _find_fault(record: Record) -> str:
    """Why a row's numbers cannot be true; empty if they can."""
    for name, value in (("impressions", record.impressions), ("clicks", record.clicks)):
        if value is not None and (value < 0 or not math.isfinite(value)):
            return f"{name} is {value}; a count cannot be negative"
    if record.clicks is None or record.impressions is None or record.clicks <= record.impressions:
        return ""
    return f"{record.clicks} clicks of {record.impressions} impressions cannot be; mend the row's counts"


class LicenceSettings(Settings):
    """What becomes of rows whose licence forbids commercial use, and of those that state none."""

    restricted: Literal["mark", "review", "drop"] = "mark"
    """``mark`` keeps the row; the set, and the models trained on it, say that commercial use is forbidden."""
    unstated: Literal["keep", "review", "drop"] = "keep"
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
