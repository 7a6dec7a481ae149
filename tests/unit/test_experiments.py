"""Recipes of experiments, and the arithmetic of their tables."""

from __future__ import annotations

import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cyclorama.config import build_config, load_config, to_plain
from cyclorama.errors import ConfigError
from cyclorama.evaluation.compare import estimate_mean
from cyclorama.lab.commands.experiment import load_experiment
from cyclorama.lab.experiments.recipe import ExperimentConfig, MethodConfig
from cyclorama.lab.experiments.scoring import (
    MethodResult,
    TrialScore,
    Value,
    aggregate,
    compute_wins,
    find_best,
)
from cyclorama.lab.experiments.table import ExperimentResult, build_tables, format_value
from cyclorama.training.config import TrainConfig

RECIPES = Path(__file__).parents[2] / "recipes" / "experiments"


def build(**changes: object) -> ExperimentConfig:
    values = {"title": "t", "data": Path("set"), "methods": (MethodConfig(name="ours"),), **changes}
    return ExperimentConfig(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["table1", "table2", "table4", "category", "fig7", "defaults"])
def test_every_recipe_is_valid_and_states_its_command(name: str):
    path = RECIPES / f"{name}.yaml"
    config = load_experiment(path, [])
    assert build_config(ExperimentConfig, to_plain(config)) == config
    assert len(config.seeds) >= 3 and config.chief == config.methods[-1].name
    text = path.read_text(encoding="utf-8")
    assert f"cyclorama lab experiment recipes/experiments/{name}.yaml" in text and "# Expected: " in text


def test_the_tables_hold_the_papers_methods():
    kinds = {
        n: [m.kind for m in load_experiment(RECIPES / f"{n}.yaml", []).methods] for n in ("table1", "table2")
    }
    assert kinds["table1"] == ["lama", "inpaint", "controlnet", "ours", "ours"]
    assert kinds["table2"] == ["blended", "paint-by-example", "inpaint", "controlnet", "ours"]
    ablation = load_experiment(RECIPES / "table4.yaml", []).methods
    parts = [(m.category_strength, m.reference_strength, m.initial_latent) for m in ablation]
    assert parts == [(0, 1, True), (1, 0, True), (1, 1, False), (1, 1, True)]


def test_the_trainings_of_figure_7_differ_in_the_perturbation_alone():
    names = ("none", "dilation", "dilation-mixup", "all")
    configs = [load_config(TrainConfig, RECIPES / "fig7" / f"{name}.yaml") for name in names]
    bundled = load_config(TrainConfig, RECIPES.parent / "bundled-personality.yaml")
    assert configs[-1] == bundled
    switches = [(c.perturb.dilate, c.perturb.mix, c.perturb.translate, c.perturb.boxes) for c in configs]
    assert switches == [(0, 0, 0, 0), (1, 0, 0, 0), (1, 1, 0, 0), (1, 1, 1, 1)]
    assert len({repr(config.replace(perturb=bundled.perturb)) for config in configs}) == 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["seeds=[0, 0]"], "seed 0 twice"),
        (["seeds=[]"], "seeds: must be"),
        (["compared=best"], "compared is 'best'; the methods are LaMa"),
        (["columns=[beauty]"], "no column 'beauty'; choose from similarity_truth"),
        (["metrics=[taste]"], "no metric group 'taste'"),
        (["images=1"], "images: must be at least 2, got 1"),
        (["models.ours"], "expected KEY=VALUE"),
        (["models={}"], "wants the model 'lama', which is not under models: none"),
        (["conditions=[pairs]"], "'none', 'pair' or 'self', got 'pairs'"),
        (["stepz=4"], "unknown key 'stepz'; did you mean steps"),
    ],
)
def test_bad_recipes_are_refused_by_name(settings: list[str], words: str):
    with pytest.raises(ConfigError, match=words.replace("[", r"\[")):
        load_experiment(RECIPES / "table1.yaml", settings)


def test_only_keeps_methods_by_their_names():
    config = load_experiment(RECIPES / "table1.yaml", ["models.ours=here"], "ours, ControlNet")
    assert [m.name for m in config.methods] == ["ControlNet", "ours"] or config.chief == "ours"
    assert config.find_model("ours") == "here" and config.find_model(None) is None
    with pytest.raises(ConfigError, match="--only 'mine': the methods are LaMa, Stable Diffusion"):
        load_experiment(RECIPES / "table1.yaml", [], "mine")
    with pytest.raises(ConfigError, match="weights go with a baseline"):
        MethodConfig(name="ours", weights="x")


def build_score(offset: float, fid: float, count: int = 12) -> TrialScore:
    random = np.random.default_rng(3)
    rows = {f"k{n}": {"psnr": float(random.normal(20, 1)) + offset} for n in range(count)}
    return TrialScore(rows, {"fid": fid}, {}, ())


PRODUCTS = {f"k{n}": f"p{n // 2}" for n in range(12)}


def test_means_spread_and_interval_are_those_of_the_seeds_and_products():
    scores = {0: build_score(0, 5.0), 1: build_score(1, 7.0), 2: build_score(5, 6.0)}
    found = aggregate("ours", "pair", scores, PRODUCTS)
    base = statistics.fmean(row["psnr"] for row in scores[0].rows.values())
    psnr, fid = found.values["psnr"], found.values["fid"]
    assert psnr.mean == pytest.approx(base + 2) and psnr.by_seed == pytest.approx((base, base + 1, base + 5))
    assert psnr.spread == pytest.approx(np.std([0, 1, 5], ddof=1)) and psnr.count == 36
    pooled = [(v["psnr"], PRODUCTS[k]) for s in scores.values() for k, v in s.rows.items()]
    expected = estimate_mean([v for v, _ in pooled], [p for _, p in pooled])
    assert (psnr.low, psnr.high) == (expected.low, expected.high)
    assert (fid.mean, fid.spread, fid.low, fid.count) == (6.0, 1.0, None, 3)
    single = aggregate("ours", "pair", {0: scores[0]}, PRODUCTS).values["psnr"]
    assert single.spread is None and single.low < single.mean < single.high


def test_wins_are_counted_by_product_and_by_seed():
    ours = {seed: build_score(2 + seed, 4.0 + seed) for seed in (0, 1)}
    other = {seed: build_score(seed, 4.5) for seed in (0, 1)}
    found = compute_wins("none", ("ours", ours), ("other", other))
    (psnr,) = found.differences
    assert (psnr.first_wins, psnr.second_wins, psnr.verdict) == (12, 0, "first")
    assert psnr.difference.value == pytest.approx(2) and found.seeds_won == {"fid": (1, 2)}
    back = compute_wins("none", ("other", other), ("ours", ours))
    assert back.differences[0].verdict == "second" and back.seeds_won == {"fid": (1, 2)}
    assert (psnr.wins, back.differences[0].wins) == ("12 / 0 / 0", "0 / 12 / 0")
    neither = replace(psnr, metric="layout_copied")
    assert (neither.wins, neither.verdict) == ("–", "–")


def test_the_best_of_a_column_follows_its_direction():
    values = [("a", 1.0, 9.0), ("b", 2.0, 8.0)]
    results = [
        MethodResult(
            n, "none", {"psnr": Value(p, 0, p, p, (p,), 1), "fid": Value(f, 0, None, None, (f,), 1)}, {}, 1
        )
        for n, p, f in values
    ]
    assert find_best(results, "psnr") == "b" and find_best(results, "fid") == "b"
    assert find_best(results[:1], "psnr") == "a" and find_best(results, "leak_null") is None
    assert format_value(Value(1.234, 0.05, 1.1, 1.4, (1.2,), 3), 2) == "1.23 ± 0.05 (1.10 to 1.40)"
    assert (
        format_value(Value(1.234, None, None, None, (1.2,), 1), 1) == "1.2" and format_value(None, 2) == "–"
    )


def test_a_method_without_a_model_is_a_row_that_says_so():
    config = build(methods=(MethodConfig(name="a"), MethodConfig(name="b")), columns=("psnr", "fid"))
    result = MethodResult("b", "none", {"psnr": Value(9, 1, 8, 10, (9,), 2)}, {}, 0.5)
    tables = build_tables(
        ExperimentResult(
            "t", to_plain(config), "d", "cpu", {"b": {"model": "m", "hash": "h", "settings": {}}},
            {"a": "no folder"}, (result,), (), {}, (),
        )
    )  # fmt: skip
    assert tables[0].heads == ("method", "PSNR bg ↑", "FID ↓", "s/image")
    assert tables[0].rows == [
        ("a", "not trained", "–", "–"),
        ("b", "9.00 ± 1.00 (8.00 to 10.00)", "–", "0.50"),
    ]
    assert tables[-1].rows[-1] == ("a", "not trained", "", "no folder")
