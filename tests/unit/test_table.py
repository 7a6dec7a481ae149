"""How records become rows: cyclorama.data.table by its values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cyclorama.data.fetch import UrlPolicy
from cyclorama.data.table import Row, Table, open_table
from cyclorama.errors import ManifestError


def build(folder: Path, *records: dict[str, Any], name: str = "t.jsonl", **options: Any) -> Table:
    (folder / name).write_text("".join(json.dumps(record) + "\n" for record in records))
    return open_table(folder / name, **{"check_files": False, **options})


def build_csv(folder: Path, text: str, **options: Any) -> list[Row]:
    (folder / "t.csv").write_text(text)
    return list(open_table(folder / "t.csv", **{"check_files": False, **options}))


def plain(row: Row) -> dict[str, Any]:
    return {name: value for name, value in row.values.items() if name != "image"}


def test_further_columns_keep_what_they_hold(tmp_path: Path) -> None:
    record = {
        "image": "a.png",
        "x": 1.5,
        "y": float("nan"),
        "z": " ",
        "u": " v ",
        "w": None,
        "n": 0,
        "f": False,
    }
    (row,) = build(tmp_path, record)
    assert plain(row) == {"x": 1.5, "u": "v", "n": 0, "f": False}
    assert row.values["image"] == str(tmp_path / "a.png") and row.error is None


def test_each_image_of_a_record_is_a_row_with_values_of_its_own(tmp_path: Path) -> None:
    rows = list(build(tmp_path, {"images": ["a.png", "b.png", "a.png"], "id": "7"}, {"images": ["c.png"]}))
    assert [(r.number, r.name, r.values.get("image_number")) for r in rows] == [
        (1, "a.png", 1),
        (2, "b.png", 2),
        (3, "c.png", None),
    ]
    assert [r.values["image"] for r in rows] == [str(tmp_path / f"{n}.png") for n in "abc"]
    assert [r.values.get("id") for r in rows] == ["7", "7", None]


def test_columns_that_come_later_are_found(tmp_path: Path) -> None:
    table = build(
        tmp_path, *[{"image": "a.png"}] * 1000, {"image": "b.png", "title": "T", "image 2": "c.png"}
    )
    assert table.columns == ["image"]
    last = list(table)[-2:]
    assert [(r.number, r.name, r.values["title"]) for r in last] == [
        (1001, "b.png", "T"),
        (1002, "c.png", "T"),
    ]
    assert table.columns == ["image", "title", "image 2"]


def test_a_required_field_must_be_filled(tmp_path: Path) -> None:
    rows = build_csv(tmp_path, "image,mask\na.png,m.png\nb.png,\n,m.png\n", required=("image", "mask"))
    assert [row.error for row in rows] == [None, "column 'mask' is empty", "column 'image' is empty"]
    assert [row.name for row in rows] == ["a.png", "b.png", "row-3"]
    assert rows[0].values["mask"] == str(tmp_path / "m.png")


def test_a_mask_cell_that_is_no_file_is_kept_as_a_note(tmp_path: Path) -> None:
    rows = build_csv(
        tmp_path,
        "image,mask,reference\na.png,white background,r.png\nb.png,gone.png?v=1,odd\n",
        check_files=True,
        required=("image",),
    )
    assert rows[0].values["mask_note"] == "white background" and "mask" not in rows[0].values
    assert "r.png" in str(rows[0].error) and "gone.png" in str(rows[1].error)
    (tmp_path / "cut out").write_bytes(b"x")
    (tmp_path / "a.png").write_bytes(b"x")
    (row,) = build_csv(tmp_path, "image,mask\na.png,cut out\n", check_files=True)
    assert row.values["mask"] == str(tmp_path / "cut out") and row.error is None


SHOPIFY = """Handle,Title,Type,Variant SKU,Image Src
flacon,Flacon,Perfume,F-30,front.png
flacon,,,F-50,side.png
flacon,,,F-99,
flacon,,,F-98,front.png
malt,Malt,Whisky,M-1,front.png
,Odd,,,o.png
,Odder,,,o.png
"""


def test_shopify_rows_share_the_values_of_their_product(tmp_path: Path) -> None:
    rows = build_csv(tmp_path, SHOPIFY)
    found = [
        (r.name, r.values["image_number"], r.values.get("title"), r.values.get("category")) for r in rows
    ]
    assert found == [
        ("front.png", 1, "Flacon", "Perfume"),
        ("side.png", 2, "Flacon", "Perfume"),
        ("front.png", 1, "Malt", "Whisky"),
        ("o.png", 1, "Odd", None),
        ("o.png", 1, "Odder", None),
    ]
    assert [r.values.get("id") for r in rows] == ["flacon", "flacon", "malt", None, None]
    table = open_table(tmp_path / "t.csv", check_files=False)
    for _ in range(2):
        assert len(list(table)) == 5
        assert table.notes[-1] == "skipped or mended: 2 × variants without an image of their own"


def test_woocommerce_variations_without_an_image_are_no_rows(tmp_path: Path) -> None:
    text = (
        'ID,Type,SKU,Name,Categories,Images\n1,variable,W1,A,Wine,"a.png, b.png"\n'
        "2,variation,W1-1,A,,\n3, Variation ,W1-2,A,,c.png\n4,simple,W2,B,Wine,\n"
    )
    rows = build_csv(tmp_path, text)
    assert [(r.name, r.values.get("image_number"), r.error) for r in rows] == [
        ("a.png", 1, None),
        ("b.png", 2, None),
        ("c.png", None, None),
        ("row-4", None, "column 'Images' is empty"),
    ]
    notes = open_table(tmp_path / "t.csv", check_files=False).notes
    assert notes[-1].startswith("WooCommerce product table; columns: ")


def test_names_are_relative_to_the_table(tmp_path: Path) -> None:
    policy = UrlPolicy(hosts=("shop.example",))
    cells = {
        "sub/a.png": "sub/a.png",
        "./a.png": "a.png",
        "sub//b.png": "sub/b.png",
        "../c.png": "c.png",
        "sub\\d.png": "sub/d.png",
        str(tmp_path / "e.png"): "e.png",
        "/elsewhere/f.png": "f.png",
        "https://shop.example/x/g%20h.png?v=1#top": "g h.png",
    }
    rows = list(build(tmp_path, *[{"image": cell} for cell in cells], urls=policy))
    assert [row.name for row in rows] == list(cells.values())
    assert [row.error for row in rows] == [None] * len(cells)
    refused = list(build(tmp_path, {"image": "https://shop.example/a.png"}, {"image": "https://b.example/a"}))
    assert "those are not read; allow its host" in str(refused[0].error)
    assert refused[0].values["image"] == "https://shop.example/a.png"


@pytest.mark.parametrize(
    "cell", ["a.png", "a b/c.d.png", "ü/ß-1", "-x.png", ".hidden.png", "~x.png", "a./b.png", "a..b", "q'.png"]
)
def test_a_file_has_one_name_and_address_looked_for_or_not(cell: str, tmp_path: Path) -> None:
    path = tmp_path / cell
    path.parent.mkdir(exist_ok=True)
    path.touch()
    table = tmp_path / "t.csv"
    table.write_text(f"image\n{cell}\n", encoding="utf-8")
    rows = [next(iter(open_table(table, check_files=check))) for check in (True, False)]
    assert rows[0] == rows[1] == (1, cell, {"image": str(path)}, None, 2, {"image": "image"})


def test_tables_without_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"has no rows; give a table with an image in each row"):
        build_csv(tmp_path, "image\n")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("x")
    with pytest.raises(ManifestError, match=r"has no rows.* \(skipped: 1 × no image \(\.txt\)\)"):
        open_table(tmp_path / "in")


def test_notes_tell_what_was_found(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"x")
    folder = open_table(tmp_path / "in")
    assert folder.notes == [f"{tmp_path / 'in'}: folder"]
    (tmp_path / "in" / ".b").write_bytes(b"x")
    assert open_table(tmp_path / "in").notes[1:] == ["skipped or mended: 1 × hidden file"]
    assert Row(3, "a", {}, line=None).place == "row 3" and Row(3, "a", {}, None, 4).place == "row 3 (line 4)"


GERMAN = """sku;Foto;Kategorie;style_file;Startwert;Bild 2;Maske
1;gone.png;perfume;;;;
2;sub;perfume;;;;
3;../a.png;perfume;;;;
4;https://x.example/a.png;perfume;;;;
5;a.png;perfume;gone.yaml;;;
6;a.png;perfume;;soon;;
7;a.png;perfume;;;gone.jpg;
8;;perfume;;;;
9;a.png;perfume;;;;gone.png
"""


@pytest.mark.parametrize("inside", [False, True])
def test_an_error_names_the_column_as_the_table_does(inside: bool, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.png").touch()
    columns = {"seed": "Startwert", "mask": "Maske"}
    rows = build_csv(tmp_path, GERMAN, columns=columns, check_files=True, inside=inside)
    gone = "(relative paths count from the table's folder)"
    assert [row.error for row in rows] == [
        f"column 'Foto': no such file 'gone.png' {gone}",
        "column 'Foto': 'sub' is a folder, not a file",
        "column 'Foto': '../a.png' is outside the table's folder; name a file below it"
        if inside
        else f"column 'Foto': no such file '../a.png' {gone}",
        "column 'Foto': https://x.example/a.png is a web address, and those are not read; allow its host "
        "(--allow-urls HOST)",
        f"column 'style_file': no such file 'gone.yaml' {gone}",
        "column 'Startwert': got 'soon', need a whole number from 0 to 2**63 - 1",
        None,
        f"column 'Bild 2': no such file 'gone.jpg' {gone}",
        "column 'Foto' is empty",
        f"column 'Maske': no such file 'gone.png' {gone}",
    ]


def test_cells_that_are_no_text_name_the_column_as_the_table_does(tmp_path: Path) -> None:
    records: list[dict[str, Any]] = [{"Foto": 3}, {"Foto": "a\0.png"}, {"Foto": "a.png", "Kategorie": ["x"]}]
    rows = list(build(tmp_path, *records))
    assert [row.error for row in rows] == [
        "column 'Foto' must be a file path, got 3",
        "column 'Foto' holds a NUL character: 'a\\x00.png'",
        "column 'Kategorie' must be text, got ['x']",
    ]
    (row,) = build_csv(
        tmp_path, "Foto,Maske\na.png,\n", columns={"mask": "Maske"}, required=("image", "mask")
    )
    assert row.error == "column 'Maske' is empty"
