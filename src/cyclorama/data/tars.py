"""Where in a tar does each member lie, so that an image is one seek and one read?

One pass over the headers (and the small JSON members). Ours instead of webdataset's ``wids``, which the
library no longer ships; and ``tarfile`` does not notice a tar that was cut between two members.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from itertools import islice
from typing import Any, BinaryIO, NamedTuple

from cyclorama.data.addresses import open_file, read_bytes
from cyclorama.data.structured import RawRow
from cyclorama.errors import DataError

IMAGE_MEMBERS = ("png", "jpg", "jpeg", "webp")
MASK_MEMBERS = tuple(f"mask.{suffix}" for suffix in IMAGE_MEMBERS)
_PLAIN_TYPES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE)


class Entry(NamedTuple):
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


def scan_shard(shard: str) -> list[Entry]:
    """The images of ``shard`` in its order. A member's name is cut at its first dot, as WebDataset does.

    Raises DataError: truncated, no tar, a member twice, a JSON member that cannot be read.
    """
    found: dict[str, Entry] = {}
    key = ""
    try:
        with open_file(shard) as stream:
            for name, offset, size in iter_members(stream):
                folder, _, base = name.rpartition("/")
                stem, _, suffix = base.partition(".")
                key, suffix = (f"{folder}/{stem}" if folder else stem), suffix.lower()
                entry = found.setdefault(key, Entry(key, shard, {}, None))
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

    Plain headers are read here, which is several times faster than ``tarfile``; a tar with extended
    headers (long names and the like) is left to ``tarfile`` from there on.

    Raises tarfile.TarError: truncated, or no tar.
    """
    length = stream.seek(0, io.SEEK_END)
    offset = yielded = 0
    while True:
        stream.seek(offset)
        header = stream.read(tarfile.BLOCKSIZE)
        if not any(header):
            _check_end(stream, offset)
            return
        if header[156:157] not in _PLAIN_TYPES:
            yield from islice(_iter_extended(stream, length), yielded, None)
            return
        name, size = _parse_header(header)
        offset += tarfile.BLOCKSIZE
        if offset + size > length:
            raise tarfile.ReadError(f"member {name!r} is cut off")
        if header[156:157] != tarfile.DIRTYPE:
            yield name, offset, size
            yielded += 1
        offset += -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def _parse_header(header: bytes) -> tuple[str, int]:
    """(name, size) of a plain ustar header, its checksum tested."""
    try:
        checksum = int(header[148:156].strip(b" \0"), 8)
        size = int(header[124:136].strip(b" \0") or b"0", 8)
        name = header[:100].split(b"\0", 1)[0].decode()
        prefix = header[345:500].split(b"\0", 1)[0].decode() if header[257:263] == b"ustar\0" else ""
    except ValueError as error:
        raise tarfile.ReadError("bad member header") from error
    if len(header) < tarfile.BLOCKSIZE or sum(header) - sum(header[148:156]) + 8 * ord(" ") != checksum:
        raise tarfile.ReadError("bad member header")
    return (f"{prefix}/{name}" if prefix else name), size


def _iter_extended(stream: BinaryIO, length: int) -> Iterator[tuple[str, int, int]]:
    stream.seek(0)
    end = 0
    with tarfile.open(fileobj=stream, mode="r:") as tar:
        for info in tar:
            if info.offset_data + info.size > length:
                raise tarfile.ReadError(f"member {info.name!r} is cut off")
            end = info.offset_data + -(-info.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
            if info.isfile():
                yield info.name, info.offset_data, info.size
    _check_end(stream, end)


def _check_end(stream: BinaryIO, offset: int) -> None:
    stream.seek(offset)
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
