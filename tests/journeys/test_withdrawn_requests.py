"""Requests for approval that nobody needs answered any more are withdrawn (R088): no approver works on what has been changed or is over."""

import pytest

from sql import MIGRATIONS
from sync_engine.control.roles import Action, Role
from sync_engine.engine import recording
from sync_engine.engine.fast_forward import FastForward
from tests.journeys.meanwhile import loses_answers, open_intents, read_and_apply, wait_for

MUCH, MORE = "600", "900"
"""Pieces; both need the two groups."""


def asked(house, quantity=MUCH):
    """A requisition about which both groups have been asked."""
    requisition = house.submit(house.line(quantity=quantity))
    house.run(minutes=10)
    assert len(open_requests(house)) == 1
    return requisition


def change(house, requisition, quantity):
    house.coupa.edit_requisition(
        requisition_id=requisition, by="planner.de-south", lines=[house.line(quantity=quantity)]
    )


def withdraw(house, requisition):
    with house.coupa.lock:
        house.coupa._set_status(house.coupa._requisitions.rows[str(requisition)], "withdrawn", "planner.de-south")


def requests(house):
    """All requests in ServiceNow, oldest first: (number, what became of it)."""
    return sorted((row["number"], row["approval"]) for row in house.servicenow.tables["sc_request"])


def open_requests(house):
    return [number for number, approval in requests(house) if approval == "requested"]


def waiting_for_somebody(house):
    return [row for user in ("fin.1", "proc.1") for row in house.servicenow.open_approvals(user_name=user)]


def withdrawals(house):
    return house.connection.execute("SELECT status, step FROM work_item WHERE flow = 'approval_withdrawal'").fetchall()


def test_after_a_change_only_the_new_request_is_open(house):
    requisition = asked(house)
    change(house, requisition, MORE)
    house.run(minutes=10)
    assert [approval for _, approval in requests(house)] == ["cancelled", "requested"]
    [in_force] = [row["sys_id"] for row in house.servicenow.tables["sc_request"] if row["approval"] == "requested"]
    assert [row["sysapproval"] for row in waiting_for_somebody(house)] == [in_force, in_force]
    assert withdrawals(house) == [("done", "withdraw_approvals")]
    [(attributes,)] = house.connection.execute(
        "SELECT attributes FROM event WHERE activity = 'approval_withdrawn'"
    ).fetchall()
    assert attributes == {"approvals_withdrawn": [requests(house)[0][0]]}
    house.approve_in_coupa(requisition)
    house.decide_in_servicenow("fin.1")
    house.decide_in_servicenow("proc.1")
    house.run(minutes=30)
    assert house.documents("requisition")[0][1:3] == ("ordered", "approved")
    assert len(house.live_orders()) == 1


def test_a_change_below_the_threshold_leaves_nobody_asked(house):
    requisition = asked(house)
    change(house, requisition, "10")
    house.approve_in_coupa(requisition)
    house.run(minutes=30)
    assert [approval for _, approval in requests(house)] == ["cancelled"]
    assert waiting_for_somebody(house) == []
    assert len(house.live_orders()) == 1


@pytest.mark.parametrize("end", ["withdrawn", "rejected"])
def test_when_the_requisition_is_over_nobody_has_to_answer(house, end):
    requisition = asked(house)
    if end == "withdrawn":
        withdraw(house, requisition)
    else:
        approval, by = house.coupa.pending_approval(requisition)
        house.coupa.reject(approval_id=approval, by=by, comment="not this year")
    house.run(minutes=10)
    assert house.documents("requisition")[0][1] in {"cancelled", "rejected"}
    assert [approval for _, approval in requests(house)] == ["cancelled"]
    assert waiting_for_somebody(house) == []
    assert house.cases() == []


def test_where_nobody_was_asked_nothing_is_withdrawn(house):
    requisition = house.submit()
    house.run(minutes=10)
    change(house, requisition, "20")
    house.run(minutes=10)
    withdraw(house, requisition)
    house.run(minutes=10)
    assert withdrawals(house) == []
    assert not any("sc_request" in what for what in house.servicenow.calls)


def test_a_change_that_is_taken_back_gets_an_answer_of_its_own(house):
    """The third version is the first again, with the same key: its request must not be taken for the one that is being withdrawn."""
    requisition = asked(house)
    house.servicenow.faults.outage = True
    change(house, requisition, MORE)
    house.run(minutes=4)
    change(house, requisition, MUCH)
    house.run(minutes=4)
    assert house.documents("requisition")[0][1] != "awaiting_approval", "the earlier request is still to be withdrawn"
    house.servicenow.faults.outage = False
    house.run(hours=1)
    [number] = open_requests(house)
    assert len(waiting_for_somebody(house)) == 2
    house.approve_in_coupa(requisition)
    house.decide_in_servicenow("fin.1")
    house.decide_in_servicenow("proc.1")
    house.run(minutes=30)
    assert house.documents("requisition")[0][1:3] == ("ordered", "approved"), number


def test_a_request_that_came_through_unheard_is_withdrawn_too(house):
    """Its answer was lost, the requisition changed before anybody had looked: the look asks for the new version's, and finds none."""
    requisition = house.submit(house.line(quantity=MUCH))
    wait_for(
        house,
        loses_answers(
            house,
            lambda request: request.method == "POST" and request.url.path.endswith("/sc_request"),
            1,
            arrives=True,
        ),
    )
    assert len(requests(house)) == 1
    change(house, requisition, MORE)
    read_and_apply(house, "coupa", "requisitions")
    house.run(hours=1)
    assert [approval for _, approval in requests(house)] == ["cancelled", "requested"]
    assert len(waiting_for_somebody(house)) == 2
    assert open_intents(house) == []


def test_a_withdrawal_outlives_the_requisition_and_an_outage(house):
    requisition = asked(house)
    house.servicenow.faults.outage = True
    change(house, requisition, MORE)
    house.run(minutes=5)
    withdraw(house, requisition)
    house.run(minutes=10)
    assert house.documents("requisition")[0][1] == "cancelled"
    assert open_requests(house)
    house.servicenow.faults.outage = False
    house.run(hours=1)
    assert open_requests(house) == []
    assert withdrawals(house) == [("done", "withdraw_approvals")]


def test_a_change_while_a_withdrawal_is_under_way_is_withdrawn_for_as_well(house):
    requisition = asked(house)
    change(house, requisition, MORE)
    for quantity in ("901", "902", "903"):
        house.run(seconds=40)
        change(house, requisition, quantity)
    house.run(minutes=15)
    assert len(open_requests(house)) == 1
    assert len(waiting_for_somebody(house)) == 2


@pytest.mark.parametrize(
    "news", [withdraw, lambda house, requisition: change(house, requisition, "10")], ids=["withdrawn", "changed"]
)
@pytest.mark.parametrize("place", ["before_intent", "before_record"])
def test_a_request_that_is_under_way_is_withdrawn_once_it_is_known(house, place, news):
    """Nobody is bothered with it, whether the news comes before anything says that people are about to be asked, or when they have
    been and nobody knows yet."""
    requisition = house.submit(house.line(quantity=MUCH))
    first, before = house.engine, []

    def meanwhile(moment):
        if moment == place and not before and any(item.step.name == "request_approval" for item in moment.items):
            before.extend(requests(house) or ["none yet"])
            news(house, requisition)
            house.clock.advance(1)
            read_and_apply(house, "coupa", "requisitions", engine=first)

    house.engine = house.new_engine(crash_point=meanwhile)
    house.forward = FastForward(house.engine, house.connection, house, spent_s=house.stopwatch)
    house.run(minutes=30)
    assert len(before) == 1
    assert [approval for _, approval in requests(house)] == ["cancelled"]
    assert waiting_for_somebody(house) == []
    assert house.cases() == []


def test_what_changes_while_a_withdrawal_is_in_a_call_is_chosen_for_anew(house):
    requisition = asked(house)
    change(house, requisition, MORE)
    read_and_apply(house, "coupa", "requisitions")
    house.engine.decide(house.connection)
    lane = house.engine.lanes["servicenow"]
    [item] = lane.claim(house.connection, 10)
    assert item.step.name == "withdraw_approvals"
    change(house, requisition, "901")
    house.clock.advance(1)
    read_and_apply(house, "coupa", "requisitions")
    lane.record(house.connection, [lane.ask(item)])
    assert withdrawals(house) == [("due", "choose_withdrawals")]
    house.run(minutes=10)
    assert withdrawals(house) == [("done", "withdraw_approvals")]
    assert [approval for _, approval in requests(house)] == ["cancelled", "requested"]


def test_a_review_of_an_invoice_that_is_given_up_is_withdrawn(house):
    _, order = house.order_one()
    house.receive(order)
    house.run(hours=1)
    house.invoice(order, price="30.00")
    house.run(hours=1)
    assert len(open_requests(house)) == 1
    [(case_id, version)] = house.connection.execute(
        "SELECT case_id, version FROM exception_case WHERE closed_at IS NULL AND document_type = 'invoice'"
    ).fetchall()
    session = house.put_person("operations.1", Role.FINANCE_OPERATIONS)
    answer = house.ask(
        session, Action.ABANDON, reason="a credit note came", cases=[{"case_id": str(case_id), "version": version}]
    )
    assert answer.status == "done", answer
    house.run(minutes=10)
    assert house.documents("invoice")[0][1] == "rejected"
    assert open_requests(house) == []


def test_what_servicenow_refuses_to_withdraw_is_an_exception_that_stops_nothing(house):
    requisition = asked(house)
    house.servicenow.rules.read_only_tables = {"sc_request"}
    withdraw(house, requisition)
    house.run(minutes=20)
    assert house.documents("requisition")[0][1] == "cancelled"
    assert open_requests(house)
    [(_, number, blocks, _)] = house.cases()
    assert (number, blocks) == (str(requisition), False)
    house.servicenow.rules.read_only_tables = set()
    house.reprocess(house.put_person("support.1", Role.INTEGRATION_SUPPORT))
    house.run(minutes=20)
    assert open_requests(house) == []
    assert house.cases() == []


def test_what_was_left_open_before_there_were_withdrawals_is_withdrawn_and_nothing_else(house, database, monkeypatch):
    """Migration 0038, over a cell as releases before it left it: one requisition has changed, one has ended, one waits."""
    with monkeypatch.context() as before:
        before.setattr(recording, "ENDS_APPROVALS", frozenset())
        requisitions = [house.submit(house.line(quantity=MUCH, description=f"Bearing {n}")) for n in range(3)]
        house.run(minutes=10)
        change(house, requisitions[0], MORE)
        withdraw(house, requisitions[1])
        house.run(minutes=10)
        assert (len(open_requests(house)), withdrawals(house)) == (4, [])
    with database.connect_owner() as owner:
        owner.execute(f"SET search_path TO {database.cell}")
        owner.execute((MIGRATIONS / "0038_withdrawn_requests.sql").read_bytes())
        # It goes by the database's clock, which is not the house's.
        owner.execute("UPDATE work_item SET due_at = %s WHERE flow = 'approval_withdrawal'", [house.clock.now()])
    house.run(minutes=10)
    waited_for = house.connection.execute(
        "SELECT facts->>'approval_request' FROM work_item WHERE step = 'await_approval' AND status = 'due'"
    ).fetchall()
    assert len(waited_for) == 2
    assert {key for (key,) in waited_for} == {
        row["sys_id"] for row in house.servicenow.tables["sc_request"] if row["approval"] == "requested"
    }
    assert len(withdrawals(house)) == 2
