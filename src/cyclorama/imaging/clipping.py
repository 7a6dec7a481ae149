"""Which mask does a clipping path make that was drawn in Photoshop and saved with the photo?

Paths are image resources (Adobe Photoshop File Formats Specification, "Path resource format"): 2000 to 2997
hold paths, 2999 the name of the one that clips. Points are (y, x) in shares of the image's size, before any
EXIF rotation.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from cyclorama.types import Matte, Size

_TIFF_RESOURCES = 34377
_CLIPPING = 2999
_PATHS = range(2000, 2998)
_FINER = 4
"""Samples per pixel and direction of the drawn mask."""
_BAND = 256
_JOIN: dict[int, Callable[..., Any]] = {1: np.logical_or, 2: lambda old, new: old & ~new, 3: np.logical_and}


def read_clipping_path(image: Image.Image, size: Size) -> tuple[Matte | None, tuple[str, ...]]:
    """(mask (H, W), 1 = product, or None; notes) of the path in ``image``, which is stored in ``size``.

    The path named as clipping path counts, else the only path there is.
    """
    try:
        resources = _list_resources(image)
        paths = {name: data for number, name, data in resources if number in _PATHS}
        clipping = next((data for number, _, data in resources if number == _CLIPPING), None)
        if not paths:
            return None, ()
        wanted = None if clipping is None else _read_pascal(clipping)
        if wanted not in paths and len(paths) > 1:
            names = ", ".join(repr(name) for name in paths)
            return None, (f"holds {len(paths)} paths ({names}), none set as clipping path; not used",)
        note = () if wanted in paths else ("its only path is used, though not set as clipping path",)
        data = paths.get(wanted or "", next(iter(paths.values())))
        return draw_path(data, size), note
    except (struct.error, ValueError, IndexError, TypeError) as error:
        return None, (f"clipping path cannot be read ({error}); not used",)


def _list_resources(image: Image.Image) -> list[tuple[int, str, bytes]]:
    """(number, name, content) of each."""
    segments = [data for kind, data in getattr(image, "applist", ()) if kind == "APP13"]
    data = b"".join(part[14:] for part in segments if part.startswith(b"Photoshop 3.0\0"))
    if not segments:
        data = bytes(getattr(image, "tag_v2", {}).get(_TIFF_RESOURCES, b""))
    found, at = [], 0
    while data[at : at + 4] == b"8BIM":
        number, length = struct.unpack_from(">HB", data, at + 4)
        name = _read_pascal(data[at + 6 :])
        at += 6 + length + 1 + (length + 1) % 2
        size = struct.unpack_from(">I", data, at)[0]
        found.append((number, name, data[at + 4 : at + 4 + size]))
        at += 4 + size + size % 2
    return found


def _read_pascal(data: bytes) -> str:
    return data[1 : 1 + data[0]].decode("utf-8", "replace") if data else ""


def draw_path(data: bytes, size: Size) -> Matte:
    """The antialiased mask, float32 (H, W), of a path resource; areas are joined as each one says."""
    filled, parts = _read_outlines(data, size)
    height, width = size
    rows = []
    for top in range(0, height, _BAND):
        band = min(_BAND, height - top)
        area = np.full((band * _FINER, width * _FINER), filled)
        for operation, outlines in parts:
            own = np.zeros_like(area)
            for outline in outlines:
                canvas = Image.new("1", (area.shape[1], area.shape[0]))
                points = (outline - (0, top)) * _FINER - 0.5
                ImageDraw.Draw(canvas).polygon([tuple(point) for point in points], fill=1)
                own ^= np.asarray(canvas)
            area = _JOIN.get(operation, np.logical_xor)(area, own)
        rows.append(area.reshape(band, _FINER, width, _FINER).mean(axis=(1, 3)))
    return np.concatenate(rows).astype(np.float32)


def _read_outlines(data: bytes, size: Size) -> tuple[bool, list[tuple[int, list[npt.NDArray[np.float64]]]]]:
    """(whether all is filled at first, [(operation, outlines (N, 2) of x, y in pixels)])."""
    filled = False
    parts: list[tuple[int, list[Any]]] = []
    knots: list[npt.NDArray[np.float64]] = []
    expected = 0
    for at in range(0, len(data) - 25, 26):
        selector, count, operation = struct.unpack_from(">HHh", data, at)
        if selector == 8:
            filled = bool(count)
        elif selector in (0, 3):
            expected, knots = count, []
            if operation == -1 and parts:  # goes on with the area before
                parts[-1][1].append(knots)
            else:
                parts.append((operation, [knots]))
        elif selector in (1, 2, 4, 5):
            point = np.frombuffer(data, ">i4", 6, at + 2).reshape(3, 2) / 2**24
            knots.append(point[:, ::-1] * (size[1], size[0]))
    if not parts or not expected:
        raise ValueError("no closed outline")
    return filled, [
        (operation, [_flatten(np.stack(knots)) for knots in group if len(knots) > 1])
        for operation, group in parts
    ]


def _flatten(knots: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Points (N, 2) along a closed Bezier outline of ``knots`` (K, 3, 2): control, anchor, control."""
    start, out = knots[:, 1], knots[:, 2]
    into, end = np.roll(knots[:, 0], -1, axis=0), np.roll(knots[:, 1], -1, axis=0)
    length = float(np.abs(np.diff(np.stack([start, out, into, end]), axis=0)).sum(axis=(0, 2)).max())
    t = np.linspace(0, 1, int(np.clip(length / 2, 8, 256)), endpoint=False)[:, None, None]
    curve = (1 - t) ** 3 * start + 3 * (1 - t) ** 2 * t * out + 3 * (1 - t) * t**2 * into + t**3 * end
    return curve.transpose(1, 0, 2).reshape(-1, 2)
