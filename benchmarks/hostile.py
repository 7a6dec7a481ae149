"""What does a hostile client cost the others?

    python benchmarks/hostile.py [--connections 2000] [--seconds 20] [--only NAME ...] [--out FILE]

Starts a server without workers and attacks it in turn: connections that say nothing, heads that come one byte
a second, bodies that come so, bodies without end, forms of very many parts, bombs, and requests for another
host. The attackers come from 127.0.0.1; all the while a good client at 127.0.0.2, in a process of its own,
asks for ``/v1/presets`` and uploads a photo, once a second. Told are, for each attack, what the attackers
got, how long the good client waited, and the server's memory and open files.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil
from PIL import Image

Place = tuple[str, int]
_HEAD = "POST /v1/assets HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n{more}\r\n"
_CHUNKED = "Transfer-Encoding: chunked\r\n"


def encode(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


PHOTO = encode(np.full((64, 64, 3), 200, np.uint8))
BOMB = encode(np.zeros((6400, 6400), np.uint8))


def build_request(body: bytes, kind: str = "image/png") -> bytes:
    return _HEAD.format(kind=kind, more=f"Content-Length: {len(body)}\r\n").encode() + body


async def say_nothing() -> AsyncIterator[bytes]:
    await asyncio.sleep(3600)
    yield b""


async def drip_head() -> AsyncIterator[bytes]:
    yield b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: "
    while True:
        await asyncio.sleep(1)
        yield b"a"


async def drip_body() -> AsyncIterator[bytes]:
    yield _HEAD.format(kind="image/png", more="Content-Length: 30000000\r\n").encode()
    while True:
        await asyncio.sleep(1)
        yield b"a"


async def send_without_end() -> AsyncIterator[bytes]:
    yield _HEAD.format(kind="image/png", more=_CHUNKED).encode()
    block = bytes(2**16)
    while True:
        yield f"{len(block):x}\r\n".encode() + block + b"\r\n"


async def send_parts() -> AsyncIterator[bytes]:
    part = b'--cut\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    yield build_request(part * 20_000 + b"--cut--\r\n", "multipart/form-data; boundary=cut")


async def send_bomb() -> AsyncIterator[bytes]:
    yield build_request(BOMB)


async def ask_as_another_host() -> AsyncIterator[bytes]:
    yield b"GET /v1/jobs HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"


ATTACKS: dict[str, tuple[Callable[[], AsyncIterator[bytes]], float]] = {
    "nothing": (say_nothing, 1.0),
    "head by the byte": (drip_head, 1.0),
    "body by the byte": (drip_body, 0.1),
    "body without end": (send_without_end, 0.01),
    "20,000 parts": (send_parts, 0.05),
    "bombs": (send_bomb, 0.02),
    "another host": (ask_as_another_host, 1.0),
}
"""What is sent, and on which share of the connections at once."""


async def attack(
    place: Place, send: Callable[[], AsyncIterator[bytes]], until: float, got: Counter[str]
) -> None:
    """One connection after another, until the time is over."""
    while time.monotonic() < until:
        writer = None
        try:
            reader, writer = await asyncio.open_connection(*place)
            answer = asyncio.ensure_future(reader.readline())
            sending = asyncio.ensure_future(_send_all(writer, send))
            await asyncio.wait([answer], timeout=max(0.0, until - time.monotonic()))
            sending.cancel()
            if answer.done():
                got[answer.result().decode().strip()[9:] or "closed"] += 1
            else:
                answer.cancel()
                got["still open at the end"] += 1
        except OSError as error:
            got[type(error).__name__] += 1
            await asyncio.sleep(0.1)
        finally:
            if writer is not None:
                writer.close()


async def _send_all(writer: asyncio.StreamWriter, send: Callable[[], AsyncIterator[bytes]]) -> None:
    with suppress(OSError):
        async for piece in send():
            writer.write(piece)
            await writer.drain()


def ask_well(place: Place, seconds: float) -> tuple[list[float], Counter[str]]:
    """A good client: reads and uploads, a new connection each. Seconds that it waited, and its failures."""
    requests = (
        b"GET /v1/presets HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        build_request(PHOTO),
    )
    until, waits, failures = time.monotonic() + seconds, [], Counter[str]()
    while time.monotonic() < until:
        for request in requests:
            start = time.monotonic()
            try:
                with socket.create_connection(place, 30, ("127.0.0.2", 0)) as client:
                    client.sendall(request)
                    line = client.makefile("rb").readline()
                if line[9:12] not in (b"200", b"201"):
                    failures[line.decode().strip()[9:] or "closed"] += 1
            except OSError as error:
                failures[type(error).__name__] += 1
            waits.append(time.monotonic() - start)
        time.sleep(1)
    return waits, failures


async def measure(place: Place, name: str, connections: int, seconds: float, pid: int) -> dict[str, object]:
    send, share = ATTACKS[name]
    until = time.monotonic() + seconds
    got: Counter[str] = Counter()
    count = max(1, int(connections * share))
    most = [0, 0]

    async def watch() -> None:
        process = psutil.Process(pid)
        while time.monotonic() < until:
            most[:] = max(most[0], process.memory_info().rss >> 20), max(most[1], process.num_fds())
            await asyncio.sleep(0.2)

    tasks = [attack(place, send, until, got) for _ in range(count)]
    with ProcessPoolExecutor(1) as pool:
        asking = asyncio.get_running_loop().run_in_executor(pool, ask_well, place, seconds)
        (waits, failures), *_ = await asyncio.gather(asking, watch(), *tasks)
    return {
        "attack": name,
        "connections": count,
        "attackers_got": dict(got.most_common(4)),
        "good_requests": len(waits),
        "good_failures": dict(failures),
        "good_median_ms": round(1000 * float(np.median(waits))),
        "good_worst_ms": round(1000 * max(waits)),
        "server_mb": most[0],
        "server_files": most[1],
    }


@contextmanager
def start_server(folder: str) -> Iterator[tuple[str, int]]:
    command = [sys.executable, "-m", "cyclorama", "serve", "--port", "0", "--workers", "0", "--data", folder]
    log = Path(folder, "log")  # a pipe that nobody reads would stop the server once it is full
    with log.open("w") as errors, subprocess.Popen(command, stderr=errors) as server:
        try:
            while "http://" not in (text := log.read_text()):
                time.sleep(0.1)
            yield text[text.index("http://") :].split()[0], server.pid
        finally:
            server.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--connections", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--only", choices=ATTACKS, action="append")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder, start_server(folder) as (url, pid):
        parts = urlsplit(url)
        place = (parts.hostname or "127.0.0.1", parts.port or 80)
        ask_well(place, 0.1)  # starts the process that reads uploads
        for name in options.only or ATTACKS:
            row = asyncio.run(measure(place, name, options.connections, options.seconds, pid))
            rows.append(row)
            print(json.dumps(row, ensure_ascii=False), flush=True)
    if options.out is not None:
        options.out.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
