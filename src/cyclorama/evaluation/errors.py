"""What can go wrong when images are scored.

::

    InputError
    ├── MissingImageError     an image has no partner of its key in the other set
    ├── ImageSizeError        two images that are compared pixel by pixel differ in size
    ├── TooFewImagesError     fewer images than the metric is defined for
    └── MixedFeaturesError      features of two networks, weights, resamplers or regions in one distance
"""

from __future__ import annotations

from cyclorama.errors import InputError


class MissingImageError(InputError):
    """An image, mask or label that the metric needs is not there."""


class ImageSizeError(InputError):
    """Two images that are compared pixel by pixel differ in size."""


class TooFewImagesError(InputError):
    """The metric is not defined, or means nothing, for so few images."""


class MixedFeaturesError(InputError):
    """Features that were not made alike would be compared."""
