"""``cyclorama poster``: finished advertisements with words; ``poster edit`` changes one without drawing it
anew."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import cyclopts
from cyclopts import Parameter

from cyclorama.generation.settings import InputSettings
from cyclorama.posters.maker import PosterSettings

if TYPE_CHECKING:
    from cyclorama.generation.items import Item
    from cyclorama.imaging.product import Product, Reference
    from cyclorama.models.registry import Category
    from cyclorama.posters.maker import PosterMaker

    Subject: TypeAlias = tuple[Product, Category, Reference | None]

poster = cyclopts.App(name="poster", help="Make posters of products with exact words; edit one.")
Inputs = Annotated[InputSettings | None, Parameter(name="*", group="What goes in")]
Making = Annotated[PosterSettings | None, Parameter(name="*", group="How posters are made")]
Layers = Literal["psd", "ora", "svg"]
Plain = Parameter(negative=())


@poster.default
def make(
    input: Annotated[str, Parameter(name="INPUT")],
    /,
    *,
    texts: Path,
    out: Path,
    size: tuple[str, ...] = ("square",),
    brand: Path | None = None,
    inputs: Inputs = None,
    settings: Making = None,
    layers: Layers | None = None,
    model: str | None = None,
    scenes: Path | None = None,
    seed: int = 0,
    quiet: Annotated[bool, Plain] = False,
) -> int:
    """Make posters: words by role on a layout, on a background that is calm behind them.

    INPUT is what `generate` takes. TEXTS is YAML: `headline: …`, `subline`, `body`, `price`, `action`,
    `legal`, or these below languages (`en:`, `de:`), which then share one background. Results: DIR/posters/
    with an image, its parts and its record (NAME.poster.json) each, DIR/posters.jsonl with one row per
    poster, DIR/index.html.

    Exit codes: 0 all posters pass all checks, 1 some input failed or some poster is marked, 2 nothing could
    start.

    Parameters
    ----------
    input
        Image, folder, table, feed or address.
    texts
        YAML file with the words.
    out
        Output folder.
    size
        square, portrait, story, banner, marketplace, a4, or WxH in pixels; may be repeated.
    brand
        YAML file of a brand: colours, fonts, logo, words to avoid, style of its sets.
    layers
        Also write layers: psd, ora, svg.
    model
        scenes (rendered sets, the default), bundled (learned), a model folder or hub id.
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
    from cyclorama.posters.canvases import read_canvas
    from cyclorama.posters.maker import PosterMaker
    from cyclorama.posters.words import read_brand, read_wordings

    inputs, settings = inputs or InputSettings(), settings or PosterSettings()
    wordings, look = read_wordings(texts), read_brand(brand)
    canvases = [read_canvas(name) for name in size]
    check_output_folder(out)
    source = ItemSource(input, inputs, out)
    handle = open_model(model, scenes)
    if look.style is not None:
        handle.read_style(look.style)
    device, dtype = handle.choose_device()
    maker = PosterMaker(handle.load(device, dtype), handle, look, settings)
    folder = out / "posters"
    rows: list[dict[str, Any]] = []
    for item in source.iterate(out / "inputs"):
        subject: Subject | None = None
        for name, canvas in zip(size, canvases, strict=True):
            head = {"input": item.name, "size": f"{canvas[1]}x{canvas[0]}"}
            try:
                subject = subject or _read_subject(maker, item, inputs)
                product, category, reference = subject
                own = seed if item.seed is None else item.seed
                found = maker.make(product, category, wordings, canvas, own, reference)
            except Exception as error:  # an input that cannot be read or drawn is its row's failure
                failure = Failure.of(error)
                rows += [
                    {
                        **head,
                        "language": language,
                        "state": "failed",
                        "error": failure.error,
                        "reason": failure.reason,
                    }
                    for language in wordings
                ]
                print(f"{item.name}: {failure.error}: {failure.reason}", file=sys.stderr)
                continue
            from cyclorama.posters.files import write_poster

            for language, one in found.items():
                stem = "-".join([Path(item.name).stem, name, *([language] if len(wordings) > 1 else [])])
                where = folder / Path(item.name).parent
                where.mkdir(parents=True, exist_ok=True)
                image = write_poster(one, where, stem, layers)
                record = one.record
                rows.append(
                    {
                        **head,
                        "language": language,
                        "state": "done" if record.verdict.accepted else "marked",
                        "faults": record.verdict.faults,
                        "image": image.relative_to(out).as_posix(),
                        "category": record.category,
                        "family": record.layout.family,
                        "energy": record.layout.energy,
                        "attempt": record.attempt,
                        "exact": record.exact,
                        "contrast_margin": record.verdict.values["contrast_margin"],
                    }
                )
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_atomic(out / "posters.jsonl", lines.encode())
    write_atomic(out / "index.html", _draw_sheet(rows).encode())
    states = [row["state"] for row in rows]
    if not quiet:
        print(
            f"{states.count('done')} posters pass all checks, {states.count('marked')} are marked, "
            f"{states.count('failed')} failed; see {out / 'index.html'}"
        )
    return 0 if states and set(states) == {"done"} else 1


@poster.command
def edit(
    record: Annotated[Path, Parameter(name="RECORD")],
    /,
    *,
    out: Path | None = None,
    text: Annotated[dict[str, str] | None, Parameter(name="--text")] = None,
    texts: Path | None = None,
    language: str | None = None,
    move: Annotated[dict[str, str] | None, Parameter(name="--move")] = None,
    brand: Path | None = None,
    layers: Layers | None = None,
) -> int:
    """Change a poster's words, language or places of words; nothing is rendered.

    Exit codes: 0 the poster passes all checks, 1 it is marked, 2 nothing could be done.

    Parameters
    ----------
    record
        NAME.poster.json as `cyclorama poster` wrote it, its parts beside it.
    out
        Folder of the new poster; the old one's without it.
    text
        New words of a role: --text.headline "New words".
    texts
        YAML file with all words, for another language.
    language
        Which language of that file; the words' language otherwise.
    move
        New box of a role or the logo in shares of the canvas: --move.price 0.1,0.2,0.4,0.3.
    brand
        Brand file; without it colours and fonts are those of the record.
    layers
        Also write layers: psd, ora, svg.
    """
    from cyclorama.errors import SettingsError
    from cyclorama.layout.elements import ENDING
    from cyclorama.posters.files import open_poster, write_poster
    from cyclorama.posters.maker import edit as change
    from cyclorama.posters.words import PosterBrand, read_brand, read_wordings

    old = open_poster(record)
    look = read_brand(brand) if brand is not None else PosterBrand(**old.record.brand)
    words = dict(old.record.texts)
    if texts is not None:
        wordings = read_wordings(texts)
        spoken = language or next(iter(wordings))
        if spoken not in wordings:
            raise SettingsError(f"{texts} has no language {spoken!r}; it has {', '.join(wordings)}")
        words, language = wordings[spoken], spoken
    moves = {name: _read_box(name, value) for name, value in (move or {}).items()}
    new = change(old, look, words | (text or {}), language, moves)
    write_poster(new, out or record.parent, record.name.removesuffix(ENDING), layers)
    for fault, reason in new.record.verdict.faults.items():
        print(f"{fault}: {reason}", file=sys.stderr)
    return 0 if new.record.verdict.accepted else 1


def _read_subject(maker: PosterMaker, item: Item, inputs: InputSettings) -> Subject:
    """An item's product, category and reference. Raises what its image or its name is refused with."""
    from cyclorama.data.addresses import read_bytes
    from cyclorama.errors import InputError
    from cyclorama.imaging.product import Product, Reference

    if item.failure is not None or item.image is None:
        failure = item.failure
        raise InputError(failure.reason if failure is not None else "the row names no image")
    product = Product.from_image(
        read_bytes(item.image),
        None if item.mask is None else read_bytes(item.mask),
        mask_means=item.mask_means,
        name=item.name,
    )
    reference = None if item.reference is None else Reference.from_image(read_bytes(item.reference))
    return product, _find_category(maker, item, inputs, product), reference


def _find_category(maker: PosterMaker, item: Item, inputs: InputSettings, product: Product) -> Category:
    from cyclorama.generation.recognise import recognise

    registry = maker.model.registry
    found = inputs.build_rules().choose(item.category, registry, item.folders)
    return (found or recognise(product, registry)).category


def _read_box(name: str, text: str) -> tuple[float, float, float, float]:
    from cyclorama.errors import SettingsError

    try:
        left, top, right, bottom = map(float, text.split(","))
    except ValueError as error:
        raise SettingsError(
            f"--move.{name} is {text!r}; give left,top,right,bottom in shares, 0-1"
        ) from error
    return left, top, right, bottom


def _draw_sheet(rows: list[dict[str, Any]]) -> str:
    from html import escape

    cells = []
    for row in rows:
        words = f"{row['input']} · {row['size']} · {row['language']} · {row['state']}"
        why = row.get("reason") or "; ".join(f"{k}: {v}" for k, v in dict(row.get("faults") or {}).items())
        image = row.get("image")
        shown = (
            f'<a href="{escape(str(image))}"><img loading="lazy" src="{escape(str(image))}" alt=""></a>'
            if image
            else ""
        )
        cells.append(
            f"<figure>{shown}<figcaption>{escape(words)}<br>{escape(str(why))}</figcaption></figure>"
        )
    style = (
        "body{font:14px system-ui;margin:24px;background:#e9e9e9;color:#222}"
        "main{display:flex;flex-wrap:wrap;gap:20px}"
        "figure{margin:0;max-width:420px}img{max-width:420px;max-height:520px;display:block}"
    )
    head = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Posters</title><style>{style}</style>'
    )
    return f"{head}<main>{''.join(cells)}</main></html>\n"
