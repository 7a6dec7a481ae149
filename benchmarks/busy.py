"""How much slower is the bundled model beside another busy process on the same cores?

    python benchmarks/busy.py [--steps 6] [--repeats 5]

Median seconds of six steps alone and beside one busy process per core, with threads that wait asleep (the
package's setting) and spinning (torch's own). The ratio should stay at or below 2.5.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from contextlib import ExitStack

SAMPLE = """
import statistics, sys, time
import cyclorama, torch
from cyclorama.diffusion.settings import SamplingConfig
from cyclorama.generation.model import open_model
pipeline = open_model("bundled").load("cpu", "float32")
image, mask = torch.zeros(1, 3, 256, 256), torch.zeros(1, 1, 256, 256)
mask[:, :, 64:192, 64:192] = 1
seconds = []
for repeat in range(int(sys.argv[2]) + 1):
    start, generator = time.perf_counter(), torch.Generator().manual_seed(repeat)
    settings = SamplingConfig(num_inference_steps=int(sys.argv[1]))
    pipeline(image, mask, ["perfume"], [generator], settings=settings)
    seconds.append(time.perf_counter() - start)
print(statistics.median(seconds[1:]))
"""


def measure(policy: str, busy: int, args: argparse.Namespace) -> float:
    """Median seconds beside ``busy`` processes that only count."""
    environment = {**os.environ, "OMP_WAIT_POLICY": policy}
    command = [sys.executable, "-c", SAMPLE, str(args.steps), str(args.repeats)]
    with ExitStack() as stack:
        for _ in range(busy):
            other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            stack.callback(other.wait)
            stack.callback(other.kill)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    print("| waiting threads | alone, s | one busy process, s | ratio | all cores busy, s | ratio |")
    print("|---|---|---|---|---|---|")
    for policy in ("PASSIVE", "ACTIVE"):
        alone, one, every = (measure(policy, busy, args) for busy in (0, 1, os.cpu_count() or 1))
        print(
            f"| {policy} | {alone:.2f} | {one:.2f} | {one / alone:.1f} | {every:.2f} | {every / alone:.1f} |"
        )


if __name__ == "__main__":
    main()
