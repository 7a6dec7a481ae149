"""Each gate catches its planted fault and passes the clean image; the score ranks them."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from cyclorama.config import load_config, save_config
from cyclorama.errors import ConfigError, ModelFormatError, ModelNotFoundError, SettingsError
from cyclorama.generation import gates
from cyclorama.generation.gate_settings import CHECKS, GateThresholds
from cyclorama.generation.gates import QualityGate, build_gate, compute_halo, compute_score
from cyclorama.generation.result import Generated
from cyclorama.generation.shard import _rank
from cyclorama.imaging.compositing import composite, compute_product_report
from cyclorama.imaging.product import Product, Reference

SIDE = 192
WHITE = np.full((SIDE, SIDE, 3), 245, np.uint8)
WITHOUT_NETWORK = QualityGate()


def paint_matte(left: int = 70, width: int = 50, top: int = 60) -> np.ndarray:
    """A bottle with an antialiased edge, standing on row SIDE - 44."""
    fine = np.zeros((4 * SIDE, 4 * SIDE), np.float32)
    fine[4 * top + 2 : 4 * (SIDE - 44), 4 * left + 2 : 4 * (left + width) - 2] = 1
    fine[4 * top - 62 : 4 * top + 2, 4 * left + 60 : 4 * (left + width) - 60] = 1
    return fine.reshape(SIDE, 4, SIDE, 4).mean(axis=(1, 3))


def paint_scene(matte: np.ndarray, shadow: bool = True) -> np.ndarray:
    """A green wall and a wooden floor, a few props, and the product's contact shadow."""
    rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE
    scene = np.array([70, 130, 110]) + 40 * (1 - rows[..., None]) + 12 * columns[..., None]
    scene[rows > 0.66] = np.array([196, 150, 104])
    for row, column, colour in ((0.2, 0.15, (220, 190, 60)), (0.3, 0.85, (60, 60, 90))):
        scene[(rows - row) ** 2 + (columns - column) ** 2 < 0.005] = colour
    if shadow:
        foot = np.zeros((SIDE, SIDE))
        standing = np.flatnonzero((matte > 0.5).any(axis=0))
        foot[SIDE - 46 : SIDE - 43, standing] = 1
        scene *= 1 - 0.6 * np.minimum(1, 2.5 * ndimage.gaussian_filter(foot, 2.0))[..., None]
    return scene.clip(0, 255).astype(np.uint8)


def paint_product(matte: np.ndarray, colour: tuple[int, int, int] = (190, 40, 60)) -> Product:
    """A plain bottle with a label, photographed on white."""
    foreground = np.empty_like(WHITE)
    foreground[:] = colour
    foreground[95:120] = 255 - np.array(colour, np.uint8)
    photo = np.rint(foreground * matte[..., None] + WHITE * (1 - matte[..., None])).astype(np.uint8)
    return Product(photo, matte, foreground)


def make(pixels: np.ndarray, product: Product, category: str = "sauce") -> Generated:
    return Generated(pixels, pixels, compute_product_report(pixels, product), category, "sks 3", 7, 0.1)


MATTE = paint_matte()
PRODUCT = paint_product(MATTE)
SCENE = paint_scene(MATTE)
CLEAN = composite(SCENE, PRODUCT)
REFERENCE_MATTE = paint_matte(120, 50, 40)
REFERENCE_PRODUCT = paint_product(REFERENCE_MATTE, (30, 60, 200))
REFERENCE = Reference(composite(paint_scene(REFERENCE_MATTE), REFERENCE_PRODUCT), REFERENCE_MATTE)


def mix(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    return np.rint(first * (1 - share[..., None]) + second * share[..., None]).astype(np.uint8)


def get_ring(distance: float) -> np.ndarray:
    return (ndimage.distance_transform_edt(MATTE < 0.5) <= distance) & (MATTE < 0.5)


def judge(pixels: np.ndarray, product: Product = PRODUCT, reference: Reference | None = None):
    return WITHOUT_NETWORK(make(pixels, product), product, reference)


def blur_paste(strength: float) -> np.ndarray:
    """The product fades towards its own rim; strength is the blur in pixels."""
    return mix(SCENE, PRODUCT.foreground, ndimage.gaussian_filter(MATTE, strength))


def glow(strength: float) -> np.ndarray:
    return mix(CLEAN, WHITE, strength * get_ring(2.5))


def grow(distance: float) -> np.ndarray:
    return mix(CLEAN, PRODUCT.foreground, 1.0 * get_ring(distance))


def leak(strength: float) -> np.ndarray:
    plate = mix(SCENE, REFERENCE.pixels, strength * REFERENCE_MATTE)
    return composite(plate, PRODUCT)


def test_a_clean_image_passes_every_check():
    verdict = judge(CLEAN, reference=REFERENCE)
    assert verdict.passed and verdict.reason == ""
    assert verdict.values["interior"] == 0
    for name, largest in (("rim", 0.3), ("halo", 0.1), ("seam", 1.0), ("expansion", 0.01), ("ghost", 0.01)):
        assert verdict.values[name] < largest, name
    assert verdict.values["doubled"] < 0.1
    assert verdict.values["floating"] < 0.3
    assert verdict.values["leak"] < 0.1
    assert verdict.values["failures"] == {} and verdict.values["advice"] == {}
    assert verdict.values["not_measured"] == {
        "off_category": "no feature network in this installation; the extra 'learned' has it"
    }
    assert verdict.score > 0.9


def test_one_changed_pixel_inside_is_refused_with_its_value_and_limit():
    pixels = CLEAN.copy()
    pixels[100, 90, 1] += 9
    verdict = judge(pixels)
    assert not verdict.passed
    assert verdict.values["failures"] == {"interior": [9.0, 0.0]}
    assert verdict.reason == "difference inside the product 9, limit 0 (levels)"


def test_a_product_faded_at_its_rim_is_refused():
    verdict = judge(blur_paste(3.0))
    assert verdict.values["failures"]["rim"][0] > 5 and verdict.values["failures"]["rim"][1] == 2


def test_a_mask_that_takes_the_old_backdrop_along_is_refused():
    wide = (MATTE >= 0.5) | get_ring(2.5)
    product = Product(PRODUCT.pixels, wide.astype(np.float32), PRODUCT.pixels)
    verdict = judge(composite(SCENE, product), product)
    assert list(verdict.values["failures"]) == ["halo"]
    assert verdict.values["halo"] > 0.95


def test_a_margin_of_the_old_backdrop_is_refused():
    verdict = judge(mix(CLEAN, WHITE, 1.0 * get_ring(8)))
    assert verdict.values["failures"]["halo"][0] > 0.9


def test_a_halo_on_half_of_the_edge_measures_half():
    left = get_ring(2.5) & (np.arange(SIDE) < 95)
    found = compute_halo(mix(CLEAN, WHITE, 1.0 * left), PRODUCT.pixels, MATTE)
    assert found == pytest.approx(0.5, abs=0.08)


class Edge:
    """An edge of places whose colours are given: (image, offset) to L* of each place."""

    def __init__(self, colours: dict[tuple[str, float], list[float]]) -> None:
        self.colours = colours

    def sample(self, image: str, offset: float) -> np.ndarray:
        return np.array([(value, 0.0, 0.0) for value in self.colours[image, offset]])

    def is_outside(self, offset: float) -> np.ndarray:
        return np.ones(20, bool)

    is_inside = is_outside


@pytest.mark.parametrize(
    ("scene", "here", "any_share", "every_share"),
    [
        ((12.0, 12.0), ((4.0, 4.1), (4.1, 4.1)), 0.5, 0.0),  # told from ΔE 12 on, worn up to half as far
        ((12.0, 12.0), ((4.0, 4.0), (4.0, 4.1)), 1.0, 0.5),
        ((12.0, 11.9), ((4.0, 4.0), (4.0, 4.0)), None, None),  # less than a tenth of the edge
    ],
)
def test_a_halo_is_told_up_to_its_limits(scene, here, any_share, every_share):
    rest = [0.0] * 18  # there the old background is the scene
    edge = Edge(
        {
            ("new", 5.0): [*scene, *rest],
            ("new", -5.0): [100.0] * 20,
            ("old", 5.0): [0.0] * 20,
            ("new", 0.0): [*here[0], *rest],
            ("new", 1.0): [*here[1], *rest],
        }
    )
    for every, expected in ((False, any_share), (True, every_share)):
        assert gates._compute_share(edge, "new", "old", (0.0, 1.0), 5.0, every=every) == expected


def test_a_halo_cannot_be_told_on_the_photos_own_background():
    verdict = judge(PRODUCT.pixels)
    assert verdict.values["halo"] is None
    assert "too alike" in verdict.values["not_measured"]["halo"]


def test_a_glowing_edge_is_refused():
    verdict = judge(glow(0.8))
    assert verdict.values["failures"]["seam"][0] > 10


def test_a_product_that_has_grown_is_refused_by_its_true_share():
    verdict = judge(grow(6))
    true = get_ring(6).sum() / (MATTE >= 0.5).sum()
    assert verdict.values["failures"]["expansion"][0] == pytest.approx(true, rel=0.25)


def test_a_second_product_beside_the_first_is_refused():
    ghost = np.zeros((SIDE, SIDE))
    ghost[60:148, 124:132] = ghost[60:148, 58:66] = 1
    verdict = judge(mix(CLEAN, PRODUCT.foreground, ghost))
    assert "ghost" in verdict.values["failures"]
    assert verdict.values["expansion"] < 0.06  # it does not touch the product


def test_a_copy_of_the_product_half_hidden_behind_it_is_refused():
    moved = np.roll(MATTE, (4, 14), axis=(0, 1))
    plate = mix(CLEAN, np.roll(PRODUCT.foreground, (4, 14), axis=(0, 1)), moved)
    verdict = judge(composite(plate, PRODUCT))
    assert verdict.values["failures"]["doubled"][0] > 2 * judge(CLEAN).values["doubled"]


def test_a_missing_shadow_is_advice_unless_it_shall_refuse():
    pixels = composite(paint_scene(MATTE, shadow=False), PRODUCT)
    verdict = judge(pixels)
    assert verdict.passed and verdict.values["advice"] == {"floating": [1.0, 0.8]}
    strict = QualityGate(GateThresholds(advisory=()))(make(pixels, PRODUCT), PRODUCT, None)
    assert not strict.passed and strict.values["failures"] == {"floating": [1.0, 0.8]}


def test_the_references_product_in_the_background_is_refused():
    verdict = judge(leak(1.0), reference=REFERENCE)
    assert verdict.values["failures"]["leak"][0] > 0.5


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        (None, "no reference"),
        (Reference(REFERENCE.pixels), "--reference-mask"),
        (Reference(CLEAN, np.zeros_like(MATTE)), "shows no product"),
    ],
)
def test_a_leak_that_cannot_be_measured_says_why(reference: Reference | None, said: str):
    verdict = judge(CLEAN, reference=reference)
    assert verdict.passed and verdict.values["leak"] is None
    assert said in verdict.values["not_measured"]["leak"]


def save_constant_network(folder: Path, scores: dict[str, float]) -> None:
    """A feature network that always answers with the softmax of ``scores``."""
    import torch

    from cyclorama.evaluation.feature_network import FeatureNetwork, FeatureNetworkConfig, save_network

    torch.manual_seed(0)
    network = FeatureNetwork(FeatureNetworkConfig(categories=tuple(scores), widths=(4, 4, 4, 4)))
    with torch.no_grad():
        network.category_head.weight.zero_()
        network.category_head.bias.copy_(torch.tensor(list(scores.values())))
    save_network(network, folder)


def test_a_background_of_another_category_is_refused(tmp_path: Path):
    save_constant_network(tmp_path / "net", {"sauce": 5.0, "laptop": 0.0})
    gate = build_gate(features=tmp_path / "net")
    right = gate(make(CLEAN, PRODUCT, "sauce"), PRODUCT, None)
    wrong = gate(make(CLEAN, PRODUCT, "laptop"), PRODUCT, None)
    unknown = gate(make(CLEAN, PRODUCT, "kettle"), PRODUCT, None)
    assert right.passed and right.values["off_category"] == pytest.approx(1 - 1 / (1 + np.exp(-5)), abs=1e-4)
    assert list(wrong.values["failures"]) == ["off_category"]
    assert wrong.values["off_category"] == pytest.approx(1 / (1 + np.exp(-5)), abs=1e-4)
    assert unknown.passed and "'kettle'" in unknown.values["not_measured"]["off_category"]
    assert wrong.score < 0.5 < unknown.score


def test_the_feature_network_is_part_of_the_gate(tmp_path: Path):
    save_constant_network(tmp_path / "net", {"sauce": 5.0, "laptop": 0.0})
    gate = build_gate(features=tmp_path / "net")
    assert len(gate.describe()["features"]) == 16
    save_constant_network(tmp_path / "other", {"sauce": 4.0, "laptop": 0.0})
    with pytest.raises(ModelFormatError, match="planned with"):
        replace(gate, features=tmp_path / "other")(make(CLEAN, PRODUCT), PRODUCT, None)
    with pytest.raises(ModelNotFoundError):
        build_gate(features=tmp_path / "none")


@pytest.mark.parametrize(
    "fault",
    [
        (CLEAN, glow(0.3), glow(0.8)),
        (CLEAN, grow(1.5), grow(6)),
        (CLEAN, blur_paste(0.7), blur_paste(3)),
    ],
    ids=["glow", "growth", "faded rim"],
)
def test_clean_scores_above_a_slight_fault_and_that_above_a_strong_one(fault: tuple[np.ndarray, ...]):
    verdicts = [judge(pixels) for pixels in fault]
    scores = [verdict.score for verdict in verdicts]
    assert scores[0] > scores[1] > scores[2]
    assert all(a - b > 0.01 for a, b in pairwise(scores))
    assert verdicts[0].passed and not verdicts[2].passed


def test_a_leak_lowers_the_score_by_degrees():
    scores = [judge(leak(strength), reference=REFERENCE).score for strength in (0.0, 0.12, 1.0)]
    assert scores[0] > scores[1] > scores[2]


def test_the_score_is_the_documented_sum():
    thresholds = GateThresholds()
    assert compute_score({"seam": 0.0, "rim": 0.0}, thresholds) == 1.0
    assert compute_score({"seam": 9.0}, thresholds) == 0.75  # at its limit: half its quality, still passed
    # seam r = 2, floating r = 1 with weight 1/4: quality = 1 - (2/3 + 1/8) / 1.25, refused
    expected = (1 - (2 / 3 + 0.125) / 1.25) / 2
    assert compute_score({"seam": 18.0, "floating": 0.8}, thresholds) == pytest.approx(expected, abs=1e-6)
    # a limit of 0 counts in the check's step
    assert compute_score({"interior": 1.0}, thresholds) == 0.25


def test_nothing_measured_is_no_perfect_score_and_ranks_below_what_passed_by_measurement():
    thresholds = GateThresholds()
    assert compute_score({}, thresholds) is None
    leak_alone = thresholds.replace(**dict.fromkeys(CHECKS) | {"leak": 0.2})
    assert compute_score({"seam": 0.0}, leak_alone) is None
    assert compute_score({"floating": 0.5}, thresholds.replace(advisory_weight=0)) is None
    verdict = QualityGate(leak_alone)(make(CLEAN, PRODUCT), PRODUCT, None)
    assert (verdict.passed, verdict.score) == (True, None)
    assert verdict.values["not_measured"] == {"leak": "no reference"}
    entries = [
        {"verdict": {"passed": passed, "score": score}}
        for passed, score in ((True, None), (False, 0.4), (True, 0.6), (True, 0.9))
    ]
    assert [entry["verdict"]["score"] for entry in sorted(entries, key=_rank)] == [0.9, 0.6, None, 0.4]


def test_passed_images_always_score_above_refused_ones_and_worse_never_scores_more():
    thresholds, random = GateThresholds(), np.random.default_rng(0)
    limits = {name: thresholds.get_limit(name) or 1.0 for name in CHECKS}
    for _ in range(200):
        values = {name: float(random.uniform(0, 2.5) * limit) for name, limit in limits.items()}
        score = compute_score(values, thresholds)
        name = str(random.choice(list(CHECKS)))
        assert compute_score(values | {name: values[name] * 1.5}, thresholds) <= score
        passes = all(
            value <= (thresholds.get_limit(check) or 0) or check in thresholds.advisory
            for check, value in values.items()
        )
        assert (score >= 0.5) == passes


def test_verdicts_are_plain_and_the_gate_travels():
    gate = QualityGate(GateThresholds(seam=3.0))
    copy = pickle.loads(pickle.dumps(gate))
    assert copy == gate and copy.describe() == gate.describe()
    made = make(glow(0.5), PRODUCT)
    first, second = gate(made, PRODUCT, REFERENCE), copy(made, PRODUCT, REFERENCE)
    assert first == second and json.loads(json.dumps(first.values)) == first.values
    assert json.loads(json.dumps(gate.describe())) == gate.describe()
    assert gate.describe() != QualityGate().describe()


def test_larger_images_are_judged_at_the_working_side():
    double = lambda values: values.repeat(2, axis=0).repeat(2, axis=1)  # noqa: E731
    large = Product(double(PRODUCT.pixels), double(PRODUCT.matte), double(PRODUCT.foreground))
    gate = QualityGate(GateThresholds(side=SIDE))
    pixels = double(glow(0.5))
    assert gate(make(pixels, large), large, None).values == judge(glow(0.5)).values
    pixels[201, 181] ^= 1  # one level of one pixel of the large image
    assert gate(make(pixels, large), large, None).values["interior"] == 1


def test_thresholds_come_from_a_file(tmp_path: Path):
    path = tmp_path / "gate.yaml"
    path.write_text("seam: 3\nfloating: null\nadvisory: [ghost]\n", encoding="utf-8")
    thresholds = load_config(GateThresholds, path)
    assert thresholds == GateThresholds(seam=3.0, floating=None, advisory=("ghost",))
    assert "floating" not in QualityGate(thresholds)(make(CLEAN, PRODUCT), PRODUCT, None).values
    save_config(thresholds, tmp_path / "again.yaml")
    assert load_config(GateThresholds, tmp_path / "again.yaml") == thresholds
    path.write_text("seem: 3\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="did you mean seam"):
        load_config(GateThresholds, path)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"halo": 1.5}, "halo: must be from 0 to 1, got 1.5"),
        ({"rim": -1.0}, "rim: must be from 0 to 100, got -1.0"),
        ({"seam": float("nan")}, "seam: must be a finite number"),
        ({"advisory": ("shadow",)}, "no check 'shadow'"),
        ({"side": 64}, "side: must be from 128 to 4096"),
        ({"advisory_weight": -1.0}, "advisory_weight: must be from 0"),
        (dict.fromkeys(CHECKS), "every check is left out"),
    ],
)
def test_wrong_thresholds_are_refused(values: dict, said: str):
    with pytest.raises(SettingsError, match=said):
        GateThresholds(**values)


def test_a_product_without_background_is_passed_with_what_can_be_measured():
    whole = np.ones((SIDE, SIDE), np.float32)
    product = PRODUCT.derive(pixels=PRODUCT.foreground, matte=whole)
    verdict = judge(PRODUCT.foreground, product)
    assert verdict.passed and verdict.values["interior"] == 0
    assert verdict.values["seam"] is None and "an edge needs both" in verdict.values["not_measured"]["seam"]
