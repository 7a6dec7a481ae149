"""The review page of a curating run over HTTP: items and images out, decisions in."""

from __future__ import annotations

import re
from http import HTTPStatus
from urllib.parse import unquote, urlsplit

from cyclorama.curate.review import Desk
from cyclorama.errors import InputError, OutputError
from cyclorama.local_server import LocalHandler, LocalServer

_IMAGE = re.compile(r"/images/([A-Za-z0-9][\w.-]{0,200}\.jpg)")


class ReviewServer(LocalServer):
    """Serves one review desk; a decision is on the disk when its request is answered."""

    def __init__(self, desk: Desk, host: str, port: int) -> None:
        """Raises SettingsError (address not free)."""
        self.desk = desk
        super().__init__(host, port, _Handler)


class _Handler(LocalHandler):
    server: ReviewServer
    server_version = "cyclorama-review"

    def do_GET(self) -> None:
        place = urlsplit(self.path).path
        desk = self.server.desk
        try:
            if place == "/":
                self.answer(HTTPStatus.OK, desk.page, "text/html; charset=utf-8")
            elif place == "/items":
                self.answer_json(desk.load_state())
            elif match := _IMAGE.fullmatch(unquote(place)):
                image = desk.load_image(match[1])
                if image is None:
                    self.refuse(HTTPStatus.NOT_FOUND, "no such image")
                else:
                    self.answer(HTTPStatus.OK, image, "image/jpeg", "private, no-cache")
            else:
                self.refuse(HTTPStatus.NOT_FOUND, "nothing here")
        except OutputError as error:
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, str(error))

    def do_POST(self) -> None:
        place = urlsplit(self.path).path
        act = {"/decisions": self.server.desk.decide, "/undo": self.server.desk.undo}.get(place)
        if act is None:
            self.close_connection = True  # its body is not read
            self.refuse(HTTPStatus.NOT_FOUND, "nothing here")
            return
        values = self.read_json()
        if values is None:
            return
        try:
            self.answer_json(act(values))
        except InputError as error:
            self.refuse(HTTPStatus.BAD_REQUEST, str(error))
        except OutputError as error:
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
