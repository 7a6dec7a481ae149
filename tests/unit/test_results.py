"""The files of results and their status; what one image's result writes and states of itself."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from cyclorama.errors import InputError, OutputError, SettingsError, UnreadableImageError
from cyclorama.generation import result, results
from cyclorama.generation.result import Generated, describe_image, load_metadata
from cyclorama.generation.results import ShardStore, format_status, merge_results, read_status
from cyclorama.types import ProductReport

STATUS: dict[str, Any] = {
    "out": "out", "input": "shop.csv", "model": "bundled", "rows": 8, "done": 5, "failed": 1, "pending": 2,
    "finished_in_open_shards": 1, "failed_in_open_shards": 0,
    "images": 10, "shards": 4, "finished_shards": 3, "bytes": 2_340_000,
    "seconds_per_row": 1.256, "failures": [],
}  # fmt: skip


def test_status_as_text() -> None:
    failures = [{"error": f"E{k}", "count": 10 - k, "example": f"{k}.png: torn"} for k in range(6)]
    assert format_status(STATUS | {"failures": failures}).splitlines() == [
        "shop.csv -> out, model bundled",
        "5 of 8 rows done, 1 failed, 2 pending (75.0%)",
        "3 of 4 shards finished, 1 rows finished in open ones",
        "10 images, 2.3 MB",
        "1.26 s of the model per row",
        *(f"{10 - k:>8} E{k}: {k}.png: torn" for k in range(5)),
    ]


@pytest.mark.parametrize(
    ("done", "failed", "rows", "percent"),
    [(0, 0, 0, "0.0"), (1, 0, 1, "100.0"), (0, 1, 3, "33.3"), (1, 1, 3, "66.7")],
)
def test_percent_counts_all_that_is_settled(done: int, failed: int, rows: int, percent: str) -> None:
    values = STATUS | {"done": done, "failed": failed, "rows": rows, "seconds_per_row": None}
    lines = format_status(values).splitlines()
    assert lines[1].endswith(f"({percent}%)") and len(lines) == 4


def mark(store: ShardStore, shard: int, done: int, errors: dict[str, int], seconds: float) -> None:
    files = [[f"{shard}-{k}.png", 100 + k] for k in range(done)]
    store.save_shard(shard, "k", [], {
        "done": done, "failed": sum(errors.values()), "images": 2 * done, "model_seconds": seconds,
        "files": files,
        "failures": {error: [count, f"{shard}: {error}"] for error, count in errors.items()},
    })  # fmt: skip


def test_status_sums_the_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = {"error": [None] * 4, "key": ["a", "b", "c", "d"]}
    plan = SimpleNamespace(
        keys=["k"] * 4,
        rows=16,
        shard_size=4,
        read_column=lambda shard, name: columns[name] if shard == 1 else [],
    )
    monkeypatch.setattr(results, "load_plan", lambda folder: plan)
    store = ShardStore(tmp_path)
    store.save_values({"input": "shop.csv", "model": "m"})
    assert read_status(tmp_path)["seconds_per_row"] is None
    mark(store, 0, 3, {"A": 1}, 4.5)
    mark(store, 2, 2, {"B": 2, "A": 0}, 3.0)
    with store.open_journal(1) as journal:
        files = [{"name": "a.png", "bytes": 7}, {"name": "a.psd", "bytes": 9}]
        done = {"status": "done", "plan_key": "b", "images": [{"files": files}], "model_seconds": 2.5}
        torn = {"status": "failed", "plan_key": "d", "name": "d", "key": "x", "error": "A", "reason": "torn"}
        for entry in (
            {"row": 5, "result": done},
            {"row": 6, "spot": [0, 0]},
            {"row": 5, "result": done},
            {"row": 7, "result": torn},
        ):
            journal.append(entry)
    assert read_status(tmp_path) == {
        "out": str(tmp_path), "input": "shop.csv", "model": "m", "rows": 16, "done": 6, "failed": 4,
        "finished_in_open_shards": 2, "failed_in_open_shards": 1,
        "pending": 6, "images": 11, "shards": 4, "finished_shards": 2,
        "bytes": 520, "seconds_per_row": 10 / 6,
        "failures": [
            {"error": "A", "count": 2, "example": "0: A"}, {"error": "B", "count": 2, "example": "2: B"}
        ],
    }  # fmt: skip
    with pytest.raises(InputError, match="no folder at"):
        read_status(tmp_path / "none")


def test_rows_are_written_in_whole_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "_GROUP", 2)
    store = ShardStore(tmp_path)
    for shard, count in enumerate((2, 1, 2, 1)):
        rows = [
            {"row": 10 * shard + k, "name": "ä", "gate": {"b": 1, "a": 2}, "seconds": 1.0}
            for k in range(count)
        ]
        store.save_shard(shard, "k", rows, {})
    numbers = [0, 1, 10, 20, 21, 30]
    assert [row["row"] for row in merge_results(store, 4)] == numbers
    lines = (tmp_path / "results.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["row"] for line in lines] == numbers
    assert lines[0] == '{"row": 0, "name": "ä", "gate": {"a": 2, "b": 1}}'.encode()
    with pq.ParquetFile(tmp_path / "results.parquet") as file:
        groups = [file.metadata.row_group(k).num_rows for k in range(file.metadata.num_row_groups)]
    assert groups == [2, 3, 1]


@pytest.mark.parametrize("name", ["results.jsonl", "results.parquet"])
def test_a_disk_that_refuses_the_results_is_named(tmp_path: Path, name: str) -> None:
    store = ShardStore(tmp_path)
    store.save_shard(0, "k", [{"row": 0}], {})
    (tmp_path / name).mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*/results\.parquet: Is a directory"):
        list(merge_results(store, 1))
    assert not list(tmp_path.glob(".*part"))


# --- one image's result ---

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)


@pytest.fixture
def made() -> Generated:
    report = ProductReport(9, 3, 0, 0.0)
    return Generated(PIXELS, PIXELS, report, "fruit", "sks 0", 7, 0.1, recipe={"seed": 7})


def test_the_suffix_decides_the_format(made: Generated, tmp_path: Path) -> None:
    for name, kind in (("a.png", "png"), ("a.JPEG", "jpeg"), ("a.jpg", "jpeg"), ("new/a.webp", "webp")):
        assert made.save(tmp_path / name).read_bytes() == made.encode(format=kind)
        assert made.save(str(tmp_path / name), format=kind).read_bytes() == made.encode(format=kind)
    assert made.encode() == made.encode(format="png")
    assert load_metadata(tmp_path / "a.png") == {"seed": 7}


def test_what_cannot_be_saved_says_why(made: Generated, tmp_path: Path) -> None:
    for name, options, error, message in (
        ("", {}, OutputError, f"{tmp_path} is a folder; give a file, such as {tmp_path / 'image.png'}"),
        ("a", {}, SettingsError, f"{tmp_path / 'a'} ends with no suffix; use one of .png, "),
        ("a.tif", {}, SettingsError, f"{tmp_path / 'a.tif'} ends with .tif; use one of .png, "),
        ("a.jpg", {"format": "png"}, SettingsError, "a.jpg ends as jpeg, format is 'png'; use one of both"),
    ):
        with pytest.raises(error) as refused:
            made.save(tmp_path / name, **options)
        assert message in str(refused.value)
    assert not list(tmp_path.iterdir())
    (tmp_path / "bare.png").write_bytes(b"torn")
    with pytest.raises(UnreadableImageError, match=r"cannot read .*bare\.png"):
        load_metadata(tmp_path / "bare.png")


def test_a_recipe_states_the_canvas_of_one_output_among_several() -> None:
    model: Any = SimpleNamespace(name="m", hash="abc")
    canvas: Any = SimpleNamespace(name="1x1", describe=lambda: {"aspect": "1:1"})
    plain: Any = SimpleNamespace(name="")
    known = {"seed": 3, "model": "m", "model_hash": "abc", "settings": {"steps": 2}}
    made = [describe_image(model, {"steps": 2}, layout, seed=3) for layout in (canvas, plain)]
    assert [recipe.pop("cyclorama") is not None for recipe in made] == [True, True]
    assert made == [known | {"layout": "1x1", "canvas": {"aspect": "1:1"}}, known]


def test_two_shadows_of_one_image_darken_as_two_filters_do(monkeypatch: pytest.MonkeyPatch) -> None:
    own, contact, seen = np.array([[0, 100, 255]], np.uint8), np.array([[50, 50, 50]], np.uint8), []
    monkeypatch.setattr(result, "encode_image", lambda *_: b"image")
    monkeypatch.setattr(result, "compute_contact_shadow", lambda matte, strength: contact)
    monkeypatch.setattr(result, "split_shadow", lambda background, empty: (empty, own))
    monkeypatch.setattr(result, "build_layers", lambda *given: seen.append(given) or "layers")
    monkeypatch.setattr(result, "encode_layers", lambda layers, kind: {f".{kind}": layers})
    product: Any = SimpleNamespace(icc_profile=None, metadata={}, matte=None)
    encoding = SimpleNamespace(suffix=".png", is_lossless=True)

    def encode(strength: float, empty: Any) -> np.ndarray:
        settings: Any = SimpleNamespace(encoding=encoding, contact_shadow=strength, layers="psd")
        files, lost = result.encode_files(None, "ground", product, {}, settings, empty)  # type: ignore[arg-type]
        assert (files, lost) == ({".png": b"image", ".psd": "layers"}, {})
        assert seen[-1][1] == ("ground" if empty is None else empty)
        return seen[-1][3]

    through = (255 - own.astype(float)) * (255 - 50) / 255
    assert encode(0.5, "empty").tolist() == np.rint(255 - through).tolist()
    assert encode(0, "empty").tolist() == own.tolist()
    assert encode(0.5, None) is contact
    assert encode(0, None) is None
