"""Who may ask: keys of programs, sessions of browsers, links that open a session once.

A key is ``cyc_<id>_<secret>``. Of keys, sessions and links only a SHA-256 is kept; each has far too many bits
to be guessed, so no slow hash is needed.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, insert, select, update

from cyclorama.errors import AccessError, SettingsError, UnknownIdError
from cyclorama.service.store import Store, get_time
from cyclorama.service.tables import keys, sessions

SCOPES = ("generate", "studio", "review", "admin")
"""What a key may do: make images; use the page, verdicts included; give verdicts; all, and see metrics."""
LINK_SECONDS = 15 * 60
SESSION_SECONDS = 30 * 86400


@dataclass(frozen=True)
class Access:
    """Who asks, and what that one may do."""

    key: str
    """The key's id."""
    scopes: frozenset[str]


LOCAL = Access("local", frozenset(SCOPES))
"""Everybody, where no keys are asked for."""


def add_key(store: Store, name: str, scopes: Sequence[str]) -> str:
    """A new key, which is shown this once. Raises SettingsError (no name, unknown scope)."""
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise SettingsError(f"scopes are {', '.join(SCOPES)}; got {', '.join(unknown) or 'none'}")
    if not name.strip() or len(name) > 100:
        raise SettingsError(f"a key's name has 1 to 100 letters, got {len(name.strip())}; say whose it is")
    id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    with store.write() as connection:
        connection.execute(
            insert(keys).values(
                id=id,
                name=name.strip(),
                secret_sha256=_hash(secret),
                scopes=sorted(set(scopes), key=SCOPES.index),
                created=get_time(),
            )
        )
    return f"cyc_{id}_{secret}"


def list_keys(store: Store) -> list[dict[str, Any]]:
    """All keys, oldest first, without secrets."""
    columns = [column for column in keys.c if column.name != "secret_sha256"]
    with store.read() as connection:
        rows = connection.execute(select(*columns).order_by(keys.c.created)).mappings()
        return [dict(row) for row in rows]


def revoke_key(store: Store, id: str) -> None:
    """End key ``id`` and its sessions, at once. Raises UnknownIdError."""
    with store.write() as connection:
        valid = keys.c.id == id, keys.c.revoked.is_(None)
        if not connection.execute(update(keys).where(*valid).values(revoked=get_time())).rowcount:
            raise UnknownIdError(f"there is no key {id!r} that is valid; see cyclorama serve keys list")
        connection.execute(delete(sessions).where(sessions.c.key == id))


def check_key(store: Store, text: str) -> Access:
    """Whose key ``text`` is. Raises AccessError (malformed, unknown, revoked), without saying which."""
    prefix, _, rest = text.partition("_")
    id, _, secret = rest.partition("_")
    with store.read() as connection:
        row = connection.execute(select(keys).where(keys.c.id == id)).mappings().first()
    known = row["secret_sha256"] if row is not None else "0" * 64
    right = hmac.compare_digest(known, _hash(secret)) and prefix == "cyc"
    if row is None or not right or row["revoked"] is not None:
        raise AccessError("this key is unknown or revoked; ask the server's owner for another one")
    return Access(id, frozenset(row["scopes"]))


def add_link(store: Store, id: str) -> str:
    """A code that opens one session of key ``id`` within LINK_SECONDS. Raises UnknownIdError."""
    with store.write() as connection:
        valid = select(keys.c.id).where(keys.c.id == id, keys.c.revoked.is_(None))
        if connection.execute(valid).first() is None:
            raise UnknownIdError(f"there is no key {id!r} that is valid; see cyclorama serve keys list")
        return _add_session(connection, id, "link", LINK_SECONDS)


def open_session(store: Store, code: str) -> str:
    """The token of a new session for the ``code`` of a link, which is then used up. Raises AccessError."""
    mine = sessions.c.sha256 == _hash(code), sessions.c.kind == "link"
    with store.write() as connection:
        row = connection.execute(select(sessions).where(*mine)).mappings().first()
        connection.execute(delete(sessions).where(*mine))
        if row is not None and row["expires"] > get_time():
            return _add_session(connection, row["key"], "session", SESSION_SECONDS)
    raise AccessError("this link was used or is too old; get another one: cyclorama serve keys link")


def open_session_of(store: Store, key: str) -> str:
    """The token of a new session for the text of a ``key``. Raises AccessError."""
    id = check_key(store, key).key
    with store.write() as connection:
        return _add_session(connection, id, "session", SESSION_SECONDS)


def check_session(store: Store, token: str) -> Access:
    """Whose session ``token`` is. Raises AccessError (unknown, ended, its key revoked)."""
    query = select(keys.c.id, keys.c.scopes).join(sessions, sessions.c.key == keys.c.id)
    query = query.where(
        sessions.c.sha256 == _hash(token),
        sessions.c.kind == "session",
        sessions.c.expires > get_time(),
        keys.c.revoked.is_(None),
    )
    with store.read() as connection:
        row = connection.execute(query).mappings().first()
    if row is None:
        raise AccessError("this session has ended; open the page by a new link, or give a key")
    return Access(row["id"], frozenset(row["scopes"]))


def close_session(store: Store, token: str) -> None:
    """End a session; one that is unknown has ended already."""
    with store.write() as connection:
        connection.execute(delete(sessions).where(sessions.c.sha256 == _hash(token)))


def _add_session(connection: Any, key: str, kind: str, seconds: float) -> str:
    now, token = get_time(), secrets.token_urlsafe(32)
    connection.execute(delete(sessions).where(sessions.c.expires < now))
    connection.execute(
        insert(sessions).values(sha256=_hash(token), key=key, kind=kind, expires=now + seconds)
    )
    return token


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
