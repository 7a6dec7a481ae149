"""``cyclorama curate``: raw advertising images to a training set; and the page on which people decide."""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cyclorama.curate.config import CurateConfig
    from cyclorama.curate.run import CurateResult

REVIEW = "review"
_EPILOG = """\
INPUT is a folder of images, a manifest (CSV, JSONL, Parquet; columns image, product_id, category, mask,
brand, impressions, clicks, licence, or what your system calls them), here or at an fsspec address
(s3://...), a PITA-style JSONL, or the folder of a published set (bg60k_info.txt and the like).

Results: DIR/set/ (shards for 'cyclorama train'), DIR/results.parquet (one row per input row),
DIR/rejects/RULE.jsonl, DIR/index.html, DIR/card.md. 'cyclorama curate review DIR' opens the page on which
doubtful images and pairs are decided; run the same command again to take the decisions in. What is known
and unchanged is never worked out again, after a stop, a kill, or a change of settings.

exit codes: 0 done, 1 done and nothing was kept, 2 nothing could start, or the disk or a model refused,
130 stopped by Ctrl-C or SIGTERM
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command ``curate``."""
    parser = subparsers.add_parser(
        "curate",
        help="make a training set of a shop's raw advertising images",
        description="Make a training set of a shop's raw advertising images, one rule after another; every "
        "input row ends in the result table with a reason. 'cyclorama curate review DIR' lets people decide.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("input", metavar="INPUT", help="folder, manifest or fsspec address; or: review")
    parser.add_argument("folder", metavar="DIR", nargs="?", type=Path, help="after 'review': a run's folder")
    what = parser.add_argument_group("curating")
    what.add_argument("--out", metavar="DIR", type=Path, help="output folder")
    what.add_argument(
        "--config", metavar="FILE", type=Path, help="recipe, as recipes/curate.yaml (default: its values)"
    )
    what.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="override a setting of the recipe, e.g. --set size.min_side=384 or --set people=null; may be "
        "repeated",
    )
    what.add_argument("--engine", choices=("in-process", "ray"), default="in-process")
    what.add_argument("--workers", metavar="N", type=int, default=1, help="processes (default: 1)")
    what.add_argument("--address", metavar="ADDR", help="Ray cluster to join (default: one on this machine)")
    what.add_argument("--quiet", action="store_true", help="print errors only")
    page = parser.add_argument_group("review")
    page.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="NAME",
        help="address to listen at (default: 127.0.0.1, this machine only)",
    )
    page.add_argument("--port", type=int, default=8610, metavar="N", help="port, 0 for any (default: 8610)")


def run(args: argparse.Namespace) -> int:
    """Curate, or serve the review page; 0 when done."""
    from cyclorama.errors import SettingsError

    if args.input == REVIEW and args.folder is not None:
        return _review(args)
    if args.folder is not None:
        raise SettingsError(f"unexpected {args.folder}; give one INPUT, and the output folder with --out")
    if args.out is None:
        raise SettingsError("--out is missing; give the folder for the training set and its reports")
    return _curate(args)


def load_recipe(path: Path | None, settings: list[str]) -> CurateConfig:
    """The recipe in ``path`` (None: defaults) with ``KEY=VALUE`` settings put over it. Raises ConfigError."""
    from cyclorama.config import apply_overrides, build_config, load_mapping
    from cyclorama.curate.config import CurateConfig

    values = apply_overrides({} if path is None else load_mapping(path), settings)
    return build_config(CurateConfig, values, where="recipe" if path is None else str(path))


def _curate(args: argparse.Namespace) -> int:
    from cyclorama.curate.config import DEFAULT_ENGINE
    from cyclorama.curate.run import run_curate
    from cyclorama.jobs.job import Hooks
    from cyclorama.jobs.progress import ProgressReport
    from cyclorama.jobs.stop import catch_stop

    config = load_recipe(args.config, args.settings)
    engine = DEFAULT_ENGINE.replace(engine=args.engine, workers=args.workers, address=args.address)
    with catch_stop(args.quiet) as wish, ProgressReport(quiet=args.quiet) as progress:
        hooks = Hooks(
            started=progress.start,
            advanced=progress.advance,
            stopping=wish,
            noted=lambda text: None if args.quiet else print(text, file=sys.stderr),
        )
        result = run_curate(args.input, args.out, config, engine, hooks)
    return _finish(result, args.out, args.quiet)


def _review(args: argparse.Namespace) -> int:
    import signal

    from cyclorama.curate.review import Desk
    from cyclorama.curate.review_server import ReviewServer

    desk = Desk(args.folder)
    with ReviewServer(desk, args.host, args.port) as server:
        print(f"{len(desk)} to decide at {server.address}; Ctrl-C ends", flush=True)
        for number in (signal.SIGINT, signal.SIGTERM):  # a job started with & would ignore the first
            signal.signal(number, signal.default_int_handler)
        with suppress(KeyboardInterrupt):
            server.serve_forever()
    return 0


def _finish(result: CurateResult, out: Path, quiet: bool) -> int:
    if not result.finished:
        print(
            f"cyclorama: stopped after {result.looked_at} of {result.rows} rows in finished shards; run the "
            f"same command again to go on",
            file=sys.stderr,
        )
        return 130
    kept = result.verdicts["keep"] + result.verdicts["repair"]
    if not quiet:
        print(
            f"{result.rows} rows: {result.verdicts['keep']} kept, {result.verdicts['repair']} repaired, "
            f"{result.verdicts['review']} put to review, {result.verdicts['drop']} dropped"
        )
        for rule, count in result.reasons.items():
            print(f"  dropped by {rule}: {count}")
        print(f"training set: {out / 'set'} ({result.shards} shards); report: {out / 'index.html'}")
        if result.verdicts["review"]:
            print(f"decide the doubtful ones with: cyclorama curate review {out}")
    return 0 if kept else 1
