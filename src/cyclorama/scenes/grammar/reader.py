"""Which categories are there, and how does a file become one?  Keys are checked, rows compiled once."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import ValidationError

from cyclorama.config import describe_error
from cyclorama.errors import ConfigError, SettingsError
from cyclorama.scenes.grammar.document import Entry, parse_document, read_document, read_text
from cyclorama.scenes.grammar.expressions import Function, Names, Scope, Value, compile_text, compile_value
from cyclorama.scenes.grammar.rows import RowCompiler, build_definition
from cyclorama.scenes.grammar.vocabulary import CONSTANTS, PRODUCT_SIDES, describe_product, functions, shapes
from cyclorama.scenes.stage import BodyShape, Framing, Part, SceneCategory, Stage
from cyclorama.scenes.surface import Style

KEYS = (
    "name", "about", "words", "constants", "definitions", "framing", "body", "product", "brands", "style",
    "scene",
)  # fmt: skip
NEEDED = ("name", "framing", "brands", "style", "scene")
STYLE_KEYS = tuple(Style.model_fields)
STYLE_NEEDED = ("wall", "floor", "prop", "accent", "elements")
HAS = Function(
    lambda scope, element: element in scope.shared["elements"], inspect.signature(lambda element: None)
)
"""Whether the scene's style has an element."""
BRANDS = 3
SCENES = Path(__file__).parents[1]

NAMES = tuple(entry.text() for entry in read_document(SCENES / "categories.yaml").items())
"""The categories of the rendered set in the order in which items cycle through them."""

S = TypeVar("S", BodyShape, Framing, Style)


def check_name(name: str) -> None:
    """Raise SettingsError for a name that the set does not have."""
    if name not in NAMES:
        raise SettingsError(f"no category {name!r} in the rendered set; known: {', '.join(NAMES)}")


@cache
def list_scenes() -> dict[str, Path]:
    """The files of all categories that a cut-out can be set into, by name."""
    paths = sorted((SCENES / "categories").glob("*.yaml"))
    return {path.stem.replace("_", " "): path for path in paths}


@cache
def load_category(name: str) -> SceneCategory:
    """The category called ``name``.

    Raises:
        SettingsError: for a name that no file has.
    """
    if name not in list_scenes():
        raise SettingsError(f"no scene for {name!r}; there are: {', '.join(list_scenes())}")
    return read_category(list_scenes()[name])


def read_category(path: Path) -> SceneCategory:
    """The category of the YAML file ``path``, as :func:`parse_category` reads it."""
    return parse_category(read_text(path), path.name)


def parse_category(text: str, file: str) -> SceneCategory:
    """The category that ``text`` of ``file`` describes.

    Raises ConfigError naming file, line and field: unknown names and keys, missing keys, wrong values.
    """
    category, faults = examine_category(text, file)
    if category is None:
        raise faults[0]
    return category


def examine_category(text: str, file: str) -> tuple[SceneCategory | None, list[ConfigError]]:
    """The category that ``text`` of ``file`` describes, or all faults that show without drawing."""
    reader = _Reader(_read_props())
    found: dict[str, Any] = {}
    with reader.noting():
        document = parse_document(text, file)
        keys = document.mapping(KEYS, NEEDED)
        if not {"product", "body"} & keys.keys():
            raise document.place.error(
                "expected product (rows that build one) or body (depth and round of cut-outs)"
            )
        with reader.noting():
            reader.read_constants(keys.get("constants"))
        reader.read_definitions(keys.get("definitions"))
        with reader.noting():
            found["name"] = keys["name"].text()
        with reader.noting():
            found["dress"] = reader.read_scene(keys["scene"])
        with reader.noting():
            found["sample_style"], words = reader.read_style(keys["style"])
        with reader.noting():
            found["brands"] = reader.read_brands(keys["brands"])
            known = words.union(*(brand.elements for brand in found["brands"]))
            found["elements"] = tuple(sorted(known))
        with reader.noting():
            found["build_product"] = reader.read_product(keys["product"]) if "product" in keys else None
        with reader.noting():
            found["framing"] = reader.read_settings(Framing, keys["framing"])
        with reader.noting():
            found["body"] = reader.read_settings(BodyShape, keys["body"]) if "body" in keys else None
        with reader.noting():
            found["words"] = tuple(w.text() for w in keys["words"].items()) if "words" in keys else ()
    return (None if reader.faults else SceneCategory(**found)), reader.faults


@cache
def _read_props() -> dict[str, Function]:
    """The props that all categories share."""
    keys = read_document(SCENES / "props.yaml").mapping(("about", "definitions"), ("definitions",))
    reader = _Reader({})
    reader.read_definitions(keys["definitions"])
    if reader.faults:
        raise reader.faults[0]
    return reader.own


class _Reader:
    """Reads the parts of one file; ``own`` are the definitions so far, ``words`` the quoted words met."""

    def __init__(self, known: dict[str, Function]) -> None:
        self.own = dict(known)
        self.constants = dict(CONSTANTS)
        self.words: set[str] = set()
        self.faults: list[ConfigError] = []
        """In the order of the file's parts."""

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Note a fault and go on after the block."""
        try:
            yield
        except ConfigError as error:
            self.faults.append(error)

    def _names(self, values: Iterable[str] = (), has_style: bool = False) -> Names:
        known = {**functions(), **self.own, **({"has": HAS} if has_style else {})}
        return Names(known, {*self.constants, *values}, self.words, self.faults)

    def _compiler(self, values: Iterable[str], has_style: bool, has_stage: bool = False) -> RowCompiler:
        return RowCompiler(self._names(values, has_style), {**shapes(), **self.own}, has_stage)

    def _fixed(self, value: Value) -> Any:
        """A value without draws."""
        return value(Scope(None, {}, self.constants))

    def read_constants(self, entry: Entry | None) -> None:
        """Values under a name for the whole file."""
        for name, value in (entry.mapping() if entry is not None else {}).items():
            self.constants[name] = self._fixed(compile_value(value, self._names()))

    def read_definitions(self, entry: Entry | None) -> None:
        """The file's own shapes and values; each may use those above it."""
        for text, body in (entry.mapping() if entry is not None else {}).items():
            with self.noting():
                name, signature = self._read_head(text, body)
                if name in shapes() or name in functions() or name in self.own:
                    raise body.place.error(f"{name!r} is known already; choose another name")
                values = (*STYLE_KEYS, *signature.parameters)
                rows = self._compiler(values, True).compile_rows(body)
                self.own[name] = build_definition(signature, rows)

    def _read_head(self, text: str, body: Entry) -> tuple[str, inspect.Signature]:
        """Name and parameters of ``mug(size, colour, turn=30)``."""
        try:
            (head,) = ast.parse(f"def {text if '(' in text else text + '()'}: pass").body
            given = head.args  # type: ignore[attr-defined]
            if given.vararg or given.kwarg or given.kwonlyargs or given.posonlyargs:
                raise ValueError
        except (SyntaxError, ValueError) as error:
            raise body.place.error(
                f"expected plain names as in: mug(size, colour, turn=30); got {text}"
            ) from error
        missing: list[Any] = [inspect.Parameter.empty] * (len(given.args) - len(given.defaults))
        defaults = [
            self._fixed(compile_text(ast.unparse(d), body.place, self._names())) for d in given.defaults
        ]
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        pairs = zip(given.args, missing + defaults, strict=True)
        parameters = [inspect.Parameter(a.arg, kind, default=d) for a, d in pairs]
        return head.name, inspect.Signature(parameters)  # type: ignore[attr-defined]

    def read_product(self, entry: Entry) -> Callable[[np.random.Generator], list[Part]]:
        """What builds a product."""
        build = self._compiler((), has_style=False).compile_parts(entry)

        def build_product(rng: np.random.Generator) -> list[Part]:
            parts = build(Scope(rng, {}, self.constants))
            if not parts:
                raise entry.place.error("the rows gave no shape")
            return parts

        return build_product

    def read_scene(self, entry: Entry) -> Callable[[Stage, np.random.Generator, Style], None]:
        """What dresses a stage."""
        build = self._compiler((*STYLE_KEYS, *PRODUCT_SIDES), True, has_stage=True).compile_parts(entry)

        def dress(stage: Stage, rng: np.random.Generator, style: Style) -> None:
            shared = {**self.constants, **dict(style), "style": style, **describe_product(stage.product)}
            build(Scope(rng, {}, shared, stage))

        return dress

    def read_settings(self, cls: type[S], entry: Entry) -> S:
        """The camera's ranges, or the body, whose values are fixed."""
        keys = entry.mapping(cls.model_fields)
        values = {k: self._fixed(compile_value(v, self._names())) for k, v in keys.items()}
        return _build(cls, entry, keys, values)

    def read_brands(self, entry: Entry) -> tuple[Style, Style, Style]:
        """The fixed styles; their elements are words that the scene or the sampled style knows."""
        brands = entry.items()
        if len(brands) != BRANDS:
            raise entry.place.error(f"expected {BRANDS} brands, got {len(brands)}")
        known, styles = set(self.words), []
        for brand in brands:
            keys = brand.mapping(STYLE_KEYS, STYLE_NEEDED)
            values = {k: self._fixed(v) for k, v in self._compile_style(keys, self._names()).items()}
            for element in values["elements"]:
                if element not in known:
                    raise keys["elements"].place.unknown("element", element, known)
            styles.append(_build(Style, brand, keys, values))
        first, second, third = styles
        return first, second, third

    def read_style(self, entry: Entry) -> tuple[Callable[[np.random.Generator], Style], set[str]]:
        """What samples a style, and the words in it, its elements among them."""
        keys = entry.mapping(("let", *STYLE_KEYS), STYLE_NEEDED)
        names = replace(self._names(), words=set())
        lets = []
        for name, value in (keys.pop("let").mapping() if "let" in keys else {}).items():
            lets.append((name, compile_value(value, names)))
            names.values.add(name)
        fields = self._compile_style(keys, names)
        self.words |= names.words

        def sample_style(rng: np.random.Generator) -> Style:
            scope = Scope(rng, {}, self.constants)
            for name, value in lets:
                scope.values[name] = value(scope)
            return _build(Style, entry, keys, {name: value(scope) for name, value in fields.items()})

        return sample_style, names.words

    def _compile_style(self, keys: dict[str, Entry], names: Names) -> dict[str, Value]:
        return {
            name: (self._compile_elements if name == "elements" else compile_value)(entry, names)
            for name, entry in keys.items()
        }

    def _compile_elements(self, entry: Entry, names: Names) -> Value:
        """Plain words, or names and expressions such as pick(...) that give one word or several."""
        parts: list[Value] = []
        for item in entry.items():
            word = item.text()
            if "(" in word or word in names.values:
                parts.append(compile_value(item, names))
            else:
                names.words.add(word)
                parts.append(lambda scope, word=word: word)  # type: ignore[misc]

        def build(scope: Scope) -> tuple[str, ...]:
            found = [part(scope) for part in parts]
            return tuple(w for value in found for w in ([value] if isinstance(value, str) else value))

        return build


def _build(cls: type[S], entry: Entry, keys: dict[str, Entry], values: dict[str, Any]) -> S:
    """Settings of ``entry``, a fault named with the line of its key."""
    try:
        return cls.model_validate(values)
    except ValidationError as invalid:
        path = invalid.errors(include_url=False)[0]["loc"]
        name = str(path[0]) if path else ""
        place = keys[name].place if name in keys else entry.place
        raise place.error(describe_error(cls, invalid).removeprefix(f"{name}: ")) from invalid
    except ConfigError as error:
        raise entry.place.error(str(error)) from error
