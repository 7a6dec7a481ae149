"""What a poster says: words by role, in one language or several, and what a brand wants of them."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, get_args

import yaml
from pydantic import AfterValidator, BeforeValidator, Field

from cyclorama.config import Settings, build_config, load_mapping
from cyclorama.errors import CycloramaError, SettingsError
from cyclorama.layout.elements import LEADING_OTHERS, Role, find_leading
from cyclorama.layout.task import Corner
from cyclorama.posters.prices import check_pattern, write_price
from cyclorama.typography.records import Span, TextBlock, TypeStyle

ROLES: tuple[str, ...] = get_args(Role)
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_COLOUR = re.compile("#[0-9a-fA-F]{6}")
RGB = tuple[int, int, int]

FONTS = ("sans", "serif", "system")
"""What a brand's fonts name beside files and folders."""
DEFAULT_LANGUAGE = "en"
Wording = dict[str, str]
"""Role to words, in reading order."""


def _take_one(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _read_colour(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if not _COLOUR.fullmatch(value):
        raise ValueError("a colour as '#1f3a5c' (in quotes)")
    return tuple(int(value[k : k + 2], 16) for k in (1, 3, 5))


class AsWritten(yaml.SafeLoader):
    """Reads each value of a file as the text that stands there (``39.90``, ``Yes``, ``12:30``), and what is
    empty as None."""


AsWritten.yaml_implicit_resolvers = {
    first: [one for one in kinds if one[0].endswith((":null", ":merge"))]
    for first, kinds in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class PosterBrand(Settings):
    """What a brand's posters share."""

    error_type: ClassVar[type[CycloramaError]] = SettingsError
    colours: tuple[Annotated[RGB, BeforeValidator(_read_colour)], ...] = ()
    """Colours of words, preferred first, as #RRGGBB; black and white come after them."""
    accent: Annotated[RGB, BeforeValidator(_read_colour)] | None = None
    """Colour of prices and buttons; None is taken from the product."""
    panel: Annotated[RGB, BeforeValidator(_read_colour)] | None = None
    """Colour of what words stand on in layouts with a panel; None is taken from the set."""
    fonts: Annotated[tuple[str, ...], BeforeValidator(_take_one), Field(min_length=1)] = ("sans",)
    """``sans``, ``serif``, font files, folders of fonts or ``system``, asked in this order for each
    letter."""
    headline_fonts: Annotated[tuple[str, ...], BeforeValidator(_take_one)] = ()
    """The same for headlines; empty: as all others."""
    logo: Path | None = None
    """Image with a transparent background."""
    logo_corner: Corner | None = None
    """Where it stands; None: where there is room."""
    avoid: tuple[str, ...] = ()
    """Words that must not be said, whatever their case."""
    price: Annotated[
        tuple[Annotated[str, AfterValidator(check_pattern)], ...], BeforeValidator(_take_one)
    ] = ()
    """How prices are written, with ``{whole}``, ``{cents}`` and ``{currency}``; the first that leaves
    nothing of an amount out is taken. Empty: as they are given."""
    style: Path | None = None
    """Style file of its sets."""


QUIET = {
    "book", "candle", "chocolate", "cream jar", "hand cream", "honey", "jewellery", "perfume",
    "skincare bottle", "table lamp", "tea", "watch", "whisky", "wine",
}  # fmt: skip
"""Categories whose headlines are set in the serif where no font is given."""


RTL = {"ar", "fa", "he", "ur", "ps", "sd", "ug", "yi", "dv", "ckb"}
"""Languages that run from the right; a poster in these alone is laid out as its mirror image."""


def runs_from_right(language: str) -> bool:
    """Whether a language (``ar``, ``he-IL``) is written from the right."""
    return language.split("-")[0].lower() in RTL


def choose_fonts(brand: PosterBrand, category: str) -> PosterBrand:
    """``brand`` with a headline font that suits ``category``, if it names no fonts."""
    if brand.headline_fonts or brand.fonts != ("sans",) or category not in QUIET:
        return brand
    return brand.replace(headline_fonts=("serif",))


def read_brand(path: Path | None) -> PosterBrand:
    """The brand of a YAML file; files it names lie beside it. Raises ConfigError, SettingsError."""
    if path is None:
        return PosterBrand()
    brand = build_config(PosterBrand, load_mapping(path, AsWritten), str(path))
    beside: dict[str, Any] = {
        name: path.parent / value for name in ("logo", "style") if (value := getattr(brand, name)) is not None
    }
    missing = [str(file) for file in beside.values() if not file.is_file()]
    for name in ("fonts", "headline_fonts"):
        fonts = {font: font if font in FONTS else str(path.parent / font) for font in getattr(brand, name)}
        missing += [place for font, place in fonts.items() if font not in FONTS and not Path(place).exists()]
        beside[name] = tuple(fonts.values())
    if missing:
        raise SettingsError(
            f"{path}: {', '.join(missing)} is not there; paths are relative to the brand's file"
        )
    return brand.replace(**beside)


def read_wordings(path: Path) -> dict[str, Wording]:
    """Language to wording of a YAML file: roles with their words, or languages with their roles.

    Raises SettingsError with the file and what is wrong in it.
    """
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), AsWritten)  # a safe loader
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror or error}; give a YAML file with the words") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is no YAML file: {error}") from error
    return check_wordings(values, str(path))


def check_wordings(values: Any, where: str = "texts") -> dict[str, Wording]:
    """Language to wording of plain values, in either form. Raises SettingsError."""
    if not isinstance(values, dict) or not values:
        raise SettingsError(
            f"{where}: give a mapping such as 'headline: Slow evenings'; roles: {', '.join(ROLES)}"
        )
    if set(values) & set(ROLES):
        language = values.get("language", DEFAULT_LANGUAGE)
        values = {language: {key: words for key, words in values.items() if key != "language"}}
    found: dict[str, Wording] = {}
    for language, wording in values.items():
        if not isinstance(language, str) or not _LANGUAGE.fullmatch(language):
            raise SettingsError(
                f"{where}: {language!r} is neither a role ({', '.join(ROLES)}) nor a language such as 'de'"
            )
        if not isinstance(wording, dict) or not wording:
            raise SettingsError(f"{where}: {language}: give roles with their words")
        if unknown := [role for role in wording if role not in ROLES]:
            raise SettingsError(f"{where}: {language}: {unknown} are no roles; there are {', '.join(ROLES)}")
        if empty := [role for role, words in wording.items() if words is None or not str(words).strip()]:
            raise SettingsError(f"{where}: {language}: {empty} say nothing; leave them out")
        for role, words in wording.items():
            _check_text(words, f"{where}: {language}: {role}")
        found[language] = {role: wording[role] for role in ROLES if role in wording}
    roles = [tuple(wording) for wording in found.values()]
    if len(set(roles)) > 1:
        raise SettingsError(
            f"{where}: languages say different things ("
            f"{', '.join(f'{key}: {list(wording)}' for key, wording in found.items())}); "
            "give each of them the same roles"
        )
    return found


def _check_text(words: Any, where: str) -> None:
    """Raise SettingsError if a role's words are no text."""
    if isinstance(words, str):
        return
    if isinstance(words, dict) and words and all(_LANGUAGE.fullmatch(str(key)) for key in words):
        raise SettingsError(
            f"{where} holds languages ({', '.join(map(str, words))}); languages stand above roles"
        )
    raise SettingsError(f"{where} is {words!r}; give its words as one text (in Python, a str)")


def find_languages(file: Mapping[str, Wording], columns: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """The languages of a run: those of the texts' ``file``, then those that a table's ``columns`` (language,
    empty for all, to roles) name; English if none is named.

    Raises SettingsError if neither says a word.
    """
    if not file and not columns:
        raise SettingsError(
            "no words are given: name a file (--texts), or use a table with columns of words "
            f"({', '.join(ROLES)}, or with a language, such as headline_de)"
        )
    return tuple(dict.fromkeys((*file, *(name for name in columns if name)))) or (DEFAULT_LANGUAGE,)


def merge_words(
    file: Mapping[str, Wording], row: str | None, languages: Sequence[str], where: str
) -> dict[str, Wording]:
    """Language to wording of one product: what its ``row`` says (:class:`cyclorama.generation.items.Item`)
    before the texts' ``file``, in its own language before for all. Without a file a title is the headline
    where there is no other.

    Raises SettingsError (no words, or other roles in one language than in another).
    """
    said: dict[str, Wording] = json.loads(row or "{}")
    every = dict(said.get("", {}))
    title = every.pop("title", None)
    values = {
        language: {**file.get(language, {}), **every, **said.get(language, {})} for language in languages
    }
    if title is not None and not file:
        values = {language: {"headline": title} | wording for language, wording in values.items()}
    if not any(values.values()):
        raise SettingsError(f"{where}: no words; fill one of the columns {', '.join(ROLES)}, or give --texts")
    return check_wordings(values, where)


def settle_words(wordings: Mapping[str, Wording], brand: PosterBrand) -> dict[str, Wording]:
    """``wordings`` with prices as the brand writes them.

    Raises SettingsError (words that the brand avoids, a price that it has no way to write).
    """
    check_words(wordings, brand)
    return {
        language: wording | {"price": write_price(wording["price"], brand.price)}
        if "price" in wording
        else wording
        for language, wording in wordings.items()
    }


def check_words(wordings: Mapping[str, Wording], brand: PosterBrand) -> None:
    """Raise SettingsError if words are said that the brand avoids."""
    for language, wording in wordings.items():
        for role, words in wording.items():
            for word in brand.avoid:
                if re.search(rf"(?<!\w){re.escape(word)}(?!\w)", words, re.IGNORECASE):
                    raise SettingsError(
                        f"{language}: the {role} says {word!r}, which the brand avoids: {words!r}"
                    )


def build_block(
    role: str, words: str, language: str, brand: PosterBrand, align: str, size: float | None
) -> TextBlock:
    """The block of a text as typography sets it; ``align`` is left, center or right as the layout says."""
    weight = 700 if role in ("headline", "price", "action") else 400
    fonts = (brand.headline_fonts or brand.fonts) if role == "headline" else brand.fonts
    style = TypeStyle(
        fonts=fonts,
        weight=weight,
        line_height=min(find_leading(role), LEADING_OTHERS),
        anchor="middle",
        max_size=size,
        min_x_height=0.007 if role == "legal" else 0.011,
    )
    block = TextBlock(words=(Span(text=words),), language=language, style=style)
    if align == "center":
        return block.replace(style=style.replace(align="centre"))
    from cyclorama.typography.itemise import find_direction

    rtl = find_direction(block)
    return block.replace(style=style.replace(align="start" if (align == "left") != rtl else "end"))
