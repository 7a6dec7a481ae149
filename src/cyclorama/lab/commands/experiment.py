"""``cyclorama lab experiment RECIPE``: methods, seeds and a held-out set in, a table and a sheet out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cyclorama.lab.experiments.recipe import ExperimentConfig

DESCRIPTION = """\
Compare methods on a held-out set as a recipe says: make the images, score them, write table.md,
result.json, index.html and a sheet into DIR. Finished images are kept in a store that experiments
share, so a stopped run goes on, and another experiment with the same method makes nothing anew.
"""
EXIT_STOPPED = 130


def add_parser(subparsers: Any) -> None:
    """Add the ``experiment`` command."""
    parser = subparsers.add_parser(
        "experiment",
        help="run a table of the paper or an ablation: make, score and compare",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "recipe", type=Path, metavar="RECIPE", help="YAML file, such as recipes/experiments/table1.yaml"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for table and sheet")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="override a setting of the recipe, e.g. --set models.ours=runs/model --set images=54; "
        "may be repeated",
    )
    parser.add_argument(
        "--only", metavar="A,B", help="only these methods of the recipe, by their names in the table"
    )
    parser.add_argument(
        "--skip-missing",
        action="store_true",
        help="show a method whose model is missing as a row 'not trained' instead of refusing to start",
    )
    parser.add_argument(
        "--store", type=Path, metavar="DIR", help="images, features and scores (default: store beside DIR)"
    )
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes that share the cores (default: 1)"
    )
    parser.add_argument("--quiet", action="store_true", help="print errors only")


def run(args: argparse.Namespace) -> int:
    """Run the experiment, print its tables; 0 when all is done, 130 when stopped."""
    from cyclorama.jobs.job import Hooks
    from cyclorama.jobs.progress import ProgressReport
    from cyclorama.jobs.stop import catch_stop
    from cyclorama.lab.experiments.run import RunOptions, run_experiment
    from cyclorama.lab.experiments.table import format_markdown

    config = load_experiment(args.recipe, args.settings, args.only)
    options = RunOptions(args.out, args.store, args.workers, args.skip_missing)

    def tell(line: str) -> None:
        if not args.quiet:
            print(line, file=sys.stderr, flush=True)

    with catch_stop(args.quiet) as wish, ProgressReport(quiet=args.quiet) as progress:
        result = run_experiment(config, options, Hooks(progress.start, progress.advance, wish), tell)
    if result is None:
        print("cyclorama: stopped; run the same command again to go on", file=sys.stderr)
        return EXIT_STOPPED
    if not args.quiet:
        print(format_markdown(result, {}))
        print(f"see {args.out / 'index.html'}", file=sys.stderr)
    return 0


def load_experiment(path: Path, settings: list[str], only: str | None = None) -> ExperimentConfig:
    """The recipe in ``path`` with ``KEY=VALUE`` settings (values read as YAML) put over it.

    ``only`` keeps the methods of these names, comma-separated. Raises ConfigError.
    """
    from cyclorama.config import apply_overrides, build_config, load_mapping
    from cyclorama.errors import ConfigError
    from cyclorama.lab.experiments.recipe import ExperimentConfig

    values = apply_overrides(load_mapping(path), settings)
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a mapping of settings, got {type(values).__name__}")
    if only is not None:
        wanted = [name.strip() for name in only.split(",") if name.strip()]
        methods = values.get("methods") or []
        known = [method.get("name") for method in methods if isinstance(method, dict)]
        for name in wanted:
            if name not in known:
                raise ConfigError(f"--only {name!r}: the methods are {', '.join(map(str, known))}")
        values["methods"] = [method for method in methods if method.get("name") in wanted]
        if values.get("compared") not in wanted:
            values.pop("compared", None)
    return build_config(ExperimentConfig, values, where=str(path))
