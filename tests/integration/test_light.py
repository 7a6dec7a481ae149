"""Without the extra ``learned`` the package makes scenes, and says what a learned model lacks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

LACKING = (
    "cyclorama_bundled",
    "torch",
    "diffusers",
    "transformers",
    "huggingface_hub",
    "safetensors",
    "accelerate",
    "tokenizers",
)
PRODUCT = (180, 60, 30)
MESSAGE = "learned models, training and measuring need further packages: pip install 'cyclorama[learned]'; "
PROGRAM = """
import sys
from importlib.machinery import PathFinder

class Lacking(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.split(".")[0] in {lacking} else super().find_spec(name, path, target)

sys.meta_path[:] = [Lacking if finder is PathFinder else finder for finder in sys.meta_path]
import cyclorama
from cyclorama import BackgroundGenerator
from cyclorama.cli import main
from cyclorama.errors import MissingDependencyError

for command in {commands}:
    print(main(command), flush=True)
generator = BackgroundGenerator.from_pretrained()
print(generator("bottle.png", category="perfume", preset="fast", placement="keep").report.exact)
for name in ("BackgroundGenerator", "CycloramaPipeline"):
    try:
        getattr(cyclorama, name).from_pretrained("bundled")
    except MissingDependencyError as error:
        print(error)
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], str]:
    """A folder with what a process without the extra has made there, and the lines it wrote."""
    folder = tmp_path_factory.mktemp("bare")
    photo = np.zeros((96, 64, 4), np.uint8)
    photo[24:84, 20:44] = (*PRODUCT, 255)
    photo[23] = photo[24] // (1, 1, 1, 2)
    Image.fromarray(photo).save(folder / "bottle.png")
    made = ["bottle.png", "--category", "perfume"]
    where = ["--out", "out", "--preset", "fast", "--placement", "keep", "--gate"]
    commands = [
        ["--help"],
        ["check", *made],
        ["generate", *made, *where],
        ["status", "out"],
        ["generate", *made, "--out", "no", "--model", "bundled"],
        ["generate", *made, "--out", "no", "--model", "owner/name"],
        ["check", *made, "--model", "bundled"],
        ["train", "base", "--config", "none.yaml", "--out", "no"],
    ]
    program = PROGRAM.format(lacking=LACKING, commands=commands)
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout.splitlines(), done.stderr


def test_a_scene_is_made_without_the_extra(bare: tuple[Path, list[str], str]) -> None:
    folder, lines, _ = bare
    row = json.loads((folder / "out" / "results.jsonl").read_text())
    assert (row["status"], row["model"]) == ("done", "scenes")
    assert row["gate"]["values"]["interior"] == 0 and row["gate"]["values"]["off_category"] is None
    with Image.open(folder / "out" / "images" / "bottle.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    assert (pixels[24:84, 20:44] == PRODUCT).all()
    assert [line for line in lines if line.isdecimal()] == ["0"] * 4 + ["2"] * 4
    assert "True" in lines


def test_what_a_learned_model_lacks_is_said_before_any_work(bare: tuple[Path, list[str], str]) -> None:
    folder, lines, errors = bare
    assert errors.count(f"cyclorama: MissingDependencyError: {MESSAGE}") == 4
    assert all(line.startswith(MESSAGE) for line in lines[-2:])
    assert not (folder / "no").exists()


def test_scenes_leave_torch_alone_where_it_is_installed() -> None:
    code = (
        "import sys, numpy, cyclorama.generation.run\nfrom cyclorama.scenes import render\n"
        "render.load_mitsuba()\nfrom pyoidn import denoise\n"
        "grey = numpy.full((16, 16, 3), 0.5, numpy.float32)\n"
        "print(denoise(grey, hdr=True).mean().round(2), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0.5", "False"]
