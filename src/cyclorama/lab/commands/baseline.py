"""``cyclorama lab baseline NAME``: another method's images, made, composited and recorded like our own."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cyclorama.commands.running import (
    add_file_options,
    add_layout_options,
    add_sampling_options,
    build_settings,
    check_run,
    finish,
    make_images,
)

if TYPE_CHECKING:
    from cyclorama.generation.plan import PlannedItem
    from cyclorama.lab.baselines.protocol import BaselineHandle

NAMES = ("lama", "inpaint", "controlnet", "blended", "paint-by-example")
ANY_CATEGORY = "product"
"""What inputs without a category are called where a method does not look at it."""

_EPILOG = """\
lama              fills everything but the product; no reference, no category
inpaint           Stable Diffusion in-painting; from the noised reference with the product pasted on it
controlnet        ControlNet in-painting; from the noised reference
blended           Blended Diffusion, guided by the reference's background features
paint-by-example  Paint-by-Example; needs a reference

INPUT, DIR and exit codes are those of `cyclorama generate`. The product is composited back for every
method; --raw keeps what the method itself painted beside the image (DIR/layers/NAME.background.png).
Weights: docs/baselines.md
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command ``baseline``."""
    parser = subparsers.add_parser(
        "baseline",
        help="make images with another method, to compare: " + ", ".join(NAMES),
        description="Make images with another method under the conditions of `cyclorama generate`.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", choices=NAMES, help="one of " + ", ".join(NAMES))
    parser.add_argument("input", metavar="INPUT", type=Path, help="image, folder or manifest")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="output folder")
    what = parser.add_argument_group("what is in the images")
    what.add_argument("--category", metavar="NAME", help="category of every input that names none")
    what.add_argument(
        "--alias",
        metavar="GIVEN=NAME",
        action="append",
        default=[],
        help="take category GIVEN as NAME (repeatable)",
    )
    what.add_argument("--category-map", metavar="FILE", type=Path, help="aliases from a JSON or YAML file")
    what.add_argument(
        "--reference", metavar="FILE", type=Path, help="reference image for every input without its own"
    )
    what.add_argument(
        "--reference-mask", metavar="FILE", type=Path, help="mask of the reference's own product"
    )
    what.add_argument(
        "--mask",
        metavar="FILE",
        type=Path,
        help="product mask of one image; for a folder, a folder of masks",
    )
    what.add_argument("--cutout", metavar="NAME", help="rembg network for photos with no other mask")
    what.add_argument(
        "--mask-means",
        choices=("product", "background"),
        help="what white marks in mask files (default: product)",
    )
    how = parser.add_argument_group("how they are made")
    add_sampling_options(how)
    how.add_argument(
        "--candidates", metavar="N", type=int, default=1, help="images per input and output (default: 1)"
    )
    how.add_argument(
        "--no-initial-latent",
        action="store_true",
        help="inpaint, controlnet: start from plain noise, not from the noised reference",
    )
    _add_method_options(parser.add_argument_group("the method"))
    add_layout_options(parser.add_argument_group("where the product stands"))
    files = parser.add_argument_group("the files")
    add_file_options(files)
    files.add_argument(
        "--raw", action="store_true", help="keep what the method itself painted, too (same as --layers png)"
    )
    run = parser.add_argument_group("the run")
    run.add_argument(
        "--overwrite", action="store_true", help="make all images anew and write over what is there"
    )
    run.add_argument("--quiet", action="store_true", help="print errors only")
    parser.set_defaults(reference_strength=1.0, category_strength=1.0)


def _add_method_options(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--weights",
        metavar="FILE_DIR_OR_ID",
        help="lama: the generator; controlnet: a published ControlNet for the base in --model",
    )
    group.add_argument(
        "--prompt",
        metavar="TEXT",
        help="text with {category} in it (default: the model's own, else 'A photo of {category}')",
    )
    group.add_argument(
        "--features",
        metavar="NETWORK",
        default="cyclorama",
        help="blended: the guide, cyclorama or clip=FOLDER_OR_HUB_ID (default: cyclorama)",
    )
    group.add_argument(
        "--guide-strength",
        metavar="X",
        type=float,
        default=300.0,
        help="blended: how strongly the reference's features guide, 0 or more (default: 300)",
    )
    group.add_argument(
        "--hint-fill",
        metavar="V",
        type=float,
        help="controlnet: value of removed pixels in the hint, -1 or 0 (default: what it was trained with)",
    )


def run(args: argparse.Namespace) -> int:
    """Make the images and return the exit code."""
    from cyclorama.generation.categories import load_category_rules
    from cyclorama.generation.items import InputConfig, load_items
    from cyclorama.generation.model import choose_device, silence_loading
    from cyclorama.generation.plan import RunConfig, build_plan
    from cyclorama.generation.report import write_report
    from cyclorama.imaging.cutout import RembgNetwork
    from cyclorama.lab.baselines.opening import open_baseline
    from cyclorama.lab.baselines.protocol import BaselineOptions
    from cyclorama.lab.experiments.baseline_model import add_settings, build_model_handle

    options = BaselineOptions(
        weights=args.weights,
        features=args.features,
        prompt=args.prompt,
        hint_fill=args.hint_fill,
        guide_strength=args.guide_strength,
    )
    if args.raw:
        args.layers = args.layers or "png"
    plain = build_settings(args)
    check_run(args.seed, args.out)
    category = args.category or (ANY_CATEGORY if args.name == "lama" else None)
    rules = load_category_rules(args.category_map, args.alias, category)
    inputs = InputConfig(
        path=args.input,
        mask=args.mask,
        mask_means=args.mask_means,
        reference=args.reference,
        reference_mask=args.reference_mask,
        out=args.out,
    )
    items = load_items(inputs)
    plain.build_sampling()
    device, dtype = choose_device(args.device, args.dtype)
    silence_loading()
    handle = open_baseline(args.name, args.model, options)
    model = build_model_handle(handle)
    settings = add_settings(plain, handle)
    network = None if args.cutout is None else RembgNetwork(args.cutout)
    config = RunConfig(settings, rules, args.seed, device, dtype, args.overwrite, network)
    plan = refuse_without_reference(build_plan(items, model, config), handle)
    if not handle.uses_reference and any(p.item.reference is not None for p in plan) and not args.quiet:
        print(f"{args.name} has no use for references; they are ignored", file=sys.stderr)
    result = make_images(plan, model, config, args)
    write_report(args.out, result, model, config)
    return finish(result, args.out, args.quiet)


def refuse_without_reference(plan: Sequence[PlannedItem], handle: BaselineHandle) -> list[PlannedItem]:
    """``plan`` in which inputs without a reference fail, if the method cannot do without one."""
    from dataclasses import replace

    from cyclorama.errors import SettingsError
    from cyclorama.generation.items import Failure

    if not handle.needs_reference:
        return list(plan)
    error = SettingsError(
        f"{handle.method} paints after a reference alone; give one with --reference, or in the manifest's "
        f"column of that name"
    )
    return [
        replace(planned, images=(), failure=Failure.of(error))
        if planned.failure is None and planned.item.reference is None
        else planned
        for planned in plan
    ]
