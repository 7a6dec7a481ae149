"""The review page in a real browser: decided by keyboard, taken back, reloaded, taken in by the next run."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cyclorama.curate.records import Box
from cyclorama.curate.review import (
    Review,
    ReviewImage,
    ReviewItem,
    load_decisions,
    load_log,
    save_review_items,
)
from cyclorama.curate.reviewing import encode_evidence
from site_server import run_site

COUNT = 4


def write_run(folder: Path, changed: tuple[str, ...] = ()) -> None:
    """The review part of a run's folder; the evidence of the items in ``changed`` is another one."""
    (folder / "review").mkdir(exist_ok=True)
    items = []
    for n in range(COUNT):
        key = f"mug-{n}"
        box = Box(10, 10, 60, 30, "text", 0.9)
        image = encode_evidence(np.full((90, 120, 3), 60 * n, np.uint8), (box,))
        (folder / "review" / f"{key}.jpg").write_bytes(image)
        reason = f"text: {n + 1 + 5 * (key in changed)} words on the background"
        image = ReviewImage(f"review/{key}.jpg", "as it came, with the evidence")
        items.append(ReviewItem(key, "image", f"{key} · mug", (image,), (reason,), {"text.words": n + 1}))
    save_review_items(folder, items)


def wait(found: Callable[[], object], seconds: float = 60) -> None:
    """Until ``found`` gives something true; the page may be drawn anew in between."""
    from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException

    end = time.monotonic() + seconds
    while True:
        try:
            if found():
                return
        except (NoSuchElementException, StaleElementReferenceException):
            pass
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def press(driver: Any, *keys: str) -> None:
    from selenium.webdriver import ActionChains

    ActionChains(driver, duration=10).send_keys(*keys).perform()


def read(driver: Any, name: str) -> str:
    return str(driver.execute_script(f"return document.getElementById('{name}')?.innerText ?? ''"))


def shows(driver: Any, title: str, state: str) -> Callable[[], bool]:
    def found() -> bool:
        heading = driver.execute_script("return document.querySelector('h2')?.innerText ?? ''")
        return title in heading and state in read(driver, "state")

    return found


def test_accept_reject_undo_reload_and_rerun(tmp_path: Path, open_browser: Callable[..., Any]) -> None:
    from selenium.webdriver.common.keys import Keys

    write_run(tmp_path)
    driver = open_browser()
    with run_site(Review(tmp_path).site) as server:
        driver.get(server.address)
        press(driver, "Ana", Keys.ENTER)
        wait(shows(driver, "mug-0", "Open"))
        assert read(driver, "count") == "1 of 4, 4 open"
        assert read(driver, "reasons") == "text: 1 words on the background"
        wait(lambda: driver.execute_script("return document.querySelector('figure img').naturalWidth") == 120)
        press(driver, "w")
        assert read(driver, "why").split() == ["text.words", "1"]

        press(driver, "a")
        wait(shows(driver, "mug-1", "Open"))
        press(driver, "n", "a logo", Keys.ENTER, "r")  # letters in the note decide nothing
        wait(shows(driver, "mug-2", "Open"))
        decisions = load_decisions(tmp_path / "decisions.sqlite")
        assert {k: (d.choice, d.who, d.reason) for k, d in decisions.items()} == {
            "mug-0": ("accept", "Ana", ""),
            "mug-1": ("reject", "Ana", "a logo"),
        }

        press(driver, "u")
        wait(shows(driver, "mug-1", "Open"))
        assert list(load_decisions(tmp_path / "decisions.sqlite")) == ["mug-0"]
        press(driver, "a")
        wait(shows(driver, "mug-2", "Open"))
        press(driver, "k")  # passes what is decided by: nothing open lies before
        assert shows(driver, "mug-2", "Open")()
        press(driver, "f", "k")
        wait(shows(driver, "mug-1", "Accepted by Ana"))
        press(driver, "j", "j")
        wait(shows(driver, "mug-3", "Open"))

        driver.refresh()
        wait(shows(driver, "mug-3", "Open"))
        assert read(driver, "count") == "4 of 4, 2 open"
        press(driver, "r")
        wait(shows(driver, "mug-2", "Open"))
        press(driver, "r")
        wait(lambda: read(driver, "done") != "")
        wait(shows(driver, "mug-2", "Rejected by Ana"))

    write_run(tmp_path, changed=("mug-0",))  # the next run sees something else in one image
    with run_site(Review(tmp_path).site) as server:
        driver.get(f"{server.address}#mug-3")
        press(driver, "Ben", Keys.ENTER)
        wait(shows(driver, "mug-3", "Rejected by Ana"))
        assert read(driver, "count") == "4 of 4, 1 open"
        press(driver, "k")
        wait(shows(driver, "mug-0", "has changed since"))
        press(driver, "u")
        wait(lambda: "no decision of Ben" in read(driver, "problem"))
        press(driver, "r")
        wait(lambda: read(driver, "done") != "")
    decisions = load_decisions(tmp_path / "decisions.sqlite")
    assert {key: (d.choice, d.who) for key, d in decisions.items()} == {
        "mug-0": ("reject", "Ben"),
        "mug-1": ("accept", "Ana"),
        "mug-2": ("reject", "Ana"),
        "mug-3": ("reject", "Ana"),
    }
    log = [(d.key, d.choice, undone is not None) for d, undone in load_log(tmp_path / "decisions.sqlite")]
    assert ("mug-1", "reject", True) in log and len(log) == 6
    assert [row for row in driver.get_log("browser") if row["level"] == "SEVERE"] == []


def test_a_decision_that_cannot_be_kept_is_not_shown_as_kept(
    tmp_path: Path, open_browser: Callable[..., Any]
) -> None:
    from selenium.webdriver.common.keys import Keys

    write_run(tmp_path)
    driver = open_browser(phone=True)
    with run_site(Review(tmp_path).site) as server:
        driver.get(server.address)
        press(driver, "Ana", Keys.ENTER)
        wait(shows(driver, "mug-0", "Open"))
        assert driver.execute_script("return document.documentElement.scrollWidth") <= 360
        (tmp_path / "decisions.sqlite").write_bytes(b"another program's file, " * 100)
        driver.find_element("id", "accept").click()
        wait(lambda: "Not kept" in read(driver, "problem"))
        assert shows(driver, "mug-0", "Open")()
        assert read(driver, "count") == "1 of 4, 4 open"


def test_two_people_label_posters_by_keys_and_do_not_see_each_other(
    tmp_path: Path, open_browser: Callable[..., Any]
) -> None:
    from selenium.webdriver.common.keys import Keys

    (tmp_path / "review").mkdir()
    items = []
    for name, grey in (("lamp", 90), ("mug", 200)):
        (tmp_path / "review" / f"{name}.jpg").write_bytes(
            encode_evidence(np.full((240, 180, 3), grey, np.uint8), ())
        )
        images = (ReviewImage(f"review/{name}.jpg", name),)
        items.append(ReviewItem(name, "poster", name, images, (), labels=("floating", "size", "crowded")))
    save_review_items(tmp_path, items)
    driver = open_browser()
    with run_site(Review(tmp_path).site) as server:
        driver.get(server.address)
        press(driver, "Ana", Keys.ENTER)
        wait(shows(driver, "lamp", "Open"))
        assert read(driver, "labels").split() == ["floating1", "size2", "crowded3"]
        press(driver, "n", "low", Keys.ENTER, "1", "2", "3", "2", "7")  # 2 is taken back, 7 is no key
        pressed = "[...document.querySelectorAll('#labels [aria-pressed=true]')].map((b) => b.id)"
        assert driver.execute_script(f"return {pressed}") == ["label-floating", "label-crowded"]
        press(driver, "r")
        wait(shows(driver, "mug", "Open"))
        assert driver.execute_script(f"return {pressed}") == []
        press(driver, "a")
        wait(lambda: read(driver, "done") == "All decided.")
        press(driver, "f", "k")
        wait(shows(driver, "lamp", "Rejected by Ana"))
        assert "floating, crowded; low" in read(driver, "state")

        driver.execute_script("localStorage.clear()")
        driver.get(f"{server.address}?again")
        press(driver, "Bo", Keys.ENTER)
        wait(shows(driver, "lamp", "Open"))  # as if Ana had not been there
        assert read(driver, "count") == "1 of 2, 2 open"
        press(driver, "2", "r")
        wait(shows(driver, "mug", "Open"))
        press(driver, "u")
        wait(shows(driver, "lamp", "Open"))
        press(driver, "1", "r")
        wait(shows(driver, "mug", "Open"))
        driver.save_screenshot(str(tmp_path / "page.png"))
    standing = [
        (d.key, d.who, d.labels) for d, undone in load_log(tmp_path / "decisions.sqlite") if not undone
    ]
    assert standing == [("lamp", "Ana", "floating,crowded"), ("mug", "Ana", ""), ("lamp", "Bo", "floating")]
