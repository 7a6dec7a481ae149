"""Keys, sessions and links; who is let in before a body is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from asgi import Answer, ask
from cyclorama.errors import AccessError, SettingsError, UnknownIdError
from cyclorama.service import keys
from cyclorama.service.auth import COOKIE, Guard, choose_auth, find_scopes
from cyclorama.service.limits import Rates
from cyclorama.service.store import Store
from cyclorama.service.tables import keys as keys_table
from cyclorama.service.tables import sessions


class Inside:
    """Counts how often it was reached, and says as whom."""

    def __init__(self) -> None:
        self.reached = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.reached += 1
        body = str(scope.get("state", {}).get("key")).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = Store(tmp_path)
    yield found
    found.close()


def enter(store: Store, method: str = "GET", path: str = "/v1/jobs", **headers: str) -> Answer:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return ask(Guard(Inside(), store, "keys"), method, path, given)


def test_a_key_is_shown_once_and_kept_as_its_hash(store: Store, tmp_path: Path) -> None:
    text = keys.add_key(store, " shop ", ["generate"])
    _, id, secret = text.split("_", 2)
    assert keys.check_key(store, text) == keys.Access(id, frozenset({"generate"}))
    [row] = keys.list_keys(store)
    assert (row["id"], row["name"], row["scopes"], row["revoked"]) == (id, "shop", ["generate"], None)
    store.close()
    kept = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert secret.encode() not in kept
    assert len(secret) >= 43


@pytest.mark.parametrize("text", ["", "cyc", "cyc__", "cyc_x_y", "\ud800", "x" * 5000, "cyc_' OR 1=1 --_a"])
def test_what_is_no_key(store: Store, text: str) -> None:
    keys.add_key(store, "shop", ["generate"])
    with pytest.raises(AccessError, match="unknown or revoked"):
        keys.check_key(store, text)


def test_another_secret_prefix_or_id(store: Store) -> None:
    one, two = (keys.add_key(store, name, ["generate"]) for name in "ab")
    mixed = "_".join([*one.split("_")[:2], two.split("_", 2)[2]])
    for text in (mixed, one[:-1], one + "x", "abc" + one[3:], one.upper()):
        with pytest.raises(AccessError):
            keys.check_key(store, text)


def test_a_revoked_key_ends_with_its_sessions(store: Store) -> None:
    text = keys.add_key(store, "shop", ["studio"])
    id = text.split("_")[1]
    session, link = keys.open_session_of(store, text), keys.add_link(store, id)
    assert keys.check_session(store, session).key == id
    keys.revoke_key(store, id)
    for check, token in ((keys.check_key, text), (keys.check_session, session), (keys.open_session, link)):
        with pytest.raises(AccessError):
            check(store, token)
    for change in (keys.revoke_key, keys.add_link):
        with pytest.raises(UnknownIdError):
            change(store, id)


def test_a_link_opens_one_session(store: Store) -> None:
    id = keys.add_key(store, "shop", ["studio"]).split("_")[1]
    link = keys.add_link(store, id)
    with pytest.raises(AccessError):
        keys.check_session(store, link)
    session = keys.open_session(store, link)
    assert keys.check_session(store, session) == keys.Access(id, frozenset({"studio"}))
    for code in (link, session):
        with pytest.raises(AccessError, match="this link was used"):
            keys.open_session(store, code)
    keys.close_session(store, session)
    with pytest.raises(AccessError):
        keys.check_session(store, session)


def test_links_and_sessions_grow_old(store: Store) -> None:
    text = keys.add_key(store, "shop", ["studio"])
    link, session = keys.add_link(store, text.split("_")[1]), keys.open_session_of(store, text)
    with store.write() as connection:
        connection.execute(update(sessions).values(expires=1.0))
    with pytest.raises(AccessError):
        keys.open_session(store, link)
    with pytest.raises(AccessError):
        keys.check_session(store, session)
    keys.open_session_of(store, text)
    with store.read() as connection:
        assert len(connection.execute(select(sessions)).all()) == 1, "old ones are swept"


@pytest.mark.parametrize(
    ("name", "scopes"), [("a", ["all"]), ("a", []), (" ", ["admin"]), ("a" * 101, ["admin"])]
)
def test_a_key_that_cannot_be(store: Store, name: str, scopes: list[str]) -> None:
    with pytest.raises(SettingsError):
        keys.add_key(store, name, scopes)


def test_who_is_let_in(store: Store) -> None:
    text = keys.add_key(store, "shop", ["generate"])
    id = text.split("_")[1]
    assert enter(store, authorization=f"Bearer {text}").body == id.encode()
    assert enter(store, authorization=f"bearer  {text} ").body == id.encode()
    assert enter(store, x_api_key=text).body == id.encode()
    for headers in ({}, {"authorization": text}, {"authorization": "Bearer no"}, {"x_api_key": "no"}):
        answer = enter(store, **headers)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert answer.json["type"] == "urn:cyclorama:error:AccessError"


@pytest.mark.parametrize(
    "path", ["/v1/jobs", "/metrics", "/v1/", "//", "/V1/jobs", "/studio/../v1/jobs", "/anything"]
)
def test_what_is_not_listed_as_open_needs_a_key(store: Store, path: str) -> None:
    status = enter(store, path=path).status
    assert status == (200 if path.startswith("/studio/") else 401)  # no router resolves the dots


def test_the_body_of_a_refused_request_is_not_handed_on(store: Store) -> None:
    inside = Inside()
    assert ask(Guard(inside, store, "keys"), "POST", "/v1/assets", pieces=[b"x"] * 9).status == 401
    assert inside.reached == 0


@pytest.mark.parametrize(
    ("scope", "method", "path", "status"),
    [
        ("generate", "POST", "/v1/jobs", 200),
        ("generate", "PATCH", "/v1/images/im_1", 403),
        ("generate", "GET", "/metrics", 403),
        ("review", "GET", "/v1/images/im_1", 200),
        ("review", "PATCH", "/v1/images/im_1", 200),
        ("review", "POST", "/v1/jobs", 403),
        ("review", "DELETE", "/v1/images/im_1", 403),
        ("studio", "PATCH", "/v1/images/im_1", 200),
        ("studio", "POST", "/v1/cutouts", 200),
        ("admin", "GET", "/metrics", 200),
        ("admin", "DELETE", "/v1/assets/as_1", 200),
    ],
)
def test_scopes(store: Store, scope: str, method: str, path: str, status: int) -> None:
    answer = enter(store, method, path, x_api_key=keys.add_key(store, "shop", [scope]))
    assert answer.status == status
    if status == 403:
        assert scope in answer.json["detail"]
        assert set(find_scopes(method, path)) <= set(keys.SCOPES)


def test_a_session_needs_an_origin_to_change_something(store: Store) -> None:
    session = keys.open_session_of(store, keys.add_key(store, "shop", ["studio"]))
    cookie = f"a=b; {COOKIE}={session}; c=d"
    assert enter(store, cookie=cookie).status == 200
    assert enter(store, "POST", cookie=cookie).status == 403
    assert enter(store, "POST", cookie=cookie, origin="http://localhost").status == 200
    assert enter(store, cookie=f"{COOKIE}=no").status == 401
    assert enter(store, cookie='="; ;;,').status == 401


def test_a_key_that_asks_too_often(store: Store) -> None:
    one, two = (keys.add_key(store, name, ["generate"]) for name in "ab")
    guard = Guard(Inside(), store, "keys", Rates(requests=3))
    for left in (2, 1, 0):
        answer = ask(guard, "POST", "/v1/jobs", {"x-api-key": one})
        assert answer.status == 200
        assert answer.headers["ratelimit"].startswith(f'"requests";r={left};t=')
        assert answer.headers["ratelimit-policy"].startswith('"requests";q=3;w=60')
    refused = ask(guard, "POST", "/v1/jobs", {"x-api-key": one})
    assert (refused.status, int(refused.headers["retry-after"])) == (429, 20)
    assert refused.json["type"] == "urn:cyclorama:error:QuotaError"
    assert ask(guard, "GET", "/v1/jobs", {"x-api-key": one}).status == 200, "reads do not count"
    assert ask(guard, "POST", "/v1/jobs", {"x-api-key": two}).status == 200


def test_without_keys_everybody_is_one(store: Store) -> None:
    answer = ask(Guard(Inside(), store, "none", Rates(requests=1)), "POST", "/v1/jobs")
    assert (answer.body, "ratelimit" in answer.headers) == (b"local", False)


@pytest.mark.parametrize(
    ("host", "auth", "chosen"),
    [
        ("127.0.0.1", None, "none"),
        ("::1", None, "none"),
        ("localhost", None, "none"),
        ("127.0.0.1", "keys", "keys"),
        ("0.0.0.0", "keys", "keys"),
        ("0.0.0.0", "none", "none"),
    ],
)
def test_whether_keys_are_asked_for(host: str, auth: Any, chosen: str) -> None:
    assert choose_auth(host, auth) == chosen


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "shop.example"])
def test_a_server_for_others_says_how_it_is_guarded(host: str) -> None:
    with pytest.raises(SettingsError, match="--auth keys"):
        choose_auth(host, None)


def test_the_table_keeps_a_revoked_key(store: Store) -> None:
    id = keys.add_key(store, "shop", ["review", "generate"]).split("_")[1]
    keys.revoke_key(store, id)
    with store.read() as connection:
        row = connection.execute(select(keys_table)).mappings().one()
    assert row["scopes"] == ["generate", "review"]
    assert row["revoked"] >= row["created"]
