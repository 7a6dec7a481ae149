"""The one training loop, for every stage, on `accelerate`.

Which samples a step sees and what chance does to them is a function of the step (see ``batch``), so
a run is its weights, optimiser state, average and step number. Invariant: 2 + 2 = 4 steps, bit-equal
on the CPU. The learning rate's schedule is ours: diffusers' wastes the first step (rate 0) and its cosine
has no floor; a test holds the two together where they agree.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cyclorama.config import save_config, to_plain
from cyclorama.diffusion.objective import WeightAverage
from cyclorama.errors import (
    CheckpointError,
    ConfigError,
    MissingDependencyError,
    NonFiniteLossError,
    OutputError,
)
from cyclorama.files import hold_folder
from cyclorama.jobs.progress import catch_stop
from cyclorama.training.batch import (
    TrainBatch,
    iterate_ahead,
    list_sample_numbers,
    sample_draws,
    sample_indices,
)
from cyclorama.training.config import OptimiserConfig, TrainConfig, list_differences
from cyclorama.training.dataset import TrainingData
from cyclorama.training.log import RunLog, locate_sheet, validate
from cyclorama.training.prepare import Prepared, prepare_run
from cyclorama.training.stage import TrainStage
from cyclorama.training.state import (
    TrainState,
    export_model,
    find_checkpoint,
    load_checkpoint,
    load_weights,
    pack_optimizer,
    save_checkpoint,
    unpack_optimizer,
)


@dataclass(frozen=True)
class TrainingResult:
    """How a run ended."""

    step: int
    images_seen: int
    stopped_by: int | None
    """Signal number that ended it early, or None."""
    model: Path | None
    """The exported model folder of a finished run."""


def compute_learning_rate(step: int, steps: int, config: OptimiserConfig) -> float:
    """The rate for step ``step`` (0-based) of ``steps``: linear warm-up, then constant or cosine."""
    if step < config.warm_up_steps:
        return config.learning_rate * (step + 1) / config.warm_up_steps
    if config.schedule == "constant":
        return config.learning_rate
    done = (step - config.warm_up_steps) / max(1, steps - config.warm_up_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    return config.learning_rate * (config.final_fraction + (1 - config.final_fraction) * cosine)


def train(
    stage: TrainStage,
    config: TrainConfig,
    out: Path,
    *,
    resume: bool = False,
    data: TrainingData | None = None,
) -> TrainingResult:
    """Run ``stage`` in folder ``out``; the model is in ``out/model`` at the end.

    ``data`` replaces the images that ``config.data.source`` names. ``resume`` goes on from the newest
    complete checkpoint, if there is one. While it runs, no second one trains in ``out``.
    Raises ConfigError, DataError, ModelError, CheckpointError, NonFiniteLossError, OutputError,
    MissingDependencyError.
    """
    missing = [name for name in ("accelerate", "tensorboard", "tokenizers") if find_spec(name) is None]
    if missing:
        raise MissingDependencyError(f'training needs {", ".join(missing)}: pip install "cyclorama[train]"')
    accelerator = build_accelerator(config)
    _check_share(config, accelerator.num_processes)
    main = accelerator.is_main_process  # holds the folder for all processes of the run
    with hold_folder(out, partial(print, file=sys.stderr)) if main else contextlib.nullcontext():
        return _train_held(stage, config, out, resume, data, accelerator)


def _train_held(
    stage: TrainStage,
    config: TrainConfig,
    out: Path,
    resume: bool,
    data: TrainingData | None,
    accelerator: Any,
) -> TrainingResult:
    found, loaded = find_checkpoint(out / "checkpoints"), None
    if found is not None:
        if not resume:
            raise OutputError(
                f"{out} already holds a run (checkpoint {found.name}); add --resume or name another folder"
            )
        loaded = load_checkpoint(found)
        _check_same_run(loaded, stage, config, found)
    prepared = prepare_run(stage, config, out, accelerator, data)
    if accelerator.is_main_process:
        save_config(config, out / "config.yaml")
    run = _Run(config, prepared, accelerator, out)
    if loaded is not None and found is not None:
        run.restore(loaded, found)
    try:
        return run.train()
    finally:
        accelerator.free_memory()


def build_accelerator(config: TrainConfig) -> Any:
    """An ``accelerate.Accelerator`` for the config's precision. Raises ConfigError for fp16 on a CPU."""
    from accelerate import Accelerator, DistributedDataParallelKwargs
    from accelerate.state import AcceleratorState

    if config.precision == "fp16" and not torch.cuda.is_available():
        raise ConfigError("precision fp16 needs a GPU; use bf16 or fp32 on a CPU")
    if AcceleratorState._shared_state:  # an earlier run in this Python process may have had another precision
        AcceleratorState._reset_state()
    precision = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}[config.precision]
    handlers = [DistributedDataParallelKwargs(broadcast_buffers=False)]
    return Accelerator(mixed_precision=precision, kwargs_handlers=handlers)


def _check_share(config: TrainConfig, processes: int) -> None:
    if config.batch_size % (processes * config.gradient_accumulation):
        raise ConfigError(
            f"batch_size {config.batch_size} does not divide among {processes} processes x "
            f"{config.gradient_accumulation} accumulation steps"
        )


def _check_same_run(state: TrainState, stage: TrainStage, config: TrainConfig, path: Path) -> None:
    if state.run["stage"] != stage.name:
        raise CheckpointError(
            f"checkpoint {path} is of stage {state.run['stage']!r}, not {stage.name!r}; use another folder"
        )
    differing = list_differences(state.run["config"], config)
    if differing:
        raise CheckpointError(
            f"checkpoint {path} was made with other settings: {'; '.join(differing)}. "
            f"Restore them or use another folder"
        )


class _Run:
    """One run: the stage's networks, their optimiser and clock."""

    def __init__(self, config: TrainConfig, prepared: Prepared, accelerator: Any, out: Path) -> None:
        self.config, self.prepared, self.out = config, prepared, out
        self.accelerator = accelerator
        self.networks = prepared.networks.to(accelerator.device)
        self.parameters = self.networks.trainable_parameters()
        settings = config.optimiser
        self.optimizer = torch.optim.AdamW(
            self.parameters.values(),
            lr=settings.learning_rate,
            betas=settings.betas,
            weight_decay=settings.weight_decay,
            eps=settings.epsilon,
            fused=True,
        )
        decay = config.ema_decay
        self.ema = WeightAverage(self.parameters, decay) if decay is not None else None
        model = torch.compile(self.networks) if config.compile else self.networks
        self.model = accelerator.prepare_model(model)
        self.prepared_optimizer = accelerator.prepare_optimizer(self.optimizer)
        self.scaler = getattr(accelerator, "scaler", None)
        self.steps = config.compute_steps(len(prepared.builder.data))
        self.step = 0
        self.losses: list[float] = []  # of the steps that no row of the log tells of

    def restore(self, state: TrainState, path: Path) -> None:
        """Go on from ``state``."""
        prepared = self.prepared
        files = {state.run.get("files"), prepared.files} - {None}  # older checkpoints say nothing of them
        if state.run["data"] != prepared.fingerprint or len(files) > 1:
            raise CheckpointError(
                f"checkpoint {path} was made on other images than {self.config.data.source.path} now "
                f"gives; restore them or use another folder"
            )
        if state.run.get("start", prepared.start) != prepared.start:
            raise CheckpointError(
                f"checkpoint {path} was made from another start than "
                f"{prepared.networks.start.folder} now holds; restore it or use another folder"
            )
        load_weights(self.parameters, state.weights, path)
        unpack_optimizer(self.optimizer, self.parameters, state.optimizer)
        if self.ema is not None:
            self.ema.load(state.ema, state.step)
        if self.scaler is not None and state.run.get("scaler"):
            self.scaler.load_state_dict(state.run["scaler"])
        self.step, self.losses = state.step, state.run.get("losses", [])

    def train(self) -> TrainingResult:
        """All remaining steps, with checkpoints and validation on the way, and the export."""
        main, parts = self.accelerator.is_main_process, self.config.gradient_accumulation
        every, size = self.config.log_every_steps, self.config.batch_size
        checkpoint = self.config.checkpoint
        log = RunLog(self.out, step=self.step, steps=self.steps, batch_size=size, every=every, main=main)
        log.losses = self.losses
        saved_at, saved_step = time.monotonic(), self.step
        items = range(self.step * parts, self.steps * parts)
        batches = iterate_ahead(self._build_batch, items, self.config.data.workers)
        model = stopped = None
        with log, catch_stop(quiet=not main) as stop, contextlib.closing(batches):
            if self.step > 0 and not locate_sheet(self.out, self.step).exists():
                self._show(log)  # what a run that was stopped here left out
            while self.step < self.steps and stopped is None:
                self._take_step(batches, log)
                stopped = self._agree_on(stop.number)
                last = self.step == self.steps
                due = last or stopped is not None or _is_multiple(self.step, checkpoint.every_steps)
                if checkpoint.every_minutes is not None:
                    due |= time.monotonic() - saved_at >= 60 * checkpoint.every_minutes
                if main and self.step > saved_step and due:
                    with log.pause():
                        self._save()
                    saved_at, saved_step = time.monotonic(), self.step
                if stopped is None:
                    self._show(log)
            if stopped is None:
                if main:
                    with self._averaged():
                        model = export_model(self.networks, self.out / "model")
                self.accelerator.wait_for_everyone()
        return TrainingResult(self.step, self.step * size, stopped, model)

    def _build_batch(self, item: int) -> TrainBatch:
        """The batch of this process in accumulation part ``item`` counted from the start of the run."""
        config, builder, accelerator = self.config, self.prepared.builder, self.accelerator
        step, part = divmod(item, config.gradient_accumulation)
        numbers = list_sample_numbers(
            step,
            part,
            batch_size=config.batch_size,
            parts=config.gradient_accumulation,
            rank=accelerator.process_index,
            world=accelerator.num_processes,
        )
        indices = sample_indices(len(builder.data), config.seed, numbers.start, len(numbers))
        pairs = zip(numbers, indices, strict=True)
        return builder.build([sample_draws(n, int(index), self.prepared.draws) for n, index in pairs])

    def _take_step(self, batches: Iterator[TrainBatch], log: RunLog) -> None:
        parts = self.config.gradient_accumulation
        rate = compute_learning_rate(self.step, self.steps, self.config.optimiser)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        total = 0.0
        for part in range(parts):
            batch = self.prepared.builder.place(next(batches), self.accelerator.device)
            last = part == parts - 1
            with contextlib.nullcontext() if last else self.accelerator.no_sync(self.model):
                loss: Tensor = self.model(batch)  # accelerate puts autocast around it
                value = loss.item()
                if not math.isfinite(value):
                    self._fail(f"the loss became {value}", batch)
                self.accelerator.backward(loss / parts)
            total += value / parts
        limit = self.config.optimiser.max_grad_norm
        norm = float(self.accelerator.clip_grad_norm_(list(self.parameters.values()), limit))
        if self.config.precision != "fp16" and not math.isfinite(norm):
            self._fail(f"the gradient norm became {norm}", batch)
        self.prepared_optimizer.step()
        self.prepared_optimizer.zero_grad(set_to_none=True)
        self.step += 1
        if self.ema is not None:
            self.ema.update()
        log.add_step(self.step, total, norm, rate)

    def _fail(self, what: str, batch: TrainBatch) -> None:
        """Leave evidence and raise; no weight has moved in this step."""
        evidence = {
            "step": self.step,
            "what": what,
            "samples": list(batch.numbers),
            "images": list(batch.indices),
            "timesteps": batch.timesteps.tolist(),
            "stage": self.networks.stage.name,
        }
        path = self.out / f"non_finite_step_{self.step:08d}_rank_{self.accelerator.process_index}.json"
        path.write_text(json.dumps(evidence, indent=1) + "\n", encoding="utf-8")
        newest = find_checkpoint(self.out / "checkpoints")
        kept = f"the last good checkpoint is {newest}" if newest else "there is no checkpoint yet"
        raise NonFiniteLossError(
            f"{what} at step {self.step + 1}; {kept}, evidence is in {path}. Lower optimiser.learning_rate, "
            f"or use precision fp32 or bf16"
        )

    def _agree_on(self, number: int | None) -> int | None:
        """The stop signal that any process got; all processes answer alike."""
        flag = torch.tensor([number or 0], device=self.accelerator.device)
        return int(self.accelerator.gather(flag).max()) or None

    def _save(self) -> None:
        state = TrainState(
            step=self.step,
            images_seen=self.step * self.config.batch_size,
            weights={name: p.detach() for name, p in self.parameters.items()},
            ema=self.ema.get_values() if self.ema is not None else {},
            optimizer=pack_optimizer(self.optimizer, self.parameters),
            run={
                "stage": self.networks.stage.name,
                "config": to_plain(self.config),
                "data": self.prepared.fingerprint,
                "files": self.prepared.files,
                "start": self.prepared.start,
                "scaler": self.scaler.state_dict() if self.scaler is not None else None,
                "losses": self.losses,
            },
        )
        save_checkpoint(state, self.out / "checkpoints", self.config.checkpoint.keep)

    def _show(self, log: RunLog) -> None:
        """The validation sheet of this step, if one is due."""
        every = self.config.validation.every_steps
        due = every is not None and (self.step == self.steps or _is_multiple(self.step, every))
        if due and self.accelerator.is_main_process:
            with log.pause(), self._averaged():
                validate(self.networks, self.prepared.shown, self.step, self.out, log)

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[None]:
        """The networks hold the average, where one is kept, and are in evaluation mode."""
        self.networks.eval()
        with self.ema.applied() if self.ema is not None else contextlib.nullcontext():
            yield
        self.networks.train()


def _is_multiple(step: int, every: int | None) -> bool:
    return every is not None and step % every == 0
