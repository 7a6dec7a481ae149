"""The page about the API says what the server says of itself."""

from __future__ import annotations

from api_page import PAGE, load_schema, write_page


def test_the_page_is_the_schema() -> None:
    assert PAGE.read_text(encoding="utf-8") == write_page(load_schema()), "run python tests/api_page.py"


def test_every_route_is_told_and_says_what_it_does() -> None:
    schema = load_schema()
    acts = {(m, p): act for p, found in schema["paths"].items() for m, act in found.items()}
    assert {("post", "/v1/images"), ("post", "/v1/jobs"), ("get", "/v1/events")} <= acts.keys()
    assert [act for act, said in acts.items() if not said.get("description")] == []
    page = PAGE.read_text(encoding="utf-8")
    assert all(f"### {method.upper()} {path}\n" in page for method, path in acts)
