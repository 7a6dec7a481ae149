"""What can go wrong when pictures are scored.

::

    InputError
    ├── MissingPictureError     a picture has no partner of its key in the other set
    ├── PictureSizeError        two pictures that are compared pixel by pixel differ in size
    ├── TooFewPicturesError     fewer pictures than the metric is defined for
    └── MixedFeaturesError      features of two networks, weights, resamplers or regions in one distance
"""

from __future__ import annotations

from cyclorama.errors import InputError


class MissingPictureError(InputError):
    """A picture, mask or label that the metric needs is not there."""


class PictureSizeError(InputError):
    """Two pictures that are compared pixel by pixel differ in size."""


class TooFewPicturesError(InputError):
    """The metric is not defined, or means nothing, for so few pictures."""


class MixedFeaturesError(InputError):
    """Features that were not made alike would be compared."""
