"""A small HTTP server of one's own machine, standard library only: JSON in and out, a few files, no log.

What a server built on it answers is decided by its handler; what all of them share is here: limits on what is
taken in, headers that keep other sites' pages out, and threads that end with the server.
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import socketserver
from collections.abc import Callable
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cyclorama.errors import InputError, OutputError, SettingsError

MAX_REQUEST_BYTES = 2**20
TIMEOUT_SECONDS = 30


def check_port(port: int) -> None:
    """Raise SettingsError for a port outside 0 to 65535."""
    if not 0 <= port <= 65535:
        raise SettingsError(f"--port must be 0 (any free one) to 65535, got {port}")


def build_page(
    package: str,
    file: str,
    title: str,
    name: str,
    noscript: str,
    *,
    root: str = 'lang="en"',
    images: str = "'self' data:",
    data: str = "",
) -> str:
    """An HTML page that allows no script and style but ``file``.js and ``file``.css of ``package``.

    ``name`` is the id of the element that the script fills, ``root`` the attributes of the page, ``images``
    where images may come from, ``data`` HTML before the script.
    """
    texts = {kind: (files(package) / f"{file}.{kind}").read_text(encoding="utf-8") for kind in ("js", "css")}
    hashes = {
        kind: "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for kind, text in texts.items()
    }
    policy = (
        f"default-src 'none'; script-src '{hashes['js']}'; style-src '{hashes['css']}'; "
        f"img-src {images}; connect-src 'self'; base-uri 'none'; form-action 'none'"
    )
    title = escape(title)
    return (
        f'<!doctype html>\n<html {root}><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="robots" content="noindex"><meta name="referrer" content="no-referrer">\n'
        f'<title>{title}</title><link rel="icon" href="data:,"><style>{texts["css"]}</style></head>\n'
        f'<body><main id="{name}"><h1>{title}</h1><noscript><p>{escape(noscript)}</p></noscript></main>\n'
        f"{data}<script>{texts['js']}</script></body></html>\n"
    )


class LocalServer(ThreadingHTTPServer):
    """A thread per connection. Start with ``serve_forever``, stop with ``shutdown``."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host: str, port: int, handler: type[LocalHandler]) -> None:
        """Raises SettingsError (port outside 0 to 65535, address not free)."""
        check_port(port)
        try:
            super().__init__((host, port), handler)
        except OSError as error:
            raise SettingsError(
                f"cannot listen at {host}:{port}: {error}; give another --port or --host"
            ) from error

    def server_bind(self) -> None:
        """Bind without asking the network for this machine's name, which can take long."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    @property
    def address(self) -> str:
        """Where the page is: with the port that was really taken, and a name that others can use."""
        everywhere = self.server_name in ("0.0.0.0", "")
        return f"http://{socket.gethostname() if everywhere else self.server_name}:{self.server_port}/"


class LocalHandler(BaseHTTPRequestHandler):
    """Answers and refusals with the headers that a page of one's own needs."""

    protocol_version = "HTTP/1.1"
    server_version = "cyclorama"
    sys_version = ""
    timeout = TIMEOUT_SECONDS

    def answer_get(self, place: str, query: dict[str, list[str]]) -> None:
        """Answer a GET of ``place`` (the path alone) with its ``query``."""
        raise NotImplementedError

    def find_action(self, place: str) -> Callable[[Any], Any] | None:
        """What is done with the JSON that is sent to ``place`` and gives the JSON of the answer; or None."""
        raise NotImplementedError

    def do_GET(self) -> None:
        """Answer; what cannot be read just now is said as such."""
        place = urlsplit(self.path)
        try:
            self.answer_get(place.path, parse_qs(place.query))
        except (InputError, OutputError) as error:
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, str(error))

    def do_POST(self) -> None:
        """Do what the place's action does; refuse what it does not understand."""
        action = self.find_action(urlsplit(self.path).path)
        if action is None:
            self.close_connection = True  # its body is not read
            self.refuse(HTTPStatus.NOT_FOUND, "nothing here")
            return
        body = self._read_body()
        if body is None:
            return
        try:
            values = json.loads(body)
        except (ValueError, RecursionError) as error:
            self.refuse(HTTPStatus.BAD_REQUEST, f"not JSON: {error}")
            return
        try:
            self.answer_json(action(values))
        except InputError as error:
            self.refuse(HTTPStatus.BAD_REQUEST, str(error))
        except OutputError as error:
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, str(error))

    def _read_body(self) -> bytes | None:
        """The request's body, which says that it is JSON; None after a refusal has been sent.

        A page of another site cannot send this content type without asking first, and asking is not answered.
        """
        length = self.headers.get("Content-Length", "")
        status, reason = HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send JSON with its length"
        if self.headers.get_content_type() == "application/json" and length.isdecimal():
            if int(length) <= MAX_REQUEST_BYTES:
                return self.rfile.read(int(length))
            status, reason = HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {MAX_REQUEST_BYTES} bytes"
        self.close_connection = True
        self.refuse(status, reason)
        return None

    def answer_json(self, values: Any) -> None:
        """Send plain ``values``."""
        self.answer(HTTPStatus.OK, json.dumps(values, ensure_ascii=False).encode(), "application/json")

    def refuse(self, status: HTTPStatus, reason: str) -> None:
        """Send an error with its reason."""
        self.answer(status, json.dumps({"error": reason}).encode(), "application/json")

    def answer(self, status: HTTPStatus, body: bytes, kind: str, cache: str = "no-store") -> None:
        """Send ``body`` of the content type ``kind``."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", cache)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "DENY")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: who looks at what and when is nobody's business but the database's."""
