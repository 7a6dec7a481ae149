"""Intervals, comparisons, compactness, calibration and the pages that show them."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from cyclorama.errors import MissingImageError, TooFewImagesError
from cyclorama.evaluation.compare import compare, estimate_mean
from cyclorama.evaluation.distances import calibrate
from cyclorama.evaluation.feature_network import FeatureNetwork, FeatureNetworkConfig
from cyclorama.evaluation.features import CycloramaNetwork, FeatureIdentity, FeatureTable
from cyclorama.evaluation.measure import evaluate_set
from cyclorama.evaluation.projection import compute_compactness, draw_projection, project
from cyclorama.evaluation.reading import find_partners, from_arrays
from cyclorama.evaluation.report import Report, build_json, build_text, format_html
from cyclorama.evaluation.settings import METRICS, EvaluationSettings
from cyclorama.evaluation.tables import format_markdown

IDENTITY = FeatureIdentity("cyclorama", "0" * 16, 2, "pillow-bicubic", "background")


@pytest.fixture(scope="module")
def network() -> CycloramaNetwork:
    torch.manual_seed(0)
    return CycloramaNetwork(FeatureNetwork(FeatureNetworkConfig(categories=("soap", "tea"))).eval(), "0" * 16)


def paint(seed: int, side: int = 64) -> np.ndarray:
    random = np.random.default_rng(seed)
    small = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    return np.array(small.resize((side, side), Image.Resampling.NEAREST))


def paint_mask(side: int = 64) -> np.ndarray:
    mask = np.zeros((side, side), np.float32)
    mask[20:44, 22:42] = 1
    return mask


def test_bootstrap_interval_is_that_of_the_mean_and_respects_groups():
    random = np.random.default_rng(0)
    values = random.normal(5, 2, 400).tolist()
    found = estimate_mean(values)
    assert found == estimate_mean(values)
    assert found.value == pytest.approx(np.mean(values)) and found.count == 400
    half = 1.96 * np.std(values) / 20
    assert found.high - found.value == pytest.approx(half, rel=0.12)
    assert found.value - found.low == pytest.approx(half, rel=0.12)
    repeated = estimate_mean(np.repeat(values[:40], 10).tolist(), [f"p{n // 10}" for n in range(400)])
    single = estimate_mean(values[:40])
    assert repeated.high - repeated.low == pytest.approx(single.high - single.low, rel=0.12)
    assert estimate_mean([]) is None
    for alone in (estimate_mean([3.0]), estimate_mean([2.0, 4.0], ["p", "p"])):
        assert (alone.value, alone.low, alone.high, alone.sign) == (3, None, None, 0)
        assert alone.format(1) == "3.0 (–)"


def test_comparison_counts_wins_in_each_metrics_direction():
    rows = [{f"k{n}": {"psnr": 20.0 + n + s, "leak": 0.5 - 0.1 * s} for n in range(12)} for s in (0, 1)]
    rows[1]["k0"]["psnr"] = 20.0
    found = {d.metric: d for d in compare(rows[0], rows[1], ("a", "b"))}
    assert (found["psnr"].first_wins, found["psnr"].second_wins, found["psnr"].ties) == (0, 11, 1)
    assert found["psnr"].difference.value == pytest.approx(-11 / 12)
    assert (found["psnr"].verdict, found["leak"].verdict) == ("second", "second")
    assert (found["leak"].first_wins, found["leak"].second_wins) == (0, 12)
    noise = {f"k{n}": {"psnr": 20.0 + n + (-1) ** n} for n in range(12)}
    assert compare(rows[0], noise, ("a", "c"))[0].verdict == "open"
    with pytest.raises(MissingImageError, match="share no key"):
        compare(rows[0], {"z": {"psnr": 1.0}}, ("a", "d"))


def test_differences_are_drawn_by_product():
    """Ten copies of every image of eight products say no more than one of each."""
    random = np.random.default_rng(6)
    one = [{f"k{n}": {"psnr": float(random.normal(20, 1))} for n in range(8)} for _ in range(2)]
    many = [{f"{key}-{copy}": row for key, row in rows.items() for copy in range(10)} for rows in one]
    products = {key: key.partition("-")[0] for key in many[0]}
    (single,), (copied,) = compare(*one, ("a", "b")), compare(*many, ("a", "b"), products=products)
    assert copied.difference.value == pytest.approx(single.difference.value)
    width = single.difference.high - single.difference.low
    assert copied.difference.low == pytest.approx(single.difference.low, abs=0.05 * width)
    assert copied.difference.high == pytest.approx(single.difference.high, abs=0.05 * width)
    assert copied.verdict == single.verdict == "open"
    assert compare(*many, ("a", "b"))[0].verdict != "open"  # as if all were products of their own


def test_compactness_of_two_clusters_is_their_geometry():
    angles = np.radians([-5, 5, 85, 95])
    values = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32) * 3
    table = FeatureTable(IDENTITY, ("a", "b", "c", "d"), values)
    found = compute_compactness(table, {"a": "tea", "b": "tea", "c": "soap", "d": "soap"})
    assert found["tea"].within == pytest.approx(np.sin(np.radians(5)), rel=1e-5)
    assert found["tea"].between == pytest.approx(np.sqrt(2) * np.cos(np.radians(5)), rel=1e-5)
    assert (found["tea"].nearest, found["tea"].nearest_centre_share) == ("soap", 1.0)
    mixed = compute_compactness(table, {"a": "tea", "b": "soap", "c": "tea", "d": "soap"})
    assert mixed["tea"].ratio > 5 * found["tea"].ratio and mixed["tea"].nearest_centre_share == 0
    with pytest.raises(TooFewImagesError, match="two categories of two images"):
        compute_compactness(table, {"a": "tea", "b": "tea", "c": "tea", "d": "soap"})
    with pytest.raises(MissingImageError, match="'d' has no category"):
        compute_compactness(table, {"a": "tea", "b": "tea", "c": "tea"})


def test_the_map_keeps_clusters_apart_and_names_its_method():
    random = np.random.default_rng(0)
    values = np.abs(random.normal(0, 0.05, (20, 5)))
    values[:10, 0] += 1
    values[10:, 1] += 1
    keys = tuple(f"k{n:02d}" for n in range(20))
    places, method = project(FeatureTable(IDENTITY, keys, values.astype(np.float32)))
    assert method in ("PCA", "t-SNE") and places.shape == (20, 2)
    centres = places[:10].mean(0), places[10:].mean(0)
    spread = max(np.linalg.norm(places[:10] - centres[0], axis=1).max(), 1e-9)
    assert np.linalg.norm(centres[0] - centres[1]) > 2 * spread
    image = Image.open(io.BytesIO(draw_projection(places, ["tea"] * 10 + ["soap"] * 10)))
    assert image.width == 640 and len(np.unique(np.asarray(image).reshape(-1, 3), axis=0)) > 3


def test_calibration_orders_the_known_faults():
    truth = from_arrays({f"k{n:02d}": paint(n) for n in range(24)})
    torch.manual_seed(0)
    network = CycloramaNetwork(FeatureNetwork(FeatureNetworkConfig(categories=("soap", "tea"))), "0" * 16)
    for module in network.network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    network.compute([image.pixels for image in truth])  # sets the normalisation as training would
    network.network.eval()
    rows = {name: values for name, *values in calibrate(truth, network)}
    assert rows["itself"][0] == pytest.approx(0, abs=1e-7)
    assert rows["itself"][1] <= 0
    for fault in ("blurred copies", "noisy copies"):
        assert rows[fault][0] > 1 and rows[fault][1] > 0
    assert rows["blurred copies"][1] > 5 * abs(rows["two halves of itself"][1])
    with pytest.raises(TooFewImagesError, match="has 7 images; calibration needs 8"):
        calibrate(truth.select(truth.keys[:7]), network)
    assert len(calibrate(truth.select(truth.keys[:8]), network)) == 4


def build_partners(seed: int, count: int = 8):
    keys = [f"k{n}" for n in range(count)]
    masks = dict.fromkeys(keys, paint_mask())
    categories = {key: ("tea", "soap")[n % 2] for n, key in enumerate(keys)}
    truth = {key: paint(n) for n, key in enumerate(keys)}
    inside = paint_mask()[..., None] > 0
    made = {key: np.where(inside, truth[key], paint(100 * seed + n)) for n, key in enumerate(keys)}
    references = {f"r{n}": paint(50 + n) for n in range(count)}
    reference_of = {key: f"r{n}" for n, key in enumerate(keys)}
    return find_partners(
        from_arrays(made, masks, categories, reference_of, f"<set & {seed}>"),
        from_arrays(truth, masks, name="truth"),
        from_arrays(
            references,
            dict.fromkeys(references, paint_mask()),
            {f"r{n}": ("tea", "soap")[n % 2] for n in range(count)},
        ),
    )


def test_a_whole_evaluation_fills_every_metric_and_its_pages(network: CycloramaNetwork):
    partners = [build_partners(seed) for seed in (1, 2)]
    settings = EvaluationSettings()
    counted = []
    found = [evaluate_set(p, settings, (network, network), None, counted.append) for p in partners]
    hidden = {"text_error", "leak", "leak_null", "floating"}  # the reference's product lies behind ours
    hidden |= {name for name in METRICS if name.startswith(("layout_", "pku_", "jd_"))}
    assert set(found[0].estimates) >= set(METRICS) - hidden
    assert found[0].estimates["product_max_difference"].value == 0
    assert {d.region for d in found[0].distances} == {"image", "background"}
    assert any("images are few" in note for note in found[0].notes)
    assert set(found[0].compactness) == {"tea", "soap"} and found[0].projection[:4] == b"\x89PNG"
    assert sum(counted) > 8
    report = Report(tuple(found), tuple(compare(found[0].rows, found[1].rows, ("a", "b"))))
    values = json.loads(json.dumps(build_json(report, with_rows=True), allow_nan=False))
    assert values["sets"][0]["metrics"]["psnr"]["better"] == "higher"
    assert values["sets"][1]["rows"]["k3"]["psnr"] == found[1].rows["k3"]["psnr"]
    markdown = format_markdown(build_text(report))
    assert f"cyclorama-{'0' * 16}" in markdown and "rim-colours-1" in markdown
    lines = [line for line in markdown.splitlines() if line.startswith("| PSNR")]
    assert f"{found[0].estimates['psnr'].value:.2f}" in lines[1]
    page = format_html(report)
    assert "<set & 1>" not in page and "&lt;set &amp; 1&gt;" in page
    assert page.count("<img") == page.count("alt=") == 8 * 4 + 2
    assert "http" not in page


def test_equal_sets_score_perfectly(network: CycloramaNetwork):
    keys = {f"k{n}": paint(n) for n in range(8)}
    masks = dict.fromkeys(keys, paint_mask())
    partners = find_partners(from_arrays(keys, masks), from_arrays(keys, masks))
    found = evaluate_set(partners, EvaluationSettings(), (network, network))
    values = {name: estimate.value for name, estimate in found.estimates.items()}
    assert values["psnr"] == 100 and values["ssim"] == pytest.approx(1) and values["perceptual"] == 0
    assert values["similarity_truth"] == pytest.approx(100)
    assert values["product_max_difference"] == values["rim_delta_e"] == 0
    assert all(distance.fid == pytest.approx(0, abs=1e-7) for distance in found.distances)
