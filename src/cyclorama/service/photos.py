"""What is in a file from others? Read in a child process (:mod:`cyclorama.service.children`)."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import ImageCms

from cyclorama.data.columns import has_image_column
from cyclorama.data.opening import Options, open_source
from cyclorama.errors import CycloramaError, UnreadableImageError
from cyclorama.generation.sheet import encode_thumbnail
from cyclorama.imaging.colour import to_srgb
from cyclorama.imaging.loading import LoadedImage, LoadLimits, load_image
from cyclorama.service.settings import FILE_BYTES, PIXELS

LIMITS = LoadLimits(pixels=PIXELS, file_bytes=FILE_BYTES)
"""What is decoded of a file from others."""
THUMBNAIL = 384
"""Longest side of a photo's small WebP, pixels."""
SHOWN = 768
"""The same of an image's: sharp where the page shows it large."""
MEDIA_TYPES = {"MPO": "image/jpeg", "JPEG2000": "image/jp2", "PPM": "image/x-portable-anymap"}
_YAML_BYTES = 2**16
_KEPT = 2
_LOADED: dict[str, LoadedImage] = {}
TABLE_TYPES = {
    "CSV": "text/csv",
    "Excel": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "JSON": "application/json",
    "JSON lines": "application/jsonl",
    "Parquet": "application/vnd.apache.parquet",
    "XML feed": "application/xml",
}
"""By the reader's name of the kind."""


def inspect(path: Path) -> dict[str, Any]:
    """Media type and facts of a file from others; an image is decoded as a whole.

    A text in YAML, as style files are, is taken for one, and a table for one; what they say is checked where
    they are used. Raises ImageError.
    """
    try:
        with hide_paths({path: "the file"}):
            loaded = load_photo(path)
    except UnreadableImageError:
        if _is_yaml(path):
            return {"media_type": "application/yaml"}
        table = _find_table_type(path)
        if table is not None:
            return {"media_type": table}
        raise
    return {
        "media_type": MEDIA_TYPES.get(loaded.format, f"image/{loaded.format.lower()}"),
        "width": loaded.size[1],
        "height": loaded.size[0],
        "alpha": loaded.alpha is not None,
        "icc_profile": _describe_profile(loaded.icc_profile),
        "notes": list(loaded.notes),
    }


def draw_thumbnail(path: Path, thumbnail: Path) -> None:
    """Write a small WebP of the image in ``path``. Raises ImageError."""
    with hide_paths({path: "the file"}):
        loaded = load_photo(path)
    shown = to_srgb(loaded.pixels, loaded.icc_profile)
    thumbnail.write_bytes(encode_thumbnail(shown, loaded.alpha, THUMBNAIL))


def _find_table_type(path: Path) -> str | None:
    """The media type of the table in ``path``; None if it is none."""
    try:
        source = open_source(str(path), Options(check_files=False))
        if source.columns is None and next(source.rows(lambda _: True), None) is None:
            return None  # JSON or XML without a row
    except (CycloramaError, ValueError, RecursionError):
        return None
    columns = source.columns or ()
    if source.kind == "CSV" and len(columns) < 2 and not has_image_column(columns, {}):
        return None  # any text at all
    return TABLE_TYPES.get(source.kind)


def load_photo(path: Path) -> LoadedImage:
    """The image in ``path``; the last two are kept. A file that is called by its digest is the same wherever
    it lies, so what :func:`inspect` has decoded needs no second look. Raises ImageError.
    """
    key = path.name if len(path.name) == 64 else str(path)
    found = _LOADED.pop(key, None) or load_image(path, LIMITS)
    _LOADED[key] = found
    if len(_LOADED) > _KEPT:
        del _LOADED[next(iter(_LOADED))]
    return found


def _is_yaml(path: Path) -> bool:
    import yaml

    data = path.read_bytes()
    try:
        return len(data) <= _YAML_BYTES and isinstance(yaml.safe_load(data.decode()), dict)
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError):
        return False


def _describe_profile(profile: bytes | None) -> str | None:
    if profile is None:
        return None
    try:
        return ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile))).strip()[:200]
    except (ImageCms.PyCMSError, OSError):
        return "unnamed"


@contextmanager
def hide_paths(names: Mapping[Path, str]) -> Iterator[None]:
    """Say ``names`` in errors in place of where this server keeps the files."""
    try:
        yield
    except CycloramaError as error:
        said = str(error)
        for path, name in names.items():
            said = said.replace(str(path), name)
        raise type(error)(said) from error.__cause__
