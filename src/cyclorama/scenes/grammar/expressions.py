"""What is the value of a field?  Plain arithmetic over numbers, colours, points and random draws.

An expression may use numbers, quoted words, names, + - * / // % **, comparisons, and / or / not, lists,
``a if b else c``, ``[... for x in ...]`` and calls of the vocabulary's functions; nothing else is read.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import keyword
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from cyclorama.errors import ConfigError, CycloramaError
from cyclorama.scenes.grammar.document import Entry, Place

MAX_ITEMS = 20_000
"""Longest list and longest loop of a category file."""

_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b,
}


@dataclass
class Scope:
    """What expressions see while a category file is carried out: random draws, values by name, the stage."""

    rng: np.random.Generator | None
    values: dict[str, Any] = field(default_factory=dict)
    shared: Mapping[str, Any] = field(default_factory=dict)
    stage: Any = None


Value = Callable[[Scope], Any]


@dataclass(frozen=True)
class Function:
    """A function of the vocabulary or of a file; ``run(scope, *arguments)`` calls it."""

    run: Callable[..., Any]
    signature: inspect.Signature


@dataclass
class Names:
    """What may be named at one point of a file: functions, and values known so far."""

    functions: Mapping[str, Function]
    values: set[str]
    words: set[str] = field(default_factory=set)
    """Quoted words met so far."""
    faults: list[ConfigError] = field(default_factory=list)
    """Faults of rows that were passed over."""


def guard(place: Place, run: Value) -> Value:
    """``run`` with its faults named by ``place``."""

    def guarded(scope: Scope) -> Any:
        try:
            return run(scope)
        except CycloramaError:
            raise
        except (ArithmeticError, TypeError, ValueError, LookupError, AttributeError, MemoryError) as error:
            raise place.error(f"cannot be computed: {error}") from error

    return guarded


def compile_value(entry: Entry, names: Names) -> Value:
    """The value of ``entry``: an expression, or a list of values.

    In a list of written-out points, an expression that gives several points puts all of them in.
    """
    if entry.is_text:
        return compile_text(entry.text(), entry.place, names)
    entries = entry.items()
    items = [compile_value(item, names) for item in entries]
    spread = [item.is_text and not all(e.is_text for e in entries) for item in entries]

    def build(scope: Scope) -> tuple[Any, ...]:
        found: list[Any] = []
        for item, may_spread in zip(items, spread, strict=True):
            value = item(scope)
            many = isinstance(value, list | tuple) and value and isinstance(value[0], list | tuple)
            found += value if may_spread and many else [value]
        return tuple(found)

    return build


def compile_text(text: str, place: Place, names: Names) -> Value:
    """The value of the expression ``text``; commas outside brackets make a list of values."""
    try:
        run = _Compiler(place, names).compile(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, ConfigError):
            raise
        raise place.error(
            f"cannot read the expression {text[:200]!r}: {getattr(error, 'msg', error)}"
        ) from error
    return guard(place, run)


def check_call(place: Place, name: str, function: Function, count: int, keywords: list[str]) -> None:
    """An error if ``function`` does not take ``count`` positional arguments and ``keywords``."""
    parameters = function.signature.parameters
    for key in keywords:
        if key not in parameters:
            raise place.unknown(f"value of {name}", key, parameters)
    try:
        function.signature.bind(*[None] * count, **dict.fromkeys(keywords))
    except TypeError as error:
        raise place.error(f"{name}({', '.join(parameters)}): {error}") from error


class _Compiler:
    """Turns one expression's syntax tree into a function of the scope."""

    def __init__(self, place: Place, names: Names) -> None:
        self.place, self.names = place, names

    def compile(self, node: ast.expr) -> Value:
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            raise self.place.error(f"{ast.unparse(node)!r} is not allowed in an expression")
        run: Value = method(node)
        return run

    def _operator(self, node: ast.expr, operation: ast.AST) -> Callable[..., Any]:
        if type(operation) not in _OPERATORS:
            raise self.place.error(f"{ast.unparse(node)!r} is not allowed in an expression")
        return _OPERATORS[type(operation)]

    def _constant(self, node: ast.Constant) -> Value:
        value = node.value
        if not isinstance(value, int | float | str | None):
            raise self.place.error(f"{value!r} is not allowed in an expression")
        if isinstance(value, str):
            self.names.words.add(value)
        return lambda scope: value

    def _name(self, node: ast.Name) -> Value:
        name = node.id
        if name not in self.names.values:
            raise self.place.unknown("name", name, {*self.names.values, *self.names.functions})
        return lambda scope: scope.values[name] if name in scope.values else scope.shared[name]

    def _binop(self, node: ast.BinOp) -> Value:
        left, right, apply = self.compile(node.left), self.compile(node.right), self._operator(node, node.op)
        if isinstance(node.op, ast.Pow):
            apply = math.pow  # numbers alone, never a huge whole number
        if isinstance(node.op, ast.Pow | ast.Mult | ast.Mod):
            return lambda scope: apply(_number(left(scope)), _number(right(scope)))
        return lambda scope: apply(left(scope), right(scope))

    def _unaryop(self, node: ast.UnaryOp) -> Value:
        value, apply = self.compile(node.operand), self._operator(node, node.op)
        return lambda scope: apply(value(scope))

    def _boolop(self, node: ast.BoolOp) -> Value:
        parts = [self.compile(part) for part in node.values]
        stops = isinstance(node.op, ast.Or)

        def run(scope: Scope) -> Any:
            value = None
            for part in parts:
                value = part(scope)
                if bool(value) is stops:
                    break
            return value

        return run

    def _compare(self, node: ast.Compare) -> Value:
        parts = [self.compile(part) for part in (node.left, *node.comparators)]
        tests = [self._operator(node, test) for test in node.ops]

        def run(scope: Scope) -> bool:
            left = parts[0](scope)
            for test, part in zip(tests, parts[1:], strict=True):
                right = part(scope)
                if not test(left, right):
                    return False
                left = right
            return True

        return run

    def _ifexp(self, node: ast.IfExp) -> Value:
        test, yes, no = self.compile(node.test), self.compile(node.body), self.compile(node.orelse)
        return lambda scope: yes(scope) if test(scope) else no(scope)

    def _list(self, node: ast.List | ast.Tuple) -> Value:
        spread = [isinstance(part, ast.Starred) for part in node.elts]
        parts = [self.compile(part.value if isinstance(part, ast.Starred) else part) for part in node.elts]

        def run(scope: Scope) -> tuple[Any, ...]:
            values = (p(scope) if many else (p(scope),) for many, p in zip(spread, parts, strict=True))
            return tuple(itertools.chain.from_iterable(values))

        return run

    _tuple = _list

    def _subscript(self, node: ast.Subscript) -> Value:
        value, index = self.compile(node.value), self.compile(node.slice)
        return lambda scope: value(scope)[index(scope)]

    def _slice(self, node: ast.Slice) -> Value:
        ends = [None if end is None else self.compile(end) for end in (node.lower, node.upper, node.step)]
        return lambda scope: slice(*(None if end is None else end(scope) for end in ends))

    def _listcomp(self, node: ast.ListComp) -> Value:
        if len(node.generators) != 1:
            raise self.place.error("a list is made by one 'for'")
        targets = read_targets(ast.unparse(node.generators[0].target), self.place)
        source = self.compile(node.generators[0].iter)
        inner = replace(self.names, values={*self.names.values, *targets})
        compiler = _Compiler(self.place, inner)
        element, tests = compiler.compile(node.elt), [compiler.compile(t) for t in node.generators[0].ifs]

        def run(scope: Scope) -> tuple[Any, ...]:
            found = []
            for value in limited(source(scope), self.place):
                assign(scope, targets, value)
                if all(test(scope) for test in tests):
                    found.append(element(scope))
            return tuple(found)

        return run

    def _call(self, node: ast.Call) -> Value:
        name = ast.unparse(node.func)
        function = self.names.functions.get(name)
        if function is None:
            raise self.place.unknown("function", name, self.names.functions)
        keywords = {k.arg: self.compile(k.value) for k in node.keywords if k.arg is not None}
        if len(keywords) < len(node.keywords) or any(isinstance(a, ast.Starred) for a in node.args):
            raise self.place.error(f"{ast.unparse(node)!r}: write the values of {name} one by one")
        check_call(self.place, name, function, len(node.args), list(keywords))
        positional = [self.compile(a) for a in node.args]
        run = function.run
        return lambda scope: run(
            scope, *[p(scope) for p in positional], **{k: value(scope) for k, value in keywords.items()}
        )


def read_targets(text: str, place: Place) -> tuple[str, ...]:
    """The names in ``x, y``."""
    targets = tuple(part.strip() for part in text.strip("()").split(","))
    for name in targets:
        if not name.isidentifier() or keyword.iskeyword(name):
            raise place.error(f"{name!r} is no name; give letters, digits and _, as in: x, y")
    return targets


def assign(scope: Scope, targets: tuple[str, ...], value: Any) -> None:
    """Give ``value`` to the names ``targets``: one value each if there are several."""
    if len(targets) == 1:
        scope.values[targets[0]] = value
        return
    values = tuple(value)
    if len(values) != len(targets):
        raise ValueError(f"{len(values)} values for the {len(targets)} names {', '.join(targets)}")
    scope.values.update(zip(targets, values, strict=True))


def limited(values: Any, place: Place) -> list[Any]:
    """``values`` as a list of at most MAX_ITEMS."""
    found = list(itertools.islice(iter(values), MAX_ITEMS + 1))
    if len(found) > MAX_ITEMS:
        raise place.error(f"more than {MAX_ITEMS:,} turns of a loop; make it shorter")
    return found


def _number(value: Any) -> Any:
    if isinstance(value, str | list | tuple):
        raise TypeError(f"{value!r} is no number")
    return value
