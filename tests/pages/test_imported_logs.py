"""Another maker's log on every page: figures by its own times that equal the rows they open, only for those who see its units, and a
plain sentence where such a log carries nothing; never a figure of ours under its name (R019)."""

import csv
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest

from pages import PAGES, tables
from sync_engine.eventlog import known
from sync_engine.eventlog.importing import Request, import_log
from sync_engine.eventlog.opening import Options
from sync_engine.eventlog.stages import Mapping
from sync_engine.insight import fold
from sync_engine.insight.reports import Reports, everywhere
from sync_engine.insight.reports import imported as ask
from sync_engine.insight.reports.imported import Within
from sync_engine.model.ids import id_maker
from tests.eventlog.conftest import shared
from tests.pages.asking import asking
from tests.pages.books import NOW, Books
from tests.pages.conftest import ANALYST, AUDITOR, LEADER, OPERATIONS, words_of

LOG = "theirs"
BEGAN = datetime(2024, 3, 4, 8, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ALL_OF_IT = {"log": LOG, "period": "custom", "since": "2024-03-01", "until": "2024-06-30"}
WHOLE = Within(LOG, BEGAN - DAY, BEGAN + 100 * DAY)
PAID, STOPPED = 40, ("slow", "quick", "quiet")


def _cases():
    """Forty bought to the end, each an hour slower than the one before; two ordered and not received, one with an odd last step."""
    for n in range(PAID):
        at, unit = BEGAN + n * HOUR, "DE-SOUTH" if n % 4 else "DE-NORTH"
        for activity, after in (("Create Purchase Requisition", 0 * HOUR), ("Create Purchase Order", DAY), ("Goods receipt", DAY + (n + 1) * HOUR), ("Pay invoice", 4 * DAY + n * HOUR)):  # fmt: skip
            yield f"case {n}", unit, activity, at + after
    last = BEGAN + 4 * DAY + 2 * (PAID - 1) * HOUR
    yield "slow", "DE-SOUTH", "Create Purchase Order", last - 38 * HOUR - timedelta(minutes=30)
    yield "quick", "DE-SOUTH", "Create Purchase Order", last - 2 * HOUR - timedelta(minutes=30)
    yield "quiet", "DE-NORTH", "Ponder <b>", last - HOUR


def take(connection, path, log, *, case_type="case", **options):
    import_log(connection, Request(path, log, "", Options(**options), Mapping(), owner_unit="", case_type=case_type), new_id=id_maker(Random(5)))  # fmt: skip
    fold.fold_all(connection, now=NOW)


@pytest.fixture(scope="module")
def _beside(_servers, tmp_path_factory):
    from tests.conftest import _server

    with pytest.MonkeyPatch.context() as monkeypatch:
        books = Books(_server(_servers, "embedded", None), monkeypatch)
        books.fill()
        path = tmp_path_factory.mktemp("logs") / "theirs.csv"
        path.write_text("\n".join(["case,unit,activity,timestamp", *(f"{case},{unit},{activity},{at.isoformat()}" for case, unit, activity, at in _cases())]), encoding="utf-8")  # fmt: skip
        take(books.connection, path, LOG, unit_column="unit")
        path = path.with_name("nobodys.csv")
        path.write_text(
            "case,activity,timestamp\n1,Create Purchase Order,2024-01-01T00:00:00Z\n1,Pay invoice,2024-01-02T00:00:00Z\n"
        )
        take(books.connection, path, "nobodys")
        yield books
        books.close()


@pytest.fixture
def beside(_beside, monkeypatch):
    """Journeys of our own, and the log beside them."""
    _beside.monkeypatch = monkeypatch
    _beside.use()
    return _beside


@pytest.fixture
def reports(beside):
    with asking(beside) as reports:
        yield reports


@pytest.mark.parametrize("page", ["overview", "cycle-time", "process-map", "stuck", "exception-rate"])
def test_every_sheet_of_a_log_can_be_saved(beside, monkeypatch, page):
    """A sheet is written when it is asked for: until then a page says nothing of one that cannot be."""
    offered = []
    monkeypatch.setattr(tables.st, "download_button", lambda _label, data, **_: offered.append(data))
    beside.look(page, person=LEADER, **({"log": LOG} if page == "stuck" else ALL_OF_IT))
    if page in {"cycle-time", "exception-rate"}:
        beside.look(page, person=LEADER, **ALL_OF_IT, show="all")
    assert offered
    for data in offered:
        headings, *rows = csv.reader((data() if callable(data) else data).decode("utf-8-sig").splitlines())
        assert rows, headings
        assert {len(row) for row in rows} == {len(headings)}


@pytest.mark.parametrize("most", [5, 43, 10_000])
@pytest.mark.parametrize(
    ("page", "query"),
    [
        ("cycle-time", {"show": "all"}),
        ("exception-rate", {"show": "all"}),
        ("stuck", {"level": "all"}),
        ("service-levels", {"objective": "requisition-to-order", "show": "due"}),
    ],
)
def test_all_rows_of_a_log_are_asked_for_a_part_at_a_time(beside, monkeypatch, page, query, most):
    """Tens of thousands of rows in one question took longer than a question may."""
    offered, asked = {}, []
    monkeypatch.setattr(tables.st, "download_button", lambda _label, data, **more: offered.update({more["key"]: data}))
    monkeypatch.setattr("pages.imported.EXPORT_ROWS", most)
    app = beside.look(page, person=LEADER, **ALL_OF_IT, **query)
    assert not app.exception
    [listed] = [one.value for one in app.dataframe if "trace" in one.value.columns]
    [sheet] = [data for key, data in offered.items() if key in {"imported.rows.export", "rate.imported.rows.export", "stuck.imported.rows.export", "service_levels.imported.rows.export"}]  # fmt: skip
    put = Reports.rows
    monkeypatch.setattr(Reports, "rows", lambda self, question, **more: asked.append(more.get("most")) or put(self, question, **more))  # fmt: skip
    headings, *rows = csv.reader(sheet().decode("utf-8-sig").splitlines())
    assert [row[headings.index("Document")] for row in rows] == list(listed["number"])
    assert len(asked) == len(listed) // most + 1
    assert set(asked) == {most}


# -- what it carries nothing for ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [page for page in PAGES if page.LACKS], ids=lambda page: page.URL_PATH)
def test_a_page_that_a_log_says_nothing_for_says_so_and_shows_nothing_of_ours(beside, page):
    app = beside.look(page.URL_PATH, person=LEADER, log=LOG)
    assert not app.exception
    said = words_of(app)
    assert app.title[0].value == page.QUESTION
    assert f"An imported log does not carry {page.LACKS}" in said
    assert not app.metric
    assert not app.dataframe
    assert any("cycle-time" in str(link.proto) and f"log={LOG}" in str(link.proto) for link in app.get("page_link"))


@pytest.mark.parametrize("page", [page.URL_PATH for page in PAGES])
def test_a_log_that_is_not_there_is_said_and_read_without(beside, page):
    app = beside.look(page, person=LEADER, log="nobody's")
    assert not app.exception
    assert any("was read without it: log" in warning.value for warning in app.warning)


# -- while it is coming --------------------------------------------------------------------------------------------------------


@pytest.fixture
def coming(beside, monkeypatch, tmp_path):
    """A log that has just been imported, of which nothing has been folded; it is folded when a test says so."""
    beside.stop_the_clock()
    monkeypatch.setattr(beside, "stop_the_clock", lambda: None)
    path = tmp_path / "fresh.csv"
    path.write_text(
        "case,activity,timestamp\n1,Create Purchase Order,2024-01-01T00:00:00Z\n1,Pay invoice,2024-01-02T00:00:00Z\n"
    )
    import_log(beside.connection, Request(path, "fresh", "", Options(), Mapping()), new_id=id_maker(Random(7)))
    yield beside
    with beside.connection.transaction():
        fold.forget(beside.connection, "fresh")
        known.forget(beside.connection, "fresh", by_whom="a test", why="over")


COMING = "This is not all of the log fresh: the engine is still counting it."


@pytest.mark.parametrize("page", [page.URL_PATH for page in PAGES if page.URL_PATH != "trace"])
def test_a_log_that_has_just_been_imported_says_that_it_is_being_counted_and_shows_it_once_it_is(coming, page):
    """Its name was said not to exist, and the figures of our own documents stood there instead."""
    query = {"log": "fresh", "period": "custom", "since": "2023-12-01", "until": "2024-06-30"}
    app = coming.look(page, person=LEADER, **query)
    assert not app.exception
    said = words_of(app)
    assert COMING in said
    assert not any("was read without it" in one.value for one in app.warning)
    assert "belongs to a business unit that you see" not in said
    assert "1100" not in said, "a requisition of our own"
    fold.fold_all(coming.connection, now=NOW)
    app = coming.look(page, person=LEADER, **query)
    assert COMING not in words_of(app)
    assert "Nothing of it has been counted yet" not in words_of(app)


def test_an_import_that_was_interrupted_says_how_it_goes_on(coming):
    fold.fold_all(coming.connection, now=NOW)
    coming.connection.execute("UPDATE event_log_file SET phase = 'reading' WHERE log = 'fresh'")
    said = words_of(coming.look("stuck", person=LEADER, log="fresh"))
    assert "This is not all of the log fresh: a file of it has not been read to its end." in said
    assert "the same `finsync import-log` goes on with it" in said


def test_what_was_answered_before_the_log_was_counted_is_not_kept(coming):
    """Nothing is recorded meanwhile, and for ten minutes the page went on saying that there is nothing."""
    with asking(coming) as reports:
        before = everywhere.visit(reports)
        newest = reports.newest
        fold.fold_all(coming.connection, now=NOW)
        after = everywhere.visit(reports)
        assert (before.moment.counting, after.moment.counting) == (("fresh",), ())
        assert reports.newest != newest
        assert not reports.has_moved()


# -- cycle time --------------------------------------------------------------------------------------------------------------


def test_the_figures_of_a_log_are_those_of_the_rows_they_open(reports):
    found = ask.journeys(reports, WHOLE)
    [now] = found[found["business_unit"].isna()].to_dict("records")
    for which, n in (("all", now["documents"]), ("ended", now["ended"]), ("open", now["documents"] - now["ended"])):
        rows = ask.journey_rows(reports, WHOLE, "case", which)
        assert len(rows) == n == (rows["found"].iloc[0])
    rows = ask.journey_rows(reports, WHOLE, "case")
    assert (now["documents"], now["ended"]) == (PAID + len(STOPPED), PAID)
    assert now["total_s"] == rows["s"].sum() == sum(4 * 86400 + n * 3600 for n in range(PAID))
    assert [now[f"p{q}_s"] for q in (50, 85, 95)] == [pytest.approx(rows["s"].quantile(q / 100)) for q in (50, 85, 95)]
    units = found[found["business_unit"].notna()]
    assert units["documents"].sum() == now["documents"]
    assert units["total_s"].sum() == pytest.approx(now["total_s"])


def test_where_the_time_of_a_log_went_adds_up_to_the_whole(reports):
    stages = ask.journey_stages(reports, WHOLE, "case").set_index("stage")
    assert stages["total_s"].sum() == ask.journey_rows(reports, WHOLE, "case")["s"].sum()
    assert stages.loc["awaiting_approval", "total_s"] == PAID * 86400
    assert stages.loc["ordered", "total_s"] == sum(n + 1 for n in range(PAID)) * 3600
    assert stages["share"].sum() == pytest.approx(1)


def test_a_log_shows_its_own_durations_and_none_of_ours(beside):
    app = beside.look("cycle-time", person=LEADER, **ALL_OF_IT)
    assert not app.exception
    said = words_of(app)
    assert f"Half of {PAID + len(STOPPED)} documents of type “case” took 4 d 18 h" in said
    assert "case 39" in said
    assert "1100" not in said, "a requisition of our own"
    assert "Imported log: theirs" in said


@pytest.mark.parametrize("page", ["cycle-time", "process-map", "exception-rate", "overview"])
def test_a_log_that_lies_elsewhere_in_time_is_one_click_away(beside, page):
    """The same help on both pages, and the log goes along."""
    app = beside.look(page, person=LEADER, log=LOG)
    assert not app.exception
    assert "What there is reaches from 4 Mar 2024 to 11 Mar 2024" in words_of(app)
    [link] = [one for one in app.get("page_link") if one.proto.label == "Show all of it"]
    asked = parse_qs(urlsplit(f"?{link.proto.query_string}").query)
    assert (asked["log"], asked["period"], asked["since"], asked["until"]) == ([LOG], ["custom"], ["2024-03-04"], ["2024-03-11"])  # fmt: skip


def test_links_between_pages_keep_the_log(beside):
    app = beside.look("cycle-time", person=LEADER, **ALL_OF_IT)
    menu = [link.proto for link in app.sidebar.get("page_link")]
    assert len(menu) == len(PAGES)
    assert all(f"log={LOG}" in link.query_string for link in menu)
    ours = beside.look("cycle-time", person=LEADER)
    assert all("log=" not in link.proto.query_string for link in ours.sidebar.get("page_link"))


def test_choosing_another_log_drops_what_was_chosen_of_the_one_before(beside):
    app = beside.look("cycle-time", person=LEADER, unit="DE-SOUTH", show="ended", **ALL_OF_IT)
    [switch] = [one for one in app.get("button_group") if one.key == "finsync.switch.log"]
    switch.set_value("finsync").run()
    assert not app.exception
    assert set(app.query_params) == {"as", "period", "since", "until"}


def test_whoever_sees_one_unit_sees_that_units_documents_of_a_log(beside):
    with asking(beside, ANALYST) as reports:
        rows = ask.journey_rows(reports, WHOLE, "case")
        assert set(rows["business_unit"]) == {"DE-SOUTH"}
        assert len(rows) == PAID - PAID // 4 + 2
        assert [unit.code for unit in ask.units(reports, LOG)] == ["DE-SOUTH"]
    app = beside.look("cycle-time", person=ANALYST, **ALL_OF_IT)
    assert not app.exception
    assert "DE-NORTH" not in words_of(app)


def test_of_a_log_of_nobodys_units_only_who_sees_all_sees_something(beside):
    for page in ("cycle-time", "process-map", "stuck", "exception-rate", "overview"):
        app = beside.look(page, person=ANALYST, log="nobodys", period="custom", since="2023-12-01", until="2024-02-01")
        assert not app.exception
        assert "Nothing of the log nobodys belongs to a business unit that you see." in words_of(app)
    assert "1 d" in words_of(beside.look("cycle-time", person=AUDITOR, log="nobodys", period="custom", since="2023-12-01", until="2024-02-01"))  # fmt: skip


# -- stuck -------------------------------------------------------------------------------------------------------------------


def test_what_had_not_ended_is_judged_as_of_the_logs_last_event_beside_its_peers(reports):
    found = ask.standing(reports, LOG, None, None)
    assert set(found["as_of"]) == {BEGAN + 4 * DAY + 2 * (PAID - 1) * HOUR}
    levels = found.groupby("level")["documents"].sum().to_dict()
    assert levels == {"ended": PAID, "stuck": 1, "moving": 1, "unknown": 1}
    rows = ask.standing_rows(reports, LOG, None, None).set_index("number")
    assert list(rows.index) == ["slow", "quiet", "quick"]
    slow, quick, quiet = rows.loc["slow"], rows.loc["quick"], rows.loc["quiet"]
    assert (slow["age_s"], slow["level"], slow["peers"]) == (38.5 * 3600, "stuck", PAID)
    peers = pd.Series([n + 1.0 for n in range(PAID)]) * 3600
    assert [slow["p50_s"], slow["p95_s"]] == [pytest.approx(peers.quantile(q)) for q in (0.5, 0.95)]
    assert slow["pace"] == pytest.approx((peers < slow["age_s"]).mean(), abs=0.02)
    assert (quick["level"], quick["age_s"]) == ("moving", 2.5 * 3600)
    assert (quiet["level"], quiet["state"], quiet["peers"]) == ("unknown", "Ponder <b>", 0)
    assert pd.isna(quiet["pace"])


@pytest.mark.parametrize("level", ["stuck", "watch", "unknown", "moving"])
def test_every_count_of_what_stands_is_that_of_the_rows_it_opens(reports, level):
    found = ask.standing(reports, LOG, None, None)
    rows = ask.standing_rows(reports, LOG, None, None, level=level)
    assert len(rows) == found.loc[found["level"] == level, "documents"].sum()


def test_a_beginning_that_cannot_be_right_makes_nobody_slow(beside, tmp_path):
    path = tmp_path / "odd.csv"
    rows = [f"{n},{activity},{(BEGAN + after).isoformat()}" for n in range(35) for activity, after in (("Create Purchase Order", n * HOUR), ("Goods receipt", 2 * n * HOUR + HOUR))]  # fmt: skip
    path.write_text("\n".join(["case,activity,timestamp", *rows, "old,Create Purchase Order,1948-01-01T00:00:00Z", "odd,Create Purchase Order,1948-01-01T00:00:00Z", f"odd,Goods receipt,{BEGAN.isoformat()}"]))  # fmt: skip
    take(beside.connection, path, "odd")
    with asking(beside) as reports:
        rows = ask.standing_rows(reports, "odd", None, None).set_index("number")
        found = ask.standing(reports, "odd", None, None)
    assert rows.loc["old", "level"] == "unknown"
    assert pd.isna(rows.loc["old", "age_s"])
    ordered = found[found["state"] == "ordered"].iloc[0]
    assert ordered["peers"] == 35, "the stay that began in 1948 is nobody's peer"


def test_the_page_on_what_stands_lists_it_and_says_nothing_of_owners_or_money_it_does_not_know(beside):
    app = beside.look("stuck", person=LEADER, log=LOG)
    assert not app.exception
    said = words_of(app)
    assert "3 of 43 documents had not come to a final stage when the log ended, 11 Mar 2024" in said
    assert "1 of them stood longer than 95 % of their peers" in said
    assert [metric.label for metric in app.metric] == ["Not at a final stage", "Slow", "To watch", "No pace", "Longest in its stage"]  # fmt: skip
    assert "EUR" not in said
    [chart] = app.get("plotly_chart")
    assert "Ponder <b>" not in chart.proto.spec.replace("\\u003c", "<"), "another maker's words are no markup"
    narrowed = beside.look("stuck", person=LEADER, log=LOG, level="stuck")
    [rows] = [one.value for one in narrowed.dataframe if "age_s" in one.value.columns]
    assert list(rows["number"]) == ["slow"]


def test_a_log_of_which_nothing_ends_says_that_a_mapping_is_missing(beside, tmp_path):
    path = tmp_path / "endless.csv"
    path.write_text(
        "case,amount,activity,timestamp\n1,1234.56,Ponder,2024-01-01T00:00:00Z\n2,7,Muse,2024-01-02T00:00:00Z\n"
    )
    take(beside.connection, path, "endless")
    app = beside.look("stuck", person=LEADER, log="endless")
    assert not app.exception
    assert "No document of type Case comes to a final stage in this log" in words_of(app)
    with asking(beside) as reports:
        rows = ask.standing_rows(reports, "endless", None, None).set_index("number")
    assert rows.loc["1", ["value_name", "value"]].to_list() == ["amount", Decimal("1234.56")]


def test_whoever_sees_one_unit_sees_what_stands_of_it(beside):
    with asking(beside, ANALYST) as reports:
        assert set(ask.standing_rows(reports, LOG, None, None)["number"]) == {"slow", "quick"}
    said = words_of(beside.look("stuck", person=ANALYST, log=LOG))
    assert "quiet" not in said
    assert "DE-NORTH" not in said


# -- trouble, and the overview -------------------------------------------------------------------------------------------------


@pytest.fixture
def troubled(beside, tmp_path):
    """Twelve straight through; one asked again, one disputed twice, one disputed and asked again; two of these go a path alone."""
    usual = ("Create Purchase Order", "Goods receipt", "Pay invoice")
    paths = {f"plain {n}": usual for n in range(12)} | {
        "again": ("Create Purchase Order", "Create Purchase Order", "Goods receipt", "Pay invoice"),
        "disputed": ("Create Purchase Order", "Settle dispute", "Goods receipt", "Settle dispute", "Pay invoice"),
        "both": ("Create Purchase Order", "Create Purchase Order", "Reject order", "Pay invoice"),
        "swapped": ("Goods receipt", "Create Purchase Order", "Pay invoice"),
        "swapped too": ("Goods receipt", "Create Purchase Order", "Pay invoice"),
    }
    path = tmp_path / "troubled.csv"
    path.write_text("\n".join(["case,activity,timestamp", *(f"{case},{activity},{(BEGAN + n * DAY).isoformat()}" for case, steps in paths.items() for n, activity in enumerate(steps))]))  # fmt: skip
    take(beside.connection, path, "troubled")
    return Within("troubled", BEGAN - DAY, BEGAN + 30 * DAY)


def test_what_was_done_again_or_held_up_counts_the_documents_it_opens(beside, troubled):
    with asking(beside) as reports:
        [now] = [row for row in ask.trouble(reports, troubled).to_dict("records") if row["business_unit"] is None]
        rows = {which: ask.trouble_rows(reports, troubled, "case", which) for which in ("again", "held", "alone", "straight", "all")}  # fmt: skip
        activities = ask.trouble_activities(reports, troubled, "case")
        behind = [len(ask.trouble_rows(reports, troubled, "case", row.kind, row.activity)) for row in activities.itertuples()]  # fmt: skip
    assert now["documents"] == len(rows["all"]) == 17
    assert {which: set(found["number"]) for which, found in rows.items() if which not in {"straight", "all"}} == {
        "again": {"again", "disputed", "both"},
        "held": {"disputed", "both"},
        "alone": {"again", "disputed", "both"},
    }
    assert {which: now[which] for which in ("again", "held", "alone", "straight")} == {"again": 3, "held": 2, "alone": 3, "straight": 14}  # fmt: skip
    assert len(rows["straight"]) == 14
    assert behind == list(activities["documents"])
    told = {(row.kind, row.activity): (row.documents, row.times) for row in activities.itertuples()}
    assert told == {
        ("again", "Create Purchase Order"): (2, 2),
        ("again", "Settle dispute"): (1, 1),
        ("held", "Settle dispute"): (1, 2),
        ("held", "Reject order"): (1, 1),
    }


def test_the_page_on_exceptions_says_what_was_done_again_and_that_a_log_has_no_exceptions(beside, troubled):
    period = {"log": "troubled", "period": "custom", "since": "2024-03-01", "until": "2024-06-30"}
    app = beside.look("exception-rate", person=LEADER, **period)
    assert not app.exception
    said = words_of(app)
    assert (
        "82.4 % of 17 documents of type “Case” went straight through; 3 did something again, 2 were held up or in vain"
        in said
    )
    assert "An imported log carries no exceptions." in said
    opened = beside.look("exception-rate", person=LEADER, show="held", activity="Reject order", **period)
    [rows] = [one.value for one in opened.dataframe if "held" in one.value.columns and "number" in one.value.columns]
    assert list(rows["number"]) == ["both"]
    odd = beside.look("exception-rate", person=LEADER, show="again", activity="<script>", **period)
    assert not odd.exception
    assert "There is no such document." in words_of(odd)


def test_the_overview_of_a_log_leads_to_the_pages_that_say_more(beside):
    app = beside.look("overview", person=LEADER, **ALL_OF_IT)
    assert not app.exception
    said = words_of(app)
    assert "43 documents had the last event from 1 Mar 2024 to 30 Jun 2024" in said
    assert "3 of 43 documents had not come to an end when the log did" in said
    assert "EUR" not in said
    labels = {metric.label: metric.value for metric in app.metric}
    assert labels == {"Case, half within": "4 d 18 h", "At a final stage": "93 %", "Did something again": "0 %", "Not at an end, when the log ended": "3", "Slow, when the log ended": "1"}  # fmt: skip
    links = [link.proto for link in app.main.get("page_link")]
    assert links
    assert all(f"log={LOG}" in link.query_string for link in links)


@pytest.mark.parametrize("page", ["overview", "cycle-time", "stuck", "exception-rate"])
def test_on_a_phone_every_card_of_a_log_opens_what_it_counts(beside, troubled, monkeypatch, page):
    monkeypatch.setattr("pages.screen.is_narrow", lambda: True)
    app = beside.look(page, person=LEADER, **(ALL_OF_IT | {"log": "troubled" if page == "exception-rate" else LOG}))
    assert not app.exception
    labels = [link.proto.label for link in app.main.get("page_link")]
    assert {"overview": "How long", "cycle-time": "Show 32", "stuck": "Show 2", "exception-rate": "Show 2"}[
        page
    ] in labels
    if page not in {"overview", "exception-rate"}:
        assert "Trace" in labels


# -- the trace ---------------------------------------------------------------------------------------------------------------


def number(beside, name):
    return str(beside.one("SELECT document_id FROM document WHERE source = %s AND number = %s", LOG, name))


def test_the_trace_of_another_makers_document_tells_its_events_and_offers_nothing_to_do(beside):
    app = beside.look("trace", person=OPERATIONS, log=LOG, document=number(beside, "case 39"))
    assert not app.exception
    said = words_of(app)
    assert "4 events over 5 d 15 h; it waited longest, 2 d 23 h, for “Pay invoice”" in said
    assert "came to its end at “paid”" in said
    assert "Ledger" not in said
    assert "on its way" not in said
    [steps] = [one.value for one in app.dataframe if "what" in one.value.columns]
    assert list(steps["what"]) == [
        "Create Purchase Requisition",
        "Create Purchase Order",
        "Goods receipt",
        "Pay invoice",
    ]
    stood = words_of(beside.look("trace", person=OPERATIONS, log=LOG, document=number(beside, "slow")))
    assert "stood at “ordered”" in stood
    assert "as far as its log goes" in stood


def test_an_open_order_of_another_maker_is_never_offered_to_be_cancelled_in_our_erp(beside, tmp_path):
    path = tmp_path / "orders.csv"
    path.write_text("case,activity,timestamp\nPO 1,Create Purchase Order,2024-01-01T00:00:00Z\n")
    take(beside.connection, path, "orders", case_type="purchase_order")
    document = beside.one("SELECT document_id FROM document WHERE source = 'orders'")
    app = beside.look("trace", person=OPERATIONS, document=str(document))
    assert not app.exception
    said = words_of(app)
    assert "PO 1 stood at “ordered”" in said
    assert "Cancel order" not in said


def test_an_object_that_events_of_others_name_has_their_events_on_its_trace(beside, tmp_path):
    path = tmp_path / "objects.json"
    path.write_text(json.dumps({
        "objectTypes": [{"name": "box", "attributes": []}, {"name": "item", "attributes": []}],
        "eventTypes": [{"name": "pack box", "attributes": []}],
        "objects": [{"id": "box 1", "type": "box"}, {"id": "item 1", "type": "item"}],
        "events": [{"id": "e1", "type": "pack box", "time": "2024-01-01T08:00:00Z", "attributes": [], "relationships": [{"objectId": "box 1", "qualifier": "packed"}, {"objectId": "item 1", "qualifier": "in it"}]}],
    }))  # fmt: skip
    take(beside.connection, path, "objects")
    for name in ("box 1", "item 1"):
        document = beside.one("SELECT document_id FROM document WHERE source = 'objects' AND number = %s", name)
        app = beside.look("trace", person=LEADER, document=str(document))
        assert not app.exception
        [steps] = [one.value for one in app.dataframe if "what" in one.value.columns]
        assert list(steps["what"]) == ["pack box"]


def test_a_trace_under_a_log_finds_and_shows_documents_of_that_log_alone(beside):
    ours = beside.look("trace", person=LEADER, log=LOG, q="1100")
    assert "Nothing you may see is called 1100" in words_of(ours)
    app = beside.look("trace", person=LEADER, log=LOG, document=str(beside.weekend))
    assert "This document is not of the log theirs." in words_of(app)
    assert not app.dataframe
    [link] = [one.proto.query_string for one in app.get("page_link") if one.proto.label == "Open it in its own log"]
    assert "log=" not in link
    assert "case 39" in words_of(beside.look("trace", person=LEADER, log=LOG, q="case 39"))


# -- logs by others ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind", "documents", "mean_s", "median_s"),
    [
        ("p2p-normal.jsonocel", "PURCHORD", 80, 691195.5, None),
        ("p2p-normal.jsonocel", "INVOICE", 127, 86396.22, None),
        ("PurchasingExample_carlocarlo.csv", "case", 608, 1852225.164, 1028340),
    ],
)
def test_logs_by_others_have_their_right_answers_on_the_page(beside, name, kind, documents, mean_s, median_s):
    log = name.partition(".")[0].lower()
    take(beside.connection, shared(name), log)
    with asking(beside) as reports:
        found = ask.journeys(reports, Within(log, datetime(1990, 1, 1, tzinfo=UTC), NOW))
    [now] = found[found["business_unit"].isna() & (found["document_type"] == kind)].to_dict("records")
    assert now["documents"] == documents
    assert now["mean_s"] == pytest.approx(mean_s, abs=0.01)
    assert median_s is None or now["p50_s"] == median_s
