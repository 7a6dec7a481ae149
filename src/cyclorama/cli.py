"""The command ``cyclorama``: finds the sub-command, turns errors into one line and an exit code.

Exit codes: 0 all well, 1 some inputs failed, 2 nothing could start, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from cyclorama import __version__
from cyclorama.errors import CycloramaError

COMMANDS = (
    "generate",
    "train",
    "models",
    "synth",
    "catalogue",
    "curate",
    "evaluate",
    "baseline",
    "experiment",
    "study",
    "demo",
)
EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130


def build_parser() -> argparse.ArgumentParser:
    """The parser of all sub-commands; building it imports no heavy package."""
    parser = argparse.ArgumentParser(
        prog="cyclorama",
        description="Product photos in, advertising pictures out; the product's pixels stay as given.",
    )
    parser.add_argument("--version", action="version", version=f"cyclorama {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the full traceback of an error")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        import_module(f"cyclorama.commands.{name}").add_parser(subparsers)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    args = build_parser().parse_args(arguments)
    module = import_module(f"cyclorama.commands.{args.command}")
    try:
        return int(module.run(args))
    except CycloramaError as error:
        if args.debug:
            raise
        message = " ".join(str(error).split())
        print(f"cyclorama: {type(error).__name__}: {message}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        if args.debug:
            raise
        print("cyclorama: stopped", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of our output went away, as in `cyclorama models show | head`
        sys.stderr.close()
        return EXIT_FAILED
