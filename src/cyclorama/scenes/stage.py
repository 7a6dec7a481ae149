"""What stands in the image?  A list of meshes with surfaces, lights and a camera; the product apart."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cyclorama.scenes.geometry import Mesh
from cyclorama.scenes.surface import Colour, Surface


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
    """A camera at ``origin`` looking at ``target``, z up; ``fov`` is the image's full angle in degrees."""

    origin: tuple[float, float, float]
    target: tuple[float, float, float]
    fov: float


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


def project(points: np.ndarray, camera: Camera) -> np.ndarray:
    """Image positions (N, 2) of world ``points`` (N, 3): x to the right, y down, in [0, 1] if inside."""
    origin = np.array(camera.origin)
    forward = np.array(camera.target) - origin
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    up = np.cross(right, forward)
    d = points - origin
    depth = np.maximum(d @ forward, 1e-6)
    scale = 0.5 / np.tan(np.deg2rad(camera.fov) / 2)
    return np.stack([0.5 + scale * (d @ right) / depth, 0.5 - scale * (d @ up) / depth], 1)
