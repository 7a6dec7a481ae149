"""Batches: rows of the store, each with a folder of its own below the data folder.

::

    DIR/batches/bt_…/input/     the table, and its files by their names
    DIR/batches/bt_…/common/    reference, style, backdrop
    DIR/batches/bt_…/out/       the run, as `cyclorama generate` writes it
    DIR/batches/bt_…/told.json  what the child process has found or done
    DIR/batches/bt_…/runner.lock  held by the server whose child is at it

A batch is ``open``; ``checking`` brings it back there. ``queued``, then ``running``, it ends ``done``,
``failed`` or ``cancelled``, and may be run again: what is finished stays.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, func, insert, select, update

from cyclorama.config import to_plain
from cyclorama.errors import NotReadyError, QueueFullError, QuotaError, RequestError, UnknownIdError
from cyclorama.service.batch_input import clean_path, place_file
from cyclorama.service.batch_schemas import BatchRequest
from cyclorama.service.events import write_event
from cyclorama.service.store import Store, find, get_time, make_id
from cyclorama.service.tables import assets, batches
from cyclorama.service.webhooks import order_delivery

BUSY = ("checking", "queued", "running")
MAX_BUSY = 100
"""Batches of a server that are to be checked or run."""
MAX_BUSY_OF_A_KEY = 8
COMMON = ("reference", "reference_mask", "style", "backdrop")
"""Fields of a request that name assets."""


def find_folder(store: Store, id: str) -> Path:
    """Where a batch's files lie."""
    return store.folder / "batches" / id


def add_batch(connection: Connection, id: str, key: str, found: Mapping[str, Any], model: str) -> str:
    """Write down a new batch whose folder stands; its id."""
    request = to_plain_request(BatchRequest(model=model))
    values = {"id": id, "key": key, "found": dict(found), "request": request, "created": get_time()}
    connection.execute(insert(batches).values(state="open", retry=False, losses=0, **values))
    return id


def to_plain_request(request: BatchRequest) -> dict[str, Any]:
    """The request as plain values, with the settings that it names and no others."""
    settings = {name: to_plain(getattr(request.settings, name)) for name in request.settings.model_fields_set}
    return request.model_dump(mode="json", exclude={"settings"}) | {"settings": settings}


def link_assets(
    store: Store, key: str, files: Mapping[str, str], folder: Path, kept: str | None = None
) -> None:
    """Put assets below ``folder`` under the names of ``files``; the file called ``kept`` stays as it is.

    Raises UnknownIdError, RequestError (a name).
    """
    for name, id in files.items():
        path = clean_path(name)
        if path == kept:
            raise RequestError(f"{name!r} is the table's own name; rename the file", "files")
        link_blob(store, store.find_asset(id, key)["sha256"], place_file(folder, path))


def link_known(store: Store, key: str, ids: list[str], folder: Path) -> None:
    """Put the assets that a table's cells name beside it; others than ``key``'s are left out: their rows
    fail."""
    for start in range(0, len(ids), 500):
        part = ids[start : start + 500]
        query = select(assets.c.id, assets.c.sha256).where(assets.c.key == key, assets.c.id.in_(part))
        with store.read() as connection:
            rows = connection.execute(query).all()
        for id, digest in rows:
            link_blob(store, digest, place_file(folder, id))


def link_blob(store: Store, digest: str, target: Path) -> None:
    """Let ``target`` be the blob ``digest``; it outlives the asset. Raises UnknownIdError, OutputError."""
    source = store.blobs.fetch(digest, target.parent)
    if source.parent == target.parent:
        source.replace(target)
        return
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without links
        shutil.copyfile(source, target)


def link_common(store: Store, key: str, request: BatchRequest, folder: Path) -> None:
    """Put what all rows share into ``folder``, by the names it was uploaded with. Raises UnknownIdError."""
    shutil.rmtree(folder, ignore_errors=True)
    for field in COMMON:
        id = getattr(request, field)
        if id is not None:
            row = store.find_asset(id, key)
            link_blob(store, row["sha256"], place_file(folder, f"{field}/{row['name']}"))


def ask(
    store: Store, key: str, id: str, state: str, request: BatchRequest | None, retry: bool = False
) -> None:
    """Have a batch checked (``checking``) or run (``queued``), as ``request`` says or as it said before.

    Raises UnknownIdError, NotReadyError (in work already), QuotaError, QueueFullError.
    """
    with store.write() as connection:
        row = find(connection, batches, id, key)
        check_idle(row)
        if retry and row["state"] == "open":
            raise NotReadyError(f"batch {id} was not run yet; run it first")
        busy = select(func.count()).select_from(batches).where(batches.c.state.in_(BUSY))
        own = connection.execute(busy.where(batches.c.key == key)).scalar_one()
        if own >= MAX_BUSY_OF_A_KEY:
            raise QuotaError(
                f"{own} batches of this key are in work or wait, the limit is {MAX_BUSY_OF_A_KEY}", 60
            )
        if connection.execute(busy).scalar_one() >= MAX_BUSY:
            raise QueueFullError(f"{MAX_BUSY} batches are in work or wait here; come again later", 60)
        fresh: dict[str, Any] = {
            "state": state,
            "error": None,
            "losses": 0,
            "asked": get_time(),
            "retry": retry,
        }
        if request is not None:
            fresh["request"] = to_plain_request(request)
        if state == "queued":
            fresh |= {"result": None, "finished": None}
        connection.execute(update(batches).where(batches.c.id == id).values(**fresh, runner=None))
        write_event(connection, key, id, "queued", state="queued")


def check_idle(row: RowMapping) -> None:
    """Raise NotReadyError while the batch is being checked or run."""
    if row["state"] in BUSY:
        raise NotReadyError(f"batch {row['id']} is {row['state']}; wait until it has ended, or cancel it")


def cancel_batch(store: Store, key: str, id: str) -> None:
    """Let it end after the images in hand; finished ones stay. Raises UnknownIdError."""
    with store.write() as connection:
        row = find(connection, batches, id, key)
        if row["state"] not in BUSY:
            return
        state = "open" if row["state"] == "checking" else "cancelled"
        values = {"state": state, "finished": None if state == "open" else get_time()}
        connection.execute(update(batches).where(batches.c.id == id).values(**values))
        write_event(connection, key, id, "done", state="cancelled")
        if state == "cancelled":
            order_delivery(connection, "batch", row, state, {})


def drop_batch(store: Store, key: str, id: str) -> None:
    """Forget the batch and delete its folder. Raises UnknownIdError, NotReadyError (in work)."""
    with store.write() as connection:
        check_idle(find(connection, batches, id, key))
        connection.execute(delete(batches).where(batches.c.id == id))
    shutil.rmtree(find_folder(store, id), ignore_errors=True)


def find_batch(store: Store, key: str, id: str) -> RowMapping:
    """The row of a batch. Raises UnknownIdError."""
    with store.read() as connection:
        return find(connection, batches, id, key)


def begin_batch(store: Store) -> tuple[str, Path]:
    """A new id and its folder, made."""
    id = make_id("bt")
    folder = find_folder(store, id)
    (folder / "input").mkdir(parents=True)
    return id, folder


def count_files(folder: Path, table: str | None) -> int:
    """How many files came with the batch in ``folder``."""
    found = sum(len(files) for _, _, files in os.walk(folder / "input"))
    return found - (table is not None)


def note_files(store: Store, id: str) -> None:
    """Write down that files came."""
    with store.write() as connection:
        mine = batches.c.id == id
        found = connection.execute(select(batches.c.found).where(mine)).scalar_one()
        files = count_files(find_folder(store, id), found["name"])
        rows = files if found["name"] is None else found["rows"]
        connection.execute(update(batches).where(mine).values(found={**found, "files": files, "rows": rows}))


def list_left(store: Store) -> Iterator[Path]:
    """Folders of batches that no row tells of any more."""
    with store.read() as connection:
        known = set(connection.execute(select(batches.c.id)).scalars())
    root = store.folder / "batches"
    yield from (path for path in (root.iterdir() if root.is_dir() else ()) if path.name not in known)


def list_rows(
    out: Path, after: int, limit: int, status: str | None = None
) -> tuple[list[dict[str, Any]], int | None]:
    """Up to ``limit`` finished rows of a run with numbers above ``after``, and the number to go on from."""
    from cyclorama.generation.plan import load_plan
    from cyclorama.generation.results import RESULT_SCHEMA
    from cyclorama.jobs.store import ShardStore

    store, found = ShardStore(out), list[dict[str, Any]]()
    if not store.plan_folder.exists():
        return [], None
    plan = load_plan(store.plan_folder)
    for shard in range((after + 1) // plan.shard_size, len(plan.keys)):
        mark = store.load_mark(shard)
        if status == "failed" and mark is not None and not mark["failed"]:
            continue
        known = (
            [entry["result"] for entry in store.read_journal(shard) if "result" in entry]
            if mark is None
            else store.load_rows(shard)
        )
        for row in sorted(known, key=lambda row: row["row"]):
            if row["row"] > after and status in (None, row["status"]):
                if len(found) == limit:
                    return found, found[-1]["row"]
                found.append({name: row[name] for name in RESULT_SCHEMA.names if row.get(name) is not None})
    return found, None


def read_row(out: Path, number: int) -> dict[str, Any]:
    """The row ``number`` (from 0) of a run. Raises UnknownIdError (no such row, or not finished)."""
    rows, _ = list_rows(out, number - 1, 1)
    if not rows or rows[0]["row"] != number:
        raise UnknownIdError(f"there is no finished row {number}")
    return rows[0]
