"""One training run of the feature network: what step k does, and how its state is kept.

Step k is a function of (seed, k) and the state before it alone, so that a run that was stopped and goes on
ends in the weights of one that was not, bit for bit on a CPU.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
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
from cyclorama.lab.features.accuracy import measure_accuracy
from cyclorama.lab.features.data import NO_BRAND, TrainingSet, augment
from cyclorama.lab.features.settings import FeatureTrainingSettings
from cyclorama.seeding import build_generator, build_numpy_generator

STATE_NAME = "state.safetensors"
RUN_NAME = "run.json"
Rows = np.ndarray[Any, np.dtype[np.int64]]


class FeatureTraining:
    """One run: network, optimiser and the step it stands at."""

    def __init__(self, data: TrainingSet, config: FeatureTrainingSettings) -> None:
        self.data = data
        self.config = config
        self.step = 0
        self.rows = np.flatnonzero(data.is_train)
        self._epoch, self._order = -1, self.rows
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(build_generator(config.seed, 0, "feature weights").initial_seed() % 2**31))
            network = FeatureNetwork(
                FeatureNetworkConfig(categories=data.category_names, brands=data.brand_names)
            )
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )

    def run_step(self) -> float:
        """Make the next step; its loss."""
        image, rows = self._sample_batch(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = compute_rate(self.config, self.step)
        self.network.train()
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._compute_loss(image, rows)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.step += 1
        return float(loss.detach())

    def _sample_batch(self, step: int) -> tuple[torch.Tensor, Rows]:
        size, count = self.config.batch_size, len(self.rows)
        places = range(step * size, (step + 1) * size)
        rows = np.array([self._get_order(place // count)[place % count] for place in places])
        images = []
        for place, row in zip(places, rows):
            random = build_numpy_generator(self.config.seed, place, "feature augmentation")
            other = self.rows[int(random.integers(count))]
            images.append(
                augment(self.data.pixels[row], self.data.covers[row], self.data.covers[other], random)
            )
        image = torch.from_numpy(np.stack(images)).to(memory_format=torch.channels_last)
        return image, rows

    def _get_order(self, epoch: int) -> Rows:
        if self._epoch != epoch:
            self._epoch = epoch
            random = build_numpy_generator(self.config.seed, epoch, "feature order")
            self._order = self.rows[random.permutation(len(self.rows))]
        return self._order

    def _compute_loss(self, image: torch.Tensor, rows: Rows) -> torch.Tensor:
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
        from safetensors.torch import save_file

        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        for number, entry in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{name}": value for name, value in entry.items()}
        tensors = {name: value.detach().contiguous().clone() for name, value in tensors.items()}
        part = folder / f"{STATE_NAME}.part"
        save_file(tensors, part, metadata={"step": str(self.step)})
        part.replace(folder / STATE_NAME)

    def load(self, folder: Path) -> None:
        """Go to the state saved in ``folder``. Raises CheckpointError."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(folder / STATE_NAME, "pt") as file:
                step = int(file.metadata()["step"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            self.network.load_state_dict(
                {n.removeprefix("network."): v for n, v in tensors.items() if n.startswith("network.")}
            )
        except (SafetensorError, OSError, KeyError, RuntimeError) as error:
            raise CheckpointError(
                f"{folder / STATE_NAME} cannot be used ({str(error)[:200]}); delete it to begin again"
            ) from error
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("optimizer."):
                _, number, entry = name.split(".")
                state.setdefault(int(number), {})[entry] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        self.step = step


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
    report: dict[str, Any] = {
        "training": {
            **to_plain(settings),
            "images": int(data.is_train.sum()),
            "parameters": sum(p.numel() for p in network.parameters()),
        },
        "held_out": measure_accuracy(network, data),
    }
    report["weights_hash"] = save_network(training.network, out, report)
    return report
