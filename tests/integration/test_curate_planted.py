"""A small planted set: every row comes out with an answer, and every rule catches what was planted for it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage, stats

from cyclorama.cli import main
from cyclorama.curate.config import CurateConfig, OutputSettings
from cyclorama.curate.records import Record, Verdict
from cyclorama.data.shards import Sample, write_shards
from cyclorama.jobs.job import EngineSettings
from cyclorama.lab.planted import build as build_module
from cyclorama.lab.planted.build import PlantingJob, build_set
from cyclorama.lab.planted.kinds import KINDS
from cyclorama.lab.planted.measure import (
    Truth,
    build_rule,
    open_image,
    read_records,
    read_truth,
)
from cyclorama.lab.planted.report import compute_wilson, has_fired, score_groups, score_rule

ADVERTISEMENTS = Path(__file__).resolve().parents[1] / "cases" / "advertisements"
WHOLE = (
    "clean", "blank_white", "blank_gradient", "blank_shadow", "copy_resize", "copy_colour", "mask_inverted",
    "mask_shifted", "mask_empty", "mask_full", "clicks_low", "tiny", "banner", "blurred", "crushed",
    "frame_solid", "broken_file",
)  # fmt: skip
TEXT = ("text_plain", "text_badge", "text_outlined", "pack_text")


def turn(image: Image.Image, number: int) -> bytes:
    """One of four views of an image, so that few rendered images make many different ones."""
    import io

    stream = io.BytesIO()
    turned = [image, *(image.transpose(Image.Transpose(k)) for k in (0, 1, 3))][number]
    turned.save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rendered advertisements, four views of each, as shards.

    Without laptops: a dark one before a dark room has no edge to see, and its right mask is doubted.
    """
    folder = tmp_path_factory.mktemp("rendered")
    samples = []
    for number in range(4):
        for path in sorted(p for p in ADVERTISEMENTS.glob("*-mask.png") if not p.name.startswith("laptop")):
            name = path.name.removesuffix("-mask.png")
            category = name.rpartition("-")[0].replace("-", " ")
            key = f"{number}-{name}"
            meta = {"id": key, "category": category, "product_id": key, "brand": name}
            (file,) = ADVERTISEMENTS.glob(f"{name}.*")  # PNG or JPEG
            with Image.open(file) as image, Image.open(path) as mask:
                samples.append(Sample(key, turn(image.convert("RGB"), number), turn(mask, number), meta))
    write_shards(samples, folder)
    return folder


def plant(
    shards: Path, out: Path, rows: int, kinds: tuple[str, ...]
) -> tuple[dict[str, Truth], list[Record]]:
    build_set(PlantingJob(shards, out, None, None, 5, kinds), rows)
    return read_truth(out), read_records(out / "manifest.csv")


@pytest.fixture(scope="module")
def planted(
    shards: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Truth], list[Record]]:
    out = tmp_path_factory.mktemp("planted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build_module, "SIDES", (320, 384))
        return out, *plant(shards, out, 40, WHOLE)


def test_the_same_arguments_give_the_same_files(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_module, "SIDES", (256, 320))
    for name in ("first", "second"):
        build_set(PlantingJob(shards, tmp_path / name, None, None, 3, ("text_badge", "blank_shadow")), 4)
    files = sorted(p.relative_to(tmp_path / "first") for p in (tmp_path / "first").rglob("*") if p.is_file())
    assert len(files) >= 4 * 2 + 3
    for file in files:
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()


def test_planted_text_lies_on_the_background_or_on_the_product(shards: Path, tmp_path: Path) -> None:
    truth, records = plant(shards, tmp_path, 8, ("text_plain", "text_badge"))
    for record in records:
        image = open_image(record)
        text = np.asarray(Image.open(tmp_path / "truth" / f"{record.key}.text.png"), np.float32) / 255
        assert truth[record.key]["expect"] == "text"
        assert image.mask is not None
        assert 0.001 < (text > 0.5).mean() < 0.2
        assert not (text > 0)[image.mask > 0.02].any()


def test_every_row_comes_out_and_every_rule_catches_its_plants(
    planted: tuple[Path, dict[str, Truth], list[Record]], tmp_path: Path
) -> None:
    import pyarrow.parquet as pq

    from cyclorama.curate.run import run_curate

    folder, truth, _ = planted
    total = json.loads((folder / "settings.json").read_text())["impressions_total"]
    config = CurateConfig(text=None, people=None, erase=None, pairs=None, output=OutputSettings(samples=0))
    assert config.clicks is not None
    config = config.replace(clicks=config.clicks.replace(impressions_total=total, peers="set"))
    run_curate(str(folder / "manifest.csv"), tmp_path / "out", config, EngineSettings())

    rows = pq.read_table(tmp_path / "out" / "results.parquet").to_pylist()
    assert sorted(row["key"] for row in rows) == sorted(truth)
    fired = {
        row["key"]: {f["rule"] for f in json.loads(row["findings"]) if f["verdict"] != "keep"} for row in rows
    }
    missed = [
        (truth[key]["kind"], rule)
        for key in truth
        for rule in truth[key]["expect"].split()
        if rule not in (*fired[key], "text") and not (rule == "duplicates" and truth[key]["group"])
    ]
    assert missed == []  # RESULTS.md has the recall of larger sets
    pairs = {row["group"] for row in truth.values() if row["group"]}
    dropped = {truth[key]["group"] for key, rules in fired.items() if "duplicates" in rules}
    assert dropped == pairs
    clean = [fired[key] - {"duplicates"} for key, row in truth.items() if row["kind"] == "clean"]
    assert len(clean) >= 15 and not any(clean)


def test_text_on_the_background_goes_and_text_on_the_product_stays(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rapidocr")
    monkeypatch.setattr(build_module, "SIDES", (384,))
    truth, records = plant(shards, tmp_path, 6, TEXT)

    def erase(pixels: np.ndarray, hole: np.ndarray) -> np.ndarray:
        rows, columns = ndimage.distance_transform_edt(hole, return_distances=False, return_indices=True)
        filled: np.ndarray = pixels[rows, columns]
        return filled

    rule = build_rule("text", CurateConfig(), erase=erase)
    lines = {}
    for record in records:
        image = open_image(record)
        finding = rule.judge(image)
        lines[record.key] = {"verdict": finding.verdict}
        if finding.verdict == Verdict.REPAIR:
            assert finding.repaired is not None and image.mask is not None
            changed = (finding.repaired.pixels != image.pixels).any(axis=2)
            assert changed.any() and not changed[image.mask > 0.02].any()
    score = score_rule("text", lines, truth)
    assert score.missed == 0 and score.wrong == 0 and score.right >= 3


def test_scores_count_what_was_planted() -> None:
    truth = {
        "a": {"kind": "text_plain", "expect": "text", "allow": "", "group": ""},
        "b": {"kind": "clean", "expect": "", "allow": "", "group": "g1"},
        "c": {"kind": "copy_crop", "expect": "duplicates", "allow": "text", "group": "g1"},
        "d": {"kind": "clean", "expect": "", "allow": "", "group": ""},
    }
    lines = {key: {"verdict": verdict} for key, verdict in zip("abcd", ("repair", "keep", "drop", "review"))}
    assert [has_fired(line) for line in lines.values()] == [True, False, True, True]
    score = score_rule("text", lines, truth)
    assert (score.right, score.missed, score.wrong, score.quiet) == (1, 0, 1, 1)
    pairs, kept = score_groups(lines, truth)
    assert (pairs.right, pairs.missed, pairs.wrong, pairs.quiet, kept) == (1, 0, 2, 0, 1)


@pytest.mark.parametrize(("hits", "total"), [(10, 10), (95, 100), (1, 2), (0, 7), (1490, 1500)])
def test_the_interval_is_wilsons(hits: int, total: int) -> None:
    interval = stats.binomtest(hits, total).proportion_ci(method="wilson")
    assert compute_wilson(hits, total) == pytest.approx((interval.low, interval.high), abs=1e-6)
    assert compute_wilson(0, 0) == (0, 1)


def test_every_kind_names_rules_that_exist() -> None:
    rules = {
        "size", "quality", "mask", "blank", "people", "text", "duplicates", "clicks", "reading", "watermark",
        "*",
    }  # fmt: skip
    for kind in KINDS.values():
        assert set(kind.expect.split()) | set(kind.allow.split()) <= rules
        assert not set(kind.expect.split()) & set(kind.allow.split())


def test_the_command_builds_measures_and_reports(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_module, "SIDES", (384,))
    folder, out = tmp_path / "set", tmp_path / "out"
    assert main(["lab", "planted", "build", str(shards), str(folder), "--rows", "45", "--workers", "1"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    rules = ["--rules", "size", "--rules", "mask", "--rules", "summary"]
    assert main(["lab", "planted", "measure", str(folder), str(out), *rules]) == 0
    first = capsys.readouterr().out
    assert f"size: {rows} rows" in first
    assert main(["lab", "planted", "measure", str(folder), str(out), *rules]) == 0
    assert capsys.readouterr().out == first  # nothing is asked again
    assert main(["lab", "planted", "report", str(folder), str(out)]) == 0
    text = (out / "report.md").read_text()
    assert "| size | 2 / " in text and "| duplicates | 5 / " in text and "masks made where" in text
    curves = [line.split(",") for line in (out / "curves.csv").read_text().splitlines()]
    assert ["size.min_side", "256", "1.0000", "1.0000"] in curves
