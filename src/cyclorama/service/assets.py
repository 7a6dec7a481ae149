"""Uploaded files: kept by content, so that equal bytes are one asset of a key."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from sqlalchemy import RowMapping, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from cyclorama.service.store import Store, find, get_time
from cyclorama.service.tables import assets


def find_known(store: Store, key: str, digest: str) -> RowMapping | None:
    """The asset of ``key`` with the blob ``digest``, asked for now; None if there is none."""
    mine = (assets.c.id == _name(digest), assets.c.key == key)
    with store.write() as connection:
        connection.execute(update(assets).where(*mine).values(seen=get_time()))
        return connection.execute(select(assets).where(*mine)).mappings().first()


def keep_asset(
    store: Store, key: str, digest: str, size: int, name: str, media_type: str, facts: Mapping[str, Any]
) -> tuple[RowMapping, bool]:
    """The asset of ``key`` with the blob ``digest``, and whether it is new; a known one keeps its name.

    ``facts``: width, height, alpha, icc_profile, notes, thumbnail (a digest), where they are known.
    """
    stated = {"name": name, "media_type": media_type, "bytes": size, "sha256": digest, "facts": dict(facts)}
    times = dict.fromkeys(("created", "seen"), get_time())
    with suppress(IntegrityError), store.write() as connection:  # it is known already
        connection.execute(insert(assets).values(id=_name(digest), key=key, **stated, **times))
        return find(connection, assets, _name(digest), key), True
    row = find_known(store, key, digest)
    return (row, False) if row is not None else keep_asset(store, key, digest, size, name, media_type, facts)


def _name(digest: str) -> str:
    return f"as_{digest[:24]}"


def add_thumbnail(store: Store, row: RowMapping, digest: str) -> None:
    """Keep the thumbnail of an asset's ``row``."""
    with store.write() as connection:
        facts = {**row["facts"], "thumbnail": digest}
        connection.execute(update(assets).where(assets.c.seq == row["seq"]).values(facts=facts))


def drop_asset(store: Store, key: str, id: str) -> None:
    """Forget the asset; its file goes too, if no other key and no image has it. Raises UnknownIdError."""
    with store.write() as connection:
        row = find(connection, assets, id, key)
        connection.execute(delete(assets).where(assets.c.seq == row["seq"]))
        store.drop_unnamed(connection, filter(None, (row["sha256"], row["facts"].get("thumbnail"))))
