"""What stands where?  Rows of a category file: shapes with places and surfaces, conditions, loops, lights."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from cyclorama.errors import ConfigError
from cyclorama.scenes.geometry import Mesh, merge_meshes
from cyclorama.scenes.grammar.document import Entry, Place
from cyclorama.scenes.grammar.expressions import (
    Function,
    Names,
    Scope,
    Value,
    assign,
    check_call,
    compile_value,
    guard,
    limited,
    read_targets,
)
from cyclorama.scenes.stage import Light, Part, add_key_light
from cyclorama.scenes.surface import Surface


class Piece(NamedTuple):
    """A mesh, its surface, and how far it is still to be moved.

    A mesh without surface gets that of the row it is used in. Moves add up and are carried out once, so that
    a thing put together about the origin and moved has the very vertices of one made where it stands.
    """

    mesh: Mesh
    surface: Surface | None = None
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def moved(self, x: float, y: float, z: float) -> Piece:
        """The piece moved by (x, y, z)."""
        a, b, c = self.shift
        return self._replace(shift=(a + x, b + y, c + z))

    def settled(self) -> Mesh:
        """The mesh where it stands."""
        return self.mesh.moved(*self.shift) if any(self.shift) else self.mesh


Run = Callable[[Scope, list[Piece]], None]
"""Carries a row out: draws what it draws and adds its pieces to the list."""

Move = Callable[[Piece], Piece]

PLACEMENT = ("at", "turn_x", "turn_y", "turn_z", "scale")
MODIFIERS = {*PLACEMENT, "place", "surface", "into", "when", "else", "for", "in", "count"}
ACTIONS = {"let", "do", "first", "merge", "shape", "give", "light", "key_light", "sky", "exposure"}
_STAGE_ONLY = {"light", "key_light", "sky", "exposure"}


class RowCompiler:
    """Compiles the rows of one product, scene or definition; ``shapes`` are the words that give meshes."""

    def __init__(self, names: Names, shapes: Mapping[str, Function], has_stage: bool) -> None:
        self.names, self.shapes, self.has_stage = names, shapes, has_stage
        self.aside: set[str] = set()

    def compile_rows(self, entry: Entry) -> Run:
        """The rows of a list, carried out one after the other."""
        rows = [row for _, row in self._compile_all(entry)]

        def run(scope: Scope, out: list[Piece]) -> None:
            for row in rows:
                row(scope, out)

        return run

    def compile_parts(self, entry: Entry) -> Callable[[Scope], list[Part]]:
        """Rows whose pieces must all have a surface; a stage gets each row's before the next row is run."""
        rows = self._compile_all(entry)

        def build(scope: Scope) -> list[Part]:
            parts: list[Part] = [] if scope.stage is None else scope.stage.parts
            for place, row in rows:
                pieces: list[Piece] = []
                row(scope, pieces)
                for piece in pieces:
                    if piece.surface is None:
                        raise place.error("a shape has no surface; add a key such as surface: matte(wall)")
                    parts.append(Part(piece.settled(), piece.surface))
            return parts

        return build

    def _compile_all(self, entry: Entry) -> list[tuple[Place, Run]]:
        """The rows of a list; one with a fault is noted and passed over, so that all faults are found."""
        rows = []
        for item in entry.items():
            try:
                rows.append((item.place, self.compile_row(item)))
            except ConfigError as error:
                self.names.faults.append(error)
                self._name_anyway(item)
        return rows

    def _name_anyway(self, entry: Entry) -> None:
        """Know the names that a row with a fault would have given, so that they are no faults, too."""
        for key, value in entry.node.value if entry.is_mapping else ():
            if key.value == "let" and isinstance(value.value, list):
                for name, _ in value.value:
                    self.names.values.update(str(name.value).replace(",", " ").split())
            elif key.value == "into":
                self.names.values.add(str(value.value))
                self.aside.add(str(value.value))

    def compile_row(self, entry: Entry, skip_condition: bool = False) -> Run:
        """One row: an action, and what modifies it."""
        keys = entry.mapping()
        actions = [key for key in keys if key not in MODIFIERS]
        if len(actions) != 1:
            known = {*ACTIONS, *MODIFIERS, *self.shapes}
            for key in actions:
                if key not in known:
                    raise keys[key].place.unknown("shape or key", key, known)
            found = f"got {', '.join(actions)}" if actions else "got none"
            raise entry.place.error(f"a row has one shape or one of {', '.join(sorted(ACTIONS))}; {found}")
        condition = None if skip_condition else self._optional(keys, "when")
        if "else" in keys and condition is None:
            raise keys["else"].place.error("'else' needs a 'when' beside it")
        loop = self._compile_loop(keys)
        body = self._compile_body(actions[0], keys)
        otherwise = self.compile_rows(keys["else"]) if "else" in keys else None

        def run(scope: Scope, out: list[Piece]) -> None:
            if condition is None or condition(scope):
                loop(scope, out, body)
            elif otherwise is not None:
                otherwise(scope, out)

        return run

    def _optional(self, keys: dict[str, Entry], name: str) -> Value | None:
        return compile_value(keys[name], self.names) if name in keys else None

    def _compile_loop(self, keys: dict[str, Entry]) -> Callable[[Scope, list[Piece], Run], None]:
        if "for" not in keys:
            for name in ("in", "count"):
                if name in keys:
                    raise keys[name].place.error(f"{name!r} needs a 'for' beside it")
            return lambda scope, out, body: body(scope, out)
        if "in" not in keys:
            raise keys["for"].place.error("missing key 'in' beside 'for'")
        place = keys["for"].place
        targets = read_targets(keys["for"].text(), place)
        source = compile_value(keys["in"], self.names)
        counter = keys["count"].text() if "count" in keys else None
        self.names.values.update(targets, [counter] if counter else [])

        def run(scope: Scope, out: list[Piece], body: Run) -> None:
            for k, value in enumerate(limited(source(scope), place)):
                if counter is not None:
                    scope.values[counter] = k
                guard(place, lambda scope, value=value: assign(scope, targets, value))(scope)  # type: ignore[misc]
                body(scope, out)

        return run

    def _compile_body(self, action: str, keys: dict[str, Entry]) -> Run:
        entry = keys[action]
        if action in _STAGE_ONLY:
            if not self.has_stage:
                raise entry.place.error("only a scene has lights, sky and exposure")
            return self._compile_light(action, entry)
        if action == "let":
            return self._compile_let(entry)
        if action == "first":
            return self._compile_first(entry)
        if action == "give":
            value = compile_value(entry, self.names)
            return lambda scope, out: scope.values.__setitem__("give", value(scope))
        make = self._compile_pieces(action, entry)
        places = self._compile_placement(keys)
        surface = self._optional(keys, "surface")
        aside = keys["into"].text() if "into" in keys else None
        if aside is not None:
            self.aside.add(aside)
            self.names.values.add(aside)

        def run(scope: Scope, out: list[Piece]) -> None:
            pieces = make(scope)
            for place in places:
                move = place(scope)
                pieces = [move(piece) for piece in pieces]
            if surface is not None:
                given = surface(scope)
                if not isinstance(given, Surface):
                    raise keys["surface"].place.error(
                        f"expected a surface such as matte(wall), got {given!r}"
                    )
                pieces = [piece._replace(surface=piece.surface or given) for piece in pieces]
            if aside is not None:
                scope.values[aside] = [*scope.values.get(aside, ()), *pieces]
            else:
                out.extend(pieces)

        return run

    def _compile_first(self, entry: Entry) -> Run:
        """The first of several rows whose ``when`` holds; one without ``when`` holds always."""
        rows = []
        for item in entry.items():
            keys = item.mapping()
            if "else" in keys:
                raise keys["else"].place.error("rows of 'first' take no 'else'; add a row without 'when'")
            condition = self._optional(keys, "when")
            rows.append((condition, self.compile_row(item, skip_condition=True)))

        def run(scope: Scope, out: list[Piece]) -> None:
            for condition, row in rows:
                if condition is None or condition(scope):
                    row(scope, out)
                    return

        return run

    def _compile_pieces(self, action: str, entry: Entry) -> Callable[[Scope], list[Piece]]:
        """The meshes of a shape, a group of rows, merged rows, or a mesh known by name."""
        is_aside = entry.is_text and entry.text() in self.aside
        if action in ("do", "merge") or (action == "shape" and is_aside):
            rows = self._take_aside(entry) if entry.is_text else self.compile_rows(entry)

            def build(scope: Scope) -> list[Piece]:
                pieces: list[Piece] = []
                rows(scope, pieces)
                if action == "merge" and pieces:
                    return [Piece(merge_meshes([p.settled() for p in pieces]), pieces[0].surface)]
                return pieces

            return build
        if action == "shape":
            value = compile_value(entry, self.names)
        elif action in self.shapes:
            value = self._compile_call(action, entry)
        else:
            raise entry.place.unknown("shape or key", action, {*ACTIONS, *MODIFIERS, *self.shapes})

        def make(scope: Scope) -> list[Piece]:
            return to_pieces(value(scope), entry)

        return make

    def _take_aside(self, entry: Entry) -> Run:
        """The pieces that rows with ``into`` have put aside under a name; the name is free again then."""
        name = entry.text()
        if name not in self.aside:
            raise entry.place.unknown("name of pieces put aside by 'into'", name, self.aside)
        return lambda scope, out: out.extend(scope.values.pop(name, []))

    def _compile_call(self, name: str, entry: Entry) -> Value:
        function = self.shapes[name]
        if entry.is_mapping:
            given = {key: compile_value(value, self.names) for key, value in entry.mapping().items()}
        else:
            first = next(iter(function.signature.parameters), None)
            if first is None:
                raise entry.place.error(f"{name} takes no values; write {name}: {{}}")
            given = {first: compile_value(entry, self.names)}
        check_call(entry.place, name, function, 0, list(given))
        run = function.run
        return guard(entry.place, lambda scope: run(scope, **{k: v(scope) for k, v in given.items()}))

    def _compile_placement(self, keys: dict[str, Entry]) -> list[Callable[[Scope], Move]]:
        """Steps in the order in which they are written; those of ``place`` are carried out one by one."""
        steps = []
        for name, entry in keys.items():
            if name == "place":
                for step in entry.items():
                    steps += [
                        self._compile_step(*pair, settle=True) for pair in step.mapping(PLACEMENT).items()
                    ]
            elif name in PLACEMENT:
                steps.append(self._compile_step(name, entry))
        return steps

    def _compile_step(self, name: str, entry: Entry, settle: bool = False) -> Callable[[Scope], Move]:
        value = compile_value(entry, self.names)

        def step(scope: Scope) -> Move:
            given = value(scope)
            if name == "at":
                shift = _triple(given, entry)
                if settle:
                    return lambda piece: Piece(piece.settled(), piece.surface, shift)
                return lambda piece: piece.moved(*shift)
            if name == "scale":
                factors = _triple(given, entry) if isinstance(given, list | tuple) else (given, None, None)
                return lambda piece: Piece(piece.settled().scaled(*factors), piece.surface)
            return lambda piece: Piece(piece.settled().turned(name[-1], given), piece.surface)

        return step

    def _compile_let(self, entry: Entry) -> Run:
        values: list[tuple[tuple[str, ...], Value]] = []
        for text, value in entry.mapping().items():
            run = self._compile_mesh(value) if value.is_mapping else compile_value(value, self.names)
            targets = read_targets(text, value.place)
            values.append((targets, run))
            self.names.values.update(targets)

        def let(scope: Scope, out: list[Piece]) -> None:
            for targets, run in values:
                assign(scope, targets, run(scope))

        return let

    def _compile_mesh(self, entry: Entry) -> Value:
        """A mesh under a name: a row without surface."""
        row = self.compile_row(entry)

        def build(scope: Scope) -> Any:
            pieces: list[Piece] = []
            row(scope, pieces)
            if len(pieces) == 1 and pieces[0].surface is None:
                return pieces[0].settled()
            return pieces

        return build

    def _compile_light(self, action: str, entry: Entry) -> Run:
        if action == "light":
            names = ("position", "target", "size", "radiance")
            values = {k: compile_value(v, self.names) for k, v in entry.mapping(names, names).items()}

            def add_light(scope: Scope, out: list[Piece]) -> None:
                found = {k: v(scope) for k, v in values.items()}
                for key in ("position", "target", "radiance"):
                    found[key] = _triple(found[key], entry)
                scope.stage.lights.append(Light(**found))

            return add_light
        if action == "key_light":
            keys = entry.mapping(("radiance", "size", "height"))
            values = {k: compile_value(v, self.names) for k, v in keys.items()}
            return lambda scope, out: add_key_light(
                scope.stage, scope.shared["style"], **{k: v(scope) for k, v in values.items()}
            )
        value = compile_value(entry, self.names)

        def set_air(scope: Scope, out: list[Piece]) -> None:
            found = value(scope)
            setattr(scope.stage, action, _triple(found, entry) if action == "sky" else float(found))

        return set_air


def _triple(value: Any, entry: Entry) -> tuple[float, float, float]:
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise entry.place.error(f"expected three numbers, got {value!r}")
    x, y, z = (float(v) for v in value)
    return x, y, z


def to_pieces(value: Any, entry: Entry) -> list[Piece]:
    """Pieces of what a shape gave: a mesh, parts, pieces, or nothing."""
    if value is None:
        return []
    if isinstance(value, Mesh):
        return [Piece(value)]
    if isinstance(value, Piece):  # a loop over pieces gives one
        return [value]
    if isinstance(value, list):
        return value
    raise entry.place.error(f"expected a shape, got {value!r}")


def build_definition(parameters: inspect.Signature, rows: Run) -> Function:
    """A function of the file: its rows give pieces, or its row ``give`` a value."""

    def run(scope: Scope, *arguments: Any, **named: Any) -> Any:
        bound = parameters.bind(*arguments, **named)
        bound.apply_defaults()
        inner = replace(scope, values=bound.arguments)
        pieces: list[Piece] = []
        rows(inner, pieces)
        return inner.values.get("give", pieces)

    return Function(run, parameters)
