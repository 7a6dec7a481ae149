"""Features that were computed once, at hand for every further measurement of the same files."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from cyclorama.data.addresses import read_stamp
from cyclorama.errors import DataError
from cyclorama.evaluation.features import (
    FeatureIdentity,
    FeatureTable,
    Network,
    Region,
    extract_features,
    identify,
)
from cyclorama.evaluation.reading import ImageSet
from cyclorama.files import write_atomic

FORMAT = "cyclorama-features-2"


class FeatureStore:
    """Feature tables by network, weights, resampler, region and content of the set.

    In memory, and with a ``folder`` on disk too. A table is found again only for the same keys and files
    (paths, sizes, times), so an image that was made anew is looked at anew.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._tables: dict[str, FeatureTable] = {}

    def get(
        self,
        images: ImageSet,
        network: Network,
        region: Region = "image",
        on_images: Callable[[int], None] | None = None,
    ) -> FeatureTable:
        """The features of ``images``, as :func:`extract_features` makes them.

        Raises its errors, OutputError.
        """
        identity = identify(network, region)
        name = (
            f"{identity.network}-{identity.weights_hash}-{region}-{identity.resampler}-"
            f"{compute_set_digest(images)}.npz"
        )
        found = self._tables.get(name)
        if found is None and self._folder is not None:
            found = _find(self._folder / name, identity)
        if found is None:
            found = extract_features(images, network, region, on_images)
            if self._folder is not None:
                save_table(found, self._folder / name)
        elif on_images is not None:
            on_images(len(images))
        self._tables[name] = found
        return found


def save_table(table: FeatureTable, path: Path) -> None:
    """Write ``table`` as an .npz file that holds no pickles, whole or not at all. Raises OutputError."""
    note = {"format": FORMAT, "keys": table.keys, "identity": asdict(table.identity)}
    stream = io.BytesIO()
    np.savez(stream, values=table.values, note=np.frombuffer(json.dumps(note).encode(), np.uint8))
    # another process may be at the same set
    write_atomic(path, stream.getvalue(), durable=False, shared=True)


def load_table(path: Path) -> FeatureTable:
    """The table in ``path``. Raises DataError for a missing, damaged or other kind of file."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            note = json.loads(bytes(arrays["note"]))
            if note["format"] != FORMAT:
                raise ValueError(f"format {note['format']!r}")
            return FeatureTable(FeatureIdentity(**note["identity"]), tuple(note["keys"]), arrays["values"])
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} holds no features of this version ({error}); make them anew") from error


def _find(path: Path, identity: FeatureIdentity) -> FeatureTable | None:
    """The table in ``path``; None if there is none, or one of another version or cut short."""
    try:
        table = load_table(path)
    except DataError:
        return None
    return table if table.identity == identity else None


def compute_set_digest(images: ImageSet) -> str:
    """16 hex digits that change with the keys, files, their sizes or times."""
    digest = hashlib.sha256()
    for key, item in images.items.items():
        digest.update(f"{key}\n".encode())
        if item.image is None:
            digest.update(images.load(key).pixels.tobytes())
        for place in (item.image, item.mask):
            if place is not None:
                address = str(place) if isinstance(place, Path) else place
                digest.update(f"{address!r}|{read_stamp(address)}\n".encode())
    return digest.hexdigest()[:16]
