"""Stores of the service for tests: SQLite in a folder, PostgreSQL of one's own where it is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cyclorama.service.assets import keep_asset
from cyclorama.service.schemas import JobRequest
from cyclorama.service.store import Store


def find_postgres() -> str | None:
    """The folder of PostgreSQL's programs."""
    found = shutil.which("initdb")
    places = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return str(places[-1]) if places else None


NEEDS_POSTGRES = pytest.mark.skipif(
    find_postgres() is None, reason="needs a PostgreSQL server; install Debian's postgresql"
)


@contextmanager
def run_postgres() -> Iterator[str]:
    """A server of this test alone, without a password; its SQLAlchemy URL."""
    programs = find_postgres()
    assert programs is not None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    with tempfile.TemporaryDirectory() as folder:
        user = _give_away(folder)
        data, log = f"{folder}/data", f"{folder}/log"
        _run(user, f"{programs}/initdb", "-A", "trust", "-U", "tester", "-E", "UTF8", "--no-sync", "-D", data)
        _run(user, f"{programs}/pg_ctl", "-D", data, "-l", log, "-w", "-o", options, "start")
        try:
            yield f"postgresql+psycopg://tester@127.0.0.1:{port}/postgres"
        finally:
            _run(user, f"{programs}/pg_ctl", "-D", data, "-m", "immediate", "stop")


def _give_away(folder: str) -> str | None:
    """Who the server runs as, since it refuses the administrator; ``folder`` is theirs then."""
    if os.geteuid() != 0:
        return None
    user = "postgres" if "postgres" in {entry.pw_name for entry in pwd.getpwall()} else "nobody"
    shutil.chown(folder, user)
    return user


def _run(user: str | None, *command: str) -> None:
    """Run ``command``, its output only where it fails."""
    done = subprocess.run(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, user=user, cwd="/", check=False
    )
    assert done.returncode == 0, done.stderr


def add_asset(store: Store, key: str = "local", content: bytes = b"photo", name: str = "a.png") -> str:
    """The id of an asset with ``content``."""
    digest = store.blobs.put(content)
    return str(keep_asset(store, key, digest, len(content), name, "image/png", {})[0]["id"])


def order(asset: str, items: int = 1, lane: str = "bulk", **settings: object) -> JobRequest:
    """A request for ``items`` products, all of the photo ``asset``."""
    values = {"items": [{"image": asset}] * items, "settings": settings, "lane": lane}
    return JobRequest.model_validate(values)
