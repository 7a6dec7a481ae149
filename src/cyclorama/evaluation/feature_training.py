"""One training run of the feature network: what step k does, and how its state is kept.

Step k is a function of (seed, k) and the state before it alone, so that a run that was stopped and goes on
ends in the weights of one that was not, bit for bit on a CPU.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from cyclorama.errors import CheckpointError, SettingsError
from cyclorama.evaluation.feature_data import NO_BRAND, TrainingSet, augment
from cyclorama.evaluation.feature_network import FeatureNetwork, FeatureNetworkConfig
from cyclorama.seeding import build_generator, build_numpy_generator

STATE_NAME = "state.safetensors"


@dataclass(frozen=True)
class FeatureTrainingConfig:
    """What decides the weights, beside the images."""

    steps: int
    batch_size: int = 64
    learning_rate: float = 2e-3
    """Highest rate of AdamW, reached after 5 % of the steps, then down to 0 on a cosine."""
    weight_decay: float = 0.05
    label_smoothing: float = 0.05
    brand_weight: float = 0.3
    palette_weight: float = 1.0
    seed: int = 0
    precision: str = "float32"
    """``float32`` or ``bfloat16`` (autocast)."""
    checkpoint_steps: int = 200
    """Steps between two saved states."""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 2 or self.checkpoint_steps < 1:
            raise SettingsError(
                f"steps {self.steps}, batch_size {self.batch_size}, checkpoint_steps "
                f"{self.checkpoint_steps}: use at least 1, 2 and 1"
            )
        if self.precision not in ("float32", "bfloat16"):
            raise SettingsError(f"precision {self.precision!r}: use float32 or bfloat16")


class FeatureTraining:
    """One run: network, optimiser and the step it stands at."""

    def __init__(self, data: TrainingSet, config: FeatureTrainingConfig) -> None:
        self.data = data
        self.config = config
        self.step = 0
        self.rows = np.flatnonzero(data.is_train)
        self._epoch, self._order = -1, self.rows
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(build_generator(config.seed, 0, "feature weights").initial_seed() % 2**31))
            network = FeatureNetwork(FeatureNetworkConfig(data.category_names, data.brand_names))
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

    def _sample_batch(self, step: int) -> tuple[torch.Tensor, np.ndarray[Any, np.dtype[np.int64]]]:
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

    def _get_order(self, epoch: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        if self._epoch != epoch:
            self._epoch = epoch
            random = build_numpy_generator(self.config.seed, epoch, "feature order")
            self._order = self.rows[random.permutation(len(self.rows))]
        return self._order

    def _compute_loss(self, image: torch.Tensor, rows: np.ndarray[Any, Any]) -> torch.Tensor:
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


def compute_rate(config: FeatureTrainingConfig, step: int) -> float:
    """The learning rate of ``step``: linear rise over the first 5 % of the steps, then half a cosine."""
    rise = max(1, round(0.05 * config.steps))
    if step < rise:
        return config.learning_rate * (step + 1) / rise
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, config.steps - rise)))
