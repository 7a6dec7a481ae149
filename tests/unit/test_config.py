"""Settings: types, limits, unknown keys, errors of the class's own kind, round trip through YAML."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import pytest
from pydantic import ConfigDict, Field, model_validator

from cyclorama.config import Settings, apply_overrides, build_config, load_config, save_config, to_plain
from cyclorama.errors import ConfigError, CycloramaError, SettingsError


class Inner(Settings):
    rate: float = 1e-3
    kind: Literal["a", "b"] = "a"


class Outer(Settings):
    steps: Annotated[int, Field(ge=1, le=9)]
    """Steps."""
    inner: Inner = Inner()
    sizes: tuple[int, ...] = (1, 2)
    pair: tuple[int, str] = (1, "x")
    folder: Path | None = None
    table: dict[str, int] = Field(default_factory=dict)
    optional: Inner | None = None
    flag: bool = False


class Named(Settings):
    error_type: ClassVar[type[CycloramaError]] = SettingsError
    share: Annotated[float, Field(gt=0)] = 1.0


def test_nested_values_are_converted_and_come_back(tmp_path: Path) -> None:
    text = "steps: 3\ninner: {rate: 1e-5, kind: b}\nsizes: [4, 5, 6]\nfolder: a/b\n"
    text += "table: {x: 1}\noptional: {rate: 2}\n"
    (tmp_path / "c.yaml").write_text(text)
    config = load_config(Outer, tmp_path / "c.yaml")
    assert config == Outer(
        steps=3,
        inner=Inner(rate=1e-5, kind="b"),
        sizes=(4, 5, 6),
        folder=Path("a/b"),
        table={"x": 1},
        optional=Inner(rate=2.0),
    )
    save_config(config, tmp_path / "d.yaml")
    assert load_config(Outer, tmp_path / "d.yaml") == config
    assert to_plain(config)["folder"] == "a/b"
    assert pickle.loads(pickle.dumps(config)) == config


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"steps": 1, "step": 2}, "unknown key 'step'; did you mean steps"),
        ({"steps": 1, "inner": {"rat": 1}}, "inner: unknown key 'rat'; did you mean rate"),
        ({"steps": 1, "qqq": 1}, "unknown key 'qqq'; known keys: steps, inner"),
        ({}, "config: missing key steps"),
        ({"steps": "many"}, "steps: must be a valid integer.*, got 'many'"),
        ({"steps": 0}, "steps: must be from 1 to 9, got 0"),
        ({"steps": 10}, "steps: must be from 1 to 9, got 10"),
        ({"steps": True}, "steps: expected a number or text, got True"),
        ({"steps": None}, "steps: must be a valid integer, got None"),
        ({"steps": 1, "inner": {"rate": float("nan")}}, "inner.rate: must be a finite number, got nan"),
        ({"steps": 1, "inner": {"kind": "c"}}, "inner.kind: must be 'a' or 'b', got 'c'"),
        ({"steps": 1, "sizes": 4}, "sizes: must be a list, got 4"),
        ({"steps": 1, "pair": [1]}, "pair: expected 2 values, got"),
        ({"steps": 1, "table": [1]}, r"table: must be a valid dictionary, got \[1\]"),
        ({"steps": 1, "inner": 4}, "inner: must be a valid dictionary or instance of Inner|mapping"),
        ([1], "expected a mapping of settings, got list"),
    ],
)
def test_bad_values_are_named(values: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        build_config(Outer, values)


def test_a_class_that_is_called_raises_its_own_error() -> None:
    with pytest.raises(SettingsError, match="share: must be greater than 0, got 0"):
        Named(share=0)
    with pytest.raises(SettingsError, match="unknown key 'shares'; did you mean share"):
        Named(shares=1)  # type: ignore[call-arg]


def test_a_rule_across_fields_says_its_own_words() -> None:
    class Range(Settings):
        low: float = 0.0
        high: float = 1.0

        @model_validator(mode="after")
        def _check(self) -> Self:
            if self.low > self.high:
                raise ConfigError(f"low is {self.low}, high {self.high}; use low <= high")
            return self

    class Recipe(Settings):
        range: Range = Range()

    with pytest.raises(ConfigError, match=r"^low is 2.0, high 1.0; use low <= high$"):
        Range(low=2)
    with pytest.raises(ConfigError, match=r"^config: range: low is 2.0, high 1.0; use low <= high$"):
        build_config(Recipe, {"range": {"low": 2}})


def test_copies_are_checked_and_numpy_scalars_are_numbers() -> None:
    outer = Outer(steps=np.int64(3))  # type: ignore[arg-type]
    assert outer.steps == 3 and type(outer.steps) is int
    assert outer.replace(flag=True) == Outer(steps=3, flag=True)
    with pytest.raises(ConfigError, match="steps: must be from 1 to 9"):
        outer.replace(steps=99)


def test_unreadable_and_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read config .*none\.yaml"):
        load_config(Outer, tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_config(Outer, tmp_path / "bad.yaml")


@pytest.mark.parametrize(
    ("overrides", "values"),
    [
        ([], {"a": 1, "b": {"c": [1]}}),
        (["a=2"], {"a": 2, "b": {"c": [1]}}),
        (["b.c=1e-4", "b.d=x=y"], {"a": 1, "b": {"c": "1e-4", "d": "x=y"}}),
        (["b.c=[2, 3]", "b.c="], {"a": 1, "b": {"c": None}}),
        (["e.f.g={h: 1}"], {"a": 1, "b": {"c": [1]}, "e": {"f": {"g": {"h": 1}}}}),
    ],
)
def test_overrides_reach_into_groups(overrides: list[str], values: dict[str, Any]) -> None:
    given = {"a": 1, "b": {"c": [1]}}
    assert apply_overrides(given, overrides) == values
    assert given == {"a": 1, "b": {"c": [1]}}


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("a", "--set 'a': expected KEY=VALUE"),
        ("=1", "--set '=1': expected KEY=VALUE"),
        ("a=[1", r"--set 'a=\[1': the value is not valid YAML"),
        ("a.b=1", "--set a.b: 'a' is 1, not a group of settings"),
    ],
)
def test_overrides_that_cannot_be_meant_are_named(override: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        apply_overrides({"a": 1}, [override])


def test_overrides_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("steps: 3\n")
    assert load_config(Outer, tmp_path / "c.yaml", ["inner.rate=1e-5"]).inner.rate == 1e-5
    (tmp_path / "latin.yaml").write_bytes(b"steps: \xff")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_config(Outer, tmp_path / "latin.yaml")


class _Aliased(Settings):
    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    num_steps: Annotated[int, Field(ge=1, le=9, alias="steps")] = 1


class _Holder(Settings):
    inner: _Aliased = _Aliased()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 2, "num_steps": 3}, "inner: num_steps is given twice, also as steps; leave one"),
        ({"steps": 0}, "inner.steps: must be from 1 to 9, got 0"),
        ({"num_steps": 10}, "inner.num_steps: must be from 1 to 9, got 10"),
        ({"step": 1}, "inner: unknown key 'step'; did you mean steps"),
        ({"xyz": 1}, "inner: unknown key 'xyz'; known keys: num_steps, steps"),
        ({"steps": True}, "steps: expected a number or text, got True"),
    ],
)
def test_a_setting_with_an_alias_is_named_as_it_was_given(values, message):
    with pytest.raises(ConfigError, match=message):
        build_config(_Holder, {"inner": values})
    assert build_config(_Holder, {"inner": {"steps": 4}}).inner.num_steps == 4
