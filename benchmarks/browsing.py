"""How long a page takes in a browser: headless Chromium over loopback, with the page itself noting when things appear."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
QUIET_MS = 400
"""A page on which nothing has been added or taken away for so long is full; the time that counts ends before."""

PATIENCE_MS = 60_000

_NOTE = """
(() => {
  const seen = window.finsyncSeen = {chart: null, changed: 0};
  new MutationObserver(() => {
    // In the next frame: when it is painted, not when it is put into the tree.
    requestAnimationFrame(() => {
      seen.changed = performance.now();
      if (seen.chart === null && document.querySelector(".js-plotly-plot .main-svg")) seen.chart = seen.changed;
    });
  }).observe(document, {subtree: true, childList: true});
})();
"""
_IS_FULL = """
(quiet) => document.querySelector("[data-testid=stApp][data-test-script-state=notRunning]") !== null
  && document.querySelector("h1") !== null && document.querySelector("[data-testid=stSkeleton]") === null
  && performance.now() - window.finsyncSeen.changed > quiet
"""
_SEEN = """
() => ({first_chart_ms: window.finsyncSeen.chart, full_page_ms: window.finsyncSeen.changed,
        charts: document.querySelectorAll(".js-plotly-plot .main-svg:first-child").length,
        alerts: [...document.querySelectorAll("[data-testid=stAlert], [data-testid=stException]")].map((one) => one.innerText)})
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """One visit: milliseconds since the address was entered."""

    first_chart_ms: float | None
    """None: the page has no chart."""
    full_page_ms: float
    charts: int
    alerts: tuple[str, ...]
    """What the page says in boxes, a failure among them."""


def why_not() -> str | None:
    """Why no browser can be measured here; None if one can."""
    if importlib.util.find_spec("playwright") is None:
        return "the package playwright is not installed; the extra [test] has it"
    if chromium() is None:
        return f"no browser is installed: none of {', '.join(CHROMIUM)}"
    return None


def chromium() -> str | None:
    """An installed browser, or None."""
    return next((path for path in CHROMIUM if Path(path).exists()), None)


@contextmanager
def tab() -> Iterator["Page"]:
    """A tab of a browser of its own, whose first visit finds nothing in its cache."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        try:
            context = browser.new_context(viewport={"width": 1440, "height": 900}, timezone_id="Europe/Berlin")
            context.add_init_script(_NOTE)
            yield context.new_page()
        finally:
            browser.close()


def visit(page: "Page", url: str) -> Seen:
    """Open an address in the tab, as somebody who types it, and wait until the page is full."""
    page.goto(url, wait_until="commit")
    page.wait_for_function(_IS_FULL, arg=QUIET_MS, timeout=PATIENCE_MS)
    seen: dict[str, Any] = page.evaluate(_SEEN)
    return Seen(seen["first_chart_ms"], seen["full_page_ms"], seen["charts"], tuple(seen["alerts"]))
