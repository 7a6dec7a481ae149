"""The pieces of an image run alone: writers, headers, keys of images, further attempts, results, status."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from cyclorama.errors import UnreadableImageError
from cyclorama.generation.job import RowFiles, hash_file, inspect_row, read_size, rename_paths
from cyclorama.generation.plan import PlanRow
from cyclorama.generation.results import RESULT_SCHEMA, format_status, merge_results, read_status
from cyclorama.generation.run import RunResult, iterate_rows, note_moved_rows
from cyclorama.generation.writers import FileWriter, TarWriter
from cyclorama.jobs.store import ShardStore, name_moved
from stand_in import ROW, build_config, build_job, run, write_manifest
from stand_in import shop as shop


def stage(work: Path, name: str, data: bytes) -> dict[str, Any]:
    work.mkdir(parents=True, exist_ok=True)
    (work / "staged").write_bytes(data)
    return {"staged": "staged", "name": name, "bytes": len(data), "suffix": ".png", "sha256": "0"}


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


def write_tar(writer: TarWriter, work: Path, files: dict[str, bytes]) -> None:
    rows = []
    for number, (name, data) in enumerate(files.items()):
        file = stage(work, name, data)
        writer.publish(0, work, [file])
        rows.append({"row": number, "settings": {}, "images": [{"seed": 5, "files": [file]}]})
    writer.close_shard(0, rows)


def test_a_tars_directory_is_read_once_for_all_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, opened, open_tar = TarWriter(tmp_path), list[Any](), tarfile.open

    def count(*arguments: Any, **named: Any) -> Any:
        opened.append(arguments)
        return open_tar(*arguments, **named)

    files = {f"00000000{number}.png": bytes([number]) * (600 + number) for number in range(9)}
    write_tar(writer, tmp_path / "work", files)
    monkeypatch.setattr(tarfile, "open", count)
    waiting = tmp_path / "journal/work/shard-000000/tar"
    for name, data in files.items():
        assert not writer.restore(0, [(name, len(data) + 1)])
        assert not (waiting / name).exists()
        assert writer.restore(0, [(name, len(data))])
        assert (waiting / name).read_bytes() == data
        assert not writer.restore(0, [(f"x{name}", 1)])
    assert len(opened) == 1
    others = {name: b"y" * len(data) for name, data in files.items()}
    write_tar(writer, tmp_path / "work", others)
    assert writer.restore(0, [("000000003.png", 603)])
    assert (waiting / "000000003.png").read_bytes() == b"y" * 603, "of the tar that is there now"
    tar = tmp_path / "webdataset/shard-000000.tar"
    tar.write_bytes(tar.read_bytes()[:2000])
    assert not writer.restore(0, [("000000001.png", 601)]), "torn"
    tar.unlink()
    assert not writer.restore(0, [("000000001.png", 601)])


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
    assert rename_paths(ROW, files, f"{tmp_path}/copy.png: bad") == "a.png: bad", "as the table names it"
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
    store = ShardStore(folder / "out")
    result = store.load_rows(1)[0]
    for path in (store.get_mark(1), store.get_rows(1)):
        path.unlink()
    with store.open_journal(1) as journal:
        for entry in ({"row": 4, "result": result}, {"row": 5, "spot": [0, 0]}, {"row": 4, "result": result}):
            journal.append(entry)
        journal.append({"row": 5, "result": result | {"plan_key": "of another plan"}})
    status = read_status(folder / "out")
    names = ("done", "pending", "images", "finished_shards", "finished_in_open_shards")
    assert [status[name] for name in names] == [5, 2, 5, 1, 1]
    text = format_status(status).splitlines()
    assert text[1:3] == [
        "5 of 7 rows done, 0 failed, 2 pending (71.4%)",
        "1 of 2 shards finished, 1 rows finished in open ones",
    ]


# --- rows that other shards have ---


def test_only_rows_that_now_lie_in_another_shard_are_noted(tmp_path: Path) -> None:
    """Shards 0 and 1 were written; 0 is finished, and the rows are planned anew over 1 and 2."""
    store = ShardStore(tmp_path)
    for shard, keys in enumerate(("x", "abc")):
        store.save_shard(shard, "k", [{"plan_key": key} for key in keys], {})
    store.save_values({"rows": [{"plan_key": "z"}]}, name_moved(2))
    plan: Any = SimpleNamespace(read_keys={1: ["a", "y"], 2: ["b", "z"]}.__getitem__)
    note_moved_rows(store, plan, [1, 2], {0})
    assert store.load_values(name_moved(2)) == {"rows": [{"plan_key": "z"}, {"plan_key": "b"}]}
    note_moved_rows(store, plan, [1, 2], {0, 1})
    assert [path.name for path in (tmp_path / "journal/work").iterdir()] == ["moved-000002.json"]
