"""A curating run as a whole: rows in are rows out, nothing is done twice, a kill costs nothing."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from _curating import (
    StampRule,
    build_recipe,
    build_test_rules,
    draw_image,
    encode,
    read_stable,
    write_input,
)

from cyclorama.curate.config import CurateConfig
from cyclorama.curate.review import FILE_NAME, Decision, save_decision
from cyclorama.curate.run import run_curate
from cyclorama.data.decode import open_image
from cyclorama.data.shards import read_shards
from cyclorama.errors import ConfigError, CycloramaError, ManifestError, ModelError
from cyclorama.jobs.in_process import InProcessEngine
from cyclorama.jobs.job import EngineSettings, Hooks

ENGINE = EngineSettings(threads=None, shard_size=4)


def curate(manifest: Path, out: Path, recipe: CurateConfig | None = None, **options):
    options.setdefault("build", build_test_rules)
    return run_curate(str(manifest), out, recipe or build_recipe(), ENGINE, **options)


def read_results(out: Path) -> list[dict]:
    return pq.read_table(out / "results.parquet").to_pylist()


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Path:
    return write_input(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def finished(manifest, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "out"
    assert curate(manifest, out).finished
    return out


def test_every_row_has_its_verdict_and_reason(finished):
    rows = read_results(finished)
    fates = [(row["verdict"], row["rule"]) for row in rows]
    assert fates == [
        ("keep", ""),
        ("repair", "stamp"),
        ("drop", "reading"),  # cut off
        ("drop", "few"),
        ("drop", "bright"),
        ("review", "bright"),
        ("drop", "stamp"),  # the rule failed
        ("keep", ""),
        ("drop", "same"),
        ("drop", "reading"),  # no JSON
        ("keep", ""),
        ("keep", ""),
    ]
    assert [row["row"] for row in rows] == list(range(12))
    assert "truncated" in rows[2]["reason"]
    assert rows[6]["reason"] == "the rule failed: RuntimeError: one pixel is too little"
    assert rows[8]["reason"] == "the same as 07.png"
    assert rows[9]["reason"].startswith("row 10 (line 10): not valid JSON")
    assert {row["category"] for row in rows if row["verdict"] == "keep"} == {"Cup", "vases"}


def test_reject_logs_hold_exactly_the_dropped_rows_by_rule(finished):
    rows = [row for row in read_results(finished) if row["verdict"] == "drop"]
    logged = {}
    for path in sorted((finished / "rejects").glob("*.jsonl")):
        for line in path.read_text().splitlines():
            values = json.loads(line)
            logged[values["key"]] = (path.stem, values["reason"])
    assert logged == {row["key"]: (row["rule"], row["reason"]) for row in rows}
    assert (finished / "rejects" / "dark.jsonl").read_bytes() == b""


def test_the_set_holds_kept_images_masks_and_labels(finished, manifest):
    samples = {sample.meta["id"]: sample for sample in read_shards(finished / "set")}
    kept = [row for row in read_results(finished) if row["verdict"] in ("keep", "repair")]
    assert list(samples) == [row["key"] for row in kept]
    jpeg = samples["00.jpg"]
    assert jpeg.image == (manifest.parent / "00.jpg").read_bytes()
    assert (jpeg.image_suffix, jpeg.key) == ("jpg", "00_jpg")
    assert jpeg.meta["category"] == "Cup"
    assert jpeg.meta["product_id"] == "p0"
    assert jpeg.meta["season"] == "spring"
    mask = np.asarray(open_image(jpeg.mask, "mask"))
    assert mask[20, 20] == 255 and mask[2, 2] == 0
    repaired = np.asarray(open_image(samples["01.png"].image, "image"))
    original = draw_image(1, stamp=30)
    stamped = (original == (255, 0, 255)).all(axis=2)
    assert stamped.sum() == 30
    assert (repaired[stamped] == 128).all()
    assert (repaired[~stamped] == original[~stamped]).all()
    assert samples["01.png"].meta["repaired_by"] == ["stamp"]
    made = np.asarray(open_image(samples["01.png"].mask, "mask"))  # by the rule, 0.3 in the first column
    assert set(np.unique(made[:, 0])) == {76}  # 0.3 of 255, rounded to even


def test_products_are_not_split(finished):
    splits = {}
    for sample in read_shards(finished / "set"):
        splits.setdefault(sample.meta["product_id"], set()).add(sample.meta["split"])
    assert all(len(found) == 1 for found in splits.values())
    assert set().union(*splits.values()) <= {"train", "bg1k", "bgpair"}


def test_the_mark_names_the_digest_of_every_stable_file(finished):
    import hashlib

    mark = json.loads((finished / "journal" / "done.json").read_text())["files"]
    assert mark == {name: hashlib.sha256(data).hexdigest() for name, data in read_stable(finished).items()}
    assert {"results.parquet", "categories.json", "set/shard-000000.tar"} <= set(mark)


def test_killed_at_any_step_it_ends_with_the_bytes_of_an_undisturbed_run(manifest, finished, tmp_path):
    program = Path(__file__).with_name("_curate_kills.py")
    steps = ",".join(str(step) for step in (1, 2, 3, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 3, 2))
    done = subprocess.run(
        [sys.executable, program, manifest, tmp_path / "out", steps],
        capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 10
    result = curate(manifest, tmp_path / "out")
    assert result.finished
    assert read_stable(tmp_path / "out") == read_stable(finished)
    assert not list((tmp_path / "out").rglob("*.part"))


def test_a_stopped_run_goes_on_where_it_was(manifest, finished, tmp_path, monkeypatch):
    seen = 0

    def count(rows):
        nonlocal seen
        seen += rows

    result = curate(manifest, tmp_path, hooks=Hooks(advanced=count, stopping=lambda: seen >= 5))
    assert not result.finished and 5 <= seen < 12
    assert not (tmp_path / "results.parquet").exists()
    judged = count_judgements(monkeypatch)
    assert curate(manifest, tmp_path).finished
    assert read_stable(tmp_path) == read_stable(finished)
    assert judged and not {"00.jpg", "01.png"} & set(judged)


def count_judgements(monkeypatch) -> list[str]:
    """Keys of the records that the stamp rule is asked about from now on."""
    judged: list[str] = []
    original = StampRule.judge

    def judge(self, image):
        judged.append(image.record.key)
        return original(self, image)

    monkeypatch.setattr(StampRule, "judge", judge)
    return judged


def test_a_second_run_changes_and_judges_nothing(manifest, tmp_path, monkeypatch):
    curate(manifest, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "set").glob("shard-*")}
    judged = count_judgements(monkeypatch)
    result = curate(manifest, tmp_path)
    assert (result.looked_at, judged) == (0, [])
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "set").glob("shard-*")} == before


def test_other_settings_of_a_rule_leave_the_answers_of_the_others(manifest, tmp_path, monkeypatch):
    curate(manifest, tmp_path / "first")
    judged = count_judgements(monkeypatch)
    stricter = build_recipe(bright={"limit": 0.99, "doubt": 0.0})
    curate(manifest, tmp_path / "first", stricter)
    assert judged == ["04.png", "06.png"]  # dropped before it got there until now; a failure is no answer
    rows = read_results(tmp_path / "first")
    assert [rows[4]["verdict"], rows[5]["verdict"]] == ["keep", "keep"]
    curate(manifest, tmp_path / "fresh", stricter)
    assert read_stable(tmp_path / "first") == read_stable(tmp_path / "fresh")


def test_a_changed_file_alone_is_judged_anew(tmp_path, monkeypatch):
    manifest = write_input(tmp_path / "shop")
    curate(manifest, tmp_path / "out")
    (manifest.parent / "10.png").write_bytes(encode(draw_image(99, stamp=7)))
    judged = count_judgements(monkeypatch)
    curate(manifest, tmp_path / "out")
    assert judged == ["10.png"]
    assert read_results(tmp_path / "out")[11]["verdict"] == "repair"
    curate(manifest, tmp_path / "fresh")
    assert read_stable(tmp_path / "out") == read_stable(tmp_path / "fresh")


def test_names_and_texts_that_are_no_unicode_do_not_end_the_run(tmp_path):
    manifest = write_input(tmp_path / "shop")
    rows = [json.loads(line) for line in manifest.read_text().splitlines() if line.startswith('{"')]
    rows[0] |= {"id": "half \ud83d", "cate_name": "Cup \ud83d", "\ud83d": "\ud83d", "brand": "\ud83d"}
    latin = os.fsdecode(b"\xe9.png")
    (manifest.parent / rows[7]["img_path"]).rename(manifest.parent / latin)
    rows[7]["img_path"] = latin
    manifest.write_text("\n".join(map(json.dumps, rows)))
    assert curate(manifest, tmp_path / "out").rows == len(rows)
    found = read_results(tmp_path / "out")
    assert [found[0][name] for name in ("key", "verdict", "category")] == ["half ?", "keep", "Cup ?"]
    assert (found[7]["image"], found[7]["rule"]) == (f"{manifest.parent}/?.png", "reading")
    kept = next(read_shards(tmp_path / "out" / "set")).meta
    assert (kept["id"], kept["brand"], kept["?"]) == ("half ?", "?", "?")


def test_decisions_are_taken_in_with_who_and_when(manifest, tmp_path, monkeypatch):
    out = tmp_path / "out"
    curate(manifest, out)
    judged = count_judgements(monkeypatch)
    save_decision(out / FILE_NAME, Decision("05.png", "accept", "Ada", 1_700_000_000.0))
    save_decision(out / FILE_NAME, Decision("04.png", "accept", "Ada", 1_700_000_001.0))
    save_decision(out / FILE_NAME, Decision("07.png", "reject", "Bo", 1_700_000_002.0, "ugly"))
    curate(manifest, out)
    rows = {row["key"]: row for row in read_results(out)}
    assert judged == [
        "04.png",
        "06.png",
    ]  # the dropped one, which now goes all its way; a failure is no answer
    assert rows["05.png"]["verdict"] == rows["04.png"]["verdict"] == "keep"
    assert rows["04.png"]["reason"].startswith("accepted by Ada despite: mean 0.")
    assert (rows["05.png"]["decided_by"], rows["05.png"]["decided_at"]) == ("Ada", "2023-11-14T22:13:20Z")
    assert (rows["07.png"]["verdict"], rows["07.png"]["rule"]) == ("drop", "review")
    assert rows["07.png"]["reason"] == "rejected by Bo: ugly"
    assert rows["08.png"]["verdict"] == "keep"  # the next best of the rejected one's duplicates
    assert "04.png" in {sample.meta["id"] for sample in read_shards(out / "set")}


@pytest.mark.parametrize("deleted", [("cache",), ("journal",), ("cache", "journal")])
@pytest.mark.parametrize("rejected", [(), ("07.png",)])
def test_cache_and_journal_may_be_deleted(manifest, finished, tmp_path, deleted, rejected):
    out, fresh = tmp_path / "out", tmp_path / "fresh"
    shutil.copytree(finished, out)
    fresh.mkdir()
    for folder in deleted:
        shutil.rmtree(out / folder)
    for folder, key in itertools.product((out, fresh), rejected):
        save_decision(folder / FILE_NAME, Decision(key, "reject", "Bo", 1.0))
    assert curate(manifest, out).finished and curate(manifest, fresh).finished
    assert read_stable(out) == read_stable(fresh)
    masks = [row["product_mask"] for row in read_results(out) if row["product_mask"]]
    assert masks and all((out / name).is_file() for name in masks)
    assert curate(manifest, out).looked_at == 0


def test_a_decision_about_another_image_does_not_count(tmp_path):
    manifest = write_input(tmp_path / "shop")
    out = tmp_path / "out"
    curate(manifest, out)
    save_decision(out / FILE_NAME, Decision("05.png", "accept", "Ada", 1.0, basis="of something else"))
    curate(manifest, out)
    assert read_results(out)[5]["verdict"] == "review"


def test_two_workers_give_the_bytes_of_one(manifest, finished, tmp_path):
    settings = ENGINE.replace(workers=2)
    result = run_curate(str(manifest), tmp_path, build_recipe(), settings, build=build_test_rules)
    assert result.finished
    assert read_stable(tmp_path) == read_stable(finished)


def test_identifiers_stay_when_rows_come_and_go(tmp_path):
    manifest = write_input(tmp_path / "shop")
    out = tmp_path / "out"
    curate(manifest, out)
    lines = manifest.read_text().splitlines()
    manifest.write_text("\n".join([lines[1], lines[10], lines[0], lines[7]]) + "\n")  # vases come first now
    assert curate(manifest, out).rows == 4
    rows = read_results(out)
    assert {row["category"]: row["identifier"] for row in rows} == {"Cup": "sks 0", "vases": "sks 1"}
    assert len(list((out / "journal" / "shards").glob("*.done.json"))) == 1
    assert len(list(read_shards(out / "set"))) == sum(row["verdict"] in ("keep", "repair") for row in rows)


def test_a_rule_that_needs_what_is_not_there_ends_the_run(manifest, tmp_path, monkeypatch):
    def fail(self, image):
        raise ModelError("no weights at x; name them")

    monkeypatch.setattr(StampRule, "judge", fail)
    with pytest.raises(ModelError, match="no weights"):
        curate(manifest, tmp_path)


def test_a_set_rule_with_too_few_findings_is_named(manifest, tmp_path):
    def build(config):
        rules = build_test_rules(config)
        rules.before[0].judge_all = lambda rows: []  # type: ignore[method-assign]
        return rules

    with pytest.raises(CycloramaError, match="rule 'few' gave 0 findings for 11 rows"):
        curate(manifest, tmp_path, build=build)


def test_bad_inputs_are_named_before_anything_is_written(tmp_path):
    with pytest.raises(ManifestError, match="no such file or folder"):
        curate(tmp_path / "none", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ManifestError, match="empty has no rows; give one with images"):
        curate(tmp_path / "empty", tmp_path / "out")
    with pytest.raises(ConfigError, match="no installed package has a rule 'unheard'"):
        run_curate(str(tmp_path), tmp_path / "out", build_recipe(unheard={}), ENGINE)


def test_the_work_is_done_by_the_engine(manifest, finished, tmp_path):
    reports = []

    class Watched(InProcessEngine):
        def run(self, job, shards, hooks):
            for report in super().run(job, shards, hooks):
                reports.append(report)
                yield report

    run_curate(str(manifest), tmp_path, build_recipe(), ENGINE, engine=Watched(), build=build_test_rules)
    assert sorted((report.shard, report.done) for report in reports) == [(0, 4), (1, 4), (2, 4)]
    assert read_stable(tmp_path) == read_stable(finished)
