"""``cyclorama curate``: raw advertising images to a training set; and the page on which people decide."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import cyclopts
from cyclopts import Parameter

if TYPE_CHECKING:
    from cyclorama.curate.run import CurateResult

curate = cyclopts.App(name="curate")


@curate.default
def run(
    source: Annotated[str, Parameter(name="INPUT")],
    /,
    *,
    out: Path,
    config: Path | None = None,
    overrides: Annotated[list[str] | None, Parameter(name="--set")] = None,
    engine: Literal["in-process", "ray"] = "in-process",
    workers: int = 1,
    address: str | None = None,
    allow_urls: list[str] | None = None,
    quiet: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Make a training set of a shop's raw advertising images, one rule after another; every input row ends
    in the result table with a reason.

    INPUT is a table, feed or folder as `cyclorama generate` takes them, here or at an fsspec address
    (s3://...), a PITA-style JSONL, or the folder of a published set (bg60k_info.txt and the like).

    Results: DIR/set/ (shards for 'cyclorama train'), DIR/results.parquet (one row per input row),
    DIR/rejects/RULE.jsonl, DIR/index.html, DIR/card.md. 'cyclorama curate review DIR' opens the page on
    which doubtful images and pairs are decided; run the same command again to take the decisions in. What is
    known and unchanged is never worked out again, after a stop, a kill, or a change of settings.

    Exit codes: 0 done, 1 done and nothing was kept, 2 nothing could start, or the disk or a model refused,
    130 stopped by Ctrl-C or SIGTERM.

    Parameters
    ----------
    out
        Output folder.
    config
        Recipe, as recipes/curate.yaml (default: its values).
    overrides
        KEY=VALUE over a setting of the recipe, e.g. --set size.min_side=384 or --set people=null; may be
        repeated.
    engine
        Processes of this machine, or a Ray cluster.
    workers
        Processes.
    address
        Ray cluster to join (default: one on this machine).
    allow_urls
        Host whose https addresses may be read as images (*.shop.example; * for all); may be repeated.
    quiet
        Print errors only.
    """
    from cyclorama.config import load_config
    from cyclorama.curate.config import DEFAULT_ENGINE, CurateConfig
    from cyclorama.curate.run import run_curate
    from cyclorama.jobs.job import Hooks
    from cyclorama.jobs.progress import ProgressReport, catch_stop

    hosts = [f"reading.urls.hosts={allow_urls}"] if allow_urls else []
    recipe = load_config(CurateConfig, config, [*hosts, *(overrides or [])])
    settings = DEFAULT_ENGINE.replace(engine=engine, workers=workers, address=address)
    with catch_stop(quiet) as stop, ProgressReport(quiet=quiet) as progress:
        hooks = Hooks(
            started=progress.start,
            advanced=progress.advance,
            stopping=stop,
            noted=lambda text: None if quiet else print(text, file=sys.stderr),
        )
        result = run_curate(source, out, recipe, settings, hooks)
    return _finish(result, out, quiet)


@curate.command
def review(folder: Path, /, *, host: str = "127.0.0.1", port: int = 8610, hosts: tuple[str, ...] = ()) -> int:
    """Serve the page on which people decide about doubtful images and pairs.

    Parameters
    ----------
    folder
        The output folder of a curating run.
    host
        Address to listen at; the default is this machine only.
    port
        Port, 0 for any.
    hosts
        Names by which the server is reached, beside this machine's own.
    """
    from cyclorama.commands.serve import NEEDS_SERVE
    from cyclorama.errors import import_optional

    import_optional("fastapi", NEEDS_SERVE)
    from cyclorama.curate.review import Review
    from cyclorama.service.site import SiteServer

    found = Review(folder)
    server = SiteServer(found.site, host, port, hosts)
    print(f"{found.count} to decide at {server.address}; Ctrl-C ends", flush=True)
    server.serve()
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
