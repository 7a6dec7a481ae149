"""``cyclorama lab demo-set``: held-out products of every category as a folder for `cyclorama demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def demo_set(
    pairs: Path,
    /,
    *,
    out: Path,
    categories: str | None = None,
    skip: int = 0,
    side: int = 384,
) -> int:
    """Take products and references out of a set of true pairs, so that a model can be shown with them.

    Of every category one pair gives product, reference and the true image in the reference's scene. Nothing
    is chosen by its looks.

    Parameters
    ----------
    pairs
        Folder that `cyclorama lab render --kind bgpair --unpack` made.
    out
        Folder for `cyclorama demo --images`.
    categories
        Only these, comma-separated (default: all).
    skip
        Pairs of each category to pass over.
    side
        Longest side of references and true images in pixels; products keep their size.
    """
    import csv
    import json

    from cyclorama.errors import DataError
    from cyclorama.files import write_atomic

    try:
        text = (pairs / "manifest.csv").read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(
            f"no set of pairs at {pairs}: {error}; render one with --kind bgpair --unpack"
        ) from error
    rows = list(csv.DictReader(text.splitlines()))
    wanted = categories.split(",") if categories else sorted({row["category"] for row in rows})
    entries = []
    for name in wanted:
        found = [row for row in rows if row["category"] == name][skip:]
        if not found:
            raise DataError(f"{pairs}: {name!r} has no pair after {skip}; render more")
        entries.append(_copy_pair(name, found[0], pairs, out, side))
    listing = json.dumps({"version": 2, "entries": entries}, indent=1) + "\n"
    write_atomic(out / "demo.json", listing.encode())
    print(f"{len(entries)} products in {out}")
    return 0


def _copy_pair(category: str, pair: dict[str, str], pairs: Path, out: Path, side: int) -> dict[str, Any]:
    from PIL import Image

    slug = category.replace(" ", "-")
    entry = {
        "product": f"products/{slug}/01.webp",
        "category": category,
        "reference": f"references/{slug}.jpg",
        "reference_mask": f"references/{slug}-mask.png",
        "truth": f"truth/{slug}.jpg",
    }
    for column, target in entry.items():
        if column == "category":
            continue
        path = out / target
        path.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(pairs / pair[column]) as opened:
            opened.load()
            image: Image.Image = opened
        if column != "product":
            image.thumbnail((side, side), Image.Resampling.LANCZOS)
        if path.suffix == ".jpg":
            image.convert("RGB").save(path, quality=90, optimize=True, subsampling=0)
        elif path.suffix == ".webp":
            image.save(path, quality=92, alpha_quality=100, method=6)
        else:
            image.save(path, optimize=True)
    return entry
