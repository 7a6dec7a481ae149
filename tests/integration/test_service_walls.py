"""The walls of the service, each from outside: what a hostile client gets, and that the server goes on."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import update

from asgi import Answer, ask
from cyclorama.data import fetch
from cyclorama.service import keys, limits
from cyclorama.service.app import create_app
from cyclorama.service.archive import name_images
from cyclorama.service.auth import COOKIE
from cyclorama.service.settings import ServiceSettings
from cyclorama.service.submit import read_detail
from cyclorama.service.tables import images


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """An application that asks for keys, and three keys."""
    folder = tmp_path_factory.mktemp("walls") / "data"
    app = create_app(
        ServiceSettings(
            data=folder, auth="keys", workers=0, allow_urls=("cdn.example",), webhooks=("hooks.example",)
        )
    )
    service = app.state.service
    service.rates.requests = 10_000
    service.children.prepare = dict  # a quick start; matting is compiled here
    service.children.seconds = 100.0
    made = {name: keys.add_key(service.store, name, ["generate"]) for name in ("one", "two", "gone")}
    keys.revoke_key(service.store, made["gone"].split("_")[1])
    yield SimpleNamespace(app=app, service=service, keys=made, folder=folder)
    service.children.close()
    service.store.close()


def call(
    server: Any,
    method: str,
    path: str,
    key: str | None = "one",
    body: bytes = b"",
    kind: str = "image/png",
    **headers: str,
) -> Answer:
    given = {"content-type": kind} | {name.replace("_", "-"): value for name, value in headers.items()}
    if key is not None:
        given["authorization"] = f"Bearer {server.keys[key]}"
    return ask(server.app, method, path, given, [body])


def encode(pixels: Any, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def draw_ball() -> bytes:
    rows, columns = np.mgrid[:80, :80]
    pixels = np.full((80, 80, 3), 250, np.uint8)
    pixels[np.hypot(rows - 40, columns - 40) < 25] = (180, 30, 40)
    return encode(pixels)


BALL = draw_ball()


def build_form(body: bytes, name: str) -> tuple[bytes, str]:
    head = f'--cut\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    return head.encode() + body + b"\r\n--cut--\r\n", "multipart/form-data; boundary=cut"


def test_an_upload_is_one_asset_however_it_comes(server: Any) -> None:
    first = call(server, "POST", "/v1/assets?name=ball.png", body=BALL)
    assert (first.status, first.json["name"], first.json["width"], first.json["alpha"]) == (
        201,
        "ball.png",
        80,
        False,
    )
    form, kind = build_form(BALL, "other.png")
    again = call(server, "POST", "/v1/assets", body=form, kind=kind)
    assert (again.status, again.json) == (200, first.json)
    id = first.json["id"]
    file = call(server, "GET", f"/v1/assets/{id}/file")
    assert (file.body, file.headers["content-type"]) == (BALL, "image/png")
    assert file.headers["x-content-type-options"] == "nosniff"
    small = call(server, "GET", f"/v1/assets/{id}/thumbnail")
    with Image.open(io.BytesIO(small.body)) as image:
        assert (image.format, image.size) == ("WEBP", (80, 80))
    assert list((server.folder / "incoming").iterdir()) == []


@pytest.mark.parametrize("path", ["", "/file", "/thumbnail"])
def test_another_keys_ids_are_unknown(server: Any, path: str) -> None:
    id = call(server, "POST", "/v1/assets", body=BALL).json["id"]
    mine, foreign = (call(server, "GET", f"/v1/assets/{id}{path}", key) for key in ("one", "two"))
    unknown = call(server, "GET", f"/v1/assets/as_{'0' * 24}{path}", "two")
    assert (mine.status, foreign.status, unknown.status) == (200, 404, 404)
    assert foreign.json["detail"].replace(id, "") == unknown.json["detail"].replace("as_" + "0" * 24, "")
    assert call(server, "DELETE", f"/v1/assets/{id}", "two").status == 404
    order = f'{{"items": [{{"image": "{id}"}}]}}'.encode()
    assert call(server, "POST", "/v1/jobs", "two", order, "application/json").status == 404
    cut = f'{{"image": "{id}"}}'.encode()
    assert call(server, "POST", "/v1/cutouts", "two", cut, "application/json").status == 404


@pytest.mark.parametrize("key", [None, "gone"])
def test_no_key_and_a_revoked_one(server: Any, key: str | None) -> None:
    for method, path in (
        ("GET", "/v1/jobs"),
        ("POST", "/v1/assets"),
        ("GET", "/metrics"),
        ("GET", "/nothing"),
    ):
        answer = call(server, method, path, key, BALL)
        assert (answer.status, answer.json["type"]) == (401, "urn:cyclorama:error:AccessError")
    assert call(server, "GET", "/healthz", key).status == 200


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", "..\\..\\boot.ini", "/etc/shadow", "a/../../b", "\x00x", ".."]
)
def test_names_of_files_lead_nowhere(server: Any, name: str) -> None:
    before = {path for path in server.folder.parent.rglob("*") if "blobs" not in path.parts}
    form, kind = build_form(BALL[:-1] + name.encode()[:1], name)
    answer = call(server, "POST", "/v1/assets", body=form, kind=kind)
    assert answer.status in (200, 201, 400)
    if answer.status != 400:
        assert not set(answer.json["name"]) & {"/", "\\", "\x00"}
        assert answer.json["name"] not in (".", "..")
    assert {path for path in server.folder.parent.rglob("*") if "blobs" not in path.parts} == before


@pytest.mark.parametrize(
    "path", ["/v1/assets/..%2f..%2fservice.sqlite/file", "/v1/assets/../../service.sqlite", "/studio/../../x"]
)
def test_paths_lead_nowhere(server: Any, path: str) -> None:
    assert call(server, "GET", path).status == 404


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b"", 415, "UnreadableImageError"),
        (b"no image", 415, "UnreadableImageError"),
        (b"<svg onload='alert(1)'/>", 415, "UnreadableImageError"),
        (b"%PDF-1.7", 415, "UnreadableImageError"),
        (BALL[:200], 415, "UnreadableImageError"),
        (encode(np.zeros((4, 4, 3), np.uint8)), 400, "ImageTooSmallError"),
        (
            encode(np.zeros((6400, 6400), np.uint8)),
            413,
            "ImageTooLargeError",
        ),  # a bomb: 41 megapixels in 40 kB
    ],
)
def test_what_is_no_photo(server: Any, body: bytes, status: int, error: str) -> None:
    answer = call(server, "POST", "/v1/assets", body=body)
    assert (answer.status, answer.json["type"]) == (status, f"urn:cyclorama:error:{error}")
    assert str(server.folder) not in answer.json["detail"]
    assert answer.json["detail"].startswith("the file ")


def test_a_body_without_length_that_never_ends(server: Any) -> None:
    given = {"authorization": f"Bearer {server.keys['one']}", "content-type": "image/png"}
    answer = ask(server.app, "POST", "/v1/assets", given, itertools.repeat(bytes(2**20), 40))
    assert (answer.status, answer.json["type"]) == (413, "urn:cyclorama:error:BodyTooLargeError")
    form = {**given, "content-type": "multipart/form-data; boundary=cut"}
    head, _ = build_form(b"", "a")
    answer = ask(server.app, "POST", "/v1/images", form, [head[:-11], *[bytes(2**20)] * 40])
    assert (answer.status, answer.json["type"]) == (413, "urn:cyclorama:error:BodyTooLargeError")
    plain = {**given, "content-type": "application/json"}
    answer = ask(server.app, "POST", "/v1/jobs", plain, [b'{"items": ['] + [b" " * 2**19] * 4)
    assert (answer.status, answer.json["type"]) == (413, "urn:cyclorama:error:BodyTooLargeError")


def test_a_form_of_too_many_parts(server: Any) -> None:
    one = b'--cut\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    body = one * (limits.PARTS + 1) + b"--cut--\r\n"
    answer = call(server, "POST", "/v1/images", body=body, kind="multipart/form-data; boundary=cut")
    assert (answer.status, answer.json["type"]) == (413, "urn:cyclorama:error:BodyTooLargeError")


def test_a_host_that_was_bound_to_this_address(server: Any) -> None:
    answer = call(server, "GET", "/v1/jobs", host="evil.example")
    assert (answer.status, answer.json["type"]) == (403, "urn:cyclorama:error:ForbiddenError")


def test_a_page_of_another_origin(server: Any) -> None:
    answer = call(server, "POST", "/v1/assets", body=BALL, origin="https://evil.example")
    assert (answer.status, answer.json["type"]) == (403, "urn:cyclorama:error:ForbiddenError")
    asked = call(server, "OPTIONS", "/v1/assets", None, origin="https://evil.example")
    assert "access-control-allow-origin" not in asked.headers


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "127.0.0.1", "10.0.0.1", "::ffff:192.168.0.1", "100.64.0.1"]
)
def test_an_address_inside(server: Any, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch.socket, "getaddrinfo", lambda *a, **k: [(0, 0, 0, "", (address, 443))])
    answer = call(
        server, "POST", "/v1/assets", body=b'{"url": "https://cdn.example/a.png"}', kind="application/json"
    )
    assert (answer.status, answer.json["type"]) == (400, "urn:cyclorama:error:FetchError")
    assert "no public address" in answer.json["detail"]


def test_a_redirect_inside(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def answer(connection: Any, url: str, *rest: Any) -> Any:
        asked.append(url)
        return 302, {"location": "https://169.254.169.254/latest/meta-data"}, b""

    monkeypatch.setattr(fetch, "_connect", lambda *a: SimpleNamespace(close=lambda: None))
    monkeypatch.setattr(fetch, "_ask", answer)
    given = call(
        server, "POST", "/v1/assets", body=b'{"url": "https://cdn.example/a.png"}', kind="application/json"
    )
    assert (given.status, given.json["type"]) == (400, "urn:cyclorama:error:FetchError")
    assert asked == ["https://cdn.example/a.png"]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"url": "https://other.example/a.png"}', "FetchError"),
        (b'{"url": "http://cdn.example/a.png"}', "FetchError"),
        (b'{"url": "file:///etc/passwd"}', "FetchError"),
        (b'{"url": 5}', "RequestError"),
        (b'{"url": "https://cdn.example/a.png", "to": "x"}', "RequestError"),
        (b"[", "RequestError"),
    ],
)
def test_addresses_that_are_not_allowed(server: Any, body: bytes, error: str) -> None:
    answer = call(server, "POST", "/v1/assets", body=body, kind="application/json")
    assert (answer.status, answer.json["type"]) == (400, f"urn:cyclorama:error:{error}")


def test_webhooks_go_to_allowed_hosts_and_their_secret_to_their_key(server: Any) -> None:
    id = call(server, "POST", "/v1/assets", body=BALL).json["id"]

    def submit(url: str) -> Answer:
        order = {"items": [{"image": id}], "webhook": url}
        return call(server, "POST", "/v1/jobs", body=json.dumps(order).encode(), kind="application/json")

    for url in ("https://other.example/", "http://hooks.example/", "https://127.0.0.1/"):
        answer = submit(url)
        assert (answer.status, answer.json["field"]) == (400, "webhook")
    job = submit("https://hooks.example/a").json
    assert job["request"]["webhook"] == "https://hooks.example/a"
    call(server, "POST", f"/v1/jobs/{job['id']}/cancel")
    mine, other = (call(server, "GET", "/v1/webhooks", key).json for key in ("one", "two"))
    assert [(one["job"], one["state"], one["tries"]) for one in mine["deliveries"]] == [
        (job["id"], "waiting", 0)
    ]
    assert other["deliveries"] == []
    assert mine["secret"].startswith("whsec_")
    assert mine["secret"] != other["secret"]


def test_a_cutout_by_strokes(server: Any) -> None:
    id = call(server, "POST", "/v1/assets?name=ball.png", body=BALL).json["id"]
    order = f'{{"image": "{id}"}}'.encode()
    plain = call(server, "POST", "/v1/cutouts", body=order, kind="application/json").json
    assert (plain["mask_source"], plain["warnings"], plain["width"]) == ("white", [], 80)
    stroke = '{"tool": "erase", "radius": 10, "points": [[40, 15], [40, 25]]}'
    order = f'{{"image": "{id}", "mask": "{plain["matte"]}", "strokes": [{stroke}]}}'.encode()
    mended = call(server, "POST", "/v1/cutouts", body=order, kind="application/json").json
    assert mended["matte"] != plain["matte"]
    assert mended["box"]["top"] > plain["box"]["top"]
    file = call(server, "GET", f"/v1/assets/{mended['matte']}/file")
    matte = np.asarray(Image.open(io.BytesIO(file.body)))
    assert (matte[20, 40], matte[50, 40]) == (0, 255)
    assert call(server, "GET", f"/v1/assets/{mended['matte']}").json["name"] == "ball-matte.png"


@pytest.mark.parametrize(
    ("stroke", "field"),
    [
        ('{"tool": "add", "radius": 0, "points": [[1, 1]]}', "strokes[0].radius"),
        ('{"tool": "add", "radius": 1, "points": [[1e999, 1]]}', "strokes[0].points[0][0]"),
        ('{"tool": "paint", "radius": 1, "points": [[1, 1]]}', "strokes[0].tool"),
        ('{"tool": "add", "radius": 1, "points": []}', "strokes[0].points"),
    ],
)
def test_strokes_that_cannot_be(server: Any, stroke: str, field: str) -> None:
    order = f'{{"image": "as_1", "strokes": [{stroke}]}}'.encode()
    answer = call(server, "POST", "/v1/cutouts", body=order, kind="application/json")
    assert (answer.status, answer.json["field"]) == (400, field)


def test_a_browser_comes_in_by_a_link_once(server: Any) -> None:
    id = server.keys["one"].split("_")[1]
    link = keys.add_link(server.service.store, id)
    first = call(server, "GET", f"/enter?code={link}", None)
    assert (first.status, first.headers["location"]) == (303, "/")
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert call(server, "GET", f"/enter?code={link}", None).status == 401
    session = cookie.partition(";")[0]
    assert call(server, "GET", "/v1/me", None, cookie=session).json == {"key": id, "scopes": ["generate"]}
    other = call(server, "POST", "/v1/assets", None, BALL, cookie=session, origin="https://evil.example")
    own = call(server, "POST", "/v1/assets", None, BALL, cookie=session, origin="http://localhost")
    assert (other.status, own.status // 100) == (403, 2)
    ended = call(server, "DELETE", "/v1/session", None, cookie=session, origin="http://localhost")
    assert ended.status == 204
    assert call(server, "GET", "/v1/me", None, cookie=session).status == 401


def test_a_browser_comes_in_by_a_key(server: Any) -> None:
    order = f'{{"key": "{server.keys["one"]}"}}'.encode()
    first = call(server, "POST", "/v1/session", None, order, "application/json")
    assert first.status == 204
    assert first.headers["set-cookie"].startswith(COOKIE)
    wrong = call(server, "POST", "/v1/session", None, b'{"key": "cyc_a_b"}', "application/json")
    assert wrong.status == 401


def test_images_count_against_the_key(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    id = call(server, "POST", "/v1/assets", "two", BALL).json["id"]
    monkeypatch.setattr(server.service, "rates", limits.Rates(images=2))
    order = f'{{"items": [{{"image": "{id}"}}], "settings": {{"candidates": 3}}}}'.encode()
    first = call(server, "POST", "/v1/jobs", "two", order, "application/json")
    assert first.status == 202
    second = call(server, "POST", "/v1/jobs", "two", order, "application/json")
    assert (second.status, second.json["type"]) == (429, "urn:cyclorama:error:QuotaError")
    assert int(second.headers["retry-after"]) >= 30


def test_names_inside_an_archive_are_safe_and_unique(server: Any) -> None:
    key = server.keys["one"].split("_")[1]
    id = call(server, "POST", "/v1/assets", body=BALL).json["id"]
    names = ["../../etc/passwd", "/a", "a", "C:\\b", "..", "a\u0000b", "a\nb", "\u202egnp.exe"]
    order = json.dumps({"items": [{"image": id, "name": name} for name in names]}).encode()
    job = call(server, "POST", "/v1/jobs", body=order, kind="application/json")
    assert job.status == 202
    with server.service.store.write() as connection:
        connection.execute(update(images).where(images.c.job == job.json["id"]).values(state="done"))
    paths = list(name_images(read_detail(server.service, key, job.json["id"])).values())
    assert len({path.lower() for path in paths}) == len(names)
    for path in paths:
        parts = path.split("/")
        assert parts[0] == "images"
        assert path.isprintable()
        assert not set(path) & set('\\:*?"<>|')
        assert all(part and not part.startswith(".") for part in parts)


def test_a_deep_body_and_a_long_key(server: Any) -> None:
    deep = call(server, "POST", "/v1/jobs", body=b"[" * 500_000, kind="application/json")
    assert (deep.status, deep.json["type"]) == (400, "urn:cyclorama:error:RequestError")
    id = call(server, "POST", "/v1/assets", body=BALL).json["id"]
    order = f'{{"items": [{{"image": "{id}"}}]}}'.encode()
    long = call(server, "POST", "/v1/jobs", body=order, kind="application/json", idempotency_key="x" * 256)
    assert (long.status, "1 to 255" in long.json["detail"]) == (400, True)


def test_the_data_folder_is_nobody_elses(server: Any) -> None:
    assert server.folder.stat().st_mode & 0o077 == 0
