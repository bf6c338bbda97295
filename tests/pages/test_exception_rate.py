"""Exception rate: documents, not attempts; shares that are those of the rows they open; small units that do not lead; failed calls apart."""

import doctest
import re
from datetime import timedelta

import pandas as pd
import pytest

from sync_engine.insight import statistics
from sync_engine.insight.reports import exception_rate as ask
from sync_engine.insight.reports import overview
from sync_engine.insight.reports.exception_rate import Population
from tests.pages.asking import asking
from tests.pages.books import NOW
from tests.pages.conftest import ANALYST, LEADER, OPERATIONS, words_of
from tests.pages.test_cycle_time import kaplan_meier

PAGE = "exception-rate"
WANTED = Population(NOW - timedelta(days=30), NOW)


@pytest.fixture
def reports(books):
    with asking(books) as reports:
        yield reports


def rates(reports, wanted=WANTED):
    return ask.rates(reports, wanted, before=NOW - timedelta(days=60), zone="Europe/Berlin")


def figure(app, label):
    return next(metric for metric in app.metric if metric.label == label)


def rows_of(app):
    return next((frame.value for frame in app.dataframe if "causes" in frame.value.columns), None)


# -- what is measured ----------------------------------------------------------------------------------------------------------


def test_the_examples_in_the_statistics_hold():
    assert doctest.testmod(statistics).failed == 0


def test_the_rate_is_that_of_the_rows_by_count_and_value(reports):
    rate, rows = rates(reports).of(), ask.rows(reports, WANTED, zone="Europe/Berlin")
    assert (rate.with_exception, rate.value_with_exception) == (len(rows), rows["group_amount"].sum())
    assert (rate.entered, rate.with_exception) == (23, 5)
    assert rate.share == 5 / 23


def test_forty_tries_of_one_document_are_one_exception(reports, books):
    row = ask.rows(reports, WANTED, zone="UTC").set_index("document_id").loc[books.under_way]
    assert (row["exceptions"], row["open"]) == (1, 1)


@pytest.mark.parametrize("name", ["business_unit", "document_type", "week"])
def test_every_document_is_in_one_unit_type_and_week(reports, name):
    found = rates(reports)
    whole, parts = found.of(), found.by(name)
    assert [parts[column].sum() for column in ("entered", "with_exception", "value", "value_with_exception")] == [
        whole.entered,
        whole.with_exception,
        whole.value,
        whole.value_with_exception,
    ]


def test_the_overview_says_the_same_rate(reports):
    there = overview.exception_share(reports, None, since=WANTED.since, until=WANTED.until)
    rate = rates(reports).of()
    assert (there.part, there.whole) == (rate.with_exception, rate.entered)


def test_a_category_narrows_the_exceptions_and_not_what_entered(reports):
    policy = Population(WANTED.since, WANTED.until, categories=("policy",))
    rate = rates(reports, policy).of()
    assert (rate.with_exception, rate.entered) == (1, 23)
    assert len(ask.rows(reports, policy, zone="UTC")) == 1


def test_causes_hold_every_exception_of_the_rows(reports):
    causes, rows = ask.causes(reports, WANTED), ask.rows(reports, WANTED, zone="UTC")
    for column in ("exceptions", "open", "closed", "self_cured"):
        assert causes[column].sum() == rows[column].sum()
    assert set(causes["document_id"]) == set(rows["document_id"])


def test_a_repeat_within_thirty_days_came_back_and_a_first_time_did_not(reports, books):
    causes = ask.causes(reports, WANTED)
    assert list(causes[causes["came_back"] > 0]["document_id"]) == [books.south[0]]


def test_what_is_open_counts_with_its_age_in_the_time_to_close(reports, books):
    found = ask.time_to_close(reports, WANTED, as_of=NOW)
    spans = books.connection.execute(
        "SELECT extract(epoch FROM coalesce(closed_at, %s) - raised_at)::float8, closed_at IS NOT NULL FROM exception_case",
        [NOW],
    ).fetchall()
    assert (found.n, found.open) == (len(spans), sum(not closed for _, closed in spans))
    assert found.p50_wall_s == kaplan_meier([s for s, _ in spans], [closed for _, closed in spans], 0.5)


def test_nothing_entered_is_no_rate(reports):
    empty = Population(NOW - timedelta(days=400), NOW - timedelta(days=390))
    rate = ask.rates(reports, empty, before=NOW - timedelta(days=410), zone="UTC").of()
    assert (rate.share, rate.value_share) == (None, None)
    assert ask.time_to_close(reports, empty, as_of=NOW).p50_business_s is None


def test_failed_calls_are_counted_apart_and_by_unit(reports):
    [row] = ask.technical_failures(reports, None, since=WANTED.since, until=NOW).to_dict("records")
    assert (row["attempts"], row["failed"]) == (5, 2)
    [row] = ask.technical_failures(reports, ["DE-SOUTH"], since=WANTED.since, until=NOW).to_dict("records")
    assert (row["attempts"], row["failed"]) == (4, 1)


# -- the page ---------------------------------------------------------------------------------------------------------------------


def test_every_figure_opens_exactly_its_rows(books):
    app = books.look(PAGE, person=LEADER)
    labels = [link.label for link in app.page_link]
    for show in ("with", "open", "self_cured", "came_back"):
        listed = rows_of(books.look(PAGE, person=LEADER, show=show))
        assert f"Show {len(listed)} document{'s' if len(listed) > 1 else ''}" in labels, show
    assert figure(app, "Exception rate").value == "21.7 %"
    assert figure(app, "Still open").value == "2"
    assert figure(app, "Cured by themselves").value == "20 %"
    assert figure(app, "Came back").value == "20 %"
    assert figure(app, "Time to close, median").value == "too few"


def test_the_answer_is_a_sentence_made_of_the_figures(books):
    said = words_of(books.look(PAGE, person=LEADER))
    assert (
        "5 of 23 documents (21.7 %) met an exception, 45.8 % of their value. No unit differs from the others by more than chance explains."
        in said
    )
    assert "Most frequent: the cost centre is blocked (4 documents)." in said
    assert "40 % of the calls failed" in said


def test_a_unit_with_one_of_four_does_not_lead_one_with_four_of_nineteen(books):
    units = next(
        frame.value for frame in books.look(PAGE, person=LEADER).dataframe if "interval" in frame.value.columns
    )
    assert list(units["business_unit"]) == ["DE-SOUTH", "DE-NORTH"]
    assert units["share"].iloc[1] > units["share"].iloc[0]


@pytest.mark.parametrize(
    ("query", "n"),
    [
        ({"code": "price_variance"}, 1),
        ({"week": "2026-08-31"}, 2),
        ({"category": "external_outage"}, 1),
        ({"type": "invoice"}, None),
    ],
    ids=str,
)
def test_a_cause_a_week_and_a_category_open_their_rows(books, query, n):
    app = books.look(PAGE, person=LEADER, show="with", **query)
    listed = rows_of(app)
    assert (None if listed is None else len(listed)) == n


def test_the_share_so_far_ends_at_everything(books):
    causes = next(
        frame.value for frame in books.look(PAGE, person=LEADER).dataframe if "running_share" in frame.value.columns
    )
    assert causes["running_share"].iloc[-1] == 1
    assert list(causes["documents"]) == [4, 1, 1]


def test_an_open_exception_is_linked_and_a_closed_one_is_not(books):
    listed = rows_of(books.look(PAGE, person=OPERATIONS)).set_index("number")
    assert "case=" in listed.loc["1400", "exception"]
    assert pd.isna(listed.loc["1001", "exception"])
    assert listed["trace"].str.contains("document=").all()


def test_an_analyst_sees_own_units_alone(books):
    for query in ({}, {"show": "open"}, {"unit": "DE-NORTH"}):
        books.look(PAGE, person=LEADER, **query)
        app = books.look(PAGE, person=ANALYST, **query)
        assert not app.exception
        said = "\n".join(line for line in words_of(app).splitlines() if "does not exist here" not in line)
        assert "DE-NORTH" not in said.replace("\\", "")
        assert "2099" not in said
        assert "4 of 19 documents" in said
        assert "1 of 4 calls" in said


def test_what_does_not_exist_in_the_address_is_said_and_left_out(books):
    said = words_of(books.look(PAGE, person=LEADER, show="everything", code="nonsense", category="magic"))
    assert "read without it: show, code" in said
    assert "magic" in said
    assert "5 of 23 documents" in said


def test_a_period_with_nothing_in_it_names_what_to_drop(books):
    said = words_of(books.look(PAGE, person=LEADER, period="custom", since="2026-01-05", until="2026-01-06"))
    assert "Drop the period" in said
    assert "0 %" not in said


def test_an_empty_house_says_that_nothing_has_come_in(empty_world):
    app = empty_world.look(PAGE, person=LEADER)
    assert not app.exception
    assert "There is no data" in words_of(app)
    assert not app.metric


def test_on_a_phone_rows_are_cards(books, monkeypatch):
    monkeypatch.setattr("pages.screen.is_narrow", lambda: True)
    app = books.look(PAGE, person=LEADER)
    assert not app.exception
    assert re.search(r"How it stands: 1 of 1 open", words_of(app))
