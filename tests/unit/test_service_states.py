"""Jobs under any order of requests, workers and losses: no image is lost, none is made twice."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import select, update

from cyclorama.service import jobs, leases, tables
from cyclorama.service.events import read_events
from cyclorama.service.store import Store
from service_store import add_asset, order

WORKERS = ("w0", "w1")
ENDED = ("done", "failed", "cancelled")


class Jobs(RuleBasedStateMachine):
    """A model of the store in plain dictionaries beside the store itself."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = Store(Path(self.folder.name))
        self.asset = add_asset(self.store)
        self.jobs: list[str] = []
        self.held: list[leases.Claim] = []
        self.published: Counter[str] = Counter()

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    def read_states(self, job: str) -> dict[str, str]:
        with self.store.read() as connection:
            return {row["id"]: row["state"] for row in jobs.list_images(connection, job)}

    @rule(count=st.integers(1, 3), lane=st.sampled_from(["interactive", "bulk"]))
    def submit(self, count: int, lane: str) -> None:
        request = order(self.asset, count, lane)
        self.jobs.append(jobs.submit_once(self.store, request, "local", "scenes", "s", None, "")[0])

    @rule(worker=st.sampled_from(WORKERS), number=st.integers(0, 9))
    def claim(self, worker: str, number: int) -> None:
        waiting = any("queued" in self.read_states(job).values() for job in self.jobs)
        claim = leases.claim_image(self.store, worker, ["scenes"], number)
        assert (claim is not None) == waiting
        if claim is not None:
            self.held.append(claim)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), fails=st.booleans())
    def finish(self, data: st.DataObject, fails: bool) -> None:
        claim = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        held = leases.is_held(self.store, claim)
        if fails:
            error = {"error": "ImageError", "reason": "torn"}
            assert leases.fail_image(self.store, claim, error) == held
        else:
            assert leases.publish_image(self.store, claim, {}, {}) == held
            self.published[claim.image] += held

    @rule(worker=st.sampled_from(WORKERS), ours=st.booleans())
    def lose_worker(self, worker: str, ours: bool) -> None:
        leases.recover_images(self.store, worker, lost=not ours)

    @rule()
    def let_leases_run_out(self) -> None:
        with self.store.write() as connection:
            connection.execute(update(tables.images).values(lease_until=0.0))
        leases.recover_images(self.store)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.jobs))
        jobs.cancel_job(self.store, job, "local")

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.jobs))
        states = self.read_states(job)
        if all(state in ENDED for state in states.values()):
            failed = {image for image, state in states.items() if state == "failed"}
            assert jobs.retry_job(self.store, job, "local") == len(failed)
            after = self.read_states(job)
            assert after == states | dict.fromkeys(failed, "queued")

    @invariant()
    def jobs_are_what_their_images_are(self) -> None:
        with self.store.read() as connection:
            found = dict(connection.execute(select(tables.jobs.c.id, tables.jobs.c.state)).all())
        for job in self.jobs:
            states = set(self.read_states(job).values())
            open_ = states & {"queued", "running"}
            if open_:
                assert found[job] in open_ | {"running"}, (found[job], states)
            else:
                assert found[job] in ENDED and (found[job] != "failed" or "done" not in states)

    @invariant()
    def nothing_is_made_twice(self) -> None:
        assert max(self.published.values(), default=0) <= 1
        for job in self.jobs:
            events = [data for _, data in read_events(self.store, "local", [job], 0, 10_000)]
            made = Counter(data["image"] for data in events if data["type"] == "image")
            assert set(made.values()) <= {1}
            done = {image for image, state in self.read_states(job).items() if state == "done"}
            assert done == set(made)

    @invariant()
    def who_runs_is_held_by_one(self) -> None:
        with self.store.read() as connection:
            query = select(tables.images.c.state, tables.images.c.lease, tables.images.c.worker)
            for state, lease, worker in connection.execute(query):
                assert (state == "running") == (lease is not None)
                assert state != "running" or worker in WORKERS


TestJobs = Jobs.TestCase
TestJobs.settings = settings(
    max_examples=12, stateful_step_count=20, deadline=None, derandomize=True,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
