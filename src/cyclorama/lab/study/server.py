"""The study's page over HTTP, with answers in SQLite; for raters in one network, standard library only."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cyclorama.errors import AnswersError, OutputError, StudyError
from cyclorama.lab.study.answers import format_answers, parse_answers
from cyclorama.lab.study.page import SERVER_MARK
from cyclorama.lab.study.store import AnswerStore
from cyclorama.lab.study.study import DATABASE_NAME, IMAGE_FOLDER, PAGE_FOLDER, PAGE_NAME, Study
from cyclorama.local_server import LocalHandler, LocalServer, check_port

_IMAGE = re.compile(r"/images/([0-9a-f]{12})\.jpg")


class StudyServer(LocalServer):
    """Serves one study.

    Only the page, the study's own images and a rater's own answers go out; the key is never read from here.
    """

    def __init__(self, folder: Path, study: Study, host: str, port: int) -> None:
        """Raises StudyError (no page), OutputError (database), SettingsError (address not free)."""
        check_port(port)
        page = folder / PAGE_FOLDER / PAGE_NAME
        try:
            text = page.read_text(encoding="utf-8")
        except OSError as error:
            raise StudyError(f"cannot read the page {page}: {error}; build the study again") from error
        if SERVER_MARK not in text or study.name not in text:
            raise StudyError(f"{page} is not the page of study {study.name}; build the study again")
        self.page = text.replace(SERVER_MARK, 'data-server="answers"', 1).encode()
        self.images = folder / PAGE_FOLDER / IMAGE_FOLDER
        self.study = study
        self.store = AnswerStore(folder / DATABASE_NAME, study.name)
        super().__init__(host, port, _StudyHandler)


class _StudyHandler(LocalHandler):
    server: StudyServer
    server_version = "cyclorama-study"

    def do_GET(self) -> None:
        place = urlsplit(self.path)
        if place.path in ("/", f"/{PAGE_NAME}"):
            self.answer(HTTPStatus.OK, self.server.page, "text/html; charset=utf-8")
        elif place.path == "/answers":
            self._send_answers(parse_qs(place.query).get("rater", [""])[0])
        elif match := _IMAGE.fullmatch(place.path):
            self._send_image(match[1])
        else:
            self.refuse(HTTPStatus.NOT_FOUND, "nothing here")

    def do_POST(self) -> None:
        if urlsplit(self.path).path != "/answers":
            self.close_connection = True  # its body is not read
            self.refuse(HTTPStatus.NOT_FOUND, "nothing here")
            return
        body = self.read_body()
        if body is None:
            return
        try:
            rater, answers = parse_answers(json.loads(body), self.server.study, "the request")
            self.server.store.save(rater, answers)
        except (AnswersError, ValueError, RecursionError) as error:
            self.refuse(HTTPStatus.BAD_REQUEST, str(error))
        except OutputError as error:
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        else:
            self.answer(HTTPStatus.OK, b"{}\n", "application/json")

    def _send_answers(self, rater: str) -> None:
        if rater not in self.server.study.raters:
            self.refuse(HTTPStatus.NOT_FOUND, "unknown rater")
            return
        try:
            answers = self.server.store.load(rater).get(rater, [])
        except (OutputError, AnswersError) as error:
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
            return
        values = format_answers(self.server.study, rater, answers)
        self.answer(HTTPStatus.OK, json.dumps(values).encode(), "application/json")

    def _send_image(self, name: str) -> None:
        try:
            body = (self.server.images / f"{name}.jpg").read_bytes()
        except OSError:
            self.refuse(HTTPStatus.NOT_FOUND, "no such image")
            return
        self.answer(HTTPStatus.OK, body, "image/jpeg", "private, max-age=86400")
