"""How long may a connection keep the server waiting, and how many are there at once?

uvicorn ends idle connections after an answer, but waits without end for the head of a request; here it has
HEAD_SECONDS. When all places are taken, the connection that has waited longest gives way to a new one.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
"""For the whole head of a request, from the connection's start or the first byte after an answer."""
MOST = 512
"""Connections at once; each holds one open file."""
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
)


class Connection(H11Protocol):
    """One connection of a client."""

    timer: asyncio.TimerHandle | None = None
    """Runs while a request's head is awaited."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the place of the one that has waited longest, if all are taken; refuse if none waits."""
        super().connection_made(transport)
        if len(self.connections) > MOST:
            waiting = [c for c in self.connections if isinstance(c, Connection) and c.timer is not None]
            if not waiting:
                transport.write(_FULL)
                transport.close()
                return
            min(waiting, key=lambda c: c.timer.when() if c.timer else 0.0).drop()
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Read on, and stop the timer once a request's head is whole."""
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._await_head()
        else:
            self._stop_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer with the connection."""
        self._stop_timer()
        super().connection_lost(exc)

    def drop(self) -> None:
        """End the connection at once."""
        self._stop_timer()
        self.connections.discard(self)
        self.transport.abort()

    def _await_head(self) -> None:
        if self.timer is None and not self.transport.is_closing():
            self.timer = self.loop.call_later(HEAD_SECONDS, self.drop)

    def _stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


UVICORN: dict[str, Any] = {
    "http": Connection,
    "loop": "asyncio",  # others would not ask the door
    "ws": "none",
    "backlog": 128,  # connections taken in one turn, before any of them can be refused
    "timeout_keep_alive": 20,
    "h11_max_incomplete_event_size": 64 * 2**10,
    "server_header": False,
    "proxy_headers": False,
}
"""Settings of :class:`uvicorn.Config` that hold against clients who are slow or many."""
