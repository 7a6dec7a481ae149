"""Each error has its status and its document; what broke inside the server is not told."""

from __future__ import annotations

import json

import pytest
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import DataError, OperationalError

from asgi import Answer, ask
from cyclorama import errors
from cyclorama.errors import CycloramaError
from cyclorama.service import problems

CLASSES = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, CycloramaError)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")
    count: int = Field(ge=1, le=9)
    name: str = ""


def build_app() -> FastAPI:
    app = FastAPI()

    @app.post("/body")
    def take(body: Body) -> dict[str, str]:
        return {"name": body.name}

    @app.get("/quota")
    def refuse() -> None:
        raise errors.QuotaError("wait", retry_after=2.2)

    @app.get("/broken")
    def fail() -> None:
        raise RuntimeError("secret /srv/data")

    @app.get("/disk")
    def fill() -> None:
        raise errors.OutputError("cannot write /srv/data")

    problems.install(app)
    return app


APP = build_app()


def post(text: str) -> Answer:
    return ask(APP, "POST", "/body", {"content-type": "application/json"}, [text.encode()])


@pytest.mark.parametrize("kind", CLASSES)
def test_each_class_has_a_status_and_a_document(kind: type[CycloramaError]) -> None:
    status, headers, body = problems.describe(kind("this went wrong; do that"), "r1")
    document = json.loads(body)
    assert status in {400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 500, 501, 503, 507}
    assert document["type"] == f"urn:cyclorama:error:{kind.__name__}"
    assert document["status"] == status
    assert document["title"] == kind.__doc__.partition("\n")[0]
    assert document["request_id"] == "r1"
    assert headers["Content-Type"] == "application/problem+json"
    told = issubclass(kind, errors.ServiceError | errors.MissingDependencyError) or status < 500
    assert (document["detail"] == "this went wrong; do that") == told


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (errors.InvertedMaskError, 400),
        (errors.UnknownIdError, 404),
        (errors.KeyReusedError, 422),
        (errors.HeavyImageError, 413),
        (errors.UnreadableImageError, 415),
        (errors.FetchError, 400),
        (errors.ModelFormatError, 500),
        (errors.WorkerLostError, 500),
        (errors.DiskFullError, 507),
    ],
)
def test_the_nearest_base_decides(kind: type[CycloramaError], status: int) -> None:
    assert problems.find_status(kind) == status


@pytest.mark.parametrize(
    ("text", "field", "said"),
    [
        ('{"count": 0}', "count", "count: must be at least 1, got 0"),
        ('{"count": 1, "cuont": 2}', "cuont", "cuont is no known field of the body; leave it out"),
        ("{}", "count", "count is missing in the body"),
        ('{"count": ', None, "the body is not JSON"),
        ("", None, "a value is missing in the body"),
    ],
)
def test_a_bad_request_is_told_by_its_field(text: str, field: str | None, said: str) -> None:
    answer = post(text)
    assert answer.status == 400
    assert answer.json["type"] == "urn:cyclorama:error:RequestError"
    assert answer.json["detail"].startswith(said)
    assert answer.json.get("field") == field


def test_half_a_surrogate_pair_comes_back_as_an_answer() -> None:
    assert post('{"count": "\\ud800"}').status == 400


def test_a_long_value_is_cut() -> None:
    assert len(post('{"count": "' + "9x" * 20_000 + '"}').json["detail"]) < 500


def test_nothing_at_an_address() -> None:
    assert ask(APP, "GET", "/nothing").json["type"] == "urn:cyclorama:error:RouteError"
    answer = ask(APP, "PUT", "/body")
    assert (answer.status, answer.json["status"], answer.headers["allow"]) == (405, 405, "POST")


def test_retry_after_is_in_whole_seconds() -> None:
    answer = ask(APP, "GET", "/quota")
    assert (answer.status, answer.headers["retry-after"]) == (429, "3")


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (DataError("INSERT", {}, ValueError("NUL")), 400, "RequestError"),
        (OperationalError("SELECT", {}, OSError("gone")), 503, "QueueFullError"),
    ],
)
def test_what_a_database_refuses(error: Exception, status: int, kind: str) -> None:
    found, headers, body = problems.describe(error, "r1")
    assert (found, json.loads(body)["type"]) == (status, f"urn:cyclorama:error:{kind}")
    assert b"INSERT" not in body
    assert ("Retry-After" in headers) == (status == 503)


def test_no_path_and_no_traceback_leaves(caplog: pytest.LogCaptureFixture) -> None:
    disk = ask(APP, "GET", "/disk")
    assert disk.status == 507
    assert b"/srv" not in disk.body
    [line] = [record.getMessage() for record in caplog.records]
    assert line == f"request {disk.json['request_id']}: cannot write /srv/data"
    messages: list[dict[str, object]] = []
    with pytest.raises(RuntimeError):  # goes on to the server's log
        ask(build_recorded(messages), "GET", "/broken")
    body = b"".join(m.get("body", b"") for m in messages)  # type: ignore[misc]
    assert messages[0]["status"] == 500
    assert b"secret" not in body
    assert b"request's id" in body


def build_recorded(messages: list[dict[str, object]]) -> object:
    async def app(scope: object, receive: object, send: object) -> None:
        async def keep(message: dict[str, object]) -> None:
            messages.append(message)

        await APP(scope, receive, keep)  # type: ignore[arg-type]

    return app
