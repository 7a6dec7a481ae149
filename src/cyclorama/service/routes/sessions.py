"""Sessions: how a browser comes in, by a link that works once or by a key, and who asks."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from cyclorama.service import keys
from cyclorama.service.auth import COOKIE, read_session
from cyclorama.service.context import Here, Key
from cyclorama.service.schemas import Me, SessionRequest

router = APIRouter(tags=["sessions"])


@router.get("/enter", status_code=303, response_class=RedirectResponse)
def enter(code: Annotated[str, Query(max_length=100)], request: Request, service: Here) -> Response:
    """Open a session by a link's code, which is then used up, and go to the page."""
    answer = RedirectResponse("/", 303)
    _set_cookie(answer, request, keys.open_session(service.store, code))
    return answer


@router.post("/v1/session", status_code=204)
def open_session(order: SessionRequest, request: Request, service: Here) -> Response:
    """Open a session by a key."""
    answer = Response(status_code=204)
    _set_cookie(answer, request, keys.open_session_of(service.store, order.key))
    return answer


@router.delete("/v1/session", status_code=204)
def close_session(request: Request, service: Here) -> Response:
    """End the session."""
    keys.close_session(service.store, read_session(request.headers))
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE)
    return answer


@router.get("/v1/me", response_model=Me)
def read_me(request: Request, key: Key) -> Me:
    """Who asks, and what that one may do."""
    return Me(key=key, scopes=request.scope["state"]["scopes"])


def _set_cookie(answer: Response, request: Request, token: str) -> None:
    answer.set_cookie(
        COOKIE,
        token,
        max_age=keys.SESSION_SECONDS,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
