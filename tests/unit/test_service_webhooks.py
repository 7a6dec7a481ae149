"""Messages to webhooks: signed, tried five times over restarts, sent to allowed public hosts alone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from cyclorama.data import fetch
from cyclorama.errors import FetchError, RequestError
from cyclorama.service import batch_runner, batches, jobs, webhooks
from cyclorama.service.batch_runner import BatchRunner
from cyclorama.service.batch_schemas import BatchRequest
from cyclorama.service.batch_work import TOLD
from cyclorama.service.settings import ServiceSettings
from cyclorama.service.store import Store
from cyclorama.service.tables import batches as batches_table
from cyclorama.service.tables import deliveries
from service_store import add_asset, order

URL = "https://hooks.example/cyclorama?a=1"
HOSTS = ("hooks.example",)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path)
    yield opened
    opened.close()


class Sent(list[Any]):
    """What was sent; each is answered by the next of ``answers``, a status or an error."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[Any] = []

    def post(self, url: str, body: bytes, headers: dict[str, str], policy: Any) -> int:
        self.append((url, body, headers, policy))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return int(answer)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    found = Sent()
    monkeypatch.setattr(webhooks, "post", found.post)
    return found


def end_job(store: Store, key: str = "local") -> str:
    """A job with a webhook that has ended."""
    request = order(add_asset(store, key)).model_copy(update={"webhook": URL})
    job = jobs.submit_once(store, request, key, "scenes", "server", None, "")[0]
    jobs.cancel_job(store, job, key)
    return job


def read(store: Store) -> Any:
    with store.read() as connection:
        return connection.execute(select(deliveries)).mappings().one()


def try_once(store: Store) -> Any:
    row = webhooks.claim_delivery(store)
    assert row is not None
    webhooks.deliver(store, row, HOSTS)
    return read(store)


def make_due(store: Store) -> None:
    with store.write() as connection:
        connection.execute(update(deliveries).values(due=0.0))


def test_a_message_is_signed_over_id_time_and_body(store: Store, sent: Sent) -> None:
    sent.answers = [204]
    job = end_job(store)
    row = try_once(store)
    [(url, body, headers, policy)] = sent
    assert (url, policy.hosts) == (URL, HOSTS)
    assert json.loads(body)["data"] == {"job": job, "state": "cancelled", "counts": {"cancelled": 1}}
    assert (headers["webhook-id"], headers["Content-Type"]) == (row["id"], "application/json")
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 5
    secret = base64.b64decode(webhooks.find_secret(store, "local").partition("_")[2])
    message = b".".join([row["id"].encode(), headers["webhook-timestamp"].encode(), body])
    mark = base64.b64encode(hmac.new(secret, message, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{mark}"
    assert (row["due"], row["fault"], row["tries"]) == (None, None, 1)
    assert webhooks.claim_delivery(store) is None


def test_the_end_of_a_batch_is_told_but_not_that_of_its_check(
    store: Store, sent: Sent, tmp_path: Path
) -> None:
    runner = BatchRunner(ServiceSettings(data=tmp_path), store)
    id, folder = batches.begin_batch(store)
    with store.write() as connection:
        batches.add_batch(connection, id, "local", {"name": None, "rows": 2, "files": 2}, "scenes")
    told = {"check": {"rows": 2}}, {"result": {"counts": {"rows": 2, "done": 2}, "failures": []}}
    for what, state, said in zip(("check", "run"), ("checking", "queued"), told, strict=True):
        batches.ask(store, "local", id, state, BatchRequest(webhook=URL))
        with store.write() as connection:
            working = {"state": batch_runner._WORKING[what], "runner": runner._name}
            connection.execute(update(batches_table).values(working))
        (folder / TOLD).write_text(json.dumps(said))
        runner._settle(what, batch_runner._BatchChild(id, "local", folder, None, io.BytesIO(), 0.0))
    assert batches.find_batch(store, "local", id)["state"] == "done"
    sent.answers = [204, 204]
    try_once(store)
    batches.ask(store, "local", id, "queued", None)
    batches.cancel_batch(store, "local", id)
    row = webhooks.claim_delivery(store)
    assert row is not None
    webhooks.deliver(store, row, HOSTS)
    assert [json.loads(body)["type"] for _, body, _, _ in sent] == ["batch.ended"] * 2
    assert [json.loads(body)["data"] for _, body, _, _ in sent] == [
        {"batch": id, "state": "done", "counts": {"rows": 2, "done": 2}},
        {"batch": id, "state": "cancelled", "counts": {}},
    ]


def test_a_signature_that_others_publish() -> None:
    """The example of a service whose libraries are in wide use."""
    values = ("msg_loFOjxBNrRLzqYUf", 1731705121, '{"event_type":"ping","data":{"success":true}}')
    found = webhooks.sign("whsec_plJ3nmyCDGBKInavdOK15jsl", *values)
    assert found == "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0="


def test_five_tries_with_longer_and_longer_pauses(store: Store, sent: Sent) -> None:
    sent.answers = [500, FetchError("no answer"), 302, 404, 503]
    end_job(store)
    rows, pauses, ids = [], [], set()
    for _ in range(5):
        now, row = time.time(), try_once(store)
        rows.append(row)
        ids.add(sent[-1][2]["webhook-id"])
        if row["due"] is not None:
            pauses.append(round(row["due"] - now))
            assert webhooks.claim_delivery(store) is None, "not before its time"
            make_due(store)
    assert [row["tries"] for row in rows] == [1, 2, 3, 4, 5]
    assert [row["fault"] for row in rows] == [
        "it answered 500", "no answer", "it answered 302", "it answered 404", "it answered 503"
    ]  # fmt: skip
    assert pauses == [5, 300, 1800, 7200]
    assert len(ids) == 1, "a receiver knows a message that comes again"
    assert webhooks.claim_delivery(store) is None


def test_an_address_that_is_gone_is_not_tried_again(store: Store, sent: Sent) -> None:
    sent.answers = [410]
    end_job(store)
    assert try_once(store)["due"] is None


def test_a_try_that_a_kill_cut_short_is_made_again(tmp_path: Path, sent: Sent) -> None:
    first = Store(tmp_path)
    end_job(first)
    secret = webhooks.find_secret(first, "local")
    assert webhooks.claim_delivery(first) is not None
    first.close()  # nothing was sent
    second = Store(tmp_path)
    assert webhooks.claim_delivery(second) is None, "another sender may be at it"
    with second.write() as connection:
        connection.execute(update(deliveries).values(due=time.time() - 0.1))
    sent.answers = [200]
    row = try_once(second)
    assert (row["due"], row["tries"]) == (None, 2)
    assert webhooks.find_secret(second, "local") == secret
    second.close()


def test_each_key_has_a_secret_of_its_own(store: Store) -> None:
    one, two = (webhooks.find_secret(store, key) for key in ("one", "two"))
    assert one != two
    assert len(base64.b64decode(one.removeprefix("whsec_"))) == 32


@pytest.mark.parametrize(
    ("url", "hosts", "said"),
    [
        (URL, (), "--webhooks HOST"),
        ("https://other.example/", HOSTS, "add it (--webhooks HOST)"),
        ("http://hooks.example/", HOSTS, "not https"),
        ("https://user@hooks.example/", HOSTS, "names a user"),
        ("file:///etc/passwd", ("*",), "not https"),
    ],
)
def test_addresses_that_are_refused_with_the_job(url: str, hosts: tuple[str, ...], said: str) -> None:
    with pytest.raises(RequestError) as refused:
        webhooks.check_address(url, hosts)
    assert said in str(refused.value)
    assert refused.value.field == "webhook"


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.0.0.8", "::ffff:192.168.0.1"])
def test_an_address_inside_is_never_called(
    store: Store, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch.socket, "getaddrinfo", lambda *a, **k: [(0, 0, 0, "", (address, 443))])
    monkeypatch.setattr(fetch.socket, "create_connection", lambda *a, **k: pytest.fail("it was called"))
    end_job(store)
    row = try_once(store)
    assert "no public address" in row["fault"]
    assert row["due"] > time.time()


def test_the_threads_of_a_server_deliver(store: Store, sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "LOOK_SECONDS", 0.02)
    sent.answers = [200]
    end_job(store)
    senders = webhooks.Senders(store, HOSTS)
    senders.start()
    until = time.monotonic() + 10
    while read(store)["due"] is not None and time.monotonic() < until:
        time.sleep(0.02)
    senders.stop()
    assert len(sent) == 1
    assert read(store)["due"] is None
    time.sleep(0.1)  # the threads end before their store
