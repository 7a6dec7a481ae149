"""Curating on Ray: the bytes of one process."""

from __future__ import annotations

import os

import pytest
from _curating import build_recipe, build_test_rules, read_stable, write_input

pytest.importorskip("ray")

from cyclorama.curate.run import run_curate
from cyclorama.jobs.job import EngineSettings, Hooks

# Ray leaves pipes and sockets of its processes to the garbage collector.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning", "ignore:subprocess:ResourceWarning"),
]


def test_two_workers_on_ray_give_the_bytes_of_one_process(tmp_path, monkeypatch):
    monkeypatch.setenv(
        "PYTHONPATH", f"{str(__file__).rpartition('/')[0]}:{os.environ.get('PYTHONPATH', '')}"
    )  # for the rules of these tests
    manifest = write_input(tmp_path / "shop")
    alone, shared = (
        EngineSettings(threads=None, shard_size=4),
        EngineSettings(engine="ray", workers=2, threads=1, shard_size=4),
    )
    run_curate(str(manifest), tmp_path / "alone", build_recipe(), alone, build=build_test_rules)
    seen: list[int] = []
    result = run_curate(
        str(manifest),
        tmp_path / "shared",
        build_recipe(),
        shared,
        Hooks(advanced=seen.append),
        build=build_test_rules,
    )
    assert result.finished and sum(seen) == 12
    assert read_stable(tmp_path / "shared") == read_stable(tmp_path / "alone")
