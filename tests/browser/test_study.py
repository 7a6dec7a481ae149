"""The study in a real browser: from the first click to scores that recover known preferences."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cyclorama.cli import main
from cyclorama.lab.study.page import StudySite
from cyclorama.lab.study.study import load_study
from site_server import run_site

METHODS = {"Zebrafinch": 150, "Wolverine": 100, "Ocelot": 50}
"""Method -> level of red in its images; the references' level is 40, so Ocelot is the most alike."""
PAIRS, REPEATS = 4, 1
SCREENS = (PAIRS + REPEATS) * 2
SIMILAR = ["Ocelot", "Wolverine", "Zebrafinch"]
QUALITY = {"first": ["Wolverine", "Ocelot", "Zebrafinch"], "second": ["Wolverine", "Zebrafinch", "Ocelot"]}

READ_RED = """
const images = [...document.querySelectorAll('.pick img')];
if (!images.every((image) => image.complete && image.naturalWidth)) return null;
return Promise.all(images.map(async (image) => {
  await image.decode();
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [1, 1];
  const context = canvas.getContext('2d');
  context.drawImage(image, 0, 0, 1, 1);
  return context.getImageData(0, 0, 1, 1).data[0];
}));
"""


def run(*arguments: object) -> int:
    return main(["lab", "study", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with images of three methods that a rater can tell by eye, and nothing else."""
    for name, red in {**METHODS, "references": 40}.items():
        (tmp_path / "in" / name).mkdir(parents=True)
        for n in range(PAIRS):
            pixels = np.full((96, 96, 3), (red, 90, 40 * n), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "in" / name / f"kettle{n}.png")
    return tmp_path


def build(folder: Path, *options: object) -> list[str]:
    """The rater codes of a new study in ``folder / "study"``."""
    methods = [f"{name}={folder / 'in' / name}" for name in METHODS]
    sizes = ["--pairs", PAIRS, "--raters", 2, "--repeats", REPEATS, "--quiet"]
    references = ["--references", folder / "in" / "references"]
    assert run("build", *methods, *references, "--out", folder / "study", *sizes, *options) == 0
    return (folder / "study" / "raters.txt").read_text().split()


def see(driver: Any, wanted: Sequence[str]) -> list[int]:
    """Places of the shown images in the order of a rater who wants ``wanted``, seen by their colour."""
    reds = wait(lambda: driver.execute_script(READ_RED))
    seen = [min(METHODS, key=lambda name: abs(METHODS[name] - red)) for red in reds]
    assert sorted(seen) == sorted(METHODS)
    return [seen.index(name) for name in wanted]


def want(driver: Any, taste: str) -> list[str]:
    return SIMILAR if driver.find_elements("css selector", ".reference") else QUALITY[taste]


def count(driver: Any) -> str:
    """``n of m`` on a screen with images, else nothing; read in one go."""
    found = driver.execute_script("return document.querySelector('.bar .grow span')?.innerText ?? ''")
    return str(found)


def wait(found: Callable[[], object], seconds: float = 30) -> Any:
    """What ``found`` gives at last; the page may draw itself anew between finding a thing and reading it."""
    from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException

    end = time.monotonic() + seconds
    while True:
        try:
            if result := found():
                return result
        except (NoSuchElementException, StaleElementReferenceException):
            pass
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def start(driver: Any) -> bool:
    driver.find_element("id", "start").click()
    return True


def press(driver: Any, *keys: str) -> None:
    from selenium.webdriver import ActionChains

    ActionChains(driver, duration=10).send_keys(*keys).perform()


def tap(driver: Any, element: Any) -> None:
    from selenium.webdriver.common.actions import interaction
    from selenium.webdriver.common.actions.action_builder import ActionBuilder
    from selenium.webdriver.common.actions.pointer_input import PointerInput

    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    actions = ActionBuilder(driver, mouse=PointerInput(interaction.POINTER_TOUCH, "finger"), duration=10)
    actions.pointer_action.move_to(element).pointer_down().pointer_up()
    actions.perform()


def pick(driver: Any, place: int) -> Any:
    return driver.find_elements("css selector", ".pick")[place]


def places(driver: Any) -> list[str]:
    found = wait(lambda: [[badge.text for badge in driver.find_elements("css selector", ".place")]])
    return list(found[0])


def download(driver: Any) -> Path:
    driver.find_element("id", "download").click()
    return Path(wait(lambda: [p for p in driver.downloads.glob("*.json") if p.stat().st_size])[0])


def check_blind(driver: Any) -> None:
    loaded = driver.execute_script("return performance.getEntriesByType('resource').map((one) => one.name)")
    for text in (driver.page_source, *loaded):
        assert not any(name.lower() in text.lower() for name in [*METHODS, "kettle"])
    assert all(address.startswith(("data:", "http://127.0.0.1")) for address in loaded)


def rate_by_keyboard(driver: Any, page: str, code: str) -> None:
    """A whole study without a pointer, with takings back and a reload in the middle."""
    from selenium.webdriver.common.keys import Keys

    driver.get(page)
    press(driver, "nobody", Keys.ENTER)
    wait(lambda: driver.find_element("id", "problem").text)
    press(driver, *[Keys.BACKSPACE] * len("nobody"), code.lower(), Keys.ENTER)
    wait(lambda: driver.find_elements("css selector", ".bar"))
    check_blind(driver)
    for screen in range(SCREENS):
        assert count(driver) == f"{screen + 1} of {SCREENS}"
        order = see(driver, want(driver, "first"))
        if screen == 2:  # a wrong start, taken back; going on is not possible before the end
            press(driver, "ABC"[order[2]], Keys.ARROW_RIGHT)
            assert count(driver) == f"{screen + 1} of {SCREENS}"
            assert places(driver).count("1") == 1
            press(driver, Keys.BACKSPACE)
            assert places(driver) == ["", "", ""]
        if screen == 4:  # reload with one image placed
            press(driver, "ABC"[order[0]])
            driver.refresh()
            wait(lambda: driver.find_elements("css selector", ".bar"))
            assert count(driver) == f"{screen + 1} of {SCREENS}"
            assert places(driver)[order[0]] == "1"
            press(driver, "123"[order[1]], Keys.ENTER)
        elif screen == 5:  # with Tab and Space alone
            for place in order[:2]:
                while driver.switch_to.active_element != pick(driver, place):
                    press(driver, Keys.TAB)
                press(driver, Keys.SPACE)
            assert driver.switch_to.active_element.get_attribute("id") == "next"
            press(driver, Keys.SPACE)
        else:
            press(driver, "ABC"[order[0]], "abc"[order[1]], Keys.ENTER)
    wait(lambda: driver.find_elements("id", "done"))


def rate_by_touch(driver: Any, page: str, code: str) -> None:
    """The same on a phone; the first screen is answered wrongly and put right at the end."""
    driver.get(f"{page}#{code}")
    tap(driver, wait(lambda: driver.find_element("id", "start")))
    for screen in range(SCREENS):
        wait(lambda screen=screen: count(driver) == f"{screen + 1} of {SCREENS}")
        order = see(driver, want(driver, "second"))
        if screen == 0:
            images = driver.find_elements("css selector", ".pick img")
            assert all(image.size["width"] >= 130 for image in images)
            assert driver.execute_script("return document.documentElement.scrollWidth") <= 360
            order = order[::-1]
        for place in order[:2]:
            tap(driver, pick(driver, place))
        assert [places(driver)[place] for place in order] == ["1", "2", "3"]
        if screen == 3:
            driver.refresh()
            wait(lambda: driver.find_elements("css selector", ".bar"))
            assert [places(driver)[place] for place in order] == ["1", "2", "3"]
        tap(driver, driver.find_element("id", "next"))
    wait(lambda: driver.find_elements("id", "done"))
    for _ in range(SCREENS):
        tap(driver, driver.find_element("id", "back"))
    assert count(driver) == f"1 of {SCREENS}"
    order = see(driver, want(driver, "second"))
    tap(driver, pick(driver, order[2]))  # the first place, wrongly given: takes back all
    assert places(driver) == ["", "", ""]
    for place in order[:2]:
        tap(driver, pick(driver, place))
    for _ in range(SCREENS):
        tap(driver, driver.find_element("id", "next"))
    wait(lambda: driver.find_elements("id", "done"))


def check_scores(score: dict[str, Any]) -> None:
    """What the two tastes amount to, counted by hand."""
    means = [{one["method"]: one["score"]["value"] for one in q["methods"]} for q in score["questions"]]
    assert means[0] == pytest.approx({"Ocelot": 3, "Wolverine": 2, "Zebrafinch": 1})
    assert means[1] == pytest.approx({"Wolverine": 3, "Ocelot": 1.5, "Zebrafinch": 1.5})
    assert [q["agreement"] for q in score["questions"]] == pytest.approx([1, 0.75])
    assert all(q["repetition"] == {"count": 2, "tau": 1, "same_first": 1} for q in score["questions"])


def test_two_raters_from_first_click_to_score(
    folder: Path, open_browser: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    codes = build(folder)
    page = (folder / "study" / "page" / "index.html").as_uri()
    files = []
    for rate, phone, code in ((rate_by_keyboard, False, codes[0]), (rate_by_touch, True, codes[1])):
        driver = open_browser(phone=phone)
        rate(driver, page, code)
        files.append(download(driver))
        assert files[-1].name == f"answers-{load_study(folder / 'study').name}-{code}.json"
        assert [row for row in driver.get_log("browser") if row["level"] == "SEVERE"] == []
    capsys.readouterr()
    assert run("score", folder / "study", *files, "--out", folder / "scores") == 0
    check_scores(json.loads(capsys.readouterr().out))
    driver.get((folder / "scores" / "scores.html").as_uri())
    assert "Ocelot 3.00" in driver.find_element("css selector", "svg").get_attribute("aria-label")


def rate_with_mouse(driver: Any, taste: str, screens: range) -> None:
    for screen in screens:
        wait(lambda screen=screen: count(driver) == f"{screen + 1} of {SCREENS}")
        for place in see(driver, want(driver, taste))[:2]:
            pick(driver, place).click()
        driver.find_element("id", "next").click()


def test_served_raters_at_once_with_a_change_of_device_and_an_outage(
    folder: Path, open_browser: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    codes = build(folder, "--no-embed")
    one, two = open_browser(), open_browser()
    site = StudySite(folder / "study", load_study(folder / "study"))
    with run_site(site.site) as server:
        port = server.port
        for driver, code in ((one, codes[0]), (two, codes[1])):
            driver.get(f"{server.address}#{code}")
            wait(lambda driver=driver: start(driver))
        for screen in range(0, 6, 2):  # in turns
            rate_with_mouse(one, "first", range(screen, screen + 2))
            rate_with_mouse(two, "second", range(screen, screen + 2))
        check_blind(one)
        wait(lambda: len(site.store.load(codes[0])) == 6)
        one.delete_all_cookies()
        one.execute_script("localStorage.clear()")  # as good as another device
        one.get("about:blank")
        one.get(f"{server.address}#{codes[0]}")
        wait(lambda: start(one))
        rate_with_mouse(one, "first", range(6, SCREENS))
        wait(lambda: "arrived" in one.find_element("id", "fate").text)
        wait(lambda: two.execute_script(READ_RED))
    rate_with_mouse(two, "second", range(6, 8))  # nobody listens
    with run_site(site.site, port) as server:
        rate_with_mouse(two, "second", range(8, SCREENS))
        wait(lambda: "have arrived" in two.find_element("id", "fate").text)
    capsys.readouterr()
    assert run("score", folder / "study") == 0
    check_scores(json.loads(capsys.readouterr().out))


LUMINANCE = """
const light = (text) => text.match(/[\\d.]+/g).slice(0, 3).map((v) => v / 255)
  .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
const ground = (node) => {
  for (; node; node = node.parentElement) {
    const colour = getComputedStyle(node).backgroundColor;
    if (colour !== 'rgba(0, 0, 0, 0)') return light(colour);
  }
  return 1;
};
return [...document.querySelectorAll('main *')]
  .filter((node) => node.checkVisibility())
  .filter((node) => [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim()))
  .map((node) => {
    const [a, b] = [light(getComputedStyle(node).color), ground(node)];
    return [node.outerHTML.slice(0, 80), (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
  });
"""


def test_the_page_can_be_read_reached_and_enlarged(folder: Path, open_browser: Callable[..., Any]) -> None:
    from selenium.webdriver.common.keys import Keys

    codes = build(folder)
    driver = open_browser()
    driver.get((folder / "study" / "page" / "index.html").as_uri())
    label = driver.find_element("css selector", "label[for=code]")
    assert label.text == "Your code"
    screens = [driver.execute_script(LUMINANCE)]
    press(driver, codes[0], Keys.ENTER)
    wait(lambda: driver.find_elements("css selector", ".bar"))
    assert driver.switch_to.active_element.tag_name == "h2"
    press(driver, "a")
    screens.append(driver.execute_script(LUMINANCE))
    for texts in screens:
        assert len(texts) >= 5
        assert [text for text in texts if text[1] < 4.5] == []
    names = [button.accessible_name for button in driver.find_elements("css selector", "button")]
    assert all(names)
    assert "Image A, place 1" in names
    assert {"Back", "Take back", "Next", "Save answers as a file"} <= set(names)
    for button in driver.find_elements("css selector", "button"):
        assert min(button.size["height"], button.size["width"]) >= 44, button.accessible_name
    zoom = driver.find_element("css selector", ".card .zoom")
    driver.execute_script("arguments[0].focus()", zoom)
    press(driver, Keys.ENTER)
    assert driver.find_element("css selector", "dialog[open]").accessible_name == "Image A"
    press(driver, "b")  # must not place an image behind the dialog
    press(driver, Keys.ESCAPE)
    wait(lambda: not driver.find_elements("css selector", "dialog"))
    assert driver.switch_to.active_element == zoom
    assert places(driver) == ["1", "", ""]
    driver.get(driver.current_url.replace(codes[0], codes[1]))  # the next rater's link in the same tab
    wait(lambda: driver.find_elements("id", "start"))
    assert driver.find_element("id", "code").get_attribute("value") == codes[1]
    driver.back()
    wait(lambda: count(driver))
    assert places(driver) == ["1", "", ""]
    press(driver, Keys.TAB)
    outline = driver.execute_script("return getComputedStyle(document.activeElement).outlineWidth")
    assert outline == "3px"
