"""Cut the bundled fonts (``weights/fonts``) out of Debian's Noto fonts: ``python recipes/fonts.py``.

Needs the package ``fonts-noto-core`` and the extra ``poster``. Latin, Greek and Cyrillic with punctuation,
currencies, arrows and the layout that HarfBuzz applies by itself; no hints, which no size here needs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import uharfbuzz as hb

TARGET = Path(__file__).parents[1] / "src" / "cyclorama" / "weights" / "fonts"
NAMES = ("NotoSans-Regular", "NotoSans-Bold", "NotoSerif-Regular", "NotoSerif-Bold")
LETTERS = (
    range(0x20, 0x7F),
    range(0xA0, 0x250),
    range(0x2B0, 0x370),
    range(0x370, 0x530),
    range(0x1E00, 0x2000),
    range(0x2000, 0x20D0),
    range(0x2100, 0x2190),
    range(0x2190, 0x219A),
    range(0x2212, 0x2266),
    range(0x25CC, 0x25CD),
    range(0xFB00, 0xFB07),
)


def cut(source: Path) -> bytes:
    """The subset of the font file ``source``."""
    wanted = hb.SubsetInput()
    for letters in LETTERS:
        for code in letters:
            wanted.unicode_set.add(code)
    wanted.flags = hb.SubsetFlags.NO_HINTING
    return bytes(hb.subset(hb.Face(hb.Blob.from_file_path(str(source))), wanted).blob.data)


def main() -> None:
    """Write the bundled fonts anew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, default=Path("/usr/share/fonts/truetype/noto"))
    source = parser.parse_args().source
    TARGET.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        data = cut(source / f"{name}.ttf")
        (TARGET / f"{name}.ttf").write_bytes(data)
        print(f"{name}: {len(data):,} bytes")


if __name__ == "__main__":
    main()
