"""What SAP is asked before anything is ordered, about suppliers, and every bad connection."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from collectors.sap_s4hana import SYSTEM, connect
from collectors.sap_s4hana_messages import MESSAGES
from sandbox.server import StandinServer
from sandbox.transport import Stopwatch
from sync_engine.model.errors import AnswerLost, BusinessRejection, ConfigurationError, MappingError, TransientError
from sync_engine.model.exceptions import KINDS
from sync_engine.model.flows import FLOWS, Role
from sync_engine.model.ports import Access, Effect, Identifier
from tests.collectors.sap_world import (
    CENTRE,
    FIRST,
    START,
    SUPPLIER,
    World,
    change_order,
    distribution,
    line,
    order,
    requisition,
    supplier,
)


@pytest.fixture
def world():
    return World()


def test_every_erp_step_of_the_flows_and_what_undoes_it_is_an_operation():
    asked = {
        name
        for flow in FLOWS.values()
        for step in flow.steps
        if step.asks is Role.ERP
        for name in (step.does, step.undone_by)
    }
    assert asked - {None} <= set(SYSTEM.operations)
    assert SYSTEM.role is Role.ERP


def test_every_create_states_how_it_is_found_again_and_every_code_is_a_known_kind():
    creates = [one for one in SYSTEM.operations.values() if one.effect is Effect.CREATE]
    assert {one.name for one in creates if one.look_up} == {"create_purchase_order", "create_supplier_invoice"}
    assert set(MESSAGES.values()) <= set(KINDS)


# Whether SAP would take a requisition


def test_a_requisition_that_sap_would_take_has_budget_and_open_cost_centres(world):
    facts = world.run("read_budget_context", requisition()).facts
    assert facts["erp_budget"] == {"verdict": "ok", "message": "", "read_at": START.isoformat()}
    assert facts["cost_centres"] == [{"cost_centre": CENTRE, "valid_from": "2020-01-01", "valid_to": "9999-12-31"}]
    assert world.sap.orders == {}


@pytest.mark.parametrize(("budget", "verdict", "code"), [("399", "exceeded", "BP/604"), ("420", "ok", "BP/603")])
def test_saps_budget_is_an_answer_and_not_a_refusal(world, budget, verdict, code):
    world.sap.set_budget(cost_centre=CENTRE, year=2026, amount=Decimal(budget))
    told = world.run("read_budget_context", requisition()).facts["erp_budget"]
    assert told["verdict"] == verdict
    assert code in told["message"]


def test_a_closed_period_is_only_noted_while_nothing_is_ordered(world):
    world.sap.close_period(company_code="1010", year=2026, month=3)
    facts = world.run("read_budget_context", requisition()).facts
    assert facts["erp_budget"]["verdict"] == "ok"
    assert facts["period_closed"] == "Posting period 003 2026 is not open"


@pytest.mark.parametrize(
    ("spoil", "code", "says"),
    [
        (
            lambda sap: sap.block_cost_centre(code=CENTRE),
            "cost_centre_blocked",
            f"Cost centre {CENTRE} is blocked in SAP",
        ),
        (
            lambda sap: sap._cost_centres.__init__("cost_centre", ("CostCenter",)),
            "cost_centre_unknown",
            "does not exist",
        ),
        (
            lambda sap: sap.block_supplier(number=SUPPLIER, kind="purchasing"),
            "supplier_blocked",
            f"Supplier {SUPPLIER} is blocked for",
        ),
        (
            lambda sap: sap.block_supplier(number=SUPPLIER, kind="deletion"),
            "supplier_blocked",
            f"Supplier {SUPPLIER} is blocked for everything, as it is marked for deletion",
        ),
        (lambda sap: sap._plants.rows.clear(), "refused", "Plant 1011 is not defined"),
    ],
    ids=["blocked", "unknown", "blocked supplier", "deleted supplier", "another reason"],
)
def test_what_sap_would_refuse_for_another_reason_is_a_refusal(world, spoil, code, says):
    spoil(world.sap)
    with pytest.raises(BusinessRejection, match=says) as caught:
        world.run("read_budget_context", requisition())
    assert caught.value.code == code


def test_a_cost_centre_is_valid_on_the_day_it_is_at_the_business_unit(world):
    world.sap.add_cost_centre(code="500", company_code="1010", valid_from=date(2020, 1, 1), valid_to=date(2026, 3, 31))
    asked = requisition([line(plant="NORTH-1", parts=[distribution("400.00", "0000000500")])])
    world.clock.now = datetime(2026, 3, 31, 21, 59, tzinfo=UTC)
    assert world.run("read_budget_context", asked).facts["cost_centres"][0]["cost_centre"] == "500"
    world.clock.forward(minutes=1)  # midnight in Berlin
    with pytest.raises(BusinessRejection, match="valid from 2020-01-01 to 2026-03-31, not on 2026-04-01"):
        world.run("read_budget_context", asked)


def test_a_lost_answer_to_a_mere_check_is_asked_again(world):
    world.sap.faults.only_writes = True
    world.sap.faults.next_replies_lost = 1
    with pytest.raises(TransientError):
        world.run("read_budget_context", requisition())


def test_a_requisition_that_was_not_enriched_cannot_be_asked_about(world):
    with pytest.raises(MappingError, match="has not been enriched"):
        world.run("read_budget_context", requisition(enrichment=None))


# Connections


@pytest.mark.parametrize("retry_after", [None, 17.0])
def test_a_busy_sap_is_asked_again_when_it_says(world, retry_after):
    world.sap.faults.retry_after_s = retry_after
    world.sap.faults.next_throttled = 1
    with pytest.raises(TransientError) as caught:
        world.ordered()
    assert (caught.value.code, caught.value.retry_after_s) == ("rate_limited", retry_after)


@pytest.mark.parametrize(
    ("status", "kind"), [(503, TransientError), (500, AnswerLost), (502, AnswerLost), (504, AnswerLost)]
)
def test_a_broken_answer_to_a_create_is_only_repeated_where_nothing_can_have_happened(world, status, kind):
    world.run("read_supplier", supplier())  # a token is there
    world.ordered()  # and a CSRF token
    world.sap.faults.error_status = status
    world.sap.faults.next_errors = 1
    with pytest.raises(kind):
        world.run("create_purchase_order", order(), key="other")


def test_an_outage_is_certainly_not_done(world):
    world.sap.faults.outage = True
    with pytest.raises(TransientError):
        world.ordered()


def test_tokens_and_sessions_that_expired_are_renewed_by_the_way(world):
    world.ordered()
    world.clock.forward(hours=2)
    world.change(change_order([line(quantity="12")]))
    world.sap.end_sessions()
    world.change(change_order([line(quantity="13")]))
    assert world.sap.orders[FIRST]["_items"][0]["OrderQuantity"] == "13"


@pytest.mark.parametrize("zone", ["Europe/Nowhere", "../etc"])
def test_a_time_zone_that_is_none_is_refused_before_anything_is_asked(world, zone):
    with pytest.raises(ConfigurationError, match="is not a time zone"):
        world.connect(time_zone=zone)


def test_wrong_credentials_are_our_side(world):
    world.session = world.connect(secret="guess")
    with pytest.raises(ConfigurationError, match="refuses our credentials"):
        world.ordered()


def test_a_logon_page_is_our_side(world):
    world.sap.next_logon_pages = 1
    with pytest.raises(ConfigurationError, match="logon page"):
        world.run("read_supplier", supplier())


def test_over_a_loopback_port_it_is_the_same():
    world = World()
    server = StandinServer(world.sap).start()
    access = Access(server.url, credentials=lambda: ("finsync", "sandbox"), options={"sap_client": "100"})
    world.session = connect(access, timer=Stopwatch())
    try:
        assert world.ordered().facts["erp_order_number"] == FIRST
        world.change(change_order([line(1, "12"), line(2, "1")]))
        assert world.run("read_commitment", order(), purchase_order=FIRST).facts["commitment"] == "520.00"
        page = SYSTEM.feed("postings").read(world.session, {}, world.clock.now)
        assert page.records == ()
    finally:
        world.session.close()
        server.stop()


# Suppliers


def test_a_supplier_without_blocks_is_ready_to_buy_from(world):
    answer = world.run("read_supplier", supplier())
    assert (answer.facts, answer.wait_s) == ({"supplier_blocks": []}, None)
    assert answer.identifiers == (Identifier("s4hana", "supplier", SUPPLIER),)


def test_a_supplier_without_a_number_waits_for_one(world):
    answer = world.run("read_supplier", supplier(erp_number=""))
    assert (answer.wait_s, answer.waiting_for) == (86_400, "an ERP number")


def test_a_blocked_supplier_waits_and_says_for_what(world):
    world.sap.block_supplier(number=SUPPLIER, kind="purchasing")
    world.sap.block_supplier(number=SUPPLIER, kind="payment")
    answer = world.run("read_supplier", supplier())
    assert (answer.wait_s, answer.facts["supplier_blocks"]) == (14_400, ["purchasing", "payment"])
    assert answer.waiting_for == "the block on purchasing, payment to be lifted"


def test_blocks_in_a_company_or_an_organization_count_too(world):
    row = world.sap._suppliers.rows[SUPPLIER]
    row["_companies"][0]["PaymentBlockingReason"] = "A"
    row["_organizations"][0]["PurchasingIsBlockedForSupplier"] = True
    row["SupplierProcurementBlock"] = "01"
    told = world.run("read_supplier", supplier()).facts["supplier_blocks"]
    assert told == ["procurement", "payment in company 1010", "purchasing by purchasing organization 1010"]
    told = world.run("read_supplier", supplier(company_code="1110")).facts["supplier_blocks"]
    assert told == ["procurement", "purchasing by purchasing organization 1010"]


def test_a_supplier_sap_does_not_know_is_an_exception(world):
    with pytest.raises(BusinessRejection, match="does not exist in SAP") as caught:
        world.run("read_supplier", supplier(erp_number="999"))
    assert caught.value.code == "supplier_unknown"


def test_every_call_is_recorded_with_what_was_sent(world):
    with world.session.tracing("0" * 31 + "1") as calls:
        world.ordered()
    assert [call.method for call in calls] == ["GET", "POST"]
    assert json.loads(calls[1].sent)["Supplier"] == SUPPLIER
