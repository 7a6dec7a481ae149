"""What is to be worked on: one item per image of a folder or row of a table."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from cyclorama.data.columns import MaskMeans
from cyclorama.data.folders import IMAGE_SUFFIXES
from cyclorama.data.table import Row, Table, UrlPolicy, open_table
from cyclorama.errors import OutputError, SettingsError
from cyclorama.files import OUTPUT_FOLDERS, RECORD, RESULTS, Written, expand_path, write_atomic
from cyclorama.generation.settings import InputSettings

FILES = ("image", "mask", "reference", "reference_mask", "style", "backdrop")
IMAGE_FOLDERS, POSTER_FOLDERS = ("images", "layers", "webdataset", "journal"), ("posters", "plans", "journal")
"""Below the output folder, where runs write over what is there; not ``styles``, which are found once and kept
for a run to name."""


@dataclass(frozen=True)
class Failure:
    """Why an input has no image: the error's class and its message."""

    error: str
    reason: str

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """The failure that ``error`` stands for."""
        return cls(type(error).__name__, str(error) or type(error).__name__)


@dataclass(slots=True)
class Item:
    """One input. ``name`` is its path relative to the input folder or table, with ``/``."""

    name: str
    image: str | None
    """Address of the image, as :func:`cyclorama.data.table.open_file` takes it; the other files likewise."""
    mask: str | None = None
    mask_means: MaskMeans | None = None
    category: str | None = None
    reference: str | None = None
    reference_mask: str | None = None
    style: str | None = None
    """Address of a style file, for the rendered sets."""
    backdrop: str | None = None
    """Address of a plate, for the rendered sets."""
    seed: int | None = None
    """The item's own seed; None derives one from the run's seed and the name."""
    folders: tuple[str, ...] = ()
    """Names of the sub-folders it lies in, the nearest first; one of them may be its category."""
    folder: str | None = None
    """Sub-folder of the images' folder to put its images into; no part of its name."""
    id: str | None = None
    licence: str | None = None
    failure: Failure | None = None
    words: str | None = None
    """A poster's words as JSON: language, empty for all, to role to words."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Field of a file -> the table's column that names it."""


class ItemSource:
    """The items of an image, folder, table, feed or shards; may be iterated again."""

    def __init__(
        self,
        source: str | Path,
        settings: InputSettings | None = None,
        out: Path | None = None,
        words: bool = False,
    ) -> None:
        """``out`` is no input, also where it lies inside the folder; ``words``: items hold those of a poster.

        Raises OutputError (an input lies where a run into ``out`` writes), ManifestError (nothing there,
        empty, unknown format, no column for the image, no rows), SettingsError (a mask that cannot belong to
        the inputs).
        """
        self.settings, self._words = settings or InputSettings(), words
        hosts = self.settings.allow_urls
        self.urls = UrlPolicy(hosts=hosts) if hosts else None
        mask = self.settings.mask
        left_out = [path for path in (out, mask) if path is not None]
        text = expand_path(str(source))
        if text.strip() and "://" not in text:
            text = os.path.abspath(text)  # noqa: PTH100 - without following links
        self.name, self.address = str(source), text
        if out is not None and os.path.realpath(text) == os.path.realpath(out):
            _check_recorded(out)
            left_out += [out / name for name in (*OUTPUT_FOLDERS, *RESULTS)]
        self._written = None if out is None else Written(out, POSTER_FOLDERS if words else IMAGE_FOLDERS)
        if self._written is not None:
            shared = (getattr(self.settings, name) for name in ("mask", *FILES[2:]))
            for given in (text, *(str(path.absolute()) for path in shared if isinstance(path, Path))):
                self._written.check(given)
        self.table: Table = open_table(
            text if source is not None else "",
            columns=self.settings.columns,
            encoding=self.settings.encoding,
            urls=self.urls,
            left_out=left_out,
            check_files=False,
            inside=self.settings.inside,
            words=words,
        )
        if mask is not None and self.table.kind not in ("folder", "image"):
            raise SettingsError("--mask does not go with a table; give masks in its column 'mask'")
        if mask is not None and mask.is_dir() != (self.table.kind == "folder"):
            raise SettingsError(
                f"--mask {mask} is a folder but the input is one image; give the mask file"
                if mask.is_dir()
                else f"--mask {mask} is one file but the input is a folder; give a folder of masks named "
                "like the images, or a table with a mask column"
            )

    @property
    def notes(self) -> list[str]:
        """What was detected, mapped and left out; complete after the last item."""
        return self.table.notes

    @property
    def words(self) -> dict[str, list[str]]:
        """Language, empty for all, to the roles of words that the input has, ``title`` among them."""
        found = {language: list(roles) for language, roles in self.table.map.words.items()}
        if "title" in self.table.map.fields:
            found.setdefault("", []).append("title")
        return found

    @property
    def remarks(self) -> list[str]:
        """The notes, without the first where it only says that the input is an image or a folder."""
        return self.notes[1:] if self.table.kind in ("image", "folder") else self.notes

    def iterate(self, embedded: Path) -> Iterator[Item]:
        """The items in order; those that cannot be used carry their failure.

        ``embedded`` is a folder for images that lie inside a table's cells. Raises OutputError.
        """
        settings, from_folder = self.settings, self.table.kind == "folder"
        masks, mask_means = settings.mask, settings.mask_means
        reference = settings.reference_address
        reference_mask = None if settings.reference_mask is None else str(settings.reference_mask.absolute())
        common = None if settings.style is None else str(settings.style.absolute())
        plate = None if settings.backdrop is None else str(settings.backdrop.absolute())
        for row in self.table:
            get = row.values.get
            image, mask, own, own_mask, style, backdrop = map(get, FILES)
            failure = None if row.error is None else Failure("ManifestError", f"{row.place}: {row.error}")
            if self._written is not None and failure is None:
                fault = self._written.find_fault({column: row.values.get(column) for column in FILES})
                failure = Failure("OutputError", f"{row.place}: {fault}") if fault else None
            if bytes in (type(image), type(mask), type(own), type(own_mask), type(backdrop)):
                image, mask, own, own_mask, backdrop = (
                    _keep(v, embedded) for v in (image, mask, own, own_mask, backdrop)
                )
            if own or style or backdrop:
                looks = {"reference": own, "style file": style, "backdrop": backdrop}
                given = [name for name, address in looks.items() if address]
                if len(given) > 1 and failure is None:
                    reason = f"{row.place}: it has a {' and a '.join(given)}; keep one of them"
                    failure = Failure("ManifestError", reason)
            else:
                own, own_mask, style, backdrop = reference, reference_mask, common, plate
            if masks is not None and failure is None:
                mask, failure = self._find_mask(masks, row)
            yield Item(
                row.name or f"row-{row.number}",
                image or None,
                mask or None,
                get("mask_means") or mask_means,
                get("category"),
                own,
                own_mask or None,
                style or None,
                backdrop or None,
                get("seed"),
                tuple(row.name.split("/")[-2::-1]) if from_folder else (),
                None,
                get("id"),
                get("licence"),
                failure,
                _write_words(row) if self._words else None,
                row.columns,
            )

    def _find_mask(self, masks: Path, row: Row) -> tuple[str | None, Failure | None]:
        if self.table.kind == "image":
            return str(masks.absolute()), None
        beside = masks / row.name
        for suffix in (beside.suffix, *sorted(IMAGE_SUFFIXES)):
            mask = beside.with_suffix(suffix)
            if mask.is_file():
                return str(mask.absolute()), None
        reason = f"no mask {beside.with_suffix('')}.* for {row.name} in the folder given with --mask"
        return None, Failure("MissingMaskError", reason)


def _check_recorded(out: Path) -> None:
    """Raise OutputError if the folder ``out``, which is the input, has photos where runs write."""
    if any((out / name).exists() for name in (RECORD, "plans.jsonl", "remote.json")):
        return
    for folder in (out / name for name in OUTPUT_FOLDERS):
        if folder.is_dir() and any(folder.iterdir()):
            raise OutputError(
                f"{out} is the input, too, and its {folder.name} holds files that no run recorded; choose "
                f"another folder with --out"
            )


def _write_words(row: Row) -> str | None:
    """What a row says as JSON, its title as one more role; None where it says nothing."""
    words = dict(row.values.get("words", {}))
    if title := row.values.get("title"):
        words[""] = {**words.get("", {}), "title": title}
    return json.dumps(words, ensure_ascii=False) if words else None


def name_files(row: Any, reason: str) -> str:
    """``reason`` with the files of ``row`` as they are known everywhere: by the row's name, or their own.

    ``row`` has ``name`` and FILES. So equal inputs give equal results wherever they lie.
    """
    known = {
        address: column for column in FILES if (address := getattr(row, column)) and "://" not in address
    }
    for address in sorted(known, key=len, reverse=True):
        shown = row.name if known[address] == "image" else PurePosixPath(address).name
        reason = reason.replace(address, shown)
    return reason


def _keep(value: Any, folder: Path) -> str | None:
    """An address; bytes inside a table's cell become a file in ``folder``, named by their content."""
    if not isinstance(value, bytes):
        return value or None
    path = folder / hashlib.blake2b(value, digest_size=16).hexdigest()
    if not path.exists():
        write_atomic(path, value, durable=False)
    return str(path.absolute())
