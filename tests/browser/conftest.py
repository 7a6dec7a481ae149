"""A real browser without network: Debian's chromium and chromium-driver, moved by selenium."""

from __future__ import annotations

import os
import shutil
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


@pytest.fixture
def open_browser(tmp_path: Path) -> Iterator[OpenBrowser]:
    """``open_browser(phone=False)`` starts a browser with a profile and a folder of downloads of its own.

    The driver's attribute ``downloads`` is that folder. A phone has 360 × 740 pixels and a touch screen.
    """
    with offer_browsers(tmp_path) as open_one:
        yield open_one


@pytest.fixture(scope="module")
def module_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One browser for a module's tests."""
    with offer_browsers(tmp_path_factory.mktemp("browser")) as open_one:
        yield open_one()


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
