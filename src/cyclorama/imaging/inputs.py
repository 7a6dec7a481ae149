"""What does a caller of the Python API mean by an image, and is it one or several?

Paths, bytes, open files, PIL images, arrays of any number type and torch tensors become what the loaders of
images and masks take. torch is never imported for those who do not use it.
"""

from __future__ import annotations

import binascii
import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias
from urllib.parse import unquote, urlsplit

import numpy as np
import numpy.typing as npt
from PIL import Image

from cyclorama.errors import MaskError, UnreadableImageError
from cyclorama.files import expand_path

if TYPE_CHECKING:
    import torch

ImageLike: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | BinaryIO | Image.Image | npt.NDArray[Any] | torch.Tensor"
)
"""What users give."""
Source: TypeAlias = Path | bytes | Image.Image | npt.NDArray[Any]
"""What the loaders go on with."""

_GIVE = "give a path, bytes, an open binary file, a PIL image, an array or a torch tensor"
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_NEAR = 1e-3  # rounding of floats: how far above 1 a scale from 0 to 1 may reach


def is_one(value: Any) -> bool:
    """Whether ``value`` stands for one image (or for something that is none) rather than for several.

    An array or tensor with four axes is a batch, and a column of a table is as many as it has rows.
    """
    if isinstance(value, str | bytes | bytearray | memoryview | os.PathLike | Image.Image | Mapping):
        return True
    if hasattr(value, "read") or hasattr(value, "read_bytes") or isinstance(value, set | frozenset):
        return True
    if _is_array(value):
        return len(getattr(value, "shape", ())) in (0, 2, 3)
    return not isinstance(value, Iterable)


def is_address(value: Any) -> bool:
    """Whether ``value`` is a text such as ``https://host/file``, and none of this machine's paths."""
    found = _ADDRESS.match(value) if isinstance(value, str) else None
    return found is not None and found[1].lower() != "file"


def find_name(value: Any) -> str:
    """The file name of an image, also of an open file; empty for what comes from no file."""
    if not isinstance(value, str | os.PathLike):
        value = getattr(value, "filename", None) or getattr(value, "name", None)
    if not isinstance(value, str | os.PathLike):
        return ""
    text = os.fsdecode(value)
    if text[:5].lower() == "data:":
        return ""
    return Path(urlsplit(text).path if "://" in text else text).name


def read_image(value: Any) -> Source:
    """``value`` as the image loader takes it.

    Floats are taken as 0 to 1 or 0 to 255, told apart by their largest value; axes may be HWC, CHW or HW.
    Raises UnreadableImageError saying what to give instead.
    """
    source = _read(value)
    return _to_levels(source) if isinstance(source, np.ndarray) else source


def read_mask(value: Any) -> Source:
    """``value`` as the mask loader takes it; arrays may go from 0 to 1 or 0 to 255.

    Raises UnreadableImageError, or MaskError for an array, saying what to give instead.
    """
    source = _read(value)
    if isinstance(source, np.ndarray):
        source = source[..., 0] if source.ndim == 3 and source.shape[2] == 1 else source
        if source.dtype.kind in "iu" and source.size and source.min() >= 0 and source.max() <= 1:
            return source.astype(bool)
        if source.dtype.kind == "f" and source.size and source.min() >= 0 and source.max() <= 1 + _NEAR:
            return source.astype(np.float32).clip(0, 1)
        try:
            return _to_levels(source)
        except UnreadableImageError as error:
            raise MaskError(f"mask {error}") from error
    return source


def _read(value: Any) -> Source:
    """A path, bytes, a PIL image or an array (H, W[, C])."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, str | os.PathLike):
        text = os.fsdecode(value)
        if not text.strip():
            raise UnreadableImageError("the path of an image is empty; give a file")
        if text[:5].lower() == "data:":
            return _read_data_address(text)
        if is_address(text):
            raise UnreadableImageError(
                f"{text[:200]} is an address; allow its host (BackgroundGenerator.from_pretrained(urls=…)), "
                "or download it and give the path or the bytes"
            )
        return Path(expand_path(text))
    if isinstance(value, Image.Image):
        try:
            value.load()
        except Exception as error:  # a file that was closed, moved or cut off since it was opened
            raise UnreadableImageError(f"a PIL image cannot be read ({error}); open it again") from error
        if value.mode == "F" or (value.mode == "I" and np.asarray(value).max(initial=0) <= 255):
            return np.asarray(value)
        return value
    if hasattr(value, "read_bytes") or hasattr(value, "read"):
        return _read_stream(value)
    if _is_array(value):
        return _to_array(value)
    raise UnreadableImageError(f"cannot make an image of {_describe(value)}; {_GIVE}")


def _read_data_address(text: str) -> bytes:
    """What ``data:image/png;base64,…`` holds, as pages and their tools pass images on."""
    head, _, body = text.partition(",")
    try:
        if not head.lower().endswith(";base64"):
            raise ValueError("it is not base64")
        return binascii.a2b_base64(unquote(body))
    except ValueError as error:
        raise UnreadableImageError(f"{head[:60]},… cannot be read ({error}); {_GIVE}") from error


def _read_stream(stream: Any) -> bytes:
    try:
        if hasattr(stream, "read_bytes"):
            data = stream.read_bytes()
        else:
            if hasattr(stream, "seek"):
                stream.seek(0)
            data = stream.read()
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise UnreadableImageError(
            f"cannot read {_describe(stream)} ({error}); open it in binary mode ('rb') and keep it open"
        ) from error
    if isinstance(data, str):
        raise UnreadableImageError(f"{_describe(stream)} gives text; open it in binary mode ('rb')")
    if not isinstance(data, bytes | bytearray | memoryview):
        raise UnreadableImageError(f"{_describe(stream)} gives {_describe(data)} instead of bytes; {_GIVE}")
    return bytes(data)


def _is_array(value: Any) -> bool:
    return _is_tensor(value) or hasattr(value, "__array_interface__") or hasattr(value, "__array__")


def _is_tensor(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _to_array(value: Any) -> npt.NDArray[Any]:
    """An array (H, W) or (H, W, C) of numbers."""
    try:
        if _is_tensor(value):
            value = value.detach().cpu()
            array = (value.float() if value.is_floating_point() else value).numpy()
        else:
            array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UnreadableImageError(
            f"cannot read {_describe(value)} as numbers ({error}); give a NumPy array on the CPU"
        ) from error
    shape = tuple(array.shape)
    if array.dtype.kind not in "biuf":
        raise UnreadableImageError(
            f"array has dtype {array.dtype}; give uint8, uint16, bool, or floats from 0 to 1 or 0 to 255"
        )
    if array.ndim == 4 and shape[0] == 1:
        array = array[0]
    array = np.asarray(array)
    planes_first = array.ndim == 3 and array.shape[0] in (1, 3, 4)
    if planes_first and (array.shape[2] not in (1, 2, 3, 4) or _is_tensor(value)):
        array = array.transpose(1, 2, 0)
    if not array.size or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 2, 3, 4)):
        raise UnreadableImageError(f"array has shape {shape}; give (H, W), (H, W, 3 or 4) or (3 or 4, H, W)")
    return array


def _to_levels(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """As :func:`_scale`; floats of colour and of alpha each by their own scale."""
    if array.dtype.kind != "f" or array.ndim == 2 or array.shape[2] not in (2, 4):
        return _scale(array)
    return np.concatenate([_scale(array[..., :-1]), _scale(array[..., -1:])], axis=2)


def _scale(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """``array`` as uint8, uint16 or bool. Raises UnreadableImageError where its range is not clear."""
    if array.dtype.kind == "b":
        return array
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        count = int((~np.isfinite(array)).sum())
        raise UnreadableImageError(f"array has {count} values that are not finite; give 0 to 1 or 0 to 255")
    low, high = float(array.min()), float(array.max())
    values = f"array ({array.dtype}) has values from {low:.4g} to {high:.4g}"
    if array.dtype.kind == "f":
        if low >= 0 and high <= 1 + _NEAR:
            array = array.clip(0, 1).astype(np.float64) * 255
        if low >= 0 and (high <= 1 + _NEAR or 2 < high <= 255):
            return np.asarray(np.rint(array), dtype=np.uint8)
        hint = "for -1 to 1 give (x + 1) / 2" if -1 - _NEAR <= low < 0 and high <= 1 + _NEAR else "scale it"
        raise UnreadableImageError(f"{values}; floats are read as 0 to 1 or as 0 to 255, {hint}")
    if low >= 0 and high == 1:
        raise UnreadableImageError(f"{values}, nearly black; give bool or floats if 1 means white")
    if array.dtype == np.uint8:
        return array
    if low >= 0 and high <= 255 and array.dtype != np.uint16:
        return array.astype(np.uint8)
    if array.dtype == np.uint16 and high > 255:
        return array
    raise UnreadableImageError(f"{values}; give uint8 for 0 to 255, or uint16 for 0 to 65535")


def _describe(value: Any) -> str:
    kind = type(value)
    return "None" if value is None else f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
