"""Which font faces may write a text, and in which order are they asked?

A source is a bundled family (``sans``, ``serif``), a font file, a folder of font files, or ``system`` (the
folders where the operating system keeps fonts; with the bundled sans before them, if it is the first source).
Of each family the face nearest in weight is taken, upright before italic; later sources follow the weight of
the first face. Of a folder, the families come first whose names share most words with the first source's
(``Noto Sans Arabic`` after ``Noto Sans``), so that scripts mixed in a line look alike. Files of one
family that are given one by one are one family.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

from cyclorama.errors import NEEDS_POSTER, FontFileError, import_optional

hb: Any = import_optional("uharfbuzz", NEEDS_POSTER)

_FOLDER = Path(__file__).parents[1] / "weights" / "fonts"
BUNDLED = {
    "sans": ("NotoSans-Regular.ttf", "NotoSans-Bold.ttf"),
    "serif": ("NotoSerif-Regular.ttf", "NotoSerif-Bold.ttf"),
}
"""Files of the bundled families; licence and how they were made lie beside them."""
_ENDINGS = {".ttf", ".otf", ".ttc", ".otc"}
_OUTLINES = {"glyf", "CFF ", "CFF2"}
_FAMILY, _STYLE, _TYPOGRAPHIC_FAMILY, _TYPOGRAPHIC_STYLE = 1, 2, 16, 17


@dataclass(frozen=True, eq=False)
class FontFace:
    """One opened face. Lengths that its ``font`` gives are in units of ``upem`` to the em."""

    name: str
    """Family and style, for reports."""
    font: Any
    """HarfBuzz's font."""
    upem: int

    def has(self, text: str) -> bool:
        """Whether its character map holds every character of ``text``."""
        return all(self.font.get_nominal_glyph(ord(letter)) for letter in text)

    def measure(self, metric: str, otherwise: float) -> float:
        """``X_HEIGHT`` or ``CAP_HEIGHT`` as a share of the em; ``otherwise`` if the face does not say."""
        units = self.font.get_metric_position(hb.OTMetricsTag[metric])
        return units / self.upem if units else otherwise


class _Found(NamedTuple):
    path: Path
    number: int
    family: str
    weight: float
    width: float
    italic: bool
    variable: bool


@lru_cache(maxsize=256)
def find_faces(sources: tuple[str, ...], weight: int) -> tuple[FontFace, ...]:
    """The faces of ``sources`` for ``weight`` (100-900), the first asked first, the bundled sans last.

    Raises FontFileError.
    """
    chosen: list[_Found] = []
    wanted = weight
    first = ("sans",) if sources[0] == "system" else ()
    single = [found for source in sources if _is_file(source) for found in _find(source)]
    for source in (*first, *sources, "sans"):
        families: dict[str, list[_Found]] = {}
        for found in _find(source):
            families.setdefault(found.family, []).append(found)
        if _is_file(source):  # its family's other files count, too
            families = {name: [found for found in single if found.family == name] for name in families}
        model = chosen[0].family if chosen else next(iter(families))
        for family in sorted(families, key=lambda name: (-_count_shared(name, model), name)):
            chosen.append(min(families[family], key=lambda found: _rate(found, wanted)))
            wanted = weight if chosen[0].variable else round(chosen[0].weight)
    unique = dict.fromkeys((found.path, found.number, weight if found.variable else None) for found in chosen)
    return tuple(_open(*key) for key in unique)


def _is_file(source: str) -> bool:
    return source not in (*BUNDLED, "system") and not Path(source).is_dir()


def _rate(found: _Found, weight: int) -> tuple[bool, float, float, str, int]:
    """The smaller, the better."""
    distance = 0.0 if found.variable else abs(found.weight - weight)
    return found.italic, abs(found.width - 100), distance, found.path.name, found.number


def _count_shared(name: str, model: str) -> int:
    pairs = zip(name.split(), model.split(), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _find(source: str) -> tuple[_Found, ...]:
    if source in BUNDLED:
        return tuple(found for name in BUNDLED[source] for found in _read(_FOLDER / name))
    if source == "system":
        folders = _list_system_folders()
    elif Path(source).is_dir():
        folders = [Path(source)]
    else:
        return _read(Path(source))
    files = sorted(p for folder in folders for p in folder.rglob("*") if p.suffix.lower() in _ENDINGS)
    found = tuple(face for path in files for face in _read_if_font(path))
    if not found:
        where = ", ".join(map(str, folders))
        raise FontFileError(f"no font with outlines in {where}; give a .ttf, .otf or .ttc file")
    return found


def _list_system_folders() -> list[Path]:
    home = Path.home()
    if sys.platform == "darwin":
        folders = [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library/Fonts"]
    elif sys.platform == "win32":
        folders = [Path(os.environ.get("WINDIR", "C:/Windows")) / "Fonts"]
    else:
        folders = [Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), home / ".local/share/fonts"]
    return folders


def _read_if_font(path: Path) -> tuple[_Found, ...]:
    """The faces of a file that somebody else put into a folder; none if it cannot be used."""
    try:
        return _read(path)
    except FontFileError:
        return ()


@lru_cache(maxsize=4096)
def _read(path: Path) -> tuple[_Found, ...]:
    """The faces with outlines in a file. Raises FontFileError."""
    try:
        blob = hb.Blob.from_file_path(os.fspath(path))
    except hb.HarfBuzzError:
        problem = "it is empty" if path.is_file() else "there is no such file"
        raise FontFileError(
            f"font {path}: {problem}; give 'sans', 'serif', 'system', a file or folder"
        ) from None
    found = []
    for index in range(hb.Face(blob).count):
        face = hb.Face(blob, index)
        if not face.glyph_count or not _OUTLINES & set(face.table_tags) or not len(face.unicodes):
            continue
        font = hb.Font(face)
        variable = face.has_var_data and any(axis.tag == "wght" for axis in face.axis_infos)
        style = [
            font.get_style_value(tag) for tag in (hb.StyleTag.WEIGHT, hb.StyleTag.WIDTH, hb.StyleTag.ITALIC)
        ]
        family = face.get_name(_TYPOGRAPHIC_FAMILY) or face.get_name(_FAMILY) or path.stem
        found.append(_Found(path, index, family, style[0], style[1], style[2] > 0, variable))
    if not found:
        raise FontFileError(
            f"font {path}: no TrueType or OpenType font with outlines; give a .ttf or .otf file"
        )
    return tuple(found)


@lru_cache(maxsize=1024)
def _open(path: Path, index: int, weight: int | None) -> FontFace:
    face = hb.Face(hb.Blob.from_file_path(os.fspath(path)), index)
    font = hb.Font(face)
    if weight is not None:
        font.set_variations({"wght": float(weight)})
    family = face.get_name(_TYPOGRAPHIC_FAMILY) or face.get_name(_FAMILY) or path.stem
    style = f"{weight}" if weight else face.get_name(_TYPOGRAPHIC_STYLE) or face.get_name(_STYLE) or ""
    return FontFace(f"{family} {style}".strip(), font, face.upem)
