"""Which layers make up an image, and how do they become files for a designer's programs?

From below: the background plate as the model painted it (where the product stands it shows what the model
painted there), the shadow, the product with its matte as alpha. Of a rendered set the plate is the empty set
and the shadow what the product takes of its light; else there is a shadow if one was asked for. Layers have
8 bits, the flat image was composited in floating point; so the colours in the soft rim are chosen anew, a
level or two away, such that the layers put together are the flat image bit for bit:
``rint(a F + (1 - a)(1 - s) B)``, halves to even. Programs that round otherwise differ by a level. Where the
product is opaque its layer holds the product's own pixels.
"""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args
from xml.sax.saxutils import quoteattr

import numpy as np
import numpy.typing as npt
from PIL import Image

from cyclorama.errors import SettingsError
from cyclorama.imaging.masks import find_window
from cyclorama.imaging.product import Product
from cyclorama.types import Pixels, Size

Levels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
LayerFormat = Literal["ora", "psd", "png"]
LAYER_FORMATS: tuple[str, ...] = get_args(LayerFormat)
NAMES = {"plate": "Background plate", "shadow": "Shadow", "product": "Product"}
_THUMBNAIL = 256
_ROUNDING = 2
"""Most levels that 8-bit alpha and plate can move an image that was composited in floating point."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
MAX_PSD_SIDE = 30_000
"""Longest side of a PSD in pixels."""
_ICC_PROFILE = 1039
_CHANNELS = {-1: 3, 0: 0, 1: 1, 2: 2}
"""PSD's number of a channel, alpha first, and its place in RGBA."""
_RAW = b"\0\0"


@dataclass(frozen=True, eq=False)
class Layers:
    """An image taken apart, from below; all of one size, colours straight (not premultiplied)."""

    plate: Pixels
    """uint8 (H, W, 3)."""
    product: Levels
    """uint8 (H, W, 4); colours 0 where alpha is 0."""
    flat: Pixels
    """The image they make, uint8 (H, W, 3)."""
    shadow: Levels | None = None
    """Alpha of black, uint8 (H, W); None for no shadow."""
    icc_profile: bytes | None = None

    def list_rgba(self) -> list[tuple[str, Levels]]:
        """(key of NAMES, RGBA (H, W, 4)) from below."""
        opaque = np.full((*self.plate.shape[:2], 1), 255, dtype=np.uint8)
        layers = [("plate", np.concatenate([self.plate, opaque], axis=2))]
        if self.shadow is not None:
            black = np.zeros((*self.shadow.shape, 4), dtype=np.uint8)
            black[..., 3] = self.shadow
            layers.append(("shadow", black))
        return [*layers, ("product", self.product)]


def check_layer_format(layers: str, size: Size | None = None) -> None:
    """Raise SettingsError for an unknown format, or one that cannot hold an image of ``size``."""
    if layers not in LAYER_FORMATS:
        raise SettingsError(f"layers must be one of {', '.join(LAYER_FORMATS)}, got {layers!r}")
    if layers == "psd" and size is not None and max(size) > MAX_PSD_SIDE:
        raise SettingsError(
            f"PSD holds sides up to {MAX_PSD_SIDE} pixels, the image has {size[1]} x {size[0]}; "
            "use --layers ora or a smaller size"
        )


def split_shadow(ground: Pixels, empty: Pixels) -> tuple[Pixels, Levels]:
    """The plate (H, W, 3) and the shadow (H, W) in 255ths that are ``ground``, a set with its product.

    The plate is ``empty``, the same set without it, where the product only takes light; where it mirrors or
    throws light, the plate has that.
    """
    lit = ground.mean(axis=2) / np.maximum(empty.mean(axis=2), 1)
    shadow = np.minimum(np.rint(255 * np.clip(1 - lit, 0, 1)), 255 - ground.max(axis=2))
    left = 1 - shadow[..., None] / 255
    plate = np.where(left > 0, np.clip(np.rint(ground / np.maximum(left, 1e-9)), 0, 255), empty)
    return plate.astype(np.uint8), shadow.astype(np.uint8)


def build_layers(flat: Pixels, background: Pixels, product: Product, shadow: Levels | None = None) -> Layers:
    """The layers of a finished image ``flat`` (H, W, 3).

    ``background``: what the model painted, uint8, same size; ``product`` on the same canvas; ``shadow``
    (H, W) in 255ths if the image has one. Invariants: :func:`flatten` gives ``flat`` bit for bit; where the
    product is opaque or the plate alone is seen, the layers hold their own pixels unchanged.
    Raises SettingsError if the sizes differ or ``flat`` is not made of these parts.
    """
    sizes = {flat.shape[:2], background.shape[:2], product.size}
    if len(sizes | (set() if shadow is None else {shadow.shape})) > 1:
        raise SettingsError(f"image, background and product differ in size: {sorted(sizes)}")
    alpha = np.rint(product.matte * 255).astype(np.uint8)
    colours = np.where((product.matte >= 1)[..., None], product.pixels, product.foreground)
    plate = background.copy()
    darkness = None if shadow is None else shadow.copy()
    first = Layers(plate, np.dstack([colours, alpha]), flat, darkness)
    if np.abs(flatten(first).astype(np.int16) - flat).max() > _ROUNDING:
        raise SettingsError("the image is not made of this background and product; give its own parts")
    for attempt in range(3):
        rgba = np.dstack([np.where(alpha[..., None] > 0, colours, 0), alpha]).astype(np.uint8)
        layers = Layers(plate, rgba, flat, darkness, product.icc_profile)
        wrong = (flatten(layers) != flat).any(axis=2)
        if not wrong.any():
            return layers
        over = alpha[wrong].astype(np.float64)[:, None] / 255
        light = np.ones_like(over)
        if darkness is not None:
            if attempt > 0:
                darkness[wrong] = _lighten(darkness[wrong], flat[wrong], over)
            light = 1 - darkness[wrong].astype(np.float64)[:, None] / 255
        colours, plate = colours.copy(), plate.copy()
        under = (1 - over) * light
        colours[wrong], plate[wrong] = _solve(flat[wrong], colours[wrong], plate[wrong], over, under)
    raise AssertionError("no 8-bit layers make this image")


def _solve(
    wanted: Levels, upper: Levels, lower: Levels, over: Floats, under: Floats
) -> tuple[Levels, Levels]:
    """Colours (N, 3) near ``upper`` and ``lower`` with ``rint(over upper + under lower) = wanted``.

    The layer with more weight is tried first. Its steps move the sum by at most one, so some level hits
    ``wanted`` unless it is out of 0-255; then the other layer makes up for the rest.
    """
    f, b = upper.astype(np.float64), lower.astype(np.float64)
    upper_first = over >= 0.5
    f = np.where(upper_first, _adjust(f, over, under * b, wanted), f)
    b = _adjust(b, under, over * f, wanted)
    f = _adjust(f, over, under * b, wanted)
    return f.astype(np.uint8), b.astype(np.uint8)


def _lighten(darkness: Levels, wanted: Levels, over: Floats) -> Levels:
    """``darkness`` (N,), no darker than lets white product on white ground be as bright as ``wanted``."""
    ground = np.maximum(255 * (1 - over), 1e-9)
    light = ((wanted - 0.49 - 255 * over) / ground).max(axis=1)
    most: Levels = np.clip(np.floor(255 * (1 - light)), 0, 255).astype(np.uint8)
    return np.minimum(darkness, most)


def _adjust(own: Floats, weight: Floats, rest: Floats, wanted: Levels) -> Floats:
    """``own`` where ``rint(weight own + rest)`` is ``wanted``, elsewhere the level that brings it nearest."""
    missed = (np.rint(weight * own + rest) != wanted) & (weight > 0)
    solved = np.clip(np.rint((wanted - rest) / np.maximum(weight, 1e-9)), 0, 255)
    return np.where(missed, solved, own)


def flatten(layers: Layers) -> Pixels:
    """The image that the layers make, uint8 (H, W, 3): ``rint(a F + (1 - a)(1 - s) B)``."""
    a = layers.product[..., 3:].astype(np.float64) / 255
    under = 1 - a
    if layers.shadow is not None:
        under = under * (1 - layers.shadow[..., None].astype(np.float64) / 255)
    mixed = a * layers.product[..., :3] + under * layers.plate
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)


def encode_layers(layers: Layers, file_format: LayerFormat) -> dict[str, bytes]:
    """The files of ``layers`` by suffix: ``.ora``, or ``.psd``, or a PNG each.

    The PNGs end in ``.background.png``, ``.shadow.png`` (if there is one) and ``.product.png``. Equal layers
    give equal bytes. Raises SettingsError.
    """
    check_layer_format(file_format, (layers.flat.shape[0], layers.flat.shape[1]))
    named = [(NAMES[key], rgba) for key, rgba in layers.list_rgba()]
    if file_format == "ora":
        return {".ora": encode_openraster(named, layers.flat, layers.icc_profile)}
    if file_format == "psd":
        return {".psd": encode_psd(named, layers.flat, layers.icc_profile)}
    files = {".background.png": _encode_png(layers.plate, layers.icc_profile)}
    for key, rgba in layers.list_rgba()[1:]:
        files[f".{key}.png"] = _encode_png(rgba, layers.icc_profile)
    return files


def encode_openraster(
    layers: Sequence[tuple[str, Levels]], merged: Pixels, icc_profile: bytes | None = None
) -> bytes:
    """An OpenRaster 0.0.5 file (zip of PNGs and ``stack.xml``), as GIMP, Krita and MyPaint open it.

    ``layers``: (name, RGBA (H, W, 4) straight) from below; ``merged`` (H, W, 3) is what they make.
    """
    height, width = merged.shape[:2]
    head = "<?xml version='1.0' encoding='UTF-8'?>"
    lines = [head, f'<image version="0.0.5" w="{width}" h="{height}"><stack>']
    files: list[tuple[str, bytes]] = []
    for number, (title, rgba) in reversed(list(enumerate(layers))):  # the topmost comes first
        name, opaque = f"data/layer{number}.png", (rgba[..., 3] == 255).all()
        files.append((name, _encode_png(rgba[..., :3] if opaque else rgba, icc_profile)))
        lines.append(
            f'<layer name={quoteattr(title)} src="{name}" x="0" y="0" opacity="1.0" '
            'visibility="visible" composite-op="svg:src-over"/>'
        )
    lines.append("</stack></image>\n")
    small = Image.fromarray(merged)
    small.thumbnail((_THUMBNAIL, _THUMBNAIL), Image.Resampling.LANCZOS)
    files += [
        ("mergedimage.png", _encode_png(merged, icc_profile)),
        ("Thumbnails/thumbnail.png", _encode_png(np.asarray(small), None)),
    ]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        # The type comes first, and not compressed.
        archive.writestr(zipfile.ZipInfo("mimetype", _EPOCH), b"image/openraster")
        stack = zipfile.ZipInfo("stack.xml", _EPOCH)
        archive.writestr(stack, "\n".join(lines).encode("utf-8"), zipfile.ZIP_DEFLATED)
        for name, data in files:
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data)
    return buffer.getvalue()


def _encode_png(pixels: Levels, icc_profile: bytes | None) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="PNG", icc_profile=icc_profile)
    return buffer.getvalue()


def encode_psd(
    layers: Sequence[tuple[str, Levels]], merged: Pixels, icc_profile: bytes | None = None
) -> bytes:
    """A PSD of ``layers`` (name, RGBA (H, W, 4) straight, from below), blended normally.

    ``merged`` (H, W, 3) is what programs without layers show. Each layer is stored as the smallest rectangle
    that holds it, its channels raw: that costs space, but every reader knows it (Adobe Photoshop File Formats
    Specification; numbers are big-endian). All of one size, sides up to MAX_PSD_SIDE.
    """
    height, width = merged.shape[:2]
    header = struct.pack(">4sH6xHIIHH", b"8BPS", 1, 3, height, width, 8, 3)
    records, channels = b"", []
    for name, rgba in layers:
        shown = rgba[..., 3] > 0
        rows, columns = find_window(shown, 0) if shown.any() else (slice(0, 1), slice(0, 1))
        top, left, bottom, right = rows.start, columns.start, rows.stop, columns.stop
        window = rgba[rows, columns]
        if window.shape[1] % 2:  # readers disagree on how channels of odd length are padded: have none
            window = np.pad(window, ((0, 0), (0, 1), (0, 0)))
            right += 1
        planes = [_RAW + window[..., channel].tobytes() for channel in _CHANNELS.values()]
        records += _build_record(name, (top, left, bottom, right), [len(plane) for plane in planes])
        channels += planes
    info = struct.pack(">h", len(layers)) + records + b"".join(channels)
    info += b"\0" * (len(info) % 2)
    section = _with_length(info) + _with_length(b"")  # no global mask
    resources = b""
    if icc_profile is not None:
        resources = struct.pack(">4sHH", b"8BIM", _ICC_PROFILE, 0) + _with_length(icc_profile)
        resources += b"\0" * (len(icc_profile) % 2)
    merged_planes = _RAW + np.ascontiguousarray(merged.transpose(2, 0, 1)).tobytes()
    return header + _with_length(b"") + _with_length(resources) + _with_length(section) + merged_planes


def _build_record(name: str, box: tuple[int, int, int, int], lengths: Sequence[int]) -> bytes:
    channels = b"".join(
        struct.pack(">hI", channel, length) for channel, length in zip(_CHANNELS, lengths, strict=True)
    )
    plain = name.encode("ascii", "replace")[:255]
    short = bytes([len(plain)]) + plain
    units = name.encode("utf-16-be")
    wide = struct.pack(">I", len(units) // 2) + units
    short, wide = (text + b"\0" * (-len(text) % 4) for text in (short, wide))
    extra = _with_length(b"") * 2 + short + b"8BIMluni" + _with_length(wide)
    opaque, base_clipping, flags = 255, 0, 0
    blend = struct.pack(">4s4sBBBx", b"8BIM", b"norm", opaque, base_clipping, flags)
    return struct.pack(">4iH", *box, len(lengths)) + channels + blend + _with_length(extra)


def _with_length(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data
