"""A real headless Chromium, and one page in it with all that it asked for and complained of."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pytest

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS: Final = [
    "--no-sandbox",  # tests may run as root, where Chromium's own sandbox refuses to
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TIMEOUT_MS: Final = 20_000


@contextmanager
def opening(profile: Path) -> Iterator[Any]:
    """A browser with an empty profile. Skips where none is installed, and says how to get one."""
    if CHROMIUM is None:
        pytest.skip("NO BROWSER: nothing that a person opens was looked at. `apt-get install chromium`, then run again")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=CHROMIUM, args=FLAGS, headless=True, timeout=TIMEOUT_MS
        )
        try:
            yield context
        finally:
            context.close()


class Opened:
    """One page for as long as a `with` lasts."""

    def __init__(self, browser: Any, url: str, size: tuple[int, int]) -> None:
        self.errors: list[str] = []
        self.requested: list[str] = []
        self._page = browser.new_page()
        self._page.set_viewport_size({"width": size[0], "height": size[1]})
        self._page.on("request", lambda request: self._note(request.url))
        self._page.on(
            "console", lambda said: self.errors.append(said.text) if said.type in ("error", "warning") else None
        )
        self._page.on("pageerror", lambda error: self.errors.append(str(error)))
        self._page.on("requestfailed", lambda request: self.errors.append(f"failed: {request.url[:200]}"))
        self._page.goto(url, timeout=TIMEOUT_MS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._page.close()

    def ask(self, script: str) -> Any:
        """The value of an expression in the page."""
        return self._page.evaluate(script)

    def text(self) -> str:
        """What can be read on it."""
        return str(self._page.inner_text("body"))

    def click(self, what: str) -> None:
        """As a person would, and wait for where it leads."""
        self._page.click(what, timeout=TIMEOUT_MS)
        self._page.wait_for_load_state(timeout=TIMEOUT_MS)

    def prefer_dark(self) -> None:
        """As a person sets it for all that they open."""
        self._page.emulate_media(color_scheme="dark")

    def is_no_wider_than_its_window(self) -> bool:
        """Whether nobody has to scroll sideways."""
        width, window = self.ask("[document.documentElement.scrollWidth, window.innerWidth]")
        return bool(width <= window)

    def _note(self, url: str) -> None:
        if not url.startswith("data:"):
            self.requested.append(url)
