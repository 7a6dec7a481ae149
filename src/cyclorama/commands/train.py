"""``cyclorama train STAGE``: run one stage of training from a YAML recipe."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cyclorama.training.config import TrainConfig

STAGES = (
    "autoencoder", "base", "category", "personality", "joint",
    "inpaint", "controlnet", "paint-by-example", "lama",
)  # fmt: skip

DESCRIPTION = """\
Train one stage. DIR receives checkpoints/, model/ (at the end), validation/, metrics.jsonl, tensorboard/
and config.yaml. Ctrl-C or SIGTERM ends the step at hand and saves; --resume goes on exactly there.
Several GPUs: accelerate launch -m cyclorama train STAGE --config FILE --out DIR
"""


def add_parser(subparsers: Any) -> None:
    """Add the ``train`` command."""
    parser = subparsers.add_parser(
        "train",
        help="train a stage: " + ", ".join(STAGES),
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="YAML recipe")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder of the run")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on from DIR's newest checkpoint, if any",
    )
    parser.add_argument("--steps", type=int, metavar="N", help="optimiser steps of the whole run")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="override a setting of the recipe, e.g. --set optimiser.learning_rate=1e-4; may be repeated",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train; 0 when finished, 128 + signal number (130, 143) when stopped by a signal."""
    config = load_train_config(args.config, args.settings, args.steps)
    from cyclorama.generation.model import silence_loading
    from cyclorama.lab.baselines.methods import METHOD_NAMES, build_methods
    from cyclorama.training.loop import train
    from cyclorama.training.stages import register_method

    silence_loading()
    if args.stage in METHOD_NAMES:
        for method in build_methods():
            register_method(method)
    result = train(args.stage, config, args.out, resume=args.resume)
    if result.stopped_by is not None:
        name = signal.Signals(result.stopped_by).name
        print(
            f"stopped by {name} after step {result.step} ({result.images_seen} images); the state is "
            f"saved. Go on with the same command and --resume",
            file=sys.stderr,
        )
        return 128 + result.stopped_by
    if result.model is not None:
        print(f"{args.stage} finished after step {result.step}: {result.model}")
    return 0


def load_train_config(path: Path, settings: list[str], steps: int | None = None) -> TrainConfig:
    """The recipe in ``path`` with ``KEY=VALUE`` settings (values read as YAML) and ``steps`` put over it.

    Raises ConfigError.
    """
    import yaml

    from cyclorama.config import build_config
    from cyclorama.errors import ConfigError
    from cyclorama.training.config import TrainConfig

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise ConfigError(f"cannot read config {path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a mapping of settings, got {type(values).__name__}")
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {setting!r}: expected KEY=VALUE, e.g. optimiser.learning_rate=1e-4")
        put_setting(values, key, yaml.safe_load(text))
    if steps is not None:
        values.pop("epochs", None)
        values["steps"] = steps
    return build_config(TrainConfig, values, where=str(path))


def put_setting(values: dict[str, Any], key: str, value: Any) -> None:
    """Set ``a.b.c`` in nested mappings. Raises ConfigError where ``a.b`` is no mapping."""
    from cyclorama.errors import ConfigError

    *parents, last = key.split(".")
    for parent in parents:
        inner = values.get(parent)
        if inner is None:
            inner = values[parent] = {}
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {key}: {parent!r} is {inner!r}, not a group of settings")
        values = inner
    values[last] = value
