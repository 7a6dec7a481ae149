"""How is a whole run rendered?  Shards or single cut-outs over worker processes, with a running count."""

from __future__ import annotations

import csv
import io
import itertools
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any

from cyclorama.config import to_plain
from cyclorama.errors import SettingsError
from cyclorama.files import write_atomic
from cyclorama.scenes.compose import PRODUCTS_PER_CATEGORY, list_held_out, name_product, slug_of
from cyclorama.scenes.grammar.reader import load_category
from cyclorama.scenes.items import RenderConfig, render_cutout
from cyclorama.scenes.render import load_mitsuba
from cyclorama.scenes.shards import claim_folder, is_done, write_shard

Progress = Callable[[int], None]
"""Called about once a second, or for each image, with the number made so far."""

TABLE_NAME = "products.csv"

_REPORT: list[Callable[[], None]] = []


def count_one() -> None:
    """Report that this process has made one more image."""
    _REPORT[0]()


def _start_worker(counter: Any, parent: int) -> None:
    def report() -> None:
        if os.getppid() != parent:  # the run was killed: leave nothing behind that renders on
            os._exit(1)
        with counter.get_lock():
            counter.value += 1

    _REPORT[:] = [report]
    load_mitsuba()


def run_tasks(tasks: Sequence[Callable[[], None]], workers: int, progress: Progress | None) -> None:
    """Run picklable ``tasks`` here (one worker) or in processes of their own; the first error ends it."""
    if workers == 1:
        made = itertools.count(1)
        _REPORT[:] = [lambda: progress(next(made)) if progress is not None else None]
        for task in tasks:
            task()
        return
    if not tasks:
        return
    context = multiprocessing.get_context("spawn")
    counter = context.Value("q", 0)
    pool = ProcessPoolExecutor(min(workers, len(tasks)), context, _start_worker, (counter, os.getpid()))
    try:
        pending = {pool.submit(task) for task in tasks}
        while pending:
            done, pending = wait(pending, timeout=1.0, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
            if progress is not None:
                progress(int(counter.value))
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def list_open_shards(folder: Path, config: RenderConfig, count: int) -> list[tuple[int, int]]:
    """(number, items) of every shard of the first ``count`` items that is still to be rendered."""
    size = config.shard_size
    shards = [(k, min(size, count - k * size)) for k in range((count + size - 1) // size)]
    return [(k, n) for k, n in shards if not is_done(folder, k, n)]


def render_set(
    folder: Path, config: RenderConfig, count: int, workers: int = 1, progress: Progress | None = None
) -> int:
    """Render what is missing of the first ``count`` items into ``folder``; the number of items rendered now.

    The shards' bytes depend on ``config`` and ``count`` alone, not on ``workers`` nor on interruptions. A
    larger ``count`` later adds to the folder.

    Raises:
        OutputError: if the folder holds a run with another config or cannot be written.
        MissingDependencyError: if the renderer is not installed.
    """
    load_mitsuba()
    claim_folder(folder, to_plain(config))
    todo = list_open_shards(folder, config, count)
    run_tasks([partial(write_shard, folder, config, k, n, count_one) for k, n in todo], workers, progress)
    return sum(n for _, n in todo)


def list_products(config: RenderConfig, count: int) -> list[tuple[str, int]]:
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
    folder: Path, config: RenderConfig, count: int, workers: int = 1, progress: Progress | None = None
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


def _write_cutout(path: Path, config: RenderConfig, product: tuple[str, int]) -> None:
    write_atomic(path, render_cutout(load_category(product[0]), product[1], config.size, config.samples))
    count_one()
