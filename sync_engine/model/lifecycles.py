"""The states a document can be in and the only moves between them, per document type.

Three things move apart (PRODUCT.md R099): `state` is where the document stands in our process, `approval_status` is
what the business agreed, `posting_status` is what the ledger accepted. A row says which event takes which state to
which, and what it does to the other two. Events that a flow emits must be in the table, or they are a bug
(`IllegalMove`); news from a system that no row allows is late or out of order and is kept as evidence.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from sync_engine.model.documents import ApprovalStatus, DocumentType, PostingStatus


class Status(NamedTuple):
    """Where a document stands, in all three senses."""

    state: str
    approval_status: ApprovalStatus
    posting_status: PostingStatus


class IllegalMove(Exception):
    """An event that the table does not allow in this state: a bug in a flow, never a business event."""


@dataclass(frozen=True, slots=True)
class Move:
    """One row: this event takes `source` to `target`."""

    source: str
    event: str
    target: str
    approval_status: ApprovalStatus | None = None
    posting_status: PostingStatus | None = None


_A, _P = ApprovalStatus, PostingStatus

APPROVAL_MOVES: dict[ApprovalStatus, frozenset[ApprovalStatus]] = {
    _A.NOT_REQUIRED: frozenset({_A.PENDING, _A.APPROVED, _A.WITHDRAWN}),
    _A.PENDING: frozenset({_A.APPROVED, _A.REJECTED, _A.WITHDRAWN, _A.CONFLICT, _A.NOT_REQUIRED}),
    _A.APPROVED: frozenset({_A.PENDING, _A.WITHDRAWN, _A.CONFLICT, _A.REJECTED}),
    _A.REJECTED: frozenset({_A.PENDING, _A.CONFLICT}),
    _A.WITHDRAWN: frozenset(),
    _A.CONFLICT: frozenset({_A.APPROVED, _A.REJECTED, _A.PENDING, _A.WITHDRAWN}),
}

POSTING_MOVES: dict[PostingStatus, frozenset[PostingStatus]] = {
    _P.NOT_SUBMITTED: frozenset({_P.UNKNOWN, _P.REFUSED, _P.ACCEPTED, _P.POSTED, _P.BLOCKED}),
    _P.UNKNOWN: frozenset({_P.NOT_SUBMITTED, _P.REFUSED, _P.ACCEPTED, _P.POSTED, _P.BLOCKED}),
    _P.REFUSED: frozenset({_P.UNKNOWN, _P.ACCEPTED, _P.POSTED, _P.BLOCKED, _P.NOT_SUBMITTED}),
    _P.ACCEPTED: frozenset({_P.REVERSED, _P.POSTED}),
    _P.BLOCKED: frozenset({_P.POSTED, _P.CLEARED, _P.REVERSED}),
    _P.POSTED: frozenset({_P.BLOCKED, _P.CLEARED, _P.REVERSED}),
    _P.CLEARED: frozenset({_P.REVERSED, _P.POSTED}),
    _P.REVERSED: frozenset(),
}


class Lifecycle:
    """The moves of one document type; `initial` is where a new one starts."""

    def __init__(self, document_type: DocumentType, initial: Status, final: Iterable[str], moves: list[Move]) -> None:
        self.document_type = document_type
        self.initial = initial
        self.final = frozenset(final)
        self.moves = {(move.source, move.event): move for move in moves}
        if len(self.moves) != len(moves):
            raise ValueError(f"{document_type}: two rows for one state and event")
        self.states = tuple(dict.fromkeys([initial.state, *(s for m in moves for s in (m.source, m.target))]))
        self.events = frozenset(move.event for move in moves)

    def after(self, status: Status, event: str) -> Status:
        """The status after `event`.

        Raises:
            IllegalMove: no row for this event in this state, or it would move one of the statuses backwards.
        """
        move = self.moves.get((status.state, event))
        if move is None:
            raise IllegalMove(f"{self.document_type}: '{event}' is not allowed in {status.state}")
        approval = move.approval_status or status.approval_status
        posting = move.posting_status or status.posting_status
        if approval is not status.approval_status and approval not in APPROVAL_MOVES[status.approval_status]:
            raise IllegalMove(f"{self.document_type}: '{event}' cannot make {status.approval_status} {approval}")
        if posting is not status.posting_status and posting not in POSTING_MOVES[status.posting_status]:
            raise IllegalMove(f"{self.document_type}: '{event}' cannot make {status.posting_status} {posting}")
        return Status(move.target, approval, posting)

    def allows(self, status: Status, event: str) -> bool:
        """Whether `after` would answer."""
        try:
            self.after(status, event)
        except IllegalMove:
            return False
        return True

    def is_final(self, state: str) -> bool:
        """Whether nothing more is expected to happen to a document in `state`."""
        return state in self.final


def _in(states: Iterable[str], event: str, target: str | None = None, **statuses: object) -> list[Move]:
    """The same event in several states; without a target the state stays."""
    return [Move(state, event, target or state, **statuses) for state in states]  # type: ignore[arg-type]


# fmt: off
REQUISITION = Lifecycle(DocumentType.REQUISITION, Status("received", _A.PENDING, _P.NOT_SUBMITTED), {"ordered", "rejected", "cancelled"}, [
    #    from                  event                    to                   business agreed   ledger accepted
    Move("received",           "validated",             "awaiting_budget"),
    Move("awaiting_budget",    "budget_read",           "awaiting_budget"),
    Move("awaiting_budget",    "erp_context_read",      "awaiting_budget"),
    Move("awaiting_budget",    "budget_confirmed",      "awaiting_approval"),
    Move("awaiting_approval",  "approval_requested",    "awaiting_approval", _A.PENDING),
    Move("awaiting_approval",  "approval_completed",    "approved",          _A.APPROVED),
    Move("awaiting_approval",  "approval_refused",      "refused",           _A.REJECTED),
    Move("approved",           "segregation_confirmed", "approved"),
    Move("approved",           "decision_propagated",   "approved"),
    Move("approved",           "orders_drafted",        "ordering"),
    Move("ordering",           "orders_confirmed",      "ordered",           None,             _P.ACCEPTED),
    Move("ordering",           "orders_cancelled",      "cancelled",         _A.WITHDRAWN),
    Move("ordered",            "orders_cancelled",      "cancelled",         _A.WITHDRAWN,     _P.REVERSED),
    Move("refused",            "refusal_propagated",    "rejected"),
    *_in(["received", "awaiting_budget", "awaiting_approval", "rejected"], "changed", "received", approval_status=_A.PENDING),  # resubmitted after a rejection too
    *_in(["received", "awaiting_budget", "awaiting_approval"], "procurement_rejected", "rejected", approval_status=_A.REJECTED),
    *_in(["received", "awaiting_budget", "awaiting_approval", "approved"], "withdrawn", "cancelled", approval_status=_A.WITHDRAWN),
    *_in(["received", "awaiting_budget"], "procurement_approved", approval_status=_A.APPROVED),  # R048: approved, awaiting budget
    Move("awaiting_approval",  "procurement_approved",  "awaiting_approval"),
    *_in(["received", "awaiting_budget", "awaiting_approval", "approved"], "abandoned", "cancelled", approval_status=_A.WITHDRAWN),
    Move("refused",            "abandoned",             "cancelled"),  # a refusal is not withdrawn by giving up
    *_in(["approved", "ordering", "ordered"], "approval_contradicted", approval_status=_A.CONFLICT),
])

APPROVAL = Lifecycle(DocumentType.APPROVAL, Status("requested", _A.PENDING, _P.NOT_SUBMITTED), {"approved", "rejected", "cancelled"}, [
    Move("requested",          "approval_granted",      "approved",          _A.APPROVED),
    Move("requested",          "approval_denied",       "rejected",          _A.REJECTED),
    Move("requested",          "approval_cancelled",    "cancelled",         _A.WITHDRAWN),
])

_ORDER_LIVE = ["ordered", "partially_received", "received"]
PURCHASE_ORDER = Lifecycle(DocumentType.PURCHASE_ORDER, Status("drafted", _A.APPROVED, _P.NOT_SUBMITTED), {"closed", "cancelled"}, [
    *_in(["drafted", "requested", "refused"], "order_accepted", "posted",    posting_status=_P.ACCEPTED),
    *_in(["drafted", "requested", "refused"], "order_refused",  "refused",   posting_status=_P.REFUSED),
    *_in(["drafted", "requested", "refused"], "answer_lost",    "requested", posting_status=_P.UNKNOWN),
    Move("posted",             "commitment_confirmed",  "committed"),
    Move("committed",          "order_number_returned", "returned"),
    Move("returned",           "export_marked",         "ordered"),
    Move("ordered",            "goods_received",        "partially_received"),
    *_in(["ordered", "partially_received"], "goods_received_in_full", "received"),
    Move("partially_received", "goods_received",        "partially_received"),
    *_in(["partially_received", "received"], "receipt_reversed", "ordered"),
    Move("received",           "receipt_partly_reversed", "partially_received"),
    *_in(_ORDER_LIVE, "invoiced_in_full", "closed"),
    *_in([*_ORDER_LIVE, "closed"], "order_changed", "ordered"),
    *_in(["drafted", "refused"], "abandoned", "cancelled", approval_status=_A.WITHDRAWN),
    *_in(["posted", "committed", "returned", *_ORDER_LIVE], "cancellation_begun"),
    *_in(["posted", "committed", "returned", *_ORDER_LIVE], "order_cancelled", "cancelled", posting_status=_P.REVERSED),
])

CHANGE_ORDER = Lifecycle(DocumentType.CHANGE_ORDER, Status("received", _A.PENDING, _P.NOT_SUBMITTED), {"returned", "rejected", "cancelled"}, [
    Move("received",           "change_validated",      "validated"),
    Move("validated",          "change_approval_requested", "validated"),
    Move("validated",          "change_approved",       "approved",          _A.APPROVED),
    Move("validated",          "change_refused_by_approver", "rejected",     _A.REJECTED),
    *_in(["approved", "refused"], "change_accepted", "applied", posting_status=_P.ACCEPTED),
    *_in(["approved", "refused"], "change_refused",  "refused", posting_status=_P.REFUSED),
    *_in(["approved", "refused"], "answer_lost",     posting_status=_P.UNKNOWN),
    Move("applied",            "change_returned",       "returned"),
    *_in(["received", "validated", "approved", "refused"], "abandoned", "cancelled", approval_status=_A.WITHDRAWN),
])

GOODS_RECEIPT = Lifecycle(DocumentType.GOODS_RECEIPT, Status("received", _A.NOT_REQUIRED, _P.POSTED), {"applied"}, [
    Move("received",           "receipt_applied",       "applied"),
])

INVOICE = Lifecycle(DocumentType.INVOICE, Status("received", _A.NOT_REQUIRED, _P.NOT_SUBMITTED), {"paid", "rejected"}, [
    Move("received",           "acknowledged",          "acknowledged"),
    Move("acknowledged",       "invoice_validated",     "validated"),
    Move("validated",          "duplicate_excluded",    "checked"),
    Move("checked",            "receipt_awaited",       "awaiting_receipt"),
    Move("awaiting_receipt",   "receipt_awaited",       "awaiting_receipt"),
    *_in(["checked", "awaiting_receipt"], "matched",       "matched",   approval_status=_A.APPROVED),
    *_in(["checked", "awaiting_receipt"], "match_blocked", "in_review", approval_status=_A.PENDING),
    Move("in_review",          "review_requested",      "in_review"),
    Move("in_review",          "review_approved",       "reviewed",          _A.APPROVED),
    Move("in_review",          "review_refused",        "refused_in_review", _A.REJECTED),
    Move("refused_in_review",  "refusal_returned",      "rejected"),
    *_in(["reviewed", "matched"], "released", "released"),
    Move("reviewed",           "match_blocked",         "in_review",         _A.PENDING),
    *_in(["released", "posting_refused"], "invoice_posted",  "posted",          posting_status=_P.POSTED),
    *_in(["released", "posting_refused"], "invoice_blocked", "payment_blocked", posting_status=_P.BLOCKED),
    *_in(["released", "posting_refused"], "posting_refused", "posting_refused", posting_status=_P.REFUSED),
    *_in(["released", "posting_refused"], "answer_lost",     posting_status=_P.UNKNOWN),
    *_in(["posted", "payment_blocked"], "match_result_returned"),
    Move("posted",             "payment_ready",         "payment_ready"),
    Move("payment_blocked",    "payment_ready",         "payment_ready",     None,             _P.POSTED),
    Move("payment_ready",      "payment_cleared",       "cleared",           None,             _P.CLEARED),
    Move("cleared",            "payment_status_returned", "paid"),
    *_in(["received", "acknowledged", "validated", "checked", "awaiting_receipt", "in_review", "released", "posting_refused"],
         "abandoned", "rejected", approval_status=_A.WITHDRAWN),
])

POSTING = Lifecycle(DocumentType.POSTING, Status("received", _A.NOT_REQUIRED, _P.POSTED), {"cleared", "reversed"}, [
    Move("received",           "posting_applied",       "applied"),
    *_in(["received", "applied"], "clearing_applied", "cleared", posting_status=_P.CLEARED),
    *_in(["received", "applied"], "reversal_applied", "reversed", posting_status=_P.REVERSED),
])

SUPPLIER = Lifecycle(DocumentType.SUPPLIER, Status("received", _A.PENDING, _P.NOT_SUBMITTED), {"ready"}, [
    Move("received",           "supplier_validated",    "validated"),
    Move("validated",          "duplicates_excluded",   "checked"),
    Move("checked",            "supplier_confirmed",    "ready",             _A.APPROVED,      _P.ACCEPTED),
    Move("checked",            "supplier_awaited",      "checked"),
    *_in(["received", "validated", "checked", "ready"], "changed", "received", approval_status=_A.PENDING),
])
# fmt: on

LIFECYCLES: dict[DocumentType, Lifecycle] = {
    lifecycle.document_type: lifecycle
    for lifecycle in (SUPPLIER, REQUISITION, APPROVAL, PURCHASE_ORDER, CHANGE_ORDER, GOODS_RECEIPT, INVOICE, POSTING)
}
