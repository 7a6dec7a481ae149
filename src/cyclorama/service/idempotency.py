"""A request that comes again, since its client lost the answer: done once, answered as the first time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from cyclorama.errors import InProgressError, KeyReusedError, RequestError
from cyclorama.service.store import Store, get_time
from cyclorama.service.tables import idempotency

if TYPE_CHECKING:
    from fastapi import Request

MAX_TOKEN = 255


def read_token(request: Request) -> str | None:
    """The request's Idempotency-Key. Raises RequestError (its length)."""
    token = request.headers.get("idempotency-key")
    if token is not None and not 1 <= len(token) <= MAX_TOKEN:
        raise RequestError(f"an Idempotency-Key has 1 to {MAX_TOKEN} characters, this one {len(token)}")
    return token


def compute_fingerprint(request: Request, values: Any) -> str:
    """The digest of a request: its route and plain ``values`` of its body."""
    return hashlib.sha256(json.dumps([request.url.path, values], sort_keys=True).encode()).hexdigest()


def do_once(
    store: Store,
    key: str,
    server: str,
    token: str | None,
    fingerprint: str,
    make: Callable[[Connection], str],
) -> tuple[str, dict[str, Any] | None]:
    """The id that ``make`` gives, or gave when ``token`` came before, and the answer of that time.

    ``token``: the request's idempotency key; ``server``: which start of the server asks. A request that an
    earlier start did not answer any more is taken up again.

    Raises KeyReusedError, InProgressError, and what ``make`` does.
    """
    values = (store, key, server, token, fingerprint, make)
    try:
        return _do_once(*values)
    except IntegrityError:  # the same request came in the same moment, and was first
        return _do_once(*values)


def _do_once(
    store: Store,
    key: str,
    server: str,
    token: str | None,
    fingerprint: str,
    make: Callable[[Connection], str],
) -> tuple[str, dict[str, Any] | None]:
    with store.write() as connection:
        if token is None:
            return make(connection), None
        mine = (idempotency.c.key == key, idempotency.c.token == token)
        row = connection.execute(select(idempotency).where(*mine)).mappings().first()
        if row is None:
            made = make(connection)
            values = {"key": key, "token": token, "fingerprint": fingerprint, "job": made, "server": server}
            connection.execute(insert(idempotency).values(**values, created=get_time()))
            return made, None
        if row["fingerprint"] != fingerprint:
            raise KeyReusedError(
                f"the idempotency key {token!r} came before with another request; give each request its own"
            )
        if row["answer"] is None and row["server"] == server:
            raise InProgressError(f"the first request with this key is in work as {row['job']}; ask for it")
        connection.execute(update(idempotency).where(*mine).values(server=server))
        return row["job"], row["answer"]


def forget(store: Store, key: str, token: str | None) -> None:
    """Let a request that failed come again with its token."""
    with store.write() as connection:
        connection.execute(delete(idempotency).where(idempotency.c.key == key, idempotency.c.token == token))


def keep_answer(store: Store, key: str, token: str | None, answer: dict[str, Any]) -> None:
    """Keep the first answer to an idempotency key, to be given again."""
    if token is None:
        return
    with store.write() as connection:
        mine = (idempotency.c.key == key, idempotency.c.token == token)
        connection.execute(update(idempotency).where(*mine).values(answer=answer))
