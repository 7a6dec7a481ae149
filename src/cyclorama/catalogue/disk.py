"""How many bytes will an image take, its layers included?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from cyclorama.catalogue.job import Toolkit
from cyclorama.catalogue.manifest import is_remote
from cyclorama.catalogue.plan import Plan, PlanRow
from cyclorama.catalogue.results import read_table
from cyclorama.catalogue.store import Store
from cyclorama.errors import ImageError, MaskError
from cyclorama.generation.items import Item
from cyclorama.generation.result import Generated
from cyclorama.generation.sources import SourceLoader
from cyclorama.imaging.compositing import composite, compute_product_report

PIXEL_BYTES = 2.0
"""Bytes that a pixel takes in a photographic PNG, about; for inputs that cannot be looked at from here."""
USUAL_PIXELS = 1024 * 1024
TRIALS = 8


def count_bytes(store: Store, shards: Sequence[int]) -> tuple[int, int]:
    """(images, bytes of all their files) that finished ``shards`` have."""
    count, size = 0, 0
    for shard in shards:
        try:
            table = read_table(store.get_results(shard), columns=["images"])
        except (OSError, pa.ArrowException):
            continue
        for text in table.column("images").drop_null().to_pylist():
            images = json.loads(text)
            count += len(images)
            size += sum(file["bytes"] for image in images for file in image["files"])
    return count, size


def try_encoding(plan: Plan, toolkit: Toolkit) -> float:
    """Mean bytes of an image with the toolkit's canvases and files: eight inputs of the plan stand in for
    images.

    Inputs elsewhere than on a disk, and such as cannot be read, are passed over; with none left it is two
    bytes a pixel.
    """
    sizes = []
    for row in _choose_rows(plan):
        try:
            sizes.append(_encode(plan, row, toolkit))
        except (ImageError, MaskError, OSError):  # the run will name it; this is an estimate
            continue
        if len(sizes) == TRIALS:
            break
    return sum(sizes) / len(sizes) if sizes else PIXEL_BYTES * USUAL_PIXELS


def _choose_rows(plan: Plan) -> Iterator[PlanRow]:
    """Rows with a file on this machine, spread over the plan; some more than needed, since some may fail."""
    step = max(1, len(plan.keys) // TRIALS)
    for shard in range(0, len(plan.keys), step):
        rows = [row for row in plan.read_shard(shard) if row.failure is None and row.image]
        for row in rows[:: max(1, len(rows) * step // TRIALS)][: 2 * TRIALS]:
            if not is_remote(plan.resolve(row.image) or ""):
                yield row


def _encode(plan: Plan, row: PlanRow, toolkit: Toolkit) -> float:
    mask = plan.resolve(row.mask)
    item = Item(
        name=row.name,
        image=Path(plan.resolve(row.image) or ""),
        mask=None if mask is None else Path(mask),
        mask_means=row.mask_means,  # type: ignore[arg-type]
    )
    product, _ = SourceLoader(None).load(item)
    total = 0
    for layout in toolkit.layouts:
        placed = layout.place(product)
        height, width = placed.pixels.shape[:2]
        photo = Image.fromarray(product.pixels).resize((width, height), Image.Resampling.BICUBIC)
        background = np.asarray(photo)
        pixels = composite(background, placed)
        made = Generated(
            pixels=pixels,
            background=background,
            report=compute_product_report(pixels, placed),
            category=row.category or "",
            identifier=row.identifier or "",
            seed=0,
            seconds=0.0,
            settings={},
            name=row.name,
            icc_profile=product.icc_profile,
        )
        total += sum(map(len, toolkit.encoder(made, placed, {}).values()))
    return total / len(toolkit.layouts)
