"""Inputs beside, in and below the output folder: nothing of the user's is written over, nothing is eaten."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cyclorama import cli
from cyclorama.errors import OutputError
from cyclorama.generation.items import ItemSource
from cyclorama.generation.model import ModelHandle
from cyclorama.generation.run import RunResult, run_images
from cyclorama.generation.settings import InputSettings
from cyclorama.jobs.job import Hooks
from drawn import save_product
from stand_in import StandIn, build_config


def run(source: Path, out: Path, hooks: Hooks | None = None, **values: Any) -> RunResult:
    model = StandIn()
    handle = ModelHandle("stand-in", Path(), "0" * 12, model.registry)
    items = ItemSource(source, InputSettings(category="fruit"), out)
    return run_images(items, out, handle, build_config(**values), hooks, load_model=lambda *_: model)


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
