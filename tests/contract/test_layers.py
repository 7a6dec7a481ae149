"""The direction of imports, the size of files, and what may be imported where."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "cyclorama"

ROWS: list[set[str]] = [
    {"errors", "types", "seeding"},
    {"config", "tensors", "pretrained", "prompts", "files", "pages", "processes", "client", "bundled"},
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
    ("data", "imaging"),  # training sees the colours that a file's profile says
    ("models", "diffusion"),  # the pipeline runs the sampler; the sampler knows a callable, never a model
    ("generate", "generation"),  # one facade and its rooms
    ("generation", "generate"),
    ("cli", "commands"),
    ("commands", "cli"),
}
OUTSIDE = {"__init__", "__main__"}
DIFFUSERS_ROOMS = {"models", "diffusion", "lab"}
TORCH_ROOMS = DIFFUSERS_ROOMS | {"tensors", "pretrained", "evaluation", "erasing", "training"}
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


EVERY = sorted(SOURCE.rglob("*.py"))
FILES = [path for path in EVERY if _room(path) not in OUTSIDE]


def _name(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def test_imports_point_downwards() -> None:
    rooms = {_room(path) for path in FILES}
    assert rooms <= set(HEIGHT), "a room without a row: give it one here and in ARCHITECTURE.md"
    upwards = []
    for path in FILES:
        room = _room(path)
        for name in _imports(path):
            parts = name.split(".")
            if parts[0] != "cyclorama" or len(parts) < 2 or parts[1] not in HEIGHT or parts[1] == room:
                continue
            if HEIGHT[parts[1]] >= HEIGHT[room] and (room, parts[1]) not in SAME_ROW_ALLOWED:
                upwards.append((_name(path), name))
    assert upwards == []


def test_the_product_never_names_lab() -> None:
    """Neither imported nor looked up by name; the command line's lazy table alone says where it is."""
    found = []
    for path in EVERY:
        if _room(path) == "lab":
            continue
        texts = {node.value for node in ast.walk(_parse(path)) if isinstance(node, ast.Constant)}
        named = {t for t in texts if isinstance(t, str) and re.search(r"\bcyclorama[./]lab\b", t)}
        named |= {name for name in _imports(path) if name.startswith("cyclorama.lab")}
        found += [(_name(path), text) for text in sorted(named)]
    assert found == [("cli.py", "cyclorama.lab.commands")]


def test_each_library_stays_in_its_room() -> None:
    strayed = []
    for path in FILES:
        forbidden = set()
        if _room(path) not in DIFFUSERS_ROOMS:
            forbidden |= {"diffusers"}
        if _room(path) not in TORCH_ROOMS and _name(path) not in TORCH_FILES:
            forbidden |= {"torch", "safetensors", "transformers"}
        if _room(path) != "service":
            forbidden |= WEB
        if _room(path) != "scenes":
            forbidden |= {"mitsuba", "drjit"}
        roots = {name.split(".")[0] for name in _imports(path)}
        strayed += [(_name(path), root) for root in sorted(roots & forbidden)]
    assert strayed == []


def test_files_stay_below_four_hundred_lines() -> None:
    lines = {_name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in EVERY}
    assert {name: count for name, count in lines.items() if count > 400} == {}


def test_folder_inits_only_re_export() -> None:
    allowed = (ast.ImportFrom, ast.Import, ast.Assign, ast.AnnAssign, ast.Expr)
    other = [
        (_name(path), node.lineno)
        for path in EVERY
        if path.name == "__init__.py" and path.parent != SOURCE
        for node in _parse(path).body
        if not isinstance(node, allowed)
    ]
    assert other == []


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
