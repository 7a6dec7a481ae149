"""Which pages may talk to the server, and what may a page of the server do in a browser?

A page of another site can make a browser send requests to any address, one's own machine included. So the
host's name must be known (else a name of the attacker's could be bound to this address), and what changes
something must come from a page of this server.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cyclorama.errors import CycloramaError, ForbiddenError, SettingsError
from cyclorama.service import problems

_SAFE = {"GET", "HEAD", "OPTIONS"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""Headers of every answer that does not set them itself."""
_ALLOWED = {
    "access-control-allow-methods": "GET, POST, PATCH, DELETE",
    "access-control-allow-headers": "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-API-Key",
    "access-control-max-age": "600",
}
_SHOWN = (
    "Cyclorama-Exact, Cyclorama-Gate, Cyclorama-Job, Cyclorama-Seed, Idempotent-Replay, Location, RateLimit, "
    "RateLimit-Policy, Retry-After"
)


def check_cors(origin: str | None) -> str | None:
    """``origin`` as browsers write it. Raises SettingsError (not one https or http origin)."""
    if origin is None:
        return None
    parts = urlsplit(origin.lower())
    found = f"{parts.scheme}://{parts.netloc}"
    if parts.scheme not in ("http", "https") or not parts.hostname or "*" in origin or "@" in parts.netloc:
        raise SettingsError(f"--cors {origin} is no origin; give one as https://shop.example, * is none")
    if origin.lower().rstrip("/") != found:
        raise SettingsError(f"--cors {origin} has more than an origin; give {found}")
    return found


class OriginGate:
    """Refuses requests for unknown hosts and from other sites' pages; adds HEADERS to every answer."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = (), cors: str | None = None) -> None:
        """``hosts``: names of this server beside localhost and this machine's; IP addresses need not be
        named, as no attacker can bind one. ``cors``: the one other origin that may ask, as :func:`check_cors`
        gives it.
        """
        self.app, self.cors = app, cors
        self.hosts = {"localhost", socket.gethostname().lower(), *(host.lower() for host in hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check where the request comes from and hand it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        origin = headers.get("origin", "").lower()
        added = dict(HEADERS)
        if self.cors is not None:
            added["vary"] = "Origin"
        if self.cors is not None and origin == self.cors:
            added |= {"access-control-allow-origin": self.cors, "access-control-expose-headers": _SHOWN}
            added["cross-origin-resource-policy"] = "cross-origin"

        async def give(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                pairs = [(name.encode(), value.encode()) for name, value in added.items()]
                more = [pair for pair in pairs if pair[0] not in given]
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        try:
            self._check(scope["method"], headers, origin)
        except CycloramaError as error:
            await problems.refuse(error, scope, receive, give)
            return
        if scope["method"] == "OPTIONS" and "access-control-allow-origin" in added:
            added |= _ALLOWED
            await give({"type": "http.response.start", "status": 204, "headers": []})
            await give({"type": "http.response.body", "body": b""})
            return
        await self.app(scope, receive, give)

    def _check(self, method: str, headers: dict[str, str], origin: str) -> None:
        """Raise ForbiddenError for an unknown host or another site's page."""
        host = headers.get("host", "").lower()
        if not self._knows(host):
            raise ForbiddenError(
                f"this server is not known as {host[:100]!r}; use localhost or its address, or start it with "
                "--hosts NAME"
            )
        if method in _SAFE or (origin and origin == self.cors):
            return
        if origin and urlsplit(origin).netloc != host:
            raise ForbiddenError(
                f"pages of {origin[:100]} may not change anything here; start the server with --cors "
                f"{origin[:100]} to allow it"
            )
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            raise ForbiddenError("pages of other sites may not change anything here")

    def _knows(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            name = name.rstrip(".")
            return name in self.hosts or name.endswith(".localhost")
        return True
