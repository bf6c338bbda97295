"""The same thing asked for or billed twice, however late or at whatever moment we are told (R041, R082)."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import httpx2

from sync_engine.control.roles import Action, Role


def kept_back(house, until):
    """Until then procurement does not tell of these requisitions."""
    real, hidden = house.transport.handle_request, set()

    def tells_late(request):
        answer = real(request)
        listed = request.url.host == "coupa" and request.url.path in {"/api/requisitions", "/api/approvals"}
        if not listed or house.clock.now() >= until:
            return answer
        rows = json.loads(answer.content)
        told = [row for row in rows if hidden.isdisjoint({row.get("approvable-id"), row["id"]})]
        return httpx2.Response(200, json=told, request=request)

    house.transport.handle_request = tells_late
    return hidden


def told_late(house):
    """The first of two equal requisitions is told when the second has been ordered: (first, second)."""
    late = house.clock.now() + timedelta(hours=2)
    hidden = kept_back(house, late)
    first = house.submit()
    hidden.add(first)
    house.clock.advance(60)
    second, _ = house.order_one()
    assert [number for number, *_ in house.documents("requisition")] == [str(second)]
    house.clock.advance_to(late)
    house.approve_in_coupa(first)
    house.run(hours=1)
    return first, second


def test_a_requisition_that_is_told_late_is_held_against_its_double_that_came_first(house):
    """Only earlier ones were looked at, and of the two the first was told last: both were ordered."""
    first, second = told_late(house)
    assert {number for number, *_ in house.documents("requisition")} == {str(first), str(second)}
    assert [(code, number) for code, number, _, _ in house.cases()] == [("duplicate_order", str(first))]
    assert len(house.live_orders()) == 1


def test_a_double_that_somebody_has_accepted_does_not_hold_up_the_first_when_that_changes(house):
    first = house.submit()
    house.run(minutes=10)
    house.clock.advance(60)
    twin = house.submit()
    house.run(minutes=10)
    [(case_id, version)] = house.connection.execute("SELECT case_id, version FROM exception_case WHERE closed_at IS NULL").fetchall()  # fmt: skip
    somebody = house.put_person("controller.1", Role.FINANCE_OPERATIONS)
    named = [{"case_id": str(case_id), "version": version}]
    assert house.ask(somebody, Action.ACCEPT, reason="second shift needs its own", cases=named).status == "done"
    house.run(minutes=10)
    assert [state for _, state, _, _ in house.documents("requisition")] == ["awaiting_approval", "awaiting_approval"]
    house.coupa.edit_requisition(
        requisition_id=first, by="planner.de-south", lines=[house.line(need_by=date(2026, 9, 30))]
    )
    house.run(minutes=30)
    assert house.cases() == []
    for requisition in (first, twin):
        house.approve_in_coupa(requisition)
    house.run(hours=1)
    assert len(house.live_orders()) == 2


def test_of_two_equal_bills_that_are_checked_at_the_same_moment_one_is_let_through(house):
    """One engine stalls with its check done and not yet committed; meanwhile the earlier bill is told, and another engine checks it.
    It saw the later one as not yet let through, and both were."""
    orders = [house.order_one(house.line(description=what))[1] for what in ("Bearing 6204", "Bearing 6205")]
    for order in orders:
        house.receive(order)
    house.run(hours=1)
    real = house.transport.handle_request
    first, told = house.invoice(orders[0]), False
    house.clock.advance(60)
    house.invoice(orders[1])

    def tells_late(request):
        answer = real(request)
        if told or not request.url.path.startswith("/files/"):
            return answer
        page = json.loads(answer.content)
        page["accountingDocuments"] = [one for one in page["accountingDocuments"] if one["invoiceId"] != first]
        return httpx2.Response(200, json=page, request=request)

    house.transport.handle_request = tells_late

    def up_to_the_check(engine, connection):
        collector = engine.collectors["basware"]
        collector.collect(connection, collector.system.feed("invoices"), hinted=True)
        engine.apply(connection)
        assert engine.call(connection, engine.lanes["basware"], 10) == 1

    with (
        house.database.connected("finsync_engine") as elsewhere,
        house.database.connect_owner() as owner,
        ThreadPoolExecutor(1) as other_thread,
    ):

        def stall(moment):
            nonlocal told
            if told or moment != "before_commit" or "invoice" not in {item.head.document_type for item in moment.items}:
                return
            told = True
            other = house.new_engine()
            up_to_the_check(other, elsewhere)
            decided.append(other_thread.submit(other.decide, elsewhere))
            while not decided[0].done() and not waits(elsewhere.info.backend_pid):
                time.sleep(0.02)

        def waits(pid):
            return owner.execute("SELECT pg_blocking_pids(%s) <> '{}'", [pid]).fetchone()[0]

        decided = []
        stalled = house.new_engine(crash_point=stall)
        up_to_the_check(stalled, house.connection)
        stalled.decide(house.connection)
        assert decided[0].result(timeout=20) > 0
    house.run(hours=2)
    assert [case[0] for case in house.cases()] == ["duplicate_invoice"]
    assert len(house.s4hana.invoices) == 1
