"""Every sheet that leaves a page says what it is, what that means, of which time and as of when (PRODUCT.md 4.0)."""

import csv
import io

import pandas as pd
import pytest
import streamlit as st

from pages import PAGES, exporting
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
