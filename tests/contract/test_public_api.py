"""What users import: at most twenty names, seen by type checkers, and all errors in one module."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import pytest

import cyclorama
from cyclorama import errors

SOURCE = Path(cyclorama.__file__).parent


def test_public_names_are_few_sorted_and_all_there() -> None:
    assert list(cyclorama.__all__) == sorted(cyclorama.__all__) and len(cyclorama.__all__) <= 20
    assert dir(cyclorama) == cyclorama.__all__
    for name in cyclorama.__all__:
        assert getattr(cyclorama, name) is not None
    assert cyclorama.BackgroundGenerator is import_module("cyclorama.generate").BackgroundGenerator
    with pytest.raises(AttributeError, match="Nonsense.*BackgroundGenerator"):
        cyclorama.Nonsense  # noqa: B018


def test_type_checkers_see_every_name() -> None:
    seen = {"__version__"}
    for node in ast.walk(ast.parse((SOURCE / "__init__.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cyclorama"):
            seen |= {alias.name for alias in node.names}
    assert seen == set(cyclorama.__all__)


def test_errors_are_in_their_module_only() -> None:
    own = {n: v for n, v in vars(errors).items() if isinstance(v, type) and issubclass(v, Exception)}
    assert all(issubclass(error, errors.CycloramaError) for error in own.values())
    assert not set(own) & set(cyclorama.__all__)
    for path in SOURCE.rglob("*.py"):
        if path.name == "errors.py":
            assert path.parent == SOURCE
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            bases = {b.id for b in getattr(node, "bases", ()) if isinstance(b, ast.Name)}
            assert not bases & set(own), f"{path}: {getattr(node, 'name', '')}"
