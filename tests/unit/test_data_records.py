"""Records of tables: every format read the same, every bad row named, rows in = rows out."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cyclorama.data.records import DataRecord, load_records
from cyclorama.data.table import open_table
from cyclorama.errors import ManifestError


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


def collect(path: Path) -> tuple[list[str], list[tuple[int, str]]]:
    """Names of the good rows, and number and reason of the bad ones."""
    rows = list(open_table(path))
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    good = [row.name for row in rows if row.error is None]
    return good, [(row.number, row.error) for row in rows if row.error is not None]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_csv_dialects_give_the_same_records(folder: Path, separator: str, encoding: str) -> None:
    rows = [["Image", "category", "seed", "note"], ["a.png", "饼干", "7", "x"], ["sub/a.png", "wine", "", ""]]
    text = "\r\n".join(separator.join(row) for row in rows) + "\r\n\r\n"
    first, second = load_records(write(folder, text, encoding=encoding))
    assert first == DataRecord("a", folder / "a.png", category="饼干", seed=7, extra={"note": "x"})
    assert second == DataRecord("sub/a", folder / "sub/a.png", category="wine")


def test_quoted_cells_keep_separators_quotes_and_line_ends(folder: Path) -> None:
    path = write(folder, 'image,category,note\na.png,"red, white","say ""hi""\nthere"\nb.png,wine,\n')
    first, second = load_records(path)
    assert first.category == "red, white"
    assert first.extra == {"note": 'say "hi"\nthere'}
    assert second.category == "wine"


def test_mask_words_are_a_note_but_a_missing_mask_file_is_an_error(folder: Path) -> None:
    path = write(
        folder,
        'image,category,mask,licence\na.png,apple,"white background, no alpha",MIT\n'
        "b.png,pear,alpha channel,MIT\na.jpg,plum,m.png,MIT\nsub/a.png,leek,gone.png,MIT\n",
    )
    assert [(row, "'gone.png'" in reason) for row, reason in collect(path)[1]] == [(4, True)]
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:4]))
    records = load_records(path)
    assert [(r.mask, r.extra) for r in records] == [
        (None, {"mask": "white background, no alpha"}),
        (None, {"mask": "alpha channel"}),
        (folder / "m.png", {}),
    ]
    assert [r.licence for r in records] == ["MIT"] * 3


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
    (record,) = load_records(write(folder, json.dumps(row) + "\n", "list.jsonl"))
    assert record == DataRecord(
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
    (record,) = load_records(write(folder, "image,category\nsub\\a.png,wine\n"))
    assert record.image == folder / "sub/a.png"
    assert record.id == "sub/a"


def test_names_made_from_paths_are_unique_and_do_not_depend_on_later_rows(folder: Path) -> None:
    path = write(folder, "image,id\na.png,\na.jpg,\na.png,\nsub/a.png,a-2\n")
    assert [r.id for r in load_records(path)] == ["a", "a-3", "a-4", "a-2"]


def test_an_id_that_comes_again_gets_a_number(folder: Path) -> None:
    path = write(folder, "image,id\na.png,one\nb.png,ONE\nm.png,one-2\na.jpg,one\n")
    assert [r.id for r in load_records(path)] == ["one", "ONE-3", "one-2", "one-4"]


BAD_ROWS = {
    "missing file": ("image\ngone.png\n", r"row 1 \(line 2\): column 'image': no such file 'gone.png'"),
    "url": ("image\nhttps://x.example/a.png\n", "those are not read; allow its host"),
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
        load_records(path)
    names, rejected = collect(path)
    assert names == []
    assert [number for number, _ in rejected] == [1]
    assert re.search(message.replace(r"row 1 \(line 2\): ", ""), rejected[0][1])


def test_jsonl_rows_that_are_no_objects_are_bad_rows(folder: Path) -> None:
    path = write(folder, '{"image": "a.png"}\n\n{"image": \n[1]\n{"image": 3}\n', "list.jsonl")
    names, rejected = collect(path)
    assert names == ["a.png"]
    assert [(number, reason.split(":")[0]) for number, reason in rejected] == [
        (2, "not valid JSON"),
        (3, "expected a JSON object, got '[1]'"),
        (4, "column 'image' must be a file path, got 3"),
    ]
    with pytest.raises(ManifestError, match=r"row 2 \(line 3\)"):
        load_records(path)


def test_a_required_column_is_asked_for(folder: Path) -> None:
    with pytest.raises(ManifestError, match="missing column 'category'; columns found: 'image'"):
        load_records(write(folder, "image\na.png\n"), required=("image", "category"))
    with pytest.raises(ManifestError, match=r"row 2 \(line 3\): column 'category' is empty"):
        load_records(write(folder, "image,category\na.png,x\nb.png,\n"), required=("image", "category"))


def test_a_folder_and_shards_become_records(folder: Path) -> None:
    (folder / "sub" / "a.json").write_text('{"category": "wine", "seed": 3}')
    (folder / "a_mask.png").write_bytes(b"x")
    assert load_records(folder)[:2] == [
        DataRecord("a", folder / "a.jpg", mask=folder / "a_mask.png"),
        DataRecord("a-2", folder / "a.png", mask=folder / "a_mask.png"),
    ]
    assert load_records(folder)[-1] == DataRecord("sub/a", folder / "sub/a.png", category="wine", seed=3)


CELLS = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=12)


@given(
    st.lists(st.tuples(CELLS, st.sampled_from(["a.png", "b.png", "gone.png", ""])), min_size=1, max_size=8)
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_in_are_rows_out(folder: Path, rows: list[tuple[str, str]]) -> None:
    lines = [json.dumps({"image": image, "category": category}) for category, image in rows]
    names, rejected = collect(write(folder, "\n".join(lines), "list.jsonl"))
    good = [i for i, (_, image) in enumerate(rows, 1) if image in ("a.png", "b.png")]
    assert [number for number, _ in rejected] == [i for i in range(1, len(rows) + 1) if i not in good]
    assert names == [rows[i - 1][1] for i in good]


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
    for (_, reason), message in zip(
        collect(path)[1], ["must be text", "NUL", "got True", "got 1.5"], strict=True
    ):
        assert message in reason
    path.write_text(json.dumps(rows[-1]))
    assert [(r.seed, r.category, r.brand, r.mask) for r in load_records(path)] == [
        (4, "12", None, folder / "m")
    ]


def test_a_mask_cell_that_cannot_be_a_path_is_a_note(folder: Path) -> None:
    (record,) = load_records(write(folder, "image,mask\na.png," + "words " * 900 + "\n"))
    assert record.mask is None
    assert record.extra["mask"].startswith("words words")


def test_images_outside_the_folder_are_named_by_their_file(folder: Path) -> None:
    inner = folder / "sub" / "list.csv"
    inner.write_text("image\n../b.png\na.png\n")
    assert [r.id for r in load_records(inner)] == ["b", "a"]
