"""What a file from others costs: the request its answer, never the server."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from cyclorama.errors import EmptyMaskError, HeavyImageError, QueueFullError
from cyclorama.service import children as module
from cyclorama.service.children import Children

MEMORY = 2**30


def prepare() -> None:
    pass


def start_slowly() -> None:
    time.sleep(0.5)


def note_start() -> None:
    for word in ("begun ", "ended "):
        with Path(os.environ["STARTS"]).open("a") as notes:
            notes.write(word)
        time.sleep(0.3)


def sleep_long() -> None:
    time.sleep(60)


def add(a: int, b: int) -> int:
    return a + b


def get_id() -> int:
    return os.getpid()


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def fill(megabytes: int) -> int:
    return int(np.ones(megabytes * 2**20, np.uint8)[-1])


def crash() -> None:
    os.kill(os.getpid(), 11)


def refuse() -> None:
    raise EmptyMaskError("the mask marks nothing")


def fail() -> None:
    raise KeyError("a fault of ours")


def hide_memory() -> None:
    try:
        fill(4096)
    except MemoryError as error:
        raise EmptyMaskError("is damaged") from error


@pytest.fixture(scope="module")
def children() -> Iterator[Children]:
    found = Children(1, prepare, seconds=3, memory=MEMORY)
    found.start()
    yield found
    found.close()


def test_a_child_works_on_and_says_our_errors(children: Children) -> None:
    first = children.run(get_id)
    assert first != os.getpid()
    assert children.run(add, 2, 3) == 5
    with pytest.raises(EmptyMaskError, match="^the mask marks nothing$"):
        children.run(refuse)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        children.run(fail)
    assert children.run(fill, 100) == 1
    for work in (lambda: children.run(fill, 4096), lambda: children.run(hide_memory)):
        with pytest.raises(HeavyImageError, match="1,024 MB"):
            work()
    assert children.run(get_id) == first, "none of these costs the child"


def test_a_crash_and_an_endless_task_cost_the_child_alone(children: Children) -> None:
    first = children.run(get_id)
    with pytest.raises(HeavyImageError, match="ended the process"):
        children.run(crash)
    second = children.run(get_id)
    assert second != first
    start = time.monotonic()
    with pytest.raises(HeavyImageError, match="within 3 s"):
        children.run(sleep, 60)
    assert time.monotonic() - start < 6
    with pytest.raises(ProcessLookupError):
        os.kill(second, 0)
    assert children.run(add, 1, 1) == 2


def test_all_busy(children: Children, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WAIT_SECONDS", 0.01)
    busy = Children(0, prepare)
    with pytest.raises(QueueFullError) as full:
        busy.run(add, 1, 1)
    assert full.value.retry_after == 10


def test_who_comes_while_a_child_starts_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first start after an installation compiles matting: the newcomer's third photo was refused then."""
    monkeypatch.setattr(module, "_WAIT_SECONDS", 0.1)
    found = Children(1, start_slowly, memory=MEMORY)
    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(found.run, [add] * 3, [1, 2, 3], [1, 1, 1])) == [2, 3, 4]
    found.close()


def test_children_start_one_after_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else two of them compile matting at once, each for twice as long."""
    monkeypatch.setenv("STARTS", str(tmp_path / "starts"))
    found = Children(2, note_start, memory=MEMORY)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(found.run, [sleep] * 2, [1.0, 1.0]))
    found.close()
    assert (tmp_path / "starts").read_text() == "begun ended begun ended "


def test_children_end_with_their_owner() -> None:
    found = Children(1, prepare, memory=MEMORY)
    child = found.run(get_id)
    found.close()
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_who_waits_for_a_child_is_told_at_once_that_the_server_ends() -> None:
    """At work, starting, or still waiting for a place."""
    found, said, before = Children(2, sleep_long, memory=MEMORY), [], multiprocessing.active_children()

    def ask() -> None:
        with pytest.raises(QueueFullError) as full:
            found.run(add, 1, 1)
        said.append(str(full.value))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    start = time.monotonic()
    found.close()
    for thread in threads:
        thread.join(5)
    assert time.monotonic() - start < 2
    assert said == ["the server shuts down; come again in a moment"] * 4
    found.start()  # does nothing any more
    assert multiprocessing.active_children() == before
