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
    quality: int = 92,
) -> int:
    """Take products and references out of a set of true pairs, so that a model can be shown with them.

    Of every category the first pair gives product, reference A and the true image in A's scene; the first
    later pair of another brand gives reference B. Nothing is chosen by its looks.

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
    quality
        Of the JPEGs.
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
        branded = [row for row in rows if row["category"] == name][skip:]
        branded = [row for row in branded if row["brand"]]
        second = [row for row in branded if row["brand"] != branded[0]["brand"]]
        if not second:
            raise DataError(f"{pairs}: {name!r} has no pairs of two brands after {skip}; render more")
        entries.append(_copy_pair(name, branded[0], second[0], pairs, out, quality))
    listing = json.dumps({"version": 1, "entries": entries}, indent=1) + "\n"
    write_atomic(out / "demo.json", listing.encode())
    print(f"{len(entries)} products in {out}")
    return 0


def _copy_pair(
    category: str, first: dict[str, str], second: dict[str, str], pairs: Path, out: Path, quality: int
) -> dict[str, Any]:
    from PIL import Image

    def copy(source: str, target: str) -> str:
        path = out / target
        path.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(pairs / source) as image:
            if path.suffix == ".jpg":
                image.convert("RGB").save(path, quality=quality, optimize=True, subsampling=0)
            else:
                image.save(path, optimize=True)
        return target

    slug = category.replace(" ", "-")
    references = [
        {
            "image": copy(row["reference"], f"references/{slug}-{letter}.jpg"),
            "mask": copy(row["reference_mask"], f"references/{slug}-{letter}-mask.png"),
        }
        for letter, row in (("a", first), ("b", second))
    ]
    references[0]["truth"] = copy(first["truth"], f"truth/{slug}-a.jpg")
    product = copy(first["product"], f"products/{slug}/01.png")
    return {"product": product, "category": category, "references": references}
