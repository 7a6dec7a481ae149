"""Which pixels are the product, and is that mask right?

A mask comes from the input, else from the file's transparency, else a plain light background is keyed
(and the bundled network asked about it), else a network finds it (the bundled one if none is named). Whatever
its source it is then checked: size, pieces, holes, contact with the frame, and whether its outline lies on an
edge of the image.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveFloat, PositiveInt
from scipy import ndimage

from cyclorama.config import Order, Settings, Share
from cyclorama.curate.mask_edges import EdgeAgreement, EdgeSettings, is_box, measure_blocks, measure_edges
from cyclorama.curate.records import Box, Finding, RuleImage, Verdict
from cyclorama.errors import MaskError
from cyclorama.imaging.cutout import CutoutNetwork, RembgNetwork
from cyclorama.imaging.keying import KeyingConfig, key_studio_background
from cyclorama.imaging.masks import check_mask, detect_inversion, has_shape
from cyclorama.imaging.opinion import settle
from cyclorama.imaging.subject import find_subject
from cyclorama.imaging.transforms import reduce_size, resize_pixels, resize_plane
from cyclorama.types import Matte


class MaskSettings(Settings):
    """What a right mask looks like. Outside a ``doubtful`` limit an image goes to review."""

    ordered: ClassVar[Order] = (("min_area", "max_area"), ("hopeless_agreement", "min_agreement"))
    min_area: Annotated[float, Field(gt=0, le=1)] = 0.01
    """Least share of the image that is product, 0-1; below it the image is dropped."""
    max_area: Share = 0.95
    """Greatest share of the image that is product, 0-1; above it the image is dropped."""
    max_pieces: PositiveInt = 8
    """Most separate pieces of at least ``piece_share`` of the product."""
    piece_share: Share = 0.005
    """Smallest piece or hole that counts as one, as a share of the product, 0-1."""
    max_specks: PositiveFloat = 0.02
    """Greatest share of the product in smaller pieces and holes, 0-1."""
    max_holes: PositiveFloat = 0.35
    """Greatest area of holes as a share of the product's filled area, 0-1."""
    max_border: PositiveFloat = 0.5
    """Greatest share of the image's border that is product, 0-1."""
    max_block: PositiveInt = 3
    """Largest side, in pixels of the image, of the squares a coarse mask is made of."""
    min_agreement: Annotated[float, Field(ge=0, lt=1)] = 0.415
    """Least share of edge strength that lies at the outline, 0-1."""
    min_weakest_side: Annotated[float, Field(ge=0, lt=1)] = 0.12
    """The same for the quarter of directions in which it is least."""
    min_straight: Annotated[float, Field(ge=0, lt=1)] = 0.4
    """The same for the level or upright straight stretch in which it is least: masks cut off halfway."""
    max_shift_gain: Annotated[float, Field(gt=1)] = 2.65
    """Greatest gain of edge strength by moving the mask, as a factor."""
    min_box_agreement: Annotated[float, Field(ge=0, lt=1)] = 0.75
    """Least share of edge strength at the outline of a mask that is a rectangle or little more, 0-1: such
    masks are drawn by hand more often than products are boxes."""
    hopeless_agreement: Share = 0.25
    """Edge agreement below which the image is dropped, 0-1."""
    key_background: bool = True
    """Whether the product is keyed where there is neither transparency nor a mask."""
    cutout_network: str | None = None
    """Model of the ``rembg`` package for images that cannot be keyed, fetched at first use; none is the
    bundled network."""
    working_side: Annotated[int, Field(ge=64)] = 384
    """Shorter side, in pixels, at which outlines are compared with the image."""
    edges: EdgeSettings = EdgeSettings()


@dataclass(frozen=True)
class MaskShape:
    """What a mask alone tells."""

    area: float
    """Share of the image that is product, 0-1."""
    pieces: int
    holes: float
    """Area of holes as a share of the product's filled area, 0-1."""
    specks: float
    """Share of the product in pieces and holes too small to count, 0-1."""
    border: float
    """Share of the image's border that is product, 0-1."""
    block: int
    """Side, in pixels, of the squares it is made of; 1 for a smooth outline."""
    box: bool
    """Whether it is a rectangle or little more."""


class MaskRule:
    """Finds or takes an image's product mask and checks it."""

    name = "mask"
    version = "2"

    def __init__(self, settings: MaskSettings | None = None, network: CutoutNetwork | None = None) -> None:
        self.settings = settings or MaskSettings()
        self._network = network

    def judge(self, image: RuleImage) -> Finding:
        """Keep with a right mask (``repaired`` holds an image with it), review a doubtful, drop a hopeless.

        ``doubt`` in the numbers is the greatest measure over its limit: above 1 is review. A mask that marks
        the background is turned round for the reviewer. Raises MissingDependencyError if a
        cut-out network is asked for and rembg is not installed.
        """
        mask, why = self._get_mask(image)
        if mask is None:
            return Finding(self.name, Verdict.DROP, f"no mask: {why}")
        numbers = {"area": float((mask >= 0.5).mean())}
        if not np.isfinite(mask).all():
            return Finding(self.name, Verdict.DROP, "the mask holds values that are not finite", numbers)
        inverted, _ = detect_inversion(mask)
        if inverted:
            mask = np.float32(1) - mask
        try:
            check_mask(mask, least_share=0)
        except MaskError as error:
            return Finding(self.name, Verdict.DROP, str(error), numbers)
        shape = measure_shape(mask, self.settings)
        numbers |= {name: float(value) for name, value in asdict(shape).items()}
        numbers["inverted"] = float(inverted)
        size = reduce_size(mask.shape, self.settings.working_side)
        small = np.clip(resize_plane(mask, size), 0, 1)
        fit = measure_edges(resize_pixels(image.pixels, size), small, self.settings.edges)
        if fit is not None:
            numbers |= {name: value for name, value in asdict(fit).items() if name != "shift"}
        hopeless = _find_hopeless(shape, fit, self.settings)
        weighed = _weigh(shape, fit, self.settings)
        doubts = [text for doubt, text in sorted(weighed, reverse=True) if doubt > 1]
        numbers["doubt"] = max(doubt for doubt, _ in weighed)
        if inverted:
            doubts.insert(0, "it marks the background, shown turned round")
            numbers["doubt"] = max(2.0, numbers["doubt"])
        verdict = Verdict.DROP if hopeless else Verdict.REVIEW if doubts else Verdict.KEEP
        reason = "; ".join(hopeless or doubts)
        repaired = None if hopeless else replace(image, mask=mask)
        return Finding(self.name, verdict, reason, numbers, _get_box(mask), repaired)

    def _get_mask(self, image: RuleImage) -> tuple[Matte | None, str]:
        """The mask, or None and why there is none."""
        if image.mask is not None:
            return image.mask, ""
        if image.alpha is not None and has_shape(image.alpha):
            return image.alpha, ""
        why = "neither transparency nor a mask, and keying is switched off"
        if self.settings.key_background:
            keyed = key_studio_background(image.pixels, KeyingConfig())
            if keyed.matte is not None:
                return settle(image.pixels, keyed.matte).matte, ""
            why = f"neither transparency nor a mask, and no plain background ({keyed.reason})"
        if self._network is None and self.settings.cutout_network:
            self._network = RembgNetwork(self.settings.cutout_network)
        if self._network is None:
            subject = find_subject(image.pixels)
            if subject.doubt:
                return None, f"{why}; {subject.doubt}; give masks or set mask.cutout_network"
            return subject.matte, ""
        return np.clip(self._network(image.pixels), 0, 1).astype(np.float32), ""


def measure_shape(mask: Matte, settings: MaskSettings) -> MaskShape:
    """Size, pieces, holes, border contact and coarseness of ``mask`` (H, W), 1 = product.

    Invariant: the same for a mask mirrored either way, and (but for ``block``) enlarged.
    """
    solid = mask >= 0.5
    product = max(1, int(solid.sum()))
    pieces = _measure_parts(solid)
    filled = ndimage.binary_fill_holes(solid)
    holes = _measure_parts(filled & ~solid)
    least = settings.piece_share * product
    specks = pieces[pieces < least].sum() + holes[holes < least].sum()
    return MaskShape(
        area=float(solid.mean()),
        pieces=int((pieces >= least).sum()),
        holes=float(holes.sum()) / max(1, int(filled.sum())),
        specks=float(specks) / product,
        border=detect_inversion(mask)[1],
        block=measure_blocks(mask),
        box=is_box(mask),
    )


def _measure_parts(flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    labels, count = ndimage.label(flags, structure=np.ones((3, 3)))
    return np.asarray(np.bincount(labels.ravel(), minlength=count + 1)[1:], np.int64)


def _find_hopeless(shape: MaskShape, fit: EdgeAgreement | None, settings: MaskSettings) -> list[str]:
    found = []
    if not settings.min_area <= shape.area <= settings.max_area:
        limits = f"the limits are {settings.min_area:.1%} and {settings.max_area:.1%}"
        found.append(f"the product covers {shape.area:.1%} of the image, {limits}")
    if fit is not None and fit.agreement < settings.hopeless_agreement:
        least = f"{settings.hopeless_agreement:.2f} is the least"
        found.append(f"the outline follows {fit.agreement:.2f} of the image's edges, {least}")
    return found


def _weigh(shape: MaskShape, fit: EdgeAgreement | None, settings: MaskSettings) -> list[tuple[float, str]]:
    """Every measure over its limit, with the words for it; above 1 is doubtful."""
    block = shape.block if shape.block > 1 else 0
    most: list[tuple[float, float, str]] = [
        (shape.pieces, settings.max_pieces, "{} pieces, the limit is {}"),
        (shape.holes, settings.max_holes, "holes take {:.1%}, the limit is {:.1%}"),
        (shape.specks, settings.max_specks, "specks take {:.1%}, the limit is {:.1%}"),
        (shape.border, settings.max_border, "it covers {:.1%} of the image's border, the limit is {:.1%}"),
        (block, settings.max_block, "it is made of squares of {} pixels, the limit is {}"),
    ]
    found = [(value / limit, words.format(value, limit)) for value, limit, words in most]
    if fit is None:
        return [*found, (2.0, "it has no outline inside the image")]
    box = max(settings.min_agreement, settings.min_box_agreement if shape.box else 0.0)
    outline = "the outline, a box," if shape.box else "the outline"
    straight = "a straight stretch of the outline follows {:.2f} of the edges"
    least = (
        (fit.agreement, box, f"{outline} follows {{:.2f}} of the image's edges"),
        (fit.weakest_side, settings.min_weakest_side, "on one side the outline follows {:.2f} of the edges"),
        (fit.straight, settings.min_straight, straight),
    )
    found += [((1 - v) / (1 - low), f"{words.format(v)}, {low:.2f} is the least") for v, low, words in least]
    gain, limit = fit.shift_gain, settings.max_shift_gain
    moved = "moved by {} rows and {} columns it fits".format(*fit.shift)
    return [*found, ((gain - 1) / (limit - 1), f"{moved} {gain:.2f} times as well, the limit is {limit:.2f}")]


def _get_box(mask: Matte) -> tuple[Box, ...]:
    solid = mask >= 0.5
    rows, columns = np.flatnonzero(solid.any(axis=1)), np.flatnonzero(solid.any(axis=0))
    if len(rows) == 0:
        return ()
    return (Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1, "product", 1.0),)
