"""What becomes of every row in the end: rules that compare, people's decisions, the last word."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cyclorama.curate.judging import find_worst
from cyclorama.curate.records import Finding, Record, SetRule, Summary, Verdict
from cyclorama.curate.review import IMAGE_FOLDER, Decision, ReviewImage, ReviewItem
from cyclorama.curate.store import FROM_FILE, Layers, from_values, to_values
from cyclorama.curate.summary import build_summary
from cyclorama.errors import CycloramaError
from cyclorama.jobs.store import compute_key

REVIEW = "review"
"""Name under which a person's rejection stands in the logs."""
OUTPUT = "output"
"""Name under which a row is dropped that lacks what a training set needs."""


@dataclass
class JudgedRow:
    """One input row on its way to the output."""

    record: Record
    findings: list[Finding]
    seen: list[Layers]
    """Per finding, where the image lay that the rule saw; empty for rules that saw none."""
    layers: Layers
    digest: str
    content: str
    state: str
    summary: Summary | None
    judged: int = 0
    """How many of the findings are about the row alone; those of rules that compare images follow."""
    verdict: Verdict = Verdict.KEEP
    rule: str = ""
    """The rule whose word counts; empty for a row that is kept as it is."""
    reason: str = ""
    decision: Decision | None = None
    """A person's decision that counts."""
    basis: str = ""
    """Digest of what a person is shown who decides about this row."""
    values: dict[str, str] = field(default_factory=dict)
    """Words that rules have settled, such as ``category``."""
    split: str = ""

    @classmethod
    def build(cls, record: Record, before: Sequence[Finding], judged: Mapping[str, Any]) -> JudgedRow:
        """A row from what the rules before the images found and what a worker wrote down."""
        found = judged["findings"]
        findings = (*before, *map(from_values, found))
        summary = None
        if judged["summary"] is not None:
            summary = build_summary(record, findings, judged["summary"], judged["digest"])
        seen = [{} for _ in before] + [finding["layers"] for finding in found]
        layers = judged["layers"] or dict(FROM_FILE)
        digests = {name: judged[name] for name in ("digest", "content", "state")}
        count = len(findings)
        row = cls(record, list(findings), seen, layers, summary=summary, judged=count, **digests)
        row.basis = compute_basis(row)
        return row

    @property
    def is_kept(self) -> bool:
        """Whether the row goes into the training set."""
        return self.verdict in (Verdict.KEEP, Verdict.REPAIR)

    @property
    def category(self) -> str | None:
        """The category's name as the category rule has settled it, else as the input gave it."""
        return self.values.get("category") or self.record.category


def list_against(row: JudgedRow) -> list[int]:
    """Places of the findings that speak against a row, up to the first drop; of rules that compare, none.

    What a person has accepted goes past its drop, and what rules then find must not make the decision void.
    """
    against: list[int] = []
    for place in range(row.judged):
        if row.findings[place].verdict != Verdict.KEEP:
            against.append(place)
        if row.findings[place].verdict == Verdict.DROP:
            break
    return against


def compute_basis(row: JudgedRow) -> str:
    """Digest of what a decision rests on: the image, what rules have against it, and the evidence."""
    found = [to_values(row.findings[place]) for place in list_against(row)]
    against = [[finding[name] for name in ("rule", "verdict", "reason", "boxes")] for finding in found]
    return compute_key({"image": row.content, "against": against, "after": get_layers_after(row)})


def build_review_item(row: JudgedRow) -> ReviewItem:
    """What a person is asked about ``row``; its images are named after the basis."""
    against = list_against(row)
    images = [ReviewImage(f"{IMAGE_FOLDER}/{row.basis}.jpg", "as it came, with the evidence")]
    after = get_layers_after(row)
    if after["pixels"] != "file":
        images.append(ReviewImage(f"{IMAGE_FOLDER}/{row.basis}-after.jpg", "as it would be kept"))
    named = after["mask"] == "file" and row.record.mask is not None
    if row.digest and (named or after["mask"] not in ("file", "none")):
        images.append(ReviewImage(f"{IMAGE_FOLDER}/{row.basis}-mask.jpg", "the product by its mask"))
    compared = [f"{f.rule}: {f.reason}" for f in row.findings[row.judged :] if f.verdict != Verdict.KEEP]
    title = " · ".join([row.record.key, *([row.category] if row.category else []), *compared])
    reasons = tuple(f"{row.findings[place].rule}: {row.findings[place].reason}" for place in against)
    findings = [row.findings[place] for place in against]
    numbers = {f"{f.rule}.{name}": value for f in findings for name, value in f.numbers.items()}
    return ReviewItem(row.record.key, "image", title, tuple(images), reasons, numbers)


def get_layers_after(row: JudgedRow) -> Layers:
    """Where the image lay after the last finding that speaks against it, which a reviewer is shown."""
    against = list_against(row)
    return _get_following(row, against[-1]) if against else row.layers


def list_repairs(row: JudgedRow) -> list[str]:
    """The rules that changed the image's pixels, in their order."""
    return [
        row.findings[place].rule
        for place in range(row.judged)
        if row.seen[place] and _get_following(row, place)["pixels"] != row.seen[place]["pixels"]
    ]


def _get_following(row: JudgedRow, place: int) -> Layers:
    return next((layers for layers in row.seen[place + 1 : row.judged] if layers), row.layers)


def settle_rows(
    rows: Sequence[JudgedRow], rules: Sequence[SetRule], decisions: Mapping[str, Decision]
) -> None:
    """Ask ``rules`` about the rows that are still in, apply ``decisions``, and give every row its verdict.

    Who is rejected by a person takes no part in the comparison, so that the next best can stay.
    """
    for row in rows:
        decision = decisions.get(row.record.key)
        if decision is not None and decision.basis in ("", build_review_item(row).basis):
            row.decision = decision
    for rule in rules:
        shown = [row for row in rows if row.summary is not None and _is_in(row)]
        answers = ask_set_rule(rule, [row.summary for row in shown])
        for row, answer in zip(shown, answers, strict=True):
            row.findings.append(replace(answer, boxes=()))
            row.seen.append({})
    for row in rows:
        _settle(row)


def ask_set_rule(rule: SetRule, rows: Sequence[Any]) -> list[Finding]:
    """The rule's findings under its own name, one per row. Raises CycloramaError for another number."""
    answers = rule.judge_all(rows) if rows else []
    if len(answers) != len(rows):
        raise CycloramaError(f"rule {rule.name!r} gave {len(answers)} findings for {len(rows)} rows")
    return [replace(answer, rule=rule.name, repaired=None) for answer in answers]


def _is_in(row: JudgedRow) -> bool:
    if row.decision is not None:
        return row.decision.choice == "accept"
    return find_worst(row.findings) != Verdict.DROP


def _settle(row: JudgedRow) -> None:
    for finding in row.findings:
        row.values |= finding.values
    row.verdict = worst = find_worst(row.findings)
    if worst != Verdict.KEEP:
        blamed = next(finding for finding in row.findings if finding.verdict == worst)
        row.rule, row.reason = blamed.rule, blamed.reason
    decision = row.decision
    if decision is not None and decision.choice == "reject":
        said = f": {decision.reason}" if decision.reason else ""
        row.verdict, row.rule, row.reason = Verdict.DROP, REVIEW, f"rejected by {decision.who}{said}"
    elif decision is not None:
        row.verdict = Verdict.REPAIR if list_repairs(row) else Verdict.KEEP
        row.reason = f"accepted by {decision.who}" + (f" despite: {row.reason}" if row.reason else "")
    if row.is_kept and (lacking := _find_lacking(row)):
        row.verdict, row.rule, row.reason = Verdict.DROP, OUTPUT, lacking


def _find_lacking(row: JudgedRow) -> str:
    """What a training set needs and the row has not; empty if all is there."""
    if row.summary is None:
        return "the image could not be read"
    if not row.category:
        return "no category; give a column for it, or name folders by it"
    if row.summary.mask_shape is None:
        said = next((f"the mask rule says: {f.reason}" for f in row.findings if f.rule == "mask"), "")
        return f"no product mask; {said or 'give masks, or switch the mask rule on'}"
    return ""


def format_time(seconds: float) -> str:
    """UTC in ISO 8601, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
