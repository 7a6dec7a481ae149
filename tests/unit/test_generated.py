"""A result shows itself as a PIL image and writes itself with its recipe, profile and the photo's rights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from cyclorama import Generated, load_metadata
from cyclorama.errors import OutputError, SettingsError
from cyclorama.generation import result
from cyclorama.types import ProductReport

PIXELS = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
RECIPE = {"seed": 7, "category": "fruit", "settings": {"steps": 2}}


@pytest.fixture
def made() -> Generated:
    report = ProductReport(9, 3, 0, 0.0)
    return Generated(
        pixels=PIXELS,
        background=PIXELS,
        report=report,
        category="fruit",
        identifier="sks 1",
        seed=7,
        seconds=0.1,
        icc_profile=PROFILE,
        metadata={"creator": "A. Photographer"},
        recipe=RECIPE,
    )


def test_image_is_pils(made: Generated) -> None:
    assert made.image.mode == "RGB" and np.array_equal(np.asarray(made.image), PIXELS)
    assert made.image.info["icc_profile"] == PROFILE
    assert made._repr_png_().startswith(b"\x89PNG")
    assert type(made) is result.Generated


@pytest.mark.parametrize("name", ["a.png", "new/folder/a.webp", "A.JPG", "b.jpeg", "c.avif"])
def test_saved_files_carry_recipe_profile_and_rights(name: str, made: Generated, tmp_path: Path) -> None:
    path = made.save(tmp_path / name)
    assert path == tmp_path / name and load_metadata(path) == RECIPE
    with Image.open(path) as saved:
        assert saved.info["icc_profile"] == PROFILE
        assert saved.getexif()[0x013B] == "A. Photographer"
        if path.suffix in (".png", ".webp"):
            assert np.array_equal(np.asarray(saved), PIXELS)
    kind = {".jpg": "jpeg", ".jpeg": "jpeg"}.get(path.suffix.lower(), path.suffix.lower()[1:])
    assert made.encode(format=kind) == path.read_bytes()


def test_home_folder_and_options(made: Generated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    small, large = (made.save(f"~/{quality}.jpg", quality=quality) for quality in (20, 95))
    assert small == tmp_path / "20.jpg" and small.stat().st_size < large.stat().st_size


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("", {}, OutputError, "is a folder"),
        ("a", {}, SettingsError, "no suffix"),
        ("a.tif", {}, SettingsError, r"\.tif; use one of \.png"),
        ("a.png", {"format": "jpeg"}, SettingsError, "ends as png"),
        ("a.png", {"quality": 90}, SettingsError, "lossless"),
        ("a.jpg", {"quality": 900}, SettingsError, "100"),
        ("a.png", {"colour": "red"}, SettingsError, "colour"),
        ("file/a.png", {}, OutputError, "cannot write"),
    ],
)
def test_where_an_image_cannot_be_saved(
    name: str, options: Any, error: type[Exception], message: str, made: Generated, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(error, match=message):
        made.save(tmp_path / name, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(("difference", "exact"), [(0, True), (1, False), (None, None)])
def test_a_report_proves_exactly_what_was_compared(difference: int | None, exact: bool | None) -> None:
    report = ProductReport(5, 2, difference, None if difference is None else difference / 3, ("soft",))
    assert report.exact is exact
    assert report.describe() == {
        "exact": exact,
        "opaque_pixels": 5,
        "soft_pixels": 2,
        "max_difference": difference,
        "mean_difference": report.mean_difference,
        "notes": ["soft"],
    }
