"""Where ``cyclorama-bundled`` lies, that its version is the one asked for, what is said without it."""

from __future__ import annotations

import tomllib
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from cyclorama import bundled, cli
from cyclorama.bundled import find_bundled
from cyclorama.errors import NEEDS_LEARNED, MissingDependencyError

ROOT = Path(__file__).resolve().parents[2]


def test_each_part_has_its_weights() -> None:
    parts = {"model": "model_index.json", "features": "network.safetensors", "lama": "lama.safetensors"}
    assert all((find_bundled(part) / name).is_file() for part, name in parts.items())  # type: ignore[arg-type]
    assert find_bundled("lama").parent.name == bundled.PACKAGE


def test_the_extra_asks_for_the_version_in_the_repository() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    data = tomllib.loads((ROOT / "bundled" / "pyproject.toml").read_text())["project"]
    asked = {r.name: r for r in map(Requirement, project["optional-dependencies"]["learned"])}[data["name"]]
    assert asked.specifier.contains(data["version"])
    first = int(data["version"].split(".")[0])
    assert not asked.specifier.contains(f"{first + 1}.0") and not asked.specifier.contains(f"{first - 1}.0")


@pytest.mark.parametrize("found", [None, ModuleSpec(bundled.PACKAGE, None)])
def test_without_it_the_extra_is_named(
    found: ModuleSpec | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bundled, "find_spec", lambda name: found)
    with pytest.raises(MissingDependencyError, match=r"pip install 'cyclorama\[learned\]'"):
        find_bundled("model")
    assert cli.main(["models", "show"]) == 2
    assert capsys.readouterr().err == f"cyclorama: MissingDependencyError: {NEEDS_LEARNED}\n"
