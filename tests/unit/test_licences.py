"""What the licences of a set's images mean, of cyclorama.data.licences."""

from __future__ import annotations

import pytest

from cyclorama.data.licences import SetLicence, is_restricted


@pytest.mark.parametrize(
    ("counts", "use", "line"),
    [
        ({}, "unstated", "not stated"),
        ({"CC0-1.0": 2, "": 1}, "unstated", "not stated"),
        ({"MIT": 1, "CC0-1.0": 2}, "allowed", "CC0-1.0, MIT"),
        (
            {"CC0-1.0": 2, "CC-BY-NC-4.0": 1},
            "forbidden",
            "non-commercial use only; trained on images under CC-BY-NC-4.0",
        ),
    ],
)
def test_one_line_says_what_a_set_allows(counts: dict[str, int], use: str, line: str) -> None:
    licence = SetLicence(counts)
    assert (licence.commercial_use, licence.describe()) == (use, line)


def test_merged_sets_count_both() -> None:
    merged = SetLicence({"MIT": 1}).merge(SetLicence({"MIT": 2, "CC0-1.0": 4}))
    assert merged.counts == {"CC0-1.0": 4, "MIT": 3}


@pytest.mark.parametrize(
    ("text", "restricted"),
    [
        ("CC_BY_NC_4.0", True),
        ("CCBYNC", True),
        ("ccbync-sa-4.0", True),
        ("CC-BYNC", True),
        ("cc by nc", True),
        ("CC BY-NC-ND", True),
        ("non_commercial", True),
        ("research_only", True),
        ("CC_BY_4.0", False),
        ("CCBYSA", False),
        ("Photo by Nco Ltd", False),
        ("CC0_1.0", False),
    ],
)
def test_a_mark_is_seen_in_every_spelling(text: str, restricted: bool) -> None:
    assert is_restricted(text) == restricted
