"""What the commands that make pictures share: options, the run with its progress, the last words."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cyclorama.errors import OutputError, SettingsError

if TYPE_CHECKING:
    from cyclorama.generation.model import ModelHandle
    from cyclorama.generation.plan import PlannedItem, RunConfig
    from cyclorama.generation.run import RunResult

SHOWN_FAILURES = 5


def add_sampling_options(group: argparse._ActionsContainer, steps: int = 50) -> None:
    """Model, seed, sampler and machine options."""
    group.add_argument(
        "--model", metavar="DIR_OR_ID", help="model folder or hub id (default: the bundled model)"
    )
    group.add_argument(
        "--seed", metavar="N", type=int, default=0, help="seed of the run, 0 or more (default: 0)"
    )
    group.add_argument(
        "--steps", metavar="N", type=int, default=steps, help=f"denoising steps (default: {steps})"
    )
    group.add_argument(
        "--guidance", metavar="G", type=float, default=2.0, help="guidance scale, 1 means none (default: 2)"
    )
    group.add_argument(
        "--scheduler", metavar="NAME", help="any diffusers scheduler class (default: the model's own)"
    )
    group.add_argument(
        "--device", metavar="NAME", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: auto)"
    )
    group.add_argument(
        "--dtype", metavar="NAME", default="auto", help="auto, float32, bfloat16, float16 (default: auto)"
    )
    group.add_argument(
        "--batch-size", metavar="N", type=int, help="pictures sampled together (default: 1 on a CPU, else 8)"
    )


def check_run(seed: int, out: Path) -> None:
    """Raise SettingsError for a seed outside 0 … 2**63 − 1, OutputError for an output that is a file."""
    from cyclorama.seeding import MAX_SEED

    if not 0 <= seed <= MAX_SEED:
        raise SettingsError(f"seed must be a whole number from 0 to 2**63 - 1, got {seed}")
    if out.exists() and not out.is_dir():
        raise OutputError(f"output {out} is a file; give a folder with --out")


def make_pictures(
    plan: Sequence[PlannedItem], model: ModelHandle, config: RunConfig, args: argparse.Namespace
) -> RunResult:
    """Run ``plan`` into ``args.out`` with progress on stderr; Ctrl-C stops after the pictures in hand."""
    from cyclorama.generation.interrupt import catch_stop
    from cyclorama.generation.progress import ProgressReport
    from cyclorama.generation.run import RunHooks, run_plan

    failed = sum(planned.failure is not None for planned in plan)
    if 0 < failed < len(plan) and not args.quiet:
        print(f"{failed} of {len(plan)} inputs cannot be used; going on with the rest", file=sys.stderr)
    _silence_loading()
    with catch_stop(args.quiet) as wish, ProgressReport(quiet=args.quiet) as progress:
        hooks = RunHooks(progress.start, progress.advance, wish)
        return run_plan(plan, model, config, args.out, hooks)


def _silence_loading() -> None:
    """Switch off transformers' bars; the run has one of its own."""
    from transformers.utils import logging

    logging.disable_progress_bar()


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
        print(f"{result.made} pictures made{kept}, {len(failures)} inputs failed; see {out / 'index.html'}")
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
