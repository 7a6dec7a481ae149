"""``cyclorama lab render``: render the advertising set, or cut-outs of its products."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cyclorama.scenes.items import RunConfig


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``synth`` command to the command line."""
    parser = subparsers.add_parser(
        "render",
        help="render the advertising set (needs the extra 'scenes')",
        description="Render advertising images with exact product masks as WebDataset shards, or product "
        "cut-outs with alpha. The same seed gives the same bytes for any number of workers; a run that was "
        "stopped goes on where it was.",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the set")
    parser.add_argument("--count", type=int, required=True, metavar="N", help="items in the whole set")
    parser.add_argument(
        "--kind",
        choices=("train", "bg1k", "bgpair"),
        default="train",
        help="train: images with masks; bg1k: held-out products with their true images; bgpair: a "
        "held-out product, a reference of another product, and the true image of the product in the "
        "reference's scene (default: train)",
    )
    parser.add_argument("--size", type=int, default=256, metavar="PX", help="edge of an image (default: 256)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="seed of the run (default: 0)")
    parser.add_argument("--workers", type=int, default=1, metavar="W", help="processes (default: 1)")
    parser.add_argument("--categories", metavar="A,B", help="only these categories (default: all)")
    parser.add_argument(
        "--long-tail",
        action="store_true",
        help="few frequent and many rare categories, in the order of --categories, instead of equal counts",
    )
    parser.add_argument(
        "--samples", type=int, default=4, metavar="N", help="light samples a pixel, a square (default: 4)"
    )
    parser.add_argument(
        "--products-only",
        action="store_true",
        help="cut-outs with alpha and products.csv instead of images",
    )
    parser.add_argument(
        "--unpack",
        action="store_true",
        help="also write the images as single files, and manifest.csv, which 'cyclorama generate' takes",
    )


def run(args: argparse.Namespace) -> int:
    """Render as asked and say what was made; 0 when the set is complete."""
    from cyclorama.scenes.cutouts import TABLE_NAME, write_cutouts
    from cyclorama.scenes.items import IMAGES_PER_ITEM
    from cyclorama.scenes.runner import render_set
    from cyclorama.scenes.statistics import SHEET_NAME, write_summary
    from cyclorama.scenes.unpack import MANIFEST_NAME, unpack_set

    config = _check(args)
    start, cpu_start = time.monotonic(), _measure_cpu()
    with _Bar(args.count) as show:
        make = write_cutouts if args.products_only else render_set
        made = make(args.out, config, args.count, args.workers, show)
    seconds, cpu_seconds = time.monotonic() - start, _measure_cpu() - cpu_start
    if args.products_only:
        print(f"{made} cut-outs in {seconds:.0f} s; see {args.out / TABLE_NAME}")
        return 0
    write_summary(args.out)
    rendered = made * IMAGES_PER_ITEM[config.kind]
    print(
        f"{made} items, {rendered} images in {seconds:.0f} s ({rendered / max(seconds, 1e-9):.2f} a "
        f"second, {rendered / max(cpu_seconds, 1e-9):.2f} a second and core by processor time), "
        f"{args.count - made} items were there before; see {args.out / SHEET_NAME}"
    )
    if args.unpack:
        unpacked = unpack_set(args.out)
        print(f"{unpacked} items unpacked; see {args.out / MANIFEST_NAME}")
    return 0


def _measure_cpu() -> float:
    """Seconds of processor time that this process and its ended workers have used."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _check(args: argparse.Namespace) -> RunConfig:
    from cyclorama.errors import SettingsError
    from cyclorama.files import check_output_folder
    from cyclorama.scenes.items import ALL_CATEGORIES, RunConfig

    for name, value in (("--count", args.count), ("--workers", args.workers)):
        if value < 1:
            raise SettingsError(f"{name} is {value}; give 1 or more")
    check_output_folder(args.out)
    if args.products_only:
        for option, given in (
            ("--kind", args.kind != "train"),
            ("--long-tail", args.long_tail),
            ("--unpack", args.unpack),
        ):
            if given:
                raise SettingsError(f"{option} does not go with --products-only; leave one of them out")
    names = ALL_CATEGORIES
    if args.categories is not None:
        names = tuple(n.strip().replace("_", " ") for n in args.categories.split(",") if n.strip())
    return RunConfig(args.seed, args.size, args.samples, names, kind=args.kind, long_tail=args.long_tail)


class _Bar:
    """A progress bar with images a second and time left, on stderr; calling it sets the number made."""

    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("rendering"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._progress.add_task("rendering", total=total, rate="")
        self._start = time.monotonic()

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, made: int) -> None:
        rate = made / max(time.monotonic() - self._start, 1e-9)
        self._progress.update(self._task, completed=made, rate=f"{rate:.2f} images/s")
