"""The application in a browser: a server of its own for a world, and pages opened in it by a person's eyes."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from tests.pages.conftest import OPERATIONS, World
from tests.pages.screenshots import chromium, settled

ROOT = Path(__file__).parents[2]
PATIENCE_S = 90
"""A busy machine draws slowly; what is waited for has to come all the same."""


IN_A_BROWSER = [
    pytest.mark.skipif(chromium() is None, reason="no chromium is installed on this machine"),
    pytest.mark.timeout(5 * PATIENCE_S),
]
"""The marks of a file of tests that look at pages in a browser."""


@contextmanager
def launched() -> Iterator[Any]:
    """A browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def serving(world: World, *, by_hand: bool = False) -> Iterator[str]:
    """The application, looking at a world; answers its address. Started as `finsync app` does, or, `by_hand`, by Streamlit's own command."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).with_name("finsync")), "app"]
    if by_hand:
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    process = subprocess.Popen(
        command, cwd=ROOT, env=os.environ | {"FINSYNC_APP_PORT": str(port)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(150):
            try:
                urlopen(f"{url}/_stcore/health", timeout=1).close()
                break
            except OSError:
                time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)


@contextmanager
def opening(browser: Any, url: str) -> Iterator[Callable[..., Any]]:
    """Opens a page in a browser session of its own, and notes every request that leaves this machine."""
    opened = []

    def open_page(path: str, *, width: int = 1440, person: str = OPERATIONS, **query: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, timezone_id="Europe/Berlin")
        context.set_default_timeout(PATIENCE_S * 1000)
        opened.append(context)
        page = context.new_page()
        page.foreign = []
        page.on(
            "request",
            lambda request: (
                None if request.url.startswith((url, "data:", "blob:", "ws:")) else page.foreign.append(request.url)
            ),
        )
        page.goto(f"{url}/{path}?{urlencode({'as': person, **query}, doseq=True)}")
        settled(page, patience_s=PATIENCE_S)
        return page

    try:
        yield open_page
    finally:
        for context in opened:
            context.close()
