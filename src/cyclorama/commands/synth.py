"""``cyclorama synth``: render the advertising set, or cut-outs of its products."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cyclorama.synth.items import RunConfig


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``synth`` command to the command line."""
    parser = subparsers.add_parser(
        "synth",
        help="render the advertising set (needs the extra 'synth')",
        description="Render advertising pictures with exact product masks as WebDataset shards, or product "
        "cut-outs with alpha. The same seed gives the same bytes for any number of workers; a run that was "
        "stopped goes on where it was.",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the set")
    parser.add_argument("--count", type=int, required=True, metavar="N", help="pictures in the whole set")
    parser.add_argument(
        "--size", type=int, default=256, metavar="PX", help="edge of a picture (default: 256)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="seed of the run (default: 0)")
    parser.add_argument("--workers", type=int, default=1, metavar="W", help="processes (default: 1)")
    parser.add_argument("--categories", metavar="A,B", help="only these categories (default: all)")
    parser.add_argument(
        "--samples", type=int, default=4, metavar="N", help="light samples a pixel, a square (default: 4)"
    )
    parser.add_argument(
        "--products-only",
        action="store_true",
        help="cut-outs with alpha and products.csv instead of pictures",
    )


def run(args: argparse.Namespace) -> int:
    """Render as asked and say what was made; 0 when the set is complete."""
    from cyclorama.synth.cutouts import TABLE_NAME, write_cutouts
    from cyclorama.synth.runner import render_set
    from cyclorama.synth.statistics import SHEET_NAME, write_summary

    config = _check(args)
    start = time.monotonic()
    with _Bar(args.count) as show:
        make = write_cutouts if args.products_only else render_set
        made = make(args.out, config, args.count, args.workers, show)
    seconds = time.monotonic() - start
    if args.products_only:
        print(f"{made} cut-outs in {seconds:.0f} s; see {args.out / TABLE_NAME}")
        return 0
    write_summary(args.out)
    rate = made / max(seconds, 1e-9)
    print(
        f"{made} pictures in {seconds:.0f} s ({rate:.2f} a second, {rate / args.workers:.2f} a second and "
        f"worker), {args.count - made} were there before; see {args.out / SHEET_NAME}"
    )
    return 0


def _check(args: argparse.Namespace) -> RunConfig:
    from cyclorama.errors import OutputError, SettingsError
    from cyclorama.synth.items import ALL_CATEGORIES, RunConfig

    for name, value in (("--count", args.count), ("--workers", args.workers)):
        if value < 1:
            raise SettingsError(f"{name} is {value}; give 1 or more")
    if args.out.exists() and not args.out.is_dir():
        raise OutputError(f"output {args.out} is a file; give a folder with --out")
    names = ALL_CATEGORIES
    if args.categories is not None:
        names = tuple(n.strip().replace("_", " ") for n in args.categories.split(",") if n.strip())
    return RunConfig(args.seed, args.size, args.samples, names)


class _Bar:
    """A progress bar with pictures a second and time left, on stderr; calling it sets the number made."""

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
        self._progress.update(self._task, completed=made, rate=f"{rate:.2f} pictures/s")
