"""What only a browser shows: a double click, the way back, a phone's width, and that nothing is fetched from anywhere else."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from tests.pages.conftest import OPERATIONS, World
from tests.pages.screenshots import chromium, settled

ROOT = Path(__file__).parents[2]

if chromium() is None:
    pytest.skip("no chromium is installed on this machine", allow_module_level=True)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def served(_servers) -> Iterator[World]:
    """A world of this module's own, and the application served to it."""
    from tests.conftest import _server

    with pytest.MonkeyPatch.context() as monkeypatch:
        world = World(_server(_servers, "embedded", None), monkeypatch)
        world.block()
        world.stop_the_clock()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
        process = subprocess.Popen(
            command, cwd=ROOT, env=dict(os.environ), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        world.url = f"http://127.0.0.1:{port}"
        try:
            for _ in range(150):
                try:
                    urlopen(f"{world.url}/_stcore/health", timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.2)
            yield world
        finally:
            process.terminate()
            process.wait(timeout=20)
            world.close()


@pytest.fixture
def tab(browser, served):
    """Opens a page in a browser of its own; notes every request that leaves this machine."""
    opened = []

    def open_page(path: str, *, width: int = 1440, **query: str):
        context = browser.new_context(viewport={"width": width, "height": 900}, timezone_id="Europe/Berlin")
        opened.append(context)
        page = context.new_page()
        page.foreign = []
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((served.url, "data:", "blob:", "ws:"))
                else page.foreign.append(request.url)
            ),
        )
        page.goto(f"{served.url}/{path}?{urlencode({'as': OPERATIONS, **query}, doseq=True)}")
        settled(page, patience_s=60)
        return page

    yield open_page
    for context in opened:
        context.close()


def test_the_first_request_to_a_fresh_server_is_drawn_by_the_application_and_fetches_nothing_from_elsewhere(tab):
    page = tab("trace", q="200")
    page.wait_for_selector("text=Which one?", timeout=60_000)
    assert page.foreign == []


def test_a_double_click_on_reprocess_is_one_command(tab, served):
    page = tab("exceptions", scope="filter")
    page.get_by_label("In your words").fill("the cost centre is open again")
    page.get_by_label("In your words").press("Tab")
    settled(page)
    with served.engine_at_work():
        page.get_by_role("button", name="Reprocess 3 documents (EUR 1,000)").dblclick()
        page.wait_for_selector("text=Reprocessing of 3 documents", timeout=30_000)
        assert "redrive=" in page.url
        page.reload()
        page.wait_for_selector("text=Reprocessing of 3 documents", timeout=30_000)
    assert served.one("SELECT count(*) FROM command WHERE action = 'reprocess'") == 1
    assert served.one("SELECT count(*) FROM redrive") == 1


def test_the_way_back_restores_the_filter(tab):
    page = tab("exceptions", unit="DE-NORTH")
    page.wait_for_selector("text=1 exception holds up", timeout=60_000)
    page.get_by_role("link", name="Overview").click()
    page.wait_for_selector("text=Does the money flow")
    settled(page)
    assert "unit=DE-NORTH" in page.url, "the menu takes the filter along"
    page.go_back()
    page.wait_for_selector("text=What needs a person")
    settled(page)
    assert "unit=DE-NORTH" in page.url
    page.wait_for_selector("text=1 exception holds up", timeout=60_000)


def test_a_phone_gets_cards_and_nothing_wider_than_its_screen(tab):
    page = tab("exceptions", width=390)
    page.wait_for_selector("text=Cause: The cost centre is blocked", timeout=30_000)
    settled(page)
    assert page.locator("[data-testid=stDataFrame]").count() == 0
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
    assert page.get_by_role("button", name="Filters").is_visible()
