"""Manifests become shards: rows in are rows out, names and faults are generate's, keys follow what counts."""

from __future__ import annotations

import json
import os
import random
import string
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cyclorama.catalogue.categories import CategoryChooser
from cyclorama.catalogue.config import CatalogueConfig
from cyclorama.catalogue.manifest import read_chunks
from cyclorama.catalogue.names import build_stems
from cyclorama.catalogue.plan import Plan, PlanRow, build_plan, load_plan
from cyclorama.data.manifest import save_manifest
from cyclorama.data.schema import Record
from cyclorama.errors import InputError, ManifestError, OutputError, SettingsError, UnknownCategoryError
from cyclorama.generation.categories import CategoryRules
from cyclorama.generation.items import Failure, InputConfig, load_items
from cyclorama.generation.names import build_image_names
from cyclorama.models.registry import CategoryRegistry


@pytest.fixture
def registry() -> CategoryRegistry:
    known = CategoryRegistry()
    known.add("perfume", ["fragrance"])
    known.add("fruit")
    return known


def plan_rows(plan: Plan) -> list[PlanRow]:
    return [row for shard in range(len(plan.keys)) for row in plan.read_shard(shard)]


def write_jsonl(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows))
    return path


# --- names ------------------------------------------------------------------------------------------------


def expect_names(names: list[str]) -> None:
    ours = [f"{stem}.png" for stem in build_stems(pa.array(names, pa.string())).to_pylist()]
    assert ours == [paths[0] for paths in build_image_names(names)]


@pytest.mark.parametrize(
    "names",
    [
        ["a.jpg", "b/a.png", "a.png"],
        ["a.jpg", "a.jpg", "A.JPG", "a-2.jpg", "a-2.jpg", "a-3.png"],
        ["x", "x", "x-2", "x-2-2", "x-2"],
        ["ä.png", "Ä.png", "straße.png", "STRASSE.png", "ß/a.b.c.png"],
        ["../up/a.png", "./a.png", "a//b.png", "/root/a.png", "c\\d.png", "con:x?.png", "e. .png", ".hidden"],
        ["n" * 300 + ".png", "n" * 300 + "m.png", "", ".", "no-suffix", "no-suffix.png", "t.tar.gz", "t.tar"],
        ["a.png", "a.PNG", "a.jpeg", "a-png.png", "a-jpeg"],
    ],
)
def test_names_are_generates_names(names: list[str]) -> None:
    expect_names(names)


def test_names_of_random_crowds_are_generates_names() -> None:
    draw = random.Random(1)
    for _ in range(60):
        parts = [
            draw.choice("aAbä") + draw.choice(["", "-2", "-3", "-jpg"]) for _ in range(draw.randint(1, 40))
        ]
        expect_names([p + draw.choice(["", ".jpg", ".png", ".PNG"]) for p in parts])


# --- rows -------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    for name in ("a.png", "b.jpg", "sub/a.png", "ref.png", "mask.png", "ü.png"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


BAD_ROWS: list[Any] = [
    {"image": "a.png", "category": "fruit", "id": "one"},
    {"image": "gone.png", "category": "fruit"},
    {"image": "", "category": "fruit"},
    {"image": "sub", "category": "fruit"},
    {"image": "b.jpg", "category": "fruit", "mask": "mask.png", "mask_means": "Background"},
    {"image": "b.jpg", "category": "fruit", "mask": "white background, no alpha"},
    {"image": "b.jpg", "category": "fruit", "mask": "lost.png"},
    {"image": "b.jpg", "category": "fruit", "mask_means": "white"},
    {"image": "sub\\a.png", "category": "fruit", "reference": "ref.png", "seed": 7},
    {"image": "ü.png", "category": "fruit", "seed": "soon"},
    {"image": "a.png", "category": "fruit", "seed": str(2**63 - 1)},
    {"image": "a.png", "category": "fruit", "seed": str(2**63)},
    {"image": "a.png", "category": "fruit", "id": "ONE"},
    {"image": "a.png", "category": "fruit", "reference": "nowhere.png"},
    {"image": "./sub/../a.png", "category": "fruit", "id": "last"},
]


def expect_items(manifest: Path, registry: CategoryRegistry, work: Path) -> list[PlanRow]:
    """The plan's rows, which must be what ``generate`` makes of the manifest."""
    plan = build_plan(str(manifest), work, CatalogueConfig(shard_size=4), registry, {})
    rows, items = plan_rows(plan), load_items(InputConfig(manifest))
    assert [row.row for row in rows] == list(range(len(items)))
    for row, item in zip(rows, items, strict=True):
        assert row.failure == item.failure
        if item.failure is not None:
            continue
        assert (row.name, row.seed, row.mask_means, row.category_given) == (
            item.name, item.seed, item.mask_means, item.category,
        )  # fmt: skip
        for column in ("image", "mask", "reference", "reference_mask"):
            ours, theirs = plan.resolve(getattr(row, column)), getattr(item, column)
            assert (None if ours is None else Path(ours)) == theirs
    return rows


def test_jsonl_rows_are_generates_items(folder: Path, registry: CategoryRegistry) -> None:
    rows = [
        *BAD_ROWS,
        "{broken",
        '["no object"]',
        {"image": 3, "category": "fruit"},
        {"image": "a.png", "seed": 1.5},
    ]
    made = expect_items(write_jsonl(folder / "m.jsonl", rows), registry, folder / "plan")
    assert [row.row for row in made if row.failure is None] == [0, 4, 5, 8, 10, 14]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv_rows_are_generates_items(folder: Path, registry: CategoryRegistry, separator: str) -> None:
    columns = ["Image", "category", "mask", "mask_means", "reference", "seed", "id", "note"]
    lines = [separator.join(columns)]
    for row in BAD_ROWS:
        cells = [str(row.get(name.lower(), "")) for name in columns]
        lines.append(separator.join(f'"{cell}"' if cell else "" for cell in cells))
    lines.insert(3, "")
    lines += [separator.join(["a.png", "fruit"]), separator.join(["a.png"] * 9)]
    manifest = folder / "m.csv"
    manifest.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    made = expect_items(manifest, registry, folder / "plan")
    assert [row.row for row in made if row.failure is None] == [0, 4, 5, 8, 10, 14]


def test_parquet_rows_are_generates_items(folder: Path, registry: CategoryRegistry) -> None:
    names = ("image", "category", "mask", "reference", "seed")
    seeds = [
        int(s) if str(s := row.get("seed") or "").isdecimal() and int(s) < 2**63 else None for row in BAD_ROWS
    ]
    values = {name: [row.get(name) for row in BAD_ROWS] for name in names} | {"seed": seeds}
    pq.write_table(pa.table(values), folder / "m.parquet")
    expect_items(folder / "m.parquet", registry, folder / "plan")
    texts = {name: values[name] for name in ("image", "category")}
    pq.write_table(
        pa.table(texts).cast(pa.schema([(n, pa.large_string()) for n in texts])), folder / "t.parquet"
    )
    expect_items(folder / "t.parquet", registry, folder / "plan")


def test_chunks_do_not_show(folder: Path) -> None:
    manifest = write_jsonl(folder / "m.jsonl", BAD_ROWS)
    whole = next(iter(read_chunks(str(manifest))))
    parts = list(read_chunks(str(manifest), size=4))
    assert [part.first for part in parts] == [0, 4, 8, 12]
    for name, column in whole.columns.items():
        assert pa.concat_arrays([part.columns[name] for part in parts]).equals(column)


@pytest.mark.parametrize(
    ("content", "word"),
    [(b"", "empty"), (b"image\n", "no rows"), (b"photo_file\na.png\n", "'image'"),
     (b"image\n\xff\xfe\n", "UTF-8"),
     (b'image\n"a', "not valid CSV"), (b"image,Image\na,b\n", "more than once")],
)  # fmt: skip
def test_unusable_manifests_say_why(
    folder: Path, registry: CategoryRegistry, content: bytes, word: str
) -> None:
    (folder / "m.csv").write_bytes(content)
    with pytest.raises(ManifestError, match=word):
        build_plan(str(folder / "m.csv"), folder / "plan", CatalogueConfig(), registry, {})


def test_manifest_at_an_address(folder: Path, registry: CategoryRegistry) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe(
        "/shop/list/m.csv", b"image,category\na.png,fruit\nsub/b.png,fruit\nmemory://else/c.png,fruit\n"
    )
    plan = build_plan("memory://shop/list/m.csv", folder / "plan", CatalogueConfig(), registry, {})
    rows = plan_rows(plan)
    assert [row.failure for row in rows] == [None] * 3
    assert [row.name for row in rows] == ["a.png", "sub/b.png", "c.png"]
    assert [plan.resolve(row.image) for row in rows] == [
        "memory://shop/list/a.png", "memory://shop/list/sub/b.png", "memory://else/c.png",
    ]  # fmt: skip
    with pytest.raises(ManifestError, match="nowhere"):
        build_plan("memory://nowhere/m.csv", folder / "plan", CatalogueConfig(), registry, {})


# --- keys and shards --------------------------------------------------------------------------------------


def build(folder: Path, registry: CategoryRegistry, rows: list[Any], **values: Any) -> Plan:
    config = CatalogueConfig(shard_size=2, **values)
    return build_plan(
        str(write_jsonl(folder / "m.jsonl", rows)), folder / "plan", config, registry, config.describe()
    )


def test_only_what_changes_gets_another_key(folder: Path, registry: CategoryRegistry) -> None:
    rows = [
        {"image": name, "category": "fruit", "reference": ref}
        for name, ref in (
            ("a.png", None), ("b.jpg", "ref.png"), ("sub/a.png", None), ("ü.png", None), ("mask.png", None),
        )
    ]  # fmt: skip
    first = build(folder, registry, rows)
    keys = [row.key for row in plan_rows(first)]
    assert len(set(keys)) == 5
    assert len(first.keys) == 3
    assert build(folder, registry, rows).keys == first.keys

    (folder / "sub/a.png").write_bytes(b"other bytes")
    changed = [row.key for row in plan_rows(build(folder, registry, rows))]
    assert [a != b for a, b in zip(keys, changed, strict=True)] == [False, False, True, False, False]
    os.utime(folder / "ref.png", ns=(1, 1))
    again = build(folder, registry, rows)
    renewed = [row.key for row in plan_rows(again)]
    assert [a != b for a, b in zip(changed, renewed, strict=True)] == [False, True, False, False, False]
    assert [a == b for a, b in zip(first.keys, again.keys, strict=True)] == [False, False, True]

    rows[4]["category"] = "perfume"
    other = [row.key for row in plan_rows(build(folder, registry, rows))]
    assert [a != b for a, b in zip(renewed, other, strict=True)] == [False, False, False, False, True]
    for values in ({"seed": 1}, {"dtype": "bfloat16"}, {"keep": "best"}):
        plan = build(folder, registry, rows, **values)
        assert not {row.key for row in plan_rows(plan)} & set(other), values
    for values in ({"workers": 3}, {"loaders": 9}, {"retry_failed": True}):
        plan = build(folder, registry, rows, **values)
        assert [row.key for row in plan_rows(plan)] == other, values


def test_a_file_that_appears_renews_its_row(folder: Path, registry: CategoryRegistry) -> None:
    rows = [{"image": "late.png", "category": "fruit"}]
    before = plan_rows(build(folder, registry, rows))[0]
    assert before.failure is not None
    (folder / "late.png").write_bytes(b"here")
    after = plan_rows(build(folder, registry, rows))[0]
    assert after.failure is None
    assert after.key != before.key


def test_plan_on_disk_is_the_plan(folder: Path, registry: CategoryRegistry) -> None:
    plan = build(folder, registry, BAD_ROWS)
    assert load_plan(plan.folder) == plan
    assert plan.failed == sum(row.failure is not None for row in plan_rows(plan))
    assert [len(plan.read_shard(i)) for i in range(len(plan.keys))] == [2] * 7 + [1]
    assert [key.hex() for key in plan.read_keys(3).to_pylist()] == [row.key for row in plan.read_shard(3)]
    with pytest.raises(OutputError, match="no plan"):
        load_plan(folder)


def test_a_hundred_thousand_rows_plan_quickly(tmp_path: Path, registry: CategoryRegistry) -> None:
    count = 100_000
    (tmp_path / "in").mkdir()
    for i in range(100):
        (tmp_path / f"in/{i}.png").write_bytes(b"x")
    rows = "".join(f"in/{i % 100}.png,perfume,{i}\n" for i in range(count))
    (tmp_path / "m.csv").write_text(f"image,category,seed\n{rows}")
    start = time.process_time()
    plan = build_plan(str(tmp_path / "m.csv"), tmp_path / "plan", CatalogueConfig(), registry, {})
    assert time.process_time() - start < 10
    assert (plan.rows, plan.failed, len(plan.keys)) == (count, 0, -(-count // 256))
    last = plan.read_shard(len(plan.keys) - 1)[-1]
    assert (last.row, last.output, last.seed) == (count - 1, f"in/99-{count // 100}", count - 1)


# --- categories and settings ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("perfume", ("perfume", "name")), ("PERFUME", ("perfume", "name")),
        ("fragrance", ("perfume", "alias")),
        ("scent", ("perfume", "map")), ("Beauty > Perfume > Eau", ("perfume", "parent")),
        ("fruit/perfume", ("perfume", "parent")), ("food | fruit | pear", ("fruit", "parent")),
        ("car", "UnknownCategoryError"), ("a > b", "UnknownCategoryError"), (None, "SettingsError"),
    ],
)  # fmt: skip
def test_category_and_how_it_was_chosen(registry: CategoryRegistry, given: str | None, expected: Any) -> None:
    chosen = CategoryChooser(CategoryRules({"scent": "perfume"}), registry).choose(given)
    found = chosen.error if isinstance(chosen, Failure) else (chosen.category.name, chosen.how)
    assert found == expected


def test_default_category_serves_the_unknown(registry: CategoryRegistry) -> None:
    chooser = CategoryChooser(CategoryRules(default="fruit"), registry)
    for given in ("car", None):
        chosen = chooser.choose(given)
        assert not isinstance(chosen, Failure)
        assert (chosen.category.name, chosen.how) == ("fruit", "default")
    with pytest.raises(UnknownCategoryError):
        CategoryChooser(CategoryRules(default="car"), registry)


@pytest.mark.parametrize(
    ("values", "word"),
    [({"seed": -1}, "-1"), ({"shard_size": 0}, "shard size"), ({"workers": 0}, "workers"),
     ({"threads": 0}, "threads"),
     ({"storage": "zip"}, "webdataset"), ({"engine": "slurm"}, "'slurm'"), ({"keep": "none"}, "keep"),
     ({"address": "host:1"}, "--address"), ({"reference_mask": Path("m")}, "--reference"),
     ({"reference": Path("gone.png")}, "gone.png"), ({"attempts": 17}, "attempts")],
)  # fmt: skip
def test_settings_outside_their_range(values: dict[str, Any], word: str) -> None:
    with pytest.raises((SettingsError, InputError), match=word):
        CatalogueConfig(**values)


def test_saved_manifest_comes_back(folder: Path, registry: CategoryRegistry) -> None:
    records = [
        Record(id=letter, image=folder / "a.png", category="fruit") for letter in string.ascii_lowercase
    ]
    for suffix in ("csv", "jsonl", "parquet"):
        save_manifest(records, folder / f"saved.{suffix}")
        plan = build_plan(str(folder / f"saved.{suffix}"), folder / "plan", CatalogueConfig(), registry, {})
        assert [(row.id, row.image) for row in plan_rows(plan)] == [(r.id, "a.png") for r in records]
