"""Ended jobs and batches are told to an address that the client gave, signed as Standard Webhooks say.

What is to be told is a row, written together with the end, so that no restart loses it. It is sent
until the address answers with 2xx, as often as TRIES says. The address must be a public one of an allowed
host (:mod:`cyclorama.data.fetch`).
"""

from __future__ import annotations

import base64
import hmac
import json
import logging
import os
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import Connection, RowMapping, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from cyclorama.data.fetch import UrlPolicy, check_url, post
from cyclorama.errors import FetchError, RequestError
from cyclorama.service.store import Store, get_time, make_id
from cyclorama.service.tables import deliveries, secrets

TRIES = (0.0, 5.0, 300.0, 1800.0, 7200.0)
"""Seconds before each try, after the one before."""
SENDERS = 4
"""Addresses that one server talks to at a time."""
LOOK_SECONDS = 1.0
_LEASE_SECONDS = 60.0  # a server that ended amid a try leaves it to the next one after so long
_TIMEOUT = 10.0
_MASTER = "webhooks"
_LOG = logging.getLogger("cyclorama.service")


def check_address(url: str | None, hosts: tuple[str, ...]) -> None:
    """Raises RequestError if ``url`` is no https address of one of ``hosts``."""
    if url is None:
        return
    if not hosts:
        said = "this server calls no addresses (--webhooks HOST allows it); follow the job's events instead"
        raise RequestError(said, "webhook")
    try:
        check_url(url, UrlPolicy(hosts=hosts))
    except FetchError as error:
        raise RequestError(str(error).replace("--allow-urls", "--webhooks"), "webhook") from None


def order_delivery(
    connection: Connection,
    kind: Literal["job", "batch"],
    row: RowMapping,
    state: str,
    counts: Mapping[str, int],
) -> None:
    """Tell the end of a job or batch to its address, if it has one; in the transaction of that end."""
    url, now = row["request"].get("webhook"), get_time()
    if url is None:
        return
    when = datetime.fromtimestamp(now, UTC).isoformat()
    body = {
        "type": f"{kind}.ended",
        "timestamp": when,
        "data": {kind: row["id"], "state": state, "counts": counts},
    }
    values = {"id": make_id("msg"), "key": row["key"], "job": row["id"], "url": url, "body": json.dumps(body)}
    connection.execute(insert(deliveries).values(**values, created=now, tries=0, due=now))


def find_secret(store: Store, key: str) -> str:
    """What signs the messages to ``key``, as ``whsec_…``: its own, and always the same."""
    derived = hmac.digest(bytes.fromhex(_find_master(store)), key.encode(), "sha256")
    return f"whsec_{base64.b64encode(derived).decode()}"


def _find_master(store: Store) -> str:
    """The store's own secret, made when it is first needed."""
    query = select(secrets.c.value).where(secrets.c.name == _MASTER)
    with store.read() as connection:
        found = connection.execute(query).scalar()
    if found is None:
        found = os.urandom(32).hex()
        try:
            with store.write() as connection:
                connection.execute(insert(secrets).values(name=_MASTER, value=found))
        except IntegrityError:  # another server was first
            return _find_master(store)
    return str(found)


def sign(secret: str, id: str, timestamp: int, body: str) -> str:
    """The ``webhook-signature`` of a message.

    >>> sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
    ...      '{"test": 2432232314}')
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mark = hmac.digest(key, f"{id}.{timestamp}.{body}".encode(), "sha256")
    return f"v1,{base64.b64encode(mark).decode()}"


def claim_delivery(store: Store) -> RowMapping | None:
    """A message that is due, with this try counted; nobody else gets it for a minute."""
    query = select(deliveries).where(deliveries.c.due <= get_time()).order_by(deliveries.c.due).limit(1)
    with store.read() as connection:  # writers wait for each other, so look first
        if connection.execute(query).first() is None:
            return None
    with store.write() as connection:
        row = connection.execute(query.with_for_update(skip_locked=True)).mappings().first()
        if row is not None:
            taken = {"due": get_time() + _LEASE_SECONDS, "tries": row["tries"] + 1}
            connection.execute(update(deliveries).where(deliveries.c.id == row["id"]).values(**taken))
        return row


def deliver(store: Store, row: RowMapping, hosts: tuple[str, ...]) -> None:
    """Send a claimed message once, and note how it went and when to try again."""
    now, tries = get_time(), row["tries"] + 1
    headers = {
        "Content-Type": "application/json",
        "webhook-id": row["id"],
        "webhook-timestamp": str(int(now)),
        "webhook-signature": sign(find_secret(store, row["key"]), row["id"], int(now), row["body"]),
    }
    try:
        status = post(row["url"], row["body"].encode(), headers, UrlPolicy(hosts=hosts, seconds=_TIMEOUT))
        fault = None if 200 <= status < 300 else f"it answered {status}"
        over = fault is None or status == 410  # gone: it wants no more
    except FetchError as error:
        fault, over = str(error), False
    over = over or tries >= len(TRIES)
    values = {"due": None if over else get_time() + TRIES[tries], "fault": fault}
    with store.write() as connection:
        connection.execute(update(deliveries).where(deliveries.c.id == row["id"]).values(**values))


class Senders:
    """The threads of a server that deliver what is due."""

    def __init__(self, store: Store, hosts: tuple[str, ...]) -> None:
        self._store, self._hosts, self._stopping = store, hosts, threading.Event()

    def start(self) -> None:
        """Begin, if any host is allowed."""
        for number in range(SENDERS if self._hosts else 0):
            threading.Thread(target=self._run, name=f"cyclorama-webhooks-{number}", daemon=True).start()

    def stop(self) -> None:
        """Begin no further try; one that a slow address holds up is made again after the next start."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                while not self._stopping.is_set() and (row := claim_delivery(self._store)) is not None:
                    deliver(self._store, row, self._hosts)
            except SQLAlchemyError:
                _LOG.exception("webhooks wait: the database does not answer")
