"""The study's page over HTTP, with answers in SQLite; for raters in one network, standard library only."""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

from cyclorama.errors import StudyError
from cyclorama.lab.study.answers import AnswerStore, format_answers, parse_answers
from cyclorama.lab.study.page import SERVER_MARK
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

    def answer_get(self, place: str, query: dict[str, list[str]]) -> None:
        study, match = self.server.study, _IMAGE.fullmatch(place)
        image = self.server.images / f"{match[1]}.jpg" if match else None
        rater = query.get("rater", [""])[0] if place == "/answers" else ""
        if place in ("/", f"/{PAGE_NAME}"):
            self.answer(HTTPStatus.OK, self.server.page, "text/html; charset=utf-8")
        elif rater in study.raters:
            self.answer_json(format_answers(study, rater, self.server.store.load(rater).get(rater, [])))
        elif image is not None and image.is_file():
            self.answer(HTTPStatus.OK, image.read_bytes(), "image/jpeg", "private, max-age=86400")
        else:
            self.refuse(HTTPStatus.NOT_FOUND, "nothing here")

    def find_action(self, place: str) -> Callable[[Any], Any] | None:
        return self._keep if place == "/answers" else None

    def _keep(self, values: Any) -> dict[str, Any]:
        self.server.store.save(*parse_answers(values, self.server.study, "the request"))
        return {}
