"""What lies on the disk: tars, rows that move, touched files, torn journals, a full disk, files of others."""

from __future__ import annotations

import errno
import json
import tarfile
from pathlib import Path

import pytest

from cyclorama.errors import OutputError
from cyclorama.generation import run as run_module
from cyclorama.generation.results import read_status
from cyclorama.jobs import store as store_module
from drawn import save_product
from stand_in import read_rows, read_stable, run, write_manifest
from stand_in import shop as shop


def test_webdataset_shards_hold_every_image(folder: Path) -> None:
    run(folder, "files")
    run(folder, storage="webdataset")
    rows, files = read_rows(folder), read_rows(folder, "files")
    for row, file in zip(rows, files, strict=True):
        name, _, member = row["output"].partition(":")
        assert (name, member) == (f"webdataset/shard-{row['row'] // 4:06d}.tar", f"{row['row']:09d}.png")
        with tarfile.open(folder / "out" / name) as tar:
            stream = tar.extractfile(member)
            stated = tar.extractfile(f"{row['row']:09d}.json")
            assert stream is not None
            assert stated is not None
            assert stream.read() == (folder / "files" / file["output"]).read_bytes()
            assert json.loads(stated.read())["seed"] == row["seed"]
    assert not (folder / "out/journal/work").exists()


def test_webdataset_shard_with_one_changed_row_keeps_the_others(folder: Path) -> None:
    run(folder, storage="webdataset")
    before = read_stable(folder / "out")
    save_product(folder / "p1.png", 99)
    result, model = run(folder, storage="webdataset")
    after = read_stable(folder / "out")
    assert (result.open_shards, result.made, sum(model.calls)) == (1, 1, 2)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {
        "results.jsonl", "results.parquet", "webdataset/shard-000000.tar",
    }  # fmt: skip
    run(folder, "fresh", storage="webdataset")
    assert read_stable(folder / "fresh") == after


def test_rows_that_move_to_other_shards_are_kept(folder: Path) -> None:
    run(folder)
    save_product(folder / "new.png", 50)
    write_manifest(folder, [{"image": "new.png"}, *({"image": f"p{i}.png"} for i in range(7))])
    result, _ = run(folder, settings={"batch_size": 1})
    assert result.made == 1
    run(folder, "fresh", settings={"batch_size": 1})
    ours, theirs = read_rows(folder), read_rows(folder, "fresh")
    assert [row["image_sha256"] for row in ours] == [row["image_sha256"] for row in theirs]
    assert [row["row"] for row in ours] == list(range(8))
    larger, _ = run(folder, settings={"batch_size": 1}, shard_size=3)
    assert (larger.made, larger.done) == (0, 8)
    write_manifest(folder, [{"image": "p3.png"}])
    shrunk, _ = run(folder, settings={"batch_size": 1}, shard_size=3)
    assert (shrunk.made, shrunk.done) == (0, 1)
    assert sorted(p.name for p in (folder / "out/journal/shards").iterdir()) == [
        "shard-000000.done.json", "shard-000000.jsonl",
    ]  # fmt: skip


def test_a_row_on_top_of_a_table_gives_the_tar_of_a_fresh_run(folder: Path) -> None:
    """Members are named by row: a row that moves within its shard must not come under its old number."""
    values = {"settings": {"batch_size": 1}, "storage": "webdataset", "shard_size": 16}
    run(folder, **values)
    save_product(folder / "new.png", 50)
    names = ["new.png", "gone.png", *(f"p{i}.png" for i in range(7))]
    write_manifest(folder, [{"image": name} for name in names])
    result, _ = run(folder, **values)
    assert (result.done, result.failed) == (8, 1)
    run(folder, "fresh", **values)
    assert read_stable(folder / "out") == read_stable(folder / "fresh")
    with tarfile.open(folder / "out/webdataset/shard-000000.tar") as tar:
        members = tar.getnames()
    assert members == [f"{row:09d}.{end}" for row in (0, *range(2, 9)) for end in ("png", "json")]
    save_product(folder / "p7.png", 7)
    write_manifest(folder, [{"image": name} for name in [*names, "p7.png"]])
    again, _ = run(folder, **values)
    assert again.made == 1  # what did not move stays


@pytest.mark.parametrize("killed", [False, True])
def test_a_table_cut_by_whole_shards_has_the_results_of_a_fresh_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    values = {"settings": {"batch_size": 1}, "shard_size": 2}
    write_manifest(folder, [{"image": f"p{i}.png"} for i in range(4)])
    run(folder, **values)
    write_manifest(folder, [{"image": f"p{i}.png"} for i in range(2)])
    if killed:  # before the results are written

        def stop(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(run_module, "merge_results", stop)
        with pytest.raises(KeyboardInterrupt):
            run(folder, **values)
        monkeypatch.undo()
    shrunk, _ = run(folder, **values)
    assert (shrunk.rows, shrunk.done, shrunk.made) == (2, 2, 0)
    assert [row["name"] for row in read_rows(folder)] == ["p0.png", "p1.png"]
    run(folder, "fresh", **values)
    for name in ("results.jsonl", "results.parquet"):
        assert (folder / "out" / name).read_bytes() == (folder / "fresh" / name).read_bytes()
    shown = [(folder / name / "index.html").read_text().count("<img") for name in ("out", "fresh")]
    assert shown[0] == shown[1] > 0, "the sheet, which says how long it took, shows two rows as well"
    assert run_module.ShardStore(folder / "out").list_shards() == [0]


def test_touched_files_are_known_again_by_content(folder: Path) -> None:
    run(folder)
    before = read_stable(folder / "out")
    for i in range(7):
        (folder / f"p{i}.png").touch()
    result, model = run(folder)
    assert (result.open_shards, result.made, model.calls) == (2, 0, [])
    assert read_stable(folder / "out") == before


@pytest.mark.parametrize("where", ["output", "table", "mark"])
def test_full_disk_loses_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    run(folder, "whole")
    from cyclorama.files import refuse, write_atomic
    from cyclorama.generation import job

    left = [3 if where == "output" else 1]
    module = {"output": job, "table": store_module, "mark": store_module}[where]
    suffix = {"output": ".png", "table": ".jsonl", "mark": ".done.json"}[where]

    def write(path: Path, data: bytes, durable: bool = True) -> None:
        if path.name.endswith(suffix):
            left[0] -= 1
            if left[0] < 0:
                raise refuse(path, OSError(errno.ENOSPC, "No space left on device"))
        write_atomic(path, data, durable)

    monkeypatch.setattr(module, "write_atomic", write)
    with pytest.raises(OutputError, match=r"No space left.*same command again"):
        run(folder)
    status = read_status(folder / "out")
    assert status["finished_shards"] < 2
    assert status["done"] + status["pending"] == 7
    monkeypatch.undo()
    result, _ = run(folder)
    assert (result.done, result.failed) == (7, 0)
    assert result.made < 7
    assert read_stable(folder / "out") == read_stable(folder / "whole")


def test_a_folder_with_other_files_and_a_second_run_are_refused(folder: Path) -> None:
    (folder / "out/images").mkdir(parents=True)
    (folder / "out/images/mine.png").write_bytes(b"x")
    with pytest.raises(OutputError, match="no run recorded"):
        run(folder)
    with store_module.ShardStore(folder / "other").lock(), pytest.raises(OutputError, match="another run"):
        run(folder, "other")
