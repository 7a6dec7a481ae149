"""FID and KID against closed forms and independent implementations; statistics and their order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import linalg

from cyclorama.errors import DataError, MixedFeaturesError, TooFewImagesError
from cyclorama.evaluation.distances import (
    compute_fid,
    compute_frechet,
    compute_frechet_of_samples,
    compute_kid,
    compute_mmd,
    compute_set_distance,
    estimate_bias,
)
from cyclorama.evaluation.features import FeatureIdentity, FeatureTable, load_table, save_table

IDENTITY = FeatureIdentity("cyclorama", "0" * 16, 12, "pillow-bicubic", "image")


def build_table(count: int, seed: int, shift: float = 0.0, dimensions: int = 12) -> FeatureTable:
    random = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(dimensions, dimensions))
    values = (random.normal(size=(count, dimensions)) @ mixing + shift).astype(np.float32)
    keys = tuple(f"k{n:05d}" for n in range(count))
    return FeatureTable(replace(IDENTITY, dimensions=dimensions), keys, values)


def test_frechet_distance_of_commuting_gaussians_is_the_closed_form():
    """For equal eigenvectors it is |m - w|² + sum (sqrt a - sqrt b)², here in a rotated frame."""
    rotation = linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0]
    a, b = np.array([9.0, 4, 1, 0.25, 0, 16]), np.array([1.0, 4, 9, 0, 0.25, 25])
    mean_a, mean_b = np.arange(6.0), np.arange(6.0) * 0.5
    expected = np.sum((mean_a - mean_b) ** 2) + np.sum((np.sqrt(a) - np.sqrt(b)) ** 2)
    found = compute_frechet(mean_a, rotation * a @ rotation.T, mean_b, rotation * b @ rotation.T)
    assert found == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_of_one_dimension_is_the_closed_form():
    found = compute_frechet(np.array([2.0]), np.array([[9.0]]), np.array([-1.0]), np.array([[1.0]]))
    assert found == pytest.approx(3**2 + (3 - 1) ** 2, rel=1e-12)


def test_fid_equals_the_matrix_square_root():
    first, second = (build_table(400, s, shift=0.3 * s) for s in (1, 2))
    a, b = np.cov(first.values.T.astype(float)), np.cov(second.values.T.astype(float))
    shift = first.values.astype(float).mean(0) - second.values.astype(float).mean(0)
    expected = shift @ shift + np.trace(a + b - 2 * linalg.sqrtm(a @ b).real)
    assert compute_fid(first, second) == pytest.approx(expected, rel=1e-6)
    assert compute_fid(second, first) == pytest.approx(expected, rel=1e-6)
    assert compute_fid(first, first) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_of_few_samples_is_that_of_their_moments():
    first, second = (build_table(9, s, 0.2 * s) for s in (1, 2))
    found = compute_frechet_of_samples(first.values.astype(float), second.values.astype(float))
    assert found == pytest.approx(compute_fid(first, second), rel=1e-9)


def test_kid_equals_the_literal_double_loop():
    first, second = build_table(30, 1), build_table(25, 2, shift=0.5)
    x, y = first.values.astype(float), second.values.astype(float)

    def kernel(u, v):
        return (float(u @ v) / 12 + 1) ** 3

    within_x = [kernel(x[i], x[j]) for i in range(30) for j in range(30) if i != j]
    within_y = [kernel(y[i], y[j]) for i in range(25) for j in range(25) if i != j]
    across = [kernel(u, v) for u in x for v in y]
    expected = np.mean(within_x) + np.mean(within_y) - 2 * np.mean(across)
    assert compute_mmd(first.values, second.values) == pytest.approx(expected, rel=1e-6)
    same_size = compute_kid(first, first)
    x_again = np.mean(within_x) * 2 - 2 * np.mean([kernel(u, v) for u in x for v in x])
    assert same_size == (pytest.approx(x_again, rel=1e-6), None)  # one subset: all of both


def test_kid_is_unbiased_seeded_and_sees_a_shift():
    first, second = build_table(300, 1), build_table(300, 2)
    moved = build_table(300, 3, shift=1.0)
    near, spread = compute_kid(first, second, subsets=40, subset_size=100)
    far, _ = compute_kid(first, moved, subsets=40, subset_size=100)
    assert (near, spread) == compute_kid(first, second, subsets=40, subset_size=100)
    assert near != compute_kid(first, second, subsets=40, subset_size=100, seed=1)[0]
    assert abs(near) < 2 * spread
    assert far > 5 * spread
    whole = compute_mmd(first.values, moved.values)
    assert far == pytest.approx(whole, rel=0.25)


def test_saved_features_come_back_bit_for_bit_and_are_never_mixed(tmp_path: Path):
    table = build_table(40, 6)
    save_table(table, tmp_path / "a" / "set.npz")
    loaded = load_table(tmp_path / "a" / "set.npz")
    assert loaded.identity == table.identity and loaded.keys == table.keys
    assert np.array_equal(loaded.values, table.values)
    for change in ({"weights_hash": "f" * 16}, {"network": "clip"}, {"region": "background"}):
        other = replace(loaded, identity=replace(loaded.identity, **change))
        for distance in (compute_fid, compute_kid, estimate_bias):
            with pytest.raises(MixedFeaturesError, match="cannot be compared"):
                distance(table, other)
    (tmp_path / "bad.npz").write_bytes(b"PK nothing")
    for name in ("bad", "missing"):
        with pytest.raises(DataError, match=rf"{name}\.npz holds no features"):
            load_table(tmp_path / f"{name}.npz")


def test_too_few_images_are_named():
    one, many = build_table(1, 1), build_table(20, 1)
    with pytest.raises(TooFewImagesError, match="of 1 images"):
        compute_fid(one, many)
    with pytest.raises(TooFewImagesError, match="KID of 1 and 20 images"):
        compute_kid(one, many)
    with pytest.raises(TooFewImagesError, match="too few to estimate"):
        estimate_bias(one, many)
    few = compute_set_distance(build_table(3, 1), build_table(3, 2))
    assert few.fid_extrapolated is None and few.kid_spread is None
    assert few.warning.startswith("3 and 3 images are too few")
    values = build_table(3, 1).values
    values[1, 0] = np.nan
    with pytest.raises(DataError, match="'b' are not finite"):
        FeatureTable(IDENTITY, ("a", "b", "c"), values)


def test_bias_by_subsampling_finds_the_true_distance():
    """Equal distributions: the distance is bias alone; on average the extrapolation takes it away."""
    distances, extrapolated = [], []
    for seed in range(8):
        found = compute_set_distance(*(build_table(300, 2 * seed + side) for side in (0, 1)))
        assert found.fid_bias + found.fid_extrapolated == pytest.approx(found.fid, rel=1e-9)
        distances.append(found.fid)
        extrapolated.append(found.fid_extrapolated)
    assert abs(np.mean(extrapolated)) < 0.25 * np.mean(distances)
    assert "bias by subsampling" in found.warning
    first, far, few = build_table(300, 0), build_table(300, 3, shift=5.0), build_table(12, 3)
    assert compute_set_distance(first, far).warning is None
    assert [estimate_bias(table, far)[1] for table in (few, build_table(13, 3))] == [True, False]
    assert "12 and 300 images are few" in compute_set_distance(few, far).warning
