"""Clients who are slow or many, over real sockets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from cyclorama.service import connections

GOOD = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"in"})


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(connections, "MOST", 8)
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, lifespan="off", log_level="critical", **connections.UVICORN)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    yield listening.getsockname()[1]
    server.should_exit = True
    thread.join()
    listening.close()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=5)


def is_ended(client: socket.socket, within: float) -> bool:
    client.settimeout(within)
    try:
        return client.recv(1000) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def fetch(client: socket.socket) -> bytes:
    client.sendall(GOOD)
    found = b""
    while not found.endswith(b"in"):
        found += client.recv(1000) or b" ended: in"
    return found


def test_a_head_that_does_not_come(port: int) -> None:
    """Nothing at all, or one byte at a time."""
    with connect(port) as silent, connect(port) as slow:
        start = time.monotonic()
        for byte in GOOD:
            try:
                slow.sendall(bytes([byte]))
            except ConnectionError:
                break
            time.sleep(0.05)
        assert time.monotonic() - start < 1.5
        assert is_ended(silent, 2)
        assert is_ended(slow, 2)


def test_the_head_after_an_answer(port: int) -> None:
    with connect(port) as client:
        assert fetch(client).startswith(b"HTTP/1.1 200")
        assert fetch(client).startswith(b"HTTP/1.1 200"), "the connection is kept"
        client.sendall(GOOD[:5])
        assert is_ended(client, 2)


def test_an_idle_connection_is_kept_after_an_answer(port: int) -> None:
    with connect(port) as client:
        fetch(client)
        time.sleep(0.6)
        assert fetch(client).startswith(b"HTTP/1.1 200")


def test_whoever_waits_longest_gives_way(port: int) -> None:
    waiting = [connect(port) for _ in range(30)]
    with connect(port) as client:
        assert fetch(client).startswith(b"HTTP/1.1 200")
    assert is_ended(waiting[0], 0.2)
    for client in waiting:
        client.close()
