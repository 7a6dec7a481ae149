"""Which network turns an image into numbers, and can two sets of numbers be compared at all?

Every table of features carries an identity (network, hash of its weights, resampler, region of the image).
Two tables are only ever compared if their identities are equal. What was computed once is kept for further
measurements of the same files.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from cyclorama.data.addresses import read_stamp
from cyclorama.errors import DataError, MissingImageError, MixedFeaturesError
from cyclorama.evaluation.reading import ImageSet
from cyclorama.files import write_atomic
from cyclorama.imaging.masks import fill_product
from cyclorama.imaging.transforms import resize_bicubic
from cyclorama.types import Pixels

if TYPE_CHECKING:
    import torch

    from cyclorama.evaluation.feature_network import FeatureNetwork

Values = npt.NDArray[np.float32]

Region = Literal["image", "background"]
"""``image``: all of it. ``background``: the product filled with neutral grey."""

NETWORKS = ("cyclorama", "efficientnet", "inception", "clip")
BATCH = 32
"""Images in one pass; the last pass is filled up, so that results do not depend on the set's length."""


@dataclass(frozen=True)
class FeatureIdentity:
    """What must be equal for two features to be comparable."""

    network: str
    weights_hash: str
    dimensions: int
    resampler: str
    region: Region

    @property
    def label(self) -> str:
        """For example ``cyclorama-0123456789abcdef (background, pillow-bicubic)``."""
        return f"{self.network}-{self.weights_hash} ({self.region}, {self.resampler})"


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Features by key: ``values`` float32 (N, D), a row per key. Raises DataError if not finite."""

    identity: FeatureIdentity
    keys: tuple[str, ...]
    values: Values

    def __post_init__(self) -> None:
        bad = np.flatnonzero(~np.isfinite(self.values).all(axis=1))
        if len(bad):
            raise DataError(f"the features of {self.keys[bad[0]]!r} are not finite; look at that image")

    def select(self, keys: Iterable[str]) -> FeatureTable:
        """The rows of ``keys``, in their order. Raises MissingImageError."""
        places, keys = {key: place for place, key in enumerate(self.keys)}, tuple(keys)
        for key in keys:
            if key not in places:
                raise MissingImageError(f"no features for {key!r} among {len(self.keys)} images")
        return FeatureTable(self.identity, keys, self.values[[places[key] for key in keys]])

    def normalise(self) -> npt.NDArray[np.float64]:
        """The rows at length 1. Raises DataError for a row of zeros, which has no direction."""
        values = self.values.astype(np.float64)
        lengths = np.linalg.norm(values, axis=1, keepdims=True)
        if (lengths == 0).any():
            key = self.keys[int(np.flatnonzero(lengths[:, 0] == 0)[0])]
            raise DataError(f"the features of {key!r} are all 0; a cosine with them is not defined")
        return np.asarray(values / lengths)


def check_same_features(first: FeatureIdentity, second: FeatureIdentity) -> None:
    """Raise MixedFeaturesError unless both were made by one network, weights, resampler and region."""
    if first != second:
        raise MixedFeaturesError(
            f"features of {first.label} cannot be compared with {second.label}; compute both with one "
            "network, or delete the stored statistics of the other"
        )


def compute_cosines(
    images: FeatureTable, partners: FeatureTable, pairs: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], float]:
    """The cosine of the features of each (image, partner) pair, -1 to 1.

    Raises MixedFeaturesError, MissingImageError, DataError (features of length 0).
    """
    check_same_features(images.identity, partners.identity)
    first = images.select(a for a, _ in pairs).normalise()
    second = partners.select(b for _, b in pairs).normalise()
    return dict(zip(pairs, (first * second).sum(axis=1).tolist()))


def compute_similarity(
    images: FeatureTable, partners: FeatureTable, pairs: Mapping[str, str] | None = None
) -> dict[str, float]:
    """100 · cosine of the features of each image and its partner, by key.

    With CLIP features of whole images this is the paper's CLIP similarity (to the original on BG1k, to the
    reference on BG-pair). ``pairs`` maps an image's key to its partner's; None: the same key.
    Raises as :func:`compute_cosines`.
    """
    wanted = [(key, key) for key in images.keys] if pairs is None else list(pairs.items())
    return {key: 100 * value for (key, _), value in compute_cosines(images, partners, wanted).items()}


class Network:
    """A feature network: ``name``, ``weights_hash``, ``dimensions`` and ``resampler`` make its identity."""

    name: str
    resampler = "pillow-bicubic"
    dimensions: int
    side: int
    """Pixels of its square input."""

    def __init__(self, network: Any, weights_hash: str, device: str) -> None:
        self.network, self.weights_hash, self.device = network.to(device), weights_hash, device

    def prepare(self, images: Sequence[Pixels]) -> torch.Tensor:
        """The network's input float32 (N, 3, H, W) of ``images``, each uint8 (H, W, 3) of any size."""
        import torch

        planes = np.stack([resize_bicubic(p, (self.side, self.side)) for p in images])
        image = torch.from_numpy(np.ascontiguousarray(planes.transpose(0, 3, 1, 2))) / 127.5 - 1
        return image.to(self.device, memory_format=torch.channels_last)

    def embed(self, image: torch.Tensor) -> torch.Tensor:
        """Features (N, dimensions) of a prepared batch."""
        features: torch.Tensor = self.network(image)
        return features

    def compute(self, images: Sequence[Pixels]) -> Values:
        """float32 (N, dimensions) of ``images``, each uint8 (H, W, 3) of any size."""
        import torch

        with torch.no_grad():
            values: Values = self.embed(self.prepare(images)).float().cpu().numpy()
        return values


def identify(network: Network, region: Region) -> FeatureIdentity:
    """The identity of the features that ``network`` computes of ``region``."""
    return FeatureIdentity(network.name, network.weights_hash, network.dimensions, network.resampler, region)


def extract_features(
    images: ImageSet,
    network: Network,
    region: Region = "image",
    on_images: Callable[[int], None] | None = None,
) -> FeatureTable:
    """The features of every image, rows sorted by key.

    Raises MissingImageError (region ``background`` and no mask). Invariant: an image's row does not depend
    on which others are in the set beyond float32 rounding, and not at all on their order.
    """
    keys, rows = images.keys, []
    for start in range(0, len(keys), BATCH):
        batch = []
        for image in map(images.load, keys[start : start + BATCH]):
            if region == "image":
                batch.append(image.pixels)
            elif image.mask is not None:
                batch.append(fill_product(image.pixels, image.mask))
            else:
                raise MissingImageError(
                    f"{images.name}: {image.key!r} has no mask; give --masks to see backgrounds"
                )
        filled = batch + [batch[-1]] * (BATCH - len(batch)) if len(keys) > BATCH else batch
        rows.append(network.compute(filled)[: len(batch)])
        if on_images is not None:
            on_images(len(batch))
    values = np.concatenate(rows) if rows else np.zeros((0, network.dimensions), np.float32)
    return FeatureTable(identify(network, region), tuple(keys), values)


class CycloramaNetwork(Network):
    """The bundled network, or one trained alike: features, category probabilities, perceptual maps."""

    name = "cyclorama"

    def __init__(self, network: FeatureNetwork, weights_hash: str, device: str = "cpu") -> None:
        from cyclorama.evaluation.feature_network import DIMENSIONS, INPUT_SIDE

        super().__init__(network, weights_hash, device)
        self.dimensions, self.side = DIMENSIONS, INPUT_SIDE

    @property
    def categories(self) -> tuple[str, ...]:
        """The classes it knows."""
        return tuple(self.network.config.categories)

    def classify(self, features: Values) -> Values:
        """Probabilities float32 (N, categories) of pooled ``features`` (N, 256)."""
        import torch

        with torch.no_grad():
            scores = self.network.category_head(torch.from_numpy(features).to(self.device))
            values: Values = scores.softmax(dim=1).cpu().numpy()
        return values


FORMAT = "cyclorama-features-3"


class FeatureStore:
    """Feature tables by network, weights, resampler, region and content of the set.

    In memory, and with a ``folder`` on disk too. A table is found again only for the same keys and files
    (paths, sizes, times), so an image that was made again is looked at again.
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
        path = None if self._folder is None else self._folder / name
        found = self._tables.get(name)
        if found is None and path is not None:
            with suppress(DataError):  # none there, of another version, or cut short: made again
                found = load_table(path)
        if found is None or found.identity != identity:
            found = extract_features(images, network, region, on_images)
            if path is not None:
                save_table(found, path)
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
        raise DataError(f"{path} holds no features of this version ({error}); make them again") from error


def compute_set_digest(images: ImageSet) -> str:
    """16 hex digits that change with the keys, files, their sizes or times, and what their masks mean."""
    digest = hashlib.sha256()
    for key, item in images.items.items():
        digest.update(f"{key}\n{item.mask_means or ''}".encode())
        for place in (item.image, item.mask):
            if isinstance(place, np.ndarray):
                digest.update(place.tobytes())
            elif place is not None:
                address = str(place) if isinstance(place, Path) else place
                digest.update(f"{address!r}|{read_stamp(address)}\n".encode())
    return digest.hexdigest()[:16]
