"""A sheet to look at: truth, reference and every method's image of the same products, first seed."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from cyclorama.evaluation.reading import ImageItem
from cyclorama.files import write_atomic
from cyclorama.generation.overview import encode_overview
from cyclorama.generation.results import JSON_FILE
from cyclorama.lab.experiments.held_out import HeldOutSet
from cyclorama.lab.experiments.recipe import Condition

QUALITY = 88


def write_sheet(
    path: Path, held_out: HeldOutSet, condition: Condition, folders: Mapping[str, Path], rows: int
) -> None:
    """Write a JPEG with ``rows`` products spread over the set; ``folders`` maps methods to their images.

    An image that failed leaves its cell empty. Raises OutputError.
    """
    images = {name: _find_images(folder) for name, folder in folders.items()}
    keys = held_out.keys
    chosen = [keys[n * len(keys) // min(rows, len(keys))] for n in range(min(rows, len(keys)))]
    columns: dict[str, Mapping[str, Path | None]] = {"product": _list_files(held_out.products.items, chosen)}
    if condition != "self":
        columns["truth"] = _list_files(held_out.truth.items, chosen)
    references = held_out.get_references(condition)
    if references is not None:
        columns["reference"] = _list_files(references.items, chosen)
    columns |= {name: {key: found.get(key) for key in chosen} for name, found in images.items()}
    cells = [[column[key] for column in columns.values()] for key in chosen]
    with Image.open(io.BytesIO(encode_overview(cells, list(columns)))) as image:
        stream = io.BytesIO()
        image.convert("RGB").save(stream, "JPEG", quality=QUALITY, optimize=True)
    write_atomic(path, stream.getvalue())


def _list_files(items: Mapping[str, ImageItem], keys: list[str]) -> dict[str, Path | None]:
    return {key: image if isinstance(image := items[key].image, Path) else None for key in keys}


def _find_images(folder: Path) -> dict[str, Path]:
    found = {}
    for line in (folder / JSON_FILE).read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["status"] == "done":
            found[row["id"]] = folder / row["output"]
    return found
