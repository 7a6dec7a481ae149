"""Files from web servers, only where the user allowed it, and never from inside the own network.

The host must be allowed by name, https is required, every resolved address must be a public one, and the
connection goes to the address that was checked, so that a second look-up cannot change it. Redirects are
checked like the first address. No cookies, no proxies.
"""

from __future__ import annotations

import email.utils
import fnmatch
import http.client
import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import lru_cache
from typing import Annotated, Any
from urllib.parse import quote, urljoin, urlsplit

from pydantic import Field

from cyclorama.config import Settings
from cyclorama.errors import FetchError, SettingsError

MAX_REDIRECTS = 3
_RETRIED = {408, 425, 429, 500, 502, 503, 504}
_START = re.compile(r"[^/?#]*//[^/?#]*")
_SAFE = "/%:=&?~#+!$,;'@()*[]"
_AGENT = "cyclorama"
_LEAST_SECONDS = 1.0  # for an exchange that has begun


class UrlPolicy(Settings):
    """Which web addresses may be read, and within which limits."""

    error_type = SettingsError

    hosts: tuple[str, ...] = ("*",)
    """Hosts that are allowed: ``cdn.shop.example``, ``*.shop.example``; ``*`` allows every public host."""
    max_bytes: Annotated[int, Field(ge=1)] = 32 * 2**20
    """Largest file."""
    seconds: Annotated[float, Field(gt=0, le=600)] = 15.0
    """Longest time for one file, all redirects of a try together."""
    tries: Annotated[int, Field(ge=1, le=10)] = 4
    """Tries in all; after 429, 5xx or a reset, with growing pauses or the server's Retry-After."""
    max_pause: Annotated[float, Field(ge=0, le=600)] = 60.0
    """Longest pause before another try, in seconds."""


def check_url(url: str, policy: UrlPolicy | None) -> str:
    """The host of ``url``, if its address may be read. Raises FetchError saying why not; asks no server."""
    if policy is None:
        raise FetchError(
            f"{url} is a web address, and those are not read; allow its host (--allow-urls HOST)"
        )
    start = _START.match(url)
    host, problem = _check_start(start[0] if start else url, policy.hosts)
    if problem:
        raise FetchError(f"{url}{problem}")
    return host


@lru_cache(1024)
def _check_start(url: str, hosts: tuple[str, ...]) -> tuple[str, str]:
    """The host in scheme and host, and what is wrong with them."""
    try:
        found = urlsplit(url)
        host, _ = (found.hostname or "").rstrip("."), found.port
    except ValueError as error:
        return "", f" is no valid web address: {error}"
    if found.scheme.lower() != "https":
        return "", " is not https; only https addresses are read"
    if not host or found.username is not None:
        return "", " has no host, or names a user; give a plain https address"
    patterns = [pattern.strip() for pattern in ",".join(hosts).split(",")]
    if not any(fnmatch.fnmatchcase(host.lower(), pattern.lower()) for pattern in patterns):
        allowed = ", ".join(hosts) or "none"
        return "", f": host {host} is not among those allowed ({allowed}); add it (--allow-urls HOST)"
    return host, ""


def fetch(url: str, policy: UrlPolicy | None) -> bytes:
    """The file at ``url``.

    Raises FetchError naming the cause: not allowed, not public, the server's status, too large, too slow.
    """
    check_url(url, policy)
    assert policy is not None
    for attempt in range(1, policy.tries + 1):
        try:
            return _try(url, policy)
        except _Retry as failure:
            if attempt == policy.tries:
                raise FetchError(f"{url}: {failure.reason}, after {attempt} tries") from None
            pause = failure.pause if failure.pause is not None else 0.5 * 2 ** (attempt - 1)
            if pause > policy.max_pause:
                raise FetchError(
                    f"{url}: {failure.reason}; the server asks for a pause of {pause:.0f} s, the limit is "
                    f"{policy.max_pause:.0f} s"
                ) from None
            time.sleep(pause)
    raise AssertionError("the last try returns or raises")


class _Retry(Exception):
    def __init__(self, reason: str, pause: float | None = None) -> None:
        super().__init__(reason)
        self.reason, self.pause = reason, pause


def _try(url: str, policy: UrlPolicy) -> bytes:
    deadline = time.monotonic() + policy.seconds
    asked = url
    for _ in range(MAX_REDIRECTS + 1):
        connection = _connect(asked, check_url(asked, policy), deadline)
        try:
            status, headers, body = _ask(connection, asked, policy, deadline)
        except TimeoutError:
            raise FetchError(
                f"{asked}: no whole answer within {policy.seconds:g} s; raise the limit"
            ) from None
        except ssl.SSLCertVerificationError as error:
            raise FetchError(f"{asked}: its certificate is not valid: {error.verify_message}") from None
        except (OSError, http.client.HTTPException) as error:
            raise _Retry(f"connection failed ({type(error).__name__}: {error})") from None
        finally:
            connection.close()
        if status not in (301, 302, 303, 307, 308):
            break
        asked = urljoin(asked, headers.get("location", ""))
    else:
        raise FetchError(f"{url}: more than {MAX_REDIRECTS} redirects")
    if status == 200:
        return body
    reason = f"the server answered {status} {http.client.responses.get(status, '')}".rstrip()
    if status in _RETRIED:
        raise _Retry(reason, _read_pause(headers.get("retry-after")))
    raise FetchError(f"{url}: {reason}")


def _read_pause(value: str | None) -> float | None:
    """Seconds of a Retry-After header, which gives seconds or a date."""
    if not value:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _connect(url: str, host: str, deadline: float) -> socket.socket:
    """A TLS connection to a checked public address of ``host``."""
    port = urlsplit(url).port or 443
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise _Retry(f"host {host} is not found ({error})") from None
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        if not is_public(address):
            raise FetchError(f"{url}: {host} is at {address}, which is no public address; it is not read")
    left = max(0.1, deadline - time.monotonic())
    try:
        plain = socket.create_connection((addresses[0], port), timeout=left)
        return _wrap(plain, host)
    except ssl.SSLCertVerificationError as error:
        raise FetchError(f"{url}: its certificate is not valid: {error.verify_message}") from None
    except TimeoutError:
        raise FetchError(f"{url}: no connection within {left:.0f} s") from None
    except OSError as error:
        raise _Retry(f"cannot connect to {host} ({error})") from None


def _wrap(plain: socket.socket, host: str) -> socket.socket:
    return ssl.create_default_context().wrap_socket(plain, server_hostname=host)


def is_public(address: str) -> bool:
    """Whether an IP address is a global one, also under a mapped or translated IPv6 form."""
    ip = ipaddress.ip_address(address.split("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


def _ask(connection: socket.socket, url: str, policy: UrlPolicy, deadline: float) -> tuple[int, Any, bytes]:
    """(status, headers, body) of a GET request over ``connection``."""
    with _end_at(connection, deadline):
        answer = _send(connection, "GET", url, None, {"Accept": "*/*", "Accept-Encoding": "identity"})
        if answer.status != 200:
            return answer.status, answer.headers, b""
        length = answer.headers.get("content-length", "")
        parts_read, size = [], int(length) if length.isdecimal() else 0
        if size <= policy.max_bytes:
            size = 0
            while size <= policy.max_bytes and (part := answer.read1(2**16)):
                parts_read.append(part)
                size += len(part)
    if size > policy.max_bytes:
        raise FetchError(f"{url} has more than {policy.max_bytes:,} bytes (max_bytes); raise the limit")
    if length.isdecimal() and size < int(length):
        raise ConnectionResetError(f"{size} of {length} bytes came")
    return 200, answer.headers, b"".join(parts_read)


def _send(
    connection: socket.socket, method: str, url: str, body: bytes | None, headers: Mapping[str, str]
) -> http.client.HTTPResponse:
    """The head of the answer to a request over ``connection``."""
    parts = urlsplit(url)
    query = f"?{quote(parts.query, safe=_SAFE)}" if parts.query else ""
    target = quote(parts.path or "/", safe=_SAFE) + query
    client = http.client.HTTPSConnection(parts.hostname or "", parts.port)
    client.sock = connection
    client.request(method, target, body, {"User-Agent": _AGENT, "Connection": "close", **headers})
    return client.getresponse()


@contextmanager
def _end_at(connection: socket.socket, deadline: float) -> Iterator[None]:
    """Let what is sent and read in the block end at ``deadline``, however slowly bytes come; a second is the
    least. Raises TimeoutError.
    """
    ended = threading.Event()

    def end() -> None:
        ended.set()
        with suppress(OSError):
            socket.socket.shutdown(connection, socket.SHUT_RDWR)  # below TLS, which another thread uses

    left = deadline - time.monotonic()
    connection.settimeout(max(0.1, left))
    timer = threading.Timer(max(_LEAST_SECONDS, left), end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, http.client.HTTPException):
        if ended.is_set():
            raise TimeoutError from None
        raise
    finally:
        timer.cancel()
    if ended.is_set():
        raise TimeoutError


def post(url: str, body: bytes, headers: Mapping[str, str], policy: UrlPolicy) -> int:
    """The status with which the server at ``url`` answers to ``body``; one try, redirects are not followed.

    Raises FetchError (not allowed, not public, no answer in time).
    """
    deadline = time.monotonic() + policy.seconds
    try:
        connection = _connect(url, check_url(url, policy), deadline)
        with closing(connection), _end_at(connection, deadline):
            return _send(connection, "POST", url, body, headers).status
    except TimeoutError:
        raise FetchError(f"{url}: no answer within {policy.seconds:g} s") from None
    except (_Retry, OSError, http.client.HTTPException) as error:
        raise FetchError(f"{url}: {error or type(error).__name__}") from None
