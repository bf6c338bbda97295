"""Who has to agree, who did, and what becomes of it in every system that needs to know."""

from sync_engine.control.roles import Action, Role


def test_at_the_threshold_both_groups_decide_and_the_order_follows(house):
    requisition = house.submit(house.line(quantity="500"))  # 10,000.00, the threshold itself
    house.run(minutes=10)
    house.approve_in_coupa(requisition)
    house.run(minutes=10)
    assert house.live_orders() == []
    assert house.decide_in_servicenow("fin.1") == 1
    house.run(minutes=10)
    assert house.documents("requisition")[0][1:3] == ("awaiting_approval", "pending")
    assert house.decide_in_servicenow("proc.1") == 1
    house.run(minutes=20)
    assert house.documents("requisition")[0][1:3] == ("ordered", "approved")
    assert len(house.live_orders()) == 1


def test_every_decision_is_on_record_as_that_of_who_took_it(house):
    """R142: it stood there as the engine's that had read of it."""
    requisition = house.submit(house.line(quantity="500"))
    house.run(minutes=10)
    house.approve_in_coupa(requisition)
    house.run(minutes=10)
    house.decide_in_servicenow("fin.1")
    house.decide_in_servicenow("proc.1", "rejected", "no")
    house.run(minutes=20)
    decided = house.connection.execute(
        "SELECT e.system, e.activity, e.actor, p.canonical->'decided_by'->>'user' FROM event e JOIN document d USING (document_id) JOIN document_payload p USING (document_id, payload_version)"
        " WHERE e.activity IN ('approval_granted', 'approval_denied')"
    ).fetchall()
    assert {(system, activity) for system, activity, _, _ in decided} == {("coupa", "approval_granted"), ("servicenow", "approval_granted"), ("servicenow", "approval_denied")}  # fmt: skip
    for _, _, actor, user in decided:
        assert actor.startswith(f"{user} (")


def test_a_cent_below_the_threshold_nobody_is_asked(house):
    requisition = house.submit(house.line(quantity="1", unit_price="9999.99"))
    house.run(minutes=10)
    house.approve_in_coupa(requisition)
    house.run(minutes=20)
    assert house.servicenow.open_approvals(user_name="fin.1") == []
    assert len(house.live_orders()) == 1


def test_a_supplier_without_contract_needs_both_groups_at_one_cent(house):
    house.submit(house.line(quantity="1", unit_price="0.01", contract=""))
    house.run(minutes=10)
    assert len(house.servicenow.open_approvals(user_name="fin.1")) == 1
    assert len(house.servicenow.open_approvals(user_name="proc.1")) == 1


def test_either_refusal_ends_it_and_procurement_hears_why(house):
    requisition = house.submit(house.line(quantity="600"))
    house.run(minutes=10)
    house.approve_in_coupa(requisition)
    house.decide_in_servicenow("proc.1", "rejected", "buy from the frame contract")
    house.run(minutes=20)
    assert house.documents("requisition")[0][1:] == ("rejected", "rejected", "not_submitted")
    row = house.coupa.requisition(requisition)
    assert row["status"] == "draft"
    assert "buy from the frame contract" in row["reject-reason-comment"]
    assert house.live_orders() == []
    assert house.connection.execute("SELECT count(*) FROM budget_reservation WHERE released_at IS NULL").fetchone() == (
        0,
    )


def test_a_rejection_in_procurement_ends_it(house):
    requisition = house.submit()
    house.run(minutes=10)
    approval, by = house.coupa.pending_approval(requisition)
    house.coupa.reject(approval_id=approval, by=by, comment="not this year")
    house.run(minutes=10)
    assert house.documents("requisition")[0][1:3] == ("rejected", "rejected")


def test_approved_by_the_business_before_the_budget_is_known_is_a_state_of_its_own(house):
    house.run(minutes=30)  # the suppliers are known
    house.s4hana.faults.outage = True
    requisition = house.submit()
    house.run(minutes=10)
    house.approve_in_coupa(requisition)
    house.run(minutes=10)
    assert house.documents("requisition")[0][1:] == ("awaiting_budget", "approved", "not_submitted")


def test_one_person_behind_two_logins_cannot_approve_their_own_wish(house):
    house.servicenow.add_user(user_name="pm.desouth", name="PM", email="")
    requisition = house.submit(house.line(quantity="600"), requester="plant.manager.de-south")
    house.run(minutes=10)
    house.approve_in_coupa(requisition)
    [row] = house.servicenow.open_approvals(user_name="fin.1")
    house.servicenow.decide(approver_row=row["sys_id"], state="approved", by="pm.desouth", comment="mine")
    house.decide_in_servicenow("proc.1")
    house.run(minutes=20)
    [(code, number, blocks, message)] = house.cases()
    assert (code, number, blocks) == ("segregation_of_duties", str(requisition), True)
    assert "E-1042" in message
    assert house.live_orders() == []


def test_a_change_while_approvals_run_starts_again_and_old_approvals_do_not_count(house):
    requisition = house.submit(house.line(quantity="600"))
    house.run(minutes=10)
    house.decide_in_servicenow("fin.1")
    house.decide_in_servicenow("proc.1")
    house.run(minutes=10)
    house.coupa.edit_requisition(requisition_id=requisition, by="planner.de-south", lines=[house.line(quantity="900")])
    house.run(minutes=10)
    house.approve_in_coupa(requisition)
    house.run(minutes=20)
    assert house.documents("requisition")[0][1] == "awaiting_approval", "twice the money needs a new decision"
    assert house.live_orders() == []
    house.decide_in_servicenow("fin.1")
    house.decide_in_servicenow("proc.1")
    house.run(minutes=20)
    assert house.documents("requisition")[0][1] == "ordered"


def test_withdrawn_while_others_still_decide_ends_it_without_an_order(house):
    requisition = house.submit(house.line(quantity="600"))
    house.run(minutes=10)
    house.coupa.withdraw(requisition_id=requisition, by="planner.de-south")
    house.run(minutes=10)
    house.decide_in_servicenow("fin.1")
    house.decide_in_servicenow("proc.1")
    house.run(minutes=20)
    assert house.documents("requisition")[0][1:3] == ("cancelled", "withdrawn")
    assert house.live_orders() == []


def test_the_approval_engine_being_down_blocks_neither_intake_nor_other_orders(house):
    house.servicenow.faults.outage = True
    big = house.submit(house.line(quantity="600"))
    small, _ = house.order_one()
    states = {number: state for number, state, _, _ in house.documents("requisition")}
    assert states == {str(big): "awaiting_approval", str(small): "ordered"}
    house.servicenow.faults.outage = False
    house.run(hours=1)
    assert len(house.servicenow.open_approvals(user_name="fin.1")) == 1, "asked once, when it could be asked"


def test_an_accepted_duplicate_goes_on_and_the_requester_cannot_accept_it(house):
    house.order_one()
    twin = house.submit()
    house.run(minutes=10)
    [(code, number, _, _)] = house.cases()
    assert (code, number) == ("duplicate_order", str(twin))
    case = house.connection.execute("SELECT case_id, version FROM exception_case WHERE closed_at IS NULL").fetchone()
    named = [{"case_id": str(case[0]), "version": case[1]}]
    requester = house.put_person("planner.de-south", Role.FINANCE_OPERATIONS)
    assert house.ask(requester, Action.ACCEPT, reason="it is fine", cases=named).status == "denied"
    somebody = house.put_person("controller.1", Role.FINANCE_OPERATIONS)
    assert house.ask(somebody, Action.ACCEPT, reason="second shift needs its own", cases=named).status == "done"
    house.approve_in_coupa(twin)
    house.run(minutes=30)
    assert len(house.live_orders()) == 2
