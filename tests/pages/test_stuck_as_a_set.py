"""Everything open is judged at once, by limits worked out beforehand; it has to come out as if each were looked at by itself."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import aiosql
import pytest
from psycopg.rows import dict_row

from sync_engine.database.statements import sql
from sync_engine.insight.reports import stuck as ask
from sync_engine.insight.reports.stuck import BECAUSE, LEVELS
from tests.conftest import _server
from tests.pages.books import NOW, Books

BY_ROW = aiosql.from_path(Path(__file__).parent / "stuck_by_row.sql", "psycopg", kwargs_only=True).open.sql
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
STAGES = {
    "requisition": ("received", "awaiting_budget", "awaiting_approval", "approved", "ordering"),
    "purchase_order": ("drafted", "ordered", "received", "refused"),
    "invoice": ("received", "in_review", "payment_ready", "payment_blocked", "awaiting_receipt"),
    "change_order": ("validated",),
}
UNITS = ("DE-SOUTH", "DE-NORTH", "NOWHERE")
CODES = ("cost_centre_blocked", "price_variance", "system_unavailable", "order_unknown")
WORLDS = (1, 2)


def company(books, seed):
    """A company with stays of a few minutes to a week behind it, and open documents of every kind, age and trouble before it."""
    chance = random.Random(seed)

    def moment(days):
        within = chance.choice((3600, 2 * 86400, days * 86400))
        return NOW - timedelta(seconds=chance.choice((0, 1, *[chance.randrange(within) for _ in range(8)])))

    books.heard_from_everybody()
    books.connection.execute(
        "UPDATE feed_state SET last_success_at = last_success_at - interval '1 day' WHERE system = 'basware'"
    )
    for n in range(240):
        kind = chance.choice(("requisition", "invoice"))
        state = chance.choice(STAGES[kind][1:3])
        begun = NOW - DAY * chance.randrange(1, 60) - MINUTE * chance.randrange(900)
        ended = begun + MINUTE * int(chance.expovariate(1 / 200) + 1)
        moves = [("received", None, state, begun, begun), ("closed", state, "closed", ended, ended)]
        books.document(kind, f"9{n:03}", chance.choice((*UNITS[:2], "DE-SOUTH", "DE-SOUTH")), moves, closed=True)
    for n in range(280):
        kind = chance.choice(tuple(STAGES))
        state, since = chance.choice(STAGES[kind]), moment(40)
        heard = since + (NOW - since) * chance.choice((0, 0, chance.random()))
        number, unit = f"1{n:03}", chance.choice((*UNITS[:2], *UNITS))
        document_id = books.document(
            kind, number, unit, [("received", None, state, since, since), ("told", state, state, heard, heard)], since=since,
            amount=chance.choice((None, 0, -50, 999.99, 1000, 10_000, round(chance.uniform(1, 200_000), 2))),
            need_by_on=chance.choice((None, NOW.date(), NOW.date() - DAY * chance.randrange(1, 20), NOW.date() + DAY * chance.randrange(-20, 20))),
            due_on=chance.choice((None, NOW.date(), NOW.date() - DAY * chance.randrange(1, 20), NOW.date() + DAY * chance.randrange(-20, 20))), is_test=chance.random() < 0.03,
        )  # fmt: skip
        books.connection.execute(
            "UPDATE document SET posting_status = %s, source_system = %s WHERE document_id = %s",
            [chance.choice((*["not_submitted"] * 6, "refused", "unknown")), chance.choice(("coupa", "basware")), document_id],
        )  # fmt: skip
        for flow in chance.sample(("requisition", "order", "invoice"), chance.choice((0, 1, 1, 2))):
            books.connection.execute(
                "INSERT INTO work_item (work_item_id, document_id, business_unit, flow, step, system, status, due_at, step_since, objective_at, created_at, waiting_for, finished_at)"
                " VALUES (%(id)s, %(document)s, %(unit)s, %(flow)s, 'go_on', %(system)s, %(status)s::text, %(now)s, %(now)s, %(objective)s, %(created)s, '', CASE WHEN %(status)s::text = 'done' THEN %(now)s END)",
                {"id": uuid4(), "document": document_id, "unit": unit, "flow": flow, "system": chance.choice(("s4hana", "basware", "finsync")), "status": chance.choice(("due", "parked", "done")),
                 "now": NOW, "objective": NOW + MINUTE * chance.randrange(-3000, 9000), "created": moment(30) - MINUTE * chance.randrange(10_000)},
            )  # fmt: skip
        for code in chance.sample(CODES, chance.choice((0, 0, 0, 1, 2, 3))):
            books.exception(
                document_id, code, raised=moment(20), category="external_outage" if code == "system_unavailable" else "master_data" if code == "cost_centre_blocked" else "policy",
                blocks=chance.random() < 0.5, owner=chance.choice((None, "Kim")), closed=chance.choice((None, None, NOW)),
            )  # fmt: skip
    for n in range(40):  # of every age that the stays above had
        since, kind = NOW - MINUTE * 90 * n, chance.choice(("requisition", "invoice"))
        books.document(
            kind, f"2{n:03}", "DE-SOUTH", [("received", None, STAGES[kind][1], since, since)], due_on=NOW.date()
        )
    books.stop_the_clock()
    # What autovacuum does within a minute: until then each question is planned as if there were next to nothing.
    with books.database.connect_owner() as owner:
        owner.execute("ANALYZE cell.document, cell.event, cell.work_item, cell.exception_case, cell.standing")


@pytest.fixture(scope="module", params=WORLDS)
def books(request, _servers):
    with pytest.MonkeyPatch.context() as monkeypatch:
        made = Books(_server(_servers, "embedded", None), monkeypatch)
        company(made, request.param)
        yield made
        made.close()


def put(books, text, asked, **more):
    with books.connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(text, asked.everything() | more).fetchall()


def by_row(books, asked):
    """Every open document as the judgement of one by one has it, without what counts through its orders."""
    found = put(books, BY_ROW, asked)
    return {
        row["document_id"]: row for row in found if (row["document_type"], row["state"]) != ("requisition", "ordering")
    }


def at_once(books, asked, **more):
    [limits] = put(books, sql("report_stuck.limits"), asked)
    return put(books, sql("report_stuck.rows"), asked, **asked.rows(None, **more), **limits)


ASKED = (
    ask.Asked(NOW),
    ask.Asked(NOW, units=["DE-SOUTH"]),
    ask.Asked(NOW, types=["invoice"]),
    ask.Asked(datetime(2026, 9, 12, 23, 0, tzinfo=UTC)),
    ask.Asked(NOW + MINUTE),
    ask.Asked(NOW + DAY * 4 + MINUTE * 90),
)
"""Also on a Saturday night, when no office is open; and a minute and days after everything was judged last."""


@pytest.mark.parametrize("asked", ASKED)
def test_every_document_is_judged_as_by_itself(books, asked):
    """PRODUCT.md 4.2: level, cause, time past the limit, pace and chance do not depend on how many are judged at once."""
    expected, found = by_row(books, asked), at_once(books, asked)
    assert len(found) == len(expected) == len({row["document_id"] for row in found})
    for row in found:
        other = expected[row["document_id"]]
        near = {"over_limit_s", "pace", "p_on_time"}
        assert {name: row[name] for name in other if name not in near} == {
            name: value for name, value in other.items() if name not in near
        }
        for name in near:
            assert (row[name] is None) == (other[name] is None), name
            assert other[name] is None or float(row[name]) == pytest.approx(float(other[name]), abs=1e-5), name


def test_the_companies_have_every_level_and_cause(books):
    """A comparison of documents that all move would compare nothing."""
    rows = by_row(books, ASKED[0]).values()
    assert {row["level"] for row in rows} == set(LEVELS)
    assert {row["because"] for row in rows} - {None} == set(BECAUSE)
    assert any(row["peer_unit"] for row in rows)
    assert any(row["peers"] and not row["peer_unit"] for row in rows)


@pytest.mark.parametrize("asked", [*ASKED, ask.Asked(NOW, bands=["0-1k", "100k"])])
def test_counts_are_those_of_the_rows(books, asked):
    """Trap 19: a figure and the list it opens are the same documents, counted and summed."""
    [limits] = put(books, sql("report_stuck.limits"), asked)
    groups = put(books, sql("report_stuck.counts"), asked, **limits, **asked.chosen())
    names = ("document_type", "state", "business_unit", "reason", "owner_team", "case_code", "level", "because")

    def key(row, is_taken, is_old):
        return (*(row[name] for name in names), is_taken, is_old)

    documents, value, value_days_s, over, oldest_s = Counter(), Counter(), Counter(), Counter(), {}
    for row in by_row(books, asked).values():
        if asked.bands is not None and ask.band_of(row["group_amount"]) not in asked.bands:
            continue
        place = key(row, row["owner"] is not None, row["age_business_s"] > 0)
        documents[place] += 1
        value[place] += row["group_amount"] or 0
        value_days_s[place] += float(row["over_limit_s"] or 0) * float(row["group_amount"] or 0)
        over[place] += row["peer_p95_s"] is not None and float(row["age_business_s"]) > row["peer_p95_s"]
        oldest_s[place] = max(oldest_s.get(place, float(row["age_business_s"])), float(row["age_business_s"]))
    found = {key(group, group["is_taken"], group["is_old"]): group for group in groups}
    assert len(found) == len(groups)
    assert {place: group["documents"] for place, group in found.items()} == documents
    for place, group in found.items():
        assert (group["value"] or 0, group["over"]) == (value[place], over[place])
        assert group["value_days_s"] or pytest.approx(value_days_s[place], rel=1e-6) == 0
        assert group["oldest_s"] == pytest.approx(oldest_s[place], abs=1e-5)


@pytest.mark.parametrize(
    ("asked", "more", "wanted"),
    [
        (ask.Asked(NOW), {"levels": ["stuck"], "because": "date"}, lambda row: row["because"] == "date"),
        (ask.Asked(NOW), {"untaken": True}, lambda row: row["owner"] is None),
        (ask.Asked(NOW, teams=["suppliers"]), {}, lambda row: (row["owner_team"] or ask.WAYS[row["reason"]].team) == "suppliers"),
        (ask.Asked(NOW, teams=["finance operations"]), {}, lambda row: (row["owner_team"] or ask.WAYS[row["reason"]].team) == "finance operations"),
        (ask.Asked(NOW, bands=["0-1k", "100k"]), {}, lambda row: ask.band_of(row["group_amount"]) in {"0-1k", "100k"}),
        (ask.Asked(NOW, reasons=["payment block"], sources=["basware"]), {}, lambda row: (row["reason"], row["source_system"]) == ("payment block", "basware")),
    ],
)  # fmt: skip
def test_a_filter_leaves_exactly_its_documents_most_money_first(books, asked, more, wanted):
    expected = [row for row in by_row(books, asked).values() if wanted(row)]
    place = lambda row: (-(row["group_amount"] if row["group_amount"] is not None else -1), row["document_id"])  # noqa: E731
    assert [row["document_id"] for row in at_once(books, asked, **more)] == [
        row["document_id"] for row in sorted(expected, key=place)
    ]


def test_the_oldest_of_the_worst_are_drawn_first(books):
    stages = ["invoice:received", "requisition:awaiting_approval"]
    expected = [
        row
        for row in by_row(books, ASKED[0]).values()
        if f"{row['document_type']}:{row['state']}" in stages
        and row["level"] != "waiting"
        and row["age_business_s"] > 0
    ]
    worst = sorted(expected, key=lambda row: (LEVELS.index(row["level"]), row["state_since"]))[:10]
    found = at_once(books, ASKED[0], stages=stages, by_age=True, most=10)
    assert {row["state_since"] for row in found} == {row["state_since"] for row in worst}
    assert len(found) == 10


@pytest.mark.parametrize("asked", [ASKED[0], ASKED[-1]])
def test_one_document_is_found_by_its_id_whatever_its_level(books, asked):
    first = {row["level"]: document_id for document_id, row in by_row(books, asked).items()}
    for level, document_id in first.items():
        [row] = at_once(books, asked, document_id=document_id)
        assert (row["document_id"], row["level"]) == (document_id, level)
    assert at_once(books, asked, document_id=uuid4()) == []
