"""Who has batches checked and run: one child process for each of the two, at most, in each server.

A child that dies takes nothing along: the run goes on where it was. It ends with its server, whose next start
takes up what was in work.
"""

from __future__ import annotations

import atexit
import json
import logging
import multiprocessing
import os
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from sqlalchemy import RowMapping, select, update
from sqlalchemy.exc import OperationalError

from cyclorama.errors import CycloramaError, OutputError
from cyclorama.files import lock_file
from cyclorama.service.batch_work import TOLD, summarise, work
from cyclorama.service.batches import find_folder
from cyclorama.service.events import write_event
from cyclorama.service.health import has_room
from cyclorama.service.settings import ServiceSettings
from cyclorama.service.store import Store, get_time
from cyclorama.service.tables import batches
from cyclorama.service.webhooks import order_delivery

_LOG = logging.getLogger("cyclorama.service")
LOOK_SECONDS = 0.25
TELL_SECONDS = 1.0
PATIENCE_SECONDS = 60.0
"""For the images in hand, after a cancel."""
RECOVER_SECONDS = 15.0
LOCK = "runner.lock"
"""In a batch's folder: locked while a server has a child at it."""
LOSSES = 3
"""A batch whose child died so often has failed."""
_WAITING = {"check": "checking", "run": "queued"}
_WORKING = {"check": "checking", "run": "running"}


@dataclass
class _BatchChild:
    batch: str
    key: str
    folder: Path
    process: Any
    lock: IO[bytes]
    told: float
    rows: int = -1
    """Done, as was told last."""
    ending: float | None = None
    """When it was asked to end."""


class BatchRunner:
    """Starts the children of one server's batches, follows and ends them."""

    def __init__(self, settings: ServiceSettings, store: Store) -> None:
        self._settings, self._store = settings, store
        self._context = multiprocessing.get_context("spawn")
        self._children: dict[str, _BatchChild | None] = dict.fromkeys(_WAITING)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="cyclorama-batches", daemon=True)
        self._name = f"{socket.gethostname()}:{os.getpid()}"

    def start(self) -> None:
        """Take up what an earlier start of this server left, and begin to look for work."""
        self._recover_left()
        atexit.register(self.stop, 0.0)  # else the interpreter would wait for children it is to end without
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Let the images in hand be finished for up to ``seconds``; the rest waits for the next start."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        left = {what: child for what, child in self._children.items() if child is not None}
        for child in left.values():
            child.process.terminate()
        until = time.monotonic() + seconds
        for what, child in left.items():
            child.process.join(max(0.0, until - time.monotonic()))
            if child.process.is_alive():
                child.process.kill()
                child.process.join()
            self._settle(what, child)
        self._children = dict.fromkeys(_WAITING)

    def _watch(self) -> None:
        recovered = time.monotonic()
        while not self._stopping.wait(LOOK_SECONDS):
            if time.monotonic() - recovered > RECOVER_SECONDS:
                recovered = time.monotonic()
                with suppress(OperationalError):  # the next time
                    self._recover_left()
            for what, child in self._children.items():
                try:
                    if child is None:
                        self._children[what] = self._begin(what)
                    elif child.process.is_alive():
                        self._look(what, child)
                    else:
                        self._settle(what, child)
                        self._children[what] = None
                except OperationalError as error:  # such as a full disk
                    _LOG.error("the batches' store takes nothing: %s", error.orig)

    def _begin(self, what: str) -> _BatchChild | None:
        """The child of the batch that has waited longest and whose files are here, if there is one."""
        if not has_room(self._store):
            return None
        waiting = (batches.c.state == _WAITING[what], batches.c.runner.is_(None))
        with self._store.read() as connection:
            query = select(batches).where(*waiting).order_by(batches.c.asked)
            rows = connection.execute(query).mappings().all()
        row = next((row for row in rows if find_folder(self._store, row["id"]).is_dir()), None)
        if row is None:
            return None
        id, folder = row["id"], find_folder(self._store, row["id"])
        lock = _lock(folder)
        if lock is None:
            return None
        values: dict[str, Any] = {"state": _WORKING[what], "runner": self._name}
        if what == "run":
            values["started"] = get_time()
        with self._store.write() as connection:
            taken = update(batches).where(batches.c.id == id, *waiting).values(**values)
            if not connection.execute(taken).rowcount:
                lock.close()
                return None
            write_event(connection, row["key"], id, "started", state=values["state"])
        (folder / TOLD).unlink(missing_ok=True)
        order = {**row["request"], "table": row["found"]["name"], "retry": row["retry"]}
        process = self._context.Process(
            target=work, args=(self._settings, folder, order, what, os.getpid()), name=f"cyclorama-{what}"
        )
        process.start()
        return _BatchChild(id, row["key"], folder, process, lock, time.monotonic())

    def _look(self, what: str, child: _BatchChild) -> None:
        """End a child whose batch was cancelled; tell how far the others are."""
        now = time.monotonic()
        if child.ending is not None:
            if now - child.ending > PATIENCE_SECONDS:
                child.process.kill()
            return
        row = self._read(child.batch)
        if row is None or row["state"] != _WORKING[what] or row["runner"] != self._name:
            child.ending = now
            child.process.terminate() if what == "run" else child.process.kill()
        elif what == "run" and now - child.told > TELL_SECONDS:
            child.told = now
            counts = read_progress(child.folder / "out")["counts"]
            dealt = counts.get("done", 0) + counts.get("failed", 0)
            if dealt != child.rows:
                child.rows = dealt
                with self._store.write() as connection:
                    values = {"step": dealt, "steps": counts.get("rows", 0)}
                    write_event(connection, child.key, child.batch, "progress", **values)

    def _settle(self, what: str, child: _BatchChild) -> None:
        """Write down what a child that has ended has told, and let go of its batch."""
        with child.lock:
            self._write_down(what, child)

    def _write_down(self, what: str, child: _BatchChild) -> None:
        """What a child has told, unless its batch was cancelled meanwhile."""
        row = self._read(child.batch)
        if row is None or row["state"] != _WORKING[what] or row["runner"] != self._name:
            return
        told = _read_told(child.folder)
        values: dict[str, Any] = {"runner": None}
        if told is None and has_room(self._store) and not self._stopping.is_set():
            values["losses"] = row["losses"] + 1
            if values["losses"] >= LOSSES:
                told = {
                    "error": {"error": "WorkerLostError", "reason": f"{LOSSES} processes were lost at it"}
                }
        if told is None or "stopped" in told:
            values["state"] = _WAITING[what]  # again, or at the next start
        elif "check" in told:
            values |= {"state": "open", "report": told["check"]}
        elif "error" in told:
            ended = {"state": "failed", "finished": get_time()} if what == "run" else {"state": "open"}
            values |= {"error": told["error"], **ended}
        else:
            state = "done" if told["result"]["counts"]["done"] else "failed"
            values |= {"state": state, "result": told["result"], "finished": get_time(), "retry": False}
        with self._store.write() as connection:
            mine = (batches.c.id == child.batch, batches.c.state == _WORKING[what])
            connection.execute(update(batches).where(*mine).values(**values))
            if values["state"] != _WAITING[what]:
                ended_as = values["state"] if what == "run" else "open"
                write_event(connection, child.key, child.batch, "done", state=ended_as)
                if what == "run":
                    counts = (values.get("result") or {"counts": {}})["counts"]
                    order_delivery(connection, "batch", row, ended_as, counts)

    def _read(self, id: str) -> RowMapping | None:
        with self._store.read() as connection:
            return connection.execute(select(batches).where(batches.c.id == id)).mappings().first()

    def _recover_left(self) -> None:
        """A child ends with its server: what a server that is gone had in work here waits again."""
        mine = {child.batch for child in self._children.values() if child is not None}
        with self._store.read() as connection:
            rows = connection.execute(select(batches).where(batches.c.runner.is_not(None))).mappings().all()
        for row in rows:
            folder = find_folder(self._store, row["id"])
            if row["id"] in mine or not folder.is_dir() or (lock := _lock(folder, sure=True)) is None:
                continue
            state = {"running": "queued"}.get(row["state"], row["state"])
            held = (batches.c.id == row["id"], batches.c.runner == row["runner"])
            with lock, self._store.write() as connection:
                connection.execute(update(batches).where(*held).values(state=state, runner=None))


def _lock(folder: Path, sure: bool = False) -> IO[bytes] | None:
    """The lock of the batch in ``folder``, until it is closed; None while another server has it.

    ``sure``: also where the disk has no locks, so that nobody knows.
    """
    path = folder / LOCK
    file = path.open("ab")
    with suppress(OutputError):
        if lock_file(file, path) or not sure:
            return file
    file.close()
    return None


def read_progress(out: Path) -> dict[str, Any]:
    """Counts and failures of a run in ``out``; counts are empty before it has a plan."""
    from cyclorama.generation.results import read_status

    with suppress(CycloramaError):
        return summarise(read_status(out))
    return {"counts": {}, "failures": []}


def _read_told(folder: Path) -> dict[str, Any] | None:
    try:
        told: dict[str, Any] = json.loads((folder / TOLD).read_bytes())
    except (OSError, ValueError):
        return None
    return told
