"""Bytes are counted as they come; slow bodies and keys that ask too often are refused."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi import Answer, ask
from cyclorama.errors import BodyTooLargeError, QuotaError
from cyclorama.service import limits
from cyclorama.service.limits import BodyGate, Rates

JSON = {"content-type": "application/json"}
FORM = {"content-type": "multipart/form-data; boundary=cut"}


class Reader:
    """Reads the whole body, and counts it."""

    def __init__(self, wrap: bool = False) -> None:
        self.read, self.wrap = 0, wrap

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            more = True
            while more:
                message = await receive()
                self.read += len(message["body"])
                more = message["more_body"]
        except Exception:
            if not self.wrap:
                raise
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"read"})


def send(headers: dict[str, str], pieces: Any, app: Any = None, **options: Any) -> Answer:
    return ask(BodyGate(app or Reader(), **options.pop("gate", {})), "POST", "/", headers, pieces, **options)


def part(size: int) -> bytes:
    return b'--cut\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\n' + bytes(size) + b"\r\n"


@pytest.mark.parametrize("wrap", [False, True], ids=["raised", "caught by the application"])
def test_a_body_without_length_is_counted_as_it_comes(wrap: bool) -> None:
    reader = Reader(wrap)
    answer = send(JSON, itertools.repeat(bytes(2**18), 40), reader)
    assert answer.status == 413
    assert answer.json["type"] == "urn:cyclorama:error:BodyTooLargeError"
    assert "1,048,576" in answer.json["detail"]
    assert reader.read <= limits.JSON_BYTES
    assert answer.headers["connection"] == "close"


def test_a_length_that_is_too_large_is_refused_unread() -> None:
    reader = Reader()
    headers = {"content-type": "image/png", "content-length": str(limits.FILE_BYTES + 1)}
    assert send(headers, [b"x"], reader).status == 413
    assert reader.read == 0


@pytest.mark.parametrize("size", [0, 1, limits.JSON_BYTES])
def test_what_is_allowed_passes_unchanged(size: int) -> None:
    reader = Reader()
    assert send(JSON, [bytes(size)], reader).body == b"read"
    assert reader.read == size


def test_a_large_form_passes_and_one_part_that_is_too_large_does_not() -> None:
    block = bytes(2**20)
    two = [part(0)[:-2], *[block] * 31, b"\r\n", part(0)[:-2], *[block] * 31, b"\r\n--cut--\r\n"]
    assert send(FORM, two).status == 200
    one = [part(0)[:-2], *[block] * 33, b"\r\n--cut--\r\n"]
    answer = send(FORM, one)
    assert (answer.status, "a part of a form" in answer.json["detail"]) == (413, True)


def test_the_number_of_parts() -> None:
    assert send(FORM, [part(1) * limits.PARTS + b"--cut--\r\n"]).status == 200
    assert send(FORM, [part(1) * (limits.PARTS + 1) + b"--cut--\r\n"]).status == 413


@given(sizes=st.lists(st.integers(0, 50), max_size=8), cuts=st.lists(st.integers(0, 900), max_size=12))
def test_parts_are_counted_however_the_body_is_cut(sizes: list[int], cuts: list[int]) -> None:
    body = b"".join(map(part, sizes)) + b"--cut--\r\n"
    counter = limits._Counter.build(FORM["content-type"])
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    for start, end in itertools.pairwise(edges):
        counter.count(body[start:end], True)
    assert counter.parts == len(sizes) + 1
    assert counter.total == len(body)


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=" + "x" * 71])
def test_a_form_without_a_usable_boundary(kind: str) -> None:
    assert send({"content-type": kind}, [b""]).json["type"] == "urn:cyclorama:error:RequestError"


def test_a_body_that_stops_coming() -> None:
    answer = send(JSON, [b"a", b"b"], pause=0.2, gate={"grace_seconds": 0.05})
    assert answer.status == 408
    assert answer.json["type"] == "urn:cyclorama:error:SlowBodyError"


def test_a_slow_answer_is_not_a_slow_body() -> None:
    import asyncio

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await asyncio.sleep(0.1)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    assert send(JSON, [b"{}"], app, gate={"grace_seconds": 0.05}).status == 200


def test_a_counter_never_holds_the_body() -> None:
    counter = limits._Counter.build(FORM["content-type"])
    with pytest.raises(BodyTooLargeError):
        for _ in range(100):
            counter.count(bytes(2**20), True)
            assert len(counter.tail) < 10


def test_requests_come_back_with_time() -> None:
    now = [0.0]
    rates = Rates(requests=60, images=6, clock=lambda: now[0])
    for _ in range(60):
        rates.check("a", "requests")
        rates.take("a", "requests")
    with pytest.raises(QuotaError, match="60 requests a minute; wait 1 s") as refused:
        rates.check("a", "requests")
    assert refused.value.retry_after == pytest.approx(1)
    rates.check("b", "requests")
    now[0] = 1.0
    rates.check("a", "requests")
    rates.take("a", "requests")
    assert rates.describe("a")["RateLimit"] == '"requests";r=0;t=60, "images";r=6;t=0'
    assert rates.describe("a")["RateLimit-Policy"] == '"requests";q=60;w=60, "images";q=6;w=60'


def test_a_large_job_is_paid_back() -> None:
    now = [0.0]
    rates = Rates(images=60, clock=lambda: now[0])
    rates.take("a", "images", 200)
    with pytest.raises(QuotaError, match="wait 141 s"):
        rates.check("a", "images")
    now[0] = 141.5
    rates.check("a", "images")
