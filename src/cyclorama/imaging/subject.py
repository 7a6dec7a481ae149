"""Which part of any photo is its product, and how sure is that?

U2-Net-P (Qin et al. 2020), a small network trained to find what a photo shows, looks twice: at the whole, and
at what it found there. The outline is then refined by matting. Weights and licence: ``weights/cutout``.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from cyclorama.imaging.masks import dilate, erode, find_window
from cyclorama.imaging.matting import MattingConfig, solve_matte
from cyclorama.imaging.transforms import resize_plane
from cyclorama.types import Matte, Pixels

NAME = "u2netp"
NETWORK = Path(__file__).parents[1] / "weights" / "cutout" / "u2netp.onnx"
LEAST_CONFIDENCE = 0.75
"""Below it a photo is refused (fitted and held out by ``benchmarks/cutouts.py``)."""
SURE = 0.1
"""Probability below which a place is background, and one less it above which it is product."""
SEEN_SIDE = 640
"""Pixels of the longer side at which its answer is weighed."""
_SIDE = 320  # pixels each way that the network sees; other shapes are squeezed
_MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
_SPREAD = np.array([0.229, 0.224, 0.225], dtype=np.float32)
_FOUND = 0.3  # probability from which a place may be the subject's, when the network is to look again
_ROOM = 0.15  # round it, as a share of its size
_COLOUR = 0.2  # share of the confidence that hangs on finding the same without colours
_WHOLE = 0.5  # least area of what the frame leaves whole, as a share of what it cuts off
_APART = 8  # pixels round what is left out
_BAND = 1.5  # the outline is unknown within so many of the network's pixels


@dataclass(frozen=True, eq=False)
class Subject:
    """What a photo shows."""

    matte: Matte
    """float32 (H, W), 1 = product; empty where nothing was found."""
    confidence: float
    """0-1; how it is made up: :func:`find_subject`."""
    notes: tuple[str, ...] = ()

    @property
    def doubt(self) -> str:
        """Why it is not to be used; empty if it is."""
        if self.confidence >= LEAST_CONFIDENCE:
            return ""
        told = math.floor(100 * self.confidence) / 100  # 0.748 is below the limit and must look so
        return f"the bundled network's confidence is {told:.2f}, {LEAST_CONFIDENCE} is the least"


def find_subject(pixels: Pixels, config: MattingConfig | None = None, first: Matte | None = None) -> Subject:
    """The subject of ``pixels``, uint8 (H, W, 3) in sRGB; ``first`` is :func:`look_at` of them, if known.

    Confidence is the agreement (IoU) of both looks, times one less the area of which the second is unsure, a
    share of what it found; what is not found without colours as well loses up to a fifth. A subject in doubt
    keeps the outline that the network draws.
    """
    size = (pixels.shape[0], pixels.shape[1])
    first = look_at(pixels) if first is None else first
    others = _find_neighbours(first >= 0.5)
    notes = ("other things, which the frame cuts off, were left out",) if others.any() else ()
    others |= dilate(others, _APART) & (first < 0.5)
    first = np.where(others, 0, first)
    if not (first >= _FOUND).any():
        return Subject(np.zeros(size, dtype=np.float32), 0.0)
    with ThreadPoolExecutor(1) as beside:
        without_colours = beside.submit(look_at, _drop_colours(pixels), first.shape)
        window, second = look_closer(pixels, first)
        grey = np.where(others, 0, without_colours.result())
    own, seen = first[window], np.zeros_like(first)
    second = np.where(others[window], 0, second)
    seen[window] = (own + second) / 2
    confidence = _agree(own, second) * (1 - _COLOUR * (1 - _overlap(first, grey)))
    found = Subject(resize_plane(seen, size).clip(0, 1), confidence)
    if found.doubt:
        return found
    matte = _refine(pixels, seen, max(second.shape) / max(first.shape), config)
    return Subject(matte, confidence, notes)


def look_closer(pixels: Pixels, first: Matte) -> tuple[tuple[slice, slice], Matte]:
    """The part of ``first`` round what it found, and how the network sees that part alone."""
    window, part = [], []
    scale = np.divide(pixels.shape[:2], first.shape)
    for side, end, ratio in zip(find_window(first >= _FOUND, 0), first.shape, scale, strict=True):
        room = round(_ROOM * (side.stop - side.start)) + 1
        window.append(slice(max(0, side.start - room), min(end, side.stop + room)))
        part.append(slice(round(window[-1].start * ratio), round(window[-1].stop * ratio)))
    place = (window[0], window[1])
    return place, look_at(pixels[part[0], part[1]], first[place].shape)


def _find_neighbours(found: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """What of ``found`` is of the room: parts that the frame cuts, beside whole ones of some size."""
    labels, count = ndimage.label(found, np.ones((3, 3)))
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    ends = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    cut = np.isin(np.arange(count + 1), ends) & (areas > 0)
    cut[0] = False
    whole = areas[1:][~cut[1:]].sum()
    return np.asarray((cut & (whole >= _WHOLE * areas[cut].sum()))[labels])


def _drop_colours(pixels: Pixels) -> Pixels:
    """``pixels`` in grey, as small as the network sees them."""
    small = Image.fromarray(pixels).convert("L").resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    return np.asarray(small.convert("RGB"))


def _refine(pixels: Pixels, seen: Matte, share: float, config: MattingConfig | None) -> Matte:
    """``seen`` (h, w) with its outline on that of ``pixels`` (H, W), looked for where the network is unsure
    and near one half, and kept where the colours tell none; the network saw ``share`` of the longer side."""
    radius = max(2, round(_BAND * share * max(seen.shape) / _SIDE))
    inside = erode(seen >= 0.5, radius) & (seen >= 1 - SURE)
    outside = ~dilate(seen >= 0.5, radius) & (seen <= SURE)
    size = (pixels.shape[0], pixels.shape[1])
    if not inside.any() or not outside.any():
        return resize_plane(seen, size).clip(0, 1)
    trimap = Image.fromarray(np.where(inside, 2, np.where(outside, 0, 1)).astype(np.uint8))
    large = trimap.resize((size[1], size[0]), Image.Resampling.NEAREST)
    known: Matte = np.asarray(large, dtype=np.float32) / np.float32(2)
    return solve_matte(pixels, known, config, seen)


def _agree(first: Matte, second: Matte) -> float:
    two = second >= 0.5
    if not two.any():
        return 0.0
    unsure = (second > SURE) & (second < 1 - SURE)
    return _overlap(first, second) * max(0.0, 1 - float(unsure.sum() / two.sum()))


def _overlap(first: Matte, second: Matte) -> float:
    one, two = first >= 0.5, second >= 0.5
    return float((one & two).sum() / max(1, (one | two).sum()))


@cache
def _open_network() -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # the same bytes on every machine's number of cores
    return onnxruntime.InferenceSession(NETWORK, options, providers=["CPUExecutionProvider"])


def look_at(pixels: Pixels, size: tuple[int, ...] | None = None) -> Matte:
    """How probably each place of ``pixels`` (H, W, 3) is part of their subject, 0-1, at ``size``; None: at
    their own, reduced to at most 640 pixels."""
    if size is None:
        scale = min(1.0, SEEN_SIDE / max(pixels.shape[:2]))
        size = tuple(max(1, round(side * scale)) for side in pixels.shape[:2])
    small = Image.fromarray(pixels).resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    values = (np.asarray(small, dtype=np.float32) / 255 - _MEAN) / _SPREAD
    network = _open_network()
    given, told = network.get_inputs()[0].name, network.get_outputs()[0].name
    seen = network.run([told], {given: np.ascontiguousarray(values.transpose(2, 0, 1)[None])})[0][0, 0]
    large = Image.fromarray(np.asarray(seen, dtype=np.float32))
    return np.asarray(large.resize((size[1], size[0]), Image.Resampling.BILINEAR)).clip(0, 1)
