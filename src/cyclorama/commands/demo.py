"""``cyclorama demo``: the bundled products, without a reference and with two, on one sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclorama.commands.generate import Machines, Making, Plain, Running


def demo(
    *,
    out: Path = Path("out/demo"),
    images: Path | None = None,
    model: str | None = None,
    scenes: Path | None = None,
    settings: Making = None,
    run: Running = None,
    engine: Machines = None,
    quiet: Annotated[bool, Plain] = False,
) -> int:
    """Make images of the bundled products: without a reference and with two. The preset is balanced unless
    another is named.

    Results: DIR/index.html, DIR/sheet.png, DIR/images/, DIR/results.jsonl. Run again to go on after a stop.

    Parameters
    ----------
    out
        Output folder.
    images
        A folder of one's own in the demo's layout.
    model
        scenes (rendered sets, the default), bundled (learned), a model folder or hub id.
    scenes
        Folder of own category files, beside and over the built-in ones.
    quiet
        Print errors only.
    """
    from cyclorama.commands.generate import build_config, finish, make_images
    from cyclorama.errors import SettingsError
    from cyclorama.files import check_output_folder
    from cyclorama.generation.demo import build_demo_items, get_demo_folder, load_demo, write_demo_report
    from cyclorama.generation.model import open_model
    from cyclorama.generation.run import iterate_rows
    from cyclorama.generation.settings import GenerateConfig
    from cyclorama.generation.sheet import describe_run

    settings = settings or GenerateConfig()
    if "preset" not in settings.model_fields_set:
        settings = settings.replace(preset="balanced")
    config = build_config(settings, run, engine)
    if settings.outputs or settings.candidates > 1 or config.run.storage != "files":
        raise SettingsError(
            "the demo's sheet shows one image a row; leave out --outputs, --candidates and --storage"
        )
    check_output_folder(out)
    entries, handle = load_demo(images or get_demo_folder()), open_model(model, scenes)
    result = make_images(build_demo_items(entries), out, handle, config, quiet)
    if result.finished:
        summary = describe_run(handle, config, result.done, result.failed, result.rows)
        write_demo_report(out, entries, list(iterate_rows(out)), summary)
    return finish(result, out, quiet)
