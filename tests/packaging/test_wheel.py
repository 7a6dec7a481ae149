"""The wheel: its size, its contents; a scene in a clean environment, the bundled model in one with `learned`.

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
LIMIT = 48 * 2**20
"""Bytes of a wheel: 27 MB is the learned model, 8 MB cut photos out and tell their category."""

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


def install(folder: Path, what: str) -> Path:
    """The bin folder of an environment that holds the wheel ``what`` and what it needs, nothing else."""
    venv.create(folder, with_pip=True)
    pip = folder / "bin" / "pip"
    run(pip, "install", "--quiet", "--constraint", ROOT / "constraints.txt", what, cwd=folder)
    return folder / "bin"


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("clean"), str(wheel))


@pytest.fixture(scope="module")
def learned(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("learned"), f"{wheel}[learned]")


def test_the_wheel_is_small_and_whole(wheel: Path) -> None:
    assert wheel.stat().st_size <= LIMIT
    names = zipfile.ZipFile(wheel).namelist()
    assert {"cyclorama/py.typed", "cyclorama/weights/model_index.json"} <= set(names)
    tracked = run("git", "ls-files", "src/cyclorama", cwd=ROOT).split()
    assert {name.removeprefix("src/") for name in tracked} - set(names) == set()
    assert not [name for name in names if name.endswith((".bin", ".ckpt", ".pt", ".pkl"))]


def make(environment: Path, folder: Path, model: str, *options: str) -> None:
    """Have ``model`` make one product; the row and the product's pixels must be right."""
    photo = np.zeros((120, 90, 4), np.uint8)
    photo[30:100, 30:60] = (180, 60, 30, 255)
    Image.fromarray(photo).save(folder / "bottle.png")
    command = ("generate", "bottle.png", "--out", model, "--model", model, "--category", "perfume")
    run(environment / "cyclorama", *command, "--placement", "keep", *options, cwd=folder)
    row = json.loads((folder / model / "results.jsonl").read_text())
    assert (row["status"], row["model"]) == ("done", model)
    with Image.open(folder / model / "images" / "bottle.png") as made:
        assert (np.asarray(made.convert("RGB"))[30:100, 30:60] == (180, 60, 30)).all()


def test_a_scene_without_any_extra(clean: Path, tmp_path: Path) -> None:
    make(clean, tmp_path, "scenes", "--preset", "fast")
    installed = {line.split()[0].lower() for line in run(clean / "pip", "list", cwd=tmp_path).splitlines()}
    assert not installed & {"torch", "diffusers", "transformers", "huggingface-hub", "safetensors"}
    assert run(clean / "cyclorama", "--version", cwd=tmp_path).startswith("cyclorama 0.")


def test_the_bundled_model_with_the_extra_learned(learned: Path, tmp_path: Path) -> None:
    make(learned, tmp_path, "bundled", "--steps", "2")


@pytest.mark.parametrize(
    ("command", "extra"),
    [("curate", "curate"), ("evaluate", "evaluate"), ("lab experiment", "lab")],
)
def test_a_missing_extra_is_named_or_not_needed_for_help(
    clean: Path, tmp_path: Path, command: str, extra: str
) -> None:
    assert "--" in run(clean / "cyclorama", *command.split(), "--help", cwd=tmp_path), extra
