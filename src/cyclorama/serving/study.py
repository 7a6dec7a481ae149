"""The study's page over HTTP, with answers in SQLite; for raters in one network, standard library only."""

from __future__ import annotations

import json
import re
import socket
import socketserver
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cyclorama.errors import OutputError, SettingsError
from cyclorama.evaluation.study.answers import format_answers, parse_answers
from cyclorama.evaluation.study.errors import AnswersError, StudyError
from cyclorama.evaluation.study.page import SERVER_MARK
from cyclorama.evaluation.study.store import AnswerStore
from cyclorama.evaluation.study.study import DATABASE_NAME, PAGE_FOLDER, PAGE_NAME, PICTURE_FOLDER, Study

MAX_REQUEST_BYTES = 2**20
_TIMEOUT_SECONDS = 30
_PICTURE = re.compile(r"/pictures/([0-9a-f]{12})\.jpg")


class StudyServer(ThreadingHTTPServer):
    """Serves one study; a thread per connection. Start with ``serve_forever``, stop with ``shutdown``.

    Only the page, the study's own pictures and a rater's own answers go out; the key is never read from here.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, folder: Path, study: Study, host: str, port: int) -> None:
        """Raises StudyError (no page), OutputError (database), SettingsError (address not free)."""
        if not 0 <= port <= 65535:
            raise SettingsError(f"--port must be 0 (any free one) to 65535, got {port}")
        page = folder / PAGE_FOLDER / PAGE_NAME
        try:
            text = page.read_text(encoding="utf-8")
        except OSError as error:
            raise StudyError(f"cannot read the page {page}: {error}; build the study again") from error
        if SERVER_MARK not in text or study.name not in text:
            raise StudyError(f"{page} is not the page of study {study.name}; build the study again")
        self.page = text.replace(SERVER_MARK, 'data-server="answers"', 1).encode()
        self.pictures = folder / PAGE_FOLDER / PICTURE_FOLDER
        self.study = study
        self.store = AnswerStore(folder / DATABASE_NAME, study.name)
        try:
            super().__init__((host, port), _Handler)
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


class _Handler(BaseHTTPRequestHandler):
    server: StudyServer
    protocol_version = "HTTP/1.1"
    server_version = "cyclorama-study"
    sys_version = ""
    timeout = _TIMEOUT_SECONDS

    def do_GET(self) -> None:
        place = urlsplit(self.path)
        if place.path in ("/", f"/{PAGE_NAME}"):
            self._answer(HTTPStatus.OK, self.server.page, "text/html; charset=utf-8")
        elif place.path == "/answers":
            self._send_answers(parse_qs(place.query).get("rater", [""])[0])
        elif match := _PICTURE.fullmatch(place.path):
            self._send_picture(match[1])
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "nothing here")

    def do_POST(self) -> None:
        if urlsplit(self.path).path != "/answers":
            self.close_connection = True  # its body is not read
            self._refuse(HTTPStatus.NOT_FOUND, "nothing here")
            return
        length = self.headers.get("Content-Length", "")
        # a page of another site cannot send this type without asking first, and asking is not answered
        if self.headers.get_content_type() != "application/json" or not length.isdecimal():
            self.close_connection = True
            self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send JSON with its length")
            return
        if int(length) > MAX_REQUEST_BYTES:
            self.close_connection = True
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {MAX_REQUEST_BYTES} bytes")
            return
        try:
            values = json.loads(self.rfile.read(int(length)))
            rater, answers = parse_answers(values, self.server.study, "the request")
            self.server.store.save(rater, answers)
        except (AnswersError, ValueError, RecursionError) as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
        except OutputError as error:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        else:
            self._answer(HTTPStatus.OK, b"{}\n", "application/json")

    def _send_answers(self, rater: str) -> None:
        if rater not in self.server.study.raters:
            self._refuse(HTTPStatus.NOT_FOUND, "unknown rater")
            return
        try:
            answers = self.server.store.load(rater).get(rater, [])
        except (OutputError, AnswersError) as error:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
            return
        values = format_answers(self.server.study, rater, answers)
        self._answer(HTTPStatus.OK, json.dumps(values).encode(), "application/json")

    def _send_picture(self, name: str) -> None:
        try:
            body = (self.server.pictures / f"{name}.jpg").read_bytes()
        except OSError:
            self._refuse(HTTPStatus.NOT_FOUND, "no such picture")
            return
        self._answer(HTTPStatus.OK, body, "image/jpeg", "private, max-age=86400")

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self._answer(status, json.dumps({"error": reason}).encode(), "application/json")

    def _answer(self, status: HTTPStatus, body: bytes, kind: str, cache: str = "no-store") -> None:
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
        """Nothing: who rates what and when is nobody's business but the database's."""
