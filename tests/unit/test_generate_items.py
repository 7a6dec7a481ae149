"""Inputs become shards: rows in are rows out, faults are named, keys follow what counts."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cyclorama.errors import InputError, ManifestError, OutputError, SettingsError
from cyclorama.generation.gate_settings import GateThresholds
from cyclorama.generation.items import Item, ItemSource
from cyclorama.generation.plan import Plan, PlanRow, build_plan, load_plan
from cyclorama.generation.settings import InputSettings, RunConfig, RunSettings
from cyclorama.jobs.job import EngineSettings
from cyclorama.models.registry import CategoryRegistry
from cyclorama.models.words import CategoryRules


@pytest.fixture
def registry() -> CategoryRegistry:
    known = CategoryRegistry()
    known.add("perfume", ["fragrance"])
    known.add("fruit")
    return known


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    for name in ("a.png", "b.jpg", "sub/a.png", "ref.png", "mask.png", "ü.png"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def write_jsonl(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows))
    return path


def plan_source(source: Any, work: Path, registry: CategoryRegistry, **settings: Any) -> list[PlanRow]:
    items = ItemSource(source, InputSettings(**settings))
    return list(build_plan(items, work, CategoryRules(), registry, {}, 4).iterate())


# --- rows -------------------------------------------------------------------------------------------------

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
    {"image": "a.png", "category": "sofa"},
    {"image": "a.png"},
]
USABLE = [0, 4, 5, 8, 10, 12, 14, 16]
SAID = {
    1: "gone.png", 2: "mage' is empty", 3: "sub", 6: "lost.png", 7: "mask_means", 9: "seed", 11: "seed",
    13: "nowhere.png", 15: "unknown category 'sofa'",
}  # fmt: skip


def expect_rows(rows: list[PlanRow], folder: Path) -> None:
    """A million rows and one are read alike: what is usable has its files, the rest its reason."""
    assert [row.row for row in rows] == list(range(len(BAD_ROWS)))
    assert [row.row for row in rows if row.failure is None] == USABLE
    for number, word in SAID.items():
        failure = rows[number].failure
        assert failure is not None
        assert word in failure.reason, number
        assert failure.error in ("ManifestError", "UnknownCategoryError", "SettingsError")
        assert failure.error != "ManifestError" or f"row {number + 1}" in failure.reason
    assert (rows[0].image, rows[0].id, rows[0].name) == (str(folder / "a.png"), "one", "a.png")
    assert (rows[4].mask, rows[4].mask_means) == (str(folder / "mask.png"), "background")
    assert (rows[5].mask, rows[5].image) == (None, str(folder / "b.jpg"))
    assert Path(rows[8].image or "") == folder / "sub/a.png"
    assert (rows[8].reference, rows[8].seed) == (str(folder / "ref.png"), 7)
    assert rows[10].seed == 2**63 - 1
    assert rows[14].name == "a.png"
    assert (rows[16].category, rows[16].category_source) == (None, "image")
    outputs = [row.output.casefold() for row in rows]
    assert len(set(outputs)) == len(outputs)


def test_jsonl_rows(folder: Path, registry: CategoryRegistry) -> None:
    expect_rows(plan_source(write_jsonl(folder / "m.jsonl", BAD_ROWS), folder / "plan", registry), folder)
    broken = ["{broken", '["no object"]', {"image": "a.png", "category": "fruit"}]
    rows = plan_source(write_jsonl(folder / "b.jsonl", broken), folder / "plan", registry)
    assert [row.failure is None for row in rows] == [False, False, True]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv_rows(folder: Path, registry: CategoryRegistry, separator: str) -> None:
    columns = ["Image", "category", "mask", "mask_means", "reference", "seed", "id", "note"]
    lines = [separator.join(columns)]
    for row in BAD_ROWS:
        cells = [str(row.get(name.lower(), "")) for name in columns]
        lines.append(separator.join(f'"{cell}"' if cell else "" for cell in cells[:-1]) + separator + '"n"')
    (folder / "m.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    expect_rows(plan_source(folder / "m.csv", folder / "plan", registry), folder)


def test_parquet_rows(folder: Path, registry: CategoryRegistry) -> None:
    names = ("image", "category", "mask", "mask_means", "reference", "id", "seed")
    seeds = [None if row.get("seed") is None else str(row["seed"]) for row in BAD_ROWS]
    values = {name: [row.get(name) for row in BAD_ROWS] for name in names} | {"seed": seeds}
    pq.write_table(pa.table(values), folder / "m.parquet")
    expect_rows(plan_source(folder / "m.parquet", folder / "plan", registry), folder)


def test_a_missing_file_is_named_with_the_column_of_the_table(
    folder: Path, registry: CategoryRegistry, tmp_path: Path
) -> None:
    table = folder / "t.csv"
    table.write_text(
        "Foto;Kategorie;style_file;Bild 2\ngone.png;fruit;;\na.png;fruit;gone.yaml;\na.png;fruit;;gone.jpg\n"
    )
    rows = plan_source(table, tmp_path / "work", registry)
    said = [row.failure and row.failure.reason for row in rows]
    gone = "(relative paths count from the table's folder)"
    assert said == [
        f"row 1: column 'Foto': no such file 'gone.png' {gone}",
        f"row 2: column 'style_file': no such file 'gone.yaml' {gone}",
        None,
        f"row 4: column 'Bild 2': no such file 'gone.jpg' {gone}",
    ]


def test_a_folder_gives_its_images_their_folders_as_categories(
    folder: Path, registry: CategoryRegistry
) -> None:
    (folder / "in/Perfumes/2024").mkdir(parents=True)
    (folder / "in/out").mkdir()
    for name in ("Perfumes/2024/a.png", "Perfumes/b.jpg", "c.png", "out/old.png"):
        (folder / "in" / name).write_bytes((folder / "a.png").read_bytes())
    source = ItemSource(folder / "in", out=folder / "in/out")
    rows = list(build_plan(source, folder / "plan", CategoryRules(), registry, {}, 4).iterate())
    assert [(row.name, row.category, row.category_source, row.category_match) for row in rows] == [
        ("Perfumes/2024/a.png", "perfume", "folder, plural", "Perfumes"),
        ("Perfumes/b.jpg", "perfume", "folder, plural", "Perfumes"),
        ("c.png", None, "image", None),
    ]


def test_masks_of_a_folder_lie_in_a_folder(folder: Path, registry: CategoryRegistry) -> None:
    (folder / "in/fruit").mkdir(parents=True)
    (folder / "masks/fruit").mkdir(parents=True)
    for name in ("in/fruit/a.jpg", "in/fruit/b.jpg", "masks/fruit/a.png"):
        (folder / name).write_bytes(b"\xff\xd8\xff")
    rows = plan_source(folder / "in", folder / "plan", registry, mask=folder / "masks")
    assert rows[0].mask == str(folder / "masks/fruit/a.png")
    assert rows[1].failure is not None
    assert rows[1].failure.error == "MissingMaskError"
    for source, mask in (("in", "mask.png"), ("a.png", "masks")):
        with pytest.raises(SettingsError, match=r"--mask .* is "):
            plan_source(folder / source, folder / "plan", registry, mask=folder / mask)
    manifest = write_jsonl(folder / "m.jsonl", BAD_ROWS[:1])
    with pytest.raises(SettingsError, match="column 'mask'"):
        plan_source(manifest, folder / "plan", registry, mask=folder / "mask.png")


def test_a_reference_serves_rows_without_their_own(folder: Path, registry: CategoryRegistry) -> None:
    manifest = write_jsonl(folder / "m.jsonl", [BAD_ROWS[0], BAD_ROWS[8]])
    rows = plan_source(
        manifest, folder / "plan", registry, reference=folder / "b.jpg", reference_mask=folder / "mask.png"
    )
    assert [(row.reference, row.reference_mask) for row in rows] == [
        (str(folder / "b.jpg"), str(folder / "mask.png")), (str(folder / "ref.png"), None),
    ]  # fmt: skip


@pytest.mark.parametrize("source", ["", "  ", None])
def test_an_empty_argument_is_refused_by_name(source: Any) -> None:
    with pytest.raises(ManifestError, match="the input is empty"):
        ItemSource(source)


def test_images_inside_a_table_become_files(folder: Path, registry: CategoryRegistry) -> None:
    cells = [{"bytes": b"\x89PNG\r\n one", "path": "x.png"}, {"bytes": b"\x89PNG\r\n two", "path": "y.png"}]
    pq.write_table(pa.table({"image": cells, "category": ["fruit", "fruit"]}), folder / "hf.parquet")
    rows = plan_source(folder / "hf.parquet", folder / "journal/plan", registry)
    assert [row.name for row in rows] == ["x.png", "y.png"]
    assert [Path(row.image or "").read_bytes() for row in rows] == [cell["bytes"] for cell in cells]
    assert {Path(row.image or "").parent for row in rows} == {folder / "journal/embedded"}


def test_manifest_at_an_address(folder: Path, registry: CategoryRegistry) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe(
        "/shop/list/m.csv", b"image,category\na.png,fruit\nsub/b.png,fruit\nmemory://else/c.png,fruit\n"
    )
    rows = plan_source("memory://shop/list/m.csv", folder / "plan", registry)
    assert [(row.name, row.image, row.failure) for row in rows] == [
        ("a.png", "memory://shop/list/a.png", None),
        ("sub/b.png", "memory://shop/list/sub/b.png", None),
        ("c.png", "memory://else/c.png", None),
    ]


def test_where_the_run_is_started_changes_nothing(
    folder: Path, registry: CategoryRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_jsonl(folder / "m.jsonl", BAD_ROWS)
    keys = []
    for place, source in (
        (folder, "m.jsonl"),
        (folder / "sub", "../m.jsonl"),
        (Path("/"), folder / "m.jsonl"),
    ):
        monkeypatch.chdir(place)
        keys.append([row.key for row in plan_source(source, folder / "plan", registry)])
    assert keys[0] == keys[1] == keys[2]


# --- keys and shards --------------------------------------------------------------------------------------


def build(folder: Path, registry: CategoryRegistry, rows: list[Any], **values: Any) -> Plan:
    run = RunSettings(**{"dtype": "float32", **{n: values.pop(n) for n in RUN if n in values}})
    config = RunConfig(run=run, engine=EngineSettings(shard_size=2, **values), gate=GateThresholds())
    source = ItemSource(write_jsonl(folder / "m.jsonl", rows))
    return build_plan(source, folder / "plan", config.rules, registry, config.describe(), 2)


RUN = ("seed", "dtype", "keep", "retry")


def test_only_what_changes_gets_another_key(folder: Path, registry: CategoryRegistry) -> None:
    rows = [
        {"image": name, "category": "fruit", "reference": ref}
        for name, ref in (
            ("a.png", None), ("b.jpg", "ref.png"), ("sub/a.png", None), ("ü.png", None), ("mask.png", None),
        )
    ]  # fmt: skip
    first = build(folder, registry, rows)
    keys = [row.key for row in first.iterate()]
    assert len(set(keys)) == 5
    assert len(first.keys) == 3
    assert build(folder, registry, rows).keys == first.keys

    (folder / "sub/a.png").write_bytes(b"other bytes")
    changed = [row.key for row in list(build(folder, registry, rows).iterate())]
    assert [a != b for a, b in zip(keys, changed, strict=True)] == [False, False, True, False, False]
    os.utime(folder / "ref.png", ns=(1, 1))
    again = build(folder, registry, rows)
    renewed = [row.key for row in again.iterate()]
    assert [a != b for a, b in zip(changed, renewed, strict=True)] == [False, True, False, False, False]
    assert [a == b for a, b in zip(first.keys, again.keys, strict=True)] == [False, False, True]

    rows[4]["category"] = "perfume"
    other = [row.key for row in list(build(folder, registry, rows).iterate())]
    assert [a != b for a, b in zip(renewed, other, strict=True)] == [False, False, False, False, True]
    for values in ({"seed": 1}, {"dtype": "bfloat16"}, {"keep": "best"}):
        plan = build(folder, registry, rows, **values)
        assert not {row.key for row in plan.iterate()} & set(other), values
    for values in ({"workers": 3}, {"loaders": 9}, {"retry": "failed"}):
        plan = build(folder, registry, rows, **values)
        assert [row.key for row in plan.iterate()] == other, values


def test_a_file_that_appears_renews_its_row(folder: Path, registry: CategoryRegistry) -> None:
    rows = [{"image": "late.png", "category": "fruit"}]
    before = next(build(folder, registry, rows).iterate())
    assert before.failure is not None
    (folder / "late.png").write_bytes(b"here")
    after = next(build(folder, registry, rows).iterate())
    assert after.failure is None
    assert after.key != before.key


def test_plan_on_disk_is_the_plan(folder: Path, registry: CategoryRegistry) -> None:
    plan = build(folder, registry, BAD_ROWS)
    assert load_plan(plan.folder) == plan
    assert plan.failed == sum(row.failure is not None for row in plan.iterate())
    assert [len(plan.read_shard(i)) for i in range(len(plan.keys))] == [2] * 8 + [1]
    assert plan.read_keys(3) == [row.key for row in plan.read_shard(3)]
    with pytest.raises(OutputError, match="no plan"):
        load_plan(folder)


def test_twenty_thousand_rows_are_planned_in_order(tmp_path: Path, registry: CategoryRegistry) -> None:
    count = 20_000
    (tmp_path / "in").mkdir()
    for i in range(100):
        (tmp_path / f"in/{i}.png").write_bytes(b"x")
    rows = "".join(f"in/{i % 100}.png,perfume,{i}\n" for i in range(count))
    (tmp_path / "m.csv").write_text(f"image,category,seed\n{rows}")
    plan = build_plan(ItemSource(tmp_path / "m.csv"), tmp_path / "plan", CategoryRules(), registry, {})
    assert (plan.rows, plan.failed, len(plan.keys)) == (count, 0, -(-count // 256))
    last = plan.read_shard(len(plan.keys) - 1)[-1]
    assert (last.row, last.output, last.seed) == (count - 1, f"in/99-{count // 100}", count - 1)


def test_keys_are_the_stored_ones(tmp_path: Path, registry: CategoryRegistry) -> None:
    """A release that changes them makes every image of every run anew."""
    looks = [{}, {"mask": "s3://b/m.png", "mask_means": "alpha"}, {"reference": "s3://b/r.png"}, {"seed": 7}]
    items = [
        Item(f"{name}.png", f"s3://b/{name}.png", category="Fruits", id=str(number), **values)
        for number, (name, values) in enumerate(zip(["a", "ü", "a", "\ud800"], looks, strict=True))
    ]
    plan = build_plan(items, tmp_path, CategoryRules(), registry, {"a": 1}, 3)
    assert [row.output for row in plan.iterate()] == ["a", "ü", "a-2", "_"]
    assert [key[:8] for key in plan.read_keys(0)] == ["0b1b6ff5", "4d1fa960", "e39fac44"]
    assert [key[:8] for key in plan.keys] == ["afb4710e", "c5c94325"]


def test_a_row_that_says_other_words_is_told_anew(folder: Path, registry: CategoryRegistry) -> None:
    """Its images stay; its shard is opened, so that its row says them."""
    first = build(folder, registry, [{"image": "a.png", "category": "fruit", "id": "1"}])
    for changed in ({"id": "2"}, {"category": "Fruits"}):
        row = {"image": "a.png", "category": "fruit", "id": "1"} | changed
        again = build(folder, registry, [row])
        assert [r.key for r in again.iterate()] == first.read_keys(0) or again.keys != first.keys
        assert again.keys != first.keys


def test_items_can_be_given_by_a_program(folder: Path, registry: CategoryRegistry) -> None:
    items = [Item("a.png", str(folder / "a.png"), category="fruit", folder=f"f{i}") for i in range(2)]
    plan = build_plan(items, folder / "plan", CategoryRules(), registry, {})
    assert [(row.name, row.output) for row in plan.iterate()] == [("a.png", "f0/a"), ("a.png", "f1/a")]


# --- settings ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "values", "word"),
    [(RunSettings, {"seed": -1}, "seed: must be from 0 to .*, got -1"),
     (RunSettings, {"seed": 2**63}, "got 9223372036854775808"),
     (RunSettings, {"storage": "zip"}, "'webdataset', got 'zip'"), (RunSettings, {"keep": "none"}, "keep"),
     (RunSettings, {"attempts": 17}, "attempts: must be from 0 to 16, got 17"),
     (RunSettings, {"dtype": "half"}, "'half'"), (RunSettings, {"speed": 1}, "unknown key 'speed'"),
     (InputSettings, {"reference_mask": Path("m")}, "--reference"),
     (InputSettings, {"reference": Path("gone.png")}, "gone.png"),
     (InputSettings, {"mask": Path("gone.png")}, "gone.png")],
)  # fmt: skip
def test_settings_outside_their_range(kind: Any, values: dict[str, Any], word: str) -> None:
    with pytest.raises((SettingsError, InputError), match=word):
        kind(**values)


def test_what_needs_a_judge_says_so() -> None:
    for values in ({"attempts": 1}, {"keep": "best"}):
        with pytest.raises(SettingsError, match="--gate"):
            RunConfig(run=RunSettings(**values))
