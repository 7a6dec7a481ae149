"""Rates, time left, when a line of progress is due, and which signal ends at once."""

from __future__ import annotations

import io
import signal
import threading

import pytest

from cyclorama.jobs.progress import ProgressReport, catch_stop


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("cyclorama.jobs.progress.time.monotonic", lambda: self.now)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("done", "total", "seconds", "text"),
    [
        (0, 4, 5.0, "0/4 images, 0.00/s, 0:00 left"),
        (0, 4, 0.0, "0/4 images, 0.00/s, 0:00 left"),
        (1, 4, 5.0, "1/4 images, 0.20/s, 0:15 left"),
        (3, 300, 2.0, "3/300 images, 1.50/s, 3:18 left"),
        (1, 601, 0.1, "1/601 images, 10.00/s, 1:00 left"),
        (4, 4, 8.0, "4/4 images, 0.50/s, 0:00 left"),
    ],
)
def test_a_line_of_progress(done: int, total: int, seconds: float, text: str) -> None:
    report = ProgressReport(total)
    report.done = done
    assert report.describe(seconds) == text


def test_lines_come_after_two_seconds_then_every_ten_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, stream = Clock(monkeypatch), io.StringIO()
    report = ProgressReport(9, stream=stream)
    for elapsed in (1.99, 2.0, 2.5, 11.99, 12.0, 21.99, 22.5, 23.0, 24.0):
        clock.now = 1000.0 + elapsed
        report.advance()
    assert [line.split(",")[0] for line in stream.getvalue().splitlines()] == [
        "2/9 images",  # at 2.0
        "5/9 images",  # at 12.0
        "7/9 images",  # at 22.5
        "9/9 images",  # the last
    ]
    assert "2/9 images, 1.00/s, 0:07 left" in stream.getvalue()


def test_a_new_start_begins_the_clock_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, stream = Clock(monkeypatch), io.StringIO()
    report = ProgressReport(stream=stream)
    clock.now = 1100.0
    report.start(4)
    clock.now = 1101.0
    report.advance()
    assert stream.getvalue() == ""
    clock.now = 1104.0
    report.advance()
    assert stream.getvalue() == "2/4 images, 0.50/s, 0:04 left\n"


def test_a_bar_states_count_and_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, terminal = Clock(monkeypatch), Terminal()
    with ProgressReport(8, stream=terminal) as report:
        clock.now = 1001.9
        report.advance()
        assert report._bar is None
        for elapsed, rate in ((4.0, 0.5), (5.0, 0.6), (8.0, 0.5)):
            clock.now = 1000.0 + elapsed
            report.advance()
            task = report._bar.tasks[0]
            assert (task.completed, task.total) == (report.done, 8)
            assert task.fields["rate"] == pytest.approx(rate)
    assert "4/8" in terminal.getvalue()
    clock.now = 1000.0
    at_once = ProgressReport(1, stream=Terminal())
    at_once.done = 1
    at_once._show_bar()  # no time has passed
    assert at_once._bar.tasks[0].fields["rate"] == pytest.approx(1e9)
    at_once._bar.stop()


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks(first: int, capsys: pytest.CaptureFixture[str]) -> None:
    former = signal.getsignal(signal.SIGINT)
    with catch_stop() as stop:
        assert (stop(), stop.number) == (False, None)
        signal.raise_signal(first)
        assert (stop(), stop.number) == (True, first)
        signal.raise_signal(signal.SIGTERM)
        assert stop.number == first
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is former
    assert (
        capsys.readouterr().err.splitlines()
        == ["stopping after the items in hand; press Ctrl-C again to stop at once"] * 2
    )
    with catch_stop(quiet=True) as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop()
    assert capsys.readouterr().err == ""


def test_other_threads_set_no_handlers() -> None:
    former, found = signal.getsignal(signal.SIGTERM), []

    def work() -> None:
        with catch_stop() as stop:
            found.append((stop(), signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(False, former)]
