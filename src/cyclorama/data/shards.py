"""Training sets as WebDataset shards: deterministic tars, written atomically, done mark last.

A shard is ``shard-000000.tar`` holding, per image, ``{key}.png`` (RGB), ``{key}.mask.png`` (L,
255 = product) and ``{key}.json``. Beside it stands ``shard-000000.done.json``, written last: a shard
without that mark was interrupted. The unit of work, of retry and of resume is the shard.
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
from typing import Any

from cyclorama.data.tars import IMAGE_MEMBERS, MASK_MEMBERS, ShardEntry, scan_shard
from cyclorama.errors import DataError, OutputError
from cyclorama.files import write_atomic

logger = logging.getLogger(__name__)

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
                _check_key(sample.key, seen)
            path = folder / f"shard-{len(paths):06d}.tar"
            if not _is_finished(path, [sample.key for sample in batch]):
                _write_shard(path, batch)
            paths.append(path)
        stale = sorted(set(folder.glob("shard-*.tar")) - set(paths))
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"cannot write shards to {folder}: {error.strerror or error}") from error
    if stale:
        raise OutputError(
            f"{folder} also holds {stale[0].name} of another set; delete it or use an empty folder"
        )
    return paths


def _check_key(key: str, seen: set[str]) -> None:
    if not KEY.fullmatch(key):
        raise DataError(f"key {key!r} cannot name a shard member: it needs a character, no dot, no slash")
    if key in seen:
        raise DataError(f"key {key!r} appears twice; keys must be unique in a set")
    seen.add(key)


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


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    tar.addfile(info, io.BytesIO(data))


def _write_shard(path: Path, samples: Sequence[Sample]) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for sample in samples:
            _add(tar, f"{sample.key}.{sample.image_suffix}", sample.image)
            if sample.mask is not None:
                _add(tar, f"{sample.key}.{sample.mask_suffix}", sample.mask)
            meta = json.dumps(sample.meta, sort_keys=True, ensure_ascii=False)
            _add(tar, f"{sample.key}.json", meta.encode())
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


def _expand(pattern: Path) -> Iterator[Path]:
    """The paths that fit a pattern with wildcards in any of its parts."""
    parts = pattern.parts
    fixed = next((i for i, part in enumerate(parts) if any(char in part for char in "*?[")), len(parts))
    return Path(*parts[:fixed]).glob("/".join(parts[fixed:])) if fixed < len(parts) else iter(())


def list_shards(source: str | Path | Sequence[str | Path], require_done: bool = True) -> list[Path]:
    """The shards of a folder, a glob pattern or a list, in the order of their names (a list keeps its own).

    With ``require_done`` only shards with a done mark are given; how many others were left out is
    logged as a warning, since a set may be read while it is still being made.

    Raises DataError if nothing is left, saying why.
    """
    if isinstance(source, str | Path):
        folder = Path(source)
        if folder.is_dir():
            found = sorted(folder.glob("*.tar"))
        elif folder.suffix == ".tar" and folder.is_file():
            found = [folder]
        else:
            found = sorted(path for path in _expand(folder) if path.suffix == ".tar")
    else:
        found = [Path(name) for name in source]
        for path in found:
            if not path.is_file():
                raise DataError(f"no shard at {path}")
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


def build_index(
    source: str | Path | Sequence[str | Path], require_done: bool = True
) -> dict[str, ShardEntry]:
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
                raise DataError(
                    f"{where} has no image ({', '.join(IMAGE_MEMBERS)}), only {sorted(entry.members)}"
                )
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


def read_shards(source: str | Path | Sequence[str | Path], require_done: bool = True) -> Iterator[Sample]:
    """Every sample of the shards, in order of shards and members.

    Raises DataError before the first sample if any shard is truncated or incomplete, naming shard and key.
    """
    for entry in build_index(source, require_done).values():
        image, mask = entry.find(IMAGE_MEMBERS), entry.find(MASK_MEMBERS)
        assert image is not None
        yield Sample(
            key=entry.key,
            image=entry.read(image),
            mask=entry.read(mask) if mask is not None else None,
            meta=entry.meta or {},
            image_suffix=image,
            mask_suffix=mask or "mask.png",
        )
