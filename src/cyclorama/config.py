"""Settings: one definition gives checks, YAML, documentation and the command line's options.

Every settings class derives from :class:`Settings` (a pydantic model): frozen, unknown keys refused, a
field's text below it is its documentation, its limits stand in its type. This module adds only named errors
and plain values.
"""

from __future__ import annotations

import copy
import dataclasses
import difflib
import itertools
import json
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar, dataclass_transform

import annotated_types
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic._internal._model_construction import ModelMetaclass

from cyclorama.errors import ConfigError, CycloramaError, SettingsError

T = TypeVar("T")
Share = Annotated[float, Field(ge=0, le=1)]
"""A share of something, 0 to 1."""
Order = tuple[tuple[str, ...], ...]


@dataclass_transform(kw_only_default=True, field_specifiers=(Field,))
class _SettingsMeta(ModelMetaclass):
    """Turns pydantic's error about a class that is called into the class's own ``error_type``."""

    def __call__(cls, *args: Any, **values: Any) -> Any:
        try:
            return super().__call__(*args, **values)
        except ValidationError as error:
            raise cls.error_type(describe_error(cls, error)) from None  # type: ignore[attr-defined]


class Settings(BaseModel, metaclass=_SettingsMeta):
    """Base of all settings. Values are checked when an object is made; objects do not change.

    Raises the class's ``error_type`` with the key, the value and the limit.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        defer_build=True,  # help needs no checks; the first object builds them
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        arbitrary_types_allowed=True,
        protected_namespaces=(),
    )
    error_type: ClassVar[type[CycloramaError]] = ConfigError
    ordered: ClassVar[Order] = ()
    """Groups of fields whose values must not fall from one to the next; None is passed over."""

    def replace(self, **changes: Any) -> Self:
        """A checked copy with other values."""
        return type(self)(**{name: getattr(self, name) for name in type(self).model_fields} | changes)

    @model_validator(mode="before")
    @classmethod
    def _accept_numpy_and_refuse_bool(cls, values: Any) -> Any:
        """numpy scalars become Python's; True and False are no numbers."""
        if not isinstance(values, dict):
            return values
        values = {k: v.item() if getattr(v, "ndim", None) == 0 else v for k, v in values.items()}
        keys = _list_keys(cls)
        for name, value in values.items():
            field = keys.get(name)
            if isinstance(value, bool) and field is not None and not _takes_bool(field.annotation):
                raise cls.error_type(f"{name}: expected a number or text, got {value}")
        return values

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        for names in self.ordered:
            given = [(name, getattr(self, name)) for name in names if getattr(self, name) is not None]
            if any(low > high for (_, low), (_, high) in itertools.pairwise(given)):
                shown = ", ".join(f"{name} is {value}" for name, value in given)
                raise self.error_type(f"{shown}; use {' <= '.join(name for name, _ in given)}")
        return self


def load_config(cls: type[T], path: str | Path | None, overrides: Sequence[str] = ()) -> T:
    """The settings of type ``cls`` in the YAML file ``path`` (None: defaults), with ``overrides`` put over.

    Raises ConfigError (file missing, not YAML, not a mapping, unknown key, wrong type, bad value).
    """
    values = apply_overrides({} if path is None else load_mapping(path), overrides)
    return build_config(cls, values, where="recipe" if path is None else str(path))


def apply_overrides(values: Any, overrides: Sequence[str]) -> Any:
    """A copy of ``values`` with ``KEY=VALUE`` texts (``a.b=1``, the value read as YAML) put over it.

    Raises ConfigError (no ``=``, value not YAML, ``a`` no group of settings).
    """
    import yaml

    changed = copy.deepcopy(values)
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {override!r}: expected KEY=VALUE, e.g. seed=1 or group.key=1e-4")
        *parents, last = key.split(".")
        group = changed
        for parent in parents:
            if isinstance(group, dict) and group.get(parent) is None:
                group[parent] = {}
            group = group.get(parent) if isinstance(group, dict) else group
            if not isinstance(group, dict):
                raise ConfigError(f"--set {key}: {parent!r} is {group!r}, not a group of settings")
        if isinstance(group, dict):
            try:
                group[last] = yaml.safe_load(text)
            except yaml.YAMLError as error:
                raise ConfigError(f"--set {override!r}: the value is not valid YAML: {error}") from error
    return changed


def read_pairs(value: Any, form: str, what: str = "") -> Any:
    """One or several ``left=right`` texts as a mapping; what is none of these as it is.

    Raises SettingsError (a text without ``=``, or with nothing beside it) that says ``form``.

    >>> read_pairs(("image=Bild 1",), "FIELD=NAME")
    {'image': 'Bild 1'}
    """
    if not isinstance(value, str | tuple | list):
        return value
    pairs: dict[str, str] = {}
    for text in (value,) if isinstance(value, str) else value:
        left, _, right = (part.strip() for part in str(text).partition("="))
        if not (left and right):
            raise SettingsError(f"{what}{text!r} is not understood: write it as {form}")
        pairs[left] = right
    return pairs


def load_mapping(path: str | Path, loader: Any = None) -> Any:
    """The plain values in the YAML (or JSON) file ``path``; an empty file is an empty mapping.

    ``loader``: of PyYAML, in place of its safe one. Raises ConfigError (file missing, not YAML).
    """
    import yaml

    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        values = (
            json.loads(text) if path.suffix.lower() == ".json" else yaml.load(text, loader or yaml.SafeLoader)
        )
    except OSError as error:
        raise ConfigError(f"cannot read config {path}: {error.strerror or error}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path} is not valid YAML or JSON: {error}") from error
    return {} if values is None else values


def load_names(path: Path | None, what: str) -> dict[str, list[str]]:
    """Category -> names of the file at ``path``; a single text counts as a list of one.

    Raises ConfigError, also for anything but texts; it calls the values ``what``.
    """
    if path is None:
        return {}
    values = load_mapping(path)
    result: dict[str, list[str]] = {}
    for name, given in values.items() if isinstance(values, dict) else [("", None)]:
        names = [given] if isinstance(given, str) else given
        if not isinstance(name, str) or not name.strip() or not isinstance(names, list):
            raise ConfigError(f"{path}: {what} must map a category's name to a name or a list of names")
        if not all(isinstance(one, str) and one.strip() for one in names):
            raise ConfigError(f"{path}: {what} of {name!r} must be names, got {given!r}")
        result[name] = names
    return result


def build_config(cls: type[T], values: Any, where: str = "config") -> T:
    """A ``cls`` from nested plain values.

    Raises ConfigError naming the key, and the nearest known key if it is unknown.
    """
    if not isinstance(values, dict):
        raise ConfigError(f"{where}: expected a mapping of settings, got {type(values).__name__}")
    try:
        return TypeAdapter(cls).validate_python(values)
    except ValidationError as error:
        raise ConfigError(f"{where}: {describe_error(cls, error)}") from None


def to_plain(config: Any) -> Any:
    """Nested plain values (dict, list, str, numbers, None) of settings, fit for YAML or JSON."""
    if isinstance(config, BaseModel):
        return {name: to_plain(getattr(config, name)) for name in type(config).model_fields}
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return {f.name: to_plain(getattr(config, f.name)) for f in dataclasses.fields(config)}
    if isinstance(config, dict):
        return {str(key): to_plain(value) for key, value in config.items()}
    if isinstance(config, tuple | list):
        return [to_plain(value) for value in config]
    if isinstance(config, Path):
        return config.as_posix()
    return config


def save_config(config: Any, path: str | Path) -> None:
    """Write ``config`` as YAML; ``load_config`` of it gives an equal object."""
    import yaml

    Path(path).write_text(yaml.safe_dump(to_plain(config), sort_keys=False), encoding="utf-8")


def _takes_bool(annotation: Any) -> bool:
    return annotation in (bool, Any) or any(_takes_bool(part) for part in typing.get_args(annotation))


def describe_error(cls: Any, error: ValidationError) -> str:
    """The first fault in our words: key, value, limit."""
    found = error.errors(include_url=False)[0]
    owner, field, path = find_settings(cls) or cls, None, ""
    for part in found["loc"][:-1] if found["type"] == "extra_forbidden" else found["loc"]:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part in (keys := _list_keys(owner)):
            field = keys[part]
            owner = find_settings(field.annotation)
            path += f".{part}" if path else part
    value, kind, name = found["input"], found["type"], str(found["loc"][-1]) if found["loc"] else ""
    start = f"{path}: " if path else ""
    if kind == "value_error" and isinstance(found.get("ctx", {}).get("error"), CycloramaError):
        return f"{start}{found['ctx']['error']}"  # a check of ours, which says all itself
    if kind == "extra_forbidden":
        known = _list_keys(owner)
        if name in known:
            return f"{start}{name} is given twice, also as {known[name].alias}; leave one of them out"
        near = difflib.get_close_matches(name, known, n=3)
        hint = f"did you mean {', '.join(near)}?" if near else f"known keys: {', '.join(known)}"
        return f"{start}unknown key {name!r}; {hint}"
    if kind == "missing" and isinstance(found["loc"][-1], int):
        count = len(typing.get_args(getattr(field, "annotation", None)))
        return f"{path.rpartition('[')[0]}: expected {count} values, got {value!r}"
    if kind == "missing":
        return f"{path.rpartition('.')[0]}: missing key {name}".removeprefix(": ")
    if kind in ("model_type", "model_attributes_type", "dataclass_type"):
        return f"{start}expected a mapping of settings, got {type(value).__name__}"
    limits = {type(limit): limit for limit in getattr(field, "metadata", ())}
    low, high = limits.get(annotated_types.Ge), limits.get(annotated_types.Le)
    if kind in ("greater_than_equal", "less_than_equal") and low is not None and high is not None:
        return f"{start}must be from {low.ge} to {high.le}, got {value!r}"
    return start + describe_value(found)


def describe_value(fault: Mapping[str, Any]) -> str:
    """What a value that pydantic refused must be, and what it was."""
    message = fault["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    message = (
        message.replace("a valid tuple", "a list")
        .replace("greater than or equal to", "at least")
        .replace("less than or equal to", "at most")
    )
    return f"must be {message}, got {fault['input']!r}"


def _list_keys(owner: Any) -> dict[str, Any]:
    """The fields of a settings class by name, and by alias where they have one."""
    fields = getattr(owner, "model_fields", {})
    return {**fields, **{field.alias: field for field in fields.values() if field.alias}}


def find_settings(annotation: Any) -> Any:
    """The model class in a type such as ``Model | None``; None if there is none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(find_settings, typing.get_args(annotation))), None)
