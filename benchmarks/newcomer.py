"""A newcomer's way through the studio, from ``pip install "cyclorama[serve]"`` on, by three hands.

    python benchmarks/newcomer.py [--hands mouse keyboard touch] [--screens FOLDER] [--python PYTHON]

Builds the wheel of this tree and installs it with the extra ``serve`` into an environment of its own (or
takes ``--python``'s). Each hand then starts ``cyclorama serve`` on an empty data folder and goes the whole
way in Debian's chromium with three of the demo's products: a mended cut-out, two styles (each product's
category, one of eight looks), three canvases, a page that is loaded anew and a server that is killed while
images are made, an approved image, its PSD opened and compared pixel by pixel. The touching hand has a screen
of 360 x 740. With ``--screens`` it goes on to comparing, place and shadow, posters, a table and the history,
and every screen is kept, light and dark, under the names of docs/studio, which holds some of them.

What only a person can do is done in the page's place: a drop of files by its event, the browser's file dialog
by handing its field the files.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import signal
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from browsers import CUT, DROP, PRODUCTS, change_share, offer_browsers, press, see, touch  # noqa: E402
from service_server import ServiceProcess  # noqa: E402

NAMES = ("perfume", "whisky", "kettle")
SECONDS = 900
CANVASES = ("1080x1080", "1200x628")
"""Beside the one of 1080 x 1350 that is chosen at first."""
DONE = "document.querySelectorAll('#images .cell.done').length"
FIELD = """
HTMLInputElement.prototype.click = function () {
  if (this.type !== 'file') return HTMLElement.prototype.click.call(this);
  this.id = 'chooser';
  this.hidden = true;
  document.body.append(this);
};
"""
"""The file dialog's stand-in: a field that is asked to open it is put into the page instead."""
FIND = """
const [selector, word] = arguments;
return [...document.querySelectorAll(selector)].find((one) => one.getClientRects().length && !one.disabled
  && one.innerText.includes(word)) ?? null;
"""


class Mouse:
    """A pointer before a screen of 1440 x 900."""

    name, suffix, phone = "mouse", "", False

    def __init__(self, driver: Any) -> None:
        self.driver = driver
        self.acts = 0
        if not self.phone:
            driver.set_window_size(1440, 900 + driver.execute_script("return outerHeight - innerHeight"))
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": FIELD})

    def find(self, selector: str, word: str = "", seconds: float = 60) -> Any:
        """The first element that is seen, may be used and holds ``word``, in view."""
        end = time.monotonic() + seconds
        while not (found := self.driver.execute_script(FIND, selector, word)):
            assert time.monotonic() < end, (self.name, selector, word)
            time.sleep(0.05)
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", found)
        return found

    def use(self, selector: str, word: str = "") -> None:
        """Press what is found."""
        self.acts += 1
        self._use(self.find(selector, word))

    def _use(self, element: Any) -> None:
        from selenium.webdriver import ActionChains

        ActionChains(self.driver, duration=20).move_to_element(element).click().perform()

    def go(self, view: str) -> None:
        if view != "setup" or self.phone:
            self.use(f"#nav .{view}")
            see(self.driver, f"document.body.dataset.view === '{view}'")

    def give(self, button: str, files: Sequence[Path]) -> None:
        """Give the page files."""
        encoded = [[file.name, base64.b64encode(file.read_bytes()).decode()] for file in files]
        self.driver.execute_script(DROP, encoded)

    def stroke(self, stage: Any) -> None:
        from selenium.webdriver import ActionChains

        chain = ActionChains(self.driver, duration=20)
        chain.move_to_element_with_offset(stage, -40, 60).click_and_hold().move_by_offset(80, 20)
        chain.release().perform()

    def choose(self, selector: str, word: str) -> None:
        """Choose the option ``word`` of a menu, which the browser opens outside the page."""
        from selenium.webdriver.support.ui import Select

        Select(self.find(selector)).select_by_visible_text(word)

    def write(self, selector: str, words: str) -> None:
        self.use(selector)
        press(self.driver, words)

    def approve(self) -> None:
        self.use(".verdict-button.approve")


class Keyboard(Mouse):
    """Keys alone: Tab until it is reached, Enter or Space."""

    name, suffix = "keyboard", "_keys"
    most = 0
    """Tabs that the farthest way took."""

    def _use(self, element: Any) -> None:
        self.reach(element)
        press(self.driver, "\ue007")

    def reach(self, element: Any) -> None:
        here = "const [one] = arguments; return document.activeElement === one"
        for tabs in range(250):
            if self.driver.execute_script(here, element):
                self.most = max(self.most, tabs)
                return
            press(self.driver, "\ue004")
        raise AssertionError(f"Tab does not reach {element.get_attribute('outerHTML')[:200]}")

    def give(self, button: str, files: Sequence[Path]) -> None:
        self.use(button)
        field = see(self.driver, "document.querySelector('#chooser')")
        field.send_keys("\n".join(map(str, files)))
        self.driver.execute_script("arguments[0].remove()", field)

    def stroke(self, stage: Any) -> None:
        self.reach(stage)
        from selenium.webdriver import ActionChains

        chain = ActionChains(self.driver, duration=10).send_keys(*["\ue015"] * 6)
        chain.key_down(" ").send_keys(*["\ue014"] * 12).key_up(" ").perform()

    def choose(self, selector: str, word: str) -> None:
        self.reach(self.find(selector))
        press(self.driver, word[0])

    def write(self, selector: str, words: str) -> None:
        self.reach(self.find(selector))
        press(self.driver, words)

    def approve(self) -> None:
        press(self.driver, "a")


class Touch(Keyboard):
    """A finger on a phone of 360 x 740."""

    name, suffix, phone = "touch", "_phone", True

    def _use(self, element: Any) -> None:
        x, y = self.middle(element)
        touch(self.driver, "touchStart", (x, y))
        time.sleep(0.05)
        touch(self.driver, "touchEnd")

    def middle(self, element: Any) -> tuple[float, float]:
        box = self.driver.execute_script(
            "const {left, top, width, height} = arguments[0].getBoundingClientRect();"
            "return [left + width / 2, top + height / 2]",
            element,
        )
        return tuple(box)

    def stroke(self, stage: Any) -> None:
        x, y = self.middle(stage)
        touch(self.driver, "touchStart", (x - 20, y + 30))
        for step in range(9):
            time.sleep(0.02)
            touch(self.driver, "touchMove", (x - 20 + 5 * step, y + 30 + 2 * step))
        time.sleep(0.1)
        touch(self.driver, "touchEnd")

    choose, approve = Mouse.choose, Mouse.approve

    def write(self, selector: str, words: str) -> None:
        """What a phone's own keyboard sends is text, not keys."""
        self.use(selector)
        self.driver.execute_cdp_cmd("Input.insertText", {"text": words})


Shoot = Callable[[str], None]


def walk(hand: Mouse, server: ServiceProcess, shoot: Shoot) -> None:
    """The way itself, the same for all hands."""
    page = hand.driver
    page.get(f"http://127.0.0.1:{server.port}/")
    see(page, "document.querySelector('.drop.first h1')")
    shoot("start")
    files = [PRODUCTS / name / "01.webp" for name in NAMES]
    with tempfile.TemporaryDirectory() as folder:
        named = [Path(folder, f"{file.parent.name}.webp") for file in files]
        for source, target in zip(files, named, strict=True):
            target.write_bytes(source.read_bytes())
        hand.give(".drop .button", named)
        see(page, f"{CUT} === {len(NAMES)}", SECONDS)  # matting is compiled at the first start
    for number, name in enumerate(NAMES):
        hand.choose(f".tile:nth-child({number + 1}) select", name)
    shoot("products")

    mend(hand, shoot)
    kept = read_matte(server, page)

    hand.go("setup")
    for canvas in CANVASES:
        hand.use(f".size[data-key=size-{canvas}]")
    hand.use(".segments [data-key=fast]")
    hand.use(".segments [data-key='1']")
    hand.use("#foot .primary", "9")
    hand.go("images")
    see(page, f"{DONE} >= 1", SECONDS)
    shoot("making")
    page.refresh()
    see(page, f"{DONE} >= 2", SECONDS)
    server.stop(signal.SIGKILL)
    see(page, "document.querySelector('#notice p')")
    shoot("gone")
    server.start()
    see(page, f"!document.querySelector('#notice p') && {DONE} === 9", SECONDS)
    assert read_matte(server, page) == kept, "the mended cut-out is another"

    hand.go("setup")
    hand.use("#panel .row .button", "look")
    see(page, "document.querySelectorAll('.look:enabled img').length === 8", SECONDS)
    hand.use("li:nth-child(3) > .look")
    see(page, "document.querySelector('.look[aria-pressed=true]')")
    shoot("setup")
    hand.use("#foot .primary", "9")
    hand.go("images")
    see(page, f"{DONE} === 18", SECONDS)
    jobs = [job for job in server.get("/v1/jobs")["items"] if job["counts"]["done"] == 9]
    assert len(jobs) == 2 and not any(job["counts"]["failed"] for job in jobs)
    shoot("images")

    hand.use("#images .cell-image")
    hand.approve()
    see(page, "document.querySelectorAll('#images .cell.approved').length === 1")
    hand.use(".strip li:first-child .strip-image")
    shoot("image")
    hand.use(".downloads .button", "PSD")
    check_layers(server, page)


def mend(hand: Mouse, shoot: Shoot) -> None:
    """Erase a part, take that back, and cut an edge out anew, which is kept."""
    page = hand.driver
    hand.use(".tile:nth-child(3) .tile-image")
    see(page, "document.querySelector('.editor .tool') && document.querySelector('.stage').width > 300")
    stage = page.find_element("css selector", ".stage")
    hand.use(".tool[data-key=erase]")
    change_share(page, lambda: hand.stroke(stage))
    change_share(page, lambda: hand.use(".editor-zoom .button"))
    hand.use(".tool[data-key=refine]")
    hand.stroke(stage)
    see(page, "document.querySelector('.editor .status').innerText.includes('%')")
    shoot("mask")
    hand.use(".editor-top .primary")
    see(page, "!document.querySelector('dialog')")


def tour(hand: Mouse, shoot: Shoot) -> None:
    """The screens beside the way."""
    page = hand.driver
    hand.use(".viewer-top .segments button", "Side")
    shoot("compare")
    hand.use(".viewer-top .segments button", "Slider")
    shoot("slider")
    hand.use(".viewer-top .segments button", "Single")
    hand.use(".more-of .button", "Edit")
    see(page, "document.querySelector('.editor .slider')", SECONDS)
    hand.use(".editor .segments [data-key=thirds]")
    shoot("edit")
    hand.use(".editor-top .button")
    hand.use(".viewer-top .button")

    hand.go("posters")
    shoot("posters_empty")
    for role, words in (
        ("headline", "Slow evenings"),
        ("subline", "Made for long nights"),
        ("price", "€ 59"),
    ):
        hand.write(f"input[name={role}]", words)
    hand.use(".poster-form .size[data-key=story]")
    shoot("posters_form")
    hand.use(".poster-foot .primary")
    made = "document.querySelectorAll('#posters .done .cell-image img').length"
    see(page, f"{made} === 6", SECONDS)
    page.execute_script("document.querySelector('#posters-made').scrollIntoView()")
    shoot("posters")
    hand.use("#posters .cell-image")
    see(page, "document.querySelector('.poster svg path')", 120)
    hand.use(".textbox")
    shoot("poster")
    hand.use(".editor-top .button")
    see(page, "!document.querySelector('dialog')")

    hand.go("batch")
    shoot("batch_empty")
    with tempfile.TemporaryDirectory() as folder:
        rows, files = ["Name,Photo,Category"], []
        for name in (*NAMES, "mug"):
            files.append(Path(folder, f"{name}.webp"))
            files[-1].write_bytes((PRODUCTS / name / "01.webp").read_bytes())
            rows.append(f"{name.title()},{files[-1].name},{name}")
        table = Path(folder, "spring.csv")
        table.write_text("\n".join([*rows, "Scarf,scarf.webp,scarf"]))
        hand.give("#batch .button", [table, *files])
        see(page, "document.querySelectorAll('#batch td').length === 15", 120)
        hand.use("#batch .batch-acts .button", "Check")
        see(page, "document.querySelector('#batch .problem')", SECONDS)
    shoot("batch")
    hand.use("#batch .batch-acts .button", "Make")
    see(page, "document.querySelector('#batch .soft').innerText.includes('failed')", SECONDS)
    shoot("batch_made")
    hand.go("history")
    see(page, "document.querySelectorAll('.past').length >= 2")
    shoot("history")


def read_matte(server: ServiceProcess, page: Any) -> str:
    """The cut-out of the third product, which was mended, as the page shows it."""
    seen = "document.querySelector('.tile:nth-child(3) img')?.style.maskImage"
    return str(see(page, seen))


def check_layers(server: ServiceProcess, page: Any) -> None:
    """The PSD that came down: layers, and put together the approved image's pixels."""
    from psd_tools import PSDImage

    end = time.monotonic() + 120
    while not (found := list(page.downloads.glob("*.psd"))):
        assert time.monotonic() < end, "no PSD came down"
        time.sleep(0.1)
    [image] = server.get("/v1/images?decision=approved")["items"]
    target = page.downloads / "approved.png"
    target.write_bytes(server.ask("GET", f"/v1/images/{image['id']}/file").body)
    psd = PSDImage.open(found[0])
    assert len(list(psd)) >= 2, list(psd)
    with Image.open(target) as approved:
        assert (np.asarray(psd.topil().convert("RGB")) == np.asarray(approved.convert("RGB"))).all()


def install(folder: Path) -> str:
    """The interpreter of a new environment with this tree's wheel and the extra ``serve``."""
    run = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder / "dist"), str(ROOT)]
    subprocess.run(run, check=True, stdout=subprocess.DEVNULL)
    [wheel] = (folder / "dist").glob("*.whl")
    venv.create(folder / "clean", with_pip=True)
    python = str(folder / "clean/bin/python")
    options = ("--quiet", "--constraint", str(ROOT / "constraints.txt"))
    subprocess.run([python, "-m", "pip", "install", *options, f"{wheel}[serve]"], check=True)
    return python


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    hands = {hand.name: hand for hand in (Mouse, Keyboard, Touch)}
    parser.add_argument("--hands", nargs="+", choices=hands, default=list(hands))
    parser.add_argument("--screens", type=Path)
    parser.add_argument("--python", help="interpreter of an environment that has cyclorama[serve]")
    args = parser.parse_args()
    for name in ("PYTHONPATH", "VIRTUAL_ENV"):
        os.environ.pop(name, None)

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        python = args.python or install(folder)
        with offer_browsers(folder) as open_browser:
            for name in args.hands:
                start = time.monotonic()
                hand = hands[name](open_browser(hands[name].phone))
                server = ServiceProcess(folder / name, python=python)
                server.start()
                try:
                    walk(hand, server, lambda screen, hand=hand: keep(hand, screen, args.screens))
                    seconds = time.monotonic() - start
                    if args.screens:
                        tour(hand, lambda screen, hand=hand: keep(hand, screen, args.screens))
                    said = [
                        row["message"] for row in hand.driver.get_log("browser") if row["level"] == "SEVERE"
                    ]
                    assert not [message for message in said if "net::ERR" not in message], said
                finally:
                    server.stop()
                tabs = f", at most {hand.most} tabs to one" if name == "keyboard" else ""
                print(f"{name}: 18 images of 3 products, {hand.acts} acts{tabs}, {seconds:.0f} s", flush=True)


def keep(hand: Mouse, screen: str, folder: Path | None) -> None:
    """The screen as it is, light and dark: NAME.jpg, NAME_phone_dark.jpg."""
    if not folder:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for scheme, ending in (("dark", "_dark"), ("light", "")):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        hand.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        time.sleep(0.4)
        with Image.open(io.BytesIO(hand.driver.get_screenshot_as_png())) as shown:
            shown.convert("RGB").save(folder / f"{screen}{hand.suffix}{ending}.jpg", quality=82)


if __name__ == "__main__":
    main()
