"""How does a finished image become a file that keeps its colours, its recipe and where it comes from?

PNG and WebP without a quality are lossless: the file's pixels are the image's. JPEG, AVIF and WebP with a
quality are not, so in them the product guarantee holds for the image before it is encoded;
:func:`measure_encoding` says what encoding did to the product.

The recipe travels in PNG's text chunk ``cyclorama``, elsewhere in the XMP packet. The XMP packet also names
the image's kind in IPTC's vocabulary (digital source type), as shops and laws ask for machine-made
images.
"""

from __future__ import annotations

import io
import json
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image, PngImagePlugin, features

from cyclorama.errors import MissingDependencyError, SettingsError, UnreadableImageError
from cyclorama.imaging.compositing import compute_product_report

if TYPE_CHECKING:
    from cyclorama.imaging.product import Product
    from cyclorama.types import Pixels, Size

ImageFormat = Literal["png", "webp", "jpeg", "avif"]
IMAGE_FORMATS: tuple[str, ...] = get_args(ImageFormat)
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
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XMP = "http://ns.adobe.com/xap/1.0/"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_OURS = "urn:x-cyclorama:recipe/"


@dataclass(frozen=True)
class EncodingConfig:
    """The file format of finished images.

    Raises SettingsError for an unknown format or a quality outside its range, MissingDependencyError for a
    format that this machine's Pillow was built without.
    """

    format: ImageFormat = "png"
    quality: int | None = None
    """1-100 for JPEG, AVIF and WebP; None is lossless for PNG and WebP, 95 for JPEG, 90 for AVIF."""
    provenance: bool | None = None
    """Whether the file names IPTC's digital source type in XMP; None: in all formats but PNG."""

    def __post_init__(self) -> None:
        if self.format not in IMAGE_FORMATS:
            raise SettingsError(f"format must be one of {', '.join(IMAGE_FORMATS)}, got {self.format!r}")
        quality = self.quality
        if quality is not None:
            if self.format == "png":
                raise SettingsError(f"PNG is lossless and takes no quality, got {quality!r}; leave it out")
            if isinstance(quality, bool) or not isinstance(quality, int) or not 1 <= quality <= 100:
                raise SettingsError(f"quality must be 1 to 100, got {quality!r}")
        if self.format in ("webp", "avif") and not features.check(self.format):
            raise MissingDependencyError(
                f"this Pillow was built without {self.format.upper()}; install pillow 11.3 or newer from PyPI"
            )

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
        return self.format != "png" if self.provenance is None else self.provenance

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
        return values


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """An image file as :func:`decode_image` reads it."""

    pixels: Pixels
    """uint8 (H, W, 3)."""
    format: str
    metadata: dict[str, Any] | None
    """The recipe, if it carries one."""
    icc_profile: bytes | None
    source_type: str | None
    """IPTC's digital source type, if it is named."""


def encode_image(
    pixels: Pixels,
    metadata: dict[str, Any],
    icc_profile: bytes | None = None,
    config: EncodingConfig | None = None,
) -> bytes:
    """A file of ``pixels`` (H, W, 3) with ``metadata`` as its recipe and the colour profile kept.

    Invariants: equal arguments give equal bytes (of one Pillow); lossless formats decode to ``pixels``.
    Raises SettingsError if the format cannot hold the size.
    """
    config = config or EncodingConfig()
    config.check_size((pixels.shape[0], pixels.shape[1]))
    recipe = json.dumps(metadata, sort_keys=True, ensure_ascii=False, allow_nan=False)
    # Names of files may hold half characters, which no UTF-8 has; JSON's own escape of them is the same text.
    recipe = recipe.encode("utf-8", "backslashreplace").decode("utf-8")
    image = Image.fromarray(np.ascontiguousarray(pixels))
    buffer = io.BytesIO()
    options: dict[str, Any] = {"icc_profile": icc_profile}
    if config.format == "png":
        info = PngImagePlugin.PngInfo()
        info.add_itxt(METADATA_KEY, recipe)
        if config.names_source:
            info.add_itxt(_PNG_XMP, build_xmp(None, True))
        image.save(buffer, format="PNG", pnginfo=info, **options)
        return buffer.getvalue()
    options["xmp"] = build_xmp(recipe, config.names_source).encode("utf-8")
    if config.is_lossless:
        options |= {"lossless": True, "quality": 80, "method": 4, "exact": True}
    else:
        options["quality"] = config.quality or DEFAULT_QUALITY[config.format]
        # Full colour resolution: a product's red lettering is the first thing that subsampling smears.
        options |= _FULL_COLOUR[config.format]
    image.save(buffer, format=config.format.upper(), **options)
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
    recipe, source_type = _read_xmp(info.get("xmp") or info.get(_PNG_XMP))
    text = info.get(METADATA_KEY) or recipe
    metadata = json.loads(text) if isinstance(text, str) else None
    return DecodedImage(pixels, kind, metadata, info.get("icc_profile"), source_type)


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


def build_xmp(recipe: str | None, names_source: bool) -> str:
    """An XMP packet with the ``recipe`` (JSON text) and, if asked for, IPTC's digital source type."""
    lines = ["<xmp:CreatorTool>Cyclorama</xmp:CreatorTool>"]
    if names_source:
        lines.append(f"<Iptc4xmpExt:DigitalSourceType>{SOURCE_TYPE}</Iptc4xmpExt:DigitalSourceType>")
    if recipe is not None:
        lines.append(f"<cyclorama:Recipe>{escape(recipe)}</cyclorama:Recipe>")
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}">\n'
        f'<rdf:Description rdf:about="" xmlns:xmp="{_XMP}" xmlns:Iptc4xmpExt="{_IPTC}" '
        f'xmlns:cyclorama="{_OURS}">\n' + "\n".join(lines) + "\n</rdf:Description></rdf:RDF></x:xmpmeta>\n"
        '<?xpacket end="r"?>'
    )


def _read_xmp(packet: Any) -> tuple[str | None, str | None]:
    """(recipe, digital source type) of an XMP packet; what cannot be read is not there."""
    text = packet.decode("utf-8", "replace") if isinstance(packet, bytes) else packet
    if not isinstance(text, str) or "<!" in text:  # a packet needs no declarations; they can be bombs
        return None, None
    try:
        root = ElementTree.fromstring(text.strip("\x00 \n"))
    except ElementTree.ParseError:
        return None, None
    found = {
        name: next((node.text for node in root.iter(f"{{{space}}}{name}")), None)
        for space, name in ((_OURS, "Recipe"), (_IPTC, "DigitalSourceType"))
    }
    return found["Recipe"], found["DigitalSourceType"]
