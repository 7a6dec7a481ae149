"""How large is the house, and how far does one product walk through it?

    python benchmarks/house.py [--src src/cyclorama] [--walk]

Prints lines, files, functions and their medians, and circles of imports (lazy and type-only imports
included). With ``--walk`` also the files through which one product passes in ``cyclorama generate`` with the
bundled model: every call that is handed the product (its path, the row that names it or its record), in
order; a file that is come back to counts again under "returns".
"""

from __future__ import annotations

import argparse
import ast
import statistics
import sys
import tempfile
from pathlib import Path


def list_imports(path: Path, package: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in names if name.split(".")[0] == package.name}


def find_circles(package: Path) -> list[list[str]]:
    """Groups of modules that import each other, largest first (strongly connected components)."""
    modules = {
        ".".join((package.name, *path.relative_to(package).with_suffix("").parts)): path
        for path in sorted(package.rglob("*.py"))
        if path.name != "__init__.py"
    }
    graph = {name: (list_imports(path, package) & modules.keys()) - {name} for name, path in modules.items()}
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(name: str) -> None:
        order[name] = low[name] = len(order)
        stack.append(name)
        for other in sorted(graph[name]):
            if other not in order:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], order[other])
        if low[name] == order[name]:
            at = stack.index(name)
            group, stack[at:] = stack[at:], []
            if len(group) > 1:
                groups.append(sorted(group))

    sys.setrecursionlimit(10_000)
    for name in graph:
        if name not in order:
            visit(name)
    return sorted(groups, key=len, reverse=True)


def count(package: Path) -> dict[str, float]:
    lengths, functions = [], []
    for path in sorted(package.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        lengths.append(len(text.splitlines()))
        functions += [
            (node.end_lineno or node.lineno) - node.lineno + 1
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
    return {
        "lines": sum(lengths),
        "files": len(lengths),
        "median file": statistics.median(lengths),
        "functions": len(functions),
        "median function": statistics.median(functions),
        "circles": len(find_circles(package)),
    }


def walk(package: Path) -> list[str]:
    """The files that are handed the product, in order; neighbours that are equal count once."""
    import threading

    import numpy as np
    from PIL import Image

    mark = "walked-product"
    visited: list[str] = []
    root = str(package.resolve())

    def carries(value: object, depth: int = 0) -> bool:
        if isinstance(value, str | Path):
            return mark in str(value)
        if depth < 2 and isinstance(value, list | tuple) and len(value) < 9:
            return any(carries(part, depth + 1) for part in value)
        if depth < 2 and hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
            return any(carries(part, depth + 1) for part in vars(value).values() if part is not None)
        return False

    def note(frame: object, event: str, argument: object) -> None:
        if event != "call":
            return
        code = frame.f_code  # type: ignore[attr-defined]
        if not code.co_filename.startswith(root) or code.co_name.startswith("<"):
            return
        count = code.co_argcount + code.co_kwonlyargcount
        values = [frame.f_locals.get(name) for name in code.co_varnames[:count]]  # type: ignore[attr-defined]
        if any(carries(value) for value in values):
            name = str(Path(code.co_filename).relative_to(root))
            if not visited or visited[-1] != name:
                visited.append(name)

    with tempfile.TemporaryDirectory() as folder:
        photo = np.full((96, 96, 4), 255, np.uint8)
        photo[..., 3] = 0
        photo[24:80, 32:64] = (200, 40, 40, 255)
        Image.fromarray(photo).save(Path(folder) / f"{mark}.png")
        sys.path.insert(0, str(package.parent))
        from cyclorama.cli import main

        arguments = ["generate", f"{folder}/{mark}.png", "--out", f"{folder}/out", "--category", "perfume"]
        threading.setprofile(note)
        sys.setprofile(note)
        try:
            code = main([*arguments, "--steps", "1", "--device", "cpu", "--quiet"])
        finally:
            sys.setprofile(None)
            threading.setprofile(None)  # type: ignore[arg-type]
        if code != 0:
            raise SystemExit(f"generate ended with {code}")
    return visited


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--src", type=Path, default=Path(__file__).parents[1] / "src" / "cyclorama")
    parser.add_argument("--walk", action="store_true", help="also run generate once and follow the product")
    arguments = parser.parse_args()
    for name, value in count(arguments.src).items():
        print(f"{name:16} {value:g}" if isinstance(value, float) else f"{name:16} {value:,}")
    for circle in find_circles(arguments.src):
        print("circle:", ", ".join(circle))
    if arguments.walk:
        files = walk(arguments.src)
        print(f"{'walk, files':16} {len(set(files))}")
        print(f"{'walk, returns':16} {len(files) - len(set(files))}")
        for name in dict.fromkeys(files):
            print("   ", name)


if __name__ == "__main__":
    main()
