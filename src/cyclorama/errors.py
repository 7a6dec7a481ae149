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


class HeavyImageError(ImageTooLargeError):
    """Decoding or cutting out the image took more time or memory than is allowed."""


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


class RequestError(InputError):
    """A request is malformed, or one of its fields is unknown or has a bad value."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class UnknownCategoryError(InputError):
    """The model's registry has no such category name or alias."""


class SettingsError(InputError):
    """A setting lies outside its range or contradicts another one."""


class LayoutError(InputError):
    """What is to stand on a poster has no room there, or a box or a lock is none."""


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


class TextError(InputError):
    """A text cannot be set: a character that is none, or a syllable that is incomplete."""


class FontFileError(TextError):
    """A font file or folder is missing, is none, or holds no outlines."""


class MissingGlyphError(TextError):
    """No font that was given has a letter of the text."""


class EmojiError(TextError):
    """The text holds an emoji, which is a coloured image and no letter."""


class TextFitError(TextError):
    """A text does not fit its box at the smallest legible size."""


class UnbreakableWordError(TextFitError):
    """A word is wider than its box at the smallest legible size."""


class SpellingError(TextError):
    """The glyphs of a text do not give it back."""


class ContrastError(TextError):
    """No colour and no remedy makes a text stand out from what is behind it."""


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


class ServiceError(CycloramaError):
    """The service cannot do what a request asks for; ``retry_after`` says in how many seconds it may."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UnknownIdError(ServiceError, InputError):
    """There is no such job, image or asset, or it is another key's."""


class NotReadyError(ServiceError):
    """The job or image is not in the state that this needs."""


class KeyReusedError(ServiceError, InputError):
    """An idempotency key comes again with another request."""


class InProgressError(ServiceError):
    """The first request with this idempotency key is not answered yet."""


class QuotaError(ServiceError):
    """This key has more images waiting, or asks more often, than its limit allows."""


class QueueFullError(ServiceError):
    """The server has as many images waiting as it takes, or is shutting down."""


class WorkerLostError(ServiceError):
    """Several workers were lost while they made this image."""


class AccessError(ServiceError):
    """There is no key with the request, or it is unknown or revoked."""


class ForbiddenError(ServiceError):
    """The key's scopes, the page's origin or the host's name do not allow this."""


class RouteError(ServiceError):
    """There is nothing at this address, or not for this method."""


class UnreachableError(ServiceError):
    """A server does not answer its client."""


class SlowBodyError(ServiceError):
    """The request's body came too slowly."""


class BodyTooLargeError(ServiceError):
    """The request's body, one of its parts, or their number is over the limit."""


class DiskFullError(ServiceError):
    """The server's disk has no room for anything new."""


def import_optional(name: str, remedy: str) -> Any:
    """The module ``name``. Raises MissingDependencyError, which says ``remedy``, if it cannot be imported."""
    try:
        return import_module(name)
    except (ImportError, SystemExit) as error:  # rembg exits if onnxruntime is missing
        raise MissingDependencyError(remedy) from error


NEEDS_POSTER = "text on images needs further packages: pip install 'cyclorama[poster]'"
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
