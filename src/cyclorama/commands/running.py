"""What the commands that make images share: options, the run with its progress, the last words."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cyclorama.errors import SettingsError
from cyclorama.files import check_output_folder
from cyclorama.generation.presets import PRESETS, choose_sampler

if TYPE_CHECKING:
    from cyclorama.generation.model import ModelHandle
    from cyclorama.generation.plan import PlannedItem, RunConfig
    from cyclorama.generation.run import RunResult
    from cyclorama.generation.settings import GenerateConfig

SHOWN_FAILURES = 5


def add_sampling_options(
    group: argparse._ActionsContainer, preset: str = "quality", batch_size: str = "1 on a CPU, else 8"
) -> None:
    """Model, seed, sampler and machine options; ``batch_size`` says what its default is."""
    group.add_argument(
        "--model", metavar="DIR_OR_ID", help="model folder or hub id (default: the bundled model)"
    )
    group.add_argument(
        "--seed", metavar="N", type=int, default=0, help="seed of the run, 0 or more (default: 0)"
    )
    named = ", ".join(f"{name} ({value.num_inference_steps} steps)" for name, value in PRESETS.items())
    group.add_argument(
        "--preset", metavar="NAME", default=preset, help=f"sampler and steps: {named} (default: {preset})"
    )
    group.add_argument("--steps", metavar="N", type=int, help="denoising steps (default: the preset's)")
    group.add_argument(
        "--guidance", metavar="G", type=float, default=2.0, help="guidance scale, 1 means none (default: 2)"
    )
    group.add_argument(
        "--scheduler", metavar="NAME", help="any diffusers scheduler class (default: the preset's)"
    )
    group.add_argument(
        "--device", metavar="NAME", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: auto)"
    )
    group.add_argument(
        "--dtype", metavar="NAME", default="auto", help="auto, float32, bfloat16, float16 (default: auto)"
    )
    group.add_argument(
        "--batch-size", metavar="N", type=int, help=f"images sampled together (default: {batch_size})"
    )


def add_image_options(group: argparse._ActionsContainer) -> None:
    """What the model is told beside the sampler: candidates and strengths."""
    group.add_argument(
        "--candidates",
        metavar="N",
        type=int,
        default=1,
        help="images per input and output, each with a seed of its own (default: 1)",
    )
    group.add_argument(
        "--reference-strength",
        metavar="X",
        type=float,
        default=1.0,
        help="how strongly the reference acts, 0 or more (default: 1)",
    )
    group.add_argument(
        "--category-strength",
        metavar="X",
        type=float,
        default=1.0,
        help="how strongly the category acts, 0 or more (default: 1)",
    )
    group.add_argument(
        "--no-initial-latent",
        action="store_true",
        help="start from plain noise, not from the noised reference",
    )


def add_layout_options(group: argparse._ActionsContainer) -> None:
    """Canvas, place and size of the product."""
    group.add_argument(
        "--size",
        metavar="source|WxH",
        default="source",
        help="size of the images in pixels (default: source, the input's own)",
    )
    group.add_argument(
        "--aspect",
        metavar="W:H",
        help="the smallest canvas of this shape that holds the whole input, unscaled",
    )
    group.add_argument(
        "--outputs",
        metavar="LIST",
        help="several canvases per input, with commas: 1:1,3:4,1600x900,source (instead of size and aspect)",
    )
    group.add_argument(
        "--placement",
        metavar="WHERE",
        help="keep, center, top, bottom, left, right, top-left, top-right, bottom-left, bottom-right "
        "(default: keep; center with a scale or margin)",
    )
    group.add_argument(
        "--product-scale",
        metavar="F",
        type=float,
        help="share of the canvas that the product takes where it is nearest to filling it, 0.05 to 1 "
        "(default: its own pixels)",
    )
    group.add_argument(
        "--margin",
        metavar="F",
        type=float,
        default=0.0,
        help="share of the canvas' shorter side kept free at every edge, 0 to 0.45 (default: 0)",
    )
    group.add_argument(
        "--contact-shadow",
        metavar="S",
        type=float,
        default=0.0,
        help="darken the ground under the product, 0 to 0.8 (default: 0, the model's own shadows alone)",
    )


def add_file_options(group: argparse._ActionsContainer) -> None:
    """The format of the images, and their layers."""
    group.add_argument("--format", metavar="NAME", default="png", help="png, webp, jpeg, avif (default: png)")
    group.add_argument(
        "--quality",
        metavar="N",
        type=int,
        help="1 to 100 (default: WebP lossless, JPEG 95, AVIF 90); only lossless files keep products exact",
    )
    group.add_argument(
        "--provenance",
        action=argparse.BooleanOptionalAction,
        help="say in XMP that the background is machine-made (default: in all formats but PNG)",
    )
    group.add_argument(
        "--layers",
        metavar="FORMAT",
        help="write background plate, shadow and product too: ora (OpenRaster), psd, or png",
    )


def build_settings(args: argparse.Namespace) -> GenerateConfig:
    """The settings that the options of this module ask for. Raises SettingsError."""
    from cyclorama.generation.settings import GenerateConfig, parse_aspect, parse_size
    from cyclorama.imaging.formats import EncodingConfig

    sampler = choose_sampler(args.preset, args.steps, args.scheduler)
    outputs = () if args.outputs is None else tuple(text.strip() for text in args.outputs.split(","))
    return GenerateConfig(
        num_inference_steps=sampler.num_inference_steps,
        guidance_scale=args.guidance,
        scheduler=sampler.scheduler,
        reference_strength=args.reference_strength,
        category_strength=args.category_strength,
        initial_latent=not args.no_initial_latent,
        size=parse_size(args.size),
        candidates=args.candidates,
        batch_size=args.batch_size,
        aspect=None if args.aspect is None else parse_aspect(args.aspect),
        placement=args.placement,
        product_scale=args.product_scale,
        margin=args.margin,
        outputs=outputs,
        encoding=EncodingConfig(format=args.format, quality=args.quality, provenance=args.provenance),
        layers=args.layers,
        contact_shadow=args.contact_shadow,
    )


def check_run(seed: int, out: Path) -> None:
    """Raise SettingsError for a seed outside 0 … 2**63 − 1, OutputError for an output that is a file."""
    from cyclorama.seeding import MAX_SEED

    if not 0 <= seed <= MAX_SEED:
        raise SettingsError(f"seed must be a whole number from 0 to 2**63 - 1, got {seed}")
    check_output_folder(out)


def make_images(
    plan: Sequence[PlannedItem], model: ModelHandle, config: RunConfig, args: argparse.Namespace
) -> RunResult:
    """Run ``plan`` into ``args.out`` with progress on stderr; Ctrl-C stops after the images in hand."""
    from cyclorama.generation.model import silence_loading
    from cyclorama.generation.run import run_plan
    from cyclorama.jobs.job import Hooks
    from cyclorama.jobs.progress import ProgressReport
    from cyclorama.jobs.stop import catch_stop

    failed = sum(planned.failure is not None for planned in plan)
    if 0 < failed < len(plan) and not args.quiet:
        print(f"{failed} of {len(plan)} inputs cannot be used; going on with the rest", file=sys.stderr)
    silence_loading()
    with catch_stop(args.quiet) as wish, ProgressReport(quiet=args.quiet) as progress:
        hooks = Hooks(progress.start, progress.advance, wish)
        return run_plan(plan, model, config, args.out, hooks)


def finish(result: RunResult, out: Path, quiet: bool = False) -> int:
    """Say how the run ended and return its exit code: 0, 1 (some failed), 2 (all did at once) or 130."""
    failures = [o.planned for o in result.outcomes if o.planned.failure is not None]
    for planned in failures[:SHOWN_FAILURES]:
        assert planned.failure is not None
        reason = " ".join(planned.failure.reason.split())
        print(f"cyclorama: {planned.failure.error}: {planned.item.name}: {reason}", file=sys.stderr)
    if len(failures) > SHOWN_FAILURES:
        print(f"... and {len(failures) - SHOWN_FAILURES} more, see {out / 'manifest.jsonl'}", file=sys.stderr)
    if not quiet:
        kept = f", {result.reused} kept from before" if result.reused else ""
        print(f"{result.made} images made{kept}, {len(failures)} inputs failed; see {out / 'index.html'}")
    if result.count("pending"):
        print(
            f"cyclorama: stopped with {result.count('pending')} inputs to go; "
            f"run the same command again to go on",
            file=sys.stderr,
        )
        return 130
    if len(failures) == len(result.outcomes):
        return 2 if result.nothing_started else 1
    return 1 if failures else 0
