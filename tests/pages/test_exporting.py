"""Every sheet that leaves a page says what it is, what that means, of which time and as of when (PRODUCT.md 4.0)."""

import csv
import io
import weakref

import pandas as pd
import pytest
import streamlit as st

from pages import PAGES, exporting
from sync_engine.insight.reports import stuck as ask
from sync_engine.insight.reports.reading import TooSlow
from tests.pages.conftest import ANALYST, LEADER

SAID = ["What", "Meaning", "Window", "As of"]


def sheets(world, monkeypatch, page, person=LEADER, **query):
    """What the export buttons of a page would give, by key."""
    made = {}
    button = st.download_button

    def noted(label, data, *arguments, key, mime, **more):
        if mime == "text/csv" and callable(data):
            made[key] = data
        return button(label, data, *arguments, key=key, mime=mime, **more)

    with monkeypatch.context() as patch:
        patch.setattr(st, "download_button", noted)
        app = world.look(page, person=person, **query)
    assert not app.exception
    return made


def read(data):
    """A sheet's headings and rows."""
    text = data().decode("utf-8-sig")
    head, *rows = csv.reader(io.StringIO(text))
    return head, rows


@pytest.mark.parametrize("page", [page.URL_PATH for page in PAGES])
def test_every_sheet_says_what_it_is_of_which_time_and_as_of_when(books, monkeypatch, page):
    for key, data in sheets(books, monkeypatch, page).items():
        if key.endswith("evidence"):
            continue
        head, rows = read(data)
        assert [name for name in head if name in SAID] == SAID, key
        for name in ("What", "Window", "As of"):
            assert all(row[head.index(name)] for row in rows), (key, name)
        assert all(row[head.index("As of")].startswith("As of 15 Sep 2026") for row in rows), key
        assert all(page in row[head.index("As of")] for row in rows), key


def test_a_sheet_names_the_period_the_filters_and_the_address_that_shows_the_same(books, monkeypatch):
    made = sheets(books, monkeypatch, "exception-rate", ANALYST, unit="DE-SOUTH", category="policy", period="90d")
    head, rows = read(made["rate.yield.types.export"])
    row = dict(zip(head, rows[0], strict=True))
    assert row["What"] == "Types: First-pass yield"
    assert row["Meaning"].startswith("Documents that came to their intended end without any exception")
    assert "ended in the period" in row["Window"]
    assert "17 Jun 2026, 09:00 to 15 Sep 2026, 09:00 (Europe/Berlin)" in row["Window"]
    assert "DE-SOUTH" in row["As of"]
    assert "Category: Policy" in row["As of"]
    assert "exception-rate?" in row["As of"]
    assert "as=" not in row["As of"]


def test_what_stands_open_now_is_not_said_to_be_of_a_period(books, monkeypatch):
    made = sheets(books, monkeypatch, "stuck")
    assert made
    for key, data in made.items():
        head, rows = read(data)
        if key.startswith("stuck.rows"):
            assert {row[head.index("Window")] for row in rows} == {"now"}


def test_a_long_sheet_says_it_once(monkeypatch):
    """A hundred thousand rows do not carry a paragraph each."""
    monkeypatch.setattr(exporting, "LONG", 2)
    said = {"What": "Orders", "As of": "now"}
    few, many = (exporting.sheet(pd.DataFrame({"n": range(n)}), [("n", "Number")], said) for n in (2, 3))
    assert few.decode("utf-8-sig").split("\r\n") == ["Number,What,As of", "0,Orders,now", "1,Orders,now", ""]
    assert many.decode("utf-8-sig").split("\r\n") == ["Number,What,As of", "0,Orders,now", "1,,", "2,,", ""]


COLUMNS = [("name", "Name"), ("n", "Number")]
SAYS = {"What": "Orders", "As of": "now"}


def parts(sizes):
    """Tables one after the other, each only made when it is asked for; in every one a text that would run as a formula."""
    first = 0
    for size in sizes:
        yield pd.DataFrame({"name": [f"=cmd{first + n}" for n in range(size)], "n": range(first, first + size)})
        first += size


@pytest.mark.parametrize("long", [100, 5], ids=["short", "long"])
def test_a_sheet_in_parts_is_the_sheet_of_all_of_them(monkeypatch, long):
    monkeypatch.setattr(exporting, "LONG", long)
    progress = exporting.Progress(7)
    made = exporting.sheet_in_parts(parts([3, 3, 1]), COLUMNS, SAYS, progress)
    assert made == exporting.sheet(pd.concat(parts([3, 3, 1])), COLUMNS, SAYS)
    head, *rows = csv.reader(io.StringIO(made.decode("utf-8-sig")))
    assert head == ["Name", "Number", "What", "As of"]
    assert [row[:2] for row in rows] == [[f"'=cmd{n}", str(n)] for n in range(7)]
    assert (progress.done, progress.is_over, progress.problem) == (7, True, "")


def test_of_nothing_a_sheet_has_its_headings():
    assert (
        exporting.sheet_in_parts([], COLUMNS, SAYS, exporting.Progress(0)).decode("utf-8-sig")
        == "Name,Number,What,As of\r\n"
    )


def test_no_more_rows_are_held_than_a_part_has():
    """Two hundred thousand rows at once took hundreds of megabytes."""
    made: list[weakref.ref] = []

    def watched():
        for part in parts([10] * 20):
            made.append(weakref.ref(part))
            held = sum(one() is not None for one in made)
            assert held <= 3, "this part, the one that is being written, and the one this loop has made"
            yield part

    progress = exporting.Progress(200)
    exporting.sheet_in_parts(watched(), COLUMNS, SAYS, progress)
    assert progress.done == 200


def test_an_export_that_ends_early_says_why():
    def some():
        yield from parts([2])
        raise TooSlow("report_stuck.rows", "This took longer than 5 seconds.")

    progress = exporting.Progress(4)
    with pytest.raises(TooSlow):
        exporting.sheet_in_parts(some(), COLUMNS, SAYS, progress)
    assert (progress.done, progress.is_over, progress.problem) == (2, True, "This took longer than 5 seconds.")


def test_a_page_shows_how_far_a_long_export_is(books):
    app = books.look("stuck", person=LEADER)
    progress = exporting.Progress(200_000, done=50_000)
    app.session_state["stuck.rows.under_way"] = progress
    app.run()
    assert not app.exception
    [shown] = app.get("progress")
    assert shown.proto.text == "Writing the sheet: 50,000 of 200,000 rows. It is saved by itself when it is whole."
    assert shown.proto.value == 25
    progress.problem, progress.is_over = "The database does not answer.", True
    app.run()
    assert "The sheet could not be written to its end. The database does not answer." in [
        one.value for one in app.warning
    ]
    progress.problem = ""
    app.run()
    assert not app.get("progress")
    assert "stuck.rows.under_way" not in app.session_state


def test_an_export_is_shown_when_it_takes_its_time_alone(books, monkeypatch):
    for most, is_shown in ((10_000, False), (0, True)):
        monkeypatch.setattr(exporting, "AT_ONCE", most)
        app = books.look("stuck", person=LEADER)
        [button] = [one for one in app.get("download_button") if one.proto.id.endswith("stuck.rows.export")]
        button.click().run()
        assert ("stuck.rows.under_way" in app.session_state) == is_shown


@pytest.mark.parametrize(
    ("page", "query", "key"),
    [("stuck", {}, "stuck.rows.export"), ("overview", {"show": "stuck"}, "overview.rows.stuck.export")],
)
def test_all_stuck_documents_are_asked_for_in_parts(books, monkeypatch, page, query, key):
    _, whole = read(sheets(books, monkeypatch, page, **query)[key])
    asked = []
    rows = ask.rows

    def noted(*arguments, most, **more):
        asked.append(most)
        return rows(*arguments, most=most, **more)

    monkeypatch.setattr(ask, "EXPORT_ROWS", 1)
    monkeypatch.setattr(ask, "rows", noted)
    made = sheets(books, monkeypatch, page, **query)[key]
    asked.clear()
    assert [row[0] for row in read(made)[1]] == [row[0] for row in whole]
    assert asked == [1] * (len(whole) + 1)
