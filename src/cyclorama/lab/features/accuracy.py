"""How often is the feature network right on images it never saw, and does it read scenes or outlines?"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from cyclorama.evaluation.feature_network import FeatureNetwork
from cyclorama.evaluation.resize import NEUTRAL
from cyclorama.lab.features.data import NO_BRAND, TrainingSet, prepare_batch


def measure_accuracy(network: FeatureNetwork, data: TrainingSet) -> dict[str, Any]:
    """What the network gets right on the held-out images, as shares 0-1.

    ``category``, ``brand`` (where there is one), ``palette_error`` (mean absolute, 8-bit levels),
    ``category_by_outline``: accuracy when all but the product's outline is grey too, to be read beside
    ``chance``; ``confusions``: the most frequent mistakes, as (truth, said, count).
    """
    rows = np.flatnonzero(~data.is_train)
    truth = data.categories[rows]
    features, said = _classify(network, data.pixels[rows])
    outlines = np.where(data.covers[rows][..., None] > 127, NEUTRAL, 200).astype(np.uint8)
    outlines = np.repeat(outlines, 3, axis=3)
    wrong: dict[tuple[str, str], int] = {}
    for right, answer in zip(truth[said != truth], said[said != truth]):
        pair = (data.category_names[right], data.category_names[answer])
        wrong[pair] = wrong.get(pair, 0) + 1
    result: dict[str, Any] = {
        "images": len(rows),
        "category": float((said == truth).mean()),
        "category_by_outline": float((_classify(network, outlines)[1] == truth).mean()),
        "chance": 1 / len(data.category_names),
        "confusions": [[*pair, n] for pair, n in sorted(wrong.items(), key=lambda w: (-w[1], w[0]))[:10]],
    }
    branded = data.brands[rows] != NO_BRAND
    if network.brand_head is not None and branded.any():
        answers = network.brand_head(features).argmax(dim=1).numpy()
        result["brand"] = float((answers == data.brands[rows])[branded].mean())
    known = ~np.isnan(data.palettes[rows]).any(axis=1)
    if known.any():
        error = np.abs(network.palette_head(features).numpy() - data.palettes[rows])[known].mean()
        result["palette_error"] = float(error * 127.5)
    return result


def _classify(
    network: FeatureNetwork, pixels: np.ndarray[Any, Any]
) -> tuple[torch.Tensor, np.ndarray[Any, Any]]:
    network.eval()
    parts = []
    with torch.no_grad():
        for start in range(0, len(pixels), 64):
            image = torch.from_numpy(prepare_batch(pixels[start : start + 64]))
            parts.append(network(image.to(memory_format=torch.channels_last)))
        features = torch.cat(parts)
        return features, network.category_head(features).argmax(dim=1).numpy()
