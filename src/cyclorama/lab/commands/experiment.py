"""``cyclorama lab experiment RECIPE``: methods, seeds and a held-out set in, a table and a sheet out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cyclorama.cli import EXIT_INTERRUPTED
from cyclorama.lab.commands import Quiet
from cyclorama.lab.experiments.recipe import ExperimentConfig, RunOptions


def experiment(
    recipe: Path,
    /,
    *,
    options: Annotated[RunOptions, Parameter(name="*")],
    set_: Annotated[list[str] | None, Parameter(name="--set")] = None,
    only: str | None = None,
    quiet: Quiet = False,
) -> int:
    """Compare methods on a held-out set as a recipe says: make the images, score them, write a table.

    DIR receives table.md, result.json, index.html and a sheet. Finished images are kept in a store that
    experiments share, so a stopped run goes on, and another experiment with the same method makes nothing
    anew.

    Parameters
    ----------
    recipe
        YAML file, such as recipes/experiments/table1.yaml.
    set_
        KEY=VALUE: override a setting of the recipe, e.g. --set models.ours=runs/model --set images=54.
    only
        Only these methods of the recipe, by their names in the table, comma-separated.
    """
    from cyclorama.jobs.job import Hooks
    from cyclorama.jobs.progress import ProgressReport, catch_stop
    from cyclorama.lab.experiments.run import run_experiment
    from cyclorama.lab.experiments.table import format_markdown

    config = load_experiment(recipe, set_ or [], only)

    def tell(line: str) -> None:
        if not quiet:
            print(line, file=sys.stderr, flush=True)

    with catch_stop(quiet) as stop, ProgressReport(quiet=quiet) as progress:
        result = run_experiment(config, options, Hooks(progress.start, progress.advance, stop, tell))
    if result is None:
        print("cyclorama: stopped; run the same command again to go on", file=sys.stderr)
        return EXIT_INTERRUPTED
    if not quiet:
        print(format_markdown(result, {}))
        print(f"see {options.out / 'index.html'}", file=sys.stderr)
    return 0


def load_experiment(path: Path, settings: Sequence[str], only: str | None = None) -> ExperimentConfig:
    """The recipe in ``path`` with ``KEY=VALUE`` settings (values read as YAML) put over it.

    ``only`` keeps the methods of these names, comma-separated. Raises ConfigError.
    """
    from cyclorama.config import load_config
    from cyclorama.errors import ConfigError

    config = load_config(ExperimentConfig, path, settings)
    if only is None:
        return config
    wanted = [name.strip() for name in only.split(",") if name.strip()]
    known = [method.name for method in config.methods]
    for name in wanted:
        if name not in known:
            raise ConfigError(f"--only {name!r}: the methods are {', '.join(known)}")
    return config.replace(
        methods=tuple(method for method in config.methods if method.name in wanted),
        compared=config.compared if config.compared in wanted else None,
    )
