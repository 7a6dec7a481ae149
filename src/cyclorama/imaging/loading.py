"""What is in this image file, upright, as 8-bit RGB with straight alpha, and is it safe to use?

Pixels of 8-bit RGB and RGBA files are handed on bit for bit. The colour profile is kept as bytes and **not**
applied, so that the finished image can carry the same profile and the product the same numbers; only CMYK and
L*a*b* are converted to sRGB, because there is no other way to RGB.
"""

from __future__ import annotations

import re
import threading
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import Field

from cyclorama.config import Settings
from cyclorama.errors import (
    ImageError,
    ImageTooLargeError,
    ImageTooSmallError,
    SettingsError,
    UnreadableImageError,
)
from cyclorama.imaging.clipping import read_clipping_path
from cyclorama.imaging.decoding import SUFFIXES, check_frames, decode, open_image, scale_to_bytes
from cyclorama.imaging.inputs import ImageLike, read_image
from cyclorama.imaging.metadata import read_metadata
from cyclorama.types import Matte, Pixels, Size

_LOCK = threading.RLock()  # warnings.catch_warnings() is process-wide state
_ORIENTATION = 0x0112
AtLeastOne = Annotated[int, Field(ge=1)]


class LoadLimits(Settings):
    """What is refused before it is decoded."""

    error_type = SettingsError

    pixels: AtLeastOne = 100_000_000
    """Most pixels, width times height. Pillow's own ceiling (about 179 million) stays in force above."""
    file_bytes: AtLeastOne = 256 * 1024 * 1024
    """Largest file, in bytes."""
    side: AtLeastOne = 16
    """Smallest width and height, in pixels."""

    def check_size(self, name: str, width: int, height: int) -> None:
        """Raise ImageTooLargeError or ImageTooSmallError for an image of another size than allowed."""
        count = width * height
        if count > self.pixels:
            raise ImageTooLargeError(
                f"{name} has {width} x {height} = {count:,} pixels, the limit is {self.pixels:,}; "
                "scale it down or raise LoadLimits.pixels"
            )
        if min(width, height) < self.side:
            raise ImageTooSmallError(
                f"{name} has {width} x {height} pixels, the smallest usable side is {self.side}; "
                "use a larger image"
            )

    def check_bytes(self, name: str, size: int) -> None:
        """Raise ImageTooLargeError or UnreadableImageError for a file that is too large or empty."""
        if size > self.file_bytes:
            raise ImageTooLargeError(
                f"{name} has {size:,} bytes, the limit is {self.file_bytes:,}; "
                "save it smaller or raise LoadLimits.file_bytes"
            )
        if size == 0:
            raise UnreadableImageError(f"{name} has 0 bytes; copy or export the file again")


@dataclass(frozen=True, eq=False)
class LoadedImage:
    """A decoded image, upright."""

    pixels: Pixels
    """uint8 (H, W, 3)."""
    alpha: Matte | None = None
    """float32 (H, W) in [0, 1], straight; None if the file has none."""
    icc_profile: bytes | None = None
    """The RGB colour profile, or one equal to how the file states its colours; None is sRGB."""
    name: str = ""
    format: str = ""
    """The content's own format; ``"array"`` for arrays."""
    notes: tuple[str, ...] = ()
    """What a careful user would want to know: wrong suffix, dropped profile, ..."""
    path: Matte | None = None
    """The mask of a clipping path, float32 (H, W), 1 = product; None if there is none."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """Resolution, creator and rights (:func:`cyclorama.imaging.metadata.read_metadata`)."""

    @property
    def size(self) -> Size:
        """(height, width) in pixels."""
        return (int(self.pixels.shape[0]), int(self.pixels.shape[1]))


def load_image(source: ImageLike, limits: LoadLimits | None = None) -> LoadedImage:
    """The image in ``source`` (:func:`cyclorama.imaging.inputs.read_image`), with EXIF orientation applied.

    Reads RGB, RGBA, grey, grey with alpha, 1-bit, palette (with transparency), 16-bit grey, 16-bit RGB(A)
    (Pillow keeps the high byte), CMYK and L*a*b*. Colours under alpha 0 stay as they are. The format is told
    by content; a wrong suffix becomes a note.

    Raises UnreadableImageError, AnimatedImageError, ImageTooLargeError, ImageTooSmallError. No warning or
    exception of the decoder escapes. Invariant: 8-bit RGB(A) comes back bit for bit.
    """
    limits = limits or LoadLimits()
    data, name, turned = b"", "bytes", 1
    if isinstance(source, Image.Image):
        name = str(getattr(source, "filename", "") or "image")
        limits.check_size(name, *source.size)
        with _LOCK, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            turned = _find_turn(source)
            source = read_image(source)
    else:
        source = read_image(source)
    if isinstance(source, np.ndarray):
        return _load_array(source, limits)
    if isinstance(source, bytes):
        data = source
        limits.check_bytes(name, len(data))
    elif isinstance(source, Path):
        data, name = _read_file(source, limits), str(source)
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if isinstance(source, Image.Image):
                return _load_opened(source, data, name, limits, turned)
            with open_image(data) as image:
                return _load_opened(image, data, name, limits)
        except Image.DecompressionBombError as error:
            found = re.search(r"\((\d+) pixels\)", str(error))
            count = f"{int(found.group(1)):,}" if found else "far too many"
            raise ImageTooLargeError(
                f"{name} has {count} pixels, the limit is {limits.pixels:,}; "
                "scale it down or raise LoadLimits.pixels"
            ) from error
        except (ImageTooLargeError, ImageTooSmallError):
            raise
        except ImageError as error:
            raise type(error)(f"{name} {error}") from error


def _read_file(path: Path, limits: LoadLimits) -> bytes:
    try:
        if path.is_dir():
            raise UnreadableImageError(f"{path} is a folder, not an image; give a file inside it")
        if not path.exists():
            raise UnreadableImageError(f"{path} does not exist; check the path")
        if not path.is_file():
            raise UnreadableImageError(f"{path} is not a regular file; give an image file")
        limits.check_bytes(str(path), path.stat().st_size)
        return path.read_bytes()
    except ImageError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UnreadableImageError(f"cannot read {path}: {reason}; check the path and its rights") from error


def _load_opened(
    image: Image.Image, data: bytes, name: str, limits: LoadLimits, turned: int = 1
) -> LoadedImage:
    """Check the header, then decode; the caller locks, hides warnings and puts the name in errors.

    ``turned``: the orientation by which ``image`` was turned when it was loaded before.
    """
    limits.check_size(name, *image.size)
    file_format = image.format or "PIL"
    try:
        notes = check_frames(image)
        stored, turned = image.size, max(turned, _find_turn(image))
        pixels, alpha, profile, remarks = decode(image, data, name)
        height, width = pixels.shape[:2]
        path, about_path = read_clipping_path(image, (width, height) if turned > 4 else (height, width))
    except ImageError:
        raise
    except Exception as error:  # any class can come out of a damaged file
        raise UnreadableImageError(
            f"is a damaged or truncated {file_format} file ({error}); copy or export it again"
        ) from error
    if min(stored) != min(pixels.shape[:2]):
        raise UnreadableImageError("decodes to another size than its header says; export it again")
    suffix = Path(name).suffix.lower()
    if suffix in set().union(*SUFFIXES.values()) - SUFFIXES.get(file_format, {suffix}):
        notes += (f"named {suffix} but holds {file_format}; read as {file_format}",)
    orientation, unreadable = _read_orientation(image)
    return LoadedImage(
        _turn_upright(pixels, orientation),
        None if alpha is None else _turn_upright(alpha, orientation),
        profile,
        name,
        file_format,
        remarks + notes + about_path + unreadable,
        None if path is None else _turn_upright(path, max(turned, orientation)),
        read_metadata(image),
    )


def _find_turn(image: Image.Image) -> int:
    """The orientation by which Pillow turns ``image`` while it loads it and drops the tag: a TIFF's."""
    return _read_orientation(image)[0] if image.format == "TIFF" else 1


def _read_orientation(image: Image.Image) -> tuple[int, tuple[str, ...]]:
    try:
        value = int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # EXIF is free-form bytes; a broken block must not cost the image
        return 1, ("EXIF block is unreadable; taken as upright",)
    if 1 <= value <= 8:
        return value, ()
    return 1, (f"EXIF orientation {value} is unknown; taken as upright",)


def _turn_upright(array: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """``array`` (H, W, ...) turned as EXIF orientation 1-8 asks."""
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return np.ascontiguousarray(array)


def _load_array(array: npt.NDArray[Any], limits: LoadLimits) -> LoadedImage:
    """The image in ``array`` (H, W) or (H, W, 1..4), uint8, uint16 or bool."""
    array = array[..., None] if array.ndim == 2 else array
    height, width, channels = array.shape
    limits.check_size("array", width, height)
    most = {"u1": 255, "u2": 65535, "b1": 1}[array.dtype.str[1:]]
    alpha = None
    if channels in (2, 4):
        alpha = array[..., -1].astype(np.float32) / np.float32(most)
        array = array[..., :-1]
    if most == 65535:
        array = scale_to_bytes(array)
    elif most == 1:
        array = array.astype(np.uint8) * 255
    pixels = np.array(np.broadcast_to(array, (height, width, 3)), dtype=np.uint8)
    return LoadedImage(pixels, alpha, None, "array", "array")
