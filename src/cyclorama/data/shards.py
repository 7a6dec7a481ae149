"""Training sets as WebDataset shards: deterministic tars, written atomically, done mark last.

A shard is ``shard-000000.tar`` holding, per image, ``{key}.png`` (RGB), ``{key}.mask.png`` (L,
255 = product) and ``{key}.json``. Beside it stands ``shard-000000.done.json``, written last: a shard
without that mark was interrupted. The unit of work, of retry and of resume is the shard.

A shard is read by one pass over its headers (and the small JSON members) with ``tarfile``, so that an image
is one seek and one read. webdataset no longer ships its ``wids`` for this.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import re
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from cyclorama.data.addresses import open_file, read_bytes
from cyclorama.data.structured import RawRow
from cyclorama.errors import DataError, OutputError
from cyclorama.files import write_atomic

logger = logging.getLogger(__name__)

IMAGE_MEMBERS = ("png", "jpg", "jpeg", "webp")
MASK_MEMBERS = tuple(f"mask.{suffix}" for suffix in IMAGE_MEMBERS)
KEY = re.compile(r"[^./\s\x00-\x1f][^./\x00-\x1f]*")
"""A key has no dot and no slash: WebDataset cuts a member's name at the first dot."""


@dataclass(frozen=True)
class Sample:
    """One image of a shard, still encoded."""

    key: str
    image: bytes
    mask: bytes | None
    meta: dict[str, Any] = field(default_factory=dict, hash=False)
    """The JSON member: id, category, brand, product_id, scene_id, seed, split, renderer, licence, palette."""
    image_suffix: str = "png"
    mask_suffix: str = "mask.png"


def write_shards(samples: Iterable[Sample], folder: str | Path, shard_size: int = 512) -> list[Path]:
    """Paths of the finished shards holding ``samples`` in their order, ``shard_size`` images each.

    Equal samples give equal bytes (no times, owners or host names in the tar). Shards that already
    carry a done mark for the same keys are kept as they are, so that an interrupted run goes on where
    it stopped; finished shards with other keys are another set's, and an error.

    Raises DataError (bad or repeated key), OutputError (another set's shards, disk full).
    """
    folder = Path(folder)
    if shard_size < 1:
        raise DataError(f"shard_size is {shard_size}, must be at least 1")
    paths: list[Path] = []
    seen: set[str] = set()
    iterator = iter(samples)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while batch := list(islice(iterator, shard_size)):
            for sample in batch:
                key = sample.key
                if not KEY.fullmatch(key):
                    raise DataError(
                        f"key {key!r} cannot name a shard member: it needs a character, no dot, no slash"
                    )
                if key in seen:
                    raise DataError(f"key {key!r} appears twice; keys must be unique in a set")
                seen.add(key)
            path = folder / f"shard-{len(paths):06d}.tar"
            if not _is_finished(path, [sample.key for sample in batch]):
                _write_shard(path, batch)
            paths.append(path)
        stale = sorted(set(folder.glob("shard-*.tar")) - set(paths))
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write shards to {folder}: {error.strerror or error}") from error
    if stale:
        raise OutputError(
            f"{folder} also holds {stale[0].name} of another set; delete it or use an empty folder"
        )
    return paths


def name_keys(ids: Iterable[str]) -> Iterator[str]:
    """A key for each id, none twice: ``a/b.c`` becomes ``a_b_c``, another one of that name ``a_b_c-2``."""
    taken: set[str] = set()
    for name in ids:
        stem = key = re.sub(r"[./\s\x00-\x1f]", "_", name).strip("_") or "image"
        number = 1
        while key in taken:
            number += 1
            key = f"{stem}-{number}"
        taken.add(key)
        yield key


def _hash_keys(keys: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(keys).encode()).hexdigest()


def get_done_path(shard: Path) -> Path:
    """Where the done mark of ``shard`` stands."""
    return shard.with_suffix(".done.json")


def load_done_mark(shard: Path) -> dict[str, Any] | None:
    """The content of the shard's done mark, or None if there is no readable one."""
    try:
        mark = json.loads(get_done_path(shard).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return mark if isinstance(mark, dict) else None


def _is_finished(path: Path, keys: list[str]) -> bool:
    mark = load_done_mark(path)
    if mark is None or not path.is_file():
        return False
    if mark.get("keys_sha256") != _hash_keys(keys):
        raise OutputError(f"{path} is finished but holds other images; write to an empty folder")
    return True


def _write_shard(path: Path, samples: Sequence[Sample]) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for sample in samples:
            meta = json.dumps(sample.meta, sort_keys=True, ensure_ascii=False).encode()
            members = {sample.image_suffix: sample.image, sample.mask_suffix: sample.mask, "json": meta}
            for suffix, content in members.items():
                if content is not None:
                    info = tarfile.TarInfo(f"{sample.key}.{suffix}")
                    info.size, info.mode = len(content), 0o644
                    tar.addfile(info, io.BytesIO(content))
    data = stream.getvalue()
    mark = {
        "shard": path.name,
        "count": len(samples),
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "keys_sha256": _hash_keys([sample.key for sample in samples]),
    }
    get_done_path(path).unlink(missing_ok=True)
    write_atomic(path, data)
    write_atomic(get_done_path(path), (json.dumps(mark, indent=1, sort_keys=True) + "\n").encode())


def list_shards(source: str | Path, require_done: bool = True) -> list[Path]:
    """The shards of a folder, a glob pattern or one tar, in the order of their names.

    With ``require_done`` only shards with a done mark are given; how many others were left out is
    logged as a warning, since a set may be read while it is still being made.

    Raises DataError if nothing is left, saying why.
    """
    folder = Path(source)
    if folder.is_dir():
        found = sorted(folder.glob("*.tar"))
    elif folder.suffix == ".tar" and folder.is_file():
        found = [folder]
    else:
        matches = Path(folder.anchor).glob(str(folder.relative_to(folder.anchor)))
        found = sorted(path for path in matches if path.suffix == ".tar")
    if not found:
        raise DataError(f"no shards (*.tar) at {source}")
    if not require_done:
        return found
    done = [path for path in found if load_done_mark(path) is not None]
    if not done:
        raise DataError(
            f"none of the {len(found)} shards at {source} has a done mark ({get_done_path(found[0]).name}); "
            "finish writing them, or read them anyway with require_done=False"
        )
    if len(done) < len(found):
        logger.warning(
            "left out %d of %d shards without a done mark at %s", len(found) - len(done), len(found), source
        )
    return done


def build_index(source: str | Path, require_done: bool = True) -> dict[str, ShardEntry]:
    """The images of the shards at ``source`` by key, in order of shards and members.

    Raises DataError: truncated or repeated members, an image without its JSON, a key that comes again, a
    count that differs from the done mark's.
    """
    index: dict[str, ShardEntry] = {}
    for shard in list_shards(source, require_done):
        found = scan_shard(str(shard))
        for entry in found:
            where = f"{shard}: key {entry.key!r}"
            if entry.find(IMAGE_MEMBERS) is None:
                raise DataError(f"{where} {entry.describe_lack()}")
            if entry.meta is None:
                raise DataError(f"{where} has no json member, only {sorted(entry.members)}")
            if entry.key in index:
                raise DataError(f"{where} is also in {index[entry.key].shard}; keys must be unique in a set")
            index[entry.key] = entry
        expected = (load_done_mark(shard) or {}).get("count")
        if isinstance(expected, int) and expected != len(found):
            raise DataError(
                f"{shard} holds {len(found)} images, its done mark says {expected}; write it anew"
            )
    return index


def read_shards(source: str | Path, require_done: bool = True) -> Iterator[Sample]:
    """Every sample of the shards, in order of shards and members.

    Raises DataError before the first sample if any shard is truncated or incomplete, naming shard and key.
    """
    for entry in build_index(source, require_done).values():
        image, mask = entry.find(IMAGE_MEMBERS), entry.find(MASK_MEMBERS)
        assert image is not None
        yield Sample(
            entry.key,
            entry.read(image),
            None if mask is None else entry.read(mask),
            entry.meta or {},
            image,
            mask or "mask.png",
        )


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

    def describe_lack(self) -> str:
        """That there is no image, and what there is instead."""
        return f"has no image ({', '.join(IMAGE_MEMBERS)}), only {sorted(self.members)}"

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
                    try:
                        meta = json.loads(stream.read(size))
                    except ValueError as error:
                        raise DataError(
                            f"{shard}: key {key!r}: its JSON member is not valid: {error}"
                        ) from error
                    if not isinstance(meta, dict):
                        raise DataError(f"{shard}: key {key!r}: its JSON member is no object")
                    found[key] = entry._replace(meta=meta)
    except tarfile.TarError as error:
        after = f" at or after key {key!r}" if key else ""
        raise DataError(f"{shard} is truncated or not a tar{after}: {error}; write it anew") from error
    except OSError as error:
        raise DataError(f"cannot read {shard}: {error.strerror or error}") from error
    return list(found.values())


def read_rows(shards: Sequence[str]) -> Iterator[RawRow]:
    """A row for each image of ``shards``: its members and what its JSON member says."""
    for shard in shards:
        for entry in scan_shard(shard):
            image, mask = entry.find(IMAGE_MEMBERS), entry.find(MASK_MEMBERS)
            values = {"key": entry.key, **(entry.meta or {}), "shard_key": entry.key}
            problem = None
            if image is None:
                problem = f"key {entry.key!r} {entry.describe_lack()}"
            else:
                values["image"] = entry.members[image]
            if mask is not None:
                values["mask"] = entry.members[mask]
                values["mask_means"] = "product"
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
