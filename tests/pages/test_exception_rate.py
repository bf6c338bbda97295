"""Exception rate: documents, not attempts; shares that are those of the rows they open; small units that do not lead; failed calls apart."""

import doctest
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from urllib.parse import parse_qs, urlparse
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from pages import exception_rate_backlog as backlog
from pages import exception_rate_compare as compare
from pages import exception_rate_times as times
from pages import frame
from pages.exception_rate_parts import Facts
from sync_engine.insight import comparison, statistics
from sync_engine.insight.reports import exception_rate as ask
from sync_engine.insight.reports import overview
from sync_engine.insight.reports.exception_rate import Population
from sync_engine.model.exceptions import kind_of
from tests.pages.asking import asking
from tests.pages.books import NOW
from tests.pages.conftest import ANALYST, LEADER, OPERATIONS, numbers_in, words_of
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


def halves(now, before):
    """Rates of units as the statement answers them: unit -> (with an exception, entered), now and in the period before."""
    rows = []
    for in_period, units in ((True, now), (False, before)):
        for unit, (part, whole) in [*units.items(), (None, tuple(map(sum, zip(*units.values(), strict=True))))]:
            rows.append((in_period, unit, None, None, whole, part, Decimal(whole), Decimal(part)))
    return ask.Rates(pd.DataFrame(rows, columns=list(ask.RATE_COLUMNS), dtype=object))


def test_a_rate_that_falls_while_that_of_every_unit_rises_is_told(monkeypatch):
    """PRODUCT.md section 6, trap 11 (Simpson): at the mix of the period before the rate has risen."""
    rates = halves(now={"EASY": (11, 100), "HARD": (6, 10)}, before={"EASY": (5, 50), "HARD": (25, 50)})
    assert rates.of().share < rates.of(before=True).share
    assert compare.at_former_mix(rates) == pytest.approx((0.11 * 50 + 0.6 * 50) / 100)
    assert compare.at_former_mix(rates) > rates.of(before=True).share
    said = []
    monkeypatch.setattr(compare.st, "warning", lambda text, **_: said.append(text))
    compare.mix(SimpleNamespace(rates=rates))
    assert said == [
        "Against the period before the rate moved by -14.5 points. With the units' shares of that period it would be 35.5 %, a move of +5.5 points. The mix of units hides that the units themselves became worse."
    ]


def test_what_exceptions_go_with_is_told_only_beyond_chance():
    """PRODUCT.md section 6, trap 10: two of three do not lead; and two names of the same documents are told as such."""
    columns = list(ask.ATTRIBUTE_COLUMNS)
    found = compare.compared(
        pd.DataFrame(
            [
                ("unit", "SMALL", 3, 2, 303, 52, []),
                ("supplier", "Kranz", 100, 30, 303, 52, ["unit DE-SOUTH"]),
            ],
            columns=columns,
        )
    )
    assert list(found["title"]) == ["Supplier Kranz"]
    assert found.loc[0, "ratio"] == pytest.approx((30 / 100) / (22 / 203))
    assert found.loc[0, "vanishing"] == pytest.approx(30 - 100 * 22 / 203)
    assert found.loc[0, "together"] == "unit DE-SOUTH"


def facts_of(reports):
    return SimpleNamespace(causes=ask.causes(reports, WANTED), rows=ask.rows(reports, WANTED, zone="Europe/Berlin"))


def test_weeks_and_categories_add_up_to_the_documents_with_an_exception(reports):
    """A document that met two categories counts once, under the first (trap 5)."""
    facts = facts_of(reports)
    weeks = times.by_week(facts)
    assert weeks.drop(columns="week").to_numpy().sum() == len(facts.rows)
    by = facts.rows.groupby("week").size()
    assert list(weeks.drop(columns="week").sum(axis=1)) == list(by)


def test_hours_are_those_of_the_reader_s_zone_on_the_night_the_clocks_change():
    """PRODUCT.md section 6, trap 7: one in the morning UTC is two in Berlin before and after the hour that is there twice."""
    raised = [datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)]
    cells = times.by_hour(SimpleNamespace(causes=pd.DataFrame({"raised_at": raised})), ZoneInfo("Europe/Berlin"))
    assert cells.to_dict("records") == [{"day": 6, "hour": 2, "n": 2}]


def test_attributes_count_documents_once_and_name_what_cannot_be_told_apart(reports, books):
    """Test documents and repeated exceptions count nowhere (traps 5 and 17)."""
    found = ask.attributes(reports, WANTED)
    assert (found["all_entered"] == 23).all()
    assert (found["all_with_exception"] == 5).all()
    assert (found["entered"] >= 10).all()
    south = found.set_index(["attribute", "value"]).loc[("unit", "DE-SOUTH")]
    rates_of = rates(reports).by("business_unit").set_index("business_unit").loc["DE-SOUTH"]
    assert (south["entered"], south["with_exception"]) == (rates_of["entered"], rates_of["with_exception"])


# -- what is measured ----------------------------------------------------------------------------------------------------------


def test_the_examples_in_the_statistics_hold():
    assert doctest.testmod(statistics).failed == 0
    assert doctest.testmod(comparison).failed == 0


def test_the_rate_is_that_of_the_rows_by_count_and_value(reports):
    rate, rows = rates(reports).of(), ask.rows(reports, WANTED, zone="Europe/Berlin")
    assert (rate.with_exception, rate.value_with_exception) == (len(rows), rows["group_amount"].sum())
    assert (rate.entered, rate.with_exception) == (23, 5)
    assert rate.share == 5 / 23


def test_forty_tries_of_one_document_are_one_exception(reports, books):
    row = ask.rows(reports, WANTED, zone="UTC").set_index("document_id").loc[books.under_way]
    assert (row["exceptions"], row["open"]) == (1, 1)


SCAN = """
SELECT d.document_id, count(*), count(*) FILTER (WHERE x.closed_at IS NULL), count(*) FILTER (WHERE x.close_reason = 'self_cured'),
       (SELECT count(*) FROM exception_case a JOIN exception_case b USING (document_id, fingerprint)
         WHERE a.document_id = d.document_id AND b.raised_at > a.raised_at AND b.raised_at < a.closed_at + interval '30 days'
           AND NOT EXISTS (SELECT FROM exception_case m WHERE m.document_id = a.document_id AND m.fingerprint = a.fingerprint AND m.raised_at > a.raised_at AND m.raised_at < b.raised_at)
           AND (%(categories)s::text[] IS NULL OR a.category = ANY (%(categories)s::text[])))
  FROM exception_case x JOIN document d USING (document_id)
 WHERE d.submitted_at >= %(since)s AND d.submitted_at < %(until)s AND NOT d.is_test AND d.document_type = ANY (%(document_types)s)
   AND (%(units)s::text[] IS NULL OR d.business_unit = ANY (%(units)s::text[])) AND (%(categories)s::text[] IS NULL OR x.category = ANY (%(categories)s::text[]))
 GROUP BY d.document_id"""


@pytest.mark.parametrize("categories", [None, ("master_data",), ("policy", "external_outage")])
@pytest.mark.parametrize("units", [None, ("DE-SOUTH",)])
@pytest.mark.parametrize("days", [30, 8, 7, 1])
def test_what_is_read_of_a_period_is_what_a_scan_of_every_exception_says(reports, books, days, units, categories):
    """F-4.3: rows, causes and the rate read the period's documents alone, and come to what reading every exception there ever was does."""
    wanted = Population(NOW - timedelta(days=days), NOW, units, categories=categories)
    scanned = {row[0]: row[1:] for row in books.connection.execute(SCAN, wanted.arguments())}
    rows = ask.rows(reports, wanted, zone="UTC")
    assert {row.document_id: (row.exceptions, row.open, row.self_cured) for row in rows.itertuples()} == {
        document_id: found[:3] for document_id, found in scanned.items()
    }
    by = ask.causes(reports, wanted).groupby("document_id")[["exceptions", "open", "self_cured", "came_back"]].sum()
    assert {row.Index: tuple(row)[1:] for row in by.itertuples()} == scanned
    assert rates(reports, wanted).of().with_exception == len(scanned)


def test_the_pile_at_the_end_of_a_day_is_that_of_the_day_before_with_what_came_and_went(reports, books):
    """Traps 12 and 13: inflow, outflow and how it ended stand together, and add up from day to day."""
    found = ask.backlog(reports, WANTED, zone="Europe/Berlin")
    days = found.days.astype(dict.fromkeys(("begun", "ended", "self_cured", "stands"), int))
    assert list(days["stands"].diff().dropna()) == list((days["begun"] - days["ended"]).iloc[1:])
    there = books.connection.execute(
        "SELECT count(*), count(closed_at), count(*) FILTER (WHERE close_reason = 'self_cured') FROM exception_case"
    ).fetchone()
    assert (days["begun"].sum(), days["ended"].sum(), days["self_cured"].sum()) == there
    assert days["stands"].iloc[-1] == there[0] - there[1]
    held = books.one("SELECT count(DISTINCT document_id) FROM exception_case WHERE closed_at IS NULL")
    assert (found.held_documents, found.open_documents) == (held, books.one("SELECT count(*) FROM document WHERE closed_at IS NULL AND NOT is_test"))  # fmt: skip


def test_new_is_what_nobody_had_met_before(reports):
    since = NOW - timedelta(days=7)
    found = ask.new_causes(reports, WANTED, since=since)
    assert (pd.to_datetime(found["first_seen"], utc=True) >= since).all()
    assert "cost_centre_blocked|s4hana|4711" not in set(found["fingerprint"]), "that was met on the Monday before"
    every = ask.new_causes(reports, WANTED, since=WANTED.since).set_index("fingerprint")
    assert every.loc["cost_centre_blocked|s4hana|4711", "first_seen"] < since
    assert (every["found"] == len(every)).all()


def test_units_and_categories_count_documents_of_what_entered_there(books, reports):
    causes = ask.causes(reports, WANTED)
    facts = Facts(None, WANTED, rates(reports), causes, None, None)
    cells = backlog.met_by_unit(facts).set_index(["business_unit", "category"])
    south = causes[(causes["business_unit"] == "DE-SOUTH") & (causes["category"] == "master_data")]
    assert cells.loc[("DE-SOUTH", "master_data"), "documents"] == south["document_id"].nunique()
    assert cells.loc[("DE-SOUTH", "master_data"), "entered"] == 19
    for (unit, category), cell in cells.iterrows():
        opened = ask.rows(reports, Population(WANTED.since, NOW, (unit,), categories=(category,)), zone="UTC")
        assert len(opened) == cell["documents"], "what the link of a cell narrows to is the cell's documents"
    app = books.look(PAGE, person=LEADER)
    said = words_of(app)
    assert "exceptions were raised than closed" in said
    assert "No cause was met for the first time since" in said or "met for the first time since" in said


def test_a_bar_and_a_unit_open_exactly_their_documents(books, monkeypatch):
    """4.0, drill contract: as many as the mark says, each of them of that cause or unit."""
    seen = {}
    show = frame.show_figure
    monkeypatch.setattr(frame, "show_figure", lambda figure, *, key, opens=None, **how: (seen.update({key: (figure, opens)}), show(figure, key=key, opens=opens, **how)))  # fmt: skip
    assert not books.look(PAGE, person=LEADER, period="90d").exception
    for key, place in (("rate.causes", 0), ("rate.funnel", 4)):
        figure, opens = seen[key]
        said = figure.data[place].customdata
        assert len(opens.asks[place]) == len(said) > 1
        for asked, words in zip(opens.asks[place], said, strict=True):
            app = books.look(PAGE, person=LEADER, period="90d", **asked)
            listed = [table.value for table in app.dataframe if {"causes", "ended"} <= set(table.value.columns)]
            rows = listed[0] if listed else pd.DataFrame({"business_unit": [], "causes": []})
            told = re.search(r": ([\d,]+) document| %, ([\d,]+) of", words)
            assert len(rows) == int(told[1] or told[2]), words
            if "unit" in asked:
                assert set(rows["business_unit"]) <= {asked["unit"]}
            else:
                assert all(kind_of(asked["code"]).title in causes for causes in rows["causes"])


def test_of_causes_met_equally_often_the_share_so_far_grows_downwards(books, monkeypatch):
    """Drawn the other way round it read 72, 88, 80 %."""
    seen = {}
    show = frame.show_figure
    monkeypatch.setattr(frame, "show_figure", lambda figure, *, key, **how: (seen.update({key: figure}), show(figure, key=key, **how)))  # fmt: skip
    books.look(PAGE, person=LEADER, period="90d")
    from_the_top = [float(re.search(r"([\d.]+) %$", text)[1]) for text in seen["rate.causes"].data[0].text[::-1]]
    assert len(from_the_top) > 2
    assert from_the_top == sorted(from_the_top)


@pytest.mark.usefixtures("anew")
def test_a_cell_of_units_and_categories_opens_its_documents(books, monkeypatch):
    """4.0, drill contract; with few documents in a unit the map is not drawn, here it is for the three of the north."""
    monkeypatch.setattr(backlog, "FEW", 1)
    app = books.look(PAGE, person=LEADER)
    assert not app.error
    cells = next(frame.value for frame in app.dataframe if {"category", "business_unit", "open"} <= set(frame.value.columns))  # fmt: skip
    cell = cells[cells["business_unit"] == "DE-SOUTH"].iloc[0]
    query = {name: value for name, [value] in parse_qs(urlparse(cell["open"]).query).items() if name not in {"as", "period"}}  # fmt: skip
    listed = next(frame.value for frame in books.look(PAGE, person=LEADER, **query).dataframe if "number" in frame.value.columns)  # fmt: skip
    assert len(listed) == cell["documents"]


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
    there = overview.exception_share(
        reports, None, before=NOW - timedelta(days=60), since=WANTED.since, until=WANTED.until
    )
    for found, rate in zip(there, (rates(reports).of(), rates(reports).of(before=True)), strict=True):
        assert (found.part, found.whole) == (rate.with_exception, rate.entered)


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
        "5 of 23 documents (21.7 %) met an exception, 45.8 % of their value. No unit has more than chance explains."
        in said
    )
    assert "Most frequent: the cost centre is blocked (4 documents)." in said
    assert "40 % of the calls failed" in said


def test_a_unit_with_one_of_four_does_not_lead_one_with_four_of_nineteen(books):
    units = next(
        frame.value
        for frame in books.look(PAGE, person=LEADER).dataframe
        if {"business_unit", "interval"} <= set(frame.value.columns)
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
        assert "2099" not in numbers_in(said)
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
