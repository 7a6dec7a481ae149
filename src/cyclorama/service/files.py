"""Files of the store as answers: streamed, cached by content, never interpreted by a browser as a page."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from cyclorama.service.context import Service

_BLOCK = 2**18
_SHOWN = ("image/",)


def send_blob(service: Service, request: Request, digest: str, media_type: str, name: str) -> Response:
    """The blob ``digest`` as file ``name``, or 304 if the client has it. Raises UnknownIdError."""
    headers = {
        "ETag": f'"{digest}"',
        "Cache-Control": "private, max-age=31536000, immutable",
        "Content-Disposition": name_file(name, "inline" if media_type.startswith(_SHOWN) else "attachment"),
        "X-Content-Type-Options": "nosniff",
    }
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    file = service.store.blobs.open(digest)

    def read() -> Iterator[bytes]:
        with file:
            while block := file.read(_BLOCK):
                yield block

    file.seek(0, 2)
    headers["Content-Length"] = str(file.tell())
    file.seek(0)
    return StreamingResponse(read(), media_type=media_type, headers=headers)


def name_file(name: str, kind: str = "attachment") -> str:
    """The value of Content-Disposition for any ``name``.

    >>> name_file("a.png")
    "attachment; filename*=UTF-8''a.png"
    """
    return f"{kind}; filename*=UTF-8''{quote(name, safe='')}"
