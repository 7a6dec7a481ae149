"""One address has so many connections and requests and no more; the next address has its own."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from asgi import ask
from cyclorama.service import doors
from cyclorama.service.doors import Arrivals, Door, DoorKeeper, name_client


@pytest.fixture
def door() -> Iterator[Door]:
    with Door(socket.AF_INET, most=3, arrivals=Arrivals(rate=0.001, burst=6)) as found:
        found.bind(("127.0.0.1", 0))
        found.listen()
        found.setblocking(False)
        yield found


def connect(door: Door, address: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(door.getsockname(), 5, (address, 0))


def is_taken(door: Door, client: socket.socket) -> socket.socket | None:
    """The server's side of ``client``, or None after it was refused in words."""
    try:
        return door.accept()[0]
    except BlockingIOError:
        assert client.recv(1000).startswith(b"HTTP/1.1 429 ")
        assert client.recv(1000) == b""
        return None


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.2 is no address of this machine")
def test_places_of_an_address(door: Door) -> None:
    clients = [connect(door) for _ in range(5)]
    inside = [is_taken(door, client) for client in clients]
    assert [taken is not None for taken in inside] == [True, True, True, False, False]
    clients.append(connect(door, "127.0.0.2"))
    inside.append(is_taken(door, clients[-1]))
    assert inside[-1] is not None, "another address has places of its own"
    assert inside[1] is not None
    inside[1].close()
    inside[1].close()
    for _ in range(2):
        clients.append(connect(door))
        inside.append(is_taken(door, clients[-1]))
    assert [taken is not None for taken in inside[-2:]] == [True, False], "one place was given back, once"
    for one in filter(None, (*clients, *inside)):
        one.close()


def test_connections_that_come_too_fast(door: Door) -> None:
    for number in range(8):
        with connect(door) as client:
            taken = is_taken(door, client)
            assert (taken is not None) == (number < 6)
            if taken is not None:
                taken.close()


def test_a_flood_does_not_hold_others_up(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "REFUSED_A_TURN", 2)
    clients = [connect(door) for _ in range(7)]
    taken = [door.accept()[0] for _ in range(3)]
    for _ in range(2):
        with pytest.raises(BlockingIOError):
            door.accept()
    assert clients[5].recv(1000).startswith(b"HTTP/1.1 429 "), "two were refused in the first turn"
    for one in (*clients, *taken):
        one.close()


def test_tokens_come_back_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    arrivals = Arrivals(rate=2, burst=4, clock=lambda: now)
    assert [arrivals.take("a") for _ in range(5)] == [True] * 4 + [False]
    assert arrivals.take("b")
    now = 1.0
    assert [arrivals.take("a") for _ in range(3)] == [True, True, False]
    monkeypatch.setattr(doors, "_KEPT", 2)
    now = 2.5
    arrivals.take("c")  # b has all its tokens back and is forgotten, a is not
    assert [arrivals.take("a") for _ in range(4)] == [True] * 3 + [False]


def test_a_request_too_many_is_refused_before_anything_else() -> None:
    asked = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"in"})

    keeper = DoorKeeper(app, Arrivals(rate=0.001, burst=2))
    answers = [ask(keeper) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[2].json["type"] == "urn:cyclorama:error:QuotaError"
    assert answers[2].headers["retry-after"] == "1"
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("fe80::1%eth0", "fe80::1%eth1", True),
    ],
)
def test_who_counts_as_one(one: str, other: str, same: bool) -> None:
    assert (name_client(one) == name_client(other)) is same
