"""A flat list of 8-bit RGBA layers as a Photoshop document.

Only what that needs of the published format (Adobe Photoshop File Formats Specification): header, colour
profile, layer records with raw channels, merged image. Raw channels cost space but every reader knows them.
Numbers are big-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cyclorama.errors import SettingsError

if TYPE_CHECKING:
    import numpy.typing as npt

    from cyclorama.types import Pixels

MAX_SIDE = 30_000
"""Longest side of the format in pixels."""
_RGB = 3
_ICC_PROFILE = 1039
_CHANNELS = (-1, 0, 1, 2)
"""Alpha, red, green, blue."""
_RAW = b"\0\0"


def encode_psd(
    layers: Sequence[tuple[str, npt.NDArray[np.uint8]]], merged: Pixels, icc_profile: bytes | None = None
) -> bytes:
    """A PSD of ``layers`` (name, RGBA (H, W, 4) straight, from below), blended normally.

    ``merged`` (H, W, 3) is what programs without layers show. Each layer is stored as the smallest rectangle
    that holds it. Raises SettingsError if sizes differ or a side is above 30,000.
    """
    height, width = merged.shape[:2]
    if max(height, width) > MAX_SIDE or any(rgba.shape != (height, width, 4) for _, rgba in layers):
        raise SettingsError(
            f"layers {[rgba.shape for _, rgba in layers]} do not make a PSD of {width} x {height}; "
            f"give (H, W, 4) of one size, sides up to {MAX_SIDE}"
        )
    header = struct.pack(">4sH6xHIIHH", b"8BPS", 1, 3, height, width, 8, _RGB)
    records, channels = b"", []
    for name, rgba in layers:
        top, left, bottom, right = _find_extent(rgba[..., 3])
        window = rgba[top:bottom, left:right]
        if window.shape[1] % 2:  # readers disagree on how channels of odd length are padded: have none
            window = np.pad(window, ((0, 0), (0, 1), (0, 0)))
            right += 1
        planes = [_RAW + window[..., channel].tobytes() for channel in (3, 0, 1, 2)]
        records += _build_record(name, (top, left, bottom, right), [len(plane) for plane in planes])
        channels += planes
    info = struct.pack(">h", len(layers)) + records + b"".join(channels)
    info += b"\0" * (len(info) % 2)
    section = _with_length(info) + _with_length(b"")  # no global mask
    resources = b"" if icc_profile is None else _build_resource(_ICC_PROFILE, icc_profile)
    merged_planes = _RAW + np.ascontiguousarray(merged.transpose(2, 0, 1)).tobytes()
    return b"".join(
        [header, _with_length(b""), _with_length(resources), _with_length(section), merged_planes]
    )


def _build_record(name: str, box: tuple[int, int, int, int], lengths: Sequence[int]) -> bytes:
    channels = b"".join(
        struct.pack(">hI", channel, length) for channel, length in zip(_CHANNELS, lengths, strict=True)
    )
    short = name.encode("ascii", "replace")[:255]
    pascal = bytes([len(short)]) + short
    pascal += b"\0" * (-len(pascal) % 4)
    unicode_name = struct.pack(">I", len(name)) + name.encode("utf-16-be")
    unicode_name += b"\0" * (-len(unicode_name) % 4)
    extra = _with_length(b"") + _with_length(b"") + pascal + b"8BIMluni" + _with_length(unicode_name)
    opaque, base_clipping, flags = 255, 0, 0
    blend = struct.pack(">4s4sBBBx", b"8BIM", b"norm", opaque, base_clipping, flags)
    return struct.pack(">4iH", *box, len(lengths)) + channels + blend + _with_length(extra)


def _build_resource(number: int, data: bytes) -> bytes:
    return struct.pack(">4sHH", b"8BIM", number, 0) + _with_length(data) + b"\0" * (len(data) % 2)


def _with_length(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _find_extent(alpha: npt.NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """(top, left, bottom, right) of all that is not transparent; one pixel if nothing is."""
    rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
    if not len(rows):
        return 0, 0, 1, 1
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1
