"""Numbers that imaging gives on drawn input; ``tests/unit/test_numbers.py`` compares them with stored ones.

``python tests/numbers_of_images.py`` stores new ones after a change that is meant.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cyclorama import tensors
from cyclorama.errors import CycloramaError
from cyclorama.imaging import (
    clipping,
    colour,
    compositing,
    cutout,
    decoding,
    formats,
    inputs,
    keying,
    layers,
    layout,
    loading,
    masks,
    matting,
    metadata,
    parts,
    product,
    transforms,
)

STORED = Path(__file__).with_name("numbers_of_images.json")
Y, X = np.mgrid[:120, :100]


def sum_up(value: Any) -> Any:
    """Plain values: arrays as shape, mean, spread and two weighted sums; numbers with 6 digits."""
    if isinstance(value, np.ndarray) and not value.size:
        return list(value.shape)
    if isinstance(value, np.ndarray):
        flat = value.astype(np.float64).ravel()
        weights = [np.cos(0.7 * np.arange(flat.size)), np.sin(0.013 * np.arange(flat.size))]
        sums = [float(flat @ w) / max(1.0, flat.size**0.5) for w in weights]
        return [*value.shape, *(float(f"{v:.6g}") for v in (flat.mean(), flat.std(), *sums))]
    if isinstance(value, bytes):
        return sum_up(np.frombuffer(value, np.uint8))
    if isinstance(value, dict):
        return {str(key): sum_up(item) for key, item in value.items()}
    if isinstance(value, list | tuple | slice):
        return [sum_up(v) for v in ([value.start, value.stop] if isinstance(value, slice) else value)]
    if isinstance(value, bool | np.bool_ | str) or value is None:
        return value if isinstance(value, str) or value is None else bool(value)
    return float(f"{float(value):.6g}")


def attempt(call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """What ``call`` gives, or its error in words."""
    try:
        return call(*arguments, **options)
    except CycloramaError as error:
        return f"{type(error).__name__}: {error}"


def draw_disc(y: float = 60, x: float = 50, radius: float = 28, softness: float = 1.0) -> np.ndarray:
    return np.clip((radius - np.hypot(Y - y, X - x)) / softness + 0.5, 0, 1).astype(np.float32)


def draw_photo(alpha: np.ndarray, ground: float = 245, seed: int = 0, noise: float = 0.6) -> np.ndarray:
    """A striped product over a plain ground that darkens downwards."""
    random = np.random.default_rng(seed)
    own = np.dstack([160 + 50 * np.sin(X / 7), 60 + 30 * np.cos(Y / 9), 40 + 0.4 * X])
    behind = ground - 0.03 * Y[..., None] + random.normal(0, noise, (*Y.shape, 3))
    return np.rint(np.clip(alpha[..., None] * own + (1 - alpha[..., None]) * behind, 0, 255)).astype(np.uint8)


def count_clipping() -> dict[str, Any]:
    def outline(points: list[tuple[float, ...]], operation: int, selector: int = 0) -> bytes:
        data = struct.pack(">HHh20x", selector, len(points), operation)
        for point in points:
            data += struct.pack(">H", 1 if selector == 0 else 4)
            data += struct.pack(">6i", *(round(v * 2**24) for v in point))
        return data

    def box(
        left: float, top: float, right: float, bottom: float, bend: float = 0.0
    ) -> list[tuple[float, ...]]:
        corners = ((top, left), (top, right), (bottom, right), (bottom, left))
        return [(y - bend, x + bend, y, x, y + bend, x - 2 * bend) for y, x in corners]

    size = (300, 40)
    found: dict[str, Any] = {}
    for operation in (-1, 0, 1, 2, 3):
        for filled in (0, 1):
            data = struct.pack(">HH22x", 8, filled) + outline(box(0.1, 0.1, 0.7, 0.93), 1)
            data += outline(box(0.3, 0.2, 0.9, 0.6, 0.05), operation) + outline(box(0, 0, 1, 1), 0, 3)[:26]
            found[f"{operation} {filled}"] = clipping.draw_path(data, size)
    return found


def count_colour() -> dict[str, Any]:
    steps = np.linspace(0, 255, 6).astype(np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(12, 18, 3)
    wide = colour.build_profile("wide", (0.708, 0.292, 0.17, 0.797, 0.131, 0.046), (1.8,), (0.31, 0.33))
    curved = colour.build_profile("curve", (0.63, 0.34, 0.31, 0.595, 0.155, 0.07), (2.2, 0.9, 0.1, 0.2, 0.08))
    found: dict[str, Any] = {"lab": colour.to_lab(grid), "low": colour.to_lab(np.full((1, 3), 9, np.uint8))}
    for name, profile in (
        ("srgb", colour.SRGB),
        ("adobe", colour.ADOBE_RGB),
        ("wide", wide),
        ("curved", curved),
    ):
        found[name] = [profile, colour.to_srgb(grid, profile), colour.from_srgb(grid, profile)]
    for gamma, chromaticity in (
        (None, None),
        (0.4545, None),
        (0.4504, None),
        (0.45, None),
        (0.6, (0.31, 0.33, *([0.6, 0.3] * 3))),
    ):
        image = Image.new("RGB", (2, 2))
        image.info |= {} if gamma is None else {"gamma": gamma}
        image.info |= (
            {} if chromaticity is None else {"chromaticity": (*chromaticity[:4], 0.3, 0.6, 0.15, 0.06)}
        )
        found[f"gamma {gamma}"] = colour.read_profile(image, b"", "x")
    for codes in (
        (1, 1),
        (1, 13),
        (1, 8),
        (9, 14),
        (12, 13),
        (4, 4),
        (5, 5),
        (11, 8),
        (2, 2),
        (1, 2),
        (9, 16),
        (9, 18),
        (3, 1),
    ):
        data = b"\x89PNG...." + b"\0\0\0\4cICP" + bytes([*codes, 0, 1]) + b"....IDAT"
        found[f"codes {codes}"] = attempt(colour.read_profile, Image.new("RGB", (2, 2)), data, "x")
        data = b"\0\0\0\x1cftypavif....colrnclx" + struct.pack(">HHHB", *codes, 1, 128)
        for short in (0, 3, 4):
            found[f"nclx {codes} {short}"] = attempt(
                colour.read_profile, Image.new("RGB", (2, 2)), data[: len(data) - short], "x"
            )
    for space in (1, 2, 0xFFFF):
        for name in ("a.jpg", "_a.jpg"):
            image = Image.new("RGB", (2, 2))
            image.getexif().get_ifd(0x8769)[0xA001] = space
            found[f"exif {space} {name}"] = colour.read_profile(image, b"", name)
    return found


def draw_products() -> list[product.Product]:
    discs = draw_disc(), draw_disc(30, 40, 22, 3.0), draw_disc(80, 99, 30, 1.5)
    return [product.Product(draw_photo(disc, 200, n), disc, name=str(n)) for n, disc in enumerate(discs)]


def count_compositing() -> dict[str, Any]:
    found: dict[str, Any] = {}
    random = np.random.default_rng(3)
    for n, one in enumerate(draw_products()):
        plate = random.integers(0, 256, one.pixels.shape, dtype=np.uint8)
        output = compositing.composite(plate.astype(np.float32) + 0.4, one)
        wrong = output.copy()
        wrong[55:58, 45:52] ^= 3
        shadow = compositing.compute_contact_shadow(one.matte, (0.3, 0.55, 0.8)[n])
        dark = compositing.apply_shadow(plate, shadow)
        report = compositing.compute_product_report(wrong, one)
        pieces = layers.build_layers(compositing.composite(dark, one), plate, one, shadow)
        files = [layers.encode_psd([("a", rgba)], plate) for _, rgba in pieces.list_rgba()]
        made = [pieces.plate, pieces.product, pieces.shadow, layers.flatten(pieces)]
        found[str(n)] = [output, compositing.composite(plate, one), shadow, dark, made, files]
        found[f"report {n}"] = report.describe()
    sides = {side: attempt(layers.check_layer_format, "psd", (side, 10)) for side in (30_000, 30_001)}
    return found | {"sides": sides}


def count_decoding() -> dict[str, Any]:
    random = np.random.default_rng(4)
    base = Image.fromarray(random.integers(0, 256, (9, 11, 4), dtype=np.uint8), "RGBA")
    found: dict[str, Any] = {}
    for mode in ("RGB", "L", "LA", "1", "P", "RGBA", "YCbCr", "CMYK", "LAB", "HSV", "F"):
        image = base.convert("RGB").convert(mode) if mode not in ("LA", "RGBA") else base.convert(mode)
        found[mode] = attempt(decoding.decode, image, b"", "x")
    deep = (np.arange(99).reshape(9, 11) * 661).astype(np.uint16)
    for key in (None, 661, 5):
        image = Image.fromarray(deep)
        image.info |= {} if key is None else {"transparency": key}
        found[f"deep {key}"] = decoding.decode(image, b"", "x")
    for low, high in ((0, 65535), (-1, 9), (0, 65536)):
        values = np.full((3, 3), high, np.int32)
        values[0, 0] = low
        found[f"I {low} {high}"] = attempt(decoding.decode, Image.fromarray(values), b"", "x")
    found["scaled"] = decoding.scale_to_bytes(np.arange(0, 65536, 37))
    for head in (
        b"%PDF",
        b" <svg",
        b"<html",
        b"8BPS",
        b"\1\xda",
        b"....ftypheic....",
        b"....ftypmp42....",
        b"....ftypcrx ....",
    ):
        found[repr(head)] = attempt(decoding.open_image, head + b"\0" * 40)
    for width, bits in (((3,), (8,)), ((4,), (16,)), ((5,), (32,))):
        stream = io.BytesIO()
        Image.new("I;16" if bits == (16,) else "RGB", (4, 4)).save(stream, "TIFF")
        found[f"tiff {width}"] = attempt(lambda s=stream: decoding.open_image(s.getvalue()[:-200]).size)
    return found


def count_formats() -> dict[str, Any]:
    one = draw_products()[0]
    found: dict[str, Any] = {}
    for file_format, quality in (("png", None), ("webp", None), ("jpeg", None), ("jpeg", 60)):
        config = formats.EncodingConfig(format=file_format, quality=quality)
        data = formats.encode_image(one.pixels, {"a": 1}, None, config, {"title": "T", "dpi": [300.0, 150.0]})
        read = formats.decode_image(data)
        found[f"{file_format} {quality}"] = [config.describe(), config.names_source, config.is_lossless]
        found[f"{file_format} {quality} read"] = [read.recipe, read.source_type, read.format]
        found[f"{file_format} {quality} exact"] = (
            formats.measure_encoding(data, one)["file_max_difference"] == 0
        )
        with Image.open(io.BytesIO(data)) as image:
            found[f"{file_format} {quality} metadata"] = metadata.read_metadata(image)
    for file_format, limit in formats.MAX_SIDES.items():
        config = formats.EncodingConfig(format=file_format)
        found[f"side {file_format}"] = [
            attempt(lambda c=config, s=limit + n: c.check_size((9, s))) for n in (0, 1)
        ]
    for dpi in ([300.0, 300.0], [72.01, 72.03], [1.0, 300.0], [1.5, 2.0], [1e6, 10.0]):
        exif = metadata.build_exif({"dpi": dpi})
        image = Image.new("RGB", (4, 4))
        stream = io.BytesIO()
        image.save(stream, "WEBP", exif=exif)
        with Image.open(stream) as image:
            found[f"dpi {dpi}"] = metadata.read_metadata(image)
    segment = metadata.build_iptc_segment({"title": "Häuser", "creator": "A", "credit": "odd"})
    return found | {"segment": segment, "none": metadata.build_iptc_segment({})}


def count_inputs() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for shape in (
        (6, 7),
        (6, 7, 1),
        (6, 7, 3),
        (3, 6, 7),
        (4, 6, 7),
        (1, 6, 7, 3),
        (2, 6, 7, 3),
        (6, 7, 5),
        (3, 3, 3),
        (4, 9, 2),
        (0, 4),
    ):
        array = np.arange(np.prod(shape)).reshape(shape).astype(np.uint8)
        found[f"shape {shape}"] = attempt(inputs.read_image, array)
        found[f"one {shape}"] = inputs.is_one(array)
    for low, high in (
        (0, 1),
        (0, 1.0009),
        (0, 1.002),
        (0, 2),
        (0, 2.1),
        (0, 255),
        (0, 255.5),
        (-1, 1),
        (-1.002, 1),
        (-0.1, 1),
        (-3, 3),
    ):
        array = np.linspace(low, high, 24).reshape(4, 6)
        found[f"float {low} {high}"] = attempt(inputs.read_image, array)
        found[f"float mask {low} {high}"] = attempt(inputs.read_mask, array)
    for kind in ("uint8", "uint16", "int32", "int64"):
        for low, high in ((0, 1), (0, 2), (0, 255), (0, 256), (-1, 9), (0, 65535)):
            array = np.linspace(low, high, 24).reshape(4, 6).astype(kind)
            found[f"{kind} {low} {high}"] = attempt(inputs.read_image, array)
            found[f"{kind} mask {low} {high}"] = attempt(inputs.read_mask, array)
    both = np.dstack([np.full((4, 5, 3), 200.0), np.linspace(0, 1, 20).reshape(4, 5)])
    names = [inputs.find_name(v) for v in ("a/b.png", "https://host/c.jpg?x=1", b"x", Path("d"))]
    addresses = [
        inputs.is_address(v) for v in ("https://a/b", "file:///a", "C:/a", "data:image/png", "a.png", 3)
    ]
    return found | {"alpha": inputs.read_image(both), "names": names, "addresses": addresses}


def count_keying() -> dict[str, Any]:
    found: dict[str, Any] = {}
    ring = draw_disc(radius=40) * (1 - draw_disc(radius=16))
    shadow = 90 * np.exp(-(((Y - 92) / 6.0) ** 2) - ((X - 70) / 22.0) ** 2)
    box = ((Y > 30) & (Y < 92) & (X > 30) & (X < 70)).astype(np.float32)
    pale = np.where(box[..., None] > 0, 240, 255) + np.random.default_rng(5).normal(0, 0.3, (*Y.shape, 3))
    photos = {
        "disc": draw_photo(draw_disc()),
        "noisy": draw_photo(draw_disc(), noise=1.3),
        "grey": draw_photo(draw_disc(), 190),
        "dark": draw_photo(draw_disc(), 160),
        "ring": draw_photo(ring),
        "shadow": np.clip(draw_photo(box) - shadow[..., None] * (1 - box[..., None]), 0, 255).astype(
            np.uint8
        ),
        "pale": np.clip(np.rint(pale), 0, 255).astype(np.uint8),
        "cut": draw_photo(draw_disc(100, 50, 40)),
        "specks": draw_photo(np.maximum(draw_disc(), draw_disc(20, 20, 2.5))),
        "framed": np.pad(draw_photo(draw_disc())[3:-3, 3:-3], ((3, 3), (3, 3), (0, 0))),
        "empty": draw_photo(np.zeros_like(ring)),
    }
    for name, pixels in photos.items():
        for config in (
            keying.KeyingConfig(),
            keying.KeyingConfig(working_side=64, shadows=False, hole_share=0.2),
        ):
            keyed = keying.key_studio_background(pixels, config)
            found[f"{name} {config.working_side}"] = [keyed.matte, keyed.reason, keyed.notes]
        found[f"frame {name}"] = parts.find_frame(pixels)
    large = np.kron(photos["disc"], np.ones((3, 3, 1), np.uint8))
    hard = np.kron(draw_disc(), np.ones((3, 3))) > 0.5
    return found | {
        "tiles": keying.soften_outline(large, hard, 3),
        "thin": keying.soften_outline(large, hard, 40),
    }


def count_layout() -> dict[str, Any]:
    found: dict[str, Any] = {}
    wanted: list[dict[str, Any]] = [
        {},
        {"size": (150, 90)},
        {"aspect": (3, 4)},
        {"aspect": (4, 3)},
        {"size": (64, 64)},
    ]
    for place in ("center", "top", "bottom", "left", "right", "top-left", "bottom-right"):
        wanted += [
            {"placement": place, "size": (140, 161), "margin": 0.1},
            {"placement": place, "product_scale": 0.6},
        ]
    wanted += [
        {"placement": "center", "margin": 0.45},
        {"product_scale": 0.9, "margin": 0.05, "size": (200, 64)},
    ]
    for n, one in enumerate(draw_products()):
        for values in wanted:
            plan = attempt(layout.CanvasLayout, **values)
            if isinstance(plan, str):
                found[f"{n} {values}"] = plan
                continue
            placed = plan.place(one)
            found[f"{n} {values}"] = [
                plan.describe(),
                plan.compute_placement(one).describe(),
                plan.makes_room,
            ]
            found[f"{n} {values} placed"] = [placed.pixels, placed.matte, placed.foreground]
    for aspect in ((1, 10), (1, 11), (10, 1), (0, 1)):
        found[f"aspect {aspect}"] = attempt(
            lambda a=aspect: layout.CanvasLayout(aspect=a).compute_size((500, 400))
        )
    for scale in (0.75, 0.76, 0.7500000001):
        values = {"size": (100, 200), "margin": 0.25, "product_scale": scale}
        found[f"scale {scale}"] = attempt(lambda v=values: layout.CanvasLayout(**v).keeps)
    found["large"] = [
        attempt(lambda s=side: layout.CanvasLayout(aspect=(1, 10)).compute_size((s, 10)))
        for side in (3162, 3163)
    ]
    faint = np.full((9, 9), 0.049, np.float32)
    found["faint"] = [str(layout.find_box(faint)), str(layout.find_box(np.where(Y[:9, :9] > 3, 0.05, faint)))]
    return found


def count_loading() -> dict[str, Any]:
    limits = loading.LoadLimits(pixels=300, side=16, file_bytes=20)
    found: dict[str, Any] = {
        f"size {size}": attempt(limits.check_size, "x", *size)
        for size in ((15, 20), (16, 16), (15, 16), (16, 18), (18, 17), (20, 15))
    }
    found |= {f"bytes {size}": attempt(limits.check_bytes, "x", size) for size in (0, 1, 20, 21)}
    pixels = draw_photo(draw_disc())
    for orientation in range(10):
        exif = Image.Exif()
        exif[0x0112] = orientation
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG", exif=exif)
        loaded = loading.load_image(stream.getvalue())
        found[f"turned {orientation}"] = [loaded.pixels, loaded.notes]
    for array in (
        pixels[..., 0],
        pixels[..., :1] > 99,
        pixels.astype(np.uint16) * 257,
        np.dstack([pixels, pixels[..., 0]]),
    ):
        loaded = loading.load_image(array)
        found[f"array {array.dtype} {array.shape}"] = [loaded.pixels, loaded.alpha]
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    path = Path("x.jpg")
    found["cut"] = attempt(lambda: loading.load_image(stream.getvalue()[:-300]).pixels)
    return found | {"missing": attempt(lambda: loading.load_image(path))}


def count_masks() -> dict[str, Any]:
    disc, found = draw_disc(), {}
    for count in (23, 24, 63, 64, 65):
        mask = np.zeros((120, 200), np.float32)
        mask.flat[:count] = 0.5
        found[f"least {count}"] = attempt(masks.check_mask, mask)
        found[f"free {count}"] = attempt(lambda m=1 - mask * 1.1: masks.check_mask(m.astype(np.float32)))
    for count in (99, 100, 101):
        mask = np.zeros((250, 400), np.float32)
        mask.flat[:count] = 1
        found[f"share {count}"] = attempt(masks.check_mask, mask)
        found[f"ground {count}"] = attempt(masks.check_mask, 1 - np.repeat(mask, 2, 1)[:, :400])
    for name, part in {
        "corners": disc,
        "turned": 1 - disc,
        "three": np.where((Y > 100) & (X > 80), 0, 1 - disc),
    }.items():
        found[name] = masks.detect_inversion(part.astype(np.float32))
    for rows in (25, 26, 30, 40, 60, 80, 90):
        frame = np.ones((100, 80), np.float32)
        frame[5:rows] = 0
        found[f"border {rows}"] = [
            masks.detect_inversion(frame),
            attempt(masks.load_mask, frame, frame.shape),
        ]
    found["shape"] = [
        masks.has_shape(np.where(np.arange(1000) < n, 0.5, 1).reshape(10, 100)) for n in (0, 1, 2)
    ]
    found["soft"] = [masks.is_soft(draw_disc(softness=s)) for s in (0.01, 0.7, 1.0, 2.0, 4.0)]
    solid = disc > 0.5
    for radius in (0, 1, 2, 5.5, 60):
        found[f"radius {radius}"] = [masks.erode(solid, radius), masks.dilate(solid, radius)]
    found["window"] = [masks.find_window(solid, m) for m in (0, 7, 99)]
    photo = draw_photo(disc)
    found["grown"] = [masks.grow_mask(disc), masks.fill_product(photo, disc)]
    for size in ((240, 200), (241, 200), (243, 200), (237, 200), (100, 120), (60, 51)):
        found[f"fit {size}"] = attempt(masks.load_mask, disc, size)
    levels = np.where(disc > 0.5, 250, np.where(X > 50, 11, 13)).astype(np.uint8)
    for file_format in ("PNG", "JPEG"):
        stream = io.BytesIO()
        Image.fromarray(levels).save(stream, file_format, quality=100)
        found[f"snapped {file_format}"] = masks.load_mask(stream.getvalue(), levels.shape)
    for spread, share in ((24, 1.0), (25, 1.0), (90, 0.004), (90, 0.006)):
        grey = np.dstack([levels] * 3)
        grey[: round(120 * share), :, 0] = np.minimum(grey[: round(120 * share), :, 0], 200) + spread
        grey[..., 1:] = np.minimum(grey[..., 1:], 200)
        found[f"coloured {spread} {share}"] = attempt(masks.load_mask, grey, levels.shape)
    for top in (1, 2, 3):
        found[f"labels {top}"] = attempt(
            masks.load_mask, np.where(disc > 0.5, top, 0).astype(np.uint16) * 257, disc.shape
        )
    for wrong in (
        disc * 1.01,
        disc - 0.01,
        disc[..., None],
        disc.astype(int),
        np.where(disc > 0.9, np.nan, disc),
    ):
        found[f"matte {len(found)}"] = attempt(masks.check_matte, wrong, disc.shape, "m")
    return found


def count_matting() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for n, (alpha, ground) in enumerate(
        ((draw_disc(softness=3), 220), (draw_disc(50, 30, 25, 5), 30), (draw_disc(softness=8), 128))
    ):
        pixels = draw_photo(alpha, ground, n)
        found[f"spill {n}"] = matting.measure_spill(pixels, alpha)
        found[f"colours {n}"] = matting.estimate_foreground(pixels, alpha)
        for side in (64, 512):
            config = matting.MattingConfig(working_side=side, rim_share=0.03)
            found[f"matte {n} {side}"] = matting.estimate_matte(
                pixels, (alpha > 0.5).astype(np.float32), config
            )
    tall = np.kron(draw_photo(draw_disc(softness=3), 220), np.ones((5, 1, 1), np.uint8))
    found["tiles"] = matting.estimate_foreground(
        tall, np.kron(draw_disc(softness=3), np.ones((5, 1), np.float32))
    )
    hidden = np.where(draw_disc(softness=3)[..., None] > 0, draw_photo(draw_disc(softness=3), 90), 90).astype(
        np.uint8
    )
    found["hidden"] = matting.measure_spill(hidden, draw_disc(softness=3))
    return found | {"few": matting.measure_spill(hidden, draw_disc(radius=3))}


def count_parts() -> dict[str, Any]:
    found: dict[str, Any] = {}
    body = ((Y > 30) & (Y < 90) & (X > 30) & (X < 70)).astype(np.float32)
    for size in (1, 2, 3, 4):
        for place in ((10, 10), (40, 74), (40, 76), (40, 95), (0, 50)):
            matte = body.copy()
            matte[place[0] : place[0] + size, place[1] : place[1] + size] = 1
            found[f"speck {size} {place}"] = parts.drop_specks(matte)
    for size in (3, 4, 12, 24, 28):
        matte = body.copy()
        matte[2 : 2 + size, 72 : 72 + size] = 1
        found[f"badge {size}"] = parts.drop_specks(matte)[1]
    pixels = draw_photo(body, 0)
    for depth in (0.2, 0.5, 0.85):
        for reach in (3, 8, 16):
            shade = depth * np.exp(-(((Y - 90) / reach) ** 2) - ((X - 60) / 25) ** 2)
            for edge in (0.0, 0.18):
                matte = np.maximum(body, np.where(shade > edge, shade, 0)).astype(np.float32)
                found[f"shade {depth} {reach} {edge}"] = parts.drop_soft_shadow(pixels, matte)
    for strength in (0.1, 0.3, 0.7, 0.8):
        for fade in (0, 0.02):
            mirror = np.zeros_like(body)
            mirror[90:118] = body[62:90][::-1] * np.clip(strength - fade * np.arange(28), 0, 1)[:, None]
            whole = np.where(Y[..., None] < 90, pixels, pixels[np.clip(179 - Y, 0, 119), X])
            found[f"mirror {strength} {fade}"] = parts.drop_reflection(whole, body + mirror, True)
            shown = np.where(
                Y[..., None] < 90, draw_photo(body, 250, noise=0), 250 + mirror[..., None] * (whole - 250.0)
            )
            found[f"shown {strength} {fade}"] = parts.drop_reflection(
                shown.astype(np.uint8), np.minimum(1, body + (mirror > 0)), False
            )
    for thick in (1, 2, 3, 4, 6, 7):
        for sides in (((thick, 0), (0, 0)), ((thick, thick), (thick, 0)), ((thick, thick), (thick, thick))):
            framed = np.pad(draw_photo(draw_disc(), 240), (*sides, (0, 0)), constant_values=200)
            found[f"line {thick} {sides}"] = parts.find_frame(framed)
    return found


def count_drawn_parts() -> dict[str, Any]:
    """The same on many drawn cases: specks, shadows, mirror images and frames of all sizes."""
    found: dict[str, Any] = {}
    for seed in range(40):
        random = np.random.default_rng(seed)
        height, width = (int(v) for v in random.integers(60, 420, 2))
        y, x = np.mgrid[:height, :width]
        top, left = height // 4, width // 4
        body = ((y >= top) & (y < 3 * top) & (x >= left) & (x < 3 * left)).astype(np.float32)
        specks = body.copy()
        for _ in range(4):
            size = int(random.integers(1, 2 + height // 12))
            row, column = int(random.integers(0, height - size)), int(random.integers(0, width - size))
            level = random.choice([0.049, 0.05, 0.5, 1.0])
            specks[row : row + size, column : column + size] = np.float32(level)
        found[f"specks {seed}"] = parts.drop_specks(specks)
        shade = random.uniform(0.1, 0.95) * np.exp(
            -(((y - 3 * top) / random.uniform(1, 25)) ** 2)
            - ((x - width * random.uniform(0.3, 0.8)) / random.uniform(5, 60)) ** 2
        )
        shade = np.where(shade > random.choice([0.005, 0.01, 0.1, 0.15, 0.2]), shade, 0)
        colour = random.integers(0, 70, 3) if seed % 3 else np.full(3, random.choice([0, 40, 64, 65]))
        own = np.where(body[..., None] > 0, 128 + 90 * np.sin(y / 5 + x / 9)[..., None], colour)
        matte = np.maximum(body, shade).astype(np.float32)
        found[f"shadow {seed}"] = parts.drop_soft_shadow(own.astype(np.uint8), matte)
        foot, reach = 3 * top, int(random.integers(3, top + 1))
        waist = body * (np.abs(x - 2 * left) < left * random.uniform(0.5, 1.2))
        if seed % 2:
            waist[foot - 4 : foot] *= np.abs(x[:4] - 2 * left) < left * random.uniform(0.3, 1)
        shown = np.where(waist[..., None] > 0, (120 + 100 * np.sin(y / random.uniform(2, 40)))[..., None], 0)
        fading = np.clip(random.uniform(0, 0.9) - random.uniform(0, 0.03) * np.arange(reach), 0, 1)
        mirror = waist.copy()
        mirror[foot : foot + reach] = waist[foot - reach : foot][::-1] * fading[:, None]
        shown[foot : foot + reach] = shown[foot - reach : foot][::-1]
        end = foot + reach if seed % 4 == 0 else height
        shown, mirror = shown.astype(np.uint8)[:end], mirror[:end].astype(np.float32)
        found[f"mirror {seed}"] = parts.drop_reflection(shown, mirror, True)
        plain = np.rint(shown * mirror[..., None] + 250 * (1 - mirror[..., None])).astype(np.uint8)
        found[f"on white {seed}"] = parts.drop_reflection(plain, (mirror > 0).astype(np.float32), False)
        thick = [int(v) for v in random.integers(0, 2 + max(3, min(height, width) // 20), 4)]
        framed = np.clip(random.normal(235, 1, (height, width, 1)).repeat(3, 2), 0, 255)
        step = random.choice([8, 12, 13, 40])
        for turn, depth in enumerate(thick):
            framed = np.rot90(framed, turn)
            framed[:depth] -= step + random.integers(0, 60, (1, framed.shape[1], 1)) * (seed % 5 == 0)
        found[f"frame {seed}"] = parts.find_frame(np.clip(framed, 0, 255).astype(np.uint8))
    return found


def draw_noise() -> np.ndarray:
    """A photo of nothing, uint8 (96, 128, 3)."""
    return np.random.default_rng(1).integers(0, 200, (96, 128, 3)).astype(np.uint8)


def count_product() -> dict[str, Any]:
    found: dict[str, Any] = {}
    soft, hard = draw_disc(softness=4), (draw_disc() > 0.5).astype(np.float32)
    photo = draw_photo(soft, 235)
    rgba = np.dstack([photo, np.rint(soft * 255).astype(np.uint8)])
    sources: dict[str, tuple[Any, Any]] = {
        "soft": (photo, soft),
        "hard": (photo, hard),
        "alpha": (rgba, None),
        "white": (photo, None),
    }
    for name, (image, mask) in sources.items():
        for config in (
            cutout.CutoutConfig(),
            cutout.CutoutConfig(refine=False, decontaminate=False, opaque_from=1.0, clean=False),
        ):
            one = product.Product.from_image(image, mask, config=config)
            found[f"{name} {config.refine}"] = [
                one.pixels,
                one.matte,
                one.foreground,
                one.mask_source,
                one.notes,
            ]
    with_network = cutout.CutoutConfig(prefer_network=True)
    for values in (soft, soft * 2, soft[:-1], soft * 0):
        found[f"network {len(found)}"] = attempt(
            lambda v=values: (
                product.Product.from_image(photo, config=with_network, network=lambda _: v).mask_source
            )
        )
    for matte in (1 - hard, hard[:-1], hard * 0, np.ones_like(hard)):
        found[f"refused {len(found)}"] = attempt(lambda m=matte: product.Product(photo, m).size)
    shown = product.Reference.from_image(rgba)
    return found | {
        "reference": shown.pixels,
        "none": attempt(lambda: product.Product.from_image(draw_noise())),
    }


def count_transforms() -> dict[str, Any]:
    photo, alpha = draw_photo(draw_disc()), draw_disc(softness=3)
    found: dict[str, Any] = {}
    for size in ((120, 100), (61, 40), (200, 190), (60, 150), (1, 1)):
        found[f"resized {size}"] = [
            transforms.resize_plane(alpha, size),
            transforms.resize_plane(alpha, size, (3.5, 2, 80, 99)),
            transforms.resize_pixels(photo, size),
            transforms.resize_bicubic(photo, size),
            *transforms.resize_rgba(photo, alpha, size),
            *transforms.resize_rgba(photo, alpha, size, (3.5, 2, 80, 99)),
        ]
        fit = attempt(transforms.fit_to_model, (120, 100), size)
        found[f"fit {size}"] = [fit.inner, fit.offset, *fit.apply_rgba(photo, alpha)]
        found[f"back {size}"] = fit.undo(fit.apply_rgba(photo, alpha)[0])
        found[f"reference {size}"] = transforms.fit_reference(photo, alpha, size)
    for size in ((100, 100), (100, 199), (100, 201), (300, 100), (97, 131), (9, 8), (1000, 707)):
        for native, multiple in ((256, 64), (512, 8), (100, 64)):
            found[f"shape {size} {native}"] = transforms.choose_model_size(size, native, multiple)
        found[f"reduced {size}"] = [transforms.reduce_size(size, side) for side in (7, 64, 2000)]
    found["refused"] = [
        attempt(transforms.choose_model_size, (9, 9), *a) for a in ((8, 8), (7, 8), (8, 0), (1, 1))
    ]
    image = tensors.to_image(photo)
    found["tensor"] = [
        image.numpy(),
        tensors.to_pixels(image * 1.3 + 0.01),
        tensors.to_mask_tensor(alpha).numpy(),
    ]
    return found | {"sizes": attempt(lambda: transforms.check_same_size(photo, alpha[:-1], "a", "b"))}


COUNTS: dict[str, Callable[[], dict[str, Any]]] = {
    name.removeprefix("count_"): function
    for name, function in list(globals().items())
    if name.startswith("count_")
}


def store(path: Path, counted: dict[str, dict[str, Any]]) -> None:
    """Write what was counted up, a line for each case."""
    blocks = []
    for name, cases in counted.items():
        lines = [f"  {json.dumps(case)}: {json.dumps(value)}" for case, value in cases.items()]
        blocks.append(f" {json.dumps(name)}: {{\n" + ",\n".join(lines) + "\n }")
    path.write_text("{\n" + ",\n".join(blocks) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    store(STORED, {name: sum_up(count()) for name, count in COUNTS.items()})
