"""What each kind of table, feed and folder gives: exact rows, what is said about it, or the named error.

docs/tables.md shows the same table in words. Holds cyclorama.data.table, cyclorama.data.text,
cyclorama.data.columns, cyclorama.data.opening, cyclorama.data.structured and
cyclorama.data.addresses to it.
"""

from __future__ import annotations

import bz2
import datetime
import decimal
import gzip
import json
import lzma
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cyclorama.data.table import UrlPolicy, open_table
from cyclorama.errors import ManifestError

CASES = Path(__file__).resolve().parents[1] / "cases"
IMAGES = ("a.png", "b.png", "c.png", "img/front.png", "img/side.png", "img/back.png", "a,b.png", "sub/a.png")
A, B = {"name": "a.png", "category": "perfume"}, {"name": "b.png", "category": "whisky"}
TWO = [A, B]


class Case(NamedTuple):
    file: str
    content: bytes | str | Callable[[Path], None]
    rows: list[dict[str, Any]]
    says: str = ""
    """A part of the notes."""
    options: Mapping[str, Any] = MappingProxyType({})


def excel(path: Path, *sheets: tuple[str, list[list[Any]]]) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets:
        sheet = book.create_sheet(title)
        sheet.sheet_state = "hidden" if title == "Hidden" else "visible"
        for row in rows:
            sheet.append(row)
    book.save(path)


def zipped(path: Path, files: dict[str, str]) -> None:
    with zipfile.ZipFile(path, "w") as packed:
        for name, text in files.items():
            packed.writestr(name, text)


def parquet(path: Path, **columns: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


CSV = "image,category\na.png,perfume\nb.png,whisky\n"
GOOGLE = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<rss xmlns:g="http://base.google.com/ns/1.0" version="2.0"><channel>'
    "<title>Shop</title><item><g:id>1</g:id><title><![CDATA[Eau & Co <50 ml>]]></title>"
    "<g:image_link>img/front.png</g:image_link>"
    "<g:additional_image_link>img/side.png</g:additional_image_link>"
    "<g:additional_image_link>img/back.png</g:additional_image_link>"
    "<g:product_type>Beauty &gt; Perfume</g:product_type>"
    "<g:google_product_category>479</g:google_product_category></item>"
    "<item><g:id>2</g:id><title>A&nbsp;B</title><g:image_link>a.png</g:image_link>"
    "<g:google_product_category>Whisky</g:google_product_category></item></channel></rss>"
)
ATOM = (
    '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:x="http://base.google.com/ns/1.0"><title>Shop</title>'
    '<entry><x:id>SKU9</x:id><title>T</title><link href="https://shop.example/p"/>'
    "<x:image_link>a.png</x:image_link><x:product_type>Perfume</x:product_type></entry></feed>"
)
SHOPIFY = (
    "Handle,Title,Vendor,Type,Variant SKU,Image Src,Image Position,Variant Image\n"
    "flacon,Flacon,Maison,Perfume,F-30,img/front.png,1,img/front.png\n"
    "flacon,,,,F-50,img/side.png,2,img/side.png\n"
    "flacon,,,,F-99,,,img/front.png\n"
    "malt,Malt,Oak,Whisky,M-1,b.png,1,\n"
)
WOO = (
    "ID,Type,SKU,Name,Categories,Images,Parent\n"
    '12,variable,W1,Flacon,"Beauty > Perfume","img/front.png, img/side.png",\n'
    "13,variation,W1-30,Flacon 30,,,W1\n14,simple,W2,Malt,Whisky,b.png,\n"
)
F3 = [
    {"name": f"img/{n}.png", "image_number": i, "id": "1", "title": "Eau & Co <50 ml>"}
    for i, n in enumerate(["front", "side", "back"], 1)
]
ALLOWED = UrlPolicy(hosts=("*.shop.example", "shop.example"))

READ: dict[str, Case] = {
    "comma": Case("t.csv", CSV, TWO, "text in ASCII"),
    "semicolon, CR LF": Case("t.csv", CSV.replace(",", ";").replace("\n", "\r\n"), TWO, "semicolon"),
    "tab named csv": Case("t.csv", CSV.replace(",", "\t"), TWO, "separated by tab"),
    "bar named tsv": Case("t.tsv", CSV.replace(",", "|"), TWO, "separated by bar"),
    "old Mac line ends": Case("t.txt", CSV.replace("\n", "\r"), TWO),
    "UTF-8 mark": Case("t.csv", b"\xef\xbb\xbf" + CSV.encode(), TWO, "byte-order mark"),
    "UTF-16 LE with mark": Case("t.csv", CSV.encode("utf-16"), TWO, "UTF-16 (little-endian)"),
    "UTF-16 BE with mark": Case("t.csv", b"\xfe\xff" + CSV.encode("utf-16-be"), TWO, "UTF-16 (big-endian)"),
    "UTF-16 BE without mark": Case("t.csv", CSV.encode("utf-16-be"), TWO, "big-endian, no mark"),
    "UTF-16 LE without mark": Case("t.csv", CSV.encode("utf-16-le"), TWO, "little-endian, no mark"),
    "Windows-1252": Case(
        "t.csv",
        "image;title\na.png;Flacon café 50 €\nb.png;“smart” quotes – naïve\n".encode("cp1252"),
        [
            {"name": "a.png", "title": "Flacon café 50 €"},
            {"name": "b.png", "title": "“smart” quotes – naïve"},
        ],
        "Windows-1252",
    ),
    "GB18030": Case(
        "t.csv",
        "图片,类目\na.png,香水\n".encode("gb18030"),
        [{"name": "a.png", "category": "香水"}],
        "GB18030",
    ),
    "Windows-1251 by name": Case(
        "t.csv",
        "image,title\na.png,Духи\n".encode("cp1251"),
        [{"name": "a.png", "title": "Духи"}],
        "cp1251",
        {"encoding": "cp1251"},
    ),
    "mark and sep=": Case(
        "t.csv", b"\xef\xbb\xbfsep=;\r\nimage;category\r\na.png;perfume\r\n", [A], "sep= line"
    ),
    "quoted sep=": Case("t.csv", '"sep=|"\nimage|category\na.png|perfume\n', [A], "bar"),
    "title rows": Case(
        "t.csv", "Export 2024,\n,\nDate: today,\nimage,category\na.png,perfume\n", [A], "2 lines"
    ),
    "row index": Case("t.csv", ",image,category\n4,a.png,perfume\n9,b.png,whisky\n", TWO, "row index"),
    "row index, named": Case("t.csv", "Unnamed: 0,image,category\n0,a.png,perfume\n", [A], "row index"),
    "trailing separators": Case("t.csv", "image;category;;;\na.png;perfume;;;\n", [A]),
    "trailing separators in rows": Case("t.csv", "image;category\na.png;perfume;\nb.png;whisky;;\n", TWO),
    "empty lines": Case("t.csv", "\n\nimage,category\n\na.png,perfume\n,\n\nb.png,whisky\n\n", TWO),
    "inch marks": Case(
        "t.csv",
        'image,title,category\na.png,5" tall,x\nb.png,"12"" wide",x\nc.png,"9" x 4",x\n',
        [{"title": '5" tall'}, {"title": '12" wide'}, {"title": '"9" x 4"'}],
        "1 × quotation marks",
    ),
    "a quotation mark that is never closed": Case(
        "t.csv",
        'image,title\na.png,"Eau\nb.png,x\nc.png,y\n',
        [
            {"name": "a.png", "title": '"Eau'},
            {"name": "b.png", "title": "x"},
            {"name": "c.png", "title": "y"},
        ],
        "1 × quotation marks",
    ),
    "spaces before quotation marks": Case(
        "t.csv",
        '"image", "category", "title"\n"a.png", "perfume", "x, y"\n',
        [A | {"title": "x, y"}],
    ),
    "files joined one after the other": Case(
        "t.csv",
        b"\xef\xbb\xbf" + CSV.encode() + b"\xef\xbb\xbfimage,category\r\nb.png,whisky\n",
        [*TWO, B],
        "1 × header that comes again",
    ),
    "a line of another encoding": Case(
        "t.csv",
        b"image,title\na.png,\xe2\x82\xac 5 \xc2\xbd\nb.png,\xa3 7\nc.png,3 \xc2\xb2\n",
        [{"title": "€ 5 ½"}, {"title": "\ufffd 7"}, {"title": "3 ²"}],
        "UTF-8 with some invalid bytes",
    ),
    "ids that a spreadsheet was kept from reading as numbers": Case(
        "t.csv",
        'image,id,sku,ean\na.png,"=""007""",\'0012,4006381333931.0\n',
        [{"id": "007", "product_id": "0012"}],
    ),
    "words in brackets after a column's name": Case(
        "t.csv",
        "ID;Name *;Categories (x,y,z...);Image URLs (x,y,z...)\n1;T;Perfume;a.png,b.png\n",
        [A | {"category": "Perfume", "title": "T", "image_number": 1}, {"name": "b.png"}],
        "separated by semicolon",
    ),
    "Amazon's flat file": Case(
        "t.txt",
        "TemplateType=beauty\tVersion=2021\t\t\nSKU\tProduct Name\tMain Image URL\tOther Image URL1\n"
        "item_sku\titem_name\tmain_image_url\tother_image_url1\nS1\tT\ta.png\tb.png\n",
        [
            {"name": n, "product_id": "S1", "title": "T", "image_number": i}
            for i, n in ((1, "a.png"), (2, "b.png"))
        ],
        "2 lines before the header left out",
    ),
    "quoted line ends": Case(
        "t.csv",
        'image,title\na.png,"two\nlines, ""really"""\nb.png,x\n',
        [{"title": 'two\nlines, "really"'}, {"title": "x"}],
    ),
    "backslash quotes": Case("t.csv", 'image,title\na.png,"5\\" x, y"\n', [{"title": '5" x, y'}]),
    "line separators in cells": Case(
        "t.csv",
        "image,title\na.png,x\u2028y\nb.png,x\x85y\x0bz\n",
        [{"title": "x\u2028y"}, {"title": "x\x85y\x0bz"}],
    ),
    "columns that come twice": Case(
        "t.csv",
        "image,image,category,category\na.png,b.png,perfume,x\n",
        [A | {"image_number": 1}, {"name": "b.png", "image_number": 2, "category 2": "x"}],
        "'image' comes again",
    ),
    "no header": Case("t.txt", "a.png\nb.png\n", [{"name": "a.png"}, {"name": "b.png"}], "no header"),
    "no header, two columns": Case("t.csv", "1;a.png\n2;b.png\n", [{"name": "a.png", "column 1": "1"}, {}]),
    "own names": Case(
        "t.csv", "motif,art\na.png,perfume\n", [A], "", {"columns": {"image": "motif", "category": "art"}}
    ),
    "numbers with .0": Case(
        "t.csv", "image,id,seed,ean\na.png,4006381333931.0,7.0,\n", [{"id": "4006381333931", "seed": 7}]
    ),
    "one EAN three times": Case(
        "t.csv",
        "ean,image\n4006381333931,a.png\n4006381333931,b.png\n4006381333931,c.png\n",
        [{"name": n, "id": "4006381333931"} for n in ("a.png", "b.png", "c.png")],
    ),
    "gzip": Case("t.csv.gz", gzip.compress(CSV.encode()), TWO, "gzip"),
    "bzip2": Case("t.csv.bz2", bz2.compress(CSV.encode()), TWO, "bzip2"),
    "xz": Case("t.tsv.xz", lzma.compress(CSV.replace(",", "\t").encode()), TWO, "xz"),
    "Zstandard": Case("t.csv.zst", pa.Codec("zstd").compress(CSV.encode(), asbytes=True), TWO, "Zstandard"),
    "gzip with another name": Case("t.csv", gzip.compress(CSV.encode("utf-16")), TWO, "gzip"),
    "zip of a table": Case("t.zip", lambda p: zipped(p, {"t.csv": CSV, "__MACOSX/._t.csv": "x"}), TWO, "zip"),
    "JSON lines": Case(
        "t.jsonl", '{"image": "a.png", "category": "perfume"}\n\n{"Image": "b.png"}\n', [A, {"name": "b.png"}]
    ),
    "JSON lines that change": Case(
        "t.jsonl",
        '{"image": "a.png", "n": 1}\n{"image": "b.png", "images": ["c.png"], "tags": ["x"]}\n',
        [{"n": 1}, {"name": "b.png", "tags": ["x"], "image_number": 1}, {"name": "c.png", "image_number": 2}],
    ),
    "JSON array": Case(
        "t.json",
        json.dumps([{"image": "a.png", "category": "perfume"}, {"image": "b.png"}], indent=1),
        [A, {}],
    ),
    "JSON array of paths": Case("t.json", '["a.png", "b.png"]', [{"name": "a.png"}, {"name": "b.png"}]),
    "JSON of a data frame, by columns": Case(
        "t.json",
        '{"image": {"0": "a.png", "1": "b.png"}, "category": {"0": "perfume", "1": "whisky"}}',
        TWO,
    ),
    "JSON of a data frame, by rows": Case(
        "t.json",
        '{"x": {"image": "a.png", "category": "perfume"}, "y": {"image": "b.png"}}',
        [A, {"name": "b.png"}],
    ),
    "JSON of a data frame, split": Case(
        "t.json", '{"columns": ["image", "category"], "index": [0], "data": [["a.png", "perfume"]]}', [A]
    ),
    "JSON of a shop": Case(
        "t.json",
        json.dumps({"products": [{"id": 7, "title": "T", "images": [{"src": "a.png"}, {"src": "b.png"}]}]}),
        [{"id": "7", "image_number": 1, "name": "a.png"}, {"id": "7", "image_number": 2, "name": "b.png"}],
        "JSON",
    ),
    "Parquet": Case(
        "t.parquet", lambda p: parquet(p, image=["a.png", "b.png"], category=["perfume", "whisky"]), TWO
    ),
    "Parquet with numbers": Case(
        "t.parquet",
        lambda p: parquet(
            p,
            image=["a.png", "b.png"],
            id=[1.0, 2.0],
            sku=[decimal.Decimal("17.0"), None],
            seed=[3.0, None],
            day=[datetime.date(2024, 5, 1)] * 2,
        ),
        [{"id": "1", "product_id": "17", "seed": 3}, {"id": "2"}],
    ),
    "Parquet folder": Case(
        "spark/_SUCCESS",
        lambda p: (
            [
                parquet(p.parent / f"category={c}" / "part-0.parquet", image=[n])  # type: ignore[func-returns-value]
                for c, n in (("perfume", "a.png"), ("whisky", "b.png"))
            ]
            and p.write_bytes(b"")
        ),
        TWO,
        "2 files",
    ),
    "folder of CSV parts": Case(
        "spark/_SUCCESS",
        lambda p: (
            [
                p.with_name(name).write_text(text)
                for name, text in (
                    ("_SUCCESS", ""),
                    (".part-00000-c000.csv.crc", "x"),
                    ("part-00000-c000.csv", "image,category\na.png,perfume\n"),
                    ("part-00001-c000.csv", ""),
                    ("part-00002-c000.csv", "image,category\nb.png,whisky\n"),
                )
            ]
            and None
        ),
        TWO,
        "2 files",
    ),
    "folder of JSON parts, gzip": Case(
        "spark/_SUCCESS",
        lambda p: (
            [
                (p.parent / f"category={c}").mkdir(parents=True)
                or (p.parent / f"category={c}" / "part-0.json.gz").write_bytes(
                    gzip.compress(f'{{"image": "{n}"}}\n'.encode())
                )
                for c, n in (("perfume", "a.png"), ("whisky", "b.png"))
            ]
            and None
        ),
        TWO,
        "2 files",
    ),
    "embedded images": Case(
        "t.parquet",
        lambda p: parquet(
            p, image=[{"bytes": b"\x89PNG1", "path": "x.png"}, {"bytes": None, "path": "a.png"}]
        ),
        [{"name": "x.png", "image": b"\x89PNG1"}, {"name": "a.png"}],
    ),
    "list of images": Case(
        "t.parquet",
        lambda p: parquet(p, image=[["a.png", "b.png"]]),
        [{"image_number": 1}, {"image_number": 2}],
    ),
    "Excel": Case(
        "t.xlsx",
        lambda p: excel(
            p,
            ("Notes", [["made by hand"]]),
            (
                "Products",
                [
                    ["Price list"],
                    [],
                    ["Image", "Kategorie", "Artikelnummer", "When"],
                    ["a.png", "perfume", 123.0, datetime.datetime(2024, 5, 1)],
                    [None] * 4,
                    ["b.png", "whisky", "007", None],
                ],
            ),
        ),
        [A | {"id": "123", "When": datetime.datetime(2024, 5, 1)}, B | {"id": "007"}],
        "sheet 'Products'; left out: Notes",
    ),
    "Excel, cells left empty at the end of a row and a hidden sheet": Case(
        "t.xlsx",
        lambda p: excel(
            p,
            ("Hidden", [["image"], ["c.png"]]),
            ("Products", [["image", "category", "title"], ["a.png"], ["b.png", "whisky"]]),
        ),
        [{"name": "a.png"}, B],
        "sheet 'Products'",
    ),
    "Excel named csv": Case(
        "t.csv",
        lambda p: (
            excel(p.with_suffix(".xlsx"), ("S", [["image"], ["a.png"]]))
            or (p.with_suffix(".xlsx").rename(p) and None)
        ),
        [{"name": "a.png"}],
        "Excel",
    ),  # type: ignore[func-returns-value]
    "Google feed": Case(
        "feed.xml",
        GOOGLE,
        [
            *(r | {"category": "Beauty > Perfume"} for r in F3),
            {"id": "2", "title": "A\xa0B", "category": "Whisky"},
        ],
        "XML feed",
    ),
    "Google feed, UTF-16": Case("feed.xml", GOOGLE.replace("UTF-8", "UTF-16").encode("utf-16"), [*F3, {}]),
    "Google feed, gzip": Case("feed.xml.gz", gzip.compress(GOOGLE.encode()), [*F3, {}]),
    "Atom feed": Case("feed.atom", ATOM, [A | {"id": "SKU9", "title": "T", "category": "Perfume"}]),
    "Google TSV": Case(
        "g.txt",
        "id\ttitle\timage link\tadditional image link\tproduct type\n"
        'S1\t5" flacon\timg/front.png\timg/side.png,img/back.png\tBeauty > Perfume\n',
        [
            {"id": "S1", "title": '5" flacon', "name": f"img/{n}.png", "image_number": i}
            for i, n in enumerate(["front", "side", "back"], 1)
        ],
        "further images from 'additional image link'",
    ),
    "Shopify": Case(
        "products_export.csv",
        SHOPIFY,
        [
            {
                "name": "img/front.png",
                "category": "Perfume",
                "id": "flacon",
                "image_number": 1,
                "title": "Flacon",
            },
            {
                "name": "img/side.png",
                "category": "Perfume",
                "image_number": 2,
                "title": "Flacon",
                "brand": "Maison",
            },
            {"name": "b.png", "category": "Whisky", "image_number": 1, "brand": "Oak"},
        ],
        "Shopify product table",
    ),
    "WooCommerce": Case(
        "wc-export.csv",
        WOO,
        [
            {
                "name": "img/front.png",
                "id": "12",
                "category": "Beauty > Perfume",
                "image_number": 1,
                "product_id": "W1",
            },
            {"name": "img/side.png", "id": "12", "image_number": 2, "title": "Flacon"},
            {"name": "b.png", "id": "14", "category": "Whisky"},
        ],
        "1 × variants without an image",
    ),
    "Shopify, new names": Case(
        "t.csv",
        "URL handle,Title,Product category,Product image URL,Image position\n"
        "x,T,Perfume,a.png,1\nx,,,b.png,2\n",
        [
            {"name": "a.png", "id": "x", "category": "Perfume", "image_number": 1},
            {"name": "b.png", "id": "x", "category": "Perfume", "image_number": 2},
        ],
        "Shopify product table",
    ),
    "WooCommerce, German": Case(
        "t.csv",
        "ID,Typ,Artikelnummer,Name,Kategorien,Bilder\n"
        '1,variable,W1,F,Parfum,"a.png, b.png"\n2,variation,W2,F,,\n',
        [{"name": "a.png", "id": "1", "category": "Parfum"}, {"name": "b.png", "product_id": "W1"}],
        "1 × variants",
    ),
    "Magento": Case(
        "t.csv",
        'sku,base_image,small_image,additional_images,categories\n1,a.png,a.png,"a.png,b.png",Default/Perfume\n',
        [{"name": "a.png", "category": "Default/Perfume"}, {"name": "b.png", "image_number": 2}],
    ),
    "Yandex feed, Windows-1251": Case(
        "t.yml",
        '<?xml version="1.0" encoding="windows-1251"?><shop><offers><offer id="7"><name>Духи</name>'
        "<picture>a.png</picture><picture>b.png</picture><url>https://shop.example/p</url></offer></offers></shop>".encode(
            "cp1251"
        ),
        [{"id": "7", "title": "Духи", "name": "a.png"}, {"name": "b.png", "image_number": 2}],
    ),
    "RSS with enclosures": Case(
        "t.xml",
        '\n <?xml version="1.0"?><rss><channel><item><g:id>1</g:id><link>https://shop.example/p</link>'
        '<enclosure url="a.png" type="image/png"/></item></channel></rss>',
        [{"id": "1", "name": "a.png"}],
    ),
    "Atom with enclosures": Case(
        "t.xml",
        '<feed xmlns="http://www.w3.org/2005/Atom"><entry><id>7</id><link rel="alternate" href="https://s.example"/>'
        '<link rel="enclosure" href="a.png"/></entry></feed>',
        [{"id": "7", "name": "a.png"}],
    ),
    "nested images": Case(
        "t.xml",
        "<products><product><id>1</id><images><image>a.png</image><image>b.png</image></images></product></products>",
        [{"id": "1", "name": "a.png"}, {"name": "b.png", "image_number": 2}],
    ),
    "JSON with counts first": Case(
        "t.json",
        '{"count": 2, "next": null, "items": [{"image": "a.png"}, {"image": "b.png"}]}',
        [{}, {"name": "b.png"}],
    ),
    "JSON of WooCommerce": Case(
        "t.json",
        json.dumps([{"id": 3, "images": [{"src": "a.png"}], "categories": [{"id": 9, "name": "Perfume"}]}]),
        [{"name": "a.png", "id": "3", "category": "Perfume"}],
    ),
    "lists of web addresses": Case(
        "t.csv",
        "id\tpictures\n1\thttps://shop.example/a.jpg https://shop.example/b,2.jpg\n"
        "2\thttps://shop.example/c.jpg|https://shop.example/d.jpg\n",
        [
            {"name": n, "image_number": i}
            for i, n in ((1, "a.jpg"), (2, "b,2.jpg"), (1, "c.jpg"), (2, "d.jpg"))
        ],
        "",
        {"urls": ALLOWED},
    ),
    "two images in a column for one": Case(
        "t.csv",
        'image\n"a.png, b.png"\nb.png;c.png\n',
        [{"name": n} for n in ("a.png", "b.png", "b.png", "c.png")],
    ),
    "a list as JSON": Case(
        "t.csv", 'id,images\n1,"[""a.png"", ""b.png""]"\n', [{"name": "a.png"}, {"name": "b.png"}]
    ),
    "words for nothing": Case(
        "t.csv",
        "image,category,mask,seed\na.png,NaN,none,null\nb.png,N/A,nan,\n",
        [
            {"name": "a.png", "category": None, "mask": None, "mask_note": None, "seed": None},
            {"name": "b.png", "category": None},
        ],
    ),
    "numbered columns": Case(
        "t.csv",
        "sku,Image 10,image_url,Image 2\n1,c.png,a.png,b.png\n",
        [{"name": n, "image_number": i} for i, n in enumerate(["a.png", "b.png", "c.png"], 1)],
    ),
    "a comma in a name": Case("t.csv", 'image,category\n"a,b.png",perfume\n', [{"name": "a,b.png"}]),
    "paths of Windows": Case("t.csv", "image\nsub\\a.png\n", [{"name": "sub/a.png"}]),
    "web addresses allowed": Case(
        "t.csv",
        'id,images\n1,"https://cdn.shop.example/a,1.jpg?w=9, https://shop.example/b%20c.jpg"\n',
        [
            {"name": "a,1.jpg", "image": "https://cdn.shop.example/a,1.jpg?w=9", "image_number": 1},
            {"name": "b c.jpg", "image": "https://shop.example/b%20c.jpg", "image_number": 2},
        ],
        "",
        {"urls": ALLOWED},
    ),
    "an address without https:": Case(
        "t.csv",
        "image\n//cdn.shop.example/a.jpg\n",
        [{"image": "https://cdn.shop.example/a.jpg"}],
        "",
        {"urls": ALLOWED},
    ),
    "other stores": Case(
        "t.csv", "image\ns3://bucket/a.png\n", [{"image": "s3://bucket/a.png", "name": "a.png"}]
    ),
}


def build(case: Case, folder: Path) -> Path:
    for name in IMAGES:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(name.encode())
    path = folder / case.file
    path.parent.mkdir(exist_ok=True)
    if callable(case.content):
        case.content(path)
    else:
        path.write_bytes(case.content if isinstance(case.content, bytes) else case.content.encode())
    return path.parent if case.file.startswith("spark/") else path


@pytest.mark.parametrize("name", READ)
def test_a_table_gives_its_rows(tmp_path: Path, name: str) -> None:
    case = READ[name]
    table = open_table(build(case, tmp_path), **case.options)
    rows = list(table)
    assert [row.error for row in rows] == [None] * len(case.rows)
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    for row, wanted in zip(rows, case.rows, strict=True):
        assert {key: row.name if key == "name" else row.values.get(key) for key in wanted} == wanted
        image = row.values["image"]
        if isinstance(image, str) and "://" not in image:
            assert Path(image).read_bytes() == row.name.encode()
    assert case.says in "\n".join(table.notes)
    assert list(table) == rows


ROWS_WITH_REASONS: dict[str, tuple[str, str, list[str | None], dict[str, Any]]] = {
    "missing file": ("t.csv", "image\na.png\ngone.png\n", [None, "no such file 'gone.png'"], {}),
    "empty cell": ("t.csv", "image,category\n,perfume\na.png,x\n", ["column 'image' is empty", None], {}),
    "a folder": ("t.csv", "image\nsub\n", ["'sub' is a folder"], {}),
    "too many cells": ("t.csv", "image,category\na.png,red, white\n", ["3 cells under 2 columns"], {}),
    "too few cells": ("t.csv", "image,category\na.png\n", ["1 cells under 2 columns"], {}),
    "seed": ("t.csv", "image,seed\na.png,-1\nb.png,many\n", ["need a whole number", "got 'many'"], {}),
    "JSON": (
        "t.jsonl",
        '{"image": "a.png"}\n{"image": \n[1]\n',
        [None, "not valid JSON", "expected a JSON object"],
        {},
    ),
    "no path": ("t.jsonl", '{"image": 3}\n{"image": true}\n', ["must be a file path"] * 2, {}),
    "required": (
        "t.csv",
        "image,category\na.png,\n",
        ["column 'category' is empty"],
        {"required": ("image", "category")},
    ),
    "web address": (
        "t.csv",
        "image\nhttps://cdn.shop.example/a.png\na.png\n",
        ["those are not read; allow its host", None],
        {},
    ),
    "web addresses refused": (
        "t.csv",
        "image\nhttp://cdn.shop.example/a.png\nhttps://evil.example/a.png\nhttps://u:p@shop.example/a.png\n"
        "simplecache::https://cdn.shop.example/a.png\nhttps://shop.example.evil.example/a.png\n"
        "HTTPS://cdn.shop.example/a.png\nftp://shop.example/a.png\nhttps://shop.example:99999/a.png\n",
        [
            "is not https",
            "evil.example is not among",
            "names a user",
            "is not https",
            "is not among",
            None,
            "is not https",
            "no valid web address",
        ],
        {"urls": ALLOWED},
    ),
}


@pytest.mark.parametrize("name", ROWS_WITH_REASONS)
def test_a_row_that_cannot_be_used_says_why(tmp_path: Path, name: str) -> None:
    file, text, reasons, options = ROWS_WITH_REASONS[name]
    rows = list(open_table(build(Case(file, text, []), tmp_path), **options))
    assert len(rows) == len(reasons)
    for row, reason in zip(rows, reasons, strict=True):
        assert row.error is None if reason is None else reason in (row.error or ""), row


def bomb() -> str:
    lines = [f'<!ENTITY e{i} "{f"&e{i - 1};" * 10 if i else "ha" * 10}">' for i in range(9)]
    return f"<!DOCTYPE rss [{''.join(lines)}]><rss><item><image>&e8;</image></item></rss>"


REFUSED: dict[str, tuple[str, bytes | str | Callable[[Path], None], str]] = {
    "empty file": ("t.csv", "", "is empty"),
    "only spaces": ("t.csv", " \n\n", "is empty"),
    "header only": ("t.csv", "image,category\n", "has no rows"),
    "no image column": (
        "t.csv",
        "foto_datei,category\na,b\n",
        "missing column 'image'; columns found: 'foto_datei', 'cat",
    ),
    "no image column in JSON": ("t.jsonl", '{"a": 1}\n', "columns found: 'a'"),
    "damaged Parquet": ("t.parquet", b"PAR1xxxx", "is not a readable Parquet file"),
    "no Parquet": ("t.parquet", "x", "is not a readable Parquet file"),
    "damaged workbook": (
        "t.xlsx",
        (CASES / "tables" / "book.xlsx").read_bytes(),
        "is a damaged workbook or zip",
    ),
    "old workbook": ("t.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 99, "an old Excel workbook"),
    "OpenDocument": (
        "t.ods",
        lambda p: zipped(p, {"mimetype": "application/vnd.oasis", "content.xml": "<x/>"}),
        "is an OpenDocument file",
    ),
    "Numbers": (
        "t.numbers",
        lambda p: zipped(p, {"Index/Document.iwa": "x"}),
        "is an Apple Numbers document",
    ),
    "Arrow": ("t.feather", b"ARROW1\0\0\xff\xff\xff\xffp\0\0\0", "is an Arrow file"),
    "Arrow stream": ("t.arrow", b"\xff\xff\xff\xffp\0\0\0\x10\0\0\0", "is an Arrow stream"),
    "XML of Excel 2003": (
        "t.xls",
        '<?xml version="1.0"?><Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet"/>',
        "is an XML workbook of Excel 2003",
    ),
    "zip of two": ("t.zip", lambda p: zipped(p, {"a.csv": CSV, "b.csv": CSV}), "zip of 2 files"),
    "web page": ("feed.xml", "<!DOCTYPE html><html><body>Please log in</body></html>", "is a web page"),
    "cut gzip": ("t.csv.gz", gzip.compress(CSV.encode() * 99)[:-20], "is damaged or cut off"),
    "cut XML": ("feed.xml", GOOGLE[:-30], "not well-formed XML"),
    "entity bomb": ("feed.xml", bomb(), "declares the entity 'e0'"),
    "outside entity": (
        "feed.xml",
        '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><rss><item><image>&x;</image></item></rss>',
        "declares the entity 'x'",
    ),
    "cut JSON": ("t.json", '[{"image": "a.png"}, {"ima', "not valid JSON after 1 objects"),
    "Shift JIS": (
        "t.csv",
        "image,title\na.png,香水の瓶です。新商品\n".encode("shift_jis"),
        "an encoding that cannot be told",
    ),
    "binary": ("t.dat", bytes(range(256)) * 4, "neither a table"),
    "unknown columns option": ("t.csv", CSV, "no field"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_is_no_table_is_refused_by_name(tmp_path: Path, name: str) -> None:
    file, content, message = REFUSED[name]
    options: dict[str, Any] = {"columns": {"colour": "x"}} if "option" in name else {}
    with pytest.raises(ManifestError, match=message):
        list(open_table(build(Case(file, content, []), tmp_path), **options))


def test_a_million_rows_stream_in_bounded_memory(tmp_path: Path) -> None:
    """Fewer here; what is held (decoder, one batch of text) does not grow with the rows."""
    import tracemalloc

    path = tmp_path / "t.csv.gz"
    with gzip.open(path, "wt") as stream:
        stream.write("id,image,title\n")
        stream.writelines(f'{i},https://cdn.shop.example/{i}.png,"no. {i}, new"\n' for i in range(20_000))
    table = open_table(path, urls=ALLOWED)
    tracemalloc.start()
    count = sum(row.error is None and row.values["id"] == str(row.number - 1) for row in table)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20_000
    assert peak < 3 * 2**20, peak


def test_a_table_at_another_store_counts_its_paths_from_there() -> None:
    import fsspec

    system = fsspec.filesystem("memory")
    system.pipe("/tables-store/list.csv", b"image\nimg/a.png\nmemory://other/b.png\n")
    system.pipe("/tables-store/pics/x.png", b"\x89PNG\r\n")
    rows = list(open_table("memory://tables-store/list.csv"))
    assert [row.values["image"] for row in rows] == [
        "memory://tables-store/img/a.png",
        "memory://other/b.png",
    ]
    assert [row.name for row in rows] == ["img/a.png", "b.png"]
    assert [row.name for row in open_table("memory://tables-store/pics")] == ["x.png"]


def test_home_and_file_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a b.png").write_bytes(b"x")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "t.csv").write_text(f"image\n~/a b.png\nfile://{tmp_path}/a%20b.png\n{tmp_path}/a b.png\n")
    for source in ("~/t.csv", f"file://{tmp_path}/t.csv"):
        rows = list(open_table(source))
        assert [row.values["image"] for row in rows] == [str(tmp_path / "a b.png")] * 3
        assert [row.name for row in rows] == ["a b.png"] * 3


def test_the_given_cases() -> None:
    """Every table and feed of the collected cases is read."""
    for path in sorted((CASES / "tables").glob("*.*")):
        if path.name == "book.xlsx":
            continue
        rows = list(open_table(path))
        assert [row.error for row in rows] == [None] * len(rows), path
        expected = {"a.png": "perfume", "b.png": "whisky"}
        if path.suffix != ".png":
            assert {row.name: row.values["category"] for row in rows}.items() <= expected.items(), path
    for name, count in {
        "google.tsv": 3,
        "google.xml": 1,
        "shopify.csv": 3,
        "woo.csv": 2,
        "ean.csv": 3,
        "cats.csv": 17,
    }.items():
        rows = list(open_table(CASES / "feeds" / name))
        assert [row.error for row in rows] == [None] * count, name
        assert len({row.name for row in rows}) == (1 if name == "cats.csv" else count)
