"""Where the images and masks of a published set lie, by file name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from cyclorama.data.folders import IMAGE_SUFFIXES
from cyclorama.errors import DataError

FileIndex = dict[str, list[Path]]
"""File name, and file name without suffix -> the files of that name."""


def index_files(folder: Path, subset: str, kind: Literal["imgs", "masks"]) -> FileIndex:
    """All images in ``{subset}_{kind}/`` and ``{subset}_{kind}_<i>/``, at any depth, as archives unpack.

    Raises DataError if there are none, naming an archive that is still packed.
    """
    stem = f"{subset}_{kind}"
    index = _index_tree(folder, stem, tuple(f"{stem}_{digit}" for digit in range(10)))
    if not index:
        packed = sorted(p.name for p in folder.iterdir() if p.is_file() and p.name.startswith(stem))
        hint = f"; unpack {packed[0]} first" if packed else ""
        raise DataError(f"no images in {folder / stem}/ or {folder / stem}_<i>/{hint}")
    return index


def index_references(folder: Path, images: FileIndex, kind: Literal["imgs", "masks"]) -> FileIndex:
    """BG-pair's own files, then ``bgpair_ref*``, BG1k's, BG60k's; the first place that has a name wins."""
    merged: FileIndex = dict(images)
    places = (f"bg1k_{kind}", f"bg60k_{kind}")
    for start in ("bgpair_ref", *places) if kind == "imgs" else places:
        for name, paths in _index_tree(folder, start, (start,)).items():
            merged.setdefault(name, paths)
    return merged


def find_file(index: FileIndex, name: str) -> Path | None:
    """The file called ``name`` (with or without suffix), or None. Raises DataError if there are several."""
    paths = index.get(name, [])
    if len(paths) > 1:
        raise DataError(f"file name {name!r} is ambiguous: {', '.join(map(str, paths[:3]))}")
    return paths[0] if paths else None


def name_folders(index: FileIndex, folder: Path) -> tuple[str, ...]:
    """The folders directly under ``folder`` that hold the indexed files."""
    return tuple(sorted({path.relative_to(folder).parts[0] for paths in index.values() for path in paths}))


def _index_tree(folder: Path, name: str, starts: tuple[str, ...]) -> FileIndex:
    folders = sorted(
        p for p in folder.iterdir() if p.is_dir() and (p.name == name or p.name.startswith(starts))
    )
    index: FileIndex = {}
    for path in _walk(folders):
        index.setdefault(path.name, []).append(path)
        index.setdefault(path.stem, []).append(path)
    return index


def _walk(folders: Iterable[Path]) -> Iterator[Path]:
    for start in folders:
        for parent, names, files in os.walk(start):
            names.sort()
            for name in sorted(files):
                path = Path(parent, name)
                if path.suffix.lower() in IMAGE_SUFFIXES and not name.startswith("."):
                    yield path
