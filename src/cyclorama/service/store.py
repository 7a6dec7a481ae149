"""The service's memory: a database for what is said and ordered, files by content for what is large.

SQLite in the data folder, or PostgreSQL by URL; the same statements for both. Several processes and machines
may hold one store: what must be so at once is written in one transaction.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, RowMapping, create_engine, event, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from cyclorama.errors import OutputError, UnknownIdError
from cyclorama.service.blobs import Blobs
from cyclorama.service.tables import assets, images, make_tables

BUSY_SECONDS = 20
"""How long a writer waits for another one."""


class Store:
    """Database and blobs of one service; threads may share it, processes open one each."""

    def __init__(self, folder: Path, database: str | None = None, blobs: str | None = None) -> None:
        """``folder``: the data folder, made if need be; ``database``: URL of SQLAlchemy in place of
        ``folder/service.sqlite``; ``blobs``: address of fsspec in place of ``folder/blobs``.

        Raises OutputError (disk, a database that does not answer or is of another release), SettingsError (an
        address that is not known).
        """
        self.folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot use {folder} as data folder: {error.strerror}; name another"
            ) from error
        self.blobs = Blobs(blobs or str((folder / "blobs").absolute()))
        url = database or f"sqlite:///{(folder / 'service.sqlite').absolute()}"
        self.engine = create_engine(
            url, pool_size=16, max_overflow=32, pool_pre_ping=not url.startswith("sqlite")
        )
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        if self.is_sqlite:
            event.listen(self.engine, "connect", _open_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        self._writing = self.engine.execution_options(write=True)
        try:
            with self.write() as connection:
                make_tables(connection)
        except DBAPIError as error:
            shown = self.engine.url.render_as_string(hide_password=True)
            raise OutputError(f"the database {shown} cannot be used: {error.orig}; see --database") from error

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state of everything and writes nothing."""
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is kept as a whole when the block ends, or not at all."""
        with self._writing.begin() as connection:
            yield connection

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()

    def drop_unnamed(self, connection: Connection, digests: Iterable[str]) -> None:
        """Delete those blobs of ``digests`` that no asset and no finished image has."""
        for digest in set(digests) - set(list_named(connection)):
            self.blobs.drop(digest)

    def find_asset(self, id: str, key: str) -> RowMapping:
        """The row of asset ``id`` of ``key``. Raises UnknownIdError."""
        with self.read() as connection:
            return find(connection, assets, id, key)


def list_named(connection: Connection) -> Iterator[str]:
    """The digests of all blobs that rows name."""
    for sha256, facts in connection.execute(select(assets.c.sha256, assets.c.facts)):
        yield from filter(None, (sha256, facts.get("thumbnail")))
    for (files,) in connection.execute(select(images.c.files).where(images.c.state == "done")):
        yield from (files or {}).values()


def find(connection: Connection, table: Any, id: str, key: str) -> RowMapping:
    """The row ``id`` of ``table``, if it is ``key``'s. Raises UnknownIdError."""
    row = connection.execute(select(table).where(table.c.id == id, table.c.key == key)).mappings().first()
    if row is None:
        raise UnknownIdError(f"there is no {table.name.rstrip('s')} {id!r}; it was deleted, or is another's")
    return row


def upsert(connection: Connection, table: Any, keys: dict[str, Any], values: dict[str, Any]) -> None:
    """Write ``values`` into the row of ``table`` that has ``keys``, which is made if need be."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    row = insert(table).values(**keys, **values)
    connection.execute(row.on_conflict_do_update(index_elements=list(keys), set_=values))


def read_page(
    connection: Connection, table: Any, key: str, after: str | None, limit: int, *conditions: Any
) -> tuple[list[RowMapping], str | None]:
    """Up to ``limit`` rows of ``key``, newest first, and the cursor of the next page.

    Raises UnknownIdError (``after`` is no cursor).
    """
    query = select(table).where(table.c.key == key, *conditions).order_by(table.c.seq.desc()).limit(limit + 1)
    if after is not None:
        query = query.where(table.c.seq < find(connection, table, after, key)["seq"])
    rows = list(connection.execute(query).mappings())
    return rows[:limit], rows[limit - 1]["id"] if len(rows) > limit else None


class Changes:
    """Tells cheaply whether the store may have changed since one asked last; of one thread's own."""

    def __init__(self, store: Store) -> None:
        self.pause = 0.01 if store.is_sqlite else 0.1
        """Seconds between two questions."""
        self._connection = store.engine.raw_connection() if store.is_sqlite else None
        self._seen = -1

    def poll(self) -> bool:
        """Whether to look; always on PostgreSQL, where asking costs as much as looking."""
        if self._connection is None:
            return True
        seen = self._connection.cursor().execute("PRAGMA data_version").fetchone()[0]
        changed, self._seen = seen != self._seen, seen
        return bool(changed)

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()


def make_id(prefix: str) -> str:
    """An id that nobody can guess.

    >>> make_id("jb")[:3]
    'jb_'
    """
    return f"{prefix}_{secrets.token_hex(12)}"


def get_time() -> float:
    """Seconds since 1970, UTC, as all tables keep them."""
    return time.time()


def _open_sqlite(connection: Any, record: Any) -> None:
    connection.isolation_level = None  # transactions are begun by us, below
    for pragma in (f"busy_timeout = {BUSY_SECONDS * 1000}", "journal_mode = WAL", "synchronous = FULL"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def is_alive(store: Store) -> bool:
    """Whether the database answers."""
    try:
        with store.read() as connection:
            return bool(connection.execute(text("SELECT 1")).scalar_one())
    except DBAPIError:
        return False
