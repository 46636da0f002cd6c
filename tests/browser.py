"""A real browser for tests: Chromium without a screen, driven by Selenium. It asks no network.

What the tests of pages see through: what a page shows at a width, on paper, in the dark, and what runs in it.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import need

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars",
)  # fmt: skip


class Browser:
    """One browser. `open` shows a page; the rest says what came of it."""

    def __init__(self, driver: Any, place: Path) -> None:
        self.driver = driver
        self._place = place

    def open(self, page: str, *, width: int = 1000, height: int = 800, dark: bool = False, media: str = "") -> None:
        """Show a page, given as text, from a file, as an attachment is shown."""
        file = self._place / "page.html"
        file.write_text(page, encoding="utf-8")
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": [scheme]})
        self.driver.get_log("browser")
        self.driver.get(file.as_uri())

    def run(self, script: str) -> Any:
        """Run a script from outside the page; the page's own policy does not hold for it."""
        return self.driver.execute_script(script)

    def complaints(self) -> list[str]:
        """What the browser's console says: violated policies, errors, refused requests."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def screenshot(self, file: Path | str) -> None:
        """The whole page as PNG."""
        height = self.run("return document.documentElement.scrollHeight")
        width = self.run("return window.innerWidth")
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.save_screenshot(str(file))

    def picture(self, selector: str, file: Path | str) -> None:
        """One element as PNG."""
        height = self.run("return document.documentElement.scrollHeight")
        metrics = {"width": self.run("return window.innerWidth"), "height": height, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {**metrics, "deviceScaleFactor": 1})
        self.driver.find_element("css selector", selector).screenshot(str(file))


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A browser with a fresh profile, until the block ends."""
    browser, driver_path = need("chromium", "chromium"), need("chromedriver", "chromium-driver")
    selenium = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service

    with tempfile.TemporaryDirectory(prefix="mailauth-browser-", ignore_cleanup_errors=True) as place:
        options = selenium.ChromeOptions()
        options.binary_location = browser
        for flag in (*FLAGS, f"--user-data-dir={place}/profile"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        # Dialogues stay open, so that a test sees them.
        options.unhandled_prompt_behavior = "ignore"
        driver = selenium.Chrome(options=options, service=Service(driver_path))
        try:
            yield Browser(driver, Path(place))
        finally:
            driver.quit()
