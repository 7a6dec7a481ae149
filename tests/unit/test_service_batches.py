"""Batches: what a table from others may name, what a zip may hold, whose a batch is, how it goes on."""

from __future__ import annotations

import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import update

from cyclorama.data.table import open_table
from cyclorama.errors import (
    BodyTooLargeError,
    ManifestError,
    NotReadyError,
    QuotaError,
    RequestError,
    UnknownIdError,
)
from cyclorama.generation.settings import GenerateConfig
from cyclorama.service import batch_input, batch_runner, batches, tables
from cyclorama.service.batch_input import clean_path, look_at_table, unpack_images
from cyclorama.service.batch_runner import BatchRunner
from cyclorama.service.batch_schemas import BatchRequest
from cyclorama.service.brands import BrandKit, BrandReference, add_brand, dress_batch
from cyclorama.service.settings import ServiceSettings
from cyclorama.service.store import Store, find
from service_store import add_asset

OUTSIDE = ["/etc/hostname", "../secret.png", "a/../../secret.png", "~/secret.png", "file:///etc/hostname",
           "..\\secret.png", "%2e%2e/secret.png", "s3://bucket/a.png", "memory://a.png",
           "/etc/hostname::0+4", "simplecache::file:///etc/hostname"]  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data")


def add(store: Store, key: str = "local", **found: Any) -> str:
    id, _ = batches.begin_batch(store)
    stated = {"name": "t.csv", "kind": "CSV", "rows": 2, "files": 0} | found
    with store.write() as connection:
        return batches.add_batch(connection, id, key, stated, "scenes")


@pytest.mark.parametrize("field", ["image", "mask", "reference", "style_file"])
@pytest.mark.parametrize("cell", OUTSIDE)
def test_a_table_from_others_names_nothing_outside_its_folder(tmp_path: Path, cell: str, field: str) -> None:
    (tmp_path / "secret.png").write_bytes(b"no")
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"yes")
    image = cell if field == "image" else "a.png"
    others = "" if field == "image" else f",{field}"
    last = "" if field == "image" else f',"{cell}"'
    (folder / "t.csv").write_text(f'image{others}\n"{image}"{last}\na.png{"," if others else ""}\n')
    bad, good = open_table(folder / "t.csv", inside=True, check_files=False)
    assert good.error is None and good.values["image"] == str(folder / "a.png")
    if field == "mask":  # a cell that is no file beside the table is a remark
        assert "mask" not in bad.values
    else:
        assert bad.error is not None and ("outside the table's folder" in bad.error)
        assert bad.values.get(field, "") in ("", cell)


@pytest.mark.parametrize("name", ["../a.png", "/a.png", "C:\\a.png", "a/../../b.png", "~/a", "", ".", "a\0b"])
def test_a_zip_writes_nothing_elsewhere(tmp_path: Path, name: str) -> None:
    with pytest.raises(RequestError, match="is no name of a file"):
        clean_path(name)
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as target:
        info = zipfile.ZipInfo("x")
        info.filename = name or "/"
        target.writestr(info, b"evil")
    folder = tmp_path / "deep" / "in"
    folder.mkdir(parents=True)
    if "\0" not in name:  # zipfile itself ends a name there
        with pytest.raises(RequestError):
            unpack_images(archive, folder)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [archive]


def test_a_zip_is_unpacked_by_its_names_and_leaves_the_table_alone(tmp_path: Path) -> None:
    archive, folder = tmp_path / "a.zip", tmp_path / "in"
    folder.mkdir()
    (folder / "t.csv").write_text("mine")
    with zipfile.ZipFile(archive, "w") as target:
        for name in ("a.png", "deep/b.png", "t.csv", "__MACOSX/a.png"):
            target.writestr(name, name)
    assert unpack_images(archive, folder, "t.csv") == 2
    found = {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*.*")}
    assert found == {"a.png": "a.png", "deep/b.png": "deep/b.png", "t.csv": "mine"}


def test_what_no_zip_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(b"PK no zip")
    with pytest.raises(RequestError, match="cannot be unpacked"):
        unpack_images(archive, tmp_path)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("big.png", bytes(5000))
    monkeypatch.setattr(batch_input, "FILE_BYTES", 4999)
    with pytest.raises(BodyTooLargeError, match="big.png goes over it"):
        unpack_images(archive, tmp_path)
    assert not (tmp_path / "big.png").exists()


def test_what_a_table_holds_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asset = "as_" + "0a" * 12
    rows = [
        {"Bild": f"{n}.png", "Warengruppe": "mug", "note": asset if n == 30 else "x" * 300} for n in range(40)
    ]
    lines = ["Bild;Warengruppe;note", *(";".join(row.values()) for row in rows)]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    for name, kind in (("t.csv", "CSV"), ("t.parquet", "Parquet")):
        found, named = look_at_table(tmp_path / name)
        assert (found["name"], found["kind"], found["rows"]) == (name, kind, 40)
        assert found["columns"] == ["Bild", "Warengruppe", "note"]
        assert found["fields"] == {"image": ["Bild"], "category": ["Warengruppe"]}
        assert len(found["sample"]) == 20 and found["sample"][1]["Bild"] == "1.png"
        assert len(found["sample"][0]["note"]) == 120
        assert named == [asset]
    monkeypatch.setattr(batch_input, "MAX_ROWS", 39)
    with pytest.raises(ManifestError, match="t.csv has more than 39 rows") as caught:
        look_at_table(tmp_path / "t.csv")
    assert str(tmp_path) not in str(caught.value)
    (tmp_path / "none.csv").write_text("sku,price\n1,2\n")
    assert look_at_table(tmp_path / "none.csv")[0]["fields"].get("image") is None  # the user maps it


def test_a_batch_is_its_keys_own(store: Store) -> None:
    id = add(store, "a")
    acts = (batches.find_batch, batches.cancel_batch, batches.drop_batch)
    for act in acts:
        with pytest.raises(UnknownIdError):
            act(store, "b", id)
    with pytest.raises(UnknownIdError):
        batches.ask(store, "b", id, "queued", None)
    asset = add_asset(store, "b", b"theirs")
    with pytest.raises(UnknownIdError):
        batches.link_assets(store, "a", {"a.png": asset}, batches.find_folder(store, id) / "input")
    batches.link_known(store, "a", [asset], batches.find_folder(store, id) / "input")
    assert list((batches.find_folder(store, id) / "input").iterdir()) == []


def test_assets_stand_beside_the_table_by_name_and_outlive_their_rows(store: Store) -> None:
    id, asset = add(store), add_asset(store, content=b"photo")
    folder = batches.find_folder(store, id) / "input"
    batches.link_known(store, "local", [asset], folder)
    batches.link_assets(store, "local", {"deep/a.png": asset}, folder, "t.csv")
    with pytest.raises(RequestError, match="table's own name"):
        batches.link_assets(store, "local", {"t.csv": asset}, folder, "t.csv")
    with pytest.raises(RequestError, match="both a file and a folder"):
        batches.link_assets(store, "local", {"deep": asset}, folder)
    for blob in store.blobs.scan():
        store.blobs.drop(blob.digest)
    assert (folder / asset).read_bytes() == (folder / "deep/a.png").read_bytes() == b"photo"


def test_states_of_a_batch(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    id = add(store)
    with pytest.raises(NotReadyError, match="was not run yet"):
        batches.ask(store, "local", id, "queued", None, retry=True)
    request = BatchRequest.model_validate({"seed": 3, "settings": {"preset": "fast"}})
    batches.ask(store, "local", id, "queued", request)
    row = batches.find_batch(store, "local", id)
    assert (row["state"], row["request"]["seed"], row["request"]["settings"]) == (
        "queued",
        3,
        {"preset": "fast"},
    )
    for act in (
        lambda: batches.ask(store, "local", id, "checking", None),
        lambda: batches.drop_batch(store, "local", id),
    ):
        with pytest.raises(NotReadyError, match="queued"):
            act()
    monkeypatch.setattr(batches, "MAX_BUSY_OF_A_KEY", 1)
    other = add(store)
    with pytest.raises(QuotaError, match="the limit is 1"):
        batches.ask(store, "local", other, "queued", None)
    batches.cancel_batch(store, "local", id)
    assert batches.find_batch(store, "local", id)["state"] == "cancelled"
    batches.ask(store, "local", id, "queued", None, retry=True)
    with store.write() as connection:
        connection.execute(update(tables.batches).values(state="done"))
        assert find(connection, tables.batches, id, "local")["retry"] is True
    batches.drop_batch(store, "local", id)
    assert not batches.find_folder(store, id).exists()


def read_runner(store: Store, id: str) -> tuple[str, str | None]:
    row = batches.find_batch(store, "local", id)
    return row["state"], row["runner"]


def test_a_batch_goes_on_under_another_name_of_its_machine_once_nobody_is_at_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, ids = ServiceSettings(data=store.folder), {}
    for state in ("queued", "checking"):
        ids[state] = add(store)
        batches.ask(store, "local", ids[state], state, None)
    started: list[str] = []
    child = SimpleNamespace(start=lambda: started.append("one"), is_alive=lambda: True)
    context = SimpleNamespace(Process=lambda **_: child)
    monkeypatch.setattr(batch_runner.multiprocessing, "get_context", lambda _: context)
    monkeypatch.setattr(batch_runner.socket, "gethostname", lambda: "old")
    old = BatchRunner(settings, store)
    begun = [old._begin(what) for what in ("run", "check")]
    assert len(started) == 2 and read_runner(store, ids["queued"]) == ("running", old._name)
    monkeypatch.setattr(batch_runner.socket, "gethostname", lambda: "new")
    new = BatchRunner(settings, store)
    new._recover_left()
    assert read_runner(store, ids["queued"]) == ("running", old._name), "its lock is held"
    assert new._begin("run") is None
    for one in begun:
        assert one is not None
        one.lock.close()  # as the end of its process does
    new._recover_left()
    assert [read_runner(store, ids[state]) for state in ids] == [("queued", None), ("checking", None)]
    again = new._begin("run")
    assert again is not None and read_runner(store, ids["queued"]) == ("running", new._name)
    again.lock.close()


def test_a_batch_whose_files_are_elsewhere_is_left_alone(store: Store, tmp_path: Path) -> None:
    id = add(store)
    with store.write() as connection:
        connection.execute(update(tables.batches).values(state="running", runner="other:1"))
    batches.find_folder(store, id).rename(tmp_path / "elsewhere")
    BatchRunner(ServiceSettings(data=store.folder), store)._recover_left()
    assert read_runner(store, id) == ("running", "other:1")


def test_a_batch_takes_what_its_brand_says_where_it_says_nothing_itself(store: Store) -> None:
    look, own = (add_asset(store, content=content) for content in (b"look", b"own"))
    kit = BrandKit(name="Kelp", references=(BrandReference(image=look),), outputs=("1:1",), format="webp")
    brand = add_brand(store, "local", kit)
    handle: Any = SimpleNamespace(learned=False)
    order = BatchRequest(brand=brand.id, settings=GenerateConfig(preset="fast"))
    dressed = dress_batch(store, "local", handle, order)
    assert (dressed.reference, dressed.brand_version, dressed.category) == (look, 1, None)
    assert batches.to_plain_request(dressed)["settings"] == {
        "preset": "fast",
        "outputs": ["1:1"],
        "format": "webp",
    }
    said = order.model_copy(update={"reference": own, "settings": GenerateConfig(size="64x64")})
    dressed = dress_batch(store, "local", handle, said)
    assert (dressed.reference, dressed.settings.outputs, dressed.settings.format) == (own, (), "webp")
    assert dress_batch(store, "local", handle, BatchRequest()) == BatchRequest()
    with pytest.raises(UnknownIdError):
        dress_batch(store, "other", handle, order)
