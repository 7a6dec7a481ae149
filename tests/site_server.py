"""A page of one's own machine, served in a thread of the test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from cyclorama.pages import Site
from cyclorama.service.site import SiteServer


@contextmanager
def run_site(site: Site, port: int = 0) -> Iterator[SiteServer]:
    """``site`` at a free port, until the block ends."""
    server = SiteServer(site, "127.0.0.1", port)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()
