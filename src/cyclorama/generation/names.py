"""From input names to image files: sub-folders kept, no two alike."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Sequence
from pathlib import PurePosixPath

_UNSAFE = re.compile(r'[<>:"|?*\x00-\x1f]')
_PLAIN = re.compile(r'[^<>:"|?*\x00-\x1f\\/. ]+(?:[/.][^<>:"|?*\x00-\x1f\\/. ]+)*', re.ASCII)
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
    if several:
        for place, (stem, suffix) in enumerate(zip(stems, own, strict=True)):
            if suffix and suffixes[stem.casefold()] is None:
                stems[place] = f"{stem}-{suffix}"
    del suffixes, own
    crowd: dict[str, int] = {}
    for stem in stems:
        folded = stem.casefold()
        crowd[folded] = crowd.get(folded, 0) + 1
    # Names that nobody else wants are settled already, so that a doubled input never takes one of them.
    taken = set(crowd)
    first: set[str] = set()
    for place, stem in enumerate(stems):
        folded = stem.casefold()
        if crowd[folded] == 1:
            continue
        if folded not in first:
            first.add(folded)
            continue
        number = crowd[folded] = max(2, -crowd[folded] + 1) if crowd[folded] < 0 else 2
        while f"{folded}-{number}" in taken:
            number += 1
        taken.add(f"{folded}-{number}")
        crowd[folded] = -number
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
