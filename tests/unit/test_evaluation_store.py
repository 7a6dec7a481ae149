"""Features are computed once for the same files; products are held to what was given; lone categories."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cyclorama.errors import DataError, MissingImageError
from cyclorama.evaluation.features import FeatureStore, load_table
from cyclorama.evaluation.measure import evaluate_set
from cyclorama.evaluation.reading import find_partners, from_arrays, open_images
from cyclorama.evaluation.settings import EvaluationSettings


class MeanColour:
    """A network whose features are an image's mean colour; counts what it looked at."""

    name = "mean-colour"
    dimensions = 3
    resampler = "none"

    def __init__(self, weights_hash: str = "0" * 16) -> None:
        self.weights_hash = weights_hash
        self.looked_at = 0

    def compute(self, images: Sequence[np.ndarray]) -> np.ndarray:
        self.looked_at += len(images)
        return np.stack([p.reshape(-1, 3).mean(axis=0) for p in images]).astype(np.float32)


def paint(seed: int, side: int = 48) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return small.repeat(side // 6, axis=0).repeat(side // 6, axis=1)


MASK = np.zeros((48, 48), np.float32)
MASK[16:40, 12:30] = 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "set").mkdir()
    for n in range(3):
        Image.fromarray(paint(n)).save(tmp_path / "set" / f"k{n}.png")
    return tmp_path


def test_features_are_computed_once_and_anew_for_a_changed_file(folder: Path):
    network, store = MeanColour(), FeatureStore(folder / "kept")
    first = store.get(open_images(folder / "set"), network)
    assert network.looked_at == 3 and first.keys == ("k0", "k1", "k2")
    np.testing.assert_array_equal(first.values[1], paint(1).reshape(-1, 3).mean(axis=0).astype(np.float32))
    again = FeatureStore(folder / "kept").get(open_images(folder / "set"), network)
    assert network.looked_at == 3 and again.identity == first.identity and again.keys == first.keys
    np.testing.assert_array_equal(again.values, first.values)
    seen: list[int] = []
    store.get(open_images(folder / "set"), network, on_images=seen.append)
    assert network.looked_at == 3 and seen == [3]
    Image.fromarray(paint(9)).resize((50, 50)).save(folder / "set" / "k1.png")
    changed = store.get(open_images(folder / "set"), network)
    assert network.looked_at == 6 and not np.array_equal(changed.values, first.values)


def test_other_weights_and_broken_files_are_never_taken(folder: Path):
    images, network = open_images(folder / "set"), MeanColour()
    FeatureStore(folder / "kept").get(images, network)
    other = MeanColour("1" * 16)
    assert FeatureStore(folder / "kept").get(images, other).identity.weights_hash == "1" * 16
    assert other.looked_at == 3
    for file in (folder / "kept").glob("*.npz"):
        file.write_bytes(file.read_bytes()[:50])
    FeatureStore(folder / "kept").get(images, network)
    assert network.looked_at == 6


def test_the_true_sets_features_are_kept_and_taken_again(folder: Path):
    """``statistics`` names a folder for the truth alone; a second evaluation looks at the images only."""
    truth = open_images(folder / "set")
    images = from_arrays({key: paint(20 + n) for n, key in enumerate(truth.keys)})
    settings = EvaluationSettings(metrics=("distance",), statistics=folder / "kept")
    results = []
    for looked_at in (6, 3):
        network = MeanColour()
        results.append(evaluate_set(find_partners(images, truth), settings, (network, None)).distances)
        assert network.looked_at == looked_at
    assert results[0] == results[1]
    (kept,) = (folder / "kept").glob("*-image-*.npz")
    table = load_table(kept)
    alone = evaluate_set(find_partners(images), settings, (MeanColour(), None), table)
    assert alone.distances == results[0]
    kept.write_bytes(b"PK nothing")
    with pytest.raises(DataError, match="holds no features of this version"):
        load_table(kept)


def build_sets(count: int = 4):
    keys = [f"k{n}" for n in range(count)]
    masks = dict.fromkeys(keys, MASK)
    truth = {key: paint(n) for n, key in enumerate(keys)}
    given = {key: np.full((48, 48, 3), 200 + n, np.uint8) for n, key in enumerate(keys)}
    made = {key: np.where(MASK[..., None] > 0, given[key], paint(50 + n)) for n, key in enumerate(keys)}
    return keys, masks, truth, given, made


def test_products_are_held_to_what_was_given_and_backgrounds_to_the_truth():
    _, masks, truth, given, made = build_sets()
    sets = [from_arrays(made, masks), from_arrays(truth, masks)]
    settings = EvaluationSettings(metrics=("product", "truth"))
    results = [
        evaluate_set(find_partners(*sets, products=products), settings, (MeanColour(), None))
        for products in (None, from_arrays(given, name="given"))
    ]
    differences = [r.estimates["product_max_difference"].value for r in results]
    assert differences[0] > 50 and differences[1] == 0
    assert results[0].estimates["psnr"] == results[1].estimates["psnr"]
    alone = evaluate_set(find_partners(sets[0], products=from_arrays(given)), settings, (MeanColour(), None))
    assert alone.estimates["product_max_difference"].value == 0 and "psnr" not in alone.estimates
    assert alone.used["segmenter"] == "rim-colours-1"
    with pytest.raises(MissingImageError, match="'k3'"):
        find_partners(*sets, products=from_arrays({key: given[key] for key in ("k0", "k1", "k2")}))
    with pytest.raises(MissingImageError, match="share no key"):
        find_partners(*sets, products=from_arrays({"z": given["k0"]}))


def test_a_category_of_one_image_is_left_off_the_map_and_named():
    keys, masks, truth, _, _ = build_sets(7)
    categories = dict(zip(keys, ["tea", "tea", "tea", "soap", "soap", "soap", "lamp"], strict=True))
    partners = find_partners(from_arrays(truth, masks, categories))
    settings = EvaluationSettings(metrics=("category",))
    found = evaluate_set(partners, settings, (MeanColour(), None))
    assert set(found.compactness) == {"tea", "soap"} and found.projection is not None
    assert any("1 categories have one image" in note for note in found.notes)
    plain = evaluate_set(
        partners, EvaluationSettings(metrics=("category",), projection=False), (MeanColour(), None)
    )
    assert plain.compactness == found.compactness and plain.projection is None
    names = dict(zip(keys, ["tea"] * 6 + ["lamp"], strict=True))
    single = find_partners(from_arrays(truth, masks, names))
    assert evaluate_set(single, settings, (MeanColour(), None)).compactness == {}
