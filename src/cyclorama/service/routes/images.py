"""Images: one in one call; their files, recipes and verdicts."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from cyclorama.errors import NotReadyError, QueueFullError
from cyclorama.service import answers, decisions, form, jobs
from cyclorama.service.archive import send_images
from cyclorama.service.context import Here, Key
from cyclorama.service.files import send_blob
from cyclorama.service.idempotency import keep_answer
from cyclorama.service.schemas import Decision, Image, ImageChange, JobState, Page
from cyclorama.service.store import find
from cyclorama.service.submit import drop_when_gone, read_detail, submit, wait_for_job
from cyclorama.service.tables import images

router = APIRouter(prefix="/v1/images", tags=["images"])


@router.post("", response_class=Response, responses=form.ANSWERS, openapi_extra=form.BODY)
async def create_image(request: Request, service: Here, key: Key) -> Response:
    """Make one image and send it: its bytes, or JSON if `Accept` asks for that.

    Fields beside `image` are those of an item and the settings of `cyclorama generate`. Who hangs up
    cancels, unless an `Idempotency-Key` lets them ask again.
    """
    order = await form.read_order(request, service, key)
    job, answer = await submit(service, key, request, order)
    if answer is None:
        token = request.headers.get("idempotency-key")
        # who sent a key can ask for the result again, nobody else can
        watch = None if token else asyncio.create_task(drop_when_gone(service, key, job, request))
        try:
            state = await wait_for_job(service, key, job, float("inf"))
        finally:
            if watch is not None:
                watch.cancel()
        if state in jobs.OPEN:
            raise QueueFullError(
                f"the server shuts down; job {job} goes on with its next start", retry_after=5
            )
        await run_in_threadpool(keep_answer, service.store, key, token, {"job": job})
    response = await run_in_threadpool(_answer, service, request, key, job)
    if answer is not None:
        response.headers["Idempotent-Replay"] = "true"
    return response


def _answer(service: Here, request: Request, key: str, job: str) -> Response:
    image = read_detail(service, key, job).images[0]
    if image.error is not None:
        body, kind = image.error.model_dump_json(exclude_none=True), "application/problem+json"
        return Response(body, image.error.status, {"Cyclorama-Job": job}, kind)
    if image.state != "done":
        raise NotReadyError(f"image {image.id} is {image.state}; ask for job {job}")
    headers = {
        "Cyclorama-Job": job,
        "Cyclorama-Image": image.id,
        "Cyclorama-Seed": str(image.seed),
        "Cyclorama-Exact": json.dumps(image.report.get("exact")),
        "Location": f"/v1/images/{image.id}",
    }
    if image.gate is not None:
        headers["Cyclorama-Gate"] = "passed" if image.gate.passed else "refused"
    if form.wants_json(request):
        return JSONResponse(image.model_dump(mode="json"), headers=headers)
    response = read_image_file(image.id, request, service, key)
    response.headers.update(headers)
    return response


@router.get("", response_model=Page[Image])
def list_images(
    service: Here,
    key: Key,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    state: JobState | None = None,
    decision: Decision | None = None,
    name: Annotated[str | None, Query(max_length=255)] = None,
) -> Page[Image]:
    """This key's images, newest first; `name` is a part of the product's."""
    rows, cursor = decisions.read_images(service.store, key, after, limit, state, decision, name)
    return Page(items=[answers.to_image(row) for row in rows], next=cursor)


@router.get("/archive.zip", response_class=Response)
def read_images_archive(
    images: Annotated[str, Query(min_length=1, max_length=8192)], service: Here, key: Key
) -> Response:
    """Chosen images as one zip; `images`: their ids, with commas."""
    ids = dict.fromkeys(id for id in images.split(",") if id)
    return send_images(service, [decisions.read_done(service.store, key, id) for id in ids])


@router.get("/{id}", response_model=Image)
def read_image(id: str, service: Here, key: Key) -> Image:
    """What is known of an image."""
    with service.store.read() as connection:
        return answers.to_image(find(connection, images, id, key))


@router.patch("/{id}", response_model=Image)
def change_image(id: str, change: ImageChange, service: Here, key: Key) -> Image:
    """Approve or reject an image, or open the question again."""
    return answers.to_image(decisions.decide(service.store, key, id, change))


@router.delete("/{id}", status_code=204)
def delete_image(id: str, service: Here, key: Key) -> None:
    """Delete an image's files; its row stays as cancelled."""
    decisions.delete_image(service.store, key, id)


@router.get("/{id}/file", response_class=Response)
def read_image_file(id: str, request: Request, service: Here, key: Key) -> Response:
    """The finished file."""
    row = decisions.read_done(service.store, key, id)
    return send_blob(service, request, row["files"]["file"], row["result"]["media_type"], _name(row))


@router.get("/{id}/thumbnail", response_class=Response)
def read_thumbnail(id: str, request: Request, service: Here, key: Key) -> Response:
    """A small WebP."""
    row = decisions.read_done(service.store, key, id)
    return send_blob(service, request, row["files"]["thumbnail"], "image/webp", f"{id}.webp")


@router.get("/{id}/preview", response_class=Response)
def read_preview(id: str, request: Request, service: Here, key: Key) -> Response:
    """A small WebP of an image that is being made, if its job asked for previews; its thumbnail once it is
    done."""
    with service.store.read() as connection:
        row = find(connection, images, id, key)
    files = row["files"] or {}
    digest = files.get("thumbnail") or files.get("preview")
    if digest is None:
        raise NotReadyError(f"image {id} is {row['state']} and has no preview; it may come once it is made")
    response = send_blob(service, request, digest, "image/webp", f"{id}.webp")
    response.headers["Cache-Control"] = "no-store"
    return response


@router.get("/{id}/recipe", response_model=dict[str, Any])
def read_recipe(id: str, service: Here, key: Key) -> dict[str, Any]:
    """All that it was made of; enough for `cyclorama generate` to make it again."""
    recipe: dict[str, Any] = decisions.read_done(service.store, key, id)["result"]["recipe"]
    return recipe


def _name(row: Any) -> str:
    return f"{row['name'].rpartition('.')[0] or row['name']}-{row['id'][3:9]}{row['result']['suffix']}"
