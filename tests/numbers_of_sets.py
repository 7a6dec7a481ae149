"""Numbers that evaluation gives on drawn sets; ``tests/unit/test_numbers.py`` compares them with stored ones.

``python tests/numbers_of_sets.py`` stores new ones after a change that is meant.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from cyclorama.evaluation import (
    compare,
    distances,
    feature_network,
    features,
    following,
    measure,
    preservation,
    projection,
    published,
    reading,
    report,
    rim,
    settings,
    tables,
)
from numbers_of_images import X, Y, attempt, draw_disc, draw_photo, store, sum_up

STORED = Path(__file__).with_name("numbers_of_sets.json")
IDENTITY = features.FeatureIdentity("net", "0" * 16, 5, "none", "image")


def build_table(count: int, seed: int, shift: float = 0.0) -> features.FeatureTable:
    values = np.random.default_rng(seed).normal(1 + shift, 0.5, (count, 5)).astype(np.float32)
    return features.FeatureTable(IDENTITY, tuple(f"k{n:03d}" for n in range(count)), values)


def draw_scene(seed: int, mask: np.ndarray | None = None, product: int = 0) -> np.ndarray:
    """Bands, a disc and noise behind a striped product."""
    random = np.random.default_rng(seed)
    scene = random.uniform(70, 190, 3) + 25 * np.sin(Y / random.uniform(4, 12) + X / 30)[..., None]
    scene[np.hypot(Y - random.uniform(0, 120), X - random.uniform(0, 100)) < 15] = random.uniform(0, 255, 3)
    scene = np.clip(scene + random.normal(0, 3, scene.shape), 0, 255)
    if mask is not None:
        scene = mask[..., None] * draw_photo(np.ones_like(mask), 200, product) + (1 - mask[..., None]) * scene
    return np.rint(scene).astype(np.uint8)


def build_sets(count: int = 10, alone: bool = False) -> reading.Partners:
    keys = [f"k{n}" for n in range(count)]
    masks = {key: draw_disc(55 + 2 * n, 45 + n, 20 + n, 2.0) for n, key in enumerate(keys)}
    categories = {key: ("tea", "soap", "milk")[n % 3] for n, key in enumerate(keys)}
    if alone:
        categories["k0"] = "perfume"
    made = {key: draw_scene(n, masks[key], n) for n, key in enumerate(keys)}
    made["k1"] = np.where(masks["k1"][..., None] > 0.5, made["k1"] // 2, made["k1"])
    truth = {key: draw_scene(n + (n % 2) * 50, masks[key], n) for n, key in enumerate(keys)}
    kinds = {f"r{n}": ("tea", "soap", "milk")[n % 3] for n in range(count)}
    places = {name: draw_disc(60, 20 + 7 * n, 18) for n, name in enumerate(kinds)}
    shown = {name: draw_scene(70 + n, places[name], 3) for n, name in enumerate(kinds)}
    own = {key: f"r{n}" for n, key in enumerate(keys)}
    return reading.find_partners(
        reading.from_arrays(made, masks, categories, own, "made"),
        reading.from_arrays(truth, masks, categories, name="truth"),
        reading.from_arrays(shown, places, kinds, name="shown"),
    )


def count_compare() -> dict[str, Any]:
    random = np.random.default_rng(0)
    values = random.normal(3, 1, 40).tolist()
    groups = [f"g{n % 7}" for n in range(40)]
    found: dict[str, Any] = {}
    for name, mean in {
        "plain": compare.estimate_mean(values),
        "groups": compare.estimate_mean(values, groups, 3),
        "one": compare.estimate_mean([2.0, 4.0], ["a", "a"]),
        "above": compare.MeanEstimate(1, 0.0, 2.0, 3),
        "below": compare.MeanEstimate(-1, -2.0, 0.0, 3),
    }.items():
        assert mean is not None
        found[name] = [mean.value, mean.low, mean.high, mean.count, mean.sign, mean.format(2)]
    rows = [
        {
            f"k{n}": {"psnr": 20.0 + n % 3 + s * (n % 2), "leak": 0.1 * (n % 4) * s, "leak_null": 0.1 * s}
            for n in range(9)
        }
        for s in (0, 1)
    ]
    for one in compare.compare(rows[0], rows[1], ("a", "b"), 5):
        ends = one.difference.low, one.difference.high
        found[one.metric] = [one.first, one.second, one.difference.value, *ends, one.wins, one.verdict]
    return found


def count_distances() -> dict[str, Any]:
    found: dict[str, Any] = {}
    sizes = ((1, 9), (2, 9), (3, 4), (7, 9), (8, 8), (8, 30), (5, 5), (40, 60))
    for first, second in sizes:
        a, b = build_table(first, 1), build_table(second, 2, 0.4)
        found[f"{first} {second}"] = attempt(lambda a=a, b=b: vars(distances.compute_set_distance(a, b, 3)))
        for size in (1, 2, 6):
            found[f"{first} {second} {size}"] = attempt(distances.compute_kid, a, b, 5, size, 2)
    found["subsets"] = attempt(distances.compute_kid, build_table(9, 1), build_table(9, 2), 0, 5)
    images = reading.from_arrays({f"k{n}": draw_scene(n) for n in range(9)})
    network = published.load_features()
    return found | {"calibration": distances.calibrate(images, network, 1), "steps": distances.MOST}


def count_features() -> dict[str, Any]:
    partners = build_sets(4)
    network = published.load_features()
    assert isinstance(network, features.CycloramaNetwork) and partners.truth is not None
    found: dict[str, Any] = {"hash": network.weights_hash, "categories": ", ".join(network.categories)}
    both = []
    for region in ("image", "background"):
        table = features.extract_features(partners.images, network, region)
        other = features.extract_features(partners.truth, network, region)
        both.append(table)
        found[region] = [table.values, table.normalise(), features.compute_similarity(table, other)]
        found[f"{region} label"] = table.identity.label
    found["classes"] = network.classify(both[1].values)
    found["maps"] = [m.numpy() for m in network.network.compute_maps(network.prepare([draw_scene(1)] * 2))]
    many = reading.from_arrays({f"k{n:02d}": draw_scene(n)[:40, :40] for n in range(34)})
    counted: list[int] = []
    found["many"] = [features.extract_features(many, network, "image", counted.append).values, counted]
    hits = following.compute_category_hits(
        both[1], dict.fromkeys(both[1].keys, network.categories[3]), network
    )
    return found | {"hits": hits}


def count_published() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, paths in (
        ("five", published.BLOCKS["Mixed_5b"]),
        ("half", published.BLOCKS["Mixed_6a"]),
        ("last", published.BLOCKS["Mixed_7c"]),
    ):
        block = published.Mixed(6, paths[1]).eval()
        shapes = [f"{k} {tuple(v.shape)}" for k, v in block.state_dict().items() if k.endswith("conv.weight")]
        with torch.no_grad():
            for number, value in enumerate(block.parameters()):
                value.copy_(torch.cos(torch.arange(value.numel()) * 0.37 + number).reshape(value.shape) * 0.2)
            values = torch.sin(torch.arange(6 * 81) * 0.11).reshape(1, 6, 9, 9)
            found[name] = [shapes, block(values).numpy()]
    inception = published.Inception()
    found["strides"] = [
        str(m.stride + m.padding) for m in inception.modules() if isinstance(m, torch.nn.Conv2d)
    ]
    block = feature_network.FeatureBlock(3, 4).eval()
    with torch.no_grad():
        for number, value in enumerate(block.parameters()):
            value.copy_(torch.cos(torch.arange(value.numel()) * 0.37 + number).reshape(value.shape) * 0.2)
        found["block"] = block(torch.sin(torch.arange(3 * 64) * 0.11).reshape(1, 3, 8, 8)).numpy()
    return found


def count_following() -> dict[str, Any]:
    found: dict[str, Any] = {}
    mask = draw_disc()
    for seed in range(3):
        pixels, other = draw_scene(seed, mask, seed), draw_scene(seed + 9)
        palettes = following.compute_palette(pixels, mask), following.compute_palette(other)
        found[f"palette {seed}"] = [*palettes, following.compute_palette_distance(*palettes)]
        for place in (20, 50, 80):
            there = draw_disc(60, place, 26)
            shown = draw_scene(seed + 30, there, 5)
            copied = np.where((there > 0.5)[..., None] & (mask < 0.5)[..., None], shown, pixels)
            for name, image in (("made", pixels), ("copied", copied)):
                found[f"{name} {seed} {place}"] = following.compute_leak(image, mask, shown, there)
    for free in (63, 64):
        solid = np.ones((120, 100), np.float32)
        solid[0, :free] = 0
        grown = np.zeros((40, 40, 3), np.uint8)[:8, : free // 8 + (free % 8 > 0)]
        found[f"least {free}"] = (
            attempt(following.compute_palette, np.zeros((1, free, 3), np.uint8)),
            grown.size,
        )
    distances_known = {
        ("a", "r1"): 0.5,
        ("a", "r2"): 0.5,
        ("a", "r3"): 0.6,
        ("b", "r3"): 0.1,
        ("b", "r1"): 0.3,
        ("b", "r2"): 0.05,
    }
    kinds = {"r1": ("x", None), "r2": ("x", None), "r3": ("x", None), "r4": ("y", None)}
    found["percentiles"] = following.compute_percentiles({"a": "r1", "b": "r3"}, kinds, distances_known)
    return found | {"rivals": following.list_rivals("r2", kinds)}


def count_preservation() -> dict[str, Any]:
    found: dict[str, Any] = {}
    network = published.load_features()
    for seed in range(3):
        mask = draw_disc(50 + 8 * seed, 40 + 9 * seed, 24, 2.0)
        pixels, truth = draw_scene(seed, mask, seed), draw_scene(seed + 5, mask, seed + 1)
        found[f"truth {seed}"] = preservation.compute_truth(pixels, truth, mask, network)  # type: ignore[arg-type]
        found[f"whole {seed}"] = preservation.compute_truth(pixels, truth, None)
        found[f"inside {seed}"] = preservation.compute_interior_difference(pixels, truth, mask)
        found[f"rim {seed}"] = preservation.compute_rim_delta_e(pixels, truth, mask)
        grown = np.maximum(mask, draw_disc(50 + 8 * seed, 62 + 9 * seed, 9))
        larger = np.where((grown > 0.5)[..., None], np.array([200, 30, 40]), 90 + seed).astype(np.uint8)
        segmented = preservation.segment_by_rim_colours(larger, mask)
        found[f"grown {seed}"] = [segmented, preservation.compute_expansion(segmented, mask)]
        windows: list[Any] = []
        preservation.compute_text_error(pixels, truth, mask, lambda p: windows.append(p.shape) or "x")  # noqa: B023
        found[f"window {seed}"] = windows
    texts = ("", "a", "ab", "kitten", "sitting", "tea time", "tae tmie")
    found["edits"] = [[preservation.compute_edit_distance(a, b) for a in texts] for b in texts]
    for free in (9, 16, 17):
        solid = np.ones((120, 100), np.float32)
        solid[0:2, : free + 1] = 0
        found[f"weight {free}"] = attempt(preservation.compute_truth, draw_scene(1), draw_scene(2), solid)
    return found


def count_projection() -> dict[str, Any]:
    found: dict[str, Any] = {}
    table = build_table(12, 3)
    for name, kinds in (("two", "ab"), ("three", "abc")):
        categories = {key: kinds[n % len(kinds)] for n, key in enumerate(table.keys)}
        for label, one in projection.compute_compactness(table, categories).items():
            found[f"{name} {label}"] = vars(one) | {"ratio": one.ratio}
    for count in (2, 7):
        places, method = projection.project(build_table(count, 3))
        found[f"map {count}"] = [np.abs(places), method]
    image = projection.draw_projection(
        np.array([[0.0, 1], [2, 5], [3, 1], [9, 2]]), ["a", "b", "c", "d"], 120
    )

    with Image.open(io.BytesIO(image)) as drawn:
        found["drawn"] = np.asarray(drawn)
    return found


def count_rim() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for seed in range(4):
        for scale in (1, 3):
            mask = np.kron(
                draw_disc((60, 92, 30, 60)[seed], (50, 50, 12, 50)[seed], 24), np.ones((scale, scale))
            )
            mask = mask.astype(np.float32)
            pixels = np.kron(
                draw_scene(seed, draw_disc((60, 92, 30, 60)[seed], (50, 50, 12, 50)[seed], 24), seed),
                np.ones((scale, scale, 1), np.uint8),
            )
            if seed == 3:
                pixels = pixels // 2 + 90
            for reach in (1.5, 8.0):
                edge = rim.build_rim(mask, reach)
                parts = edge.distance, edge.edges, edge.normals, edge.rows, edge.columns
                places = [
                    [edge.is_outside(v), edge.is_inside(v), edge.sample(pixels, v)] for v in (0.5, 3.0, 13.0)
                ]
                like = attempt(lambda p=pixels, e=edge: rim.find_product_like(rim.to_lab(p), e))
                found[f"edge {seed} {scale} {reach}"] = [*parts, places, edge.sample(pixels, -2.0), like]
            for measured in (rim.compute_seam_energy, rim.compute_floating, rim.compute_ghost_energy):
                found[f"{measured.__name__} {seed} {scale}"] = attempt(measured, pixels, mask)
    ground = np.full((256, 256, 3), 180, np.uint8)
    rows, columns = np.mgrid[:256, :256]
    for bottom in (180, 246, 247, 248, 249):
        mask = ((rows > 60) & (rows <= bottom) & (columns > 90) & (columns < 160)).astype(np.float32)
        mask[bottom - 4 : bottom + 1, 140:] = 0
        for offset in (0, 6, 22):
            for depth in (0.015, 0.02, 0.5):
                shade = depth * np.exp(
                    -(((rows - bottom - 1 - offset) / 5.0) ** 2) - ((columns - 120) / 45.0) ** 4
                )
                pixels = np.rint(ground * (1 - shade[..., None])).astype(np.uint8)
                found[f"floating {bottom} {offset} {depth}"] = attempt(rim.compute_floating, pixels, mask)
    for side in (100, 256, 300, 1024):
        found[f"unit {side}"] = rim.get_unit(np.zeros((side, side + 9), np.float32))
    return found


def count_measure() -> dict[str, Any]:
    found: dict[str, Any] = {}
    wanted = settings.EvaluationSettings(seed=4, projection=False)
    networks = measure.load_networks(wanted)
    few = settings.EvaluationSettings(metrics=("similarity", "distance", "category"), projection=False)
    whole = build_sets(8)
    lone = build_sets(7, alone=True)
    bare = reading.from_arrays(
        {key: image.pixels for key, image in zip(whole.images.keys, whole.images)}, name="bare"
    )
    cases = {
        "whole": whole,
        "lone": lone,
        "bare": reading.find_partners(bare, whole.references),
        "one": reading.find_partners(whole.images.select(["k0"]), whole.truth, allow_missing=True),
        "products": reading.find_partners(whole.images, None, None, None, False, whole.truth),
        "some": reading.find_partners(
            whole.images,
            whole.truth and whole.truth.select(whole.truth.keys[2:]),
            whole.references,
            allow_missing=True,
        ),
    }
    results = []
    for name, partners in cases.items():
        counted: list[int] = []
        result = measure.evaluate_set(
            partners, wanted if name == "whole" else few, networks, None, counted.append
        )
        results.append(result)
        found[name] = [
            result.rows,
            {k: [v.value, v.low, v.high, v.count] for k, v in result.estimates.items()},
        ]
        found[f"{name} sets"] = [vars(one) for one in result.distances]
        found[f"{name} words"] = [
            result.notes,
            result.left_out,
            result.used,
            sum(counted),
            measure.count_steps(partners),
        ]
        found[f"{name} categories"] = {key: vars(one) for key, one in result.compactness.items()}
    differences = compare.compare(results[0].rows, results[1].rows, ("a", "b"))
    both = report.Report((results[0], results[1]), tuple(differences), (("itself", 0.0, -0.001),))
    found["markdown"] = tables.format_markdown(report.build_text(both), {"map": "map.png"})
    found["page"] = [
        report.format_html(both).count(word) for word in ("<img", "<td>", "<th", "<article", "<li>", "alt=")
    ]
    values = report.build_json(both)
    found["json"] = {
        "first": values["sets"][0],
        "differences": values["differences"],
        "itself": values["calibration"],
    }
    return found


COUNTS: dict[str, Callable[[], dict[str, Any]]] = {
    name.removeprefix("count_"): function
    for name, function in list(globals().items())
    if name.startswith("count_")
}

if __name__ == "__main__":
    store(STORED, {name: sum_up(count()) for name, count in COUNTS.items()})
