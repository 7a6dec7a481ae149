"""``cyclorama demo``: the bundled products by the category alone and in a reference's style, on one sheet."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cyclorama.commands.generate import Machines, Making, Plain, Running

PARTS = {
    None: ("scenes", ("scene", "scene in its style")),
    "bundled": ("learned", ("learned model in its style",)),
}
"""Models that are shown if none is named: folder, captions of the images of an entry."""


def demo(
    *,
    out: Path = Path("out/demo"),
    images: Path | None = None,
    every: Annotated[bool, Parameter(name="--all", negative=())] = False,
    model: str | None = None,
    scenes: Path | None = None,
    settings: Making = None,
    run: Running = None,
    engine: Machines = None,
    quiet: Annotated[bool, Plain] = False,
) -> int:
    """Make images of twelve bundled products: on a set of their category, and in a reference's style; then
    the latter by the learned model, beside the truth. The preset is fast unless another is named.

    Results: DIR/index.html, DIR/sheet.png, and a folder for each model with images/ and results.jsonl. Run
    again to go on after a stop.

    Parameters
    ----------
    out
        Output folder.
    images
        A folder of one's own in the demo's layout.
    every
        Show all products, one of every category that has 3-D products.
    model
        Only this one: scenes (rendered sets), bundled (learned), a model folder or hub id.
    scenes
        Folder of own category files, beside and over the built-in ones.
    quiet
        Print errors only.
    """
    from cyclorama.commands.generate import build_config, finish, make_images
    from cyclorama.errors import MissingDependencyError, SettingsError
    from cyclorama.files import check_output_folder
    from cyclorama.generation.demo import (
        SHOWN,
        DemoPart,
        build_demo_items,
        get_demo_folder,
        load_demo,
        write_demo_report,
    )
    from cyclorama.generation.model import open_model
    from cyclorama.generation.run import iterate_rows
    from cyclorama.generation.settings import GenerateConfig
    from cyclorama.generation.sheet import describe_run
    from cyclorama.jobs.job import EngineSettings
    from cyclorama.processes import count_cpus

    settings = settings or GenerateConfig()
    usual = {"preset": "fast", "shared_sets": False}  # a style serves one product
    settings = settings.replace(**{name: usual[name] for name in usual.keys() - settings.model_fields_set})
    config = build_config(settings, run, engine)
    if settings.outputs or settings.candidates > 1 or config.run.storage != "files":
        raise SettingsError(
            "the demo's sheet shows one image a row; leave out --outputs, --candidates and --storage"
        )
    check_output_folder(out)
    entries = load_demo(images or get_demo_folder())
    entries = entries if every or images else entries[:SHOWN]
    chosen = PARTS if model is None else {model: ("images", ("no reference", "result"))}
    parts: list[DemoPart] = []
    summary: list[str] = []
    codes: list[int] = []
    for name, (folder, labels) in chosen.items():
        items = build_demo_items(entries, plain=len(labels) > 1)
        try:
            handle = open_model(name, None if name == "bundled" else scenes)
            if engine is None:  # a set is dressed, and a style fitted, by one thread
                machines = EngineSettings(workers=count_cpus(), threads=1, shard_size=len(labels))
                config = config.replace(engine=EngineSettings() if handle.learned else machines)
            result = make_images(items, out / folder, handle, config, quiet)
        except MissingDependencyError as error:
            if not parts:
                raise
            print(f"cyclorama: note: the learned model is left out: {error}", file=sys.stderr)
            continue
        codes.append(finish(result, out / folder, quiet))
        if not result.finished:
            return codes[-1]
        parts.append(DemoPart(folder, labels, list(iterate_rows(out / folder))))
        summary += describe_run(handle, config, result.done, result.failed, result.rows)
    write_demo_report(out, entries, parts, summary)
    if not quiet:
        print(f"see {out / 'index.html'}")
    return max(codes)
