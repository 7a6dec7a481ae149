"""Finished posters edited: other words, another language, texts moved; nothing is rendered."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Request
from pydantic import Field
from sqlalchemy import RowMapping

from cyclorama.errors import RequestError
from cyclorama.layout.elements import ENDING, PARTS, Box, Role
from cyclorama.service import tasks
from cyclorama.service.context import Here, Key, Service
from cyclorama.service.decisions import keep_image, read_done
from cyclorama.service.schemas import Image, Language, ProductBox, Shape, Words
from cyclorama.service.store import find
from cyclorama.service.submit import make_once
from cyclorama.service.tables import jobs
from cyclorama.service.uploads import open_folder

router = APIRouter(prefix="/v1/images", tags=["posters"])
STEM = "poster"
_PARTS = {"plate": PARTS["background"], "product": PARTS["product"]}


class PosterChange(Shape):
    """What becomes of a poster; what is not named stays."""

    texts: dict[Role, Words] = Field(default_factory=dict)
    """New words of roles that it has."""
    language: Language | None = None
    """One of its job's takes that one's words; any other needs ``texts``."""
    boxes: dict[Role | Literal["logo"], Box] = Field(default_factory=dict)
    """left, top, right, bottom in shares of the canvas, 0-1."""


class PosterPiece(ProductBox):
    """Something to be laid over a poster, in its pixels."""

    image: str
    """WebP, base64."""


class DraftWords(Shape):
    """A text as it is drawn on a poster."""

    id: str
    """Its role."""
    outlines: str
    """An SVG group in the poster's pixels."""
    plate: PosterPiece | None = None
    """What it stands on: a button's plate, or one that makes it readable."""
    contrast: float
    limit: float
    """Of the contrast."""
    remedy: Literal["none", "colour", "scrim", "plate"]
    """What made it readable."""
    lines: int


class PosterDraft(Shape):
    """A poster as it would be: what an editor shows before anything is kept."""

    language: str
    texts: dict[str, str]
    width: int
    height: int
    boxes: dict[str, Box]
    """Of texts and logo."""
    words: list[DraftWords]
    logo: PosterPiece | None = None
    bare: str
    """The poster without words, plates and logo, at most 1440 pixels long: WebP, base64."""
    faults: dict[str, str]
    """Check that it fails to what was measured."""


@router.post("/{id}/poster/draft", response_model=PosterDraft)
async def draft_poster(id: str, change: PosterChange, service: Here, key: Key) -> PosterDraft:
    """A poster with a change, as an editor shows it; nothing is kept."""
    row = await to_thread.run_sync(_read_poster, service, key, id)

    def work() -> PosterDraft:
        with open_poster_folder(service, row) as folder:
            values = _complete(service, row, change)
            return PosterDraft(**service.children.run(tasks.draft_poster, folder, *values))

    return await to_thread.run_sync(work, limiter=service.children.entry)


@router.post("/{id}/poster", response_model=Image, status_code=201)
async def edit_poster(id: str, change: PosterChange, request: Request, service: Here, key: Key) -> Image:
    """Change a poster's words, language or places of words. The answer is a new image of the same job."""
    row = await to_thread.run_sync(_read_poster, service, key, id)

    def make() -> RowMapping:
        start, blobs = time.perf_counter(), service.store.blobs
        with open_poster_folder(service, row) as folder:
            said, paths = service.children.run(tasks.write_poster, folder, *_complete(service, row, change))
            files = {kind: row["files"][kind] for kind in (*_PARTS, "logo") if kind in row["files"]}
            for kind, path in paths.items():
                with path.open("rb") as file:
                    files[kind] = blobs.put_file(file)
        return keep_image(service.store, row, said, files, time.perf_counter() - start)

    return await make_once(service, request, change, row, make)


def _read_poster(service: Service, key: str, id: str) -> RowMapping:
    """The row of a finished poster. Raises UnknownIdError, NotReadyError, RequestError (another image)."""
    row = read_done(service.store, key, id)
    if "poster" not in row["result"]:
        raise RequestError(f"image {id} is no poster; POST /v1/images/{id}/recompose moves its product")
    return row


def _complete(
    service: Service, row: RowMapping, change: PosterChange
) -> tuple[dict[str, str], str, Mapping[str, Box]]:
    """All words, the language and the new boxes. Raises RequestError."""
    recipe = row["result"]["recipe"]
    language = change.language or recipe["language"]
    texts: dict[str, str] = recipe["texts"]
    if language != recipe["language"]:
        with service.store.read() as connection:
            asked: dict[str, Any] = find(connection, jobs, row["job"], row["key"])["request"]["poster"][
                "texts"
            ]
        if language not in asked and set(change.texts) != set(texts):
            raise RequestError(
                f"this poster's job has no words in {language!r}, only in {', '.join(asked)}; give texts for "
                f"{', '.join(texts)}",
                "texts",
            )
        texts = asked.get(language, texts)
    if unknown := [role for role in change.texts if role not in texts]:
        raise RequestError(f"the poster has no {', '.join(unknown)}; it has {', '.join(texts)}", "texts")
    words = texts | {str(role): text for role, text in change.texts.items()}
    return words, language, {str(name): box for name, box in change.boxes.items()}


@contextmanager
def open_poster_folder(service: Service, row: RowMapping) -> Iterator[Path]:
    """A folder with the poster's record and parts, as ``cyclorama poster`` writes them."""
    blobs, known = service.store.blobs, row["files"]
    with open_folder(service) as folder:
        record = dict(row["result"]["recipe"])
        if "logo" in known:
            record["brand"] = record["brand"] | {"logo": str(blobs.fetch(known["logo"], folder))}
        (folder / f"{STEM}{ENDING}").write_text(json.dumps(record), encoding="utf-8")
        for kind, ending in _PARTS.items():
            shutil.copyfile(blobs.fetch(known[kind], folder), folder / f"{STEM}{ending}")
        yield folder
