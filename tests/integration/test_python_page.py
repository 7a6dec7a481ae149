"""The code on the page about Python runs as it stands, in order, and gives what its comments say."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cyclorama import generate, load_metadata
from tiny_models import build_tiny_pipeline

PAGE = Path(__file__).resolve().parents[2] / "docs" / "python.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def namespace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> dict[str, Any]:
    """What the page's code leaves behind, run in a folder with its files and with a small model."""
    folder = tmp_path / "model"
    build_tiny_pipeline().save_pretrained(folder)
    opened = generate.open_model
    monkeypatch.setattr(
        generate, "open_model", lambda model=None, scenes=None: opened(model or folder, scenes)
    )
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    room = rng.integers(0, 256, (96, 80, 3), dtype=np.uint8)
    mask = np.zeros((96, 80), np.uint8)
    mask[24:72, 24:56] = 255
    Image.fromarray(np.dstack([room, mask])).save("bottle.png")
    Image.fromarray(room).save("room.jpg")
    Image.fromarray(mask).save("room-mask.png")
    Image.fromarray(rng.integers(0, 256, (80, 100, 3), dtype=np.uint8)).save("brand.jpg")
    found: dict[str, Any] = {}
    with ExitStack() as files:  # which the page leaves to the end of the program
        found["open"] = lambda path, mode: files.enter_context(Path(path).open(mode))
        for block in BLOCKS:
            exec(compile(block, str(PAGE), "exec"), found)
    found["printed"] = capsys.readouterr().out
    return found


def test_the_page(namespace: dict[str, Any], tmp_path: Path) -> None:
    assert len(BLOCKS) >= 7
    made, again = namespace["made"], namespace["again"]
    assert made.report.exact is True and np.array_equal(again.pixels, made.pixels)
    with Image.open(tmp_path / "out" / "bottle.webp") as saved:
        assert np.array_equal(namespace["same"].pixels, np.asarray(saved))
    assert (len(namespace["two"]), len(namespace["three"])) == (2, 3)
    assert load_metadata(tmp_path / "out" / "bottle.webp")["category"] == "perfume"
    product = namespace["product"]
    assert (product.mask_source, product.name, product.matte.dtype) == ("mask", "room.jpg", np.float32)
    assert namespace["data"][:2] == b"\xff\xd8"
    height, width = namespace["wide"].pixels.shape[:2]
    assert width * 9 == pytest.approx(height * 16, abs=16)
    assert "mask" in namespace["printed"]
