"""``cyclorama demo``: the bundled products, without a reference and with two, on one sheet."""

from __future__ import annotations

import argparse
from pathlib import Path

from cyclorama.commands.running import add_sampling_options, check_run, finish, make_images


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command ``demo``."""
    parser = subparsers.add_parser(
        "demo",
        help="make images of the bundled products, without and with references",
        description="Make images of the bundled products: without a reference and with two. Results: "
        "DIR/index.html, DIR/sheet.png, DIR/images/, DIR/manifest.jsonl. Run again to go on after a stop.",
    )
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("out/demo"), help="default: out/demo")
    parser.add_argument(
        "--images", metavar="DIR", type=Path, help="a folder of one's own in the demo's layout"
    )
    add_sampling_options(parser, preset="balanced")
    parser.add_argument("--overwrite", action="store_true", help="make all images anew")
    parser.add_argument("--quiet", action="store_true", help="print errors only")


def run(args: argparse.Namespace) -> int:
    """Make the demo and return the exit code."""
    from cyclorama.generation.demo_report import write_demo_report
    from cyclorama.generation.demo_set import build_demo_items, get_demo_folder, load_demo
    from cyclorama.generation.model import choose_device, open_model
    from cyclorama.generation.plan import RunConfig, build_plan
    from cyclorama.generation.presets import choose_sampler
    from cyclorama.generation.settings import GenerateConfig

    sampler = choose_sampler(args.preset, args.steps, args.scheduler)
    settings = GenerateConfig(
        num_inference_steps=sampler.num_inference_steps,
        guidance_scale=args.guidance,
        scheduler=sampler.scheduler,
        batch_size=args.batch_size,
    )
    check_run(args.seed, args.out)
    entries = load_demo(args.images or get_demo_folder())
    settings.build_sampling()
    device, dtype = choose_device(args.device, args.dtype)
    model = open_model(args.model)
    config = RunConfig(settings, seed=args.seed, device=device, dtype=dtype, overwrite=args.overwrite)
    result = make_images(build_plan(build_demo_items(entries), model, config), model, config, args)
    write_demo_report(args.out, entries, result, model, config)
    return finish(result, args.out, args.quiet)
