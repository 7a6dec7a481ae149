"""How long does the bundled model take to load, and one image with a reference by each preset?

    python benchmarks/presets.py

Median of three, after one image to warm up; all threads, batch 1, on an otherwise idle machine. What a
preset loses in quality: ``cyclorama lab experiment recipes/experiments/presets.yaml``.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

import torch

from cyclorama import BackgroundGenerator
from cyclorama.diffusion.settings import PRESETS
from cyclorama.generation.demo import get_demo_folder, load_demo
from cyclorama.generation.settings import GenerateConfig

LOAD = """
import time
start = time.perf_counter()
import cyclorama.generation.engine, cyclorama.models.pipeline
from cyclorama import BackgroundGenerator
imported = time.perf_counter()
BackgroundGenerator.from_pretrained("bundled")
print(imported - start, time.perf_counter() - imported)
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    threads, capability = torch.get_num_threads(), torch.backends.cpu.get_cpu_capability()
    print(f"{threads} threads, torch {torch.__version__}, {capability}")
    loads = [_load() for _ in range(repeats)]
    imports, model = (statistics.median(part) for part in zip(*loads))
    print(f"in a new process: importing the libraries {imports:.2f} s, loading the model {model:.2f} s")
    entry = load_demo(get_demo_folder())[0]
    generator = BackgroundGenerator.from_pretrained("bundled")
    for name in PRESETS:
        settings = GenerateConfig(preset=name)
        seconds = []
        for repeat in range(repeats + 1):
            start = time.perf_counter()
            generator(
                entry.product,
                category=entry.category,
                reference=entry.reference,
                seed=repeat,
                settings=settings,
            )
            seconds.append(time.perf_counter() - start)
        print(f"{name}: {statistics.median(seconds[1:]):.2f} s an image")


def _load() -> tuple[float, float]:
    done = subprocess.run([sys.executable, "-c", LOAD], capture_output=True, text=True, check=True)
    imports, model = map(float, done.stdout.split()[-2:])
    return imports, model


if __name__ == "__main__":
    main()
