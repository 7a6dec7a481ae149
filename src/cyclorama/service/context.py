"""What all routes share: the store, the models, who asks."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Request

from cyclorama.errors import DiskFullError, QueueFullError, SettingsError
from cyclorama.generation.model import ModelHandle
from cyclorama.service import keys
from cyclorama.service.batch_runner import BatchRunner
from cyclorama.service.children import Children
from cyclorama.service.events import Feed
from cyclorama.service.health import LEAST_DISK
from cyclorama.service.limits import Rates
from cyclorama.service.metrics import Metrics
from cyclorama.service.settings import ServiceSettings
from cyclorama.service.store import Store, make_id
from cyclorama.service.supervise import Workforce

LOCAL = keys.LOCAL.key
"""The key of everybody where none is asked for."""


@dataclass
class Service:
    """One started server."""

    settings: ServiceSettings
    store: Store
    models: Mapping[str, ModelHandle]
    feed: Feed
    workforce: Workforce
    batches: BatchRunner
    metrics: Metrics
    children: Children
    """Read files from others."""
    rates: Rates = field(default_factory=Rates)
    server: str = field(default_factory=lambda: make_id("sv"))
    """This start of it."""
    draining: bool = False
    """Whether nothing new is taken in, since the server is about to stop."""

    def find_model(self, name: str | None) -> ModelHandle:
        """The model called ``name``, or the first. Raises SettingsError."""
        if name is None:
            return next(iter(self.models.values()))
        if name not in self.models:
            raise SettingsError(f"model {name!r} is not served here; use one of {', '.join(self.models)}")
        return self.models[name]

    def stop_work(self, seconds: float) -> None:
        """Let images in hand be finished for up to ``seconds``; the rest waits for the next start."""
        until = time.monotonic() + seconds
        ending = threading.Thread(target=self.batches.stop, args=(seconds,))
        ending.start()
        self.workforce.stop(max(0.0, until - time.monotonic()))
        ending.join()

    def check_open(self) -> None:
        """Raises QueueFullError while the server shuts down, DiskFullError when its disk is nearly full."""
        if self.draining:
            raise QueueFullError("the server shuts down; come again in a moment", retry_after=5)
        free = shutil.disk_usage(self.store.folder).free
        if free < LEAST_DISK:
            raise DiskFullError(
                f"{free:,} bytes of the server's disk are free, the least is {LEAST_DISK:,}; delete what "
                "is not needed, or see --keep-images and --store-limit"
            )


def get_service(request: Request) -> Service:
    """The server that was asked."""
    service: Service = request.app.state.service
    return service


def get_key(request: Request) -> str:
    """The id of the key that asks; the guard has checked it."""
    state: dict[str, Any] = request.scope.get("state") or {}
    return str(state.get("key") or LOCAL)


Here = Annotated[Service, Depends(get_service)]
Key = Annotated[str, Depends(get_key)]
