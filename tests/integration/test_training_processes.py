"""Two processes share a batch and get the gradient of the whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from _training import TinyData, build_config, load_state, save_tiny_model

from cyclorama.errors import ConfigError
from cyclorama.training.config import DataConfig
from cyclorama.training.loop import _check_share, train
from cyclorama.training.stages import STAGES


def test_two_processes_average_to_the_gradient_of_the_whole_batch(tmp_path):
    model = save_tiny_model(tmp_path / "model")
    script = Path(__file__).with_name("_launched.py")
    source = Path(__file__).parents[2] / "src"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(source), "ACCELERATE_USE_CPU": "1"}
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    launch += ["--main_process_port", "0"]
    done = subprocess.run(
        [*launch, str(script), str(model), str(tmp_path / "two"), "4"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    config = build_config(str(model), batch_size=4, steps=1)
    train(STAGES["joint"], config, tmp_path / "one", data=TinyData())
    one, two = load_state(tmp_path / "one").optimizer, load_state(tmp_path / "two").optimizer
    assert one.keys() == two.keys()
    moments = [name for name in one if name.endswith("exp_avg")]
    assert any(float(one[name].abs().max()) > 1e-4 for name in moments)
    for name in moments:  # after one step a tenth of the clipped gradient
        torch.testing.assert_close(two[name], one[name], rtol=1e-5, atol=1e-5 * 0.1)


def test_a_batch_that_does_not_divide_is_refused():
    config = build_config("base", batch_size=6, data=DataConfig(source=build_config().data.source))
    _check_share(config, 3)
    with pytest.raises(ConfigError, match="batch_size 6 does not divide among 4 processes"):
        _check_share(config, 4)
