"""Manifests: every format read the same, every bad row named, rows in = rows out."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cyclorama.data.manifest import load_manifest, save_manifest
from cyclorama.data.schema import Record
from cyclorama.data.tables import detect_separator
from cyclorama.errors import ManifestError, OutputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    for name in ("a.png", "b.png", "a.jpg", "sub/a.png", "m.png", "ref.webp"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def write(folder: Path, text: str, name: str = "list.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_csv_dialects_give_the_same_records(folder: Path, separator: str, encoding: str) -> None:
    rows = [["Image", "category", "seed", "note"], ["a.png", "饼干", "7", "x"], ["sub/a.png", "wine", "", ""]]
    text = "\r\n".join(separator.join(row) for row in rows) + "\r\n\r\n"
    first, second = load_manifest(write(folder, text, encoding=encoding))
    assert first == Record("a", folder / "a.png", category="饼干", seed=7, extra={"note": "x"})
    assert second == Record("sub/a", folder / "sub/a.png", category="wine")


def test_quoted_cells_keep_separators_quotes_and_line_ends(folder: Path) -> None:
    path = write(folder, 'image,category,note\na.png,"red, white","say ""hi""\nthere"\nb.png,wine,\n')
    first, second = load_manifest(path)
    assert first.category == "red, white"
    assert first.extra == {"note": 'say "hi"\nthere'}
    assert second.category == "wine"


def test_mask_words_are_a_note_but_a_missing_mask_file_is_an_error(folder: Path) -> None:
    path = write(
        folder,
        'image,category,mask,licence\na.png,apple,"white background, no alpha",MIT\n'
        "b.png,pear,alpha channel,MIT\na.jpg,plum,m.png,MIT\nsub/a.png,leek,gone.png,MIT\n",
    )
    records, rejected = load_manifest(path, on_error="collect")
    assert [(r.mask, r.extra) for r in records] == [
        (None, {"mask": "white background, no alpha"}),
        (None, {"mask": "alpha channel"}),
        (folder / "m.png", {}),
    ]
    assert [r.licence for r in records] == ["MIT"] * 3
    assert [(r.row, "'gone.png'" in r.reason) for r in rejected] == [(4, True)]


def test_all_columns_of_generate_are_understood(folder: Path) -> None:
    row = {
        "image": "a.png",
        "mask": "m.png",
        "mask_means": "Background",
        "category": "wine",
        "reference": "ref.webp",
        "reference_mask": "m.png",
        "seed": 5,
        "license": "CC0",
        "price": 9.5,
    }
    (record,) = load_manifest(write(folder, json.dumps(row) + "\n", "list.jsonl"))
    assert record == Record(
        id="a",
        image=folder / "a.png",
        mask=folder / "m.png",
        mask_means="background",
        category="wine",
        reference=folder / "ref.webp",
        reference_mask=folder / "m.png",
        seed=5,
        licence="CC0",
        extra={"price": 9.5},
    )


def test_paths_written_on_windows_are_found(folder: Path) -> None:
    (record,) = load_manifest(write(folder, "image,category\nsub\\a.png,wine\n"))
    assert record.image == folder / "sub/a.png"
    assert record.id == "sub/a"


def test_names_made_from_paths_are_unique_and_do_not_depend_on_later_rows(folder: Path) -> None:
    path = write(folder, "image,id\na.png,\na.jpg,\na.png,\nsub/a.png,a-2\n")
    assert [r.id for r in load_manifest(path)] == ["a", "a-3", "a-4", "a-2"]


def test_an_id_given_twice_is_a_bad_row(folder: Path) -> None:
    path = write(folder, "image,id\na.png,one\nb.png,ONE\n")
    with pytest.raises(ManifestError, match=r"row 2 \(line 3\): id 'ONE' is already used by row 1"):
        load_manifest(path)


BAD_ROWS = {
    "missing file": ("image\ngone.png\n", r"row 1 \(line 2\): column 'image': no such file 'gone.png'"),
    "url": ("image\nhttps://x.example/a.png\n", "download it first"),
    "folder": ("image\nsub\n", "'sub' is a folder"),
    "empty": ("image,category\n,wine\n", "column 'image' is empty"),
    "too many cells": ("image,category\na.png,red, white\n", "3 cells under 2 columns"),
    "too few cells": ("image,category\na.png\n", "1 cells under 2 columns"),
    "word seed": ("image,seed\na.png,many\n", "column 'seed': got 'many'"),
    "negative seed": ("image,seed\na.png,-1\n", "column 'seed': got '-1'"),
    "huge seed": ("image,seed\na.png,9223372036854775808\n", "2\\*\\*63 - 1"),
    "mask means": ("image,mask_means\na.png,white\n", "allowed: 'product', 'background', 'alpha'"),
    "reference": ("image,reference\na.png,gone.jpg\n", "column 'reference': no such file"),
    "long name": ("image\n" + "x" * 5000 + ".png\n", "too long"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_is_named_and_can_be_collected(folder: Path, case: str) -> None:
    text, message = BAD_ROWS[case]
    path = write(folder, text)
    with pytest.raises(ManifestError, match=message):
        load_manifest(path)
    records, rejected = load_manifest(path, on_error="collect")
    assert records == []
    assert [row.row for row in rejected] == [1]
    assert re.search(message.replace(r"row 1 \(line 2\): ", ""), rejected[0].reason)


def test_jsonl_rows_that_are_no_objects_are_bad_rows(folder: Path) -> None:
    path = write(folder, '{"image": "a.png"}\n\n{"image": \n[1]\n{"image": 3}\n', "list.jsonl")
    records, rejected = load_manifest(path, on_error="collect")
    assert [r.id for r in records] == ["a"]
    assert [(r.row, r.reason.split(":")[0]) for r in rejected] == [
        (2, "not valid JSON"),
        (3, "expected a JSON object, got '[1]'"),
        (4, "column 'image' must be a file path, got 3"),
    ]
    with pytest.raises(ManifestError, match=r"row 2 \(line 3\)"):
        load_manifest(path)


def test_whole_files_that_cannot_be_read(folder: Path) -> None:
    cases = [
        (
            write(folder, "photo_file,category\na.png,wine\n"),
            "missing column 'image'; columns found: 'photo_file', 'cat",
        ),
        (write(folder, "", "empty.csv"), "is empty"),
        (write(folder, "image,image\na.png,b.png\n", "twice.csv"), "column 'image' appears more than once"),
        (write(folder, "image\n饼.png\n", "old.csv", "gb18030"), "is not UTF-8"),
        (write(folder, 'image\n"a.png\n', "quote.csv"), "not valid CSV"),
        (write(folder, "x", "list.xlsx"), "suffix '.xlsx' is no manifest"),
        (write(folder, "x", "bad.parquet"), "not a readable Parquet file"),
        (folder / "gone.csv", "no manifest at"),
    ]
    for path, message in cases:
        with pytest.raises(ManifestError, match=message):
            load_manifest(path)
    with pytest.raises(ManifestError, match="missing column 'category'"):
        load_manifest(write(folder, "image\na.png\n"), required=("image", "category"))


@pytest.mark.parametrize("name", ["out.csv", "out.tsv", "out.jsonl", "out.parquet"])
def test_saved_manifests_load_as_they_were(folder: Path, name: str) -> None:
    records = [
        Record(
            "one",
            folder / "a.png",
            category='a "b", c\nd',
            seed=2**63 - 1,
            extra={"mask": "no alpha", "q": "x"},
        ),
        Record("two", folder / "sub/a.png", mask=folder / "m.png", mask_means="alpha", split="train"),
    ]
    save_manifest(records, folder / name)
    assert load_manifest(folder / name) == records
    assert not list(folder.glob("*.part"))


def test_saved_paths_inside_the_folder_are_relative_and_move_with_it(folder: Path) -> None:
    save_manifest([Record("one", folder / "sub/a.png")], folder / "out.jsonl")
    assert json.loads((folder / "out.jsonl").read_text()) == {"id": "one", "image": "sub/a.png"}
    moved = folder.rename(folder.with_name("moved"))
    assert load_manifest(moved / "out.jsonl") == [Record("one", moved / "sub/a.png")]


def test_extra_types_survive_jsonl_and_become_json_text_in_csv(folder: Path) -> None:
    record = Record("one", folder / "a.png", extra={"tags": ["x", 1], "price": 1.5})
    save_manifest([record], folder / "out.jsonl")
    assert load_manifest(folder / "out.jsonl") == [record]
    save_manifest([record], folder / "out.csv")
    assert load_manifest(folder / "out.csv") == [replace(record, extra={"tags": '["x", 1]', "price": "1.5"})]


def test_saving_refuses_what_it_cannot_hold(folder: Path) -> None:
    with pytest.raises(ManifestError, match="extra column 'seed' shadows"):
        save_manifest([Record("one", folder / "a.png", extra={"seed": 1})], folder / "out.csv")
    mixed = [Record(str(i), folder / "a.png", extra={"x": x}) for i, x in enumerate(["text", 1])]
    with pytest.raises(ManifestError, match="mixes types"):
        save_manifest(mixed, folder / "out.parquet")
    with pytest.raises(OutputError, match="cannot write"):
        save_manifest([], folder / "a.png" / "out.csv")


def test_the_separator_is_the_one_that_finds_known_columns() -> None:
    assert detect_separator("image;note, long;x, y, z, w") == ";"
    assert detect_separator("image") == ","


CELLS = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=12)


@given(
    st.lists(st.tuples(CELLS, st.sampled_from(["a.png", "b.png", "gone.png", ""])), min_size=1, max_size=8)
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_in_are_rows_out(folder: Path, rows: list[tuple[str, str]]) -> None:
    lines = [json.dumps({"image": image, "category": category}) for category, image in rows]
    records, rejected = load_manifest(write(folder, "\n".join(lines), "list.jsonl"), on_error="collect")
    good = [i for i, (_, image) in enumerate(rows, 1) if image in ("a.png", "b.png")]
    assert [row.row for row in rejected] == [i for i in range(1, len(rows) + 1) if i not in good]
    assert [r.image.name for r in records] == [rows[i - 1][1] for i in good]
    assert len({r.id for r in records}) == len(records)


def test_cells_of_the_wrong_kind_are_named(folder: Path) -> None:
    rows = [
        {"image": "a.png", "category": ["wine"]},
        {"image": "a\0.png"},
        {"image": "a.png", "seed": True},
        {"image": "a.png", "seed": 1.5},
        {"image": "a.png", "seed": 4.0, "category": 12, "brand": float("nan"), "mask": "m"},
    ]
    (folder / "m").write_bytes(b"x")
    path = write(folder, "\n".join(map(json.dumps, rows)), "list.jsonl")
    records, rejected = load_manifest(path, on_error="collect")
    assert [(r.seed, r.category, r.brand, r.mask) for r in records] == [(4, "12", None, folder / "m")]
    for row, message in zip(rejected, ["must be text", "NUL", "got True", "got 1.5"], strict=True):
        assert message in row.reason


def test_a_mask_cell_that_cannot_be_a_path_is_a_note(folder: Path) -> None:
    (record,) = load_manifest(write(folder, "image,mask\na.png," + "words " * 900 + "\n"))
    assert record.mask is None
    assert record.extra["mask"].startswith("words words")


def test_images_outside_the_folder_are_named_by_their_file(folder: Path) -> None:
    inner = folder / "sub" / "list.csv"
    inner.write_text("image\n../b.png\na.png\n")
    assert [r.id for r in load_manifest(inner)] == ["b", "a"]
    save_manifest(load_manifest(inner), folder / "sub" / "again.csv")
    assert (folder / "sub" / "again.csv").read_text().splitlines()[1] == f"b,{(folder / 'b.png').resolve()}"
