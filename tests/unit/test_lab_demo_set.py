"""The demo's set is made of one pair of each category, nothing chosen by its looks."""

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
    """Three pairs of tea and two of soap; the grey of their images is their number."""
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


@pytest.mark.parametrize(("options", "level"), [([], 0), (["--skip", "1"], 40), (["--side", "8"], 0)])
def test_a_pair_of_each_category_is_taken_in_order(
    options: list[str], level: int, pairs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "set"
    assert cli.main(["lab", "demo-set", str(pairs), "--out", str(out), "--categories", "tea", *options]) == 0
    (entry,) = load_demo(out)
    assert (entry.name, entry.category) == ("tea/01.webp", "tea")
    side = 8 if "--side" in options else 16
    for path, size in ((entry.product, 16), (entry.reference, side), (entry.truth, side)):
        assert path is not None
        with Image.open(path) as image:
            assert image.size == (size, size)
            assert abs(float(np.asarray(image.convert("RGB")).mean()) - level) < 2


def test_a_set_without_enough_pairs_is_named(pairs: Path, tmp_path: Path, capsys) -> None:
    assert cli.main(["lab", "demo-set", str(pairs), "--out", str(tmp_path / "set"), "--skip", "2"]) == 2
    assert "'soap' has no pair after 2" in capsys.readouterr().err
    assert cli.main(["lab", "demo-set", str(tmp_path / "none"), "--out", str(tmp_path / "set")]) == 2
    assert "render one with --kind bgpair --unpack" in capsys.readouterr().err
