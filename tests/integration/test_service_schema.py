"""Requests made up from the service's own schema, right and wrong ones: none breaks the server."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import requests
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image

from cyclorama.service.app import create_app
from cyclorama.service.connections import UVICORN
from cyclorama.service.settings import ServiceSettings

ENDLESS = {"/v1/events"}
"""What streams until the client goes."""
EXAMPLES = 3
"""Of each route."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Any, dict[str, str]]]:
    """A server without workers, its schema, and ids that are there."""
    app = create_app(ServiceSettings(data=tmp_path_factory.mktemp("data"), workers=0))
    app.state.service.children.prepare = dict  # a quick start; matting is compiled here
    app.state.service.children.seconds = 100.0
    listening = socket.create_server(("127.0.0.1", 0))
    found = uvicorn.Server(uvicorn.Config(app, log_level="critical", **UVICORN))
    thread = threading.Thread(target=found.run, kwargs={"sockets": [listening]})
    thread.start()
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    photo = io.BytesIO()
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(photo, "PNG")
    kind = {"Content-Type": "image/png"}
    asset = requests.post(f"{address}/v1/assets", photo.getvalue(), headers=kind, timeout=60).json()["id"]
    job = requests.post(f"{address}/v1/jobs", json={"items": [{"image": asset}]}, timeout=60).json()
    batch = requests.post(f"{address}/v1/batches", json={"files": {"a.png": asset}}, timeout=60).json()["id"]
    ids = {"batches": batch, "assets": asset, "jobs": job["id"], "images": job["images"][0]["id"]}
    schema = schemathesis.openapi.from_dict(app.openapi())
    yield address, schema, ids
    found.should_exit = True
    thread.join()
    listening.close()


@pytest.mark.filterwarnings("ignore")
def test_no_request_breaks_the_server(server: tuple[str, Any, dict[str, str]]) -> None:
    address, schema, ids = server
    operations = [found.ok() for found in schema.get_all_operations() if found.ok().path not in ENDLESS]
    assert len(operations) > 20
    for operation in operations:

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(), known=st.booleans())
        def send(case: Any, known: bool) -> None:
            room = case.path.split("/")[2:3]
            there = ids.get(room[0]) if room else None
            if known and there and "id" in (case.path_parameters or {}) and case.method != "DELETE":
                case.path_parameters["id"] = there
            if "wait" in (case.query or {}):
                case.query["wait"] = 0
            answer = case.call(base_url=address, timeout=20)
            told = f"{case.method} {case.formatted_path} {answer.status_code} {answer.content[:300]!r}"
            assert answer.status_code < 500, told
            if answer.status_code >= 400:
                assert answer.headers["content-type"] == ["application/problem+json"], told
                assert answer.json()["detail"], told

        send()


def test_the_server_is_well_afterwards(server: tuple[str, Any, dict[str, str]]) -> None:
    address, _, ids = server
    assert requests.get(f"{address}/healthz", timeout=5).status_code == 200
    assert requests.get(f"{address}/v1/assets/{ids['assets']}", timeout=5).json()["width"] == 32
