"""Figures that are still being brought up to date are said to be, on every page (PRODUCT.md 4.0)."""

import pytest

from pages import PAGES
from sync_engine.insight import fold
from sync_engine.insight.reports import everywhere
from tests.pages.asking import asking
from tests.pages.books import NOW

LOOKING = "How open documents stand is being looked at: figures on stuck documents grow while you look."
FOLDING = "Figures are being brought up to date: what was recorded last is not in all of them yet."


@pytest.fixture
def books(books, monkeypatch):
    """A company of which everything is folded; from then on only when a test says so."""
    books.stop_the_clock()
    monkeypatch.setattr(books, "stop_the_clock", lambda: None)
    return books


def said(books, page="stuck"):
    app = books.look(page)
    assert not app.exception
    return [one.value for one in app.info if one.value in {LOOKING, FOLDING}]


def look_at(books, documents):
    books.connection.execute(
        "INSERT INTO standing_news (document_id) SELECT gen_random_uuid() FROM generate_series(1, %s)", [documents]
    )


@pytest.mark.parametrize("page", [page.URL_PATH for page in PAGES])
def test_every_page_says_that_what_is_open_is_being_looked_at(books, page):
    """After an upgrade that begins to keep how things stand, 200,000 documents showed as none for the time that took."""
    assert said(books, page) == []
    look_at(books, everywhere.MANY_TO_LOOK_AT)
    assert said(books, page) == [LOOKING]
    fold.fold_all(books.connection, now=NOW)
    assert said(books, page) == []


def test_every_day_news_is_not_spoken_of(books):
    look_at(books, 20)
    assert said(books) == []


def test_recordings_that_wait_to_be_folded_are_told(books):
    books.connection.execute(
        "UPDATE recording SET folded_at = NULL WHERE recording_id = (SELECT recording_id FROM recording ORDER BY recorded_at LIMIT 1)"
    )
    assert said(books) == [FOLDING]


def test_an_answer_that_lacked_something_is_not_kept(books):
    """Nothing is recorded while the folder catches up, and yet what was answered before is no longer true."""
    look_at(books, everywhere.MANY_TO_LOOK_AT)
    with asking(books) as reports:
        behind = everywhere.visit(reports)
        lacking = reports.newest
        fold.fold_all(books.connection, now=NOW)
        up_to_date = everywhere.visit(reports)
        assert (bool(behind.moment.behind), up_to_date.moment.behind) == (True, "")
        assert reports.newest != lacking
        assert not reports.has_moved()
