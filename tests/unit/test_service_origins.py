"""Which hosts and pages may talk to the server; what headers every answer has."""

from __future__ import annotations

from typing import Any

import pytest

from asgi import ask
from cyclorama.errors import SettingsError
from cyclorama.service.origins import HEADERS, OriginGate, check_cors


async def app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"Cache-Control", b"private")]})
    await send({"type": "http.response.body", "body": b"in"})


GATE = OriginGate(app, ["shop.example"], "https://page.example")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8756", 200),
        ("LOCALHOST", 200),
        ("a.localhost", 200),
        ("127.0.0.1:8756", 200),
        ("[::1]:8756", 200),
        ("10.0.0.7", 200),
        ("shop.example", 200),
        ("shop.example.", 200),
        ("evil.example", 403),  # a name of the attacker's that was bound to this address
        ("shop.example.evil.example", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("", 403),
        ("[::1", 403),
    ],
)
def test_the_host(host: str, status: int) -> None:
    assert ask(GATE, headers={"host": host}).status == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://localhost:8756"}, 200),
        ({"origin": "https://localhost:8756"}, 200),
        ({"origin": "https://page.example"}, 200),
        ({"origin": "https://page.example", "sec-fetch-site": "cross-site"}, 200),
        ({"origin": "http://localhost:9999"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://page.example"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
    ],
)
def test_the_page_that_changes_something(headers: dict[str, str], status: int) -> None:
    answer = ask(GATE, "POST", headers={"host": "localhost:8756"} | headers)
    assert answer.status == status
    if status == 403:
        assert answer.json["type"] == "urn:cyclorama:error:ForbiddenError"
    assert ask(GATE, "GET", headers={"host": "localhost:8756"} | headers).status == 200


def test_every_answer_has_the_headers_and_keeps_its_own() -> None:
    for answer in (ask(GATE), ask(GATE, headers={"host": "evil.example"})):
        assert HEADERS.keys() <= answer.headers.keys()
        assert "'unsafe" not in answer.headers["content-security-policy"]
    assert ask(GATE).headers["cache-control"] == "private"
    assert "access-control-allow-origin" not in ask(GATE).headers


def test_one_other_origin_may_ask_if_it_is_named() -> None:
    ours = ask(
        GATE, "OPTIONS", headers={"origin": "https://page.example", "access-control-request-method": "POST"}
    )
    assert ours.status == 204
    assert ours.headers["access-control-allow-origin"] == "https://page.example"
    assert "access-control-allow-credentials" not in ours.headers
    other = ask(GATE, "OPTIONS", headers={"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers
    closed = ask(OriginGate(app), "OPTIONS", headers={"origin": "https://page.example"})
    assert "access-control-allow-origin" not in closed.headers


@pytest.mark.parametrize(
    "origin", ["*", "https://*", "page.example", "https://a.example/x", "ftp://a", "https://u@a"]
)
def test_an_origin_is_one_origin(origin: str) -> None:
    with pytest.raises(SettingsError, match="--cors"):
        check_cors(origin)


def test_an_origin_is_written_as_browsers_do() -> None:
    assert check_cors("https://Page.Example/") == "https://page.example"
    assert check_cors(None) is None
