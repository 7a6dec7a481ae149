"""Which network turns an image into numbers, and can two sets of numbers be compared at all?

Every table of features carries an identity (network, hash of its weights, resampler, region of the image).
Two tables are only ever compared if their identities are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

import cyclorama
from cyclorama.errors import MissingDependencyError, ModelFormatError, ModelNotFoundError, SettingsError
from cyclorama.evaluation.errors import MissingImageError, MixedFeaturesError
from cyclorama.evaluation.resize import fill_product, resize_planes

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

    from cyclorama.evaluation.feature_network import FeatureNetwork
    from cyclorama.evaluation.reading import ImageSet
    from cyclorama.types import Pixels, Size

Region = Literal["image", "background"]
"""``image``: all of it. ``background``: the product filled with neutral grey."""

NETWORKS = ("cyclorama", "inception", "clip")
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


class Network(Protocol):
    """A feature network behind one face."""

    name: str
    weights_hash: str
    dimensions: int
    resampler: str

    def compute(self, images: Sequence[Pixels]) -> npt.NDArray[np.float32]:
        """float32 (N, dimensions) of ``images``, each uint8 (H, W, 3) of any size."""
        ...


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Features by key: ``values`` float32 (N, D), rows in the order of ``keys`` (sorted)."""

    identity: FeatureIdentity
    keys: tuple[str, ...]
    values: npt.NDArray[np.float32]

    def get(self, key: str) -> npt.NDArray[np.float32]:
        """The row of ``key`` (D). Raises MissingImageError."""
        try:
            row: npt.NDArray[np.float32] = self.values[self.keys.index(key)]
        except ValueError:
            raise MissingImageError(f"no features for {key!r} among {len(self.keys)} images") from None
        return row

    def select(self, keys: Sequence[str]) -> FeatureTable:
        """The rows of ``keys``, in their order. Raises MissingImageError."""
        places = {key: place for place, key in enumerate(self.keys)}
        missing = [key for key in keys if key not in places]
        if missing:
            raise MissingImageError(f"no features for {missing[0]!r} among {len(self.keys)} images")
        return FeatureTable(self.identity, tuple(keys), self.values[[places[key] for key in keys]])


def check_same_features(first: FeatureIdentity, second: FeatureIdentity) -> None:
    """Raise MixedFeaturesError unless both were made by one network, weights, resampler and region."""
    if first != second:
        raise MixedFeaturesError(
            f"features of {first.label} cannot be compared with {second.label}; compute both with one "
            "network, or delete the stored statistics of the other"
        )


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
    keys, rows, waiting = images.keys, [], []
    for number, key in enumerate(keys, start=1):
        image = images.load(key)
        pixels = image.pixels
        if region == "background":
            if image.mask is None:
                raise MissingImageError(
                    f"{images.name}: {key!r} has no mask; give --masks to see backgrounds"
                )
            pixels = fill_product(pixels, image.mask)
        waiting.append(pixels)
        if len(waiting) == BATCH or number == len(keys):
            filled = waiting + [waiting[-1]] * (BATCH - len(waiting)) if number > BATCH else waiting
            rows.append(network.compute(filled)[: len(waiting)])
            if on_images is not None:
                on_images(len(waiting))
            waiting = []
    values = np.concatenate(rows) if rows else np.zeros((0, network.dimensions), np.float32)
    identity = FeatureIdentity(
        network.name, network.weights_hash, network.dimensions, network.resampler, region
    )
    return FeatureTable(identity, tuple(keys), values)


def stack_images(images: Sequence[Pixels], size: Size, resampler: str) -> torch.Tensor:
    """float32 (N, 3, H, W) in [-1, 1] of images squeezed to ``size``."""
    import torch

    planes = np.stack([resize_planes(pixels, size, resampler) for pixels in images])
    return torch.from_numpy(np.ascontiguousarray(planes.transpose(0, 3, 1, 2))) / 127.5 - 1


class CycloramaNetwork:
    """The bundled network, or one trained alike: features, category probabilities, perceptual maps."""

    name = "cyclorama"
    resampler = "pillow-bicubic"

    def __init__(self, network: FeatureNetwork, weights_hash: str, device: str = "cpu") -> None:
        from cyclorama.evaluation.feature_network import DIMENSIONS

        self.network = network.to(device)
        self.weights_hash = weights_hash
        self.dimensions = DIMENSIONS
        self.device = device

    @property
    def categories(self) -> tuple[str, ...]:
        """The classes it knows."""
        return self.network.config.categories

    def prepare(self, images: Sequence[Pixels]) -> torch.Tensor:
        """The network's input (N, 3, 128, 128) in [-1, 1]."""
        import torch

        from cyclorama.evaluation.feature_network import INPUT_SIDE

        image = stack_images(images, (INPUT_SIDE, INPUT_SIDE), self.resampler)
        return image.to(self.device, memory_format=torch.channels_last)

    def compute(self, images: Sequence[Pixels]) -> npt.NDArray[np.float32]:
        """float32 (N, 256)."""
        import torch

        with torch.no_grad():
            values: npt.NDArray[np.float32] = self.network(self.prepare(images)).float().cpu().numpy()
        return values

    def classify(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Probabilities float32 (N, categories) of pooled ``features`` (N, 256)."""
        import torch

        with torch.no_grad():
            scores = self.network.category_head(torch.from_numpy(features).to(self.device))
            values: npt.NDArray[np.float32] = scores.softmax(dim=1).cpu().numpy()
        return values


class InceptionNetwork:
    """Inception-v3 pool features, the usual ground of FID and KID."""

    name = "inception"
    resampler = "pillow-bicubic"
    dimensions = 2048

    def __init__(self, path: Path, device: str = "cpu") -> None:
        from cyclorama.evaluation.feature_network import compute_tensor_hash
        from cyclorama.evaluation.inception import load_inception

        network, tensors = load_inception(path)
        self.network = network.to(device)
        self.weights_hash = compute_tensor_hash(
            {name: value for name, value in tensors.items() if not name.endswith("num_batches_tracked")}
        )
        self.device = device

    def compute(self, images: Sequence[Pixels]) -> npt.NDArray[np.float32]:
        """float32 (N, 2048)."""
        import torch

        image = stack_images(images, (299, 299), self.resampler).to(self.device)
        with torch.no_grad():
            values: npt.NDArray[np.float32] = self.network(image).float().cpu().numpy()
        return values


class ClipNetwork:
    """Image embeddings of a CLIP model in transformers' layout, prepared by its own PIL image processor."""

    name = "clip"
    resampler = "transformers-pil"

    def __init__(self, folder_or_hub_id: str | Path, device: str = "cpu") -> None:
        from cyclorama.evaluation.feature_network import compute_tensor_hash

        self.model, self.processor = _load_clip(folder_or_hub_id)
        self.model.to(device)
        self.device = device
        self.dimensions = int(self.model.config.projection_dim)
        self.weights_hash = compute_tensor_hash(dict(self.model.state_dict()))

    def compute(self, images: Sequence[Pixels]) -> npt.NDArray[np.float32]:
        """float32 (N, projection) image embeddings, not normalised."""
        import torch
        from PIL import Image

        inputs = self.processor(images=[Image.fromarray(p) for p in images], return_tensors="pt")
        with torch.no_grad():
            embeds = self.model(pixel_values=inputs["pixel_values"].to(self.device)).image_embeds
        values: npt.NDArray[np.float32] = embeds.float().cpu().numpy()
        return values


def _load_clip(source: str | Path) -> tuple[Any, Any]:
    try:
        from transformers import CLIPVisionModelWithProjection
    except ImportError as error:
        raise MissingDependencyError("CLIP features need transformers: pip install transformers") from error
    path = Path(source)
    if not path.is_dir() and (
        path.exists() or str(source).count("/") != 1 or str(source).startswith((".", "/"))
    ):
        raise ModelNotFoundError(
            f"no CLIP model at {source}: give a folder in transformers' layout (config.json, "
            "model.safetensors, preprocessor_config.json) or a hub id such as openai/clip-vit-base-patch32"
        )
    try:
        processor = _get_processor_class().from_pretrained(source)
        model = CLIPVisionModelWithProjection.from_pretrained(source, use_safetensors=True)
    except Exception as error:  # the hub client's and transformers' errors have no common base
        kind = ModelFormatError if path.is_dir() else ModelNotFoundError
        raise kind(
            f"cannot load CLIP from {source} ({type(error).__name__}: {str(error)[:160]}); the folder needs "
            "config.json, model.safetensors and preprocessor_config.json; a hub id needs the network once"
        ) from error
    return model.eval().requires_grad_(False), processor


def _get_processor_class() -> Any:
    """The PIL-based CLIP processor under the name this transformers has for it; none needs torchvision."""
    import transformers

    for name in ("CLIPImageProcessorPil", "CLIPImageProcessor"):
        if hasattr(transformers, name):
            return getattr(transformers, name)
    raise MissingDependencyError("this transformers has no CLIP image processor; install transformers>=4.56")


def find_bundled_features() -> Path:
    """Where the bundled feature network lies."""
    return Path(cyclorama.__file__).parent / "weights" / "features"


def load_features(choice: str = "cyclorama", device: str = "cpu") -> Network:
    """The network that ``choice`` names: ``NAME`` or ``NAME=FILE_FOLDER_OR_ID``.

    ``cyclorama`` (the bundled one, or a folder), ``inception=FILE``, ``clip=FOLDER_OR_HUB_ID``.
    Raises SettingsError for an unknown name, ModelNotFoundError, ModelFormatError.
    """
    name, _, place = choice.partition("=")
    if name == "cyclorama":
        from cyclorama.evaluation.feature_network import load_network

        network, weights_hash = load_network(Path(place) if place else find_bundled_features())
        return CycloramaNetwork(network, weights_hash, device)
    if name == "inception":
        from cyclorama.evaluation.inception import FILE_NAME

        return InceptionNetwork(Path(place or FILE_NAME), device)
    if name == "clip":
        if not place:
            raise SettingsError(
                "clip needs a model: --features clip=FOLDER or clip=openai/clip-vit-base-patch32"
            )
        return ClipNetwork(place, device)
    raise SettingsError(f"no feature network {name!r}; known: {', '.join(NETWORKS)}")
