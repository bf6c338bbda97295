"""Cycle time: percentiles over the rows they open, weekends left out of working time only, parts that add up to the whole, and
nothing that began left out of the picture."""

import re
from datetime import timedelta
from functools import partial

import pandas as pd
import pytest

from sync_engine.insight.reports import cycle_time as ask
from sync_engine.insight.reports.reading import in_parts
from tests.pages.asking import asking
from tests.pages.books import NOW
from tests.pages.conftest import ANALYST, LEADER, numbers_in, words_of

PAGE = "cycle-time"
PERIOD = {"since": NOW - timedelta(days=30), "until": NOW}
CLOCKS = pytest.mark.parametrize("clock", ["business", "wall"])


@pytest.fixture
def reports(books):
    with asking(books) as reports:
        yield reports


def figures(reports, clock="business", units=None):
    return ask.figures(reports, units, before=NOW - timedelta(days=60), clock=clock, zone="Europe/Berlin", **PERIOD)


def rows(reports, which, clock="business", units=None):
    return ask.rows(reports, units, as_of=NOW, which=which, clock=clock, **PERIOD)


def figure(app, label):
    return next(metric for metric in app.metric if metric.label.startswith(label))


def table(app, column="s"):
    return next((frame.value for frame in app.dataframe if column in frame.value.columns), None)


# -- what is measured --------------------------------------------------------------------------------------------------------


def test_a_weekend_is_in_calendar_time_and_not_in_working_time(reports, books):
    """Trap 9: the same requisition took two hours and nearly three days; a figure says which of the two it means."""
    assert rows(reports, "ordered", "wall").set_index("document_id")["s"][books.weekend] == 65 * 3600
    assert rows(reports, "ordered", "business").set_index("document_id")["s"][books.weekend] == 2 * 3600


@CLOCKS
@pytest.mark.parametrize("which", ["ordered", "submitted", "under_way"])
@pytest.mark.parametrize("most", [1, 2, 1000])
def test_an_export_in_parts_has_every_row_once_and_in_order(reports, which, clock, most):
    """Trap 19: what is exported is what was counted, however it is asked for; also of those that took the same time."""
    asked = {"as_of": NOW, "which": which, "clock": clock, **PERIOD}
    whole = ask.rows(reports, None, **asked)
    parts = list(in_parts(partial(ask.rows, reports, None, **asked, remember=False), ask.place_of, most=most))
    assert len(whole) > 1
    assert [len(part) for part in parts[:-1]] == [most] * (len(parts) - 1)
    assert str([row for part in parts for row in part.to_dict("records")]) == str(whole.to_dict("records"))


@CLOCKS
@pytest.mark.parametrize("measure", ["ordered", "posted", "approved_to_ordered"])
def test_every_percentile_is_that_of_the_rows_it_opens(reports, measure, clock):
    found, behind = figures(reports, clock).of(measure), rows(reports, measure, clock)
    assert found.documents == len(behind)
    agreeing = behind[behind["s"] >= 0]["s"]
    assert found.n == len(agreeing)
    assert [found.p50_s, found.p85_s, found.p95_s] == [pytest.approx(agreeing.quantile(q)) for q in (0.5, 0.85, 0.95)]


def test_the_known_durations_give_the_known_median(reports):
    # Half an hour to twelve and a half after six o'clock, cut at the end of the working day, with the break left out.
    assert figures(reports, "wall", ["DE-SOUTH"]).of("ordered").p50_s == 8 * 3600
    assert figures(reports, "business", ["DE-SOUTH"]).of("ordered").p50_s == 6.5 * 3600


@CLOCKS
def test_units_and_weeks_hold_every_requisition_once(reports, clock):
    found = figures(reports, clock)
    for measure in ("ordered", "posted"):
        whole = found.of(measure)
        assert found.by_unit(measure)["documents"].sum() == found.by_week(measure)["documents"].sum() == whole.documents
        assert found.by_unit(measure)["n"].sum() == whole.n


def test_clocks_that_contradict_each_other_are_in_no_percentile_and_are_listed(reports, books):
    found = figures(reports).of("ordered")
    assert found.documents - found.n == 1
    assert list(rows(reports, "contradicting")["document_id"]) == [books.backwards]
    assert rows(reports, "contradicting")["s"].iloc[0] < 0


def test_a_test_document_is_nowhere(reports, books):
    for which in ("ordered", "posted", "submitted", "under_way", "ended"):
        assert books.test not in set(rows(reports, which)["document_id"])


@CLOCKS
@pytest.mark.parametrize("stop", ["ordered", "posted"])
def test_the_parts_add_up_to_the_whole_to_the_second(reports, stop, clock):
    parts = ask.stages(reports, None, stop=stop, clock=clock, **PERIOD)
    whole = rows(reports, stop, clock)
    assert parts["total_s"].sum() == pytest.approx(whole[whole["s"] >= 0]["s"].sum())
    assert parts["share"].sum() == pytest.approx(1)
    for part in parts.itertuples():
        inside = ask.in_stage(reports, None, stop=stop, clock=clock, stage=part.stage, **PERIOD)
        assert (len(inside), inside["stays"].sum(), inside["stage_s"].sum()) == (
            part.documents,
            part.stays,
            pytest.approx(part.total_s),
        )


def test_a_requisition_that_went_back_is_in_a_stage_twice_and_says_so(reports, books):
    parts = ask.stages(reports, None, stop="ordered", clock="wall", **PERIOD).set_index("stage")
    assert parts.loc["awaiting_approval", "stays"] == parts.loc["awaiting_approval", "documents"] + 1
    listed = rows(reports, "ordered").set_index("document_id")
    assert list(listed[listed["went_back"].astype(bool)].index) == [books.weekend]


def test_the_way_to_posting_is_cut_at_the_last_delivery_and_the_last_invoice(reports):
    parts = ask.stages(reports, None, stop="posted", clock="wall", **PERIOD).set_index("stage")["total_s"] / 3600
    # Ordered on 25 August at seven, delivered on the first at six, billed on the third at six, posted on the fourth at eight.
    assert (parts["waiting_for_goods"], parts["waiting_for_the_invoice"], parts["matching_and_posting"]) == (
        7 * 24 - 1,
        48,
        26,
    )


def test_what_became_of_everything_submitted_adds_up(reports):
    cohort, weeks = ask.cohort(reports, None, zone="Europe/Berlin", **PERIOD)
    assert cohort.submitted == cohort.ordered + cohort.ended_otherwise + cohort.under_way
    for name, which in (("under_way", "under_way"), ("ended_otherwise", "ended")):
        assert weeks[name].sum() == getattr(cohort, name) == len(rows(reports, which))
    assert weeks["submitted"].sum() == cohort.submitted


def kaplan_meier(durations, done, share):
    """The first moment at which at most `share` are left, worked out one by one."""
    alive = 1.0
    for moment in sorted(set(durations)):
        at_risk = sum(duration >= moment for duration in durations)
        alive *= (
            1 - sum(duration == moment and ended for duration, ended in zip(durations, done, strict=True)) / at_risk
        )
        if alive <= share + 1e-12:
            return moment
    return None


@CLOCKS
def test_open_ones_count_with_the_age_they_have(reports, clock):
    found, behind = ask.honest(reports, None, as_of=NOW, clock=clock, **PERIOD), rows(reports, "submitted", clock)
    durations, done = list(behind["s"]), list(behind["ordered_at"].notna())
    assert (found.n, found.under_way) == (len(behind), done.count(False))
    assert [found.p50_s, found.p85_s, found.p95_s] == [
        kaplan_meier(durations, done, share) for share in (0.5, 0.15, 0.05)
    ]
    assert found.p95_s is None, (
        "two of nineteen are open for longer than anything took: the 95th percentile is not reached"
    )
    assert found.p50_s >= figures(reports, clock).of("ordered").p50_s


def test_a_period_without_anything_is_no_data(reports):
    since = NOW - timedelta(days=400)
    empty = ask.figures(
        reports,
        None,
        before=since - timedelta(days=7),
        since=since,
        until=since + timedelta(days=7),
        clock="wall",
        zone="UTC",
    )
    assert empty.of("ordered") == ask.NOTHING
    cohort, weeks = ask.cohort(reports, None, since=since, until=since + timedelta(days=7), zone="UTC")
    assert (cohort.settled, len(weeks)) == (None, 0)
    assert (
        ask.honest(reports, None, since=since, until=since + timedelta(days=7), as_of=NOW, clock="wall").p50_s is None
    )


# -- the page ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", [{}, {"clock": "wall"}, {"stop": "posted"}], ids=str)
def test_every_figure_opens_as_many_rows_as_it_says(books, query):
    app = books.look(PAGE, person=LEADER, **query)
    assert not app.exception
    for show in ("ordered", "approved_to_ordered", "submitted", "under_way"):
        links = {link.label: link for link in app.page_link if link.label.startswith("Show ")}
        opened = books.look(PAGE, person=LEADER, show=show, **query)
        n = len(table(opened))
        assert any(re.match(rf"Show {n} requisition", label) for label in links), (show, n, list(links))


def test_the_answer_is_a_sentence_made_of_the_figures(books):
    said = words_of(books.look(PAGE, person=LEADER))
    assert "Half of 17 requisitions are ordered within 5.0 working hours, 95 % within 1.1 working days." in said
    assert "2 requisitions of 21 submitted are still under way." in said
    said = words_of(books.look(PAGE, person=LEADER, stop="posted"))
    assert "1 requisition was posted in the last 30 days: too few for a percentile." in said


def test_few_documents_have_no_percentile_and_few_more_a_mark(books):
    app = books.look(PAGE, person=LEADER)
    assert figure(app, "Requisition to posting").value == "too few"
    assert "n 17, small sample, 1 with contradicting clocks" in words_of(app)
    units = table(app, "sample").set_index("business_unit")
    assert pd.isna(units.loc["DE-NORTH", "p50_s"])
    assert units.loc["DE-NORTH", "sample"] == "too few"
    assert units.loc["DE-SOUTH", "n"] == 14


def test_a_stage_opens_its_requisitions_longest_first(books):
    app = books.look(PAGE, person=LEADER, show="ordered", stage="awaiting_approval", clock="wall")
    listed = table(app)
    assert len(listed) == 17
    assert list(listed["stage_s"]) == sorted(listed["stage_s"], reverse=True)


def test_a_week_s_open_ones_are_listed(books):
    app = books.look(PAGE, person=LEADER, show="under_way", week="2026-09-07")
    assert set(table(app)["number"]) == {"1400", "2099"}
    assert table(books.look(PAGE, person=LEADER, show="under_way", week="2026-08-31")) is None


def test_a_link_with_every_parameter_gives_the_same_page_again(books):
    app = books.look(PAGE, person=LEADER, clock="wall", stop="posted", unit="DE-SOUTH", period="90d", show="posted")
    assert [control.value for control in app.button_group[:3]] == [["90d"], ["posted"], ["wall"]] or [
        control.value for control in app.button_group[:3]
    ] == ["90d", "posted", "wall"]
    assert set(table(app)["number"]) == {"1200"}


def test_what_does_not_exist_in_the_address_is_said_and_left_out(books):
    app = books.look(PAGE, person=LEADER, clock="moon", show="nonsense", stage="<b>", unit="NOWHERE")
    said = words_of(app)
    assert "read without it: clock, show, stage" in said
    assert "NOWHERE" in said
    assert figure(app, "Requisition to order").value == "5.0 working hours"


def test_an_analyst_sees_own_units_alone_in_every_figure_and_list(books):
    for query in (
        {},
        {"show": "submitted"},
        {"unit": "DE-NORTH"},
        {"stop": "posted"},
    ):
        books.look(PAGE, person=LEADER, **query)
        app = books.look(PAGE, person=ANALYST, **query)
        assert not app.exception
        said = "\n".join(line for line in words_of(app).splitlines() if "does not exist here" not in line)
        assert "DE-NORTH" not in said.replace("\\", "")
        assert "2099" not in numbers_in(said)
        assert "Half of 14 requisitions" in said or "stop" in query


def test_an_empty_house_says_that_nothing_has_come_in(empty_world):
    app = empty_world.look(PAGE, person=LEADER)
    assert not app.exception
    assert "There is no data: nothing has been heard from" in words_of(app)
    assert not app.metric


def test_a_period_with_nothing_in_it_says_where_there_is_something_or_which_filters_to_drop(books):
    app = books.look(PAGE, person=LEADER, period="custom", since="2026-01-05", until="2026-01-06", clock="wall")
    assert "No requisition was submitted, ordered or posted from 5 Jan 2026 to 6 Jan 2026. What there is reaches from" in words_of(app)  # fmt: skip
    [link] = [one.proto.query_string for one in app.get("page_link") if one.proto.label == "Show all of it"]
    assert "since=2026-08-24" in link
    assert "clock=wall" in link
    assert not app.metric
    app = books.look(PAGE, person=LEADER, period="custom", since="2026-01-05", until="2026-01-06", unit="DE-NORTH")
    assert "Drop the period or business units" in words_of(app)
    assert not app.metric


def test_on_a_phone_rows_are_cards_and_the_clock_is_said_beside_the_figure(books, monkeypatch):
    monkeypatch.setattr("pages.screen.is_narrow", lambda: True)
    app = books.look(PAGE, person=LEADER)
    assert not app.exception
    assert figure(app, "Requisition to order").value == "5.0 hours"
    said = words_of(app)
    assert "working time, n 17" in said
    assert "First submit to order: 1.1 working days" in said


def test_who_was_given_no_unit_is_told_so_and_who_sees_all_is_not(books, empty_world):
    books.use()
    books.connection.execute("UPDATE app_user SET units = '{}' WHERE user_id = %s", [ANALYST])
    try:
        assert "No business unit has been given to you" in words_of(books.look(PAGE, person=ANALYST))
    finally:
        books.connection.execute("UPDATE app_user SET units = '{DE-SOUTH}' WHERE user_id = %s", [ANALYST])
    empty_world.use()
    empty_world.connection.execute("DELETE FROM business_unit")
    assert "There is no data" in words_of(empty_world.look(PAGE, person=LEADER))
