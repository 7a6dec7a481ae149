"""A reference's style is fitted once, in this process and in the run's folder.

Of cyclorama.generation.styles, by its values.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cyclorama.generation import styles
from cyclorama.generation.styles import FittedStyles
from cyclorama.imaging.product import Reference
from cyclorama.scenes.brand import Brand

BRAND = Brand(wall=(1.0, 0.0, 0.0), floor=(0.0, 1.0, 0.0), props=(0.0, 0.0, 1.0), accent=(1.0, 1.0, 1.0))
LIBRARY: Any = SimpleNamespace(load=lambda name: name)


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The categories that a style was fitted for."""
    asked: list[str] = []
    monkeypatch.setattr(styles, "fit_style", lambda category, *_: asked.append(category) or BRAND)
    return asked


def build_reference(level: int = 7, mask: np.ndarray | None = None) -> Reference:
    return Reference(np.full((64, 80, 3), level, np.uint8), mask)


def test_a_style_is_fitted_once_for_each_reference_mask_and_category(fitted: list[str]) -> None:
    kept = FittedStyles(library=LIBRARY)
    mask = np.zeros((64, 80), np.float32)
    mask[20:40, 20:40] = 1
    asked = [(build_reference(), "red wine"), (build_reference(8), "red wine"), (build_reference(), "tea")]
    asked.append((build_reference(7, mask), "tea"))
    names = [kept.find(*each).name for each in asked * 2]
    assert fitted == ["red wine", "red wine", "tea", "tea"]
    assert len(set(names)) == 4
    digest = hashlib.sha256(b"(64, 80, 3)" + bytes([7]) * (64 * 80 * 3)).hexdigest()[:12]
    assert names[:3:2] == [f"red-wine-{digest}", f"tea-{digest}"]
    assert names[:4] == names[4:]
    assert kept.find(*asked[0]).brand == BRAND


def test_a_styles_file_lies_in_the_folder_and_goes_before_a_fit(tmp_path: Path, fitted: list[str]) -> None:
    found = FittedStyles(tmp_path, LIBRARY).find(build_reference(), "tea")
    file = tmp_path / f"{found.name}.yaml"
    assert [p.name for p in tmp_path.iterdir()] == [file.name]
    file.write_text(file.read_text().replace("#ff0000", "#00ff00"))
    again = FittedStyles(tmp_path, LIBRARY).find(build_reference(), "tea")
    assert again.brand == BRAND.replace(wall=(0.0, 1.0, 0.0))
    assert fitted == ["tea"]
