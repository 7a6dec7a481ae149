"""What grows old goes, with the files that nothing names any more; what was approved stays."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select, update

from cyclorama.errors import DiskFullError, UnknownIdError
from cyclorama.service import context, retention
from cyclorama.service.archive import send_archive
from cyclorama.service.assets import drop_asset, keep_asset
from cyclorama.service.context import Service
from cyclorama.service.decisions import delete_image, keep_image, read_done
from cyclorama.service.jobs import submit_job
from cyclorama.service.leases import claim_image, publish_image
from cyclorama.service.retention import DAY, Swept, sweep
from cyclorama.service.schemas import JobItem, JobRequest
from cyclorama.service.settings import ServiceSettings
from cyclorama.service.store import Store
from cyclorama.service.submit import read_detail
from cyclorama.service.tables import assets, images, jobs
from cyclorama.service.uploads import keep_file


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = Store(tmp_path)
    yield found
    found.close()


def upload(store: Store, text: str) -> str:
    digest = store.blobs.put(text.encode())
    small = store.blobs.put(f"small {text}".encode())
    return str(keep_asset(store, "k", digest, len(text), text, "image/png", {"thumbnail": small})[0]["id"])


def make_job(store: Store, asset: str, done: bool = True, days: float = 0.0, decision: str = "open") -> str:
    """A job of one image, ended ``days`` ago; the id of the image."""
    with store.write() as connection:
        job = submit_job(connection, JobRequest(items=[JobItem(image=asset)]), "k", "scenes")
        row = connection.execute(select(images).where(images.c.job == job)).mappings().one()
        if done:
            ended = time.time() - days * DAY
            files = {kind: store.blobs.put(f"{kind} of {job}".encode()) for kind in ("file", "plate")}
            values: dict[str, Any] = {
                "state": "done",
                "finished": ended,
                "files": files,
                "decision": decision,
            }
            connection.execute(update(images).where(images.c.job == job).values(**values, result={}))
            connection.execute(update(jobs).where(jobs.c.id == job).values(state="done", finished=ended))
    return str(row["id"])


def age_files(folder: Path, seconds: float = 2 * 3600) -> None:
    for path in (folder / "blobs").rglob("*"):
        if path.is_file():
            os.utime(path, (time.time() - seconds,) * 2)


def age_assets(store: Store, days: float) -> None:
    with store.write() as connection:
        connection.execute(update(assets).values(seen=time.time() - days * DAY))


def read_state(store: Store, image: str) -> str | None:
    with store.read() as connection:
        return connection.execute(select(images.c.state).where(images.c.id == image)).scalar()


def test_nothing_goes_unless_asked_for(store: Store, tmp_path: Path) -> None:
    make_job(store, upload(store, "a"), days=9000)
    age_assets(store, 9000)
    age_files(tmp_path)
    assert sweep(store, ServiceSettings()) == Swept()
    assert len(store.blobs.scan()) == 4


def test_inputs_go_unless_an_open_job_needs_them_or_they_were_asked_for(store: Store, tmp_path: Path) -> None:
    needed, old, again = (upload(store, text) for text in ("needed", "old", "again"))
    make_job(store, needed, done=False)
    age_assets(store, 8)
    assert upload(store, "again") == again, "uploaded once more: seen now"
    age_files(tmp_path)
    assert sweep(store, ServiceSettings(keep_inputs=7)) == Swept(inputs=1, files=2)
    for id in (needed, again):
        assert store.blobs.read(store.find_asset(id, "k")["sha256"])
    with pytest.raises(UnknownIdError):
        store.find_asset(old, "k")


def test_images_go_unless_approved_or_young(store: Store, tmp_path: Path) -> None:
    asset = upload(store, "a")
    young, old, rejected = (
        make_job(store, asset),
        make_job(store, asset, days=40),
        make_job(store, asset, days=40, decision="rejected"),
    )
    approved = make_job(store, asset, days=40, decision="approved")
    age_files(tmp_path)
    assert sweep(store, ServiceSettings(keep_images=30)) == Swept(images=2, files=4)
    assert [read_state(store, id) for id in (young, old, rejected, approved)] == [
        "done",
        "cancelled",
        "cancelled",
        "done",
    ]
    assert len(store.blobs.scan()) == 2 + 4


def test_jobs_go_with_all_that_is_theirs_unless_approved(store: Store, tmp_path: Path) -> None:
    asset = upload(store, "a")
    waiting, old = make_job(store, asset, done=False), make_job(store, asset, days=100)
    approved = make_job(store, asset, days=100, decision="approved")
    age_files(tmp_path)
    assert sweep(store, ServiceSettings(keep_jobs=90)) == Swept(jobs=1, files=2)
    assert [read_state(store, id) for id in (waiting, old, approved)] == ["queued", None, "done"]


def finish_with(store: Store, image: str, files: dict[str, str]) -> None:
    with store.write() as connection:
        connection.execute(update(images).where(images.c.id == image).values(files=files))


def test_a_deleted_image_leaves_what_assets_of_any_key_are(store: Store) -> None:
    photo, logo = upload(store, "photo"), store.blobs.put(b"logo")
    for key in ("k", "another"):
        keep_asset(store, key, logo, 4, "logo.png", "image/png", {})
    poster = make_job(store, photo)
    finish_with(store, poster, {"file": store.blobs.put(b"poster"), "logo": logo})
    delete_image(store, "k", poster)
    assert store.blobs.read(logo) == b"logo"
    assert not store.blobs.has(hashlib.sha256(b"poster").hexdigest())


def test_a_deleted_asset_leaves_what_finished_images_hold(store: Store) -> None:
    photo, logo = upload(store, "photo"), store.blobs.put(b"logo")
    asset, _ = keep_asset(store, "k", logo, 4, "logo.png", "image/png", {})
    poster = make_job(store, photo)
    finish_with(store, poster, {"file": store.blobs.put(b"poster"), "logo": logo})
    drop_asset(store, "k", asset["id"])
    assert store.blobs.read(logo) == b"logo"
    delete_image(store, "k", poster)
    assert not store.blobs.has(logo), "nobody names it now"


PLAIN = {"media_type": "image/png", "suffix": ".png", "seed": 1, "recipe": {}}
POSTER = {"poster": {"language": "en", "family": "x", "attempt": 1, "faults": {}}}


@pytest.mark.parametrize(
    ("order", "result", "first"),
    [
        ({}, PLAIN, "images/p.png"),
        ({"poster": {"texts": {"en": {"headline": "Hi"}}}}, PLAIN | POSTER, "posters/p-square.png"),
    ],
)
def test_an_archive_holds_what_is_left_of_a_job(
    store: Store, order: dict[str, Any], result: dict[str, Any], first: str
) -> None:
    asset, _ = keep_asset(store, "k", store.blobs.put(b"photo"), 5, "p.png", "image/png", {})
    request = JobRequest.model_validate({"items": [{"image": asset["id"]}], **order})
    with store.write() as connection:
        job = submit_job(connection, request, "k", "scenes")
    held = claim_image(store, "w", ["scenes"], 0)
    assert held is not None
    publish_image(store, held, result, {"file": store.blobs.put(b"one")})
    changed = keep_image(
        store, read_done(store, "k", held.image), result, {"file": store.blobs.put(b"two")}, 1.0
    )
    delete_image(store, "k", changed["id"])

    async def read() -> bytes:
        service: Any = SimpleNamespace(store=store)
        answer = send_archive(service, read_detail(service, "k", job))
        return b"".join([bytes(piece) async for piece in answer.body_iterator])  # type: ignore[arg-type]

    with zipfile.ZipFile(io.BytesIO(asyncio.run(read()))) as archive:
        assert archive.namelist() == [first, "results.jsonl"] and archive.read(first) == b"one"
        rows = [json.loads(line) for line in archive.read("results.jsonl").splitlines()]
    assert [(row["state"], row.get("file")) for row in rows] == [("done", first), ("cancelled", None)]


def test_an_upload_brings_back_bytes_that_are_gone(store: Store, tmp_path: Path) -> None:
    children = SimpleNamespace(run=lambda *_: {"media_type": "image/png", "width": 1})
    service: Any = SimpleNamespace(store=store, children=children)
    first, new = keep_file(service, "k", io.BytesIO(b"bytes"), "a.png")
    assert new
    store.blobs.drop(first["sha256"])
    again, new = keep_file(service, "k", io.BytesIO(b"bytes"), "b.png")
    assert not new and again["id"] == first["id"] and store.blobs.read(first["sha256"]) == b"bytes"


def test_a_young_file_without_a_row_stays(store: Store, tmp_path: Path) -> None:
    digest = store.blobs.put(b"its row is still to come")
    assert sweep(store, ServiceSettings()).files == 0
    age_files(tmp_path)
    store.blobs.put(b"its row is still to come")
    assert sweep(store, ServiceSettings()).files == 0, "put again: young again"
    age_files(tmp_path)
    assert sweep(store, ServiceSettings()).files == 1
    with pytest.raises(UnknownIdError):
        store.blobs.read(digest)


def test_a_limit_takes_the_oldest_first(store: Store, tmp_path: Path) -> None:
    asset = upload(store, "a")
    made = [make_job(store, asset, days=days) for days in (1, 3, 2)]
    approved = make_job(store, asset, days=9, decision="approved")
    age_files(tmp_path)
    total = sum(blob.bytes for blob in store.blobs.scan())
    assert sweep(store, ServiceSettings(store_limit=(total - 1) / 1e9)) == Swept(images=1, files=2)
    assert [read_state(store, id) for id in made] == ["done", "cancelled", "done"]
    assert sweep(store, ServiceSettings(store_limit=1e-9)).images == 2
    assert read_state(store, approved) == "done"


def test_what_a_kill_left_of_requests_goes(store: Store, tmp_path: Path) -> None:
    for name in ("old", "young"):
        (tmp_path / "incoming" / name).mkdir(parents=True)
    os.utime(tmp_path / "incoming" / "old", (0, 0))
    sweep(store, ServiceSettings())
    assert [path.name for path in (tmp_path / "incoming").iterdir()] == ["young"]


def test_nothing_is_taken_in_when_the_disk_is_nearly_full(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    service: Any = SimpleNamespace(draining=False, store=store)
    monkeypatch.setattr(context.shutil, "disk_usage", lambda _: SimpleNamespace(free=context.LEAST_DISK))
    Service.check_open(service)
    monkeypatch.setattr(context.shutil, "disk_usage", lambda _: SimpleNamespace(free=context.LEAST_DISK - 1))
    with pytest.raises(DiskFullError, match="the least is 2,147,483,648"):
        Service.check_open(service)


def test_a_sweep_that_fails_is_followed_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def fail(*_: Any) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise asyncio.CancelledError
        raise OSError("the disk is away")

    monkeypatch.setattr(retention, "sweep", fail)
    monkeypatch.setattr(retention, "SWEEP_SECONDS", 0.0)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(retention.keep_sweeping(None, None))  # type: ignore[arg-type]
    assert len(calls) == 3
