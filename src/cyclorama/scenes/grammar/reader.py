"""How does a category file become a category?  Its keys are checked, its rows compiled once."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from cyclorama.errors import ConfigError
from cyclorama.scenes.family import Category, Framing
from cyclorama.scenes.grammar.document import Entry, read_document
from cyclorama.scenes.grammar.expressions import Function, Names, Scope, Value, compile_text, compile_value
from cyclorama.scenes.grammar.rows import RowCompiler, build_definition
from cyclorama.scenes.grammar.vocabulary import CONSTANTS, describe_product, functions, shapes
from cyclorama.scenes.stage import Part, Stage
from cyclorama.scenes.surface import Style

KEYS = ("name", "about", "constants", "definitions", "framing", "product", "brands", "style", "scene")
NEEDED = ("name", "framing", "product", "brands", "style", "scene")
STYLE_KEYS = tuple(Style.model_fields)
S = TypeVar("S", Framing, Style)
STYLE_NEEDED = ("wall", "floor", "prop", "accent", "elements")
PRODUCT_NAMES = tuple(f"product_{side}" for side in ("left", "front", "bottom", "right", "back", "top"))
STYLE_NAMES = (*STYLE_KEYS, "style")
HAS = Function(
    lambda scope, element: scope.shared["style"].has(element), inspect.signature(lambda element: None)
)
"""Whether the scene's style has an element."""
BRANDS = 3
PROPS = Path(__file__).parents[1] / "props.yaml"


def read_category(path: Path) -> Category:
    """The category of the YAML file ``path``.

    Raises ConfigError naming file, line and field: unknown names and keys, missing keys, wrong values.
    """
    keys = read_document(path).mapping(KEYS, NEEDED)
    constants = _read_constants(keys.get("constants"))
    brands = _read_brands(keys["brands"], constants)
    own = _read_definitions(keys.get("definitions"), constants, _read_props())
    return Category(
        name=keys["name"].text(),
        brands=brands,
        sample_style=_read_style(keys["style"], constants),
        build_product=_read_product(keys["product"], constants, own),
        dress=_read_scene(keys["scene"], constants, own),
        framing=_read_framing(keys["framing"], constants),
    )


def _read_constants(entry: Entry | None) -> dict[str, Any]:
    found = dict(CONSTANTS)
    for name, value in (entry.mapping() if entry is not None else {}).items():
        run = compile_value(value, Names(functions(), set(found)))
        found[name] = run(Scope(None, shared=found))
    return found


@cache
def _read_props() -> dict[str, Function]:
    """The props that all categories share."""
    keys = read_document(PROPS).mapping(("about", "definitions"), ("definitions",))
    return _read_definitions(keys["definitions"], CONSTANTS, {})


def _read_definitions(
    entry: Entry | None, constants: dict[str, Any], known: dict[str, Function]
) -> dict[str, Function]:
    """``known`` and the file's own shapes and values; each may use those above it."""
    own = dict(known)
    for text, body in (entry.mapping() if entry is not None else {}).items():
        name, signature = _read_head(text, body, constants)
        if name in shapes() or name in functions() or name in own:
            raise body.place.error(f"{name!r} is known already; choose another name")
        compiler = _make_compiler({*constants, *STYLE_NAMES, *signature.parameters}, own)
        own[name] = build_definition(signature, compiler.compile_rows(body))
    return own


def _read_head(text: str, body: Entry, constants: dict[str, Any]) -> tuple[str, inspect.Signature]:
    """Name and parameters of ``mug(size, colour, turn=30)``."""
    try:
        head = ast.parse(f"def {text if '(' in text else text + '()'}: pass").body[0]
    except (SyntaxError, ValueError) as error:
        raise body.place.error(f"expected a name as in: mug(size, colour, turn=30), got {text!r}") from error
    assert isinstance(head, ast.FunctionDef)
    given = head.args
    if given.vararg or given.kwarg or given.kwonlyargs or given.posonlyargs:
        raise body.place.error("values are plain names, as in: mug(size, colour, turn=30)")
    names = Names(functions(), set(constants))
    missing: list[Any] = [inspect.Parameter.empty] * (len(given.args) - len(given.defaults))
    defaults = [
        compile_text(ast.unparse(d), body.place, names)(Scope(None, shared=constants)) for d in given.defaults
    ]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    pairs = zip(given.args, missing + defaults, strict=True)
    return head.name, inspect.Signature([inspect.Parameter(a.arg, kind, default=d) for a, d in pairs])


def _make_compiler(
    values: set[str], own: dict[str, Function], has_style: bool = True, has_stage: bool = False
) -> RowCompiler:
    known = {**functions(), **own, **({"has": HAS} if has_style else {})}
    return RowCompiler(Names(known, values), {**shapes(), **own}, has_stage)


def _read_product(
    entry: Entry, constants: dict[str, Any], own: dict[str, Function]
) -> Callable[[np.random.Generator], list[Part]]:
    build = _make_compiler(set(constants), own, has_style=False).compile_parts(entry)

    def build_product(rng: np.random.Generator) -> list[Part]:
        parts = build(Scope(rng, {}, constants))
        if not parts:
            raise entry.place.error("the rows gave no shape")
        return parts

    return build_product


def _read_scene(
    entry: Entry, constants: dict[str, Any], own: dict[str, Function]
) -> Callable[[Stage, np.random.Generator, Style], None]:
    values = {*constants, *STYLE_NAMES, *PRODUCT_NAMES}
    build = _make_compiler(values, own, has_stage=True).compile_parts(entry)

    def dress(stage: Stage, rng: np.random.Generator, style: Style) -> None:
        shared = {**constants, **dict(style), "style": style, **describe_product(stage.product)}
        stage.parts.extend(build(Scope(rng, {}, shared, stage)))

    return dress


def _read_framing(entry: Entry, constants: dict[str, Any]) -> Framing:
    names = Names(functions(), set(constants))
    keys = entry.mapping(Framing.model_fields)
    return _build(
        Framing, entry, {k: compile_value(v, names)(Scope(None, shared=constants)) for k, v in keys.items()}
    )


def _read_brands(entry: Entry, constants: dict[str, Any]) -> tuple[Style, Style, Style]:
    brands = entry.items()
    if len(brands) != BRANDS:
        raise entry.place.error(f"expected {BRANDS} brands, got {len(brands)}")
    names = Names(functions(), set(constants))
    styles = []
    for brand in brands:
        keys = brand.mapping(STYLE_KEYS, STYLE_NEEDED)
        styles.append(
            _build(Style, brand, _style_values(_compile_style(keys, names), Scope(None, {}, constants)))
        )
    first, second, third = styles
    return first, second, third


def _read_style(entry: Entry, constants: dict[str, Any]) -> Callable[[np.random.Generator], Style]:
    keys = entry.mapping(("let", *STYLE_KEYS), STYLE_NEEDED)
    names = Names(functions(), set(constants))
    values = []
    if "let" in keys:
        for name, value in keys.pop("let").mapping().items():
            values.append((name, compile_value(value, names)))
            names.values.add(name)
    fields = _compile_style(keys, names)

    def sample_style(rng: np.random.Generator) -> Style:
        scope = Scope(rng, {}, constants)
        for name, value in values:
            scope.values[name] = value(scope)
        return _build(Style, entry, _style_values(fields, scope))

    return sample_style


def _compile_style(keys: dict[str, Entry], names: Names) -> list[tuple[str, Value]]:
    return [
        (name, (_compile_elements if name == "elements" else compile_value)(entry, names))
        for name, entry in keys.items()
    ]


def _compile_elements(entry: Entry, names: Names) -> Value:
    """Plain words, or names and expressions such as pick(...) that give some."""
    parts: list[Value] = []
    for item in entry.items():
        word = item.text()
        is_value = "(" in word or word in names.values
        parts.append(compile_value(item, names) if is_value else lambda scope, word=word: word)  # type: ignore[misc]
    return lambda scope: [part(scope) for part in parts]


def _style_values(fields: list[tuple[str, Value]], scope: Scope) -> dict[str, Any]:
    """Values of a style's fields; a list of elements may hold several picked at once."""
    found = {name: value(scope) for name, value in fields}
    elements: list[Any] = []
    for element in found["elements"]:
        elements.extend(element if isinstance(element, list | tuple) else [element])
    return {**found, "elements": tuple(elements)}


def _build(cls: type[S], entry: Entry, values: dict[str, Any]) -> S:
    """Settings of ``entry``, their faults named with its line."""
    try:
        return cls(**values)
    except ConfigError as error:
        raise entry.place.error(str(error)) from error
