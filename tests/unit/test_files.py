"""Writes that are whole or not there, and folders and files that one run holds at a time."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from cyclorama import files
from cyclorama.errors import OutputError
from cyclorama.files import hold_folder, open_locked, refuse, write_atomic


def list_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("durable", [False, True])
def test_a_file_is_put_into_a_folder_made_for_it_and_written_over(
    tmp_path: Path, durable: bool, shared: bool
) -> None:
    path = tmp_path / "new/folder/a.json"
    for data in (b"the first, longer", b"second", b""):
        write_atomic(path, data, durable, shared)
        assert path.read_bytes() == data
        assert list_names(path.parent) == ["a.json"]


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_no_part_and_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, shared: bool
) -> None:
    def fill(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, step, fill)
    with pytest.raises(OutputError, match=r"a\.png: No space left.*same command again"):
        write_atomic(path, b"new", shared=shared)
    assert list_names(tmp_path) == ["a.png"]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize(("durable", "expected"), [(True, ["sync 5", "rename 5"]), (False, ["rename 5"])])
def test_a_durable_file_is_synced_in_full_before_it_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool, expected: list[str]
) -> None:
    steps, replace = [], os.replace

    def rename(source: Path, target: Path) -> None:
        steps.append(f"rename {source.stat().st_size}")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", lambda number: steps.append(f"sync {os.fstat(number).st_size}"))
    monkeypatch.setattr(os, "replace", rename)
    write_atomic(tmp_path / "a", b"12345", durable)
    assert steps == expected


def test_what_a_kill_left_is_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(os, "replace", die)
        write_atomic(tmp_path / "a.tar", b"half")
    assert list_names(tmp_path) == [".a.tar.part"]
    write_atomic(tmp_path / "a.tar", b"whole")
    assert list_names(tmp_path) == ["a.tar"]
    assert (tmp_path / "a.tar").read_bytes() == b"whole"


def test_two_writers_of_a_shared_file_do_not_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, replace, between = tmp_path / "a.json", os.replace, []

    def let_another_in(source: Path, target: Path) -> None:
        monkeypatch.setattr(os, "replace", replace)
        write_atomic(path, b"another's", shared=True)
        between.append(path.read_bytes())
        replace(source, target)

    monkeypatch.setattr(os, "replace", let_another_in)
    write_atomic(path, b"mine", shared=True)
    assert between == [b"another's"]
    assert path.read_bytes() == b"mine"
    assert list_names(tmp_path) == ["a.json"]


def test_a_failed_write_is_told_with_its_reason() -> None:
    rest = "What is finished is kept; when there is room and permission, run the same command again to go on"
    full = refuse(Path("out/a.png"), OSError(errno.ENOSPC, "No space left on device"))
    assert str(full) == f"cannot write out/a.png: No space left on device. {rest}"
    assert str(refuse(Path("a"), OSError("odd"))) == f"cannot write a: odd. {rest}"


def test_a_second_holder_of_a_folder_is_refused_until_the_first_lets_go(tmp_path: Path) -> None:
    folder = tmp_path / "new/out"
    expected = f"another run is writing to {folder}; wait for it, or choose another folder"
    with hold_folder(folder):
        assert list_names(folder) == ["lock"]
        with pytest.raises(OutputError) as refused, hold_folder(folder):
            pass
        assert str(refused.value) == expected
        with hold_folder(tmp_path / "new"):  # another folder is another's
            pass
    with pytest.raises(ZeroDivisionError), hold_folder(folder):
        raise ZeroDivisionError
    with hold_folder(folder):  # let go by an error too
        pass


def test_a_killed_process_lets_its_folder_go(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from cyclorama.files import hold_folder\n"
        "with hold_folder(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(OutputError, match="another run"), hold_folder(tmp_path):
            pass
        process.kill()
    with hold_folder(tmp_path):
        assert list_names(tmp_path) == ["lock"]


def test_what_cannot_be_held_is_named(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"mine")
    with pytest.raises(OutputError) as refused, hold_folder(path):
        pass
    assert str(refused.value) == f"output {path} is a file; give a folder with --out"
    below = path / "below"
    with pytest.raises(OutputError, match=r"cannot write .*file/below/lock: Not a dir"), hold_folder(below):
        pass
    assert path.read_bytes() == b"mine"
    assert list_names(tmp_path) == ["file"]


def test_a_locked_file_keeps_what_it_held_and_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "work/journal"
    for expected in (b"", b"line\n", b"line\nline\n"):
        with open_locked(path) as file:
            file.seek(0)
            assert file.read() == expected
            file.seek(0)
            file.write(b"line\n")
            assert path.read_bytes() == expected + b"line\n"  # unbuffered, at the end


class Clock:
    """A clock that only sleeping moves; the ``last``-th sleep ends with ``wake``."""

    def __init__(self, last: int, wake: Callable[[], object]) -> None:
        self.now, self.sleeps = 100.0, 0
        self._last, self._wake = last, wake

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.sleeps += 1
        if self.sleeps == self._last:
            self._wake()


def test_a_held_file_is_waited_for_as_long_as_patience_lasts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal"
    holder = ExitStack()
    holder.enter_context(open_locked(path))
    clock = Clock(7, holder.close)
    monkeypatch.setattr(files, "time", clock)
    for patience, sleeps in ((0.0, 0), (0.12, 3)):
        with pytest.raises(OutputError, match="another run"), open_locked(path, patience):
            pass
        assert clock.sleeps == sleeps
    notes: list[str] = []
    with open_locked(path, 30.0, notes.append):
        assert clock.sleeps == 7
    assert notes == [f"another run is writing to {tmp_path}; waiting for it"]


def test_without_posix_locks_nobody_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with hold_folder(tmp_path), hold_folder(tmp_path):
        assert list_names(tmp_path) == ["lock"]


def fail(number: int) -> Callable[..., None]:
    def call(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return call


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EIO])
def test_a_disk_without_locks_is_told_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    import fcntl

    monkeypatch.setattr(fcntl, "flock", fail(number))
    notes: list[str] = []
    with hold_folder(tmp_path / "out", notes.append):
        pass
    assert len(notes) == 1
    assert "no file locks" in notes[0]
    assert str(tmp_path / "out") in notes[0]


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EACCES])
def test_a_lock_that_another_holds_is_no_missing_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    import fcntl

    monkeypatch.setattr(fcntl, "flock", fail(number))
    with pytest.raises(OutputError, match="another run"), hold_folder(tmp_path):
        pass


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EXDEV])
def test_a_disk_that_cannot_rename_is_named_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "replace", fail(number))
    monkeypatch.setattr(Path, "replace", fail(number))
    with (
        pytest.raises(OutputError, match=r"cannot rename a file .*object stores.* ordinary disk"),
        hold_folder(tmp_path),
    ):
        pass
    assert list_names(tmp_path) == ["lock"]


@pytest.mark.parametrize("number", [errno.EPERM, errno.EINVAL, errno.EOPNOTSUPP])
def test_a_disk_that_cannot_append_is_named_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    original = Path.open

    def open_without_append(path: Path, mode: str = "r", *args: object, **kwargs: object) -> object:
        if "a" in mode and path.exists() and path.stat().st_size:
            raise OSError(number, os.strerror(number))
        return original(path, mode, *args, **kwargs)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", open_without_append)
    with pytest.raises(OutputError, match=r"cannot append to a file .*ordinary disk"), hold_folder(tmp_path):
        pass


def test_a_disk_without_sync_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", fail(errno.EINVAL))
    write_atomic(tmp_path / "a", b"whole")
    assert (tmp_path / "a").read_bytes() == b"whole"


def test_a_full_disk_is_full_and_no_object_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "write_bytes", fail(errno.ENOSPC))
    with pytest.raises(OutputError, match=r"No space left.*same command again"), hold_folder(tmp_path):
        pass


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("file:///shop/a%20b.png", "/shop/a b.png"),
        ("FILE:///shop/a.png", "/shop/a.png"),
        ("file://localhost/shop/a.png", "/shop/a.png"),
        ("file://server/shop/a.png", "//server/shop/a.png"),
        ("file:/shop/a.png", "file:/shop/a.png"),
        ("a%20b.png", "a%20b.png"),
        ("https://shop.example/a.png", "https://shop.example/a.png"),
        ("~/a.png", "/home/me/a.png"),
        ("a/~/b.png", "a/~/b.png"),
        ("", ""),
    ],
)
def test_home_and_file_addresses_are_paths(text: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert files.expand_path(text) == path


def test_a_line_is_appended_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal"
    with open_locked(path) as file:
        files.append_json(file, path, {"name": "ä\udcff", "row": 1})
        first = path.read_bytes()
        assert first == '{"name": "ä\\udcff", "row": 1}\n'.encode()
        short = [file.write]

        class Short:
            """A disk that takes three bytes and is full."""

            def write(self, data: bytes) -> int:
                return short[0](data[:3]) or 0

            def __getattr__(self, name: str) -> object:
                return getattr(file, name)

        with pytest.raises(OutputError, match=r"journal: No space left"):
            files.append_json(Short(), path, {"row": 2})  # type: ignore[arg-type]
        assert path.read_bytes() == first
        monkeypatch.setattr(os, "fsync", fail(errno.EIO))
        with pytest.raises(OutputError, match="Input/output error"):
            files.append_json(file, path, {"row": 3})
        assert path.read_bytes() == first
