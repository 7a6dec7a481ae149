"""Uploaded files: kept by content, so that equal bytes are one asset of a key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import RowMapping, delete, insert, select, update

from cyclorama.service.store import Store, find, get_time
from cyclorama.service.tables import assets


def keep_asset(
    store: Store, key: str, digest: str, size: int, name: str, media_type: str, facts: Mapping[str, Any]
) -> tuple[RowMapping, bool]:
    """The asset of ``key`` with the blob ``digest``, and whether it is new; a known one keeps its name.

    ``facts``: width, height, alpha, icc_profile, notes, thumbnail (a digest), where they are known.
    """
    id = f"as_{digest[:24]}"
    with store.write() as connection:
        query = select(assets).where(assets.c.id == id, assets.c.key == key)
        row = connection.execute(query).mappings().first()
        if row is not None:
            connection.execute(update(assets).where(assets.c.seq == row["seq"]).values(seen=get_time()))
            return row, False
        stated = {"name": name, "media_type": media_type, "bytes": size, "sha256": digest}
        values = {"id": id, "key": key, "facts": dict(facts), **stated}
        values["created"] = values["seen"] = get_time()
        connection.execute(insert(assets).values(**values))
        return connection.execute(query).mappings().one(), True


def drop_asset(store: Store, key: str, id: str) -> None:
    """Forget the asset; its file goes too, if no other key has it. Raises UnknownIdError."""
    with store.write() as connection:
        row = find(connection, assets, id, key)
        connection.execute(delete(assets).where(assets.c.seq == row["seq"]))
        same = select(assets.c.id).where(assets.c.sha256 == row["sha256"])
        if connection.execute(same).first() is None:
            for digest in filter(None, (row["sha256"], row["facts"].get("thumbnail"))):
                store.blobs.drop(digest)
