"""Finished images as files in a folder, or as one WebDataset tar per shard."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cyclorama.errors import OutputError
from cyclorama.files import refuse, write_atomic
from cyclorama.generation.names import build_layer_name
from cyclorama.jobs.store import ShardStore

_STATED = ("row", "name", "id", "category", "identifier", "reference", "mask_source", "model", "model_hash")


@dataclass(frozen=True)
class FileWriter:
    """``DIR/images/…``, sub-folders and names of the inputs kept.

    Every step may be repeated after a kill without harm.
    """

    out: Path

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
        return all(_has_size(self.out / name, size) for name, size in files)

    def close_shard(self, shard: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Finish ``shard``, whose result ``rows`` are given in order. Raises OutputError."""

    def is_complete(self, shard: int, files: Sequence[tuple[str, int]]) -> bool:
        """Whether a finished shard's files, (name, bytes), are still there, without reading them."""
        folder = str(self.out)
        for name, size in files:
            try:
                if os.stat(f"{folder}/{name}").st_size != size:  # noqa: PTH116 - up to a million times a start
                    return False
            except OSError:
                return False
        return True


@dataclass(frozen=True)
class TarWriter(FileWriter):
    """``DIR/webdataset/shard-000000.tar``: per image ``000000012.png`` and ``.json``, named by row.

    The tar is written when its shard is finished; until then its files wait in the shard's work folder.
    """

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
        waiting = self._waiting(shard)
        missing = {name for name, size in files if not _has_size(waiting / name, size)}
        if not missing:
            return True
        try:
            with tarfile.open(self._tar(shard)) as tar:
                members = {member.name: member for member in tar if member.name in missing}
                if set(members) != missing:
                    return False
                for name, member in members.items():
                    stream = tar.extractfile(member)
                    if stream is None:
                        return False
                    write_atomic(waiting / name, stream.read())
        except (OSError, tarfile.TarError) as error:
            if isinstance(error, OutputError):
                raise
            return False
        return all(_has_size(waiting / name, size) for name, size in files)

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


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    tar.addfile(info, io.BytesIO(data))


def _move(work: Path, files: Sequence[Mapping[str, Any]], folder: Path) -> None:
    for file in files:
        staged, target = work / file["staged"], folder / file["name"]
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if staged.exists() or not _has_size(target, file["bytes"]):
                staged.replace(target)
        except OSError as error:
            raise refuse(target, error) from error


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False
