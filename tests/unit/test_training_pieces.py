"""Draws, averages, rates, settings and the prompt table, each against its definition."""

from __future__ import annotations

import dataclasses
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.optimization import get_cosine_schedule_with_warmup

from cyclorama.cli import main
from cyclorama.commands.train import load_train_config
from cyclorama.config import build_config, load_config, load_mapping, save_config, to_plain
from cyclorama.diffusion.objective import WeightAverage
from cyclorama.errors import ConfigError, MissingDependencyError
from cyclorama.training import loop
from cyclorama.training.batch import DrawSettings, iterate_ahead, list_sample_numbers, sample_draws
from cyclorama.training.config import OptimiserConfig, TrainConfig, list_differences
from cyclorama.training.loop import TrainingResult, compute_learning_rate
from cyclorama.training.stages import STAGES, compute_reconstruction_loss

SETTINGS = DrawSettings(seed=3, latent_shape=(2, 4, 4), num_timesteps=1000, flip=True, prompt_dropout=0.5)
PLAIN = {"data": {"source": {"path": "shards"}}, "model": {"base": "folder"}, "steps": 10, "batch_size": 8}


def build(**changes):
    return build_config(TrainConfig, {**PLAIN, **changes})


def test_draws_depend_on_the_sample_number_alone():
    first, again = sample_draws(17, 5, SETTINGS), sample_draws(17, 5, SETTINGS)
    np.testing.assert_array_equal(first.noise, again.noise)
    assert (first.flip, first.drop_prompt, first.timestep) == (again.flip, again.drop_prompt, again.timestep)
    assert not np.array_equal(first.noise, sample_draws(18, 5, SETTINGS).noise)


def test_switching_a_draw_off_leaves_the_others():
    off = dataclasses.replace(SETTINGS, flip=False, prompt_dropout=0.0)
    for number in range(20):
        with_all, without = sample_draws(number, 0, SETTINGS), sample_draws(number, 0, off)
        assert (without.flip, without.drop_prompt) == (False, False)
        assert with_all.timestep == without.timestep
        np.testing.assert_array_equal(with_all.noise, without.noise)


def test_draws_follow_their_distributions():
    draws = [sample_draws(number, 0, SETTINGS) for number in range(2000)]
    assert np.mean([d.flip for d in draws]) == pytest.approx(0.5, abs=0.04)
    assert np.mean([d.drop_prompt for d in draws]) == pytest.approx(0.5, abs=0.04)
    timesteps = np.array([d.timestep for d in draws])
    assert timesteps.min() >= 0 and timesteps.max() <= 999
    assert timesteps.mean() == pytest.approx(499.5, abs=25)
    noise = np.stack([d.noise for d in draws])
    assert noise.mean() == pytest.approx(0, abs=0.02) and noise.std() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(("parts", "world"), [(1, 1), (2, 1), (1, 4), (3, 2)])
def test_every_split_of_a_step_covers_the_same_samples(parts, world):
    numbers = [
        number
        for part in range(parts)
        for rank in range(world)
        for number in list_sample_numbers(5, part, batch_size=12, parts=parts, rank=rank, world=world)
    ]
    assert numbers == list(range(60, 72))


def test_average_equals_the_recurrence_and_goes_on_bit_equal():
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    ema, halves = WeightAverage({"w": weight}, 0.9), WeightAverage({"w": weight}, 0.9)
    expected = weight.detach().clone()
    for step in range(1, 90):
        with torch.no_grad():
            weight.add_(0.1 * step)
        ema.update()
        halves.update()
        if step in (1, 40):
            kept = {name: value.clone() for name, value in halves.get_values().items()}
            halves = WeightAverage({"w": weight}, 0.9)
            halves.load(kept, step)
        decay = 0.0 if step == 1 else min(0.9, step / (9 + step))
        expected = decay * expected + (1 - decay) * weight.detach()
    torch.testing.assert_close(ema.get_values()["w"], expected)
    assert torch.equal(ema.get_values()["w"], halves.get_values()["w"])
    own = weight.detach().clone()
    with pytest.raises(ZeroDivisionError), ema.applied():
        assert torch.equal(weight, ema.get_values()["w"])
        raise ZeroDivisionError
    assert torch.equal(weight, own)


def test_learning_rate_warms_up_and_falls_as_a_cosine():
    config = OptimiserConfig(learning_rate=2.0, schedule="cosine", warm_up_steps=4, final_fraction=0.1)
    rates = [compute_learning_rate(step, 14, config) for step in range(15)]
    assert rates[:5] == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.0])
    assert rates[9] == pytest.approx(1.1)  # half way: the mean of 2 and 0.2
    assert rates[14] == pytest.approx(0.2)
    constant = OptimiserConfig(learning_rate=2.0)
    assert {compute_learning_rate(step, 14, constant) for step in range(14)} == {2.0}


def test_learning_rate_is_diffusers_but_for_its_first_step_and_floor():
    config = OptimiserConfig(learning_rate=2.0, schedule="cosine", warm_up_steps=4)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    theirs = get_cosine_schedule_with_warmup(optimizer, 4, 14).lr_lambdas[0]
    for step in range(14):
        shifted = step + 1 if step < 4 else step
        assert compute_learning_rate(step, 14, config) == pytest.approx(2.0 * theirs(shifted))
    assert theirs(0) == 0.0 and theirs(14) == 0.0


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_batches_come_in_order_whatever_the_threads(workers):
    assert list(iterate_ahead(lambda item: item * item, range(20), workers)) == [i * i for i in range(20)]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_no_more_than_workers_and_one_batches_are_prepared_ahead(workers):
    begun = []
    batches = iterate_ahead(lambda item: begun.append(item) or item, iter(range(40)), workers)
    for taken in range(30):
        assert next(batches) == taken
        assert len(begun) <= taken + workers + 2  # the one handed out, and those ahead
    deadline = time.monotonic() + 5
    while len(begun) < 30 + workers + 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(begun) == 30 + workers + 1  # and not fewer: the threads are kept busy


def test_an_error_in_a_thread_reaches_the_loop():
    def make(item):
        if item == 3:
            raise ValueError("image 3")
        return item

    with pytest.raises(ValueError, match="image 3"):
        list(iterate_ahead(make, range(10), 2))


def test_reconstruction_loss_counts_pixels_and_edges():
    image = torch.zeros(1, 1, 2, 2)
    flat = compute_reconstruction_loss(image + 0.5, image)
    assert float(flat) == pytest.approx(0.5)  # no edge differs
    column = torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]])
    assert float(compute_reconstruction_loss(column, image)) == pytest.approx(0.5 + 1.0)


def test_config_survives_yaml(tmp_path):
    config = build(optimiser={"learning_rate": "1e-5"}, perturb={"mix": False}, augment={})
    assert config.optimiser.learning_rate == 1e-5
    save_config(config, tmp_path / "config.yaml")
    assert load_config(TrainConfig, tmp_path / "config.yaml") == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stepz": 1}, "unknown key 'stepz'; did you mean steps"),
        ({"optimiser": {"lr": 1}}, "optimiser: unknown key 'lr'"),
        ({"perturb": {"mixx": True}}, "perturb: unknown key 'mixx'; did you mean mix"),
        ({"epochs": 3}, "exactly one of steps and epochs, got 10 and 3.0"),
        ({"steps": 0}, "steps: must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size: must be at least 1, got 0"),
        ({"gradient_accumulation": 3}, "gradient_accumulation 3 must divide batch_size 8"),
        ({"prompt_dropout": 1.5}, "prompt_dropout: must be from 0 to 1, got 1.5"),
        ({"ema_decay": 1.0}, "ema_decay: must be less than 1, got 1.0"),
        ({"min_snr_gamma": 0}, "min_snr_gamma: must be greater than 0, got 0"),
        ({"precision": "int8"}, "precision: must be 'fp32', 'bf16' or 'fp16', got 'int8'"),
        ({"model": {}}, "model: set exactly one of `base`"),
        ({"model": {"base": "x", "autoencoder": "y"}}, "a `base` brings its own autoencoder"),
        ({"optimiser": {"learning_rate": 0}}, "optimiser.learning_rate: must be greater than 0, got 0"),
        ({"optimiser": {"betas": [0.9, 1.0]}}, r"optimiser.betas\[1\]: must be less than 1, got 1.0"),
        ({"checkpoint": {"keep": 0}}, "checkpoint.keep: must be at least 1, got 0"),
        ({"validation": {"every_steps": 0}}, "validation.every_steps: must be at least 1, got 0"),
        ({"data": {"source": {"path": "x"}, "workers": -1}}, "data.workers: must be at least 0, got -1"),
        ({"discriminator": {"widths": []}}, "discriminator.widths: must .*at least 1 item"),
    ],
)
def test_bad_settings_are_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        build(**changes)


def test_epochs_become_steps():
    config = build_config(TrainConfig, {**PLAIN, "steps": None, "epochs": 300, "batch_size": 128})
    assert config.compute_steps(63293) == 148343  # 300 epochs of BG60k at a total batch of 128


def test_differences_name_what_a_resumed_run_may_not_change():
    config = build(steps=99, log_every_steps=3, checkpoint={"keep": 7})
    saved = to_plain(build())
    assert list_differences(saved, config) == []
    changed = build(batch_size=4, optimiser={"learning_rate": 0.5}, perturb={"mix": False})
    assert list_differences(saved, changed) == [
        "batch_size: 8 -> 4",
        "optimiser.learning_rate: 1e-05 -> 0.5",
        "perturb.mix: True -> False",
    ]


def test_settings_from_the_command_line(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("data: {source: {path: a}}\nmodel: {base: b}\nepochs: 2\n", encoding="utf-8")
    config = load_train_config(recipe, ["optimiser.learning_rate=1e-4", "data.source.path=other"], steps=5)
    assert (config.steps, config.epochs) == (5, None)
    assert config.optimiser.learning_rate == 1e-4
    assert config.data.source.path == Path("other")
    with pytest.raises(ConfigError, match="expected KEY=VALUE"):
        load_train_config(recipe, ["seed"])
    with pytest.raises(ConfigError, match="unknown key 'sede'"):
        load_train_config(recipe, ["sede=1"])
    with pytest.raises(ConfigError, match="cannot read config"):
        load_train_config(tmp_path / "none.yaml", [])
    with pytest.raises(ConfigError, match="'epochs' is 2, not a group of settings"):
        load_train_config(recipe, ["epochs.x=1"])


ROOT = Path(__file__).parents[2]
RECIPES = [
    path
    for path in sorted([*(ROOT / "recipes").glob("*.yaml"), *(ROOT / "recipes" / "third").glob("*.yaml")])
    if "cyclorama train" in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_training_recipe_is_a_valid_config_with_its_command(recipe):
    text = recipe.read_text(encoding="utf-8")
    assert f"--config {recipe.relative_to(ROOT).as_posix()}" in text and "# Expected: " in text
    assert load_config(TrainConfig, recipe).batch_size > 0


def test_starts_of_recipes_that_lie_in_the_repository_are_models():
    recipes = [load_mapping(path) for path in sorted((ROOT / "recipes").rglob("*.yaml"))]
    starts = {str(recipe["model"]["base"]) for recipe in recipes if (recipe.get("model") or {}).get("base")}
    here = {start for start in starts if (ROOT / start.split("/")[0]).is_dir() and start[:5] != "runs/"}
    assert here == {"bundled/src/cyclorama_bundled/model"}
    assert [start for start in here if not (ROOT / start / "model_index.json").is_file()] == []


def test_the_paper_recipe_holds_the_papers_numbers():
    config = load_config(TrainConfig, next(path for path in RECIPES if path.name == "sd15-bg60k.yaml"))
    assert (config.data.image_size, config.epochs, config.batch_size) == (512, 300, 128)
    assert (config.optimiser.learning_rate, config.optimiser.schedule) == (1e-5, "constant")
    assert config.prompt_dropout == 0.5
    assert (config.min_snr_gamma, config.augment, config.model.condition_mask_channel) == (None, None, False)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_says_how_to_go_on(number, code, tmp_path, monkeypatch, capsys):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("data: {source: {path: a}}\nmodel: {base: b}\nsteps: 9\n", encoding="utf-8")
    result = TrainingResult(step=3, images_seen=384, stopped_by=number, model=None)
    monkeypatch.setattr(loop, "train", lambda *args, **options: result)
    assert main(["train", "base", "--config", str(recipe), "--out", str(tmp_path)]) == code
    assert f"stopped by {number.name} after step 3 (384 images)" in (error := capsys.readouterr().err)
    assert "--resume" in error


def test_training_without_its_extra_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "find_spec", lambda name: None if name == "tensorboard" else object())
    with pytest.raises(MissingDependencyError, match=r'needs tensorboard: pip install "cyclorama\[train\]"'):
        loop.train(STAGES["base"], build(), tmp_path / "out")
    assert not (tmp_path / "out").exists()
