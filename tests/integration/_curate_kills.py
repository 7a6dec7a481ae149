"""Run as a program: curate, killed without warning before the n-th file is put into place, n after n.

Arguments: manifest, output folder, numbers with commas. Prints how many runs were killed.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from _curating import build_recipe, build_test_rules

from cyclorama.curate.run import run_curate
from cyclorama.jobs.job import EngineSettings


def run_until_killed(manifest: str, out: Path, step: int) -> None:
    replace, steps = os.replace, 0

    def counted(*args, **kwargs):
        nonlocal steps
        steps += 1
        if steps == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(*args, **kwargs)

    os.replace = counted
    recipe, engine = build_recipe(), EngineSettings(threads=None, shard_size=4)
    run_curate(manifest, out, recipe, engine, build=build_test_rules)


def main() -> None:
    manifest, out, numbers = sys.argv[1], Path(sys.argv[2]), [int(n) for n in sys.argv[3].split(",")]
    killed = 0
    for step in numbers:
        child = os.fork()
        if child == 0:
            run_until_killed(manifest, out, step)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, status
        killed += os.WIFSIGNALED(status)
    print(killed)


if __name__ == "__main__":
    main()
