"""What is in this image file, upright, as 8-bit RGB with straight alpha, and is it safe to use?

Pixels of 8-bit RGB and RGBA files are handed on bit for bit. An embedded RGB colour profile is kept as bytes
and **not** applied, so that the finished image can carry the same profile and the product the same
numbers; only CMYK is converted to sRGB (through its profile if there is one), because there is no other
way to RGB.
"""

from __future__ import annotations

import io
import re
import threading
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageCms

from cyclorama.errors import (
    AnimatedImageError,
    ImageTooLargeError,
    ImageTooSmallError,
    SettingsError,
    UnreadableImageError,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from cyclorama.types import Matte, Pixels, Size


FORMATS = (
    "PNG",
    "JPEG",
    "WEBP",
    "TIFF",
    "BMP",
    "GIF",
    "PPM",
    "JPEG2000",
    "AVIF",
)
"""Formats that are opened; a phone's MPO counts as JPEG. All others are refused by name (some, as EPS, would
start other programs)."""

_SUFFIXES = {
    "PNG": {".png", ".apng"},
    "JPEG": {".jpg", ".jpeg", ".jpe", ".jfif"},
    "MPO": {".jpg", ".jpeg", ".jpe", ".mpo"},
    "WEBP": {".webp"},
    "TIFF": {".tif", ".tiff"},
    "BMP": {".bmp", ".dib"},
    "GIF": {".gif"},
    "PPM": {".ppm", ".pgm", ".pbm", ".pnm"},
    "JPEG2000": {".jp2", ".j2k", ".jpf", ".jpx"},
    "AVIF": {".avif"},
}
_REMEDY = f"use one of {', '.join(FORMATS)}"
_LOCK = threading.RLock()  # warnings.catch_warnings() is process-wide state


@dataclass(frozen=True)
class LoadLimits:
    """What is refused before it is decoded."""

    pixels: int = 100_000_000
    """Most pixels, width times height. Pillow's own ceiling (about 179 million) stays in force above."""
    file_bytes: int = 256 * 1024 * 1024
    """Largest file, in bytes."""
    side: int = 16
    """Smallest width and height, in pixels."""

    def __post_init__(self) -> None:
        for name in ("pixels", "file_bytes", "side"):
            if getattr(self, name) < 1:
                raise SettingsError(f"LoadLimits.{name} is {getattr(self, name)}; use at least 1")


@dataclass(frozen=True, eq=False)
class LoadedImage:
    """A decoded image, upright.

    ``pixels`` uint8 (H, W, 3); ``alpha`` float32 (H, W) in [0, 1], straight, None if the file has none;
    ``icc_profile`` the embedded RGB profile or None; ``format`` the content's own format (``"array"`` for
    arrays); ``notes`` what a careful user would want to know (wrong suffix, dropped profile, ...).
    """

    pixels: Pixels
    alpha: Matte | None = None
    icc_profile: bytes | None = None
    name: str = ""
    format: str = ""
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> Size:
        """(height, width) in pixels."""
        return (int(self.pixels.shape[0]), int(self.pixels.shape[1]))


def load_image(
    source: str | Path | bytes | Image.Image | npt.NDArray[Any],
    limits: LoadLimits | None = None,
) -> LoadedImage:
    """The image in ``source``, with EXIF orientation applied.

    Reads RGB, RGBA, grey, grey with alpha, 1-bit, palette (with transparency), 16-bit grey, 16-bit RGB(A)
    (Pillow keeps the high byte) and CMYK. Colours under alpha 0 stay as they are. The format is told by
    content; a wrong suffix becomes a note. Arrays: uint8, uint16 or bool, (H, W) or (H, W, 1..4).

    Raises UnreadableImageError, AnimatedImageError, ImageTooLargeError, ImageTooSmallError. No warning or
    exception of the decoder escapes. Invariant: 8-bit RGB(A) comes back bit for bit.
    """
    limits = limits or LoadLimits()
    if isinstance(source, np.ndarray):
        return _load_array(source, limits)
    if isinstance(source, Image.Image):
        name = str(getattr(source, "filename", "") or "image")
        with _LOCK, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _decode(source.copy() if _frames(source) == 1 else source, name, limits)
    if isinstance(source, bytes | bytearray | memoryview):
        return _load_bytes(bytes(source), "bytes", limits)
    if isinstance(source, str | Path):
        return _load_bytes(_read_file(Path(source), limits), str(source), limits)
    raise UnreadableImageError(
        f"cannot load an image from {type(source).__name__}; give a path, bytes, a PIL image or an array"
    )


@cache
def _supported() -> tuple[str, ...]:
    Image.init()  # AVIF and JPEG 2000 depend on how Pillow was built
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _read_file(path: Path, limits: LoadLimits) -> bytes:
    try:
        if path.is_dir():
            raise UnreadableImageError(f"{path} is a folder, not an image; give a file inside it")
        if not path.exists():
            raise UnreadableImageError(f"{path} does not exist; check the path")
        if not path.is_file():
            raise UnreadableImageError(f"{path} is not a regular file; give an image file")
        size = path.stat().st_size
        if size > limits.file_bytes:
            raise ImageTooLargeError(_too_many_bytes(str(path), size, limits))
        return path.read_bytes()
    except (OSError, ValueError) as error:
        if isinstance(error, UnreadableImageError | ImageTooLargeError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise UnreadableImageError(f"cannot read {path}: {reason}; check the path and its rights") from error


def _too_many_bytes(name: str, size: int, limits: LoadLimits) -> str:
    return (
        f"{name} has {size:,} bytes, the limit is {limits.file_bytes:,}; "
        "save it smaller or raise LoadLimits.file_bytes"
    )


def _too_many_pixels(name: str, what: str, limits: LoadLimits) -> str:
    return (
        f"{name} has {what} pixels, the limit is {limits.pixels:,}; scale it down or raise LoadLimits.pixels"
    )


def _load_bytes(data: bytes, name: str, limits: LoadLimits) -> LoadedImage:
    if not data:
        raise UnreadableImageError(f"{name} has 0 bytes; copy or export the file again")
    if len(data) > limits.file_bytes:
        raise ImageTooLargeError(_too_many_bytes(name, len(data), limits))
    _refuse_known_foreigners(data, name)
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = Image.open(io.BytesIO(data), formats=_supported())
        except Image.DecompressionBombError as error:
            found = re.search(r"\((\d+) pixels\)", str(error))
            count = f"{int(found.group(1)):,}" if found else "far too many"
            raise ImageTooLargeError(_too_many_pixels(name, count, limits)) from error
        except Exception as error:  # Pillow's plugins raise nearly every class on hostile bytes
            raise UnreadableImageError(
                f"{name} holds no readable image (first bytes {data[:8]!r}); {_REMEDY}"
            ) from error
        with image:
            return _decode(image, name, limits)


def _refuse_known_foreigners(data: bytes, name: str) -> None:
    head = data[:1024].lstrip().lower()
    kind = ""
    if head.startswith(b"%pdf"):
        kind = "a PDF document"
    elif b"<svg" in head:
        kind = "an SVG drawing"
    elif head.startswith((b"<!doctype html", b"<html")):
        kind = "a web page (a failed download?)"
    elif data[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftyphevc"):
        kind = "a HEIC photo"
    elif data.startswith(b"8BPS"):
        kind = "a Photoshop document"
    elif data.startswith((b"%!PS", b"\xc5\xd0\xd3\xc6")):
        kind = "a PostScript file"
    if kind:
        raise UnreadableImageError(f"{name} is {kind}; export it as PNG or JPEG")


def _frames(image: Image.Image) -> int:
    return int(getattr(image, "n_frames", 1))


def _decode(image: Image.Image, name: str, limits: LoadLimits) -> LoadedImage:
    """Check the header, then decode; the caller holds the lock and hides warnings."""
    file_format = image.format or "PIL"
    width, height = image.size
    if width * height > limits.pixels:
        raise ImageTooLargeError(_too_many_pixels(name, f"{width} x {height} = {width * height:,}", limits))
    if min(width, height) < limits.side:
        raise ImageTooSmallError(_too_small(name, width, height, limits))
    try:
        frames = 1 if file_format == "MPO" else _frames(image)
        if frames > 1:
            what = "pages" if file_format == "TIFF" else "frames"
            raise AnimatedImageError(
                f"{name} has {frames} {what} ({file_format}), 1 is allowed; export the one to use as PNG"
            )
        image.load()
        pixels, alpha, icc_profile, notes = _to_rgb(image)
    except AnimatedImageError:
        raise
    except UnreadableImageError as error:
        raise UnreadableImageError(f"{name} {error}") from error
    except Exception as error:  # as above: any class can come out of a damaged file
        raise UnreadableImageError(
            f"{name} is a damaged or truncated {file_format} file ({error}); copy or export it again"
        ) from error
    orientation, note = _read_orientation(image)
    pixels = _upright(pixels, orientation)
    alpha = None if alpha is None else _upright(alpha, orientation)
    suffix = Path(name).suffix.lower()
    known = {s for suffixes in _SUFFIXES.values() for s in suffixes}
    if suffix in known and file_format in _SUFFIXES and suffix not in _SUFFIXES[file_format]:
        notes += (f"named {suffix} but holds {file_format}; read as {file_format}",)
    if min(width, height) != min(pixels.shape[:2]):
        raise UnreadableImageError(f"{name} decodes to another size than its header says; export it again")
    return LoadedImage(pixels, alpha, icc_profile, name, file_format, notes + note)


def _too_small(name: str, width: int, height: int, limits: LoadLimits) -> str:
    return (
        f"{name} has {width} x {height} pixels, the smallest usable side is {limits.side}; use a larger image"
    )


def _read_orientation(image: Image.Image) -> tuple[int, tuple[str, ...]]:
    try:
        value = int(image.getexif().get(0x0112, 1))
    except Exception:  # EXIF is free-form bytes; a broken block must not cost the image
        return 1, ("EXIF block is unreadable; taken as upright",)
    return (
        (value, ()) if 1 <= value <= 8 else (1, (f"EXIF orientation {value} is unknown; taken as upright",))
    )


def _upright(array: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """``array`` (H, W, ...) turned as EXIF orientation 1-8 asks."""
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return np.ascontiguousarray(array)


def _to_rgb(
    image: Image.Image,
) -> tuple[Pixels, Matte | None, bytes | None, tuple[str, ...]]:
    """(pixels, alpha, RGB profile, notes) of a decoded PIL image of any mode."""
    notes: tuple[str, ...] = ()
    profile = image.info.get("icc_profile")
    mode = image.mode
    alpha: Matte | None = None
    if mode in ("I;16", "I;16L", "I;16B", "I;16N", "I"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise UnreadableImageError(
                f"has 32-bit values from {values.min()} to {values.max()}; save it with 8 or 16 bits"
            )
        key = image.info.get("transparency")
        if isinstance(key, int):
            alpha = (values != key).astype(np.float32)
        grey = ((values * 255 + 32767) // 65535).astype(np.uint8)
        pixels = np.repeat(grey[..., None], 3, axis=2)
    elif mode == "CMYK":
        pixels, notes = _from_cmyk(image, profile)
        return pixels, None, None, notes
    elif mode in ("RGB", "RGBX", "YCbCr", "HSV") and "transparency" not in image.info:
        pixels = np.asarray(image if mode == "RGB" else image.convert("RGB"))
    elif mode in ("L", "1") and "transparency" not in image.info:
        pixels = np.asarray(image.convert("RGB"))
    elif mode in ("RGB", "L", "1", "P", "PA", "LA", "La", "RGBA", "RGBa"):
        carries_alpha = mode in ("PA", "LA", "La", "RGBA", "RGBa") or "transparency" in image.info
        if mode == "La":
            image = image.convert("LA")
        rgba = np.asarray(image if mode == "RGBA" else image.convert("RGBA"))
        pixels = rgba[..., :3]
        if carries_alpha:
            alpha = rgba[..., 3].astype(np.float32) / np.float32(255)
    else:
        raise UnreadableImageError(f"has colour mode {mode}, which is not supported; save it as 8-bit RGB")
    if profile is not None and (len(profile) < 128 or profile[16:20] != b"RGB "):
        space = bytes(profile[16:20]).decode("ascii", "replace").strip() or "no"
        notes += (f"embedded colour profile is for {space} data; dropped",)
        profile = None
    return np.array(pixels, dtype=np.uint8, order="C"), alpha, profile, notes


def _from_cmyk(image: Image.Image, profile: bytes | None) -> tuple[Pixels, tuple[str, ...]]:
    """sRGB of CMYK; Adobe's inverted JPEGs were put right by the decoder."""
    note = "CMYK without a colour profile; converted by the plain formula"
    if profile:
        try:
            converted = ImageCms.profileToProfile(
                image, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"),
                outputMode="RGB",
            )  # fmt: skip
            if converted is not None:
                return np.array(converted, dtype=np.uint8), ("CMYK converted to sRGB by its profile",)
        except (ImageCms.PyCMSError, OSError, ValueError):
            note = "CMYK with an unreadable colour profile; converted by the plain formula"
    return np.array(image.convert("RGB"), dtype=np.uint8), (note,)


def _load_array(array: npt.NDArray[Any], limits: LoadLimits) -> LoadedImage:
    remedy = "give uint8, uint16 or bool of shape (H, W), (H, W, 3) or (H, W, 4)"
    if array.dtype not in (np.uint8, np.uint16, np.bool_):
        raise UnreadableImageError(
            f"array has dtype {array.dtype}; {remedy} (scale floats to 0-255 and round)"
        )
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 2, 3, 4):
        raise UnreadableImageError(f"array has shape {array.shape}; {remedy}")
    height, width, channels = array.shape
    if height * width > limits.pixels:
        raise ImageTooLargeError(_too_many_pixels("array", f"{width} x {height}", limits))
    if min(height, width) < limits.side:
        raise ImageTooSmallError(_too_small("array", width, height, limits))
    alpha = None
    if channels in (2, 4):
        alpha = array[..., -1].astype(np.float32) / np.float32(65535 if array.dtype == np.uint16 else 255)
        array = array[..., :-1]
    if array.dtype == np.uint16:
        array = (array.astype(np.int64) * 255 + 32767) // 65535
    elif array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
        alpha = None if alpha is None else alpha * np.float32(255)
    pixels = np.array(np.broadcast_to(array, (height, width, 3)), dtype=np.uint8)
    return LoadedImage(pixels, alpha, None, "array", "array")
