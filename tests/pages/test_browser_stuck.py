"""Stuck orders in a browser: a click on a dot shows its document, and the way back the page as it was; a log appears once it is counted."""

from datetime import timedelta
from random import Random
from urllib.parse import parse_qs, urlparse

import pytest

from sync_engine.eventlog.importing import Request, import_log
from sync_engine.insight import fold
from sync_engine.model.ids import id_maker
from tests.conftest import _server
from tests.pages.books import NOW, Books
from tests.pages.browsing import IN_A_BROWSER, PATIENCE_S, launched, opening, serving
from tests.pages.conftest import LEADER
from tests.pages.screenshots import settled

pytestmark = IN_A_BROWSER


@pytest.fixture(scope="module")
def tab(_servers):
    with pytest.MonkeyPatch.context() as monkeypatch:
        books = Books(_server(_servers, "embedded", None), monkeypatch)
        books.heard_from_everybody()
        since = NOW - timedelta(days=5)
        moves = [
            ("requisition_received", None, "received", since, since),
            ("validated", "received", "awaiting_approval", since, since),
        ]
        books.dot = books.document("requisition", "4001", "DE-SOUTH", moves)
        books.stop_the_clock()
        with serving(books) as url, launched() as browser, opening(browser, url) as open_page:
            yield books, open_page
        books.close()


def asked(page):
    """What the address of a page asks for, without who is asking."""
    return {name: value for name, [value] in parse_qs(urlparse(page.url).query).items() if name != "as"}


def test_a_click_on_a_dot_shows_its_document_whose_trace_is_there_and_the_way_back_the_page_as_it_was(tab):
    books, open_page = tab
    page = open_page("stuck", person=LEADER, unit="DE-SOUTH")
    dot = page.locator(".st-key-stuck-ages .scatterlayer .points path").first
    dot.scroll_into_view_if_needed()
    box = dot.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector(".st-key-stuck-ages .hoverlayer .hovertext")
    page.mouse.down()
    page.mouse.up()
    page.wait_for_selector("h3:has-text('Requisition 4001')")
    settled(page, patience_s=PATIENCE_S)
    assert asked(page) == {"document": str(books.dot), "unit": "DE-SOUTH"}
    page.go_back()
    page.wait_for_selector("h3:has-text('Stuck, most money first')")
    settled(page, patience_s=PATIENCE_S)
    assert asked(page) == {"unit": "DE-SOUTH"}


def test_a_log_that_has_just_been_imported_appears_by_itself(tab, tmp_path):
    books, open_page = tab
    path = tmp_path / "fresh.csv"
    path.write_text("case,activity,timestamp\n1,Create Purchase Order,2024-01-01T00:00:00Z\n")
    import_log(books.connection, Request(path, "fresh"), new_id=id_maker(Random(7)))
    page = open_page("stuck", person=LEADER, log="fresh")
    page.wait_for_selector("text=This is not all of the log fresh")
    fold.fold_all(books.connection, now=NOW)
    page.wait_for_selector("text=1 of 1 document had not come to a final stage")
    settled(page, patience_s=PATIENCE_S)
    assert page.get_by_text("This is not all of the log fresh").count() == 0
