"""``cyclorama serve``: the HTTP service and its page."""

from __future__ import annotations

import sys
from typing import Annotated

import cyclopts
from cyclopts import Parameter

from cyclorama.commands.serve_keys import keys
from cyclorama.errors import import_optional
from cyclorama.service.settings import ServiceSettings

NEEDS_SERVE = "the service needs further packages: pip install 'cyclorama[serve]'"
serve = cyclopts.App(name="serve", help="Serve images over HTTP, or help another machine's server.")
serve.command(keys)


@serve.default
def start(*, settings: Annotated[ServiceSettings | None, Parameter(name="*")] = None) -> int:
    """Take product photos over HTTP and make images of them, as `cyclorama generate` does.

    Ctrl-C or SIGTERM stops after the images in hand; what waits is kept and made at the next start.
    """
    import_optional("fastapi", NEEDS_SERVE)
    from cyclorama.service.serving import run_server

    return run_server(settings or ServiceSettings(), lambda text: print(text, file=sys.stderr))


@serve.command
def worker(*, settings: Annotated[ServiceSettings | None, Parameter(name="*")] = None) -> int:
    """Make images for a server on another machine, which has the same --database and --store.

    Ctrl-C or SIGTERM stops after the images in hand.
    """
    import_optional("fastapi", NEEDS_SERVE)
    from cyclorama.service.serving import run_workers

    return run_workers(settings or ServiceSettings())
