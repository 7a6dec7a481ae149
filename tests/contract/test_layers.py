"""The direction of imports, the size of files, and what may be imported where."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "cyclorama"

ROWS: list[set[str]] = [
    {"errors", "types", "seeding"},
    {"config", "tensors", "prompts", "files", "pages", "processes", "client", "bundled"},
    {"jobs"},
    {"imaging", "data"},
    {"typography", "layout"},
    {"models", "diffusion", "evaluation", "scenes"},
    {"erasing"},
    {"training", "generate", "generation"},
    {"curate", "posters"},
    {"service"},
    {"cli", "commands"},
    {"lab"},
]
HEIGHT = {room: row for row, rooms in enumerate(ROWS) for room in rooms}
SAME_ROW_ALLOWED = {
    ("models", "diffusion"),  # the pipeline runs the sampler; the sampler knows a callable, never a model
    ("generate", "generation"),  # one facade and its rooms
    ("generation", "generate"),
    ("cli", "commands"),
    ("commands", "cli"),
}
OUTSIDE = {"__init__", "__main__"}
DIFFUSERS_ROOMS = {"models", "diffusion", "lab"}
TORCH_ROOMS = DIFFUSERS_ROOMS | {"tensors", "evaluation", "erasing", "training"}
TORCH_FILES = {
    "data/augment.py",
    "generation/learned.py",
    "curate/people_finding.py",
    "processes.py",  # asks it for GPUs
    "imaging/inputs.py",  # takes its tensors, for the type checker alone
}
WEB = {"fastapi", "uvicorn", "starlette", "flask"}


def _room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


@cache
def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(_parse(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


FILES = sorted(p for p in SOURCE.rglob("*.py") if _room(p) not in OUTSIDE)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_point_downwards(path: Path) -> None:
    room = _room(path)
    assert room in HEIGHT, f"room {room!r} has no row; give it one here and in ARCHITECTURE.md"
    for name in _imports(path):
        parts = name.split(".")
        if parts[0] != "cyclorama" or len(parts) < 2 or parts[1] not in HEIGHT or parts[1] == room:
            continue
        below = HEIGHT[parts[1]] < HEIGHT[room]
        assert below or (room, parts[1]) in SAME_ROW_ALLOWED, f"{room} imports {name}"


@pytest.mark.parametrize(
    "path",
    [p for p in sorted(SOURCE.rglob("*.py")) if _room(p) != "lab"],
    ids=lambda p: str(p.relative_to(SOURCE)),
)
def test_the_product_never_names_lab(path: Path) -> None:
    """Neither imported nor looked up by name; the command line's lazy table alone says where it is."""
    texts = {node.value for node in ast.walk(_parse(path)) if isinstance(node, ast.Constant)}
    named = {t for t in texts if isinstance(t, str) and re.search(r"\bcyclorama[./]lab\b", t)}
    assert not any(name.startswith("cyclorama.lab") for name in _imports(path))
    assert named <= ({"cyclorama.lab.commands"} if path.name == "cli.py" else set())


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_each_library_stays_in_its_room(path: Path) -> None:
    roots = {name.split(".")[0] for name in _imports(path)}
    if _room(path) not in DIFFUSERS_ROOMS:
        assert "diffusers" not in roots
    if _room(path) not in TORCH_ROOMS and path.relative_to(SOURCE).as_posix() not in TORCH_FILES:
        assert not roots & {"torch", "safetensors", "transformers"}
    if _room(path) != "service":
        assert not roots & WEB
    if _room(path) != "scenes":
        assert not roots & {"mitsuba", "drjit"}


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE)))
def test_files_stay_below_four_hundred_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("folder", sorted({p.parent for p in SOURCE.rglob("*.py")} - {SOURCE}))
def test_folder_inits_only_re_export(folder: Path) -> None:
    init = folder / "__init__.py"
    if init.exists():
        allowed = (ast.ImportFrom, ast.Import, ast.Assign, ast.AnnAssign, ast.Expr)
        assert all(isinstance(node, allowed) for node in _parse(init).body)


def test_help_loads_nothing_heavy_and_a_worker_no_web_stack() -> None:
    code = (
        "import sys, cyclorama.cli as c\n"
        "c.main(['--help'])\n"
        "heavy = {'torch', 'numpy', 'diffusers', 'transformers', 'scipy', 'numba', 'mitsuba', 'PIL'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))\n"
        "import cyclorama.service.worker\n"
        "print('WEB', sorted({'fastapi', 'starlette', 'uvicorn', 'torch', 'mitsuba'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout and "WEB []" in done.stdout


def test_no_pickled_weights_and_no_file_above_sixteen_megabytes() -> None:
    forbidden = {".pt", ".pth", ".ckpt", ".pkl", ".bin"}
    for path in (*(ROOT / "src").rglob("*"), *(ROOT / "bundled").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            assert path.suffix not in forbidden, path
            assert path.stat().st_size <= 16 * 2**20, path


def test_no_class_name_is_used_for_two_things() -> None:
    classes = [
        node.name
        for path in SOURCE.rglob("*.py")
        for node in _parse(path).body
        if isinstance(node, ast.ClassDef)
    ]
    assert sorted({name for name in classes if classes.count(name) > 1}) == []


def test_no_two_test_files_have_one_name() -> None:
    """Folders of tests are no packages, so that pytest would stop before the first test."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted({name for name in names if names.count(name) > 1}) == []
