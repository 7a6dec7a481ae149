"""``cyclorama evaluate``: score images, or compare two sets of them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cyclorama.evaluation.features import Region
    from cyclorama.evaluation.partners import Partners
    from cyclorama.evaluation.report import Report
    from cyclorama.evaluation.settings import EvaluationSettings
    from cyclorama.evaluation.statistics import FeatureStatistics


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``evaluate`` command to the command line."""
    parser = subparsers.add_parser(
        "evaluate",
        help="score images against true ones, or compare two sets",
        description="Score images from anywhere: folders, manifests of 'cyclorama generate', shards. "
        "Images are matched by name (or id). Prints JSON; --out adds Markdown and a page with images.",
    )
    parser.add_argument("images", nargs="?", type=Path, metavar="IMAGES", help="folder, manifest or shards")
    parser.add_argument(
        "--compare", nargs=2, type=Path, metavar=("A", "B"), help="two sets to compare image by image"
    )
    parser.add_argument(
        "--against",
        type=Path,
        metavar="TRUTH",
        help="true images, or kept statistics (.npz: distances only)",
    )
    parser.add_argument(
        "--products",
        type=Path,
        metavar="DIR",
        help="the products as they were given, where their light is not the truth's (default: TRUTH)",
    )
    parser.add_argument("--references", type=Path, metavar="DIR", help="the references the images follow")
    parser.add_argument(
        "--masks", type=Path, metavar="DIR", help="product masks, 1 = product (default: beside the images)"
    )
    parser.add_argument("--reference-masks", type=Path, metavar="DIR", help="product masks of the references")
    parser.add_argument(
        "--features",
        default="cyclorama",
        metavar="NAME[=PLACE]",
        help="cyclorama, inception=FILE or clip=FOLDER_OR_ID (default: cyclorama)",
    )
    parser.add_argument("--metrics", metavar="A,B", help="only these groups (default: all but text)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for report.json, .md and .html")
    parser.add_argument(
        "--statistics", type=Path, metavar="DIR", help="keep the true set's feature statistics here"
    )
    parser.add_argument("--allow-missing", action="store_true", help="leave out images without a partner")
    parser.add_argument("--no-calibration", action="store_true", help="leave the calibration section out")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of all samples (default: 0)")
    parser.add_argument("--device", default="cpu", metavar="NAME", help="cpu, cuda, mps (default: cpu)")
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")


def run(args: argparse.Namespace) -> int:
    """Score as asked, print JSON; 0 when all was scored."""
    from cyclorama.evaluation.calibration import LEAST, MOST, calibrate
    from cyclorama.evaluation.compare import compare
    from cyclorama.evaluation.measure import count_steps, evaluate_set, load_networks
    from cyclorama.evaluation.report import Report, format_json
    from cyclorama.jobs.progress import ProgressReport

    settings = _check(args)
    kept, sets = _open(args)
    networks = load_networks(settings)
    truth = sets[0].truth
    calibrating = "distance" in settings.groups and not args.no_calibration
    if truth is None or len(truth) < LEAST:
        calibrating = False
    with ProgressReport(quiet=args.quiet) as progress:
        extra = 3 * min(len(truth), MOST) if calibrating and truth is not None else 0
        progress.start(sum(count_steps(partners) for partners in sets) + extra)
        evaluations = tuple(
            evaluate_set(partners, settings, networks, kept, progress.advance) for partners in sets
        )
        rows = calibrate(truth, networks[0], args.seed, progress.advance) if calibrating and truth else []
    differences = tuple(compare(evaluations[0], evaluations[1], args.seed)) if args.compare else ()
    report = Report(evaluations, differences, tuple(rows))
    if args.out is not None:
        _write(args.out, report, sets)
    sys.stdout.write(format_json(report))
    if not args.quiet:
        for note in dict.fromkeys(note for evaluation in evaluations for note in evaluation.notes):
            print(f"cyclorama: {note}", file=sys.stderr)
    return 0


def _check(args: argparse.Namespace) -> EvaluationSettings:
    from cyclorama.errors import SettingsError
    from cyclorama.evaluation.settings import DEFAULT_GROUPS, EvaluationSettings
    from cyclorama.files import check_output_folder
    from cyclorama.seeding import MAX_SEED

    if (args.images is None) == (args.compare is None):
        raise SettingsError("give one set of images, or two with --compare A B (not both)")
    if not 0 <= args.seed <= MAX_SEED:
        raise SettingsError(f"--seed must be a whole number from 0 to 2**63 - 1, got {args.seed}")
    if args.out is not None:
        check_output_folder(args.out)
    groups = DEFAULT_GROUPS
    if args.metrics is not None:
        groups = tuple(name.strip() for name in args.metrics.split(",") if name.strip())
    return EvaluationSettings(
        groups, args.features, args.seed, args.device, args.allow_missing, args.statistics
    )


def _open(args: argparse.Namespace) -> tuple[dict[Region, FeatureStatistics], list[Partners]]:
    """(statistics of the truth by region, if it is a kept file; the sets with all their partners)."""
    from cyclorama.evaluation.partners import find_partners
    from cyclorama.evaluation.reading import attach_masks, open_images
    from cyclorama.evaluation.statistics import load_statistics

    kept: dict[Region, FeatureStatistics] = {}
    truth = None
    if args.against is not None and args.against.suffix == ".npz":
        statistics = load_statistics(args.against)
        kept[statistics.identity.region] = statistics
    elif args.against is not None:
        truth = open_images(args.against)
    references = None if args.references is None else open_images(args.references)
    if references is not None and args.reference_masks is not None:
        references = attach_masks(references, open_images(args.reference_masks))
    masks = None if args.masks is None else open_images(args.masks)
    products = None if args.products is None else open_images(args.products)
    sets = [
        find_partners(open_images(place), truth, references, masks, args.allow_missing, products)
        for place in args.compare or [args.images]
    ]
    return kept, sets


def _write(out: Path, report: Report, sets: list[Partners]) -> None:
    from cyclorama.evaluation.report import format_json, format_markdown
    from cyclorama.evaluation.report_html import format_html
    from cyclorama.files import write_atomic

    for number, evaluation in enumerate(report.evaluations):
        if evaluation.projection is not None:
            name = "categories.png" if len(report.evaluations) == 1 else f"categories-{'ab'[number]}.png"
            write_atomic(out / name, evaluation.projection)
    write_atomic(out / "report.json", format_json(report, with_rows=True).encode())
    write_atomic(out / "report.md", format_markdown(report).encode())
    write_atomic(out / "report.html", format_html(report, sets).encode())
