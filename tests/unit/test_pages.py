"""What a report says and shows, by its values.

Of cyclorama.evaluation.report, cyclorama.evaluation.tables and cyclorama.evaluation.settings.
"""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from cyclorama.evaluation import report as report_module
from cyclorama.evaluation.compare import MeanEstimate
from cyclorama.evaluation.measure import Evaluation
from cyclorama.evaluation.projection import Compactness
from cyclorama.evaluation.reading import find_partners, from_arrays
from cyclorama.evaluation.report import Report, build_json, build_text, format_html, format_json
from cyclorama.evaluation.settings import DEFAULT_GROUPS, GROUPS, METRICS, Metric
from cyclorama.evaluation.tables import ReportTable, ReportText, format_markdown, format_page


def build_evaluation(name: str = "made", count: int = 2) -> Evaluation:
    images = {f"k{n}": np.full((4, 4, 3), n, np.uint8) for n in range(count)}
    estimates = {name: MeanEstimate(0.5, None, None, count) for name in ("psnr", "ssim")}
    spread = {"tea": Compactness(1, 0.5, "soap", 2.0, 1.0), "soap": Compactness(1, 0.5, "tea", 0.0, 1.0)}
    rows = {key: {"psnr": 20.0} for key in images}
    partners = find_partners(from_arrays(images, name=name))
    return Evaluation(partners, rows, estimates, (), spread, None, {}, ())


def test_the_default_metrics_are_all_but_text() -> None:
    assert set(GROUPS) - set(DEFAULT_GROUPS) == {"text", "layout"} and set(DEFAULT_GROUPS) < set(GROUPS)


def test_a_head_is_the_short_title_with_an_arrow() -> None:
    assert METRICS["psnr"].head == "PSNR bg ↑"
    assert Metric("a", "Title", "lower").head == "Title ↓" and Metric("a", "Title", "none").head == "Title"


def test_values_are_finite_and_end_with_a_line() -> None:
    text = format_json(Report((build_evaluation(),)), with_rows=True)
    assert text.endswith("}\n")
    (found,) = json.loads(text)["sets"]
    assert found["rows"] == {"k0": {"psnr": 20.0}, "k1": {"psnr": 20.0}}
    assert list(found["compactness"]) == ["tea"]  # two centres in one place have no ratio
    assert found["compactness"]["tea"]["ratio"] == 0.25
    assert "rows" not in build_json(Report((build_evaluation(),)))["sets"][0]


def test_tables_name_their_set_where_there_are_several() -> None:
    one = build_text(Report((build_evaluation(),)))
    assert [table.caption for table in one.tables] == ["Means over images", "Compactness of categories"]
    assert [row[0] for row in one.tables[0].rows] == ["PSNR of the background (dB)", "SSIM of the background"]
    two = build_text(Report((build_evaluation("a"), build_evaluation("b"))))
    assert [table.caption for table in two.tables[::2]] == [
        "Means over images of a",
        "Means over images of b",
    ]


def test_shown_images_are_spread_over_the_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_module, "SHOWN", 3)
    page = format_html(Report((build_evaluation(count=9),)))
    assert [n for n in range(9) if f"<h3>k{n}</h3>" in page] == [0, 3, 6]
    few = format_html(Report((build_evaluation(count=2),)))
    assert few.count("<article") == 2


def test_a_report_as_markdown() -> None:
    table = ReportTable("Caption", ("a", "b"), [("x|y", "two\nlines")])
    text = ReportText("Title", ["fact"], ["How to read."], [table], {"Notes": ["n", "n"], "None": []})
    assert format_markdown(text, {"one": "one.png"}).splitlines() == [
        *("# Title", "", "- fact", "", "How to read.", "", "## Caption", ""),
        *("| a | b |", "| --- | --- |", "| x\\|y | two lines |", ""),
        *("## Images: one", "", "![one](one.png)", "", "## Notes", "", "- n"),
    ]


def test_a_report_as_a_page() -> None:
    table = ReportTable("Caption", ("a",), [("**b**",), ("****",), ("<i>",), ("** b",)])
    text = ReportText("T", [], [], [table], {})
    page = format_page(text)
    assert "<tr><td><strong>b</strong></td></tr><tr><td>****</td></tr>" in page
    assert "<tr><td>&lt;i&gt;</td></tr><tr><td>** b</td></tr></tbody>" in page
    assert "<ul>" not in page and "<ul><li>&lt;</li></ul>" in format_page(replace(text, lists={"N": ["<"]}))
