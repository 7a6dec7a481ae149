"""How many connections and requests may come from one address?

A connection too many is answered where it is taken, before anything is made for it; a request too many before
its key is looked up. So thousands of clients at one address cost the others next to nothing. A reverse proxy
is one address, too: it limits its own clients.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from cyclorama.errors import QuotaError
from cyclorama.service import problems
from cyclorama.service.limits import TokenBucket

OPEN = 128
"""Connections of an address at once."""
RATE = 200.0
"""New connections a second and address; requests likewise."""
BURST = 2000.0
"""So many of them may come at once after a pause."""
QUEUE = 1024
"""Connections that the system holds until they are taken."""
REFUSED_A_TURN = 64
"""Connections that are refused before others are served again."""
_KEPT = 10_000  # addresses that are remembered
_ANSWER = (
    b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
)


@lru_cache(_KEPT)
def name_client(address: str) -> str:
    """Whose ``address`` that is: itself, or the /64 network that one IPv6 client has to itself.

    >>> name_client("2001:db8:1:2:3::4"), name_client("::ffff:192.0.2.7")
    ('2001:db8:1:2::/64', '192.0.2.7')
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if ip.version == 4:
        return str(ip)
    return str(ip.ipv4_mapped or ipaddress.ip_network((ip, 64), strict=False))


@dataclass
class Arrivals:
    """What comes from each client: RATE a second, and BURST at once."""

    rate: float = RATE
    burst: float = BURST
    clock: Callable[[], float] = time.monotonic
    _buckets: dict[str, TokenBucket] = field(default_factory=dict)

    def take(self, client: str) -> bool:
        """Whether this client may come in; if so, it has a token less."""
        now, bucket = self.clock(), self._buckets.get(client)
        if bucket is None:
            if len(self._buckets) >= _KEPT:
                idle = now - self.burst / self.rate  # these have all their tokens back
                self._buckets = {name: b for name, b in self._buckets.items() if b.seen > idle}
            bucket = self._buckets[client] = TokenBucket(self.burst, self.rate, self.burst, now)
        bucket.refill(now)
        admitted = bucket.left >= 1
        bucket.left -= admitted
        return admitted


class Door(socket.socket):
    """A listening socket that takes no more of an address than OPEN and RATE allow."""

    def __init__(self, family: int, most: int = OPEN, arrivals: Arrivals | None = None) -> None:
        super().__init__(family, socket.SOCK_STREAM)
        self._most, self._arrivals = most, arrivals or Arrivals()
        self._inside: Counter[str] = Counter()

    def listen(self, backlog: int = QUEUE) -> None:
        """Listen, with QUEUE places for those that were not taken yet, whatever ``backlog`` says."""
        super().listen(QUEUE)

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection that may come in. Raises BlockingIOError where none waits."""
        for _ in range(REFUSED_A_TURN):
            taken, address = super().accept()
            client = name_client(address[0])
            if self._inside[client] < self._most and self._arrivals.take(client):
                self._inside[client] += 1
                return _Guest(taken, client, self._inside), address
            _refuse(taken)
        raise BlockingIOError


class _Guest(socket.socket):
    """A connection that gives its place back when it is closed."""

    def __init__(self, taken: socket.socket, client: str, inside: Counter[str]) -> None:
        super().__init__(taken.family, taken.type, taken.proto, taken.detach())
        self._client, self._inside = client, inside

    def close(self) -> None:
        """Close, and count one less."""
        if self.fileno() >= 0:
            self._inside[self._client] -= 1
            if not self._inside[self._client]:
                del self._inside[self._client]
        super().close()


def _refuse(taken: socket.socket) -> None:
    with suppress(OSError):
        taken.setblocking(False)
        taken.send(_ANSWER)
    taken.close()


class DoorKeeper:
    """Refuses requests of a client that asks too often, on however many connections."""

    def __init__(self, app: ASGIApp, arrivals: Arrivals | None = None) -> None:
        self.app, self.arrivals = app, arrivals or Arrivals()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the request and hand it on."""
        client = scope.get("client") or ("", 0)
        if scope["type"] == "http" and not self.arrivals.take(name_client(client[0])):
            limit = f"{self.arrivals.rate:g} requests a second"
            error = QuotaError(f"one address may send {limit}; send fewer, or wait", retry_after=1)
            await problems.refuse(error, scope, receive, send)
            return
        await self.app(scope, receive, send)
