"""Stuck orders: every document stands for one reason and one level, against peers that are told; every number opens its rows; what
an exception stops goes on to its page with the case chosen."""

import json
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import numpy as np
import pandas as pd
import psycopg
import pytest
from psycopg.rows import dict_row

from pages.stuck_rows import place_of
from sql import VIEWS
from sync_engine.database.statements import sql
from sync_engine.insight.reports import stuck as ask
from sync_engine.insight.reports.stuck import BECAUSE, LEVELS, WAYS
from sync_engine.insight.standing import STUCK_TYPES
from tests.conftest import _server
from tests.pages.asking import asking
from tests.pages.books import MONDAY, NOW, Books
from tests.pages.conftest import ANALYST, AUDITOR, LEADER, OPERATIONS, numbers_in, words_of

PAGE = "stuck"
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
TODAY = NOW.replace(hour=6)
"""An hour of work ago, in Germany."""


@pytest.fixture(scope="module")
def _slow(_servers):
    """Forty approvals in the south that took ten minutes to four hundred, three in the north, and one open document per level and cause."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        slow = Books(_server(_servers, "embedded", None), monkeypatch)
        slow.heard_from_everybody()
        for n in range(1, 41):
            begin = MONDAY + DAY * (n % 4)
            slow.requisition(
                f"30{n:02}", begin - 3 * MINUTE, approved=begin + n * 6 * MINUTE, ordered=begin + n * 6 * MINUTE + HOUR
            )
        for n in range(3):
            slow.requisition(f"31{n:02}", MONDAY, unit="DE-NORTH", approved=MONDAY + HOUR, ordered=MONDAY + 2 * HOUR)

        def waiting(number, since, *, unit="DE-SOUTH", amount=100.0):
            moves = [
                ("requisition_received", None, "received", since, since),
                ("validated", "received", "awaiting_approval", since, since),
            ]
            return slow.document("requisition", number, unit, moves, amount=amount)

        slow.pace = waiting("4001", TODAY - DAY, amount=4000)
        slow.north = waiting("4002", TODAY - DAY, unit="DE-NORTH", amount=50)
        slow.watch = waiting(
            "4003", datetime(2026, 9, 14, 12, 25, tzinfo=UTC), amount=300
        )  # 155 minutes yesterday, 60 today
        slow.moving = waiting("4004", NOW - 10 * MINUTE, amount=200)
        slow.stopped = slow.document(
            "requisition",
            "4005",
            "DE-SOUTH",
            [("requisition_received", None, "received", NOW - 5 * MINUTE, NOW - 5 * MINUTE)],
            amount=9000,
        )
        slow.case = slow.exception(slow.stopped, raised=TODAY - DAY)
        slow.annoyed = waiting("4006", NOW - 10 * MINUTE, amount=1)
        slow.exception(slow.annoyed, "approval_conflict", category="policy", raised=TODAY, blocks=False)

        def order(number, need_by, **more):
            return slow.document(
                "purchase_order",
                number,
                "DE-SOUTH",
                [("order_drafted", None, "ordered", MONDAY, MONDAY)],
                need_by_on=need_by,
                **more,
            )

        slow.late = order("5001", date(2026, 9, 10), amount=2000)
        slow.in_time = order("5002", date(2026, 9, 15), amount=2500)
        slow.bill = slow.document(
            "invoice",
            "R-1",
            "DE-SOUTH",
            [("invoice_received", None, "payment_ready", MONDAY, MONDAY)],
            due_on=date(2026, 9, 14),
            amount=600,
        )
        last_week = datetime(2026, 9, 4, 6, 0, tzinfo=UTC)
        slow.quiet = slow.document(
            "invoice", "R-2", "DE-SOUTH", [("invoice_received", None, "received", last_week, last_week)], amount=70
        )
        slow.through_orders = slow.document(
            "requisition", "4007", "DE-SOUTH", [("orders_drafted", None, "ordering", MONDAY, MONDAY)], amount=77777
        )
        yield slow
        slow.close()


@pytest.fixture
def slow(_slow, monkeypatch):
    _slow.monkeypatch = monkeypatch
    _slow.use()
    return _slow


@pytest.fixture
def found(slow):
    with asking(slow) as reports:
        yield ask.open_documents(reports, None, as_of=NOW).set_index("document_id")


def rows_of(app):
    return next(
        (
            frame.value
            for frame in app.dataframe
            if "next_step" in frame.value.columns and "number" in frame.value.columns
        ),
        None,
    )


def figure(app, label):
    return next(metric for metric in app.metric if metric.label == label)


# -- what counts as stuck ------------------------------------------------------------------------------------------------------


def test_every_reason_of_the_view_has_somebody_who_moves_it():
    view = (Path(VIEWS) / "30_open_document.sql").read_text(encoding="utf-8")
    tree = view[view.index("CASE\n") : view.index("END AS reason")]
    reasons = {
        word
        for branch in re.findall(r"(?:THEN|ELSE) (.*)", tree)
        for word in re.findall(r"'([a-z][^']*)'", branch.replace("d.document_type", ""))
        if word != "invoice"
    }
    reasons |= {"posting refused", "order refused by the ERP"}
    assert reasons == set(WAYS)


@pytest.mark.parametrize(
    ("name", "level", "because"),
    [
        ("pace", "stuck", "pace"), ("north", "stuck", "pace"), ("watch", "watch", "pace"), ("moving", "moving", None), ("stopped", "stuck", "exception"),
        ("annoyed", "moving", None), ("late", "stuck", "date"), ("in_time", "waiting", None), ("bill", "stuck", "date"), ("quiet", "silent", "silence"),
    ],
)  # fmt: skip
def test_each_rule_by_itself(slow, found, name, level, because):
    row = found.loc[getattr(slow, name)]
    assert (row["level"], row["because"]) == (level, because)


def test_an_exception_that_stops_nothing_does_not_make_a_document_stuck(slow, found):
    assert found.loc[slow.annoyed, "case_code"] == "approval_conflict"
    assert found.loc[slow.annoyed, "level"] == "moving"


def test_peers_are_the_unit_s_own_and_all_units_where_these_are_too_few(slow, found):
    assert (found.loc[slow.pace, "peers"], found.loc[slow.pace, "peer_unit"]) == (40, "DE-SOUTH")
    assert (found.loc[slow.north, "peers"], found.loc[slow.north, "peer_unit"]) == (43, None)
    assert pd.isna(found.loc[slow.stopped, "pace"]) or found.loc[slow.stopped, "peers"] >= 30


def test_pace_is_the_share_of_peers_that_took_less(slow, found):
    # Forty stays of 6, 12 ... 240 minutes: ten minutes are longer than one of them.
    assert found.loc[slow.moving, "age_business_s"] == 600
    assert found.loc[slow.moving, "pace"] == pytest.approx(1 / 40)
    assert found.loc[slow.pace, "pace"] == 1
    assert found.loc[slow.pace, "peer_p50_s"] == pytest.approx(20.5 * 360, rel=0.01)  # as near as the histograms are


def test_peers_are_read_from_histograms_to_one_percent(slow, found):
    """PRODUCT.md section 6, trap 20: merged from buckets, not from percentiles of units or days."""
    exact = [360.0 * n for n in range(1, 41)]
    for name, share in (("peer_p50_s", 0.5), ("peer_p85_s", 0.85), ("peer_p95_s", 0.95)):
        assert found.loc[slow.pace, name] == pytest.approx(np.quantile(exact, share), rel=0.01)


def told(slow):
    """The rows by document, as the statements answer them within the test's own transaction."""
    slow.stop_the_clock()
    asked = ask.Asked(NOW)
    with slow.connection.cursor(row_factory=dict_row) as cursor:
        limits = cursor.execute(sql("report_stuck.limits"), asked.everything()).fetchone()["limits"]
        cursor.execute(sql("report_stuck.rows"), asked.everything() | asked.rows(None) | {"limits": limits})
        return {row["document_id"]: row for row in cursor}


def test_silence_of_a_document_whose_system_is_silent_too_is_not_known(slow, found):
    """PRODUCT.md 4.2: silent only while the source is fresh; afterwards nobody can say."""
    assert found.loc[slow.quiet, "level"] == "silent"
    with slow.connection.transaction() as transaction:
        slow.connection.execute("UPDATE feed_state SET last_success_at = last_success_at - interval '1 day'")
        rows = told(slow)
        raise psycopg.Rollback(transaction)
    assert rows[slow.quiet]["level"] == "unknown"
    assert rows[slow.late]["level"] == "stuck"


@pytest.mark.parametrize(
    ("since", "objective", "on_time"),
    [
        (NOW - 10 * MINUTE, NOW + 120 * MINUTE, 20 / 39),
        (datetime(2026, 9, 14, 14, 20, tzinfo=UTC), NOW + 30 * MINUTE, 5 / 24),
        (NOW - 10 * MINUTE, NOW - 5 * MINUTE, 0),
        (NOW - 10 * MINUTE, NOW + 5 * DAY, 1),
    ],
)
def test_the_chance_to_be_on_time_is_that_of_the_peers_that_stood_as_long(slow, since, objective, on_time):
    """D04: forty stays of 6, 12 ... 240 minutes. After 10 minutes 39 are left, of which 20 end within 130; after 100 minutes (40
    yesterday, 60 today) 24, of which 5 do."""
    moves = [
        ("requisition_received", None, "received", since, since),
        ("validated", "received", "awaiting_approval", since, since),
    ]
    with slow.connection.transaction() as transaction:
        document_id = slow.document("requisition", "9000", "DE-SOUTH", moves)
        slow.connection.execute(
            "INSERT INTO work_item (work_item_id, document_id, business_unit, flow, step, system, status, due_at, step_since, objective_at, created_at)"
            " VALUES (%(id)s, %(id)s, 'DE-SOUTH', 'requisition', 'await_approval', 'servicenow', 'due', %(now)s, %(since)s, %(objective)s, %(since)s)",
            {"id": document_id, "now": NOW, "since": since, "objective": objective},
        )
        found = told(slow)[document_id]
        raise psycopg.Rollback(transaction)
    assert float(found["p_on_time"]) == pytest.approx(on_time)


def test_time_past_the_limit_is_working_time_since_it_should_have_moved(slow, found):
    assert (
        found.loc[slow.stopped, "over_limit_s"] == 9.5 * 3600
    )  # a whole day of eight and a half hours, and one hour today
    assert found.loc[slow.late, "over_limit_s"] == 18 * 3600  # Friday, Monday, an hour today
    assert found.loc[slow.pace, "over_limit_s"] == pytest.approx(9.5 * 3600 - found.loc[slow.pace, "peer_p95_s"])
    assert found[found["level"] != "stuck"]["over_limit_s"].isna().all()


def test_the_same_money_stands_still_once(slow, found):
    """A requisition whose orders are drafted counts through its orders."""
    assert slow.through_orders not in found.index


def test_levels_and_causes_are_closed_sets(found):
    assert set(found["level"]) <= set(LEVELS)
    assert set(found["because"].dropna()) <= set(BECAUSE)
    assert found[found["level"] == "stuck"]["because"].notna().all()
    assert (found["team"] != "").all()
    assert (found["next_step"] != "").all()


def test_stops_are_counted_at_the_end_of_each_day(slow):
    with asking(slow) as reports:
        days = ask.stopped_by_day(reports, None, since=NOW - 3 * DAY, until=NOW).set_index("day")
    assert list(days["stopped"]) == [0, 0, 1, 1]
    assert days.loc[date(2026, 9, 14), "begun"] == 1


def test_stops_that_cured_themselves_are_told_apart_from_those_that_people_ended(slow):
    """PRODUCT.md section 6, traps 12 and 13: inflow, outflow and how it ended stand together."""
    asked = {"units": None, "document_types": list(STUCK_TYPES), "since": NOW - 3 * DAY, "until": NOW}
    with slow.connection.transaction() as transaction:
        for code, how in (("system_unavailable", "self_cured"), ("cost_centre_blocked", "fixed")):
            slow.exception(slow.moving, code, raised=NOW - DAY - HOUR, closed=NOW - DAY, how=how)
        with slow.connection.cursor(row_factory=dict_row) as cursor:
            days = {row["day"]: row for row in cursor.execute(sql("report_stuck.stopped_by_day"), asked)}
        raise psycopg.Rollback(transaction)
    monday = days[date(2026, 9, 14)]
    assert (monday["begun"], monday["ended"], monday["self_cured"]) == (3, 2, 1)


# -- the page ---------------------------------------------------------------------------------------------------------------------


def test_every_figure_opens_exactly_its_rows(slow):
    app = slow.look(PAGE, person=LEADER)
    for label, query in (
        ("Stuck", {"level": "stuck"}),
        ("To watch", {"level": "watch"}),
        ("Stopped by an exception", {"level": "stuck", "because": "exception"}),
        ("Taken on by nobody", {"level": "stuck", "because": "exception", "taken": "no"}),
    ):
        listed = rows_of(slow.look(PAGE, person=LEADER, **query))
        value = figure(app, label).value
        assert value == (
            f"EUR {listed['group_amount'].sum():,.0f}"
            if value.startswith("EUR") and listed["group_amount"].sum() < 10_000
            else f"EUR {listed['group_amount'].sum() / 1000:.1f} k"
            if value.startswith("EUR")
            else f"{len(listed)}"
        ), label
        noun = "document" if len(listed) == 1 else "documents"
        assert f"Show {len(listed)} {noun}" in [link.label for link in app.page_link]


def test_every_dot_of_the_chart_of_ages_opens_exactly_its_document(slow):
    [chart] = [one for one in slow.look(PAGE, person=LEADER).get("plotly_chart") if "stuck.ages" in one.proto.id]
    dots = [dot for trace in json.loads(chart.proto.spec)["data"] for dot in trace["customdata"]]
    assert {"4001", "4002", "4003"} <= {words.split(" ")[0] for words, _ in dots}
    for words, asked in dots:
        [document] = parse_qs(asked)["document"]
        opened = slow.look(PAGE, person=LEADER, document=document)
        [row] = rows_of(opened).to_dict("records")
        assert words.startswith(f"{row['number']} ")
        assert parse_qs(urlparse(row["trace"]).query)["document"] == [document]
        assert "Close the list" in [link.label for link in opened.page_link]


@pytest.mark.parametrize("person", [LEADER, ANALYST])
def test_a_document_that_is_not_among_those_shown_is_said_not_to_be(slow, person):
    for query in (
        {"document": "nonsense"},
        {"document": str(slow.north), "unit": "DE-SOUTH"},
        {"document": str(slow.through_orders)},
    ):
        app = slow.look(PAGE, person=person, **query)
        assert not app.exception
        assert "It is not open any more, or not among those that the filters leave and you may see" in words_of(app)


def test_the_answer_names_the_money_the_reason_and_who_can_move_it(slow):
    said = words_of(slow.look(PAGE, person=LEADER))
    assert (
        "5 documents worth EUR 15.7 k are stuck; EUR 9,000 of it: master data, which finance operations can move. 1 more, worth EUR 300, is slower than most."
        in said
    )
    assert "“Master data” holds 58 % of the stuck money" in said
    assert "3 documents have stood longer than 95 % of their peers" in said


def test_reasons_add_up_to_what_is_stuck(slow):
    app = slow.look(PAGE, person=LEADER)
    groups = next(frame.value for frame in app.dataframe if "oldest_s" in frame.value.columns)
    listed = rows_of(app)
    assert groups["stuck"].sum() == len(listed)
    assert groups["value"].sum() == listed["group_amount"].sum()


def test_a_reason_opens_everything_that_stands_for_it(slow):
    app = slow.look(PAGE, person=LEADER, reason="awaiting approval", team="approvers", level="all")
    assert set(rows_of(app)["number"]) == {"4001", "4002", "4003", "4004"}
    assert "approvers" in words_of(app)


@pytest.fixture
def on_a_phone(monkeypatch):
    """Rows are cards, which a test can choose."""
    monkeypatch.setattr("pages.screen.is_narrow", lambda: True)


def chosen(slow, person, document):
    app = slow.look(PAGE, person=person, level="stuck", because="exception")
    return app.checkbox(key=f"stuck.rows.card.{document}").check().run()


def test_a_row_links_to_its_exception_and_its_trace(slow):
    listed = rows_of(slow.look(PAGE, person=OPERATIONS)).set_index("number")
    assert parse_qs(urlparse(listed.loc["4005", "exception"]).query)["case"] == [str(slow.case)]
    assert parse_qs(urlparse(listed.loc["4001", "trace"]).query)["document"] == [str(slow.pace)]
    assert pd.isna(listed.loc["4001", "exception"])


@pytest.mark.usefixtures("on_a_phone")
def test_what_an_exception_stops_is_reprocessed_on_its_page_with_the_case_chosen(slow):
    app = chosen(slow, OPERATIONS, slow.stopped)
    [link] = [link for link in app.page_link if link.label.startswith("Reprocess")]
    assert link.label == "Reprocess 1 document (EUR 9,000)"
    assert parse_qs(link.proto.query_string)["pick"] == [slow.case.hex]
    opened = slow.look("exceptions", person=OPERATIONS, scope="rows", pick=slow.case.hex)
    assert "Reprocess 1 document worth EUR 9,000?" in words_of(opened)


@pytest.mark.usefixtures("on_a_phone")
def test_who_may_not_reprocess_is_told_why(slow):
    app = chosen(slow, AUDITOR, slow.stopped)
    assert "To reprocess documents takes the role" in words_of(app).replace("\\", "")
    assert not [link for link in app.page_link if link.label.startswith("Reprocess")]


def test_an_analyst_sees_own_units_alone(slow):
    for query in ({}, {"level": "all"}, {"unit": "DE-NORTH", "level": "all"}):
        slow.look(PAGE, person=LEADER, **query)
        app = slow.look(PAGE, person=ANALYST, **query)
        assert not app.exception
        said = "\n".join(line for line in words_of(app).splitlines() if "does not exist here" not in line)
        assert "4002" not in numbers_in(said)
        assert "DE-NORTH" not in said.replace("\\", "")
        assert "4 documents worth EUR 15.6 k are stuck" in said


def test_filters_that_leave_nothing_name_themselves(slow):
    app = slow.look(PAGE, person=LEADER, reason="payment block", unit="DE-SOUTH")
    assert "Drop stands because or business units" in words_of(app)


def test_amount_and_where_it_comes_from_narrow_everything(slow):
    """4.0: the filters stand in the address, and the figures are those of the rows that are left."""
    app = slow.look(PAGE, person=LEADER, amount="1k-10k", source="coupa", level="stuck")
    listed = rows_of(app)
    assert set(listed["number"]) == {"4001", "4005", "5001"}
    assert figure(app, "Stuck").value == "EUR 15.0 k"
    assert "Drop value" in words_of(slow.look(PAGE, person=LEADER, amount="100k"))
    assert "read without it: Value 'much'" in words_of(slow.look(PAGE, person=LEADER, amount="much")).replace("\\", "")


def test_a_long_list_has_pages_whose_rows_are_all_of_it_once(slow, monkeypatch):
    """Trap 19: a list that is cut says of how many; the pages together are the list, also where amounts are equal or missing."""
    monkeypatch.setattr("pages.stuck_rows.PAGE_ROWS", 2)
    seen, query = [], {"level": "all"}
    whole = ask.open_documents
    for _ in range(20):
        app = slow.look(PAGE, person=LEADER, **query)
        assert not app.exception
        seen += list(rows_of(app)["number"])
        assert len(rows_of(app)) <= 2
        further = [link for link in app.page_link if link.label.startswith("The next")]
        if not further:
            break
        [after] = parse_qs(further[0].proto.query_string)["after"]
        query = {"level": "all", "after": after}
    with asking(slow) as reports:
        open_ones = whole(reports, None, as_of=NOW)
    assert len(seen) == len(set(seen)) == len(open_ones)
    assert f"{len(open_ones)} documents; {len(seen) - 1 if len(seen) % 2 == 0 else len(seen)} to" in words_of(app)
    assert "The first rows" in [link.label for link in app.page_link]


@pytest.mark.parametrize("after", ["", "x", "1~2", "1e999~" + "0" * 36, "5~" + "-" * 36, "<b>"])
def test_a_place_that_cannot_be_read_is_the_beginning(after):
    assert place_of(after) is None


def test_what_does_not_exist_in_the_address_is_said_and_left_out(slow):
    app = slow.look(PAGE, person=LEADER, level="nonsense", because="<b>", type="spaceship")
    said = words_of(app)
    assert "read without it: level, because" in said
    assert "spaceship" in said
    assert len(rows_of(app)) == 5


def test_nothing_stuck_is_said_with_the_number_that_proves_it(slow):
    app = slow.look(PAGE, person=LEADER, type="purchase_order", reason="waiting for goods", level="waiting")
    assert "None of" not in words_of(app)
    app = slow.look(PAGE, person=LEADER, reason="payment block")
    assert "open documents match" in words_of(app)


def test_an_empty_house_says_that_nothing_has_come_in(empty_world):
    app = empty_world.look(PAGE, person=LEADER)
    assert not app.exception
    assert "There is no data" in words_of(app)


@pytest.mark.usefixtures("on_a_phone")
def test_on_a_phone_rows_are_cards(slow):
    app = slow.look(PAGE, person=LEADER)
    assert not app.exception
    said = words_of(app)
    assert "Who moves it: finance operations" in said
    assert "In this stage: 5 working minutes" in said
