"""The two wheels: size, contents; in clean environments a scene, the bundled model and the service.

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

from service_server import TINY, ServiceProcess

ROOT = Path(__file__).resolve().parents[2]
PRODUCTS = ROOT / "src/cyclorama/weights/demo/products"
LIMITS = {"cyclorama": 40 * 10**6, "cyclorama_bundled": 64 * 10**6}
"""Bytes of each wheel."""

pytestmark = pytest.mark.packaging


def run(*command: object, cwd: Path, code: int = 0) -> str:
    """What ``command`` says: its results, or why it fails, as it must where ``code`` is not 0."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stderr if code else done.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel of each distribution."""
    folder = tmp_path_factory.mktemp("dist")
    for source in (ROOT, ROOT / "bundled"):
        run(sys.executable, "-m", "build", "--outdir", folder, source, cwd=ROOT)
    run(sys.executable, "-m", "twine", "check", "--strict", *folder.iterdir(), cwd=ROOT)
    return {path.name.split("-")[0]: path for path in folder.glob("*.whl")}


def install(folder: Path, *what: object) -> Path:
    """The bin folder of an environment that holds the wheels ``what`` and what they need, nothing else."""
    venv.create(folder, with_pip=True)
    pip = folder / "bin" / "pip"
    run(pip, "install", "--quiet", "--constraint", ROOT / "constraints.txt", *what, cwd=folder)
    return folder / "bin"


@pytest.fixture(scope="module")
def clean(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("clean"), wheels["cyclorama"])


@pytest.fixture(scope="module")
def learned(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = (wheels["cyclorama_bundled"], f"{wheels['cyclorama']}[learned]")
    return install(tmp_path_factory.mktemp("learned"), *found)


@pytest.mark.parametrize(("name", "source"), [("cyclorama", "src"), ("cyclorama_bundled", "bundled/src")])
def test_each_wheel_is_small_and_whole(wheels: dict[str, Path], name: str, source: str) -> None:
    assert wheels[name].stat().st_size <= LIMITS[name]
    names = zipfile.ZipFile(wheels[name]).namelist()
    tracked = run("git", "ls-files", f"{source}/{name}", cwd=ROOT).split()
    whole = {path.removeprefix(f"{source}/") for path in tracked}
    assert whole and {path for path in names if ".dist-info/" not in path} == whole
    assert not [path for path in names if path.endswith((".bin", ".ckpt", ".pt", ".pkl"))]


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
    assert installed >= {"cyclorama", "mitsuba"}
    assert not installed & {"cyclorama-bundled", "diffusers", "huggingface-hub", "safetensors"}
    assert not installed & {"torch", "transformers"}
    assert run(clean / "cyclorama", "--version", cwd=tmp_path).startswith("cyclorama 0.")


def test_the_bundled_model_with_the_extra_learned(learned: Path, tmp_path: Path) -> None:
    make(learned, tmp_path, "bundled", "--steps", "2")


def test_the_bundled_model_names_its_extra(clean: Path, tmp_path: Path) -> None:
    said = run(clean / "cyclorama", "models", "show", cwd=tmp_path, code=2)
    assert "pip install 'cyclorama[learned]'" in said


def test_the_service_with_its_extra_makes_an_image_and_a_poster(
    wheels: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its workers asked for the extra ``poster`` once, so they died and no image was ever made."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    serving = install(tmp_path / "serving", f"{wheels['cyclorama']}[serve]")
    run(serving / "python", "-c", "import pymatting", cwd=tmp_path)  # compiles its kernels
    server = ServiceProcess(tmp_path / "data", python=str(serving / "python"))
    server.start()
    try:
        item = {"image": server.upload(PRODUCTS / "mug" / "01.webp"), "category": "mug"}
        poster = {"texts": {"en": {"headline": "Slow"}}, "sizes": ["square"]}
        for order in ({"settings": TINY}, {"poster": poster}):
            job = server.wait_for(server.send("/v1/jobs", {"items": [item], **order}).json["id"], 300)
            assert (job["state"], job["counts"]["done"]) == ("done", 1), job
            assert job["images"][0]["report"]["exact"]
    finally:
        code = server.stop()
    assert code == 0


@pytest.mark.parametrize(
    ("command", "extra"),
    [("curate", "curate"), ("evaluate", "evaluate"), ("lab experiment", "lab")],
)
def test_a_missing_extra_is_named_or_not_needed_for_help(
    clean: Path, tmp_path: Path, command: str, extra: str
) -> None:
    assert "--" in run(clean / "cyclorama", *command.split(), "--help", cwd=tmp_path), extra
