"""``cyclorama check``: what is wrong with the inputs, before a run."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from pydantic import NonNegativeInt

from cyclorama.commands.generate import Inputs, Making
from cyclorama.generation.settings import GenerateConfig, RunConfig, RunSettings


def check(
    input: Annotated[str, Parameter(name="INPUT")],
    /,
    *,
    inputs: Inputs = None,
    settings: Making = None,
    model: str | None = None,
    scenes: Path | None = None,
    cutout: str | None = None,
    examine: NonNegativeInt = 2000,
    json: Path | None = None,
) -> int:
    """Read all rows and open some files; say what would be done and what would be refused, and make nothing.

    Exit codes: 0 no fault found, 1 some rows would fail, 2 nothing could start.

    Parameters
    ----------
    input
        Image, folder, table, feed or address, as `cyclorama generate` takes it.
    model
        scenes (rendered sets, the default), bundled (learned), a model folder or hub id.
    scenes
        Folder of own category files, beside and over the built-in ones.
    cutout
        rembg network in the bundled one's place, for photos that nothing else tells apart.
    examine
        Rows whose files are opened and cut out, evenly spread; 0 for all.
    json
        Write the whole report to this file.
    """
    from cyclorama.files import write_atomic
    from cyclorama.generation.check import check_inputs, format_report
    from cyclorama.generation.items import ItemSource
    from cyclorama.generation.model import open_model

    handle = open_model(model, scenes)
    handle.choose_device()
    config = RunConfig(settings or GenerateConfig(), RunSettings(cutout=cutout))
    report = check_inputs(ItemSource(input, inputs), handle, config, examine)
    if json is not None:
        text = json_format.dumps(report, indent=1, ensure_ascii=False) + "\n"
        write_atomic(json, text.encode("utf-8", "backslashreplace"))
    print(format_report(report))
    return 1 if report["problems"] else 0
