"""``cyclorama poster``: finished advertisements with words; ``poster edit`` changes one without drawing it
anew."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import cyclopts
from cyclopts import Parameter

from cyclorama.generation.settings import InputSettings
from cyclorama.jobs.job import EngineSettings
from cyclorama.posters.maker import PosterSettings

if TYPE_CHECKING:
    from cyclorama.posters.run import PosterResult

poster = cyclopts.App(name="poster", help="Make posters of products with exact words; edit one.")
Inputs = Annotated[InputSettings | None, Parameter(name="*", group="What goes in")]
Making = Annotated[PosterSettings | None, Parameter(name="*", group="How posters are made")]
Machines = Annotated[EngineSettings | None, Parameter(name="*", group="Where it runs")]
Layers = Literal["psd", "ora", "svg"]
Plain = Parameter(negative=())
SHARD_SIZE = 4
"""Inputs a shard unless --shard-size says otherwise: each is several posters of seconds."""


@poster.default
def make(
    input: Annotated[str, Parameter(name="INPUT")],
    /,
    *,
    out: Path,
    texts: Path | None = None,
    size: tuple[str, ...] = ("square",),
    brand: Path | None = None,
    inputs: Inputs = None,
    settings: Making = None,
    layers: Layers | None = None,
    engine: Machines = None,
    model: str | None = None,
    scenes: Path | None = None,
    seed: int = 0,
    retry: Literal["failed"] | None = None,
    overwrite: Annotated[bool, Plain] = False,
    dry_run: Annotated[bool, Plain] = False,
    quiet: Annotated[bool, Plain] = False,
) -> int:
    """Make posters: words by role on a layout, on a background that is calm behind them.

    INPUT is what `generate` takes. TEXTS is YAML: `headline: …`, `subline`, `body`, `price`, `action`,
    `legal`, or these below languages (`en:`, `de:`), which then share one background. A table's columns of
    these names (`headline`, `price`, `headline_de`) go before it. Results: DIR/posters/ with an image, its
    parts and its record (NAME.poster.json) each, DIR/results.jsonl and DIR/results.parquet with one row per
    input, size and language, DIR/index.html. Run the same command again to go on after a stop, a kill or a
    full disk; what is finished and unchanged is kept.

    Exit codes: 0 all posters pass all checks, 1 some failed or are marked, 2 nothing could start, 130
    stopped by Ctrl-C.

    Parameters
    ----------
    input
        Image, folder, table, feed or address.
    out
        Output folder.
    texts
        YAML file with the words; not needed where a table has columns of words.
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
    retry
        Try inputs again that failed in an earlier run though nothing about them has changed.
    overwrite
        Make all posters anew and write over what is there.
    dry_run
        Say what would be done, how long it takes and how many bytes, and make nothing.
    quiet
        Print errors only.
    """
    from cyclorama.commands.generate import watch
    from cyclorama.errors import SettingsError
    from cyclorama.files import check_output_folder
    from cyclorama.generation.items import ItemSource
    from cyclorama.generation.model import open_model
    from cyclorama.generation.settings import SCENE_REFERENCE, GenerateConfig, RunConfig, RunSettings
    from cyclorama.posters.canvases import read_canvas
    from cyclorama.posters.job import PosterJob
    from cyclorama.posters.run import estimate_posters, run_posters
    from cyclorama.posters.words import find_languages, read_brand, read_wordings, settle_words

    inputs, settings, engine = (
        inputs or InputSettings(),
        settings or PosterSettings(),
        engine or EngineSettings(),
    )
    if inputs.reference_address == SCENE_REFERENCE:
        raise SettingsError(
            "--reference scene is for `cyclorama generate`; posters take an image as reference"
        )
    wordings, look = {} if texts is None else read_wordings(texts), read_brand(brand)
    settle_words(wordings, look)  # refused before anything is drawn
    canvases = {name.lower(): read_canvas(name.lower()) for name in size}
    check_output_folder(out)
    source = ItemSource(input, inputs, out, words=True)
    languages = find_languages(wordings, source.words)
    handle = open_model(model, scenes)
    for style in (look.style, inputs.style):
        if style is not None:
            handle.read_style(style)  # its faults are told before the run
    if inputs.backdrop is not None:
        handle.read_backdrop(inputs.backdrop)
    if "shard_size" not in engine.model_fields_set:
        engine = engine.replace(shard_size=SHARD_SIZE)
    run = RunSettings(seed=seed, retry=retry, overwrite=overwrite)
    making = GenerateConfig(preset=settings.preset, shared_sets=False)
    config = RunConfig(making, run, engine, inputs.build_rules(), urls=source.urls)
    job = PosterJob(
        out,
        config,
        handle,
        wordings=wordings,
        languages=languages,
        canvases=canvases,
        brand=look,
        posters=settings,
        layers=layers,
    )
    if dry_run:
        print(estimate_posters(source, job).describe())
        return 0
    result = watch(lambda hooks: run_posters(source, job, hooks), quiet)
    return _finish(result, out, quiet)


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


def _read_box(name: str, text: str) -> tuple[float, float, float, float]:
    from cyclorama.errors import SettingsError

    try:
        left, top, right, bottom = map(float, text.split(","))
    except ValueError as error:
        raise SettingsError(
            f"--move.{name} is {text!r}; give left,top,right,bottom in shares, 0-1"
        ) from error
    return left, top, right, bottom


def _finish(result: PosterResult, out: Path, quiet: bool) -> int:
    """Say how the run ended and return its exit code."""
    from cyclorama.commands.generate import SHOWN_FAILURES

    for row in result.failures[:SHOWN_FAILURES]:
        reason = " ".join(row["reason"].split())
        said = f"{row['error']}: {row['name']}, {row['size']}, {row['language']}: {reason}"
        print(f"cyclorama: {said}", file=sys.stderr)
    if len(result.failures) > SHOWN_FAILURES:
        more = result.posters["failed"] - SHOWN_FAILURES
        print(f"... and {more} more, see {out / 'results.jsonl'}", file=sys.stderr)
    if not result.finished:
        print("cyclorama: stopped; run the same command again to go on", file=sys.stderr)
        return 130
    posters = result.posters
    if not quiet:
        print(
            f"{posters['done']} posters pass all checks, {posters['marked']} are marked, {posters['failed']} "
            f"failed; {result.made} made now; see {out / 'index.html'}"
        )
    if 0 < result.refused == result.rows:
        return 2
    return 0 if set(posters) == {"done"} else 1
