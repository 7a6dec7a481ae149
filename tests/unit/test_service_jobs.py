"""Jobs and leases on both databases: the states of images, who gets which, what a key may repeat."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, text, update

from cyclorama.errors import (
    InProgressError,
    KeyReusedError,
    NotReadyError,
    OutputError,
    QueueFullError,
    QuotaError,
    RequestError,
    UnknownIdError,
)
from cyclorama.service import jobs, leases, parts, tables, webhooks
from cyclorama.service.events import find_last_event, read_events
from cyclorama.service.idempotency import keep_answer
from cyclorama.service.store import Changes, Store
from cyclorama.service.store import find as find_row
from service_store import NEEDS_POSTGRES, add_asset, order, run_postgres

DATABASES = ["sqlite", pytest.param("postgres", marks=NEEDS_POSTGRES)]


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with run_postgres() as url:
        yield url


@pytest.fixture(params=DATABASES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = request.getfixturevalue("postgres") if request.param == "postgres" else None
    opened = Store(tmp_path, url)
    if url is not None:
        with opened.write() as connection:
            names = [table.name for table in tables.metadata.sorted_tables if table.name != "versions"]
            connection.execute(text(f"TRUNCATE {', '.join(names)} RESTART IDENTITY"))
    yield opened
    opened.close()


def submit(store: Store, items: int = 1, key: str = "local", lane: str = "bulk", **settings: object) -> str:
    request = order(add_asset(store, key), items, lane, **settings)
    return jobs.submit_once(store, request, key, "scenes", "server", None, "")[0]


def claim(store: Store, worker: str = "w", number: int = 0) -> leases.Claim | None:
    return leases.claim_image(store, worker, ["scenes"], number)


def states(store: Store, job: str) -> dict[str, int]:
    with store.read() as connection:
        return jobs.count_images(connection, job)


def read_state(store: Store, job: str, key: str = "local") -> str:
    with store.read() as connection:
        return str(find_row(connection, tables.jobs, job, key)["state"])


def list_events(store: Store, job: str) -> list[str]:
    return [data["type"] for _, data in read_events(store, "local", [job], 0)]


def test_a_job_has_a_row_for_every_image_from_the_start(store: Store) -> None:
    job = submit(store, items=2, outputs=["1:1", "3:4"], candidates=3)
    with store.read() as connection:
        rows = [(r["item"], r["output"], r["candidate"]) for r in jobs.list_images(connection, job)]
    assert rows == [(i, o, c) for i in (0, 1) for o in (0, 1) for c in (1, 2, 3)]
    assert states(store, job) == {"queued": 12}
    assert list_events(store, job) == ["queued"]


def test_images_go_from_queued_by_running_to_done_and_their_job_with_them(store: Store) -> None:
    job = submit(store, items=2)
    first = claim(store)
    assert first is not None and read_state(store, job) == "running"
    assert first.titles == {"image": "a.png"} and store.blobs.read(first.digests["image"]) == b"photo"
    assert leases.publish_image(store, first, {"seed": 1}, {"file": "0" * 64})
    assert read_state(store, job) == "running"
    second = claim(store)
    assert second is not None and second.item == 1
    assert leases.fail_image(store, second, {"error": "MissingMaskError", "reason": "no mask"})
    assert read_state(store, job) == "done"  # one is done: rows in are rows out
    assert states(store, job) == {"done": 1, "failed": 1}
    assert list_events(store, job) == ["queued", "started", "image", "started", "image_failed", "done"]


def test_a_job_of_which_every_image_failed_has_failed(store: Store) -> None:
    job = submit(store)
    held = claim(store)
    assert held is not None
    leases.fail_image(store, held, {"error": "ImageError", "reason": "torn"})
    assert read_state(store, job) == "failed"


def test_an_image_is_published_by_who_holds_it_and_once(store: Store) -> None:
    job = submit(store)
    held = claim(store)
    assert held is not None and claim(store) is None
    with store.write() as connection:
        connection.execute(update(tables.images).values(lease_until=0.0))
    assert leases.recover_images(store) == 1
    again = claim(store, "other")
    assert again is not None and again.image == held.image and again.lease != held.lease
    assert not leases.publish_image(store, held, {"seed": 1}, {})
    assert not leases.renew_lease(store, held) and leases.renew_lease(store, again)
    assert leases.publish_image(store, again, {"seed": 2}, {})
    assert not leases.publish_image(store, again, {"seed": 3}, {})
    with store.read() as connection:
        assert jobs.list_images(connection, job)[0]["result"] == {"seed": 2}


def test_an_image_that_three_workers_were_lost_over_fails(store: Store) -> None:
    job = submit(store)
    for number in range(5):
        assert states(store, job) == {"queued": 1}
        assert claim(store, f"w{number}") is not None
        assert leases.recover_images(store, f"w{number}") == 1
    assert read_state(store, job) == "failed"
    with store.read() as connection:
        assert jobs.list_images(connection, job)[0]["error"]["error"] == "WorkerLostError"


def test_losses_are_spread_over_a_job_before_any_image_of_it_fails(store: Store) -> None:
    """Workers that are killed from outside each have a job's first image in hand, as it were."""
    first, second = submit(store, 3), submit(store)
    hit = []
    for number in range(6):
        held = claim(store, f"w{number}")
        assert held is not None and held.job == first
        hit.append(held.item)
        leases.recover_images(store, f"w{number}")
    assert hit == [0, 1, 2, 0, 1, 2]
    assert (states(store, first), states(store, second)) == ({"queued": 3}, {"queued": 1})


def test_workers_that_the_server_ends_itself_do_not_count_as_lost(store: Store) -> None:
    job = submit(store)
    for _ in range(5):
        assert claim(store) is not None
        leases.recover_images(store, "w", lost=False)
    assert states(store, job) == {"queued": 1}


def test_cancel_ends_a_job_at_once_and_throws_away_what_is_being_made(store: Store) -> None:
    job = submit(store, items=3)
    done, held = claim(store), claim(store)
    assert done is not None and held is not None
    leases.publish_image(store, done, {}, {})
    jobs.cancel_job(store, job, "local")
    assert states(store, job) == {"done": 1, "cancelled": 2} and read_state(store, job) == "cancelled"
    assert not leases.is_held(store, held) and not leases.publish_image(store, held, {}, {})
    assert claim(store) is None
    jobs.cancel_job(store, job, "local")
    assert list_events(store, job).count("done") == 1


def test_retry_queues_failed_images_alone(store: Store) -> None:
    job = submit(store, items=3)
    with pytest.raises(NotReadyError, match="queued"):
        jobs.retry_job(store, job, "local")
    for end in ("publish", "fail", "fail"):
        held = claim(store)
        assert held is not None
        if end == "publish":
            leases.publish_image(store, held, {"seed": 7}, {})
        else:
            leases.fail_image(store, held, {"error": "ImageError", "reason": "torn"})
    assert jobs.retry_job(store, job, "local") == 2
    assert states(store, job) == {"done": 1, "queued": 2} and read_state(store, job) == "queued"
    with store.read() as connection:
        assert [row["error"] for row in jobs.list_images(connection, job)] == [None] * 3


def test_keys_take_turns_and_each_is_served_in_its_own_order(store: Store) -> None:
    for key in ("a", "a", "a", "b"):
        submit(store, items=2, key=key)
    order_ = [held.key for _ in range(5) if (held := claim(store)) is not None]
    assert order_[:4] in (["a", "b", "a", "b"], ["b", "a", "b", "a"]) and order_[4] == "a"
    with store.read() as connection:
        query = select(tables.images.c.seq).where(tables.images.c.key == "a")
        running = connection.execute(query.where(tables.images.c.state == "running")).scalars().all()
        every = connection.execute(query.order_by(tables.images.c.seq)).scalars().all()
    assert sorted(running) == list(every[:3])


def test_four_jobs_of_a_key_run_at_once_and_others_keys_go_on(store: Store) -> None:
    mine = [submit(store, items=2, key="shop") for _ in range(6)]
    other = submit(store, key="atelier")
    held = [claim(store) for _ in range(10)]
    taken = [one.job for one in held if one is not None]
    assert taken == [mine[0], other, mine[0], *(job for job in mine[1:4] for _ in range(2))]
    assert held[9] is None, "the fifth job waits"
    for one in held:
        if one is not None and one.job == mine[0]:
            leases.publish_image(store, one, {}, {})
    fifth = claim(store)
    assert fifth is not None and fifth.job == mine[4]


def test_interactive_goes_first_but_every_fifth_claim_is_bulk(store: Store) -> None:
    submit(store, items=20, lane="bulk")
    submit(store, items=20, lane="interactive")
    taken = [claim(store, number=number) for number in range(15)]
    with store.read() as connection:
        query = select(tables.images.c.id, tables.images.c.lane)
        lanes = dict(connection.execute(query).all())  # type: ignore[arg-type]
    assert Counter(lanes[held.image] for held in taken if held) == {"interactive": 12, "bulk": 3}


def test_workers_take_only_what_their_models_make(store: Store) -> None:
    submit(store)
    assert leases.claim_image(store, "w", ["bundled"], 0) is None


def test_two_workers_never_hold_one_image(store: Store) -> None:
    submit(store, items=40)
    held: list[str] = []

    def work(name: str) -> None:
        while (one := claim(store, name)) is not None:
            held.append(one.image)
            leases.publish_image(store, one, {}, {})

    crew = [threading.Thread(target=work, args=(f"w{n}",)) for n in range(4)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    assert len(held) == len(set(held)) == 40
    with store.read() as connection:
        assert connection.execute(select(tables.jobs.c.state)).scalars().all() == ["done"]


def test_an_idempotency_key_gives_the_first_job_and_answer_again(store: Store) -> None:
    request = order(add_asset(store))

    def ask(server: str = "s1", mark: str = "f1") -> tuple[str, object]:
        return jobs.submit_once(store, request, "local", "scenes", server, "token", mark)

    job, answer = ask()
    assert answer is None
    with pytest.raises(InProgressError, match=job):
        ask()
    assert ask(server="s2") == (job, None)  # the server that was asked is no more: taken up again
    with pytest.raises(KeyReusedError, match="token"):
        ask(mark="f2")
    keep_answer(store, "local", "token", {"status": 200, "body": {"id": job}})
    assert ask() == (job, {"status": 200, "body": {"id": job}})
    assert states(store, job) == {"queued": 1}


def test_what_another_key_has_is_not_there(store: Store) -> None:
    asset, job = add_asset(store, "a"), submit(store, key="a")
    for act in (jobs.cancel_job, jobs.retry_job):
        with pytest.raises(UnknownIdError, match=job):
            act(store, job, "b")
    with pytest.raises(UnknownIdError, match=asset):
        jobs.submit_once(store, order(asset), "b", "scenes", "s", None, "")
    assert jobs.read_jobs(store, "b", None, 10) == ([], None)


def test_nothing_is_taken_in_beyond_the_limits(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RequestError, match="201 images in one job, the limit is 200; send several jobs"):
        submit(store, items=67, candidates=3)
    submit(store, items=3)
    with pytest.raises(QuotaError, match="198 images would make 201 waiting ones, the limit is 200"):
        submit(store, items=66, candidates=3)
    monkeypatch.setattr(jobs, "MAX_WAITING", 4)
    with pytest.raises(QueueFullError, match="3 images wait here, the limit is 4"):
        submit(store, items=2, key="b")
    with store.read() as connection:
        assert len(connection.execute(select(tables.images.c.id)).all()) == 3
    assert find_last_event(store) == 1 or not store.is_sqlite


def test_the_end_of_a_job_is_told_however_it_ends_and_to_one_sender(store: Store) -> None:
    url, asset = "https://hooks.example/a", add_asset(store)
    request = order(asset).model_copy(update={"webhook": url})
    done, dropped = (
        jobs.submit_once(store, request, "local", "scenes", "server", None, "")[0] for _ in range(2)
    )
    submit(store)
    assert webhooks.claim_delivery(store) is None
    held = claim(store)
    assert held is not None
    leases.publish_image(store, held, {}, {})
    jobs.cancel_job(store, dropped, "local")
    jobs.cancel_job(store, dropped, "local")
    told = [webhooks.claim_delivery(store) for _ in range(3)]
    assert told[2] is None
    bodies = [json.loads(row["body"]) for row in told if row is not None]
    assert [body["data"] for body in bodies] == [
        {"job": done, "state": "done", "counts": {"done": 1}},
        {"job": dropped, "state": "cancelled", "counts": {"cancelled": 1}},
    ]
    assert {body["type"] for body in bodies} == {"job.ended"}
    assert {(row["url"], row["tries"]) for row in told if row is not None} == {(url, 0)}


def test_pages_of_jobs_follow_each_other_without_gap_or_doublet(store: Store) -> None:
    made = [submit(store) for _ in range(5)]
    seen, after = [], None
    while True:
        rows, after = jobs.read_jobs(store, "local", after, 2)
        seen += [row["id"] for row, _ in rows]
        if after is None:
            break
    assert seen == made[::-1]


def test_a_list_of_jobs_may_be_of_one_state(store: Store) -> None:
    waiting, dropped = submit(store), submit(store)
    jobs.cancel_job(store, dropped, "local")
    found = {
        state: [row["id"] for row, _ in jobs.read_jobs(store, "local", None, 10, state)[0]]
        for state in ("queued", "cancelled", "done")
    }
    assert found == {"queued": [waiting], "cancelled": [dropped], "done": []}


def test_a_change_is_noticed_once_by_each_who_looks(tmp_path: Path) -> None:
    store = Store(tmp_path)
    changes = Changes(store)
    assert changes.poll() and not changes.poll()
    submit(store)
    assert changes.poll() and not changes.poll()
    changes.close()


@pytest.mark.parametrize("step", [-1, 1])
def test_tables_of_another_release_are_refused(tmp_path: Path, step: int) -> None:
    store = Store(tmp_path)
    with store.write() as connection:
        connection.execute(update(tables.versions).values(version=tables.VERSION + step))
    said = f"tables of version {tables.VERSION + step}, this release has {tables.VERSION}; .* another --data"
    with pytest.raises(OutputError, match=said):
        Store(tmp_path)


def test_who_changes_a_table_raises_the_version() -> None:
    columns = sorted(f"{column.table.name}.{column.name} {column.type!r}" for table in
                     tables.metadata.tables.values() for column in table.columns)  # fmt: skip
    digest = hashlib.sha256("\n".join(columns).encode()).hexdigest()[:12]
    assert (tables.VERSION, digest) == (2, "deb701356e83")


def test_a_finished_image_is_taken_apart_by_one_worker_and_again_if_that_is_lost(store: Store) -> None:
    job = submit(store, 2)
    done = claim(store)
    assert done is not None and leases.publish_image(store, done, {"width": 4}, {"file": "f"})
    assert parts.claim_parts(store, "w", ["scenes"]) is None
    parts.ask_for_parts(store, "local", done.image)
    assert parts.claim_parts(store, "w", ["other"]) is None
    first = parts.claim_parts(store, "w", ["scenes"])
    assert first is not None and (first.image, first.state, first.files) == (
        done.image,
        "done",
        {"file": "f"},
    )
    assert parts.claim_parts(store, "v", ["scenes"]) is None
    assert leases.is_held(store, first) and leases.renew_lease(store, first)

    run_out(store, done.image)
    second = parts.claim_parts(store, "v", ["scenes"])
    assert second is not None and not leases.is_held(store, first)
    parts.publish_parts(store, first, {"box": 1}, {"cut": "late"})
    parts.publish_parts(store, second, {"box": 2}, {"cut": "c"})
    with store.read() as connection:
        row = find_row(connection, tables.images, done.image, "local")
        other = jobs.count_images(connection, job)
    assert (row["files"], row["result"]) == ({"file": "f", "cut": "c"}, {"width": 4, "box": 2})
    assert (row["state"], row["wanted"], row["lease"], other) == (
        "done",
        None,
        None,
        {"done": 1, "queued": 1},
    )

    parts.ask_for_parts(store, "local", done.image)
    for _ in range(leases.LOSSES):
        assert parts.claim_parts(store, "w", ["scenes"]) is not None
        run_out(store, done.image)
    assert parts.claim_parts(store, "w", ["scenes"]) is None
    told = [data for _, data in read_events(store, "local", [job], 0) if data["type"] == "parts"]
    assert [data.get("error", {}).get("error") for data in told] == [None, "WorkerLostError"]


def run_out(store: Store, image: str) -> None:
    """Let the lease of ``image`` be over."""
    with store.write() as connection:
        connection.execute(update(tables.images).where(tables.images.c.id == image).values(lease_until=1.0))
