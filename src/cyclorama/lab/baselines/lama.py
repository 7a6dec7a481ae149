"""LaMa (arXiv 2109.07161) as a background generator: all but the product is one hole, filled around it.

This is the paper's comparison without reference (arXiv 2312.13309, Table 1): the network sees the product
alone. It has no chance of its own and no use for a reference or a category, so one product has one image.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from cyclorama.diffusion.settings import SamplingConfig
from cyclorama.erasing.erase import fill
from cyclorama.erasing.files import CARD_NAME, LamaModel, find_lama, load_lama
from cyclorama.lab.baselines.folders import build_handle
from cyclorama.lab.baselines.options import BaselineOptions
from cyclorama.lab.baselines.protocol import Baseline, BaselineHandle, Inputs, OpenRegistry
from cyclorama.models.registry import CategoryRegistry

KNOWN_MATTE = 0.95
"""From this much product on a pixel is known; below, the old background shows through."""


class LamaBaseline(Baseline):
    """LaMa behind the protocol of all baselines.

    Invariant: the pixels it was given outside the product have no influence on its images.
    """

    name = "lama"

    def __init__(self, model: LamaModel) -> None:
        self.model = model
        self.registry = OpenRegistry()
        self.image_size, self.image_multiple = model.image_size, model.generator.shape.multiple
        self.device = torch.device("cpu")  # on which it fills the same on every machine

    def paint(
        self, inputs: Inputs, generators: Sequence[torch.Generator], settings: SamplingConfig
    ) -> Tensor:
        """Filled images; references and settings are passed over (see the protocol)."""
        hole = (inputs.mask < KNOWN_MATTE).to(torch.float32)
        return fill(inputs.image.detach().to(torch.float32), hole, self.model)


def _load(folder: Path, registry: CategoryRegistry, file: Path, device: str, dtype: str) -> LamaBaseline:
    return LamaBaseline(load_lama(file, device))


def open_method(model: str | None, options: BaselineOptions) -> BaselineHandle:
    """The handle of LaMa: ``options.weights``, else ``model`` (file or folder), else the bundled generator.

    Raises ModelNotFoundError.
    """
    given = options.weights or model
    file = find_lama(given)
    parts = [name for name in (file.name, CARD_NAME) if (file.parent / name).is_file()]
    return build_handle("lama", given, file.parent, parts, _load, file, settings={}, uses_reference=False)
