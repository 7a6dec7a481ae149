"""The layers that make up a finished image bit for bit, for a designer's programs, in a child process."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from cyclorama.imaging.compositing import composite
from cyclorama.imaging.formats import decode_image
from cyclorama.imaging.layers import LayerFormat, build_layers, encode_layers, split_shadow
from cyclorama.service.recompose import stand

LayerFile = Literal["psd", "ora", "zip", "svg"]
"""svg: of posters alone."""
MEDIA_TYPES: dict[LayerFile, str] = {
    "psd": "image/vnd.adobe.photoshop",
    "ora": "image/openraster",
    "zip": "application/zip",
    "svg": "image/svg+xml",
}
_FORMATS: dict[LayerFile, LayerFormat] = {"psd": "psd", "ora": "ora", "zip": "png"}
_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_layers(
    kind: LayerFile, finished: Path, known: Mapping[str, Any], parts: Mapping[str, Path], target: Path
) -> None:
    """Write the layers of the image in the file ``finished`` to ``target``.

    ``known`` and ``parts``: what is known of it, and the files of its parts. Of a lossy file the layers make
    up what it was encoded from.
    """
    ground, product = stand(known, parts)
    empty = np.asarray(Image.open(parts["empty"]).convert("RGB"))
    lossy = "file_max_difference" in known["report"]
    flat = composite(ground, product) if lossy else decode_image(finished.read_bytes()).pixels
    background, shadow = split_shadow(ground, empty)
    layers = build_layers(flat, background, product, shadow if shadow.any() else None)
    files = encode_layers(layers, _FORMATS[kind])
    target.write_bytes(pack_layers(files) if kind == "zip" else next(iter(files.values())))


def pack_layers(files: Mapping[str, bytes]) -> bytes:
    """A zip of PNGs by suffix, each named by what it shows.

    >>> import zipfile, io
    >>> zipfile.ZipFile(io.BytesIO(pack_layers({".shadow.png": b""}))).namelist()
    ['shadow.png']
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for suffix, data in files.items():
            archive.writestr(zipfile.ZipInfo(suffix.lstrip("."), _EPOCH), data)
    return buffer.getvalue()
