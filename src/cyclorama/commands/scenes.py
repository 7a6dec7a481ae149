"""``cyclorama scenes``: the sets that products are put into; own ones are made, checked and looked at."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import cyclopts
from pydantic import NonNegativeInt

scenes = cyclopts.App(
    name="scenes", help="Show the sets, check category files, make a new one, draw a sheet of one."
)
PATH = cyclopts.Parameter(name="PATH")


@scenes.command(name="list")
def list_categories(*, scenes: Path | None = None) -> None:
    """Categories with their share of an image, whether they have 3-D products, words and elements.

    Parameters
    ----------
    scenes
        Folder of own category files, beside and over the built-in ones.
    """
    from cyclorama.models.vocabulary import get_words
    from cyclorama.scenes.library import open_library

    library = open_library(scenes)
    print(f"{'category':<20}{'share':>6}  {'products':<9}words; elements of its brands")
    for name, file in sorted(library.files.items()):
        head = file.head
        kind = "3-D" if "product" in head else "cut-outs"
        elements = sorted({str(element) for brand in head["brands"] for element in brand["elements"]})
        words = (*head.get("words", ()), *get_words(name))
        texts = (", ".join(map(str, values)) or "–" for values in (words, elements))
        print(f"{name:<20}{library.get_share(name):>6.0%}  {kind:<9}{'; '.join(texts)}")


@scenes.command
def check(path: Annotated[Path, cyclopts.Parameter(name="PATH")], /) -> int:
    """Say file, line and field of every fault in category files.

    Exit codes: 0 no fault, 1 some, 2 no file.

    Parameters
    ----------
    path
        A category file, or a folder of them.
    """
    from cyclorama.scenes.grammar.document import read_text
    from cyclorama.scenes.library import SceneFile, find_faults, list_files, open_library

    found = list_files(path)
    faults = [fault for file in found for fault in find_faults(SceneFile(file.name, read_text(file)))]
    for fault in faults:
        print(fault, file=sys.stderr)
    if not faults:
        open_library(path)  # what the files say of each other
        print(f"{len(found)} category file{'s' * (len(found) != 1)}, no fault")
    return 1 if faults else 0


@scenes.command
def new(
    name: Annotated[str, cyclopts.Parameter(name="NAME")], /, *, out: Path, like: str | None = None
) -> None:
    """Write a category file to start from: with remarks, free of faults, and already drawing a set.

    Parameters
    ----------
    name
        The category's name, as a catalogue says it.
    out
        File to write, such as my_scenes/yoga_mat.yaml.
    like
        Start from this category's file instead.
    """
    from cyclorama.scenes.library import write_starter

    write_starter(name, out, like)
    print(f"wrote {out}; draw it with `cyclorama scenes preview {out}`")


@scenes.command
def preview(
    scene: Annotated[str, cyclopts.Parameter(name="FILE|NAME")],
    /,
    *,
    out: Path = Path("preview.png"),
    seed: NonNegativeInt = 0,
) -> None:
    """Draw a sheet of twelve sets of a category: its three brands, then nine styles, each with a product.

    Parameters
    ----------
    scene
        A category file, or the name of a category.
    out
        PNG to write.
    seed
        Another sheet.
    """
    from cyclorama.scenes.preview import draw_sheet, find_scene

    library, name = find_scene(scene)
    draw_sheet(library, name, out, seed)
    print(f"wrote {out}")
