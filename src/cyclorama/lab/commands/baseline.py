"""``cyclorama lab baseline NAME``: another method's images, made, composited and recorded like our own."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cyclorama.commands.generate import Inputs, Machines, Making, Plain, Running
from cyclorama.lab.baselines.options import ANY_CATEGORY, BaselineName, BaselineOptions
from cyclorama.lab.commands import Quiet

if TYPE_CHECKING:
    from cyclorama.generation.items import Item
    from cyclorama.lab.baselines.protocol import BaselineHandle


def baseline(
    name: Annotated[BaselineName, Parameter(name="NAME")],
    input: Annotated[str, Parameter(name="INPUT")],
    /,
    *,
    out: Path,
    inputs: Inputs = None,
    settings: Making = None,
    run: Running = None,
    engine: Machines = None,
    model: str | None = None,
    options: Annotated[BaselineOptions | None, Parameter(name="*", group="The method")] = None,
    raw: Annotated[bool, Plain] = False,
    quiet: Quiet = False,
) -> int:
    """Make images with another method under the conditions of `cyclorama generate`, to compare.

    lama fills everything but the product, without reference or category. inpaint and controlnet start from
    the noised reference; blended (Blended Diffusion) is guided by the reference's background features.
    paint-by-example needs a reference. The product is composited back for every method. INPUT, DIR and exit
    codes are those of `cyclorama generate`. Weights: docs/baselines.md

    Parameters
    ----------
    name
        The method.
    input
        Image, folder, table, feed or address.
    out
        Output folder.
    model
        Model folder or hub id of the base.
    raw
        Keep what the method itself painted, too (same as --layers png).
    """
    from cyclorama.commands.generate import build_config, finish, make_images
    from cyclorama.files import check_output_folder
    from cyclorama.generation.items import ItemSource
    from cyclorama.generation.settings import GenerateConfig, InputSettings
    from cyclorama.lab.baselines.protocol import BaselineRunSettings, open_baseline

    settings = settings or GenerateConfig()
    if raw and settings.layers is None:
        settings = settings.replace(layers="png")
    inputs = inputs or InputSettings()
    if name == "lama" and inputs.category is None:
        inputs = inputs.replace(category=ANY_CATEGORY)
    config = build_config(settings, run, engine, inputs.build_rules())
    check_output_folder(out)
    source = ItemSource(input, inputs, out)
    handle = open_baseline(name, model, options)
    config = config.replace(settings=BaselineRunSettings.of(settings, handle), urls=source.urls)
    items = check_references(source.iterate(out / "journal" / "embedded"), handle, quiet)
    result = make_images(items, out, handle, config, quiet)
    return finish(result, out, quiet)


def check_references(items: Iterable[Item], handle: BaselineHandle, quiet: bool = True) -> Iterator[Item]:
    """``items`` in which those without a reference fail, if the method cannot do without one."""
    from dataclasses import replace

    from cyclorama.errors import SettingsError
    from cyclorama.generation.items import Failure

    error = SettingsError(
        f"{handle.method} paints after a reference alone; give one with --reference, or in the table's "
        f"column of that name"
    )
    told = quiet or handle.uses_reference
    for item in items:
        if handle.needs_reference and item.reference is None and item.failure is None:
            item = replace(item, failure=Failure.of(error))
        if item.reference is not None and not told:
            told = True
            print(f"{handle.method} has no use for references; they are ignored", file=sys.stderr)
        yield item
