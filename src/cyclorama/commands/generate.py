"""``cyclorama generate``: images for one product photo, a folder of them, or a table of a million rows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cyclorama.generation.settings import GenerateConfig, InputSettings, RunSettings
from cyclorama.jobs.job import EngineSettings

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
    category: str | None = None,
    alias: Annotated[tuple[str, ...], Plain] = (),
    category_map: Path | None = None,
    inputs: Inputs = None,
    settings: Making = None,
    gate: Annotated[bool, Plain] = False,
    gate_limits: Path | None = None,
    run: Running = None,
    engine: Machines = None,
    model: str | None = None,
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
    category
        Category of every input that names none the model knows.
    alias
        Take category GIVEN as NAME: GIVEN=NAME; '*=NAME' for all unknown ones (repeatable).
    category_map
        Aliases from a JSON or YAML file of given: name pairs.
    gate
        Judge every image and say so in its row.
    gate_limits
        Judge by these limits, YAML.
    model
        Model folder or hub id; the bundled model if left out.
    dry_run
        Say what would be done, how long it takes and how many bytes, and make nothing.
    quiet
        Print errors only.
    """
    from cyclorama.commands.running import build_config, finish, make_images
    from cyclorama.files import check_output_folder
    from cyclorama.generation.categories import load_category_rules
    from cyclorama.generation.items import ItemSource
    from cyclorama.generation.model import open_model

    rules = load_category_rules(category_map, alias, category)
    config = build_config(settings, run, engine, rules, gate, gate_limits)
    check_output_folder(out)
    source = ItemSource(input, inputs, out)
    config = config.replace(urls=source.urls)
    handle = open_model(model)
    if dry_run:
        from cyclorama.generation.estimate import estimate_run

        print(estimate_run(source, out, handle, config).format())
        return 0
    result = make_images(source, out, handle, config, quiet)
    if not quiet:
        for note in source.remarks:
            print(note, file=sys.stderr)
    return finish(result, out, quiet)
