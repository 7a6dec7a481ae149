"""A batch as its users see it: a real server and its child processes, which draw flat grounds."""

from __future__ import annotations

import hashlib
import io
import json
import signal
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cyclorama.cli import main
from cyclorama.generation.scenes import SceneModel
from drawn import save_product
from quick_service import draw_flat
from service_server import SECONDS, TINY, ServiceProcess

COUNT = 4


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    running = ServiceProcess(tmp_path_factory.mktemp("batches") / "data", ("--workers", "0"), quick=True)
    running.start()
    yield running
    if running.process.poll() is None:
        assert running.stop() == 0, running.log


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Products and their table, as a shop has them."""
    folder = tmp_path_factory.mktemp("shop")
    for number in range(COUNT):
        save_product(folder / f"pictures/p{number}.png", number, (64, 64), soft=False)
    lines = ["Bild,Warengruppe,sku", *(f"pictures/p{n}.png,perfume,{n}" for n in range(COUNT))]
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    return folder


def pack(folder: Path) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for path in sorted(folder.rglob("*.png")):
            archive.write(path, path.relative_to(folder).as_posix())
    return made.getvalue()


def begin(server: ServiceProcess, shop: Path, table: str | None = None, **headers: str) -> Any:
    text = table or (shop / "table.csv").read_text()
    fields = {"table": ("table.csv", text.encode()), "images": ("images.zip", pack(shop))}
    answer = server.send_form("/v1/batches", fields, **headers)
    assert answer.status == 201, answer.body
    return answer.json


def wait(server: ServiceProcess, id: str) -> Any:
    until = time.monotonic() + SECONDS
    while (found := server.get(f"/v1/batches/{id}"))["state"] in ("checking", "queued", "running"):
        assert time.monotonic() < until, found
        time.sleep(0.2)
    return found


def digest(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def command(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command makes of the shop's table."""
    out = tmp_path_factory.mktemp("command") / "out"
    make(shop / "table.csv", out, "--size", "64x64", "--seed", "7")
    return out


def make(source: Path, out: Path, *options: str) -> None:
    """The command over ``source``, with flat grounds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SceneModel, "draw", draw_flat)
        options = ("--preset", "fast", "--quiet", *options)
        assert main(["generate", str(source), "--out", str(out), *options]) == 0


def test_a_table_is_mapped_checked_and_made_as_by_the_command(
    server: ServiceProcess, shop: Path, command: Path, tmp_path: Path
) -> None:
    made = begin(server, shop)
    table = made["table"]
    assert made["state"] == "open" and made["files"] == COUNT and table["rows"] == COUNT
    assert table["fields"] == {"image": ["Bild"], "category": ["Warengruppe"], "product_id": ["sku"]}
    assert table["sample"][0] == {"Bild": "pictures/p0.png", "Warengruppe": "perfume", "sku": "0"}
    place, order = f"/v1/batches/{made['id']}", {"settings": TINY, "seed": 7}

    assert server.send(f"{place}/check", order).status == 202
    check = wait(server, made["id"])["check"]
    assert (check["rows"], check["problems"], check["images"], check["faults"]) == (COUNT, 0, COUNT, [])
    assert check["seconds"] > 0 and 0 < check["bytes"] < check["free_bytes"]
    assert [(found["used"], found["rows"]) for found in check["categories"]] == [("perfume", COUNT)]

    assert server.ask("POST", f"{place}/run").status == 202  # as it was checked
    assert server.ask("POST", f"{place}/run").status == 409
    ended = wait(server, made["id"])
    assert ended["state"] == "done" and ended["counts"]["done"] == COUNT, ended
    kinds = [event["type"] for event in _read(server, made["id"], 2)]
    assert kinds[:2] == ["queued", "started"] and kinds.count("done") == 2 and "progress" in kinds

    (tmp_path / "results.parquet").write_bytes(server.ask("GET", f"{place}/results.parquet").body)
    rows = pq.read_table(tmp_path / "results.parquet").to_pylist()
    assert rows == pq.read_table(command / "results.parquet").to_pylist()
    with zipfile.ZipFile(io.BytesIO(server.ask("GET", f"{place}/archive.zip").body)) as archive:
        archive.extractall(tmp_path / "archive")
    assert digest(tmp_path / "archive/images") == digest(command / "images")
    assert (tmp_path / "archive/results.jsonl").read_bytes() == (command / "results.jsonl").read_bytes()
    image = server.ask("GET", f"{place}/rows/1/image")
    assert hashlib.sha256(image.body).hexdigest() == rows[1]["image_sha256"]
    page = server.get(f"{place}/rows?limit=3")
    assert [row["row"] for row in page["items"]] == [0, 1, 2] and page["next"] == "2"
    assert [row["row"] for row in server.get(f"{place}/rows?after=2")["items"]] == [3]
    assert [found["id"] for found in server.get("/v1/batches")["items"]] == [made["id"]]
    assert server.ask("DELETE", place).status == 204
    assert server.ask("GET", place).status == 404 and not (server.data / "batches" / made["id"]).exists()


def _read(server: ServiceProcess, id: str, ends: int) -> Iterator[dict[str, Any]]:
    for event in server.follow(id, last="0"):
        yield event
        ends -= event["type"] == "done"
        if not ends:
            return


def test_rows_that_cannot_be_made_say_why_and_are_tried_again(server: ServiceProcess, shop: Path) -> None:
    asset = server.upload(shop / "pictures/p1.png")
    images = [
        "pictures/p0.png",
        asset,
        "/etc/hostname",
        "../data/service.sqlite",
        "later.png",
        "as_" + "0" * 24,
    ]
    made = begin(server, shop, "photo,category\n" + "\n".join(f"{image},perfume" for image in images))
    place = f"/v1/batches/{made['id']}"
    server.send(f"{place}/check", {"settings": TINY})
    [fault] = wait(server, made["id"])["check"]["faults"]
    reasons = {example["row"]: example["reason"] for example in fault["examples"]}
    assert fault["error"] == "ManifestError" and list(reasons) == [3, 4, 5, 6]
    assert all("outside the table's folder" in reasons[row] for row in (3, 4))
    assert all("no such file" in reasons[row] for row in (5, 6))

    server.ask("POST", f"{place}/run")
    ended = wait(server, made["id"])
    assert (ended["counts"]["done"], ended["counts"]["failed"]) == (2, 4)
    assert [(found["error"], found["count"]) for found in ended["failures"]] == [("ManifestError", 4)]
    failed = server.get(f"{place}/rows?status=failed")["items"]
    assert [row["row"] for row in failed] == [2, 3, 4, 5]
    assert str(server.data) not in json.dumps([ended, failed])

    later = server.send(f"{place}/files", {"files": {"later.png": asset}})
    assert later.status == 200 and later.json["files"] == made["files"] + 1, later.body
    assert server.ask("POST", f"{place}/retry").status == 202
    again = wait(server, made["id"])
    assert (again["counts"]["done"], again["counts"]["failed"]) == (3, 3)


def test_a_folder_goes_on_after_a_kill_of_the_server_and_after_cancel(
    server: ServiceProcess, shop: Path, tmp_path: Path
) -> None:
    """A batch without a table is the folder of its images."""
    answer = server.send_form("/v1/batches", {"images": ("images.zip", pack(shop / "pictures"))})
    assert answer.json["table"]["rows"] == COUNT
    place = f"/v1/batches/{answer.json['id']}"
    brand = server.send("/v1/brands", {"name": "Kelp", "outputs": ["64x64"], "format": "webp"}).json["id"]
    order = {"settings": {"preset": "fast"}, "category": "perfume", "brand": brand}
    request = server.send(f"{place}/run", order).json["request"]
    assert request["brand_version"] == 1 and request["settings"]["format"] == "webp"
    until = time.monotonic() + SECONDS
    while not server.get(place)["counts"]["done"] and time.monotonic() < until:
        time.sleep(0.05)
    server.stop(signal.SIGKILL)
    server.start()
    assert server.send(f"{place}/cancel", None).json["state"] == "cancelled"
    assert server.ask("GET", f"{place}/results.parquet").status in (200, 409)
    time.sleep(0.6)
    assert server.ask("POST", f"{place}/run").status == 202
    ended = wait(server, answer.json["id"])
    assert ended["state"] == "done" and ended["counts"]["done"] == COUNT
    make(shop / "pictures", tmp_path, "--category", "perfume", "--outputs", "64x64", "--format", "webp")
    out = server.data / "batches" / answer.json["id"] / "out"
    assert digest(out / "images") == digest(tmp_path / "images")


def test_the_same_request_makes_one_batch_and_bad_ones_none(server: ServiceProcess, shop: Path) -> None:
    heads = {"Idempotency-Key": "table-1"}
    first, second = begin(server, shop, **heads), begin(server, shop, **heads)
    assert first == second
    other = {"table": ("table.csv", b"image\na.png\n")}
    assert server.send_form("/v1/batches", other, **heads).status == 422
    folders = len(list((server.data / "batches").iterdir()))
    for fields, error in (
        ({"table": ("t.csv", b"no table at all")}, "UnreadableImageError"),
        ({"table": ("t.csv", b"image\na.png"), "images": ("a.zip", b"no zip")}, "RequestError"),
        ({"note": "nothing"}, "RequestError"),
    ):
        answer = server.send_form("/v1/batches", fields)  # type: ignore[arg-type]
        assert 400 <= answer.status < 500 and answer.json["type"].endswith(error), answer.body
    assert server.send("/v1/batches", {"table": "as_" + "0" * 24}).status == 404
    assert server.send(f"/v1/batches/{first['id']}/check", {"colour": {}}).status == 400
    assert len(list((server.data / "batches").iterdir())) == folders
    by_id = server.send("/v1/batches", {"table": server.upload(shop / "table.csv")})
    assert by_id.status == 201 and by_id.json["table"]["rows"] == COUNT
