"""The studio in a real browser before a real server: the way by mouse, by keyboard and by touch."""

from __future__ import annotations

import base64
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browsers import CUT, DROP, MADE, PRODUCTS, change_share, press, press_control, read_share, see, touch
from cyclorama.service import keys
from cyclorama.service.store import Store
from service_server import ServiceProcess

KEYS = r"""
return [...document.querySelectorAll('body *')].flatMap((element) => [...element.childNodes]
  .filter((node) => node.nodeType === 3).map((node) => node.data.trim())
  .concat(element.ariaLabel ?? [], element.title ?? [])).filter((text) => /^[a-z]+\.[a-z_.]+$/.test(text)
  && !/\.(webp|csv|png)$/.test(text));
"""
"""Texts that are a key of the words, which a visitor must never see."""


COUNT_ASKED = """
window.asked = 0;
const ask = window.fetch;
window.fetch = (path, ...more) => {
  if (String(path).startsWith('/v1/batches/')) window.asked += 1;
  return ask(path, ...more);
};
"""


@pytest.fixture(scope="module")
def server(module_browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    running = ServiceProcess(tmp_path_factory.mktemp("studio") / "data", quick=True)
    running.start()
    yield running
    if running.process.poll() is None:
        running.stop()


@pytest.fixture(scope="module")
def page(module_browser: Any, server: ServiceProcess) -> Any:
    """The page with two products that are cut out, and one image of each: 64 × 64 pixels, fast."""
    driver = module_browser
    driver.get(f"http://127.0.0.1:{server.port}/")
    see(driver, "document.querySelector('.drop.first h1')")
    files = [PRODUCTS / name / "01.webp" for name in ("perfume", "mug")]
    encoded = [[f"{file.parent.name}.webp", base64.b64encode(file.read_bytes()).decode()] for file in files]
    driver.execute_script(DROP, encoded)
    see(driver, f"{CUT} === 2")
    for side in ("width", "height"):
        driver.find_element("id", f"own-{side}").send_keys("64")
    click(driver, ".own-size .button")
    click(driver, ".size[aria-pressed=true]")  # the size that is chosen at first
    click(driver, ".segments [data-key=fast]")
    click(driver, ".segments [data-key='1']")
    click(driver, "#foot .primary")
    see(driver, f"{MADE} === 2", 120)
    return driver


def click(driver: Any, selector: str) -> None:
    see(driver, f"document.querySelector({selector!r})?.disabled === false")
    driver.find_element("css selector", selector).click()


def go(driver: Any, view: str) -> None:
    driver.execute_script("location.hash = arguments[0]", view)
    see(driver, f"document.body.dataset.view === '{view}'")


def open_mask(driver: Any) -> Any:
    """The editor's canvas, once the server has cut out and the mask is shown."""
    go(driver, "products")
    click(driver, ".tile-image")
    see(driver, "document.querySelector('.editor .tool') && document.querySelector('.stage').width > 300")
    return driver.find_element("css selector", ".stage")


def is_pressed(driver: Any, selector: str) -> bool:
    return bool(driver.find_element("css selector", selector).get_attribute("aria-pressed") == "true")


def set_brush(driver: Any, value: float) -> None:
    driver.execute_script(
        "const brush = document.querySelector('.slider input'); brush.value = arguments[0];"
        "brush.dispatchEvent(new Event('input'))",
        value,
    )


def test_by_mouse_and_over_a_reload(page: Any) -> None:
    from selenium.webdriver import ActionChains

    stage = open_mask(page)
    share = read_share(page)
    set_brush(page, 0.2)

    def erase() -> None:
        drag = ActionChains(page, duration=20).move_to_element_with_offset(stage, -60, 40).click_and_hold()
        drag.move_by_offset(120, 0).move_by_offset(0, 60).release().perform()

    erased = change_share(page, erase)
    assert erased < share
    assert change_share(page, lambda: click(page, ".editor-zoom .button:nth-child(1)")) == share
    assert change_share(page, lambda: click(page, ".editor-zoom .button:nth-child(2)")) == erased
    click(page, ".editor [data-key=black]")
    dark = "getComputedStyle(document.querySelector(arguments[0])).backgroundColor"
    chosen, main = (
        page.execute_script(f"return {dark}", one) for one in (".editor [data-key=black]", ".editor .primary")
    )
    assert chosen == main  # the pointer is still over it, which once made its word pale on pale
    click(page, ".editor-top .primary")
    see(page, "!document.querySelector('dialog')")

    go(page, "images")
    click(page, ".cell-image")
    click(page, ".verdict-button.approve")
    click(page, ".viewer-top .button")
    see(page, "document.querySelectorAll('.cell.approved').length === 1")
    page.refresh()
    see(page, f"{MADE} === 2 && document.querySelectorAll('.cell.approved').length === 1")
    assert page.execute_script("return document.querySelectorAll('.tile').length") == 2
    open_mask(page)
    assert read_share(page) == erased
    assert page.execute_script("return document.querySelector('.editor-zoom .button').disabled") is False
    leaves = "return dispatchEvent(new Event('beforeunload', {cancelable: true}))"
    assert page.execute_script(leaves) is True
    assert change_share(page, lambda: click(page, ".editor-zoom .button:nth-child(1)")) == share
    assert page.execute_script(leaves) is False  # a reload is asked about while strokes are not kept
    page.execute_script("window.confirm = () => true; history.back()")
    see(page, "!document.querySelector('dialog')")
    assert page.execute_script(leaves) is True


def test_a_file_that_is_no_photo_is_said(page: Any) -> None:
    page.execute_script(
        "const transfer = new DataTransfer(); for (const name of ['notes.pdf', '.DS_Store'])"
        " transfer.items.add(new File(['x'], name, {type: 'application/pdf'}));"
        "document.body.dispatchEvent(new DragEvent('drop', {dataTransfer: transfer, bubbles: true}))"
    )
    see(page, "document.querySelector('#toast').innerText.includes('1 file is no photo')")
    assert page.execute_script("return document.querySelectorAll('.tile').length") == 2


def test_two_tabs_keep_the_same(page: Any, server: ServiceProcess) -> None:
    first = page.current_window_handle
    size = ".size[data-key='size-1080x1920']"
    chosen = f'document.querySelector("{size}")?.ariaPressed'
    go(page, "products")
    page.switch_to.new_window("tab")
    second = page.current_window_handle
    page.get(f"http://127.0.0.1:{server.port}/#products")
    see(page, f"document.querySelectorAll('.tile').length === 2 && {chosen} === 'false'")
    click(page, size)
    page.switch_to.window(first)
    see(page, f"{chosen} === 'true'")
    click(page, size)
    click(page, ".tile .tile-text .button")
    page.switch_to.window(second)
    see(page, f"{chosen} === 'false' && document.querySelectorAll('.tile').length === 1")
    page.close()
    page.switch_to.window(first)
    click(page, "#toast .button")
    see(page, f"{CUT} === 2")


def test_by_keyboard(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    stage = open_mask(page)
    share = read_share(page)
    assert page.switch_to.active_element == stage
    assert (
        change_share(page, lambda: press(page, "a", Keys.ARROW_LEFT, Keys.ARROW_UP, *"]]]]]]", " ")) > share
    )
    assert is_pressed(page, ".tool[data-key=add]")
    press(page, "x")
    assert is_pressed(page, ".tool[data-key=erase]")
    press(page, "v", "v")
    assert (
        page.find_element("css selector", ".editor [data-key=black]").get_attribute("aria-pressed") == "true"
    )
    assert change_share(page, lambda: press_control(page, "z")) == share
    press(page, Keys.ESCAPE)
    see(page, "!document.querySelector('dialog')")

    go(page, "images")
    page.execute_script("document.querySelectorAll('.cell-image')[1].focus()")
    press(page, "r")
    see(page, "document.querySelectorAll('.cell.rejected').length === 1")
    press(page, Keys.ENTER)
    see(page, "document.querySelector('.viewer .reason')")
    press(page, Keys.ARROW_LEFT)
    see(page, "document.querySelector('.verdict-button.approve[aria-pressed=true]')")
    press(page, "c")
    see(page, "document.querySelectorAll('.pane').length === 2")
    press(page, "c")
    see(page, "document.querySelector('.pane .over')?.style.clipPath")
    press(page, Keys.ESCAPE)
    see(page, "!document.querySelector('dialog') && document.activeElement.dataset.image")


def press_word(driver: Any, word: str) -> None:
    found = (
        f"[...document.querySelectorAll('#batch .button')].find((one) => one.innerText.trim() === '{word}')"
    )
    see(driver, f"{found}?.disabled === false")
    driver.execute_script(f"{found}.click()")


def test_a_table_is_dropped_mapped_checked_and_its_failures_are_listed(
    page: Any, server: ServiceProcess
) -> None:
    table = "Nr,Foto\n1,/etc/hostname\n2,gone.png\n"
    page.execute_script(DROP, [["shop.csv", base64.b64encode(table.encode()).decode()]])
    see(page, "document.body.dataset.view === 'batch' && document.querySelectorAll('#batch td').length === 4")
    chosen = "[...document.querySelectorAll('#batch th select')].map((one) => one.value)"
    assert page.execute_script(f"return {chosen}") == ["", "image"]
    page.execute_script(
        "const menu = document.querySelector('#batch th select'); menu.value = 'id';"
        "menu.dispatchEvent(new Event('change'))"
    )
    see(page, f"{chosen}[0] === 'id'")
    press_word(page, "Check")
    reasons = "[...document.querySelectorAll('#batch .problem')].map((one) => one.innerText)"
    see(page, f"{reasons}.length === 2", 120)
    page.refresh()
    assert "outside the table's folder" in see(page, f"{reasons}[0]")
    press_word(page, "Back")
    press_word(page, "Open")
    see(page, f"{chosen}[0] === 'id'")
    page.execute_script(COUNT_ASKED)
    page.execute_script("new BroadcastChannel('cyclorama-events').postMessage({event: {type: 'resync'}})")
    see(page, "window.asked > 0")
    press_word(page, "Make images")
    see(page, "document.querySelector('#batch .soft').innerText.includes('2 failed')", 120)
    [batch] = server.get("/v1/batches")["items"]
    assert server.get(f"/v1/batches/{batch['id']}")["request"]["columns"] == {"id": "Nr"}
    press_word(page, "Try again")


def test_by_touch_on_a_small_screen(page: Any) -> None:
    size = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    page.refresh()
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    page.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 2})
    try:
        for view in ("products", "setup", "images", "posters", "batch", "history"):
            go(page, view)
            assert page.execute_script("return document.documentElement.scrollWidth") <= 360, view
        open_mask(page)
        share = read_share(page)
        set_brush(page, 0.2)

        def paint() -> None:
            touch(page, "touchStart", (150, 200))
            touch(page, "touchMove", (200, 380))
            touch(page, "touchEnd")

        erased = change_share(page, paint)
        assert erased < share
        draw = "document.querySelector('.stage').toDataURL().length"
        before = page.execute_script(f"return {draw}")
        touch(page, "touchStart", (150, 250), (210, 250))
        touch(page, "touchMove", (100, 250), (260, 250))
        touch(page, "touchEnd")
        see(page, f"{draw} !== {before}")
        time.sleep(0.5)  # a stroke would be on its way to the server by now
        assert read_share(page) == erased
        assert page.execute_script("return document.documentElement.scrollWidth") <= 360
        page.execute_script("window.confirm = () => true")
        click(page, ".editor-top .button")
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


def test_a_product_is_moved_and_a_brand_is_kept(page: Any, server: ServiceProcess) -> None:
    from selenium.webdriver.common.keys import Keys

    page.refresh()
    go(page, "images")
    see(page, f"{MADE} === 2")
    page.execute_script("document.querySelector('.cell-image').focus()")
    press(page, Keys.ENTER)
    see(page, "document.querySelector('.viewer .verdict-button')")
    press(page, "e")
    see(page, "document.querySelector('.editor .slider')", 120)
    assert page.execute_script("return document.querySelector('.editor .primary').disabled")
    press(page, *[Keys.ARROW_UP] * 4)
    see(page, "document.querySelector('.editor .notice')")
    assert check_access(page) == []
    click(page, ".editor .primary")
    see(page, "!document.querySelector('.editor') && document.querySelectorAll('.strip-image').length === 3")
    made = server.get("/v1/images")["items"][0]
    assert made["moved"] and made["parent"] and made["report"]["exact"]
    press(page, Keys.ESCAPE)
    see(page, f"{MADE} === 3")

    click(page, ".segments [data-key=brand]")
    click(page, ".brand .button")
    field = see(page, "document.querySelector('.form .field input')")
    field.send_keys("Kelp")
    click(page, ".form [data-key=palette] .row .button")
    assert check_access(page) == []
    click(page, ".form .primary")
    see(page, "document.querySelector('.brand .swatches span')")
    assert [(kit["name"], kit["palette"]) for kit in server.get("/v1/brands")["items"]] == [
        ("Kelp", ["#808080"])
    ]


def test_a_ground_is_made_anew_for_a_product_that_a_finger_moved(page: Any, server: ServiceProcess) -> None:
    page.refresh()
    go(page, "images")
    before = see(page, f"{MADE} >= 2 && {MADE}")
    click(page, ".cell-image")
    see(page, "document.querySelector('.viewer .verdict-button')")
    press(page, "e")
    see(page, "document.querySelector('.editor .slider')", 120)
    top = "document.querySelectorAll('.editor .own-size input')[1].value"
    stood = page.execute_script(f"return {top}")
    box = "const {left, top, width, height} = document.querySelector('.stage').getBoundingClientRect();"
    x, y = page.execute_script(f"{box} return [left + width / 2, top + height / 2]")
    page.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 1})
    for kind, shift in (("touchStart", 0), ("touchMove", 40), ("touchMove", 90)):
        touch(page, kind, (x, y - shift))
    touch(page, "touchEnd")
    page.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
    assert page.execute_script(f"return {top}") != stood
    click(page, ".editor .notice .button")
    see(page, "!document.querySelector('.editor')")
    press(page, "\ue00c")
    see(page, f"{MADE} === {before + 1}", 120)
    made = server.get("/v1/images")["items"][0]
    assert (made["state"], made["parent"], made["moved"]) == ("done", None, False)


POSTERS = (
    "[...document.querySelectorAll('#posters .cell-image img')].filter((one) => one.naturalWidth).length"
)
SETTLED = "document.querySelector('.poster svg path') && !document.querySelector('.poster-status.waiting')"


def read_box(page: Any, role: str) -> list[float]:
    """Left, top, width, height of a text's box, percent of the poster."""
    return list(
        page.execute_script(
            "const {style} = document.querySelector(`.textbox[data-id=${arguments[0]}]`);"
            "return ['left', 'top', 'width', 'height'].map((side) => parseFloat(style[side]))",
            role,
        )
    )


def test_a_poster_is_made_its_words_are_moved_written_and_saved(page: Any, server: ServiceProcess) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    page.refresh()
    go(page, "posters")
    see(page, "document.querySelectorAll('.subject img').length === 2")
    page.execute_script("document.querySelectorAll('.subject')[1].click()")
    click(page, ".poster-form .size[data-key=banner]")
    click(page, ".poster-form .size[data-key=square]")
    page.find_element("css selector", "input[name=headline]").send_keys("Slow evenings")
    page.execute_script(
        "const menu = document.querySelector('.poster-form .select.small'); menu.value = 'de';"
        "menu.dispatchEvent(new Event('change'))"
    )
    see(page, "document.querySelector('input[name=headline]').value === ''")
    assert page.execute_script("return document.querySelector('.poster-foot .primary').disabled")
    page.find_element("css selector", "input[name=headline]").send_keys("Lange Abende")
    assert check_access(page) == []
    click(page, ".poster-foot .primary")
    see(page, f"{POSTERS} === 2", 120)

    page.execute_script("document.querySelector('#posters .cell-image').click()")
    see(page, SETTLED)
    left, top, width, height = read_box(page, "headline")
    page.execute_script("document.querySelector('.textbox').focus()")
    press(page, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_UP)
    assert read_box(page, "headline") == pytest.approx([left + 2, top - 1, width, height], abs=0.01)
    see(page, SETTLED)
    box = page.find_element("css selector", ".textbox")
    ActionChains(page, duration=20).click_and_hold(box).move_by_offset(-40, 0).perform()
    moved = page.execute_script(
        "return document.querySelector('.poster g[data-id]').getAttribute('transform')"
    )
    assert moved.startswith("translate(") and read_box(page, "headline")[0] < left
    ActionChains(page, duration=20).release().perform()
    see(page, SETTLED)
    ActionChains(page).double_click(box).perform()
    see(page, "document.activeElement.className === 'inline'")
    press(page, "Quiet nights", Keys.ENTER)
    see(page, "document.querySelector('.poster g[aria-label=\"Quiet nights\"]')")
    assert check_access(page) == []
    press_control(page, "z")
    see(page, "document.querySelector('.poster g[aria-label=\"Slow evenings\"]')")
    click(page, ".editor [data-key=de]")
    see(page, "document.querySelector('.poster g[aria-label=\"Lange Abende\"]')")

    page.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 1})
    before = read_box(page, "headline")
    place = page.execute_script(
        "const {left, top, width, height} = document.querySelector('.textbox').getBoundingClientRect();"
        "return [left + width / 2, top + height / 2]"
    )
    touch(page, "touchStart", tuple(place))
    touch(page, "touchMove", (place[0] + 10, place[1] + 30))
    touch(page, "touchMove", (place[0] + 10, place[1] + 60))
    touch(page, "touchEnd")
    page.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
    assert read_box(page, "headline")[1] > before[1] + 3
    click(page, ".editor-top .primary")
    see(page, f"{POSTERS} === 3")
    shown = read_box(page, "headline")
    made = server.get("/v1/images")["items"][0]
    page.execute_script(
        "const field = document.querySelector('.poster-texts textarea'); field.value = 'Nights '.repeat(140);"
        "field.dispatchEvent(new Event('input'))"
    )
    see(page, "document.querySelector('.poster-status .problem')")
    page.execute_script("document.querySelector('.verdict-button.approve').click()")
    time.sleep(1.0)  # for a verdict that must not come
    assert server.get(f"/v1/images/{made['id']}")["decision"] == "open"
    press(page, Keys.ESCAPE)
    page.switch_to.alert.accept()  # the change is lost
    told = [row["message"] for row in page.get_log("browser") if row["level"] == "SEVERE"]
    assert told and all(f"/v1/images/{made['id']}/poster" in message for message in told)
    see(page, "!document.querySelector('dialog')")
    assert (made["poster"]["language"], bool(made["parent"])) == ("de", True)
    draft = server.send(f"/v1/images/{made['id']}/poster/draft", {}).json
    kept = [100 * value for value in draft["boxes"]["headline"]]
    assert [kept[0], kept[1], kept[2] - kept[0], kept[3] - kept[1]] == pytest.approx(shown, abs=0.01)


def test_a_poster_is_made_of_a_finished_image(page: Any, server: ServiceProcess) -> None:
    page.refresh()
    go(page, "images")
    see(page, f"{MADE} >= 2")
    shown = page.execute_script("return document.querySelector('#images .cell-image').dataset.image")
    click(page, ".cell-image")
    see(page, "document.querySelectorAll('.more-of .button').length === 6")
    page.execute_script("document.querySelectorAll('.more-of .button')[1].click()")
    see(page, "document.body.dataset.view === 'posters' && !document.querySelector('dialog')")
    assert see(page, "document.querySelectorAll('.subject[aria-pressed=true] img').length") == 1
    before = page.execute_script(f"return {POSTERS}")
    field = page.find_element("css selector", "input[name=headline]")
    if not field.get_property("value"):
        field.send_keys("Slow evenings")
    click(page, ".poster-foot .primary")
    see(page, f"{POSTERS} > {before}", 120)
    image, job = server.get(f"/v1/images/{shown}"), server.get("/v1/jobs")["items"][0]["id"]
    [item] = server.get(f"/v1/jobs/{job}")["request"]["items"]
    first = server.get(f"/v1/jobs/{image['job']}")["request"]["items"][image["item"]]
    assert item["image"] == first["image"]
    style = server.ask("GET", f"/v1/assets/{item['style']}/file").body
    assert style == server.ask("GET", f"/v1/images/{shown}/style").body


def test_a_server_that_dies_in_the_middle_is_waited_for(page: Any, server: ServiceProcess) -> None:
    """No reload: the page follows on where it was, and images in hand are made after the next start."""
    page.execute_script("window.loaded = 1")
    go(page, "images")
    done = "document.querySelectorAll('#images .cell.done').length"
    before = see(page, done)
    approved = page.execute_script("return document.querySelectorAll('.cell.approved').length")
    click(page, ".segments [data-key='8']")
    click(page, "#foot .primary")
    see(page, f"{done} > {before}", 120)
    server.stop(signal.SIGKILL)
    see(page, "document.querySelector('#notice').innerText.includes('Trying again')")
    server.start()
    see(page, f"!document.querySelector('#notice p') && {done} === {before + 16}", 120)
    job = server.get("/v1/jobs")["items"][0]
    assert (job["state"], job["counts"]["done"]) == ("done", 16)
    assert page.execute_script("return window.loaded") == 1
    assert page.execute_script("return document.querySelectorAll('.cell.approved').length") == approved
    refused = [row["message"] for row in page.get_log("browser") if row["level"] == "SEVERE"]
    assert [message for message in refused if "net::ERR" not in message] == []


def check_access(page: Any) -> Any:
    """What axe finds serious."""
    axe_core = pytest.importorskip("axe_core_python", reason="needs: pip install 'cyclorama[dev]'")
    page.execute_script((Path(axe_core.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
    return page.execute_async_script(
        "const done = arguments[0]; axe.run().then(({violations}) => done(violations.filter(({impact}) =>"
        " ['serious', 'critical'].includes(impact)).map(({id, nodes}) => [id, nodes[0].html])))"
    )


def test_access_words_and_one_origin(page: Any, server: ServiceProcess) -> None:
    for view in ("products", "images", "posters", "batch", "history"):
        go(page, view)
        assert check_access(page) == [], view
    for language in ("de", "es", "zh", "en"):
        page.execute_script(
            "const menu = document.querySelector('#tools select'); menu.value = arguments[0];"
            "menu.dispatchEvent(new Event('change'))",
            language,
        )
        see(page, f"document.documentElement.lang === '{language}'")
        assert page.execute_script(KEYS) == []
    origins = page.execute_script(
        "return [...new Set(performance.getEntriesByType('resource').map(({name}) => new URL(name).origin))]"
    )
    assert origins == [f"http://127.0.0.1:{server.port}"]
    assert [row for row in page.get_log("browser") if row["level"] == "SEVERE"] == []


def test_access_in_the_dark_on_a_small_screen(page: Any) -> None:
    size = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": dark})
    try:
        for view in ("setup", "posters", "batch", "history", "products", "images"):
            go(page, view)
            assert check_access(page) == [], view
        click(page, ".cell-image")
        see(page, "document.querySelector('.viewer .verdict-button')")
        assert check_access(page) == [], "viewer"
        press(page, "\ue00c")
        open_mask(page)
        assert check_access(page) == [], "mask"
        press(page, "\ue00c")
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_who_needs_a_key_comes_in_by_a_link_once(page: Any, tmp_path: Path) -> None:
    running = ServiceProcess(tmp_path / "data", ("--auth", "keys", "--workers", "0"), quick=True)
    running.start()
    store = Store(running.data)
    link = keys.add_link(store, keys.add_key(store, "Atelier", ["studio"]).split("_")[1])
    store.close()
    address = f"http://127.0.0.1:{running.port}/"
    page.get(address)
    see(page, "document.querySelector('#notice [role=alert]')")
    page.get(f"{address}enter?code={link}")
    see(page, "document.querySelector('.drop.first h1') && !document.querySelector('#notice [role=alert]')")
    assert page.current_url.partition("#")[0] == address
    page.execute_async_script(
        "const [done] = arguments; const ask = () => fetch('/v1/jobs/none/cancel', {method: 'POST'});"
        "Promise.all(Array.from({length: 125}, ask)).then((all) => done(all.at(-1).status))"
    )
    files = [PRODUCTS / name / "01.webp" for name in ("mug", "perfume", "sauce")]
    first, second, third = (
        [[f"{file.parent.name}.webp", base64.b64encode(file.read_bytes()).decode()]] for file in files
    )
    page.execute_script(DROP, first)  # the key's requests of this minute are used up
    see(page, f"{CUT} === 1")
    page.execute_script(DROP, second)
    page.execute_script("document.querySelectorAll('.tile')[1].querySelector('.tile-text .button').click()")
    page.execute_script(DROP, third)
    page.execute_script("document.querySelector('#toast .button').click()")
    see(page, f"{CUT} === 3")
    names = "[...document.querySelectorAll('.tile-name')].map((one) => one.innerText)"
    assert page.execute_script(f"return {names}") == ["mug.webp", "perfume.webp", "sauce.webp"]
    page.delete_all_cookies()
    page.get(f"{address}enter?code={link}")
    assert "urn:cyclorama:error:AccessError" in page.page_source
    assert running.stop() == 0
