"""Digests of all scene categories: which products and stages a category file gives, to 1/10,000.

``python tests/scene_digests.py`` prints them as JSON; ``tests/unit/test_scenes_digests.py`` compares them
with ``tests/scene_digests.json``.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

from cyclorama.scenes.compose import ItemPlan, build_product, build_stage
from cyclorama.scenes.grammar.reader import NAMES, load_category
from cyclorama.scenes.stage import Part, SceneCategory

STORED = Path(__file__).with_name("scene_digests.json")
PRODUCTS, STAGES = 40, 24


def _update(digest: hashlib._Hash, *values: object) -> None:
    for value in values:
        if isinstance(value, str):
            digest.update(value.encode())
        else:
            array = np.asarray(value)
            rounded = array if array.dtype == np.uint8 else np.round(array * 1e4).astype(np.int64)
            digest.update(str(array.shape).encode() + rounded.tobytes())


def _update_parts(digest: hashlib._Hash, parts: list[Part]) -> None:
    for part in parts:
        mesh, surface = part.mesh, part.surface
        _update(digest, mesh.vertices, mesh.faces, mesh.normals, mesh.uv)
        _update(digest, surface.kind, surface.colour, surface.glow, surface.tiles)
        if surface.kind != "glass":  # a thin pane has no roughness
            _update(digest, surface.roughness)


def digest_product(category: SceneCategory, number: int) -> str:
    """Digest of one product's meshes and surfaces."""
    digest = hashlib.sha256()
    _update_parts(digest, build_product(category, number))
    return digest.hexdigest()[:10]


def digest_stage(category: SceneCategory, number: int) -> str:
    """Digest of a dressed stage: brands a, b, c, then a sampled style, in turn."""
    brand = (0, 1, 2, None)[number % 4]
    stage, style = build_stage(ItemPlan(0, category, brand, number, 7000 + number))
    digest = hashlib.sha256()
    _update_parts(digest, stage.parts)
    for lamp in stage.lights:
        _update(digest, lamp.position, lamp.target, lamp.size, lamp.radiance)
    camera = stage.camera
    _update(digest, camera.origin, camera.target, camera.fov, stage.sky, stage.exposure)
    _update(digest, *style.palette, len(style.elements), style.layout)
    _update(digest, style.key_side, style.key_warmth, style.key_strength, style.fill)
    return digest.hexdigest()[:10]


def digest_category(
    category: SceneCategory, products: int = PRODUCTS, stages: int = STAGES
) -> dict[str, list[str]]:
    """Digests of the first products and stages of ``category``."""
    return {
        "products": [digest_product(category, k) for k in range(products)],
        "stages": [digest_stage(category, k) for k in range(stages)],
    }


if __name__ == "__main__":
    print(json.dumps({n: digest_category(load_category(n)) for n in sys.argv[1:] or NAMES}, indent=1))
