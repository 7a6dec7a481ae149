"""Which sets are there?  The built-in categories, and a user's own beside and over them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from cyclorama.errors import ConfigError, SettingsError
from cyclorama.files import write_atomic
from cyclorama.scenes.compose import build_product
from cyclorama.scenes.geometry import rounded_box
from cyclorama.scenes.grammar.document import Place, read_text
from cyclorama.scenes.grammar.reader import SCENES, examine_category, list_scenes, load_category
from cyclorama.scenes.stage import Framing, Part, SceneCategory, Stage
from cyclorama.scenes.surface import matte

_TRIED = 24
"""Seeds by which a file is tried."""


class SceneFile(NamedTuple):
    """A category's file."""

    file: str
    text: str

    @property
    def head(self) -> Mapping[str, Any]:
        """Its values as they are written."""
        return _read_head(self)


@dataclass(frozen=True)
class SceneLibrary:
    """All categories that a cut-out can be set into; plain values, so that they travel to any worker."""

    own: tuple[SceneFile, ...] = ()
    """A user's category files, sound ones."""

    @property
    def files(self) -> Mapping[str, SceneFile]:
        """The files by their category's name, own ones first."""
        return _list_files(self)

    @property
    def names(self) -> tuple[str, ...]:
        """The categories."""
        return tuple(self.files)

    @property
    def digest(self) -> str:
        """sha256 over all files and the shared props."""
        return _compute_digest(self)

    def load(self, name: str) -> SceneCategory:
        """The category called ``name``. Raises SettingsError for one that no file has."""
        return _load(self, name)

    def get_share(self, name: str) -> float:
        """The product's usual share of the image."""
        file = self.files[name]
        if file in self.own:
            return sum(self.load(name).framing.share) / 2
        return sum(map(float, file.head["framing"].get("share", Framing().share))) / 2


BUILT_IN = SceneLibrary()


def open_library(path: Path | None) -> SceneLibrary:
    """The built-in categories, and those of the category file, or the folder of such files, ``path``.

    Raises ConfigError: nothing there, a file with a fault (file, line, field), two files of one category.
    """
    if path is None:
        return BUILT_IN
    files = [SceneFile(p.name, read_text(p)) for p in list_files(path)]
    taken: dict[str, str] = {}
    for file in files:
        faults = find_faults(file)
        if faults:
            more = f" (and {len(faults) - 1} more: `cyclorama scenes check {path}`)" if faults[1:] else ""
            raise ConfigError(f"{faults[0]}{more}")
        name = str(file.head["name"])
        if name in taken:
            raise Place(file.file, 1, "name").error(f"category {name!r} has a file already, {taken[name]}")
        taken[name] = file.file
    return SceneLibrary(tuple(files))


def list_files(path: Path) -> list[Path]:
    """The category file ``path``, or those in the folder. Raises ConfigError if there is none."""
    found = [path] if path.is_file() else sorted([*path.glob("*.yaml"), *path.glob("*.yml")])
    if not found:
        raise ConfigError(f"no category file (*.yaml) at {path}; make one with `cyclorama scenes new`")
    return found


@cache
def find_faults(file: SceneFile) -> tuple[ConfigError, ...]:
    """What is wrong with a category's file: as it is read, or else when styles and sets are drawn from it."""
    category, faults = examine_category(file.text, file.file)
    if category is None:
        return tuple(faults)
    try:
        for seed in range(_TRIED):
            rng = np.random.default_rng(seed)
            style = category.brands[seed] if seed < len(category.brands) else category.sample_style(rng)
            product = [Part(rounded_box(0.6, 0.4, 1.0, 0.05), matte((0.5, 0.5, 0.5)))]
            if category.build_product is not None:
                product = build_product(category, seed)
            category.dress(Stage(product=product), rng, style)
    except ConfigError as error:
        return (error,)
    return ()


def write_starter(name: str, path: Path, like: str | None = None) -> None:
    """Write a category's file to start from: the starter, or that of the built-in category ``like``.

    Raises ConfigError (no name, no such category, there is a file already), OutputError.
    """
    if not name.strip():
        raise ConfigError(f"category name {name!r} is empty; give one such as 'yoga mat'")
    if path.exists():
        raise ConfigError(f"{path} exists already; name another file with --out")
    if like is not None and like not in BUILT_IN.files:
        raise Place("--like", 1, "NAME").unknown("category", like, BUILT_IN.names)
    text = (
        (SCENES / "starter.yaml").read_text(encoding="utf-8") if like is None else BUILT_IN.files[like].text
    )
    quoted = json.dumps(name, ensure_ascii=False)
    words = "" if like is None else "\nwords: []"  # those of built-in categories stand elsewhere
    text = re.sub(r"^name: .*", lambda _: f"name: {quoted}{words}", text, count=1, flags=re.MULTILINE)
    write_atomic(path, text.replace("NAME: ", f"{quoted[1:-1]}: ").encode())


@cache
def _read_head(file: SceneFile) -> Mapping[str, Any]:
    return dict(yaml.load(file.text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)))  # plain values


@cache
def _list_files(library: SceneLibrary) -> dict[str, SceneFile]:
    files = {str(file.head["name"]): file for file in library.own}
    for name, path in list_scenes().items():
        files.setdefault(name, SceneFile(path.name, path.read_text(encoding="utf-8")))
    return files


@cache
def _load(library: SceneLibrary, name: str) -> SceneCategory:
    if name not in library.files:
        raise SettingsError(f"no scene for {name!r}; there are: {', '.join(library.names)}")
    file = library.files[name]
    if file not in library.own:
        return load_category(name)
    category, faults = examine_category(file.text, file.file)
    if category is None:
        raise faults[0]
    return category


@cache
def _compute_digest(library: SceneLibrary) -> str:
    digest = hashlib.sha256((SCENES / "props.yaml").read_bytes())
    for file in library.files.values():
        digest.update(f"\0{file.text}".encode())
    return digest.hexdigest()
