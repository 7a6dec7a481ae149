"""The studio: the page's files, as they lie in ``service/studio``, and nothing from anywhere else."""

from __future__ import annotations

import gzip
import hashlib
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request, Response

from cyclorama.errors import RouteError

router = APIRouter(include_in_schema=False)
_TYPES = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "json": "application/json",
    "svg": "image/svg+xml",
}


@router.get("/")
def read_page(request: Request) -> Response:
    """The page."""
    return _send("index.html", request)


@router.get("/studio/{name:path}")
def read_studio_file(name: str, request: Request) -> Response:
    """One of the page's files."""
    return _send(name, request)


@cache
def list_files() -> dict[str, bytes]:
    """The page's files by their name below ``/studio/``."""
    folder = files("cyclorama.service") / "studio"
    places = [(entry.name, entry) for entry in folder.iterdir()]
    places += [(f"words/{entry.name}", entry) for entry in (folder / "words").iterdir()]
    return {name: entry.read_bytes() for name, entry in places if name.rpartition(".")[2] in _TYPES}


@cache
def _compress(name: str) -> bytes:
    return gzip.compress(list_files()[name], mtime=0)


def _send(name: str, request: Request) -> Response:
    content = list_files().get(name)
    if content is None:
        raise RouteError(f"the page has no file {name!r}")
    headers = {"Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        content, headers["Content-Encoding"] = _compress(name), "gzip"
    headers["ETag"] = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=f"{_TYPES[name.rpartition('.')[2]]}; charset=utf-8")
