"""Which files below a folder are images, and which are masks and notes of theirs?

In a folder every image is a row, whatever its name ends in: a file with another ending is known by its first
bytes. Links to folders are followed, each real folder once. Folders and files that systems leave behind are
skipped and counted. Beside ``cup.jpg`` may stand its mask (``cup.mask.png``, ``cup_mask.png``) and what is
known about it (``cup.json``). The mask of ``shop/mugs/cup.jpg`` may also stand in a folder ``masks``:
``shop/mugs/masks/cup.png``, ``shop/masks/mugs/cup.png``; that of ``images/cup.jpg`` in ``masks/cup.png``.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from cyclorama.data.addresses import is_remote, open_file, open_system, read_bytes, resolve_address
from cyclorama.data.structured import RawRow
from cyclorama.errors import CycloramaError, ManifestError
from cyclorama.files import OUTPUT_FOLDERS, RECORD, RESULTS

_SUFFIXES = """.png .apng .jpg .jpeg .jpe .jfif .mpo .webp .bmp .dib .tif .tiff .gif .avif .heic .heif .jp2
    .j2k .jpf .jpx .jxl .psd .ppm .pgm .pbm .pnm"""
IMAGE_SUFFIXES = frozenset(_SUFFIXES.split())
"""Endings of image files. Which of them can be read is decided when they are."""
_CONTENT = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n|GIF8|RIFF....WEBP|BM....\0\0\0\0|II\*\0|MM\0\*|8BPS"
    rb"|....ftyp(avif|avis|hei|hev|mif1|msf1)|\0\0\0\x0cjP  |\xff\x4f\xff\x51|\0\0\0\x0cJXL |\xff\x0a",
    re.DOTALL,
)
_SYSTEM_FOLDERS = re.compile(
    r"@eaDir|__MACOSX|#recycle|#snapshot|\$RECYCLE\.BIN|System Volume Information|@Recycle|lost\+found"
    r"|\.AppleDouble|\.Trash.*|@tmp",
    re.IGNORECASE,
)
_SYSTEM_FILES = re.compile(r"thumbs\.db|ehthumbs\.db|desktop\.ini|\._.*|\.ds_store|icon\r", re.IGNORECASE)
MASK_ENDINGS = (".mask", "_mask", "-mask")
IMAGE_FOLDERS = ("images", "imgs", "ori_imgs")
_LARGEST_NOTE = 2**20


def is_image_name(name: str) -> bool:
    """Whether a file's name ends as an image's does."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122 - a million times


def is_image(address: str) -> bool:
    """Whether the file at ``address`` begins as an image does."""
    return _CONTENT.match(read_start(address)) is not None


def read_start(address: str) -> bytes:
    """The first bytes of a file; none where it cannot be read."""
    try:
        with open_file(address) as stream:
            return stream.read(32)
    except (CycloramaError, OSError):
        return b""


class Listing:
    """The files below a folder, relative to it, sorted; and how many were skipped for which reason.

    What runs on this very folder have written, into it or below it, is skipped.
    """

    def __init__(self, folder: str, left_out: Collection[str | Path] = ()) -> None:
        self.folder = folder
        self.walked: Counter[str] = Counter()
        self._left_out = {os.path.realpath(path) for path in left_out}
        if is_remote(folder):
            system, start = open_system(folder)
            names = (str(path).removeprefix(start).lstrip("/") for path in sorted(system.find(start)))
            self.files = [name for name in names if self._keep_remote(name)]
        else:
            self._root = os.path.realpath(folder)
            if self._is_output(folder):
                self._left_out.update(f"{self._root}/{name}" for name in (*OUTPUT_FOLDERS, *RESULTS))
            self.files = sorted(self._walk(folder, "", {self._root}))
        self.skipped = self.walked

    def _walk(self, folder: str, below: str, seen: set[str]) -> Iterator[str]:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: (entry.is_symlink(), entry.name))
        except OSError as error:
            if not below:
                raise ManifestError(f"cannot read the folder {folder}: {error.strerror}") from error
            self.walked[f"folder that cannot be read ({error.strerror})"] += 1
            return
        for entry in entries:
            if entry.is_dir():
                real = os.path.realpath(entry.path)
                if real in self._left_out or self._is_output(entry.path):
                    self.walked["folder of the output or of masks"] += 1
                elif _SYSTEM_FOLDERS.fullmatch(entry.name):
                    self.walked["system folder"] += 1
                elif entry.name.startswith("."):
                    self.walked["hidden folder"] += 1
                elif real in seen:
                    self.walked["link to a folder that is read already"] += 1
                else:
                    seen.add(real)
                    yield from self._walk(entry.path, f"{below}{entry.name}/", seen)
            elif not below and f"{self._root}/{entry.name}" in self._left_out:
                self.walked["file of the output"] += 1
            elif self._keep_file(entry.name):
                yield below + entry.name

    def _is_output(self, folder: str) -> bool:
        """Whether a run on this listing's own folder has written into ``folder``."""
        try:
            with open(f"{folder}/{RECORD}", encoding="utf-8") as file:  # noqa: PTH123 - maybe a million folders
                source = json.load(file).get("source")
        except (OSError, ValueError, AttributeError):
            return False
        return bool(source) and os.path.realpath(source) == self._root

    def _keep_file(self, name: str) -> bool:
        if _SYSTEM_FILES.fullmatch(name):
            self.walked["system file"] += 1
        elif name.startswith("."):
            self.walked["hidden file"] += 1
        else:
            return True
        return False

    def _keep_remote(self, name: str) -> bool:
        *parents, last = PurePosixPath(name).parts
        if any(part.startswith(".") or _SYSTEM_FOLDERS.fullmatch(part) for part in parents):
            self.walked["file in a system or hidden folder"] += 1
            return False
        return self._keep_file(last)


def read_folder(listing: Listing, pair: bool = True) -> Iterator[RawRow]:
    """A row for each image in ``listing``; with ``pair``, masks and notes beside images are theirs."""
    by_stem: dict[str, str] = {}
    images, notes, skipped = [], {}, Counter[str]()
    for name in listing.files:
        stem, suffix = os.path.splitext(name)  # noqa: PTH122 - a million times
        if suffix.lower() in IMAGE_SUFFIXES or is_image(resolve_address(listing.folder, name)):
            images.append(name)
            by_stem.setdefault(stem, name)
        elif pair and suffix == ".json":
            notes[stem] = name
        else:
            skipped[f"no image ({suffix.lower() or 'without an ending'})"] += 1
    apart = any("masks/" in name for name in images)
    masks = {name: mask for name in images if pair and (mask := _find_mask(name, by_stem, apart))}
    taken = set(masks.values())
    for name in images:
        if name in taken:
            skipped["mask of an image"] += 1
            continue
        stem = os.path.splitext(name)[0]  # noqa: PTH122 - a million times
        note = notes.pop(stem, None)
        row = {} if note is None else _read_note(resolve_address(listing.folder, note))
        row |= {"image": name, "folder": name.rpartition("/")[0]}
        if name in masks:
            row["mask"] = masks[name]
        yield None, row, None
    skipped["no image (.json)"] += len(notes)
    listing.skipped = listing.walked + skipped


def _find_mask(name: str, by_stem: Mapping[str, str], apart: bool) -> str | None:
    """The mask of the image at ``name``, if there is one; ``apart``: there are folders ``masks``, too."""
    stem = os.path.splitext(name)[0]  # noqa: PTH122 - a million times
    parts, stems = stem.split("/"), list[str]()
    if apart and "masks" not in parts[:-1]:
        places = range(len(parts))
        swapped = [place for place in places[:-1] if parts[place] in IMAGE_FOLDERS]
        stems += ["/".join((*parts[:place], "masks", *parts[place + 1 :])) for place in swapped]
        stems += ["/".join((*parts[:place], "masks", *parts[place:])) for place in reversed(places)]
    wanted = [stem + ending for ending in MASK_ENDINGS]
    wanted += [other + ending for other in stems for ending in ("", *MASK_ENDINGS)]
    return next((by_stem[candidate] for candidate in wanted if candidate in by_stem), None)


def _read_note(address: str) -> dict[str, Any]:
    """What the JSON file beside an image says; nothing if it is no JSON object."""
    try:
        values = json.loads(read_bytes(address, _LARGEST_NOTE))
    except (CycloramaError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
