"""Styles fitted to references: each once, in this process and in the run's folder."""

from __future__ import annotations

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from cyclorama.imaging.product import Reference
from cyclorama.scenes.backdrop import Backdrop
from cyclorama.scenes.brand import Brand, read_brand, write_brand
from cyclorama.scenes.fit import fit_style
from cyclorama.scenes.library import BUILT_IN, SceneLibrary

STYLES = "styles"
"""Of a run's folder, where its fitted styles lie."""


class FittedStyle(NamedTuple):
    """A style, or a backdrop in its place, and its name: file and digest, of a fitted one category and the
    reference's digest."""

    name: str
    brand: Brand | Backdrop


class FittedStyles:
    """A style for every reference and category that was asked for."""

    def __init__(self, folder: Path | None = None, library: SceneLibrary = BUILT_IN) -> None:
        """``folder``: where each style is written for a designer to open, and for other workers; ``library``
        has the categories."""
        self.folder, self.library = folder, library
        self._kept: dict[str, FittedStyle] = {}

    def find(self, reference: Reference, category: str) -> FittedStyle:
        """The style of ``reference`` for products of ``category``, as its file says it.

        Raises SettingsError (unknown category), ConfigError (its file was spoiled), OutputError.
        """
        name = f"{category.replace(' ', '-')}-{_compute_digest(reference)}"
        if name not in self._kept:
            with TemporaryDirectory() as own:
                path = (self.folder or Path(own)) / f"{name}.yaml"
                if not path.exists():
                    pixels, mask = reference.pixels, reference.product_mask
                    write_brand(fit_style(self.library.load(category), pixels, mask), path)
                self._kept[name] = FittedStyle(name, read_brand(path))
        return self._kept[name]


def _compute_digest(reference: Reference) -> str:
    digest = hashlib.sha256(f"{reference.pixels.shape}".encode() + reference.pixels.tobytes())
    if reference.product_mask is not None:
        digest.update(reference.product_mask.tobytes())
    return digest.hexdigest()[:12]
