"""A worker process: it claims images, makes them, publishes them, until it is told to stop."""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import delete
from sqlalchemy.exc import OperationalError

from cyclorama.errors import CycloramaError, OutputError
from cyclorama.files import is_full
from cyclorama.processes import set_threads
from cyclorama.service.events import write_event
from cyclorama.service.health import has_room
from cyclorama.service.leases import (
    LEASE_SECONDS,
    Claim,
    claim_image,
    fail_image,
    give_back,
    is_held,
    publish_image,
    renew_lease,
    show_preview,
)
from cyclorama.service.parts import claim_parts, fail_parts, publish_parts
from cyclorama.service.settings import ServiceSettings, open_models
from cyclorama.service.store import Changes, Store, get_time, upsert
from cyclorama.service.tables import workers

if TYPE_CHECKING:
    from cyclorama.service.making import Maker

T = TypeVar("T")
_LOG = logging.getLogger("cyclorama.service")  # unlike print, it lives on when its file's disk is full
HANDS = 2
"""Images of one worker in work at a time: while one is read or encoded, the model works on the other."""
LOOK_SECONDS = 0.4
"""How often the store is asked whether an image is still wanted."""
PROGRESS_SECONDS = 0.25
BEAT_SECONDS = 10.0
PAUSE_SECONDS = 2.0
"""Between two tries to write into a store whose disk is full, or which does not answer."""


def run_worker(id: str, settings: ServiceSettings, threads: int | None) -> None:
    """Work until SIGTERM or until the parent process is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: stopping.set())
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    set_threads(threads)
    store = Store(settings.data, settings.database, settings.store)
    models = open_models(settings)
    _tell(store, id, "loading", list(models))
    from cyclorama.service.making import Maker  # loads what draws images

    folder = settings.data / "copies"
    _clear_copies(folder)
    makers = {
        name: Maker(handle, settings.device, settings.dtype, store.blobs, folder)
        for name, handle in models.items()
    }
    _tell(store, id, "ready", list(models))
    hands = [_Hand(id, store, makers, stopping) for _ in range(HANDS)]
    crew = [threading.Thread(target=hand.work) for hand in hands]
    for thread in crew:
        thread.start()
    beat = time.monotonic()
    while any(thread.is_alive() for thread in crew):
        with suppress(OperationalError):  # the next look may find the store well
            for hand in hands:
                hand.look()
            if time.monotonic() - beat > BEAT_SECONDS:
                beat = time.monotonic()
                _tell(store, id, "ready", list(models))
        stopping.wait(LOOK_SECONDS) if not stopping.is_set() else time.sleep(LOOK_SECONDS / 4)
    with suppress(OperationalError), store.write() as connection:
        connection.execute(delete(workers).where(workers.c.id == id))
    store.close()


def _clear_copies(folder: Path) -> None:
    """What workers that were killed left behind a day ago."""
    for left in folder.iterdir() if folder.is_dir() else ():
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > 24 * 3600:
                shutil.rmtree(left) if left.is_dir() else left.unlink()


def _end_with(parent: Any) -> None:
    """End at once when the parent does: nobody would replace this worker any more."""
    parent.join()
    os._exit(1)


def _tell(store: Store, id: str, state: str, models: list[str]) -> None:
    values = {"state": state, "models": models, "seen": get_time()}
    with store.write() as connection:
        upsert(connection, workers, {"id": id}, values)


@dataclass
class _Hand:
    """One thread that makes image after image."""

    worker: str
    store: Store
    makers: dict[str, Maker]
    stopping: threading.Event
    claim: Claim | None = None
    renewed: float = 0.0
    lost: threading.Event = field(default_factory=threading.Event)
    count: int = 0

    def work(self) -> None:
        """Claim and make until told to stop."""
        changes = Changes(self.store)
        while not self.stopping.is_set():
            if not changes.poll():
                self.stopping.wait(changes.pause)
                continue
            while not self.stopping.is_set():
                claim = self._persist(self._claim)
                if claim is None:
                    if changes.pause > 0.05:
                        self.stopping.wait(changes.pause)
                    break
                self.count += 1
                self._make(claim)
        changes.close()

    def _claim(self) -> Claim | None:
        if not has_room(self.store):
            self.stopping.wait(PAUSE_SECONDS)
            return None
        models = list(self.makers)
        claim = claim_parts(self.store, self.worker, models)
        return claim or claim_image(self.store, self.worker, models, self.count)

    def _persist(self, write: Callable[..., T], *values: Any) -> T | None:
        """What ``write`` gives, tried until the store takes it; None when told to stop before."""
        while True:
            try:
                return write(*values)
            except OperationalError as error:
                _LOG.error("the store takes nothing: %s", error.orig)
                if self.stopping.wait(PAUSE_SECONDS):
                    return None

    def look(self) -> None:
        """Renew the lease, and see whether the image in hand is still wanted."""
        claim = self.claim
        if claim is None or self.lost.is_set():
            return
        held = is_held(self.store, claim)
        if held and time.monotonic() - self.renewed > LEASE_SECONDS / 3:
            held, self.renewed = renew_lease(self.store, claim), time.monotonic()
        if not held and self.claim is claim:
            self.lost.set()

    def _make(self, claim: Claim) -> None:
        from cyclorama.service.making import StoppedError, Watch, explain

        self.lost.clear()
        self.claim, self.renewed, told = claim, time.monotonic(), 0.0

        def progress(step: int, steps: int) -> None:
            nonlocal told
            if time.monotonic() - told >= PROGRESS_SECONDS:
                told = time.monotonic()
                spot = {"item": claim.item, "output": claim.output, "candidate": claim.candidate}
                with suppress(OperationalError), self.store.write() as connection:
                    values = {"image": claim.image, "step": step, "steps": steps, **spot}
                    write_event(connection, claim.key, claim.job, "progress", **values)

        def preview(data: bytes) -> None:
            with suppress(OperationalError, OutputError):  # such as a full disk
                show_preview(self.store, claim, self.store.blobs.put(data))

        apart = claim.state == "done"
        maker, asked = self.makers[claim.model], claim.request.get("preview")
        watch = Watch(progress, self.lost.is_set, preview if asked else None)
        publish, fail = (publish_parts, fail_parts) if apart else (publish_image, fail_image)
        try:
            made = (maker.take_apart if apart else maker.make)(claim, watch)
            self._persist(publish, self.store, claim, *made)
        except StoppedError:
            pass
        except CycloramaError as error:
            if is_full(error) and not apart:
                self._persist(give_back, self.store, claim)  # it is made again once there is room
                return
            said = {"error": type(error).__name__, "reason": explain(error, claim)}
            self._persist(fail, self.store, claim, said)
        except Exception as error:  # whatever a file or a decoder does to us is this image's failure
            _LOG.error("image %s: %s: %s", claim.image, type(error).__name__, error)
            reason = f"the server failed at this image ({type(error).__name__}); its log says why"
            self._persist(fail, self.store, claim, {"error": CycloramaError.__name__, "reason": reason})
        except BaseException:
            with suppress(Exception):
                give_back(self.store, claim)
            raise
        finally:
            self.claim = None
