"""A user's own category files: beside and over the built-in ones, checked whole, carried by their text."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cyclorama import cli
from cyclorama.errors import ConfigError, ModelFormatError, SettingsError
from cyclorama.generation.model import open_model
from cyclorama.generation.scenes import build_registry, compute_scenes_hash
from cyclorama.models.words import match_word
from cyclorama.scenes import library as library_module
from cyclorama.scenes import preview
from cyclorama.scenes.library import BUILT_IN, open_library, write_starter


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One category of a user's own, whose word is another one's of the built-in ones."""
    write_starter("yoga mat", tmp_path / "mat.yaml")
    change(tmp_path / "mat.yaml", "words: []", "words: [sneakers, exercise mat]")
    return tmp_path


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_own_categories_stand_beside_the_built_in_ones_and_their_words_go_first(folder: Path) -> None:
    library = open_library(folder)
    assert set(library.names) == {*BUILT_IN.names, "yoga mat"}
    registry = build_registry(library)
    for given, name in {"exercise mats": "yoga mat", "sneakers": "yoga mat", "boots": "shoes"}.items():
        found = match_word(given, registry)
        assert found is not None and found.category.name == name
    assert registry.resolve("yoga mat").share == pytest.approx(0.56)
    found = match_word("sneakers", build_registry())
    assert found is not None and found.category.name == "shoes"
    assert library.load("yoga mat").elements == ("arch", "disc", "steps", "stones", "vase")


def test_an_own_file_replaces_the_built_in_one_of_its_name(tmp_path: Path) -> None:
    write_starter("whisky", tmp_path / "w.yaml")
    library = open_library(tmp_path)
    assert library.names.count("whisky") == 1 and len(library.names) == len(BUILT_IN.names)
    assert "arch" in library.load("whisky").elements
    assert "barrel" in BUILT_IN.load("whisky").elements


def test_the_hash_follows_the_files_text_and_the_handle_carries_it(folder: Path) -> None:
    handle = open_model(None, folder)
    assert handle.hash == compute_scenes_hash(open_library(folder)) != open_model().hash
    carried = pickle.loads(pickle.dumps(handle))
    change(folder / "mat.yaml", "[6, 10]", "[6, 11]")
    assert open_model(None, folder).hash != handle.hash
    (folder / "mat.yaml").unlink()  # a machine without the folder
    assert carried.find_here().hash == handle.hash
    assert carried.library.load("yoga mat").framing.elevation == (6, 10)


def test_own_scenes_go_with_the_rendered_sets_only(folder: Path) -> None:
    with pytest.raises(SettingsError, match="--scenes goes with the rendered sets, not with model bundled"):
        open_model("bundled", folder)


FAULTS = [
    ("  elevation: [6, 10]", "  elevation: [10, 6]", "mat.yaml:10: elevation: must be .*in this order"),
    ("boulder:", "bolder:", r"mat.yaml:\d+: bolder: unknown shape or key 'bolder'; did you mean boulder"),
    ("surface: plastic(plaster(accent", "surface: plastik(plaster(accent", "unknown function 'plastik'; did"),
    ("elements: [disc, steps]", "elements: [disk, steps]", r"mat.yaml:21: elements: unknown element 'disk'"),
    ("depth: 0.6,", "depth: 6,", r"mat.yaml:13: depth: must be from 0.02 to 2"),
]


def test_every_fault_of_a_file_is_told_with_its_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["scenes", "check", str(folder)]) == 0
    for old, new, _ in FAULTS:
        change(folder / "mat.yaml", old, new)
    assert cli.main(["scenes", "check", str(folder)]) == 1
    told = capsys.readouterr().err
    assert len(told.splitlines()) == len(FAULTS)
    for _, _, message in FAULTS:
        with pytest.raises(ConfigError, match=message):
            raise ConfigError(told)
    with pytest.raises(ConfigError, match=rf"and {len(FAULTS) - 1} more"):
        open_library(folder)


def test_faults_that_show_only_when_drawn_are_told_too(folder: Path) -> None:
    change(folder / "mat.yaml", "muted: uniform(0.1, 0.3)", "muted: uniform(0.3, 0.1)")
    with pytest.raises(ConfigError, match=r"mat.yaml:28: muted: .*the lower end is above the upper one"):
        open_library(folder)


def test_a_folder_without_files_and_two_files_of_one_category_are_refused(folder: Path) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(ConfigError, match="no category file"):
        open_library(folder / "empty")
    write_starter("yoga mat", folder / "z.yaml")
    with pytest.raises(ConfigError, match="z.yaml:1: name: .* has a file already, mat.yaml"):
        open_library(folder)


def test_a_word_that_is_a_categorys_name_is_refused(folder: Path) -> None:
    change(folder / "mat.yaml", "[sneakers,", "[whisky,")
    with pytest.raises(ModelFormatError, match="'whisky'"):
        open_model(None, folder)


@pytest.mark.parametrize("like", [None, "whisky", "jewellery"])
def test_what_new_writes_passes_check(
    tmp_path: Path, like: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library_module, "_TRIED", 3)
    path = tmp_path / "sets" / "new.yaml"
    arguments = ["scenes", "new", "rum: dark", "--out", str(path), *(["--like", like] if like else [])]
    assert cli.main(arguments) == 0
    assert cli.main(["scenes", "check", str(path)]) == 0
    (file,) = open_library(path).own
    assert (file.head["name"], file.head["words"]) == ("rum: dark", [])
    assert cli.main(arguments) == 2  # the file is there
    assert cli.main(["scenes", "new", "x", "--out", str(tmp_path / "y"), "--like", "wisky"]) == 2


def test_list_names_own_and_built_in_ones(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["scenes", "list", "--scenes", str(folder)]) == 0
    lines = {line.split("  ")[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "56%  cut-outs sneakers, exercise mat; arch, disc, steps, stones, vase" in lines["yoga mat"]
    assert " 3-D " in lines["whisky"]


def test_a_sheet_shows_twelve_sets(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "_SAMPLES", 1)
    monkeypatch.setattr(preview, "_ROWS", 1)
    library, name = preview.find_scene(str(folder / "mat.yaml"))
    preview.draw_sheet(library, name, folder / "sheet.png", side=32)
    pixels = np.asarray(Image.open(folder / "sheet.png"))
    assert pixels.shape == (32, 4 * 40 - 8, 3)
    assert len({pixels[:, 40 * k : 40 * k + 32].tobytes() for k in range(4)}) == 4
    assert cli.main(["scenes", "preview", "no such thing", "--out", str(folder / "x.png")]) == 2
