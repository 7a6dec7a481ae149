"""Finished images: found again, judged by people, deleted."""

from __future__ import annotations

from typing import Any

from sqlalchemy import RowMapping, select, update

from cyclorama.errors import NotReadyError
from cyclorama.service.schemas import ImageChange
from cyclorama.service.store import Store, find, get_time, read_page
from cyclorama.service.tables import images


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
    """Delete the image's files that no other image has. Raises UnknownIdError, NotReadyError (being made)."""
    with store.write() as connection:
        row = find(connection, images, id, key)
        if row["state"] in ("queued", "running"):
            raise NotReadyError(f"image {id} is {row['state']}; cancel its job first")
        gone = {"state": "cancelled", "files": None, "result": None}
        connection.execute(update(images).where(images.c.id == id).values(**gone))
        kept = {
            digest
            for (files,) in connection.execute(select(images.c.files).where(images.c.state == "done"))
            for digest in (files or {}).values()
        }
        for digest in set((row["files"] or {}).values()) - kept:
            store.blobs.drop(digest)
