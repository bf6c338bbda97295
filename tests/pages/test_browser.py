"""What only a browser shows: a double click, the way back, a phone's width, and that nothing is fetched from anywhere else."""

from collections.abc import Iterator

import pytest

from tests.pages.browsing import IN_A_BROWSER, launched, opening, serving
from tests.pages.conftest import World
from tests.pages.screenshots import settled

pytestmark = IN_A_BROWSER


@pytest.fixture(scope="module")
def browser():
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def served(_servers) -> Iterator[World]:
    """A world of this module's own, and the application served to it."""
    from tests.conftest import _server

    with pytest.MonkeyPatch.context() as monkeypatch:
        world = World(_server(_servers, "embedded", None), monkeypatch)
        world.block()
        world.stop_the_clock()
        with serving(world, by_hand=True) as world.url:
            yield world
        world.close()


@pytest.fixture
def tab(browser, served):
    """Opens a page in a browser of its own; notes every request that leaves this machine."""
    with opening(browser, served.url) as open_page:
        yield open_page


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
