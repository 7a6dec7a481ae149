"""Train the feature network: ``python -m cyclorama.evaluation.train_features --shards DIR --out DIR``.

The same command goes on where it was stopped. What is measured at the end, on the shards' held-out split:
accuracy of category and brand, and accuracy on the products' outlines alone, which must stay low: a network
that reads outlines would praise any background.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cyclorama.errors import CheckpointError
from cyclorama.evaluation.feature_accuracy import measure_accuracy
from cyclorama.evaluation.feature_data import TrainingSet, load_training_set
from cyclorama.evaluation.feature_network import load_network, save_network
from cyclorama.evaluation.feature_training import STATE_NAME, FeatureTraining, FeatureTrainingConfig
from cyclorama.evaluation.reading import open_images

logger = logging.getLogger(__name__)

RUN_NAME = "run.json"
_LOG_SECONDS = 15.0


def train_features(
    data: TrainingSet,
    config: FeatureTrainingConfig,
    out: Path,
    on_step: Callable[[int, float], None] | None = None,
    stop_after: int | None = None,
) -> dict[str, Any]:
    """Train in ``out``, going on from a saved state; the report that is also in the network's card.

    ``stop_after`` ends the call at that step with the state saved and an empty report, as a kill would.
    Raises CheckpointError if ``out`` holds a run of another config or other classes.
    """
    out.mkdir(parents=True, exist_ok=True)
    plan = {
        "config": asdict(config),
        "categories": list(data.category_names),
        "brands": list(data.brand_names),
        "images": len(data.is_train),
    }
    _claim(out, plan)
    training = FeatureTraining(data, config)
    if (out / STATE_NAME).exists():
        training.load(out)
    while training.step < config.steps:
        loss = training.run_step()
        if on_step is not None:
            on_step(training.step, loss)
        stopping = stop_after is not None and training.step >= stop_after
        if training.step % config.checkpoint_steps == 0 or training.step == config.steps or stopping:
            training.save(out)
        if stopping:
            return {}
    save_network(training.network, out)
    network, _ = load_network(out)
    report: dict[str, Any] = {
        "training": {
            **asdict(config),
            "images": int(data.is_train.sum()),
            "parameters": sum(p.numel() for p in network.parameters()),
        },
        "held_out": measure_accuracy(network, data),
    }
    report["weights_hash"] = save_network(training.network, out, report)
    return report


def _claim(out: Path, plan: dict[str, Any]) -> None:
    path = out / RUN_NAME
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        if found != json.loads(json.dumps(plan)):
            raise CheckpointError(
                f"{out} holds a run of another config or set ({path.name}); use another --out"
            )
        return
    path.write_text(json.dumps(plan, indent=1) + "\n", encoding="utf-8")


def choose_steps(data: TrainingSet, config: FeatureTrainingConfig, seconds: float) -> int:
    """How many steps fit into ``seconds`` on this machine now, timed on a throw-away run of five."""
    trial = FeatureTraining(data, config)
    trial.run_step()
    start = time.monotonic()
    for _ in range(5):
        trial.run_step()
    return max(20, int(seconds * 5 / (time.monotonic() - start)))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; prints the report as JSON."""
    parser = argparse.ArgumentParser(description="Train the feature network on rendered shards.")
    parser.add_argument(
        "--shards", type=Path, required=True, metavar="DIR", help="shards with masks and splits"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for network and state")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--steps", type=int, metavar="N", help="training steps")
    length.add_argument(
        "--seconds", type=float, metavar="S", help="as many steps as fit (decided at the start)"
    )
    parser.add_argument("--batch-size", type=int, default=64, metavar="N", help="images a step (default: 64)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the run (default: 0)")
    parser.add_argument("--learning-rate", type=float, default=2e-3, metavar="R", help="default: 0.002")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    data = load_training_set(open_images(args.shards))
    logger.info(
        "%d images, %d held out, %d categories",
        len(data.is_train),
        int((~data.is_train).sum()),
        len(data.category_names),
    )
    config = FeatureTrainingConfig(
        args.steps or 1,
        args.batch_size,
        args.learning_rate,
        seed=args.seed,
        precision=args.precision,
    )
    if args.seconds is not None:
        steps = _get_planned_steps(args.out) or choose_steps(data, config, args.seconds)
        config = FeatureTrainingConfig(**{**asdict(config), "steps": steps})
    report = train_features(data, config, args.out, _Log(config.steps))
    print(json.dumps(report, indent=1, ensure_ascii=False))
    return 0


def _get_planned_steps(out: Path) -> int | None:
    """The steps of the run that ``out`` already holds: a resumed run keeps its schedule."""
    path = out / RUN_NAME
    return int(json.loads(path.read_text(encoding="utf-8"))["config"]["steps"]) if path.exists() else None


class _Log:
    """A line on stderr every 15 seconds: step, mean loss since the last line, time left."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._losses: list[float] = []
        self._start = self._last = time.monotonic()
        self._first: int | None = None

    def __call__(self, step: int, loss: float) -> None:
        self._losses.append(loss)
        self._first = step - 1 if self._first is None else self._first
        now = time.monotonic()
        if now - self._last >= _LOG_SECONDS or step == self._total:
            rate = (step - self._first) / max(now - self._start, 1e-9)
            left = (self._total - step) / rate
            logger.info(
                "step %d/%d, loss %.3f, %.2f steps/s, %.0f s left",
                step,
                self._total,
                sum(self._losses) / len(self._losses),
                rate,
                left,
            )
            self._last, self._losses = now, []


if __name__ == "__main__":
    raise SystemExit(main())
