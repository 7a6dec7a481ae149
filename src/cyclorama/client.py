"""A client of the service (``cyclorama serve``), with the standard library alone.

::

    client = Client("http://127.0.0.1:8756", key="cyc_…")
    image = client.image("shoe.jpg", category="shoes", preset="fast")
    Path("shoe.png").write_bytes(image.data)

    job = client.submit([{"image": client.upload("shoe.jpg")}], {"outputs": ["1:1", "3:4"]})
    for event in client.follow(job.id):
        print(event.type, event.values)
    client.download(client.wait(job.id), "images.zip")

Errors are those of :mod:`cyclorama.errors`, raised again from the server's answer. Every request that makes
something has an idempotency key, so one whose connection was lost is sent again and done once; 429 and 503
are waited out as the server asks.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import ssl
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlencode, urlsplit

from cyclorama import errors
from cyclorama.errors import InProgressError, InputError, RequestError, ServiceError, UnreachableError

OPEN = ("queued", "running", "checking")
_PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # seconds between two tries; the last one again and again
_FIRST = 5.0  # so long a server is tried that never answered yet
_PING = 45.0  # an event stream without a sign for so long is lost
_BLOCK = 2**20


@dataclass(frozen=True)
class RemoteImage:
    """One image, from one call."""

    data: bytes
    """The file."""
    media_type: str
    id: str
    job: str
    seed: int
    exact: bool | None
    """Whether every opaque product pixel is the photo's own; None where there is none to prove it by."""
    passed: bool | None
    """What the gate says, if it was asked."""


@dataclass(frozen=True)
class RemoteWork:
    """A job or a batch as the server tells of it."""

    id: str
    state: str
    counts: dict[str, int]
    values: dict[str, Any] = field(repr=False)
    """All of the server's answer: docs/api.md, JobDetail or Batch."""

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it unless it is asked for."""
        return self.state not in OPEN

    @classmethod
    def read(cls, values: dict[str, Any]) -> Self:
        """From an answer."""
        return cls(values["id"], values["state"], values["counts"], values)


@dataclass(frozen=True)
class RemoteEvent:
    """Something that happened to a job or a batch."""

    type: str
    job: str | None
    number: int | None
    """For :meth:`Client.follow`, to go on after it."""
    values: dict[str, Any]


class Client:
    """One server; threads may share it, each request has a connection of its own."""

    def __init__(
        self, url: str, key: str | None = None, *, seconds: float = 60.0, patience: float = 600.0
    ) -> None:
        """``key``: as ``cyclorama serve keys add`` printed it. ``seconds``: for an answer to begin;
        ``patience``: for tries of one request, all together.

        Raises RequestError (no http or https address).
        """
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise RequestError(f"{url!r} is no server's address; give one like http://127.0.0.1:8756")
        self.url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        self._parts, self._key, self._seconds, self._patience = parts, key, seconds, patience
        self._reached = False

    def image(self, image: str | Path | bytes, **fields: Any) -> RemoteImage:
        """One image in one call. ``image``: a path, a file's bytes or an asset's id.

        ``fields``: those of an item (category, mask, seed, …), ``model``, ``gate`` and the settings of
        ``generate``; paths and bytes among them are sent as files. Raises the errors of the image.
        """
        body, kind = encode_form({"image": image} | fields)
        answer, data = self._ask("POST", "/v1/images", body, kind, seconds=self._patience)
        head = answer.headers
        gate = head.get("Cyclorama-Gate")
        return RemoteImage(
            data,
            head.get("Content-Type", ""),
            head.get("Cyclorama-Image", ""),
            head.get("Cyclorama-Job", ""),
            int(head.get("Cyclorama-Seed", 0)),
            json.loads(head.get("Cyclorama-Exact", "null")),
            None if gate is None else gate == "passed",
        )

    def upload(self, file: str | Path | bytes, name: str | None = None) -> str:
        """The asset's id of a file; equal bytes have one. Raises ImageError."""
        data, own = _read_file(file)
        path = f"/v1/assets?name={quote(name or own)}"
        return str(self._ask_json("POST", path, data, "application/octet-stream")["id"])

    def submit(
        self, items: Iterable[Mapping[str, Any]], settings: Mapping[str, Any] | None = None, **values: Any
    ) -> RemoteWork:
        """A job of ``items``; ``values``: model, seed, gate, lane. It is accepted once this returns."""
        order = {"items": list(items), "settings": dict(settings or {})} | values
        return RemoteWork.read(self.send("/v1/jobs", order))

    def batch(
        self,
        table: str | Path | bytes | None = None,
        files: Mapping[str, str] | None = None,
        name: str | None = None,
    ) -> RemoteWork:
        """A new batch with ``table`` and the assets of ``files`` (name in the table to id); run it by
        :meth:`run`."""
        if table is None:
            return RemoteWork.read(self.send("/v1/batches", {"files": dict(files or {})}))
        data, own = _read_file(table)
        body, kind = encode_form({"table": (name or own, data)})
        made = RemoteWork.read(self._ask_json("POST", "/v1/batches", body, kind))
        return (
            RemoteWork.read(self.send(f"/v1/batches/{made.id}/files", {"files": dict(files)}))
            if files
            else made
        )

    def add_files(self, batch: str, archive: bytes) -> RemoteWork:
        """Add the files of a zip to a batch, by their names in it."""
        return RemoteWork.read(
            self._ask_json("POST", f"/v1/batches/{batch}/files", archive, "application/zip")
        )

    def check(self, batch: str, **request: Any) -> RemoteWork:
        """Have a batch checked, and wait for what the check says. Raises ManifestError, ConfigError, …"""
        return self.wait(self._order(batch, "check", request))

    def run(self, batch: str, **request: Any) -> RemoteWork:
        """Have a batch run: columns, category, settings, … (docs/api.md, BatchRequest)."""
        return self.read(self._order(batch, "run", request))

    def retry(self, id: str) -> RemoteWork:
        """Have what failed made again, of a job or a batch."""
        return RemoteWork.read(self.send(f"{_locate(id)}/retry"))

    def cancel(self, id: str) -> RemoteWork:
        """End a job or a batch; what is finished stays."""
        return RemoteWork.read(self.send(f"{_locate(id)}/cancel"))

    def read(self, id: str) -> RemoteWork:
        """A job or a batch as it is now."""
        return RemoteWork.read(self._ask_json("GET", _locate(id)))

    def wait(self, id: str, seconds: float = float("inf")) -> RemoteWork:
        """A job or a batch once it has ended, or as it is after ``seconds``.

        Raises the error that ended a batch as a whole.
        """
        until, pause = time.monotonic() + seconds, 0.1
        while not (found := self.read(id)).ended and time.monotonic() < until:
            time.sleep(min(pause, max(0.0, until - time.monotonic())))
            pause = min(2.0, pause * 1.3)
        if found.values.get("error"):
            raise build_error(found.values["error"])
        return found

    def follow(self, *ids: str, after: int = 0) -> Iterator[RemoteEvent]:
        """What happens to jobs and batches until all of them have ended, from their first event on or after
        the one numbered ``after``; a lost connection is taken up without a gap."""
        left, last, lost = {self.read(id).id for id in ids}, after, 0
        while left:
            heads = {"Last-Event-ID": str(last), "Accept": "text/event-stream"}
            path = f"/v1/events?{urlencode({'jobs': ','.join(ids)})}"
            try:
                with closing(self._ask("GET", path, heads=heads, seconds=_PING, stream=True)[0]) as answer:
                    for event in _read_events(answer):
                        lost, last = 0, last if event.number is None else event.number
                        yield event
                        if event.type in ("done", "resync"):  # some may be left out: an end among them
                            left = {id for id in left if not self.read(id).ended}
                        if not left:
                            return
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(_PAUSES[min(lost, len(_PAUSES) - 1)])
            lost += 1

    def download(self, what: RemoteWork | str, target: str | Path, file: str = "archive.zip") -> Path:
        """Save the archive of a job or a batch, or an image's file, as ``target``, whole or not at all."""
        id, target = what if isinstance(what, str) else what.id, Path(target)
        path = f"/v1/images/{id}/file" if id.startswith("im_") else f"{_locate(id)}/{file}"
        part = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
        for lost in range(len(_PAUSES)):
            try:
                with closing(self._ask("GET", path, stream=True)[0]) as answer, part.open("wb") as copy:
                    shutil.copyfileobj(answer, copy, _BLOCK)
                if answer.length:  # the line broke off, which a read in parts does not tell
                    raise http.client.IncompleteRead(b"", answer.length)
                part.replace(target)
                return target
            except (ConnectionError, http.client.HTTPException):
                time.sleep(_PAUSES[lost])
            finally:
                part.unlink(missing_ok=True)
        raise UnreachableError(f"{self.url} broke off {path} {len(_PAUSES)} times; try again later")

    def send(self, path: str, values: Any = None) -> Any:
        """The answer to a POST of JSON."""
        return self._ask_json("POST", path, json.dumps(values or {}).encode(), "application/json")

    def _order(self, batch: str, act: str, request: Mapping[str, Any]) -> str:
        """Ask for a check or a run; an order whose answer was lost has begun, and is no error."""
        path, body = f"{_locate(batch)}/{act}", json.dumps(request).encode() if request else b""
        self._ask_json("POST", path, body, "application/json", repeated=errors.NotReadyError)
        return batch

    def _ask_json(self, *values: Any, **options: Any) -> Any:
        return json.loads(self._ask(*values, **options)[1] or b"null")

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        kind: str | None = None,
        *,
        heads: Mapping[str, str] | None = None,
        seconds: float | None = None,
        repeated: type[ServiceError] | None = None,
        stream: bool = False,
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """The answer and its body, tried until it is one; with ``stream`` the body is still to be read.

        ``repeated``: the error that says that the first try arrived.
        """
        given = {"User-Agent": "cyclorama", "Connection": "close", **(heads or {})}
        if self._key is not None:
            given["Authorization"] = f"Bearer {self._key}"
        if kind is not None and body is not None:
            given["Content-Type"] = kind
        if method == "POST":
            given["Idempotency-Key"] = uuid.uuid4().hex
        start, tries, lost = time.monotonic(), 0, False
        while True:
            pause = _PAUSES[min(tries, len(_PAUSES) - 1)]
            tries += 1
            try:
                answer = self._try(method, path, body, given, seconds or self._seconds)
                self._reached = True
                if answer.status < 400 and stream:
                    return answer, b""
                with closing(answer):
                    data = answer.read()
                if answer.status < 400:
                    return answer, data
                error = _read_error(answer, data)
            except (OSError, http.client.HTTPException) as failure:
                lost = True
                error = UnreachableError(
                    f"{self.url} cannot be reached ({failure or type(failure).__name__}); does it run there?"
                )
            if lost and repeated is not None and isinstance(error, repeated):
                return self._ask("GET", path.rpartition("/")[0])
            asked = getattr(error, "retry_after", None)
            pause = pause if asked is None else asked
            left = (self._patience if self._reached else _FIRST) - (time.monotonic() - start)
            if (
                not (asked is not None or isinstance(error, UnreachableError | InProgressError))
                or pause > left
            ):
                raise error
            time.sleep(pause)

    def _try(
        self, method: str, path: str, body: bytes | None, heads: Mapping[str, str], seconds: float
    ) -> http.client.HTTPResponse:
        parts = self._parts
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            context = ssl.create_default_context()
            connection = http.client.HTTPSConnection(
                parts.hostname or "", parts.port, timeout=seconds, context=context
            )
        else:
            connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=seconds)
        try:
            connection.request(method, f"{parts.path.rstrip('/')}{path}", body, dict(heads))
            answer = connection.getresponse()
            if connection.sock is not None:
                connection.sock.close()  # the answer's own file keeps the line open until it is closed
            return answer
        except BaseException:
            connection.close()
            raise


def build_error(problem: Mapping[str, Any], retry_after: float | None = None) -> errors.CycloramaError:
    """The error that a server's problem stands for, of its own class if that is known here."""
    kind = getattr(errors, str(problem.get("type", "")).rpartition(":")[2], ServiceError)
    said = str(problem.get("detail") or problem.get("title") or "the server gave no reason")
    if issubclass(kind, RequestError):
        return kind(said, problem.get("field"))
    return kind(said, retry_after) if issubclass(kind, ServiceError) else kind(said)


def encode_form(fields: Mapping[str, Any]) -> tuple[bytes, str]:
    """``fields`` as a form's body and its Content-Type; paths, bytes and (name, bytes) are sent as files,
    lists with commas, None not at all. Raises InputError (no such file)."""
    boundary, parts = uuid.uuid4().hex, []
    for name, value in fields.items():
        if value is None:
            continue
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'
        if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], bytes):
            title, data = value
        elif isinstance(value, Path | bytes) or (name == "image" and not str(value).startswith("as_")):
            data, title = _read_file(value)
        else:
            text = ",".join(map(str, value)) if isinstance(value, list | tuple) else value
            text = json.dumps(text) if isinstance(text, bool) else str(text)
            parts.append(f"{head}\r\n\r\n{text}\r\n".encode())
            continue
        title = "".join("_" if c in '"\r\n' else c for c in title)
        parts.append(f'{head}; filename="{title}"\r\n\r\n'.encode() + data + b"\r\n")
    return b"".join(parts) + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def _read_file(file: str | Path | bytes) -> tuple[bytes, str]:
    """The bytes and the name of a file. Raises InputError."""
    if isinstance(file, bytes):
        return file, "image"
    try:
        return Path(file).read_bytes(), os.path.basename(file)  # noqa: PTH119 - of a text, too
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or error}") from error


def _locate(id: str) -> str:
    return f"/v1/{'batches' if id.startswith('bt_') else 'jobs'}/{id}"


def _read_error(answer: http.client.HTTPResponse, data: bytes) -> errors.CycloramaError:
    try:
        problem = json.loads(data)
    except ValueError:
        problem = {"detail": f"the server answered {answer.status} {answer.reason}"}
    asked = answer.headers.get("Retry-After", "")
    return build_error(problem, float(asked) if asked.isdecimal() else None)


def _read_events(answer: http.client.HTTPResponse) -> Iterator[RemoteEvent]:
    number = None
    while line := answer.readline():
        name, _, value = line.decode().rstrip("\r\n").partition(": ")
        if name == "id":
            number = int(value)
        elif name == "data":
            values = json.loads(value)
            yield RemoteEvent(values.pop("type"), values.pop("job", None), number, values)
            number = None
