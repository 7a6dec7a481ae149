"""Every example runs as it stands in a fresh checkout, and does what it says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from cyclorama.generation.demo import get_demo_folder

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
PRODUCTS = get_demo_folder() / "products"


def run_example(name: str, folder: Path, *arguments: object) -> str:
    """What example ``name`` prints, run in ``folder`` with two steps."""
    command = [sys.executable, str(ROOT / "examples" / name), "--steps", "2", *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    environment.pop("RAY_ADDRESS", None)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


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


def test_one_product(tmp_path: Path) -> None:
    printed = run_example("one_product.py", tmp_path, "--out", "made")
    assert printed.startswith(f"{Path('made') / '01.png'}: seed ")
    assert printed.endswith("all as they were\n")
    expect_product(tmp_path / "made" / "01.png", PRODUCTS / "perfume" / "01.png")


def test_folder(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for category in ("kettle", "whisky"):
        shutil.copytree(PRODUCTS / category, photos / category)
    (photos / "kettle" / "broken.png").write_bytes(b"no image")
    printed = run_example("folder.py", tmp_path, "--out", "made", "--photos", photos)
    assert "broken.png: UnreadableImageError: " in printed
    assert printed.endswith("2 of 3 photos have their image\n")
    for category in ("kettle", "whisky"):
        expect_product(tmp_path / "made" / category / "01.png", PRODUCTS / category / "01.png")


def test_a_table_here_and_on_a_ray_cluster(tmp_path: Path) -> None:
    printed = run_example("table.py", tmp_path, "--out", "here", "--products", 2)
    assert printed.count(": done, images/") == 2
    assert printed.endswith("2 of 2 rows done, 0 failed, 2 images new\n")
    again = run_example("table.py", tmp_path, "--out", "here", "--products", 2)
    assert again.endswith("2 of 2 rows done, 0 failed, 0 images new\n")
    rows = pq.read_table(tmp_path / "here" / "results.parquet").to_pylist()
    for row, category in zip(rows, ("armchair", "camera"), strict=True):
        expect_product(tmp_path / "here" / row["output"], PRODUCTS / category / "01.png")
    images = read_images(tmp_path / "here")
    assert len(images) == 2

    pytest.importorskip("ray")
    printed = run_example(
        "table.py", tmp_path, "--out", "there", "--products", 2, "--workers", 1, "--engine", "ray"
    )
    assert printed.endswith("2 of 2 rows done, 0 failed, 2 images new\n")
    assert read_images(tmp_path / "there") == images
