"""LaMa in the package's one training loop: what is trained, by which losses, and what is saved.

arXiv 2109.07161, section 2.2 and Eq. 1 to 6. Differs from the paper: features come from this package's own
feature network instead of a segmentation network, because that one works offline and was made for such
images; the discriminator is small and has no normalisation; both sides share one optimiser (see
:mod:`cyclorama.models.discriminator`). Settings of its own stand under ``method`` in the recipe; the base
that the loop loads is not used.

What is to be invented: strokes and boxes are the wide masks of section 2.3 with the sizes of the published
training; everything but the product, which is what a background generator invents, is ours.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from cyclorama.bundled import find_bundled
from cyclorama.config import Settings, Share, build_config, to_plain
from cyclorama.erasing.erase import Hole
from cyclorama.erasing.files import (
    WEIGHTS_NAME,
    LamaModel,
    find_lama,
    is_prefilled,
    load_generator,
    read_tensors,
    save_lama,
    select_generator,
)
from cyclorama.erasing.network import SMALL_LAMA, LamaGenerator, LamaShape, count_parameters, predict_fill
from cyclorama.errors import ConfigError
from cyclorama.evaluation.feature_network import INPUT_SIDE, FeatureNetwork, load_network
from cyclorama.lab.baselines.lama import KNOWN_MATTE, LamaBaseline
from cyclorama.models.base import BaseModel
from cyclorama.models.discriminator import (
    PatchDiscriminator,
    compute_discriminator_loss,
    compute_generator_loss,
    compute_map_distance,
)
from cyclorama.seeding import build_numpy_generator, compute_seed
from cyclorama.training.batch import BatchNeeds, TrainBatch
from cyclorama.training.stage import StageNetworks, Start, TrainStage
from cyclorama.training.stages import show_generated
from cyclorama.types import Matte, Size

SMALLEST_SEEN = 32
"""Shortest side in pixels that the feature network can halve as often as it does."""
_TRIES = 256


class HoleConfig(Settings):
    """Kinds of holes and their sizes. Lengths are pixels at ``reference_resolution``."""

    strokes: NonNegativeFloat = 1.0
    """Weight of polygonal chains drawn with a wide round pen, beside ``boxes`` and ``background``."""
    boxes: NonNegativeFloat = 1.0
    """Weight of upright rectangles of any aspect ratio."""
    background: NonNegativeFloat = 0.0
    """Weight of everything but the product (not in the paper)."""
    max_chains: PositiveInt = 5
    """Chains of one hole: 1 to this many."""
    max_segments: PositiveInt = 5
    """Segments of a chain: 1 to this many, each in a direction of its own."""
    segment_px: tuple[PositiveFloat, PositiveFloat] = (10.0, 210.0)
    """Length of a segment."""
    stroke_px: tuple[PositiveFloat, PositiveFloat] = (5.0, 105.0)
    """Width of a segment."""
    max_boxes: PositiveInt = 4
    """Boxes of one hole: 1 to this many."""
    box_px: tuple[PositiveFloat, PositiveFloat] = (30.0, 150.0)
    """Side of a box."""
    box_margin_px: NonNegativeFloat = 10.0
    """What a box keeps free at the image's edge."""
    min_area: Share = 0.005
    """Strokes and boxes below this share of the image are drawn anew."""
    max_area: Share = 0.75
    """Strokes and boxes above this share of the image are drawn anew."""
    reference_resolution: PositiveInt = 256
    """Shorter side, in pixels, at which the lengths hold."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.strokes and not self.boxes:
            raise ConfigError("give strokes or boxes some weight; images without product need them")
        for name in ("segment_px", "stroke_px", "box_px"):
            low, high = getattr(self, name)
            if low > high:
                raise ConfigError(f"{name} is {low} to {high}; use first <= second")
        if self.min_area >= self.max_area:
            raise ConfigError(
                f"min_area is {self.min_area}, max_area {self.max_area}; use min_area < max_area"
            )
        return self


def sample_hole(product_mask: Matte, config: HoleConfig, rng: np.random.Generator) -> Hole:
    """A hole for an image with ``product_mask`` float32 (H, W), 1 = product; bool (H, W), true = to invent.

    Invariants: strokes and boxes cover ``min_area`` to ``max_area`` of the image; the background kind never
    covers a pixel of at least KNOWN_MATTE product. An image whose background kind would leave less than
    1 % known gets strokes or boxes instead. Raises ConfigError if the areas cannot be met.
    """
    kinds = ("background", "strokes", "boxes")
    weights = np.array([getattr(config, kind) for kind in kinds])
    kind = kinds[int(np.searchsorted(np.cumsum(weights / weights.sum()), rng.random(), side="right"))]
    if kind == "background":
        hole = np.asarray(product_mask) < KNOWN_MATTE
        if 0 < hole.mean() <= 0.99:
            return hole
        kind = "strokes" if config.strokes else "boxes"
    size = (product_mask.shape[0], product_mask.shape[1])
    draw = draw_strokes if kind == "strokes" else draw_boxes
    for _ in range(_TRIES):
        hole = draw(size, config, rng)
        if config.min_area <= hole.mean() <= config.max_area:
            return hole
    raise ConfigError(
        f"holes: {_TRIES} {kind} lay outside {config.min_area} to {config.max_area} of the image; "
        f"widen min_area and max_area or change the lengths"
    )


def draw_strokes(size: Size, config: HoleConfig, rng: np.random.Generator) -> Hole:
    """Polygonal chains in a round pen, parts outside the image cut off. bool (height, width)."""
    scale = min(size) / config.reference_resolution
    hole = np.zeros(size, dtype=bool)
    for _ in range(int(rng.integers(1, config.max_chains + 1))):
        point = rng.random(2) * size
        for _ in range(int(rng.integers(1, config.max_segments + 1))):
            direction = rng.uniform(0, 2 * np.pi)
            length = rng.uniform(*config.segment_px) * scale
            width = rng.uniform(*config.stroke_px) * scale
            end = point + length * np.array([np.sin(direction), np.cos(direction)])
            end = np.clip(end, 0, size)
            _draw_segment(hole, point, end, width / 2)
            point = end
    return hole


def draw_boxes(size: Size, config: HoleConfig, rng: np.random.Generator) -> Hole:
    """Upright rectangles inside the image, up to the margin. bool (height, width)."""
    scale = min(size) / config.reference_resolution
    margin = round(config.box_margin_px * scale)
    hole = np.zeros(size, dtype=bool)
    for _ in range(int(rng.integers(1, config.max_boxes + 1))):
        spans = []
        for side in size:
            room = max(1, side - 2 * margin)
            length = min(room, max(1, round(float(rng.uniform(*config.box_px)) * scale)))
            start = min(margin, (side - room) // 2) + int(rng.integers(0, room - length + 1))
            spans.append(slice(start, start + length))
        hole[spans[0], spans[1]] = True
    return hole


def _draw_segment(hole: Hole, start: npt.NDArray[Any], end: npt.NDArray[Any], radius: float) -> None:
    """Set all pixels whose centre is within ``radius`` of the segment; points are (y, x)."""
    low = np.floor(np.minimum(start, end) - radius).astype(int).clip(0, hole.shape)
    high = np.ceil(np.maximum(start, end) + radius).astype(int).clip(0, hole.shape) + 1
    ys = np.arange(low[0], min(high[0], hole.shape[0]))[:, None] + 0.5 - start[0]
    xs = np.arange(low[1], min(high[1], hole.shape[1]))[None, :] + 0.5 - start[1]
    along = end - start
    squared = float(along @ along)
    share = np.clip((ys * along[0] + xs * along[1]) / max(squared, 1e-9), 0, 1)
    near = (ys - share * along[0]) ** 2 + (xs - share * along[1]) ** 2 <= radius**2
    hole[low[0] : low[0] + near.shape[0], low[1] : low[1] + near.shape[1]] |= near


class LossConfig(Settings):
    """Weights of the parts; 0 leaves a part out. The defaults are those of the published training."""

    l1_known: NonNegativeFloat = 10.0
    """Mean absolute error of known pixels, colours in [0, 1]."""
    l1_missing: NonNegativeFloat = 0.0
    """The same of missing pixels; above 0 for short trainings."""
    perceptual: NonNegativeFloat = 30.0
    """Squared distance of the feature network's maps (in place of Eq. 1)."""
    adversarial: NonNegativeFloat = 10.0
    """Non-saturating adversarial loss (Eq. 2 to 4); 0 trains without discriminator."""
    feature_matching: NonNegativeFloat = 100.0
    """Squared distance of the discriminator's own maps."""
    r1: NonNegativeFloat = 0.001
    """Gradient penalty of the discriminator on true images."""
    discriminator_widths: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (
        32, 64, 128,
    )  # fmt: skip
    """Channels of the discriminator's layers; each halves the sides."""
    discriminator_rate: Annotated[float, Field(gt=0, le=1)] = 0.1
    """The discriminator's learning rate as a share of the generator's."""
    features: Path | None = None
    """Folder of the feature network; None takes the bundled one."""

    @model_validator(mode="after")
    def _check_teaching(self) -> Self:
        if not self.l1_missing and not self.perceptual and not self.adversarial:
            raise ConfigError(
                "losses: l1_missing, perceptual and adversarial are 0; nothing would teach the fill"
            )
        return self


class LamaObjective(nn.Module):
    """The whole loss of one batch. Holds the feature network and no parameter that moves."""

    def __init__(self, config: LossConfig, features: FeatureNetwork | None, image_size: int) -> None:
        super().__init__()
        if config.perceptual and features is None:
            raise ConfigError("losses.perceptual needs a feature network; set it to 0 or give one")
        if config.perceptual and image_size < SMALLEST_SEEN:
            raise ConfigError(
                f"losses.perceptual needs images of {SMALLEST_SEEN} pixels or more, got {image_size}; "
                f"set it to 0"
            )
        self.config = config
        self.features = features
        self.image_size = image_size
        """Side in pixels of the images trained on; goes into the model's card."""

    def forward(
        self, generator: LamaGenerator, discriminator: nn.Module | None, image: Tensor, hole: Tensor
    ) -> Tensor:
        """The loss () of filling ``hole`` (B, 1, H, W; 0 or 1) in ``image`` (B, 3, H, W) in [-1, 1].

        It is the generator's and the discriminator's together: neither's gradient reaches the other.
        """
        config = self.config
        predicted = predict_fill(generator, image, hole)
        loss = compute_masked_l1(predicted, image, hole, config.l1_known, config.l1_missing)
        if config.perceptual and self.features is not None:
            loss = loss + config.perceptual * compute_feature_distance(self.features, predicted, image)
        if discriminator is not None:
            loss = loss + compute_discriminator_loss(discriminator, predicted, image, hole, config.r1)
            loss = loss + compute_generator_loss(
                discriminator, predicted, image, config.adversarial, config.feature_matching
            )
        return loss


def compute_masked_l1(predicted: Tensor, image: Tensor, hole: Tensor, known: float, missing: float) -> Tensor:
    """Mean absolute error of colours in [0, 1], weighted ``known`` outside, ``missing`` inside the hole."""
    weight = known * (1 - hole) + missing * hole
    return ((predicted - image).abs() / 2 * weight).mean()


def compute_feature_distance(features: FeatureNetwork, predicted: Tensor, image: Tensor) -> Tensor:
    """Mean over the network's five maps of their mean squared difference; the target gets no gradient.

    Images above the network's own input size are brought to it by area.
    """
    if max(image.shape[-2:]) > INPUT_SIDE:
        size = (INPUT_SIDE, INPUT_SIDE)
        predicted, image = (F.interpolate(values, size, mode="area") for values in (predicted, image))
    with torch.no_grad():
        wanted = features.compute_maps(image)
    return compute_map_distance(features.compute_maps(predicted), wanted)


class LamaTraining(Settings):
    """LaMa's own part of a recipe."""

    shape: LamaShape = SMALL_LAMA
    holes: HoleConfig = HoleConfig()
    losses: LossConfig = LossConfig()
    start: Path | None = None
    """LaMa weights to go on from (a file, or ``OUT/model`` of an earlier training); None starts anew."""


def build_networks(start: Start, base: BaseModel | None) -> tuple[dict[str, nn.Module], dict[str, nn.Module]]:
    """Generator and discriminator to train, the objective to hold still.

    The generator goes on from ``method.start``, or from the start's folder if that holds one and
    ``model.fresh`` is not set; else its weights are a function of the seed. Raises ConfigError, ModelError.
    """
    config = start.config
    own = read_settings(config)
    losses = own.losses
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(compute_seed(config.seed, 0, "lama weights"))
        generator = LamaGenerator(own.shape)
        discriminator = PatchDiscriminator(losses.discriminator_widths, losses.discriminator_rate)
    file = start.folder / WEIGHTS_NAME if own.start is None else find_lama(own.start)
    if own.start is not None or (file.is_file() and not config.model.fresh):
        load_generator(generator, select_generator(read_tensors(file), file), file)
        if own.shape.prefilled and not is_prefilled(file):
            generator.add_nothing()
    trained: dict[str, nn.Module] = {"generator": generator}
    if losses.adversarial:
        trained["discriminator"] = discriminator
    for network in trained.values():
        network.requires_grad_(True)  # the normalisations' statistics are parameters, too: part of the state
    features = load_network(losses.features or find_bundled("features"))[0] if losses.perceptual else None
    objective = LamaObjective(losses, features, config.data.image_size)
    return trained, {"objective": objective}


def compute_loss(networks: StageNetworks, batch: TrainBatch) -> Tensor:
    """The loss () of ``batch``, whose holes are a function of (seed, sample number) alone."""
    config = networks.start.config
    assert batch.product_mask is not None
    hole = sample_holes(batch.numbers, batch.product_mask, read_settings(config).holes, config.seed)
    discriminator = getattr(networks.trained, "discriminator", None)
    loss: Tensor = networks["objective"](networks["generator"], discriminator, batch.image, hole)
    return loss


def save_model(networks: StageNetworks, folder: Path) -> None:
    """Write the generator and its card; the discriminator stays behind in the run's checkpoints."""
    generator, objective = networks["generator"], networks["objective"]
    losses = {name: value for name, value in to_plain(objective.config).items() if name != "features"}
    notes = {
        "image_size": objective.image_size,
        "parameters": count_parameters(generator),
        "training": {"losses": losses},
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_lama(generator, folder, notes)


def show(networks: StageNetworks, batch: TrainBatch) -> tuple[list[Tensor], dict[str, float]]:
    """What the generator fills, beside the truth."""
    start = networks.start
    model = LamaModel(networks["generator"], start.folder, "in training", start.config.data.image_size)
    return show_generated(networks, batch, LamaBaseline(model))


LAMA = TrainStage("lama", build_networks, compute_loss, save_model, show, BatchNeeds(product=True, hint=True))


def read_settings(config: Any) -> LamaTraining:
    """LaMa's own settings in a training config. Raises ConfigError naming the key."""
    return build_config(LamaTraining, config.method or {}, where="method")


def sample_holes(numbers: tuple[int, ...], product_mask: Tensor, config: HoleConfig, seed: int) -> Tensor:
    """Holes float32 (B, 1, H, W), 1 = to invent, for samples ``numbers`` with masks (B, 1, H, W)."""
    masks = product_mask[:, 0].float().cpu().numpy()
    holes = [
        sample_hole(mask, config, build_numpy_generator(seed, number, "lama hole"))
        for number, mask in zip(numbers, masks)
    ]
    return torch.from_numpy(np.stack(holes).astype(np.float32))[:, None].to(product_mask.device)
