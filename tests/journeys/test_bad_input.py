"""What cannot be right is stopped where it comes in, named, and shown; everything else goes on (F7, F14, F15, P2, R127).

One world takes in a morning's worth of bad records at once, over the real wire formats, among good ones; each test looks at
one of them. Then the sources repair what they sent, and every document goes its way by itself.
"""

import copy
import json
import resource
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from psycopg import sql as compose
from structlog.testing import capture_logs

from sync_engine.control.roles import Role
from sync_engine.engine import store
from sync_engine.engine.clock import VirtualClock
from sync_engine.engine.understanding import MESSAGE_BYTES_MAX
from sync_engine.insight.reconcile import reconcile
from sync_engine.model.exceptions import kind_of
from tests.conftest import _server, new_cell
from tests.house import TUESDAY, House

Row = dict[str, Any]


@dataclass(frozen=True)
class Bad:
    """One thing wrong with a record, and what people are to be told of it."""

    spoil: Callable[[Row], Any]
    code: str
    says: tuple[str, ...]


def line(row: Row) -> Row:
    return row["requisition-lines"][0]


# fmt: off
REQUISITIONS = {
    "an amount that is a word":          Bad(lambda r: r.update(total="two hundred"),                  "field_invalid",      ("total", "two hundred")),
    "an amount that is not a number":    Bad(lambda r: r.update(total="NaN"),                          "field_invalid",      ("total", "NaN")),
    "a negative amount":                 Bad(lambda r: (r.update(total="-200.00"), line(r).update(total="-200.00", quantity="-10")), "field_invalid", ("-200.00",)),
    "more money than there is":          Bad(lambda r: r.update(total="1e15"),                         "field_invalid",      ("total", "1e15")),
    "figures whose product is endless":  Bad(lambda r: line(r).update({"quantity": "9999999999999", "unit-price": "9999999999999"}), "lines_do_not_sum", ("9999999999999",)),
    "a cent too much":                   Bad(lambda r: r.update(total="200.01"),                       "lines_do_not_sum",   ("200.00", "200.01")),
    "a line that is not price by piece": Bad(lambda r: line(r).update({"unit-price": "19.00"}),        "lines_do_not_sum",   ("19.00", "200.00")),
    "half a cent":                       Bad(lambda r: (r.update(total="200.005"), line(r).update({"total": "200.005", "unit-price": "20.0005"})), "field_invalid", ("200.005", "EUR")),
    "a currency nobody knows":           Bad(lambda r: _currency(r, "ZZZ"),                            "currency_unknown",   ("currency", "ZZZ")),
    "a currency without a rate":         Bad(lambda r: _currency(r, "CHF"),                            "currency_unknown",   ("CHF", "rate")),
    "no account":                        Bad(lambda r: line(r).update(account=None),                   "cost_centre_missing", ("line 1", "cost centre")),
    "no cost centre":                    Bad(lambda r: line(r)["account"].update({"segment-2": None}), "cost_centre_missing", ("cost centre",)),
    "no lines":                          Bad(lambda r: r.update({"requisition-lines": []}),            "field_invalid",      ("line",)),
    "a word instead of lines":           Bad(lambda r: r.update({"requisition-lines": "none"}),        "contract_change",    ("requisition-lines", "none")),
    "lines that are no records":         Bad(lambda r: r.update({"requisition-lines": [1, None]}),     "contract_change",    ("requisition-lines",)),
    "the same line number twice":        Bad(lambda r: (r["requisition-lines"].append(copy.deepcopy(line(r))), r.update(total="400.00")), "field_invalid", ("line numbers repeat",)),
    "a line number beyond counting":     Bad(lambda r: line(r).update({"line-num": 2**40}),            "field_invalid",      ("number", str(2**40))),
    "a day in 1948":                     Bad(lambda r: r.update({"need-by-date": "1948-06-20T00:00:00-07:00"}), "field_invalid", ("need", "1948-06-20")),
    "submitted in 1948":                 Bad(lambda r: r.update({"submitted-at": "1948-06-20T00:00:00-07:00"}), "field_invalid", ("submitted", "1948-06-20")),
    "a moment that is a word":           Bad(lambda r: r.update({"submitted-at": "yesterday"}),        "field_invalid",      ("submitted-at", "yesterday")),
    "a status word nobody knows":        Bad(lambda r: r.update(status="on_the_moon"),                 "status_unmapped",    ("status", "on_the_moon")),
    "a status that is a number":         Bad(lambda r: r.update(status=7),                             "contract_change",    ("status", "7")),
    "no requester":                      Bad(lambda r: r.pop("requested-by"),                          "contract_change",    ("requested-by",)),
    "a requester that is a word":        Bad(lambda r: r.update({"requested-by": "me"}),               "contract_change",    ("requested-by", "me")),
    "no currency":                       Bad(lambda r: r.pop("currency"),                              "contract_change",    ("currency",)),
    "a department nobody knows":         Bad(lambda r: r["department"].update(name="Moon Plant"),      "value_unmapped",     ("Moon Plant", "departments")),
    "a NUL in the title":                Bad(lambda r: r.update({"req-title": "Bea\x00rings"}),        "field_invalid",      ("title", "NUL")),
    "half a character in the title":     Bad(lambda r: r.update({"req-title": "Bea\ud800rings"}),      "field_invalid",      ("UTF-8",)),
    "a body of two megabytes":           Bad(lambda r: r.update(justification="x" * 2_000_000),        "contract_change",    ("bytes long", "1,048,576")),
}
INVOICES = {
    "net and tax that are not gross":    Bad(lambda r: r.update(grossSum=240.0),                       "lines_do_not_sum",   ("200", "38", "240")),
    "lines that are not net":            Bad(lambda r: r.update(netSum=190.0, grossSum=228.0),         "lines_do_not_sum",   ("200", "190")),
    "an unknown currency":               Bad(lambda r: r.update(currencyCode="EURO"),                  "currency_unknown",   ("EURO",)),
    "an invoice of 1948":                Bad(lambda r: r.update(invoiceDate="1948-06-20T00:00:00Z"),   "field_invalid",      ("1948-06-20",)),
    "a date that is a word":             Bad(lambda r: r.update(dueDate="soon"),                       "field_invalid",      ("dueDate", "soon")),
    "no supplier":                       Bad(lambda r: r.pop("supplierCode"),                          "contract_change",    ("supplierCode",)),
    "an amount that is a list":          Bad(lambda r: r.update(grossSum=[1]),                         "contract_change",    ("grossSum",)),
    "a NUL in the number":               Bad(lambda r: r.update(invoiceNumber="RE\x00-1"),             "field_invalid",      ("NUL",)),
}
KEPT_AS_THEY_ARE = [
    '=HYPERLINK("http://evil.test","x")', "+49 30 1234", "-2+3", "@SUM(A1)", "<script>alert(1)</script>", "<img src=x onerror=y>",
    "![x](http://evil.test/p.png)", "'; DROP TABLE document; --", "{{7*7}} ${x} %s %(now)s :now", "Zoë 漢字 \u202eevil 🙂", 'a "quoted" \\ back\\slash',
]
# fmt: on


def _currency(row: Row, code: str) -> None:
    row["currency"]["code"] = code
    line(row)["currency"]["code"] = code


@dataclass
class Morning:
    """What came of everything: numbers by what was wrong, and the world to look at."""

    house: House
    number: dict[str, str]
    lost: list[tuple[str, int]]
    """Messages lost, by the time it was looked."""
    seen: dict[str, tuple[Any, ...]]
    """(code, message, facts, next step, owner, message id, business unit, status) by what was wrong, before the repair."""
    states: dict[str, str]
    """The state of every requisition and invoice after the repair, by its id in its system."""


def store_again(house: House, row: Row) -> None:
    house.coupa._changed(house.coupa._requisitions, row)


def lost(house: House) -> int:
    return store.rows(house.connection, "reconcile.unsettled_messages")[0]["lost"]


@pytest.fixture(scope="module")
def morning(_servers):
    database = new_cell(_server(_servers, "embedded", None))
    with database.connected("finsync_engine") as connection:
        house = House(VirtualClock(TUESDAY), connection, database)
        _, order = house.order_one()
        number, right, looked = {}, {}, []
        for place, (name, bad) in enumerate(REQUISITIONS.items()):
            requisition = house.submit(house.line(description=f"Bearing {7000 + place}"), title=f"good {place}")
            if place == len(REQUISITIONS) // 2:
                number["good one among them"] = str(house.submit(house.line(description="Gasket"), title="Gaskets"))
            row = house.coupa.requisition(requisition)
            right[name] = copy.deepcopy(house.coupa._requisitions.rows[str(requisition)])
            row = copy.deepcopy(right[name])
            bad.spoil(row)
            store_again(house, row)
            number[name] = str(requisition)
        bills = {}
        for place, (name, bad) in enumerate(INVOICES.items()):
            invoice = house.invoice(order, reference=f"RE-{5000 + 17 * place}")
            row = house.basware.invoices.rows[invoice]
            bills[invoice] = copy.deepcopy(row)
            house.clock.advance(1)
            bad.spoil(row)
            house.basware.save(row)
            number[name] = invoice
        for place, text in enumerate(KEPT_AS_THEY_ARE):
            number[text] = str(house.submit(house.line(description=text, unit_price=f"{30 + place}.00"), title=text))
        house.run(minutes=15)
        looked.append(("as it came", lost(house)))
        seen = dict(_cases_by_what_was_wrong(house, number))
        for row in right.values():
            store_again(house, row)
        for invoice, row in bills.items():
            house.basware.invoices.rows[invoice] = row
            house.basware.save(row)
        house.run(minutes=20)
        looked.append(("as it was repaired", lost(house)))
        named = "SELECT external_id, state FROM document JOIN document_identifier USING (document_id) WHERE (system, kind) IN (('coupa', 'requisition'), ('basware', 'invoice'))"
        states = dict(house.connection.execute(named).fetchall())
        yield Morning(house, number, looked, seen, states)


def _cases_by_what_was_wrong(house, number):
    names = {external: name for name, external in number.items()}
    rows = house.connection.execute(
        """SELECT m.external_id, c.code, c.message, c.facts, c.owner_team, c.message_id, c.business_unit, c.status
             FROM exception_case c JOIN inbound_message m USING (message_id) WHERE c.closed_at IS NULL"""
    )
    for external, code, message, facts, owner, message_id, unit, status in rows:
        yield names[external], (code, message, facts, kind_of(code).next_step, owner, message_id, unit, status)


every_bad_one = pytest.mark.parametrize(
    ("name", "bad"), [*REQUISITIONS.items(), *INVOICES.items()], ids=[*REQUISITIONS, *INVOICES]
)


@every_bad_one
def test_it_is_stopped_with_the_kind_the_field_the_value_and_the_next_step(morning, name, bad):
    assert name in morning.seen, "there is a case for it"
    code, message, facts, next_step, owner, message_id, _, status = morning.seen[name]
    assert (code, status) == (bad.code, "open")
    for words in bad.says:
        assert words in message + str(facts)
    assert facts.keys() & {"field", "table", "currency"}, "where to look is a fact of its own"
    assert next_step.endswith(".")
    assert owner == kind_of(code).owner_team
    assert len(message) < 1000
    parked = morning.house.connection.execute(
        "SELECT outcome, reason <> '' FROM inbound_disposition WHERE message_id = %s", [message_id]
    ).fetchall()
    assert ("parked", True) in parked


@every_bad_one
def test_what_was_said_is_kept_to_the_byte(morning, name, bad):
    message_id = morning.seen[name][5]
    body = morning.house.connection.execute(
        "SELECT body FROM inbound_message WHERE message_id = %s AND body_hash = sha256(body)", [message_id]
    ).fetchone()
    assert json.loads(body[0])


@every_bad_one
def test_once_the_source_has_repaired_it_the_document_goes_its_way_by_itself(morning, name, bad):
    number = morning.number[name]
    assert morning.states[number] != "received", "it has moved on"
    query = "SELECT close_reason, closed_by FROM exception_case c JOIN inbound_message m USING (message_id) WHERE m.external_id = %s"
    closed = morning.house.connection.execute(query, [number]).fetchall()
    assert {reason for reason, _ in closed} == {"fixed"}


def test_nothing_is_stopped_that_is_not_bad(morning):
    assert set(morning.seen) == {*REQUISITIONS, *INVOICES}


def test_the_good_ones_among_them_went_on_at_once(morning):
    assert morning.states[morning.number["good one among them"]] == "awaiting_approval"


def test_nothing_is_lost_at_any_time(morning):
    assert morning.lost == [("as it came", 0), ("as it was repaired", 0)]


def test_nothing_is_parked_without_a_reason(morning):
    assert store.rows(morning.house.connection, "reconcile.parked_without_reason") == [{"?column?": 0}]


def test_nobody_planned_for_is_not_among_the_reasons(morning):
    dumps = morning.house.connection.execute(
        "SELECT message, facts->>'dump' FROM exception_case WHERE code = 'unexpected'"
    ).fetchall()
    assert dumps == []


def test_a_unit_that_can_be_told_is_told_so_that_its_people_see_it(morning):
    units = {name: row[6] for name, row in morning.seen.items() if name in REQUISITIONS}
    assert {name for name, unit in units.items() if unit != "DE-SOUTH"} == {"a department nobody knows"}


@pytest.mark.parametrize("text", KEPT_AS_THEY_ARE)
def test_markup_and_formulas_in_a_name_are_data_and_stay_as_they_are(morning, text):
    query = "SELECT title, canonical->'lines'->0->>'description' FROM document JOIN document_payload USING (document_id, payload_version) WHERE number = %s"
    assert morning.house.connection.execute(query, [morning.number[text]]).fetchone() == (text, text)
    assert morning.states[morning.number[text]] == "awaiting_approval"


def test_the_books_agree_when_everything_is_repaired(morning):
    sessions = {name: lane.session for name, lane in morning.house.engine.lanes.items()}
    result = reconcile(morning.house.connection, morning.house.engine.setup, sessions)
    assert (result.events_lost, [one.sentence for one in result.differences]) == (0, [])


# -- what cannot even be named ---------------------------------------------------------------------------------------------


def told_otherwise(house, change):
    """From now on the requisitions called SPOILED are told changed on the wire; answers how to stop it."""
    real = house.transport.handle_request

    def handle(request):
        answer = real(request)
        if "/api/requisitions" not in str(request.url):
            return answer
        rows = json.loads(answer.read())
        for row in rows:
            if row.get("req-title") == "SPOILED":
                change(row)
        return httpx2.Response(answer.status_code, content=json.dumps(rows).encode())

    house.transport.handle_request = handle
    return lambda: setattr(house.transport, "handle_request", real)


def spoiled(house, spoil, **how):
    """A requisition that is spoiled in its system already; answers its id and what it was."""
    requisition = house.submit(**how)
    right = copy.deepcopy(house.coupa._requisitions.rows[str(requisition)])
    row = copy.deepcopy(right)
    spoil(row)
    house.coupa._requisitions.put(str(requisition), row, house.clock.now())
    return str(requisition), right


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda row: row.update(id=None), id="no id"),
        pytest.param(lambda row: row.update(id=["1"]), id="a list as id"),
        pytest.param(lambda row: row.update({"id": "20\x0001"}), id="a NUL in the id"),
        pytest.param(lambda row: row.update({"id": "20\ud80001"}), id="half a character in the id"),
    ],
)
def test_a_record_that_cannot_be_named_is_shown_all_the_same_and_the_feed_goes_on(house, spoil):
    told_otherwise(house, spoil)
    house.submit(title="SPOILED")
    good = house.submit(house.line(description="Gasket"))
    house.run(minutes=10)
    assert (str(good), "awaiting_approval", "pending", "not_submitted") in house.documents("requisition")
    assert len(house.cases()) == 1
    assert lost(house) == 0
    [state] = house.connection.execute(
        "SELECT consecutive_failures FROM feed_state WHERE feed = 'requisitions'"
    ).fetchall()
    assert state == (0,)


@pytest.mark.parametrize("changed_at", ["yesterday", "20\x0026", None, 5, "1948-06-20T00:00:00-07:00"])
def test_a_time_of_change_nobody_can_read_stops_neither_the_document_nor_the_feed(house, changed_at):
    told_otherwise(house, lambda row: row.update({"updated-at": changed_at}))
    house.submit(title="SPOILED")
    house.submit(house.line(description="Gasket"))
    house.run(minutes=10)
    assert [d[1] for d in house.documents("requisition")] == ["awaiting_approval"] * 2
    assert lost(house) == 0


@pytest.mark.parametrize("word", ["Beam\x00", "x" * 2000])
def test_a_record_that_does_not_concern_us_is_left_alone_whatever_it_calls_itself(house, word):
    """Seed 30148 (I15, F15): why it was ignored could not be written down, and it was parked as something nobody had planned for."""
    real = house.transport.handle_request

    def handle(request):
        answer = real(request)
        if request.url.path != "/api/approvals":
            return answer
        rows = [{**row, "approvable-type": word} for row in json.loads(answer.read())]
        return httpx2.Response(answer.status_code, content=json.dumps(rows).encode())

    house.transport.handle_request = handle
    requisition = house.submit()
    house.run(minutes=10)
    house.approve_in_coupa(requisition)
    house.run(minutes=10)
    told = "SELECT DISTINCT outcome FROM inbound_disposition JOIN inbound_message USING (message_id) WHERE kind = 'approval'"
    assert house.connection.execute(told).fetchall() == [("ignored",)]
    assert house.cases() == []
    assert lost(house) == 0


def invoices_told_otherwise(house, **changes):
    """From now on the invoice called SPOILED is told changed on the wire, wherever in an answer it stands."""
    real = house.transport.handle_request

    def spoil(said):
        if isinstance(said, dict) and said.get("invoiceNumber") == "SPOILED":
            said.update(changes)
        for inner in said.values() if isinstance(said, dict) else said if isinstance(said, list) else ():
            spoil(inner)
        return said

    def handle(request):
        answer = real(request)
        if request.method != "GET" or b"SPOILED" not in answer.read():
            return answer
        return httpx2.Response(answer.status_code, content=json.dumps(spoil(json.loads(answer.read()))).encode())

    house.transport.handle_request = handle


@pytest.fixture
def goods(house):
    """Twenty pieces that have been received, and may be billed."""
    _, order = house.order_one(house.line(quantity="20"))
    house.receive(order, "20")
    house.run(hours=1)
    return order


@pytest.mark.parametrize("word", ["OnTheMoon", "Waiting\x00", "Half\ud800", None, 5, ["x"]])
def test_a_status_word_that_is_no_word_parks_the_invoice_and_not_the_feed(house, goods, word):
    invoices_told_otherwise(house, processingStatus=word)
    house.invoice(goods, reference="SPOILED")
    house.invoice(goods, reference="RE-2")
    house.run(hours=1)
    assert [case[0] for case in house.cases()] in (["status_unmapped"], ["contract_change"], ["field_invalid"])
    assert ("RE-2", "payment_ready") in [d[:2] for d in house.documents("invoice")]
    assert lost(house) == 0


def test_what_nobody_planned_for_is_parked_with_its_dump_and_holds_up_nobody(house, database):
    """I15: a row the database refuses, whyever, stops its own message only; it goes on when the cause is gone."""
    table = compose.SQL("ALTER TABLE {}").format(compose.Identifier(database.cell, "document"))
    with database.connect_owner() as owner:
        owner.execute(table + compose.SQL(" ADD CONSTRAINT surprise CHECK (title <> 'SPOILED')"))
    before = house.submit(title="before")
    spoilt = house.submit(house.line(description="Gasket"), title="SPOILED")
    after = house.submit(house.line(description="Bolt"), title="after")
    with capture_logs() as told:
        house.run(minutes=10)
    assert [entry["event"] for entry in told if entry["log_level"] == "error"] == ["a message cannot be recorded"]
    assert {d[0]: d[1] for d in house.documents("requisition")} == {
        str(before): "awaiting_approval",
        str(after): "awaiting_approval",
    }
    [(code, facts)] = house.connection.execute("SELECT code, facts FROM exception_case").fetchall()
    assert code == "unexpected"
    assert "surprise" in facts["dump"]
    assert lost(house) == 0
    with database.connect_owner() as owner:
        owner.execute(table + compose.SQL(" DROP CONSTRAINT surprise"))
    house.reprocess(house.put_person("support.1", Role.INTEGRATION_SUPPORT))
    assert house.redrive_results()[-1][0] == "verified"
    assert (str(spoilt), "awaiting_approval") in [d[:2] for d in house.documents("requisition")]
    assert house.cases() == []


def test_one_name_for_two_kinds_of_document_is_stopped(house):
    """Two mappings disagree, and nothing is guessed."""
    house.run(minutes=10)
    requisition = house.submit()
    house.connection.execute(
        "UPDATE document_identifier SET external_id = %s, kind = 'requisition' WHERE kind = 'supplier' AND external_id = %s",
        [str(requisition), str(house.supplier_ids["10300002"])],
    )
    house.run(minutes=10)
    [(code, _, _, message)] = house.cases()
    assert code == "contract_change"
    assert f"coupa requisition {requisition} is said to be a requisition; here it is the supplier" in message


def mangled(house, before, after):
    """From now on the wire replaces some bytes of the requisitions it carries; answers how it was."""
    real = house.transport.handle_request

    def handle(request):
        answer = real(request)
        if "/api/requisitions" not in str(request.url):
            return answer
        return httpx2.Response(answer.status_code, content=answer.read().replace(before, after))

    house.transport.handle_request = handle
    return real


def test_bytes_that_are_no_utf_8_stop_one_record_and_not_the_page(house):
    bad = house.submit(title="MANGLED")
    good = house.submit(house.line(description="Gasket"), title="Gaskets")
    real = mangled(house, b"MANGLED", b"Man\xfc\xff")
    house.run(minutes=10)
    [(code, message)] = [case[::3] for case in house.cases() if case[1] == str(bad)]
    assert code == "field_invalid"
    assert "UTF-8" in message
    assert [d[:2] for d in house.documents("requisition")] == [(str(bad), "received"), (str(good), "awaiting_approval")]
    house.transport.handle_request = real
    house.coupa._changed(house.coupa._requisitions, house.coupa._requisitions.rows[str(bad)])
    house.run(minutes=10)
    assert house.cases() == []
    assert house.documents("requisition")[0][:2] == (str(bad), "awaiting_approval")


@pytest.mark.parametrize(
    "garbage", [b"<html>502 Bad Gateway</html>", b"", b"[", b'"just a word"', b"null", b"\xff\xfe\x00"]
)
def test_a_page_that_cannot_be_read_leaves_the_cursor_and_the_next_try_reads_it(house, garbage):
    house.run(minutes=5)
    requisition = house.submit()
    real = house.transport.handle_request

    def handle(request):
        answer = real(request)
        return httpx2.Response(200, content=garbage) if "/api/requisitions" in str(request.url) else answer

    house.transport.handle_request = handle
    house.run(minutes=5)
    assert house.documents("requisition") == []
    failures, error = house.connection.execute(
        "SELECT consecutive_failures, last_error FROM feed_state WHERE feed = 'requisitions'"
    ).fetchone()
    assert failures > 0
    assert error
    house.transport.handle_request = real
    house.run(minutes=30)
    assert house.documents("requisition")[0][:2] == (str(requisition), "awaiting_approval")
    assert lost(house) == 0


# -- too much --------------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_body_of_fifty_megabytes_is_parked_and_costs_little_memory(house):
    """F7. The stand-in, the wire and the engine share this process: a dozen copies are theirs together, not one per poll."""
    house.run(minutes=5)
    big, right = spoiled(house, lambda row: row.update(justification="x" * 50_000_000))
    good = house.submit(house.line(description="Gasket"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    house.run(minutes=2)
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown_mb < 12 * 50
    [(code, number, _, message)] = house.cases()
    assert (code, number) == ("contract_change", big)
    assert "50,0" in message
    assert "up to 1,048,576 are understood" in message
    assert house.documents("requisition")[-1][:2] == (str(good), "awaiting_approval")
    assert lost(house) == 0
    house.coupa._changed(house.coupa._requisitions, right)
    house.run(minutes=5)
    assert house.cases() == []


def test_a_message_just_below_the_limit_is_understood(house):
    requisition, _ = spoiled(
        house, lambda row: row.update(justification="", **{"cf-note": "x" * (MESSAGE_BYTES_MAX - 10_000)})
    )
    house.run(minutes=10)
    assert house.documents("requisition")[0][:2] == (requisition, "awaiting_approval")


# -- people ----------------------------------------------------------------------------------------------------------------


def test_a_parked_message_is_looked_at_again_when_somebody_asks_and_says_what_it_came_to(house):
    """R101: first the cause is still there, then the table has been repaired."""
    house.submit(department="Moon Plant")
    house.run(minutes=10)
    support = house.put_person("support.1", Role.INTEGRATION_SUPPORT)
    assert [case[0] for case in house.cases()] == ["value_unmapped"]
    assert house.reprocess(support).status == "done"
    assert house.redrive_results()[-1][0] == "refused"
    assert len(house.cases()) == 1
    house.engine.setup.mappings.tables["departments"].entries["Moon Plant"] = "DE-SOUTH"
    house.reprocess(support)
    assert house.redrive_results()[-1][0] == "verified"
    assert house.cases() == []
    assert house.documents("requisition")[0][1] == "awaiting_approval"
    assert house.connection.execute("SELECT count(*) FROM redrive WHERE finished_at IS NULL").fetchone() == (0,)


def test_the_same_bad_record_told_again_and_again_is_one_case(house):
    requisition, _ = spoiled(house, lambda row: row.update(total="two hundred"))
    for _ in range(3):
        house.run(minutes=5)
        house.clock.advance(61)
        house.coupa._changed(house.coupa._requisitions, house.coupa._requisitions.rows[requisition])
    house.run(minutes=5)
    assert {case[1] for case in house.cases()} == {requisition}
    assert len(house.cases()) <= 4, "each version it was told in has its own evidence"
    tasks = house.servicenow.tables["incident"].rows
    assert len(tasks) <= 4


def test_a_change_of_the_contract_upstream_is_one_cause_and_not_a_thousand(house):
    """F14, D05: the same field gone from every record groups as one."""
    house.run(minutes=5)
    house.coupa.faults.schema_drift = "removed"
    for place in range(5):
        house.submit(house.line(description=f"Bearing {place}"))
    house.clock.advance(60)
    house.run(minutes=10)
    prints = house.connection.execute(
        "SELECT fingerprint, count(*) FROM exception_case WHERE document_type = 'requisition' GROUP BY 1"
    ).fetchall()
    assert len(prints) == 1
    assert prints[0][1] == 5
    house.coupa.faults.schema_drift = ""


def test_time_has_not_been_needed_to_repair_anything(house):
    """The world's clock moves only as far as the test lets it: what waits in vain would show."""
    before = house.clock.now()
    house.submit()
    house.run(minutes=10)
    assert house.clock.now() - before <= timedelta(minutes=11)
