"""The workers of this machine: started, watched, replaced when they die, told to finish."""

from __future__ import annotations

import logging
import math
import multiprocessing
import os
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from cyclorama.processes import count_cpus
from cyclorama.service.leases import recover_images
from cyclorama.service.settings import ServiceSettings
from cyclorama.service.store import Store, make_id
from cyclorama.service.tables import images
from cyclorama.service.worker import run_worker

_LOG = logging.getLogger("cyclorama.service")
LOOK_SECONDS = 0.2
SWEEP_SECONDS = 5.0
QUICK_SECONDS = 10.0
"""A worker that lived no longer is replaced after a pause, the longer the more often in a row."""
MAX_PAUSE_SECONDS = 30.0


@dataclass
class _Child:
    id: str
    process: Any
    started: float
    falls: int = 0


class Workforce:
    """The worker processes of one server, or of a machine that helps one."""

    def __init__(self, settings: ServiceSettings, store: Store) -> None:
        self._settings, self._store = settings, store
        self._context = multiprocessing.get_context("spawn")
        self._members: list[_Child] = []
        self._waiting: list[tuple[float, int]] = []  # when a worker is to be started, falls before it
        self._stopping, self._ending = threading.Event(), threading.Lock()
        self._swept = 0.0
        self._until = math.inf  # until when images in hand may be finished
        self._thread = threading.Thread(target=self._watch, name="cyclorama-workforce", daemon=True)
        self._machine = socket.gethostname()

    def start(self) -> None:
        """Start all workers, and take back what workers of this machine left that are no more."""
        self._recover_left()
        now = time.monotonic()
        self._waiting = [(now, 0)] * self._settings.workers
        with self._ending:
            if not self._stopping.is_set():
                self._thread.start()

    def stop(self, seconds: float) -> None:
        """Let workers finish the images in hand for up to ``seconds``; then end them, their images queued
        again."""
        self._until = min(self._until, time.monotonic() + seconds)
        with self._ending:
            self._stopping.set()
            if self._thread.ident is not None:  # a signal may come before it is started
                self._thread.join()
            self._end()

    def hurry(self) -> None:
        """Give the images in hand no more time, also while :meth:`stop` waits for them."""
        self._until = 0.0

    def _end(self) -> None:
        for member in self._members:
            with suppress(ProcessLookupError):
                member.process.terminate()  # asks it to finish
        while any(m.process.is_alive() for m in self._members) and time.monotonic() < self._until:
            time.sleep(0.02)
        for member in self._members:
            if member.process.is_alive():
                member.process.kill()
                member.process.join()
            with suppress(OperationalError):  # its leases end by themselves
                recover_images(self._store, member.id, lost=False)
        self._members = []

    def _watch(self) -> None:
        self._swept = time.monotonic()
        while not self._stopping.is_set():
            try:
                self._look(time.monotonic())
                self._stopping.wait(LOOK_SECONDS)
            except OperationalError as error:  # such as a full disk
                _LOG.error("the workers' store takes nothing: %s", error.orig)
                self._stopping.wait(10 * LOOK_SECONDS)

    def _look(self, now: float) -> None:
        for member in [member for member in self._members if not member.process.is_alive()]:
            recover_images(self._store, member.id)
            self._members.remove(member)
            falls = member.falls + 1 if now - member.started < QUICK_SECONDS else 0
            self._waiting.append((now + min(MAX_PAUSE_SECONDS, 2.0**falls - 1), falls))
        due = [one for one in self._waiting if one[0] <= now]
        self._waiting = [one for one in self._waiting if one[0] > now]
        self._members += [self._start(falls) for _, falls in due]
        if now - self._swept > SWEEP_SECONDS:
            recover_images(self._store)
            self._swept = now

    def _start(self, falls: int) -> _Child:
        settings = self._settings
        threads = settings.threads or max(1, count_cpus() // max(1, settings.workers))
        id = f"{self._machine}:{os.getpid()}:{make_id('wk')}"
        process = self._context.Process(target=run_worker, args=(id, settings, threads), daemon=True)
        process.start()
        return _Child(id, process, time.monotonic(), falls)

    def _recover_left(self) -> None:
        """A worker ends with its server: what workers of an earlier start have in hand is lost."""
        mine = images.c.worker.startswith(f"{self._machine}:", autoescape=True)
        with self._store.read() as connection:
            query = select(images.c.worker).where(images.c.state == "running", mine).distinct()
            left = connection.execute(query).scalars().all()
        for worker in left:
            server = int(worker.split(":")[1])
            if server == os.getpid() or not is_alive(server):
                recover_images(self._store, worker, lost=False)


def is_alive(process: int) -> bool:
    """Whether the process with this id, of this machine, is there."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
