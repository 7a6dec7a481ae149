"""The command's skeleton: what it imports, how it fails, and the public names."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import cyclorama
from cyclorama import cli
from cyclorama.errors import SettingsError
from cyclorama.generation import settings

HEAVY = {
    "torch",
    "diffusers",
    "transformers",
    "numpy",
    "PIL",
    "scipy",
    "pyarrow",
    "mitsuba",
    "numba",
    "pymatting",
    "yaml",
}


def list_imports(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=True
    )
    return {line.rsplit("|", 1)[1].strip().split(".")[0] for line in done.stderr.splitlines() if "|" in line}


def test_help_imports_nothing_heavy() -> None:
    imported = list_imports(
        "import contextlib, io\nfrom cyclorama.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n  main(['--help'])"
    )
    assert "cyclorama" in imported
    assert imported & HEAVY == set()


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert list_imports("import cyclorama; dir(cyclorama)") & HEAVY == set()


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(command in printed for command in cli.COMMANDS)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"cyclorama {cyclorama.__version__}"


def replace_run(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(model: str | None) -> None:
        raise error

    monkeypatch.setattr("cyclorama.generation.model.describe_model", fail)


def test_errors_become_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    replace_run(monkeypatch, SettingsError("first\n  second"))
    assert cli.main(["models", "show"]) == 2
    assert capsys.readouterr().err == "cyclorama: SettingsError: first second\n"


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    replace_run(monkeypatch, SettingsError("why"))
    with pytest.raises(SettingsError, match="why"):
        cli.main(["--debug", "models", "show"])


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["status", ""], "an argument"),
        (["evaluate", ""], "an argument"),
        (["generate", "a.png", "--out", ""], "--out"),
        (["generate", "a.png", "--out="], "--out"),
        (["generate", "a.png", "--out", "o", "--mask", "", "--category", "fruit"], "--mask"),
        (["serve", "--data", ""], "--data"),
        (["lab", "study", ""], "an argument"),
    ],
)
def test_an_empty_argument_is_refused_before_it_means_this_folder(
    arguments: list[str],
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 2
    assert capsys.readouterr().err == (
        f"cyclorama: usage: {name} is empty; give a value (is a shell variable unset?)\n"
    )
    assert not list(tmp_path.iterdir())


def test_interrupt_has_its_code(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    replace_run(monkeypatch, KeyboardInterrupt())
    assert cli.main(["models", "show"]) == 130
    assert capsys.readouterr().err == "cyclorama: stopped\n"


def test_programming_errors_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    replace_run(monkeypatch, ZeroDivisionError("bug"))
    with pytest.raises(ZeroDivisionError):
        cli.main(["models", "show"])


@pytest.mark.parametrize(
    ("options", "steps"),
    [([], 8), (["--preset", "balanced"], 25), (["--steps", "3"], 3), (["--seed", "4"], 8)],
)
def test_the_demo_is_fast_unless_it_is_told_otherwise(
    options: list[str], steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Any] = []

    def keep(items: Any, out: Path, model: Any, config: Any, quiet: bool) -> Any:
        found.append(config)
        raise SettingsError("far enough")

    monkeypatch.setattr("cyclorama.commands.generate.make_images", keep)
    assert cli.main(["demo", "--out", str(tmp_path / "out"), *options]) == 2
    (config,) = found
    assert config.settings.build_sampling().num_inference_steps == steps
    assert not config.settings.shared_sets
    assert config.run.seed == (4 if "--seed" in options else 0)


@pytest.mark.parametrize(
    "options", [("--candidates", "2"), ("--outputs", "1:1"), ("--storage", "webdataset")]
)
def test_the_demo_says_what_its_sheet_cannot_show(
    options: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["demo", "--out", str(tmp_path / "out"), *options]) == 2
    assert "the demo's sheet shows one image a row" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def read_columns(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> tuple[Any, ...]:
    """The exit code of ``generate`` with these options, and the columns that its source is told."""
    found: list[dict[str, str]] = []

    def stop(source: Any, inputs: Any, out: Path) -> Any:
        found.append(inputs.columns)
        raise SettingsError("far enough")

    monkeypatch.setattr("cyclorama.generation.items.ItemSource", stop)
    return cli.main(["generate", "table.csv", "--out", "not-there", *arguments]), *found


@pytest.mark.parametrize(
    ("arguments", "columns"),
    [
        (["--column", "image=Bild 1"], {"image": "Bild 1"}),
        (["--column=image=Bild 1"], {"image": "Bild 1"}),
        (["--column", "image=a", "--column", "price=b=c"], {"image": "a", "price": "b=c"}),
        (["--column.image", "a", "--column.price=b"], {"image": "a", "price": "b"}),
        (["--column.image", "a=b"], {"image": "a=b"}),
        ([], {}),
    ],
)
def test_columns_are_named_as_field_and_name(
    arguments: list[str], columns: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_columns(monkeypatch, arguments) == (2, columns)


def test_every_form_of_columns_in_help_and_docs_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = [*(Path(__file__).parents[2] / "docs").glob("*.md"), Path(settings.__file__)]
    forms = {
        form for page in pages for form in re.findall(r"--column[.= ]\w+[= ][\w…]+", page.read_text("utf-8"))
    }
    assert {"--column image=NAME", "--column price=NAME"} <= forms
    for form in sorted(forms):
        field, _, name = re.split("[.= ]", form, maxsplit=1)[1].partition("=")
        assert read_columns(monkeypatch, form.split(" ")) == (2, {field: name}), form


@pytest.mark.parametrize("text", ["image", "image=", "=Bild", " = "])
def test_a_column_of_another_form_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["generate", "table.csv", "--out", "not-there", "--column", text]) == 2
    assert capsys.readouterr().err == (
        f"cyclorama: SettingsError: column: {' '.join(repr(text).split())} is not understood: write it as "
        "FIELD=NAME, such as 'image=Bild 1'\n"
    )
