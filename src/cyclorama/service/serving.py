"""One server process from start to stop."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn

from cyclorama.errors import SettingsError
from cyclorama.service.app import create_app
from cyclorama.service.settings import ServiceSettings

BACKLOG = 512
KEEP_ALIVE_SECONDS = 20


def run_server(settings: ServiceSettings, say: Callable[[str], None]) -> int:
    """Serve until SIGTERM or Ctrl-C, then 0. Raises SettingsError (host or port), OutputError, ModelError."""
    listening = _listen(settings.host, settings.port)
    app = create_app(settings)
    say(f"cyclorama: http://{settings.host}:{listening.getsockname()[1]}/")
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        h11_max_incomplete_event_size=64 * 2**10,
    )
    uvicorn.Server(config).run(sockets=[listening])
    return 0


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        found = socket.socket(family)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen(BACKLOG)
        return found
    except OSError as error:
        raise SettingsError(
            f"cannot listen at {host}:{port}: {error}; give another --port or --host"
        ) from error
