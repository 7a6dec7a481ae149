"""The studio's files: their size, their words in four languages, and that nothing comes from elsewhere."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest
from fastapi import FastAPI

import cyclorama.service
from asgi import ask
from cyclorama.service.routes import page

FOLDER = Path(cyclorama.service.__file__).parent / "studio"
FILES = [path for path in sorted(FOLDER.rglob("*")) if path.is_file()]
SCRIPTS = {path.name: path.read_text(encoding="utf-8") for path in FILES if path.suffix == ".js"}
WORDS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in FILES if path.suffix == ".json"}
TEXT = "\n".join(SCRIPTS.values())
FORMS = {"en": {"one", "other"}, "de": {"one", "other"}, "es": {"one", "other"}, "zh": {"other"}}
"""Plural forms that a language needs of the numbers that are counted here."""


def list_places(text: object) -> set[str]:
    """The names in braces of a sentence, or of all its forms."""
    return set(re.findall(r"\{(\w+)\}", text if isinstance(text, str) else " ".join(text.values())))  # type: ignore[union-attr, attr-defined]


def test_all_is_small_and_each_file_short() -> None:
    sizes = {path.name: path.stat().st_size for path in FILES}
    first, found = {"index.html", "studio.css", "icon.svg", "main.js"}, set[str]()
    while first - found:
        found |= first
        first |= {
            name
            for one in found
            for name in re.findall(r'^import .*?"\./([\w.]+)"', SCRIPTS.get(one, ""), re.M)
        }
    words = max(size for name, size in sizes.items() if name.endswith(".json"))
    assert sum(sizes[name] for name in first) + words < 150_000, "what is fetched before anything is seen"
    assert sum(size for name, size in sizes.items() if not name.endswith(".json")) < 230_000
    assert max(len(text.splitlines()) for text in SCRIPTS.values()) <= 400


def test_files_go_out_packed_to_who_can_unpack_them() -> None:
    app = FastAPI()
    app.include_router(page.router)
    plain = ask(app, path="/studio/poster.js")
    assert plain.body == (FOLDER / "poster.js").read_bytes() and "content-encoding" not in plain.headers
    accepts = {"Accept-Encoding": "gzip, deflate, br"}
    packed = ask(app, path="/studio/poster.js", headers=accepts)
    assert packed.headers["content-encoding"] == "gzip" and packed.headers["vary"] == "Accept-Encoding"
    assert gzip.decompress(packed.body) == plain.body and len(packed.body) < 0.4 * len(plain.body)
    assert packed.headers["etag"] != plain.headers["etag"]
    again = ask(app, path="/studio/poster.js", headers=accepts | {"If-None-Match": packed.headers["etag"]})
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize("language", ["de", "es", "zh"])
def test_every_sentence_is_there_with_its_places(language: str) -> None:
    english, other = WORDS["en"], WORDS[language]
    assert list(other) == list(english)
    for key, text in english.items():
        assert list_places(other[key]) == list_places(text), key
        if isinstance(text, dict):
            assert isinstance(other[key], str) or set(other[key]) >= FORMS[language], key


def test_no_word_is_missing_or_unused() -> None:
    literals = set(re.findall(r'\bt\(\s*"([\w.]+)"', TEXT)) | set(
        re.findall(r'"([a-z]+(?:\.[\w.]+)+)"', TEXT)
    )
    starts = set(re.findall(r"\bt\([^()]*?`([a-z.]+)\$\{", TEXT))
    missing = {key for key in literals if key not in WORDS["en"] and not key.endswith((".yaml", ".yml"))}
    assert missing == set()
    used = literals | {key for key in WORDS["en"] if any(key.startswith(start) for start in starts)}
    assert set(WORDS["en"]) - used == {"direction"}


def test_scripts_name_files_that_are_there_and_nothing_elsewhere() -> None:
    for name, text in SCRIPTS.items():
        assert set(re.findall(r'"\./([\w.]+)"', text)) <= set(SCRIPTS), name
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), name
        assert not re.search(r"\b(innerHTML|eval|document\.write)\b", text), name
    page = (FOLDER / "index.html").read_text(encoding="utf-8")
    assert (
        re.findall(r"<script[^>]*>[^<]", page) == []
        and "style=" not in page
        and " on" not in page.lower().split("<body>")[1]
    )


def test_imports_of_scripts_have_no_circle() -> None:
    left = {
        name: set(re.findall(r'from "\./([\w.]+)"|^import "\./([\w.]+)"', text, re.M))
        for name, text in SCRIPTS.items()
    }
    needs = {name: {a or b for a, b in found} for name, found in left.items()}
    while free := [name for name, wanted in needs.items() if not wanted & set(needs)]:
        for name in free:
            del needs[name]
    assert needs == {}
