"""One small run, every file of it against stored values; then people decide, and it runs again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from _curating import SIDE, build_recipe, build_test_rules, draw_image, write_input
from PIL import Image

from cyclorama.curate.config import CurateConfig
from cyclorama.curate.judging import READING
from cyclorama.curate.outputs import RESULTS_FILE
from cyclorama.curate.report import CARD_FILE, REPORT_FILE
from cyclorama.curate.report_statistics import FEW, MANY
from cyclorama.curate.review import (
    FILE_NAME,
    IMAGE_FOLDER,
    Choice,
    Decision,
    load_review_items,
    save_decision,
)
from cyclorama.curate.reviewing import PAIRS_FILE
from cyclorama.curate.run import CurateResult, run_curate
from cyclorama.curate.settling import OUTPUT, REVIEW
from cyclorama.curate.splits import PairsSettings, SplitSettings
from cyclorama.curate.store import TIMINGS_FILE, CurateStore

NAMES = ("key", "verdict", "rule", "category", "identifier", "set_key", "height", "reason")
FIRST = """
00.jpg  keep    -       Cup    sks 0 00_jpg 48 -
01.png  repair  stamp   vases  sks 1 01_png 48 a stamp
02.png  drop    reading Cup    sks 0 -      -  bytes is a damaged or truncated PNG file
03.jpg  drop    few     vases  -     -      -  0 clicks, at least 1
04.png  drop    bright  Cup    sks 0 -      -  mean 0.835, at most 0.77
05.png  review  bright  vases  sks 1 -      48 mean 0.719 is near 0.77
06.png  drop    stamp   Cup    sks 0 -      -  the rule failed: RuntimeError: one pixel is too little
07.png  keep    -       vases  sks 1 07_png 48 -
08.png  drop    same    Cup    sks 0 -      48 the same as 07.png
row-10  drop    reading -      -     -      -  row 10 (line 10): not valid JSON
09.jpg  keep    -       vases  sks 1 09_jpg 48 -
10.png  keep    -       Cup    sks 0 10_png 48 -
"""
SECOND = """
00.jpg  drop    review  Cup    sks 0 -      48 rejected by Bo: dull
04.png  keep    bright  Cup    sks 0 04_png 48 accepted by Bo despite: mean 0.835, at most 0.77
05.png  keep    bright  vases  sks 1 05_png 48 accepted by Ada despite: mean 0.719 is near 0.77
06.png  drop    stamp   Cup    sks 0 -      48 the rule failed: RuntimeError: one pixel is too little
10.png  keep    -       Cup    sks 0 10_png 48 accepted by Ada
"""
CARD = """
12 rows in: 5 in the set (1 of them repaired, text or logos on the background erased), 1 for review, \
6 dropped. 5 images of 4 products, \
with category and product mask (1 = product). 0 rows were decided by people.

2 categories: 0.0% have more than 100 images, 100.0% fewer than 10; the median has 2.5. \
BG60k: 2,032 categories, about 6 % and over half (arXiv 2312.13309, section 4.2).

## How it was chosen

| rule | rows | kept | repaired | to review | dropped | taken out by its word |
| --- | --- | --- | --- | --- | --- | --- |
| few | 11 | 10 | 0 | 0 | 1 | 1 |
| category | 10 | 10 | 0 | 0 | 0 | 0 |
| bright | 9 | 7 | 0 | 1 | 1 | 1 |
| dark | 8 | 8 | 0 | 0 | 0 | 0 |
| stamp | 8 | 6 | 1 | 0 | 1 | 1 |
| same | 7 | 6 | 0 | 0 | 1 | 1 |
| reading | 2 | 0 | 0 | 0 | 2 | 2 |

## Categories

| category | images |
| --- | --- |
| vases | 3 |
| Cup | 2 |

## Splits

| split | images | products |
| --- | --- | --- |
| bgpair | 5 | 4 |
"""
FUNNEL = (
    "few: 1 drop, 10 keep; category: 10 keep; bright: 1 drop, 7 keep, 1 review; dark: 8 keep; "
    "stamp: 1 drop, 6 keep, 1 repair; same: 1 drop, 6 keep; reading: 2 drop"
)
PAIRS = {"00.jpg": "10.png", "01.png": "09.jpg", "07.png": "09.jpg", "09.jpg": "07.png", "10.png": "00.jpg"}
EVIDENCE, MASK = "as it came, with the evidence", "the product by its mask"


def run(manifest: Path, out: Path) -> CurateResult:
    pairs, splits = PairsSettings(shape_similarity=0.0), SplitSettings(bg1k=0.0, bgpair=0.99)
    recipe: CurateConfig = build_recipe().replace(pairs=pairs, splits=splits)
    return run_curate(str(manifest), out, recipe, build=build_test_rules)


def tabulate(out: Path) -> list[list[str]]:
    rows = pq.read_table(out / RESULTS_FILE).to_pylist()
    return [[str(row[name] or "-") for name in NAMES] for row in rows]


def check(found: list[list[str]], wanted: str) -> None:
    for row, line in zip(found, wanted.strip().splitlines(), strict=True):
        words = line.replace("sks ", "sks_").split(maxsplit=len(NAMES) - 1)
        words[4] = words[4].replace("_", " ")
        assert row[:-1] == words[:-1] and row[-1].startswith(words[-1]), (row, line)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_input(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def out(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "out"
    result = run(manifest, folder)
    assert result.verdicts == {"keep": 4, "repair": 1, "review": 1, "drop": 6}
    assert result.reasons == {"bright": 1, "few": 1, READING: 2, "same": 1, "stamp": 1}
    assert (result.rows, result.looked_at, result.shards, result.finished) == (12, 12, 2, True)
    return folder


def test_results_and_logs(out: Path) -> None:
    check(tabulate(out), FIRST)
    rows = pq.read_table(out / RESULTS_FILE).to_pylist()
    found = json.loads(rows[1]["findings"])
    said = ["few", "category", "bright", "dark", "stamp", "same"]
    assert [finding["rule"] for finding in found] == said
    assert (found[4]["numbers"], found[4]["reason"]) == ({"pixels": 30.0}, "a stamp")
    assert found[2]["numbers"]["mean"] == pytest.approx(0.4149, abs=1e-4)
    assert found[1]["numbers"] == {"images": 4.0} and found[0] == {"rule": "few", "verdict": "keep"}
    located = [(bool(row["repaired_pixels"]), bool(row["product_mask"])) for row in rows]
    assert located == [(n == 1, n in (1, 5, 7, 10)) for n in range(12)]
    assert all((out / row[name]).is_file() for row in rows for name in ("product_mask",) if row[name])
    logged = (out / "rejects" / "bright.jsonl").read_text()
    assert json.loads(logged)["numbers"] == {"mean": pytest.approx(0.8351, abs=1e-4)}
    times = json.loads((out / "journal" / TIMINGS_FILE).read_text())
    counts = {"bright": 9, "dark": 8, "stamp": 8, "decoding": 10, READING: 10, "summary": 7}
    assert {name: value["images"] for name, value in times.items()} == counts
    assert all(0 <= value["seconds"] < 60 for value in times.values())


def test_report_and_card(out: Path) -> None:
    card, page = ((out / name).read_text() for name in (CARD_FILE, REPORT_FILE))
    assert CARD in card and "\nLicence: not stated\n" in card
    assert "kept aside, yet in no training image: Cup (2), vases (3)" in card
    assert FUNNEL in page and "Some images state no licence: find out before commercial use." in page
    assert "2 categories; largest 3, median 2.5, smallest 2 images" in page
    assert "bright.mean: from 0.4079 to 0.8305, median 0.422" in page
    shown = [line.split("</h3>")[0] for line in page.split("<h3>")[1:]]
    assert shown == [
        "bright: drop",
        "bright: review",
        "stamp: drop",
        "stamp: repair",
        "same: drop",
        "kept: keep",
    ]
    assert f"have more than {MANY} images, 100.0% fewer than {FEW};" in page


def test_review_and_pairs(out: Path) -> None:
    first, *pairs = load_review_items(out)
    assert (first.key, first.title, first.reasons) == (
        "05.png",
        "05.png · vases",
        ("bright: mean 0.719 is near 0.77",),
    )
    assert [image.label for image in first.images] == [EVIDENCE]
    with Image.open(out / first.images[0].path) as image:
        assert image.size == (SIDE, SIDE)
        assert np.abs(np.asarray(image).astype(float) - draw_image(5, 212)).mean() < 12
    assert {item.key: item.numbers["shape_similarity"] for item in pairs} == {
        f"pair:{product}|{reference}": 1.0 for product, reference in PAIRS.items()
    }
    lines = [json.loads(line) for line in (out / PAIRS_FILE).read_text().splitlines()]
    assert {line["product_key"]: line["reference_key"] for line in lines} == PAIRS
    products = [(line["product_id"], line["reference_product_id"]) for line in lines]
    assert products == [("p0", "p5"), ("p0", "p4"), ("p3", "p4"), ("p4", "p3"), ("p5", "p0")]
    assert {line["state"] for line in lines} == {"proposed"}
    assert [line["reference"] for line in lines] == [name.replace(".", "_") for name in PAIRS.values()]
    shown = {image.path for item in (first, *pairs) for image in item.images}
    assert {f"{IMAGE_FOLDER}/{path.name}" for path in (out / IMAGE_FOLDER).iterdir()} == shown
    assert len(shown) == 6


def test_people_decide_and_it_runs_again(manifest: Path, out: Path) -> None:
    items = {item.key: item for item in load_review_items(out)}
    pair, other = "pair:07.png|09.jpg", "pair:09.jpg|07.png"
    (out / IMAGE_FOLDER / "left over.jpg").touch()
    for decision in (
        Decision("05.png", "accept", "Ada", 86400.0, "fine", items["05.png"].basis),
        Decision("00.jpg", "reject", "Bo", 86401.0, "dull"),
        Decision("04.png", "accept", "Bo", 86402.0),
        Decision("06.png", "accept", "Bo", 86402.0, basis="of something else"),
        Decision("10.png", "accept", "Ada", 86402.0),
        Decision(pair, "accept", "Ada", 86403.0, "", items[pair].basis),
        Decision(other, "reject", "Ada", 86404.0, "", "of something else"),
    ):
        save_decision(out / FILE_NAME, decision)
    result = run(manifest, out)
    assert (result.verdicts, result.shards) == ({"keep": 5, "repair": 1, "review": 0, "drop": 6}, 2)
    assert result.reasons == {"few": 1, READING: 2, REVIEW: 1, "same": 1, "stamp": 1} and OUTPUT == "output"
    decided = ("00.jpg", "04.png", "05.png", "06.png", "10.png")
    check([row for row in tabulate(out) if row[0] in decided], SECOND)
    rows = {row["key"]: row for row in pq.read_table(out / RESULTS_FILE).to_pylist()}
    assert rows["05.png"]["decided_at"] == "1970-01-02T00:00:00Z" and rows["00.jpg"]["decided"] == "reject"
    assert {key for key, row in rows.items() if row["decided_by"]} == set(decided) - {"06.png"}
    asked = {item.key: [image.label for image in item.images] for item in load_review_items(out)}
    assert {key: labels for key, labels in asked.items() if not key.startswith("pair")} == {
        key: [EVIDENCE] if key == "05.png" else [EVIDENCE, MASK] for key in set(decided) - {"06.png"}
    }
    lines = [json.loads(line) for line in (out / PAIRS_FILE).read_text().splitlines()]
    states = {(line["product_key"], line["reference_key"]): line["state"] for line in lines}
    assert set(states.values()) <= {"proposed", "accepted"} and "00.jpg" not in {key for key, _ in states}
    assert not (out / IMAGE_FOLDER / "left over.jpg").exists()
    store = CurateStore(out)
    marks = json.loads((out / "journal" / "done.json").read_text())["files"]
    assert marks == store.compute_digests(store.list_stable()) and len(marks) > 20
    again = run(manifest, out)
    assert (again.looked_at, again.verdicts) == (0, result.verdicts)


def test_decisions_about_pairs_outlive_further_products(tmp_path: Path) -> None:
    manifest, out = write_input(tmp_path / "shop"), tmp_path / "out"
    run(manifest, out)
    items = {item.key: item for item in load_review_items(out)}
    choices: dict[str, Choice] = {"pair:01.png|09.jpg": "accept", "pair:07.png|09.jpg": "reject"}
    for key, choice in choices.items():
        save_decision(out / FILE_NAME, Decision(key, choice, "Ada", 86400.0, "", items[key].basis))
    save_decision(out / FILE_NAME, Decision("pair:09.jpg|07.png", "accept", "Ada", 86400.0, "", "of old"))
    for count in (11, 41):
        write_input(manifest.parent, count)
        run(manifest, out)
        lines = [json.loads(line) for line in (out / PAIRS_FILE).read_text().splitlines()]
        states = {f"pair:{line['product_key']}|{line['reference_key']}": line["state"] for line in lines}
        assert {key: state for key, state in states.items() if state != "proposed"} == {
            "pair:01.png|09.jpg": "accepted",
            "pair:07.png|09.jpg": "rejected",
        }
        assert {line["decided_by"] for line in lines if line["state"] != "proposed"} == {"Ada"}
        sevens = [line["state"] for line in lines if line["product_key"] == "07.png"]
        assert sevens == ["rejected", "proposed"]
        assert [line["product_key"] for line in lines] == sorted(line["product_key"] for line in lines)
        asked = load_review_items(out)
        assert [item.key for item in asked if item.kind == "pair"] == list(states)
        assert all((out / image.path).is_file() for item in asked for image in item.images)
