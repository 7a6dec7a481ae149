"""Recipes of experiments, and the arithmetic of their tables."""

from __future__ import annotations

import io
import json
import statistics
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cyclorama.config import build_config, load_config, to_plain
from cyclorama.errors import ConfigError
from cyclorama.evaluation.compare import estimate_mean
from cyclorama.lab.commands.experiment import load_experiment
from cyclorama.lab.experiments import scoring
from cyclorama.lab.experiments import table as table_module
from cyclorama.lab.experiments.recipe import ExperimentConfig, MethodConfig
from cyclorama.lab.experiments.scoring import (
    MethodResult,
    TrialScore,
    Value,
    Wins,
    aggregate,
    compute_wins,
    find_best,
)
from cyclorama.lab.experiments.table import (
    ExperimentResult,
    build_tables,
    format_json,
    format_value,
    write_sheet,
)
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
    methods = {n: load_experiment(RECIPES / f"{n}.yaml", []).methods for n in ("table1", "table2")}
    kinds = {name: [m.kind for m in found] for name, found in methods.items()}
    assert kinds["table1"] == ["lama", "inpaint", "controlnet", "ours", "ours", "ours"]
    assert [m.model for m in methods["table1"]][3:] == ["ours-on", "scenes", "ours"]
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
    with pytest.raises(ConfigError, match="a prompt goes with a baseline; ours has its own"):
        MethodConfig(name="ours", prompt="x")
    several = MethodConfig(name="twice", kind="controlnet", model=("a", "b"))
    assert several.models == ("a", "b") and MethodConfig(name="ours").models == (None,)
    with pytest.raises(ConfigError, match="'twice' wants the model 'b', which is not under models: a"):
        build(methods=(several,), models={"a": "here"})


def build_score(offset: float, fid: float, count: int = 12) -> TrialScore:
    random = np.random.default_rng(3)
    rows = {f"k{n}": {"psnr": float(random.normal(20, 1)) + offset} for n in range(count)}
    return TrialScore(rows, {"fid": fid}, {}, ())


PRODUCTS = {f"k{n}": f"p{n // 2}" for n in range(12)}


def test_means_spread_and_interval_are_those_of_the_seeds_and_products():
    scores = {(0, n): build_score(*v) for n, v in enumerate([(0, 5.0), (1, 7.0), (5, 6.0)])}
    found = aggregate("ours", "pair", scores, PRODUCTS)
    base = statistics.fmean(row["psnr"] for row in scores[0, 0].rows.values())
    psnr, fid = found.values["psnr"], found.values["fid"]
    assert psnr.mean == pytest.approx(base + 2) and psnr.by_seed == pytest.approx((base, base + 1, base + 5))
    assert psnr.spread == pytest.approx(np.std([0, 1, 5], ddof=1)) and psnr.count == 36
    pooled = [(v["psnr"], PRODUCTS[k]) for s in scores.values() for k, v in s.rows.items()]
    expected = estimate_mean([v for v, _ in pooled], [p for _, p in pooled])
    assert (psnr.low, psnr.high) == (expected.low, expected.high)
    assert (fid.mean, fid.spread, fid.low, fid.count) == (6.0, 1.0, None, 3)
    single = aggregate("ours", "pair", {(0, 0): scores[0, 0]}, PRODUCTS).values["psnr"]
    assert single.spread is None and single.low < single.mean < single.high


def test_wins_are_counted_by_product_and_by_seed():
    ours = {(0, seed): build_score(2 + seed, 4.0 + seed) for seed in (0, 1)}
    other = {(0, seed): build_score(seed, 4.5) for seed in (0, 1)}
    found = compute_wins("none", ("ours", ours), ("other", other), PRODUCTS)
    (psnr,) = found.differences
    assert (psnr.first_wins, psnr.second_wins, psnr.verdict) == (12, 0, "first")
    assert psnr.difference.value == pytest.approx(2) and found.seeds_won == {"fid": (1, 1, 2)}
    alone = compute_wins("none", ("ours", ours), ("other", other), dict.fromkeys(PRODUCTS, "p"))
    assert alone.differences[0].difference.low is None and alone.differences[0].verdict == "open"
    back = compute_wins("none", ("other", other), ("ours", ours), PRODUCTS)
    assert back.differences[0].verdict == "second" and back.seeds_won == {"fid": (1, 1, 2)}
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


def build_value(mean: float) -> Value:
    return Value(mean, None, None, None, (mean,), 1)


def build_result(**parts: Any) -> ExperimentResult:
    config = build(methods=(MethodConfig(name="a"), MethodConfig(name="b")), columns=("psnr", "fid"))
    values = {name: MethodResult(name, "none", {"psnr": build_value(psnr)}, {}, None) for name, psnr in
              (("a", 1.0), ("b", 2.0))}  # fmt: skip
    whole = {"title": "t", "recipe": to_plain(config), "data": "d", "machine": "cpu", "methods": {},
             "missing": {}, "results": (*values.values(),), "wins": (), "used": {}, "notes": ()}  # fmt: skip
    return ExperimentResult(**{**whole, **parts})


def test_the_best_of_several_methods_is_bold():
    (both, _) = build_tables(build_result())
    assert both.rows == [("a", "1.00", "–", "–"), ("b", "**2.00**", "–", "–")]
    (alone, _) = build_tables(build_result(results=build_result().results[1:]))
    assert alone.rows[1] == ("b", "2.00", "–", "–")


@pytest.mark.parametrize(
    ("won", "lost", "verdict"), [(3, 0, "b"), (2, 1, "open"), (0, 3, "a"), (0, 2, "open"), (0, 0, "open")]
)
def test_a_distance_is_won_in_all_seeds_or_open(won: int, lost: int, verdict: str):
    wins = Wins("none", "b", "a", (), {"fid": (won, lost, 3), "kid": (3, 0, 3)})
    result = build_result(wins=(wins,))
    table = build_tables(result)[1]
    assert table.caption == "b against a (none)" and len(table.rows) == 1
    assert table.rows[0][3:] == (f"nearer in {won} of 3 seeds", "", verdict)
    text = format_json(result)
    assert text.endswith("}\n") and json.loads(text)["wins"][0]["seeds_won"]["fid"] == [won, lost, 3]


def test_equal_distances_win_for_neither():
    scores = {(0, 0): build_score(0, 4.0), (0, 1): build_score(0, 5.0)}
    other = {(0, 0): build_score(0, 4.0), (0, 1): build_score(0, 6.0)}
    assert compute_wins("none", ("a", scores), ("b", other), PRODUCTS).seeds_won == {"fid": (1, 0, 2)}
    assert compute_wins("none", ("b", other), ("a", scores), PRODUCTS).seeds_won == {"fid": (0, 1, 2)}


def score_one(fid: float, **psnr: float) -> TrialScore:
    return TrialScore({key: {"psnr": value} for key, value in psnr.items()}, {"fid": fid}, {}, ())


def test_several_trainings_are_one_row_with_all_of_them_in_its_spread():
    scores = {
        (0, 0): score_one(1, k0=10, k1=12),
        (0, 1): score_one(2, k0=11, k1=13),
        (1, 0): score_one(5, k0=14, k1=16),
        (1, 1): score_one(6, k0=15, k1=17),
    }
    found = aggregate("ours", "none", scores, PRODUCTS)
    psnr, fid = found.values["psnr"], found.values["fid"]
    assert psnr.by_seed == (11, 12, 15, 16) and psnr.count == 8 and fid.by_seed == (1, 2, 5, 6)
    assert (psnr.mean, fid.mean) == (13.5, 3.5)
    assert psnr.spread == pytest.approx(np.std([11, 12, 15, 16], ddof=1))
    failed = {(1, 0): replace(scores[1, 0], failures={"k2": "why"})}
    assert aggregate("ours", "none", failed, PRODUCTS).failures == {"k2, seed 0, model 2": "why"}
    rival = {(0, 0): score_one(2, k0=11, k1=15), (0, 1): score_one(5, k0=13, k1=15)}
    wins = compute_wins("none", ("ours", scores), ("rival", rival), PRODUCTS)
    # ours is 12 and 13 in the first seed, 14 and 15 in the second; its FID 3 and 4
    (found_psnr,) = wins.differences
    assert (found_psnr.first, found_psnr.second) == (13.5, 13.5)
    assert (found_psnr.first_wins, found_psnr.second_wins) == (1, 1)
    assert found_psnr.difference.value == pytest.approx(0) and wins.seeds_won == {"fid": (1, 1, 2)}


def test_a_seed_counts_where_both_methods_have_it():
    whole = {(0, 0): score_one(1, k0=10, k1=20), (0, 1): score_one(1, k0=30, k1=40)}
    lacking = {(0, 0): score_one(1, k0=10, k1=20), (0, 1): score_one(1, k0=30)}
    for one, other in ((whole, lacking), (lacking, whole)):
        (psnr,) = compute_wins("none", ("a", one), ("b", other), PRODUCTS).differences
        assert (psnr.first, psnr.second, psnr.difference.value) == (20, 20, 0)
        assert (psnr.first_wins, psnr.second_wins, psnr.ties) == (0, 0, 2)


@pytest.mark.parametrize("condition", ["self", "pair"])
def test_a_sheet_spreads_its_products_and_leaves_failed_cells_empty(tmp_path, monkeypatch, condition: str):
    def name_items(kind: str) -> Any:
        return SimpleNamespace(items={f"k{n}": SimpleNamespace(image=Path(f"{kind}{n}")) for n in range(9)})

    held_out: Any = SimpleNamespace(
        items=[SimpleNamespace(id=f"k{n}") for n in range(9)], products=name_items("product"),
        truth=name_items("truth"), get_references=lambda condition: None,
    )  # fmt: skip
    rows = [{"id": f"k{n}", "output": f"{n}.png", "status": "failed" if n == 3 else "done"} for n in range(9)]
    seen: list[Any] = []

    def encode(cells: Any, columns: list[str]) -> bytes:
        seen.extend((cells, columns))
        stream = io.BytesIO()
        Image.new("RGB", (8, 8)).save(stream, "PNG")
        return stream.getvalue()

    monkeypatch.setattr(table_module, "iterate_rows", lambda folder: rows)
    monkeypatch.setattr(table_module, "encode_overview", encode)
    write_sheet(tmp_path / "a.jpg", held_out, condition, {"ours": tmp_path}, 3)
    shown = ["product"] if condition == "self" else ["product", "truth"]
    cells = [[*(Path(f"{kind}{n}") for kind in shown), tmp_path / f"{n}.png"] for n in (0, 3, 6)]
    cells[1][-1] = None
    assert seen == [cells, [*shown, "ours"]]
    assert (tmp_path / "a.jpg").read_bytes().startswith(b"\xff\xd8")
    write_sheet(tmp_path / "a.jpg", held_out, condition, {"ours": tmp_path}, 20)
    assert len(seen[2]) == 9


@pytest.mark.parametrize(("against", "measured"), [(None, {"distance", "truth"}), (Path("set"), {"truth"})])
def test_a_trial_is_scored_once_and_read_from_the_store(tmp_path, monkeypatch, against, measured):
    kept = SimpleNamespace(has_masks=lambda: True)
    asked, networks = [], (SimpleNamespace(name="n", weights_hash="0"), None)

    def measure_distance(made: Any, true: Any) -> Any:
        return SimpleNamespace(region=made[1], fid=5.0, fid_bias=None, kid=0.5, warning="few")

    own = () if against else (SimpleNamespace(region="image", fid=4.0, fid_bias=0.25, kid=0.5, warning=None),)

    def evaluate(partners: Any, settings: Any, *given: Any, **options: Any) -> Any:
        asked.append(set(settings.metrics))
        return SimpleNamespace(rows={"k": {"psnr": 20.0}}, distances=own, used={}, notes=("few", "note"))

    for name, value in {
        "open_images": lambda path: kept, "find_partners": lambda images, *given, **options: SimpleNamespace(
            images=images, truth=None, references=None, products=None
        ),
        "load_networks": lambda settings: networks, "evaluate_set": evaluate,
        "compute_set_digest": lambda images: "0", "compute_set_distance": measure_distance,
    }.items():  # fmt: skip
        monkeypatch.setattr(scoring, name, value)
    monkeypatch.setattr(scoring.FeatureStore, "get", lambda store, images, network, region: (images, region))
    config = build(metrics=("distance", "truth"), against=against)
    held_out: Any = SimpleNamespace(get_references=lambda condition: None, truth=None, products=None)
    made: Any = SimpleNamespace(images="made", failures={"x": "why"}, seconds_per_image=2.0)
    trial: Any = SimpleNamespace(condition="none")
    found = [scoring.Scorer(config, held_out, tmp_path, "cpu").score(trial, made) for _ in range(2)]
    assert found[0] == found[1] and asked == [measured]
    far = {"fid": 5.0, "kid": 0.5, "fid_background": 5.0, "kid_background": 0.5}
    assert found[0].distances == (far if against else {"fid": 4.0, "fid_bias": 0.25, "kid": 0.5})
    assert found[0].notes == (("note",) if against else ("few", "note"))
    assert (found[0].failures, found[0].seconds_per_image) == ({"x": "why"}, 2.0)
    (path,) = (tmp_path / scoring.SCORES).iterdir()
    path.write_text(path.read_text().replace(f'"format": {json.dumps(scoring.FORMAT)}', '"format": "old"'))
    scoring.Scorer(config, held_out, tmp_path, "cpu").score(trial, made)
    assert len(asked) == 2
