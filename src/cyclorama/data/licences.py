"""Under which licences do a set's images stand, and what does that mean for a model trained on it?

A set carries ``licence.json`` beside its shards; a model carries the same file, with the licences of all sets
it and the model it started from were trained on. A source that forbids commercial use marks both.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Literal, NamedTuple

from cyclorama.data.bg60k import LICENCE as PUBLISHED_LICENCE
from cyclorama.data.examples import SourceConfig
from cyclorama.data.records import load_records
from cyclorama.data.shards import list_shards, scan_shard
from cyclorama.errors import DataError
from cyclorama.files import write_atomic

FILE_NAME = "licence.json"
CARD_NAME = "MODEL_CARD.md"
Use = Literal["allowed", "forbidden", "unstated"]
"""Commercial use: allowed by every image's licence, forbidden by one, or not stated for some."""
_RESTRICTED = re.compile(
    r"non.?commercial|\bnc\b|by-nc|academic|research.only|research.use|not.for.commercial|flux.*dev"
    r"|cc\W?by\W?nc",
    re.IGNORECASE,
)
_UNSTATED = ("", "not stated", "unknown", "other")


class SetLicence(NamedTuple):
    """Images by licence; the empty name counts those that state none."""

    counts: Mapping[str, int] = {}

    @property
    def restricted(self) -> tuple[str, ...]:
        """The licences that forbid or doubt commercial use, sorted."""
        return tuple(sorted(name for name in self.counts if is_restricted(name)))

    @property
    def commercial_use(self) -> Use:
        """What the set as a whole allows."""
        if self.restricted:
            return "forbidden"
        return "allowed" if self.counts and all(is_stated(name) for name in self.counts) else "unstated"

    def merge(self, other: SetLicence) -> SetLicence:
        """Both sets' images."""
        return SetLicence(dict(sorted((Counter(self.counts) + Counter(other.counts)).items())))

    def describe(self) -> str:
        """One line, fit for a card's ``Licence:``."""
        if self.commercial_use == "forbidden":
            return f"non-commercial use only; trained on images under {', '.join(self.restricted)}"
        if self.commercial_use == "unstated":
            return "not stated"
        return ", ".join(sorted(self.counts))


def is_restricted(licence: str) -> bool:
    """Whether a licence's text forbids or doubts commercial use.

    >>> is_restricted("CC-BY-NC-4.0"), is_restricted("Apache-2.0")
    (True, False)
    """
    return bool(_RESTRICTED.search(licence.replace("_", " ")))


def is_stated(licence: str) -> bool:
    """Whether the text names a licence at all."""
    return licence.strip().lower() not in _UNSTATED


def count_licences(licences: Iterable[str | None]) -> SetLicence:
    """One count per image's licence."""
    return SetLicence(dict(sorted(Counter((name or "").strip() for name in licences).items())))


def save_set_licence(licence: SetLicence, folder: str | Path) -> Path:
    """Write ``licence.json`` into ``folder``, whole or not at all. Raises OutputError."""
    path = Path(folder) / FILE_NAME
    values = {
        "version": 1,
        "commercial_use": licence.commercial_use,
        "restricted": list(licence.restricted),
        "images": dict(licence.counts),
    }
    write_atomic(path, (json.dumps(values, indent=1, ensure_ascii=False) + "\n").encode())
    return path


def load_set_licence(folder: str | Path) -> SetLicence | None:
    """What ``licence.json`` in ``folder`` says; None if there is no such file. Raises DataError."""
    path = Path(folder) / FILE_NAME
    if not path.is_file():
        return None
    try:
        counts = json.loads(path.read_text(encoding="utf-8"))["images"]
        return SetLicence({str(name): int(count) for name, count in counts.items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} does not say which licences the set's images have: {error}") from error


def find_source_licence(source: SourceConfig) -> SetLicence | None:
    """The licences of a training source; None if there are no images.

    Of shards, those in each folder's ``licence.json``, else what its images' JSON members state.
    Raises DataError, ManifestError.
    """
    if source.kind in ("bg60k", "bg1k", "bgpair"):
        return SetLicence({PUBLISHED_LICENCE: 1})
    if source.kind == "table":
        return count_licences(record.licence for record in load_records(source.path))
    folders: dict[Path, list[Path]] = {}
    try:
        for shard in list_shards(source.path, source.require_done):
            folders.setdefault(shard.parent, []).append(shard)
    except DataError:  # no shards
        folders[source.path if source.path.is_dir() else source.path.parent] = []
    found = [load_set_licence(folder) or _count_members(shards) for folder, shards in folders.items()]
    merged = reduce(SetLicence.merge, found)
    return merged if merged.counts else None


def _count_members(shards: Iterable[Path]) -> SetLicence:
    stated = ((entry.meta or {}) for shard in shards for entry in scan_shard(str(shard)))
    return count_licences(str(meta.get("licence") or meta.get("license") or "") for meta in stated)


def mark_model(folder: str | Path, start: str | Path, source: SourceConfig) -> SetLicence | None:
    """Carry the licences of ``source``, and of the model ``start``, over to the model in ``folder``.

    Writes ``licence.json`` and, where commercial use is forbidden, a first line ``Licence:`` in the model's
    card, which ``cyclorama models show`` and ``cyclorama catalogue check`` read. Nothing is known: nothing is
    written, None; new images that state nothing leave a known start unstated. Invariant: a mark is never lost
    on the way from set to model to model.

    Raises DataError, ManifestError, OutputError.
    """
    before, new = load_set_licence(start), find_source_licence(source)
    if before is None and new is None:
        return None
    return _save_mark((before or SetLicence()).merge(new or SetLicence({"": 1})), folder)


def mark_bundle(folder: str | Path, parts: Sequence[str | Path]) -> SetLicence | None:
    """Carry the licences of the models ``parts``, of which the one in ``folder`` was made, over to it.

    Writes as :func:`mark_model` does. Of some parts nothing is known: the rest leaves the whole unstated.
    """
    known = [load_set_licence(part) for part in parts]
    if not any(known):
        return None
    return _save_mark(reduce(SetLicence.merge, (found or SetLicence({"": 1}) for found in known)), folder)


def _save_mark(licence: SetLicence, folder: str | Path) -> SetLicence:
    save_set_licence(licence, folder)
    if licence.commercial_use == "forbidden":
        card = Path(folder) / CARD_NAME
        line = f"Licence: {licence.describe()}\n"
        old = card.read_text(encoding="utf-8") if card.is_file() else ""
        if not old.startswith(line):
            write_atomic(card, (f"{line}\n{old}" if old else line).encode())
    return licence
