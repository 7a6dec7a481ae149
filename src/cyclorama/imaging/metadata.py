"""What does a photo say about itself and its rights that holds for an image made of it, too?

Kept are the resolution and the fields of the table below, whether the photo states them in XMP, IPTC, EXIF or
PNG text. Orientation, thumbnail, place and camera settings are not: they would be wrong or reveal too much.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from PIL import ExifTags, Image, IptcImagePlugin

_DC = "http://purl.org/dc/elements/1.1/"
_PHOTOSHOP = "http://ns.adobe.com/photoshop/1.0/"
_RIGHTS = "http://ns.adobe.com/xap/1.0/rights/"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
NAMESPACES = {"dc": _DC, "photoshop": _PHOTOSHOP, "xmpRights": _RIGHTS}
_LONGEST = 1000
"""Most characters of one text: a JPEG holds 64 KB of XMP."""
FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")
"""What XML cannot hold. EXIF parts photographer and editor by NUL."""


class _Field(NamedTuple):
    xmp: str
    container: str | None = None
    """XMP's container: Seq for several people, Alt for languages."""
    iptc: int | None = None
    exif: int | None = None
    png: str | None = None


FIELDS = {
    "title": _Field("dc:title", "Alt", 5, None, "Title"),
    "description": _Field("dc:description", "Alt", 120, ExifTags.Base.ImageDescription, "Description"),
    "creator": _Field("dc:creator", "Seq", 80, ExifTags.Base.Artist, "Author"),
    "copyright": _Field("dc:rights", "Alt", 116, ExifTags.Base.Copyright, "Copyright"),
    "credit": _Field("photoshop:Credit", None, 110),
    "source": _Field("photoshop:Source", None, 115, None, "Source"),
    "usage_terms": _Field("xmpRights:UsageTerms", "Alt"),
    "rights_url": _Field("xmpRights:WebStatement"),
}


def read_metadata(image: Image.Image) -> dict[str, Any]:
    """The texts of ``FIELDS`` that ``image`` states, and ``dpi`` (across, down); broken blocks count as
    empty."""
    try:
        exif = image.getexif()
        iptc: Mapping[Any, Any] = IptcImagePlugin.getiptcinfo(image) or {}  # type: ignore[arg-type]
    except Exception:  # free-form bytes
        exif, iptc = Image.Exif(), {}
    packet = read_packet(image.info.get("xmp") or image.info.get("XML:com.adobe.xmp"))
    found: dict[str, Any] = {}
    for name, field in FIELDS.items():
        prefix, _, label = field.xmp.partition(":")
        texts = (
            "" if packet is None else find_text(packet, NAMESPACES[prefix], label),
            _decode(iptc.get((2, field.iptc))),
            _decode(exif.get(field.exif)) if field.exif else "",
            _decode(image.info.get(field.png)) if field.png else "",
        )
        text = next(filter(None, texts), "")[:_LONGEST]
        if text:
            found[name] = text
    dpi = _read_dpi(image, exif)
    return found | ({"dpi": dpi} if dpi else {})


def _read_dpi(image: Image.Image, exif: Image.Exif) -> list[float]:
    """Pixels per inch (across, down); empty where nothing is stated, though Pillow may assume 72."""
    dpi = image.info.get("dpi")
    stated = ExifTags.Base.XResolution in exif
    if stated and (dpi is None or image.info.get("jfif_unit") == 0):
        factor = {2: 1.0, 3: 2.54}.get(exif.get(ExifTags.Base.ResolutionUnit, 2), 0.0)
        across = exif[ExifTags.Base.XResolution]
        with suppress(TypeError, ValueError, ZeroDivisionError):
            dpi = [float(v) * factor for v in (across, exif.get(ExifTags.Base.YResolution, across))]
    elif image.format in ("JPEG", "MPO") and not image.info.get("jfif_unit"):
        dpi = None
    if not dpi or not all(1 < value < 1e6 for value in dpi):
        return []
    return [float(round(v)) if abs(v - round(v)) < 0.02 else round(float(v), 2) for v in dpi]


def read_packet(packet: Any) -> ElementTree.Element | None:
    """The XML of an XMP packet; None for what cannot be read."""
    text = packet.decode("utf-8", "replace") if isinstance(packet, bytes) else packet
    if not isinstance(text, str) or "<!" in text:  # a packet needs no declarations; they can be bombs
        return None
    try:
        return ElementTree.fromstring(text.strip("\x00 \n"))
    except ElementTree.ParseError:
        return None


def find_text(packet: ElementTree.Element, space: str, name: str) -> str:
    """A property of an XMP packet, be it element, list or attribute; several items are joined by ``; ``."""
    key = f"{{{space}}}{name}"
    for node in packet.iter():
        if key in node.attrib:
            return str(node.attrib[key])
        if node.tag == key:
            items = [item.text or "" for item in node.iter(f"{{{RDF}}}li")]
            return "; ".join(filter(None, items)) or (node.text or "").strip()
    return ""


def _decode(value: object) -> str:
    """Text of bytes or of what Pillow read as Latin-1; most writers mean UTF-8."""
    if isinstance(value, list):
        return "; ".join(filter(None, map(_decode, value)))
    if not isinstance(value, str | bytes):
        return ""
    text = value if isinstance(value, str) else value.decode("latin-1")
    with suppress(UnicodeError):
        text = text.encode("latin-1").decode("utf-8")
    return _join_parts(text.strip("\0 "))


def _join_parts(text: str) -> str:
    """``text`` with ``; `` for what XML forbids."""
    parts = FORBIDDEN.split(text)
    return "; ".join(filter(None, (part.strip() for part in parts))) if len(parts) > 1 else text


def build_exif(metadata: Mapping[str, Any]) -> bytes:
    """An EXIF block of the texts that EXIF has a place for, and of the resolution; empty for nothing."""
    exif = Image.Exif()
    for name, field in FIELDS.items():
        if field.exif and name in metadata:
            exif[field.exif] = metadata[name].encode("utf-8", "replace")
    if "dpi" in metadata:
        exif[ExifTags.Base.XResolution], exif[ExifTags.Base.YResolution] = metadata["dpi"]
        exif[ExifTags.Base.ResolutionUnit] = 2  # per inch
    return exif.tobytes() if len(exif) else b""


def build_xmp_lines(metadata: Mapping[str, Any]) -> list[str]:
    """The texts as elements of an XMP packet (prefixes as in ``NAMESPACES``)."""
    lines = []
    for name, field in FIELDS.items():
        if name in metadata:
            text = escape(_join_parts(metadata[name]))
            if field.container is not None:
                language = ' xml:lang="x-default"' if field.container == "Alt" else ""
                item = f"<rdf:li{language}>{text}</rdf:li>"
                text = f"<rdf:{field.container}>{item}</rdf:{field.container}>"
            lines.append(f"<{field.xmp}>{text}</{field.xmp}>")
    return lines


def build_iptc_segment(metadata: Mapping[str, Any]) -> bytes:
    """A JPEG segment (APP13) with the texts as IPTC records in UTF-8; empty for nothing."""
    records = b"".join(
        struct.pack(">BBBH", 0x1C, 2, field.iptc, len(text)) + text
        for name, field in FIELDS.items()
        if field.iptc and (text := metadata.get(name, "").encode("utf-8", "replace"))
    )
    if not records:
        return b""
    records = b"\x1c\x01\x5a\x00\x03\x1b%G" + records  # the character set is UTF-8
    block = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">I", len(records)) + records
    block += b"\0" * (len(records) % 2)
    return b"\xff\xed" + struct.pack(">H", len(block) + 2) + block
