"""What a curation run (``cyclorama.curate.run``) shows its rules and tells its workers, row for row."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cyclorama.curate import run
from cyclorama.curate.config import CurateConfig
from cyclorama.curate.reading import Input, InputRow
from cyclorama.curate.records import Finding, Record, Verdict
from cyclorama.errors import OutputError
from cyclorama.files import Written

KEYS = "abcd"
DECISIONS: dict[str, Any] = {
    "b": SimpleNamespace(choice="accept"),
    "c": SimpleNamespace(choice="drop"),
    "d": SimpleNamespace(choice="accept"),
}


def build_input() -> Any:
    """Four rows; the last could not be read."""
    rows = [SimpleNamespace(record=Record(key, f"{key}.png"), problem="") for key in KEYS]
    rows[3].problem = "torn"
    return SimpleNamespace(rows=rows)


def test_dropped_rows_are_shown_no_more_unless_a_person_accepted_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []

    def ask(rule: Any, records: Any) -> list[Finding]:
        seen.append([record.key for record in records])
        return [Finding(rule, Verdict.KEEP if record.key == "a" else Verdict.DROP) for record in records]

    monkeypatch.setattr(run, "ask_set_rule", ask)
    found = run.judge_records(build_input(), ["first", "second"], DECISIONS)  # type: ignore[list-item]
    assert seen == [["a", "b", "c"], ["a", "b"]]
    assert [[f.rule for f in row] for row in found] == [
        ["first", "second"],
        ["first", "second"],
        ["first"],
        [run.READING],
    ]


def test_a_plan_names_what_is_accepted_and_what_is_skipped() -> None:
    kept, dropped = (Finding("r", Verdict.KEEP),), (Finding("r", Verdict.DROP),)
    plans = run._plan(build_input(), [kept, dropped, dropped, kept], DECISIONS, 3)
    assert [[row["record"]["key"] for row in plan] for plan in plans] == [["a", "b", "c"], ["d"]]
    told = [(row["accepted"], row["skip"]) for plan in plans for row in plan]
    assert told == [(False, False), (True, False), (False, True), (True, True)]


def test_inputs_in_a_folder_that_the_run_tidies_are_refused(tmp_path: Path) -> None:
    (tmp_path / "review").mkdir()
    (tmp_path / "review/a.png").write_bytes(b"mine")
    with pytest.raises(OutputError, match="review lies where this run writes"):
        run.run_curate(str(tmp_path / "review"), tmp_path, CurateConfig())
    assert (tmp_path / "review/a.png").read_bytes() == b"mine"
    rows = [
        InputRow(Record("a", str(tmp_path / "review/a.png"))),
        InputRow(Record("b", str(tmp_path / "b.png"), mask=str(tmp_path / "set/b.png"))),
        InputRow(Record("c", str(tmp_path / "cache/files/c"))),
        InputRow(Record("d", "https://shop.example/set/d.png")),
    ]
    found = run._refuse_written(Input("CSV", rows), Written(tmp_path, run.WRITTEN))
    said = "its {} lies where this run writes, in {}; choose another --out"
    assert [row.problem for row in found.rows] == [
        said.format("image", "review"),
        said.format("mask", "set"),
        "",
        "",
    ]
