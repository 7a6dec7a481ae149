"""What kind of list lies at an address, and its lines: cyclorama.data.opening by its values."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cyclorama.data.folders import Listing, is_image_name
from cyclorama.data.opening import Options, Source, open_source
from cyclorama.errors import ManifestError

PNG = b"\x89PNG\r\n\x1a\n" + b"x" * 40


def save(folder: Path, **files: bytes | str) -> None:
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_o_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def open_text(path: Path, content: bytes | str, **options: Any) -> Source:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return open_source(str(path), Options(**options))


def read(source: Source) -> list[tuple[int | None, dict[str, Any], str | None]]:
    return [(line, dict(cells), problem) for line, cells, problem in source.rows(lambda _: True)]


def test_lines_are_counted_with_the_one_that_names_the_separator(tmp_path: Path) -> None:
    plain = open_text(tmp_path / "a.csv", "image;x\na.png;1\n\nb.png;2\n")
    assert [line for line, _, _ in read(plain)] == [2, 4]
    assert (plain.kind, plain.columns) == ("CSV", ["image", "x"])
    assert plain.notes == ("text in ASCII", "separated by semicolon")
    stated = open_text(tmp_path / "b.csv", "sep=;\nimage;x\na.png;1\n\nb.png;2\n")
    assert read(stated) == [
        (3, {"image": "a.png", "x": "1"}, None),
        (5, {"image": "b.png", "x": "2"}, None),
    ]
    assert stated.notes == ("text in ASCII", "separated by semicolon (sep= line)")
    other = open_text(tmp_path / "c.csv", "image~x\na.png~1\n", separator="~")
    assert other.notes[-1] == "separated by '~'"


def test_the_encoding_may_be_named(tmp_path: Path) -> None:
    russian = "image,title\na.png,чай\n".encode("cp1251")
    source = open_text(tmp_path / "a.csv", russian, encoding="cp1251")
    assert source.notes[0] == "text in cp1251" and read(source)[0][1]["title"] == "чай"
    for unknown in ("klingon", "base64"):  # no codec, and one that is not of text; the file is not opened
        with pytest.raises(ManifestError, match=f"encoding '{unknown}' is not known; give utf-8"):
            open_text(tmp_path / "a.csv", russian, encoding=unknown)


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.json", '[{"image": "a.png"}]', "JSON"),
        ("a.json", '{"image": "a.png"}\n{"image": "b.png"}', "JSON lines"),
        ("a.txt", '{"image": "a.png"}', "JSON lines"),
        ("a.json", '{"products": [\n{"image": "a.png"}]}', "JSON"),
        ("a.json", '{"products": [{"image": "a.png"}]}', "JSON"),
        ("a.ndjson", '{"img": "a.png"}', "JSON lines"),
        ("a.xml", "<rss><channel><item><image>a.png</image></item></channel></rss>", "XML feed"),
        ("a.csv", "image\na.png\n", "CSV"),
        ("a", PNG, "image"),
    ],
)
def test_a_kind_is_told_by_the_content(tmp_path: Path, name: str, content: bytes | str, kind: str) -> None:
    source = open_text(tmp_path / name, content)
    assert source.kind == kind
    assert read(source)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"<html><body>login", "is a web page, not a feed"),
        (b"<!DOCTYPE HTML>", "is a web page, not a feed"),
        (b"%PDF-1.4", "is a PDF; give a table"),
        (b"\xd0\xcf\x11\xe0rest", "is an old Excel workbook"),
    ],
)
def test_what_is_no_list_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        open_text(tmp_path / "t.csv", content)


def write_tar(path: Path, mode: str = "w") -> None:
    (path.parent / "row.json").write_text("{}")
    with tarfile.open(path, mode) as packed:  # type: ignore[call-overload]
        packed.add(path.parent / "row.json", "row.json")
    (path.parent / "row.json").unlink()


def test_tars_are_shards_whatever_their_name(tmp_path: Path) -> None:
    for name in ("a.tar", "b.bin"):
        write_tar(tmp_path / name)
        assert open_source(str(tmp_path / name), Options()).kind == "shards"
    write_tar(tmp_path / "c.tar.gz", "w:gz")
    with pytest.raises(ManifestError, match="is a compressed tar; unpack it"):
        open_source(str(tmp_path / "c.tar.gz"), Options())
    (tmp_path / "t.csv").write_text("image\na.png\n")
    assert open_source(str(tmp_path / "t.csv"), Options()).kind == "CSV"
    folder = tmp_path / "shards"
    folder.mkdir()
    write_tar(folder / "x-0.tar")
    write_tar(folder / "x-1.tar")
    source = open_source(str(folder), Options())
    assert (source.kind, source.notes) == ("shards", ("2 shards",))


def test_parquet_files_of_a_folder_are_one_table(tmp_path: Path) -> None:
    for part in ("a=1%2B/p.parquet", "a=2/p.parquet", "_tmp/p.parquet"):
        path = tmp_path / part
        path.parent.mkdir()
        pq.write_table(pa.table({"image": ["x.png"]}), path)
    source = open_source(str(tmp_path), Options())
    assert (source.kind, source.columns, source.notes) == ("Parquet", ["image", "a"], ("2 files",))
    assert [cells for _, cells, _ in read(source)] == [
        {"image": "x.png", "a": "1+"},
        {"image": "x.png", "a": "2"},
    ]
    one = open_source(str(tmp_path / "a=2" / "p.parquet"), Options())
    assert (one.columns, one.notes, one.folder) == (["image"], (), str(tmp_path / "a=2"))


def test_a_folder_gives_images_with_what_stands_beside_them(tmp_path: Path) -> None:
    save(
        tmp_path,
        a_o_png=PNG,
        a_mask_o_png=PNG,
        sub__b_o_jpg=PNG,
        sub__b_o_json=json.dumps({"title": "B"}),
        sub__c_o_json="[]",
        sub__d_o_txt="text",
        shop__imgs__e__f_o_png=PNG,
        shop__masks__e__f_o_png=PNG,
        _o_hidden="x",
    )
    source = open_source(str(tmp_path), Options())
    assert [cells for _, cells, _ in read(source)] == [
        {"image": "a.png", "folder": "", "mask": "a_mask.png"},
        {"image": "shop/imgs/e/f.png", "folder": "shop/imgs/e", "mask": "shop/masks/e/f.png"},
        {"image": "sub/b.jpg", "folder": "sub", "title": "B"},
    ]
    counted = {
        "hidden file": 1,
        "mask of an image": 2,
        "no image (.json)": 1,
        "no image (.txt)": 1,
    }
    assert source.skipped() == counted
    read(source)
    assert source.skipped() == counted  # and not twice
    alone = open_source(str(tmp_path), Options(pair=False))
    assert len(read(alone)) == 5 and alone.skipped()["no image (.json)"] == 2


def test_files_are_listed_below_their_folder_in_order(tmp_path: Path) -> None:
    save(tmp_path, b_o_png=PNG, a__z_o_png=PNG, a__b__y_o_png=PNG, out__x_o_png=PNG, Thumbs_o_db="x")
    listing = Listing(str(tmp_path), [tmp_path / "out"])
    assert listing.files == ["a/b/y.png", "a/z.png", "b.png"]
    assert listing.walked == {"folder of the output or of masks": 1, "system file": 1}
    assert [is_image_name(n) for n in ("a.PNG", "a.jpe", "a.txt", "png")] == [True, True, False, False]
