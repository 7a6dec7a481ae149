"""Another input, table or setting into the output folder of an earlier run: what is kept, what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from cyclorama.errors import OutputError
from cyclorama.generation.estimate import estimate_run
from cyclorama.generation.items import ItemSource
from cyclorama.generation.model import ModelHandle
from cyclorama.generation.results import read_status
from cyclorama.generation.run import RunResult, run_images
from cyclorama.generation.settings import InputSettings
from cyclorama.jobs.job import Hooks
from drawn import save_product
from stand_in import StandIn, build_config, read_stable

FRUIT = InputSettings(category="fruit")
STAY = "{} of earlier rows {} no longer part of this run; {} in {}/"


def run(source: Path, out: Path, dry: bool = False, **values: Any) -> tuple[RunResult, list[str]]:
    """What a run has done, and its notes."""
    model, notes = StandIn(), list[str]()
    handle = ModelHandle("stand-in", Path(), "0" * 12, model.registry)
    config = build_config(**values).replace(rules=FRUIT.build_rules())
    items = ItemSource(source, FRUIT, out)
    if dry:
        estimate_run(items, out, handle, config, lambda *_: model)
    hooks = Hooks(noted=notes.append)
    return run_images(items, out, handle, config, hooks, load_model=lambda *_: model), notes


def draw(folder: Path, names: str, seed: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for place, name in enumerate(names):
        save_product(folder / f"{name}.png", seed + place)
    return folder


def write(folder: Path, table: str, names: str) -> Path:
    lines = [json.dumps({"category": "fruit", "image": f"{name}.png"}) + "\n" for name in names]
    (folder / table).write_text("".join(lines))
    return folder / table


@pytest.mark.parametrize("storage", ["files", "webdataset"])
def test_images_of_another_input_are_not_written_over(tmp_path: Path, storage: str) -> None:
    one, two, out = draw(tmp_path / "one", "ab"), draw(tmp_path / "two", "ac", 7), tmp_path / "out"
    run(one, out, storage=storage)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    said = r"would replace .*(a\.png|\.tar).* of another input, .*/one; choose another --out, or give --over"
    for dry in (False, True):
        with pytest.raises(OutputError, match=said):
            run(two, out, dry, storage=storage)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert (read_status(out)["input"], read_status(out)["rows"]) == (str(one), 2)
    result, notes = run(two, out, storage=storage, overwrite=True)
    assert (result.made, result.done) == (2, 2)
    assert notes == ([STAY.format("1 image", "is", "it stays", "images")] if storage == "files" else [])
    run(two, tmp_path / "fresh", storage=storage)
    fresh = read_stable(tmp_path / "fresh")
    assert {name: data for name, data in read_stable(out).items() if name in fresh} == fresh


def test_another_input_with_other_names_goes_on_and_says_what_stays(tmp_path: Path) -> None:
    one, two, out = draw(tmp_path / "one", "ab"), draw(tmp_path / "two", "cd", 7), tmp_path / "out"
    run(one, out)
    result, notes = run(two, out)
    assert (result.made, notes) == (2, [STAY.format("2 images", "are", "they stay", "images")])
    assert sorted(path.name for path in (out / "images").iterdir()) == ["a.png", "b.png", "c.png", "d.png"]
    assert run(two, out)[1] == []


def test_a_table_that_is_changed_renamed_or_moved_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, out = draw(tmp_path / "shop", "abc"), tmp_path / "out"
    table = write(shop, "m.jsonl", "abc")
    run(table, out)
    monkeypatch.chdir(shop)
    assert (run(Path("m.jsonl"), out)[0].made, run(Path("m.jsonl"), out)[1]) == (0, [])
    (shop / "m.jsonl").rename(shop / "new.jsonl")
    result, notes = run(shop / "new.jsonl", out, seed=5)  # all anew, by name the same files
    assert (result.made, notes) == (3, [])
    save_product(shop / "a.png", 50)
    result, notes = run(write(shop, "newer.jsonl", "abc"), out, seed=5)
    assert (result.made, notes) == (1, [])
    monkeypatch.chdir(tmp_path)
    shutil.move(shop, tmp_path / "moved")
    result, notes = run(tmp_path / "moved/newer.jsonl", out, settings={"batch_size": 1}, seed=6)
    assert (result.made, notes) == (3, [])
    save_product(tmp_path / "moved/a.png", 60)  # changed in place: its own row
    assert run(tmp_path / "moved/newer.jsonl", out, settings={"batch_size": 1}, seed=6)[0].made == 1
    draw(tmp_path / "other", "a", 70)
    with pytest.raises(OutputError, match="of another input"):
        run(write(tmp_path / "other", "m.jsonl", "a"), out)


def test_images_that_rows_and_settings_leave_behind_are_counted(tmp_path: Path) -> None:
    shop, out = draw(tmp_path / "shop", "abcdef"), tmp_path / "out"
    run(write(shop, "m.jsonl", "abcdef"), out)
    assert run(write(shop, "m.jsonl", "abcd"), out)[1] == [
        STAY.format("2 images", "are", "they stay", "images")
    ]
    assert run(shop / "m.jsonl", out)[1] == []
    said = STAY.format("4 images", "are", "they stay", "images")
    webp = {"batch_size": 2, "format": "webp"}
    assert run(shop / "m.jsonl", out, settings=webp)[1] == [said]
    assert run(shop / "m.jsonl", out, settings=webp, storage="webdataset")[1] == [said]
    assert run(shop / "m.jsonl", out, settings=webp)[1] == [said.replace("images/", "webdataset/")]


def test_a_run_that_was_stopped_owns_its_images_too(tmp_path: Path) -> None:
    one, two, out = draw(tmp_path / "one", "ab"), draw(tmp_path / "two", "a", 7), tmp_path / "out"
    run(one, out)
    work = out / "journal/work/shard-000000"
    work.mkdir(parents=True)
    rows = [json.loads(line) for line in (out / "journal/shards/shard-000000.jsonl").read_text().splitlines()]
    for path in (out / "journal/shards").iterdir():
        path.unlink()
    entries = [json.dumps({"row": row["row"], "key": row["plan_key"], "result": row}) + "\n" for row in rows]
    (work / "journal.jsonl").write_text("".join(entries))
    before = read_stable(out)
    with pytest.raises(OutputError, match="of another input"):
        run(two, out)
    assert read_stable(out) == before
    assert run(one, out)[0].made == 0
