"""Proves what rows and expressions of category files give; every fault names file, line and field."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cyclorama.errors import ConfigError
from cyclorama.scenes.grammar import vocabulary
from cyclorama.scenes.grammar.document import Place, read_document
from cyclorama.scenes.grammar.expressions import MAX_ITEMS, Names, Scope, compile_text
from cyclorama.scenes.grammar.reader import read_category
from cyclorama.scenes.grammar.rows import ACTIONS, MODIFIERS, Piece
from cyclorama.scenes.grammar.vocabulary import functions, shapes
from cyclorama.scenes.stage import Part, SceneCategory, Stage

FILE = """\
name: toy
framing: {{share: [0.4, 0.5]}}
brands:
- {{wall: "hsv(0, 1, 1)", floor: "hsv(120, 1, 1)", prop: [0, 0, 1], accent: [1, 1, 0], elements: [balls]}}
- {{wall: [1, 0, 0], floor: [0, 0, 0], prop: [0, 0, 0], accent: [0, 0, 0], elements: [balls, rows], fill: 2}}
- {{wall: [0, 1, 0], floor: [0, 0, 0], prop: [0, 0, 0], accent: [0, 0, 0], elements: []}}
style:
  let: {{h: "uniform(0, 90)"}}
  wall: hsv(h, 1, 1)
  floor: hsv(h, 0.5, 1)
  prop: [0, 0, 1]
  accent: [1, 1, 0]
  elements:
  - plain
  - pick(['balls', 'rows', 'lamp'], 2)
  layout: integer(0, 1)
definitions:
  pair(gap, size=0.5):
  - for: s
    in: [-1, 1]
    sphere: size
    at: [s * gap, 0, size]
product:
{product}
scene:
{scene}
"""
PRODUCT = "- sphere: 0.5\n  surface: matte([1, 0, 0])"
SCENE = "- floor: {width: 2, near: -1, far: 1}\n  surface: matte(floor)"


def read(tmp_path: Path, product: str = PRODUCT, scene: str = SCENE) -> SceneCategory:
    path = tmp_path / "toy.yaml"
    path.write_text(FILE.format(product=product, scene=scene))
    return read_category(path)


def build(tmp_path: Path, product: str, seed: int = 0) -> list[Part]:
    return read(tmp_path, product).build_product(np.random.default_rng(seed))


def middle(part: Part) -> list[float]:
    low, high = part.mesh.vertices.min(0), part.mesh.vertices.max(0)
    return [round(float(v), 4) for v in (low + high) / 2]


def dress(tmp_path: Path, scene: str, brand: int = 0) -> Stage:
    category = read(tmp_path, scene=scene)
    stage = Stage(product=category.build_product(np.random.default_rng(0)))
    category.dress(stage, np.random.default_rng(1), category.brands[brand])
    return stage


def test_placement_keys_act_in_the_order_in_which_they_are_written(tmp_path: Path) -> None:
    rows = """\
- {sphere: 0.1, at: [1, 0, 0], turn_z: 90, surface: "matte([1, 1, 1])"}
- {sphere: 0.1, turn_z: 90, at: [1, 0, 0], surface: "matte([1, 1, 1])"}
- {sphere: 0.1, at: [1, 2, 3], scale: [2, 1, 0.5], surface: "matte([1, 1, 1])"}
- {sphere: 0.1, place: [{at: [1, 0, 0]}, {turn_z: 180}, {at: [0, 0, 1]}], surface: "matte([1, 1, 1])"}"""
    assert [middle(p) for p in build(tmp_path, rows)] == [[0, 1, 0], [1, 0, 0], [2, 2, 1.5], [-1, 0, 1]]


def test_draws_come_in_the_order_of_the_file_and_are_those_of_numpy(tmp_path: Path) -> None:
    rows = """\
- let:
    a: uniform(2, 3)
    b: integer(1, 6)
    c: choice([10, 20, 30])
    d: chance(0.5)
    e: normal(0, 1)
- {sphere: 1, at: [a, b, c], surface: "matte([1, 1, 1])"}
- {sphere: 1, at: [e, 1 if d else 0, 0], surface: "matte([1, 1, 1])"}"""
    rng = np.random.default_rng(4)
    a, b = rng.uniform(2, 3), rng.integers(1, 7)
    c, d, e = rng.choice([10, 20, 30]), rng.random() < 0.5, rng.normal(0, 1)
    found = [middle(p) for p in build(tmp_path, rows, 4)]
    assert np.array(found) == pytest.approx(np.array([[a, b, c], [e, d, 0]]), abs=1e-3)


def test_conditions_loops_groups_and_merged_rows(tmp_path: Path) -> None:
    rows = """\
- for: x, r
  in: [[1, 0.1], [2, 0.2], [3, 0.3]]
  count: k
  when: 1 < 2
  sphere: r
  at: [x, k, 0]
  surface: "matte([1, 1, 1])"
- when: 1 > 2
  sphere: 9
  surface: matte([1, 1, 1])
  else:
  - {sphere: 0.5, at: [7, 0, 0], surface: "plastic([0, 1, 0], 0.3)"}
- first:
  - {when: 2 > 3, sphere: 9, surface: "matte([1, 1, 1])"}
  - {when: 3 > 2, sphere: 0.5, at: [8, 0, 0], surface: "matte([1, 1, 1])"}
  - {sphere: 9, surface: "matte([1, 1, 1])"}
- merge:
  - {sphere: 0.1, at: [-1, 0, 0]}
  - {sphere: 0.1, at: [5, 0, 0]}
  surface: matte([0, 0, 1])
- {pair: {gap: 2}, at: [0, 0, 1], surface: "matte([1, 1, 0])"}
- {sphere: 0.25, into: kept}
- {sphere: 0.25, at: [2, 0, 0], into: kept}
- {merge: kept, surface: "matte([0, 1, 1])"}"""
    parts = build(tmp_path, rows)
    assert [middle(p) for p in parts] == [
        [1, 0, 0],
        [2, 1, 0],
        [3, 2, 0],
        [7, 0, 0],
        [8, 0, 0],
        [2, 0, 0],
        [-2, 0, 1.5],
        [2, 0, 1.5],
        [1, 0, 0],
    ]
    assert parts[3].surface.kind == "plastic"
    assert parts[5].surface.colour == (0, 0, 1)


def test_points_of_an_expression_join_the_points_written_out(tmp_path: Path) -> None:
    rows = "- lathe: {profile: [[0, 0], 'smooth([[1, 0], [1, 1], [0.5, 2]])', [0, 3]], segments: 8}\n"
    part = build(tmp_path, rows + "  surface: matte([1, 1, 1])")[0]
    assert part.mesh.vertices[:, 2].max() == pytest.approx(3.0)
    assert np.hypot(part.mesh.vertices[:, 0], part.mesh.vertices[:, 1]).max() == pytest.approx(1.0, abs=1e-6)


def test_brands_and_sampled_styles_are_read(tmp_path: Path) -> None:
    category = read(tmp_path)
    assert category.framing.share == (0.4, 0.5)
    assert category.brands[0].palette == ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0))
    assert category.brands[1].elements == ("balls", "rows")
    assert category.brands[1].fill == 2
    styles = [category.sample_style(np.random.default_rng(k)) for k in range(20)]
    assert {s.layout for s in styles} == {0, 1}
    assert all(s.elements[0] == "plain" and len(set(s.elements)) == 3 for s in styles)
    assert all(s.wall[0] == 1.0 or s.wall[1] == 1.0 for s in styles)


def test_a_scene_sees_its_style_its_product_and_its_stage(tmp_path: Path) -> None:
    scene = """\
- {sphere: 0.1, at: [product_right, 0, product_top], surface: matte(wall)}
- {when: has('rows'), sphere: 0.1, surface: matte(prop)}
- {light: {position: [1, 2, 3], target: [0, 0, 0], size: 0.5, radiance: [4, 5, 6]}}
- {key_light: {radiance: 10}}
- {exposure: 1.5}"""
    plain, rows = dress(tmp_path, scene, 0), dress(tmp_path, scene, 1)
    assert middle(plain.parts[0]) == [0.5, 0, 0.5]
    assert plain.parts[0].surface.colour == (1, 0, 0)
    assert (len(plain.parts), len(rows.parts)) == (1, 2)
    assert plain.lights[0].radiance == (4, 5, 6)
    assert len(plain.lights) == 2
    assert plain.exposure == 1.5


FAULTS = [
    ("- sphre: 0.5", 24, "sphre", "unknown shape or key 'sphre'; did you mean sphere"),
    ("- sphere: {radus: 0.5}", 24, "sphere", "unknown value of sphere 'radus'; did you mean radius"),
    ("- cylinder: {radius: 0.5}", 24, "cylinder", "missing a required argument: 'height'"),
    ("- sphere: raduis", 24, "sphere", "unknown name 'raduis'"),
    (
        "- sphere: 0.5\n  surface: mate([1, 1, 1])",
        25,
        "surface",
        "unknown function 'mate'; did you mean matte",
    ),
    ("- sphere: 0.5\n  surface: [1, 1, 1]", 25, "surface", "expected a surface such as matte(wall)"),
    (
        "- sphere: 0.5\n  at: [1, 2]\n  surface: matte([1, 1, 1])",
        25,
        "at",
        "expected three numbers, got (1, 2)",
    ),
    ("- sphere: 1 +", 24, "sphere", "cannot read the expression '1 +'"),
    ("- sphere: (1).real", 24, "sphere", "not allowed in an expression"),
    ("- sphere: __import__('os')", 24, "sphere", "unknown function '__import__'"),
    ("- sphere: len('x') * 'x'", 24, "sphere", "'x' is no number"),
    ("- sphere: 9 ** 9 ** 9", 24, "sphere", "cannot be computed"),
    ("- sphere: 1 / 0", 24, "sphere", "division by zero"),
    ("- let:\n    r: uniform(2, 1)", 25, "r", "the lower end is above the upper one"),
    ("- sphere: 0.5", 24, "product[0]", "a shape has no surface"),
    ("- for: x\n  sphere: x", 24, "for", "missing key 'in'"),
    ("- for: x, y\n  in: [1, 2]\n  sphere: x", 24, "for", "cannot be computed"),
    ("- for: x\n  in: range(1000000000)\n  sphere: x", 24, "for", "more than 20,000 turns"),
    ("- {sphere: 0.5, cylinder: 1}", 24, "product[0]", "a row has one shape"),
    ("- sphere: {radius: 1, segments: 100000}", 24, "sphere", "segments is 100000, above 2048"),
    ("- let:\n    t: wood([1, 1, 1], 5, 1000000)", 25, "t", "size is 1000000, above 2048"),
    ("- let:\n    for: 1", 25, "for", "'for' is no name"),
    ("- sphere: " + "-" * 4000 + "1", 24, "sphere", "cannot read the expression"),
    ("- sphere: " + "(" * 400 + "1" + ")" * 400, 24, "sphere", "cannot read the expression"),
    ("- {else: [], sphere: 1}", 24, "else", "'else' needs a 'when'"),
    ("- {exposure: 2}", 24, "exposure", "only a scene has lights"),
    ("- {sphere: 1, sphere: 2}", 24, "product[0]", "key 'sphere' stands twice"),
    ("- when: has('balls')\n  sphere: 1", 24, "when", "unknown function 'has'"),
]


@pytest.mark.parametrize(("product", "line", "field", "words"), FAULTS)
def test_a_fault_is_named_with_file_line_and_field(
    tmp_path: Path, product: str, line: int, field: str, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        build(tmp_path, product)
    assert str(caught.value).startswith(f"toy.yaml:{line}: {field}: ")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("framing: {share: [0.4, 0.5]}", "framing: {share: [0.5, 0.4]}", 2, "lowest, highest"),
        ("framing: {share: [0.4, 0.5]}", "framing: {sahre: [0.4, 0.5]}", 2, "did you mean share"),
        ("elements: []}", "elements: [], layuot: 1}", 6, "did you mean layout"),
        ("wall: [0, 1, 0], ", "", 6, "missing key 'wall'"),
        ("wall: [0, 1, 0]", "wall: [0, 2, 0]", 6, "at most 1"),
        ("wall: [0, 1, 0]", 'wall: "hsv(uniform(0, 9), 1, 1)"', 6, "draws at random"),
        (
            "elements: [balls, rows]",
            "elements: [bals, rows]",
            5,
            "unknown element 'bals'; did you mean balls",
        ),
        ("name: toy", "namee: toy", 1, "did you mean name"),
        ("name: toy", "name: &a toy", 1, None),
        ("name: toy", "name: [toy", 2, "not valid YAML"),
        ("  pair(gap, size=0.5):", "  pair(gap, *size):", 18, "expected plain names"),
        ("  pair(gap, size=0.5):", "  sphere(gap):", 18, "'sphere' is known already"),
    ],
)
def test_faults_outside_the_rows_are_named_too(
    tmp_path: Path, old: str, new: str, line: int, words: str | None
) -> None:
    text = FILE.format(product=PRODUCT, scene=SCENE)
    assert old in text
    path = tmp_path / "toy.yaml"
    path.write_text(text.replace(old, new))
    if words is None:
        assert read_category(path).name == "toy"
        return
    with pytest.raises(ConfigError) as caught:
        read_category(path)
    assert str(caught.value).startswith(f"toy.yaml:{line}: ")
    assert words in str(caught.value)


def test_a_missing_a_binary_and_an_empty_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="gone.yaml:1: file: cannot read it: No such file"):
        read_category(tmp_path / "gone.yaml")
    (tmp_path / "b.yaml").write_bytes(b"name: \xff\xfe")
    with pytest.raises(ConfigError, match="b.yaml:1: file: it is not UTF-8 text"):
        read_category(tmp_path / "b.yaml")
    (tmp_path / "e.yaml").write_text("# nothing\n")
    with pytest.raises(ConfigError, match="e.yaml:1: file: it is empty"):
        read_category(tmp_path / "e.yaml")


def test_a_byte_order_mark_is_no_fault_and_deep_nesting_is_named(tmp_path: Path) -> None:
    path = tmp_path / "toy.yaml"
    path.write_text(FILE.format(product=PRODUCT, scene=SCENE), encoding="utf-8-sig")
    assert read_category(path).name == "toy"
    path.write_text("name: " + "[" * 5000 + "]" * 5000)
    with pytest.raises(ConfigError, match="toy.yaml:1: file: it is nested too deeply"):
        read_category(path)


def test_aliases_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: &a toy\nabout: *a\n")
    with pytest.raises(ConfigError, match=r"a.yaml:1: file: anchors and aliases .* are not read"):
        read_category(tmp_path / "a.yaml")


def test_the_example_of_the_documentation_is_a_category(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "category_files.md").read_text()
    path = tmp_path / "ball.yaml"
    path.write_text(page.split("```yaml\n")[1].split("```")[0])
    category = read_category(path)
    stages = []
    for brand in category.brands:
        stage = Stage(product=category.build_product(np.random.default_rng(0)))
        category.dress(stage, np.random.default_rng(1), brand)
        stages.append(stage)
    assert [len(s.parts) for s in stages] == [4, 9, 3]
    assert all(
        set(category.sample_style(np.random.default_rng(k)).elements) <= {"arch", "stones"} for k in range(9)
    )
    text = path.read_text()
    for old, new, words in (
        ("- sphere: 0.5", "- sphre: 0.5", "29: sphre: unknown shape or key 'sphre'; did you mean sphere"),
        ("plastic(colour", "plastik(colour", "31: surface: unknown function 'plastik'; did you mean plastic"),
        ("[stones]}", "[stone]}", "12: elements: unknown element 'stone'; did you mean stones"),
    ):
        path.write_text(text.replace(old, new))
        with pytest.raises(ConfigError, match=f"ball.yaml:{words}"):
            read_category(path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7 - 2 - 1", 4),
        ("7 // 2 + 7 % 4", 6),
        ("2 ** -1", 0.5),
        ("-3 + +1", -2),
        ("1 < 2 <= 2 != 3", True),
        ("3 > 3 or 3 >= 3", True),
        ("not 1 == 1", False),
        ("2 in [1, 2]", True),
        ("0 or 5 and 6", 6),
        ("1 and 0 or None", None),
        ("'a' if 1 > 2 else 'b'", "b"),
        ("[x * y for x, y in [[1, 2], [3, 4], [5, 6]] if x > 1]", (12, 30)),
        ("[0, *[1, 2], 3][1:-1]", (1, 2)),
        ("max(1, 4, 2) + len([1, 2])", 6),
        ("whole(2.9) + whole(-0.5)", 1),
        ("reverse([1, 2, 3])", [3, 2, 1]),
        ("interpolate(1.5, [1, 2], [10, 20])", 15.0),
        ("linspace(0, 1, 5)[1]", 0.25),
        ("degrees(atan2(1, 1))", pytest.approx(45.0)),
        ("cos(pi) + sqrt(9)", pytest.approx(2.0)),
        ("mix([0, 0, 0], [1, 1, 1], 0.25)", (0.25, 0.25, 0.25)),
        ("top(sphere_at(2)) - bottom(sphere_at(2))", pytest.approx(1.0)),
    ],
)
def test_expressions_have_their_values(text: str, value: object) -> None:
    ball = shapes()["sphere"]
    known = {
        **functions(),
        "sphere_at": ball.__class__(lambda s, z: ball.run(s, 0.5).moved(z=z), ball.signature),
    }
    run = compile_text(text, Place("a.yaml", 1, "x"), Names(known, {"pi"}))
    assert run(Scope(None, {}, {"pi": np.pi})) == value


def test_a_functions_inner_values_are_not_a_files_to_set() -> None:
    with pytest.raises(ConfigError, match="unknown value of sin"):
        compile_text("sin(1, f=2)", Place("a.yaml", 1, "x"), Names(functions(), set()))


def test_the_longest_loop_is_allowed_and_one_more_is_not() -> None:
    names = Names(functions(), {"n"})
    run = compile_text("len([x for x in range(n)])", Place("a.yaml", 1, "x"), names)
    assert run(Scope(None, {}, {"n": MAX_ITEMS})) == MAX_ITEMS
    with pytest.raises(ConfigError, match="more than 20,000 turns"):
        run(Scope(None, {}, {"n": MAX_ITEMS + 1}))


def test_a_count_at_its_limit_is_allowed() -> None:
    run = compile_text(
        "gradient([0, 0, 0], [1, 1, 1], 2048)", Place("a.yaml", 1, "x"), Names(functions(), set())
    )
    assert run(Scope(None)).shape == (2048, 2048, 3)


def test_ranges_may_be_a_point_a_share_is_not_reached_and_halves_have_their_side() -> None:
    rng = np.random.default_rng(0)
    assert vocabulary.uniform(rng, 2.0, 2.0) == 2.0
    assert vocabulary.integer(rng, 3, 3) == 3
    drawn = SimpleNamespace(random=lambda: 0.5)
    assert [vocabulary.chance(drawn, share) for share in (0.5, 0.51)] == [False, True]  # type: ignore[arg-type]
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert vocabulary.half(image, -1)[0, :, 0].tolist() == [0, 3]
    assert vocabulary.half(image, 1)[0, :, 0].tolist() == [6, 9]


def test_moves_of_a_piece_add_up_and_are_carried_out_once() -> None:
    piece = Piece(shapes()["sphere"].run(None, 0.5)).moved(1, 2, 3).moved(0, 0, -1)
    assert piece.shift == (1, 2, 2)
    assert piece.settled().vertices.mean(0) == pytest.approx([1, 2, 2], abs=0.05)


def test_entries_tell_their_lines_and_fields(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("name: x\nrows:\n- 1\n- {at: 2}\n")
    keys = read_document(path).mapping()
    assert (keys["rows"].place.line, keys["rows"].place.field) == (2, "rows")
    second = keys["rows"].items()[1]
    assert (second.place.line, second.place.field) == (4, "rows[1]")
    for call, words in ((keys["rows"].text, "expected a value, got a list"), (keys["name"].items, "got 'x'")):
        with pytest.raises(ConfigError, match=words):
            call()
    with pytest.raises(ConfigError, match="a.yaml:1: name: expected keys with values, got 'x'"):
        keys["name"].mapping()
    assert not ACTIONS & MODIFIERS
