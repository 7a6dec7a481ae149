"""Networks that others trained: EfficientNet-Lite0, which is in the package, and those of published figures,
Inception-v3 with the weights behind FID, and CLIP.

Architecture: arXiv 1512.00567. The 2015 graph behind FID (arXiv 1706.08500) differs from torchvision's
(average pools leave the border out, the last block pools by maximum), so the network is here, its blocks as
data; parameter names are those of the published PyTorch conversion.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import nn

from cyclorama.bundled import find_bundled
from cyclorama.errors import ModelFormatError, ModelNotFoundError, SettingsError
from cyclorama.evaluation.feature_network import compute_tensor_hash, load_network
from cyclorama.evaluation.features import NETWORKS, CycloramaNetwork, Network
from cyclorama.pretrained import VALUES, PretrainedNetwork
from cyclorama.types import Pixels

FILE_NAME = "pt_inception-2015-12-05-6726825d.pth"
_COUNTER = "num_batches_tracked"

_DOUBLE = "branch3x3dbl_1:64 branch3x3dbl_2:96:3 branch3x3dbl_3"
_SEVEN = (
    "branch1x1:192 | branch7x7_1:{0} branch7x7_2:{0}:1x7 branch7x7_3:192:7x1 | branch7x7dbl_1:{0} "
    "branch7x7dbl_2:{0}:7x1 branch7x7dbl_3:{0}:1x7 branch7x7dbl_4:{0}:7x1 branch7x7dbl_5:192:1x7 | "
    "branch_pool:192"
)
_FIVE = f"branch1x1:64 | branch5x5_1:48 branch5x5_2:64:5 | {_DOUBLE}:96:3 | branch_pool:"
_LAST = (
    "branch1x1:320 | branch3x3_1:384 branch3x3_2a:384:1x3 | branch3x3_1:384 branch3x3_2b:384:3x1 | "
    "branch3x3dbl_1:448 branch3x3dbl_2:384:3 branch3x3dbl_3a:384:1x3 | "
    "branch3x3dbl_1:448 branch3x3dbl_2:384:3 branch3x3dbl_3b:384:3x1 | branch_pool:192"
)
BLOCKS = {
    "Mixed_5b": (192, _FIVE + "32"),
    "Mixed_5c": (256, _FIVE + "64"),
    "Mixed_5d": (288, _FIVE + "64"),
    "Mixed_6a": (288, f"branch3x3:384:3/2 | {_DOUBLE}:96:3/2 | halve"),
    "Mixed_6b": (768, _SEVEN.format(128)),
    "Mixed_6c": (768, _SEVEN.format(160)),
    "Mixed_6d": (768, _SEVEN.format(160)),
    "Mixed_6e": (768, _SEVEN.format(192)),
    "Mixed_7a": (
        768,
        "branch3x3_1:192 branch3x3_2:320:3/2 | branch7x7x3_1:192 branch7x7x3_2:192:1x7 branch7x7x3_3:192:7x1 "
        "branch7x7x3_4:192:3/2 | halve",
    ),
    "Mixed_7b": (1280, _LAST),
    "Mixed_7c": (2048, f"{_LAST} maximum"),
}
"""Block -> (input channels, paths of convolutions side by side).

A convolution is ``name:channels:kernel``, 1 where no kernel stands; ``/2`` halves the sides. Paths may share
their first layers. ``branch_pool`` begins with an average, or with a maximum where the path says so;
``halve`` is a maximum pool alone.
"""


class Convolution(nn.Module):
    """Convolution without bias, normalisation and ReLU."""

    def __init__(
        self, inputs: int, outputs: int, sides: tuple[int, int], stride: int = 1, padding: bool = True
    ) -> None:
        super().__init__()
        border = (sides[0] // 2, sides[1] // 2) if padding else 0
        self.conv = nn.Conv2d(inputs, outputs, sides, stride, border, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(B, outputs, H', W')."""
        return torch.relu(self.bn(self.conv(values)))


class Mixed(nn.Module):
    """Paths of convolutions side by side, their ends joined; ``paths`` as in BLOCKS."""

    def __init__(self, inputs: int, paths: str) -> None:
        super().__init__()
        self.by_maximum = paths.endswith("maximum")
        self.paths: list[list[str]] = []
        for path in paths.removesuffix("maximum").split("|"):
            width, names = inputs, []
            for layer in path.split():
                name, _, rest = layer.partition(":")
                names.append(name)
                if rest:
                    channels, _, kernel = rest.partition(":")
                    sides, _, halves = (kernel or "1").partition("/")
                    rows, _, columns = sides.partition("x")
                    size = (int(rows), int(columns or rows))
                    if not hasattr(self, name):
                        convolution = Convolution(width, int(channels), size, 2 if halves else 1, not halves)
                        self.add_module(name, convolution)
                    width = int(channels)
            self.paths.append(names)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(B, sum of the paths' channels, H', W')."""
        made = {"halve": nn.functional.max_pool2d(values, 3, 2)} if self.paths[-1] == ["halve"] else {}
        for path in self.paths:
            end = self._pool(values) if path[0] == "branch_pool" else values
            for name in path:
                if name not in made:
                    made[name] = getattr(self, name)(end)
                end = made[name]
        return torch.cat([made[path[-1]] for path in self.paths], 1)

    def _pool(self, values: torch.Tensor) -> torch.Tensor:
        if self.by_maximum:
            return nn.functional.max_pool2d(values, 3, 1, 1)
        return nn.functional.avg_pool2d(values, 3, 1, 1, count_include_pad=False)


class Inception(nn.Module):
    """The trunk up to the last pool: (B, 2048) of ``image`` (B, 3, 299, 299) in [-1, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Convolution(3, 32, (3, 3), 2, padding=False)
        self.Conv2d_2a_3x3 = Convolution(32, 32, (3, 3), padding=False)
        self.Conv2d_2b_3x3 = Convolution(32, 64, (3, 3))
        self.Conv2d_3b_1x1 = Convolution(64, 80, (1, 1))
        self.Conv2d_4a_3x3 = Convolution(80, 192, (3, 3), padding=False)
        for name, (inputs, paths) in BLOCKS.items():
            self.add_module(name, Mixed(inputs, paths))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Pool features (B, 2048), 0 or more."""
        values = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(image)))
        values = nn.functional.max_pool2d(values, 3, 2)
        values = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(values))
        values = nn.functional.max_pool2d(values, 3, 2)
        for name in BLOCKS:
            values = getattr(self, name)(values)
        pooled: torch.Tensor = values.mean(dim=(2, 3))
        return pooled


class InceptionNetwork(Network):
    """Inception-v3 pool features, the usual ground of FID and KID.

    Of the weights in ``path`` (.pth state dict or .safetensors) the classifier (``fc``) and auxiliary outputs
    are left out. A pickled file is opened with ``weights_only``: nothing in it is run. Raises
    ModelNotFoundError, ModelFormatError.
    """

    name = "inception"
    dimensions = 2048
    side = 299

    def __init__(self, path: Path, device: str = "cpu") -> None:
        if not path.is_file():
            raise ModelNotFoundError(
                f"no Inception weights at {path}: download {FILE_NAME} (pytorch-fid's release 'fid_weights', "
                f"about 92 MB) once and name it with --features inception=FILE"
            )
        try:
            if path.suffix == ".safetensors":
                from safetensors.torch import load_file

                tensors = load_file(path)
            else:
                tensors = dict(torch.load(path, map_location="cpu", weights_only=True))
        except Exception as error:  # unpickling fails in many ways
            raise ModelFormatError(
                f"{path} cannot be read as weights ({type(error).__name__}); download {FILE_NAME} again"
            ) from error
        network = Inception()
        wanted = set(network.state_dict())
        used = {name: value for name, value in tensors.items() if name in wanted}
        absent = {name for name in wanted - set(used) if not name.endswith(_COUNTER)}
        if absent:
            raise ModelFormatError(
                f"{path} lacks {len(absent)} of {len(wanted)} tensors, first {sorted(absent)[0]!r}; "
                f"use {FILE_NAME} or a copy with its names"
            )
        try:
            network.load_state_dict(used, strict=False)
        except RuntimeError as error:
            raise ModelFormatError(f"{path} has tensors of other shapes: {str(error)[:200]}") from error
        counted = {name: value for name, value in used.items() if not name.endswith(_COUNTER)}
        super().__init__(network.eval().requires_grad_(False), compute_tensor_hash(counted), device)


class EfficientNetwork(Network):
    """Pool features of the package's EfficientNet-Lite0: another view beside our own network, trained on real
    images by others. Raises MissingDependencyError: onnx is not there."""

    name = "efficientnet"
    dimensions, side = VALUES["vector"], 224

    def __init__(self, device: str = "cpu") -> None:
        network = PretrainedNetwork(("vector",))
        super().__init__(network, compute_tensor_hash(dict(network.named_buffers())), device)

    def embed(self, image: torch.Tensor) -> torch.Tensor:
        """Pool features (N, 1280), 0 or more."""
        features: torch.Tensor = self.network(image)[0]
        return features


class ClipNetwork(Network):
    """Image embeddings of a CLIP model in transformers' layout, prepared by its own PIL image processor."""

    name = "clip"
    resampler = "transformers-pil"

    def __init__(self, place: str, device: str = "cpu") -> None:
        import transformers

        path = Path(place)
        if not path.is_dir() and (
            path.exists() or str(place).count("/") != 1 or str(place).startswith((".", "/"))
        ):
            raise ModelNotFoundError(
                f"no CLIP model at {place}: give a folder in transformers' layout (config.json, "
                "model.safetensors, preprocessor_config.json) or a hub id: openai/clip-vit-base-patch32"
            )
        try:
            # the PIL-based one needs no torchvision; older versions have no other
            kind = getattr(transformers, "CLIPImageProcessorPil", None) or transformers.CLIPImageProcessor
            self.processor = kind.from_pretrained(place)
            model = transformers.CLIPVisionModelWithProjection.from_pretrained(place, use_safetensors=True)
        except Exception as error:  # the hub client's and transformers' errors have no common base
            refusal = ModelFormatError if path.is_dir() else ModelNotFoundError
            raise refusal(
                f"cannot load CLIP from {place} ({type(error).__name__}: {str(error)[:160]}); a folder needs "
                "config.json, model.safetensors and preprocessor_config.json; a hub id needs the network once"
            ) from error
        super().__init__(
            model.eval().requires_grad_(False), compute_tensor_hash(dict(model.state_dict())), device
        )
        self.dimensions, self.side = int(model.config.projection_dim), int(model.config.image_size)

    def prepare(self, images: Sequence[Pixels]) -> torch.Tensor:
        """The processor's pixel values."""
        inputs = self.processor(images=[Image.fromarray(p) for p in images], return_tensors="pt")
        image: torch.Tensor = inputs["pixel_values"].to(self.device)
        return image

    def embed(self, image: torch.Tensor) -> torch.Tensor:
        """Image embeddings (N, projection), not normalised."""
        embeds: torch.Tensor = self.network(pixel_values=image).image_embeds
        return embeds


def load_features(choice: str = "cyclorama", device: str = "cpu") -> Network:
    """The network that ``choice`` names: ``NAME`` or ``NAME=FILE_FOLDER_OR_ID``.

    ``cyclorama`` (the bundled one, or a folder), ``efficientnet``, ``inception=FILE``,
    ``clip=FOLDER_OR_HUB_ID``.
    Raises SettingsError for an unknown name, ModelNotFoundError, ModelFormatError.
    """
    name, _, place = choice.partition("=")
    if name == "cyclorama":
        return CycloramaNetwork(*load_network(Path(place) if place else find_bundled("features")), device)
    if name == "efficientnet" and not place:
        return EfficientNetwork(device)
    if name == "inception":
        return InceptionNetwork(Path(place or FILE_NAME), device)
    if name == "clip":
        if not place:
            raise SettingsError(
                "clip needs a model: --features clip=FOLDER or clip=openai/clip-vit-base-patch32"
            )
        return ClipNetwork(place, device)
    raise SettingsError(f"no feature network {name!r}; known: {', '.join(NETWORKS)}")
