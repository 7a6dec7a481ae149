"""An item's files: their size without decoding, a copy of what is elsewhere. Of cyclorama.generation.job."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cyclorama.generation import job
from cyclorama.generation.job import _fetch, read_size
from cyclorama.imaging import loading


def draw(height: int, width: int) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3))
    return Image.fromarray(pixels.astype(np.uint8))


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were decoded whole; limits of 400 pixels, 8 a side and 4,000 bytes."""
    found: list[Path] = []
    limits = SimpleNamespace(pixels=400, side=8, file_bytes=4000)

    def load(path: Path) -> Any:
        found.append(path)
        return SimpleNamespace(size=(-1, -1))

    monkeypatch.setattr(loading, "LoadLimits", lambda: limits)
    monkeypatch.setattr(loading, "load_image", load)
    return found


@pytest.mark.parametrize(
    ("height", "width", "whole"),
    [(20, 20, False), (20, 21, True), (8, 9, False), (9, 8, False), (7, 9, True), (9, 7, True)],
)
def test_only_what_breaks_a_limit_is_decoded(
    tmp_path: Path, loaded: list[Path], height: int, width: int, whole: bool
) -> None:
    path = tmp_path / "a.png"
    draw(height, width).save(path)
    assert read_size(path) == ((-1, -1) if whole else (height, width))
    assert loaded == [path] * whole


def test_a_file_of_the_most_bytes_is_not_decoded(tmp_path: Path, loaded: list[Path]) -> None:
    path = tmp_path / "a.png"
    draw(10, 12).save(path)
    data = path.read_bytes()
    path.write_bytes(data + bytes(4000 - len(data)))
    assert read_size(path) == (10, 12)
    path.write_bytes(data + bytes(4001 - len(data)))
    assert read_size(path) == (-1, -1)


def test_several_frames_are_decoded_but_for_a_cameras_preview(tmp_path: Path, loaded: list[Path]) -> None:
    frames = {"save_all": True, "append_images": [draw(12, 10)]}
    draw(12, 10).save(tmp_path / "a.tif", **frames)
    draw(12, 10).save(tmp_path / "a.jpg", "MPO", **frames)
    assert read_size(tmp_path / "a.jpg") == (12, 10)
    assert loaded == []
    assert read_size(tmp_path / "a.tif") == (-1, -1)


def test_a_png_is_read_by_its_header(tmp_path: Path, loaded: list[Path]) -> None:
    """Its pixels are cut off; asking for EXIF would decode them."""
    path = tmp_path / "a.png"
    draw(12, 20).save(path)
    path.write_bytes(path.read_bytes()[:80])
    assert read_size(path) == (12, 20)
    assert loaded == []


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_exif_turns_the_size(tmp_path: Path, loaded: list[Path], suffix: str) -> None:
    exif = Image.Exif()
    exif[274] = 6
    draw(12, 20).save(tmp_path / f"a.{suffix}", exif=exif)
    assert read_size(tmp_path / f"a.{suffix}") == (20, 12)


def test_what_is_elsewhere_is_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(job, "open_file", lambda address, urls: asked.append(address) or io.BytesIO(b"image"))
    run: Any = SimpleNamespace(config=SimpleNamespace(urls=None))
    address = "https://shop.example/p/a.png?w=100"
    found = [_fetch(run, address, tmp_path / "work") for _ in range(2)]
    digest = hashlib.blake2b(address.encode(), digest_size=8).hexdigest()
    assert found == [tmp_path / "work" / f"{digest}-a.png"] * 2
    assert found[0].read_bytes() == b"image"
    assert asked == [address]
    assert [p.name for p in (tmp_path / "work").iterdir()] == [found[0].name]
    assert _fetch(run, "/shop/a.png", tmp_path) == Path("/shop/a.png")
