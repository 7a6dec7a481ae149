"""One training run of the feature network: what step k does, how its state is kept, how often it is right.

Step k is a function of (seed, k) and the state before it alone, so that a run that was stopped and goes on
ends in the weights of one that was not, bit for bit on a CPU.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from torch import nn

from cyclorama.config import to_plain
from cyclorama.errors import CheckpointError
from cyclorama.evaluation.feature_network import (
    FeatureNetwork,
    FeatureNetworkConfig,
    load_network,
    save_network,
)
from cyclorama.imaging.masks import NEUTRAL
from cyclorama.lab.features.data import NO_BRAND, TrainingSet, augment, prepare_batch
from cyclorama.lab.features.settings import FeatureTrainingSettings
from cyclorama.seeding import build_numpy_generator
from cyclorama.tensors import build_generator

STATE_NAME = "state.pt"
RUN_NAME = "run.json"
Values = np.ndarray[Any, Any]


class FeatureTraining:
    """One run: network, optimiser and the step it stands at."""

    def __init__(self, data: TrainingSet, config: FeatureTrainingSettings) -> None:
        self.data = data
        self.config = config
        self.step = 0
        self.rows = np.flatnonzero(data.is_train)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(build_generator(config.seed, 0, "feature weights").initial_seed() % 2**31))
            classes = FeatureNetworkConfig(categories=data.category_names, brands=data.brand_names)
            network = FeatureNetwork(classes)
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )

    def run_step(self) -> float:
        """Make the next step; its loss."""
        image, rows = self._sample_batch()
        for group in self.optimizer.param_groups:
            group["lr"] = compute_rate(self.config, self.step)
        self.network.train()
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._compute_loss(image, rows)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.step += 1
        return float(loss.detach())

    def _sample_batch(self) -> tuple[torch.Tensor, Values]:
        size, count, seed = self.config.batch_size, len(self.rows), self.config.seed
        covers, rows, images = self.data.covers, [], []
        for place in range(self.step * size, (self.step + 1) * size):
            order = build_numpy_generator(seed, place // count, "feature order").permutation(count)
            rows.append(self.rows[order[place % count]])
            random = build_numpy_generator(seed, place, "feature augmentation")
            other = self.rows[int(random.integers(count))]
            images.append(augment(self.data.pixels[rows[-1]], covers[rows[-1]], covers[other], random))
        image = torch.from_numpy(np.stack(images)).to(memory_format=torch.channels_last)
        return image, np.array(rows)

    def _compute_loss(self, image: torch.Tensor, rows: Values) -> torch.Tensor:
        network, config = self.network, self.config
        with torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bfloat16"):
            features = network(image)
            categories = network.category_head(features)
            brands = network.brand_head(features) if network.brand_head is not None else None
            palettes = network.palette_head(features)
        loss = nn.functional.cross_entropy(
            categories.float(),
            torch.from_numpy(self.data.categories[rows]),
            label_smoothing=config.label_smoothing,
        )
        labels = torch.from_numpy(self.data.brands[rows])
        if brands is not None and bool((labels != NO_BRAND).any()):
            loss = loss + config.brand_weight * nn.functional.cross_entropy(
                brands.float(), labels, ignore_index=NO_BRAND
            )
        colours = torch.from_numpy(self.data.palettes[rows])
        known = ~colours.isnan().any(dim=1)
        if bool(known.any()):
            error = nn.functional.smooth_l1_loss(palettes.float()[known], colours[known])
            loss = loss + config.palette_weight * error
        return loss

    def save(self, folder: Path) -> None:
        """Write the whole state into ``folder`` in one step."""
        state = {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}
        part = folder / f"{STATE_NAME}.part"
        torch.save({**state, "step": self.step}, part)
        part.replace(folder / STATE_NAME)

    def load(self, folder: Path) -> None:
        """Go to the state saved in ``folder``. Raises CheckpointError."""
        try:
            state = torch.load(folder / STATE_NAME, weights_only=True)
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step = state["step"]
        except (OSError, EOFError, UnpicklingError, LookupError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"{folder / STATE_NAME} cannot be used ({str(error)[:200]}); delete it to begin again"
            ) from error


def compute_rate(config: FeatureTrainingSettings, step: int) -> float:
    """The learning rate of ``step``: linear rise over the first 5 % of the steps, then half a cosine."""
    rise = max(1, round(0.05 * config.steps))
    if step < rise:
        return config.learning_rate * (step + 1) / rise
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, config.steps - rise)))


def train_features(
    data: TrainingSet,
    settings: FeatureTrainingSettings,
    out: Path,
    on_step: Callable[[], None] = lambda: None,
    stop_after: int | None = None,
) -> dict[str, Any]:
    """Train in ``out``, going on from a saved state; the report that is also in the network's card.

    ``stop_after`` ends the call at that step with the state saved and an empty report, as a kill would.
    Raises CheckpointError if ``out`` holds a run of other settings or other classes.
    """
    out.mkdir(parents=True, exist_ok=True)
    plan = {
        "config": to_plain(settings),
        "categories": list(data.category_names),
        "brands": list(data.brand_names),
        "images": len(data.is_train),
    }
    path = out / RUN_NAME
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != plan:
        raise CheckpointError(f"{out} holds a run of another config or set ({path.name}); use another --out")
    path.write_text(json.dumps(plan, indent=1) + "\n", encoding="utf-8")
    training = FeatureTraining(data, settings)
    if (out / STATE_NAME).exists():
        training.load(out)
    while training.step < settings.steps:
        training.run_step()
        on_step()
        stopping = stop_after is not None and training.step >= stop_after
        if training.step % settings.checkpoint_steps == 0 or training.step == settings.steps or stopping:
            training.save(out)
        if stopping:
            return {}
    save_network(training.network, out)
    network, _ = load_network(out)
    sizes = {"images": int(data.is_train.sum()), "parameters": sum(p.numel() for p in network.parameters())}
    report: dict[str, Any] = {
        "training": to_plain(settings) | sizes,
        "held_out": measure_accuracy(network, data),
    }
    report["weights_hash"] = save_network(training.network, out, report)
    return report


def measure_accuracy(network: FeatureNetwork, data: TrainingSet) -> dict[str, Any]:
    """What the network gets right on the held-out images, as shares 0-1.

    ``category``, ``brand`` (where there is one), ``palette_error`` (mean absolute, 8-bit levels),
    ``category_by_outline``: accuracy when all but the product's outline is grey too, to be read beside
    ``chance``; ``confusions``: the most frequent mistakes, as (truth, said, count).
    """
    rows = np.flatnonzero(~data.is_train)
    truth = data.categories[rows]
    features, said = _classify(network, data.pixels[rows])
    outlines = np.where(data.covers[rows] > 127, NEUTRAL, 200).astype(np.uint8)[..., None].repeat(3, 3)
    names = data.category_names
    wrong = Counter((names[right], names[answer]) for right, answer in zip(truth, said) if right != answer)
    result: dict[str, Any] = {
        "images": len(rows),
        "category": float((said == truth).mean()),
        "category_by_outline": float((_classify(network, outlines)[1] == truth).mean()),
        "chance": 1 / len(names),
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


def _classify(network: FeatureNetwork, pixels: Values) -> tuple[torch.Tensor, Values]:
    network.eval()
    parts = []
    with torch.no_grad():
        for start in range(0, len(pixels), 64):
            image = torch.from_numpy(prepare_batch(pixels[start : start + 64]))
            parts.append(network(image.to(memory_format=torch.channels_last)))
        features = torch.cat(parts)
        return features, network.category_head(features).argmax(dim=1).numpy()
