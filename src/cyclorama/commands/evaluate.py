"""``cyclorama evaluate``: score images, or compare two sets of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cyclorama.errors import SettingsError
from cyclorama.evaluation.settings import EvaluationSettings

if TYPE_CHECKING:
    from cyclorama.evaluation.features import FeatureTable
    from cyclorama.evaluation.reading import ImageSet
    from cyclorama.evaluation.report import Report


def evaluate(
    images: Path | None = None,
    /,
    *,
    compare: tuple[Path, Path] | None = None,
    against: Path | None = None,
    products: Path | None = None,
    references: Path | None = None,
    masks: Path | None = None,
    reference_masks: Path | None = None,
    out: Path | None = None,
    calibration: bool = True,
    quiet: Annotated[bool, Parameter(negative="")] = False,
    settings: Annotated[EvaluationSettings | None, Parameter(name="*")] = None,
) -> int:
    """Score images from anywhere: folders, tables of `cyclorama generate`, shards.

    Images are matched by name (or id). Prints JSON; --out adds Markdown and a page with images.

    Parameters
    ----------
    images
        Folder, manifest or shards.
    compare
        Two sets to compare image by image, instead of IMAGES.
    against
        True images, or their kept features (.npz: distances only).
    products
        The products as they were given, where their light is not the truth's (default: the true images).
    references
        The references the images follow.
    masks
        Product masks, 1 = product (default: beside the images).
    reference_masks
        Product masks of the references.
    out
        Folder for report.json, .md and .html.
    calibration
        Show the distances of the true set to known faults.
    quiet
        No progress and no notes on stderr.
    """
    from cyclorama.evaluation.compare import compare as compare_sets
    from cyclorama.evaluation.distances import LEAST, MOST, calibrate
    from cyclorama.evaluation.measure import count_steps, evaluate_set, get_product, load_networks
    from cyclorama.evaluation.reading import attach_masks, find_partners, open_images
    from cyclorama.evaluation.report import Report, format_json
    from cyclorama.files import check_output_folder
    from cyclorama.jobs.progress import ProgressReport

    settings = settings or EvaluationSettings()
    if (images is None) == (compare is None):
        raise SettingsError("give one set of images, or two with --compare A B (not both)")
    if out is not None:
        check_output_folder(out)
    kept, truth = _open_truth(against)
    given, shown, hidden = (None if p is None else open_images(p) for p in (products, references, masks))
    if shown is not None and reference_masks is not None:
        shown = attach_masks(shown, open_images(reference_masks))
    places = [images] if images is not None else list(compare or ())
    sets = [
        find_partners(open_images(place), truth, shown, hidden, settings.allow_missing, given)
        for place in places
    ]
    networks = load_networks(settings)
    truth = sets[0].truth
    calibrating = calibration and "distance" in settings.metrics and truth is not None and len(truth) >= LEAST
    with ProgressReport(quiet=quiet) as progress:
        extra = 3 * min(len(truth), MOST) if calibrating and truth is not None else 0
        progress.start(sum(count_steps(partners) for partners in sets) + extra)
        found = tuple(evaluate_set(s, settings, networks, kept, progress.advance) for s in sets)
        rows = []
        if calibrating and truth is not None:
            rows = calibrate(truth, networks[0], settings.seed, progress.advance)
    differences = []
    if compare:
        first, second = found
        shows = {key: get_product(key, *(s.images for s in sets), truth) for key in first.rows}
        differences = compare_sets(first.rows, second.rows, (first.name, second.name), settings.seed, shows)
    report = Report(found, tuple(differences), tuple(rows))
    if out is not None:
        _write(out, report)
    sys.stdout.write(format_json(report))
    if not quiet:
        for note in report.notes:
            print(f"cyclorama: {note}", file=sys.stderr)
    return 0


def _open_truth(place: Path | None) -> tuple[FeatureTable | None, ImageSet | None]:
    """(kept features, images) of the truth, as far as ``place`` holds them."""
    from cyclorama.evaluation.features import load_table
    from cyclorama.evaluation.reading import open_images

    if place is None:
        return None, None
    return (load_table(place), None) if place.suffix == ".npz" else (None, open_images(place))


def _write(out: Path, report: Report) -> None:
    from cyclorama.evaluation.report import build_text, format_html, format_json
    from cyclorama.evaluation.tables import format_markdown
    from cyclorama.files import write_atomic

    for number, evaluation in enumerate(report.evaluations):
        if evaluation.projection is not None:
            name = "categories.png" if len(report.evaluations) == 1 else f"categories-{'ab'[number]}.png"
            write_atomic(out / name, evaluation.projection)
    write_atomic(out / "report.json", format_json(report, with_rows=True).encode())
    write_atomic(out / "report.md", format_markdown(build_text(report)).encode())
    write_atomic(out / "report.html", format_html(report).encode())
