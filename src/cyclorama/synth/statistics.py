"""What is in a rendered set?  Counts by category, brand and split, and a contact sheet."""

from __future__ import annotations

import base64
import html
import io
import json
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from cyclorama.synth.shards import write_atomically

STATISTICS_NAME = "statistics.json"
SHEET_NAME = "index.html"
PER_GROUP = 4
THUMBNAIL = 128

_STYLE = (
    "body{font:14px system-ui,sans-serif;margin:2rem;color:#222}td,th{padding:.3rem .6rem;text-align:left;"
    "vertical-align:top}img{margin:1px;border-radius:3px}th{font-weight:600;white-space:nowrap}"
)


@dataclass(frozen=True)
class StoredItem:
    """One item of a set as read back: its metadata and its picture's PNG bytes."""

    metadata: dict[str, str | None]
    picture: bytes


def read_items(folder: Path) -> Iterator[StoredItem]:
    """All items of the finished shards in ``folder``, in order."""
    for mark in sorted(folder.glob("shard-*.done.json")):
        with tarfile.open(folder / mark.name.replace(".done.json", ".tar")) as tar:
            members = {m.name: m for m in tar.getmembers()}
            for name in [n for n in members if n.endswith(".json")]:
                text, picture = tar.extractfile(members[name]), tar.extractfile(name[:-5] + ".png")
                assert text is not None
                assert picture is not None
                yield StoredItem(json.loads(text.read()), picture.read())


def write_summary(folder: Path) -> dict[str, object]:
    """Write ``statistics.json`` and ``index.html`` for the set in ``folder``; the statistics.

    Both depend on the shards alone.
    """
    counts: dict[str, Counter[str]] = {k: Counter() for k in ("category", "brand", "split")}
    products: dict[str, set[str]] = {}
    samples: dict[tuple[str, str], list[bytes]] = {}
    total = 0
    for item in read_items(folder):
        data = item.metadata
        category, brand = str(data["category"]), data["brand"] or "unbranded"
        total += 1
        counts["category"][category] += 1
        counts["brand"][brand if data["brand"] else f"{category}: unbranded"] += 1
        counts["split"][str(data["split"])] += 1
        products.setdefault(category, set()).add(str(data["product_id"]))
        shown = samples.setdefault((category, brand), [])
        if len(shown) < PER_GROUP:
            shown.append(item.picture)
    statistics: dict[str, object] = {
        "images": total,
        "images_per_category": dict(sorted(counts["category"].items())),
        "images_per_brand": dict(sorted(counts["brand"].items())),
        "images_per_split": dict(sorted(counts["split"].items())),
        "products_per_category": {k: len(v) for k, v in sorted(products.items())},
    }
    write_atomically(folder / STATISTICS_NAME, (json.dumps(statistics, indent=1) + "\n").encode())
    write_atomically(folder / SHEET_NAME, _build_sheet(samples, total).encode())
    return statistics


def _build_sheet(samples: dict[tuple[str, str], list[bytes]], total: int) -> str:
    rows = []
    for (category, brand), pictures in sorted(samples.items()):
        images = "".join(f'<img alt="" src="{_encode_thumbnail(p)}">' for p in pictures)
        rows.append(
            f"<tr><th>{html.escape(category)}</th><td>{html.escape(brand)}</td><td>{images}</td></tr>"
        )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Rendered set</title><style>{_STYLE}'
        f"</style><h1>Rendered set: {total} pictures</h1><table>{''.join(rows)}</table></html>\n"
    )


def _encode_thumbnail(png: bytes) -> str:
    image = Image.open(io.BytesIO(png)).convert("RGB")
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
