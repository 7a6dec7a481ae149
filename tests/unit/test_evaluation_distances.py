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
    compute_statistics,
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
    first, second = (compute_statistics(build_table(400, s, shift=0.3 * s)) for s in (1, 2))
    a, b = np.cov(first.features.T.astype(float)), np.cov(second.features.T.astype(float))
    shift = first.features.astype(float).mean(0) - second.features.astype(float).mean(0)
    expected = shift @ shift + np.trace(a + b - 2 * linalg.sqrtm(a @ b).real)
    assert compute_fid(first, second) == pytest.approx(expected, rel=1e-6)
    assert compute_fid(second, first) == pytest.approx(expected, rel=1e-6)
    assert compute_fid(first, first) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_of_few_samples_is_that_of_their_moments():
    first, second = (compute_statistics(build_table(9, s, 0.2 * s)) for s in (1, 2))
    found = compute_frechet_of_samples(first.features.astype(float), second.features.astype(float))
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
    same_size = compute_kid(compute_statistics(first), compute_statistics(first))
    assert (same_size.subsets, same_size.subset_size, same_size.spread) == (1, 30, None)


def test_kid_is_unbiased_seeded_and_sees_a_shift():
    first, second = compute_statistics(build_table(300, 1)), compute_statistics(build_table(300, 2))
    moved = compute_statistics(build_table(300, 3, shift=1.0))
    near = compute_kid(first, second, subsets=40, subset_size=100)
    far = compute_kid(first, moved, subsets=40, subset_size=100)
    assert near == compute_kid(first, second, subsets=40, subset_size=100)
    assert near != compute_kid(first, second, subsets=40, subset_size=100, seed=1)
    assert abs(near.value) < 2 * near.spread
    assert far.value > 5 * near.spread
    whole = compute_mmd(first.features, moved.features)
    assert far.value == pytest.approx(whole, rel=0.25)


def test_statistics_do_not_depend_on_order():
    table = build_table(101, 4, shift=100.0)
    order = np.random.default_rng(5).permutation(101)
    shuffled = FeatureTable(table.identity, tuple(table.keys[i] for i in order), table.values[order])
    whole, other = compute_statistics(table), compute_statistics(shuffled)
    assert np.array_equal(whole.mean, other.mean) and np.array_equal(whole.covariance, other.covariance)
    np.testing.assert_allclose(whole.mean, table.values.astype(float).mean(axis=0), rtol=1e-12)
    apart = table.values.astype(float) - whole.mean
    np.testing.assert_allclose(whole.covariance, apart.T @ apart / 100, rtol=1e-9, atol=1e-10)


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
                distance(compute_statistics(table), compute_statistics(other))
    (tmp_path / "bad.npz").write_bytes(b"PK nothing")
    for name in ("bad", "missing"):
        with pytest.raises(DataError, match=rf"{name}\.npz holds no features"):
            load_table(tmp_path / f"{name}.npz")


def test_too_few_images_are_named():
    one, many = compute_statistics(build_table(1, 1)), compute_statistics(build_table(20, 1))
    with pytest.raises(TooFewImagesError, match="of 1 images"):
        compute_fid(one, many)
    with pytest.raises(TooFewImagesError, match="KID of 1 and 20 images"):
        compute_kid(one, many)
    with pytest.raises(TooFewImagesError, match="too few to estimate"):
        estimate_bias(one, many)
    few = compute_set_distance(build_table(3, 1), build_table(3, 2))
    assert few.fid_extrapolated is None and few.kid_spread is None
    assert few.warning.startswith("3 and 3 images are too few")
    table = build_table(3, 1)
    table.values[1, 0] = np.nan
    with pytest.raises(DataError, match="'k00001' are not finite"):
        compute_statistics(table)


def test_bias_by_subsampling_finds_the_true_distance():
    """Equal distributions: the distance is bias alone; on average the extrapolation takes it away."""
    distances, extrapolated = [], []
    for seed in range(8):
        first, second = (compute_statistics(build_table(300, 2 * seed + side)) for side in (0, 1))
        found = compute_fid(first, second)
        estimate = estimate_bias(first, second)
        assert not estimate.singular
        assert estimate.bias + estimate.extrapolated == pytest.approx(found, rel=1e-9)
        distances.append(found)
        extrapolated.append(estimate.extrapolated)
    assert abs(np.mean(extrapolated)) < 0.25 * np.mean(distances)
    assert "bias by subsampling" in (estimate.describe(found, (300, 300)) or "")
    far = compute_statistics(build_table(300, 3, shift=5.0))
    assert estimate_bias(first, far).describe(compute_fid(first, far), (300, 300)) is None
    few = compute_statistics(build_table(11, 3))
    assert estimate_bias(few, first).singular
