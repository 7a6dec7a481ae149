"""What a run tells: a progress line, metrics.jsonl, TensorBoard."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from tqdm import tqdm

if TYPE_CHECKING:
    from cyclorama.types import Pixels


SMOOTHING = 0.98


class RunLog:
    """Progress of one run; says nothing unless ``main``. ``metrics.jsonl`` is appended to on resume."""

    def __init__(
        self,
        out: Path,
        *,
        step: int,
        steps: int,
        batch_size: int,
        every: int,
        main: bool,
    ) -> None:
        self.main = main
        self._every = every
        self._batch_size = batch_size
        self._smoothed: float | None = None
        self._losses: list[float] = []
        self._mark = (time.perf_counter(), step)
        self._writer: Any = None
        self._bar: Any = None
        if main:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(out / "tensorboard"), purge_step=step + 1 if step else None)
            self._file = (out / "metrics.jsonl").open("a", encoding="utf-8")
            terminal = sys.stderr.isatty()
            self._bar = tqdm(
                total=steps,
                initial=step,
                unit="step",
                mininterval=0.2 if terminal else 30.0,
                dynamic_ncols=True,
            )

    def add_step(self, step: int, loss: float, grad_norm: float, learning_rate: float) -> None:
        """Note optimiser step ``step`` (1-based)."""
        if not self.main:
            return
        self._smoothed = (
            loss if self._smoothed is None else SMOOTHING * self._smoothed + (1 - SMOOTHING) * loss
        )
        self._losses.append(loss)
        self._bar.update(1)
        if step % self._every:
            return
        now = time.perf_counter()
        rate = (step - self._mark[1]) * self._batch_size / max(now - self._mark[0], 1e-9)
        self._mark = (now, step)
        row = {
            "loss": float(np.mean(self._losses)),
            "grad_norm": grad_norm,
            "learning_rate": learning_rate,
            "images_per_second": rate,
        }
        self._losses = []
        self._bar.set_postfix_str(f"loss {self._smoothed:.4f}, {rate:.1f} images/s")
        self.add_scalars(step, row)

    def add_scalars(self, step: int, row: dict[str, float]) -> None:
        """Write ``row`` to metrics.jsonl and TensorBoard."""
        if not self.main:
            return
        rounded = {key: float(f"{value:.6g}") for key, value in row.items()}
        self._file.write(json.dumps({"step": step, "images_seen": step * self._batch_size, **rounded}) + "\n")
        self._file.flush()
        for key, value in row.items():
            self._writer.add_scalar(key, value, step)

    def add_sheet(self, step: int, sheet: Pixels) -> None:
        """Show validation images, uint8 (H, W, 3)."""
        if self.main:
            self._writer.add_image("validation", sheet, step, dataformats="HWC")

    def exclude_pause(self, seconds: float) -> None:
        """Leave ``seconds`` spent on other things (checkpoint, validation) out of the images per second."""
        self._mark = (self._mark[0] + seconds, self._mark[1])

    def say(self, text: str) -> None:
        """Print a line without breaking the progress line."""
        if self.main:
            self._bar.write(text, file=sys.stderr)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.main:
            self._bar.close()
            self._writer.close()
            self._file.close()
