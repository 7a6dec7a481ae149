"""Every example runs as it stands in a fresh checkout, and does what it says."""

from __future__ import annotations

import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from cyclorama.generation.demo import get_demo_folder

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
PRODUCTS = ("armchair", "camera", "perfume")
Run = Callable[..., str]

# Ray leaves pipes and sockets of its processes to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore:unclosed:ResourceWarning", "ignore:subprocess:ResourceWarning"
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundled products of 64 pixels, each in a folder named like its category."""
    folder = tmp_path_factory.mktemp("photos")
    for category in PRODUCTS:
        (folder / category).mkdir()
        with Image.open(get_demo_folder() / "products" / category / "01.webp") as image:
            image.resize((64, 64), Image.Resampling.LANCZOS).save(folder / category / "01.png")
    return folder


@pytest.fixture
def run_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """``run_example(name, *arguments)`` is what an example prints, run in ``tmp_path``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)

    def run(name: str, *arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", [name, "--steps", "2", *map(str, arguments)])
        runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")
        return capsys.readouterr().out

    return run


def read_images(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*.png"))}


def expect_product(image: Path, product: Path) -> None:
    """``image`` holds the opaque pixels of ``product`` unchanged, on another background."""
    rgba, made = np.asarray(Image.open(product).convert("RGBA")), np.asarray(Image.open(image))
    opaque = rgba[..., 3] == 255
    assert made.shape == (*rgba.shape[:2], 3)
    assert np.array_equal(made[opaque], rgba[opaque][:, :3])
    assert made[rgba[..., 3] == 0].std() > 5


def test_all_examples_are_run_here_and_are_short() -> None:
    assert [path.name for path in EXAMPLES] == [
        "folder.py",
        "one_product.py",
        "table.py",
    ]
    assert all(len(path.read_text().splitlines()) <= 60 for path in EXAMPLES)


def test_one_product_in_a_process_of_its_own(photos: Path, tmp_path: Path) -> None:
    product = photos / "perfume" / "01.png"
    command = [sys.executable, ROOT / "examples" / "one_product.py", "--out", "made", "--product", product]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{Path('made') / '01.png'}: seed ")
    assert done.stdout.endswith("all as they were\n")
    expect_product(tmp_path / "made" / "01.png", product)


def test_folder(photos: Path, run_example: Run, tmp_path: Path) -> None:
    shutil.copytree(photos, tmp_path / "photos")
    (tmp_path / "photos" / "camera" / "01.png").write_bytes(b"no image")
    printed = run_example("folder.py", "--out", "made", "--photos", "photos")
    assert "01.png: UnreadableImageError: " in printed
    assert printed.endswith("2 of 3 photos have their image\n")
    for category in ("armchair", "perfume"):
        expect_product(tmp_path / "made" / category / "01.png", photos / category / "01.png")


def test_a_table_here_and_on_a_ray_cluster(photos: Path, run_example: Run, tmp_path: Path) -> None:
    rows = [f"{photos / category / '01.png'},{category}\n" for category in PRODUCTS[:2]]
    (tmp_path / "table.csv").write_text("image,category\n" + "".join(rows))
    printed = run_example("table.py", "--out", "here", "--table", "table.csv")
    assert printed.count(": done, images/") == 2
    assert printed.endswith("2 of 2 rows done, 0 failed, 2 images new\n")
    again = run_example("table.py", "--out", "here", "--table", "table.csv")
    assert again.endswith("2 of 2 rows done, 0 failed, 0 images new\n")
    results = pq.read_table(tmp_path / "here" / "results.parquet").to_pylist()
    for row, category in zip(results, PRODUCTS[:2], strict=True):
        expect_product(tmp_path / "here" / row["output"], photos / category / "01.png")
    images = read_images(tmp_path / "here")
    assert len(images) == 2

    pytest.importorskip("ray")
    ray = ("--engine", "ray", "--workers", 1)
    printed = run_example("table.py", "--out", "there", "--table", "table.csv", *ray)
    assert printed.endswith("2 of 2 rows done, 0 failed, 2 images new\n")
    assert read_images(tmp_path / "there") == images


def test_the_table_of_bundled_products(run_example: Run, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("cyclorama.generation.run.run_images", fail)
    with pytest.raises(NotImplementedError):
        run_example("table.py", "--out", "made", "--products", 2)
    lines = (tmp_path / "made" / "products.csv").read_text().splitlines()
    assert lines[0] == "image,category"
    assert [line.rpartition(",")[2] for line in lines[1:]] == ["armchair", "camera"]


def fail(*_: Any) -> Any:
    raise NotImplementedError
