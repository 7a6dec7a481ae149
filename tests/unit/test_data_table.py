"""The table reader's promises that do not depend on a format: rows in = rows out, values, named errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from cyclorama.data.table import open_file, open_table
from cyclorama.errors import ManifestError

CASES = Path(__file__).resolve().parents[1] / "cases"


def test_rows_hold_addresses_that_open_file_reads() -> None:
    table = open_table(CASES / "tables" / "feed.csv.gz")
    assert [(row.number, row.name, row.values["category"]) for row in table] == [
        (1, "a.png", "perfume"),
        (2, "b.png", "whisky"),
    ]
    for row in table:
        with open_file(row.values["image"]) as stream:
            assert stream.read(4) == b"\x89PNG"


@pytest.mark.parametrize("source", ["", "  ", None])
def test_an_empty_argument_is_refused_by_name(source: str) -> None:
    with pytest.raises(ManifestError, match="the input is empty"):
        open_table(source)
