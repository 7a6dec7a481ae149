"""``cyclorama catalogue``: images for a whole catalogue; check it before, see how far it is."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cyclorama.commands.running import (
    add_file_options,
    add_image_options,
    add_layout_options,
    add_sampling_options,
    build_settings,
    check_run,
)

if TYPE_CHECKING:
    from cyclorama.catalogue.config import CatalogueConfig
    from cyclorama.catalogue.gate_settings import GateThresholds
    from cyclorama.catalogue.run import CatalogueResult
    from cyclorama.generation.categories import CategoryRules
    from cyclorama.generation.model import ModelHandle

_EPILOG = """\
MANIFEST is a CSV, JSONL or Parquet file, here or at an fsspec address (s3://...), with the columns image,
mask, mask_means, category, reference, reference_mask, seed, id. Results: DIR/results.parquet (one row per
input row), DIR/images/ or DIR/webdataset/. Run the same command again to go on after a stop, a kill or a
full disk; what is finished and unchanged is kept.

exit codes: 0 all rows have their images, 1 some failed, 2 nothing could start, or the disk or device
refused, 130 stopped by Ctrl-C or SIGTERM
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command ``catalogue`` with ``run``, ``check`` and ``status``."""
    parser = subparsers.add_parser("catalogue", help="make, check or look at the images of a whole catalogue")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_run(actions)
    _add_check(actions)
    status = actions.add_parser("status", help="how far a catalogue run is, and why rows have failed")
    status.add_argument("out", metavar="DIR", type=Path, help="output folder of the run")
    status.add_argument("--json", action="store_true", help="print JSON")


def _add_run(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser(
        "run",
        help="make the images of a manifest, shard by shard",
        description="Make the images of a manifest of any length; nothing is lost, nothing is made twice.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("manifest", metavar="MANIFEST", help="manifest file or fsspec address")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="output folder")
    what = parser.add_argument_group("what is in the images")
    _add_category_options(what)
    what.add_argument(
        "--reference", metavar="FILE", type=Path, help="reference for every row without its own"
    )
    what.add_argument(
        "--reference-mask", metavar="FILE", type=Path, help="mask of that reference's own product"
    )
    what.add_argument(
        "--cutout", metavar="NAME", help="rembg network for photos with neither alpha nor plain background"
    )
    _add_mask_means(what)
    how = parser.add_argument_group("how they are made")
    add_sampling_options(how, batch_size="the model's own, 1 to 8, on a CPU; else measured")
    add_image_options(how)
    add_layout_options(parser.add_argument_group("where the product stands"))
    add_file_options(parser.add_argument_group("the files"))
    gate = parser.add_argument_group("which images are good enough")
    gate.add_argument("--gate", action="store_true", help="judge every image and say so in its row")
    gate.add_argument("--gate-limits", metavar="FILE", type=Path, help="judge by these limits, YAML")
    gate.add_argument(
        "--attempts",
        metavar="N",
        type=int,
        default=0,
        help="further seeds for refused images; turns the gate on (default: 0)",
    )
    gate.add_argument(
        "--keep",
        choices=("all", "best"),
        default="all",
        help="all candidates, or the one that the gate scores best, which turns it on (default: all)",
    )
    run = parser.add_argument_group("the run")
    run.add_argument("--shard-size", metavar="N", type=int, default=256, help="rows per shard (default: 256)")
    run.add_argument(
        "--workers",
        metavar="N",
        type=int,
        help="workers (default: one per CUDA device, here or of the Ray cluster; without any, one here and "
        "one per CPU of a Ray cluster, with one thread each)",
    )
    run.add_argument(
        "--threads",
        metavar="N",
        type=int,
        help="the model's threads per worker on a CPU (default: torch's own)",
    )
    run.add_argument(
        "--channels-last", action="store_true", help="convolutions in channels-last memory (GPUs, bfloat16)"
    )
    run.add_argument(
        "--compile", action="store_true", help="compile blocks of the networks; minutes at the first batch"
    )
    run.add_argument("--engine", choices=("in-process", "ray"), default="in-process")
    run.add_argument("--address", metavar="ADDRESS", help="cluster of --engine ray")
    run.add_argument(
        "--storage",
        choices=("files", "webdataset"),
        default="files",
        help="images as files, or as one WebDataset tar per shard (default: files)",
    )
    run.add_argument("--retry", choices=("failed",), help="try failed rows again that have not changed")
    run.add_argument(
        "--dry-run", action="store_true", help="say what would be done, how long, how many bytes"
    )
    run.add_argument("--quiet", action="store_true", help="print errors only")


def _add_check(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    check = actions.add_parser(
        "check",
        help="what is wrong with a manifest, before a run: categories, files, masks, duplicates, licences",
    )
    check.add_argument("manifest", metavar="MANIFEST", help="manifest file or fsspec address")
    check.add_argument(
        "--model", metavar="DIR_OR_ID", help="model folder or hub id (default: the bundled one)"
    )
    _add_category_options(check)
    _add_mask_means(check)
    check.add_argument(
        "--examine", metavar="N", type=int, default=2000,
        help="rows whose files are opened, evenly spread; 0 for all (default: 2000)",
    )  # fmt: skip
    check.add_argument("--json", metavar="FILE", type=Path, help="write the whole report there")


def _add_category_options(group: argparse._ActionsContainer) -> None:
    group.add_argument("--category", metavar="NAME", help="category of rows that name none the model knows")
    group.add_argument(
        "--alias", metavar="GIVEN=NAME", action="append", default=[], help="take GIVEN as NAME (repeatable)"
    )
    group.add_argument("--category-map", metavar="FILE", type=Path, help="aliases from a JSON or YAML file")


def _add_mask_means(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--mask-means", choices=("product", "background"), help="what white marks in mask files"
    )


def run(args: argparse.Namespace) -> int:
    """Do what ``args.action`` says and return the exit code."""
    if args.action == "status":
        return _show_status(args)
    if args.action == "check":
        return _check(args)
    return _run(args)


def _load_rules(args: argparse.Namespace) -> CategoryRules:
    from cyclorama.generation.categories import load_category_rules

    return load_category_rules(args.category_map, args.alias, args.category)


def _build_config(args: argparse.Namespace) -> CatalogueConfig:
    from dataclasses import replace

    from cyclorama.catalogue.config import CatalogueConfig

    settings = build_settings(args)
    settings.build_sampling()
    config = CatalogueConfig(
        settings=settings,
        rules=_load_rules(args),
        seed=args.seed,
        mask_means=args.mask_means,
        reference=args.reference,
        reference_mask=args.reference_mask,
        cutout=args.cutout,
        shard_size=args.shard_size,
        storage=args.storage,
        gate=_load_gate(args),
        attempts=args.attempts,
        keep=args.keep,
        retry_failed=args.retry == "failed",
        engine=args.engine,
        address=args.address,
        workers=1 if args.workers is None else args.workers,
        threads=args.threads,
        channels_last=args.channels_last,
        compile=args.compile,
    )
    device, dtype = _choose_device(config, args.device, args.dtype)
    config = replace(config, device=device, dtype=dtype)
    return config if args.workers is not None else _add_workers(config)


def _choose_device(config: CatalogueConfig, device: str, dtype: str) -> tuple[str, str]:
    """Here, or for Ray on the cluster, whose machines may have what this one lacks."""
    from cyclorama.generation.model import choose_device

    if config.engine == "in-process":
        return choose_device(device, dtype)
    from cyclorama.jobs.job import build_engine

    settings = config.engine_settings
    chosen: tuple[str, str] = build_engine(settings).call(settings, choose_device, device, dtype)
    return chosen


def _load_gate(args: argparse.Namespace) -> GateThresholds | None:
    """The limits asked for; those of the package if only what needs a judge is asked for."""
    from cyclorama.catalogue.gate_settings import GateThresholds, load_thresholds

    if args.gate_limits is not None:
        return load_thresholds(args.gate_limits)
    judged = args.gate or args.attempts > 0 or args.keep == "best"
    return GateThresholds() if judged else None


def _add_workers(config: CatalogueConfig) -> CatalogueConfig:
    """``config`` with a worker per GPU; without GPUs one here, and one of one thread per CPU of a cluster."""
    from dataclasses import replace

    if config.engine == "ray":
        from cyclorama.jobs.ray_cluster import count_places

        if config.device == "cpu":  # each with all the machine's threads, they would be in each other's way
            config = replace(config, threads=config.threads or 1)
        return replace(config, workers=count_places(config.engine_settings))
    if config.device != "cuda":
        return config
    import torch

    return replace(config, workers=max(1, torch.cuda.device_count()))


def _run(args: argparse.Namespace) -> int:
    from cyclorama.catalogue.run import run_catalogue
    from cyclorama.catalogue.stages import build_network
    from cyclorama.generation.model import open_model
    from cyclorama.jobs.job import Hooks
    from cyclorama.jobs.progress import ProgressReport
    from cyclorama.jobs.stop import catch_stop

    check_run(args.seed, args.out)
    config = _build_config(args)
    model = open_model(args.model)
    if args.dry_run:
        return _estimate(args, config, model)
    build_network(config.cutout)
    with catch_stop(args.quiet) as wish, ProgressReport(quiet=args.quiet) as progress:
        hooks = Hooks(
            started=progress.start,
            advanced=progress.advance,
            stopping=wish,
            noted=lambda text: print(f"cyclorama: {text}", file=sys.stderr),
        )
        result = run_catalogue(args.manifest, args.out, model, config, hooks)
    return _finish(result, args.out, args.quiet)


def _finish(result: CatalogueResult, out: Path, quiet: bool) -> int:
    if not quiet:
        print(
            f"{result.sampled} images made; {result.done} of {result.rows} rows done, "
            f"{result.failed} failed; see {out / 'results.parquet'}"
        )
        if result.sampled:
            print(
                f"{result.sampled / max(result.wall_seconds, 1e-9):.2f} images/s; planned in "
                f"{result.plan_seconds:.1f} s; {result.outside_model:.1%} of the wall time outside the model"
            )
    if not result.finished:
        left = result.rows - result.done - result.failed
        print(
            f"cyclorama: stopped with {left} rows in unfinished shards; run the same command again to go on",
            file=sys.stderr,
        )
        return 130
    return 1 if result.failed else 0


def _estimate(args: argparse.Namespace, config: CatalogueConfig, model: ModelHandle) -> int:
    from cyclorama.catalogue.estimate import estimate_run, format_estimate

    print(format_estimate(estimate_run(args.manifest, args.out, model, config)))
    return 0


def _check(args: argparse.Namespace) -> int:
    import json

    from cyclorama.catalogue.check import check_catalogue, format_report
    from cyclorama.errors import SettingsError
    from cyclorama.files import write_atomic
    from cyclorama.generation.model import open_model

    if args.examine < 0:
        raise SettingsError(f"--examine must be 0 (all) or more, got {args.examine}")
    report = check_catalogue(
        args.manifest, open_model(args.model), _load_rules(args), args.mask_means, args.examine
    )
    if args.json is not None:
        write_atomic(args.json, (json.dumps(report, indent=1, ensure_ascii=False) + "\n").encode())
    print(format_report(report))
    return 1 if report["problems"] else 0


def _show_status(args: argparse.Namespace) -> int:
    import json

    from cyclorama.catalogue.status import format_status, read_status

    status = read_status(args.out)
    print(json.dumps(status, indent=1, ensure_ascii=False) if args.json else format_status(status))
    return 0
