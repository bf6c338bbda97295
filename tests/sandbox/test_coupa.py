"""The Coupa stand-in speaks as Coupa does, and follows its habits, the awkward ones included."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from urllib.parse import quote

import pytest

from sandbox.coupa.api import SCOPES, Coupa
from sandbox.coupa.lists import ATTRIBUTES
from sandbox.ledger import Ledger
from sandbox.wire import Request

OPENAPI = Path(__file__).parents[2].parent / "shared" / "contracts" / "coupa" / "openapi"
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
EVERY_SCOPE = " ".join(sorted(SCOPES))


class Clock:
    """Tells a time that only the test moves."""

    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now

    def forward(self, **by):
        self.now += timedelta(**by)


class Instance(Coupa):
    """The stand-in with a token in hand and a few people in it."""

    def __init__(self, ledger=None, clock=None, seed=7, **how):
        super().__init__(ledger or Ledger(), clock or Clock(), Random(seed), **how)
        if not self._users.find("login", "head.1"):
            self.add_user(login="head.1", full_name="Plant Head", email="head.1@sandbox.example")
            self.add_user(
                login="manager.1", full_name="Plant Manager", email="manager.1@sandbox.example", manager="head.1"
            )
            self.add_user(
                login="buyer.1", full_name="Plant Buyer", email="buyer.1@sandbox.example", manager="manager.1"
            )
            self.supplier = self.register_supplier(name="Kessel Service", number="17300001", country="DE")
        self.token = self.new_token()

    def new_token(self, scope=EVERY_SCOPE, secret="sandbox"):
        form = f"grant_type=client_credentials&client_id=finsync&client_secret={secret}&scope={quote(scope)}"
        reply = self.handle(Request.of("POST", "/oauth2/token", {}, form.encode()))
        return json.loads(reply.body).get("access_token", ""), reply.status

    def ask(self, method, path, body=None, **headers):
        known = {"authorization": f"Bearer {self.token[0]}", "accept": "application/json"} | headers
        content = b"" if body is None else json.dumps(body).encode()
        reply = self.handle(Request.of(method, f"/api{path}", known, content))
        return reply.status, json.loads(reply.body) if reply.body else None

    def get(self, path):
        return self.ask("GET", path)[1]

    def line(self, **changes):
        return {
            "description": "Boiler inspection",
            "quantity": "2",
            "unit_price": "450.00",
            "supplier_id": 301,
            "company_code": "1710",
            "cost_centre": "4711",
            "account": "400100",
            "plant": "STR-1",
            "commodity": "Maintenance",
            "tax_code": "DE19",
        } | changes

    def submit(self, *lines, currency="EUR", **how):
        return self.submit_requisition(
            requester="buyer.1",
            department="Plant South",
            currency=currency,
            title="Maintenance",
            lines=list(lines) or [self.line()],
            **how,
        )

    def approve_all(self, requisition_id):
        while pending := self.pending_approval(requisition_id):
            self.approve(approval_id=pending[0], by=pending[1])

    def order(self, *lines, number="4500000001"):
        requisition_id = self.submit(*lines)
        self.approve_all(requisition_id)
        assert self.ask("PUT", f"/requisitions/{requisition_id}", {"external-po-reference": number})[0] == 200
        return requisition_id, self.orders(po_number=number)[0]["id"]


@pytest.fixture
def coupa():
    return Instance()


def test_without_a_token_nothing_is_shown(coupa):
    assert coupa.ask("GET", "/requisitions", authorization="")[0] == 401
    assert coupa.ask("GET", "/requisitions", authorization="Bearer made-up")[0] == 401


def test_a_token_ends_after_its_lifetime(coupa):
    coupa.clock.forward(seconds=86_398)
    assert coupa.ask("GET", "/requisitions")[0] == 200
    coupa.clock.forward(seconds=1)
    assert coupa.ask("GET", "/requisitions")[0] == 401


def test_a_new_token_opens_nothing_while_it_lags(coupa):
    coupa.token_lag_s = 5.0
    coupa.token = coupa.new_token()
    assert coupa.ask("GET", "/requisitions")[0] == 401
    coupa.clock.forward(seconds=5)
    assert coupa.ask("GET", "/requisitions")[0] == 200


def test_a_wrong_secret_or_an_unknown_scope_gets_no_token(coupa):
    assert coupa.new_token(secret="wrong") == ("", 401)
    assert coupa.new_token(scope="core.payroll.read") == ("", 400)
    assert coupa.new_token(scope="") == ("", 400)


def test_narrowing_the_clients_scopes_makes_the_old_scope_text_invalid(coupa):
    coupa.scopes = SCOPES - {"core.budget.read"}
    assert coupa.new_token()[1] == 400


def test_a_token_without_the_scope_is_refused(coupa):
    coupa.token = coupa.new_token(scope="core.requisition.read")
    assert coupa.ask("GET", "/requisitions")[0] == 200
    assert coupa.ask("PUT", f"/requisitions/{coupa.submit()}", {})[0] == 403
    assert coupa.ask("GET", "/suppliers")[0] == 403


def test_only_json_is_spoken(coupa):
    assert coupa.ask("GET", "/requisitions", accept="application/xml")[0] == 406


def test_an_empty_list_is_no_error(coupa):
    assert coupa.ask("GET", "/requisitions") == (200, [])


def test_a_list_holds_fifty_records_however_many_are_asked_for(coupa):
    for _ in range(60):
        coupa.submit()
    assert len(coupa.get("/requisitions?limit=500")) == 50
    assert [row["id"] for row in coupa.get("/requisitions?offset=50")] == list(range(2051, 2061))
    assert len(coupa.get("/requisitions?limit=3")) == 3


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("colour=red", "colour is not a valid query attribute"),
        ("updated_at[gt]=yesterday", "yesterday is not a valid date"),
        ("updated_at[gt_or_eq]=2026-03-02T09:00:00+00:00", "2026-03-02T09:00:00 00:00 is not a valid date"),
        ("updated_at[contains]=2026", "contains cannot be used on updated-at"),
        ("order_by=colour", "colour is not a valid attribute to order by"),
        ("dir=up", "dir is asc or desc, not up"),
        ("limit=many", "limit is not a valid number"),
        ("fields=id", "fields is not a valid list"),
        ("total[gt]=much", "'much' cannot be compared with total"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused_in_coupas_words(coupa, query, sentence):
    coupa.submit()
    assert coupa.ask("GET", f"/requisitions?{query}") == (400, {"errors": {"requisition": [sentence]}})


def test_conditions_find_records_by_every_operator(coupa):
    first = coupa.submit(need_by=date(2026, 4, 1))
    coupa.clock.forward(minutes=1)
    second = coupa.submit(coupa.line(unit_price="10.00"), justification="Urgent repair")
    coupa.withdraw(requisition_id=second, by="buyer.1")

    def found(query):
        return [row["id"] for row in coupa.get(f"/requisitions?{query}")]

    assert (
        found("status=withdrawn")
        == found("status[in]=withdrawn,draft")
        == found("status[not_eq]=pending_approval")
        == [second]
    )
    assert found("status[not_in]=withdrawn") == found(f"id[lt]={second}") == found("total[gt_or_eq]=900") == [first]
    assert found("justification[contains]=REPAIR") == found("justification[starts_with]=urg") == [second]
    assert found("justification[ends_with]=repair") == found("need_by_date[blank]=true") == [second]
    assert found("requested_by[login]=buyer.1&order_by=updated_at&dir=desc") == [second, first]
    assert found("requisition_lines[supplier][number]=17300001&exported=false") == [first, second]
    assert found("requisition_lines[supplier][number]=unknown") == []
    since = quote((START + timedelta(minutes=1)).isoformat())
    assert found(f"updated_at[gt_or_eq]={since}") == found(f"created_at={since}") == [second]
    assert found(f"updated_at[gt_or_eq]=2026-03-02&updated_at[lt]={since}") == [first]


def test_only_the_chosen_fields_are_sent(coupa):
    coupa.submit()
    fields = quote('["id",{"requisition_lines":["line_num",{"supplier":["number"]}]},"unknown"]')
    row = {"id": 2001, "requisition-lines": [{"line-num": 1, "supplier": {"number": "17300001"}}]}
    assert coupa.get(f"/requisitions?fields={fields}") == [row]
    assert coupa.get(f"/requisitions/2001?fields={fields}") == row


def test_what_is_not_there_is_not_found(coupa):
    assert coupa.ask("GET", "/requisitions/1")[0] == 404
    assert coupa.ask("GET", "/invoices")[0] == 404
    assert coupa.ask("DELETE", "/requisitions")[0] == 405


def test_money_is_text_with_the_currencys_decimals_and_times_carry_the_instances_offset(coupa):
    euro, yen = coupa.submit(), coupa.submit(coupa.line(quantity="3", unit_price="1500"), currency="JPY")
    assert coupa.requisition(euro)["total"] == "900.00"
    assert coupa.requisition(euro)["updated-at"] == "2026-03-02T02:00:00-07:00"
    assert (coupa.requisition(yen)["total"], coupa.requisition(yen)["currency"]["decimals"]) == ("4500", 0)


def test_a_line_bought_by_amount_has_no_quantity(coupa):
    line = coupa.requisition(coupa.submit(coupa.line(amount_line=True)))["requisition-lines"][0]
    assert (line["line-type"], line["quantity"], line["total"]) == ("RequisitionAmountLine", None, "450.00")


def test_a_split_line_has_allocations_instead_of_an_account(coupa):
    splits = [("4711", "33.3333333333"), ("4712", "66.6666666667")]
    line = coupa.requisition(coupa.submit(coupa.line(quantity="1", unit_price="100.00", splits=splits)))[
        "requisition-lines"
    ][0]
    assert line["account"] is None
    assert [(part["pct"], part["amount"]) for part in line["account-allocations"]] == [
        ("33.3333333333", "33.3333"),
        ("66.6666666667", "66.6667"),
    ]


def test_below_five_thousand_one_manager_agrees_and_from_there_on_two(coupa):
    small = coupa.submit(coupa.line(quantity="1", unit_price="4999.99"))
    large = coupa.submit(coupa.line(quantity="1", unit_price="5000.00"))
    for requisition_id in (small, large):
        coupa.approve_all(requisition_id)

    def approvers(requisition_id):
        return [row["approver"]["login"] for row in coupa.requisition(requisition_id)["approvals"]]

    assert approvers(small) == ["manager.1", "finsync"]
    assert approvers(large) == ["manager.1", "head.1", "finsync"]


def test_an_approval_comes_when_its_turn_comes(coupa):
    requisition_id = coupa.submit()
    shown = coupa.requisition(requisition_id)
    assert [row["status"] for row in shown["approvals"]] == ["pending_approval"]
    assert shown["current-approval"] == shown["approvals"][0]
    assert "approved-by" not in shown["current-approval"]
    assert coupa.open_approvals("manager.1") == [shown["current-approval"]["id"]]
    assert coupa.open_approvals("finsync") == []


def test_a_decided_step_does_not_move_the_requisitions_updated_at(coupa):
    requisition_id = coupa.submit()
    before = coupa.requisition(requisition_id)
    coupa.clock.forward(hours=3)
    coupa.approve(approval_id=before["current-approval"]["id"], by="manager.1", comment="needed")
    after = coupa.requisition(requisition_id)
    assert after["updated-at"] == before["updated-at"] == "2026-03-02T02:00:00-07:00"
    assert [row["updated-at"] for row in after["approvals"]] == ["2026-03-02T05:00:00-07:00"] * 2
    since = quote(coupa.clock.now.isoformat())
    assert coupa.get(f"/requisitions?updated_at[gt_or_eq]={since}") == []
    assert len(coupa.get(f"/approvals?updated_at[gt_or_eq]={since}")) == 2


def test_the_last_step_approves_the_requisition_and_moves_it(coupa):
    requisition_id = coupa.submit()
    coupa.clock.forward(hours=3)
    coupa.approve_all(requisition_id)
    shown = coupa.requisition(requisition_id)
    assert (shown["status"], shown["current-approval"]) == ("approved", None)
    assert shown["updated-at"] == "2026-03-02T05:00:00-07:00"


def test_deciding_over_the_api_answers_the_requisition_and_names_the_integration_user(coupa):
    requisition_id = coupa.submit()
    approval_id = coupa.open_approvals("manager.1")[0]
    status, answer = coupa.ask("PUT", f"/approvals/{approval_id}/approve?reason={quote('on behalf')}")
    assert (status, answer["id"]) == (200, requisition_id)
    approval = coupa.get(f"/approvals/{approval_id}")
    assert (approval["approver"]["login"], approval["approved-by"]["login"], approval["note"]) == (
        "manager.1",
        "finsync",
        "on behalf",
    )
    said = {"errors": {"approval": ["Approval is approved; only a pending approval can be decided"]}}
    assert coupa.ask("PUT", f"/approvals/{approval_id}/approve") == (400, said)


def test_a_held_approval_can_still_be_decided(coupa):
    requisition_id = coupa.submit()
    approval_id = coupa.open_approvals("manager.1")[0]
    coupa.ask("PUT", f"/approvals/{approval_id}/hold?reason=later")
    assert coupa.requisition(requisition_id)["current-approval"]["status"] == "on_hold"
    coupa.approve(approval_id=approval_id, by="manager.1")
    assert coupa.open_approvals("finsync")


def test_a_rejected_requisition_is_a_draft_that_carries_the_reason(coupa):
    requisition_id = coupa.submit()
    coupa.ask("PUT", f"/approvals/{coupa.open_approvals('manager.1')[0]}/reject?reason=too%20dear")
    shown = coupa.requisition(requisition_id)
    assert (shown["status"], shown["reject-reason-comment"]) == ("draft", "too dear")
    assert coupa.pending_approval(requisition_id) is None


def test_a_withdrawn_requisition_waits_for_nobody(coupa):
    requisition_id = coupa.submit()
    coupa.withdraw(requisition_id=requisition_id, by="buyer.1")
    assert coupa.requisition(requisition_id)["status"] == "withdrawn"
    assert coupa.open_approvals("manager.1") == []
    with pytest.raises(ValueError, match="is withdrawn and cannot be withdrawn"):
        coupa.withdraw(requisition_id=requisition_id, by="buyer.1")


def test_editing_a_pending_requisition_begins_its_approvals_anew(coupa):
    requisition_id = coupa.submit()
    coupa.approve(approval_id=coupa.open_approvals("manager.1")[0], by="manager.1")
    coupa.clock.forward(minutes=5)
    coupa.edit_requisition(requisition_id=requisition_id, by="buyer.1", lines=[coupa.line(quantity="1")])
    shown = coupa.requisition(requisition_id)
    assert (shown["total"], shown["updated-at"]) == ("450.00", "2026-03-02T02:05:00-07:00")
    assert [(row["position"], row["approver"]["login"]) for row in shown["approvals"]] == [(1, "manager.1")]
    assert [row["status"] for row in coupa.get(f"/approvals?approvable_id={requisition_id}")] == [
        "approved",
        "cancelled",
        "pending_approval",
    ]


def test_a_reference_on_an_approved_requisition_makes_the_order_that_carries_it(coupa):
    requisition_id, order_id = coupa.order(coupa.line(), coupa.line(quantity="1"))
    shown, order = coupa.requisition(requisition_id), coupa.get(f"/purchase_orders/{order_id}")
    assert shown["status"] == "ordered"
    assert [line["order-line-id"] for line in shown["requisition-lines"]] == [
        line["id"] for line in order["order-lines"]
    ]
    assert (order["po-number"], order["status"], order["version"], order["exported"]) == (
        "4500000001",
        "issued",
        1,
        False,
    )
    assert [(line["price"], line["total"]) for line in order["order-lines"]] == [
        ("450.00", "900.00"),
        ("450.00", "450.00"),
    ]


def test_giving_the_same_reference_again_makes_no_second_order(coupa):
    requisition_id, _ = coupa.order()
    assert coupa.ask("PUT", f"/requisitions/{requisition_id}", {"external-po-reference": "4500000001"})[0] == 200
    assert len(coupa.orders()) == 1


def test_lines_of_several_suppliers_are_ordered_one_number_at_a_time(coupa):
    other = coupa.register_supplier(name="Rohrbau Nord")
    requisition_id = coupa.submit(coupa.line(), coupa.line(supplier_id=other))
    coupa.approve_all(requisition_id)
    lines = [line["id"] for line in coupa.requisition(requisition_id)["requisition-lines"]]

    def give(line_id, number):
        numbered = {"id": line_id, "custom-fields": {"cf-erp-po-number": number}}
        return coupa.ask("PUT", f"/requisitions/{requisition_id}", {"requisition-lines": [numbered]})

    assert coupa.ask("PUT", f"/requisitions/{requisition_id}", {"external-po-reference": "4500000009"})[0] == 400
    assert give(lines[0], "4500000001")[1]["status"] == "approved"
    assert give(lines[1], "4500000002")[1]["status"] == "ordered"
    assert [order["supplier"]["name"] for order in coupa.orders()] == ["Kessel Service", "Rohrbau Nord"]
    assert give(lines[1], "4500000003")[1]["errors"]["requisition"] == [
        f"Requisition line {lines[1]} is already ordered as 4500000002"
    ]


def test_a_reference_is_refused_while_pending_when_taken_or_too_long(coupa):
    coupa.order()
    pending, approved = coupa.submit(), coupa.submit()
    coupa.approve_all(approved)

    def said(requisition_id, reference):
        return coupa.ask("PUT", f"/requisitions/{requisition_id}", {"external-po-reference": reference})[1]["errors"][
            "requisition"
        ][0]

    assert said(pending, "4500000002") == "Requisition is pending_approval; only an approved one can be ordered"
    assert said(approved, "4500000001") == "External PO reference has already been taken"
    assert said(approved, "4" * 21) == "PO number is too long (maximum is 20 characters)"
    assert coupa.ask("PUT", f"/requisitions/{approved}", {"requisition-lines": [{"id": 1}]})[0] == 400


def test_the_exported_call_ignores_whatever_else_it_carries(coupa):
    _, order_id = coupa.order()
    body = {"custom-fields": {"cf-erp-status": "lost"}}
    status, order = coupa.ask("PUT", f"/purchase_orders/{order_id}?exported=true", body)
    assert (status, order["exported"], order["custom-fields"]) == (200, True, {})
    assert order["last-exported-at"] == "2026-03-02T02:00:00-07:00"
    assert coupa.ask("PUT", f"/purchase_orders/{order_id}?exported=perhaps")[0] == 400


def test_a_revision_on_the_screen_resets_the_exported_flag_and_an_edit_over_the_api_does_not(coupa):
    _, order_id = coupa.order(coupa.line(splits=[("4711", "50"), ("4712", "50")]))
    coupa.ask("PUT", f"/purchase_orders/{order_id}?exported=true")
    _, order = coupa.ask("PUT", f"/purchase_orders/{order_id}", {"custom-fields": {"cf-erp-status": "done"}})
    assert (order["exported"], order["version"], order["internal-revision"]) == (True, 1, 2)
    coupa.revise_order(order_id=order_id, by="buyer.1", changes={1: {"quantity": "3"}})
    order = coupa.get(f"/purchase_orders/{order_id}")
    assert (order["exported"], order["version"], order["internal-revision"]) == (False, 2, 3)
    line = order["order-lines"][0]
    assert (line["total"], [part["amount"] for part in line["account-allocations"]]) == (
        "1350.00",
        ["675.0000", "675.0000"],
    )
    assert order["updated-by"]["login"] == "buyer.1"
    with pytest.raises(ValueError, match="has no line 9"):
        coupa.revise_order(order_id=order_id, by="buyer.1", changes={9: {"quantity": "3"}})


def test_a_cancelled_order_keeps_its_version_and_cannot_be_revised(coupa):
    _, order_id = coupa.order()
    coupa.cancel_order(order_id=order_id, by="buyer.1")
    order = coupa.get(f"/purchase_orders/{order_id}")
    assert (order["status"], order["version"], order["exported"]) == ("cancelled", 1, False)
    with pytest.raises(ValueError, match="is cancelled and cannot be revised"):
        coupa.revise_order(order_id=order_id, by="buyer.1", changes={})


def test_a_budget_line_follows_what_is_submitted_ordered_revised_and_cancelled(coupa):
    coupa.set_budget(company_code="1710", cost_centre="4711", period="2026-Q1", amount="10000", currency="EUR")
    coupa.set_budget(company_code="1710", cost_centre="4711", period="2026-Q2", amount="10000", currency="EUR")

    def figures():
        row = coupa.get("/budget_lines?segment_1=1710&segment_2=4711")[0]
        return row["remaining"], row["pending-requisitions-amount"], row["remaining-budget"]

    withdrawn, refused = coupa.submit(), coupa.submit()
    _, order_id = coupa.order()
    assert figures() == ("9100.00", "1800.00", "7300.00")
    coupa.withdraw(requisition_id=withdrawn, by="buyer.1")
    coupa.reject(approval_id=coupa.pending_approval(refused)[0], by="manager.1", comment="no")
    assert figures() == ("9100.00", "0.00", "9100.00")
    coupa.revise_order(order_id=order_id, by="buyer.1", changes={1: {"quantity": "4"}})
    assert figures() == ("8200.00", "0.00", "8200.00")
    edited = coupa.submit()
    coupa.edit_requisition(requisition_id=edited, by="buyer.1", lines=[coupa.line(quantity="1")])
    coupa.cancel_order(order_id=order_id, by="buyer.1")
    assert figures() == ("10000.00", "450.00", "9550.00")
    coupa.set_budget(company_code="1710", cost_centre="4711", period="2026-Q1", amount="500", currency="EUR")
    assert figures() == ("500.00", "450.00", "50.00")
    assert coupa.budget_lines("4711")[0]["period"]["end-date"] == "2026-06-30T00:00:00-07:00"


def test_a_budget_of_one_account_bears_only_that_account(coupa):
    where = {"company_code": "1710", "cost_centre": "4711", "period": "2026-03", "amount": "1000", "currency": "EUR"}
    coupa.set_budget(**where, account="400100")
    coupa.set_budget(**where, account="400200")
    coupa.submit()
    assert {row["segment-3"]: row["pending-requisitions-amount"] for row in coupa.budget_lines("4711")} == {
        "400100": "900.00",
        "400200": "0.00",
    }
    with pytest.raises(ValueError, match="is no period"):
        coupa.set_budget(**{**where, "period": "spring"})


def test_comments_are_written_and_read_back(coupa):
    requisition_id, order_id = coupa.order()
    coupa.comment(requisition_id=requisition_id, by="buyer.1", text="Where is it?")
    status, comment = coupa.ask("POST", f"/requisitions/{requisition_id}/comments", {"comments": "On its way"})
    assert (status, comment["commentable-type"], comment["created-by"]["login"]) == (
        201,
        "RequisitionHeader",
        "finsync",
    )
    assert [row["comments"] for row in coupa.get(f"/requisitions/{requisition_id}/comments")] == [
        "Where is it?",
        "On its way",
    ]
    assert coupa.comments(requisition_id) == coupa.get(f"/requisitions/{requisition_id}/comments?order_by=id")
    assert coupa.get(f"/requisitions/{requisition_id}/comments?id[gt]={comment['id']}") == []
    assert coupa.ask("POST", f"/purchase_orders/{order_id}/comments", {"comments": "Hello"})[0] == 201
    assert coupa.ask("POST", f"/requisitions/{requisition_id}/comments", {"comments": " "})[0] == 400
    assert coupa.ask("POST", f"/requisitions/{requisition_id}/comments", ["no object"])[0] == 400


def test_users_are_found_by_login_and_mail(coupa):
    by_login, by_mail = coupa.get("/users?login=buyer.1"), coupa.get("/users?email=buyer.1@sandbox.example")
    assert by_login == by_mail
    assert by_login[0]["manager"]["fullname"] == "Plant Manager"
    assert coupa.get(f"/users/{by_login[0]['id']}") == by_login[0]
    with pytest.raises(ValueError, match="there is no user nobody"):
        coupa.add_user(login="x", full_name="X", email="", manager="nobody")


def test_a_supplier_is_changed_on_the_screen_and_over_the_api(coupa):
    coupa.clock.forward(minutes=1)
    coupa.update_supplier(supplier_id=301, on_hold=True)
    _, row = coupa.ask("PUT", "/suppliers/301", {"number": "17300099", "colour": "red", "id": 1})
    assert (row["id"], row["number"], row["on-hold"], "colour" in row) == (301, "17300099", True, False)
    assert coupa.get("/suppliers?number=17300099")[0]["updated-at"] == "2026-03-02T02:01:00-07:00"


def test_a_single_answer_can_be_left_out(coupa):
    assert coupa.ask("PUT", f"/requisitions/{coupa.submit()}?return_object=none", {"buyer-note": "seen"}) == (200, None)
    assert coupa.requisition(2001)["buyer-note"] == "seen"


def test_older_instances_show_custom_fields_at_the_top_level():
    coupa = Instance(flat_custom_fields=True)
    requisition_id = coupa.submit()
    coupa.ask("PUT", f"/requisitions/{requisition_id}", {"cf-erp-status": "waiting"})
    shown = coupa.requisition(requisition_id)
    assert (shown["cf-erp-status"], shown["catalogue-checked"], "custom-fields" in shown) == ("waiting", True, False)
    assert (shown["requisition-lines"][0]["plant"], "custom-fields" in shown["requisition-lines"][0]) == (
        "STR-1",
        False,
    )


def test_everything_is_still_there_after_closing_and_opening_the_file(tmp_path):
    ledger = Ledger(tmp_path / "coupa.sqlite")
    before = Instance(ledger)
    requisition_id, order_id = before.order()
    waiting = before.submit()
    before.set_budget(company_code="1710", cost_centre="4711", period="2026", amount="1000", currency="EUR")
    before.comment(requisition_id=requisition_id, by="buyer.1", text="kept")
    ledger.close()
    after = Instance(Ledger(tmp_path / "coupa.sqlite"), before.clock)
    assert after.requisition(requisition_id) == before.requisition(requisition_id)
    assert after.orders() == before.orders()
    assert after.comments(requisition_id) == before.comments(requisition_id)
    assert after.budget_lines("4711") == before.budget_lines("4711")
    assert after.open_approvals("manager.1") == before.open_approvals("manager.1")
    after.approve_all(waiting)
    after.revise_order(order_id=order_id, by="buyer.1", changes={1: {"quantity": "9"}})
    assert after.submit() == waiting + 1


def test_the_same_seed_gives_the_same_records():
    assert Instance(seed=3).order() == Instance(seed=3).order()
    assert Instance(seed=3).token == Instance(seed=3).token
    assert Instance(seed=3).token != Instance(seed=4).token


@pytest.mark.parametrize(
    ("drift", "expected"),
    [
        ("added", {"release_marker", "total"}),
        ("renamed", {"total_v2"}),
        ("removed", set()),
        ("retyped", {"total"}),
    ],
)
def test_schema_drift_hits_lists_of_what_changed_since_the_switch(coupa, drift, expected):
    old = coupa.submit()
    coupa.clock.forward(minutes=1)
    coupa.faults.schema_drift = drift
    new = coupa.submit()
    rows = {row["id"]: row for row in coupa.get("/requisitions")}
    assert rows[new].keys() & {"release_marker", "total", "total_v2"} == expected
    assert rows[old]["total"] == "900.00"
    assert isinstance(rows[new].get("total", {}), dict) == (drift != "added")
    assert coupa.requisition(new)["total"] == "900.00"


def test_news_may_come_twice_and_late(coupa):
    coupa.submit()
    coupa.faults.duplicate_news_share = 1.0
    assert [row["id"] for row in coupa.get("/requisitions")] == [2001, 2001]
    coupa.faults.duplicate_news_share, coupa.faults.out_of_order_share = 0.0, 1.0
    assert coupa.get("/requisitions?updated_at[gt_or_eq]=2026-03-02") == []
    coupa.clock.forward(seconds=4)
    assert len(coupa.get("/requisitions?updated_at[gt_or_eq]=2026-03-02")) == 1


def swagger():
    if not OPENAPI.is_dir():
        pytest.skip("the vendor's contract is not beside the repository")
    paths, definitions = {}, {}
    for file in sorted(OPENAPI.glob("*R39*.json")):
        described = json.loads(file.read_text())
        paths |= described["paths"]
        definitions |= described["definitions"]
    return paths, definitions


SAME = {
    # What the description calls by another type, or not at all, in records of a real instance.
    "currency": "Currency",
    "approver": "UserSimple",
    "current-approval": "Approval",
    "supplier": "Supplier",
    "account": "Account",
    "manager": "UserSimple",
}


def check(row, definition, definitions, where):
    """Every field of a row is a field of the vendor's definition, down into the records inside it."""
    properties = definitions[definition]["properties"]
    for name, value in row.items():
        if name == "custom-fields":
            continue
        assert name in properties, f"{where}: {definition} has no {name}"
        reference = properties[name].get("$ref") or properties[name].get("items", {}).get("$ref", "")
        inner = SAME.get(name, reference.rpartition("/")[2])
        for element in value if isinstance(value, list) else [value]:
            if isinstance(element, dict):
                check(element, inner, definitions, f"{where}.{name}")


def test_every_field_is_in_the_vendors_description(coupa):
    _, definitions = swagger()
    requisition_id, order_id = coupa.order(
        coupa.line(contract="C-12"), coupa.line(splits=[("4711", "50"), ("4712", "50")])
    )
    coupa.set_budget(company_code="1710", cost_centre="4711", period="2026", amount="1000", currency="EUR")
    coupa.register_supplier(name="Rohrbau Nord", country="DE", payment_term="NET30", tax_id="DE123")
    coupa.comment(requisition_id=requisition_id, by="buyer.1", text="Hello")
    check(coupa.requisition(requisition_id), "RequisitionHeader", definitions, "requisition")
    check(coupa.get(f"/purchase_orders/{order_id}"), "OrderHeader", definitions, "order")
    for path, definition in [
        ("/approvals", "Approval"),
        ("/suppliers", "Supplier"),
        ("/budget_lines", "BudgetLine"),
        ("/users", "User"),
        (f"/requisitions/{requisition_id}/comments", "Comment"),
    ]:
        rows = coupa.get(path)
        assert rows
        for row in rows:
            check(row, definition, definitions, path)


def test_every_attribute_a_condition_may_name_is_in_the_vendors_description():
    _, definitions = swagger()
    named = {
        "requisition": "RequisitionHeader",
        "approval": "Approval",
        "supplier": "Supplier",
        "purchase_order": "OrderHeader",
        "budget_line": "BudgetLine",
        "user": "User",
        "comment": "Comment",
    }
    for resource, definition in named.items():
        assert (
            ATTRIBUTES[resource] - {"custom-fields", "current-approval"} <= definitions[definition]["properties"].keys()
        )


def test_every_path_is_in_the_vendors_description(coupa):
    paths, _ = swagger()
    for path, method in [
        ("/requisitions", "get"),
        ("/requisitions/{id}", "put"),
        ("/approvals", "get"),
        ("/approvals/{id}", "get"),
        ("/approvals/{id}/approve", "put"),
        ("/approvals/{id}/reject", "put"),
        ("/approvals/{id}/hold", "put"),
        ("/suppliers/{id}", "put"),
        ("/purchase_orders", "get"),
        ("/purchase_orders/{id}", "put"),
        ("/requisitions/{requisition_id}/comments", "post"),
        ("/purchase_orders/{purchase_order_id}/comments", "post"),
        ("/budget_lines", "get"),
        ("/users", "get"),
    ]:
        assert method in paths[path], path


def test_the_statuses_it_writes_are_the_vendors(coupa):
    _, definitions = swagger()
    refused, withdrawn, approved, _ = coupa.submit(), coupa.submit(), coupa.submit(), coupa.submit()
    coupa.reject(approval_id=coupa.pending_approval(refused)[0], by="manager.1", comment="no")
    coupa.withdraw(requisition_id=withdrawn, by="buyer.1")
    coupa.approve_all(approved)
    coupa.order(number="4500000001")
    _, cancelled = coupa.order(number="4500000002")
    coupa.cancel_order(order_id=cancelled, by="buyer.1")
    written = {row["status"] for row in coupa.get("/requisitions")}
    assert written == {"draft", "withdrawn", "approved", "pending_approval", "ordered"}
    assert written <= set(definitions["RequisitionHeader"]["properties"]["status"]["enum"])
    orders = definitions["OrderHeader"]["properties"]
    assert {row["status"] for row in coupa.orders()} <= set(orders["status"]["enum"])
    assert {row["transmission-status"] for row in coupa.orders()} <= set(orders["transmission-status"]["enum"])
