"""Product photos in, advertising images out.

>>> from cyclorama import BackgroundGenerator                                   # doctest: +SKIP
>>> generator = BackgroundGenerator.from_pretrained()                           # doctest: +SKIP
>>> generator("bottle.png", category="perfume", seed=7).save("out/bottle.png")  # doctest: +SKIP

Every public name is imported when it is first used, so that ``import cyclorama`` stays instant. Errors are in
:mod:`cyclorama.errors`.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cyclorama import errors
    from cyclorama.generate import BackgroundGenerator
    from cyclorama.generation.result import Generated, load_metadata
    from cyclorama.generation.settings import GenerateConfig
    from cyclorama.imaging.cutout import CutoutConfig
    from cyclorama.imaging.formats import EncodingConfig
    from cyclorama.imaging.product import Product, Reference
    from cyclorama.models.autoencoder import PatchAutoencoder
    from cyclorama.models.generators import CategoryGenerator, PersonalityGenerator
    from cyclorama.models.pipeline import CycloramaPipeline
    from cyclorama.posters.files import Poster
    from cyclorama.posters.generator import PosterGenerator
    from cyclorama.posters.words import PosterBrand
    from cyclorama.types import ProductReport

# Threads that wait sleep instead of spinning; torch reads this when it is loaded. Beside another busy process
# spinning makes sampling many times slower (benchmarks/busy.py).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("KMP_BLOCKTIME", "0")

__version__ = "0.1.0"
"""The only place of the version: the build reads it here."""

_MODULES = {
    "BackgroundGenerator": "generate",
    "CategoryGenerator": "models.generators",
    "CutoutConfig": "imaging.cutout",
    "CycloramaPipeline": "models.pipeline",
    "EncodingConfig": "imaging.formats",
    "GenerateConfig": "generation.settings",
    "Generated": "generation.result",
    "PatchAutoencoder": "models.autoencoder",
    "PersonalityGenerator": "models.generators",
    "Poster": "posters.files",
    "PosterBrand": "posters.words",
    "PosterGenerator": "posters.generator",
    "Product": "imaging.product",
    "ProductReport": "types",
    "Reference": "imaging.product",
    "load_metadata": "generation.result",
}

__all__ = [
    "BackgroundGenerator",
    "CategoryGenerator",
    "CutoutConfig",
    "CycloramaPipeline",
    "EncodingConfig",
    "GenerateConfig",
    "Generated",
    "PatchAutoencoder",
    "PersonalityGenerator",
    "Poster",
    "PosterBrand",
    "PosterGenerator",
    "Product",
    "ProductReport",
    "Reference",
    "__version__",
    "errors",
    "load_metadata",
]


def __getattr__(name: str) -> Any:
    if name == "errors":
        return import_module("cyclorama.errors")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    load = (
        import_module("cyclorama.errors").import_learned
        if _MODULES[name].startswith("models.")
        else import_module
    )
    value = getattr(load(f"cyclorama.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
