"""The planted set: rows of which it is known what is wrong with them, and which rule should say so.

``build_set`` writes ``images/``, ``masks/``, ``manifest.csv`` (what a shop would hand over), ``truth.csv``
and ``truth/*.png`` (what no rule may see) and ``settings.json``. The same arguments give the same images on
one machine; a row's image depends on its number alone, so that processes share the work.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from cyclorama.errors import DataError
from cyclorama.lab.planted.fonts import find_fonts
from cyclorama.lab.planted.kinds import KINDS, Kind, Plant, Scene
from cyclorama.lab.planted.people import find_people
from cyclorama.lab.planted.scenes import Base, Chance, Mask, list_bases, open_base

SIDES = (512, 512, 576, 640)
MANIFEST = (
    "id", "image", "product_id", "category", "mask", "brand", "impressions", "clicks", "licence", "language",
)  # fmt: skip
TRUTH = ("id", "kind", "expect", "allow", "group", "base", "category", "commercial_use")
_LICENCES = ("CC0-1.0", "CC-BY-4.0", "MIT", "own photographs", "")
_RESTRICTED = ("CC-BY-NC-4.0", "CC BY-NC-SA 4.0", "for academic use only", "non-commercial research")


class PlantedRow(NamedTuple):
    """What a row is to be."""

    number: int
    kind: str
    bases: tuple[int, ...]
    group: str = ""
    """Of an image and its copies."""


@dataclass(frozen=True)
class PlantingJob:
    """What every process needs to make rows."""

    shards: Path
    out: Path
    assets: Path | None
    """Folder with fonts and portraits in or below it."""
    bodies: Path | None
    """Folder of rendered bodies."""
    seed: int
    kinds: tuple[str, ...] = ()
    """Names of the kinds to plant; empty for all."""


def plan_rows(count: int, images: int, seed: int, kinds: Mapping[str, Kind]) -> list[PlantedRow]:
    """About ``count`` rows in a random order, each kind in its share, no image used twice but by copies.

    Raises DataError if ``images`` are too few.
    """
    chance = np.random.default_rng([seed, 1])
    share = count / sum(kind.count for kind in kinds.values())
    numbers = {name: max(1, round(kind.count * share)) for name, kind in kinds.items()}
    needed = sum(numbers[name] * kind.bases for name, kind in kinds.items() if not kind.copy)
    if needed > images:
        raise DataError(f"{needed} rendered images are needed for {count} rows, {images} are there")
    order = iter(chance.permutation(images).tolist())
    names = [name for name, kind in kinds.items() if not kind.copy for _ in range(numbers[name])]
    wanted = [(name, tuple(next(order) for _ in range(kinds[name].bases)), "") for name in names]
    originals = iter([place for place, (name, _, _) in enumerate(wanted) if name == "clean"])
    for name, kind in kinds.items():
        for _ in range(numbers[name] if kind.copy else 0):
            original = next(originals)
            bases = wanted[original][1]
            wanted[original] = ("clean", bases, f"g{bases[0]:05d}")
            wanted.append((name, bases, f"g{bases[0]:05d}"))
    return [PlantedRow(n, *wanted[place]) for n, place in enumerate(chance.permutation(len(wanted)).tolist())]


def open_bases(places: Sequence[int], shards: Path, seed: int) -> list[Base]:
    """The rendered images at ``places`` of ``shards``. Copies get the same pixels as their original."""
    found = []
    for place in places:
        chance = np.random.default_rng([seed, 2, place])
        found.append(open_base(list_bases(shards)[place], int(chance.choice(SIDES)), chance))
    return found


def encode(plant: Plant, chance: Chance) -> tuple[str, bytes]:
    """(suffix, bytes) of a file as shops have them: JPEG mostly, PNG and WebP."""
    suffix = plant.suffix or str(chance.choice(["jpg", "png", "webp"], p=[0.65, 0.22, 0.13]))
    if plant.raw is not None:
        return suffix, plant.raw
    image = Image.fromarray(plant.pixels)
    if plant.alpha is not None:
        image.putalpha(_to_image(plant.alpha))
    stream = io.BytesIO()
    quality = plant.quality or int(chance.integers(86, 96))
    formats: dict[str, dict[str, Any]] = {
        "jpg": {"format": "JPEG", "quality": quality},
        "png": {"format": "PNG", "compress_level": 4},
        "webp": {"format": "WEBP", "quality": quality, "method": 2},
    }
    image.save(stream, **formats[suffix])
    return suffix, stream.getvalue()


def _to_image(mask: Mask) -> Image.Image:
    return Image.fromarray((mask * 255).round().astype(np.uint8))


def draw_numbers(kind: Kind, chance: Chance) -> tuple[int, int]:
    """(impressions, clicks) of a row."""
    seen = int(math.exp(chance.uniform(math.log(50_000), math.log(1_500_000))))
    rate = float(chance.uniform(0.048, 0.058))
    if kind.clicks == "low":
        rate = float(chance.uniform(0.004, 0.018))
    elif kind.clicks == "few":  # a high ratio of next to nothing
        seen = int(chance.integers(8, 40))
        return seen, max(1, round(seen * chance.uniform(0.05, 0.1)))
    elif kind.clicks == "tail":
        seen = int(chance.integers(500, 4000))
    return seen, int(chance.binomial(seen, rate))


def write_category(category: str, chance: Chance) -> str:
    """``category`` as somebody else would have written it."""
    ways = (category, category.upper(), f"  {category} ", category.title(), f"Shop > {category.title()}")
    return ways[int(chance.choice(len(ways), p=[0.6, 0.1, 0.1, 0.1, 0.1]))]


def make_row(row: PlantedRow, job: PlantingJob) -> dict[str, str]:
    """Write one row's files; its cells of both tables. A kind that cannot be made becomes a clean row."""
    bases = open_bases(row.bases, job.shards, job.seed)
    chance = np.random.default_rng([job.seed, 3, row.number])
    people = find_people(job.assets, job.bodies)
    plant = KINDS[row.kind].make(Scene(bases, find_fonts(job.assets), people, chance))
    if plant is None:
        row = row._replace(kind="clean", group="")
        plant = Plant(bases[0].pixels, bases[0].mask)
    kind, key = KINDS[row.kind], f"p{row.number:05d}"
    chance = np.random.default_rng([job.seed, 4, row.number])
    suffix, data = encode(plant, chance)
    (job.out / "images" / f"{key}.{suffix}").write_bytes(data)
    for name, mask in (
        (f"masks/{key}.png", plant.mask),
        (f"truth/{key}.text.png", plant.text),
        (f"truth/{key}.mask.png", plant.truth),
    ):
        if mask is not None:
            _to_image(mask).save(job.out / name, compress_level=4)
    labels = bases[0].labels
    seen, clicked = draw_numbers(kind, chance)
    own = kind.copy or kind.clicks == "tail"  # copies lie under another product; the tail's are its own
    restricted = chance.random() < 0.05
    licence = str(chance.choice(_RESTRICTED if restricted else _LICENCES))
    return {
        "id": key, "image": f"images/{key}.{suffix}", "kind": row.kind, "expect": kind.expect,
        "mask": "" if plant.mask is None else f"masks/{key}.png",
        "product_id": f"{labels['product_id']}-{key}" if own else labels["product_id"],
        "brand": labels["brand"] or "", "impressions": str(seen), "clicks": str(clicked), "licence": licence,
        "language": "en", "allow": kind.allow, "group": row.group, "base": str(row.bases[0]),
        "category": write_category(labels["category"], chance), "canonical": labels["category"],
        "commercial_use": "forbidden" if restricted else "allowed" if licence else "unstated",
    }  # fmt: skip


def build_set(job: PlantingJob, count: int, workers: int = 1) -> Counter[str]:
    """The set of about ``count`` rows in ``job.out``; rows by kind."""
    for name in ("images", "masks", "truth"):
        (job.out / name).mkdir(parents=True, exist_ok=True)
    kinds = {name: kind for name, kind in KINDS.items() if name in job.kinds or not job.kinds}
    rows = plan_rows(count, len(list_bases(job.shards)), job.seed, kinds)
    if workers == 1:
        cells = [make_row(row, job) for row in rows]
    else:
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            cells = list(pool.map(make_row, rows, [job] * len(rows), chunksize=8))
    groups = Counter(cell["group"] for cell in cells)
    totals: Counter[str] = Counter()
    for cell in cells:
        totals[cell["product_id"]] += int(cell["impressions"])
        if groups[cell["group"]] < 2:  # an original whose copy could not be made stands alone
            cell["group"] = ""
    for file, columns, category in (("manifest", MANIFEST, "category"), ("truth", TRUTH, "canonical")):
        with (job.out / f"{file}.csv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows({**cell, "category": cell[category]} for cell in cells)
    tail = {cell["product_id"] for cell in cells if cell["kind"] == "clicks_tail"}
    kept = sum(seen for product, seen in totals.items() if seen >= 5000 and product not in tail)
    facts = {"seed": job.seed, "rows": len(cells), "impressions_total": kept}
    (job.out / "settings.json").write_text(json.dumps(facts))
    return Counter(cell["kind"] for cell in cells)
