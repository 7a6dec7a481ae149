"""Serves a page of one's own machine (:class:`cyclorama.pages.Site`) on the service's stack.

The same doors, limits, origins and problem documents as of the service; no keys, no database, no log: who
looks at what and when is nobody's business.
"""

from __future__ import annotations

import json
import re
import socket
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool

from cyclorama.errors import RequestError, RouteError, SettingsError
from cyclorama.pages import Site
from cyclorama.service import problems
from cyclorama.service.connections import UVICORN
from cyclorama.service.doors import DoorKeeper
from cyclorama.service.limits import BodyGate
from cyclorama.service.origins import OriginGate
from cyclorama.service.serving import listen

_POLICY = re.compile(rb'http-equiv="Content-Security-Policy" content="([^"]+)"')


def create_site_app(site: Site, hosts: tuple[str, ...] = ()) -> FastAPI:
    """The application of ``site``; ``hosts`` are names it is known by, as of OriginGate."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    @app.get("/{place:path}")
    def read(place: str, request: Request) -> Response:
        reply = site.read(f"/{place}", request.query_params)
        if reply is None:
            raise RouteError("nothing here")
        headers = {"Cache-Control": reply.cache}
        if reply.kind.startswith("text/html") and (own := _POLICY.search(reply.body)):
            headers["Content-Security-Policy"] = own[1].decode() + "; frame-ancestors 'none'"
        return Response(reply.body, headers=headers, media_type=reply.kind)

    @app.post("/{place:path}")
    async def act(place: str, request: Request) -> Any:
        action = site.actions.get(f"/{place}")
        if action is None:
            raise RouteError("nothing here")
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            raise RequestError("send JSON, with Content-Type: application/json")
        try:
            values = json.loads(await request.body())
        except (ValueError, RecursionError) as error:
            raise RequestError(f"not JSON: {error}") from error
        return Response(json.dumps(await run_in_threadpool(action, values)), media_type="application/json")

    problems.install(app)
    app.add_middleware(BodyGate)
    app.add_middleware(OriginGate, hosts)
    app.add_middleware(DoorKeeper)
    return app


class _SiteProcess(uvicorn.Server):
    """Ends at a signal as if it had been stopped."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The second signal ends at once."""
        self.force_exit = self.should_exit
        self.should_exit = True


class SiteServer:
    """One site at one address: ``serve`` until ``stop`` is called, or Ctrl-C in the main thread."""

    def __init__(self, site: Site, host: str, port: int, hosts: tuple[str, ...] = ()) -> None:
        """Raises SettingsError (port outside 0 to 65535, address not free)."""
        if not 0 <= port <= 65535:
            raise SettingsError(f"--port must be 0 (any free one) to 65535, got {port}")
        self._socket = listen(host, port)
        self.host, self.port = host, int(self._socket.getsockname()[1])
        config = uvicorn.Config(
            create_site_app(site, (host, *hosts)), log_level="warning", access_log=False,
            timeout_graceful_shutdown=2, **UVICORN,
        )  # fmt: skip
        self._server = _SiteProcess(config)

    @property
    def address(self) -> str:
        """Where the page is: with the port that was really taken, and a name that others can use."""
        everywhere = self.host in ("0.0.0.0", "::", "")
        return f"http://{socket.gethostname() if everywhere else self.host}:{self.port}/"

    def serve(self) -> None:
        """Answer until stopped."""
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._socket.close()

    def stop(self) -> None:
        """Let ``serve`` return."""
        self._server.should_exit = True
