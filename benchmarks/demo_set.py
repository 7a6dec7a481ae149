"""Which held-out products is a model shown with?  A set of true pairs becomes a folder for the demo.

    cyclorama lab render --out out/bgpair --count 270 --seed 1 --workers 2 --kind bgpair --unpack
    python benchmarks/demo_set.py out/bgpair --out out/demo_set
    cyclorama demo --images out/demo_set --out out/sheet

Of every category the first pair gives product, reference A and the true image in A's scene; the first
later pair of another brand gives reference B. Nothing is chosen by its looks. ``--categories`` and ``--skip``
narrow it down.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

from PIL import Image

Row = dict[str, str]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pairs", type=Path, help="folder of the set, with manifest.csv")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--categories", help="names with commas (default: all)")
    parser.add_argument(
        "--skip", type=int, default=0, help="pairs of each category to pass over (default: 0)"
    )
    parser.add_argument("--quality", type=int, default=92, help="of the JPEGs (default: 92)")
    arguments = parser.parse_args()
    with (arguments.pairs / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    wanted = (
        arguments.categories.split(",") if arguments.categories else sorted({r["category"] for r in rows})
    )
    entries = [_build_entry(name, rows, arguments) for name in wanted]
    listing = json.dumps({"version": 1, "entries": entries}, indent=1) + "\n"
    (arguments.out / "demo.json").write_text(listing, encoding="utf-8")
    print(f"{len(entries)} products in {arguments.out}")


def _build_entry(category: str, rows: list[Row], arguments: argparse.Namespace) -> dict[str, object]:
    own = [row for row in rows if row["category"] == category][arguments.skip :]
    branded = [row for row in own if row["brand"]]
    first = branded[0]
    second = next(row for row in branded if row["brand"] != first["brand"])
    slug = category.replace(" ", "-")
    product = f"products/{slug}/01.png"
    _copy(arguments, first["product"], product)
    references = []
    for letter, row in (("a", first), ("b", second)):
        entry = {"image": f"references/{slug}-{letter}.jpg", "mask": f"references/{slug}-{letter}-mask.png"}
        _copy(arguments, row["reference"], entry["image"])
        _copy(arguments, row["reference_mask"], entry["mask"])
        references.append(entry)
    references[0]["truth"] = f"truth/{slug}-a.jpg"
    _copy(arguments, first["truth"], references[0]["truth"])
    return {"product": product, "category": category, "references": references}


def _copy(arguments: argparse.Namespace, source: str, target: str) -> None:
    path = arguments.out / target
    path.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(arguments.pairs / source) as image:
        if path.suffix == ".jpg":
            image.convert("RGB").save(path, quality=arguments.quality, optimize=True, subsampling=0)
        else:
            image.save(path, optimize=True)


if __name__ == "__main__":
    main()
