"""Encodings, separators, quotation marks and headers of text tables: cyclorama.data.text at its limits."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from typing import Any

import pytest

from cyclorama.data import text
from cyclorama.data.text import Grid, Opener, detect_encoding, detect_separator, fill_grid, find_grid
from cyclorama.errors import ManifestError


def opener(data: bytes) -> Opener:
    return Opener(lambda: io.BytesIO(data), "", "t")


GB = b"\xb0\xa1 "
"""A character of GB18030: two high bytes that are no UTF-8."""


@pytest.mark.parametrize(
    ("data", "codec"),
    [
        (b"abc", "utf-8"),
        ("é".encode(), "utf-8"),
        (b"\xff\xfea\0", "utf-16"),
        (b"a\0b\0", "utf-16-le"),
        (b"\0a\0b", "utf-16-be"),
        (b"a\0bcd\0", "utf-16-le"),  # 2 of 6 bytes
        (b"\0\0\0\0ab", "utf-16-be"),  # as many in even places as in odd ones
        ("é ".encode() * 2 + b"\xff", "cp1252"),  # two whole characters for a damaged one: no UTF-8
        ("é ".encode() * 10 + b" \xff" * 5, "cp1252"),
        ("é ".encode() * 3 + b"\xff", "utf-8"),
        ("\x80".encode() * 3 + b"\xff", "utf-8"),
        (GB * 9 + b"\x80 " * 2, "gb18030"),  # 18 of 20 high bytes are in pairs
        (GB * 9 + b"\x80 " * 3, "cp1252"),
        (b"th\xe9", "cp1252"),
    ],
)
def test_encodings_are_told_by_shares_of_bytes(data: bytes, codec: str) -> None:
    assert detect_encoding(opener(data))[0] == codec


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(ManifestError, match="t is neither a table, a feed nor an image"):
        detect_encoding(opener(b"a\0bc"))  # a quarter of zero bytes is not yet UTF-16
    with pytest.raises(ManifestError, match="encoding that cannot be told"):
        detect_encoding(opener(b"\x81 \xe9"))


def test_a_zip_holds_one_table() -> None:
    for names, message in ((["a.csv"], ""), (["a.csv", "b.csv"], "a zip of 2 files"), ([], "of 0 files")):
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as packed:
            packed.writestr("__MACOSX/._a.csv", "x")
            for name in names:
                packed.writestr(name, "image\n")
        if message:
            with pytest.raises(ManifestError, match=message):
                text.unpack(opener(data.getvalue()))
        else:
            unpacked = text.unpack(opener(data.getvalue()))
            with unpacked.open() as stream:
                assert (unpacked.note, stream.read()) == ("zip", b"image\n")


def read(lines: list[str], separator: str = ",") -> tuple[list[tuple[int, list[str]]], int]:
    odd: Counter[str] = Counter()
    return list(text.read_records(iter(lines), separator, odd)), odd.total()


def test_a_quoted_cell_may_span_so_many_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "_LONGEST_CELL", 2)
    assert read(['a,"x', "y", 'z"', "", "b,c"]) == ([(3, ["a", "x\ny\nz"]), (5, ["b", "c"])], 0)
    longer = ['a,"x', "y", "z", 'w"', "b,c"]
    expected = [(1, ["a", '"x']), (2, ["y"]), (3, ["z"]), (4, ['w"']), (5, ["b", "c"])]
    assert read(longer) == (expected, 1)


def test_marks_that_are_no_quotation_are_counted() -> None:
    assert read(['5" disc,"a"b', '"a ""b""",c']) == ([(1, ['5" disc', '"a"b']), (2, ['a "b"', "c"])], 1)
    assert read(['"a \\"b\\"",c']) == ([(1, ['a "b"', "c"])], 0)
    assert read([" , ", "a"]) == ([(2, ["a"])], 0)


def find(records: list[list[Any]]) -> Grid:
    return find_grid(records, lambda cells: 1 if "image" in cells else 0, lambda cell: cell.endswith(".png"))


def test_the_header_is_the_first_record_with_an_image_column() -> None:
    assert find([["image", "x"], ["a.png", "1"]]) == Grid(("image", "x"), 1, (), 1)
    one, two = ["Export", ""], ["of", "today"]
    header = ["image", "x"]
    assert find([one, header, ["a", "b"]]) == Grid(
        ("image", "x"), 2, ("1 line before the header left out",), 1
    )
    assert find([one, two, header]) == Grid(("image", "x"), 3, ("2 lines before the header left out",), 1)
    assert find([one] * 19 + [header]).skip == 20 and find([one] * 20 + [header]).skip == 1


def test_a_list_without_a_header_has_an_image_in_its_first_record() -> None:
    assert find([["7", "a.png", "x"]]) == Grid(
        ("column 1", "image", "column 3"), 0, ("no header; column 2 is taken for the image",), 0
    )
    assert find([["u", "v"], ["1", "2"]]) == Grid(("u", "v"), 1, (), 0)
    assert find([]) == Grid((), 1, (), 0)


def test_columns_get_a_name_of_their_own() -> None:
    below = [["0", "a.png", "7", "8", "9", ""], ["1", "b.png"]]
    grid = find([["", "image", "x", "x", "x", ""], *below])
    assert grid.columns == (None, "image", "x", "x 2", "x 3", None)
    assert grid.notes == (
        "column 1 is a row index and left out",
        "column 'x' comes again and is called 'x 2'",
        "column 'x' comes again and is called 'x 3'",
    )
    assert find([["Unnamed: 0", "image"], ["0", "a"]]).columns == (None, "image")
    assert find([["Unnamed: 0", "image"], ["z", "a"]]).columns == ("Unnamed: 0", "image")
    assert find([["id", "image"], ["0", "a"]]).columns == ("id", "image")
    assert find([["image", "", "Unnamed: 0"], ["a", "5", "6"]]).columns == ("image", "column 2", "Unnamed: 0")
    assert find([["image", None, "Unnamed: 7"], ["a", None, " "], ["b"]]).columns == ("image", None, None)


def fill(columns: tuple[str | None, ...], *records: list[Any], mapped: str = "image") -> list[Any]:
    numbered = iter(enumerate([["header"], *records], 1))
    return list(fill_grid(numbered, Grid(columns, 1, (), 1), lambda name: name == mapped, Counter()))


def test_records_are_filled_up_to_what_is_needed() -> None:
    columns = ("x", "image", "y", "z")
    problem = "{} cells under 4 columns; quote a cell that holds the separator, and keep empty cells".format
    assert fill(columns, ["1", "a", "2", "3"]) == [(2, {"x": "1", "image": "a", "y": "2", "z": "3"}, None)]
    short = fill(columns, ["1", "a"], ["1"], ["1", "a", "2", "3", " ", None], ["1", "a", "2", "3", "4"])
    full = {"x": "1", "image": "a", "y": "2", "z": "3"}
    assert short == [
        (2, {"x": "1", "image": "a", "y": None, "z": None}, None),
        (3, {"x": "1", "image": None, "y": None, "z": None}, problem(1)),
        (4, full, None),
        (5, full, problem(5)),
    ]
    assert fill(columns, ["1"], mapped="none") == [(2, {**dict.fromkeys(columns), "x": "1"}, None)]
    left_out = fill((None, "image", None, "z"), ["1", "a", "2", "3"], ["1", "b"])
    assert left_out == [(2, {"image": "a", "z": "3"}, None), (3, {"image": "b", "z": None}, None)]


@pytest.mark.parametrize(
    ("head", "given", "separator", "stated", "columns"),
    [
        (["image"], None, ",", False, ("image",)),  # as good under each: the first
        (["image;x,y;z", "a;b;c"], None, ";", False, ("image", "x,y", "z")),
        (["image,x;y", "a,b"], None, ",", False, ("image", "x;y")),
        (["image\tx"], None, "\t", False, ("image", "x")),
        (["image,x"], "|", "|", False, ("image,x",)),
        (["sep=;", "image;x"], None, ";", True, ("image", "x")),
        (['"sep=|"', "image|x"], None, "|", True, ("image", "x")),
        (["sep=", "image\tx"], None, "\t", True, ("image", "x")),
        (["SEP=|", "image,x"], ",", ",", True, ("image", "x")),
        (["sep=ab", "image,x"], None, ",", False, ("image", "x")),
    ],
)
def test_the_separator_under_which_most_is_known(
    head: list[str], given: str | None, separator: str, stated: bool, columns: tuple[str, ...]
) -> None:
    found, said, grid = detect_separator(head, given, find)
    assert (found, said, grid.columns) == (separator, stated, columns)
