"""Decisions that stay and can be taken back; items on disk; what the review's server lets in and out."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cyclorama.curate.review import (
    Decision,
    Review,
    ReviewImage,
    ReviewItem,
    load_decisions,
    load_log,
    load_review_items,
    pair_key,
    save_decision,
    save_review_items,
    undo,
)
from cyclorama.curate.reviewing import encode_evidence
from cyclorama.errors import DataError, OutputError, SettingsError
from cyclorama.service.limits import JSON_BYTES
from cyclorama.service.site import SiteServer
from site_server import run_site

ITEMS = [
    ReviewItem(
        f"k{n}",
        "image",
        f"mug {n} <b>",
        (ReviewImage(f"review/k{n}.jpg", "as it came"),),
        (f"text: {n} words on the background",),
        {"text.words": n},
    )
    for n in range(3)
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "review").mkdir()
    for n, item in enumerate(ITEMS):
        image = encode_evidence(np.full((20, 30, 3), 50 * n, np.uint8), (), side=64)
        (tmp_path / item.images[0].path).write_bytes(image)
    (tmp_path / "review" / "secret.jpg").write_bytes(b"not an item's")
    save_review_items(tmp_path, ITEMS)
    return tmp_path


def test_the_newest_standing_decision_counts(tmp_path: Path) -> None:
    path = tmp_path / "d.sqlite"
    assert load_decisions(path) == {} and load_log(path) == []
    first = Decision("a", "accept", "Ana", 1.0, basis="x")
    second = Decision("a", "reject", "Ben", 2.0, "blurred")
    other = Decision(pair_key("a", "b"), "accept", "Ana", 3.0)
    for decision in (first, second, other):
        save_decision(path, decision)
    assert load_decisions(path) == {"a": second, "pair:a|b": other}
    assert undo(path, "Ben", 4.0) == second
    assert load_decisions(path)["a"] == first
    assert undo(path, "Ben", 5.0) is None  # Ana's are hers to take back
    assert [undo(path, "Ana", 6.0), undo(path, "Ana", 7.0)] == [other, first]
    assert load_decisions(path) == {}
    assert load_log(path) == [(first, 7.0), (second, 4.0), (other, 6.0)]


def test_decisions_of_many_threads_all_arrive(tmp_path: Path) -> None:
    path = tmp_path / "d.sqlite"
    threads = [
        threading.Thread(
            target=lambda n=n: [
                save_decision(path, Decision(f"{n}-{i}", "accept", "A", 1.0)) for i in range(5)
            ]
        )
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(load_decisions(path)) == 20


def test_decisions_that_say_nothing_are_refused(tmp_path: Path) -> None:
    for values in ({"choice": "maybe"}, {"who": " "}, {"key": ""}, {"reason": "x" * 2001}):
        with pytest.raises(SettingsError):
            Decision(**({"key": "a", "choice": "accept", "who": "Ana", "when": 1.0} | values))  # type: ignore[arg-type]
    (tmp_path / "d.sqlite").write_bytes(b"no database at all, " * 100)
    with pytest.raises(OutputError, match="decisions"):
        load_decisions(tmp_path / "d.sqlite")


def test_items_come_back_as_saved_and_broken_lists_are_named(folder: Path) -> None:
    assert load_review_items(folder) == ITEMS
    assert ITEMS[0].basis != replace(ITEMS[0], reasons=("another",)).basis
    path = folder / "review.jsonl"
    lines = path.read_text().splitlines()
    for broken, fault in (
        ([*lines, lines[0]], "line 4: key 'k0' is there twice"),
        ([lines[0].replace("review/k0.jpg", "review/../k0.jpg")], "does not lie in review"),
        (["{"], "line 1"),
    ):
        path.write_text("\n".join(broken))
        with pytest.raises(DataError, match=fault):
            load_review_items(folder)
    with pytest.raises(DataError, match="finished cyclorama curate"):
        Review(folder / "elsewhere")


@pytest.fixture
def server(folder: Path) -> Iterator[SiteServer]:
    with run_site(Review(folder).site) as server:
        yield server


def ask(
    server: SiteServer,
    path: str,
    values: Any = None,
    kind: str = "application/json",
    length: int | None = None,
) -> tuple[int, bytes]:
    """Status and body of the answer; ``length`` is claimed in place of the body's own."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        body = (
            None if values is None else values if isinstance(values, bytes) else json.dumps(values).encode()
        )
        headers = {"Content-Type": kind} | ({} if length is None else {"Content-Length": str(length)})
        connection.request("POST" if body is not None else "GET", path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_page_items_and_their_images_go_out_and_nothing_else(server: SiteServer, folder: Path) -> None:
    status, page = ask(server, "/")
    assert status == 200 and b"Content-Security-Policy" in page
    state = json.loads(ask(server, "/items")[1])
    assert [item["key"] for item in state["items"]] == ["k0", "k1", "k2"]
    assert [item["basis"] for item in state["items"]] == [item.basis for item in ITEMS]
    assert ask(server, "/images/k1.jpg") == (200, (folder / "review" / "k1.jpg").read_bytes())
    for path in ("/images/secret.jpg", "/images/..%2fdecisions.sqlite", "/review.jsonl", "/decisions"):
        assert ask(server, path)[0] == 404


def test_a_decision_is_kept_before_it_is_answered_and_can_be_taken_back(
    server: SiteServer, folder: Path
) -> None:
    values = {"key": "k1", "choice": "reject", "who": " Ana ", "reason": "logo"}
    status, body = ask(server, "/decisions", values)
    kept = load_decisions(folder / "decisions.sqlite")["k1"]
    assert (status, json.loads(body)["decision"]["when"]) == (200, kept.when)
    assert (kept.choice, kept.who, kept.reason, kept.basis) == ("reject", "Ana", "logo", ITEMS[1].basis)
    ask(server, "/decisions", {**values, "choice": "accept"})
    undone = json.loads(ask(server, "/undo", {"who": "Ana"})[1])
    assert (undone["undone"]["choice"], undone["decision"]["choice"]) == ("accept", "reject")
    assert json.loads(ask(server, "/undo", {"who": "Ana"})[1])["decision"] is None
    assert json.loads(ask(server, "/undo", {"who": "Ana"})[1])["undone"] is None
    assert json.loads(ask(server, "/items")[1])["decisions"] == {}


def test_nonsense_and_other_sites_are_refused(server: SiteServer, folder: Path) -> None:
    good = {"key": "k1", "choice": "accept", "who": "Ana"}
    for values in (
        {**good, "key": "k9"},
        {**good, "choice": "maybe"},
        {**good, "who": ""},
        {"key": 1},
        [],
        b"{",
    ):
        assert ask(server, "/decisions", values)[0] == 400
    assert ask(server, "/decisions", good, "text/plain")[0] == 400
    # only claimed: the server closes at once, and a client still sending might never read why
    assert ask(server, "/decisions", b"", length=JSON_BYTES + 1)[0] == 413
    assert ask(server, "/decisions", b"{".rjust(JSON_BYTES))[0] == 400
    assert ask(server, "/elsewhere", good)[0] == 404
    assert load_decisions(folder / "decisions.sqlite") == {}
