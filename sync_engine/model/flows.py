"""The flows as tables, one row per step: who is asked, what, how long it may take, and what follows.

Pages, objectives, the README's process table, the crash matrix and the simulator's coverage are derived from these
rows. A step asks a role, never a product: which system plays the role for a business unit is configuration.

    step        name, unique in its flow
    asks        the role that answers; FINSYNC steps are decided here, in batches, inside one transaction
    does        the operation of the connector, or the decision of `engine/decisions`
    objective   seconds within which the step should be done, from the moment it became due
    applies     the named condition under which the step is done at all; without one, always
    done        the lifecycle event when it succeeds (a decision may answer with another event of the table)
    refused     the lifecycle event when it is refused, where the refusal is a state of the document
    otherwise   the step that follows a refusal by a person; without one, the item is parked as an exception
    undone_by   the operation that takes the effect back (R088)
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sync_engine.model.documents import DocumentType

SECOND, MINUTE, HOUR, DAY = 1, 60, 3_600, 86_400


class Role(StrEnum):
    """What a system is to us (R001)."""

    FINSYNC = "finsync"
    PROCUREMENT = "procurement"
    APPROVALS = "approvals"
    ERP = "erp"
    AP_AUTOMATION = "ap_automation"


@dataclass(frozen=True, slots=True)
class Step:
    """One row of a flow."""

    name: str
    asks: Role
    does: str
    objective_s: int
    done: str | None = None
    refused: str | None = None
    applies: str | None = None
    otherwise: str | None = None
    undone_by: str | None = None
    waits_for: str | None = None
    """What has to happen elsewhere before the step can answer, in words for the stuck page."""


class Flow:
    """An ordered table of steps for one document type; the order is the way a document takes."""

    def __init__(
        self, name: str, document_type: DocumentType | None, steps: list[Step], title: str, *, is_beside: bool = False
    ) -> None:
        self.is_beside = is_beside
        """It runs beside the document's own flow: its trouble does not stop the document, whose end does not stop it."""
        self.name = name
        self.title = title
        self.document_type = document_type
        self.steps = tuple(steps)
        self._index = {step.name: i for i, step in enumerate(steps)}
        if len(self._index) != len(steps):
            raise ValueError(f"{name}: two steps with one name")

    @property
    def first(self) -> Step:
        """Where a new document begins."""
        return self.steps[0]

    def step(self, name: str) -> Step:
        """The step called `name`; KeyError when the flow has none."""
        return self.steps[self._index[name]]

    def after(self, name: str) -> Step | None:
        """The step that follows `name`; None at the end. The side road of a refusal is entered only by `otherwise`."""
        following = self._index[name] + 1
        side_roads = {step.otherwise for step in self.steps}
        if name in side_roads:
            return None
        while following < len(self.steps) and self.steps[following].name in side_roads:
            following += 1
        return self.steps[following] if following < len(self.steps) else None


_F, _PRO, _APP, _ERP, _AP = Role.FINSYNC, Role.PROCUREMENT, Role.APPROVALS, Role.ERP, Role.AP_AUTOMATION
_T = DocumentType

# fmt: off
REQUISITION_TO_ORDER = Flow("requisition_to_order", _T.REQUISITION, title="Requisition to order", steps=[
    #    step                     asks   does                        objective   done
    Step("validate_requisition",  _F,    "validate_requisition",     1 * MINUTE, "validated"),
    Step("read_budget",           _PRO,  "read_budget",              2 * MINUTE, "budget_read"),
    Step("read_erp_context",      _ERP,  "read_budget_context",      2 * MINUTE, "erp_context_read"),
    Step("check_policies",        _F,    "check_policies",           2 * MINUTE, "budget_confirmed"),
    Step("request_approval",      _APP,  "request_approval",         5 * MINUTE, "approval_requested", applies="needs_exception_approval", undone_by="cancel_approval"),
    Step("await_approval",        _F,    "await_approval",           3 * DAY,    "approval_completed", otherwise="propagate_refusal", waits_for="approvers"),
    Step("check_segregation",     _F,    "check_segregation",        1 * MINUTE, "segregation_confirmed"),
    Step("propagate_decision",    _PRO,  "record_decision",          5 * MINUTE, "decision_propagated"),
    Step("draft_orders",          _F,    "draft_orders",             1 * MINUTE, "orders_drafted"),
    Step("await_orders",          _F,    "await_orders",            30 * MINUTE, "orders_confirmed", waits_for="the ERP"),
    Step("propagate_refusal",     _PRO,  "record_refusal",           5 * MINUTE, "refusal_propagated"),
])

ORDER_TO_FULFILMENT = Flow("order_to_fulfilment", _T.PURCHASE_ORDER, title="Order to fulfilment", steps=[
    Step("create_purchase_order", _ERP,  "create_purchase_order",    5 * MINUTE, "order_accepted", refused="order_refused", undone_by="cancel_purchase_order"),
    Step("verify_commitment",     _ERP,  "read_commitment",          5 * MINUTE, "commitment_confirmed"),
    Step("return_order_number",   _PRO,  "return_order_number",      5 * MINUTE, "order_number_returned"),
    Step("mark_exported",         _PRO,  "mark_exported",            5 * MINUTE, "export_marked"),
    Step("await_fulfilment",      _F,    "await_fulfilment",        45 * DAY,    "invoiced_in_full", waits_for="goods and invoice"),
])

ORDER_CANCELLATION = Flow("order_cancellation", None, title="Order cancellation", is_beside=True, steps=[
    Step("check_cancellable",     _F,    "check_cancellable",        5 * MINUTE, "cancellation_begun"),
    Step("cancel_order",          _ERP,  "cancel_purchase_order",    5 * MINUTE, "order_cancelled"),
    Step("settle_cancellation",   _F,    "settle_cancellation",      1 * MINUTE),
    Step("return_cancellation",   _PRO,  "cancel_order",             5 * MINUTE),
])

CHANGE_ORDER = Flow("change_order", _T.CHANGE_ORDER, title="Change order", steps=[
    Step("validate_change",       _F,    "validate_change",          1 * MINUTE, "change_validated"),
    Step("request_change_approval", _APP, "request_approval",        5 * MINUTE, "change_approval_requested", applies="needs_exception_approval", undone_by="cancel_approval"),
    Step("await_change_approval", _F,    "await_change_approval",    3 * DAY,    "change_approved", waits_for="approvers"),
    Step("update_purchase_order", _ERP,  "update_purchase_order",    5 * MINUTE, "change_accepted", refused="change_refused"),
    Step("apply_change",          _F,    "apply_change",             1 * MINUTE),
    Step("return_change",         _PRO,  "return_change",            5 * MINUTE, "change_returned"),
])

GOODS_RECEIPT = Flow("goods_receipt", _T.GOODS_RECEIPT, title="Goods receipt", steps=[
    Step("apply_receipt",         _F,    "apply_receipt",            5 * MINUTE, "receipt_applied"),
])

INVOICE_TO_PAYMENT_READINESS = Flow("invoice_to_payment_readiness", _T.INVOICE, title="Invoice to payment readiness", steps=[
    Step("acknowledge_invoice",   _AP,   "acknowledge_invoice",      5 * MINUTE, "acknowledged"),
    Step("validate_invoice",      _F,    "validate_invoice",         1 * MINUTE, "invoice_validated"),
    Step("check_duplicate",       _F,    "check_duplicate_invoice",  1 * MINUTE, "duplicate_excluded"),
    Step("match_invoice",         _F,    "match_invoice",           10 * DAY,    "matched", waits_for="the goods receipt"),
    Step("request_match_review",  _APP,  "request_match_review",     5 * MINUTE, "review_requested", applies="match_is_blocked", undone_by="cancel_approval"),
    Step("await_match_review",    _F,    "await_match_review",       3 * DAY,    "review_approved", applies="match_is_blocked", otherwise="return_refusal", waits_for="the reviewer"),
    Step("release_invoice",       _F,    "release_invoice",          5 * MINUTE, "released"),
    Step("post_invoice",          _ERP,  "create_supplier_invoice",  5 * MINUTE, "invoice_posted", refused="posting_refused", undone_by="cancel_supplier_invoice"),
    Step("return_match_result",   _AP,   "return_match_result",      5 * MINUTE, "match_result_returned"),
    Step("confirm_readiness",     _ERP,  "read_payment_readiness",   1 * DAY,    "payment_ready"),
    Step("await_clearing",        _F,    "await_clearing",          45 * DAY,    "payment_cleared", waits_for="the payment run"),
    Step("return_payment_status", _AP,   "return_payment_status",    5 * MINUTE, "payment_status_returned"),
    Step("return_refusal",        _AP,   "return_refusal",           5 * MINUTE, "refusal_returned"),
])

POSTING_STATUS = Flow("posting_status", _T.POSTING, title="Posting status", steps=[
    Step("apply_posting",         _F,    "apply_posting",            5 * MINUTE, "posting_applied"),
    Step("await_settlement",      _F,    "await_settlement",        60 * DAY,    "clearing_applied", waits_for="the payment run"),
])

SUPPLIER_CHECK = Flow("supplier_check", _T.SUPPLIER, title="Supplier check", steps=[
    Step("validate_supplier",     _F,    "validate_supplier",        5 * MINUTE, "supplier_validated"),
    Step("exclude_duplicates",    _F,    "exclude_duplicate_suppliers", 5 * MINUTE, "duplicates_excluded"),
    Step("confirm_supplier",      _ERP,  "read_supplier",            1 * DAY,    "supplier_confirmed"),
])

APPROVAL_WITHDRAWAL = Flow("approval_withdrawal", None, title="Withdrawal of requests for approval", is_beside=True, steps=[
    Step("choose_withdrawals",    _F,    "choose_withdrawals",       5 * MINUTE),
    Step("withdraw_approvals",    _APP,  "cancel_approval",         15 * MINUTE, "approval_withdrawn", applies="asked_in_vain"),
])

EXCEPTION_REMEDIATION = Flow("exception_remediation", None, title="Exception remediation", steps=[
    Step("create_task",           _APP,  "create_remediation_task", 15 * MINUTE),
    Step("tell_procurement",      _PRO,  "tell_procurement",        15 * MINUTE, applies="procurement_should_know"),
    Step("await_closure",         _F,    "await_closure",           10 * DAY,    waits_for="the exception's owner"),
    Step("close_task",            _APP,  "close_remediation_task",  15 * MINUTE),
    Step("tell_procurement_closed", _PRO, "tell_procurement_closed", 15 * MINUTE, applies="procurement_should_know"),
])
# fmt: on

FLOWS: dict[str, Flow] = {
    flow.name: flow
    for flow in (
        REQUISITION_TO_ORDER,
        ORDER_TO_FULFILMENT,
        ORDER_CANCELLATION,
        CHANGE_ORDER,
        GOODS_RECEIPT,
        INVOICE_TO_PAYMENT_READINESS,
        POSTING_STATUS,
        SUPPLIER_CHECK,
        APPROVAL_WITHDRAWAL,
        EXCEPTION_REMEDIATION,
    )
}

STEPS = [f"{flow.name}.{step.name}" for flow in FLOWS.values() for step in flow.steps]
"""Every step there is, as "flow.step". An engine takes no others: a later release that runs beside it may have begun them."""

ENDS_APPROVALS = frozenset({"changed", "withdrawn", "procurement_rejected", "abandoned"})
"""Lifecycle events after which nobody wants an answer any more to what was asked before them."""

FLOW_OF: dict[DocumentType, Flow] = {
    flow.document_type: flow for flow in FLOWS.values() if flow.document_type is not None
}
"""The flow a new document of a type enters. Approvals have none: they are decided elsewhere and only watched."""

ASKS_PEOPLE: dict[DocumentType, Step] = {
    document_type: step
    for document_type, flow in FLOW_OF.items()
    for step in flow.steps
    if step.undone_by == "cancel_approval"
}
"""The step at which people are asked for an approval, by the type of the document it is about."""

APPLIES: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    "needs_exception_approval": lambda facts: bool(facts.get("route_reasons")),
    "match_is_blocked": lambda facts: bool(facts.get("variances")),
    "asked_in_vain": lambda facts: bool(facts.get("approval_keys")),
    "procurement_should_know": lambda facts: bool(facts.get("procurement_should_know")),
}
"""The conditions that steps name, each over what earlier steps of the flow learned."""


def next_step(flow: Flow, after: str, facts: Mapping[str, Any]) -> Step | None:
    """The step that follows, leaving out those whose condition does not hold; None at the end of the flow."""
    step = flow.after(after)
    while step is not None and step.applies is not None and not APPLIES[step.applies](facts):
        step = flow.after(step.name)
    return step
