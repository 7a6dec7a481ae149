"""Random access into local WebDataset tars: key -> (shard, offset, size) of every member.

One pass over the tar headers (and the small JSON members) at the start; afterwards an image is one seek
and one read, so that training shuffles over the whole set and resumes by index.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Literal

from cyclorama.errors import DataError

IMAGE_MEMBERS = ("png", "jpg", "jpeg", "webp")
PLAIN_TYPES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE)
MASK_MEMBERS = tuple(f"mask.{suffix}" for suffix in IMAGE_MEMBERS)

Span = tuple[int, int]
"""(offset, size) in bytes of a member's content inside its shard."""


@dataclass(frozen=True)
class Entry:
    """Where one image lies."""

    key: str
    shard: Path
    image: Span
    image_suffix: str
    mask: Span | None
    mask_suffix: str | None
    meta: dict[str, Any] = field(hash=False)


@dataclass(frozen=True)
class ShardIndex:
    """All images of a list of shards, in order of shards and members."""

    entries: tuple[Entry, ...]
    counts: dict[Path, int] = field(hash=False)
    """Images in each shard."""
    _rows: dict[str, int] = field(default_factory=dict, repr=False, hash=False)

    @classmethod
    def from_shards(cls, shards: Sequence[Path]) -> ShardIndex:
        """The index of ``shards``. Raises DataError naming shard and key."""
        entries: list[Entry] = []
        rows: dict[str, int] = {}
        counts: dict[Path, int] = {}
        for shard in shards:
            found = _scan_shard(shard)
            counts[shard] = len(found)
            for entry in found:
                if entry.key in rows:
                    other = entries[rows[entry.key]].shard
                    raise DataError(
                        f"{shard}: key {entry.key!r} is also in {other}; keys must be unique in a set"
                    )
                rows[entry.key] = len(entries)
                entries.append(entry)
        return cls(tuple(entries), counts, rows)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, key: str) -> Entry:
        try:
            return self.entries[self._rows[key]]
        except KeyError:
            raise DataError(f"no image {key!r} among the {len(self)} of {len(self.counts)} shards") from None

    def __contains__(self, key: object) -> bool:
        return key in self._rows

    def read(self, entry: Entry, member: Literal["image", "mask"]) -> bytes:
        """The content of a member. Raises DataError if the shard has shrunk or has no such member."""
        span = entry.image if member == "image" else entry.mask
        if span is None:
            raise DataError(f"{entry.shard}: key {entry.key!r} has no member {' or '.join(MASK_MEMBERS)}")
        try:
            with entry.shard.open("rb") as stream:
                stream.seek(span[0])
                data = stream.read(span[1])
        except OSError as error:
            raise DataError(f"cannot read {entry.shard} for key {entry.key!r}: {error.strerror}") from error
        if len(data) != span[1]:
            raise DataError(f"{entry.shard}: key {entry.key!r} is cut off ({len(data)} of {span[1]} bytes)")
        return data


def _split_name(name: str) -> tuple[str, str]:
    """(key, suffix) cut at the first dot of the last path part, as WebDataset does."""
    folder, _, base = name.rpartition("/")
    stem, _, suffix = base.partition(".")
    return (f"{folder}/{stem}" if folder else stem), suffix.lower()


def _scan_shard(shard: Path) -> list[Entry]:
    members: dict[str, dict[str, Span]] = {}
    metas: dict[str, dict[str, Any]] = {}
    key = ""
    try:
        with shard.open("rb") as stream:
            for name, offset, size in iter_members(stream):
                key, suffix = _split_name(name)
                spans = members.setdefault(key, {})
                if suffix in spans:
                    raise DataError(f"{shard}: key {key!r} has member {suffix!r} twice")
                spans[suffix] = (offset, size)
                if suffix == "json":
                    stream.seek(offset)
                    metas[key] = _parse_meta(stream.read(size), shard, key)
    except tarfile.TarError as error:
        after = f" at or after key {key!r}" if key else ""
        raise DataError(f"{shard} is truncated or not a tar{after}: {error}; write it anew") from error
    except OSError as error:
        raise DataError(f"cannot read {shard}: {error.strerror or error}") from error
    return [_build_entry(shard, name, spans, metas) for name, spans in members.items()]


def iter_members(stream: BinaryIO) -> Iterator[tuple[str, int, int]]:
    """(name, offset, size) of every file in an uncompressed tar; the stream may be moved in between.

    Plain headers are read here, which is several times faster than ``tarfile``; a tar with extended
    headers (long names and the like) is left to ``tarfile`` from there on. Unlike with ``tarfile``, a tar
    that was cut between two members is noticed, by its missing end mark.

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
        if header[156:157] not in PLAIN_TYPES:
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


def _parse_meta(data: bytes, shard: Path, key: str) -> dict[str, Any]:
    try:
        meta = json.loads(data)
    except ValueError as error:
        raise DataError(f"{shard}: key {key!r}: its JSON member is not valid: {error}") from error
    if not isinstance(meta, dict):
        raise DataError(f"{shard}: key {key!r}: its JSON member is no object")
    return meta


def _build_entry(shard: Path, key: str, spans: dict[str, Span], metas: dict[str, dict[str, Any]]) -> Entry:
    image_suffix = next((suffix for suffix in IMAGE_MEMBERS if suffix in spans), None)
    mask_suffix = next((suffix for suffix in MASK_MEMBERS if suffix in spans), None)
    if image_suffix is None:
        raise DataError(
            f"{shard}: key {key!r} has no image ({', '.join(IMAGE_MEMBERS)}), only {sorted(spans)}"
        )
    if key not in metas:
        raise DataError(f"{shard}: key {key!r} has no json member, only {sorted(spans)}")
    mask = spans[mask_suffix] if mask_suffix is not None else None
    return Entry(key, shard, spans[image_suffix], image_suffix, mask, mask_suffix, metas[key])
