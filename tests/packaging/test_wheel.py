"""The wheel: its size, its contents, and one product made in a clean environment with no extras.

Not part of the default run (marker ``packaging``): it builds and installs, which needs the package index.
``make wheel-test`` runs it, and so does continuous integration.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 40 * 2**20

pytestmark = pytest.mark.packaging


def run(*command: object, cwd: Path, **more: str) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment | more,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, cwd=ROOT)
    run(sys.executable, "-m", "twine", "check", "--strict", *folder.iterdir(), cwd=ROOT)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment that holds the wheel and what it needs, nothing else."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder, with_pip=True)
    pip = folder / "bin" / "pip"
    run(pip, "install", "--quiet", "--constraint", ROOT / "constraints.txt", wheel, cwd=folder)
    return folder / "bin"


def test_the_wheel_is_small_and_whole(wheel: Path) -> None:
    assert wheel.stat().st_size <= LIMIT
    names = zipfile.ZipFile(wheel).namelist()
    assert {"cyclorama/py.typed", "cyclorama/weights/model_index.json"} <= set(names)
    tracked = run("git", "ls-files", "src/cyclorama", cwd=ROOT).split()
    assert {name.removeprefix("src/") for name in tracked} - set(names) == set()
    assert not [name for name in names if name.endswith((".bin", ".ckpt", ".pt", ".pkl"))]


def test_one_product_without_any_extra(clean: Path, tmp_path: Path) -> None:
    photo = np.zeros((120, 90, 4), np.uint8)
    photo[30:100, 30:60] = (180, 60, 30, 255)
    Image.fromarray(photo).save(tmp_path / "bottle.png")
    options = ["--category", "perfume", "--device", "cpu", "--placement", "keep"]
    for model, more in (("scenes", ("--preset", "fast")), ("bundled", ("--steps", "2"))):
        run(
            clean / "cyclorama",
            "generate",
            "bottle.png",
            "--out",
            model,
            "--model",
            model,
            *options,
            *more,
            cwd=tmp_path,
        )
        row = json.loads((tmp_path / model / "results.jsonl").read_text())
        assert (row["status"], row["model"]) == ("done", model)
        with Image.open(tmp_path / model / "images" / "bottle.png") as made:
            pixels = np.asarray(made.convert("RGB"))
        assert (pixels[30:100, 30:60] == (180, 60, 30)).all()
    assert run(clean / "cyclorama", "--version", cwd=tmp_path).startswith("cyclorama 0.")


@pytest.mark.parametrize(
    ("command", "extra"),
    [("curate", "curate"), ("evaluate", "evaluate"), ("lab experiment", "lab")],
)
def test_a_missing_extra_is_named_or_not_needed_for_help(
    clean: Path, tmp_path: Path, command: str, extra: str
) -> None:
    assert "--" in run(clean / "cyclorama", *command.split(), "--help", cwd=tmp_path), extra
