"""``cyclorama lab study``: build a blind user study, serve it, score its answers."""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_EPILOG = """\
DIR/page/index.html is all that raters get: send it, put it on any web server, or serve it with 'cyclorama
study serve DIR'. Each rater needs one of the codes in DIR/raters.txt. DIR/key.json says whose image is
whose: keep it to yourself until the study is over.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the sub-command ``study`` with ``build``, ``serve`` and ``score``."""
    parser = subparsers.add_parser("study", help="let people rank images of several methods, blindly")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_build(actions)
    serve = actions.add_parser(
        "serve",
        help="serve the page and collect answers in DIR/answers.sqlite",
        description="Serve the page of a study over HTTP until Ctrl-C. Answers go to DIR/answers.sqlite.",
    )
    serve.add_argument("folder", metavar="DIR", type=Path, help="the study's folder")
    serve.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="NAME",
        help="address to listen at; 0.0.0.0 lets phones in your network in (default: 127.0.0.1)",
    )
    serve.add_argument("--port", type=int, default=8600, metavar="N", help="port, 0 for any (default: 8600)")
    score = actions.add_parser(
        "score",
        help="mean rank scores, intervals, tests and rater reliability",
        description="Score the answers to a study. Prints JSON; --out adds JSON, Markdown and a page.",
    )
    score.add_argument("folder", metavar="DIR", type=Path, help="the study's folder")
    score.add_argument(
        "answers",
        nargs="*",
        type=Path,
        metavar="ANSWERS",
        help="answer files or folders of them (default: DIR/answers and DIR/answers.sqlite)",
    )
    score.add_argument("--allow-incomplete", action="store_true", help="score raters who left questions open")
    score.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the bootstrap (default: 0)")
    score.add_argument("--out", type=Path, metavar="DIR", help="folder for scores.json, .md and .html")


def _add_build(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    build = actions.add_parser(
        "build",
        help="sample pairs and write the page and its key",
        description="Build a study in which raters rank the images of 2 to 8 methods by similarity to the "
        "reference and by quality, without knowing which is whose.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    build.add_argument(
        "methods", nargs="+", metavar="METHOD=DIR", help="name and images (folder, manifest or shards)"
    )
    build.add_argument(
        "--references", required=True, type=Path, metavar="DIR", help="the references followed"
    )
    build.add_argument("--out", required=True, type=Path, metavar="DIR", help="new folder for the study")
    build.add_argument("--pairs", type=int, default=20, metavar="N", help="pairs to sample (default: 20)")
    build.add_argument("--raters", type=int, default=10, metavar="N", help="rater codes (default: 10)")
    build.add_argument(
        "--repeats",
        type=int,
        metavar="N",
        help="pairs each rater meets twice (default: 3, or half of --pairs)",
    )
    build.add_argument(
        "--seed", type=int, metavar="S", help="builds the same study again; keep it secret (default: random)"
    )
    build.add_argument(
        "--side", type=int, default=768, metavar="PX", help="longest side of an image (default: 768)"
    )
    build.add_argument(
        "--linked", action="store_true", help="images beside the page instead of inside (for a web server)"
    )
    build.add_argument("--wording", type=Path, metavar="FILE", help="JSON with texts to replace on the page")
    build.add_argument("--quiet", action="store_true", help="print errors only")


def run(args: argparse.Namespace) -> int:
    """Do what was asked; 0 when it was done."""
    if args.action == "build":
        return _build(args)
    return _serve(args) if args.action == "serve" else _score(args)


def _build(args: argparse.Namespace) -> int:
    import secrets

    from cyclorama.evaluation.reading import open_images
    from cyclorama.jobs.progress import ProgressReport
    from cyclorama.lab.study.build import RATERS_NAME, build_study
    from cyclorama.lab.study.plan import StudySettings
    from cyclorama.seeding import MAX_SEED

    settings = StudySettings(
        pairs=args.pairs,
        raters=args.raters,
        repeats=max(0, min(3, args.pairs // 2)) if args.repeats is None else args.repeats,
        seed=secrets.randbelow(MAX_SEED) if args.seed is None else args.seed,
        side=args.side,
        embed=not args.linked,
    )
    wording = _load_wording(args.wording)
    methods = {name: open_images(place) for name, place in _parse_methods(args.methods).items()}
    references = open_images(args.references)
    with ProgressReport(quiet=args.quiet) as progress:
        progress.start(settings.pairs)
        study, notes = build_study(methods, references, args.out, settings, wording, progress.advance)
    if not args.quiet:
        for note in notes:
            print(f"cyclorama: {note}", file=sys.stderr)
        size = sum(file.stat().st_size for file in (args.out / "page").rglob("*") if file.is_file())
        print(
            f"{len(study.pairs)} pairs, {len(study.methods)} methods, {len(study.raters)} raters; page of "
            f"{size / 2**20:.1f} MiB: {args.out / 'page' / 'index.html'}; codes: {args.out / RATERS_NAME}"
        )
    return 0


def _parse_methods(pairs: list[str]) -> dict[str, Path]:
    from cyclorama.errors import SettingsError

    methods: dict[str, Path] = {}
    for pair in pairs:
        name, sign, place = pair.partition("=")
        if not (name.strip() and sign and place):
            raise SettingsError(f"give METHOD=DIR, for example ours=out/ours; got {pair!r}")
        if name.strip() in methods:
            raise SettingsError(f"the method {name.strip()!r} is there twice; give each a name of its own")
        methods[name.strip()] = Path(place)
    return methods


def _load_wording(path: Path | None) -> Mapping[str, str]:
    import json

    from cyclorama.errors import SettingsError

    if path is None:
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"cannot read the wording {path}: {error}; give a JSON object of texts"
        ) from error
    if not isinstance(values, dict):
        raise SettingsError(f"the wording {path} is {type(values).__name__}; give a JSON object of texts")
    return values


def _serve(args: argparse.Namespace) -> int:
    import signal

    from cyclorama.lab.study.server import StudyServer
    from cyclorama.lab.study.study import load_study

    study = load_study(args.folder)
    with StudyServer(args.folder, study, args.host, args.port) as server:
        print(f"{server.address}#CODE for each code of {args.folder / 'raters.txt'}; Ctrl-C ends", flush=True)
        for number in (signal.SIGINT, signal.SIGTERM):  # a job started with & would ignore the first
            signal.signal(number, signal.default_int_handler)
        with suppress(KeyboardInterrupt):
            server.serve_forever()
    return 0


def _score(args: argparse.Namespace) -> int:
    from cyclorama.files import check_output_folder, write_atomic
    from cyclorama.lab.study.answers import (
        find_answer_files,
        format_answers,
        merge_answers,
        parse_answers,
        read_answers,
    )
    from cyclorama.lab.study.report import format_html, format_json, format_markdown
    from cyclorama.lab.study.score import score_study
    from cyclorama.lab.study.store import AnswerStore
    from cyclorama.lab.study.study import ANSWERS_FOLDER, DATABASE_NAME, load_study

    if args.out is not None:
        check_output_folder(args.out)
    study = load_study(args.folder)
    database = args.folder / DATABASE_NAME
    folder = args.folder / ANSWERS_FOLDER
    places = args.answers or ([folder] if folder.is_dir() else [])
    batches = [(str(path), *read_answers(path, study)) for path in find_answer_files(places)]
    if not args.answers and database.is_file():
        for rater, answers in AnswerStore(database, study.name).load().items():
            values = format_answers(study, rater, answers)
            batches.append((str(database), *parse_answers(values, study, str(database))))
    score = score_study(study, merge_answers(batches), args.allow_incomplete, args.seed)
    if args.out is not None:
        write_atomic(args.out / "scores.json", format_json(score).encode())
        write_atomic(args.out / "scores.md", format_markdown(score).encode())
        write_atomic(args.out / "scores.html", format_html(score).encode())
    sys.stdout.write(format_json(score))
    for note in score.notes:
        print(f"cyclorama: {note}", file=sys.stderr)
    return 0
