"""What a run tells: a progress line, metrics.jsonl, TensorBoard, sheets of images sampled on the way."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cyclorama.files import write_atomic
from cyclorama.tensors import to_pixels
from cyclorama.training.batch import BatchBuilder, Draws
from cyclorama.training.stage import StageNetworks
from cyclorama.types import Pixels

SMOOTHING = 0.98
LINE_SECONDS = 30.0
"""Where standard error is no terminal: time between two lines."""


class RunLog:
    """Progress of one run; says nothing unless ``main``.

    ``metrics.jsonl`` keeps its rows up to ``step``, from which the run goes on; later ones are written anew.
    """

    def __init__(self, out: Path, *, step: int, steps: int, batch_size: int, every: int, main: bool) -> None:
        self.main = main
        self.losses: list[float] = []
        """Of the steps since the last row; a run that goes on brings its own list."""
        self._every, self._steps = every, steps
        self._batch_size = batch_size
        self._smoothed: float | None = None
        self._mark = (time.perf_counter(), step)
        self._said = 0.0
        if main:
            from torch.utils.tensorboard import SummaryWriter

            self._writer: Any = SummaryWriter(str(out / "tensorboard"), purge_step=step + 1)
            metrics = out / "metrics.jsonl"
            write_atomic(metrics, _keep_rows(metrics, step))
            self._file = metrics.open("a", encoding="utf-8")
            self._console = Console(stderr=True)
            self._bar = Progress(
                BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn(),
                console=self._console, disable=not self._console.is_terminal,
            )  # fmt: skip
            self._task = self._bar.add_task("", total=steps, completed=step)

    def add_step(self, step: int, loss: float, grad_norm: float, learning_rate: float) -> None:
        """Note optimiser step ``step`` (1-based)."""
        if not self.main:
            return
        last = loss if self._smoothed is None else self._smoothed
        self._smoothed = SMOOTHING * last + (1 - SMOOTHING) * loss
        self.losses.append(loss)
        self._bar.update(self._task, completed=step)
        if step % self._every:
            return
        now = time.perf_counter()
        rate = (step - self._mark[1]) * self._batch_size / max(now - self._mark[0], 1e-9)
        self._mark = (now, step)
        text = f"loss {self._smoothed:.4f}, {rate:.1f} images/s"
        self._bar.update(self._task, description=text)
        if self._bar.disable and now - self._said >= LINE_SECONDS:
            self._said = now
            self._console.print(f"step {step}/{self._steps}, {text}", highlight=False)
        mean = float(np.mean(self.losses))
        self.losses.clear()
        row = {"loss": mean, "grad_norm": grad_norm, "learning_rate": learning_rate}
        self.add_scalars(step, {**row, "images_per_second": rate})

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

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Time spent here (checkpoint, validation) is left out of the images per second."""
        started = time.perf_counter()
        yield
        self._mark = (self._mark[0] + time.perf_counter() - started, self._mark[1])

    def __enter__(self) -> Self:
        if self.main:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.main:
            self._bar.stop()
            self._writer.close()
            self._file.close()


def _keep_rows(path: Path, step: int) -> bytes:
    """The rows of the steps up to ``step``; a torn last line, as a kill leaves it, is of a later one."""
    lines = path.read_bytes().splitlines(keepends=True) if path.is_file() else []
    return b"".join(line for line in lines if line.endswith(b"\n") and json.loads(line)["step"] <= step)


def locate_sheet(out: Path, step: int) -> Path:
    """Where the validation sheet of ``step`` lies, once it is whole."""
    return out / "validation" / f"step-{step:08d}.png"


@torch.no_grad()
def validate(networks: StageNetworks, shown: BatchBuilder, step: int, out: Path, log: RunLog) -> None:
    """Show the images of ``shown`` with the networks as they are: ``validation/step-N.png``, and logged.

    The same each time, unflipped, with their prompts: a row per image, a column per entry.
    """
    noise = np.zeros(shown.latents.shape[2:], dtype=np.float32)
    draws = [Draws(i, i, False, drop_prompt=False, timestep=0, noise=noise) for i in range(len(shown.data))]
    batch = shown.build(draws).to(next(networks.parameters()).device)
    columns, scalars = networks.stage.show(networks, batch)
    networks.train()
    rows = torch.cat([column.float().cpu() for column in columns], dim=3)
    sheet = to_pixels(torch.cat(list(rows), dim=1).nan_to_num())
    log.add_sheet(step, sheet)
    if scalars:
        log.add_scalars(step, scalars)
    encoded = io.BytesIO()
    Image.fromarray(sheet).save(encoded, "PNG")
    write_atomic(locate_sheet(out, step), encoded.getvalue())
