"""Which answer does an error get? RFC 9457 documents, made here and nowhere else.

``type`` is the class of :mod:`cyclorama.errors`, ``detail`` its sentence. What went wrong on the server's own
side is told by the request's id alone; its text stays in the log.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from uuid import uuid4

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DataError, OperationalError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from cyclorama import errors
from cyclorama.config import describe_value
from cyclorama.errors import CycloramaError, RequestError, ServiceError

STATUS: dict[type[CycloramaError], int] = {
    errors.CycloramaError: 500,
    errors.InputError: 400,
    errors.ConfigError: 400,
    errors.DataError: 400,
    errors.ModelNotFoundError: 400,
    errors.AccessError: 401,
    errors.ForbiddenError: 403,
    errors.RouteError: 404,
    errors.UnknownIdError: 404,
    errors.SlowBodyError: 408,
    errors.InProgressError: 409,
    errors.NotReadyError: 409,
    errors.BodyTooLargeError: 413,
    errors.ImageTooLargeError: 413,
    errors.UnreadableImageError: 415,
    errors.AnimatedImageError: 415,
    errors.KeyReusedError: 422,
    errors.QuotaError: 429,
    errors.MissingDependencyError: 501,
    errors.QueueFullError: 503,
    errors.DiskFullError: 507,
    errors.OutputError: 507,
}
"""Status by class; a class that is not listed has that of its nearest base."""
KIND = "application/problem+json"
_LOG = logging.getLogger("cyclorama.service")
_DRAIN_SECONDS = 2.0  # so long a refused body is still taken in, so that its sender comes to read the answer
_SHOWN = 200  # characters of a bad value that are repeated


def find_status(kind: type[CycloramaError]) -> int:
    """The HTTP status of an error's class."""
    return next(STATUS[base] for base in kind.__mro__ if base in STATUS)


def describe(error: Exception, request_id: str) -> tuple[int, dict[str, str], bytes]:
    """(status, headers, body) of the answer to ``error``, whatever its class."""
    headers = {"Content-Type": KIND, "Cache-Control": "no-store", **(getattr(error, "headers", None) or {})}
    given, error = error, _translate(error)
    status = getattr(given, "status_code", None) if isinstance(error, errors.RouteError) else None
    status = status or find_status(type(error))
    detail = str(error)
    if status >= 500 and not isinstance(error, ServiceError | errors.MissingDependencyError):
        detail = f"the server failed at this request; its log says why under the request's id, {request_id}"
    document = {
        "type": f"urn:cyclorama:error:{type(error).__name__}",
        "title": (type(error).__doc__ or "").partition("\n")[0],
        "status": status,
        "detail": detail,
        "request_id": request_id,
    }
    if getattr(error, "field", None):
        document["field"] = error.field  # type: ignore[attr-defined]
    if getattr(error, "retry_after", None) is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after))  # type: ignore[attr-defined]
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return status, headers, json.dumps(document).encode()  # ASCII: also half a surrogate pair can be sent


def _translate(error: Exception) -> CycloramaError:
    """``error`` in our own classes."""
    if isinstance(error, RequestValidationError):
        return describe_faults(error.errors())
    if isinstance(error, HTTPException):
        if isinstance(error.__cause__, CycloramaError):  # FastAPI wraps what reading a body raised
            return error.__cause__
        if error.status_code in (404, 405):
            return errors.RouteError(
                "there is nothing at this address for this method; GET /openapi.json lists what there is"
            )
        if error.status_code < 500:
            return RequestError(str(error.detail))
    if isinstance(error, ClientDisconnect):
        return RequestError("the client hung up before its body was whole")
    if isinstance(error, DataError):
        return RequestError(
            "a text or number of the request cannot be stored: too long, or a character like NUL"
        )
    if isinstance(error, OperationalError):
        return errors.QueueFullError("the database does not answer; try again in a moment", retry_after=5)
    return error if isinstance(error, CycloramaError) else CycloramaError(type(error).__name__)


def describe_faults(faults: Any) -> RequestError:
    """The first of pydantic's ``faults`` in a request: field, value, limit."""
    fault: Mapping[str, Any] = faults[0]
    place, *parts = fault["loc"] or ("body",)
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).lstrip(".")
    cause = (fault.get("ctx") or {}).get("error")
    if fault["type"] == "json_invalid":
        return RequestError(f"the body is not JSON: {cause}, at character {parts[0] if parts else 0}")
    if fault["type"] == "extra_forbidden":
        return RequestError(f"{field} is no known field of the {place}; leave it out", field)
    if fault["type"] == "missing":
        return RequestError(f"{field or 'a value'} is missing in the {place}", field or None)
    if isinstance(cause, CycloramaError):
        return RequestError(f"{field}: {cause}" if field else str(cause), field or None)
    said = describe_value(fault)
    said = said if len(said) <= 2 * _SHOWN else f"{said[:_SHOWN]} …"
    return RequestError(f"{field or place}: {said}", field or None)


def find_request_id(scope: Scope) -> str:
    """The id of the request, made at the first call."""
    state: dict[str, Any] = scope.setdefault("state", {})
    return str(state.setdefault("request_id", uuid4().hex))


async def refuse(
    error: CycloramaError, scope: Scope, receive: Receive, send: Send, ended: bool = False
) -> None:
    """Answer with ``error``, take a little more of the body if it has not ``ended``, and close."""
    status, headers, body = describe(error, find_request_id(scope))
    headers |= {"Content-Length": str(len(body)), "Connection": "close"}
    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    with suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            while not ended and (await receive()).get("more_body"):
                pass
    await send({"type": "http.response.body", "body": b""})


def install(app: FastAPI) -> None:
    """Let ``app`` answer every error with its problem document."""

    def answer(request: Request, error: Exception) -> Response:
        request_id = find_request_id(request.scope)
        status, headers, body = describe(error, request_id)
        if status >= 500:
            _LOG.error("request %s: %s", request_id, error, exc_info=error)
        return Response(body, status, headers)

    kinds = (
        CycloramaError,
        RequestValidationError,
        HTTPException,
        DataError,
        OperationalError,
        ClientDisconnect,
        Exception,
    )
    for kind in kinds:
        app.add_exception_handler(kind, answer)
