"""From input names to image files: sub-folders kept, no two alike."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

_UNSAFE = re.compile(r'[<>:"|?*\x00-\x1f]')
_MAX_BYTES = 180


def build_image_names(
    names: Sequence[str], candidates: int = 1, layouts: Sequence[str] = ("",), suffix: str = ".png"
) -> list[list[str]]:
    """For each input name, the relative paths (``/``) of its images, one per layout and candidate.

    ``shoes/a.jpg`` becomes ``shoes/a.png``. Inputs that differ in their suffix only keep it
    (``a-jpg.png``, ``a-webp.png``), whatever their order; an input that comes twice gets ``-2``. Images
    of a named layout end in ``.16x9``, candidates in ``-c1``, ``-c2``, ... (:func:`build_ending`).
    Invariant: no two paths are equal, not even on a disk that ignores case.

    >>> build_image_names(["a.jpg", "b/a.png", "a.png"])
    [['a-jpg.png'], ['b/a.png'], ['a-png.png']]
    """
    endings = [
        build_ending(layout, k + 1, candidates) + suffix for layout in layouts for k in range(candidates)
    ]
    split = [split_name(name) for name in names]
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
            numbered = stem if number == 1 else f"{stem}-{number}"
            paths = [numbered + ending for ending in endings]
            if not any(path.casefold() in taken for path in paths):
                break
            number += 1
        taken.update(path.casefold() for path in paths)
        results[i] = paths
    return results


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
    parts = [
        _UNSAFE.sub("_", part).rstrip(" .") or "_"
        for part in name.replace("\\", "/").split("/")
        if part not in ("", ".", "..")
    ]
    path = PurePosixPath(*parts) if parts else PurePosixPath("image")
    suffix = path.suffix.lower().lstrip(".")
    stem = _shorten(path.stem)
    return str(path.with_name(stem)), suffix


def _shorten(stem: str) -> str:
    encoded = stem.encode("utf-8")
    if len(encoded) <= _MAX_BYTES:
        return stem
    mark = hashlib.blake2b(encoded, digest_size=4).hexdigest()
    return encoded[: _MAX_BYTES - 9].decode("utf-8", errors="ignore") + "-" + mark
