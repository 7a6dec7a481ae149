"""Canvases of the usual channels, by name."""

from __future__ import annotations

from cyclorama.errors import SettingsError
from cyclorama.generation.settings import GenerateConfig, parse_size
from cyclorama.types import Size

CHANNELS: dict[str, Size] = {
    "square": (1080, 1080),
    "portrait": (1350, 1080),
    "story": (1920, 1080),
    "banner": (628, 1200),
    "marketplace": (1600, 1600),
    "a4": (3579, 2551),
}
"""(height, width); A4 at 300 dots an inch with 3 mm bleed."""


def read_canvas(text: str) -> Size:
    """(height, width) of a channel's name or ``WxH``. Raises SettingsError."""
    if text in CHANNELS:
        return CHANNELS[text]
    size = parse_size(text) if "x" in text else None
    if size is None:
        raise SettingsError(f"size {text!r} is none; give {', '.join(CHANNELS)}, or WxH in pixels")
    GenerateConfig(size=text).build_layouts()  # knows how long a side may be
    return size
