"""Where in a tar does each member lie, so that an image is one seek and one read?

One pass over the headers (and the small JSON members) with ``tarfile``, which does not notice by itself that
a tar was cut between two members. webdataset no longer ships its ``wids`` for this.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from cyclorama.data.addresses import open_file, read_bytes
from cyclorama.data.structured import RawRow
from cyclorama.errors import DataError

IMAGE_MEMBERS = ("png", "jpg", "jpeg", "webp")
MASK_MEMBERS = tuple(f"mask.{suffix}" for suffix in IMAGE_MEMBERS)


class ShardEntry(NamedTuple):
    """Where one image of a shard lies."""

    key: str
    shard: str
    members: dict[str, str]
    """Suffix -> address (``shard.tar::OFFSET+SIZE``) of each member."""
    meta: dict[str, Any] | None
    """The JSON member; None if there is none."""

    def find(self, suffixes: tuple[str, ...]) -> str | None:
        """The first of ``suffixes`` that the image has a member of."""
        return next((suffix for suffix in suffixes if suffix in self.members), None)

    def read(self, suffix: str) -> bytes:
        """A member's content. Raises DataError: no such member, or the shard has shrunk or gone."""
        if suffix not in self.members:
            raise DataError(
                f"{self.shard}: key {self.key!r} has no member {suffix}; it has {[*self.members]}"
            )
        try:
            return read_bytes(self.members[suffix])
        except DataError as error:
            raise DataError(f"key {self.key!r}: {error}") from error


def scan_shard(shard: str) -> list[ShardEntry]:
    """The images of ``shard`` in its order. A member's name is cut at its first dot, as WebDataset does.

    Raises DataError: truncated, no tar, a member twice, a JSON member that cannot be read.
    """
    found: dict[str, ShardEntry] = {}
    key = ""
    try:
        with open_file(shard) as stream:
            for name, offset, size in iter_members(stream):
                folder, _, base = name.rpartition("/")
                stem, _, suffix = base.partition(".")
                key, suffix = (f"{folder}/{stem}" if folder else stem), suffix.lower()
                entry = found.setdefault(key, ShardEntry(key, shard, {}, None))
                if suffix in entry.members:
                    raise DataError(f"{shard}: key {key!r} has member {suffix!r} twice")
                entry.members[suffix] = f"{shard}::{offset}+{size}"
                if suffix == "json":
                    stream.seek(offset)
                    found[key] = entry._replace(meta=_parse_meta(stream.read(size), shard, key))
    except tarfile.TarError as error:
        after = f" at or after key {key!r}" if key else ""
        raise DataError(f"{shard} is truncated or not a tar{after}: {error}; write it anew") from error
    except OSError as error:
        raise DataError(f"cannot read {shard}: {error.strerror or error}") from error
    return list(found.values())


def read_shards(shards: list[str]) -> Iterator[RawRow]:
    """A row for each image of ``shards``: its members and what its JSON member says."""
    for shard in shards:
        for entry in scan_shard(shard):
            image, mask = entry.find(IMAGE_MEMBERS), entry.find(MASK_MEMBERS)
            values = {"key": entry.key, **(entry.meta or {}), "shard_key": entry.key}
            problem = None
            if image is None:
                problem = f"key {entry.key!r} has no image ({', '.join(IMAGE_MEMBERS)}), only " + str(
                    sorted(entry.members)
                )
            else:
                values["image"] = entry.members[image]
            if mask is not None:
                values["mask"] = entry.members[mask]
                values.setdefault("mask_means", "product")
            yield None, values, problem


def iter_members(stream: BinaryIO) -> Iterator[tuple[str, int, int]]:
    """(name, offset, size) of every file in an uncompressed tar; the stream may be moved in between.

    Raises tarfile.TarError: truncated (also between two members, by the missing end mark), or no tar.
    """
    length = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    end = 0
    with tarfile.open(fileobj=stream, mode="r:") as tar:
        for info in tar:
            end = info.offset_data + -(-info.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
            if info.offset_data + info.size > length:
                raise tarfile.ReadError(f"member {info.name!r} is cut off")
            if info.isfile():
                yield info.name, info.offset_data, info.size
    stream.seek(end)
    tail = stream.read(2 * tarfile.BLOCKSIZE)
    if len(tail) < 2 * tarfile.BLOCKSIZE or any(tail):
        raise tarfile.ReadError("the end-of-archive mark is missing")


def _parse_meta(data: bytes, shard: str, key: str) -> dict[str, Any]:
    try:
        meta = json.loads(data)
    except ValueError as error:
        raise DataError(f"{shard}: key {key!r}: its JSON member is not valid: {error}") from error
    if not isinstance(meta, dict):
        raise DataError(f"{shard}: key {key!r}: its JSON member is no object")
    return meta
