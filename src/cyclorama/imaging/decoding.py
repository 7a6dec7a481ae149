"""How do the bytes of an image file become 8-bit RGB with straight alpha and a colour profile?

The format is decided by content: by signature, and for the ISO family by all brands that a file is compatible
with. What cannot be read is refused by its true name.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, ImageCms, TiffImagePlugin

from cyclorama.errors import AnimatedImageError, UnreadableImageError
from cyclorama.imaging.colour import SRGB, can_convert, read_profile, to_srgb
from cyclorama.types import Matte, Pixels

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")
"""Formats that are opened; a phone's MPO counts as JPEG. All others are refused by name (some, as EPS, would
start other programs)."""
SUFFIXES = {
    "PNG": {".png", ".apng"},
    "JPEG": {".jpg", ".jpeg", ".jpe", ".jfif"},
    "MPO": {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"},
    "WEBP": {".webp"},
    "TIFF": {".tif", ".tiff"},
    "BMP": {".bmp", ".dib"},
    "GIF": {".gif"},
    "PPM": {".ppm", ".pgm", ".pbm", ".pnm"},
    "JPEG2000": {".jp2", ".j2k", ".jpf", ".jpx"},
    "AVIF": {".avif"},
}
_SIGNATURES = {
    b"8BPS": "a Photoshop document",
    b"%!PS": "a PostScript file",
    b"\xc5\xd0\xd3\xc6": "a PostScript file",
    b"gimp xcf": "a GIMP document",
    b"\xff\x0a": "a JPEG XL image",
    b"\0\0\0\x0cJXL ": "a JPEG XL image",
    b"\x76\x2f\x31\x01": "an OpenEXR image",
    b"#?RADIANCE": "a Radiance HDR image",
    b"\0\0\1\0": "a Windows icon",
    b"DDS ": "a DirectX texture",
    b"qoif": "a QOI image",
    b"icns": "an Apple icon",
    b"\x01\xda": "an SGI image",
    b"\xd7\xcd\xc6\x9a": "a Windows metafile",
    b"PK\3\4": "a ZIP archive",
    b"version https://git-lfs": "a Git LFS pointer (`git lfs pull` fetches the file)",
    b"\x1f\x8b": "a gzip file",
    b"FUJIFILMCCD-RAW": "a camera's raw photo",
    b"II*\0\x10\0\0\0CR": "a camera's raw photo",
}
_HEVC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_EXTRA_SAMPLES, _BITS, _PHOTOMETRIC, _SUBFILE, _DNG_VERSION = 338, 258, 262, 254, 50706
_REDUCED_OR_MASK = 0b101
_GREY_ALPHA = ("PA", "LA", "La", "RGBA", "RGBa")


def open_image(data: bytes) -> Image.Image:
    """The image in ``data``, its header read.

    Raises UnreadableImageError (without the file's name) and Pillow's DecompressionBombError.
    """
    kind = _name_foreign(data)
    if kind:
        raise UnreadableImageError(f"is {kind}; export it as PNG or JPEG")
    if data[4:8] == b"ftyp" and data[8:12] not in (b"avif", b"avis", b"mif1", b"msf1"):
        data = data[:8] + b"avif" + data[12:]  # Pillow goes by the first brand
    try:
        Image.init()  # AVIF and JPEG 2000 depend on how Pillow was built
        image = Image.open(io.BytesIO(data), formats=[name for name in FORMATS if name in Image.OPEN])
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            if _DNG_VERSION in image.tag_v2:
                raise UnreadableImageError("is a camera's raw photo (DNG); export it as PNG or JPEG")
            if _has_unspecified(image) and image.mode != "CMYK":
                image = _TiffWithAlpha(io.BytesIO(data))
    except (UnreadableImageError, Image.DecompressionBombError):
        raise
    except Exception as error:  # Pillow's plugins raise nearly every class on hostile bytes
        stored = _describe_tiff(data) if data.startswith(_TIFF) else ""
        if stored:
            raise UnreadableImageError(
                f"is a TIFF with {stored}, which is not supported; save it as RGB with 8 bits and, where it "
                "has transparency, as PNG"
            ) from error
        raise UnreadableImageError(
            f"holds no readable image (first bytes {data[:8]!r}); use one of {', '.join(FORMATS)}"
        ) from error
    return image


def _name_foreign(data: bytes) -> str:
    """What a file is that is not opened; empty for one that may be an image."""
    head = data[:1024].lstrip().lower()
    if head.startswith(b"%pdf"):
        return "a PDF document"
    if b"<svg" in head:
        return "an SVG drawing"
    if head.startswith((b"<!doctype html", b"<html")):
        return "a web page (a failed download?)"
    if data[4:8] == b"ftyp":
        box = data[8 : min(int.from_bytes(data[:4], "big") or len(data), 4096)]
        brands = {box[:4], *(box[at : at + 4] for at in range(8, len(box), 4))}
        if brands & {b"avif", b"avis"}:
            return ""
        if brands & _HEVC:
            return "a HEIC photo"
        if brands & {b"mif1", b"msf1"}:
            return "a HEIF image that is no AVIF"
        return "a camera's raw photo" if b"crx " in brands else "a video or another ISO media file"
    if data.endswith(b"TRUEVISION-XFILE.\0"):
        return "a TGA image"
    return next((kind for start, kind in _SIGNATURES.items() if data.startswith(start)), "")


class _TiffWithAlpha(TiffImagePlugin.TiffImageFile):
    """A TIFF whose extra channel of unspecified meaning is read as alpha, where Pillow drops it."""

    def _setup(self) -> None:
        self.tag_v2[_EXTRA_SAMPLES] = (2, *self.tag_v2[_EXTRA_SAMPLES][1:])
        super()._setup()


def _has_unspecified(image: Image.Image) -> bool:
    extra = getattr(image, "tag_v2", {}).get(_EXTRA_SAMPLES)
    return bool(extra and extra[0] == 0)


def _describe_tiff(data: bytes) -> str:
    """How a TIFF stores its pixels, as far as its tags tell."""
    try:
        tags = TiffImagePlugin.ImageFileDirectory_v2(data[:8])
        stream = io.BytesIO(data)
        stream.seek(tags.next)
        tags.load(stream)
        spaces = {0: "grey", 1: "grey", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr", 8: "L*a*b*"}
        space = spaces.get(tags.get(_PHOTOMETRIC, -1), f"photometric {tags.get(_PHOTOMETRIC)}")
        alpha = " and alpha" if {1, 2} & set(tags.get(_EXTRA_SAMPLES, ())) else ""
        bits = tags.get(_BITS, (1,))
        return f"{space}{alpha} in {len(bits)} channels of {max(bits)} bits"
    except Exception:  # a damaged directory
        return ""


def check_frames(image: Image.Image) -> tuple[str, ...]:
    """Notes, if ``image`` holds one frame to use. Raises AnimatedImageError if it holds several."""
    frames = 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))
    if frames == 1:
        return ()
    if image.format == "TIFF" and frames <= 16 and _count_full_pages(image, frames) == 1:
        return (f"{frames - 1} pages are thumbnails or masks; not used",)
    what = "pages" if image.format == "TIFF" else "frames"
    raise AnimatedImageError(
        f"has {frames} {what} ({image.format}), 1 is allowed; export the one to use as PNG"
    )


def _count_full_pages(image: Image.Image, pages: int) -> int:
    full = []
    for page in range(pages):
        image.seek(page)
        if not int(image.tag_v2.get(_SUBFILE, 0)) & _REDUCED_OR_MASK:  # type: ignore[attr-defined]
            full.append(page)
    image.seek(full[0] if full else 0)
    return len(full)


def decode(
    image: Image.Image, data: bytes, name: str
) -> tuple[Pixels, Matte | None, bytes | None, tuple[str, ...]]:
    """(pixels, alpha, profile, notes) of an opened ``image`` of any mode, as stored; 8-bit bit for bit.

    ``data`` are its file's bytes (empty for a PIL image). Raises UnreadableImageError (without the name).
    """
    image.load()
    mode = image.mode
    unspecified = _has_unspecified(image)
    if mode in ("CMYK", "LAB"):
        pixels, notes = _convert_to_srgb(image)
        if unspecified or getattr(image, "tag_v2", {}).get(_EXTRA_SAMPLES):
            notes += ("a further channel (spot colour or alpha) is not used; save alpha as PNG",)
        return pixels, None, None, notes
    pixels, alpha = _split(image)
    profile, notes = read_profile(image, data, name)
    if profile is not None and not can_convert(SRGB, profile):
        pixels, profile = to_srgb(pixels, profile), None
        notes += ("embedded colour profile works one way only; colours converted to sRGB",)
    if _is_deep(image, data):
        notes += ("has 16 bits per channel; read with 8",)
    if isinstance(image, _TiffWithAlpha) and alpha is not None:
        if alpha.min() == alpha.max():
            alpha = None
        else:
            notes += ("its fourth channel has no stated meaning; taken as transparency",)
    return np.array(pixels, dtype=np.uint8, order="C"), alpha, profile, notes


def _split(image: Image.Image) -> tuple[Pixels, Matte | None]:
    mode = image.mode
    if mode in ("I;16", "I;16L", "I;16B", "I;16N", "I"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise UnreadableImageError(
                f"has 32-bit values from {values.min()} to {values.max()}; save it with 8 or 16 bits"
            )
        key = image.info.get("transparency")
        alpha = (values != key).astype(np.float32) if isinstance(key, int) else None
        return scale_to_bytes(values)[..., None].repeat(3, axis=2), alpha
    if mode in _GREY_ALPHA or (mode in ("RGB", "L", "1", "P") and "transparency" in image.info):
        rgba = np.asarray((image.convert("LA") if mode == "La" else image).convert("RGBA"))
        return rgba[..., :3], rgba[..., 3].astype(np.float32) / np.float32(255)
    if mode in ("RGB", "RGBX", "YCbCr", "HSV", "L", "1", "P"):
        return np.asarray(image.convert("RGB")), None
    raise UnreadableImageError(f"has colour mode {mode}, which is not supported; save it as 8-bit RGB")


def scale_to_bytes(values: Any) -> Pixels:
    """uint8 of values from 0 to 65535, rounded."""
    return np.asarray((values.astype(np.int64) * 255 + 32767) // 65535, dtype=np.uint8)


def _is_deep(image: Image.Image, data: bytes) -> bool:
    if image.format == "PNG" and len(data) > 24:
        return data[24] == 16
    bits = getattr(image, "tag_v2", {}).get(_BITS, ())
    return image.mode.startswith("I;16") or max(bits, default=8) > 8


def _convert_to_srgb(image: Image.Image) -> tuple[Pixels, tuple[str, ...]]:
    """sRGB of CMYK or L*a*b*; Adobe's inverted JPEGs were put right by the decoder."""
    embedded = image.info.get("icc_profile")
    note = "CMYK without a colour profile; converted by the plain formula"
    try:
        profile: Any = io.BytesIO(embedded) if embedded else None
        done = "CMYK converted to sRGB by its profile"
        if image.mode == "LAB":
            profile, done = ImageCms.createProfile("LAB"), "L*a*b* converted to sRGB"
        if profile is not None:
            converted = ImageCms.profileToProfile(image, profile, io.BytesIO(SRGB), outputMode="RGB")
            return np.array(converted, dtype=np.uint8), (done,)
    except (ImageCms.PyCMSError, OSError, ValueError):
        note = "CMYK with an unreadable colour profile; converted by the plain formula"
    return np.array(image.convert("RGB"), dtype=np.uint8), (note,)
