"""Which colours do the numbers of an image stand for, as its profile says, in sRGB and in L*a*b*?

A profile is kept as ICC bytes; None stands for sRGB. Colours that a file states in another way (PNG's cICP,
gAMA and cHRM, AVIF's nclx, EXIF's colour space) are written as an equal ICC profile, so that every output can
carry it. The product's numbers are never converted; backgrounds are, into the product's profile.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from cyclorama.errors import UnreadableImageError
from cyclorama.types import Pixels

Curve = bytes | tuple[float, ...]
"""An ICC curve tag, or (g, a, b, c, d) of ``(a x + b)^g`` above ``d`` and ``c x`` below; (g,) alone is
``x^g``."""

_D50 = np.array([0.9642, 1.0, 0.8249])
_D65 = (0.3127, 0.3290)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_BT709_CURVE = (1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
_SRGB_PRIMARIES = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
# ITU-T H.273: (white, primaries) and transfer functions by code point.
_PRIMARIES: dict[int, tuple[tuple[float, float], tuple[float, ...]]] = {
    1: (_D65, _SRGB_PRIMARIES),
    4: ((0.310, 0.316), (0.67, 0.33, 0.21, 0.71, 0.14, 0.08)),
    5: (_D65, (0.64, 0.33, 0.29, 0.60, 0.15, 0.06)),
    6: (_D65, (0.630, 0.340, 0.310, 0.595, 0.155, 0.070)),
    7: (_D65, (0.630, 0.340, 0.310, 0.595, 0.155, 0.070)),
    9: (_D65, (0.708, 0.292, 0.170, 0.797, 0.131, 0.046)),
    11: ((0.314, 0.351), (0.680, 0.320, 0.265, 0.690, 0.150, 0.060)),
    12: (_D65, (0.680, 0.320, 0.265, 0.690, 0.150, 0.060)),
}
_TRANSFERS: dict[int, Curve] = {
    **dict.fromkeys((1, 6, 14, 15), _BT709_CURVE),
    4: (2.2,),
    5: (2.8,),
    8: (1.0,),
    13: _SRGB_CURVE,
}
_DAMAGED = "embedded colour profile is damaged; dropped, colours taken as sRGB"
_HDR = {16: "PQ", 18: "HLG"}
_ENCODED = np.arange(256) / 255
_LINEAR = np.where(_ENCODED <= 0.04045, _ENCODED / 12.92, ((_ENCODED + 0.055) / 1.055) ** 2.4).astype(
    np.float32
)
_TO_XYZ = np.array(  # IEC 61966-2-1, rows divided by the D65 white point
    [
        [0.4124564 / 0.95047, 0.3575761 / 0.95047, 0.1804375 / 0.95047],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339 / 1.08883, 0.1191920 / 1.08883, 0.9503041 / 1.08883],
    ],
    dtype=np.float32,
)


def build_profile(
    name: str, primaries: Sequence[float], curve: Curve, white: Sequence[float] = _D65
) -> bytes:
    """An ICC profile (version 4, matrix and curves) of an RGB space; equal arguments give equal bytes.

    ``primaries`` are x, y of red, green and blue, ``white`` x, y.
    """
    source = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in np.reshape(primaries, (3, 2))]).T
    xyz = np.array([white[0] / white[1], 1.0, (1 - white[0] - white[1]) / white[1]])
    adapt = np.linalg.inv(_BRADFORD) @ np.diag(_BRADFORD @ _D50 / (_BRADFORD @ xyz)) @ _BRADFORD
    matrix = adapt @ source @ np.diag(np.linalg.solve(source, xyz))
    if isinstance(curve, tuple):
        kind = 0 if len(curve) == 1 else 3
        curve = struct.pack(">4s4xHxx", b"para", kind) + _fixed(curve)
    tags = {
        b"desc": _text(name),
        b"cprt": _text("No copyright"),
        b"wtpt": b"XYZ \0\0\0\0" + _fixed(_D50),
        b"chad": b"sf32\0\0\0\0" + _fixed(adapt.ravel()),
        **{
            key + b"XYZ": b"XYZ \0\0\0\0" + _fixed(column)
            for key, column in zip((b"r", b"g", b"b"), matrix.T, strict=True)
        },
        **{key + b"TRC": curve for key in (b"r", b"g", b"b")},
    }
    table, body, start = b"", b"", 132 + 12 * len(tags)
    for tag, data in tags.items():
        table += struct.pack(">4sII", tag, start + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    header = struct.pack(
        ">I4xI4s4s4s6H4s28x3I48x",
        start + len(body), 0x04300000, b"mntr", b"RGB ", b"XYZ ", 2000, 1, 1, 0, 0, 0, b"acsp",
        0xF6D6, 0x10000, 0xD32D,
    )  # fmt: skip
    return header + struct.pack(">I", len(tags)) + table + body


def _fixed(values: Sequence[float] | npt.NDArray[Any]) -> bytes:
    return bytes(np.rint(np.asarray(values) * 65536).astype(">i4"))


def _text(text: str) -> bytes:
    encoded = text.encode("utf-16-be")
    return struct.pack(">4s4xII2s2sII", b"mluc", 1, 12, b"en", b"US", len(encoded), 28) + encoded


SRGB = build_profile("sRGB", _SRGB_PRIMARIES, _SRGB_CURVE)
ADOBE_RGB = build_profile("Adobe RGB (1998)", (0.64, 0.33, 0.21, 0.71, 0.15, 0.06), (563 / 256,))


@lru_cache(maxsize=16)
def _build_transform(source: bytes, target: bytes, mode: str) -> ImageCms.ImageCmsTransform:
    """The conversion between two profiles, by the intent that the one beside sRGB asks for."""
    profiles = [ImageCms.ImageCmsProfile(io.BytesIO(data)) for data in (source, target)]
    intent = ImageCms.Intent(ImageCms.getDefaultIntent(profiles[1 if source == SRGB else 0]))
    if intent == ImageCms.Intent.ABSOLUTE_COLORIMETRIC:
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    return ImageCms.buildTransform(profiles[0], profiles[1], mode, "RGB", intent)


def _convert(image: Image.Image | npt.NDArray[np.uint8], source: bytes, target: bytes) -> Pixels:
    if not isinstance(image, Image.Image):
        image = Image.fromarray(np.ascontiguousarray(image))
    converted = ImageCms.applyTransform(image, _build_transform(source, target, image.mode))
    return np.array(converted, dtype=np.uint8)


@lru_cache(maxsize=16)
def _is_srgb(profile: bytes) -> bool:
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 27, 3)
    return int(np.abs(_convert(grid, profile, SRGB).astype(int) - grid).max()) <= 1


def can_convert(source: bytes, target: bytes) -> bool:
    """Whether colours of one profile can be converted into the other; those of scanners may only lead out."""
    try:
        _build_transform(source, target, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return False
    return True


def to_srgb(pixels: Pixels, profile: bytes | None) -> Pixels:
    """``pixels`` (H, W, 3) of ``profile`` as sRGB; unchanged where that is sRGB already."""
    return pixels if profile is None or _is_srgb(profile) else _convert(pixels, profile, SRGB)


def from_srgb(pixels: npt.NDArray[Any], profile: bytes | None) -> npt.NDArray[Any]:
    """sRGB ``pixels`` (H, W, 3), uint8 or float in [0, 255], in the numbers of ``profile``.

    Unchanged where that is sRGB already, else uint8. Where rounding in a wide profile would be seen by more
    than a level, the best of the 27 neighbouring triples is taken.
    """
    if profile is None or _is_srgb(profile):
        return pixels
    wanted = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    result = _convert(wanted, SRGB, profile)
    off = np.abs(_convert(result, profile, SRGB).astype(np.int16) - wanted).max(axis=2) > 1
    if off.any():
        steps = np.stack(np.meshgrid(*[(-1, 0, 1)] * 3), axis=-1).reshape(1, 27, 3)
        tried = np.clip(result[off][:, None].astype(np.int16) + steps, 0, 255).astype(np.uint8)
        error = np.abs(_convert(tried, profile, SRGB).astype(np.int16) - wanted[off][:, None]).max(axis=2)
        result[off] = tried[np.arange(len(tried)), error.argmin(axis=1)]
    return result


def read_profile(image: Image.Image, data: bytes, name: str) -> tuple[bytes | None, tuple[str, ...]]:
    """(RGB profile or None for sRGB, notes) of a decoded PIL ``image`` read from ``data``.

    The profile of a grey image becomes an RGB one with the same tones. Raises UnreadableImageError (HDR).
    """
    embedded = image.info.get("icc_profile") or _find_jpeg2000_profile(data)
    code = _find_code_points(data)
    if code is not None and not (embedded and image.format == "AVIF"):
        return _from_code_points(*code)
    notes: tuple[str, ...] = ()
    if embedded:
        profile, note = _check_profile(embedded, image.mode)
        if profile is not None:
            return profile, ()
        notes = (note,)
    elif "icc_profile" in image.info:
        notes = (_DAMAGED,)
    if "srgb" in image.info:
        return SRGB, notes
    if "gamma" in image.info or "chromaticity" in image.info:
        profile, remarks = _from_gamma(image.info)
    else:
        profile, remarks = _from_exif(image, name)
    return profile, notes + remarks


def _check_profile(profile: bytes, mode: str) -> tuple[bytes | None, str]:
    """(RGB profile, "") or (None, why it is dropped)."""
    space = bytes(profile[16:20]).decode("ascii", "replace").strip() or "no"
    grey = mode in ("1", "L", "LA", "La") or mode.startswith("I")
    if space == "GRAY" and grey:
        curve = _read_tag(profile, b"kTRC")
        if curve:
            profile, space = build_profile("Grey", _SRGB_PRIMARIES, curve), "RGB"
    if space != "RGB":
        return None, f"embedded colour profile is for {space} data; dropped"
    if not can_convert(profile, SRGB):
        return None, _DAMAGED
    return profile, ""


def _read_tag(profile: bytes, wanted: bytes) -> bytes:
    for entry in range(132, 132 + 12 * int.from_bytes(profile[128:132], "big"), 12):
        tag, start, length = struct.unpack_from(">4sII", profile.ljust(entry + 12, b"\0"), entry)
        if tag == wanted:
            return profile[start : start + length]
    return b""


def _find_code_points(data: bytes) -> tuple[int, int] | None:
    """(colour primaries, transfer function) of a PNG's cICP chunk or an AVIF's nclx box."""
    if data.startswith(b"\x89PNG"):
        at = data.find(b"\0\0\0\4cICP", 0, data.find(b"IDAT"))
        found = data[at + 8 : at + 10] if at >= 0 else b""
        return (found[0], found[1]) if len(found) == 2 else None
    at = data.find(b"colrnclx", 0, 1 << 16) if data[4:8] == b"ftyp" else -1
    return struct.unpack_from(">HH", data, at + 8) if 0 <= at <= len(data) - 12 else None


def _find_jpeg2000_profile(data: bytes) -> bytes | None:
    """The ICC profile in a JPEG 2000 file's box for colours, which Pillow passes over."""
    end = data.find(b"jp2c") if data.startswith(b"\0\0\0\x0cjP  ") else -1
    at = data.find(b"colr\x02", 0, max(end, 0))
    return data[at + 7 : at - 4 + int.from_bytes(data[at - 4 : at], "big")] if at >= 0 else None


def _from_code_points(primaries: int, transfer: int) -> tuple[bytes | None, tuple[str, ...]]:
    if transfer in _HDR:
        raise UnreadableImageError(
            f"is a high dynamic range image ({_HDR[transfer]}); export it with standard range, such as sRGB"
        )
    if 2 in (primaries, transfer):  # unspecified
        return None, ()
    if primaries not in _PRIMARIES or transfer not in _TRANSFERS:
        return None, (f"colour code points {primaries}/{transfer} are not known; colours taken as sRGB",)
    white, corners = _PRIMARIES[primaries]
    return build_profile(f"H.273 {primaries}/{transfer}", corners, _TRANSFERS[transfer], white), ()


def _from_gamma(info: Mapping[Any, Any]) -> tuple[bytes | None, tuple[str, ...]]:
    """The profile of PNG's gAMA and cHRM; 1/2.2 counts as sRGB's own curve, as libpng has it."""
    numbers = info.get("chromaticity", (*_D65, *_SRGB_PRIMARIES))
    gamma = info.get("gamma") or 1 / 2.2
    curve: Curve = _SRGB_CURVE if abs(gamma * 2.2 - 1) < 0.01 else (1 / gamma,)
    return _build_stated("gAMA cHRM", numbers[2:8], curve, numbers[:2])


def _build_stated(
    name: str, primaries: Sequence[float], curve: Curve, white: Sequence[float]
) -> tuple[bytes | None, tuple[str, ...]]:
    """The profile of primaries that a file states, which may be no colours at all, and notes."""
    try:
        profile = build_profile(name, primaries, curve, white)
        if can_convert(profile, SRGB):
            return profile, ()
    except (ArithmeticError, ValueError, struct.error):
        pass
    return None, (f"stated primaries {[*primaries]} and white {[*white]} are no colours; taken as sRGB",)


def _from_exif(image: Image.Image, name: str) -> tuple[bytes | None, tuple[str, ...]]:
    """The colour space that EXIF or TIFF tags state; Adobe RGB has no number of its own there."""
    try:
        exif = image.getexif()
        camera = exif.get_ifd(0x8769)
        space, interoperability = camera.get(0xA001), exif.get_ifd(0xA005).get(1)
        white, corners = exif.get(318), exif.get(319)
        gamma = float(camera.get(0xA500) or 2.2)
    except Exception:  # free-form bytes
        return None, ()
    if space == 1:
        return SRGB, ()
    named_so = Path(name).name.startswith("_")  # DCF: the name of an Adobe RGB photo begins so
    if space == 2 or interoperability == "R03" or (space == 0xFFFF and named_so):
        return ADOBE_RGB, ("colours are Adobe RGB by EXIF",)
    if corners and white and len(corners) == 6 and len(white) == 2:
        return _build_stated("EXIF primaries", [*map(float, corners)], (gamma,), [*map(float, white)])
    uncalibrated = "EXIF says that the colours are not sRGB, but not which; taken as sRGB"
    return None, (uncalibrated,) if space == 0xFFFF else ()


def to_lab(pixels: Pixels) -> npt.NDArray[np.float32]:
    """CIE L*a*b* (D65), float32 (..., 3), of sRGB uint8 ``pixels`` (..., 3). L* is in [0, 100]."""
    xyz = _LINEAR[pixels] @ _TO_XYZ.T
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), xyz * (24389 / 27 / 116) + 16 / 116)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1).astype(np.float32)
