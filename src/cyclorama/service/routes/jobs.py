"""Jobs: many images in one request."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from cyclorama.service import jobs
from cyclorama.service.answers import to_summary
from cyclorama.service.archive import send_archive
from cyclorama.service.context import Here, Key
from cyclorama.service.idempotency import keep_answer
from cyclorama.service.schemas import JobDetail, JobRequest, JobState, JobSummary, Page
from cyclorama.service.submit import MAX_WAIT_SECONDS, read_detail, submit, wait_for_job

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])
Wait = Annotated[float, Query(ge=0, le=MAX_WAIT_SECONDS)]


@router.post("", response_model=JobDetail, responses={202: {"model": JobDetail}})
async def create_job(
    order: JobRequest, request: Request, service: Here, key: Key, wait: Wait = 0.0
) -> Response:
    """Make images of 1 to 256 products. 200 if all are made within `wait` seconds, else 202."""
    job, answer = await submit(service, key, request, order)
    if answer is not None:
        headers = {"Idempotent-Replay": "true", "Location": f"/v1/jobs/{job}"}
        return JSONResponse(answer["body"], answer["status"], headers)
    state = await wait_for_job(service, key, job, wait) if wait else "queued"

    def conclude() -> dict[str, Any]:
        body = read_detail(service, key, job).model_dump(mode="json", by_alias=True)
        answer = {"status": 202 if state in jobs.OPEN else 200, "body": body}
        keep_answer(service.store, key, request.headers.get("idempotency-key"), answer)
        return answer

    given = await run_in_threadpool(conclude)
    return JSONResponse(given["body"], given["status"], {"Location": f"/v1/jobs/{job}"})


@router.get("", response_model=Page[JobSummary])
def list_jobs(
    service: Here,
    key: Key,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    state: JobState | None = None,
) -> Page[JobSummary]:
    """This key's jobs, newest first."""
    rows, cursor = jobs.read_jobs(service.store, key, after, limit, state)
    return Page(items=[to_summary(row, counts) for row, counts in rows], next=cursor)


@router.get("/{id}", response_model=JobDetail)
def read_job(id: str, service: Here, key: Key) -> JobDetail:
    """A job with all its images."""
    return read_detail(service, key, id)


@router.post("/{id}/cancel", response_model=JobDetail)
def cancel_job(id: str, service: Here, key: Key) -> JobDetail:
    """Make no more of its images; finished ones stay."""
    jobs.cancel_job(service.store, id, key)
    return read_detail(service, key, id)


@router.post("/{id}/retry", response_model=JobDetail)
def retry_job(id: str, service: Here, key: Key) -> JobDetail:
    """Make its failed images again, no others."""
    service.check_open()
    jobs.retry_job(service.store, id, key)
    return read_detail(service, key, id)


@router.get("/{id}/archive.zip", response_class=Response)
def read_archive(id: str, service: Here, key: Key) -> Response:
    """Its finished images and `results.jsonl`, one line an image, failed ones too."""
    return send_archive(service, read_detail(service, key, id))
