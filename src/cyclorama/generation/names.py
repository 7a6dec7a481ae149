"""From input names to picture files: sub-folders kept, no two alike."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

_UNSAFE = re.compile(r'[<>:"|?*\x00-\x1f]')
_MAX_BYTES = 180


def build_picture_names(names: Sequence[str], candidates: int = 1) -> list[list[str]]:
    """For each input name, the relative paths (``/``) of its pictures, one per candidate.

    ``shoes/a.jpg`` becomes ``shoes/a.png``. Inputs that differ in their suffix only keep it
    (``a-jpg.png``, ``a-webp.png``), whatever their order; an input that comes twice gets ``-2``. Candidates
    end in ``-c1``, ``-c2``, ... Invariant: no two paths are equal, not even on a disk that ignores case.

    >>> build_picture_names(["a.jpg", "b/a.png", "a.png"])
    [['a-jpg.png'], ['b/a.png'], ['a-png.png']]
    """
    split = [_split(name) for name in names]
    suffixes: dict[str, set[str]] = {}
    for stem, suffix in split:
        suffixes.setdefault(stem.casefold(), set()).add(suffix)
    wanted = [
        f"{stem}-{suffix}" if suffix and len(suffixes[stem.casefold()]) > 1 else stem
        for stem, suffix in split
    ]
    crowd = Counter(stem.casefold() for stem in wanted)
    # Names that nobody else wants are settled first, so a doubled input never takes one of them.
    order = sorted(range(len(names)), key=lambda i: crowd[wanted[i].casefold()] > 1)
    taken: set[str] = set()
    results: list[list[str]] = [[] for _ in names]
    for i in order:
        stem, number = wanted[i], 1
        while True:
            paths = _candidate_paths(stem if number == 1 else f"{stem}-{number}", candidates)
            if not any(path.casefold() in taken for path in paths):
                break
            number += 1
        taken.update(path.casefold() for path in paths)
        results[i] = paths
    return results


def _candidate_paths(stem: str, candidates: int) -> list[str]:
    if candidates == 1:
        return [f"{stem}.png"]
    return [f"{stem}-c{k + 1}.png" for k in range(candidates)]


def _split(name: str) -> tuple[str, str]:
    parts = [
        _UNSAFE.sub("_", part).rstrip(" .") or "_"
        for part in name.replace("\\", "/").split("/")
        if part not in ("", ".", "..")
    ]
    path = PurePosixPath(*parts) if parts else PurePosixPath("picture")
    suffix = path.suffix.lower().lstrip(".")
    stem = _shorten(path.stem)
    return str(path.with_name(stem)), suffix


def _shorten(stem: str) -> str:
    encoded = stem.encode("utf-8")
    if len(encoded) <= _MAX_BYTES:
        return stem
    mark = hashlib.blake2b(encoded, digest_size=4).hexdigest()
    return encoded[: _MAX_BYTES - 9].decode("utf-8", errors="ignore") + "-" + mark
