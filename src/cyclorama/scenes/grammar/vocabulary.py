"""Which words does a category file know?  Draws, arithmetic, colours, surfaces, textures and shapes."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

from cyclorama.scenes import geometry, surface
from cyclorama.scenes.grammar.expressions import MAX_ITEMS, Function, Scope
from cyclorama.scenes.shapes import cloth, nature, panels, room
from cyclorama.scenes.stage import compute_bounds
from cyclorama.scenes.textures import basic, materials, packages, prints, views

CONSTANTS: dict[str, Any] = {
    "pi": math.pi,
    "GOLD": surface.GOLD,
    "SILVER": surface.SILVER,
    "COPPER": surface.COPPER,
}


def uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number between ``low`` and ``high``."""
    if low > high:
        raise ValueError(f"uniform({low}, {high}): the lower end is above the upper one")
    return float(rng.uniform(low, high))


def normal(rng: np.random.Generator, mean: float, spread: float) -> float:
    """A number of the normal distribution."""
    return float(rng.normal(mean, spread))


def integer(rng: np.random.Generator, low: int, high: int) -> int:
    """A whole number from ``low`` to ``high``, both included."""
    if low > high:
        raise ValueError(f"integer({low}, {high}): the lower end is above the upper one")
    return int(rng.integers(low, high, endpoint=True))


def chance(rng: np.random.Generator, share: float) -> bool:
    """Whether something happens that does in ``share`` of all draws."""
    return float(rng.random()) < share


def choice(rng: np.random.Generator, values: Sequence[Any], weights: Sequence[float] | None = None) -> Any:
    """One of ``values``, alike often or by ``weights``."""
    if not values:
        raise ValueError("choice of nothing")
    if weights is None:
        return values[int(rng.integers(len(values)))]
    return values[int(rng.choice(len(values), p=weights))]


def pick(rng: np.random.Generator, values: Sequence[Any], count: int) -> tuple[Any, ...]:
    """``count`` different entries of ``values``."""
    chosen = rng.choice(len(values), size=min(count, len(values)), replace=False)
    return tuple(values[int(k)] for k in chosen)


def linspace(first: float, last: float, count: int) -> list[float]:
    """``count`` numbers at even distances, both ends included."""
    return [float(v) for v in np.linspace(first, last, min(count, MAX_ITEMS))]


def smooth(points: Sequence[tuple[float, float]], rounds: int = 2) -> list[tuple[float, float]]:
    """A profile with its corners cut ``rounds`` times."""
    return geometry.smooth_profile(points, min(rounds, 6))


def top(mesh: geometry.Mesh) -> float:
    """Height of the highest point of a shape."""
    return float(mesh.vertices[:, 2].max())


def bottom(mesh: geometry.Mesh) -> float:
    """Height of the lowest point of a shape."""
    return float(mesh.vertices[:, 2].min())


def half(texture: surface.Texture, side: int) -> surface.Texture:
    """The left (-1) or right (1) half of a texture."""
    middle = texture.shape[1] // 2
    return np.ascontiguousarray(texture[:, :middle] if side < 0 else texture[:, middle:])


def is_plain(colour: Any) -> bool:
    """Whether ``colour`` is one colour and no texture."""
    return not isinstance(colour, np.ndarray)


def _of_number(function: Callable[..., Any]) -> Callable[[float], float]:
    return lambda x: float(function(x))


COUNTS = ("segments", "size", "count", "sides", "ribs", "planks", "cells", "across", "down", "folds")
MAX_COUNT = 2048
"""Largest number of segments, pixels or copies that a file may ask for."""

DRAWS = (uniform, normal, integer, chance, choice, pick)
COLOURS = (surface.hsv, surface.mix, surface.shade, materials.fruit_colour)
SURFACES = (surface.matte, surface.plastic, surface.metal, surface.glass, surface.ice, surface.light)
PLAIN = (linspace, smooth, top, bottom, half, is_plain, math.atan2)
NAMED: dict[str, Callable[..., Any]] = {
    "interpolate": lambda x, xs, ys: float(np.interp(x, xs, ys)),
    "whole": lambda x: math.floor(x),
    "reverse": lambda values: list(values)[::-1],
}
NUMBERS = ("sin", "cos", "tan", "sqrt", "exp", "sign", "radians", "degrees", "arccos")
"""Functions of numpy that take one number."""
BUILTINS: tuple[Any, ...] = (abs, min, max, sum, len, round, range, zip)
SHAPES: tuple[ModuleType, ...] = (geometry, panels, nature, cloth, room)
TEXTURES: tuple[ModuleType, ...] = (basic, prints, packages, views, materials)

_HIDDEN = (
    "merge_meshes",
    "smooth_profile",
    "loft",
    "as_points",
    "face_viewer",
    "with_edge",
    "find_outlines",
    "measure_gap",
    "Outlines",
)
"""Functions of the shapes' modules that are no words of the files; these say merge and smooth."""


def _limit(
    function: Callable[..., Any], signature: inspect.Signature, limited: Sequence[str]
) -> Callable[..., Any]:
    def run(*values: Any, **named: Any) -> Any:
        given = signature.bind(*values, **named).arguments
        for name in limited:
            if np.max(given.get(name) or 0) > MAX_COUNT:
                raise ValueError(f"{name} is {given[name]}, above {MAX_COUNT}")
        return function(*values, **named)

    return run


_GIVEN: dict[str, Callable[[Scope], Any]] = {
    "rng": lambda scope: scope.rng,
    "around": lambda scope: [part.mesh for part in scope.stage.parts] if scope.stage else [],
}
"""First parameters that a file does not write: the draws, and the things that stand already."""


def wrap(function: Callable[..., Any]) -> Function:
    """``function`` as a word of the files; its first parameters ``rng`` and ``around`` are given to it."""
    try:
        signature = inspect.signature(function)
    except ValueError:  # min, max and the like tell no signature
        return Function(lambda scope, *values: function(*values), inspect.signature(lambda *values: None))
    limited = [name for name in signature.parameters if name in COUNTS]
    if limited:
        function = _limit(function, signature, limited)
    parameters = list(signature.parameters.values())
    given = [p.name for p in parameters if p.name in _GIVEN]
    if not given:
        return Function(lambda scope, *values, **named: function(*values, **named), signature)

    def run(scope: Scope, *values: Any, **named: Any) -> Any:
        if "rng" in given and scope.rng is None:
            raise ValueError(f"{function.__name__} draws at random, which a fixed value must not")
        return function(*(_GIVEN[name](scope) for name in given), *values, **named)

    return Function(run, signature.replace(parameters=parameters[len(given) :]))


def _public(modules: Sequence[ModuleType]) -> list[Callable[..., Any]]:
    return [
        thing
        for module in modules
        for name, thing in vars(module).items()
        if inspect.isfunction(thing) and thing.__module__ == module.__name__ and name[0] != "_"
        if name not in _HIDDEN
    ]


def _gives_mesh(function: Callable[..., Any]) -> bool:
    return "Mesh" in str(function.__annotations__["return"])


@cache
def shapes() -> dict[str, Function]:
    """The shapes by name."""
    return {f.__name__: wrap(f) for f in _public(SHAPES) if _gives_mesh(f)}


@cache
def functions() -> dict[str, Function]:
    """What expressions may call."""
    of_textures = [f for f in _public(TEXTURES) if "Texture" in str(f.__annotations__["return"])]
    of_shapes = [f for f in _public(SHAPES) if not _gives_mesh(f)]
    plain: list[Callable[..., Any]] = [*DRAWS, *COLOURS, *SURFACES, *PLAIN, *of_textures, *of_shapes]
    return {
        **{f.__name__: wrap(f) for f in plain},
        **{name: wrap(_of_number(getattr(np, name))) for name in NUMBERS},
        **{name: wrap(function) for name, function in NAMED.items()},
        **{f.__name__: wrap(f) for f in BUILTINS},
    }


PRODUCT_SIDES = tuple(f"product_{side}" for side in ("left", "front", "bottom", "right", "back", "top"))


def describe_product(parts: Any) -> dict[str, float]:
    """Names for the product's size that a scene may mind."""
    low, high = compute_bounds(parts)
    return {name: float(value) for name, value in zip(PRODUCT_SIDES, (*low, *high), strict=True)}
