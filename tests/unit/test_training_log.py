"""What a run tells: rows, speed, lines where there is no terminal, sheets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cyclorama.training import log as log_module
from cyclorama.training.log import RunLog, validate


class Writer:
    """TensorBoard's writer, remembered."""

    def __init__(self, folder, purge_step=None):
        self.folder, self.purge_step = folder, purge_step
        self.scalars, self.images, self.closed = [], [], False

    def add_scalar(self, *scalar):
        self.scalars.append(scalar)

    def add_image(self, name, sheet, step, dataformats):
        self.images.append((name, sheet, step, dataformats))

    def close(self):
        self.closed = True


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(log_module.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr("torch.utils.tensorboard.SummaryWriter", Writer)
    return now


def read_rows(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def open_log(out: Path, **changes) -> RunLog:
    return RunLog(out, **{"step": 10, "steps": 20, "batch_size": 6, "every": 2, "main": True, **changes})


def test_rows_hold_the_mean_since_the_last_one_and_the_speed_without_pauses(tmp_path, clock, capsys):
    with open_log(tmp_path) as log:
        writer = log._writer
        assert writer.purge_step == 11
        for step, loss in ((11, 2.0), (12, 4.0), (13, 5.0), (14, 8.00000049)):
            clock[0] += 2.0
            log.add_step(step, loss, grad_norm=step / 10, learning_rate=1e-3)
            if step == 13:
                with log.pause():
                    clock[0] += 50.0
    rows = read_rows(tmp_path)
    expected = {"learning_rate": 1e-3, "images_per_second": 3.0}
    assert rows == [
        {"step": 12, "images_seen": 72, "loss": 3.0, "grad_norm": 1.2, **expected},
        {"step": 14, "images_seen": 84, "loss": 6.5, "grad_norm": 1.4, **expected},
    ]
    assert [scalar for scalar in writer.scalars if scalar[0] == "loss"] == [
        ("loss", 3.0, 12),
        ("loss", pytest.approx(6.5), 14),
    ]
    assert writer.closed
    smoothed = 0.98 * 2.0 + 0.02 * 4.0
    text = capsys.readouterr().err
    assert f"step 12/20, loss {smoothed:.4f}, 3.0 images/s" in text


def test_lines_without_a_terminal_are_half_a_minute_apart(tmp_path, clock, capsys):
    with open_log(tmp_path, step=0, every=1) as log:
        assert log._writer.purge_step == 1
        for step, seconds in ((1, 1.0), (2, 29.5), (3, 0.5), (4, 29.9)):
            clock[0] += seconds
            log.add_step(step, 1.0, 1.0, 1.0)
    lines = [line.split(",")[0] for line in capsys.readouterr().err.splitlines() if line]
    assert lines == ["step 1/20", "step 3/20"]


def test_rows_of_steps_that_are_taken_again_are_dropped(tmp_path, clock):
    path = tmp_path / "metrics.jsonl"
    kept = '{"step": 2, "loss": 1.5}\n{"step": 10, "loss": 1.25}\n'
    path.write_text(kept + '{"step": 11, "loss": 1.0}\n{"step": 12, "lo')
    with open_log(tmp_path, main=False):
        assert path.read_text() != kept
    with open_log(tmp_path):
        assert path.read_text() == kept
    with open_log(tmp_path, step=0):
        assert path.read_text() == ""


def test_other_processes_say_nothing(tmp_path, clock, capsys):
    with open_log(tmp_path, main=False) as log:
        log.add_step(12, 1.0, 1.0, 1.0)
        log.add_scalars(12, {"loss": 1.0})
        log.add_sheet(12, np.zeros((1, 1, 3), np.uint8))
    assert list(tmp_path.iterdir()) == [] and capsys.readouterr().err == ""


def test_a_sheet_has_a_row_per_image_and_a_column_per_entry(tmp_path, clock):
    class Batch:
        def to(self, device):
            return self

    class Shown:
        latents, data = np.zeros((2, 1, 4, 2, 2)), [0, 1]

        def build(self, draws):
            assert [(d.number, d.index, d.flip, d.drop_prompt, d.timestep) for d in draws] == [
                (0, 0, False, False, 0),
                (1, 1, False, False, 0),
            ]
            assert all(d.noise.shape == (4, 2, 2)[-2:] or d.noise.shape == (4, 2, 2) for d in draws)
            return Batch()

    class Stage:
        @staticmethod
        def show(networks, batch):
            levels = torch.tensor([-1.0, 1.0])[:, None, None, None].expand(2, 3, 4, 4)
            return [levels, torch.full((2, 3, 4, 4), torch.nan)], {"psnr": 12.5}

    class Networks(torch.nn.Linear):
        stage = Stage()

    networks = Networks(1, 1).eval()
    with open_log(tmp_path) as log:
        validate(networks, Shown(), 7, tmp_path, log)
        ((name, shown, step, order),) = log._writer.images
    assert networks.training and (name, step, order) == ("validation", 7, "HWC")
    with Image.open(tmp_path / "validation" / "step-00000007.png") as image:
        sheet = np.asarray(image)
    np.testing.assert_array_equal(sheet, shown)
    assert sheet.shape == (8, 8, 3)
    assert sheet[:4, :4].max() == 0 and sheet[4:, :4].min() == 255
    assert set(np.unique(sheet[:, 4:])) <= {127, 128}
    assert read_rows(tmp_path) == [{"step": 7, "images_seen": 42, "psnr": 12.5}]
