"""Run by `accelerate launch` in test_training_processes: one step of stage joint on in-memory images."""

from __future__ import annotations

import sys
from pathlib import Path

from _training import TinyData, build_config

from cyclorama.training.loop import train
from cyclorama.training.stages import STAGES

if __name__ == "__main__":
    base, out, batch = sys.argv[1:]
    config = build_config(base=base, batch_size=int(batch), steps=1)
    train(STAGES["joint"], config, Path(out), data=TinyData())
