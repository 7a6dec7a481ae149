"""The service as its clients see it: a real server and a real worker, which draws flat grounds."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from cyclorama.cli import main
from cyclorama.generation.scenes import SceneModel
from cyclorama.scenes.brand import parse_colour
from cyclorama.scenes.model import draw_style
from cyclorama.service.jobs import count_images
from cyclorama.service.store import Store
from quick_service import draw_flat
from service_server import TINY, ServiceProcess

PRODUCT = Path(__file__).resolve().parents[2] / "src/cyclorama/weights/demo/products/perfume/01.webp"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    running = ServiceProcess(tmp_path_factory.mktemp("service") / "data", quick=True)
    running.start()
    yield running
    if running.process.poll() is None:
        assert running.stop() == 0, running.log


@pytest.fixture(scope="module")
def asset(server: ServiceProcess) -> str:
    return server.upload(PRODUCT)


def submit(server: ServiceProcess, asset: str, count: int = 1, **values: object) -> str:
    items = [{"image": asset, "category": "perfume", "seed": n} for n in range(count)]
    answer = server.send("/v1/jobs", {"items": items, "settings": TINY} | values)
    assert answer.status == 202, answer.body
    return str(answer.json["id"])


def test_one_call_gives_the_bytes_of_the_command(
    server: ServiceProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SceneModel, "draw", draw_flat)
    fields = {"image": (PRODUCT.name, PRODUCT.read_bytes()), "category": "perfume", **TINY}
    answer = server.send_form("/v1/images", fields)
    assert answer.status == 200, answer.body
    options = ["--category", "perfume", "--preset", "fast", "--size", "64x64", "--quiet"]
    assert main(["generate", str(PRODUCT), "--out", str(tmp_path), *options]) == 0
    assert answer.body == (tmp_path / "images" / "01.png").read_bytes()
    assert answer.headers["cyclorama-exact"] == "true" and answer.headers["content-type"] == "image/png"
    row = json.loads((tmp_path / "results.jsonl").read_text())
    assert answer.headers["cyclorama-seed"] == str(row["seed"])
    image = server.get(answer.headers["location"])
    assert (image["category"], image["sha256"]) == (row["category"], row["image_sha256"])
    assert image["report"]["opaque_pixels"] == row["opaque_pixels"]


def test_one_call_says_in_a_problem_what_is_wrong(server: ServiceProcess) -> None:
    photo = ("a.webp", PRODUCT.read_bytes())
    wrong = {
        "SettingsError": {"image": photo, "model": "mine"},
        "RequestError": {"image": photo, "preset": "quick"},
        "UnreadableImageError": {"image": ("a.png", b"\x89PNG no image")},
    }
    for name, fields in wrong.items():
        answer = server.send_form("/v1/images", fields)
        assert 400 <= answer.status < 500 and answer.headers["content-type"] == "application/problem+json"
        assert answer.json["type"] == f"urn:cyclorama:error:{name}", answer.json
    several = server.send_form("/v1/images", {"image": photo, "outputs": "1:1,3:4"})
    assert several.status == 400 and "one call makes one image" in several.json["detail"]


def test_a_browser_keeps_the_pages_files_while_they_are_the_same(server: ServiceProcess) -> None:
    for path in ("/", "/studio/api.js"):
        first = server.ask("GET", path)
        assert (first.status, first.headers["cache-control"]) == (200, "no-cache") and first.body
        known, other = ({"If-None-Match": tag} for tag in (first.headers["etag"], '"another"'))
        same = server.ask("GET", path, headers=known)
        assert (same.status, same.body) == (304, b"")
        assert server.ask("GET", path, headers=other).body == first.body


def test_a_job_gives_a_row_for_every_image_failed_ones_too(server: ServiceProcess, asset: str) -> None:
    blank = io.BytesIO()
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(blank, "PNG")
    empty = server.send_form("/v1/assets", {"file": ("blank.png", blank.getvalue())}).json["id"]
    items = [{"image": asset, "category": "perfume"}, {"image": empty}]
    settings = {"preset": "fast", "outputs": ["64x64", "80x64"], "format": "webp"}
    answer = server.send("/v1/jobs?wait=100", {"items": items, "settings": settings})
    assert answer.status == 200 and answer.json["state"] == "done", answer.json
    images = answer.json["images"]
    states = [(image["item"], image["output"], image["state"]) for image in images]
    assert states == [(0, 0, "done"), (0, 1, "done"), (1, 0, "failed"), (1, 1, "failed")]
    assert (images[1]["width"], images[1]["height"]) == (80, 64)
    problem = images[2]["error"]
    assert problem["type"].startswith("urn:cyclorama:error:") and problem["status"] == 400
    assert str(server.data) not in problem["detail"] and "blobs" not in problem["detail"]

    job = answer.json["id"]
    with zipfile.ZipFile(io.BytesIO(server.ask("GET", f"/v1/jobs/{job}/archive.zip").body)) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist())[:2] == ["images/01.64x64.webp", "images/01.80x64.webp"]
        rows = [json.loads(line) for line in archive.read("results.jsonl").splitlines()]
        made = archive.read("images/01.64x64.webp")
    assert [row["state"] for row in rows] == ["done", "done", "failed", "failed"]
    assert made == server.ask("GET", f"/v1/images/{images[0]['id']}/file").body

    again = server.send(f"/v1/jobs/{job}/retry", None)
    assert again.json["counts"]["done"] == 2
    assert server.wait_for(job)["counts"] == answer.json["counts"]


def test_an_image_has_its_parts_and_takes_a_verdict(server: ServiceProcess, asset: str) -> None:
    [image] = server.wait_for(submit(server, asset))["images"]
    place = f"/v1/images/{image['id']}"
    file = Image.open(io.BytesIO(server.ask("GET", f"{place}/file").body))
    plate = np.asarray(Image.open(io.BytesIO(server.ask("GET", f"{place}/plate").body)))
    assert plate.shape == (64, 64, 3) and (np.asarray(file)[:4] == plate[:4]).all()  # no product up there
    small = Image.open(io.BytesIO(server.ask("GET", f"{place}/thumbnail").body))
    assert small.format == "WEBP"
    assert server.get(f"{place}/recipe")["seed"] == 0
    style = yaml.safe_load(server.ask("GET", f"{place}/style").body)
    drawn = draw_style("perfume", 0)
    assert (style["scene"], tuple(style["elements"]), style["layout"]) == (
        "perfume",
        drawn.elements,
        drawn.layout,
    )
    assert parse_colour(style["wall"]) == pytest.approx(drawn.wall, abs=1 / 255)
    known = {"If-None-Match": f'"{image["sha256"]}"'}
    assert server.ask("GET", f"{place}/file", headers=known).status == 304

    change = {"decision": "rejected", "reasons": ["floats"], "note": "stand it down"}
    changed = server.send(place, change, "PATCH").json
    assert (changed["decision"], changed["reasons"], changed["note"]) == (
        "rejected",
        ["floats"],
        "stand it down",
    )
    assert [found["id"] for found in server.get("/v1/images?decision=rejected")["items"]] == [image["id"]]
    assert server.ask("DELETE", place).status == 204
    assert server.ask("GET", f"{place}/file").status == 409


def test_layers_put_together_are_the_image(server: ServiceProcess, asset: str) -> None:
    [image] = server.wait_for(submit(server, asset))["images"]
    place = f"/v1/images/{image['id']}"
    flat = np.asarray(Image.open(io.BytesIO(server.ask("GET", f"{place}/file").body))).astype(float)
    answer = server.ask("GET", f"{place}/layers.zip")
    assert answer.status == 200, answer.body
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        parts = {n: np.asarray(Image.open(archive.open(n))).astype(float) for n in archive.namelist()}
    assert sorted(parts) == ["background.png", "product.png", "shadow.png"]
    alpha, shadow = parts["product.png"][..., 3:] / 255, parts["shadow.png"][..., 3:] / 255
    mixed = alpha * parts["product.png"][..., :3] + (1 - alpha) * (1 - shadow) * parts["background.png"]
    assert (np.rint(mixed) == flat).all() and shadow.max() > 0.1
    again = server.ask("GET", f"{place}/layers.zip")
    assert again.body == answer.body and again.headers["etag"] == answer.headers["etag"]
    assert server.ask("GET", f"{place}/layers.psd").body.startswith(b"8BPS")
    assert server.ask("GET", f"{place}/layers.gif").status == 400


def read_pixels(server: ServiceProcess, path: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(server.ask("GET", path).body)))


def test_a_product_is_moved_and_its_shadow_taken_away_without_a_model(
    server: ServiceProcess, asset: str
) -> None:
    settings = {"preset": "fast", "outputs": ["96x96"], "product_scale": 0.5}
    [image] = server.wait_for(submit(server, asset, settings=settings))["images"]
    place = f"/v1/images/{image['id']}"
    known = server.get(f"{place}/parts")
    box, names = known["box"], known["parts"]
    assert box == known["lit_box"] and {"lit", "empty", "shadow", "product"} <= set(names)
    flat, empty = read_pixels(server, f"{place}/file"), read_pixels(server, f"{place}/parts/empty")
    product = read_pixels(server, f"{place}/parts/product")

    def recompose(**values: object) -> tuple[dict[str, object], np.ndarray]:
        answer = server.send(f"{place}/recompose", values)
        assert answer.status == 201, answer.body
        return answer.json, read_pixels(server, f"/v1/images/{answer.json['id']}/file")

    same, pixels = recompose()
    assert (same["parent"], same["candidate"], same["moved"]) == (image["id"], 2, False)
    outside = product[..., 3] == 0
    assert (pixels[outside] == flat[outside]).all() and np.abs(pixels.astype(int) - flat).max() <= 1

    by = 8 if box["left"] >= 8 else -8
    moved, pixels = recompose(left=box["left"] - by)
    opaque = np.roll(product, -by, 1)
    assert moved["moved"] and moved["report"]["exact"] and moved["report"]["opaque_pixels"] > 100
    assert (pixels[opaque[..., 3] == 255] == opaque[..., :3][opaque[..., 3] == 255]).all()

    bare, pixels = recompose(shadow=0, format="webp")
    assert bare["media_type"] == "image/webp"
    assert (pixels[outside].astype(int) - empty[outside]).min() >= -1  # nothing is darker
    again = server.send(f"/v1/images/{moved['id']}/recompose", {"left": box["left"]}).json
    back = read_pixels(server, f"/v1/images/{again['id']}/file")
    assert not again["moved"] and (back[outside] == flat[outside]).all()

    scale = 0.9 * known["scale"]
    smaller, _ = recompose(scale=scale)
    found = server.get(f"/v1/images/{smaller['id']}/parts")["box"]
    assert found["height"] == round(known["photo_box"]["height"] * scale)
    refused = server.send(f"{place}/recompose", {"left": 90})
    assert refused.status == 400 and "left is 0 to" in refused.json["detail"]
    job = server.get(f"/v1/jobs/{image['job']}")
    assert job["counts"]["done"] == len(job["images"]) == 6
    with zipfile.ZipFile(io.BytesIO(server.ask("GET", f"/v1/jobs/{job['id']}/archive.zip").body)) as archive:
        assert len(archive.namelist()) == len(set(archive.namelist())) == 7


def test_a_job_takes_what_its_brand_says(server: ServiceProcess, asset: str) -> None:
    kit = {"name": "Kelp", "palette": ["#204030", "#e0d8c8"], "outputs": ["64x80"], "format": "webp"}
    brand = server.send("/v1/brands", kit).json
    assert (brand["version"], brand["palette"], brand["use_words"]) == (1, kit["palette"], [])
    later = server.send(f"/v1/brands/{brand['id']}", {"outputs": ["80x64"]}, "PATCH").json
    assert (later["version"], later["palette"], later["outputs"]) == (2, kit["palette"], ["80x64"])
    assert server.get(f"/v1/brands/{brand['id']}?version=1")["outputs"] == ["64x80"]
    assert [found["version"] for found in server.get("/v1/brands")["items"]] == [2]

    order = {
        "items": [{"image": asset, "category": "perfume"}],
        "settings": {"preset": "fast"},
        "brand": brand["id"],
    }
    made = server.send("/v1/jobs?wait=100", order).json
    [image] = made["images"]
    assert (image["width"], image["height"], image["media_type"]) == (80, 64, "image/webp")
    assert made["request"]["brand_version"] == 2 and image["style"] is not None
    style = yaml.safe_load(server.ask("GET", f"/v1/assets/{made['request']['items'][0]['style']}/file").body)
    assert (style["wall"], style["floor"], style["accent"]) == ("#204030", "#e0d8c8", "#e0d8c8")

    form = {"image": asset, "category": "perfume", "preset": "fast", "brand": brand["id"]}
    assert Image.open(io.BytesIO(server.send_form("/v1/images", form).body)).size == (80, 64)
    server.send(f"/v1/brands/{brand['id']}", {"outputs": ["80x64", "64x64"]}, "PATCH")
    refused = server.send_form("/v1/images", form)
    assert refused.status == 400 and "its brand's canvases" in refused.json["detail"]

    own = {**order, "brand_version": 1, "settings": {"preset": "fast", "outputs": ["64x64"], "format": "png"}}
    request = server.send("/v1/jobs", own).json["request"]
    assert (request["settings"]["outputs"], request["settings"]["format"], request["brand_version"]) == (
        ["64x64"],
        "png",
        1,
    )

    wrong = {"outputs": ["1:99"]}, {"palette": ["red"]}, {"style": "as_none"}, {"format": "png", "quality": 3}
    for change, status in zip(wrong, (400, 400, 404, 400), strict=True):
        answer = server.send(f"/v1/brands/{brand['id']}", change, "PATCH")
        assert answer.status == status, answer.body
    assert server.send("/v1/jobs", order | {"brand_version": 9}).status == 404
    assert server.ask("DELETE", f"/v1/brands/{brand['id']}").status == 204
    assert server.send("/v1/jobs", order).status == 404


def test_events_come_in_order_and_go_on_where_a_reader_left(server: ServiceProcess, asset: str) -> None:
    job = submit(server, asset, 2, lane="interactive", preview=True)
    events, shown = [], []
    for event in server.follow(job, last="0"):
        events.append(event)
        if event["type"] == "preview":
            shown.append(server.ask("GET", f"/v1/images/{event['image']}/preview"))
        if event["type"] == "done":
            break
    kinds = [event["type"] for event in events]
    assert kinds[0] == "queued" and kinds[-1] == "done" and kinds.count("image") == 2
    for image in {event["image"] for event in events if "image" in event}:
        own = [event["type"] for event in events if event.get("image") == image]
        assert own.index("started") < own.index("preview") < own.index("image")
    for answer in shown:
        assert (
            max(Image.open(io.BytesIO(answer.body)).size) in (32, 64)
            and answer.headers["cache-control"] == "no-store"
        )
    assert events[-1]["counts"]["done"] == 2 and events[-1]["state"] == "done"
    numbers = [int(event["id"]) for event in events]
    assert numbers == sorted(set(numbers))
    rest = server.follow(job, last=str(numbers[1]))
    assert [next(rest)["id"] for _ in numbers[2:]] == [str(number) for number in numbers[2:]]
    unknown = server.follow(last="999999999")
    first = next(unknown)
    assert first["type"] == "resync" and numbers[-1] <= int(first["id"]) < 999999999
    other = submit(server, asset)
    assert next(event for event in unknown if event["job"] == other)["type"] == "queued"
    server.wait_for(other)


def test_a_request_that_comes_twice_is_done_once(server: ServiceProcess, asset: str) -> None:
    values = {"items": [{"image": asset, "category": "perfume"}], "settings": TINY}
    ask = {"Idempotency-Key": "order-1"}
    first = server.send("/v1/jobs", values, **ask)
    second = server.send("/v1/jobs", values, **ask)
    assert (second.status, second.body) == (first.status, first.body)
    assert second.headers["idempotent-replay"] == "true" and "idempotent-replay" not in first.headers
    other = server.send("/v1/jobs", values | {"seed": 1}, **ask)
    assert other.status == 422 and other.json["type"] == "urn:cyclorama:error:KeyReusedError"
    fields = {"image": (PRODUCT.name, PRODUCT.read_bytes()), "category": "perfume", **TINY}
    one, two = (server.send_form("/v1/images", fields, **{"Idempotency-Key": "order-2"}) for _ in "ab")
    assert one.body == two.body and one.headers["location"] == two.headers["location"]
    server.wait_for(first.json["id"])


def test_cancel_ends_a_job_at_once(server: ServiceProcess, asset: str) -> None:
    job = submit(server, asset, 40)
    assert next(e for e in server.follow(job, last="0") if e["type"] == "started")
    start = time.monotonic()
    answer = server.send(f"/v1/jobs/{job}/cancel", None).json
    assert time.monotonic() - start < 2
    assert answer["state"] == "cancelled" and answer["counts"]["queued"] == answer["counts"]["running"] == 0
    [image] = server.wait_for(submit(server, asset))["images"]  # the worker goes on with other work
    assert image["state"] == "done"
    assert server.get(f"/v1/jobs/{job}")["counts"] == answer["counts"]


def hang_up(server: ServiceProcess, asset: str, **headers: str) -> str:
    """The job of a one-call whose client goes away while the image waits."""
    before = server.get("/v1/jobs")["items"][0]["id"]
    connection = server.connect()
    body = f'--b\r\nContent-Disposition: form-data; name="image"\r\n\r\n{asset}\r\n--b--\r\n'
    heads = {"Content-Type": "multipart/form-data; boundary=b"} | headers
    connection.request("POST", "/v1/images", body, heads)
    until = time.monotonic() + 20
    while (newest := server.get("/v1/jobs")["items"][0])["id"] == before and time.monotonic() < until:
        time.sleep(0.02)
    connection.close()
    assert newest["id"] != before
    return str(newest["id"])


def test_who_hangs_up_on_the_one_call_cancels_it_unless_a_key_asks_again(
    server: ServiceProcess, asset: str
) -> None:
    wall = submit(server, asset, 12, lane="interactive")
    kept = hang_up(server, asset, **{"Idempotency-Key": "come-back"})
    gone = hang_up(server, asset)
    until = time.monotonic() + 20
    while server.get(f"/v1/jobs/{gone}")["state"] == "queued" and time.monotonic() < until:
        time.sleep(0.05)
    assert server.get(f"/v1/jobs/{gone}")["state"] == "cancelled"
    assert server.get(f"/v1/jobs/{kept}")["state"] == "queued"
    again = server.send_form("/v1/images", {"image": asset}, **{"Idempotency-Key": "come-back"})
    assert again.status == 409 and kept in again.json["detail"]
    for job in (wall, kept):
        server.send(f"/v1/jobs/{job}/cancel", None)


def test_the_server_says_what_it_can_and_how_it_does(server: ServiceProcess) -> None:
    assert [model["name"] for model in server.get("/v1/models")["items"]] == ["scenes"]
    names = {category["name"]: category["words"] for category in server.get("/v1/categories")["items"]}
    assert "bottle" in names["perfume"] or names["perfume"]
    presets = server.get("/v1/presets")["items"]
    assert [p["name"] for p in presets] == ["quality", "balanced", "fast"] and presets[2]["seconds"] > 0
    assert server.ask("GET", "/readyz").status == 200
    metrics = server.ask("GET", "/metrics").body.decode()
    assert re.search(
        r'cyclorama_requests_total\{code="200",method="GET",route="/v1/jobs/\{id\}"\} [1-9]', metrics
    )
    assert 'cyclorama_workers{state="ready"} 1.0' in metrics


@pytest.mark.skipif(sys.platform != "linux", reason="asks the system what the process has loaded")
def test_the_server_itself_loads_nothing_that_draws(server: ServiceProcess) -> None:
    """Libraries of the process that answers, after jobs were done."""
    loaded = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert "pydantic_core" in loaded
    for name in ("mitsuba", "drjit", "torch", "onnxruntime", "numba", "oidn"):
        assert name not in loaded.lower(), name


def list_children(server: ServiceProcess) -> list[int]:
    """Process ids of the server's workers, and of those that read files for it."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == server.process.pid and b"spawn_main" in (place / "cmdline").read_bytes():
                found.append(int(place.name))
        except OSError:
            continue
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="finds processes under /proc")
def test_killed_workers_and_servers_lose_nothing_and_make_nothing_twice(
    server: ServiceProcess, asset: str
) -> None:
    calm = server.wait_for(submit(server, asset, 4))
    hit = submit(server, asset, 4)
    started = (e for e in server.follow(hit, last="0") if e["type"] == "started")
    next(started)
    children = list_children(server)
    assert len(children) >= 2
    for child in children:
        os.kill(child, signal.SIGKILL)
    next(e for e in server.follow(hit, last="0") if e["type"] == "image")
    server.stop(signal.SIGKILL)
    server.start()
    after = server.wait_for(hit)
    assert after["state"] == "done"
    assert [i["sha256"] for i in after["images"]] == [i["sha256"] for i in calm["images"]]
    kinds = [e["type"] for e in _read_all(server, hit)]
    assert kinds.count("image") == 4 and kinds.count("done") == 1


def _read_all(server: ServiceProcess, job: str) -> Iterator[dict[str, object]]:
    for event in server.follow(job, last="0"):
        yield event
        if event["type"] == "done":
            return


def test_on_sigterm_images_in_hand_are_finished_and_the_rest_waits(
    server: ServiceProcess, asset: str
) -> None:
    job = submit(server, asset, 30)
    events = server.follow(job, last="0")
    assert next(e for e in events if e["type"] == "started")
    server.process.send_signal(signal.SIGTERM)
    last = [event["type"] for event in events][-1]
    assert server.process.wait(60) == 0 and last == "bye"
    store = Store(server.data)
    with store.read() as connection:
        counts = count_images(connection, job)
    store.close()
    assert counts.get("done", 0) >= 1 and set(counts) <= {"done", "queued"}
    assert sum(counts.values()) == 30
