"""Run by `accelerate launch` in test_training_processes: one step of stage joint on in-memory images."""

from __future__ import annotations

import sys
from pathlib import Path

from _training import TinyData, build_config

from cyclorama.training.loop import train

if __name__ == "__main__":
    base, out, batch = sys.argv[1:]
    train("joint", build_config(base=base, batch_size=int(batch), steps=1), Path(out), data=TinyData())
