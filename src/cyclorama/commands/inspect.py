"""``cyclorama inspect``: what the checks say of finished posters, anew and from their files alone; ``inspect
label`` asks people."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts
from cyclopts import Parameter

if TYPE_CHECKING:
    from cyclorama.posters.inspection import Inspected

inspect = cyclopts.App(name="inspect", help="Judge finished posters anew; let people label them.")
inspect.command("cyclorama.commands.inspect_label:label", name="label", help="let people say what is wrong")
RESULTS = "inspection.jsonl"


@inspect.default
def judge(
    place: Annotated[Path, Parameter(name="PLACE")],
    /,
    *,
    out: Path | None = None,
    quiet: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Judge finished posters anew: nothing is rendered, nothing of them is changed.

    Every poster is put together from its record and parts once more; whatever differs from the image, and
    whatever fails a check, is a fault.

    Exit codes: 0 all posters pass all checks, 1 some are marked or cannot be judged, 2 nothing could start.

    Parameters
    ----------
    place
        NAME.poster.json, or a folder of posters as `cyclorama poster` wrote it.
    out
        Folder for inspection.jsonl (a row per poster) and index.html.
    quiet
        Print faults only.
    """
    from cyclorama.files import check_output_folder
    from cyclorama.layout.elements import ENDING
    from cyclorama.posters.inspection import inspect_record, list_records

    records = list_records(place)
    if out is not None:
        check_output_folder(out)
    top = place if place.is_dir() else place.parent
    found = []
    for record in records:
        name = record.relative_to(top).as_posix().removesuffix(ENDING)
        one = inspect_record(record, name)
        for reason in _list_reasons(one):
            print(f"{name}: {reason}", file=sys.stderr)
        found.append(one)
    if out is not None:
        _write(out, place, found)
    states = [one.status for one in found]
    if not quiet:
        counts = [f"{states.count(state)} {said}" for state, said in _SAID.items() if states.count(state)]
        print(f"{len(found)} posters: {', '.join(counts)}")
    return 0 if set(states) == {"done"} else 1


_SAID = {"done": "pass all checks", "marked": "are marked", "failed": "cannot be judged"}


def _list_reasons(one: Inspected) -> list[str]:
    if one.verdict is None:
        return [f"{one.failure['error']}: {one.failure['reason']}"]
    return [f"{fault}: {reason}" for fault, reason in one.verdict.faults.items()]


def _write(out: Path, place: Path, found: list[Inspected]) -> None:
    from cyclorama.files import write_atomic
    from cyclorama.generation.sheet import SHEET_NAME, Cell, SheetRow, build_sheet

    lines = "".join(json.dumps(one.describe(), ensure_ascii=False) + "\n" for one in found)
    write_atomic(out / RESULTS, lines.encode())
    cards = []
    for one in found:
        if one.verdict is not None:
            image = Path(os.path.relpath(one.image, out)).as_posix()
            cell = Cell(_SAID[one.status], f"Poster {one.name}", image, image)
            cards.append(SheetRow(one.name, " · ".join(_list_reasons(one)), (cell,)))
    failed = [{"name": one.name, **one.failure} for one in found if one.verdict is None]
    page = build_sheet("Posters, inspected", [str(place)], cards, failed)
    write_atomic(out / SHEET_NAME, page.encode("utf-8", "backslashreplace"))
