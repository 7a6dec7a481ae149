"""How much may a request bring, how slowly, and how often may a key ask?

Bytes are counted as they come, before anything parses them, whatever a header says of their number.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message as Header
from threading import Lock

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cyclorama.errors import BodyTooLargeError, CycloramaError, QuotaError, RequestError, SlowBodyError
from cyclorama.service import problems
from cyclorama.service.settings import FILE_BYTES

PART_BYTES = FILE_BYTES + 4096
"""Largest part of a form: a file and its headers."""
REQUEST_BYTES = 64 * 2**20
"""Largest form."""
JSON_BYTES = 2**20
"""Largest JSON body."""
PARTS = 64
"""Most parts of a form."""
GRACE_SECONDS = 30.0
LEAST_RATE = 16 * 2**10
"""A body has GRACE_SECONDS, and further ones as if it came with LEAST_RATE bytes a second."""


class BodyGate:
    """Refuses a body that is too large, has too many parts, or comes too slowly."""

    def __init__(self, app: ASGIApp, grace_seconds: float = GRACE_SECONDS) -> None:
        self.app = app
        self.grace_seconds = grace_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on and count what it brings."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        try:
            counter = _Counter.build(headers.get(b"content-type", b"").decode("latin-1"))
            counter.expect(headers.get(b"content-length", b"").decode("latin-1"))
        except CycloramaError as error:
            await problems.refuse(error, scope, receive, send)
            return
        fault: CycloramaError | None = None
        answered = False
        waited = 0.0  # for the client; what the server takes itself does not count

        async def take() -> Message:
            nonlocal fault, waited
            if counter.ended:  # waits for the client to hang up, however long the answer takes
                return await receive()
            left, start = self.grace_seconds + counter.total / LEAST_RATE - waited, time.monotonic()
            try:
                async with asyncio.timeout(max(left, 0.0)):
                    message = await receive()
                waited += time.monotonic() - start
                if message["type"] == "http.request":
                    counter.count(message.get("body", b""), message.get("more_body", False))
                return message
            except TimeoutError:
                fault = SlowBodyError(
                    f"{counter.total:,} bytes of the body came in {waited + left:.0f} s; send at "
                    f"least {LEAST_RATE:,} bytes a second"
                )
            except CycloramaError as error:
                fault = error
            raise fault

        async def give(message: Message) -> None:
            nonlocal answered
            if fault is None or answered:
                answered = True
                await send(message)

        try:
            await self.app(scope, take, give)
        except Exception:
            if fault is None:
                raise
        if fault is not None and not answered:
            await problems.refuse(fault, scope, receive, send, counter.ended)


@dataclass
class _Counter:
    """Counts the bytes of a body and, in a form, of each part."""

    limit: int
    what: str
    delimiter: bytes = b""
    total: int = 0
    ended: bool = False
    parts: int = 0
    part: int = 0
    tail: bytes = b"\r\n"  # the first delimiter needs no line before it

    @classmethod
    def build(cls, content_type: str) -> _Counter:
        header = Header()
        header["Content-Type"] = content_type
        kind = header.get_content_type()
        if kind == "multipart/form-data":
            boundary = str(header.get_param("boundary", ""))
            if not 1 <= len(boundary) <= 70 or not boundary.isascii():
                raise RequestError(
                    f"multipart/form-data with boundary {boundary!r}; give one of 1 to 70 letters"
                )
            return cls(REQUEST_BYTES, "a form", b"\r\n--" + boundary.encode())
        if not content_type or kind == "application/json" or kind.endswith("+json"):
            return cls(JSON_BYTES, "a body of JSON, or without Content-Type,")
        return cls(FILE_BYTES, "a file")

    def expect(self, length: str) -> None:
        """Refuse a body that says beforehand that it is too large."""
        if length.isdecimal():
            self._check(int(length), self.limit, self.what)

    def count(self, body: bytes, more: bool) -> None:
        """Take ``body`` as the next bytes; ``more``: whether others follow."""
        self.total += len(body)
        self.ended = not more
        self._check(self.total, self.limit, self.what)
        if not self.delimiter:
            return
        held = self.tail + body
        *ended, rest = held.split(self.delimiter)
        keep = len(self.delimiter) - 1
        for piece in ended:
            self._check(self.part + len(piece), PART_BYTES, "a part of a form")
            self.part = 0
            self.parts += 1
            if self.parts > PARTS + 1:  # one delimiter more than parts
                raise BodyTooLargeError(f"the form has more than {PARTS} parts; send fewer at once")
        self.tail = rest[-keep:]
        self.part += len(rest) - len(self.tail)
        self._check(self.part, PART_BYTES, "a part of a form")

    @staticmethod
    def _check(size: int, limit: int, what: str) -> None:
        if size > limit:
            raise BodyTooLargeError(f"{what} may have {limit:,} bytes at most, this one has {size:,} or more")


@dataclass
class TokenBucket:
    """Tokens that come back with time, up to ``most``."""

    most: float
    rate: float
    """A second."""
    left: float
    seen: float

    def refill(self, now: float) -> None:
        """Add what came back since the last look."""
        self.left = min(self.most, self.left + (now - self.seen) * self.rate)
        self.seen = now


@dataclass
class Rates:
    """Buckets of requests and of images, one each a key.

    A request costs one token. Images may be borrowed: who has one token left may start a job of many images,
    and then waits until all are paid back, so that large jobs are possible and the rate holds all the same.
    """

    requests: int = 120
    """A minute and key; reads do not count."""
    images: int = 60
    """A minute and key."""
    clock: Callable[[], float] = time.monotonic
    _buckets: dict[tuple[str, str], TokenBucket] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def check(self, key: str, what: str) -> None:
        """Raise QuotaError if no token is left for ``what`` (``requests`` or ``images``)."""
        most = getattr(self, what)
        with self._lock:
            left = self._find(key, what).left
        if left < 1:
            wait = (1 - left) * 60 / most
            raise QuotaError(
                f"this key may ask for {most} {what} a minute; wait {wait:.0f} s", retry_after=wait
            )

    def take(self, key: str, what: str, count: int = 1) -> None:
        """Take ``count`` tokens for ``what``, more than there are if need be."""
        with self._lock:
            self._find(key, what).left -= count

    def _find(self, key: str, what: str) -> TokenBucket:
        most, now = getattr(self, what), self.clock()
        bucket = self._buckets.setdefault((key, what), TokenBucket(most, most / 60, most, now))
        bucket.refill(now)
        return bucket

    def describe(self, key: str) -> dict[str, str]:
        """The headers that tell a key its limits and what is left of them."""
        left, policy = [], []
        for what in ("requests", "images"):
            most = getattr(self, what)
            with self._lock:
                found = self._find(key, what).left
            left.append(f'"{what}";r={max(0, int(found))};t={(most - found) * 60 / most:.0f}')
            policy.append(f'"{what}";q={most};w=60')
        return {"RateLimit-Policy": ", ".join(policy), "RateLimit": ", ".join(left)}
