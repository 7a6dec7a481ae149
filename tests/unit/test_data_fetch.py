"""Web addresses: allowed hosts only, never the own network, limited, retried; each failure with its cause."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

import pytest

from cyclorama.data import fetch as module
from cyclorama.data.addresses import open_file
from cyclorama.data.fetch import FetchError, UrlPolicy, check_url, fetch, is_public
from cyclorama.errors import SettingsError

REAL_SLEEP = time.sleep
PNG = b"\x89PNG\r\n" + bytes(range(256)) * 40
POLICY = UrlPolicy(hosts=("shop.example", "*.shop.example"))


@dataclass
class Server:
    """Answers each connection with the next of ``answers`` (bytes, or a function of the socket)."""

    answers: list[Any]
    asked: list[bytes] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    def serve(self) -> None:
        for answer in self.answers:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                self.asked.append(read_request(connection))
                if callable(answer):
                    answer(connection)
                else:
                    connection.sendall(answer)


def read_request(connection: socket.socket) -> bytes:
    """Head and body, in however many packets they come."""
    asked = b""
    while part := connection.recv(65536):
        asked += part
        head, end, body = asked.partition(b"\r\n\r\n")
        if end and len(body) >= int((re.findall(rb"(?i)content-length: (\d+)", head) or [b"0"])[0]):
            break
    return asked


def reply(status: str, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def reply_busy(connection: socket.socket) -> None:
    date = formatdate(time.time() + 20, usegmt=True)
    connection.sendall(reply("503 Service Unavailable", Retry_After=date))


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Starts a plain server in the place of every public host; names resolve to a public address."""
    servers: list[Server] = []

    def start(*answers: Any, addresses: dict[str, str] | None = None) -> Server:
        server = Server(list(answers))
        servers.append(server)
        threading.Thread(target=server.serve, daemon=True).start()

        def resolve(host: str, port: int, **_: Any) -> list[Any]:
            server.hosts.append(host)
            address = (addresses or {}).get(host, "93.184.216.34")
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

        def dial(target: tuple[str, int], timeout: float) -> socket.socket:
            assert is_public(target[0])
            connection = socket.socket()
            connection.settimeout(timeout)
            connection.connect(server.listener.getsockname())
            return connection

        monkeypatch.setattr(module.socket, "getaddrinfo", resolve)
        monkeypatch.setattr(module.socket, "create_connection", dial)
        monkeypatch.setattr(module, "_wrap", lambda plain, host: plain)
        monkeypatch.setattr(module.time, "sleep", server.pauses.append)
        return server

    yield start
    for server in servers:
        server.listener.close()


def test_a_file_is_fetched_without_cookies_or_proxies(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    server = serve(reply("200 OK", PNG, Set_Cookie="a=b"))
    with open_file("https://cdn.shop.example/a b/ü.png?w=1&x=%20", POLICY) as stream:
        assert stream.read() == PNG
    request = server.asked[0].decode()
    assert request.startswith("GET /a%20b/%C3%BC.png?w=1&x=%20 HTTP/1.1\r\n")
    assert "Host: cdn.shop.example\r\n" in request
    assert "Cookie" not in request


def test_without_a_policy_nothing_is_asked() -> None:
    with pytest.raises(FetchError, match="those are not read; allow its host"):
        open_file("https://shop.example/a.png")


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (reply("429 Too Many Requests", Retry_After="3"), 3.0),
        (reply_busy, 19.0),
        (reply("500 Internal Server Error"), 0.5),
        (lambda connection: None, 0.5),  # closed without an answer
        (reply("200 OK", PNG)[:-500], 0.5),  # closed in the middle
    ],
)
def test_what_may_pass_is_tried_again(serve: Any, first: Any, reason: float) -> None:
    server = serve(first, reply("200 OK", PNG))
    assert fetch("https://shop.example/a.png", POLICY) == PNG
    assert server.pauses == [pytest.approx(reason, abs=1.5)]


@pytest.mark.parametrize("status", ["404 Not Found", "403 Forbidden", "410 Gone", "401 Unauthorized"])
def test_what_will_not_pass_is_told_at_once(serve: Any, status: str) -> None:
    server = serve(reply(status), reply("200 OK", PNG))
    with pytest.raises(FetchError, match=f"https://shop.example/a.png: the server answered {status}"):
        fetch("https://shop.example/a.png", POLICY)
    assert server.pauses == []


def test_tries_end(serve: Any) -> None:
    server = serve(*[reply("502 Bad Gateway")] * 9)
    with pytest.raises(FetchError, match="502 Bad Gateway, after 4 tries"):
        fetch("https://shop.example/a.png", POLICY)
    assert server.pauses == [0.5, 1.0, 2.0]
    serve(reply("429 Too Many Requests", Retry_After="3600"))
    with pytest.raises(FetchError, match="asks for a pause of 3600 s, the limit is 60 s"):
        fetch("https://shop.example/a.png", POLICY)


def test_a_slow_server_ends_with_the_time_limit(serve: Any) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        for _ in range(20):
            threading.Event().wait(0.1)
            try:
                connection.sendall(b"x")
            except OSError:
                return

    serve(drip)
    start = time.monotonic()
    with pytest.raises(FetchError, match="no whole answer within 0.4 s"):
        fetch("https://shop.example/a.png", POLICY.replace(seconds=0.4))
    assert time.monotonic() - start < 1.5


@pytest.mark.parametrize("length", [True, False])
def test_a_file_above_the_limit_is_not_read(serve: Any, length: bool) -> None:
    answer = reply("200 OK", PNG) if length else b"HTTP/1.1 200 OK\r\n\r\n" + PNG
    serve(answer)
    with pytest.raises(FetchError, match=r"more than 1,000 bytes \(max_bytes\)"):
        fetch("https://shop.example/a.png", POLICY.replace(max_bytes=1000))
    serve(answer)
    assert fetch("https://shop.example/a.png", POLICY.replace(max_bytes=len(PNG))) == PNG


def test_redirects_are_checked_like_the_first_address(serve: Any) -> None:
    def move(to: str) -> bytes:
        return reply("302 Found", Location=to)

    server = serve(move("/b.png"), move("https://img.shop.example/c.png"), reply("200 OK", PNG))
    assert fetch("https://shop.example/a.png", POLICY) == PNG
    assert server.hosts == ["shop.example", "shop.example", "img.shop.example"]
    for target, message in {
        "http://shop.example/b.png": "is not https",
        "https://other.example/b.png": "not among those allowed",
        "file:///etc/passwd": "is not https",
        "https://169.254.169.254/latest": "not among those allowed",
    }.items():
        serve(move(target))
        with pytest.raises(FetchError, match=message):
            fetch("https://shop.example/a.png", POLICY)
    serve(*[move("/a.png")] * 5)
    with pytest.raises(FetchError, match="more than 3 redirects"):
        fetch("https://shop.example/a.png", POLICY)
    serve(move("https://inner.shop.example/"), addresses={"inner.shop.example": "10.0.0.7"})
    with pytest.raises(FetchError, match=r"10\.0\.0\.7, which is no public address"):
        fetch("https://shop.example/a.png", POLICY)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "172.16.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "fe80::1",
        "fc00::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:7f00:1::",
        "ff02::1",
        "fe80::1%eth0",
        "198.18.0.1",
        "192.0.2.1",
    ],
)
def test_no_address_of_an_own_network_is_public(serve: Any, address: str) -> None:
    assert not is_public(address)
    server = serve(reply("200 OK", PNG), addresses={"shop.example": address})
    with pytest.raises(FetchError, match="no public address"):
        fetch("https://shop.example/a.png", POLICY)
    assert server.asked == []


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


def test_hosts_may_stand_in_one_text() -> None:
    policy = UrlPolicy(hosts=("cdn.other.example, *.shop.example",))
    assert check_url("https://a.shop.example:8443/x?y", policy) == "a.shop.example"
    assert check_url("https://CDN.other.example", policy) == "cdn.other.example"
    for url in ("https://shop.example.evil.example/a", "https://evilshop.example/a", "https:///a"):
        with pytest.raises(FetchError):
            check_url(url, policy)


def test_limits_are_checked() -> None:
    with pytest.raises(SettingsError, match="max_bytes"):
        UrlPolicy(max_bytes=0)
    with pytest.raises(SettingsError, match="tries"):
        UrlPolicy(tries=99)


def test_a_certificate_of_another_host_is_refused(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import ssl

    def wrap(plain: socket.socket, host: str) -> socket.socket:
        plain.close()
        error = ssl.SSLCertVerificationError("hostname mismatch")
        error.verify_message = "Hostname mismatch"
        raise error

    serve(reply("200 OK", PNG))
    monkeypatch.setattr(module, "_wrap", wrap)
    with pytest.raises(FetchError, match="certificate is not valid: Hostname mismatch"):
        fetch("https://shop.example/a.png", POLICY)


def test_a_pause_up_to_the_limit_is_kept(serve: Any) -> None:
    server = serve(reply("429 Too Many Requests", Retry_After="60"), reply("200 OK", PNG))
    assert fetch("https://shop.example/a.png", POLICY) == PNG and server.pauses == [60.0]
    serve(reply("429 Too Many Requests", Retry_After="61"))
    with pytest.raises(FetchError, match="asks for a pause of 61 s, the limit is 60 s"):
        fetch("https://shop.example/a.png", POLICY)
    serve(reply("503 Service Unavailable"))
    with pytest.raises(FetchError, match="503 Service Unavailable, after 1 tries"):
        fetch("https://shop.example/a.png", POLICY.replace(tries=1))
    assert (UrlPolicy().max_bytes, UrlPolicy().seconds, UrlPolicy().tries) == (33554432, 15.0, 4)


@pytest.mark.parametrize(("left", "timeout"), [(3.0, 3.0), (0.0, 0.1)])
@pytest.mark.parametrize("status", [200, 404])
def test_each_wait_takes_what_is_left_of_the_time(
    monkeypatch: pytest.MonkeyPatch, left: float, timeout: float, status: int
) -> None:
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: 100.0))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(reply(f"{status} So", PNG))
        found, headers, body = module._ask(ours, "https://shop.example/a", POLICY, 100.0 + left)
        assert (found, body) == (status, PNG if status == 200 else b"")
        assert ours.gettimeout() == pytest.approx(timeout)
        assert headers["content-length"] == str(len(PNG))


def test_a_message_is_posted_once_to_the_checked_address(serve: Any) -> None:
    server = serve(reply("302 Found", Location="https://169.254.169.254/"))
    assert module.post("https://shop.example/hook?a=1", b"{}", {"webhook-id": "m"}, POLICY) == 302
    [asked] = server.asked
    assert asked.startswith(b"POST /hook?a=1 HTTP/1.1\r\n") and asked.endswith(b"\r\n\r\n{}")
    assert b"webhook-id: m\r\n" in asked and b"Content-Length: 2\r\n" in asked and b"Cookie" not in asked
    with pytest.raises(FetchError, match=r"other.example is not among"):
        module.post("https://other.example/", b"{}", {}, POLICY)


@pytest.mark.parametrize("ask", ["fetch", "post"])
def test_a_head_that_comes_byte_by_byte_ends_with_the_time(serve: Any, ask: str) -> None:
    def drip(connection: socket.socket) -> None:
        with suppress(OSError):
            for byte in b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 100:
                connection.sendall(bytes([byte]))
                REAL_SLEEP(0.05)

    serve(drip)
    policy, start = POLICY.replace(seconds=0.4, tries=1), time.monotonic()
    with pytest.raises(FetchError, match=r"no (whole )?answer within 0\.4 s"):
        if ask == "fetch":
            fetch("https://shop.example/a.png", policy)
        else:
            module.post("https://shop.example/a", b"", {}, policy)
    assert time.monotonic() - start < 2
