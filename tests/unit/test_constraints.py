"""The pinned packages install on every Python that the project promises."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]


def test_every_pin_takes_the_lowest_python_that_we_take() -> None:
    promised = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    lowest = re.fullmatch(r">=(\d+\.\d+)", promised)
    assert lowest is not None
    checked, refused = 0, []
    for name, pinned in re.findall(
        r"^([\w.-]+)==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE
    ):
        try:
            found = distribution(name)
        except PackageNotFoundError:  # of an extra that is not installed here
            continue
        checked += 1
        needed = found.metadata.get("Requires-Python") or ""
        if not SpecifierSet(needed).contains(f"{lowest[1]}.0"):
            refused.append(f"{name} {pinned}: {needed}")
    assert checked > 20
    assert refused == [], "Debian 12 has Python 3.11.2"
