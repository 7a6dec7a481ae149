"""Every error a user of Cyclorama can meet.

::

    CycloramaError
    ├── InputError (ValueError)            an image, mask, manifest or value given by the user
    │   ├── ImageError
    │   │   ├── UnreadableImageError       not an image, truncated, empty, or named as another format
    │   │   ├── AnimatedImageError         more than one frame
    │   │   ├── ImageTooLargeError         above the pixel or file-size limit
    │   │   └── ImageTooSmallError         below the smallest usable side
    │   ├── MaskError
    │   │   ├── MissingMaskError           nothing tells the product from its background
    │   │   ├── MaskSizeError              mask and image differ in size or aspect
    │   │   ├── EmptyMaskError             no product pixel
    │   │   ├── FullMaskError              no background pixel
    │   │   ├── ProductTooSmallError       too few product pixels to work with
    │   │   ├── InvertedMaskError          the mask looks as if it marked the background
    │   │   └── NothingToMeasureError      no pixel of the image can tell: a value would look perfect
    │   ├── ManifestError                  unreadable manifest, missing column, bad row
    │   ├── UnknownCategoryError           no such name or alias in the model's registry
    │   ├── FetchError (DataError)         a web address that is refused, or a server that gave no file
    │   ├── MissingImageError              an image, mask or label that a metric needs is not there
    │   ├── ImageSizeError                 two images that are compared pixel by pixel differ in size
    │   ├── TooFewImagesError              fewer images, or pixels, than a metric is defined for
    │   ├── MixedFeaturesError             features that were not made alike would be compared
    │   ├── StudyImageError                images of one pair cannot be shown side by side unnoticed
    │   ├── AnswersError                   answers to a study that cannot be scored
    │   │   ├── MalformedAnswersError      not a file of answers, or a ranking that is none
    │   │   ├── ForeignAnswersError        answers to another study, or from a rater it does not know
    │   │   ├── IncompleteAnswersError     questions left open, or no answers at all
    │   │   └── ConflictingAnswersError    one rater answered the same question in two ways
    │   └── SettingsError                  a setting outside its range, or two that contradict each other
    ├── ConfigError (ValueError)           a YAML recipe or config object with an unknown key or bad value
    ├── ModelError
    │   ├── ModelNotFoundError             no such folder or hub id
    │   └── ModelFormatError               a folder that is not a usable model (or holds pickled weights)
    ├── DataError                          data that cannot be read as declared
    │   └── StudyError                     the folder holds no readable study
    ├── TrainingError
    │   ├── NonFiniteLossError             the loss became NaN or infinite
    │   └── CheckpointError                a checkpoint that is incomplete or belongs to another run
    ├── OutputError (OSError)              the output folder is full, read-only, or another run's
    ├── ForkedProcessError (RuntimeError)  a process forked from one that already used the package
    └── MissingDependencyError (ImportError)   an optional extra is needed

Every message says what was given, what the limit is, and what to do about it.
"""

from __future__ import annotations


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


class AnswersError(InputError):
    """Answers cannot be scored."""


class MalformedAnswersError(AnswersError):
    """The file is no file of answers, or one of its rankings is none."""


class ForeignAnswersError(AnswersError):
    """The answers belong to another study or to an unknown rater."""


class IncompleteAnswersError(AnswersError):
    """Some questions, or all, have no answer."""


class ConflictingAnswersError(AnswersError):
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
