"""Which rules a configuration asks for, and what they are known by: cyclorama.curate.config."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cyclorama.bundled import find_bundled
from cyclorama.curate import config
from cyclorama.curate.config import CurateConfig, ReadingSettings, build_rules, identify_features, load_rule
from cyclorama.errors import ConfigError
from cyclorama.evaluation.feature_network import load_card


class Sharp:
    """A rule of another package."""

    name = "sharp"

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings

    def judge(self, image: Any) -> None: ...


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    points = {
        "sharp": Sharp,
        "other": Sharp,
        "odd": lambda settings: SimpleNamespace(name="odd"),
    }
    entries = [SimpleNamespace(name=name, load=lambda m=made: m) for name, made in points.items()]
    monkeypatch.setattr(config.metadata, "entry_points", lambda group: entries)


@pytest.mark.usefixtures("installed")
def test_an_installed_rule_has_the_name_it_is_asked_by() -> None:
    rule: Any = load_rule("sharp", {"least": 3})
    assert (rule.name, rule.settings) == ("sharp", {"least": 3})
    for name, message in (
        ("other", "'other' gives a rule called 'sharp'; names must agree"),
        ("missing", "no installed package has a rule 'missing'.*installed: odd, other, sharp"),
        ("odd", "neither judge nor judge_all"),
    ):
        with pytest.raises(ConfigError, match=message):
            load_rule(name, {})


@pytest.mark.usefixtures("installed")
def test_no_two_rules_have_one_name() -> None:
    names = build_rules(CurateConfig(further={"sharp": {}})).names
    assert "sharp" in names and len(set(names)) == len(names)
    with pytest.raises(ConfigError, match="'blank' is a section of its own; name the rule otherwise"):
        CurateConfig(further={"blank": {}})


def test_features_are_known_by_their_weights(tmp_path: Path) -> None:
    own = identify_features("cyclorama").split()
    assert own[0] == "cyclorama" and own[1] == load_card(find_bundled("features"))["weights_hash"]
    path = tmp_path / "net.onnx"
    path.write_bytes(b"weights")
    assert identify_features(str(path)) == str([hashlib.sha256(b"weights").hexdigest()])
    assert identify_features("inception") == "inception"


def test_a_file_may_have_64_mib() -> None:
    assert ReadingSettings.model_fields["file_bytes"].default == 67_108_864
