"""Every image metric catches its planted fault, and lets clean images pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage
from skimage.metrics import structural_similarity

from cyclorama.errors import ImageSizeError, MaskError, NothingToMeasureError, TooFewImagesError
from cyclorama.evaluation.feature_network import FeatureNetwork, FeatureNetworkConfig
from cyclorama.evaluation.features import CycloramaNetwork
from cyclorama.evaluation.following import compute_leak, correlate_gradients
from cyclorama.evaluation.measure import evaluate_set, load_networks
from cyclorama.evaluation.preservation import (
    build_rapidocr_reader,
    compute_edit_distance,
    compute_expansion,
    compute_interior_difference,
    compute_perceptual,
    compute_psnr,
    compute_rim_delta_e,
    compute_ssim,
    compute_text_error,
    compute_truth,
    segment_by_rim_colours,
)
from cyclorama.evaluation.reading import find_partners, from_arrays
from cyclorama.evaluation.rim import compute_floating, compute_ghost_energy, compute_seam_energy
from cyclorama.evaluation.settings import EvaluationSettings

SIDE = 128


def paint_scene(seed: int, side: int = SIDE) -> np.ndarray:
    """A scene with smooth light, a table edge and a few props; uint8 (side, side, 3)."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side] / side
    base = random.uniform(90, 200, 3)
    scene = base + 30 * (rows[..., None] - 0.5) * random.uniform(-1, 1, 3)
    horizon = random.uniform(0.6, 0.8)
    scene[rows > horizon] += random.uniform(-40, 40, 3)
    for _ in range(6):
        y, x, radius = random.uniform(0, 1), random.uniform(0, 1), random.uniform(0.03, 0.1)
        disc = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
        scene[disc] = random.uniform(20, 235, 3)
    scene += random.normal(0, 2, scene.shape)
    return np.clip(scene, 0, 255).astype(np.uint8)


def paint_bottle(left: int = 44, width: int = 40, top: int = 34, side: int = SIDE) -> np.ndarray:
    mask = np.zeros((side, side), np.float32)
    mask[top : side - 22, left : left + width] = 1
    mask[top - 14 : top, left + width // 3 : left + 2 * width // 3] = 1
    return mask


def compose(scene: np.ndarray, mask: np.ndarray, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    product = np.empty_like(scene)
    product[:] = random.integers(0, 256, 3)
    product[50:70] = random.integers(0, 256, 3)  # a label
    product[::7] = random.integers(0, 256, 3)
    return np.where(mask[..., None] >= 0.5, product, scene).astype(np.uint8)


def paint_plain(colour: tuple[int, int, int], mask: np.ndarray, scene: tuple[int, int, int]) -> np.ndarray:
    return np.where(mask[..., None] >= 0.5, np.array(colour), np.array(scene)).astype(np.uint8)


RED, BLUE = (200, 30, 40), (60, 90, 170)


def test_a_clean_composite_keeps_its_product():
    mask = paint_bottle()
    original = paint_plain(RED, mask, (255, 255, 255))
    pixels = paint_plain(RED, mask, BLUE)
    assert compute_interior_difference(pixels, original, mask) == (0, 0)
    assert compute_rim_delta_e(pixels, original, mask) == 0
    assert compute_expansion(segment_by_rim_colours(pixels, mask), mask) == 0


def test_shifted_colours_inside_the_product_are_found_to_the_level():
    mask = paint_bottle()
    original = compose(paint_scene(1), mask, 5)
    pixels = original.astype(np.int16)
    pixels[60:64, 50:60] += np.where(pixels[60:64, 50:60] > 127, -9, 9).astype(np.int16)
    pixels = pixels.astype(np.uint8)
    largest, mean = compute_interior_difference(pixels, original, mask)
    assert (largest, mean) == (9, pytest.approx(9 * 40 / int((mask >= 1).sum())))
    assert compute_rim_delta_e(pixels, original, mask) == 0


def test_a_bleeding_rim_is_found_by_its_colour_difference():
    mask = paint_bottle()
    original = paint_plain(RED, mask, (255, 255, 255))
    soft = ndimage.gaussian_filter(mask, 2.0)[..., None]
    pixels = np.rint(np.array(RED) * soft + np.array(BLUE) * (1 - soft)).astype(np.uint8)
    assert compute_rim_delta_e(pixels, original, mask) > 5


@pytest.mark.parametrize("growth", [6, 12, 18])
def test_a_grown_product_is_measured(growth: int):
    mask = paint_bottle()
    grown = mask.copy()
    grown[50:80, 84 : 84 + growth] = 1
    pixels = paint_plain(RED, grown, BLUE)
    planted = float((grown - mask).sum() / mask.sum())
    found = compute_expansion(segment_by_rim_colours(pixels, mask), mask)
    assert found == pytest.approx(planted, rel=0.15)
    assert compute_interior_difference(pixels, paint_plain(RED, mask, BLUE), mask)[0] == 0


def test_expansion_takes_any_segmenter_and_is_the_literal_area():
    mask = paint_bottle()
    segmented = mask >= 0.5
    segmented[:10, :10] = True
    expected = 100 / mask.sum()
    assert compute_expansion(segmented, mask) == pytest.approx(expected)
    with pytest.raises(MaskError, match="no product"):
        compute_expansion(segmented, np.zeros_like(mask))


def test_the_segmenter_finds_nothing_in_rendered_like_scenes():
    for seed in range(4):
        mask = paint_bottle()
        scene = compose(paint_scene(seed), mask, seed + 50)
        grown = segment_by_rim_colours(scene, mask)
        assert compute_expansion(grown, mask) < 0.05


def test_different_sizes_are_named():
    mask = paint_bottle()
    small = np.zeros((64, 64, 3), np.uint8)
    for measure in (compute_interior_difference, compute_rim_delta_e):
        with pytest.raises(ImageSizeError, match="image is 64 x 64, original 128 x 128 pixels"):
            measure(small, paint_scene(0), mask)


def test_nothing_to_look_at_is_never_a_perfect_value():
    """Opacity 90 %, a product that fills the frame, a product in the scene's own colour."""
    mask = paint_bottle()
    flat = paint_plain(BLUE, mask, BLUE)
    with pytest.raises(NothingToMeasureError, match=r"fully product \(largest 0\.900\)"):
        compute_interior_difference(flat, flat, mask * np.float32(0.9))
    for measure in (segment_by_rim_colours, compute_ghost_energy):
        with pytest.raises(NothingToMeasureError, match="cannot be told"):
            measure(flat, mask)
    wide = np.zeros_like(mask)
    wide[4:] = 1
    with pytest.raises(NothingToMeasureError, match="a seam cannot be seen"):
        compute_seam_energy(flat, wide)
    with pytest.raises(MaskError):
        compute_rim_delta_e(flat, flat, np.zeros_like(mask))
    for measure in (compute_psnr, compute_ssim):
        with pytest.raises(NothingToMeasureError, match="no background to compare"):
            measure(flat, flat, np.zeros((SIDE, SIDE)))


def test_the_scorer_leaves_out_what_it_cannot_measure_and_says_so():
    mask, keys = paint_bottle(), ("a", "b")
    pixels = {key: paint_plain(BLUE, mask, BLUE) for key in keys}
    masks = {"a": mask * np.float32(0.9), "b": mask}
    partners = find_partners(from_arrays(pixels, masks), from_arrays(pixels, masks))
    settings = EvaluationSettings(metrics=("product", "seams", "truth"))
    found = evaluate_set(partners, settings, load_networks(EvaluationSettings()))
    assert (
        found.estimates["product_max_difference"].count == 1
        and "product_max_difference" not in found.rows["a"]
    )
    assert "expansion" not in found.estimates and "ghost_energy" not in found.estimates
    assert found.estimates["psnr"].count == 2
    (line,) = [line for line in found.left_out if line.startswith("Largest difference")]
    assert "left out on 1 of 2 images, first 'a': no pixel of the mask is fully product" in line


def test_truth_scores_look_at_the_background_alone():
    mask = paint_bottle()
    truth = compose(paint_scene(1), mask, 1)
    other_product = compose(paint_scene(1), mask, 2)
    score = compute_truth(other_product, truth, mask)
    assert score == [100.0, pytest.approx(1.0)]
    assert compute_truth(other_product, truth, None)[0] < 30
    with pytest.raises(TooFewImagesError, match="background pixels are left"):
        compute_truth(truth, truth, np.ones((SIDE, SIDE), np.float32))


def test_psnr_and_ssim_equal_their_literal_definitions():
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (24, 24, 3), dtype=np.uint8)
    y = np.clip(x + random.normal(0, 20, x.shape), 0, 255).astype(np.uint8)
    ones = np.ones((24, 24))
    expected = 10 * np.log10(255**2 / np.mean((x.astype(float) - y) ** 2))
    assert compute_psnr(x, y, ones) == pytest.approx(expected, rel=1e-12)
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    total = []
    for c in range(3):
        for i in range(24):
            for j in range(24):
                top, left = slice(max(0, i - 5), i + 6), slice(max(0, j - 5), j + 6)
                w = window[max(0, 5 - i) : 29 - i, max(0, 5 - j) : 29 - j][:11, :11]
                w = w / w.sum()
                a, b = x[top, left, c].astype(float), y[top, left, c].astype(float)
                ma, mb = (w * a).sum(), (w * b).sum()
                va, vb, cov = (
                    (w * a * a).sum() - ma**2,
                    (w * b * b).sum() - mb**2,
                    (w * a * b).sum() - ma * mb,
                )
                c1, c2 = 6.5025, 58.5225
                value = (2 * ma * mb + c1) * (2 * cov + c2)
                total.append(value / ((ma**2 + mb**2 + c1) * (va + vb + c2)))
    assert compute_ssim(x, y, ones) == pytest.approx(np.mean(total), rel=1e-9)


def test_scikit_images_ssim_sees_the_product_through_its_windows_and_ours_does_not():
    mask = paint_bottle()
    truth, other = (compose(paint_scene(1), mask, seed) for seed in (1, 2))
    _, image = structural_similarity(
        other, truth, channel_axis=2, gaussian_weights=True, use_sample_covariance=False, full=True
    )
    assert image[mask < 0.5].mean() < 0.999
    assert compute_truth(other, truth, mask)[1] == pytest.approx(1)
    _, plain = structural_similarity(
        truth, paint_scene(1), channel_axis=2, gaussian_weights=True, use_sample_covariance=False, full=True
    )
    ones = np.ones((SIDE, SIDE))
    assert compute_ssim(truth, paint_scene(1), ones) == pytest.approx(plain.mean(), abs=2e-3)


def test_a_blurred_background_is_caught_by_all_three_truth_scores():
    mask = paint_bottle()
    truth = compose(paint_scene(3), mask, 1)
    torch.manual_seed(0)
    network = CycloramaNetwork(FeatureNetwork(FeatureNetworkConfig(categories=("a", "b"))).eval(), "0" * 16)
    scores = []
    for sigma in (0, 1, 3):
        blurred = ndimage.gaussian_filter(truth, (sigma, sigma, 0))
        pixels = np.where(mask[..., None] >= 0.5, truth, blurred)
        scores.append(compute_truth(pixels, truth, mask, network))
    psnr, ssim, perceptual = zip(*scores, strict=True)
    assert psnr[0] > psnr[1] + 20 > psnr[2]
    assert ssim[0] == pytest.approx(1) and ssim[2] < ssim[1] < 0.95
    assert perceptual[0] == 0 and 0 < perceptual[1] < perceptual[2]
    repainted = np.where(mask[..., None] >= 0.5, np.uint8(7), truth)
    assert compute_perceptual(repainted, truth, mask, network) == pytest.approx(0, abs=1e-9)


def test_gradient_correlation_equals_the_literal_sum():
    random = np.random.default_rng(0)
    found, wanted = random.normal(size=(2, 2, 50, 60))
    visible, support = (random.random((2, 50, 60)) > 0.3).astype(float)
    correlation, overlap = correlate_gradients(found, visible, wanted, support)
    for down, right in ((0, 0), (3, -7), (-20, 11)):
        top, left = slice(max(0, -down), 50 - max(0, down)), slice(max(0, -right), 60 - max(0, right))
        lower, further = (
            slice(top.start + down, top.stop + down),
            slice(left.start + right, left.stop + right),
        )
        both = support[top, left] * visible[lower, further]
        f, w = found[:, lower, further], wanted[:, top, left]
        norm = np.sqrt((both * f**2).sum() * (both * w**2).sum())
        assert correlation[40 + down, 40 + right] == pytest.approx((both * f * w).sum() / norm, rel=1e-9)
        assert overlap[40 + down, 40 + right] == pytest.approx(both.sum(), rel=1e-9)


def plant_leak(seed: int, opacity: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """An image into whose background the reference's product was copied with ``opacity``."""
    mask, reference_mask = paint_bottle(20, 26), paint_bottle(62, 44, 28)
    reference = compose(paint_scene(seed + 100), reference_mask, seed + 200)
    scene = paint_scene(seed).astype(float)
    scene += opacity * reference_mask[..., None] * (reference - scene)
    return compose(np.rint(scene).astype(np.uint8), mask, seed), mask, reference, reference_mask


def test_a_pasted_reference_product_leaks_and_an_honest_background_does_not():
    scores = {o: [compute_leak(*plant_leak(s, o))[0] for s in range(12)] for o in (0.0, 0.5, 1.0)}
    assert all(score is not None for values in scores.values() for score in values)
    assert np.mean(scores[1.0]) > 0.75 and min(scores[1.0]) > 0.6
    assert np.mean(scores[0.5]) > 0.4
    assert np.mean([s > 0.2 for s in scores[0.5]]) == 1.0
    assert np.mean([s > 0.2 for s in scores[0.0]]) == 0.0
    assert np.mean(scores[0.0]) < 0.03


def test_a_copied_layout_is_no_product_leak():
    mask, reference_mask = paint_bottle(20, 26), paint_bottle(62, 44, 28)
    scene = paint_scene(7)
    reference = compose(scene, reference_mask, 2)
    product, layout = compute_leak(compose(scene, mask, 1), mask, reference, reference_mask)
    assert layout > 0.6
    assert product < layout / 2


def test_a_leak_behind_the_product_is_not_judged():
    mask = paint_bottle()
    image = compose(paint_scene(1), mask, 1)
    product, layout = compute_leak(image, mask, compose(paint_scene(2), mask, 2), mask)
    assert product is None
    assert layout < 0.2


def test_a_halo_is_a_seam_and_a_clean_edge_is_none():
    mask = paint_bottle()
    clean = [compute_seam_energy(compose(paint_scene(s), mask, s), mask) for s in range(4)]
    assert max(clean) < 4
    halo = (ndimage.binary_dilation(mask > 0.5, iterations=3) & (mask < 0.5))[..., None]
    haloed = np.where(halo, np.uint8(255), compose(paint_scene(1), mask, 1))
    assert compute_seam_energy(haloed, mask) > 15


def test_contact_tells_a_standing_product_from_a_floating_one():
    mask = np.zeros((256, 256), np.float32)
    mask[60:180, 90:160] = 1
    ground = np.full((256, 256, 3), 200, np.uint8)

    def shade(offset: int) -> np.ndarray:
        rows, columns = np.mgrid[:256, :256]
        shadow = np.exp(-(((rows - 181 - offset) / 5.0) ** 2) - ((columns - 125) / 45.0) ** 4)
        scene = ground * (1 - 0.6 * shadow[..., None])
        return np.where(mask[..., None] > 0, 30, scene).astype(np.uint8)

    standing, floating = compute_floating(shade(0), mask), compute_floating(shade(22), mask)
    nothing = compute_floating(np.where(mask[..., None] > 0, np.uint8(30), ground), mask)
    assert standing < 0.15 and floating > 0.9 and nothing == 1
    mask[180:] = mask[170]
    assert compute_floating(ground, mask) is None


def test_ghosts_beside_the_product_are_found():
    mask = paint_bottle()
    clean = paint_plain(RED, mask, BLUE)
    assert compute_ghost_energy(clean, mask) == 0
    ghost = clean.copy()
    ghost[40:100, 90:98] = RED
    assert compute_ghost_energy(ghost, mask) > 0.1
    with pytest.raises(MaskError, match="marks 0 of"):
        compute_ghost_energy(clean, np.zeros((SIDE, SIDE), np.float32))


def test_the_ring_of_ghosts_begins_at_three_units():
    """At 128 pixels a unit is a pixel: a line of product colour counts from distance 3, not at 2."""
    mask = np.zeros((SIDE, SIDE), np.float32)
    mask[40:100, 40:80] = 1
    for distance, found in ((2, False), (3, True), (4, True)):
        pixels = paint_plain(RED, mask, BLUE)
        pixels[45:95, 79 + distance] = RED
        assert (compute_ghost_energy(pixels, mask) > 0) is found


def test_text_error_counts_the_characters_that_changed():
    assert compute_edit_distance("kitten", "sitting") == 3
    assert compute_edit_distance("", "abc") == compute_edit_distance("abc", "") == 3
    mask = paint_bottle()
    original, changed, blank = (np.full((SIDE, SIDE, 3), v, np.uint8) for v in (1, 2, 3))
    texts = {1: "TEA TIME", 2: "TEA LIME", 3: ""}
    assert compute_text_error(changed, original, mask, lambda p: texts[int(p[0, 0, 0])]) == 1 / 8
    assert compute_text_error(blank, original, mask, lambda p: texts[int(p[0, 0, 0])]) == 1
    assert compute_text_error(changed, blank, mask, lambda p: texts[int(p[0, 0, 0])]) is None
    sizes = []
    compute_text_error(original, original, mask, lambda p: sizes.append(p.shape[:2]) or "x")
    assert sizes == [(94, 48), (94, 48)]  # the box of 86 x 40 pixels with a margin of 4


def test_the_reader_finds_text_that_was_changed_on_the_pack():
    pytest.importorskip("rapidocr")
    mask = np.zeros((256, 256), np.float32)
    mask[40:231, 60:201] = 1

    def draw(text: str, beside: str = "") -> np.ndarray:
        image = Image.new("RGB", (256, 256), (200, 190, 180))
        pen = ImageDraw.Draw(image)
        pen.rectangle((60, 40, 200, 230), fill=(240, 236, 228))
        for row, line in enumerate(text.splitlines()):
            pen.text((75, 70 + 40 * row), line, fill=(20, 20, 20), font=ImageFont.load_default(28))
        pen.text((10, 5), beside, fill=(20, 20, 20), font=ImageFont.load_default(24))
        return np.asarray(image)

    original, reader, known = draw("GREEN\nTEA 250"), build_rapidocr_reader(), dict[bytes, str]()

    def read(pixels: np.ndarray) -> str:  # each image once
        if pixels.tobytes() not in known:
            known[pixels.tobytes()] = reader(pixels)
        return known[pixels.tobytes()]

    assert compute_text_error(draw("GREEN\nTEA 250", "NEW SALE"), original, mask, read) == 0
    assert compute_text_error(draw("GREEM\nTBA 350"), original, mask, read) == pytest.approx(3 / 13)
    assert compute_text_error(draw(""), original, mask, read) == 1
    assert compute_text_error(original, draw(""), mask, read) is None


def test_reading_text_without_the_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "rapidocr", None)
    with pytest.raises(ImportError, match=r'pip install "cyclorama\[evaluate\]"'):
        build_rapidocr_reader()
