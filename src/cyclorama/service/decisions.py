"""Finished images: found again, judged by people, put together anew, deleted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import RowMapping, func, insert, select, update

from cyclorama.errors import NotReadyError
from cyclorama.service.events import write_event
from cyclorama.service.recompose import PARTS
from cyclorama.service.schemas import ImageChange
from cyclorama.service.store import Store, find, get_time, make_id, read_page
from cyclorama.service.tables import images, jobs


def read_images(
    store: Store,
    key: str,
    after: str | None,
    limit: int,
    state: str | None = None,
    decision: str | None = None,
    name: str | None = None,
) -> tuple[list[RowMapping], str | None]:
    """A page of images, newest first, and the next cursor. Raises UnknownIdError."""
    conditions = []
    if state is not None:
        conditions.append(images.c.state == state)
    if decision is not None:
        conditions.append(images.c.decision == decision)
    if name is not None:
        conditions.append(images.c.name.icontains(name, autoescape=True))
    with store.read() as connection:
        return read_page(connection, images, key, after, limit, *conditions)


def read_done(store: Store, key: str, id: str) -> RowMapping:
    """The row of a finished image. Raises UnknownIdError, NotReadyError."""
    with store.read() as connection:
        row = find(connection, images, id, key)
    if row["state"] != "done":
        raise NotReadyError(f"image {id} is {row['state']}; it has files once it is done")
    return row


def decide(store: Store, key: str, id: str, change: ImageChange) -> RowMapping:
    """Write a verdict down. Raises UnknownIdError, NotReadyError (nothing to see yet)."""
    with store.write() as connection:
        row = find(connection, images, id, key)
        if row["state"] != "done":
            raise NotReadyError(f"image {id} is {row['state']}; judge it once it is done")
        values: dict[str, Any] = {"decision": change.decision, "reasons": change.reasons, "note": change.note}
        values["decided"] = None if change.decision == "open" else get_time()
        connection.execute(update(images).where(images.c.id == id).values(**values))
        return find(connection, images, id, key)


def delete_image(store: Store, key: str, id: str) -> None:
    """Delete the image's files that neither another image nor an asset has.

    Raises UnknownIdError, NotReadyError (being made).
    """
    with store.write() as connection:
        row = find(connection, images, id, key)
        if row["state"] in ("queued", "running"):
            raise NotReadyError(f"image {id} is {row['state']}; cancel its job first")
        gone = {"state": "cancelled", "files": None, "result": None}
        connection.execute(update(images).where(images.c.id == id).values(**gone))
        store.drop_unnamed(connection, (row["files"] or {}).values())


def keep_file(store: Store, id: str, kind: str, digest: str) -> None:
    """Let an image have a file that was made of it later, unless it was deleted meanwhile."""
    with store.write() as connection:
        mine = images.c.id == id
        files = connection.execute(select(images.c.files).where(mine).with_for_update()).scalar()
        if files:
            connection.execute(update(images).where(mine).values(files={**files, kind: digest}))


def keep_image(
    store: Store, parent: RowMapping, said: Mapping[str, Any], files: Mapping[str, str], seconds: float
) -> RowMapping:
    """The row of a new image of the job of ``parent``, published. Raises UnknownIdError (the job is gone)."""
    result = {**parent["result"], **said, "sha256": files["file"], "verdict": None, "seconds": seconds}
    kept = {name: parent["files"][name] for name in (*PARTS, "cut") if name in parent["files"]}
    spot = {name: parent[name] for name in ("item", "output")}
    with store.write() as connection:
        connection.execute(select(jobs.c.id).where(jobs.c.id == parent["job"]).with_for_update())
        find(connection, jobs, parent["job"], parent["key"])  # it is still there
        last = select(func.max(images.c.candidate)).where(
            images.c.job == parent["job"], images.c.item == spot["item"], images.c.output == spot["output"]
        )
        spot["candidate"] = connection.execute(last).scalar_one() + 1
        id, now = make_id("im"), get_time()
        stated = {name: parent[name] for name in ("job", "key", "lane", "name")}
        values = {"state": "done", "losses": 0, "created": now, "finished": now, "parent": parent["id"]}
        connection.execute(
            insert(images).values(id=id, **stated, **spot, **values, result=result, files={**kept, **files})
        )
        write_event(connection, parent["key"], parent["job"], "image", image=id, **spot)
        return find(connection, images, id, parent["key"])
