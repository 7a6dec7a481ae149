"""What makes a learned model faster here: timed by turns, advised only where every turn gained."""

from __future__ import annotations

import pytest
import torch

from cyclorama import cli
from cyclorama.generation.model import open_model
from cyclorama.models import advise
from cyclorama.models.advise import Timing, choose_fastest, format_timings, time_by_turns, time_options
from cyclorama.models.pipeline import CycloramaPipeline


class Clock:
    now = 0.0

    def perf_counter(self):
        return self.now


def test_turns_go_there_and_back_until_the_next_would_not_fit(monkeypatch):
    clock, order = Clock(), []
    monkeypatch.setattr(advise, "time", clock)

    def call(name, seconds):
        def run():
            order.append(name)
            clock.now += seconds() if callable(seconds) else seconds

        return run

    own = iter([1.0, 3.0, 2.0])
    taken, ratios = time_by_turns(call("plain", 2.0), call("own", lambda: next(own)), 13.5)
    assert order == ["plain", "own", "own", "plain", "plain", "own"]
    assert (taken, ratios) == (2.0, (0.5, 1.5, 1.0))
    order.clear()
    assert time_by_turns(call("plain", 100.0), call("own", 50.0), 1.0) == (50.0, (0.5,))


@pytest.mark.parametrize(
    ("ratios", "chosen"),
    [([(0.9, 0.96)], None), ([(0.9, 0.95)], 0), ([(0.9,), (0.5, 0.94), (0.6, 0.7)], 2), ([(), (0.8,)], 1)],
)
def test_only_what_gains_in_every_turn_is_advised(ratios, chosen):
    rows = [Timing((str(number),), 1.0, span) for number, span in enumerate(ratios)]
    assert choose_fastest(rows) == (None if chosen is None else rows[chosen])


def test_the_table_tells_ratio_change_and_fault_and_ends_with_a_command_that_is_understood():
    rows = [
        Timing(("--channels-last",), 0.25, (1.0, 1.2), 0.04, 2.0),
        Timing(("--dtype", "bfloat16"), 0.1252, (0.5, 0.6), 1.26, 3.04),
        Timing(("--dtype", "bfloat16", "--compile"), fault="no C++ compiler"),
    ]
    first, last, *lines = [line.split() for line in format_timings(rows, "own model").splitlines()[1:]]
    assert first == ["--channels-last", "0.250", "1.10", "(1.00,", "1.20)", "0.0", "2.0"]
    assert last == ["--dtype", "bfloat16", "0.125", "0.55", "(0.50,", "0.60)", "1.3", "3.0"]
    assert " ".join(lines[0]) == "--dtype bfloat16 --compile not here: no C++ compiler"
    command = " ".join(lines[1]).removeprefix("fastest here: ")
    assert command == "cyclorama generate INPUT --out OUT --model 'own model' --dtype bfloat16"
    assert format_timings(rows, "m", "cuda:1").endswith("--model m --device cuda:1 --dtype bfloat16")
    assert format_timings(rows[:1], "m").splitlines()[-1].startswith("nothing is worth it here: cyclorama")


def test_a_model_is_timed_with_each_option_and_one_that_fails_is_told(monkeypatch):
    pytest.importorskip("cyclorama_bundled")
    tuned = []
    tune = CycloramaPipeline.tune

    def watch(self, *, channels_last, compile):
        tuned.append((self.unet.dtype, channels_last, compile))
        if compile:
            raise RuntimeError("no C++ compiler\nbut much to say")
        tune(self, channels_last=channels_last, compile=compile)

    monkeypatch.setattr(CycloramaPipeline, "tune", watch)
    handle = open_model("bundled")
    rows = time_options(lambda dtype: handle.load("cpu", dtype or "float32"), True, 0.01)
    assert [row.options[:3] for row in rows[:3]] == [
        ("--channels-last",),
        ("--dtype", "bfloat16"),
        ("--dtype", "bfloat16", "--channels-last"),
    ]
    assert [dtype for dtype, _, _ in tuned[:4]] == [torch.float32] * 2 + [torch.bfloat16] * 2
    assert [order for _, order, _ in tuned[:4]] == [False, True, False, True]
    assert rows[0].moved < 1 < 255 * 0.2 and 0 < rows[1].moved < 51
    assert all(row.seconds > 0 and len(row.ratios) == 1 and not row.fault for row in rows[:3])
    assert len(time_options(lambda dtype: handle.load("cpu", dtype or "float32"), False, 0.01)) == 2
    assert rows[3].options[-1] == "--compile" and rows[3].fault == "no C++ compiler" and not rows[3].ratios


def test_rendered_sets_and_no_time_are_refused(capsys):
    assert cli.main(["models", "advise", "--model", "scenes"]) == 2
    assert "'scenes' is rendered" in capsys.readouterr().err
    assert cli.main(["models", "advise", "--seconds", "0"]) == 2
    assert "seconds is 0" in capsys.readouterr().err
