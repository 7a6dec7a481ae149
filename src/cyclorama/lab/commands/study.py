"""``cyclorama lab study``: build a blind user study, serve it, score its answers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter

from cyclorama.errors import SettingsError
from cyclorama.lab.commands import Flag, Quiet
from cyclorama.lab.study.study import StudySettings

study = cyclopts.App(name="study", help="let people rank images of several methods, blindly")


@study.command
def build(
    methods: list[str],
    /,
    *,
    references: Path,
    out: Path,
    wording: Path | None = None,
    quiet: Quiet = False,
    settings: Annotated[StudySettings | None, Parameter(name="*")] = None,
) -> int:
    """Build a study in which raters rank the images of 2 to 8 methods by similarity to the reference and
    by quality, without knowing which is whose.

    DIR/page/index.html is all that raters get: send it, put it on any web server, or serve it with
    `cyclorama lab study serve DIR`. Each rater needs one of the codes in DIR/raters.txt. DIR/key.json says
    whose image is whose: keep it to yourself until the study is over.

    Parameters
    ----------
    methods
        NAME=DIR for each method: its name and its images (folder, manifest or shards).
    references
        The references that the images follow.
    out
        New folder for the study.
    wording
        JSON or YAML with texts to replace on the page.
    """
    from cyclorama.config import load_mapping
    from cyclorama.evaluation.reading import open_images
    from cyclorama.jobs.progress import ProgressReport
    from cyclorama.lab.study.build import RATERS_NAME, build_study

    settings = settings or StudySettings()
    texts = {} if wording is None else load_mapping(wording)
    sets = {name: open_images(place) for name, place in _parse_methods(methods).items()}
    with ProgressReport(quiet=quiet) as progress:
        progress.start(settings.pairs)
        made, notes = build_study(sets, open_images(references), out, settings, texts, progress.advance)
    if not quiet:
        for note in notes:
            print(f"cyclorama: {note}", file=sys.stderr)
        size = sum(file.stat().st_size for file in (out / "page").rglob("*") if file.is_file())
        print(
            f"{len(made.pairs)} pairs, {len(made.methods)} methods, {len(made.raters)} raters; page of "
            f"{size / 2**20:.1f} MiB: {out / 'page' / 'index.html'}; codes: {out / RATERS_NAME}"
        )
    return 0


def _parse_methods(pairs: list[str]) -> dict[str, Path]:
    methods: dict[str, Path] = {}
    for pair in pairs:
        name, _, place = (text.strip() for text in pair.partition("="))
        if not (name and place):
            raise SettingsError(f"give METHOD=DIR, for example ours=out/ours; got {pair!r}")
        if name in methods:
            raise SettingsError(f"the method {name!r} is there twice; give each a name of its own")
        methods[name] = Path(place)
    return methods


@study.command
def serve(folder: Path, /, *, host: str = "127.0.0.1", port: int = 8600, hosts: tuple[str, ...] = ()) -> int:
    """Serve the page of a study over HTTP until Ctrl-C. Answers go to DIR/answers.

    Parameters
    ----------
    folder
        The study's folder.
    host
        Address to listen at; 0.0.0.0 lets phones in your network in.
    port
        Port, 0 for any.
    hosts
        Names by which the server is reached, beside this machine's own.
    """
    from cyclorama.commands.serve import NEEDS_SERVE
    from cyclorama.errors import import_optional

    import_optional("fastapi", NEEDS_SERVE)
    from cyclorama.lab.study.page import StudySite
    from cyclorama.lab.study.study import load_study
    from cyclorama.service.site import SiteServer

    server = SiteServer(StudySite(folder, load_study(folder)).site, host, port, hosts)
    print(f"{server.address}#CODE for each code of {folder / 'raters.txt'}; Ctrl-C ends", flush=True)
    server.serve()
    return 0


@study.command
def score(
    folder: Path,
    answers: list[Path] | None = None,
    /,
    *,
    out: Path | None = None,
    allow_incomplete: Flag = False,
    seed: int = 0,
) -> int:
    """Score the answers to a study. Prints JSON; --out adds JSON, Markdown and a page.

    Parameters
    ----------
    folder
        The study's folder.
    answers
        Answer files or folders of them (default: DIR/answers).
    out
        Folder for scores.json, .md and .html.
    allow_incomplete
        Score raters who left questions open.
    seed
        Seed of the bootstrap.
    """
    from cyclorama.files import check_output_folder, write_atomic
    from cyclorama.lab.study.answers import find_answer_files, merge_answers, read_answers
    from cyclorama.lab.study.report import format_html, format_json, format_markdown
    from cyclorama.lab.study.score import score_study
    from cyclorama.lab.study.study import ANSWERS_FOLDER, load_study

    if out is not None:
        check_output_folder(out)
    found, sent = load_study(folder), folder / ANSWERS_FOLDER
    places = answers or ([sent] if sent.is_dir() else [])
    batches = [(str(path), *read_answers(path, found)) for path in find_answer_files(places)]
    scores = score_study(found, merge_answers(batches), allow_incomplete, seed)
    if out is not None:
        for suffix, form in (("json", format_json), ("md", format_markdown), ("html", format_html)):
            write_atomic(out / f"scores.{suffix}", form(scores).encode())
    sys.stdout.write(format_json(scores))
    for note in scores.notes:
        print(f"cyclorama: {note}", file=sys.stderr)
    return 0
