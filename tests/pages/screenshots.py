"""Takes every page at desk and phone width, light and dark: `python -m tests.pages.screenshots --url http://127.0.0.1:8501 --out shots`.

A command, not a test: pictures are for looking at (UI.md, "How to check"). It says how long each page took until it stood still.
"""

import argparse
import time
from pathlib import Path
from urllib.parse import urlencode

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
WIDTHS = {1440: 900, 390: 844}


def chromium() -> str | None:
    """An installed browser, or None."""
    return next((path for path in CHROMIUM if Path(path).exists()), None)


def settled(page: Page, *, patience_s: float = 20) -> float:
    """Wait until the page has stopped running; answers the seconds it took."""
    began = time.monotonic()
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]", timeout=patience_s * 1000)
    page.wait_for_selector("h1", timeout=patience_s * 1000)
    return time.monotonic() - began


def shoot(browser: Browser, url: str, to: Path, *, width: int, dark: bool, patience_s: float = 20) -> float:
    """One picture of the whole page."""
    context = browser.new_context(
        viewport={"width": width, "height": WIDTHS[width]},
        color_scheme="dark" if dark else "light",
        timezone_id="Europe/Berlin",
        locale="en-GB",
    )
    page = context.new_page()
    page.goto(url)
    took = settled(page, patience_s=patience_s)
    page.wait_for_timeout(900)
    settled(page)
    height = page.evaluate(
        "() => { const main = document.querySelector('[data-testid=stMain]'); return main ? main.scrollHeight : 900; }"
    )
    page.set_viewport_size({"width": width, "height": min(int(height) + 60, 6000)})
    page.wait_for_timeout(500)
    page.screenshot(path=str(to))
    context.close()
    return took


def main() -> None:
    """Every page, or those named with --page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8501")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--as", dest="person", default="", help="whose eyes (evaluation mode)")
    parser.add_argument(
        "--page",
        action="append",
        default=[],
        help='a path with its parameters, such as "exceptions?unit=DE-SOUTH"; all pages without',
    )
    parser.add_argument("--only", default="", help='one picture of each: "1440-light"')
    parser.add_argument("--patience", type=float, default=20, help="seconds that a page may take to stand still")
    chosen = parser.parse_args()
    if not chosen.page:
        from pages import PAGES

        chosen.page = [page.URL_PATH for page in PAGES]
    chosen.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        for path in chosen.page:
            for width in WIDTHS:
                for dark in (False, True):
                    look = f"{width}-{'dark' if dark else 'light'}"
                    if chosen.only and look != chosen.only:
                        continue
                    address = f"{chosen.url}/{path}"
                    if chosen.person:
                        address += ("&" if "?" in path else "?") + urlencode({"as": chosen.person})
                    name = "".join(letter if letter.isalnum() else "-" for letter in path)[:60]
                    took = shoot(
                        browser,
                        address,
                        chosen.out / f"{name}-{look}.png",
                        width=width,
                        dark=dark,
                        patience_s=chosen.patience,
                    )
                    print(f"{took:5.2f} s  {name}-{look}.png")  # noqa: T201 - a command's output
        browser.close()


if __name__ == "__main__":
    main()
