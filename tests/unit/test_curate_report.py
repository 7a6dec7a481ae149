"""The report counts what came of the rows, chooses samples without regard to order, and is one safe file."""

from __future__ import annotations

import hashlib
import io
import random
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cyclorama.curate.config import CurateConfig, ReadingSettings
from cyclorama.curate.records import Box, Finding, Record, Verdict
from cyclorama.curate.report import ReportSample, choose_samples, format_card, format_report, write_report
from cyclorama.curate.report_statistics import (
    collect_statistics,
    compute_long_tail,
    draw_funnel,
    draw_long_tail,
)
from cyclorama.curate.review import Decision
from cyclorama.curate.reviewing import encode_evidence
from cyclorama.curate.settling import JudgedRow
from cyclorama.curate.store import CurateStore, ImageCache


def outcome(n: int, verdict: Verdict, licence: str | None = "CC0-1.0") -> JudgedRow:
    first = Finding("clicks", Verdict.KEEP, numbers={"rate": 0.01 * n})
    second = Finding("text", verdict, "words" if verdict != Verdict.KEEP else "", {"words": float(n)})
    category = "mug" if n < 12 else "kettle <i>"
    return JudgedRow(
        Record(f"k{n}", "x.png", product_id=f"p{n // 2}", category=category, licence=licence, language="en"),
        [first, second],
        [{}, {}],
        {},
        "digest",
        "",
        "",
        None,
        verdict=verdict,
        rule="" if verdict == Verdict.KEEP else "text",
        split="train" if verdict in (Verdict.KEEP, Verdict.REPAIR) else "",
        decision=Decision("k0", "accept", "Ada", 1.0) if n == 0 else None,
    )


@pytest.fixture
def outcomes() -> list[JudgedRow]:
    verdicts = [Verdict.KEEP] * 14 + [Verdict.REPAIR] * 2 + [Verdict.REVIEW] * 3 + [Verdict.DROP]
    return [outcome(n, verdict) for n, verdict in enumerate(verdicts)]


def test_counts_add_up_and_do_not_depend_on_order(outcomes: list[JudgedRow]) -> None:
    found = collect_statistics(outcomes, ["licence", "clicks", "text"])
    assert (found.rows, found.kept, found.products, found.decided) == (20, 16, 8, 1)
    assert found.verdicts == {"keep": 14, "repair": 2, "review": 3, "drop": 1}
    assert sum(found.verdicts.values()) == found.rows
    assert {rule: sum(said.values()) for rule, said in found.funnel.items()} == {"clicks": 20, "text": 20}
    assert found.funnel["text"] == found.verdicts
    assert found.dropped_by == {"text": 1}
    assert found.splits == {"train": (16, 8)}
    assert dict(found.long_tail.counts) == {"mug": 12, "kettle <i>": 4}
    words = found.distributions[1]
    assert (words.name, sum(words.kept), sum(words.others), words.median) == ("text.words", 14, 6, 9.5)
    shuffled = random.Random(0).sample(outcomes, 20)
    assert collect_statistics(shuffled, ["licence", "clicks", "text"]) == found


def test_long_tail_as_the_paper_counts_it() -> None:
    counts = {"huge": 250, "exactly": 100, "ten": 10, "nine": 9, "one": 1}
    tail = compute_long_tail([name for name, count in counts.items() for _ in range(count)] + [None])
    assert (tail.share_many, tail.share_few, tail.median) == (0.2, 0.4, 10)
    assert dict(tail.counts) == counts
    svg = draw_long_tail(tail)
    heights = [float(value) for value in re.findall(r'class="keep"[^>]* height="([\d.]+)"', svg)]
    logs = np.log10(list(counts.values()))
    assert heights[:4] == pytest.approx(heights[0] * logs[:4] / logs[0], abs=0.06)
    assert "largest 250, median 10, smallest 1" in svg
    assert '<text class="soft" x="40" y="187">5 categories, most images first</text>' in svg
    assert "No category" in draw_long_tail(compute_long_tail([]))
    assert compute_long_tail([]).share_few == 0


def test_funnel_bars_are_proportional(outcomes: list[JudgedRow]) -> None:
    svg = draw_funnel(collect_statistics(outcomes).funnel, 20)
    widths = [float(w) for w in re.findall(r'class="(?:keep|repair|review|drop)"[^>]* width="([\d.]+)"', svg)]
    assert widths == pytest.approx([460, 322, 46, 69, 23], abs=0.01)
    texts = re.findall(r'<text x="0" y="(\d+)">(\w+)</text>', svg)
    assert texts == [("16", "clicks"), ("42", "text")]  # one row below the other
    bars = re.findall(r'rect class="\w+" x="([\d.]+)" y="(\d+)"', svg)
    assert bars[:3] == [("110.0", "3"), ("110.0", "29"), ("432.0", "29")]


def test_samples_do_not_depend_on_order() -> None:
    rows = [outcome(n, verdict) for n in range(100) for verdict in Verdict if n % 4 == verdict.severity]
    chosen = [(rule, verdict, row.record.key) for rule, verdict, row, _ in choose_samples(rows, 5)]
    shuffled = choose_samples(random.Random(1).sample(rows, 100), 5)
    assert [(rule, verdict, row.record.key) for rule, verdict, row, _ in shuffled] == chosen
    assert len(chosen) == len(set(chosen)) == 20
    assert [c[:2] for c in chosen[::5]] == [
        ("kept", Verdict.KEEP),
        ("text", Verdict.DROP),
        ("text", Verdict.REVIEW),
        ("text", Verdict.REPAIR),
    ]
    assert [place for _, _, _, place in shuffled[::5]] == [None, 1, 1, 1]
    assert choose_samples(rows, 0) == []


def test_evidence_is_drawn_where_the_box_is() -> None:
    pixels = np.full((400, 800, 3), 128, np.uint8)
    data = encode_evidence(pixels, (Box(200, 120, 600, 360, "text", 0.5),), side=400)
    image = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    assert image.shape == (200, 400, 3)
    red = (image[..., 0] > 180) & (image[..., 1] < 90)
    rows, columns = np.flatnonzero(red[:, 200]), np.flatnonzero(red[150])
    assert (columns.min(), columns.max()) == (pytest.approx(100, abs=3), pytest.approx(299, abs=3))
    assert rows.max() == pytest.approx(179, abs=3)
    assert np.abs(image[120, 200] - 128).max() < 8  # the inside is left alone
    assert encode_evidence(pixels, (Box(200, 120, 600, 360, "text", 0.5),), side=400) == data


class Tags(HTMLParser):
    """Counts tags and collects addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]


def test_the_report_is_one_file_and_takes_texts_as_texts(outcomes: list[JudgedRow]) -> None:
    jpeg = encode_evidence(np.zeros((8, 8, 3), np.uint8), ())
    sample = ReportSample("text", Verdict.DROP, "k<script>", "5 words & more", jpeg)
    page = format_report(collect_statistics(outcomes), [sample], "Set <1>", ["recipe a<b"])
    tags = Tags()
    tags.feed(page)
    assert "script" not in tags.names and "i" not in tags.names and "link" not in tags.names
    assert tags.names.count("svg") == 4  # funnel, long tail, two distributions
    assert len(tags.sources) == 1 and tags.sources[0].startswith("data:image/jpeg;base64,")
    assert "width=device-width" in page and "5 words &amp; more" in page
    assert "20 rows in: 16 in the set (2 of them repaired, text or logos" in page
    assert "erased), 3 for review, 1 dropped. 16 images of 8 products" in page
    assert "1 rows were decided by people" in page
    assert "50.0% fewer than 10" in page
    assert "commercial" not in page
    assert page == format_report(collect_statistics(outcomes), [sample], "Set <1>", ["recipe a<b"])


def test_restricted_images_mark_report_and_card(outcomes: list[JudgedRow]) -> None:
    marked = [*outcomes, outcome(1, Verdict.KEEP, "CC-BY-NC-4.0")]
    assert "Not for commercial use: CC-BY-NC-4.0" in format_report(collect_statistics(marked), [])
    card = format_card(collect_statistics(marked), "My set", "text: null\n", {"a.tar": "00"}, {"rare": 2})
    lines = card.splitlines()
    assert lines[0] == "# My set"
    assert lines[2] == "Licence: non-commercial use only; holds images under CC-BY-NC-4.0"
    assert "| CC-BY-NC-4.0 | 1 |" in lines and "| train | 17 | 8 |" in lines and "| a.tar | 00 |" in lines
    assert "| text | 21 | 15 | 2 | 3 | 1 | 1 |" in lines and "text: null" in lines
    assert "kept aside, yet in no training image: rare (2)" in card
    assert "Licence: CC0-1.0" in format_card(collect_statistics(outcomes))


def test_an_empty_set_can_be_reported() -> None:
    dropped = [outcome(0, Verdict.DROP)]
    for rows in ([], dropped):
        found = collect_statistics(rows)
        assert found.kept == 0
        assert "No category has an image" in format_report(found, [])
        assert "0 images of 0 products" in format_card(found)


@pytest.mark.parametrize(("outlier", "low", "high"), [(9.0, 1.0, 9.0), (-3.0, -3.0, 1.0)])
def test_one_outlier_among_equal_numbers_still_gives_a_range(outlier: float, low: float, high: float) -> None:
    """The percentiles are equal; then the range goes from the least to the greatest."""
    values = [1.0] * 400 + [outlier]
    rows = [
        replace(outcome(0, Verdict.KEEP), findings=[Finding("r", Verdict.KEEP, numbers={"n": value})])
        for value in values
    ]
    (found,) = collect_statistics(rows).distributions
    assert (found.low, found.high, found.median) == (low, high, 1.0)
    assert sorted(found.kept)[-2:] == [1, 400] and sum(found.others) == 0
    assert collect_statistics(rows[:-1]).distributions == ()


def test_a_reason_that_is_no_rule_has_its_own_line_in_the_card(
    outcomes: list[JudgedRow], tmp_path: Path
) -> None:
    outcomes[-1].rule = "output"
    card = format_card(collect_statistics(outcomes, ["clicks", "text"]), recipe="", digests={}, unseen={})
    assert re.search(r"\| output +\|( +– +\|){5} +1 +\|", card)
    for row in outcomes:
        row.digest = ""  # no sample is drawn of what has gone
        row.findings = [replace(f, verdict=Verdict.DROP) for f in row.findings]
    store = CurateStore(tmp_path)
    store.set.mkdir()
    (store.set / "shard-000000.tar").write_bytes(b"tar")
    cache = ImageCache(store.cache, ReadingSettings())
    write_report(store, cache, outcomes, CurateConfig(), ["clicks", "text"], ["a note"])
    assert "a note" in (tmp_path / "index.html").read_text(encoding="utf-8")
    assert hashlib.sha256(b"tar").hexdigest() in (tmp_path / "card.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "numbers",
    [
        [0.24] * 3 + [0.24000000000000005] * 3,
        [1.0, 1.0000000000000002],
        [-1e308, 1e308],
        [1e308, 1.5e308],
        [5e-324, 1e-323],
        [0.0, np.inf],
    ],
)
def test_numbers_that_differ_by_rounding_or_beyond_measure_have_no_distribution(numbers: list[float]) -> None:
    rows = [outcome(n, Verdict.KEEP) for n in range(len(numbers))]
    for row, number in zip(rows, numbers, strict=True):
        row.findings = [Finding("clicks", Verdict.KEEP, numbers={"rate": number})]
    assert collect_statistics(rows).distributions == ()


def test_a_far_value_beside_equal_ones_widens_the_range() -> None:
    numbers = [0.24] * 300 + [0.24000000000000005] * 300 + [1e6]
    rows = [outcome(n, Verdict.KEEP) for n in range(len(numbers))]
    for row, number in zip(rows, numbers, strict=True):
        row.findings = [Finding("clicks", Verdict.KEEP, numbers={"rate": number})]
    (found,) = collect_statistics(rows).distributions
    assert (found.low, found.high) == (0.24, 1e6)
    assert (found.kept[0], found.kept[-1], sum(found.kept)) == (600, 1, 601)
