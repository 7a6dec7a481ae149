"""The last word about a row: what is said names the cause."""

from __future__ import annotations

import numpy as np
import pytest

from cyclorama.curate.records import Finding, Record, Summary, Verdict
from cyclorama.curate.review import Decision
from cyclorama.curate.settling import JudgedRow, settle_rows
from cyclorama.curate.store import FROM_FILE


@pytest.mark.parametrize(
    ("findings", "reason"),
    [
        ([], "no product mask; give masks, or switch the mask rule on"),
        (
            [Finding("mask", Verdict.DROP, "no mask: neither transparency nor a mask")],
            "no product mask; the mask rule says: no mask: neither transparency nor a mask",
        ),
    ],
)
def test_an_accepted_row_without_a_mask_names_what_the_mask_rule_said(
    findings: list[Finding], reason: str
) -> None:
    record = Record("a", "a.png", category="cup")
    summary = Summary(record, tuple(findings), np.ones(1, np.float32))
    row = JudgedRow(
        record, findings, [{} for _ in findings], dict(FROM_FILE), "d", "c", "s", summary, len(findings)
    )
    settle_rows([row], [], {"a": Decision("a", "accept", "Ada", 1.0)})
    assert (row.verdict, row.rule, row.reason) == (Verdict.DROP, "output", reason)
