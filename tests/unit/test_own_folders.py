"""Inputs beside, in and below the output folder: nothing of the user's is written over, nothing is eaten."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cyclorama import cli
from cyclorama.commands.generate import finish
from cyclorama.errors import OutputError
from cyclorama.generation.items import ItemSource
from cyclorama.generation.model import ModelHandle
from cyclorama.generation.results import format_status, read_status
from cyclorama.generation.run import RunResult, run_images
from cyclorama.generation.settings import InputSettings
from cyclorama.jobs.job import Hooks
from drawn import save_product
from stand_in import StandIn, build_config

FRUIT = InputSettings(category="fruit")


def run(source: Path, out: Path, hooks: Hooks | None = None, **values: Any) -> RunResult:
    model = StandIn()
    handle = ModelHandle("stand-in", Path(), "0" * 12, model.registry)
    config = build_config(**values).replace(rules=FRUIT.build_rules())
    return run_images(ItemSource(source, FRUIT, out), out, handle, config, hooks, load_model=lambda *_: model)


def draw(*paths: Path) -> None:
    for seed, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        save_product(path, seed)


def read_rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("command", ["generate", "poster"])
@pytest.mark.parametrize("extra", [[], ["--overwrite"]])
def test_inputs_in_a_folder_that_the_run_fills_are_refused(
    tmp_path: Path, command: str, extra: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    name = {"generate": "images", "poster": "posters"}[command]
    photo = tmp_path / name / "whisky.png"
    draw(photo)
    before = photo.read_bytes()
    (tmp_path / "words.yaml").write_text("headline: New\n")
    words = ["--texts", str(tmp_path / "words.yaml")] if command == "poster" else []
    for given in (photo, photo.parent):
        assert cli.main([command, str(given), "--out", str(tmp_path), *words, *extra]) == 2
        said = capsys.readouterr().err
        assert f"OutputError: {given} lies where this run writes, in {photo.parent}" in said
        assert "--overwrite" not in said
    assert photo.read_bytes() == before
    assert not (tmp_path / "journal").exists()


def test_the_other_files_of_a_run_are_inputs_too(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", tmp_path / "out/images/b.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "out/images/b.png")
    for name in ("mask", "reference", "backdrop"):
        for path in (tmp_path / "out/images/b.png", tmp_path / "link.png"):
            with pytest.raises(OutputError, match="lies where this run writes"):
                ItemSource(tmp_path / "a.png", InputSettings(**{name: path}), tmp_path / "out")
    with pytest.raises(OutputError, match="lies where this run writes"):
        (tmp_path / "out/results.jsonl").write_text('{"image": "images/b.png"}\n')
        ItemSource(tmp_path / "out/results.jsonl", None, tmp_path / "out")
    (
        tmp_path / "out/styles"
    ).mkdir()  # the styles that a run found are there to be used, and stay as they are
    (tmp_path / "out/styles/found.yaml").write_text("wall: {}\n")
    style = InputSettings(style=tmp_path / "out/styles/found.yaml")
    assert len(ItemSource(tmp_path / "a.png", style, tmp_path / "out").notes) > 0


def test_rows_whose_files_lie_where_the_run_writes_fail_by_name(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", tmp_path / "shop/images/b.png")
    (tmp_path / "here").symlink_to(tmp_path / "shop/images")
    rows = [
        {"image": "a.png"},
        {"image": "shop/images/b.png"},
        {"image": "here/b.png"},
        {"image": "a.png", "mask": "shop/images/b.png"},
    ]
    table = tmp_path / "m.jsonl"
    table.write_text("".join(json.dumps({"category": "fruit"} | row) + "\n" for row in rows))
    before = (tmp_path / "shop/images/b.png").read_bytes()
    result = run(table, tmp_path / "shop", overwrite=True)
    assert (result.done, result.failed) == (1, 3)
    found = read_rows(tmp_path / "shop")
    assert [row.get("error") for row in found] == [None, *["OutputError"] * 3]
    said = "its {} lies where this run writes, in images; choose another --out"
    assert found[1]["reason"] == f"row 2 (line 2): {said.format('image')}"
    assert found[3]["reason"] == f"row 4 (line 4): {said.format('mask')}"
    assert (tmp_path / "shop/images/b.png").read_bytes() == before


@pytest.mark.parametrize("place", [".", "out"])
def test_a_run_into_its_own_input_does_not_take_its_images_for_inputs(tmp_path: Path, place: str) -> None:
    draw(tmp_path / "a.png", tmp_path / "sub/b.png")
    (tmp_path / "sub/b.png").rename(tmp_path / "sub/b")  # an image known by its first bytes
    out = tmp_path / place
    first, second = run(tmp_path, out), run(tmp_path, out)
    assert (first.made, second.made, second.kept, second.rows) == (2, 0, 2, 2)
    assert [row["name"] for row in read_rows(out)] == ["a.png", "sub/b"]
    assert run(tmp_path, out, overwrite=True).rows == 2
    other = run(tmp_path, tmp_path / "other", settings={"batch_size": 1})  # nor those of another run on it
    assert (other.rows, other.made) == (2, 2)
    found = ItemSource(tmp_path, FRUIT)  # as `cyclorama check` reads it
    assert [item.name for item in found.iterate(tmp_path / "scratch")] == ["a.png", "sub/b"]
    assert len(ItemSource(out / "images").table.notes) > 0  # images are an input where they are asked for


def test_a_folder_of_files_known_by_content_stays_one_beside_results(tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a")
    assert (run(tmp_path, tmp_path).made, run(tmp_path, tmp_path).rows) == (1, 1)
    assert ItemSource(tmp_path).table.kind == "folder"  # not the table results.parquet


@pytest.mark.parametrize("overwrite", [False, True])
def test_photos_of_the_input_are_no_results_of_it(tmp_path: Path, overwrite: bool) -> None:
    draw(tmp_path / "a.png", tmp_path / "images/a.png")
    before = (tmp_path / "images/a.png").read_bytes()
    with pytest.raises(
        OutputError, match="is the input, too, and its images holds files that no run recorded"
    ):
        run(tmp_path, tmp_path, overwrite=overwrite)
    assert (tmp_path / "images/a.png").read_bytes() == before


def test_a_stopped_run_says_what_is_done_and_what_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw(*(tmp_path / f"in/p{k}.png" for k in range(5)))
    (tmp_path / "in/torn.png").write_bytes(b"\x89PNG\r\n")
    rows = [{"image": f"p{k}.png"} for k in range(5)] + [{"image": "gone.png"}, {"image": "torn.png"}]
    table = tmp_path / "in/m.jsonl"
    table.write_text("".join(json.dumps({"category": "fruit"} | row) + "\n" for row in rows))
    out, made = tmp_path / "out", [0]

    def advance(count: int) -> None:
        made[0] += count

    stopping = Hooks(advanced=advance, stopping=lambda: made[0] >= 4)
    result = run(table, out, stopping, settings={"batch_size": 1}, in_flight=1, shard_size=256)
    images = list((out / "images").iterdir())
    assert len(images) == result.made == result.done == 4 and not result.finished
    assert (result.failed, result.rows, result.kept) == (2, 7, 0)
    status = read_status(out)
    assert (status["done"], status["failed"], status["pending"], status["images"]) == (4, 2, 1, 4)
    assert (status["finished_in_open_shards"], status["failed_in_open_shards"]) == (6, 2)
    assert status["bytes"] == sum(path.stat().st_size for path in images)
    assert {f["error"]: f["count"] for f in status["failures"]} == {
        "ManifestError": 1,
        "UnreadableImageError": 1,
    }
    assert "4 of 7 rows done, 2 failed, 1 pending (85.7%)" in format_status(status).splitlines()
    assert finish(result, out) == 130
    told = capsys.readouterr()
    assert told.out == "4 images made, 2 inputs failed\n"
    assert told.err == "cyclorama: stopped with 1 of 7 rows left; run the same command again to go on\n"
    again = run(table, out, settings={"batch_size": 1}, shard_size=256)
    assert (again.made, again.kept, again.finished) == (1, 4, True)
    assert finish(again, out) == 1
    assert (
        capsys.readouterr().out
        == f"1 images made, 4 kept from before, 2 inputs failed; see {out}/index.html\n"
    )
