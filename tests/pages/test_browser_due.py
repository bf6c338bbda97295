"""Invoices due in a browser: a click on a mark opens its rows and the way back closes them; on a phone nothing is wider than the screen."""

from urllib.parse import parse_qs, urlparse

import pytest

from tests.conftest import _server
from tests.pages.browsing import IN_A_BROWSER, PATIENCE_S, launched, opening, serving
from tests.pages.conftest import LEADER
from tests.pages.screenshots import settled
from tests.pages.test_invoices_due import PAGE, Bills

pytestmark = IN_A_BROWSER


@pytest.fixture(scope="module")
def tab(_servers):
    with pytest.MonkeyPatch.context() as monkeypatch:
        bills = Bills(_server(_servers, "embedded", None), monkeypatch)
        bills.fill()
        bills.stop_the_clock()
        with serving(bills) as url, launched() as browser, opening(browser, url) as open_page:
            yield open_page
        bills.close()


def click(page, key, place):
    """Click the middle of a bar of a chart, as a person does: point at it, see its words, press. `place` counts the bars that have a
    height. Answers the words."""
    chart = page.locator(f".st-key-{key.replace('.', '-')}")
    chart.scroll_into_view_if_needed()
    bars = chart.locator(".bars .point path")
    bars.first.wait_for(state="attached")
    for aside in range(120):
        boxes = [box for bar in bars.all() if (box := bar.bounding_box()) and box["width"] and box["height"]]
        box = boxes[place]
        page.mouse.move(box["x"] + box["width"] / 2 + aside % 2, box["y"] + box["height"] / 2)
        page.wait_for_timeout(250)
        if chart.locator(".hoverlayer .hovertext").count():
            break
    said = chart.locator(".hoverlayer .hovertext").first.text_content()
    page.mouse.down()
    page.mouse.up()
    return said


def asked(page):
    """What the address of a page asks for, without who is asking."""
    return {name: value for name, [value] in parse_qs(urlparse(page.url).query).items() if name != "as"}


@pytest.mark.parametrize(
    ("key", "place", "opens", "heading"),
    [
        ("invoices_due.calendar", 0, {"day": "2026-09-17", "risk": "likely in time"}, "Likely in time, due on 17 Sep 2026"),
        ("invoices_due.waterfall", 1, {"show": "blocked", "why": "match blocked", "goes": "by hand"}, "Blocked, match blocked, goes on by hand"),
        ("invoices_due.matrix", 0, {"due": "due in 8 to 30 days", "band": "EUR 10,000 to 100,000"}, "Due in 8 to 30 days, EUR 10,000 to 100,000"),
    ],
)  # fmt: skip
def test_a_click_on_a_mark_opens_its_rows_and_the_way_back_closes_them(tab, key, place, opens, heading):
    page = tab(PAGE, person=LEADER)
    click(page, key, place)
    page.wait_for_selector(f"text={heading}, worth most per minute first")
    settled(page, patience_s=PATIENCE_S)
    assert asked(page) == opens
    page.go_back()
    page.wait_for_selector("text=What to work on first")
    settled(page, patience_s=PATIENCE_S)
    assert asked(page) == {}


def test_a_figure_s_rows_stand_in_the_address_so_that_a_refresh_keeps_them_and_the_way_back_closes_them(tab):
    """4.0, drill contract: "back restores everything"."""
    page = tab(PAGE, person=LEADER)
    page.get_by_role("link", name="Show 5 late").click()
    page.wait_for_selector("text=not paid by the due date, largest first")
    page.wait_for_url("**show=late**")
    page.reload()
    page.wait_for_selector("text=not paid by the due date, largest first")
    page.get_by_role("link", name="Close the list").click()
    page.wait_for_selector("text=What to work on first")
    settled(page, patience_s=PATIENCE_S)
    page.go_back()
    page.wait_for_selector("text=not paid by the due date, largest first")
    assert asked(page) == {"show": "late"}


def test_a_phone_gets_cards_and_nothing_wider_than_its_screen(tab):
    page = tab(PAGE, person=LEADER, width=390)
    page.wait_for_selector("text=What to work on first")
    settled(page, patience_s=PATIENCE_S)
    page.get_by_text("Its parts").nth(8).wait_for(state="attached")  # nine cards
    tables = "() => [...document.querySelectorAll('[data-testid=stMain] [data-testid=stDataFrame]')].filter(one => !one.closest('[data-testid=stExpander]')).length"
    assert page.evaluate(tables) == 0, "a table stands only where somebody unfolds the numbers of a chart"
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
    assert page.foreign == []
