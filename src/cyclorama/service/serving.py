"""One server process from start to stop."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType

import uvicorn

from cyclorama.errors import SettingsError
from cyclorama.service.app import create_app
from cyclorama.service.connections import UVICORN
from cyclorama.service.context import Service
from cyclorama.service.doors import Door
from cyclorama.service.settings import ServiceSettings
from cyclorama.service.store import Store
from cyclorama.service.supervise import Workforce


def run_server(settings: ServiceSettings, say: Callable[[str], None]) -> int:
    """Serve until SIGTERM or Ctrl-C, then 0. Raises SettingsError (host or port), OutputError, ModelError."""
    with listen(settings.host, settings.port) as listening:
        app = create_app(settings)
        say(f"cyclorama: http://{settings.host}:{listening.getsockname()[1]}/")
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=5,
            **UVICORN,
        )
        _Server(config, app.state.service).run(sockets=[listening])
    return 0


def run_workers(settings: ServiceSettings) -> int:
    """Make images for another machine's server until SIGTERM or Ctrl-C, then 0. Raises OutputError."""
    store, ended = Store(settings.data, settings.database, settings.store), threading.Event()
    workforce = Workforce(settings, store)

    def handle_exit(*_: object) -> None:
        if ended.is_set():
            workforce.hurry()
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle_exit)
    workforce.start()
    ended.wait()
    workforce.stop(settings.drain)
    store.close()
    return 0


class _Server(uvicorn.Server):
    """Answers on while the images in hand are finished; a second signal ends it at once."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take nothing new in, let workers finish, say good-bye to readers, then stop listening."""
        if self._service.draining:
            self._service.workforce.hurry()
            self.should_exit = self.force_exit = True
            return
        self._service.draining = True

        def drain() -> None:
            self._service.stop_work(self._service.settings.drain)
            self._service.feed.stop_soon()
            self.should_exit = True

        threading.Thread(target=drain, name="cyclorama-drain", daemon=True).start()


def listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections through the door. Raises SettingsError (address not free)."""
    found = Door(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen()
    except OSError as error:
        found.close()
        raise SettingsError(
            f"cannot listen at {host}:{port}: {error}; give another --port or --host"
        ) from error
    return found
