"""Browsers for tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browsers import OpenBrowser, offer_browsers


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
