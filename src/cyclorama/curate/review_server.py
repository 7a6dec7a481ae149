"""The review page of a curating run over HTTP: items and images out, decisions in."""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from cyclorama.curate.review import Desk
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

    def answer_get(self, place: str, query: dict[str, list[str]]) -> None:
        desk = self.server.desk
        match = _IMAGE.fullmatch(unquote(place))
        image = desk.load_image(match[1]) if match else None
        if place == "/":
            self.answer(HTTPStatus.OK, desk.page, "text/html; charset=utf-8")
        elif place == "/items":
            self.answer_json(desk.load_state())
        elif image is not None:
            self.answer(HTTPStatus.OK, image, "image/jpeg", "private, no-cache")
        else:
            self.refuse(HTTPStatus.NOT_FOUND, "no such image" if match else "nothing here")

    def find_action(self, place: str) -> Callable[[Any], Any] | None:
        return {"/decisions": self.server.desk.decide, "/undo": self.server.desk.undo}.get(place)
