"""``cyclorama serve keys``: who may use the service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import cyclopts
from cyclopts import Parameter

if TYPE_CHECKING:
    from cyclorama.service.store import Store

Scope = Literal["generate", "studio", "review", "admin"]
Data = Annotated[Path, Parameter(name="--data")]
keys = cyclopts.App(name="keys", help="Add, list and revoke keys of the service, and links for browsers.")
FOLDER = Path("cyclorama-data")


@contextmanager
def _open(data: Path, database: str | None) -> Iterator[Store]:
    from cyclorama.errors import import_optional

    import_optional("sqlalchemy", "the service needs further packages: pip install 'cyclorama[serve]'")
    from cyclorama.service.store import Store

    store = Store(data, database)
    try:
        yield store
    finally:
        store.close()


@keys.command
def add(
    name: Annotated[str, Parameter(name="NAME")],
    /,
    *,
    scope: Annotated[tuple[Scope, ...], Parameter(negative="", consume_multiple=False)] = (
        "generate",
        "studio",
    ),
    data: Data = FOLDER,
    database: str | None = None,
) -> None:
    """Make a key and print it, this once; the server keeps only its hash.

    Parameters
    ----------
    name
        Whose key it is.
    scope
        What it may do; may be repeated. generate: make images. studio: also the page and verdicts. review:
        verdicts only. admin: everything, and metrics.
    data
        Data folder of the server.
    database
        URL of its database, if it is not in the data folder.
    """
    from cyclorama.service.keys import add_key

    with _open(data, database) as store:
        print(add_key(store, name, scope))


@keys.command(name="list")
def list_all(*, data: Data = FOLDER, database: str | None = None) -> None:
    """List keys: id, name, scopes, since when, and whether revoked.

    Parameters
    ----------
    data
        Data folder of the server.
    database
        URL of its database, if it is not in the data folder.
    """
    from cyclorama.service.keys import list_keys

    with _open(data, database) as store:
        for row in list_keys(store):
            since = datetime.fromtimestamp(row["created"], UTC).date()
            state = "" if row["revoked"] is None else "  revoked"
            print(f"{row['id']}  {row['name']}  {','.join(row['scopes'])}  {since}{state}")


@keys.command
def revoke(
    id: Annotated[str, Parameter(name="ID")], /, *, data: Data = FOLDER, database: str | None = None
) -> None:
    """End a key and all sessions that it opened, at once.

    Parameters
    ----------
    id
        As `list` shows it.
    data
        Data folder of the server.
    database
        URL of its database, if it is not in the data folder.
    """
    from cyclorama.service.keys import revoke_key

    with _open(data, database) as store:
        revoke_key(store, id)


@keys.command
def link(
    id: Annotated[str, Parameter(name="ID")],
    /,
    *,
    url: str = "http://127.0.0.1:8756",
    data: Data = FOLDER,
    database: str | None = None,
) -> None:
    """Print a link that opens the page in a browser as this key, once, within 15 minutes.

    Parameters
    ----------
    id
        As `list` shows it.
    url
        Where the browser reaches the server.
    data
        Data folder of the server.
    database
        URL of its database, if it is not in the data folder.
    """
    from cyclorama.service.keys import add_link

    with _open(data, database) as store:
        print(f"{url.rstrip('/')}/enter?code={add_link(store, id)}")
