"""What is a scene?  Meshes with surfaces, lights and a camera, the product apart; and its category."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, Field

from cyclorama.config import Settings
from cyclorama.scenes.geometry import Mesh
from cyclorama.scenes.surface import Colour, Style, Surface


@dataclass(frozen=True)
class Part:
    """One mesh with its surface."""

    mesh: Mesh
    surface: Surface


@dataclass(frozen=True)
class Light:
    """A square soft box of edge ``size`` at ``position`` facing ``target``; ``radiance`` is linear RGB."""

    position: tuple[float, float, float]
    target: tuple[float, float, float]
    size: float
    radiance: Colour


@dataclass(frozen=True)
class Camera:
    """A camera at ``origin`` looking at ``target``, z up.

    ``fov`` is the full angle of the image's larger side, degrees; ``aspect`` its width to its height.
    ``centre`` is where on the image ``target`` is seen, in [0, 1] to the right and down: a film that is
    shifted, not a camera that is turned.
    """

    origin: tuple[float, float, float]
    target: tuple[float, float, float]
    fov: float
    aspect: float = 1.0
    centre: tuple[float, float] = (0.5, 0.5)

    @property
    def scale(self) -> tuple[float, float]:
        """Shares of the image's width and height that a slope of 1 takes."""
        scale = 0.5 / math.tan(math.radians(self.fov) / 2)
        return scale * max(1.0, 1 / self.aspect), scale * max(1.0, self.aspect)


def compute_film(camera: Camera, size: int) -> tuple[int, int]:
    """(height, width) in pixels of ``camera``'s image, its larger side ``size``."""
    return round(size * min(1.0, 1 / camera.aspect)), round(size * min(1.0, camera.aspect))


@dataclass
class Stage:
    """A scene: product parts, other parts, lights, sky and camera."""

    product: list[Part] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    lights: list[Light] = field(default_factory=list)
    sky: Colour = (0.4, 0.4, 0.4)
    exposure: float = 1.0
    camera: Camera = Camera((0.0, -4.0, 1.0), (0.0, 0.0, 0.5), 28.0)

    def add(self, mesh: Mesh, surface: Surface) -> None:
        """Put a thing that is not the product on the stage."""
        self.parts.append(Part(mesh, surface))


def compute_bounds(parts: list[Part]) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest corner (3,) of all vertices in ``parts``."""
    low = np.min([p.mesh.vertices.min(0) for p in parts], axis=0)
    high = np.max([p.mesh.vertices.max(0) for p in parts], axis=0)
    return low, high


def compute_axes(camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit vectors (3,) to the camera's right, up and forward."""
    forward = np.array(camera.target) - np.array(camera.origin)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    return right, np.cross(right, forward), forward


def project(points: np.ndarray, camera: Camera) -> np.ndarray:
    """Image positions (N, 2) of world ``points`` (N, 3): x to the right, y down, in [0, 1] if inside."""
    right, up, forward = compute_axes(camera)
    d = points - np.array(camera.origin)
    depth = np.maximum(d @ forward, 1e-6)
    (wide, tall), (x, y) = camera.scale, camera.centre
    return np.stack([x + wide * (d @ right) / depth, y - tall * (d @ up) / depth], 1)


def cast_rays(places: np.ndarray, camera: Camera) -> np.ndarray:
    """Directions (N, 3) from the camera through image positions (N, 2), 1 long along its axis."""
    right, up, forward = compute_axes(camera)
    (wide, tall), (x, y) = camera.scale, camera.centre
    across, rise = (places[:, :1] - x) / wide, (y - places[:, 1:]) / tall
    return np.asarray(forward + across * right + rise * up)


def add_key_light(
    stage: Stage, style: Style, radiance: float = 11.0, size: float = 2.6, height: float = 3.4
) -> None:
    """A large soft box above and in front, on the style's side, and the sky's fill."""
    w = style.key_warmth
    tint = (1.0 + 0.22 * w, 1.0 + 0.02 * w, 1.0 - 0.30 * w)
    r = radiance * style.key_strength
    side = style.key_side
    stage.lights.append(
        Light((2.6 * side, -2.6, height), (0.0, 0.2, 0.3), size, (tint[0] * r, tint[1] * r, tint[2] * r))
    )
    f = 0.42 * style.fill
    stage.sky = (f * (1 - 0.05 * w), f, f * (1 + 0.06 * w))


def _check_order(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise ValueError("(lowest, highest) in this order")
    return value


Share = Annotated[float, Field(gt=0, lt=1)]
Angle = Annotated[float, Field(ge=-180, le=180)]
Elevation = Annotated[float, Field(ge=0, le=80)]


class Framing(Settings):
    """How the photographer stands; ranges are (lowest, highest)."""

    share: Annotated[tuple[Share, Share], AfterValidator(_check_order)] = (0.52, 0.68)
    """The product's larger side (height, or 0.8 of its width) as a share of the image."""
    elevation: Annotated[tuple[Elevation, Elevation], AfterValidator(_check_order)] = (6.0, 11.0)
    """Camera's angle above the product's middle, degrees."""
    turn: Annotated[tuple[Angle, Angle], AfterValidator(_check_order)] = (-18.0, 18.0)
    """The product's turn about its upright axis, degrees."""
    fov: Annotated[float, Field(ge=5, le=90)] = 27.0
    """Full angle of view, degrees."""
    offset: Annotated[float, Field(ge=0, le=0.2)] = 0.07
    """Largest shift of the product from the middle of the image, as a share of the image."""
    room: bool = False
    """The set is a room on whose floor the product stands, as furniture does."""


Grid = tuple[tuple[float, ...], ...]


class BodyShape(Settings):
    """What a cut-out's body is like where only its front is seen."""

    depth: Annotated[float, Field(ge=0.02, le=2)] = 0.6
    """Its depth as a share of its width; if it lies its height as a share of its breadth."""
    overhang: Annotated[float, Field(ge=0, le=1)] = 0.03
    """How far its front stands over its foot, as a share of its width."""
    round: bool = True
    """A bottle's section, or a box's."""
    front: Grid = ()
    """How far its front stands behind its foot's line, as shares of its width: rows from the foot to the top,
    each from left to right. Empty: as its outline and ``overhang`` say."""
    back: Grid = ()
    """How far its back is behind its front, likewise. Empty: as ``depth`` says."""
    lies: bool = False
    """It lies on the ground and is seen from above, as in a flat lay; otherwise it stands."""


@dataclass(frozen=True)
class SceneCategory:
    """One product category of the set, as its file gives it.

    Attributes:
        name: the category's name as prompts use it.
        brands: three narrow styles.
        sample_style: draws an unbranded style from the category's whole range.
        build_product: a product standing on z = 0 about the origin; any size (it is scaled to 1). None if
            the category is for cut-outs only.
        dress: puts surfaces, props and lights around a product of size 1 that stands at the origin.
        framing: camera.
        body: what cut-outs of the category are like; None takes it from ``build_product``.
        words: other words for the category.
        elements: what its styles may name as elements.
    """

    name: str
    brands: tuple[Style, Style, Style]
    sample_style: Callable[[np.random.Generator], Style]
    build_product: Callable[[np.random.Generator], list[Part]] | None
    dress: Callable[[Stage, np.random.Generator, Style], None]
    framing: Framing
    body: BodyShape | None = None
    words: tuple[str, ...] = ()
    elements: tuple[str, ...] = ()
