"""What people do, so that every step of every flow comes up: a journey is a table of acts, each with the time that then
passes. Nothing here knows of steps, engines or faults; which step comes up where is found out by watching."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from sync_engine.control import commands
from sync_engine.control.roles import Action, Role
from tests.house import House

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@dataclass(frozen=True)
class Act:
    """What people do, and how long they then leave the systems to themselves."""

    do: Callable[[House], object]
    passes: timedelta


@dataclass(frozen=True)
class Journey:
    """Acts in their order, beginning where another journey ends."""

    name: str
    acts: tuple[Act, ...]
    after: str = ""


def nothing(_house: House) -> None:
    """Everybody waits."""


def ask_for_much(house: House) -> None:
    """More than anybody may spend without being asked."""
    house.submit(house.line(quantity="600"))


def ask_for_more(house: House) -> None:
    """Another wish than the one that people have been asked about."""
    lines = [house.line(quantity="900")]
    house.coupa.edit_requisition(requisition_id=requisition_of(house), by="planner.de-south", lines=lines)


def requisition_of(house: House) -> int:
    return max(int(key) for key in house.coupa._requisitions.rows)


def everybody_agrees(house: House) -> None:
    house.approve_in_coupa(requisition_of(house))
    house.decide_in_servicenow("fin.1")
    house.decide_in_servicenow("proc.1")


def procurement_refuses(house: House) -> None:
    house.approve_in_coupa(requisition_of(house))
    house.decide_in_servicenow("proc.1", "rejected", "buy from the frame contract")


def order_of(house: House) -> str:
    return house.live_orders()[0]


def revise(house: House) -> None:
    house.coupa.revise_order(order_id=house.order_in_coupa(), by="planner.de-south", changes={1: {"quantity": "900"}})


def withdraw(house: House) -> None:
    """What has been ordered already is not wanted any more."""
    with house.coupa.lock:
        row = house.coupa._requisitions.rows[str(requisition_of(house))]
        house.coupa._set_status(row, "withdrawn", "planner.de-south")


def both_groups_agree(house: House) -> None:
    house.decide_in_servicenow("fin.1")
    house.decide_in_servicenow("proc.1")


def dear_invoice(house: House) -> None:
    """Beyond the tolerance of both the policy and the ERP."""
    house.invoice(order_of(house), quantity="600", price="26.00")


def release_in_erp(house: House) -> None:
    [key] = house.s4hana.invoices
    number, _, year = key.partition("/")
    house.s4hana.release_invoice(number=number, year=year or "2026", by="AP1")


def pay(house: House) -> None:
    house.s4hana.run_payment(company_code="1010", on=house.clock.now().date() + timedelta(days=31))


def block_cost_centre(house: House) -> None:
    house.s4hana.block_cost_centre(code="4711")
    everybody_agrees(house)


def repair_and_reprocess(house: House) -> None:
    """The master data is put right, and somebody asks for everything open to be tried again."""
    house.s4hana.unblock_cost_centre(code="4711")
    session = house.put_person("support.1", Role.INTEGRATION_SUPPORT)
    found = house.connection.execute("SELECT case_id, version FROM exception_case WHERE closed_at IS NULL").fetchall()
    app = house.database.engine("finsync_app", pool_size=1)
    commands.ask(
        app,
        session.token,
        session.person,
        command_id=uuid4(),
        action=Action.REPROCESS,
        arguments={"cases": [{"case_id": str(case_id), "version": version} for case_id, version in found]},
        now=house.clock.now(),
        reason="the cost centre is open again",
    )
    app.dispose()


# fmt: off
JOURNEYS = {journey.name: journey for journey in (
    Journey("suppliers", (Act(nothing, 10 * MINUTE),)),
    Journey("order", (
        Act(ask_for_much,         10 * MINUTE),
        Act(everybody_agrees,     30 * MINUTE),
    ), after="suppliers"),
    Journey("changed requisition", (
        Act(ask_for_much,         10 * MINUTE),
        Act(ask_for_more,         20 * MINUTE),
        Act(everybody_agrees,     30 * MINUTE),
    ), after="suppliers"),
    Journey("refused requisition", (
        Act(ask_for_much,         10 * MINUTE),
        Act(procurement_refuses,  20 * MINUTE),
    ), after="suppliers"),
    Journey("exception", (
        Act(ask_for_much,         10 * MINUTE),
        Act(block_cost_centre,    30 * MINUTE),
        Act(repair_and_reprocess,  2 * HOUR),
    ), after="suppliers"),
    Journey("change", (
        Act(revise,               30 * MINUTE),
        Act(both_groups_agree,     2 * HOUR),
    ), after="order"),
    Journey("cancellation", (
        Act(withdraw,              2 * HOUR),
    ), after="order"),
    Journey("receipt", (
        Act(lambda house: house.receive(order_of(house), "600"), 1 * HOUR),
    ), after="order"),
    Journey("invoice", (
        Act(dear_invoice,          1 * HOUR),
        Act(lambda house: house.decide_in_servicenow("fin.1", "approved", "agreed by phone"), 2 * HOUR),
        Act(release_in_erp,        6 * HOUR),
        Act(pay,                   3 * HOUR),
    ), after="receipt"),
    Journey("refused invoice", (
        Act(dear_invoice,          1 * HOUR),
        Act(lambda house: house.decide_in_servicenow("fin.1", "rejected", "ask for a credit note"), 2 * HOUR),
    ), after="receipt"),
)}
# fmt: on
