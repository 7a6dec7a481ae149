"""Which column of a table is which field? One table of spellings for every command.

Names are compared without case, spaces, punctuation and the prefix ``g:``. A mapping given by the user goes
first. :data:`SPELLINGS` is the whole rule; docs/tables.md shows it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal, NamedTuple, get_args

from cyclorama.errors import ManifestError
from cyclorama.seeding import MAX_SEED

MaskMeans = Literal["product", "background", "alpha"]
"""What a mask file marks: bright = product, bright = background, or its alpha channel (opaque = product)."""

_WORDS = {
    "image": """image imagelink imagesrc images mainimage mainimageurl mainimagelink primaryimage imagepath
        imgpath imageurl imageurls imagefile imagefilename imagesource imgurl imgsrc imgurls img productimage
        productimageurl picture pictures pictureurl picturelink photo photos photourl file filename filepath
        path bild bilder bildurl bildlink bilddatei hauptbild imagen imageprincipale immagine foto imageuri
        urlimage urlimagen baseimage picurl galleryurl hostedimageurls awimageurl merchantimageurl imagename
        covermedia coverimage cover frontimage imagefront packshot 图片 图片地址 主图 画像 src url smallimage
        thumbnail""",
    "mask": "mask maskpath maskfile maskurl masklink productmask maske",
    "mask_means": "maskmeans",
    "reference": "reference referenceimage referencepath styleimage stylereference",
    "reference_mask": "referencemask referencemaskpath",
    "style": "stylefile brandfile",
    "backdrop": "backdrop backdropfile backdropimage",
    "category": """category categoryname productcategoryname cate catename producttype googleproductcategory
        categories productcategories productcategory class classname label kategorie kategorien warengruppe
        produktkategorie categorytext catégorie categoría categoria fbproductcategory merchantcategory
        categorypath itemtype 类目 类别 分类 カテゴリ type""",
    "id": "id key imageid picid rowid gid",
    "product_id": """productid sku skuid variantsku itemsku itemid itemno itemnumber goodsid spuid article
        articleno articlenumber artikelnummer artikelnr asin handle urlhandle gtin gtin13 ean ean13 eancode
        barcode upc product 商品编号 货号""",
    "title": """title producttitle productname name itemname titel bezeichnung produktname titre nombre
        标题""",
    "text": "text",
    "brand": "brand brandname manufacturer vendor marke hersteller",
    "seed": "seed",
    "split": "split",
    "licence": "licence license rights copyright",
    "language": "language lang locale categorylanguage",
    "impressions": "impressions impression views shows exposures exposure pv",
    "clicks": "clicks click clickcount",
    "(further images)": """additionalimagelink additionalimagelinks additionalimages additionalimage
        additionalimageurl additionalimageurls otherimages otherimageurls galleryimages gallery imagegallery
        weiterebilder moreimages variantimage
        variantimageurl imgurlalternative""",
}
SPELLINGS = {name: tuple(words.split()) for name, words in _WORDS.items()}
_MORE_IMAGES = frozenset(SPELLINGS.pop("(further images)"))
"""Field -> spellings that are understood; the first one in this order that a table has is taken."""
FILES = ("image", "mask", "reference", "reference_mask", "style", "backdrop")
"""Fields that name files. ``image`` is the one that every table needs."""
WORDS = {
    "headline": "headline slogan claim schlagzeile überschrift accroche",
    "subline": "subline subheadline subtitle tagline unterzeile untertitel",
    "body": "body bodytext copytext fliesstext",
    "price": """saleprice price variantprice regularprice aktionspreis preis prix precio prezzo 价格 価格""",
    "action": "action calltoaction cta button",
    "legal": "legal legaltext disclaimer smallprint footnote",
}
"""Role of a poster's words -> spellings of its columns, each with a language after it, too (``headline_de``);
the first of them that is not empty in a row counts."""
_ROLES = {spelling: role for role, words in WORDS.items() for spelling in words.split()}
_IN_LANGUAGE = re.compile(r"(.+?)[\s_.:/(\[-]+([A-Za-z]{2})(?:[_-]([A-Za-z]{2}|[A-Za-z]{4}))?[)\]]?")
_LISTS = _MORE_IMAGES | {"images", "imageurls", "imgurls", "hostedimageurls", "pictures", "photos", "bilder"}
_NUMBERED = re.compile(
    r"(?:main|other|additional|product|more|gallery)?(?:image|img|picture|photo|bild|foto)(?:url|link|src|path|file)?(\d+)"
    r"(?:url|link|src|path)?"
)


@lru_cache(4096)
def fold(name: str) -> str:
    """``name`` as it is compared.

    >>> fold("Image Src"), fold("g:image_link"), fold("{http://base.google.com/ns/1.0}id")
    ('imagesrc', 'imagelink', 'id')
    """
    name = re.sub(r"^(\{.*\}|g:)", "", name.strip().lstrip("\ufeff"))
    return "".join(char for char in name.casefold() if char.isalnum())


def _fold_bare(name: str) -> str:
    """As :func:`fold`, without what stands in brackets after the name: ``Image URLs (x,y,z...)``."""
    return fold(re.sub(r"(?<=\S)\s*(\(.*\)|\[\D*\])\s*$", "", name))


class ColumnMap(NamedTuple):
    """Which columns fill which field."""

    fields: dict[str, tuple[str, ...]]
    """Field -> its columns; the first that is not empty in a row counts."""
    images: tuple[str, ...]
    """The columns of images, the main one first."""
    rest: tuple[str, ...]
    """Columns without a meaning of their own; kept under their names."""
    shop: Literal["", "Shopify", "WooCommerce"]
    words: dict[str, dict[str, tuple[str, ...]]]
    """Language, empty where a column names none -> role -> its columns; these stand in the others, too."""

    def describe(self) -> str:
        """One sentence for the user."""
        found = {"image": self.images[:1], **self.fields}
        taken = [f"{name} from {' or '.join(map(repr, found[name]))}" for name in found if found[name]]
        if self.images[1:]:
            taken.append(f"further images from {', '.join(map(repr, self.images[1:]))}")
        kind = f"{self.shop} product table; " if self.shop else ""
        return f"{kind}columns: {', '.join(taken)}"

    def describe_words(self) -> str:
        """One sentence about the columns of words."""
        taken = [
            f"{role}{f' ({language})' if language else ''} from {' or '.join(map(repr, columns))}"
            for language, roles in self.words.items()
            for role, columns in roles.items()
        ]
        return f"words: {', '.join(taken) or 'no column'}"


def match_columns(
    columns: Sequence[str], given: Mapping[str, str], required: Sequence[str], where: str
) -> ColumnMap:
    """The columns of each field. ``given`` (field -> column) goes before the spellings.

    Raises ManifestError: a field or column of ``given`` that does not exist, none for a ``required`` field.
    """
    by_fold: dict[str, list[str]] = {}
    for column in columns:
        by_fold.setdefault(fold(column), []).append(column)
    for column in columns:
        by_fold.setdefault(_fold_bare(column), [column])
    fields: dict[str, tuple[str, ...]] = {}
    for name, column in given.items():
        if name not in SPELLINGS and not _read_role(name):
            raise ManifestError(f"columns names {name!r}, which is no field; fields: {', '.join(SPELLINGS)}")
        chosen = [column] if column in columns else by_fold.get(fold(column))
        if chosen is None:
            raise ManifestError(
                f"{where}: {name} is to come from column {column!r}, which is not there; {_list(columns)}"
            )
        if name in SPELLINGS:
            fields[name] = tuple(chosen)
    shop = _find_shop(by_fold)
    taken = {column for found in fields.values() for column in found}
    for name, spellings in SPELLINGS.items():
        if name in fields:
            continue
        found = [s for s in spellings if s in by_fold and by_fold[s][0] not in taken]
        if name == "category":
            found = _order_category(found, shop)
        elif name == "product_id" and shop == "Shopify":  # all images of a product, not of a variant
            found = [spelling for spelling in found if spelling.endswith("handle")]
        elif found:
            found = found[:1]
        if found:
            fields[name] = tuple(column for spelling in found for column in by_fold[spelling])
            taken.update(fields[name])
    main = fields.pop("image", ())
    further = _find_further([column for column in columns if column not in taken])
    images = tuple(dict.fromkeys([*main, *further]))
    missing = [name for name in required if not (images if name == "image" else fields.get(name))]
    if missing:
        plural = "s" if len(missing) > 1 else ""
        raise ManifestError(
            f"{where}: missing column{plural} {', '.join(map(repr, missing))}; {_list(columns)}. "
            f"Rename a column, add the missing one, or say which one it is (--column "
            f"{missing[0]}=NAME, in a recipe columns: {missing[0]}: NAME)."
        )
    used = {*images, *(column for found in fields.values() for column in found)}
    rest = tuple(column for column in columns if column not in used)
    return ColumnMap(fields, images, rest, shop, _match_words(columns, given, by_fold))


def _match_words(
    columns: Sequence[str], given: Mapping[str, str], by_fold: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, tuple[str, ...]]]:
    """Language -> role -> columns; ``given`` goes before the spellings."""
    found: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for column in columns:
        if role := _read_role(column):
            spelling = fold(column) if not role[0] else fold(_IN_LANGUAGE.fullmatch(column.strip())[1])  # type: ignore[index]
            found.setdefault(role, []).append((list(_ROLES).index(spelling), column))
    for name, column in given.items():
        if name not in SPELLINGS and (role := _read_role(name)):
            found[role] = [(0, one) for one in ([column] if column in columns else by_fold[fold(column)])]
    spoken = sorted(found, key=lambda key: (key[0], list(WORDS).index(key[1])))
    words: dict[str, dict[str, tuple[str, ...]]] = {}
    for language, kind in spoken:
        words.setdefault(language, {})[kind] = tuple(name for _, name in sorted(found[language, kind]))
    return words


def _read_role(column: str) -> tuple[str, str] | None:
    """(language, role) of a column of words; None for any other.

    >>> _read_role("g:sale_price"), _read_role("Headline (pt-BR)"), _read_role("title")
    (('', 'price'), ('pt-BR', 'headline'), None)
    """
    if role := _ROLES.get(fold(column)):
        return "", role
    parts = _IN_LANGUAGE.fullmatch(column.strip())
    role = _ROLES.get(fold(parts[1])) if parts else None
    if parts is None or role is None:
        return None
    more = parts[3] or ""
    region = more.upper() if len(more) == 2 else more.title()
    return f"{parts[2].lower()}-{region}".rstrip("-"), role


def _list(columns: Sequence[str]) -> str:
    return f"columns found: {', '.join(map(repr, columns)) or 'none'}"


def _find_shop(folded: Collection[str]) -> Literal["", "Shopify", "WooCommerce"]:
    known = set(folded)
    holds = known.issuperset
    if holds(("handle", "imagesrc")) or holds(("urlhandle", "productimageurl")):
        return "Shopify"
    named = known & {"sku", "type", "typ", "name"}
    if named and (holds(("images", "categories")) or holds(("bilder", "kategorien"))):
        return "WooCommerce"
    return ""


def _order_category(found: list[str], shop: str) -> list[str]:
    """``Type`` is a category in Shopify's table, another thing in WooCommerce's, and else the last resort."""
    others = [spelling for spelling in found if spelling != "type"]
    if "type" in found and shop == "Shopify":
        return ["type", *others]
    return others or (found if shop != "WooCommerce" else [])


def _find_further(columns: Sequence[str]) -> list[str]:
    """Columns of further images: those named so, then those with numbers, in the order of the numbers."""
    named = [column for column in columns if fold(column) in _LISTS]
    numbered = []
    for place, column in enumerate(columns):
        found = _NUMBERED.fullmatch(fold(column))
        if found:
            numbered.append((int(found[1]), place, column))
    return named + [column for _, _, column in sorted(numbered)]


def is_list(column: str) -> bool:
    """Whether a cell of ``column`` may hold several images."""
    return fold(column) in _LISTS or _fold_bare(column) in _LISTS


_NOTHING = frozenset({"", "nan", "null", "none", "n/a", "#n/a", "<na>"})
"""What programs write into empty cells."""


def split_images(cell: Any, several: bool) -> list[Any]:
    """The images in a cell: addresses as text, or the bytes of embedded ones.

    A comma ends an address only where another one begins, since addresses may hold commas.
    """
    if not isinstance(cell, str):
        if cell is None or cell != cell:
            return []
        if isinstance(cell, Mapping):  # {bytes, path} of Hugging Face, {src} of Shopify's JSON
            keys = ("bytes", "src", "url", "path", "link", "href")
            return next((split_images(cell[key], False) for key in keys if cell.get(key)), [])
        if isinstance(cell, list | tuple):
            return [image for part in cell for image in split_images(part, False)]
        return [cell]
    cell = cell.strip()
    if cell.lower() in _NOTHING:
        return []
    if cell.startswith("[") and several:
        try:
            return split_images(json.loads(cell), False)
        except ValueError:
            pass
    if not (several or _looks_like_list(cell)):
        return [cell]
    parts = re.split(_BEFORE_ADDRESS if "://" in cell else r"[,;|\n]", cell)
    return [part.strip(" \t\r\n\"'") for part in parts if part.strip()]


_BEFORE_ADDRESS = re.compile(r"(?:\s*[,;|]\s*|\s+)(?=[A-Za-z][A-Za-z0-9+.-]*://)")
_IMAGE_END = re.compile(r"\.(png|jpe?g|webp|gif|tiff?|bmp|avif|heic)(\?.*)?\s*", re.IGNORECASE)


def _looks_like_list(cell: str) -> bool:
    """Whether a cell of a column for one image holds several: each part ends as an image's name does."""
    if "," not in cell and ";" not in cell and "|" not in cell:
        return False
    parts = re.split(_BEFORE_ADDRESS if "://" in cell else r"[,;|]", cell)
    return len(parts) > 1 and all(_IMAGE_END.search(part) for part in parts)


_WHOLE = re.compile(r"(\d+)\.0+")
_KEPT_TEXT = re.compile(r"=\"(.*)\"|'(\d+)")
"""What keeps a spreadsheet from reading an id as a number."""


def parse_text(value: Any, field: str, column: str | None = None) -> str | None:
    """Trimmed text, or None for an empty cell; whole numbers lose their ``.0`` in ids.

    Raises ManifestError for a list, a mapping, a truth value.
    """
    if isinstance(value, str):
        value = value.strip()
        if field in ("title", "text"):
            return value or None
        if field in ("id", "product_id"):
            if kept := _KEPT_TEXT.fullmatch(value):
                return kept[1] or kept[2]
            if whole := _WHOLE.fullmatch(value):
                return whole[1]
        return None if value.lower() in _NOTHING else value
    if value is None or value != value:  # NaN, in files written from data frames
        return None
    if isinstance(value, list) and value and isinstance(value[0], dict):
        value = value[0]
    if isinstance(value, dict) and isinstance(value.get("name"), str):  # a shop's JSON
        return parse_text(value["name"], field, column)
    if isinstance(value, bool | list | tuple | dict | bytes):
        raise ManifestError(f"column {column or field!r} must be text, got {value!r:.80}")
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    if isinstance(value, float | Decimal) and math.isfinite(value) and value % 1 == 0:
        value = int(value)
    return str(value)


def parse_seed(value: Any, field: str = "seed", column: str | None = None) -> int | None:
    """A seed, or None for an empty cell. Raises ManifestError unless it is a whole number up to 2**63 - 1."""
    try:
        text = parse_text(value, "id")
        if text is None:
            return None
        seed = int(text)
    except (ValueError, ManifestError):
        seed = -1
    if not 0 <= seed <= MAX_SEED:
        raise ManifestError(
            f"column {column or field!r}: got {value!r}, need a whole number from 0 to 2**63 - 1"
        )
    return seed


def parse_mask_means(value: Any, field: str, column: str | None = None) -> str | None:
    """One of :data:`MaskMeans`, or None for an empty cell. Raises ManifestError for anything else."""
    text = parse_text(value, field, column)
    if text is None or text.lower() in get_args(MaskMeans):
        return text and text.lower()
    allowed = ", ".join(map(repr, get_args(MaskMeans)))
    raise ManifestError(f"column {column or field!r}: got {value!r}, allowed: {allowed}")


def parse_count(value: Any, field: str, column: str | None = None) -> int | None:
    """A count, or None for an empty cell; ``1,234`` is read. Raises ManifestError for anything else."""
    text = parse_text(value, field, column)
    if text is None:
        return None
    digits = _WHOLE.sub(r"\1", text.replace(",", "").replace(" ", ""))
    if not digits.isdecimal():
        raise ManifestError(f"column {column or field!r}: got {text!r}, need a whole number from 0")
    return int(digits)


PARSERS: dict[str, Callable[[Any, str, str], Any]] = {
    **dict.fromkeys(SPELLINGS, parse_text),
    "seed": parse_seed,
    "mask_means": parse_mask_means,
    "impressions": parse_count,
    "clicks": parse_count,
}
"""How a field's cell is read; errors name the column."""


def has_image_column(names: Iterable[Any], given: Mapping[str, str]) -> int:
    """How many known columns a header row has, if one of them is for the image; else 0."""
    folded = {form for name in names if name is not None for form in (fold(str(name)), _fold_bare(str(name)))}
    if "image" in given:
        return 1 + len(folded & _KNOWN) if fold(given["image"]) in folded else 0
    if not (folded & _IMAGES or any(_NUMBERED.fullmatch(name) for name in folded)):
        return 0
    return len(folded & _KNOWN) or 1


_IMAGES = frozenset(SPELLINGS["image"])
_KNOWN = frozenset(spelling for found in SPELLINGS.values() for spelling in found) | _MORE_IMAGES
