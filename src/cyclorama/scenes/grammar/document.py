"""Where does a value of a category file stand?  YAML entries that know their file, line and field."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import ValidationError

from cyclorama.config import Settings, describe_error, find_settings
from cyclorama.errors import ConfigError

S = TypeVar("S", bound=Settings)


@dataclass(frozen=True)
class Place:
    """A place in a file, as errors name it."""

    file: str
    line: int
    field: str

    def error(self, message: str) -> ConfigError:
        """An error that names file, line and field."""
        return ConfigError(f"{self.file}:{self.line}: {self.field}: {message}")

    def unknown(self, what: str, name: str, known: Iterable[str]) -> ConfigError:
        """An error for a name that does not exist, with the nearest ones that do."""
        known = sorted(known)
        near = difflib.get_close_matches(name, known, n=3)
        hint = f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(known)}"
        return self.error(f"unknown {what} {name!r}; {hint}")


class Entry:
    """One value of a YAML file with its place."""

    def __init__(self, node: yaml.Node, place: Place) -> None:
        self.node, self.place = node, place

    @property
    def is_text(self) -> bool:
        """Whether the entry is a single value."""
        return isinstance(self.node, yaml.ScalarNode)

    @property
    def is_mapping(self) -> bool:
        """Whether the entry is a mapping."""
        return isinstance(self.node, yaml.MappingNode)

    def text(self) -> str:
        """The value as it is written; an error if it is none."""
        if not isinstance(self.node, yaml.ScalarNode) or self.node.value == "":
            raise self.place.error(f"expected a value, got {self._kind()}")
        return str(self.node.value)

    def items(self) -> list[Entry]:
        """The entries of a list; an error if it is none."""
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.place.error(f"expected a list, got {self._kind()}")
        file, field = self.place.file, self.place.field
        return [
            Entry(node, Place(file, node.start_mark.line + 1, f"{field}[{k}]"))
            for k, node in enumerate(self.node.value)
        ]

    def mapping(self, known: Iterable[str] | None = None, needed: Iterable[str] = ()) -> dict[str, Entry]:
        """The entries of a mapping in their order; an error for unknown, repeated or missing keys."""
        if not isinstance(self.node, yaml.MappingNode):
            raise self.place.error(f"expected keys with values, got {self._kind()}")
        entries: dict[str, Entry] = {}
        for key, value in self.node.value:
            name = str(key.value)
            place = Place(self.place.file, key.start_mark.line + 1, self.place.field)
            if name in entries:
                raise place.error(f"key {name!r} stands twice; keep one of them")
            if known is not None and name not in known:
                raise place.unknown("key", name, known)
            entries[name] = Entry(value, Place(place.file, place.line, name))
        for name in needed:
            if name not in entries:
                raise self.place.error(f"missing key {name!r}")
        return entries

    def read_settings(self, cls: type[S]) -> S:
        """The settings of a mapping of plain values; a fault is named with its own line and key."""
        self._check_keys(cls)
        try:
            return cls.model_validate(yaml.constructor.SafeConstructor().construct_document(self.node))
        except ValidationError as error:
            place = self._find([str(part) for part in error.errors(include_url=False)[0]["loc"]])
            raise place.error(describe_error(cls, error).removeprefix(f"{place.field}: ")) from None

    def _check_keys(self, cls: type[Settings]) -> None:
        for name, entry in self.mapping(cls.model_fields).items():
            group = find_settings(cls.model_fields[name].annotation)
            if group is not None:
                entry._check_keys(group)

    def _find(self, path: Sequence[str]) -> Place:
        """Where the value at ``path`` of keys stands, as far as it is there."""
        entry, place, names = self, self.place, list[str]()
        for part in path:
            keys = entry.mapping() if entry.is_mapping else {}
            if part not in keys:
                break
            entry = keys[part]
            names.append(part)
            place = Place(place.file, entry.place.line, ".".join(names))
        return place

    def _kind(self) -> str:
        if isinstance(self.node, yaml.ScalarNode):
            return repr(self.node.value) if self.node.value else "nothing"
        return "keys with values" if self.is_mapping else "a list"


def read_document(path: Path) -> Entry:
    """The YAML file ``path`` as an entry.

    Raises ConfigError for a file that is missing, not UTF-8, empty or not YAML.
    """
    return parse_document(read_text(path), path.name)


def read_text(path: Path) -> str:
    """The text of the file ``path``. Raises ConfigError for one that is missing or not UTF-8."""
    place = Place(path.name, 1, "file")
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise place.error(f"cannot read it: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise place.error(f"it is not UTF-8 text: {error.reason}; save it as UTF-8") from error


def parse_document(text: str, file: str) -> Entry:
    """The YAML ``text`` of ``file`` as an entry. Raises ConfigError if it is empty or not YAML."""
    place = Place(file, 1, "file")
    try:
        node = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        if node is not None:
            _refuse_aliases(node, file)
    except RecursionError as error:
        raise place.error("it is nested too deeply") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 1
        problem = getattr(error, "problem", None) or str(error)
        raise Place(file, line, "file").error(f"it is not valid YAML: {problem}") from error
    if node is None:
        raise place.error("it is empty")
    return Entry(node, place)


def _refuse_aliases(node: yaml.Node, file: str, seen: set[int] | None = None) -> None:
    """YAML anchors can blow a small file up (and loop): refuse them."""
    seen = set() if seen is None else seen
    if id(node) in seen:
        raise Place(file, node.start_mark.line + 1, "file").error(
            "anchors and aliases (& and *) are not read; write the value out"
        )
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for child in node.value:
            _refuse_aliases(child, file, seen)
    elif isinstance(node, yaml.MappingNode):
        for key, child in node.value:
            _refuse_aliases(key, file, seen)
            _refuse_aliases(child, file, seen)
