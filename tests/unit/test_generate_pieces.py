"""The pieces of an image run alone: writers, headers, keys of images, further attempts, results, status."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from cyclorama.errors import UnreadableImageError
from cyclorama.generation.items import Failure
from cyclorama.generation.job import RowFiles, hash_file, inspect_row, read_size, rename_paths
from cyclorama.generation.plan import PlanRow
from cyclorama.generation.results import RESULT_SCHEMA, format_status, merge_results, read_status
from cyclorama.generation.run import RunResult, iterate_rows
from cyclorama.generation.shard import RowState, Spot
from cyclorama.generation.writers import FileWriter, TarWriter
from cyclorama.jobs.store import ShardStore
from stand_in import build_config, build_job, run, write_manifest
from stand_in import shop as shop

ROW = PlanRow(
    row=3, name="a.png", id=None, image="/shop/a.png", mask=None, reference=None, reference_mask=None,
    mask_means=None, seed=None, category_given="fruit", category="fruit", identifier="fruit",
    category_source="name", category_match="fruit", output="a", key="k",
)  # fmt: skip


def stage(work: Path, name: str, data: bytes) -> dict[str, Any]:
    work.mkdir(parents=True, exist_ok=True)
    (work / "staged").write_bytes(data)
    return {"staged": "staged", "name": name, "bytes": len(data), "suffix": ".png", "sha256": "0"}


def build_row(folder: Path, **values: Any) -> RowState:
    row = RowState(ROW, build_job(folder, build_config(**values)), 0)
    row.files = RowFiles({"image": Path("/shop/a.png")}, {"image": "ab"}, (8, 9), "content")
    return row


# --- writers ---


def test_files_are_named_and_moved_once(tmp_path: Path) -> None:
    writer = FileWriter(tmp_path)
    assert writer.build_names(3, "b/a", "-2", [".png", ".psd"]) == ["images/b/a-2.png", "layers/b/a-2.psd"]
    assert writer.locate(7, "images/a.png") == "images/a.png"
    file = stage(tmp_path / "work", "images/a.png", b"1234")
    known = [("images/a.png", 4)]
    assert not writer.is_complete(0, known)
    for _ in range(2):  # again after a kill
        writer.publish(0, tmp_path / "work", [file])
    assert (tmp_path / "images/a.png").read_bytes() == b"1234"
    assert writer.is_complete(0, known)
    assert writer.restore(0, known)
    assert not writer.is_complete(0, [("images/a.png", 5)])
    assert not writer.restore(0, [*known, ("images/b.png", 1)])


def test_a_file_of_another_size_is_published_anew(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.png").write_bytes(b"old and longer")
    file = stage(tmp_path / "work", "images/a.png", b"new")
    FileWriter(tmp_path).publish(0, tmp_path / "work", [file])
    assert (tmp_path / "images/a.png").read_bytes() == b"new"


def test_a_tar_holds_its_rows_in_order_and_gives_them_back(tmp_path: Path) -> None:
    writer = TarWriter(tmp_path)
    assert writer.build_names(12, "b/a", "-1.5", [".png", ".psd"]) == [
        "000000012-1-5.png",
        "000000012-1-5.psd",
    ]
    assert writer.locate(7, "x.png") == "webdataset/shard-000007.tar:x.png"
    rows = []
    for number in (1, 0):
        file = stage(tmp_path / "work", f"00000000{number}.png", b"ab" * (1 + number))
        writer.publish(2, tmp_path / "work", [file])
        rows.append({"row": number, "settings": {}, "images": [{"seed": 5, "files": [file]}]})
    assert not writer.is_complete(2, [("000000000.png", 2)])
    writer.close_shard(2, rows)
    with tarfile.open(tmp_path / "webdataset/shard-000002.tar") as tar:
        assert tar.getnames() == ["000000001.png", "000000001.json", "000000000.png", "000000000.json"]
        assert [member.size for member in tar][::2] == [4, 2]
        stream = tar.extractfile("000000000.json")
        assert stream is not None
        assert json.loads(stream.read())["seed"] == 5
    assert not (tmp_path / "journal/work/shard-000002/tar").exists()
    assert writer.is_complete(2, [("000000000.png", 2)])
    assert not writer.is_complete(2, [("000000000.png", 10**6)])
    assert writer.restore(2, [("000000000.png", 2)])
    assert not writer.restore(2, [("000000001.png", 3)])
    assert not writer.restore(2, [("000000009.png", 2)])
    assert not writer.restore(3, [("000000000.png", 2)])


# --- before and after the model ---


@pytest.mark.parametrize(
    ("orientation", "size"), [(1, (20, 30)), (3, (20, 30)), (6, (30, 20)), (8, (30, 20))]
)
def test_sizes_are_upright(tmp_path: Path, orientation: int, size: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    assert read_size(tmp_path / "a.jpg") == size


def test_files_are_hashed_or_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert hash_file(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(UnreadableImageError, match=r"cannot read .*none: No such file"):
        hash_file(tmp_path / "none")


def test_reasons_name_the_given_address(tmp_path: Path) -> None:
    files = RowFiles({"image": tmp_path / "copy.png"}, {}, (1, 1), "")
    assert rename_paths(ROW, files, f"{tmp_path}/copy.png: bad") == "/shop/a.png: bad"
    assert rename_paths(ROW, None, "bad") == "bad"


def test_equal_contents_and_settings_give_equal_keys(folder: Path) -> None:
    job = build_job(folder, build_config())
    other = build_job(folder, build_config({"batch_size": 2, "contact_shadow": 0.5}))
    row = PlanRow(**{**vars(ROW), "image": str(folder / "p1.png")})
    first, again = inspect_row(job, row, folder), inspect_row(job, row, folder)
    assert (first.size, first.key) == ((64, 64), again.key)
    assert first.digests == {"image": hash_file(folder / "p1.png")}
    keys = {first.key, inspect_row(other, row, folder).key}
    for change in ({"name": "b.png"}, {"output": "b"}, {"seed": 4}, {"mask_means": "product"}):
        keys.add(inspect_row(job, PlanRow(**{**vars(row), **change}), folder).key)
    assert len(keys) == 6


# --- rows of a shard ---


def entry(score: float | None, passed: bool) -> dict[str, Any]:
    return {"verdict": {"passed": passed, "score": score}}


def test_a_further_attempt_follows_only_refusals(tmp_path: Path) -> None:
    row = build_row(tmp_path, attempts=2)
    assert len(row.seeds) == 3
    assert not row.needs_attempt(0, 1)
    row.images[0, 0] = entry(0.1, False)
    assert (row.needs_attempt(0, 1), row.needs_attempt(0, 2)) == (True, False)
    assert (row.is_complete(last=False), row.is_complete(last=True)) == (False, True)
    row.images[0, 1] = entry(0.2, True)
    assert (row.needs_attempt(0, 2), row.is_complete(last=False)) == (False, True)
    assert (row.has(Spot(0, 0, 1)), row.has(Spot(0, 0, 2))) == (True, False)


def test_a_failed_row_says_why(tmp_path: Path) -> None:
    row = build_row(tmp_path)
    row.fail(Failure("MaskError", "empty"))
    assert row.result is not None
    stated = ("row", "status", "error", "reason", "input_height", "input_width", "content_sha256", "key")
    assert [row.result[name] for name in stated] == [3, "failed", "MaskError", "empty", 8, 9, "ab", "content"]
    assert row.settled
    assert row.list_images() == []


def test_keys_of_images_hold_what_one_image_depends_on(tmp_path: Path) -> None:
    plain, more = build_row(tmp_path), build_row(tmp_path, settings={"batch_size": 2, "candidates": 2})
    assert plain.compute_image_key(0, 0) == more.compute_image_key(0, 0)  # further candidates change nothing
    assert more.compute_image_key(0, 0) != more.compute_image_key(0, 1)
    steps = build_row(tmp_path, settings={"batch_size": 2, "num_inference_steps": 3})
    assert plain.compute_image_key(0, 0) != steps.compute_image_key(0, 0)


def image(seed: int, score: float, passed: bool, seconds: float = 1.0) -> dict[str, Any]:
    """What is recorded of a finished image."""
    verdict = {"passed": passed, "score": score, "values": {"rim": score}, "reason": "" if passed else "rim"}
    file = {"staged": f"s{seed}.png", "suffix": ".png", "bytes": 100 + seed, "sha256": f"{seed}"}
    report = {"exact": True, "opaque_pixels": 5, "notes": ["soft"]}
    times = {"load_seconds": seconds, "model_seconds": 2 * seconds, "finish_seconds": 4 * seconds}
    about = {"seed": seed, "height": 8, "width": 9, "places": 2, "mask_source": "alpha", "placement": {}}
    return about | times | {"report": report, "verdict": verdict, "files": [file]}


def test_the_best_image_of_a_row_becomes_its_result(tmp_path: Path) -> None:
    row = build_row(tmp_path, settings={"batch_size": 2, "candidates": 2}, attempts=1, keep="best")
    row.images = {
        (0, 0): image(1, 0.4, True, 3.0),
        (0, 1): image(2, 0.9, True),
        (0, 2): image(3, 0.95, False),
    }
    result, files = row.conclude()
    assert [(file["staged"], file["name"]) for file in files] == [("s2.png", "images/a.png")]
    named = ("status", "output", "seed", "bytes", "image_sha256", "height", "width", "batch_places", "exact")
    assert [result[name] for name in named] == ["done", "images/a.png", 2, 102, "2", 8, 9, 2, True]
    assert (result["gate_passed"], result["gate_score"], result["attempts"]) == (True, 0.9, 3)
    assert result["gate"] == {"values": {"rim": 0.9}, "reason": ""}
    assert (result["load_seconds"], result["model_seconds"], result["finish_seconds"]) == (3.0, 10.0, 20.0)
    assert (result["seconds"], result["notes"], result["mask_source"]) == (33.0, ["soft"], "alpha")
    (kept,) = result["images"]
    assert (kept["candidate"], kept["attempts"], kept["key"]) == (2, 3, row.compute_image_key(0, 1))
    assert kept["files"] == [{"name": "images/a.png", "bytes": 102, "sha256": "2", "suffix": ".png"}]


def test_refused_candidates_give_way_to_further_attempts(tmp_path: Path) -> None:
    row = build_row(tmp_path, settings={"batch_size": 2, "candidates": 2}, attempts=1)
    row.images = {(0, 0): image(1, 0.4, False), (0, 1): image(2, 0.3, False), (0, 2): image(3, 0.2, True)}
    result, files = row.conclude()
    assert [(file["staged"], file["name"]) for file in files] == [
        ("s1.png", "images/a-c1.png"),
        ("s3.png", "images/a-c2.png"),
    ]
    assert [(kept["candidate"], kept["seed"]) for kept in result["images"]] == [(1, 1), (3, 3)]
    assert (result["gate_passed"], result["gate"]["reason"]) == (False, "rim")
    row.result = result
    assert (row.needs_attempt(0, 1), row.needs_attempt(0, 2)) == (True, False)


def test_the_mark_of_a_shard_counts_its_rows(folder: Path) -> None:
    for name in ("one.png", "two.png"):
        (folder / name).write_text("hello")
    write_manifest(folder, [{"image": name} for name in ("p0.png", "one.png", "p1.png", "two.png", "p2.png")])
    result, _ = run(folder)
    store = ShardStore(folder / "out")
    rows, mark = store.load_rows(0), store.load_mark(0)
    assert mark is not None
    assert [mark[n] for n in ("rows", "done", "failed", "refused", "images")] == [4, 2, 2, 2, 2]
    sizes = [[name, (folder / "out" / name).stat().st_size] for name in ("images/p0.png", "images/p1.png")]
    assert mark["files"] == sizes
    assert mark["model_seconds"] == sum(row.get("model_seconds") or 0 for row in rows) > 0
    count, example = mark["failures"]["UnreadableImageError"]
    assert (count, example.partition(":")[0]) == (2, "one.png")
    assert (result.done, result.failed, result.refused, result.made, result.kept) == (3, 2, 2, 3, 0)
    again, _ = run(folder)
    assert (again.done, again.made, again.kept, again.nothing_started) == (3, 0, 3, False)


# --- results and status ---


def test_results_hold_every_row_in_order_without_seconds(tmp_path: Path) -> None:
    store = ShardStore(tmp_path)
    for shard in (1, 0):
        row = {"row": shard, "name": "ä.png", "status": "done", "seconds": 1.5, "notes": ["x"], "id": None}
        store.save_shard(shard, "k", [row], {})
    assert [row["seconds"] for row in merge_results(store, 2)] == [1.5, 1.5]
    lines = (tmp_path / "results.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["row"] for line in lines] == [0, 1]
    assert set(json.loads(lines[0])) == {"row", "name", "status", "notes"}
    table = pq.read_table(tmp_path / "results.parquet")
    assert table.schema.equals(RESULT_SCHEMA)
    assert table.column("notes").to_pylist() == ['["x"]'] * 2
    assert not list(tmp_path.glob(".*part"))
    assert [row["row"] for row in iterate_rows(tmp_path)] == [0, 1]


def test_a_run_in_which_every_row_was_refused_has_started_nothing() -> None:
    counts = [(2, 2), (2, 1), (0, 0)]
    assert [RunResult(rows, refused=refused).nothing_started for rows, refused in counts] == [
        True,
        False,
        False,
    ]


def test_status_counts_finished_rows_of_open_shards(folder: Path) -> None:
    run(folder)
    whole = read_status(folder / "out")
    assert [whole[name] for name in ("rows", "done", "failed", "pending", "images", "shards")] == [
        7,
        7,
        0,
        0,
        7,
        2,
    ]
    assert whole["bytes"] == sum(path.stat().st_size for path in (folder / "out/images").iterdir())
    with ShardStore(folder / "out").open_journal(1) as journal:
        for entry in ({"row": 4, "result": {}}, {"row": 5, "spot": [0, 0]}, {"row": 4, "result": {}}):
            journal.append(entry)
    status = read_status(folder / "out")
    names = ("done", "pending", "finished_shards", "finished_in_open_shards")
    assert [status[name] for name in names] == [4, 3, 1, 1]
    text = format_status(status).splitlines()
    assert text[1:3] == [
        "4 of 7 rows done, 0 failed, 3 pending (57.1%)",
        "1 of 2 shards finished, 1 rows finished in open ones",
    ]
