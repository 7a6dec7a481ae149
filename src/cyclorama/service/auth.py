"""Is this request allowed? Its key or session is checked before its body is read.

Everything needs a key except what OPEN lists. On this machine alone (loopback) no keys are asked for; a
server that others reach must say which way it is.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Literal

from anyio import to_thread
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cyclorama.errors import AccessError, CycloramaError, ForbiddenError, SettingsError
from cyclorama.service import problems
from cyclorama.service.keys import LOCAL, Access, check_key, check_session
from cyclorama.service.limits import Rates
from cyclorama.service.store import Store

Auth = Literal["none", "keys"]
COOKIE = "cyclorama_session"
OPEN = frozenset({"/", "/healthz", "/readyz", "/openapi.json", "/enter", "/v1/session"})
"""What needs no key: signs of life, the page without anything in it, and how a session begins."""
OPEN_BELOW = "/studio/"
_SAFE = {"GET", "HEAD", "OPTIONS"}


def choose_auth(host: str, auth: Auth | None) -> Auth:
    """Whether keys are asked for. Raises SettingsError where others would reach the server unasked."""
    if auth is not None:
        return auth
    if is_loopback(host):
        return "none"
    raise SettingsError(
        f"--host {host} can be reached by others; ask for keys (--auth keys, and cyclorama serve keys add), "
        "or write --auth none if everybody there may use the server"
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches ``host``."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def find_scopes(method: str, path: str) -> frozenset[str]:
    """The scopes of which a key needs one; ``admin`` always does."""
    if path == "/metrics":
        return frozenset({"admin"})
    if method in _SAFE and path != "/v1/webhooks":
        return frozenset({"generate", "studio", "review", "admin"})
    if method == "PATCH" and path.startswith("/v1/images/"):
        return frozenset({"studio", "review", "admin"})
    return frozenset({"generate", "studio", "admin"})


class Guard:
    """Lets in who may; ``scope["state"]`` then has ``key`` (its id) and ``scopes``."""

    def __init__(self, app: ASGIApp, store: Store, auth: Auth, rates: Rates | None = None) -> None:
        self.app, self.store, self.auth, self.rates = app, store, auth, rates or Rates()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the request, count it, and hand it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        method, path = scope["method"], scope["path"]
        try:
            access = await self._find_access(scope, path)
            if access is not None and not access.scopes & find_scopes(method, path):
                has, needs = sorted(access.scopes), sorted(find_scopes(method, path))
                raise ForbiddenError(
                    f"this key's scopes are {', '.join(has)}; {method} {path} needs one of {', '.join(needs)}"
                )
            counted = None if access is None or access is LOCAL else access.key
            if counted is not None and method not in _SAFE:
                self.rates.check(counted, "requests")
                self.rates.take(counted, "requests")
        except CycloramaError as error:
            await problems.refuse(error, scope, receive, send)
            return
        if access is not None:
            scope.setdefault("state", {}).update(key=access.key, scopes=sorted(access.scopes))

        async def give(message: Message) -> None:
            if message["type"] == "http.response.start" and counted is not None:
                told = self.rates.describe(counted).items()
                pairs = [(name.lower().encode(), value.encode()) for name, value in told]
                message = {**message, "headers": [*message["headers"], *pairs]}
            await send(message)

        await self.app(scope, receive, give)

    async def _find_access(self, scope: Scope, path: str) -> Access | None:
        """Who asks; None where nobody needs to say. Raises AccessError, ForbiddenError."""
        if self.auth == "none":
            return LOCAL
        if path in OPEN or path.startswith(OPEN_BELOW):
            return None
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        scheme, _, token = headers.get("authorization", "").partition(" ")
        key = token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        if key:
            return await to_thread.run_sync(check_key, self.store, key)
        session = read_session(headers)
        if not session:
            raise AccessError("there is no key; send it as Authorization: Bearer cyc_… or as X-API-Key")
        if scope["method"] not in _SAFE and "origin" not in headers:
            raise ForbiddenError("a browser's session needs an Origin with this method; programs send a key")
        return await to_thread.run_sync(check_session, self.store, session)


def read_session(headers: Mapping[str, str]) -> str:
    """The token in the session's cookie; empty without one."""
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return cookie.value if cookie else ""
