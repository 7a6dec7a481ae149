"""Every metric catches its planted fault on rendered advertisements, and leaves the other faults to others.

The images are rendered advertisements of held-out products, two of a category, with their masks. A faithful
set (the truth with a little noise in its background) is compared with sets that carry one fault each.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from cyclorama.evaluation.compare import compare
from cyclorama.evaluation.measure import Evaluation, evaluate_set, load_networks
from cyclorama.evaluation.reading import find_partners, from_arrays
from cyclorama.evaluation.settings import EvaluationSettings

ADVERTISEMENTS = Path(__file__).resolve().parents[1] / "cases" / "advertisements"
SIDE = 128
FAULTS = {
    "colours": ("distance", "similarity", "truth", "product", "leak"),
    "grown": ("truth", "product"),
    "pasted": ("product", "leak"),
    "swapped": ("similarity", "product", "category"),
    "blurred": ("distance", "similarity", "truth", "product", "leak"),
}
"""Fault -> groups of metrics that are asked about it."""
GROUPS = ("distance", "similarity", "truth", "product", "category", "leak")
Images = dict[str, np.ndarray]


@cache
def load_truth() -> tuple[Images, Images, dict[str, str]]:
    """Pixels, masks and categories of rendered advertisements, two of each category, by key."""
    pixels, masks, categories = {}, {}, {}
    for path in sorted(ADVERTISEMENTS.glob("*.jpg")):
        key = path.stem
        with Image.open(path) as image, Image.open(path.with_name(f"{key}-mask.png")) as mask:
            pixels[key] = np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX))
            small = np.asarray(mask.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX))
        masks[key] = small.astype(np.float32) / 255
        categories[key] = key[:-2].replace("-", " ")
    return pixels, masks, categories


@cache
def load_references() -> tuple[Images, Images, dict[str, str]]:
    """The category's other image, rolled sideways so that its product lies beside the image's own."""
    pixels, masks, categories = load_truth()
    others = {}
    for key, category in categories.items():
        rivals = [k for k, c in categories.items() if c == category and k != key]
        others[key] = rivals[0]
    rolled = {f"r-{key}": np.roll(pixels[other], SIDE * 2 // 5, axis=1) for key, other in others.items()}
    rolled_masks = {f"r-{key}": np.roll(masks[other], SIDE * 2 // 5, axis=1) for key, other in others.items()}
    return rolled, rolled_masks, {f"r-{key}": categories[key] for key in others}


def paint_faithful() -> Images:
    pixels, masks, _ = load_truth()
    result = {}
    for number, (key, truth) in enumerate(pixels.items()):
        noise = np.random.default_rng(number).normal(0, 2, truth.shape)
        noisy = np.clip(np.rint(truth + noise), 0, 255).astype(np.uint8)
        result[key] = np.where(masks[key][..., None] > 0, truth, noisy)
    return result


def plant(fault: str, key: str, image: np.ndarray) -> np.ndarray:
    pixels, masks, categories = load_truth()
    mask = masks[key]
    if fault == "colours":
        shifted = np.where(image > 127, image - 9, image + 9)
        return np.where(mask[..., None] >= 1, shifted, image).astype(np.uint8)
    if fault == "grown":
        distance, nearest = ndimage.distance_transform_edt(mask < 0.98, return_indices=True)
        rows, columns = nearest
        band = (
            (distance > 0)
            & (distance <= 7)
            & (np.indices(mask.shape)[1] > np.argwhere(mask > 0.5)[:, 1].mean())
        )
        return np.where(band[..., None], image[rows, columns], image)
    if fault == "pasted":
        references, reference_masks, _ = load_references()
        alpha = (reference_masks[f"r-{key}"] * (1 - mask))[..., None]
        return np.rint(image + alpha * (references[f"r-{key}"] - image.astype(float))).astype(np.uint8)
    if fault == "swapped":
        names = sorted(pixels)
        other = names[(names.index(key) + len(names) // 2) % len(names)]
        assert categories[other] != categories[key]
        hidden = masks[other][..., None] > 0
        background = np.where(hidden, np.median(pixels[other][masks[other] == 0], axis=0), pixels[other])
        return np.rint(pixels[key] * mask[..., None] + background * (1 - mask[..., None])).astype(np.uint8)
    blurred = ndimage.gaussian_filter(image, (2.5, 2.5, 0))
    return np.where(mask[..., None] > 0, image, blurred)


networks = cache(lambda: load_networks(EvaluationSettings()))


@cache
def evaluate(fault: str) -> Evaluation:
    """The evaluation of the faithful set (``none``) or of one with ``fault``."""
    truth, masks, categories = load_truth()
    references, reference_masks, reference_categories = load_references()
    made = paint_faithful()
    if fault != "none":
        made = {key: plant(fault, key, image) for key, image in made.items()}
    partners = find_partners(
        from_arrays(made, masks, categories, {key: f"r-{key}" for key in made}, fault),
        from_arrays(truth, masks, categories, name="truth"),
        from_arrays(references, reference_masks, reference_categories, name="references"),
    )
    groups = FAULTS.get(fault, GROUPS)
    return evaluate_set(partners, EvaluationSettings(metrics=groups, projection=False), networks())


def get_means(fault: str) -> dict[str, float]:
    found = evaluate(fault)
    means = {name: estimate.value for name, estimate in found.estimates.items()}
    for distance in found.distances:
        ending = "" if distance.region == "image" else "_background"
        means |= {f"fid{ending}": distance.fid, f"kid{ending}": float(distance.kid or 0)}
    return means


def get_wins(fault: str, metric: str) -> tuple[int, int]:
    """Images on which the faithful set is better, and on which the faulty one is."""
    rows = evaluate("none").rows, evaluate(fault).rows
    (found,) = [d for d in compare(*rows, ("faithful", fault)) if d.metric == metric]
    return found.first_wins, found.second_wins


def test_a_faithful_set_has_no_fault():
    means = get_means("none")
    assert means["product_max_difference"] == means["product_mean_difference"] == means["rim_delta_e"] == 0
    assert means["expansion"] < 0.05 and means["leak"] < 0.05
    assert means["psnr"] > 40 and means["ssim"] > 0.93 and means["similarity_truth_background"] > 99
    assert means["category_accuracy"] >= 0.8


def test_shifted_colours_inside_the_product():
    clean, found = get_means("none"), get_means("colours")
    assert found["product_max_difference"] == 9 and found["product_mean_difference"] == pytest.approx(9)
    assert found["rim_delta_e"] > 1
    assert get_wins("colours", "product_max_difference") == (len(load_truth()[0]), 0)
    for metric in ("psnr", "ssim", "perceptual", "similarity_truth_background", "fid_background", "leak"):
        assert found[metric] == pytest.approx(clean[metric], abs=1e-6), metric


def test_a_grown_product():
    clean, found = get_means("none"), get_means("grown")
    assert found["expansion"] > clean["expansion"] + 0.1
    wins, losses = get_wins("grown", "expansion")
    assert wins >= 0.8 * len(load_truth()[0]) and losses <= 1
    assert found["product_max_difference"] == 0 and found["psnr"] < clean["psnr"]


def test_a_pasted_product_of_the_reference():
    clean, found = get_means("none"), get_means("pasted")
    assert found["leak"] > 0.5 and clean["leak"] < 0.05 and found["leak_null"] < 0.1
    wins, losses = get_wins("pasted", "leak")
    assert wins >= 0.8 * len(load_truth()[0]) and losses == 0
    assert found["product_max_difference"] == 0


def test_a_background_of_another_category():
    clean, found = get_means("none"), get_means("swapped")
    assert clean["category_accuracy"] >= 0.8 and found["category_accuracy"] <= 0.1
    assert found["similarity_truth_background"] < clean["similarity_truth_background"] - 10
    assert found["product_max_difference"] == 0


def test_a_blurred_background():
    clean, found = get_means("none"), get_means("blurred")
    count = len(load_truth()[0])
    for metric in ("psnr", "perceptual", "similarity_truth_background", "similarity_truth"):
        assert get_wins("blurred", metric) == (count, 0), metric
    assert get_wins("blurred", "ssim")[0] >= 0.8 * count  # a plain wall stays as it is
    assert found["psnr"] < clean["psnr"] - 5 and found["ssim"] < clean["ssim"] - 0.05
    assert found["perceptual"] > 2 * clean["perceptual"]
    for distance in ("fid", "kid", "fid_background", "kid_background"):
        assert found[distance] > clean[distance], distance
    assert found["product_max_difference"] == 0 and found["leak"] < 0.05


def main() -> None:
    """Print all figures of all faults as a Markdown table."""
    FAULTS.update(dict.fromkeys(FAULTS, GROUPS))
    table = {fault: get_means(fault) for fault in ("none", *FAULTS)}
    print("| metric | " + " | ".join(table) + " |")
    print("|---|" + "---|" * len(table))
    for metric in table["none"]:
        print(
            f"| {metric} | "
            + " | ".join(f"{means.get(metric, float('nan')):.4g}" for means in table.values())
            + " |"
        )


if __name__ == "__main__":
    main()
