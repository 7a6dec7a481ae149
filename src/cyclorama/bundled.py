"""Where does ``cyclorama-bundled`` lie, the distribution with every network of ours that torch runs?"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from cyclorama.errors import NEEDS_LEARNED, MissingDependencyError

PACKAGE = "cyclorama_bundled"


def find_bundled(part: Literal["model", "features", "lama"]) -> Path:
    """The folder of the learned model, the feature network or the eraser.

    Raises MissingDependencyError without the distribution, which the extra ``learned`` installs.
    """
    found = find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise MissingDependencyError(NEEDS_LEARNED)
    return Path(found.submodule_search_locations[0]) / part
