"""The charts by week and by hour, on the pages that draw them: what their axes name."""

import pandas as pd
import pytest
import streamlit as st

from pages import cycle_time_charts, exception_rate_parts, exception_rate_times, exception_rate_yield
from tests.pages.conftest import LEADER


def shown_on(world, monkeypatch, page, **query):
    """The figures that a page shows, by key."""
    figures = {}
    show = st.plotly_chart
    with monkeypatch.context() as patch:
        patch.setattr(
            st,
            "plotly_chart",
            lambda figure, *, key, **how: (figures.update({key: figure}), show(figure, key=key, **how)),
        )
        app = world.look(page, person=LEADER, **query)
    assert not app.exception
    return figures


@pytest.mark.usefixtures("anew")
@pytest.mark.parametrize("narrow", [False, True], ids=["desk", "phone"])
@pytest.mark.parametrize(
    ("page", "few", "key"),
    [("cycle-time", cycle_time_charts, "cycle.weeks"), ("exception-rate", exception_rate_parts, "rate.weeks"), ("exception-rate", exception_rate_yield, "rate.yield")],
    ids=lambda of: of if isinstance(of, str) else "",
)  # fmt: skip
def test_what_is_drawn_by_week_names_weeks(books, monkeypatch, page, few, key, narrow):
    """In the small world a week has no ten documents."""
    monkeypatch.setattr(few, "FEW", 1)
    monkeypatch.setattr("pages.screen.is_narrow", lambda: narrow)
    shown = shown_on(books, monkeypatch, page, period="90d", chart="weeks")[key]
    named = shown.layout.xaxis.tickvals
    assert {pd.Timestamp(one).day_of_week for one in named} == {0}, "a week begins on a Monday"
    assert shown.layout.xaxis.tickformat == "%d %b"
    assert not narrow or len(named) <= 4


@pytest.mark.usefixtures("anew")
def test_the_hours_of_a_day_stand_side_by_side(books, monkeypatch):
    monkeypatch.setattr(exception_rate_times, "SOME", 1)
    shown = shown_on(books, monkeypatch, "exception-rate", period="90d")["rate.hours"]
    assert list(shown.layout.xaxis.tickvals) == [0, 3, 6, 9, 12, 15, 18, 21]
    assert shown.layout.xaxis.ticksuffix == ":00"


@pytest.mark.parametrize(("page", "key"), [("health", "health.calls"), ("service-levels", "service_levels.burn")])
def test_days_are_written_day_first_like_everywhere(books, monkeypatch, page, key):
    axis = shown_on(books, monkeypatch, page)[key].layout.xaxis
    assert [one.value for one in axis.tickformatstops] == ["%H:%M:%S\n%d %b", "%H:%M\n%d %b", "%d %b", "%b %Y"]
