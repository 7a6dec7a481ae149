"""The demo's set is made of the first pairs of each category, nothing chosen by its looks."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cyclorama import cli
from cyclorama.generation.demo import load_demo

COLUMNS = ("category", "brand", "product", "reference", "reference_mask", "truth")


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Three pairs of tea (brands a, a, b) and two of soap of one brand; the product's grey is its number."""
    rows = []
    for number, (category, brand) in enumerate(
        [("tea", "a"), ("tea", "a"), ("tea", "b"), ("soap", "c"), ("soap", "c")]
    ):
        row = {"category": category, "brand": brand}
        for name in COLUMNS[2:]:
            row[name] = f"{name}{number}.png"
            Image.fromarray(np.full((16, 16, 3), 40 * number, np.uint8)).save(tmp_path / row[name])
        rows.append(row)
    with (tmp_path / "manifest.csv").open("w", newline="") as stream:
        table = csv.DictWriter(stream, COLUMNS)
        table.writeheader()
        table.writerows(rows)
    return tmp_path


def test_first_pair_and_first_of_another_brand(pairs: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    assert cli.main(["lab", "demo-set", str(pairs), "--out", str(out), "--categories", "tea"]) == 0
    (entry,) = load_demo(out)
    assert entry.category == "tea"
    levels = {name: float(np.asarray(Image.open(out / name)).mean()) for name in (
        "products/tea/01.png", "references/tea-a.jpg", "references/tea-b.jpg", "truth/tea-a.jpg"
    )}  # fmt: skip
    assert levels["products/tea/01.png"] == 0 and levels["references/tea-a.jpg"] < 2
    assert abs(levels["references/tea-b.jpg"] - 80) < 2 and levels["truth/tea-a.jpg"] < 2


def test_a_set_without_two_brands_is_named(pairs: Path, tmp_path: Path, capsys) -> None:
    assert cli.main(["lab", "demo-set", str(pairs), "--out", str(tmp_path / "set")]) == 2
    assert "'soap' has no pairs of two brands" in capsys.readouterr().err
    assert cli.main(["lab", "demo-set", str(tmp_path / "none"), "--out", str(tmp_path / "set")]) == 2
    assert "render one with --kind bgpair --unpack" in capsys.readouterr().err
