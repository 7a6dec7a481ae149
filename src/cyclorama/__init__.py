"""Product photos in, advertising images out.

>>> from cyclorama import BackgroundGenerator                                   # doctest: +SKIP
>>> generator = BackgroundGenerator.from_pretrained()                           # doctest: +SKIP
>>> image = generator("bottle.png", category="perfume", seed=7)[0]            # doctest: +SKIP

Every public name is imported when it is first used, so that ``import cyclorama`` stays instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cyclorama.errors import (
        AnimatedImageError,
        CheckpointError,
        ConfigError,
        CycloramaError,
        DataError,
        EmptyMaskError,
        FullMaskError,
        ImageError,
        ImageTooLargeError,
        ImageTooSmallError,
        InputError,
        InvertedMaskError,
        ManifestError,
        MaskError,
        MaskSizeError,
        MissingDependencyError,
        MissingMaskError,
        ModelError,
        ModelFormatError,
        ModelNotFoundError,
        NonFiniteLossError,
        OutputError,
        ProductTooSmallError,
        SettingsError,
        TrainingError,
        UnknownCategoryError,
        UnreadableImageError,
    )
    from cyclorama.generate import BackgroundGenerator
    from cyclorama.generation.settings import GenerateConfig
    from cyclorama.models.autoencoder import PatchAutoencoder
    from cyclorama.models.generators import CategoryGenerator, PersonalityGenerator
    from cyclorama.models.pipeline import CycloramaPipeline
    from cyclorama.types import Generated, Product, ProductReport, Reference

__version__ = "0.1.0"

_MODULES = {
    "AnimatedImageError": "cyclorama.errors",
    "BackgroundGenerator": "cyclorama.generate",
    "CategoryGenerator": "cyclorama.models.generators",
    "CheckpointError": "cyclorama.errors",
    "ConfigError": "cyclorama.errors",
    "CycloramaError": "cyclorama.errors",
    "CycloramaPipeline": "cyclorama.models.pipeline",
    "DataError": "cyclorama.errors",
    "EmptyMaskError": "cyclorama.errors",
    "FullMaskError": "cyclorama.errors",
    "GenerateConfig": "cyclorama.generation.settings",
    "Generated": "cyclorama.types",
    "ImageError": "cyclorama.errors",
    "ImageTooLargeError": "cyclorama.errors",
    "ImageTooSmallError": "cyclorama.errors",
    "InputError": "cyclorama.errors",
    "InvertedMaskError": "cyclorama.errors",
    "ManifestError": "cyclorama.errors",
    "MaskError": "cyclorama.errors",
    "MaskSizeError": "cyclorama.errors",
    "MissingDependencyError": "cyclorama.errors",
    "MissingMaskError": "cyclorama.errors",
    "ModelError": "cyclorama.errors",
    "ModelFormatError": "cyclorama.errors",
    "ModelNotFoundError": "cyclorama.errors",
    "NonFiniteLossError": "cyclorama.errors",
    "OutputError": "cyclorama.errors",
    "PatchAutoencoder": "cyclorama.models.autoencoder",
    "PersonalityGenerator": "cyclorama.models.generators",
    "Product": "cyclorama.types",
    "ProductReport": "cyclorama.types",
    "ProductTooSmallError": "cyclorama.errors",
    "Reference": "cyclorama.types",
    "SettingsError": "cyclorama.errors",
    "TrainingError": "cyclorama.errors",
    "UnknownCategoryError": "cyclorama.errors",
    "UnreadableImageError": "cyclorama.errors",
}

__all__ = [
    "AnimatedImageError",
    "BackgroundGenerator",
    "CategoryGenerator",
    "CheckpointError",
    "ConfigError",
    "CycloramaError",
    "CycloramaPipeline",
    "DataError",
    "EmptyMaskError",
    "FullMaskError",
    "GenerateConfig",
    "Generated",
    "ImageError",
    "ImageTooLargeError",
    "ImageTooSmallError",
    "InputError",
    "InvertedMaskError",
    "ManifestError",
    "MaskError",
    "MaskSizeError",
    "MissingDependencyError",
    "MissingMaskError",
    "ModelError",
    "ModelFormatError",
    "ModelNotFoundError",
    "NonFiniteLossError",
    "OutputError",
    "PatchAutoencoder",
    "PersonalityGenerator",
    "Product",
    "ProductReport",
    "ProductTooSmallError",
    "Reference",
    "SettingsError",
    "TrainingError",
    "UnknownCategoryError",
    "UnreadableImageError",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
