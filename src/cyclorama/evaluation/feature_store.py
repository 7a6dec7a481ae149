"""Features that were computed once, at hand for every further measurement of the same files."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from cyclorama.evaluation.features import (
    FeatureIdentity,
    FeatureTable,
    Network,
    Region,
    extract_features,
)
from cyclorama.evaluation.reading import ImageSet
from cyclorama.evaluation.set_distances import compute_set_digest
from cyclorama.files import write_atomic

FORMAT = 1


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
        identity = FeatureIdentity(
            network.name, network.weights_hash, network.dimensions, network.resampler, region
        )
        digest = compute_set_digest(images)
        name = f"{identity.network}-{identity.weights_hash}-{region}-{identity.resampler}-{digest}.npz"
        found = self._tables.get(name)
        if found is None and self._folder is not None:
            found = _load(self._folder / name, identity)
        if found is None:
            found = extract_features(images, network, region, on_images)
            if self._folder is not None:
                _save(found, self._folder / name)
        elif on_images is not None:
            on_images(len(images))
        self._tables[name] = found
        return found


def _save(table: FeatureTable, path: Path) -> None:
    note = {"format": FORMAT, "keys": table.keys, "identity": asdict(table.identity)}
    stream = io.BytesIO()
    np.savez(stream, values=table.values, note=np.frombuffer(json.dumps(note).encode(), np.uint8))
    # another process may be at the same set
    write_atomic(path, stream.getvalue(), durable=False, shared=True)


def _load(path: Path, identity: FeatureIdentity) -> FeatureTable | None:
    """The table in ``path``; None if there is none, or one of another version or cut short."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            note = json.loads(bytes(arrays["note"]))
            if note["format"] != FORMAT or FeatureIdentity(**note["identity"]) != identity:
                return None
            return FeatureTable(identity, tuple(note["keys"]), arrays["values"])
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return None
