"""What can go wrong when images are scored.

::

    InputError
    ├── MissingImageError          an image has no partner of its key in the other set
    ├── ImageSizeError             two images that are compared pixel by pixel differ in size
    ├── TooFewImagesError          fewer images, or pixels, than the metric is defined for
    ├── MixedFeaturesError         features of two networks, weights, resamplers or regions in one distance
    └── MaskError
        └── NothingToMeasureError  no pixel of the image can tell: a value would look perfect
"""

from __future__ import annotations

from cyclorama.errors import InputError, MaskError


class MissingImageError(InputError):
    """An image, mask or label that the metric needs is not there."""


class ImageSizeError(InputError):
    """Two images that are compared pixel by pixel differ in size."""


class TooFewImagesError(InputError):
    """The metric is not defined, or means nothing, for so few images or pixels."""


class MixedFeaturesError(InputError):
    """Features that were not made alike would be compared."""


class NothingToMeasureError(MaskError):
    """The metric has no pixel to look at; a value over nothing would look perfect."""
