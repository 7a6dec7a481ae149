"""``cyclorama lab render``: render the advertising set, or cut-outs of its products."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Literal

from cyclorama.lab.commands import Flag, Quiet


def render(
    *,
    out: Path,
    count: int,
    kind: Literal["train", "general", "bg1k", "bgpair", "poster"] = "train",
    size: int = 256,
    seed: int = 0,
    workers: int = 1,
    categories: str | None = None,
    long_tail: Flag = False,
    samples: int = 4,
    products_only: Flag = False,
    unpack: Flag = False,
    quiet: Quiet = False,
) -> int:
    """Render advertising images with exact product masks as WebDataset shards, or product cut-outs.

    The same seed gives the same bytes for any number of workers; a run that was stopped goes on where it was.

    Parameters
    ----------
    out
        Folder for the set.
    count
        Items in the whole set.
    kind
        train: images with masks; general: the same on any category's set, framed and lit as no advertisement
        is; bg1k: held-out products with their true images; bgpair: a held-out product,
        a reference of another product, and the true image of the product in the reference's scene; poster:
        products on sets laid out for words, with the layout, the number of the part at each pixel, and the
        boxes of all props.
    size
        Edge of an image in pixels.
    seed
        Seed of the run.
    workers
        Processes.
    categories
        Only these categories, comma-separated (default: all).
    long_tail
        Few frequent and many rare categories, in the order of --categories, instead of equal counts.
    samples
        Light samples a pixel, a square number.
    products_only
        Cut-outs with alpha and products.csv instead of images.
    unpack
        Also write the images as single files, and manifest.csv, which 'cyclorama generate' takes.
    """
    from cyclorama.errors import SettingsError
    from cyclorama.files import check_output_folder
    from cyclorama.jobs.progress import ProgressReport
    from cyclorama.scenes.grammar.reader import NAMES
    from cyclorama.scenes.items import IMAGES_PER_ITEM, RenderConfig
    from cyclorama.scenes.runner import TABLE_NAME, render_set, write_cutouts
    from cyclorama.scenes.shards import MANIFEST_NAME, unpack_set
    from cyclorama.scenes.statistics import SHEET_NAME, write_summary

    for name, value in (("--count", count), ("--workers", workers)):
        if value < 1:
            raise SettingsError(f"{name} is {value}; give 1 or more")
    check_output_folder(out)
    others = {"--kind": kind != "train", "--long-tail": long_tail, "--unpack": unpack}
    for option, given in others.items():
        if products_only and given:
            raise SettingsError(f"{option} does not go with --products-only; leave one of them out")
    names = NAMES
    if categories is not None:
        names = tuple(n.strip().replace("_", " ") for n in categories.split(",") if n.strip())
    config = RenderConfig(
        seed=seed, size=size, samples=samples, categories=names, kind=kind, long_tail=long_tail
    )
    start, cpu_start = time.monotonic(), _measure_cpu()
    with ProgressReport(quiet=quiet) as progress:
        progress.start(count)
        make = write_cutouts if products_only else render_set
        made = make(out, config, count, workers, lambda done: progress.advance(done - progress.done))
    seconds, cpu_seconds = time.monotonic() - start, _measure_cpu() - cpu_start
    if products_only:
        print(f"{made} cut-outs in {seconds:.0f} s; see {out / TABLE_NAME}")
        return 0
    write_summary(out)
    rendered = made * IMAGES_PER_ITEM[config.kind]
    print(
        f"{made} items, {rendered} images in {seconds:.0f} s ({rendered / max(seconds, 1e-9):.2f} a "
        f"second, {rendered / max(cpu_seconds, 1e-9):.2f} a second and core by processor time), "
        f"{count - made} items were there before; see {out / SHEET_NAME}"
    )
    if unpack:
        print(f"{unpack_set(out)} items unpacked; see {out / MANIFEST_NAME}")
    return 0


def _measure_cpu() -> float:
    """Seconds of processor time that this process and its ended workers have used."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
