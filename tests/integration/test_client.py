"""The client and `cyclorama remote` against a real server: what is made and raised, what a bad line does."""

from __future__ import annotations

import http.server
import io
import json
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cyclorama.cli import main
from cyclorama.client import Client, encode_form
from cyclorama.errors import (
    AccessError,
    InvertedMaskError,
    NotReadyError,
    QuotaError,
    RequestError,
    UnknownIdError,
    UnreachableError,
    UnreadableImageError,
)
from cyclorama.generation.scenes import SceneModel
from drawn import save_product
from quick_service import draw_flat
from service_server import TINY, ServiceProcess

OPTIONS = ["--category", "perfume", "--preset", "fast", "--size", "64x64", "--quiet"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    running = ServiceProcess(tmp_path_factory.mktemp("client") / "data", quick=True)
    running.start()
    yield running
    assert running.stop() == 0, running.log


@pytest.fixture(scope="module")
def client(server: ServiceProcess) -> Client:
    return Client(f"http://127.0.0.1:{server.port}")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    for number in range(2):
        save_product(folder / f"p{number}.png", number, (64, 64), soft=False)
    return folder


class Line:
    """A line to the server that is cut ``cuts`` times, each after ``bytes`` of the answer have passed."""

    def __init__(self, port: int, cuts: int, bytes: int = 0) -> None:
        self.port, self.cuts, self.bytes, self.passed = port, cuts, bytes, 0
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                mine, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(mine,), daemon=True).start()

    def _carry(self, mine: socket.socket) -> None:
        cut, self.cuts, self.passed = self.cuts > 0, self.cuts - 1, self.passed + 1
        theirs = socket.create_connection(("127.0.0.1", self.port))
        threading.Thread(target=_pump, args=(mine, theirs), daemon=True).start()
        left = self.bytes
        with suppress(OSError):  # the client went away
            while data := theirs.recv(2**16):
                mine.sendall(data[:left] if cut else data)
                left -= len(data)
                if cut and left <= 0:
                    break
        for end in (mine, theirs):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # wakes who reads it
            end.close()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(2**16):
            target.sendall(data)
    except OSError:
        pass


def test_one_image_and_what_is_wrong_with_others(client: Client, shop: Path) -> None:
    made = client.image(shop / "p0.png", category="perfume", gate=True, **TINY)
    assert made.data.startswith(b"\x89PNG") and made.exact is True and made.passed is not None
    assert (
        client.image(shop / "p0.png", category="perfume", seed=made.seed, gate=True, **TINY).data == made.data
    )
    with pytest.raises(UnreadableImageError):
        client.image(b"no image")
    with pytest.raises(RequestError, match="preset") as caught:
        client.image(shop / "p0.png", preset="quick")
    assert caught.value.field == "preset"
    with pytest.raises(InvertedMaskError):
        from PIL import Image, ImageOps

        mask = shop / "mask.ppm"
        ImageOps.invert(Image.open(shop / "p0.png").getchannel("A").point(lambda a: 255 * (a > 99))).save(
            mask
        )
        client.image(shop / "p0.png", mask=mask, **TINY)
    with pytest.raises(UnknownIdError):
        client.read("jb_none")


def test_a_job_is_followed_and_fetched_over_a_line_that_breaks(
    server: ServiceProcess, client: Client, shop: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    asset = client.upload(shop / "p1.png")
    line = Line(server.port, 2)
    request.addfinalizer(line.listening.close)
    over = Client(line.address)
    over._reached = True  # a server that answered before
    job = over.submit([{"image": asset, "category": "perfume", "seed": n} for n in range(3)], TINY)
    assert line.passed == 3 and len(job.values["images"]) == 3  # asked three times, begun once
    assert [found["id"] for found in server.get("/v1/jobs")["items"]].count(job.id) == 1
    line.cuts, line.bytes = 3, 500  # the stream breaks off in the middle, again and again
    events = list(over.follow(job.id))
    assert [event.type for event in events if event.type in ("image", "done")] == ["image"] * 3 + ["done"]
    numbers = [event.number for event in events if event.number is not None]
    assert numbers == sorted(set(numbers))
    line.cuts, line.bytes = 1, 2000
    ended = over.wait(job.id)
    assert ended.state == "done" and ended.ended
    path = over.download(ended, tmp_path / "images.zip")
    assert path.read_bytes() == client.download(job.id, tmp_path / "other.zip").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["images.zip", "other.zip"]
    chosen = ",".join(image["id"] for image in ended.values["images"][:2])
    answer = server.ask("GET", f"/v1/images/archive.zip?images={chosen}")
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert sorted(archive.namelist()) == ["p1-2.png", "p1.png"] and archive.testzip() is None
    assert server.ask("GET", "/v1/images/archive.zip?images=im_none").status == 404


def test_a_batch_is_run_once_though_the_answer_was_lost(
    server: ServiceProcess, shop: Path, request: pytest.FixtureRequest
) -> None:
    line = Line(server.port, 0)
    request.addfinalizer(line.listening.close)
    client = Client(line.address)
    table = b"image,category\n" + b"".join(
        b"%s,perfume\n" % name for name in (b"a/1.png", b"2.png", b"gone.png")
    )
    files = {name: client.upload(shop / f"p{n}.png") for n, name in enumerate(("a/1.png", "2.png"))}
    batch = client.batch(table, files, "t.csv")
    assert client.check(batch.id, settings=TINY).values["check"]["problems"] == 1
    line.cuts = 1
    assert client.run(batch.id).state in ("queued", "running", "done")
    ended = client.wait(batch.id)
    assert (ended.counts["done"], ended.counts["failed"]) == (2, 1)
    with pytest.raises(NotReadyError):
        client.run(batch.id)
        client.run(batch.id)
    client.cancel(batch.id)


@pytest.mark.parametrize("kind", ["folder", "table", "image"])
def test_remote_writes_what_generate_writes(
    server: ServiceProcess,
    shop: Path,
    tmp_path: Path,
    kind: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(SceneModel, "draw", draw_flat)
    (shop / "t.csv").write_text("image,id\np0.png,7\np1.png,8\nnone.png,9\n")
    source = {"folder": shop, "table": shop / "t.csv", "image": shop / "p0.png"}[kind]
    codes = [
        main(["generate", str(source), "--out", str(tmp_path / "here"), *OPTIONS]),
        main(["remote", "generate", str(source), "--out", str(tmp_path / "there"), "--server",
              f"http://127.0.0.1:{server.port}", *OPTIONS]),
    ]  # fmt: skip
    assert codes == [1, 1] if kind == "table" else [0, 0], capsys.readouterr()
    names = ("results.jsonl", "results.parquet", *(f"images/p{n}.png" for n in range(2)))
    assert (tmp_path / "there" / "index.html").exists()  # says how long it took, too
    for name in names if kind != "image" else names[:-1]:
        assert (tmp_path / "there" / name).read_bytes() == (tmp_path / "here" / name).read_bytes(), name


def test_what_a_server_cannot_do_is_refused_before_anything_is_sent(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cyclorama.client._FIRST", 0.5)
    for options, said in ((["--dtype", "float16"], "--dtype is for runs on this machine"),
                          (["--allow-urls", "*"], "--allow-urls is for runs")):  # fmt: skip
        assert main(["remote", "generate", str(shop), "--out", str(tmp_path / "o"), *options]) == 2
        assert said in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(UnreachableError, match="does it run there"):
        Client(f"127.0.0.1:{port}").read("jb_1")
    with pytest.raises(RequestError, match="is no server's address"):
        Client("ftp://there")


class Busy(http.server.BaseHTTPRequestHandler):
    """Refuses as often as `left` says, then answers; keeps what it was sent."""

    left = 0
    status = 429
    asked: list[tuple[str, str | None]] = []  # noqa: RUF012 - of the test alone

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        type(self).asked.append((self.path, self.headers["Idempotency-Key"]))
        type(self).left -= 1
        busy = type(self).left >= 0
        body = {"type": "urn:cyclorama:error:QuotaError", "detail": "too much"} if busy else {
            "id": "jb_1", "state": "queued", "counts": {}}  # fmt: skip
        data = json.dumps(body).encode()
        self.send_response(self.status if busy else 202)
        self.send_header("Retry-After", "1")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        self.send_response(401)
        self.end_headers()
        self.wfile.write(b'{"type": "urn:cyclorama:error:AccessError"}')

    def log_message(self, *values: Any) -> None:
        """Nothing is printed."""


def test_429_and_503_are_waited_out_with_the_same_idempotency_key(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("cyclorama.client.time.sleep", slept.append)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Busy) as busy:
        threading.Thread(target=busy.serve_forever, daemon=True).start()
        client = Client(f"127.0.0.1:{busy.server_port}", "cyc_a_b", patience=30)
        for status in (429, 503):
            Busy.left, Busy.status, Busy.asked = 2, status, []
            assert client.submit([{"image": "as_1"}]).id == "jb_1"
            assert len(Busy.asked) == 3 and len(set(Busy.asked)) == 1
        assert slept == [1.0] * 4
        Busy.left = 10**6
        with pytest.raises(QuotaError, match="too much"):
            Client(f"127.0.0.1:{busy.server_port}", patience=0.5).submit([])
        with pytest.raises(AccessError):
            client.read("jb_1")
        busy.shutdown()


def test_a_form_as_it_is_sent() -> None:
    fields = {
        "image": "as_1",
        "mask": ('m"\r\n.png', b"\0"),
        "outputs": ["1:1", "3:4"],
        "gate": True,
        "seed": None,
    }
    body, kind = encode_form(fields)
    boundary = kind.partition("boundary=")[2].encode()
    parts = body.split(b"--" + boundary)
    assert [part.partition(b"\r\n\r\n")[2] for part in parts[1:-1]] == [
        b"as_1\r\n",
        b"\0\r\n",
        b"1:1,3:4\r\n",
        b"true\r\n",
    ]
    assert b'filename="m___.png"' in parts[2]


def test_the_client_needs_the_standard_library_alone() -> None:
    code = (
        "import sys, cyclorama.client\n"
        "heavy = {'torch', 'numpy', 'PIL', 'pydantic', 'fastapi', 'httpx', 'requests'} & set(sys.modules)\n"
        "print('HEAVY', sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout
