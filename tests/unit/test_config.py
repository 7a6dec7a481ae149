"""YAML to frozen dataclasses: types, unknown keys, round trip."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from cyclorama.config import build_config, load_config, save_config, to_plain
from cyclorama.errors import ConfigError


@dataclass(frozen=True)
class Inner:
    rate: float = 1e-3
    kind: Literal["a", "b"] = "a"


@dataclass(frozen=True)
class Outer:
    steps: int
    inner: Inner = field(default_factory=Inner)
    sizes: tuple[int, ...] = (1, 2)
    pair: tuple[int, str] = (1, "x")
    folder: Path | None = None
    table: dict[str, int] = field(default_factory=dict)
    optional: Inner | None = None


def test_nested_values_are_converted_and_come_back(tmp_path: Path) -> None:
    text = "steps: 3\ninner: {rate: 1e-5, kind: b}\nsizes: [4, 5, 6]\nfolder: a/b\n"
    text += "table: {x: 1}\noptional: {rate: 2}\n"
    (tmp_path / "c.yaml").write_text(text)
    config = load_config(Outer, tmp_path / "c.yaml")
    assert config == Outer(3, Inner(1e-5, "b"), (4, 5, 6), (1, "x"), Path("a/b"), {"x": 1}, Inner(2.0))
    save_config(config, tmp_path / "d.yaml")
    assert load_config(Outer, tmp_path / "d.yaml") == config
    assert to_plain(config)["folder"] == "a/b"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"steps": 1, "step": 2}, "unknown key 'step'; did you mean steps"),
        ({"steps": 1, "inner": {"rat": 1}}, "inner: unknown key 'rat'; did you mean rate"),
        ({"steps": 1, "qqq": 1}, "unknown key 'qqq'; known keys: steps, inner"),
        ({}, "missing key steps"),
        ({"steps": "many"}, "steps: expected int, got 'many'"),
        ({"steps": True}, "steps: expected int, got True"),
        ({"steps": None}, "steps: expected int, got None"),
        ({"steps": 1, "inner": {"kind": "c"}}, "got 'c', allowed: 'a', 'b'"),
        ({"steps": 1, "sizes": 4}, "sizes: expected a list, got 4"),
        ({"steps": 1, "pair": [1]}, "pair: expected 2 values, got 1"),
        ({"steps": 1, "table": [1]}, "table: expected a mapping"),
        ({"steps": 1, "inner": 4}, "inner: expected a mapping of settings, got int"),
        ([1], "expected a mapping of settings, got list"),
    ],
)
def test_bad_values_are_named(values: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        build_config(Outer, values)


def test_unreadable_and_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read config .*none\.yaml"):
        load_config(Outer, tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_config(Outer, tmp_path / "bad.yaml")
