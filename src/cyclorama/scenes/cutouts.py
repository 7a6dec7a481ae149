"""How are products shown alone?  Cut-outs with alpha and the CSV that ``cyclorama generate`` takes."""

from __future__ import annotations

import csv
import io
from functools import partial
from pathlib import Path

from cyclorama.config import to_plain
from cyclorama.errors import SettingsError
from cyclorama.files import write_atomic
from cyclorama.scenes.compose import PRODUCTS_PER_CATEGORY, list_held_out, name_product, slug_of
from cyclorama.scenes.items import RunConfig, render_cutout
from cyclorama.scenes.library import load_category
from cyclorama.scenes.render import load_mitsuba
from cyclorama.scenes.runner import Progress, count_one, run_tasks
from cyclorama.scenes.shards import claim_folder

TABLE_NAME = "products.csv"


def list_products(config: RunConfig, count: int) -> list[tuple[str, int]]:
    """(category, product number) of ``count`` products, cycling through the categories.

    Products of the test split come first, so that a small selection was never trained on.

    Raises:
        SettingsError: if there are fewer products than ``count``.
    """
    names = config.categories
    limit = PRODUCTS_PER_CATEGORY * len(names)
    if count > limit:
        raise SettingsError(f"--count {count} is above the {limit} products of {len(names)} categories")
    numbers = range(PRODUCTS_PER_CATEGORY)
    order = {name: sorted(numbers, key=lambda n: n not in list_held_out(name)) for name in names}
    return [(names[i % len(names)], order[names[i % len(names)]][i // len(names)]) for i in range(count)]


def write_cutouts(
    folder: Path, config: RunConfig, count: int, workers: int = 1, progress: Progress | None = None
) -> int:
    """Write ``{category}/{product}.png`` (RGBA, straight alpha), ``products.csv``; the number rendered now.

    Raises:
        OutputError: if the folder holds another run or cannot be written.
        MissingDependencyError: if the renderer is not installed.
    """
    load_mitsuba()
    products = list_products(config, count)
    claim_folder(folder, {**to_plain(config), "products_only": True})
    paths = {entry: Path(slug_of(entry[0])) / f"{name_product(*entry)}.png" for entry in products}
    todo = [entry for entry in products if not (folder / paths[entry]).exists()]
    run_tasks([partial(_write_cutout, folder / paths[e], config, e) for e in todo], workers, progress)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["image", "category"])
    table.writerows([paths[entry].as_posix(), entry[0]] for entry in products)
    write_atomic(folder / TABLE_NAME, text.getvalue().encode())
    return len(todo)


def _write_cutout(path: Path, config: RunConfig, product: tuple[str, int]) -> None:
    write_atomic(path, render_cutout(load_category(product[0]), product[1], config.size, config.samples))
    count_one()
