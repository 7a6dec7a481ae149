"""A finished poster's files: written, and taken up again for an edit or for layers, in a child process.

A poster is handed over as a folder with the files of :mod:`cyclorama.posters.files` under one stem.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cyclorama.generation.sheet import encode_thumbnail
from cyclorama.imaging.compositing import composite
from cyclorama.layout.elements import ENDING, PARTS, Box
from cyclorama.posters.drawing import DrawnPoster, list_layers
from cyclorama.posters.files import Poster, encode_png, open_poster, write_poster
from cyclorama.posters.maker import edit
from cyclorama.posters.words import PosterBrand
from cyclorama.service.layering import LayerFile, pack_layers
from cyclorama.service.photos import SHOWN
from cyclorama.typography.drawing import Patch, lay_over, write_svg

STEM = "poster"
FILES = {
    "file": f"{STEM}.png",
    "plate": f"{STEM}{PARTS['background']}",
    "product": f"{STEM}{PARTS['product']}",
}
"""Kind of an image's file to its name in the folder."""
LONGEST = 1440
"""Longest side of what an editor shows, pixels."""


def write_files(poster: Poster, folder: Path) -> tuple[dict[str, Any], dict[str, Path]]:
    """Write the poster's files into ``folder``: what is to be said of it, and kind to file."""
    write_poster(poster, folder, STEM)
    return _finish(poster, {kind: folder / name for kind, name in FILES.items()})


def _finish(poster: Poster, files: dict[str, Path]) -> tuple[dict[str, Any], dict[str, Path]]:
    """What is to be said of a poster whose ``files`` are written, and those with its thumbnail.

    Its record is the recipe, without places on this machine.
    """
    record, (height, width) = poster.record, poster.product.size
    thumbnail = files["file"].with_name("thumbnail")
    thumbnail.write_bytes(encode_thumbnail(poster.drawn.pixels, None, SHOWN))
    recipe = record.model_dump(mode="json", exclude={"plans"})
    recipe["brand"] |= {"logo": None, "style": None}
    said = {
        "category": record.category,
        "seed": record.seed,
        "height": height,
        "width": width,
        "recipe": recipe,
        "poster": {
            "language": record.language,
            "family": record.layout.family,
            "attempt": record.attempt,
            "faults": record.verdict.faults,
        },
        "report": poster.drawn.report.describe(),
        "media_type": "image/png",
        "suffix": ".png",
        "bytes": files["file"].stat().st_size,
        "verdict": None,
    }
    return said, files | {"thumbnail": thumbnail}


def change(folder: Path, texts: Mapping[str, str], language: str, boxes: Mapping[str, Box]) -> Poster:
    """The poster in ``folder`` with other words, language or boxes; nothing is rendered.

    Raises SettingsError, LayoutError and typography's errors.
    """
    old = open_poster(folder / f"{STEM}{ENDING}")
    return edit(old, PosterBrand(**old.record.brand), dict(texts), language, boxes)


def write_changed(folder: Path, *values: Any) -> tuple[dict[str, Any], dict[str, Path]]:
    """:func:`change`, and its image; its parts are the old one's."""
    poster, image = change(folder, *values), folder / "made.png"
    image.write_bytes(encode_png(poster.pixels))
    return _finish(poster, {"file": image})


def draft(folder: Path, *values: Any) -> dict[str, Any]:
    """:func:`change` as an editor shows it: :class:`cyclorama.service.routes.posters.PosterDraft`."""
    poster = change(folder, *values)
    drawn, record = poster.drawn, poster.record
    plates = _find_plates(drawn)
    below = [patch for patch in drawn.below if not any(patch is plate for plate in plates.values())]
    height, width = poster.product.size
    return {
        "language": record.language,
        "texts": record.texts,
        "width": width,
        "height": height,
        "boxes": {element.id: element.box for element in record.layout.select("text", "logo")},
        "words": [
            {
                "id": proof.id,
                "outlines": write_svg(text, colour),
                "plate": _to_piece(plates.get(proof.id)),
                **{name: getattr(proof, name) for name in ("contrast", "limit", "remedy", "lines")},
            }
            for proof, (text, colour) in zip(drawn.proofs, drawn.texts, strict=True)
        ],
        "logo": _to_piece(next((patch for patch in drawn.above if patch.name == "Logo"), None)),
        "bare": _encode(composite(lay_over(drawn.background, below), poster.product), LONGEST),
        "faults": record.verdict.faults,
    }


def write_layers(folder: Path, kind: LayerFile, texts: Mapping[str, str], language: str) -> Path:
    """The file with the layers of the poster in ``folder``, which put together are the poster bit for bit."""
    poster = change(folder, texts, language, {})
    made = folder / "made"
    made.mkdir()
    if kind != "zip":
        write_poster(poster, made, STEM, kind)
        target = made / f"{STEM}.{kind}"
        if kind == "svg":  # one file, which holds the image below its words
            bare = f"{STEM}.bare.png"
            inside = base64.b64encode((made / bare).read_bytes()).decode()
            text = target.read_text(encoding="utf-8").replace(bare, f"data:image/png;base64,{inside}", 1)
            target.write_text(text, encoding="utf-8")
        return target
    files = {}
    for number, (name, rgba) in enumerate(list_layers(poster.drawn, poster.product)):
        buffer = io.BytesIO()
        Image.fromarray(rgba).save(buffer, "PNG", compress_level=1)
        words = re.sub(r"\W+", "-", name).strip("-")[:40]
        files[f"{number:02}-{words}.png"] = buffer.getvalue()
    target = made / f"{STEM}.zip"
    target.write_bytes(pack_layers(files))
    return target


def _find_plates(drawn: DrawnPoster) -> dict[str, Patch]:
    """Text to the button or plate that it stands on: of what lies below, each text with a remedy has one, in
    their order."""
    veils = [patch for patch in drawn.below if patch.name != "Panel"]
    mended = [proof for proof in drawn.proofs if proof.remedy in ("scrim", "plate")]
    if len(veils) != len(mended):
        return {}  # they stay with the ground
    return {proof.id: veil for proof, veil in zip(mended, veils, strict=True) if proof.remedy == "plate"}


def _to_piece(patch: Patch | None) -> dict[str, Any] | None:
    """A patch as something that a page can lay over the poster."""
    if patch is None:
        return None
    height, width = patch.rgba.shape[:2]
    place = {"left": patch.left, "top": patch.top, "width": width, "height": height}
    return {**place, "image": _encode(patch.rgba, max(width, height), lossless=True)}


def _encode(pixels: np.ndarray, longest: int, lossless: bool = False) -> str:
    """WebP as base64."""
    image = Image.fromarray(pixels)
    image.thumbnail((longest, longest), Image.Resampling.LANCZOS, reducing_gap=2.0)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=88, method=1, lossless=lossless)
    return base64.b64encode(buffer.getvalue()).decode()
