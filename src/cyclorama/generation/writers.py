"""Finished images as files in a folder, or as one WebDataset tar per shard."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import sys
import tarfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from cyclorama.errors import OutputError
from cyclorama.files import refuse, write_atomic
from cyclorama.jobs.store import ShardStore

_BAD = (
    r'<>:"|?*\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069'  # the last two turn the direction of what is read
)
_UNSAFE = re.compile(f"[{_BAD}]")
_PLAIN = re.compile(rf"[^{_BAD}\\/. ]+(?:[/.][^{_BAD}\\/. ]+)*", re.ASCII)
_MAX_BYTES = 180


def build_stems(names: Sequence[str]) -> list[str]:
    """For each input name, the path (``/``) of its images without suffix, layout and candidate.

    ``shoes/a.jpg`` becomes ``shoes/a``. Inputs that differ in their suffix only keep it (``a-jpg``,
    ``a-webp``), whatever their order; an input that comes twice gets ``-2``. Invariant: no two stems are
    equal, not even on a disk that ignores case; endings of one run never end alike, so no images are either.

    >>> build_stems(["a.jpg", "b/a.png", "a.png"])
    ['a-jpg', 'b/a', 'a-png']
    """
    suffixes: dict[str, str | None] = {}
    stems, own, several = [], [], False
    for name in names:
        stem, suffix = split_name(name)
        stems.append(stem)
        own.append(sys.intern(suffix))
        if suffixes.setdefault(stem.casefold(), suffix) != suffix:
            suffixes[stem.casefold()], several = None, True
    if len(suffixes) == len(stems):
        return stems
    if several:
        for place, (stem, suffix) in enumerate(zip(stems, own, strict=True)):
            if suffix and suffixes[stem.casefold()] is None:
                stems[place] = f"{stem}-{suffix}"
    del suffixes, own
    crowd = Counter(stem.casefold() for stem in stems)
    # Names that nobody else wants are settled already, so that a doubled input never takes one of them.
    taken, numbers = set(crowd), dict[str, int]()
    for place, stem in enumerate(stems):
        folded = stem.casefold()
        if crowd[folded] == 1:
            continue
        number = numbers.get(folded, 0) + 1
        while number > 1 and f"{folded}-{number}" in taken:
            number += 1
        numbers[folded] = number
        if number > 1:
            taken.add(f"{folded}-{number}")
            stems[place] = f"{stem}-{number}"
    return stems


def build_ending(layout: str, candidate: int, candidates: int) -> str:
    """What follows an input's own name in that of an image, suffix apart.

    >>> build_ending("16x9", 2, 3)
    '.16x9-c2'
    """
    return (f".{layout}" if layout else "") + (f"-c{candidate}" if candidates > 1 else "")


def build_layer_name(image: str, suffix: str) -> str:
    """The path of a file of layers that belongs to ``image``; both below the output folder.

    >>> build_layer_name("images/shoes/a.png", ".ora")
    'layers/shoes/a.ora'
    """
    path = PurePosixPath("layers", *PurePosixPath(image).parts[1:])
    return str(path.with_name(path.stem + suffix))


def split_name(name: str) -> tuple[str, str]:
    """An input's name as a safe relative path: stem and suffix."""
    if len(name) < _MAX_BYTES and _PLAIN.fullmatch(name):  # the usual name, a million times
        folder, slash, last = name.rpartition("/")
        stem, dot, suffix = last.rpartition(".")
        return (folder + slash + stem, suffix.lower()) if dot else (name, "")
    parts = [
        _UNSAFE.sub("_", part).rstrip(" .") or "_"
        for part in name.replace("\\", "/").split("/")
        if part not in ("", ".", "..")
    ]
    path = PurePosixPath(*parts) if parts else PurePosixPath("image")
    suffix = path.suffix.lower().lstrip(".")
    return str(path.with_name(_shorten(path.stem))), suffix


def _shorten(stem: str) -> str:
    encoded = stem.encode("utf-8")
    if len(encoded) <= _MAX_BYTES:
        return stem
    mark = hashlib.blake2b(encoded, digest_size=4).hexdigest()
    return encoded[: _MAX_BYTES - 9].decode("utf-8", errors="ignore") + "-" + mark


_STATED = ("row", "name", "id", "category", "identifier", "reference", "mask_source", "model", "model_hash")


@dataclass(frozen=True)
class FileWriter:
    """``DIR/images/…``, sub-folders and names of the inputs kept.

    Every step may be repeated after a kill without harm.
    """

    out: Path
    numbered: ClassVar[bool] = False
    """Whether names hold the row's number, so that a row that moves needs other ones."""

    def build_names(self, row: int, stem: str, ending: str, suffixes: Sequence[str]) -> list[str]:
        """The names of one image's files: ``images/STEM…``, and ``layers/STEM…`` of what belongs to it.

        ``stem`` is the path without suffix of all images of ``row``; ``ending`` names layout and candidate.
        """
        image = f"images/{stem}{ending}{suffixes[0]}"
        return [image, *(build_layer_name(image, suffix) for suffix in suffixes[1:])]

    def locate(self, shard: int, name: str) -> str:
        """The address of file ``name`` of ``shard`` as result rows state it, below the output folder."""
        return name

    def publish(self, shard: int, work: Path, files: Sequence[Mapping[str, Any]]) -> None:
        """Move a finished row's files, staged in ``work``, into place; what is moved already stays.

        Raises OutputError.
        """
        _move(work, files, self.out)

    def restore(self, shard: int, files: Sequence[tuple[str, int]]) -> bool:
        """Whether an earlier run's files, (name, bytes), are in place, brought back if need be."""
        return self.is_complete(shard, files)

    def close_shard(self, shard: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Finish ``shard``, whose result ``rows`` are given in order. Raises OutputError."""

    def is_complete(self, shard: int, files: Sequence[tuple[str, int]]) -> bool:
        """Whether a finished shard's files, (name, bytes), are still there, without reading them."""
        folder = str(self.out)
        return all(has_size(f"{folder}/{name}", size) for name, size in files)


@dataclass(frozen=True)
class TarWriter(FileWriter):
    """``DIR/webdataset/shard-000000.tar``: per image ``000000012.png`` and ``.json``, named by row.

    The tar is written when its shard is finished; until then its files wait in the shard's work folder.
    """

    numbered = True

    def build_names(self, row: int, stem: str, ending: str, suffixes: Sequence[str]) -> list[str]:
        """The row's number with the ending, without a dot or slash: WebDataset cuts keys at the first dot."""
        key = f"{row:09d}{ending.replace('.', '-')}"
        return [f"{key}{suffix}" for suffix in suffixes]

    def locate(self, shard: int, name: str) -> str:
        """``webdataset/shard-000000.tar:NAME``."""
        return f"webdataset/{self._tar(shard).name}:{name}"

    def publish(self, shard: int, work: Path, files: Sequence[Mapping[str, Any]]) -> None:
        """Set the files aside for the tar."""
        _move(work, files, self._waiting(shard))

    def restore(self, shard: int, files: Sequence[tuple[str, int]]) -> bool:
        """Whether all wait for the tar, those of the shard's former tar taken out of it."""
        waiting, tar = self._waiting(shard), self._tar(shard)
        missing = [(name, size) for name, size in files if not has_size(waiting / name, size)]
        if not missing:
            return True
        try:
            found = tar.stat()
            places = _find_members(tar, found.st_ino, found.st_mtime_ns, found.st_size)
            if any(places.get(name, (0, -1))[1] != size for name, size in missing):
                return False
            with tar.open("rb") as file:
                for name, size in missing:
                    file.seek(places[name][0])
                    write_atomic(waiting / name, file.read(size))
        except OSError as error:
            if isinstance(error, OutputError):
                raise
            return False
        return all(has_size(waiting / name, size) for name, size in files)

    def close_shard(self, shard: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write the tar in the order of rows: no times, owners or host names, so equal rows give equal
        bytes."""
        target = self._tar(shard)
        part = target.with_name(f".{target.name}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with (
                part.open("wb") as file,
                tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar,
            ):
                for row in rows:
                    self._add_row(tar, shard, row)
            part.replace(target)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise refuse(target, error) from error
        shutil.rmtree(self._waiting(shard), ignore_errors=True)

    def is_complete(self, shard: int, files: Sequence[tuple[str, int]]) -> bool:
        """Whether the tar is there and large enough for its files."""
        try:
            return not files or self._tar(shard).stat().st_size >= sum(size for _, size in files)
        except OSError:
            return False

    def _add_row(self, tar: tarfile.TarFile, shard: int, row: Mapping[str, Any]) -> None:
        for image in row.get("images") or []:
            stem = ""
            for file in image["files"]:
                stem = stem or file["name"].partition(".")[0]
                _add(tar, file["name"], (self._waiting(shard) / file["name"]).read_bytes())
            stated = {name: row.get(name) for name in _STATED} | {"seed": image["seed"]}
            stated["settings"] = row["settings"]
            _add(tar, f"{stem}.json", json.dumps(stated, sort_keys=True, ensure_ascii=False).encode())

    def _tar(self, shard: int) -> Path:
        return self.out / "webdataset" / f"shard-{shard:06d}.tar"

    def _waiting(self, shard: int) -> Path:
        return ShardStore(self.out).get_work(shard) / "tar"


@lru_cache(maxsize=4)  # a shard asks once a row, and few shards are in work at a time
def _find_members(path: Path, *stamp: int) -> dict[str, tuple[int, int]]:
    """Name to place and bytes of the files in a tar, which ``stamp`` tells from a later one; none if it is
    damaged. Raises OSError."""
    try:
        with tarfile.open(path) as tar:
            return {member.name: (member.offset_data, member.size) for member in tar if member.isreg()}
    except tarfile.TarError:
        return {}


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    tar.addfile(info, io.BytesIO(data))


def _move(work: Path, files: Sequence[Mapping[str, Any]], folder: Path) -> None:
    for file in files:
        staged, target = work / file["staged"], folder / file["name"]
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if staged.exists() or not has_size(target, file["bytes"]):
                staged.replace(target)
        except OSError as error:
            raise refuse(target, error) from error


def has_size(path: str | Path, size: int) -> bool:
    """Whether a file of ``size`` bytes is at ``path``."""
    try:
        return os.stat(path).st_size == size  # noqa: PTH116 - up to a million times a start
    except OSError:
        return False
