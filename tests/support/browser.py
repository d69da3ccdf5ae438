# SPDX-FileCopyrightText: 2026 the libreplace authors
# SPDX-License-Identifier: MIT
"""Chromium without a window, for tests of pages. It needs chromium and chromium-driver (apt) and selenium (PyPI)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from support.builds import needs_package, tool


@contextmanager
def chromium(capabilities: dict[str, Any] | None = None) -> Iterator[Any]:
    """Start Chromium, and end it after the block. Selenium gets both paths, so it downloads nothing."""
    needs_package("selenium")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = tool("chromium", "shows the pages")
    for word in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,900"):
        options.add_argument(word)
    for name, value in (capabilities or {}).items():
        options.set_capability(name, value)
    driver = tool("chromedriver", "drives chromium")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SE_OFFLINE", "true")
        browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
    try:
        browser.set_page_load_timeout(60)
        yield browser
    finally:
        browser.quit()


def set_width(browser: Any, width: int) -> None:
    """Set the width of the window. A narrow window behaves like a telephone."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
