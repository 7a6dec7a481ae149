"""An image as people see it in the report and on the review page: small, with the evidence drawn in."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from cyclorama.curate.records import Box

if TYPE_CHECKING:
    from cyclorama.types import Pixels

_COLOURS = ("#e6194b", "#0082c8", "#f58231", "#3cb44b", "#911eb4")
"""Of the boxes, by the order in which their labels come."""
_QUALITY = 85


def encode_evidence(pixels: Pixels, boxes: Sequence[Box], side: int = 768) -> bytes:
    """A JPEG of ``pixels`` (H, W, 3), at most ``side`` long, with ``boxes`` and their labels drawn in.

    Boxes are in pixels of the full size. Equal input gives equal bytes.
    """
    image = Image.fromarray(pixels)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    scale_x, scale_y = image.width / pixels.shape[1], image.height / pixels.shape[0]
    draw = ImageDraw.Draw(image)
    width = max(2, round(max(image.size) / 200))
    font = ImageFont.load_default(size=max(10, width * 5))
    labels = list(dict.fromkeys(box.label for box in boxes))
    for box in boxes:
        colour = _COLOURS[labels.index(box.label) % len(_COLOURS)]
        left, top = box.left * scale_x, box.top * scale_y
        right = max(left + 1, box.right * scale_x - 1)
        bottom = max(top + 1, box.bottom * scale_y - 1)
        draw.rectangle((left, top, right, bottom), outline="white", width=width + 2)
        draw.rectangle((left, top, right, bottom), outline=colour, width=width)
        text = f"{box.label} {box.score:.2f}"
        _, _, text_width, text_height = draw.textbbox((0, 0), text, font=font)
        x = min(max(0.0, left), max(0.0, image.width - text_width - 4))
        y = top - text_height - 4 if top > text_height + 4 else top + width
        draw.rectangle((x, y, x + text_width + 4, y + text_height + 4), fill=colour)
        draw.text((x + 2, y + 1), text, fill="white", font=font)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()
