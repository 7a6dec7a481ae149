"""Fingerprints of all shapes and textures: a few numbers that follow every vertex, face and pixel.

A fingerprint is a handful of weighted sums, so rounding that differs between processors moves it by far less
than the tolerance, and a changed line of code by far more. ``python tests/scene_prints.py`` prints them;
``tests/unit/test_scenes_pieces.py`` compares them with ``tests/scene_prints.json``.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from cyclorama.scenes import geometry as g
from cyclorama.scenes.shapes import cloth, nature, panels
from cyclorama.scenes.textures import basic, materials, packages, prints, views

STORED = Path(__file__).with_name("scene_prints.json")
SHAPES = (g, cloth, nature, panels)
TEXTURES = (basic, materials, packages, prints, views)
FEW, MANY = 8, 26
"""Draws of a texture, and of one that draws its kind: every kind comes at least once."""

_WEIGHTS = np.random.default_rng(11).uniform(-1, 1, (3, 1 << 20))
_COLOURS = ((0.82, 0.31, 0.22), (0.15, 0.42, 0.7), (0.93, 0.85, 0.4), (0.2, 0.6, 0.3), (0.7, 0.7, 0.75))
_PATH = [(0.0, 0.0, 0.0), (0.1, 0.3, 0.2), (0.4, 0.4, 0.6), (0.5, 0.9, 0.7)]
_PROFILE = [(0.1, 0.0), (0.5, 0.1), (0.55, 0.4), (0.3, 0.8), (0.0, 0.9)]


def take_fingerprint(*arrays: Any) -> list[float]:
    """Three weighted sums of all entries of ``arrays``, in their order."""
    sums, at = np.zeros(3), 0
    for array in arrays:
        flat = np.asarray(array, np.float64).ravel()
        while flat.size:
            weights = _WEIGHTS[:, at : at + flat.size]
            length = weights.shape[1]
            sums += weights @ flat[:length]
            at, flat = (at + length) % _WEIGHTS.shape[1], flat[length:]
    return [round(float(v), 5) for v in sums]


def list_functions(modules: Sequence[ModuleType]) -> Iterator[tuple[str, Any]]:
    """(``module.name``, function) of all that ``modules`` offer."""
    for module in modules:
        for name, thing in vars(module).items():
            if inspect.isfunction(thing) and thing.__module__ == module.__name__ and name[0] != "_":
                yield f"{module.__name__.rpartition('.')[2]}.{name}", thing


def _satin(winding: bool, slant: float, seed: int = 3) -> cloth.Satin:
    made = cloth.Satin(np.random.default_rng(seed), 0.2, 0.5, winding)
    made.slant = slant
    return made


def list_shape_cases() -> dict[str, list[dict[str, Any]]]:
    """Values for each shape, so that every branch is walked."""
    leafy = g.leaf(0.2, 0.1, 0.3)
    satins = [_satin(w, s) for w in (False, True) for s in (0.7, -0.6)]
    seeds = [{"rng": np.random.default_rng(k)} for k in range(4)]
    return {
        "geometry.merge_meshes": [{"meshes": [g.sphere(0.4, 8), leafy, g.quad(1.0, 2.0)]}],
        "geometry.face_viewer": [{"mesh": g.cylinder(0.4, 0.2), "eye": (0.0, -4.0, 1.0)}],
        "geometry.lathe": [
            {"profile": _PROFILE},
            {"profile": _PROFILE, "segments": 7, "crease": 80.0},
            {"profile": _PROFILE[::-1], "segments": 5, "crease": 5.0},
        ],
        "geometry.smooth_profile": [{"points": _PROFILE}, {"points": _PROFILE, "rounds": 1}],
        "geometry.sphere": [{"radius": 0.7}, {"radius": 0.3, "segments": 9}],
        "geometry.cylinder": [
            {"radius": 0.4, "height": 0.9},
            {"radius": 0.4, "height": 0.9, "bevel": 0.05, "segments": 11},
        ],
        "geometry.rounded_box": [
            {"width": 1.0, "depth": 0.6, "height": 0.4, "bevel": 0.07},
            {"width": 0.3, "depth": 0.5, "height": 0.9, "bevel": 0.9},
        ],
        "geometry.grid_surface": [
            {"points": np.random.default_rng(1).uniform(0, 1, (4, 5, 3))},
            {
                "points": np.random.default_rng(2).uniform(0, 1, (3, 2, 3)),
                "uv": np.arange(12.0).reshape(3, 2, 2),
            },
        ],
        "geometry.loft": [{"rows": [(np.arange(3.0), 0.5, 0.1), (np.arange(3.0) ** 2, 0.7, np.arange(3.0))]}],
        "geometry.quad": [{"width": 0.7, "height": 1.3}],
        "geometry.floor": [{"width": 0.7, "near": -1.2, "far": 2.1}],
        "geometry.sweep": [{"width": 3.0, "near": -2.0, "far": 1.6, "height": 2.4, "radius": 0.45}],
        "geometry.tube": [
            {"path": _PATH, "radii": 0.07},
            {"path": _PATH, "radii": [0.0, 0.1, 0.08, 0.05], "segments": 5},
        ],
        "geometry.fan": [
            {"outline": [(0.5, 0.0), (0.5, 1.0), (-0.4, 0.8), (-0.5, 0.1)], "width": 1.2, "height": 0.9}
        ],
        "geometry.arch": [{"width": 0.8, "height": 1.5, "depth": 0.3}],
        "geometry.ring": [
            {"radius": 0.6, "thickness": 0.06},
            {"radius": 0.6, "thickness": 0.06, "segments": 6},
        ],
        "geometry.leaf": [{"length": 0.7, "width": 0.2, "bend": 0.4}],
        "cloth.folded_cloth": [{"width": 2.2, "height": 1.4}, {"width": 2.2, "height": 1.4, "folds": 3}],
        "cloth.satin": [
            {**seed, "level": 0.3, "flat": 0.6, "winding": k > 1} for k, seed in enumerate(seeds)
        ],
        "cloth.satin_cloth": [{"cloth": made, "far": 1.4} for made in satins],
        "cloth.cloth_height": [
            {"cloth": made, "x": x, "y": y}
            for made in satins
            for x, y in ((0.7, -1.1), (-1.3, 0.2), (0.3, 0.1))
        ],
        "cloth.pearls": [
            {"rng": np.random.default_rng(5), "cloth": satins[0], "side": s} for s in (1.0, -0.8)
        ],
        "cloth.drape": [{**seeds[0], "width": 1.7, "height": 1.2}],
        "cloth.ribbon": [
            {**seed, "width": 0.2, "side": s} for seed, s in zip(seeds, (1.0, -0.9), strict=False)
        ],
        "cloth.spread_blanket": [{"far": 1.3}],
        "cloth.rumpled_linen": [{}],
        "nature.scatter": [
            {**seeds[0], "around": [], "mesh": leafy, "count": 30, "area": (-1.0, 1.2, -0.8, 0.9)},
            {
                **seeds[1],
                "around": [leafy],
                "mesh": leafy,
                "count": 9,
                "area": (-1.0, 1.2, -0.8, 0.9),
                "keep_out": 0.3,
                "lift": 0.2,
                "tumble": 30.0,
            },
        ],
        "nature.coffee_bean": [{"size": 0.13}],
        "nature.grass": [
            {**seeds[0], "near": -0.7, "far": 1.2, "count": 90},
            {**seeds[1], "near": 0.0, "far": 1.2, "count": 40},
        ],
        "nature.cream_swirl": [{"radius": 0.3, "height": 0.4}],
        "nature.petal": [{"length": 0.7, "width": 0.5, "curl": 0.4}],
        "nature.rose": [{**seeds[0], "radius": 0.21}],
        "nature.pumpkin": [{}],
        "nature.bent_twig": [{"foot": (0.1, 0.2, 0.3), "length": 0.8, "lean": 25.0}],
        "nature.flat_stone": [{**seeds[0], "width": 0.9, "depth": 0.6, "height": 0.2}],
        "nature.boulder": [{**seeds[0], "radius": 0.5, "segments": 12, "amount": 0.08}],
        "nature.ripples": [{"level": 0.1}],
        "panels.disc": [{"radius": 0.4}, {"radius": 0.4, "depth": 0.3, "segments": 7}],
        "panels.plate": [
            {"width": 0.9, "height": 0.5, "corner": 0.1},
            {"width": 0.9, "height": 0.5, "corner": 0.0},
        ],
        "panels.slab": [{"width": 0.9, "height": 0.5, "depth": 0.2, "corner": 0.1, "edge": 0.03}],
        "panels.prism": [{"profile": _PROFILE[:4], "sides": 5}],
        "panels.domed_disc": [{"radius": 0.6, "bulge": 0.2}],
        "panels.ribbed_cap": [{"radius": 0.4, "height": 0.3, "ribs": 7, "taper": 0.8}],
        "panels.tube_body": [
            {"radius": 0.3, "half_crimp": 0.4, "height": 1.2, "crimp_up": up} for up in (True, False)
        ],
        "panels.lipstick_bullet": [{"radius": 0.2, "height": 0.7, "slope": 0.6}],
        "panels.pouch": [{"width": 0.4, "depth": 0.2, "height": 0.9}],
        "panels.upended_bottle": [{"width": 0.3, "height": 0.8}],
        "panels.curved_wing": [{"width": 0.7, "depth": 0.3, "height": 0.9, "bend": 0.08}],
        "panels.cut_ball": [{"radius": 0.5, "middle": 0.6, "front": -0.3}],
        "panels.padded_shell": [
            {"rx": 0.6, "ry": 0.5, "thickness": 0.12, "reach": 110.0, "bottom": 0.2, "rim": (0.9, 0.6)}
        ],
        "panels.round_cushion": [{"radius": 0.5, "height": 0.2}],
        "panels.cup_handle": [
            {**seed, "outer": _PROFILE[:4], "side": 1.0 if k % 2 else -1.0} for k, seed in enumerate(seeds)
        ],
    }


def _texture_values(function: Any, seed: int) -> dict[str, Any]:
    """Values for a texture by the names and kinds of its parameters."""
    ramp = basic.gradient(_COLOURS[1], _COLOURS[2], 64)
    plain: dict[str, Any] = {
        "rng": np.random.default_rng(seed),
        "seed": seed,
        "size": (48, 80) if function.__name__ == "label" else 64,
        "width": (0.3, 90)["height" in inspect.signature(function).parameters],
        "height": 40,
        "texture": ramp,
        "skin": ramp,
        "body": ramp
        if "Texture" in str(inspect.signature(function).parameters.get("body")) and seed % 2
        else _COLOURS[0],
        "box": (0.2, 0.15, 0.85, 0.9),
        "colours": [_COLOURS[k] for k in range(2 + seed % 2)],
        "kind": None,
        "season": ("evening", "winter", "autumn")[seed % 3],
        "side": (-1.0, 0.9)[seed % 2],
        "slats": (0, 5)[seed // 2 % 2],
        "hue": 40.0 * seed,
        "girth": 1.7,
        "front": 0.3 + 0.02 * seed,
        "warmth": (0.1, 0.6)[seed % 2],
        "slant": 0.3,
        "clouds": 0.8,
        "amount": 0.1,
        "across": 5,
        "down": 3,
        "cells": 4,
        "planks": 3,
        "count": 6,
        "radius": 0.08,
        "x": 0.3,
        "y": 0.6,
        "mark": None,
    }
    if function.__name__ == "landscape":
        plain["kind"] = ("hills", "lake", "peaks")[seed % 3]
    elif function.__name__ in ("fruit_skin", "fruit_colour"):
        plain["kind"] = list(materials.FRUIT_COLOURS)[seed % 8]
    else:
        plain["kind"] = seed % 3
    if function.__name__ in ("bottle_print", "jar_print"):
        plain["body"] = ramp
    values: dict[str, Any] = {}
    for k, parameter in enumerate(inspect.signature(function).parameters.values()):
        if parameter.name in plain:
            values[parameter.name] = plain[parameter.name]
        elif parameter.annotation == "bool":
            values[parameter.name] = bool(seed >> (k % 2) & 1)
        else:
            assert parameter.annotation == "Colour", (function.__name__, parameter)
            pale = seed % 3 == 2
            values[parameter.name] = tuple(0.5 + v / 2 if pale else v for v in _COLOURS[k % 5])
    return values


def find_shapes() -> dict[str, list[float]]:
    """Fingerprints of what each shape gives for its cases."""
    found, cases = {}, list_shape_cases()
    for name, function in list_functions(SHAPES):
        arrays: list[Any] = []
        if name in ("geometry.as_points", "geometry.with_edge") or name.startswith("room."):
            continue  # seen in the shapes that use them, and in the places of scattered things
        for values in cases[name]:
            made = function(**values)
            if isinstance(made, g.Mesh):
                arrays += [made.vertices, made.normals, made.uv, made.faces]
            elif isinstance(made, cloth.Satin):
                arrays += [made.phase, made.slant, made.level, made.flat]
            else:
                arrays.append(made)
        found[name] = take_fingerprint(*arrays)
    return found


def find_textures() -> dict[str, list[float]]:
    """Fingerprints of what each texture gives for its draws."""
    found = {}
    for name, function in list_functions(TEXTURES):
        if name.partition(".")[2].startswith(("paint", "draw_", "start_", "to_")):
            continue  # seen in the textures that they draw
        arrays: list[Any] = []
        for seed in range(MANY if "rng.integers(" in inspect.getsource(function) else FEW):
            made = function(**_texture_values(function, seed))
            arrays += list(made) if isinstance(made, tuple) else [made]
        found[name] = take_fingerprint(*arrays)
    return found


if __name__ == "__main__":
    print(json.dumps({"shapes": find_shapes(), "textures": find_textures()}, indent=1))
