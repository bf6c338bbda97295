"""The company in real time: what is submitted at the switchboard is decided while one watches, whatever the hour."""

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx2
import pytest

from sandbox.company import BREAKABLE
from sandbox.living import LivingCompany
from tests.sandbox.company_days import START, UNITS, Clock, ask_groups, company, live, requisitions

SUNDAY = datetime(2026, 8, 9, 11, 0, tzinfo=UTC)


def hurry_on(there, seconds=12):
    """Let so many seconds pass, one at a time, as in the living company."""
    for _ in range(seconds):
        there._office.clock.now += timedelta(seconds=1)
        there.act(there._office.clock.now)


def waits_for(there, requisition_id):
    """Whose decision a requisition waits for in procurement."""
    return there.standins["coupa"].pending_approval(requisition_id)[1]


def votes(there, parent):
    """Of each group that was asked: what it decided, by its name."""
    tables = there.standins["servicenow"].tables
    return {
        tables["sys_user_group"].rows[group["assignment_group"]]["name"]: group["approval"]
        for group in tables["sysapproval_group"].find("parent", parent)
    }


@pytest.mark.parametrize("unit", list(UNITS))
def test_what_is_submitted_by_hand_on_a_sunday_is_decided_within_seconds(unit):
    there = live(company(), SUNDAY)
    requisition_id = there.submit_now(unit, UNITS[unit].threshold * 3, contract=False)
    steps = there.standins["coupa"].requisition(requisition_id)["approvals"]
    assert [step["status"] for step in steps] == ["pending_approval"]
    hurry_on(there)
    steps = there.standins["coupa"].requisition(requisition_id)["approvals"]
    assert [step["status"] for step in steps[:-1]] == ["approved"] * (len(steps) - 1)
    assert waits_for(there, requisition_id) == "finsync"
    parent = ask_groups(there, requisition_id, unit)
    there.act(there._office.now)
    assert set(votes(there, parent).values()) == {"requested"}
    hurry_on(there, 6)
    assert votes(there, parent) == dict.fromkeys((UNITS[unit].finance_group, UNITS[unit].procurement_group), "approved")
    assert there.standins["servicenow"].tables["sc_request"].rows[parent]["approval"] == "approved"


def test_people_are_in_no_hurry_about_anything_else():
    there = live(company(), SUNDAY)
    there.submit_now("DE-SOUTH")
    ordinary = there.submit_now("DE-SOUTH", hurry=False)
    approver = waits_for(there, ordinary)
    parent = ask_groups(there, ordinary, "DE-SOUTH")
    hurry_on(there, 60)
    assert waits_for(there, ordinary) == approver
    assert set(votes(there, parent).values()) == {"requested"}


def test_a_requisition_in_a_hurry_may_be_refused_by_the_first_group_that_is_asked():
    there = live(company(), SUNDAY)
    requisition_id = there.submit_now("UK-MIDLANDS", Decimal(60_000), approve=False)
    hurry_on(there)
    assert waits_for(there, requisition_id) == "finsync"
    parent = ask_groups(there, requisition_id, "UK-MIDLANDS")
    hurry_on(there, 6)
    whose = UNITS["UK-MIDLANDS"]
    assert votes(there, parent) == {whose.finance_group: "rejected", whose.procurement_group: "not_required"}
    tool = there.standins["servicenow"]
    (refusal,) = (
        row for row in tool.tables["sysapproval_approver"].find("sysapproval", parent) if row["state"] == "rejected"
    )
    assert tool.journal("sysapproval_approver", refusal)


def test_only_what_is_in_a_hurry_can_be_refused_by_order():
    with pytest.raises(ValueError, match="only a requisition in a hurry"):
        company().submit_now("DE-SOUTH", hurry=False, approve=False)


def test_nobody_decides_his_own_request_because_it_is_in_a_hurry():
    there = live(company(), SUNDAY)
    selves = {"pm.desouth", "ops.useast"}
    for unit in ("DE-SOUTH", "US-EAST"):
        for _ in range(5):
            requisition_id = there.submit_now(unit)
            parent = ask_groups(there, requisition_id, unit)
            hurry_on(there, 6)
            rows = there.standins["servicenow"].tables["sysapproval_approver"].find("sysapproval", parent)
            approved_by = {row["sys_updated_by"] for row in rows if row["state"] == "approved"}
            assert len(approved_by) == 2
            assert not approved_by & selves


def test_what_follows_from_a_requisition_in_a_hurry_is_hurried_too():
    there = live(company(), SUNDAY)
    requisition_id = there.submit_now("DE-SOUTH", approve=False)
    hurry_on(there)
    screen, number = there.standins["coupa"], "4500009999"
    screen.approve(approval_id=screen.pending_approval(requisition_id)[0], by="finsync")
    requisition = screen._known(screen._requisitions, requisition_id, "requisition")
    references = {line["id"]: number for line in requisition["requisition-lines"][:1]}
    screen._changed(screen._requisitions, screen._ordered(requisition, references, "finsync"))
    line = {"order_number": number, "order_line": "10", "description": "Drive belt", "unit": "EA"}
    invoice = there.standins["basware"].receive_invoice(
        supplier_code="10300001",
        supplier_name="A supplier",
        organization_code="1010",
        company_code="1010",
        invoice_number="R-1",
        currency="EUR",
        invoice_date=SUNDAY.date(),
        baseline_date=SUNDAY.date(),
        due_date=SUNDAY.date(),
        payment_term="NET 30",
        tax_code="V1",
        tax="0",
        lines=[{**line, "quantity": "1", "unit_price": "10.00", "amount": "10.00"}],
    )
    change, review = ask_groups(there, f"{number}/2", "DE-SOUTH"), ask_groups(there, invoice, "DE-SOUTH")
    hurry_on(there, 6)
    for parent in (change, review):
        assert set(votes(there, parent).values()) == {"approved"}


def test_a_hurry_outlives_a_restart(tmp_path):
    clock = Clock(SUNDAY)
    there = company(folder=tmp_path, clock=clock)
    agreed, refused = there.submit_now("JP-KANTO"), there.submit_now("JP-KANTO", approve=False)
    there.close()
    there = company(folder=tmp_path, clock=clock)
    hurry_on(there)
    assert (waits_for(there, agreed), waits_for(there, refused)) == ("finsync", "finsync")
    asked = [ask_groups(there, requisition_id, "JP-KANTO") for requisition_id in (agreed, refused)]
    there.close()
    there = company(folder=tmp_path, clock=clock)
    hurry_on(there, 6)
    requests = there.standins["servicenow"].tables["sc_request"].rows
    assert [requests[parent]["approval"] for parent in asked] == ["approved", "rejected"]
    there.close()


@pytest.fixture
def living(tmp_path):
    clock = Clock()
    there = LivingCompany(tmp_path, {}, clock=clock).start()
    there.clock = clock
    yield there
    if there._heart.is_alive():
        there.stop()


def test_the_switchboard_tells_what_is_and_breaks_and_repairs(living):
    with httpx2.Client(base_url=living.urls["control"]) as control:
        status = control.get("/status").json()
        assert set(status["systems"]) == {"coupa", "servicenow", "s4hana", "basware", "control"}
        assert status["failure"] == ""
        asked = {"system": "s4hana", "name": "cost_centre_blocked", "value": "4711"}
        assert control.post("/break", json=asked).json()["done"]
        assert control.get("/status").json()["open_troubles"] == 1
        told = control.get("/troubles?open=true").json()["troubles"]
        assert [each["kind"] for each in told] == ["cost_centre_blocked by hand"]
        assert control.post("/repair", json=asked).status_code == 200
        assert control.get("/troubles?open=true").json()["troubles"] == []
        assert control.post("/submit", json={"unit": "DE-SOUTH", "amount": "12500"}).json()["requisition"] >= 2001
        assert set(control.get("/levers").json()) == set(BREAKABLE)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/break", b"no json"),
        ("/break", b'{"system": "coupa"}'),
        ("/break", b'{"system": "coupa", "name": "fire", "value": 1}'),
        ("/submit", b'{"unit": "MARS"}'),
        ("/submit", b'{"unit": "DE-SOUTH", "amount": "much"}'),
        ("/submit", b'{"unit": "DE-SOUTH", "amount": -5}'),
        ("/submit", b'{"unit": "DE-SOUTH", "hurry": "no"}'),
        ("/submit", b'{"unit": "DE-SOUTH", "hurry": false, "approve": false}'),
    ],
)
def test_the_switchboard_refuses_what_cannot_be_meant(living, path, body):
    answer = httpx2.post(living.urls["control"] + path, content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_the_living_company_acts_by_itself_and_goes_on_after_a_restart(living, tmp_path):
    living.clock.now = START + timedelta(hours=6)
    deadline = time.monotonic() + 20
    while not requisitions(living.company) and time.monotonic() < deadline:
        time.sleep(0.05)
    living.stop()
    assert living.failure == ""
    count = len(requisitions(living.company))
    assert count > 0
    again = LivingCompany(tmp_path, {}, seed=99, clock=living.clock)
    assert len(requisitions(again.company)) == count
    assert again.company.seed == 7
    for server in again._servers.values():
        server.server_close()
    again.company.close()


def test_a_requisition_submitted_at_the_switchboard_on_a_sunday_is_decided_while_one_watches(tmp_path):
    clock = Clock(SUNDAY)
    living = LivingCompany(tmp_path, {}, clock=clock).start()
    try:
        asked = {"unit": "DE-SOUTH", "amount": "12500"}
        submit = living.urls["control"] + "/submit"
        hurried = httpx2.post(submit, json=asked).json()["requisition"]
        ordinary = httpx2.post(submit, json={**asked, "hurry": False}).json()["requisition"]
        waited_for = waits_for(living.company, ordinary)
        deadline = time.monotonic() + 20
        while waits_for(living.company, hurried) != "finsync" and time.monotonic() < deadline:
            clock.now += timedelta(seconds=1)
            time.sleep(0.1)
        assert clock.now - SUNDAY < timedelta(minutes=4)
        assert waits_for(living.company, hurried) == "finsync"
        assert waits_for(living.company, ordinary) == waited_for
        with living.company.standins["servicenow"].lock:
            parent = ask_groups(living.company, hurried, "DE-SOUTH")
        while "requested" in votes(living.company, parent).values() and time.monotonic() < deadline:
            clock.now += timedelta(seconds=1)
            time.sleep(0.1)
        assert set(votes(living.company, parent).values()) == {"approved"}
        assert living.failure == ""
    finally:
        living.stop()


def test_a_port_that_is_taken_leaves_nothing_half_open(living, tmp_path):
    taken = int(living.urls["coupa"].rsplit(":", 1)[1])
    with pytest.raises(OSError, match="in use"):
        LivingCompany(tmp_path / "second", {"coupa": taken}, clock=Clock())
