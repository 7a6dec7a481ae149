"""Zips that are made while they are sent: a job, chosen images, the folder of a batch."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from fastapi.responses import StreamingResponse
from sqlalchemy import RowMapping, select

from cyclorama.generation.sheet import THUMBS
from cyclorama.generation.writers import build_ending, build_stems
from cyclorama.imaging.formats import SUFFIXES
from cyclorama.service.context import Service
from cyclorama.service.files import name_file
from cyclorama.service.schemas import Image, JobDetail
from cyclorama.service.tables import images

RUN_FILES = ("results.jsonl", "results.parquet", "index.html", "images/**/*", "layers/**/*", f"{THUMBS}/**/*")
"""What of a run's folder its user is after."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
_BLOCK = 2**18


class _Pipe:
    """Takes what a zip writes and hands it on."""

    def __init__(self) -> None:
        self.held = bytearray()

    def write(self, data: Any) -> int:
        self.held += data
        return len(data)

    def flush(self) -> None:
        """Nothing waits."""

    def take(self) -> bytes:
        """What was written since the last call."""
        taken = bytes(self.held)
        self.held.clear()
        return taken


def send_archive(service: Service, job: JobDetail) -> StreamingResponse:
    """The zip of ``job``, made while it is sent: no more than a block of it is in memory."""
    names = name_images(job)
    with service.store.read() as connection:
        query = select(images.c.id, images.c.files).where(images.c.job == job.id, images.c.state == "done")
        files = {row.id: row.files["file"] for row in connection.execute(query) if row.id in names}
    return _send(_write(service, job, names, files), f"{job.id}.zip")


def send_images(service: Service, rows: Sequence[RowMapping]) -> StreamingResponse:
    """The zip of finished images, whatever their jobs, under their products' names."""
    stems = build_stems([row["name"] for row in rows])
    named = {
        f"{stem}{row['result']['suffix']}": row["files"]["file"]
        for stem, row in zip(stems, rows, strict=True)
    }

    def write() -> Iterator[bytes]:
        pipe: Any = _Pipe()
        with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:
            for name, digest in named.items():
                with service.store.blobs.open(digest) as source:
                    yield from _copy(archive, pipe, name, source)
        yield pipe.take()

    return _send(write(), "images.zip")


def send_folder(folder: Path, name: str) -> StreamingResponse:
    """The zip ``name`` of a run's output ``folder``: images, results and sheet, without its journal."""
    paths = [path for kept in RUN_FILES for path in sorted(folder.glob(kept)) if path.is_file()]

    def write() -> Iterator[bytes]:
        pipe: Any = _Pipe()
        with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:
            for path in paths:
                with path.open("rb") as source:
                    yield from _copy(archive, pipe, path.relative_to(folder).as_posix(), source)
        yield pipe.take()

    return _send(write(), name)


def _send(pieces: Iterator[bytes], name: str) -> StreamingResponse:
    headers = {"Content-Disposition": name_file(name), "Cache-Control": "no-store"}
    return StreamingResponse(pieces, media_type="application/zip", headers=headers)


def name_images(job: JobDetail) -> dict[str, str]:
    """Finished image to its path in the archive, as the command would name it; no two are equal."""
    stems = build_stems([_name_item(job, number) for number in range(job.items)])
    done = [image for image in job.images if image.state == "done"]
    if job.request.poster is not None:
        return {image.id: f"posters/{stems[image.item]}{_end_poster(job, image)}.png" for image in done}
    layouts = job.request.settings.build_layouts()
    suffix = job.request.settings.encoding.suffix

    def name(image: Image) -> str:
        layout, kind = layouts[image.output].name, (image.media_type or "").partition("/")[2]
        if image.parent is None:
            ending = build_ending(layout, image.candidate, job.request.settings.candidates)
            return f"images/{stems[image.item]}{ending}{suffix}"
        ending = build_ending(layout, image.candidate, image.candidate)
        return f"images/{stems[image.item]}{ending}-{image.id[3:9]}{SUFFIXES[kind]}"

    return {image.id: name(image) for image in done}


def _end_poster(job: JobDetail, image: Image) -> str:
    """Size and language, and what tells an edited poster from the one it was made of."""
    order, made = job.request.poster, image.poster
    assert order is not None
    assert made is not None
    parts = [order.sizes[image.output], *([made.language] if len(order.texts) > 1 else [])]
    return "-".join(["", *parts, *([] if image.parent is None else [image.id[3:9]])])


def _name_item(job: JobDetail, number: int) -> str:
    return next(image.name for image in job.images if image.item == number)


def _write(service: Service, job: JobDetail, names: dict[str, str], files: dict[str, str]) -> Iterator[bytes]:
    pipe: Any = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:
        lines = []
        for image in job.images:
            stated = image.model_dump(mode="json", exclude_none=True)
            if image.id in files:
                stated["file"] = names[image.id]
                with service.store.blobs.open(files[image.id]) as source:
                    yield from _copy(archive, pipe, names[image.id], source)
            lines.append(stated)
        text = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)
        archive.writestr(zipfile.ZipInfo("results.jsonl", _EPOCH), text)
    yield pipe.take()


def _copy(archive: zipfile.ZipFile, pipe: _Pipe, name: str, source: IO[bytes]) -> Iterator[bytes]:
    with archive.open(zipfile.ZipInfo(name, _EPOCH), "w") as target:
        while block := source.read(_BLOCK):
            target.write(block)
            yield pipe.take()
