"""The study's server: what goes out, what is taken in, and that raters do not disturb each other."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pytest

from cyclorama.errors import ForeignAnswersError, MalformedAnswersError, SettingsError, StudyError
from cyclorama.evaluation.reading import from_arrays
from cyclorama.lab.study.answers import AnswerStore
from cyclorama.lab.study.build import build_study
from cyclorama.lab.study.page import StudySite
from cyclorama.lab.study.study import QUESTIONS, Study, StudySettings
from cyclorama.service.limits import JSON_BYTES
from cyclorama.service.site import SiteServer
from site_server import run_site


@pytest.fixture
def study(tmp_path: Path) -> Study:
    sets = {
        name: from_arrays({f"p{n}": np.full((16, 16, 3), 40 * n + shift, np.uint8) for n in range(4)})
        for name, shift in (("secretive", 0), ("hidden", 9))
    }
    settings = StudySettings(pairs=4, raters=6, repeats=1, seed=1, embed=False)
    return build_study(sets, sets["hidden"], tmp_path / "study", settings)[0]


@pytest.fixture
def found(study: Study, tmp_path: Path) -> StudySite:
    return StudySite(tmp_path / "study", study)


@pytest.fixture
def server(found: StudySite) -> Iterator[SiteServer]:
    with run_site(found.site) as server:
        yield server


def ask(
    server: SiteServer, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, bytes, dict[str, str]]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
        response = connection.getresponse()
        return response.status, response.read(), {k.lower(): v for k, v in response.getheaders()}
    finally:
        connection.close()


def form(study: Study, rater: str, changed: int = 1) -> bytes:
    answers = [
        {"task": task.name, "question": question, "order": task.images, "seconds": 1, "changed": changed}
        for task in study.raters[rater]
        for question in QUESTIONS
    ]
    values = {"format": "cyclorama-study-answers/1", "study": study.name, "rater": rater, "answers": answers}
    return json.dumps(values).encode()


def send(server: SiteServer, body: bytes, kind: str = "application/json") -> int:
    return ask(server, "POST", "/answers", body, Content_Type=kind)[0]


def test_only_page_images_and_own_answers_go_out(server: SiteServer, study: Study) -> None:
    status, page, headers = ask(server, "GET", "/")
    assert status == 200
    assert b'data-server="answers"' in page
    assert headers["x-content-type-options"] == "nosniff" and "server" not in headers
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'sha256-")
    name = next(iter(study.pairs[0].images.values()))
    status, image, headers = ask(server, "GET", f"/images/{name}.jpg")
    assert (status, image[:3], headers["content-type"]) == (200, b"\xff\xd8\xff", "image/jpeg")
    for path in (
        "/key.json",
        "/../key.json",
        "/images/../../key.json",
        "/images/%2e%2e/%2e%2e/key.json",
        "/images/0123456789ab.jpg",
        "/raters.txt",
        "/answers/served-x.json",
        "/answers?rater=nobody",
        "/answers",
        "//key.json",
    ):
        status, body, _ = ask(server, "GET", path)
        assert status == 404, path
        assert b"secretive" not in body


def test_answers_are_kept_and_come_back(server: SiteServer, study: Study, tmp_path: Path) -> None:
    first, second = list(study.raters)[:2]
    assert send(server, form(study, first)) == 200
    values = json.loads(ask(server, "GET", f"/answers?rater={first}")[1])
    sent = json.loads(form(study, first))
    assert {(a["task"], a["question"], tuple(a["order"])) for a in values["answers"]} == {
        (a["task"], a["question"], tuple(a["order"])) for a in sent["answers"]
    }
    assert json.loads(ask(server, "GET", f"/answers?rater={second}")[1])["answers"] == []
    kept = [path.name for path in (tmp_path / "study" / "answers").glob("*.json")]
    assert kept == [f"served-{first}.json"]


def test_what_is_not_understood_is_refused_and_not_kept(
    server: SiteServer, found: StudySite, study: Study
) -> None:
    rater, other = list(study.raters)[:2]
    good = form(study, rater)
    assert send(server, b"{") == 400
    assert send(server, b"[" * 100_000) == 400
    assert send(server, good.replace(study.name.encode(), b"0" * 16)) == 400
    assert send(server, good.replace(rater.encode(), other.encode())) == 400  # tasks of another rater
    assert send(server, good, "text/plain") == 400
    assert ask(server, "POST", "/elsewhere", good, Content_Type="application/json")[0] == 404
    too_long = {"Content_Type": "application/json", "Content_Length": str(JSON_BYTES + 1)}
    assert ask(server, "POST", "/answers", b"", **too_long)[0] == 413
    assert ask(server, "PUT", "/answers", good)[0] == 405
    assert not any(found.store.load(rater) for rater in study.raters)


def test_many_raters_at_once(server: SiteServer, found: StudySite, study: Study) -> None:
    codes: list[int] = []

    def rate(rater: str) -> None:
        for changed in range(1, 6):
            codes.append(send(server, form(study, rater, changed)))

    threads = [threading.Thread(target=rate, args=(rater,)) for rater in study.raters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [200] * 30
    kept = {rater: found.store.load(rater) for rater in study.raters}
    assert {rater: len(answers) for rater, answers in kept.items()} == dict.fromkeys(study.raters, 5 * 2)
    assert {answer.changed for answers in kept.values() for answer in answers} == {5}


def test_a_taken_port_a_wrong_page_and_foreign_answers_are_named(
    server: SiteServer, found: StudySite, study: Study, tmp_path: Path
) -> None:
    folder = tmp_path / "study"
    site = found.site
    with pytest.raises(SettingsError, match="cannot listen"):
        SiteServer(site, "127.0.0.1", server.port)
    with pytest.raises(SettingsError, match="--port"):
        SiteServer(site, "127.0.0.1", 70000)
    with pytest.raises(StudyError, match="cannot read the page"):
        StudySite(tmp_path, study)
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "index.html").write_text("<html>")
    with pytest.raises(StudyError, match="not the page of study"):
        StudySite(tmp_path, study)
    (tmp_path / "page" / "index.html").write_bytes((folder / "page" / "index.html").read_bytes())
    rater = next(iter(study.raters))
    AnswerStore(tmp_path, replace(study, name="other")).save(rater, [])
    with pytest.raises(ForeignAnswersError):
        StudySite(tmp_path, study)
    (tmp_path / "answers" / f"served-{rater}.json").write_bytes(b"x" * 5000)
    with pytest.raises(MalformedAnswersError):
        StudySite(tmp_path, study)
