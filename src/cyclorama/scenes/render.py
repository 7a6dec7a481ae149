"""How does a stage become pixels?  The one boundary to Mitsuba 3 and Open Image Denoise."""

from __future__ import annotations

import math
import os
import sys
import threading
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cyclorama.scenes.geometry import Mesh, face_viewer
from cyclorama.scenes.shapes.room import WIDE
from cyclorama.scenes.stage import Camera, Part, Stage, cast_rays, compute_film, project
from cyclorama.scenes.surface import Surface

_STATE: dict[str, Any] = {}
_GUIDE_SAMPLES = 4
GROUND = 0.02
"""What is no higher, or as wide as ``WIDE``, is ground, which no product is hidden by; its size is 1."""
KNEE, WHITE = 0.6, 2.0
"""Exposed light from which on tones are pressed together, and the most that white in a photo stands for."""
Crop = tuple[int, int, int, int]
"""Left, top, width and height of a part of an image, pixels."""
_BLACK = {"type": "diffuse", "reflectance": {"type": "rgb", "value": 0.0}}


class _NoTorch:
    """Finds no torch in the thread that makes it, as long as it stands in ``sys.meta_path``."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name == "torch" and threading.get_ident() == self._thread:
            raise ModuleNotFoundError("not wanted here", name=name)


def _load_denoiser() -> Any:
    """``pyoidn`` without torch, which it would import where it is installed, only to take its tensors, too:
    1.3 s and 300 MB."""
    finder: Any = _NoTorch()
    sys.meta_path.insert(0, finder)
    try:
        return import_module("pyoidn")
    finally:
        sys.meta_path.remove(finder)


def load_mitsuba() -> Any:
    """The ``mitsuba`` module with the scalar variant set and one thread."""
    if "mi" not in _STATE:
        os.environ.setdefault("OIDN_NUM_THREADS", "1")  # read when the first image is denoised
        os.environ.setdefault("OIDN_SET_AFFINITY", "0")
        import drjit
        import mitsuba

        pyoidn = _load_denoiser()

        mitsuba.set_variant("scalar_rgb")
        mitsuba.set_log_level(mitsuba.LogLevel.Error)
        drjit.set_thread_count(1)
        _STATE["mi"], _STATE["oidn"] = mitsuba, pyoidn
    return _STATE["mi"]


def set_threads(threads: int) -> None:
    """Render with so many threads from now on, and denoise if nothing was yet; pixels do not depend on it."""
    load_mitsuba()
    import drjit

    drjit.set_thread_count(threads)
    os.environ["OIDN_NUM_THREADS"] = str(threads)


def to_linear(values: Any) -> Any:
    """Linear light of sRGB ``values`` in [0, 1]."""
    c = np.asarray(values)
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def from_linear(light: Any) -> Any:
    """sRGB values of linear ``light`` of 0 and more; the inverse of :func:`to_linear`."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.power(light, 1 / 2.4) - 0.055)


def _colour(mi: Any, surface: Surface) -> dict[str, Any]:
    if isinstance(surface.colour, np.ndarray):
        return {
            "type": "bitmap",
            "bitmap": mi.Bitmap(np.array(surface.colour, order="C", copy=True)),
            "wrap_mode": "repeat",
            "to_uv": mi.ScalarTransform3f().scale([surface.tiles[0], surface.tiles[1]]),
        }
    return {"type": "rgb", "value": to_linear(surface.colour).tolist()}


def _bsdf(mi: Any, surface: Surface) -> dict[str, Any]:
    if surface.kind == "glass":
        return {"type": "thindielectric", "int_ior": 1.5}
    if surface.kind == "ice":
        inner = {"type": "principled", "spec_trans": 0.88, "eta": 1.31, "roughness": surface.roughness}
        return {**inner, "base_color": _colour(mi, surface)}
    if surface.kind == "metal":
        inner = {
            "type": "roughconductor",
            "material": "none",
            "alpha": surface.roughness,
            "specular_reflectance": _colour(mi, surface),
        }
    elif surface.kind in ("plastic", "photo"):
        body = surface if surface.kind == "plastic" else Surface((0.0, 0.0, 0.0))
        inner = {"type": "principled", "base_color": _colour(mi, body), "specular": 0.5}
        inner["roughness"] = max(surface.roughness**0.5, 0.08)
    else:
        inner = {"type": "diffuse", "reflectance": _colour(mi, surface)}
    return {"type": "twosided", "bsdf": inner}


def _glow(mi: Any, surface: Surface, glow: float) -> dict[str, Any]:
    """What a shining surface emits, ``glow`` times its colour."""
    if isinstance(surface.colour, np.ndarray):
        light = to_linear(surface.colour.astype(np.float32) / 255.0)
        if surface.kind == "photo":
            light = _undo_tone_map(light)
        light = light.astype(np.float32) * np.float32(glow)
        return {"type": "bitmap", "bitmap": mi.Bitmap(np.ascontiguousarray(light)), "raw": True}
    return {"type": "rgb", "value": [x * glow for x in to_linear(surface.colour).tolist()]}


def _weigh(radiance: Any, area: float, position: Any, target: Any = (0.0, 0.0, 0.5)) -> float:
    """How often a lamp is asked for its light, beside others: by what it sends to ``target``."""
    return float(np.mean(radiance)) * area / max(1.0, float(np.sum(np.subtract(position, target) ** 2)))


def _weigh_part(part: Part, glow: float) -> float:
    """The same for a shining part. A photo is never asked: light that happens to meet it shows it."""
    if part.surface.kind == "photo":
        return 0.0
    full = 255.0 if isinstance(part.surface.colour, np.ndarray) else 1.0
    colour = np.mean(to_linear(np.divide(part.surface.colour, full)))
    a, b, c = part.mesh.vertices[part.mesh.faces.T]
    area = float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()) / 2
    return _weigh(colour * glow, area, part.mesh.vertices.mean(0))


def _shape(mi: Any, mesh: Mesh, bsdf: Any, radiance: Any = None, name: str = "", weight: float = 1.0) -> Any:
    """Mitsuba's shape of ``mesh``; with ``radiance`` it shines."""
    properties = mi.Properties()
    if name:
        properties.set_id(name)
    properties["bsdf"] = bsdf
    if radiance is not None:
        lamp = {"type": "area", "radiance": radiance, "sampling_weight": weight}
        properties["emitter"] = mi.load_dict(lamp, parallel=False)
    shape = mi.Mesh("part", len(mesh.vertices), len(mesh.faces), properties, True, True)
    parameters = mi.traverse(shape)
    uv = mesh.uv.copy()
    uv[:, 1] = 1.0 - uv[:, 1]
    parameters["vertex_positions"] = mesh.vertices.ravel()
    parameters["vertex_normals"] = mesh.normals.ravel()
    parameters["vertex_texcoords"] = uv.ravel()
    parameters["faces"] = mesh.faces.ravel()
    parameters.update()
    return shape


def _camera(mi: Any, camera: Camera, size: int, samples: int, crop: Crop | None = None) -> dict[str, Any]:
    height, width = compute_film(camera, size)
    left, top, wide, tall = crop or (0, 0, width, height)
    return {
        "type": "perspective",
        "fov": camera.fov,
        "fov_axis": "larger",
        "principal_point_offset_x": 0.5 - camera.centre[0],
        "principal_point_offset_y": 0.5 - camera.centre[1],
        "to_world": mi.ScalarTransform4f().look_at(origin=camera.origin, target=camera.target, up=[0, 0, 1]),
        "sampler": {"type": "multijitter", "sample_count": samples},
        "film": {
            "type": "hdrfilm",
            "width": width,
            "height": height,
            "crop_offset_x": left,
            "crop_offset_y": top,
            "crop_width": wide,
            "crop_height": tall,
            "pixel_format": "rgba",
            "component_format": "float32",
            "rfilter": {"type": "box"},
        },
    }


def _scene(
    mi: Any,
    stage: Stage,
    size: int,
    samples: int,
    depth: int,
    crop: Crop | None = None,
    shapes: list[Any] | None = None,
) -> Any:
    product = build_shapes(stage, stage.product)
    others = build_shapes(stage, stage.parts, len(product)) if shapes is None else shapes
    if any(mi.has_flag(shape.bsdf().flags(), mi.BSDFFlags.GlossyTransmission) for shape in others):
        depth += 6  # into ice and out, and off its inner sides; what is cut short is black
    entries: dict[str, Any] = {"type": "scene"}
    entries["integrator"] = {"type": "path", "max_depth": depth, "rr_depth": depth + 1}
    entries["sensor"] = _camera(mi, stage.camera, size, samples, crop)
    # numbered anew: shapes that scenes share have the numbers that they had without a product
    entries |= {f"part{k:04d}": shape for k, shape in enumerate([*product, *others])}
    entries["sky"] = {
        "type": "constant",
        "radiance": {"type": "rgb", "value": list(stage.sky)},
        "sampling_weight": max(float(np.mean(stage.sky)), 1e-6),
    }
    for k, lamp in reversed(list(enumerate(stage.lights))):
        half = lamp.size / 2
        weight = _weigh(lamp.radiance, lamp.size**2, lamp.position, lamp.target)
        radiance = {"type": "rgb", "value": list(lamp.radiance)}
        entries[f"light{k}"] = {
            "type": "rectangle",
            "to_world": mi.ScalarTransform4f()
            .look_at(origin=lamp.position, target=lamp.target, up=[0.01, 0, 1])
            .scale([half, half, 1]),
            "emitter": {"type": "area", "radiance": radiance, "sampling_weight": weight},
        }
    return mi.load_dict(entries, parallel=False, optimize=False)  # optimized, lamps' order is left to chance


def build_shapes(stage: Stage, parts: list[Part], first: int = 0) -> list[Any]:
    """Mitsuba's shapes of ``parts`` of ``stage``, numbered from ``first``; several scenes may hold them."""
    mi, shapes = load_mitsuba(), []
    for k, part in enumerate(parts, first):
        bsdf = mi.load_dict(_bsdf(mi, part.surface), parallel=False)
        glow = 1 / stage.exposure if part.surface.kind == "photo" else part.surface.glow
        radiance = _glow(mi, part.surface, glow) if glow > 0 else None
        weight = _weigh_part(part, glow) if glow > 0 else 0.0
        mesh = face_viewer(part.mesh, stage.camera.origin)
        shapes.append(_shape(mi, mesh, bsdf, radiance, f"part{k:04d}", weight))
    return shapes


def _remove_occluders(mi: Any, scene: Any, stage: Stage, mask: NDArray[np.uint8], rays: int) -> bool:
    """Take everything off the stage that hides the product; whether anything had to go.

    ``rays`` pixels of full coverage are looked at through their middle. What a ray meets hides the product
    only if the ray meets the product farther off; else it went through a gap.
    """
    rows, columns = np.nonzero(mask == 255)
    if len(rows) == 0:
        return False
    chosen = np.unique(np.linspace(0, len(rows) - 1, rays).astype(int))
    origin = np.array(stage.camera.origin)
    places = np.stack([columns[chosen] + 0.5, rows[chosen] + 0.5], 1) / (mask.shape[1], mask.shape[0])
    alone = mi.load_dict({"type": "scene", **_shapes_in_black(mi, stage.product)}, parallel=False)
    hidden: set[int] = set()
    for d in cast_rays(places, stage.camera):
        ray = mi.Ray3f(origin.tolist(), (d / np.linalg.norm(d)).tolist())
        hit, product = scene.ray_intersect(ray), alone.ray_intersect(ray)
        if hit.is_valid() and product.is_valid() and hit.t < product.t and hit.p[2] > GROUND:
            k = int(hit.shape.id()[4:]) - len(stage.product)
            if k >= 0 and np.ptp(stage.parts[k].mesh.vertices[:, 0]) <= WIDE:
                hidden.add(k)
    stage.parts = [p for k, p in enumerate(stage.parts) if k not in hidden]
    return bool(hidden)


def _shapes_in_black(mi: Any, parts: list[Part]) -> dict[str, Any]:
    black = mi.load_dict(_BLACK, parallel=False)
    return {f"part{k:04d}": _shape(mi, part.mesh, black) for k, part in enumerate(parts)}


def clear_view(stage: Stage, mask: NDArray[np.uint8]) -> bool:
    """Take off ``stage`` what hides its product, whose coverage is ``mask``; whether anything had to go.

    :func:`render_image` does it by itself when it is given a mask; this serves images that must lose
    the same things.
    """
    mi = load_mitsuba()
    return _remove_occluders(mi, _scene(mi, stage, max(mask.shape), 1, 1), stage, mask, 240)


def _undo_tone_map(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """The exposed radiance that :func:`tone_map` shows as linear ``light``, no more than ``WHITE``."""
    over = np.minimum((light - KNEE) / (1 - KNEE), 1 - math.exp((KNEE - WHITE) / (1 - KNEE)))
    return np.asarray(np.where(light <= KNEE, light, KNEE - (1 - KNEE) * np.log1p(-np.maximum(over, 0))))


def tone_map(radiance: NDArray[np.float32], exposure: float) -> NDArray[np.uint8]:
    """sRGB image (H, W, 3) of linear ``radiance``: straight up to ``KNEE``, then a soft shoulder to 1."""
    x = np.maximum(radiance * exposure, 0.0)
    x = np.where(x <= KNEE, x, KNEE + (1 - KNEE) * (1 - np.exp(-(x - KNEE) / (1 - KNEE))))
    return np.asarray(np.clip(np.round(from_linear(x) * 255.0), 0, 255), np.uint8)


def _albedo_scene(mi: Any, stage: Stage, size: int, crop: Crop | None = None) -> Any:
    """A scene whose surfaces shine with their albedo, the denoiser's guide.

    One pass over it costs a small part of Mitsuba's AOV integrator.
    """
    entries: dict[str, Any] = {"type": "scene", "integrator": {"type": "path", "max_depth": 1}}
    entries["sensor"] = _camera(mi, stage.camera, size, _GUIDE_SAMPLES, crop)
    black = mi.load_dict(_BLACK, parallel=False)
    for k, part in enumerate([*stage.product, *stage.parts]):
        if part.surface.kind == "glass":
            continue
        bare = part.surface.kind == "metal" and isinstance(part.surface.colour, tuple)
        surface = Surface((0.9, 0.9, 0.9)) if bare else part.surface  # a print on metal is guided, too
        entries[f"part{k:04d}"] = _shape(mi, part.mesh, black, _colour(mi, surface))
    return mi.load_dict(entries, parallel=False)


def render_preview(stage: Stage, size: int, samples: int) -> NDArray[np.uint8]:
    """A quick image of ``stage``, sRGB uint8 (H, W, 3): noise is averaged over neighbours, not taken out."""
    return tone_map(ndimage.uniform_filter(render_noisy(stage, size, samples, 0), (3, 3, 1)), stage.exposure)


def render_noisy(
    stage: Stage, size: int, samples: int, seed: int, crop: Crop | None = None, shapes: Any = None
) -> NDArray[np.float32]:
    """As :func:`render_light`, but with the noise: not smoothed, so its mean over any pixels is true."""
    return _sample(_scene(load_mitsuba(), stage, size, samples, 4, crop, shapes), samples, seed)


def render_light(
    stage: Stage,
    size: int,
    samples: int,
    seed: int,
    crop: Crop | None = None,
    shapes: list[Any] | None = None,
    albedo: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """The denoised linear radiance (H, W, 3) of ``stage``, or of its part ``crop``.

    ``shapes`` are those of the stage's parts, ``albedo`` (H, W, 3) its colours, if they are there already.
    """
    noisy = render_noisy(stage, size, samples, seed, crop, shapes)
    return _denoise(noisy, render_albedo(stage, size, seed, crop) if albedo is None else albedo)


def render_albedo(stage: Stage, size: int, seed: int, crop: Crop | None = None) -> NDArray[np.float32]:
    """Colours in [0, 1] (H, W, 3) of what is seen, linear: the denoiser's guide."""
    mi = load_mitsuba()
    flat = mi.render(_albedo_scene(mi, stage, size, crop), spp=_GUIDE_SAMPLES, seed=seed)
    return np.ascontiguousarray(np.clip(np.nan_to_num(np.array(flat, np.float32)[..., :3]), 0, 1))


def _sample(scene: Any, samples: int, seed: int) -> NDArray[np.float32]:
    raw = np.array(load_mitsuba().render(scene, spp=samples, seed=seed), dtype=np.float32)[..., :3]
    return np.ascontiguousarray(np.minimum(np.nan_to_num(raw), 12.0))


def _denoise(noisy: NDArray[np.float32], albedo: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(_STATE["oidn"].denoise(noisy, albedo=albedo, hdr=True), np.float32)


def render_image(
    stage: Stage, size: int, samples: int, seed: int, mask: NDArray[np.uint8] | None = None, depth: int = 4
) -> NDArray[np.uint8]:
    """The denoised image of ``stage``, sRGB uint8 (H, W, 3), its larger side ``size``.

    With ``mask`` (the product's coverage), parts that hide the product are taken off the stage first.
    The same arguments give the same bytes on one machine.
    """
    mi = load_mitsuba()
    scene = _scene(mi, stage, size, samples, depth)
    if mask is not None and _remove_occluders(mi, scene, stage, mask, 240):
        scene = _scene(mi, stage, size, samples, depth)
    clean = _denoise(_sample(scene, samples, seed), render_albedo(stage, size, seed))
    return tone_map(clean, stage.exposure)


def render_mask(stage: Stage, size: int, samples: int, seed: int) -> NDArray[np.uint8]:
    """Coverage of each pixel by the product alone, uint8 (H, W), 255 = all product.

    Only the part of the image that holds the product is sampled.
    """
    mi = load_mitsuba()
    points = np.concatenate([p.mesh.vertices for p in stage.product])
    height, width = compute_film(stage.camera, size)
    seen = project(points, stage.camera) * (width, height)
    left, top = np.clip(np.floor(seen.min(0)).astype(int) - 1, 0, (width - 1, height - 1))
    right, bottom = np.clip(np.ceil(seen.max(0)).astype(int) + 1, 1, (width, height))
    crop = (int(left), int(top), int(max(right - left, 1)), int(max(bottom - top, 1)))
    entries: dict[str, Any] = {
        "type": "scene",
        "integrator": {"type": "direct", "emitter_samples": 0, "bsdf_samples": 1, "hide_emitters": True},
        "sensor": _camera(mi, stage.camera, size, samples, crop),
    }
    scene = mi.load_dict(entries | _shapes_in_black(mi, stage.product), parallel=False)
    alpha = np.array(mi.render(scene, spp=samples, seed=seed), dtype=np.float32)[..., 3]
    mask = np.zeros((height, width), np.uint8)
    mask[top : top + crop[3], left : left + crop[2]] = np.round(np.clip(alpha, 0, 1) * 255)
    return mask
