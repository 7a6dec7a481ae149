"""``cyclorama curate`` from the command line: recipes, overrides, further rules, exit codes."""

from __future__ import annotations

import json
import signal
from importlib.metadata import EntryPoint
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from _curating import BrightRule, read_stable, write_input

from cyclorama.cli import main
from cyclorama.config import load_config, to_plain
from cyclorama.curate import config as rules
from cyclorama.curate.config import CurateConfig
from cyclorama.errors import ConfigError, ModelNotFoundError, SettingsError
from cyclorama.jobs.job import EngineSettings
from stops import ask_to_stop

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "curate.yaml"
BARE = [
    f"{name}=null"
    for name in ("size", "quality", "mask", "blank", "people", "text", "erase", "duplicates", "pairs")
]


def run(*arguments: object) -> int:
    return main(["curate", *map(str, arguments)])


def with_settings(settings: list[str]) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


def test_the_recipe_states_every_setting_at_its_default():
    assert load_config(CurateConfig, RECIPE, []) == CurateConfig()
    stated = yaml.safe_load(RECIPE.read_text(encoding="utf-8"))

    def list_keys(values, path=()):
        for name, value in values.items():
            yield (*path, name)
            if isinstance(value, dict):
                yield from list_keys(value, (*path, name))

    assert set(list_keys(stated)) == set(list_keys(to_plain(CurateConfig())))


def test_overrides_and_mistakes():
    recipe = load_config(CurateConfig, None, ["size.min_side=99", "people=null"])
    assert recipe.size is not None and recipe.size.min_side == 99 and recipe.people is None
    with pytest.raises(ConfigError, match="unknown key 'min_sides'; did you mean min_side"):
        load_config(CurateConfig, None, ["size.min_sides=99"])
    with pytest.raises(ConfigError, match="expected KEY=VALUE"):
        load_config(CurateConfig, None, ["size"])
    with pytest.raises(ConfigError, match="'text' is a section of its own"):
        CurateConfig(further={"text": {}})
    with pytest.raises(SettingsError, match="--address is for --engine ray"):
        EngineSettings(address="here:6379")
    with pytest.raises(SettingsError, match="workers: must be from 1 to 1024, got 0"):
        EngineSettings(workers=0)


def test_words_that_are_missing_or_too_many(tmp_path, capsys):
    assert run("images") == 2 and "--out requires an argument" in capsys.readouterr().err
    assert run("images", "more", "--out", "x") == 2 and "'more'" in capsys.readouterr().err
    assert run("images", "--out", "x", "--workers", "0") == 2
    assert "workers: must be from 1 to 1024, got 0" in capsys.readouterr().err
    assert run("", "--out", str(tmp_path)) == 2 and "an argument is empty" in capsys.readouterr().err


def test_hosts_are_allowed_by_an_option(tmp_path, capsys, monkeypatch):
    (tmp_path / "web.csv").write_text("image\nhttps://cdn.shop.example/a.png\n")
    monkeypatch.setattr("cyclorama.data.addresses.fetch", lambda url, policy: b"none")
    assert run(tmp_path / "web.csv", "--out", tmp_path / "no", *with_settings(BARE)) == 1
    (row,) = pq.read_table(tmp_path / "no" / "results.parquet").to_pylist()
    assert "allow its host (--allow-urls HOST)" in row["reason"]
    assert (
        run(tmp_path / "web.csv", "--out", tmp_path / "yes", "--allow-urls", "*", *with_settings(BARE)) == 1
    )
    (row,) = pq.read_table(tmp_path / "yes" / "results.parquet").to_pylist()
    assert "allow" not in row["reason"] and row["verdict"] == "drop"


def test_review_needs_a_finished_run(tmp_path, capsys):
    assert run("review", tmp_path) == 2
    assert "DataError: cannot read" in capsys.readouterr().err


def build_bright(settings):
    return BrightRule(settings)


def build_misnamed(settings):
    rule = BrightRule(settings)
    rule.name = "other"  # type: ignore[misc]
    return rule


class SignallingRule(BrightRule):
    """Asks for the run's end in the middle of an image, as a shutting-down machine does."""

    def judge(self, image):
        if image.record.key == "04.png":
            ask_to_stop(signal.SIGTERM)
        return super().judge(image)


def build_signalling(settings):
    return SignallingRule(settings)


@pytest.fixture
def installed(monkeypatch):
    """A package with two rules: one in order, one that calls itself something else."""
    points = [
        EntryPoint("bright", "test_curate_command:build_bright", rules.GROUP),
        EntryPoint("misnamed", "test_curate_command:build_misnamed", rules.GROUP),
    ]
    monkeypatch.setattr(
        rules.metadata, "entry_points", lambda group: [point for point in points if point.group == group]
    )


def test_a_further_rule_is_asked_for_by_name(installed):
    config = load_config(CurateConfig, None, [*BARE, "further.bright={limit: 0.2}"])
    built = rules.build_rules(config)
    assert [rule.name for rule in built.images] == ["bright"]
    assert built.images[0].limit == 0.2
    other = rules.build_rules(load_config(CurateConfig, None, [*BARE, "further.bright={limit: 0.3}"]))
    assert built.identities["bright"] != other.identities["bright"]
    newer = rules.build_rules(
        load_config(CurateConfig, None, [*BARE, "further.bright={limit: 0.2, version: 2}"])
    )
    assert built.identities["bright"] != newer.identities["bright"]
    with pytest.raises(ConfigError, match="no installed package has a rule 'bleak'"):
        rules.build_rules(load_config(CurateConfig, None, [*BARE, "further.bleak={}"]))
    with pytest.raises(ModelNotFoundError, match="with erase: null, images with text"):
        lama = [s for s in BARE if s != "text=null" and s != "erase=null"]
        rules.build_rules(load_config(CurateConfig, None, [*lama, "erase.weights=no/such/file"]))
    with pytest.raises(ConfigError, match="gives a rule called 'other'"):
        rules.build_rules(load_config(CurateConfig, None, [*BARE, "further.misnamed={}"]))


def test_the_command_curates_and_says_what_came_out(installed, tmp_path, capsys):
    manifest = write_input(tmp_path / "shop")
    out = tmp_path / "out"
    arguments = [manifest, "--out", out, *with_settings([*BARE, "clicks=null", "further.bright={}"])]
    assert run(*arguments) == 0
    said = capsys.readouterr()
    rows = pq.read_table(out / "results.parquet").to_pylist()
    verdicts = [row["verdict"] for row in rows]
    assert len(rows) == 12
    assert f"12 rows: {verdicts.count('keep')} kept, 0 repaired, 1 put to review" in said.out
    assert "dropped by bright: 1" in said.out and "dropped by reading: 2" in said.out
    assert f"cyclorama curate review {out}" in said.out
    recipe = json.loads((out / "journal" / "run.json").read_text())["recipe"]
    assert recipe["further"] == {"bright": {}} and recipe["size"] is None


def test_a_signal_ends_the_run_after_the_image_in_hand(installed, tmp_path, monkeypatch, capsys):
    point = EntryPoint("bright", "test_curate_command:build_signalling", rules.GROUP)
    manifest = write_input(tmp_path / "shop")
    arguments = with_settings([*BARE, "clicks=null", "further.bright={}"])
    with monkeypatch.context() as patched:
        patched.setattr(rules.metadata, "entry_points", lambda group: [point])
        assert run(manifest, "--out", tmp_path / "out", *arguments) == 130
    assert "run the same command again to go on" in capsys.readouterr().err
    assert not (tmp_path / "out" / "results.parquet").exists()
    assert run(manifest, "--out", tmp_path / "out", *arguments) == 0
    assert run(manifest, "--out", tmp_path / "undisturbed", *arguments) == 0
    assert read_stable(tmp_path / "out") == read_stable(tmp_path / "undisturbed")


def test_nothing_kept_is_exit_code_one(installed, tmp_path, capsys):
    manifest = write_input(tmp_path / "shop", count=3)
    nothing = with_settings([*BARE, "clicks=null", "further.bright={limit: 0.0}"])
    assert run(manifest, "--out", tmp_path / "out", "--quiet", *nothing) == 1
    assert capsys.readouterr().out == ""
    assert pq.read_table(tmp_path / "out" / "results.parquet").num_rows == 4  # the broken line is one
