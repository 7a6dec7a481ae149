"""``cyclorama generate``: images for one product photo, a folder of them, or a table of a million rows."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

from cyclopts import Parameter

from cyclorama.generation.settings import GenerateConfig, InputSettings, RunConfig, RunSettings
from cyclorama.jobs.job import EngineSettings

if TYPE_CHECKING:
    from cyclorama.generation.items import Item, ItemSource
    from cyclorama.generation.model import ModelHandle
    from cyclorama.generation.run import RunResult
    from cyclorama.jobs.job import Hooks
    from cyclorama.models.words import CategoryRules

SHOWN_FAILURES = 5
T = TypeVar("T")
Inputs = Annotated[InputSettings | None, Parameter(name="*", group="What goes in")]
Making = Annotated[GenerateConfig | None, Parameter(name="*", group="How images are made")]
Running = Annotated[RunSettings | None, Parameter(name="*", group="The run")]
Machines = Annotated[EngineSettings | None, Parameter(name="*", group="Where it runs")]
Plain = Parameter(negative=())


def generate(
    input: Annotated[str, Parameter(name="INPUT")],
    /,
    *,
    out: Path,
    inputs: Inputs = None,
    settings: Making = None,
    gate: Annotated[bool, Plain] = False,
    gate_limits: Path | None = None,
    run: Running = None,
    engine: Machines = None,
    model: str | None = None,
    scenes: Path | None = None,
    dry_run: Annotated[bool, Plain] = False,
    quiet: Annotated[bool, Plain] = False,
) -> int:
    """Make advertising images from product photos; the product's own pixels are kept.

    INPUT is an image, a folder (sub-folders included), a table or feed (CSV, JSONL, Parquet, Excel, XML),
    or tar shards, here or at an fsspec address. Results: DIR/images/, DIR/results.jsonl and
    DIR/results.parquet with one row per input, DIR/index.html. Run the same command again to go on after a
    stop, a kill or a full disk; what is finished and unchanged is kept.

    Exit codes: 0 all inputs have their images, 1 some failed, 2 nothing could start, 130 stopped by Ctrl-C.

    Parameters
    ----------
    input
        Image, folder, table, feed or address.
    out
        Output folder.
    gate
        Judge every image and say so in its row.
    gate_limits
        Judge by these limits, YAML.
    model
        scenes (rendered sets, the default), bundled (learned), a model folder or hub id.
    scenes
        Folder of own category files, beside and over the built-in ones.
    dry_run
        Say what would be done, how long it takes and how many bytes, and make nothing.
    quiet
        Print errors only.
    """
    from cyclorama.files import check_output_folder
    from cyclorama.generation.items import ItemSource
    from cyclorama.generation.model import open_model

    inputs, settings = inputs or InputSettings(), settings or GenerateConfig()
    config = build_config(settings, run, engine, inputs.build_rules(), gate, gate_limits)
    check_output_folder(out)
    source = ItemSource(input, inputs, out)
    config = config.replace(urls=source.urls)
    styled = inputs.style is not None or inputs.reference is not None
    if source.table.kind == "image" and styled and "shared_sets" not in settings.model_fields_set:
        config = config.replace(settings=config.settings.replace(shared_sets=False))
    handle = open_model(model, scenes)
    if inputs.style is not None:
        handle.read_style(inputs.style)  # its faults are told before the run
    if inputs.backdrop is not None:
        handle.read_backdrop(inputs.backdrop)
    if not quiet:
        kind = "" if handle.learned else " (rendered sets; --model bundled is the learned one)"
        print(f"model: {handle.name}{kind}", file=sys.stderr)
    if dry_run:
        from cyclorama.generation.estimate import estimate_run

        print(estimate_run(source, out, handle, config).describe())
        return 0
    result = make_images(source, out, handle, config, quiet)
    if not quiet:
        for note in source.remarks:
            print(note, file=sys.stderr)
    return finish(result, out, quiet)


def build_config(
    settings: GenerateConfig | None,
    run: RunSettings | None,
    engine: EngineSettings | None,
    rules: CategoryRules | None = None,
    gate: bool = False,
    gate_limits: Path | None = None,
) -> RunConfig:
    """The settings of a run; what needs a judge turns the gate on. Raises ConfigError, SettingsError."""
    from cyclorama.config import load_config
    from cyclorama.generation.gate_settings import GateThresholds
    from cyclorama.models.words import CategoryRules

    settings, run, engine = settings or GenerateConfig(), run or RunSettings(), engine or EngineSettings()
    settings.build_sampling()
    limits = None if gate_limits is None else load_config(GateThresholds, gate_limits)
    if limits is None and (gate or run.attempts or run.keep == "best"):
        limits = GateThresholds()
    return RunConfig(settings, run, engine, rules or CategoryRules(), limits)


def make_images(
    source: ItemSource | Iterable[Item], out: Path, model: ModelHandle, config: RunConfig, quiet: bool
) -> RunResult:
    """Run with progress on stderr; Ctrl-C stops after the images in hand."""
    from cyclorama.generation.run import run_images

    return watch(lambda hooks: run_images(source, out, model, config, hooks), quiet)


def watch(run: Callable[[Hooks], T], quiet: bool) -> T:
    """What ``run`` returns, its progress on stderr; Ctrl-C stops it after the images in hand."""
    from cyclorama.jobs.job import Hooks
    from cyclorama.jobs.progress import ProgressReport, catch_stop

    def note(text: str) -> None:
        print(f"cyclorama: {text}", file=sys.stderr)

    with catch_stop(quiet) as stop, ProgressReport(quiet=quiet) as progress:
        hooks = Hooks(progress.start, progress.advance, stop, noted=(lambda text: None) if quiet else note)
        return run(hooks)


def finish(result: RunResult, out: Path, quiet: bool = False) -> int:
    """Say how the run ended and return its exit code: 0, 1 (some failed), 2 (all did at once) or 130."""
    for row in result.failures[:SHOWN_FAILURES]:
        reason = " ".join(row["reason"].split())
        print(f"cyclorama: {row['error']}: {row['name']}: {reason}", file=sys.stderr)
    if result.failed > SHOWN_FAILURES and result.finished:
        print(f"... and {result.failed - SHOWN_FAILURES} more, see {out / 'results.jsonl'}", file=sys.stderr)
    if not quiet:
        for note in result.notes[:SHOWN_FAILURES]:
            print(f"cyclorama: note: {note}", file=sys.stderr)
        if len(result.notes) > SHOWN_FAILURES:
            print(
                f"... and {len(result.notes) - SHOWN_FAILURES} more notes, see {out / 'index.html'}",
                file=sys.stderr,
            )
        kept = f", {result.kept} kept from before" if result.kept else ""
        see = f"; see {out / 'index.html'}" if result.finished else ""
        print(f"{result.made} images made{kept}, {result.failed} inputs failed{see}")
        if result.shards > 1 and result.made:
            print(
                f"{result.made / max(result.work.wall_seconds, 1e-9):.2f} images/s; planned in "
                f"{result.plan_seconds:.1f} s; {result.work.idle_share:.1%} of the time outside the model"
            )
    if not result.finished:
        left = result.rows - result.done - result.failed
        print(
            f"cyclorama: stopped with {left} of {result.rows} rows left; run the same command again to go on",
            file=sys.stderr,
        )
        return 130
    if result.nothing_started:
        return 2
    return 1 if result.failed else 0
