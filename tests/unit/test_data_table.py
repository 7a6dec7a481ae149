"""The table reader's promises that do not depend on a format: rows in = rows out, values, named errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from cyclorama.data.addresses import read_bytes
from cyclorama.data.table import open_file, open_table
from cyclorama.errors import DataError, ManifestError

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


def test_a_file_of_the_largest_size_is_read_and_none_above(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"x" * 10)
    assert read_bytes(str(tmp_path / "a.bin"), limit=10) == b"x" * 10
    with pytest.raises(DataError, match="has more than 9 bytes"):
        read_bytes(str(tmp_path / "a.bin"), limit=9)
    assert read_bytes(b"xyz") == b"xyz"
    with pytest.raises(DataError, match=r"cannot read .*gone.bin: No such file"):
        read_bytes(str(tmp_path / "gone.bin"))


def test_lines_and_places_are_those_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('sep=,\nExport\nimage,,title\n\na.png,7,"x\ny"\nb.png,8,z\n')
    table = open_table(tmp_path / "t.csv", check_files=False)
    rows = list(table)
    assert [(row.line, row.place) for row in rows] == [(6, "row 1 (line 6)"), (7, "row 2 (line 7)")]
    assert [row.values["column 2"] for row in rows] == ["7", "8"]
    assert "1 line before the header left out" in table.notes
    assert table.columns == ["image", "column 2", "title"]


def test_numbers_without_an_end_are_text_or_a_named_error(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(
        '{"image": "a.png", "title": Infinity, "category": -Infinity, "id": 7.0}\n'
        '{"image": "a.png", "seed": Infinity}\n{"image": "a.png", "seed": 3.5}\n'
        '{"image": "a.png", "seed": 3.0}\n'
    )
    rows = list(open_table(path, check_files=False))
    assert (rows[0].values["title"], rows[0].values["category"], rows[0].values["id"]) == ("inf", "-inf", "7")
    problem = "column 'seed': got {}, need a whole number from 0 to 2**63 - 1"
    assert [row.error for row in rows] == [None, problem.format("inf"), problem.format("3.5"), None]
    assert rows[3].values["seed"] == 3
