"""A real browser without network, Debian's chromium moved by selenium, and what is done in the studio."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("SE_OFFLINE", "true")  # selenium must neither look for drivers nor report
os.environ.setdefault("SE_AVOID_STATS", "true")

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
OpenBrowser = Callable[..., Any]
PRODUCTS = Path(__file__).resolve().parents[1] / "src/cyclorama/weights/demo/products"
DROP = """
const transfer = new DataTransfer();
for (const [name, bytes] of arguments[0])
  transfer.items.add(new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], name,
    {type: 'image/webp'}));
document.body.dispatchEvent(new DragEvent('drop', {dataTransfer: transfer, bubbles: true, cancelable: true}));
"""
CUT = "[...document.querySelectorAll('.cut img')].filter((image) => image.naturalWidth).length"
MADE = (
    "[...document.querySelectorAll('#images .done .cell-image img')]"
    ".filter((image) => image.naturalWidth).length"
)


@contextmanager
def offer_browsers(folder: Path) -> Iterator[OpenBrowser]:
    """What starts browsers with folders of their own below ``folder``; they end with the context."""
    webdriver = pytest.importorskip(
        "selenium.webdriver", reason="browser tests need: pip install 'cyclorama[dev]' (selenium)"
    )
    programs = [shutil.which("chromium"), shutil.which("chromedriver")]
    if None in programs:
        pytest.skip("browser tests need: apt-get install chromium chromium-driver")

    with ExitStack() as stack:

        def open_one(phone: bool = False) -> Any:
            place = folder / f"browser{len(list(folder.glob('browser*')))}"
            downloads = place / "downloads"
            downloads.mkdir(parents=True)
            options = webdriver.ChromeOptions()
            options.binary_location = programs[0]
            for flag in (*_FLAGS, f"--user-data-dir={place / 'profile'}", "--window-size=1200,900"):
                options.add_argument(flag)
            options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
            if phone:
                metrics = {"width": 360, "height": 740, "pixelRatio": 2.0, "touch": True, "mobile": True}
                options.add_experimental_option("mobileEmulation", {"deviceMetrics": metrics})
            driver = webdriver.Chrome(options, webdriver.ChromeService(programs[1]))
            stack.callback(driver.quit)
            driver.downloads = downloads
            return driver

        yield open_one


def see(driver: Any, condition: str, seconds: float = 30) -> Any:
    """What the script ``condition`` gives, once that is true."""
    end = time.monotonic() + seconds
    while not (found := driver.execute_script(f"return {condition}")):
        assert time.monotonic() < end, (condition, driver.get_log("browser"))
        time.sleep(0.05)
    return found


def press(driver: Any, *keys: str) -> None:
    from selenium.webdriver import ActionChains

    ActionChains(driver, duration=10).send_keys(*keys).perform()


def press_control(driver: Any, key: str) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    ActionChains(driver, duration=10).key_down(Keys.CONTROL).send_keys(key).key_up(Keys.CONTROL).perform()


def touch(driver: Any, kind: str, *points: tuple[float, float]) -> None:
    values = [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(points)]
    driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": values})


def read_share(driver: Any) -> int:
    """The share of the image that is product, percent, once the server has drawn all strokes."""
    text = see(driver, r"document.querySelector('.editor .status')?.innerText.match(/\d+/)?.[0]")
    return int(text)


def change_share(driver: Any, change: Callable[[], object]) -> int:
    before = read_share(driver)
    change()
    pattern = r"document.querySelector('.editor .status')?.innerText.match(/\d+/)?.[0]"
    return int(see(driver, f"(({pattern}) ?? '{before}') !== '{before}' && {pattern}"))
