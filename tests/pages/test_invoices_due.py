"""Invoices due (PRODUCT 4.11, D12): every number opens exactly its rows, the order is the formula's, what is unpaid past its due date is late,
bills that came twice are shown before they are paid and a verdict on them is used."""

import json
import re
from datetime import UTC, date, datetime, time, timedelta
from uuid import uuid4

import pytest

from pages import frame
from sync_engine.insight import due, open_invoices
from sync_engine.insight.reports import invoices_alike
from sync_engine.insight.reports import invoices_due as ask
from tests.conftest import _server
from tests.pages.asking import asking
from tests.pages.books import NOW, Books
from tests.pages.conftest import ANALYST, AUDITOR, LEADER, OPERATIONS, words_of

PAGE = "invoices-due"
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
WAY = (
    ("invoice_received", "received"), ("acknowledged", "acknowledged"), ("invoice_validated", "validated"), ("duplicate_excluded", "checked"), ("match_blocked", "in_review"),
    ("review_approved", "reviewed"), ("released", "released"), ("invoice_posted", "posted"), ("payment_ready", "payment_ready"),
)  # fmt: skip
PAID_TABLE = {"Due in 30 days": "due-30", "At risk": "at-risk", "Blocked": "blocked", "Discount at risk": "discount"}


class Bills(Books):
    """Books with invoices in them. It is Tuesday; suppliers are paid on Thursdays at ten in Berlin, 08:00 UTC."""

    def bill(self, number, begun, due_on, *, until="in_review", waits=HOUR, paid_on=None, unit="DE-SOUTH", supplier="S1", name="Nordwerk GmbH", amount=100.0, **canonical):  # fmt: skip
        """An invoice as far as a state; it waits in review for so long."""
        moves, at, before = [], begun, None
        for activity, state in WAY:
            moves.append((activity, before, state, at, at))
            before = state
            if state == until and paid_on is None:
                break
            at += waits if state == "in_review" else MINUTE
        if paid_on is not None:
            cleared = datetime.combine(paid_on, time(), UTC)
            moves += [("payment_cleared", before, "cleared", cleared, at), ("payment_status_returned", "cleared", "paid", at + MINUTE, at + MINUTE)]  # fmt: skip
        document_id = self.document("invoice", number, unit, moves, due_on=due_on, amount=amount, closed=paid_on is not None)  # fmt: skip
        content = {
            "invoiced_on": begun.date().isoformat(),
            "baseline_on": begun.date().isoformat(),
            "payment_term": "0030",
        } | canonical
        self.connection.execute(
            "UPDATE document SET company_code = '1010', supplier = %s, supplier_name = %s WHERE document_id = %s",
            [supplier, name, document_id],
        )
        self.payload(document_id, content, unit)
        return document_id

    def payload(self, document_id, content, unit="DE-SOUTH"):
        self.connection.execute(
            "INSERT INTO document_payload (document_id, payload_version, canonical, payload_hash, schema_version, mapping_version, author, recorded_at, business_unit) VALUES (%s, 1, %s, '', '1.0', '', 'basware', %s, %s)",
            [document_id, json.dumps(content), NOW, unit],
        )

        self.connection.execute("UPDATE document SET payload_version = 1 WHERE document_id = %s", [document_id])

    def link(self, one, other, relation):
        self.connection.execute("INSERT INTO document_link VALUES (%s, %s, %s, 'DE-SOUTH', %s)", [one, other, relation, NOW])  # fmt: skip

    def moved(self, order, kind, quantity, amount, on):
        self.connection.execute(
            "INSERT INTO order_movement VALUES (%s, 1, %s, %s, 10, %s, %s, %s, 'DE-SOUTH', %s)",
            [uuid4(), kind, order, quantity, amount, on, NOW],
        )

    def fill(self):
        self.heard_from_everybody()
        # Forty that were paid: reviewed after 5 to 200 hours; due ten days after they came, those of the long reviews paid a week late.
        for n in range(1, 41):
            begun = NOW - 40 * DAY + (n % 5) * DAY
            due_on = (begun + 10 * DAY).date()
            due_on += timedelta(days=(3 - due_on.weekday()) % 7)
            self.bill(f"P-{n:02}", begun, due_on, waits=n * 5 * HOUR, paid_on=due_on + timedelta(days=7 if n > 36 else 0), supplier=f"P{n}", amount=1000 + n)  # fmt: skip
        # Two had a discount; one of them took it.
        for number, paid_on in (("D-1", date(2026, 8, 27)), ("D-2", date(2026, 9, 3))):
            self.bill(
                number,
                NOW - 29 * DAY,
                date(2026, 9, 3),
                paid_on=paid_on,
                supplier=number,
                amount=5,
                unit="DE-NORTH",
                payment_term="0002",
            )
        self.given_up = self.document("invoice", "X-1", "DE-SOUTH", [("invoice_received", None, "received", NOW - 20 * DAY, NOW - 20 * DAY), ("abandoned", "received", "rejected", NOW - 19 * DAY, NOW - 19 * DAY)], due_on=date(2026, 9, 1), closed=True)  # fmt: skip
        self.soon = self.bill("N-1", NOW - 2 * HOUR, date(2026, 9, 17), amount=5000)
        self.overdue = self.bill("N-2", NOW - 30 * DAY, date(2026, 9, 10), amount=2000, supplier="S2")
        self.missed = self.bill("N-3", NOW - 3 * DAY, date(2026, 9, 16), amount=800, supplier="S3")
        self.ready = self.bill(
            "N-4", NOW - 9 * DAY, date(2026, 9, 17), until="payment_ready", amount=700, supplier="S4"
        )
        self.later = self.bill("N-5", NOW - HOUR, date(2026, 10, 29), until="checked", amount=300, supplier="S5")
        self.discount = self.bill("N-6", NOW - DAY, date(2026, 10, 14), until="checked", amount=10_000, supplier="S6", payment_term="2/10 NET 30")  # fmt: skip
        self.undated = self.bill("N-7", NOW - DAY, None, until="checked", amount=50, supplier="S7")
        self.north = self.bill("SECRET-8", NOW - DAY, date(2026, 10, 1), until="checked", unit="DE-NORTH", amount=999, supplier="S8", name="Secret Northern Supply")  # fmt: skip
        self.case = self.exception(self.overdue, "price_variance", category="policy", raised=NOW - 29 * DAY)
        self.first = self.bill("RE-4711", NOW - 6 * DAY, date(2026, 10, 8), until="checked", amount=1234, supplier="S9")
        self.twice = self.bill("04711", NOW - 5 * DAY, date(2026, 10, 8), until="checked", amount=1234, supplier="S9", invoiced_on=(NOW - 6 * DAY).date().isoformat())  # fmt: skip
        order = self.document("purchase_order", "4500000001", "DE-SOUTH", [("order_drafted", None, "received", NOW - 30 * DAY, NOW - 30 * DAY)], amount=1000)  # fmt: skip
        self.payload(order, {"payment_term": "0045"})
        self.link(self.soon, order, "bills")
        for kind, quantity, amount in (("ordered", 10, 1000), ("received", 8, 0), ("billed", 3, 300)):
            self.moved(order, kind, quantity, amount, date(2026, 9, 5))
        bare = self.document("purchase_order", "4500000002", "DE-SOUTH", [("order_drafted", None, "received", NOW - 30 * DAY, NOW - 30 * DAY)], amount=50)  # fmt: skip
        for kind, quantity, amount in (("ordered", 5, 50), ("received", 1, 0), ("received", 1, 0)):
            self.moved(bare, kind, quantity, amount, date(2026, 9, 10))
        billed = self.document("purchase_order", "4500000003", "DE-SOUTH", [("order_drafted", None, "received", NOW - 30 * DAY, NOW - 30 * DAY)], amount=50)  # fmt: skip
        for kind in ("ordered", "received", "billed"):
            self.moved(billed, kind, 5, 50, date(2026, 9, 10))


@pytest.fixture(scope="module")
def _bills(_servers):
    with pytest.MonkeyPatch.context() as monkeypatch:
        bills = Bills(_server(_servers, "embedded", None), monkeypatch)
        bills.fill()
        yield bills
        bills.close()


@pytest.fixture
def bills(_bills, monkeypatch):
    _bills.monkeypatch = monkeypatch
    _bills.use()
    return _bills


@pytest.fixture
def found(bills):
    with asking(bills) as reports:
        known = open_invoices.rules(reports, as_of=NOW)
        yield ask.open_ones(reports, None, known, as_of=NOW)


def by_id(found):
    return found.rows.set_index("document_id").to_dict("index")


def figure(app, label):
    return next(metric for metric in app.metric if metric.label == label)


def listed(app):
    return next((frame.value for frame in app.dataframe if "per_minute" in frame.value.columns), None)


# -- what is worked out ------------------------------------------------------------------------------------------------------------


def test_the_deadline_is_the_last_run_before_the_due_date(bills, found):
    rows = by_id(found)
    assert rows[bills.soon]["run_on"] == date(2026, 9, 17)
    assert rows[bills.soon]["cut_off_at"] == datetime(2026, 9, 17, 8, 0, tzinfo=UTC)
    assert rows[bills.missed]["run_on"] == date(2026, 9, 10), "due on Wednesday: the run of last week"
    assert rows[bills.undated]["run_on"] is None
    assert (rows[bills.soon]["days_to_due"], rows[bills.soon]["working_days_to_due"]) == (2, 2)
    assert rows[bills.overdue]["days_to_due"] == -5


def test_the_chance_is_that_of_peers_and_the_past_is_past(bills, found):
    """1 - S(a + d) / S(a): two hours less four minutes in review, 49 hours left; of 41 that stood longer ten were ready within 51 hours; by the rule of succession eleven of 43."""
    rows = by_id(found)
    paid = found.paid
    assert (paid.n, paid.in_time) == (42, 38), "all 42 were ready by their cut-off, 38 paid in time"
    assert rows[bills.soon]["peers_said"] == "42: DE-SOUTH, EUR 1,000 to 10,000"
    assert rows[bills.soon]["p_on_time"] == pytest.approx(11 / 43 * 39 / 44)
    assert rows[bills.overdue]["p_on_time"] == rows[bills.missed]["p_on_time"] == due.LEAST
    assert rows[bills.ready]["p_on_time"] == pytest.approx(due.clamped(paid.share))
    assert rows[bills.undated]["p_on_time"] is None
    assert rows[bills.undated]["late_cost"] is None


def test_the_order_is_exactly_the_formulas(bills, found):
    """D12: (expected late cost + discount at risk + supplier criticality) per minute of work."""
    rows = found.rows.to_dict("records")
    worth = [
        ((row["late_cost"] or 0) + (row["discount_at_risk"] or 0) + row["critical"]) / row["minutes"] for row in rows
    ]
    assert [row["per_minute"] for row in rows] == pytest.approx(worth)
    assert worth == sorted(worth, reverse=True)
    overdue = by_id(found)[bills.overdue]
    # Late already: from the 10th to the next run on the 17th; German rate 1.27 + 9 %, EUR 40.
    assert overdue["late_cost"] == pytest.approx(0.99 * (2000 * 0.1027 * 7 / 365 + 40))
    assert overdue["minutes"] == 12


def test_a_discount_is_at_risk_until_its_last_run(bills, found):
    row = by_id(found)[bills.discount]
    assert (row["discount_on"], row["discount"]) == (date(2026, 9, 24), 200.0), (
        "procurement's word for the term is known too"
    )
    assert (found.taken.n, found.taken.in_time) == (2, 1), "ready by the run of 27 August; one was paid in it"
    assert 100 < row["discount_at_risk"] < 200, "half of what could be taken was taken"
    assert row["annual_yield"] == pytest.approx(0.02 / 0.98 * 365 / 20)
    assert [one for one in found.rows["discount"] if one is not None] == [200.0]


def test_terms_that_differ_from_the_orders_are_named(bills, found):
    rows = by_id(found)
    assert rows[bills.soon]["terms_differ"] == "invoice 30 days, order 45 days, the invoice asks sooner"
    assert rows[bills.ready]["terms_differ"] == ""


def test_groups_are_exclusive_and_together_all(bills, found):
    groups = found.rows["group"].value_counts().to_dict()
    assert groups == {"blocked": 3, "under way": 6, "ready": 1}
    assert by_id(found)[bills.ready]["is_in_run"]
    assert by_id(found)[bills.overdue]["releases"] == "by hand"


def test_what_is_unpaid_past_its_due_date_is_late_and_what_was_given_up_is_in_no_share(bills):
    """The population is what was due in the period; an empty one is no data (trap 2)."""
    with asking(bills) as reports:
        days = ask.due_by_day(reports, None, since_on=date(2026, 8, 16), until_on=date(2026, 9, 15))
        late, good = (ask.due_rows(reports, None, since_on=date(2026, 8, 16), until_on=date(2026, 9, 15), in_time=one) for one in (False, True))  # fmt: skip
        nothing = ask.due_by_day(reports, None, since_on=date(2024, 1, 1), until_on=date(2024, 2, 1))
    assert days["due"].sum() == days[["in_time", "paid_late", "not_paid"]].sum().sum() == 43
    assert (days["in_time"].sum(), days["paid_late"].sum(), days["not_paid"].sum(), days["given_up"].sum()) == (
        38,
        4,
        1,
        1,
    )
    assert len(late) == late.iloc[0]["there"] == 5
    assert set(late["number"]) == {"N-2", "P-37", "P-38", "P-39", "P-40"}
    assert len(good) == 38
    assert (good["days_late"] == 0).all()
    assert nothing.empty


def test_what_is_received_and_not_billed_is_worth_its_order_price(bills):
    with asking(bills) as reports:
        rows = ask.not_invoiced(reports, None, as_of=NOW).set_index("number")
    assert dict(rows["group_amount"].astype(float)) == {"4500000001": 500.0, "4500000002": 20.0}
    assert dict(rows["has_invoice"]) == {"4500000001": True, "4500000002": False}
    assert dict(rows["days"]) == {"4500000001": 10, "4500000002": 5}


# -- the page -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("person", [LEADER, OPERATIONS, AUDITOR])
def test_the_page_draws_and_asks_at_most_twelve_questions(bills, person):
    app = bills.look(PAGE, person=person)
    assert not app.exception
    said = words_of(app)
    assert "will probably be paid late" in said
    assert len(app.metric) == 6
    assert int(re.search(r"(\d+) questions? to the database", said).group(1)) <= 12


def test_a_period_in_which_nothing_was_due_says_so_and_shows_what_is_open(bills):
    app = bills.look(PAGE, person=LEADER, period="custom", since="2026-01-05", until="2026-01-06")
    assert not app.exception
    said = words_of(app)
    assert "could not be drawn" not in said
    assert "nothing was due" in said
    assert len(app.metric) == 6


@pytest.mark.parametrize(("label", "show"), PAID_TABLE.items())
def test_a_figure_opens_exactly_its_rows(bills, label, show):
    app = bills.look(PAGE, person=LEADER)
    links = [
        link for link in app.page_link if f"show={show}" in str(link.proto.query_string) or f"show={show}" in str(link)
    ]
    opened = bills.look(PAGE, person=LEADER, show=show)
    rows = listed(opened)
    said = next(
        link.label for link in app.page_link if link.label == f"Show {len(rows)} invoice{'s' if len(rows) != 1 else ''}"
    )
    assert said, links
    value = sum(rows["group_amount"])
    if label != "Discount at risk":
        from pages.format import money_short

        assert figure(app, label).value == money_short(value)


@pytest.mark.parametrize("key", ["due", "risk", "on-time", "blocked", "discount", "not-invoiced"])
def test_every_figure_explains_itself(bills, key):
    """D15."""
    app = bills.look(PAGE, person=LEADER, explain=key)
    assert not app.exception
    lines = words_of(app).splitlines()
    for part in ("**Formula:**", "**Window:**", "**Clock:**", "**Population:**", "**In it:**", "**Left out:**", "**Fresh as of:**"):  # fmt: skip
        assert sum(line.startswith(part) for line in lines) == 1, part


def test_late_and_not_invoiced_open_their_own_lists(bills):
    app = bills.look(PAGE, person=LEADER)
    assert "Show 5 late" in [link.label for link in app.page_link]
    assert figure(app, "Paid on time").value == "88.4 %"
    late = bills.look(PAGE, person=LEADER, show="late")
    assert next(len(f.value) for f in late.dataframe if "days_late" in f.value.columns) == 5
    assert "Show 2 orders" in [link.label for link in app.page_link]
    orders = bills.look(PAGE, person=LEADER, show="not-invoiced")
    assert next(len(f.value) for f in orders.dataframe if "received_on" in f.value.columns) == 2


def test_marks_open_their_rows_too(bills):
    rungs = {}
    for rung in open_invoices.BUCKETS:
        rows = listed(bills.look(PAGE, person=LEADER, due=rung))
        rungs[rung] = 0 if rows is None else len(rows)
    assert rungs == {"over 30 days late": 0, "8 to 30 days late": 0, "1 to 7 days late": 1, "due in 7 days": 3, "due in 8 to 30 days": 4, "due later": 1, "no due date": 1}  # fmt: skip
    assert len(listed(bills.look(PAGE, person=LEADER, day="2026-09-17"))) == 2


MARKED = ("invoices_due.calendar", "invoices_due.waterfall", "invoices_due.matrix", "invoices_due.calibration")


def charts_of(world, monkeypatch, **query):
    """The charts whose marks open something, by key: (chart, what its marks open, the table behind it)."""
    drawn = {}
    chart = frame.chart

    def noted(figure, finding, table, *, key, **more):
        drawn[key] = (figure, more["opens"], table)
        chart(figure, finding, table, key=key, **more)

    monkeypatch.setattr(frame, "chart", noted)
    app = world.look(PAGE, person=LEADER, **query)
    assert not app.exception
    return drawn


def opened_rows(app):
    """How many rows the list that was asked for holds, and what they are worth together."""
    for shown in app.dataframe:
        if {"group_amount", "number", "trace"} <= set(
            shown.value.columns
        ) and "other_number" not in shown.value.columns:
            return len(shown.value), float(sum(shown.value["group_amount"]))
    return 0, 0.0


@pytest.mark.parametrize("key", MARKED)
def test_every_mark_of_a_chart_opens_exactly_its_rows(bills, monkeypatch, key):
    """4.0, drill contract: as many as the mark says, worth as much."""
    with monkeypatch.context() as patch:
        figure, opens, table = charts_of(bills, patch)[key]
    seen = 0
    for trace, asks in zip(figure.data, opens.asks, strict=True):
        for place, asked in enumerate(asks):
            if asked is None:
                continue
            n, worth = opened_rows(bills.look(PAGE, person=LEADER, **asked))
            if key == "invoices_due.calendar":
                assert worth == pytest.approx(trace.y[place]), asked
            elif key == "invoices_due.waterfall":
                assert (n, worth) == (table["Invoices"].iloc[place], pytest.approx(trace.y[place])), asked
            else:
                assert n == table["Invoices"].iloc[place], asked
            seen += 1
    assert seen >= 2


def test_a_supplier_narrows_figures_charts_and_lists_and_leaves_the_peers(bills):
    app = bills.look(PAGE, person=LEADER, supplier="S9")
    assert not app.exception
    assert set(listed(app)["number"]) == {"RE-4711", "04711"}
    assert figure(app, "Due in 30 days").value == "EUR 2,468"
    assert figure(app, "Received, not invoiced").value == "EUR 0"
    assert figure(app, "Paid on time").value == "no data"
    assert "may be here twice" in words_of(app)
    with asking(bills) as reports:
        known = open_invoices.rules(reports, as_of=NOW)
        alone = ask.open_ones(reports, None, known, as_of=NOW, suppliers=["S2"])
        everybody = ask.open_ones(reports, None, known, as_of=NOW)
        assert list(alone.rows["number"]) == ["N-2"]
        assert alone.there == 1
        mine = by_id(everybody)[bills.overdue]
        assert alone.rows.iloc[0]["peers_said"] == mine["peers_said"]
        assert not len(invoices_alike.candidates(reports, None, known, suppliers=["S2"]))


def test_a_supplier_of_another_unit_is_not_offered(bills):
    """Row level security: an analyst of the south does not learn who delivers to the north."""
    for person, is_offered in ((LEADER, True), (ANALYST, False)):
        offered = next(one for one in bills.look(PAGE, person=person).multiselect if one.label == "Supplier")
        assert ("Secret Northern Supply" in offered.options) is is_offered, person
    assert "does not exist here" in words_of(bills.look(PAGE, person=ANALYST, supplier="S8"))


def test_each_figure_of_the_queue_opens_its_parts(bills, found):
    """D12: each figure opens its parts."""
    said = words_of(bills.look(PAGE, person=LEADER, invoice=str(bills.overdue)))
    place = list(found.rows["document_id"]).index(bills.overdue) + 1
    assert f"place {place} of 10 open invoices" in said
    assert (
        "**Cost of being late:** 99 % x (2,000.00 EUR x 10.27 % a year x 7.0 days / 365 + 40.00 EUR) = 43.50 EUR"
        in said
    )
    assert "**Worth per minute:** 43.50 EUR / 12 minutes = 3.62 EUR." in said or "= 3.63 EUR." in said


def test_an_analyst_sees_their_unit_only(bills):
    app = bills.look(PAGE, person=ANALYST)
    assert not app.exception
    assert len(listed(app)) == 8, "what is ready waits for its run"
    assert "1 more invoice only waits for the payment run" in [link.label for link in app.page_link]
    assert len(listed(bills.look(PAGE, person=ANALYST, show="waiting"))) == 1
    assert "SECRET" not in words_of(app)
    assert "not open any more" in words_of(bills.look(PAGE, person=ANALYST, invoice=str(bills.north)))


@pytest.mark.parametrize(
    "query", [{"show": "<b>"}, {"due": "x"}, {"day": "soon"}, {"invoice": "x"}, {"reason": "x"}], ids=str
)
def test_a_wrong_address_is_said_and_draws(bills, query):
    assert not bills.look(PAGE, person=LEADER, **query).exception


def test_nothing_at_all_is_no_data(empty_world):
    app = empty_world.look(PAGE, person=LEADER)
    assert not app.exception
    assert not app.metric
    assert "No invoice is open here" in words_of(app)


def test_invoices_of_which_none_has_come_due_are_shown(server, monkeypatch):
    """0 of 0 is no data, and no failure of the page (issue 4, section 6): a company's first invoices are all due later."""
    bills = Bills(server, monkeypatch)
    try:
        bills.heard_from_everybody()
        bills.bill("N-1", NOW - DAY, date(2027, 3, 1), until="checked")
        app = bills.look(PAGE, person=LEADER)
        assert "could not be drawn" not in words_of(app)
        assert figure(app, "Paid on time").value == "no data"
    finally:
        bills.close()


def test_a_filter_is_not_taken_for_a_limit(bills, monkeypatch):
    """Trap 19: a list that holds the first of more says so, and only then."""
    assert "are open; this page works with" not in words_of(bills.look(PAGE, person=LEADER, reason="match blocked"))
    monkeypatch.setattr(open_invoices, "MOST_OPEN", 3)
    assert "10 are open; this page works with the 3 that are due first" in words_of(bills.look(PAGE, person=LEADER))


def test_a_filter_that_leaves_nothing_says_which_to_drop(bills):
    app = bills.look(PAGE, person=LEADER, unit="DE-NORTH", reason="master data", period="7d")
    assert not app.exception
    assert "No invoice is open" in words_of(app)


# -- bills that came twice ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def own_bills(server, monkeypatch):
    own = Bills(server, monkeypatch)
    own.fill()
    yield own
    own.close()


def candidates(world):
    with asking(world) as reports:
        return invoices_alike.candidates(reports, None, open_invoices.rules(reports, as_of=NOW))


def test_a_bill_that_came_twice_is_shown_before_it_is_paid(bills):
    """R082: the reference differs by how it is written; the later one is the candidate."""
    rows = candidates(bills)
    assert [(row.number, row.other_number, row.pattern, row.confidence) for row in rows.itertuples()] == [("04711", "RE-4711", "reference", 0.85)]  # fmt: skip
    said = words_of(bills.look(PAGE, person=LEADER))
    assert "1 unpaid bill worth EUR 1,234 may be here twice" in said
    assert "it takes the role finance operations" in said.lower() or "takes the role finance operations" in said


def test_a_verdict_on_the_page_is_kept_and_used(own_bills):
    """Called distinct, a pair is not asked about again, and the pattern is less sure the next time."""
    pair = f"{own_bills.twice}.{own_bills.first}"
    with own_bills.engine_at_work():
        app = own_bills.look(PAGE, person=OPERATIONS, pair=pair)
        prefix = f"invoices_due.judge.{pair}"
        app.button(key=f"{prefix}.go").click().run()
        assert "Choose a verdict and say why" in words_of(app)
        app.segmented_control(key=f"{prefix}.verdict").set_value("distinct")
        app.text_input(key=f"{prefix}.reason").set_value("two deliveries").run()
        app.button(key=f"{prefix}.go").click().run()
    assert own_bills.one("SELECT verdict || ': ' || reason FROM duplicate_verdict") == "distinct: two deliveries"
    rows = candidates(own_bills)
    assert list(rows["verdict"]) == ["distinct"]
    assert rows.iloc[0]["confidence"] == pytest.approx(0.85 * 4 / 5)
    assert "1 pair has been called distinct" in words_of(own_bills.look(PAGE, person=LEADER))
