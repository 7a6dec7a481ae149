"""Layouts as images: the product at its place, every box with its name, nothing rendered."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from cyclorama.imaging.product import Product
from cyclorama.layout.elements import PosterLayout
from cyclorama.posters.maker import place

SIDE = 360
"""Longer side of a layout's image, pixels."""
GAP = 12
PAPER, GROUND, INK = (246, 245, 242), (226, 224, 219), (35, 33, 29)
COLOURS = {"text": (20, 92, 158), "logo": (150, 70, 20), "badge": (150, 70, 20), "underlay": (120, 120, 120)}


def draw_plans(product: Product, layouts: Sequence[PosterLayout]) -> bytes:
    """A PNG with the layouts side by side, best first, each with its family and energy."""
    images = [draw_plan(product, layout) for layout in layouts]
    label = 22
    width = sum(image.width + GAP for image in images) + GAP
    sheet = Image.new("RGB", (width, max(image.height for image in images) + label + 2 * GAP), PAPER)
    pen, font, left = ImageDraw.Draw(sheet), ImageFont.load_default(size=14), GAP
    for image, layout in zip(images, layouts, strict=True):
        energy = "" if layout.energy is None else f", energy {layout.energy:.2f}"
        pen.text((left, GAP // 2), f"{layout.family}{energy}", fill=INK, font=font)
        sheet.paste(image, (left, label + GAP))
        left += image.width + GAP
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def draw_plan(product: Product, layout: PosterLayout) -> Image.Image:
    """One layout, its longer side :data:`SIDE`."""
    scale = SIDE / max(layout.height, layout.width)
    height, width = max(64, round(layout.height * scale)), max(64, round(layout.width * scale))
    small = layout.model_copy(update={"height": height, "width": width})
    image = Image.new("RGB", (width, height), GROUND)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(size=11)
    for element in sorted(layout.elements, key=lambda one: one.layer):
        corners = [round(value * side) for value, side in zip(element.box, (width, height) * 2, strict=True)]
        if element.kind == "underlay":
            pen.rectangle(corners, fill=(236, 234, 230))
        if element.kind == "product":
            standing, _ = place(product, small)
            alpha = Image.fromarray((standing.matte * 255).astype("uint8"))
            image.paste(Image.fromarray(standing.foreground), (0, 0), alpha)
        colour = COLOURS.get(element.kind, INK)
        pen.rectangle(corners, outline=colour, width=2 if element.locked else 1)
        pen.text((corners[0] + 3, corners[1] + 1), element.id, fill=colour, font=font)
    return image
