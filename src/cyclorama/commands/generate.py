"""``cyclorama generate``: images for one product photo, a folder of them, or a manifest."""

from __future__ import annotations

import argparse
from pathlib import Path

from cyclorama.commands.running import (
    add_file_options,
    add_image_options,
    add_layout_options,
    add_sampling_options,
    build_settings,
    check_run,
    finish,
    make_images,
)

_EPILOG = """\
INPUT is an image, a folder (sub-folders included) or a manifest (CSV, JSONL, Parquet) with the columns
image, mask, category, reference, reference_mask, seed. Results: DIR/images/, DIR/manifest.jsonl,
DIR/index.html. Run the same command again to go on after a stop.

exit codes: 0 all inputs have their images, 1 some failed, 2 nothing could start, 130 stopped by Ctrl-C
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command ``generate``."""
    parser = subparsers.add_parser(
        "generate",
        help="make advertising images from product photos",
        description="Make advertising images from product photos; the product's own pixels are kept.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("input", metavar="INPUT", type=Path, help="image, folder or manifest")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="output folder")
    what = parser.add_argument_group("what is in the images")
    what.add_argument(
        "--category", metavar="NAME", help="category of every input that names none the model knows"
    )
    what.add_argument(
        "--alias",
        metavar="GIVEN=NAME",
        action="append",
        default=[],
        help="take category GIVEN as NAME; '*=NAME' for all unknown ones (repeatable)",
    )
    what.add_argument(
        "--category-map",
        metavar="FILE",
        type=Path,
        help="aliases from a JSON or YAML file of given: name pairs",
    )
    what.add_argument(
        "--reference", metavar="FILE", type=Path, help="reference image for every input without its own"
    )
    what.add_argument(
        "--reference-mask",
        metavar="FILE",
        type=Path,
        help="mask of the reference's own product, which is not copied",
    )
    what.add_argument(
        "--mask",
        metavar="FILE",
        type=Path,
        help="product mask of one image; for a folder, a folder of masks",
    )
    what.add_argument(
        "--cutout", metavar="NAME", help="rembg network for photos with neither alpha nor plain background"
    )
    what.add_argument(
        "--mask-means",
        choices=("product", "background"),
        help="what white marks in mask files (default: product)",
    )
    how = parser.add_argument_group("how they are made")
    add_sampling_options(how)
    add_image_options(how)
    add_layout_options(parser.add_argument_group("where the product stands"))
    add_file_options(parser.add_argument_group("the files"))
    run = parser.add_argument_group("the run")
    run.add_argument(
        "--overwrite", action="store_true", help="make all images anew and write over what is there"
    )
    run.add_argument("--quiet", action="store_true", help="print errors only")


def run(args: argparse.Namespace) -> int:
    """Make the images and return the exit code."""
    from cyclorama.generation.categories import load_category_rules
    from cyclorama.generation.items import InputConfig, load_items
    from cyclorama.generation.model import choose_device, open_model
    from cyclorama.generation.plan import RunConfig, build_plan
    from cyclorama.generation.report import write_report
    from cyclorama.imaging.cutout import RembgNetwork

    settings = build_settings(args)
    check_run(args.seed, args.out)
    rules = load_category_rules(args.category_map, args.alias, args.category)
    inputs = InputConfig(
        path=args.input,
        mask=args.mask,
        mask_means=args.mask_means,
        reference=args.reference,
        reference_mask=args.reference_mask,
        out=args.out,
    )
    items = load_items(inputs)
    settings.build_sampling()
    device, dtype = choose_device(args.device, args.dtype)
    model = open_model(args.model)
    network = None if args.cutout is None else RembgNetwork(args.cutout)
    config = RunConfig(settings, rules, args.seed, device, dtype, args.overwrite, network)
    result = make_images(build_plan(items, model, config), model, config, args)
    write_report(args.out, result, model, config)
    return finish(result, args.out, args.quiet)
