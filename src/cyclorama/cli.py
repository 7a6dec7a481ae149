"""The command ``cyclorama``: finds the sub-command, turns errors into one line and an exit code.

A command is a function whose typed arguments are its options (cyclopts); it is imported only when it is
called or its own help is asked for. Exit codes: 0 all well, 1 some inputs failed, 2 nothing could start,
130 stopped by Ctrl-C.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import cyclopts
import docstring_parser
from pydantic import BaseModel, ValidationError

from cyclorama import __version__
from cyclorama.errors import LEARNED, NEEDS_LEARNED, CycloramaError, MissingDependencyError

COMMANDS: dict[str, str] = {
    "generate": "make images of products: one, a folder or a million rows",
    "poster": "make posters of products with exact words; edit one",
    "plan": "plan posters: where everything stands, nothing rendered",
    "inspect": "judge finished posters anew, let people label them",
    "check": "say what is wrong with inputs before a run",
    "status": "say how far a run is",
    "train": "train a stage of the model from a YAML recipe",
    "scenes": "show, check and make the sets that products are put into",
    "models": "show, convert and bundle models",
    "curate": "turn raw advertising images into a training set",
    "evaluate": "measure images by the metrics of the paper",
    "serve": "take photos and give images over HTTP, with a page for designers",
    "remote": "have a server make the images of a photo, a folder or a table",
    "demo": "generate images of the bundled products",
}
LAB: dict[str, str] = {
    "render": "render the advertising set",
    "pack": "make a rendered set small enough to travel",
    "baseline": "make images with a method to compare with",
    "features": "train the feature network that evaluation and the gate use",
    "train": "train a method to compare with",
    "experiment": "run a table of the paper: methods, seeds, scores",
    "demo-set": "held-out products as a folder for the demo",
    "planted": "measure the rules of `curate` on images with known faults",
    "study": "let people rank images of several methods, blindly",
}
EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130


_parse_source = docstring_parser.parse_from_object


def _parse_own(obj: Any, style: Any = docstring_parser.DocstringStyle.AUTO) -> Any:
    """As docstring_parser's, but for pydantic's base class, which says nothing of any option.

    cyclopts has the source of every base class of every settings class parsed, and these 2,000 lines, read
    anew for each, took half of the time of help.
    """
    return docstring_parser.Docstring() if obj is BaseModel else _parse_source(obj, style)


docstring_parser.parse_from_object = _parse_own


def build_app() -> cyclopts.App:
    """The command line; building it imports no command and no heavy package."""
    app = cyclopts.App(
        name="cyclorama",
        version=f"cyclorama {__version__}",
        help="Product photos in, advertising images out; the product's pixels stay as given.",
        help_format="plaintext",
        result_action="return_value",
        suppress_keyboard_interrupt=False,
        default_parameter=cyclopts.Parameter(negative_iterable=()),
    )
    lab = cyclopts.App(name="lab", help="for researchers: rendered sets, baselines, experiments, study")
    for name, text in COMMANDS.items():
        _add(app, "cyclorama.commands", name, text)
    for name, text in LAB.items():
        _add(lab, "cyclorama.lab.commands", name, text)
    app.command(lab)
    return app


def _add(app: cyclopts.App, package: str, name: str, text: str) -> None:
    place = name.replace("-", "_")
    app.command(f"{package}.{place}:{place}", name=name, help=text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in tokens
    tokens = [token for token in tokens if token != "--debug"]
    for before, token in zip(["", *tokens], tokens, strict=False):
        if not token or (token.startswith("--") and token.endswith("=")):
            name = next((word for word in (token, before) if word.startswith("-")), "an argument")
            return _refuse("usage", f"{name.rstrip('=')} is empty; give a value (is a shell variable unset?)")
    try:
        return int(build_app()(tokens, exit_on_error=False, print_error=False) or EXIT_OK)
    except cyclopts.CycloptsError as error:
        if debug:
            raise
        return _refuse(*_explain(error))
    except CycloramaError as error:
        if debug:
            raise
        return _refuse(type(error).__name__, str(error))
    except ModuleNotFoundError as error:
        if debug or (error.name or "").split(".")[0] not in LEARNED:
            raise
        return _refuse(MissingDependencyError.__name__, NEEDS_LEARNED)
    except KeyboardInterrupt:
        if debug:
            raise
        print("cyclorama: stopped", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of our output went away, as in `cyclorama models show | head`
        sys.stderr.close()
        return EXIT_FAILED


def _refuse(kind: str, message: str) -> int:
    print(f"cyclorama: {kind}: {' '.join(message.split())}", file=sys.stderr)
    return EXIT_USAGE


def _explain(error: cyclopts.CycloptsError) -> tuple[str, str]:
    """The class and the words of what is wrong with an option; the settings' own where they refuse it."""
    cause = error.__cause__
    if isinstance(cause, ValidationError):
        from cyclorama.config import describe_error, find_settings

        missing = [str(found["loc"][-1]) for found in cause.errors() if found["type"] == "missing"]
        if missing:
            return "usage", f"give {' and '.join(f'--{name}' for name in missing)}; see --help"
        hint = getattr(getattr(error, "argument", None), "hint", None)
        settings = find_settings(hint)
        kind = getattr(settings, "error_type", None)
        return kind.__name__ if kind is not None else "usage", describe_error(hint, cause)
    return "usage", str(error)
