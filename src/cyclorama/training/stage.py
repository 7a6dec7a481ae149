"""What a stage of training is: a record of functions, and its networks as one module.

The loop knows stages only as such records; the product's are in ``stages``, other rooms bring their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from cyclorama.models.base import BaseModel
from cyclorama.models.registry import CategoryRegistry
from cyclorama.training.batch import BatchNeeds, TrainBatch
from cyclorama.training.config import TrainConfig


@dataclass(frozen=True)
class Start:
    """What a run starts from; its parts that are not trained go into the exported model."""

    folder: Path
    registry: CategoryRegistry
    """The start's categories and those of the training images."""
    config: TrainConfig


class StageNetworks(nn.Module):
    """The networks of a running stage, by name.

    Calling it gives a batch's loss, so that one wrapper (mixed precision, processes) serves all stages.
    """

    stage: TrainStage
    start: Start
    scheduler: Any

    def __init__(
        self,
        stage: TrainStage,
        start: Start,
        scheduler: Any,
        trained: Mapping[str, nn.Module],
        frozen: Mapping[str, nn.Module],
    ) -> None:
        super().__init__()
        self.stage, self.start, self.scheduler = stage, start, scheduler
        self.trained = nn.ModuleDict(dict(trained))
        self.frozen = nn.ModuleDict(dict(frozen))
        self.frozen.requires_grad_(False)
        self.train()
        if start.config.gradient_checkpointing:
            networks: list[Any] = [*trained.values(), *frozen.values()]
            for network in networks:
                if getattr(network, "_supports_gradient_checkpointing", False):
                    network.enable_gradient_checkpointing()

    def __getitem__(self, name: str) -> Any:
        return self.trained[name] if name in self.trained else self.frozen[name]

    def __contains__(self, name: str) -> bool:
        return name in self.trained or name in self.frozen

    def train(self, mode: bool = True) -> StageNetworks:
        """Training mode for what is trained; frozen networks stay in evaluation mode."""
        super().train(mode)
        self.frozen.eval()
        return self

    def trainable_parameters(self) -> dict[str, nn.Parameter]:
        """The parameters that move, by name."""
        return {name: p for name, p in self.trained.named_parameters() if p.requires_grad}

    def forward(self, batch: TrainBatch) -> Tensor:
        """The loss () of ``batch``."""
        return self.stage.compute_loss(self, batch)


@dataclass(frozen=True)
class TrainStage:
    """One stage of training."""

    name: str
    build: Callable[[Start, BaseModel], tuple[dict[str, nn.Module], dict[str, nn.Module]]]
    """(trained, frozen) networks by name, from the start and its loaded base. Raises ConfigError."""
    compute_loss: Callable[[StageNetworks, TrainBatch], Tensor]
    """The loss () of a batch."""
    save: Callable[[StageNetworks, Path], None]
    """Write the finished model into a folder."""
    show: Callable[[StageNetworks, TrainBatch], tuple[list[Tensor], dict[str, float]]]
    """Columns of images (B, 3, H, W) in [-1, 1] for the validation sheet, and what is measured on them."""
    needs: BatchNeeds
    """What its batches hold."""
    from_scratch: bool = False
    """Whether ``model.build`` may stand in for a trained base."""
