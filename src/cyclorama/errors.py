"""Every error a user of Cyclorama can meet: each message says what was given, the limit, and what to do."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any


class CycloramaError(Exception):
    """Base of all errors raised on purpose by this package."""


class InputError(CycloramaError, ValueError):
    """Something the user gave cannot be used."""


class ImageError(InputError):
    """An image cannot be used."""


class UnreadableImageError(ImageError):
    """The bytes are not a complete image of a supported format, or the name claims another format."""


class AnimatedImageError(ImageError):
    """The file holds more than one frame."""


class ImageTooLargeError(ImageError):
    """The image exceeds the limit on pixels or on file size."""


class ImageTooSmallError(ImageError):
    """The image is below the smallest usable side."""


class MaskError(InputError):
    """A product mask cannot be used."""


class MissingMaskError(MaskError):
    """There is no alpha, no mask file and no plain background to tell the product by."""


class MaskSizeError(MaskError):
    """Mask and image do not have the same size."""


class EmptyMaskError(MaskError):
    """The mask marks no product."""


class FullMaskError(MaskError):
    """The mask marks everything as product."""


class ProductTooSmallError(MaskError):
    """The mask marks fewer product pixels than can be worked with."""


class InvertedMaskError(MaskError):
    """The mask looks as if it marked the background instead of the product."""


class NothingToMeasureError(MaskError):
    """The metric has no pixel to look at; a value over nothing would look perfect."""


class ManifestError(InputError):
    """A manifest cannot be read or lacks what is needed."""


class UnknownCategoryError(InputError):
    """The model's registry has no such category name or alias."""


class SettingsError(InputError):
    """A setting lies outside its range or contradicts another one."""


class ConfigError(CycloramaError, ValueError):
    """A recipe or config has an unknown key or a bad value."""


class ModelError(CycloramaError):
    """A model cannot be loaded or saved."""


class ModelNotFoundError(ModelError):
    """No model at that folder or hub id."""


class ModelFormatError(ModelError):
    """The folder is not a usable model."""


class DataError(CycloramaError):
    """Data cannot be read as declared."""


class FetchError(DataError, InputError):
    """A web address is refused, or its server gave no file."""


class MissingImageError(InputError):
    """An image, mask or label that the metric needs is not there."""


class ImageSizeError(InputError):
    """Two images that are compared pixel by pixel differ in size."""


class TooFewImagesError(InputError):
    """The metric is not defined, or means nothing, for so few images or pixels."""


class MixedFeaturesError(InputError):
    """Features that were not made alike would be compared."""


class StudyError(DataError):
    """The folder holds no study, or its key cannot be read."""


class StudyImageError(InputError):
    """The images of a pair differ in shape, so that a rater could tell the methods apart by it."""


class MalformedAnswersError(InputError):
    """The file is no file of answers, or one of its rankings is none."""


class ForeignAnswersError(InputError):
    """The answers belong to another study or to an unknown rater."""


class IncompleteAnswersError(InputError):
    """Some questions, or all, have no answer."""


class ConflictingAnswersError(InputError):
    """The same rater ranked the same images in two ways."""


class TrainingError(CycloramaError):
    """Training cannot start or go on."""


class NonFiniteLossError(TrainingError):
    """The loss became NaN or infinite."""


class CheckpointError(TrainingError):
    """A checkpoint is incomplete or belongs to another run."""


class OutputError(CycloramaError, OSError):
    """Results cannot be written."""


class ForkedProcessError(CycloramaError, RuntimeError):
    """This process was forked from one that already used the package; start processes with spawn."""


class MissingDependencyError(CycloramaError, ImportError):
    """An optional extra is not installed."""


def import_optional(name: str, remedy: str) -> Any:
    """The module ``name``. Raises MissingDependencyError, which says ``remedy``, if it cannot be imported."""
    try:
        return import_module(name)
    except (ImportError, SystemExit) as error:  # rembg exits if onnxruntime is missing
        raise MissingDependencyError(remedy) from error


LEARNED = ("torch", "diffusers", "transformers", "huggingface_hub", "safetensors")
"""What the extra ``learned`` installs."""
NEEDS_LEARNED = (
    "learned models, training and measuring need further packages: pip install 'cyclorama[learned]'; scenes, "
    "the default model, need none of them"
)


def import_learned(name: str) -> Any:
    """The module ``name``, which needs torch. Raises MissingDependencyError without the extra ``learned``."""
    if None in map(find_spec, LEARNED):
        raise MissingDependencyError(NEEDS_LEARNED)
    return import_module(name)
