"""``cyclorama plan``: where things would stand on posters, as data and as images; nothing is rendered."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from cyclorama.generation.settings import InputSettings
from cyclorama.posters.planning import Planner

if TYPE_CHECKING:
    from cyclorama.generation.items import Item, ItemSource
    from cyclorama.generation.model import ModelHandle
    from cyclorama.imaging.product import Product
    from cyclorama.models.registry import Category

FOLDER = "plans"
ENDING = ".plan.json"


def plan(
    input: Annotated[str, Parameter(name="INPUT")],
    /,
    *,
    out: Path,
    texts: Path | None = None,
    size: tuple[str, ...] = ("square",),
    brand: Path | None = None,
    inputs: Annotated[InputSettings | None, Parameter(name="*", group="What goes in")] = None,
    plans: int = 4,
    planner: Planner = "rules",
    scenes: Path | None = None,
    seed: int = 0,
    quiet: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Plan posters: the layouts that `cyclorama poster` with the same options would draw, best first.

    Results: DIR/plans/NAME.SIZE.plan.json with the layouts, a PNG of the same name that shows their boxes
    over the product, DIR/plans.jsonl with a row per input and size, DIR/index.html.

    Exit codes: 0 all well, 1 some input failed, 2 nothing could start.

    Parameters
    ----------
    input
        Image, folder, table, feed or address.
    out
        Output folder.
    texts
        YAML file with the words, as `cyclorama poster` takes it.
    size
        square, portrait, story, banner, marketplace, a4, or WxH in pixels; may be repeated.
    brand
        YAML file of a brand.
    plans
        Layouts for each size, 1 to 12.
    planner
        rules (grammar and energy), or a baseline: fixed, random.
    scenes
        Folder of own category files, beside and over the built-in ones.
    seed
        From which every poster's own is derived.
    quiet
        Print errors only.
    """
    from cyclorama.files import check_output_folder, write_atomic
    from cyclorama.generation.items import Failure, ItemSource
    from cyclorama.generation.model import open_model
    from cyclorama.generation.writers import build_stems
    from cyclorama.posters.canvases import read_canvas
    from cyclorama.posters.maker import PosterSettings, read_logo
    from cyclorama.posters.plan_sheet import draw_plans
    from cyclorama.posters.planning import PlanRequest, plan_poster
    from cyclorama.posters.words import (
        choose_fonts,
        find_languages,
        merge_words,
        read_brand,
        read_wordings,
        settle_words,
    )

    inputs, settings = inputs or InputSettings(), PosterSettings(plans=plans, planner=planner)
    wordings, look = {} if texts is None else read_wordings(texts), read_brand(brand)
    settle_words(wordings, look)  # refused before anything is drawn
    canvases = {name.lower(): read_canvas(name.lower()) for name in size}
    check_output_folder(out)
    source, handle, logo = (
        ItemSource(input, inputs, out, words=True),
        open_model(None, scenes),
        read_logo(look),
    )
    languages = find_languages(wordings, source.words)
    rows: list[dict[str, Any]] = []
    items = list(source.iterate(out / "inputs"))
    stems = build_stems([item.name for item in items])
    for number, (item, own_stem) in enumerate(zip(items, stems, strict=True), 1):
        subject: tuple[Product, Category] | None = None
        for name, canvas in canvases.items():
            row: dict[str, Any] = {"name": item.name, "size": name}
            try:
                subject = subject or _read_subject(handle, item, source)
                product, category = subject
                said = settle_words(merge_words(wordings, item.words, languages, f"row {number}"), look)
                request = PlanRequest(product, canvas, said, choose_fonts(look, category.name), logo)
                own = seed if item.seed is None else item.seed
                found = plan_poster(request, settings.planner, settings.plans, own)
            except Exception as error:  # an input that cannot be read or planned is its row's failure
                failure = Failure.of(error)
                rows.append(row | {"status": "failed", "error": failure.error, "reason": failure.reason})
                print(f"{item.name}, {name}: {failure.error}: {failure.reason}", file=sys.stderr)
                continue
            stem = out / FOLDER / f"{own_stem}.{name}"
            stem.parent.mkdir(parents=True, exist_ok=True)
            layouts = [layout.describe() for layout in found]
            text = json.dumps(
                {"name": item.name, "size": name, "layouts": layouts}, ensure_ascii=False, indent=1
            )
            write_atomic(stem.with_name(stem.name + ENDING), text.encode())
            write_atomic(stem.with_name(stem.name + ".png"), draw_plans(product, found))
            rows.append(
                row
                | {
                    "status": "done",
                    "category": category.name,
                    "plans": stem.with_name(stem.name + ENDING).relative_to(out).as_posix(),
                    "families": [layout.family for layout in found],
                    "energy": found[0].energy,
                }
            )
    write_atomic(
        out / "plans.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    )
    _write_sheet(out, rows)
    failed = sum(row["status"] == "failed" for row in rows)
    if not quiet:
        print(f"{len(rows) - failed} of {len(rows)} planned; see {out / 'index.html'}")
    return 0 if rows and not failed else 1


def _read_subject(handle: ModelHandle, item: Item, source: ItemSource) -> tuple[Product, Category]:
    """An item's product and category. Raises what its image or its name is refused with."""
    from cyclorama.data.addresses import read_bytes
    from cyclorama.errors import InputError
    from cyclorama.generation.recognise import recognise
    from cyclorama.imaging.product import Product

    if item.failure is not None or item.image is None:
        raise InputError("the row names no image" if item.failure is None else item.failure.reason)
    mask = None if item.mask is None else read_bytes(item.mask, urls=source.urls)
    product = Product.from_image(
        read_bytes(item.image, urls=source.urls), mask, mask_means=item.mask_means, name=item.name
    )
    known = source.settings.build_rules().choose(item.category, handle.registry, item.folders)
    return product, (known or recognise(product, handle.registry)).category


def _write_sheet(out: Path, rows: list[dict[str, Any]]) -> None:
    from cyclorama.files import write_atomic
    from cyclorama.generation.sheet import SHEET_NAME, Cell, SheetRow, build_sheet

    cards = []
    for row in rows:
        if row["status"] == "done":
            image = row["plans"].removesuffix(ENDING) + ".png"
            cell = Cell(row["size"], f"Layouts of {row['name']}, {row['size']}", image, image)
            cards.append(SheetRow(row["name"], ", ".join(row["families"]), (cell,)))
    failed = [row for row in rows if row["status"] == "failed"]
    page = build_sheet("Layouts", [], cards, failed)
    write_atomic(out / SHEET_NAME, page.encode("utf-8", "backslashreplace"))
