"""How does a finished image become a file that keeps its colours, its recipe and where it comes from?

PNG and WebP without a quality are lossless: the file's pixels are the image's. JPEG, AVIF and WebP with a
quality are not, so in them the product guarantee holds for the image before it is encoded;
:func:`measure_encoding` says what encoding did to the product.

The recipe travels in PNG's text chunk ``cyclorama``, elsewhere in the XMP packet, which also names the
image's kind (IPTC's digital source type), as shops and laws ask for machine-made images.
"""

from __future__ import annotations

import io
import json
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image, PngImagePlugin, features
from pydantic import Field, model_validator

from cyclorama.config import Settings
from cyclorama.errors import MissingDependencyError, SettingsError, UnreadableImageError
from cyclorama.imaging.compositing import compute_product_report
from cyclorama.imaging.metadata import (
    FIELDS,
    FORBIDDEN,
    NAMESPACES,
    RDF,
    build_exif,
    build_iptc_segment,
    build_xmp_lines,
    find_text,
    read_packet,
)
from cyclorama.imaging.product import Product
from cyclorama.types import Pixels, Size

ImageFormat = Literal["png", "webp", "jpeg", "avif"]
IMAGE_FORMATS: tuple[str, ...] = get_args(ImageFormat)
MEDIA_TYPES = {name: f"image/{name}" for name in IMAGE_FORMATS}
SUFFIXES = {"png": ".png", "webp": ".webp", "jpeg": ".jpg", "avif": ".avif"}
DEFAULT_QUALITY: dict[str, int] = {"jpeg": 95, "avif": 90}
"""Quality where a format has no lossless way."""
MAX_SIDES = {"png": 2**31 - 1, "webp": 16_383, "jpeg": 65_500, "avif": 65_536}
"""Longest side in pixels that a format (or its library) can hold."""

METADATA_KEY = "cyclorama"
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""A real product photo on a background that a trained model painted."""
_FULL_COLOUR: dict[str, dict[str, Any]] = {
    "jpeg": {"subsampling": "4:4:4", "optimize": True},
    "avif": {"subsampling": "4:4:4", "max_threads": 1},
    "webp": {"method": 4, "use_sharp_yuv": True},
}
_PNG_XMP = "XML:com.adobe.xmp"
_XMP = "http://ns.adobe.com/xap/1.0/"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_OURS = "urn:x-cyclorama:recipe/"
_PROPERTIES = {"recipe": (_OURS, "Recipe"), "source_type": (_IPTC, "DigitalSourceType")}


class EncodingConfig(Settings):
    """The file format of finished images.

    Raises SettingsError for an unknown format or a quality outside its range, MissingDependencyError for a
    format that this machine's Pillow was built without.
    """

    error_type = SettingsError

    format: ImageFormat = "png"
    """The file format: PNG and WebP can be lossless."""
    quality: int | None = Field(default=None, ge=1, le=100)
    """1-100 for JPEG, AVIF and WebP; None is lossless for PNG and WebP, 95 for JPEG, 90 for AVIF."""
    provenance: bool | None = None
    """Whether the file names IPTC's digital source type in XMP; None: in all formats but PNG."""
    strip: bool = False
    """Whether the file carries pixels and colour profile only: no resolution, creator, copyright or credit of
    the photo, no recipe, and no source type unless ``provenance`` is set."""

    @model_validator(mode="after")
    def _check_format(self) -> Self:
        if self.format == "png" and self.quality is not None:
            raise SettingsError(f"PNG is lossless and takes no quality, got {self.quality!r}; leave it out")
        if self.format in ("webp", "avif") and not features.check(self.format):
            raise MissingDependencyError(
                f"this Pillow was built without {self.format.upper()}; install pillow 11.3 or newer from PyPI"
            )
        return self

    @property
    def suffix(self) -> str:
        """Of the file's name, with the dot."""
        return SUFFIXES[self.format]

    @property
    def is_lossless(self) -> bool:
        """Whether the file's pixels are the image's."""
        return self.quality is None and self.format in ("png", "webp")

    @property
    def names_source(self) -> bool:
        """Whether the file says that its background is machine-made."""
        return self.format != "png" and not self.strip if self.provenance is None else self.provenance

    def check_size(self, size: Size) -> None:
        """Raise SettingsError if the format cannot hold an image of ``size``."""
        limit = MAX_SIDES[self.format]
        if max(size) > limit:
            raise SettingsError(
                f"{self.format.upper()} holds sides up to {limit} pixels, the image has "
                f"{size[1]} x {size[0]}; use --format png or a smaller size"
            )

    def describe(self) -> dict[str, Any]:
        """What differs from a plain PNG, as plain values."""
        values: dict[str, Any] = {}
        if self.format != "png":
            quality = "lossless" if self.is_lossless else self.quality or DEFAULT_QUALITY[self.format]
            values |= {"format": self.format, "quality": quality}
        if self.provenance is not None:
            values["provenance"] = self.provenance
        return values | ({"strip": True} if self.strip else {})


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """An image file as :func:`decode_image` reads it."""

    pixels: Pixels
    """uint8 (H, W, 3)."""
    format: str
    recipe: dict[str, Any] | None
    """None if it carries none."""
    icc_profile: bytes | None
    source_type: str | None
    """IPTC's digital source type, if it is named."""


def encode_image(
    pixels: Pixels,
    recipe: dict[str, Any],
    icc_profile: bytes | None = None,
    config: EncodingConfig | None = None,
    metadata: Mapping[str, Any] | None = None,
    quick: bool = False,
) -> bytes:
    """A file of ``pixels`` (H, W, 3) with its recipe, colour profile and the photo's ``metadata``.

    ``quick`` packs a PNG by runs of equal bytes alone, in a quarter of the time.
    ``metadata``: see :func:`cyclorama.imaging.metadata.read_metadata`. Invariants: equal arguments give equal
    bytes (of one Pillow); lossless formats decode to ``pixels``. Raises SettingsError if the format cannot
    hold the size.
    """
    config = config or EncodingConfig()
    config.check_size((pixels.shape[0], pixels.shape[1]))
    text = json.dumps(recipe, sort_keys=True, ensure_ascii=False, allow_nan=False)
    # Names of files may hold half characters, which no UTF-8 has; JSON's own escape of them is the same text.
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    metadata = {} if config.strip else metadata or {}
    options: dict[str, Any] = {"icc_profile": icc_profile}
    if metadata:
        options["exif"] = build_exif(metadata)
    if "dpi" in metadata and config.format in ("png", "jpeg"):
        options["dpi"] = tuple(metadata["dpi"])
    carried = None if config.strip else text
    if config.format == "png":
        if quick:
            options |= {"compress_level": 1, "compress_type": zlib.Z_RLE}
        options["pnginfo"] = info = PngImagePlugin.PngInfo()
        if carried is not None:
            info.add_itxt(METADATA_KEY, carried)
        if config.names_source or metadata.keys() & FIELDS:
            info.add_itxt(_PNG_XMP, build_xmp(None, config.names_source, metadata))
    else:
        if carried is not None or config.names_source:
            options["xmp"] = build_xmp(carried, config.names_source, metadata).encode("utf-8")
        if config.is_lossless:
            options |= {"lossless": True, "quality": 80, "method": 4, "exact": True}
        else:
            options["quality"] = config.quality or DEFAULT_QUALITY[config.format]
            # Full colour resolution: a product's red lettering is the first thing that subsampling smears.
            options |= _FULL_COLOUR[config.format]
        if config.format == "jpeg":
            options["extra"] = build_iptc_segment(metadata)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format=config.format.upper(), **options)
    return buffer.getvalue()


def decode_image(data: bytes) -> DecodedImage:
    """What :func:`encode_image` put into ``data``; also reads such files of others, without a recipe.

    Raises UnreadableImageError.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=[name.upper() for name in IMAGE_FORMATS]) as image:
                image.load()
                info, kind = dict(image.info), str(image.format).lower()
                pixels = np.array(image.convert("RGB"), dtype=np.uint8)
    except Exception as error:  # decoders raise nearly every class on damaged bytes
        raise UnreadableImageError(f"no readable {', '.join(IMAGE_FORMATS)} image: {error}") from error
    packet = read_packet(info.get("xmp") or info.get(_PNG_XMP))
    texts = {} if packet is None else {name: find_text(packet, *key) for name, key in _PROPERTIES.items()}
    text = info.get(METADATA_KEY) or texts.get("recipe")
    recipe = json.loads(text) if text else None
    return DecodedImage(pixels, kind, recipe, info.get("icc_profile"), texts.get("source_type") or None)


def measure_encoding(data: bytes, product: Product) -> dict[str, Any]:
    """How far the file ``data`` departs from ``product`` where that is opaque, in levels 0-255.

    ``product`` lies on the image's canvas. Lossless files give 0, and None where no pixel is opaque.
    """
    report = compute_product_report(decode_image(data).pixels, product)
    mean = report.mean_difference
    return {
        "file_max_difference": report.max_difference,
        "file_mean_difference": None if mean is None else round(mean, 4),
    }


def build_xmp(recipe: str | None, names_source: bool, metadata: Mapping[str, Any] | None = None) -> str:
    """An XMP packet with the ``recipe`` (JSON text), IPTC's digital source type if asked, ``metadata``."""
    lines = ["<xmp:CreatorTool>Cyclorama</xmp:CreatorTool>", *build_xmp_lines(metadata or {})]
    if names_source:
        lines.append(f"<Iptc4xmpExt:DigitalSourceType>{SOURCE_TYPE}</Iptc4xmpExt:DigitalSourceType>")
    if recipe is not None:
        recipe = FORBIDDEN.sub(lambda found: json.dumps(found[0])[1:-1], recipe)
        lines.append(f"<cyclorama:Recipe>{escape(recipe)}</cyclorama:Recipe>")
    spaces = {"xmp": _XMP, "Iptc4xmpExt": _IPTC, "cyclorama": _OURS} | NAMESPACES
    declared = " ".join(f'xmlns:{prefix}="{space}"' for prefix, space in spaces.items())
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}">\n'
        f'<rdf:Description rdf:about="" {declared}>\n'
        + "\n".join(lines)
        + "\n</rdf:Description></rdf:RDF></x:xmpmeta>\n"
        '<?xpacket end="r"?>'
    )
