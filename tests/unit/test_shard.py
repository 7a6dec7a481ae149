"""A row's images, result and keys; a shard's rows with what earlier runs left, its batches and its mark."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cyclorama.generation.shard import Failure, RowFiles, RowState, ShardState, ShardStore, Spot, name_moved
from stand_in import ROW, StandIn, build_config, build_job


def build_row(folder: Path, **values: Any) -> RowState:
    row = RowState(ROW, build_job(folder, build_config(**values)), 0)
    row.files = RowFiles({"image": Path("/shop/a.png")}, {"image": "ab"}, (8, 9), "content")
    return row


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
    about = {
        "seed": seed,
        "height": 8,
        "width": 9,
        "places": 2,
        "mask_source": "alpha",
        "mask_confidence": None,
    }
    return (
        about
        | times
        | {"style": None, "placement": {}, "report": report, "verdict": verdict, "files": [file]}
    )


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


def settle(row: RowState, *images: dict[str, Any], layout: int = 0) -> dict[str, Any]:
    """The result of ``row`` with ``images`` as its candidates, whose files are put in place."""
    for number, made in enumerate(images):
        row.images[layout, number] = made
    result, files = row.conclude()
    for file in files:
        path = row.job.out / file["name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * file["bytes"])
    return result


def test_candidates_of_several_layouts_each_get_their_name_and_count(tmp_path: Path) -> None:
    settings = {"batch_size": 2, "candidates": 2, "outputs": ("64x64", "128x64")}
    row = build_row(tmp_path, settings=settings, attempts=1)
    for layout in (0, 1):
        for k in (0, 1):
            assert not row.is_complete(last=True)
            row.images[layout, k] = image(10 * layout + k, 0.5, layout == 0)
    assert (row.is_complete(last=True), row.is_complete(last=False)) == (True, False)
    assert (row.needs_attempt(0, 1), row.needs_attempt(1, 1)) == (False, True)
    row.images[1, 2] = image(12, 0.1, True)
    assert row.is_complete(last=False)
    row.result, _ = row.conclude()
    assert [(i["output"], i["layout"], i["candidate"], i["attempts"]) for i in row.list_images()] == [
        ("images/a.64x64-c1.png", 0, 1, 2),
        ("images/a.64x64-c2.png", 0, 2, 2),
        ("images/a.128x64-c1.png", 1, 1, 3),
        ("images/a.128x64-c2.png", 1, 3, 3),
    ]
    asked = [(layout, number) for layout in (0, 1) for number in (1, 2) if row.needs_attempt(layout, number)]
    assert asked == [(1, 1)]
    assert len({row.compute_image_key(layout, k) for layout in (0, 1) for k in (0, 1, 2)}) == 6


def test_seeds_are_enough_for_every_attempt(tmp_path: Path) -> None:
    row = build_row(tmp_path, settings={"batch_size": 2, "candidates": 3}, attempts=2)
    assert len(row.seeds) == len(set(row.seeds)) == 5
    assert row.seeds[:3] == build_row(tmp_path, settings={"batch_size": 2, "candidates": 3}).seeds


def test_the_size_is_the_files_or_the_earlier_results(tmp_path: Path) -> None:
    row = build_row(tmp_path)
    assert row.size == (8, 9)
    row.files = None
    assert row.size is None
    row.result = {"input_height": 5, "input_width": 6}
    assert row.size == (5, 6)
    row.result = {"input_height": None}
    assert row.size is None


def test_a_row_is_reused_while_all_its_files_are_there(tmp_path: Path) -> None:
    row = build_row(tmp_path)
    earlier = settle(row, image(1, 0.5, True)) | {"name": "old", "plan_key": "old", "output": "gone"}
    again = build_row(tmp_path)
    assert again.reuse(earlier) and again.reused and again.settled
    assert again.result is not None
    stated = ("name", "plan_key", "stem", "output", "seed", "row")
    assert [again.result[name] for name in stated] == ["a.png", "k", "a", "images/a.png", 1, 3]
    (tmp_path / "out/images/a.png").write_bytes(b"cut")
    fresh = build_row(tmp_path)
    assert (fresh.reuse(earlier), fresh.settled, fresh.reused) == (False, False, False)


def test_images_wanted_under_the_same_name_are_taken_over(tmp_path: Path) -> None:
    two = build_row(tmp_path, settings={"batch_size": 2, "candidates": 2})
    first, second = settle(two, image(1, 0.4, True), image(2, 0.3, True))["images"]
    row = build_row(tmp_path, settings={"batch_size": 2, "candidates": 3})
    row.reuse_image(first)
    row.reuse_image(second | {"key": "another"})
    row.reuse_image(second | {"files": [second["files"][0] | {"bytes": 1}]})
    assert list(row.images) == [(0, 0)]
    row.reuse_image(second)
    assert {spot: kept["seed"] for spot, kept in row.images.items()} == {(0, 0): 1, (0, 1): 2}
    kept = row.images[0, 1]
    assert (kept["model_seconds"], kept["placement"], kept["files"][0]["staged"]) == (0.0, {}, "kept.png")
    alone = build_row(tmp_path, settings={"batch_size": 2, "candidates": 1})
    alone.reuse_image(first)  # is now called a.png
    best = build_row(tmp_path, settings={"batch_size": 2, "candidates": 2}, keep="best")
    best.reuse_image(first)
    assert alone.images == best.images == {}


# --- shards ---


def build_shard(folder: Path, rows: list[Any], journal: Any = (), **values: Any) -> ShardState:
    plan: Any = SimpleNamespace(read_shard=lambda shard: rows)
    job = build_job(folder, build_config(**values)).replace(plan=plan)
    return ShardState(job, 5, ShardStore(folder / "out"), journal)


def plan_rows(count: int) -> list[Any]:
    return [replace(ROW, row=k, name=f"{k}.png", key=f"k{k}", output=f"{k}") for k in range(count)]


DONE: dict[str, Any] = {"status": "done", "images": [], "input_height": 8, "input_width": 9}
FAILED: dict[str, Any] = {"status": "failed", "error": "ImageError", "reason": "torn"}


def earlier(number: int, row: dict[str, Any]) -> dict[str, Any]:
    return row | {"plan_key": f"k{number}", "key": f"c{number}", "stem": f"{number}"}


def test_rows_of_earlier_runs_are_known_again(tmp_path: Path) -> None:
    store = ShardStore(tmp_path / "out")
    store.save_shard(5, "k", [earlier(0, DONE), earlier(1, FAILED), earlier(7, DONE)], {})
    store.save_values({"rows": [earlier(2, DONE)]}, name_moved(5))
    rows = plan_rows(5)
    rows[4] = replace(rows[4], failure=Failure("ManifestError", "empty"))
    journal = [{"key": "k3", "result": DONE}, {"key": "k9", "result": DONE}]
    shard = build_shard(tmp_path, rows, journal)
    assert [row.result and row.result["status"] for row in shard.rows] == [
        "done", "failed", "done", "done", "failed",
    ]  # fmt: skip
    assert [row.reused for row in shard.rows] == [True, True, True, True, False]
    again = build_shard(tmp_path, rows, [{"key": "k3", "result": FAILED}], retry="failed")
    assert [row.settled for row in again.rows] == [True, False, True, False, True]
    kept = build_shard(tmp_path, rows, [{"key": "k3", "result": FAILED}])
    assert [row.settled for row in kept.rows] == [True] * 5


def test_images_of_an_open_row_wait_in_its_journal_while_their_files_are_whole(tmp_path: Path) -> None:
    work = ShardStore(tmp_path / "out").get_work(5)
    work.mkdir(parents=True)
    (work / "s.png").write_bytes(b"1234")
    spots = [("k0", [0, 0], 4), ("k0", [0, 1], 5), ("k9", [0, 0], 4), ("k1", [1, 2], 4)]
    journal = [{"key": key, "spot": s, "files": [{"staged": "s.png", "bytes": n}]} for key, s, n in spots]
    shard = build_shard(tmp_path, plan_rows(2), journal)
    assert [list(row.images) for row in shard.rows] == [[(0, 0)], [(1, 2)]]


def test_touched_files_are_known_by_content_and_outputs_by_their_stem(tmp_path: Path) -> None:
    old = build_row(tmp_path)
    result = settle(old, image(1, 0.4, True)) | {"plan_key": "old", "key": "content", "stem": "a"}
    store = ShardStore(tmp_path / "out")
    failed = FAILED | {"plan_key": "older", "key": "torn", "stem": "b", "images": result["images"]}
    store.save_shard(5, "k", [result, failed], {})
    shard = build_shard(tmp_path, [ROW] * 4)
    contents = ("content", "torn", "new", "torn")
    for row, content, stem in zip(shard.rows, contents, ("a", "a", "a", "b"), strict=True):
        row.files = RowFiles({"image": Path("/shop/a.png")}, {"image": "ab"}, (8, 9), content)
        row.plan = replace(ROW, output=stem)
        shard.reuse_by_content(row)
    assert [row.settled for row in shard.rows] == [True, False, False, False]
    assert [list(row.images) for row in shard.rows] == [[], [(0, 0)], [(0, 0)], []]


def test_batches_hold_what_is_missing_and_count_what_is_done(tmp_path: Path) -> None:
    rows = plan_rows(5)
    shard = build_shard(tmp_path, rows, settings={"batch_size": 2, "candidates": 2}, attempts=2)
    shard.job = shard.job.replace(batch_size=3)
    for row in shard.rows[:3]:
        row.files = RowFiles({}, {}, (64, 64), "")
    shard.rows[3].files = RowFiles({}, {}, (64, 128), "")  # row 4 has no size
    model: Any = StandIn()

    def list_batches(number: int) -> list[tuple[list[tuple[int, int]], int]]:
        batches = shard.build_batches(model, number)
        return [([(spot.row, spot.candidate) for spot in b.members], b.places) for b in batches]

    assert list_batches(0) == [
        ([(0, 0), (0, 1), (1, 0)], 3),
        ([(1, 1), (2, 0), (2, 1)], 3),
        ([(3, 0), (3, 1)], 2),
    ]
    shard.rows[0].images[0, 1] = entry(0.1, False)
    shard.rows[1].images |= {(0, k): entry(0.1, False) for k in (0, 1)}
    shard.rows[2].result = {"images": []}
    assert list_batches(0) == [([(0, 0)], 3), ([(3, 0), (3, 1)], 2)]
    assert list_batches(1) == [([(1, 2)], 1)]
    assert list_batches(2) == []
    shard.rows[1].images[0, 2] = entry(0.1, False)
    assert (list_batches(1), list_batches(2)) == ([], [([(1, 3)], 1)])


def test_a_mark_counts_its_rows(tmp_path: Path) -> None:
    shard = build_shard(tmp_path, plan_rows(7))
    files = [{"name": "a.png", "bytes": 5}, {"name": "a.psd", "bytes": 7}]
    results = [
        {"status": "done", "model_seconds": 1.5, "images": [{"files": files}, {"files": files[:1]}]},
        {"status": "done", "model_seconds": None, "images": None},
        {"status": "failed", "key": None, "error": "ImageError", "reason": "torn"},
        {"status": "failed", "key": None, "error": "ImageError", "reason": "cut"},
        {"status": "failed", "key": "c", "error": "MaskError", "reason": "empty"},
        {"status": "done", "model_seconds": 2.0, "images": [{"files": files[:1]}]},
        {"status": "done", "images": []},
    ]
    for row, result in zip(shard.rows, results, strict=True):
        row.result = result
    assert shard.build_mark() == {
        "rows": 7, "done": 4, "failed": 3, "refused": 2, "images": 3, "model_seconds": 3.5,
        "files": [("a.png", 5), ("a.psd", 7), ("a.png", 5), ("a.png", 5)],
        "failures": {"ImageError": [2, "2.png: torn"], "MaskError": [1, "4.png: empty"]},
    }  # fmt: skip
