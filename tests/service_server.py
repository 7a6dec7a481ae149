"""A real server of the service in a process of its own, and what a test says to it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SECONDS = 120.0
"""How long a server may take to start, or an image to be made, on a busy machine."""
QUICK = Path(__file__).with_name("quick_service.py")
TINY = {"preset": "fast", "size": "64x64"}


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class ServiceProcess:
    """``cyclorama serve`` on ``data``; may be ended and started again, at the same port."""

    data: Path
    options: tuple[str, ...] = ()
    quick: bool = False
    """Whether flat grounds are drawn in place of rendered sets."""
    python: str = sys.executable
    """Of the environment whose cyclorama serves."""
    process: subprocess.Popen[str] = field(init=False)
    port: int = 0

    def start(self) -> None:
        program = [str(QUICK)] if self.quick else ["-m", "cyclorama"]
        command = [self.python, *program, "serve", "--port", str(self.port), "--data", str(self.data)]
        with self.data.with_suffix(".log").open("a") as log:
            before = log.tell()
            environment = os.environ | {"OMP_NUM_THREADS": "1"}
            self.process = subprocess.Popen([*command, *self.options], stderr=log, env=environment, text=True)
        until = time.monotonic() + SECONDS
        while True:
            assert self.process.poll() is None and time.monotonic() < until, self.log
            found = re.findall(r"http://[^/]*:(\d+)/", self.log[before:])
            self.port = int(found[0]) if found else 0
            if self.port and self.try_health() == 200:
                return
            time.sleep(0.05)

    @property
    def log(self) -> str:
        return self.data.with_suffix(".log").read_text()

    def try_health(self) -> int:
        try:
            return self.ask("GET", "/healthz").status
        except OSError:
            return 0

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(SECONDS)

    def connect(self, seconds: float = SECONDS) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        connection = self.connect()
        try:
            connection.request(method, path, body, dict(headers or {}))
            got = connection.getresponse()
            return Answer(got.status, {k.lower(): v for k, v in got.getheaders()}, got.read())
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        answer = self.ask("GET", path)
        assert answer.status == 200, answer.body
        return answer.json

    def send(self, path: str, values: Any, method: str = "POST", **headers: str) -> Answer:
        heads = {"Content-Type": "application/json"} | headers
        return self.ask(method, path, json.dumps(values).encode(), heads)

    def send_form(self, path: str, fields: Mapping[str, str | tuple[str, bytes]], **headers: str) -> Answer:
        """Texts, and files as (name, bytes)."""
        boundary, parts = uuid.uuid4().hex, []
        for name, value in fields.items():
            head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'
            content = value.encode() if isinstance(value, str) else value[1]
            title = "" if isinstance(value, str) else f'; filename="{value[0]}"'
            parts.append(f"{head}{title}\r\n\r\n".encode() + content + b"\r\n")
        body = b"".join(parts) + f"--{boundary}--\r\n".encode()
        heads = {"Content-Type": f"multipart/form-data; boundary={boundary}"} | headers
        return self.ask("POST", path, body, heads)

    def upload(self, path: Path) -> str:
        answer = self.send_form("/v1/assets", {"file": (path.name, path.read_bytes())})
        assert answer.status in (200, 201), answer.body
        return str(answer.json["id"])

    def wait_for(self, job: str, seconds: float = SECONDS) -> Any:
        until = time.monotonic() + seconds
        while (found := self.get(f"/v1/jobs/{job}"))["state"] in ("queued", "running"):
            assert time.monotonic() < until, found
            time.sleep(0.15)
        return found

    def follow(self, jobs: str = "", last: str | None = None) -> Iterator[dict[str, Any]]:
        """Events with their ids, until the connection ends."""
        connection = self.connect()
        headers = {} if last is None else {"Last-Event-ID": last}
        connection.request("GET", f"/v1/events?jobs={jobs}", headers=headers)
        got, number = connection.getresponse(), None
        try:
            while line := got.readline():
                name, _, value = line.decode().rstrip("\n").partition(": ")
                number = value if name == "id" else number
                if name == "data":
                    yield json.loads(value) | {"id": number}
        finally:
            connection.close()
