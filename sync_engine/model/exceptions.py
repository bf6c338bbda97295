"""The kinds of exception a document can meet: category, owner, whether repeating helps, and what to do next.

The four categories are exhaustive and exclusive (PRODUCT.md R138). Pages, alerts and the README's error table are
derived from `KINDS`; a test holds the README to it.
"""

from dataclasses import dataclass
from enum import StrEnum


class Category(StrEnum):
    """What kind of trouble this is, which decides who owns it."""

    MASTER_DATA = "master_data"
    POLICY = "policy"
    ERP_POSTING = "erp_posting"
    EXTERNAL_OUTAGE = "external_outage"


class Retryable(StrEnum):
    """Whether doing the same again can help."""

    AUTO = "auto"  # the engine keeps trying by itself
    AFTER_FIX = "after_fix"  # once somebody has repaired the cause
    NEVER = "never"  # it needs a different decision


class Origin(StrEnum):
    """Where the cause lies."""

    SOURCE = "source"
    HUB = "hub"
    TARGET = "target"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of exception, in the words of the people who meet it."""

    code: str
    category: Category
    origin: Origin
    retryable: Retryable
    owner_team: str
    title: str
    next_step: str


_FIN, _PROC, _INT = "finance operations", "procurement", "integration support"
_M, _P, _E, _O = Category.MASTER_DATA, Category.POLICY, Category.ERP_POSTING, Category.EXTERNAL_OUTAGE
_AUTO, _FIX, _NEVER = Retryable.AUTO, Retryable.AFTER_FIX, Retryable.NEVER

# fmt: off
_KINDS = [
    #    code                      cat  origin          retry   owner  title                                        next step
    Kind("field_invalid",          _M, Origin.SOURCE, _FIX,   _PROC, "A field is missing or cannot be read",      "Correct the field in the source system; the next version is taken up by itself."),
    Kind("contract_change",        _M, Origin.SOURCE, _FIX,   _INT,  "A message does not have the agreed shape",  "Compare the message with the system's release notes, adapt the mapping, then reprocess."),
    Kind("lines_do_not_sum",       _M, Origin.SOURCE, _FIX,   _PROC, "The lines do not add up to the total",      "Correct the amounts in the source system; the next version is taken up by itself."),
    Kind("currency_unknown",       _M, Origin.SOURCE, _FIX,   _FIN,  "The currency is not known",                 "Correct the currency, or add its rate to the currency table, then reprocess."),
    Kind("cost_centre_missing",    _M, Origin.SOURCE, _FIX,   _PROC, "No cost centre is given",                   "Ask the requester for a cost centre; the next version is taken up by itself."),
    Kind("cost_centre_unknown",    _M, Origin.HUB,    _FIX,   _FIN,  "The cost centre is not in the hierarchy",   "Add the cost centre to the mapping or choose another, then reprocess."),
    Kind("cost_centre_blocked",    _M, Origin.TARGET, _FIX,   _FIN,  "The cost centre is blocked",                "Unblock the cost centre in the ERP or choose another, then reprocess."),
    Kind("account_invalid",        _M, Origin.TARGET, _FIX,   _FIN,  "The account assignment is not valid",       "Correct the account assignment, then reprocess."),
    Kind("supplier_unknown",       _M, Origin.HUB,    _FIX,   _PROC, "The supplier is not known in the ERP",      "It goes on by itself as soon as the supplier is here and ready; if it stays, link the supplier to its ERP number in the cross-reference, then reprocess."),
    Kind("supplier_not_ready",     _M, Origin.HUB,    _FIX,   _PROC, "The supplier is not ready to trade",        "Finish the supplier's tax validation and duplicate check; it goes on by itself as soon as the supplier is ready."),
    Kind("supplier_blocked",       _M, Origin.TARGET, _FIX,   _FIN,  "The supplier is blocked in the ERP",        "Clear the block with the supplier's owner, then reprocess."),
    Kind("supplier_duplicate",     _M, Origin.HUB,    _NEVER, _PROC, "The supplier may exist twice",              "Decide which record survives and link the other to it."),
    Kind("supplier_tax_invalid",   _M, Origin.SOURCE, _FIX,   _PROC, "The supplier's tax number is not valid",    "Ask the supplier for the right tax number; the next version is taken up by itself."),
    Kind("value_unmapped",         _M, Origin.HUB,    _FIX,   _INT,  "A value has no entry in the mapping",       "Add the value to the mapping, then reprocess."),
    Kind("status_unmapped",        _M, Origin.SOURCE, _FIX,   _INT,  "A status word is not known",                "Add the word to the system's status table, then reprocess the message."),
    Kind("order_unknown",          _M, Origin.HUB,    _AUTO,  _INT,  "The order it refers to is not known here",  "It is taken up as soon as the order arrives; check the number if it stays."),
    Kind("budget_exceeded",        _P, Origin.PERSON, _FIX,   _FIN,  "The budget does not cover it",              "Raise the budget, reduce the amount, or reject the requisition."),
    Kind("budget_conflict",        _P, Origin.TARGET, _FIX,   _FIN,  "Procurement and ERP disagree on the budget", "Compare both budget figures on the trace, correct the wrong one, then reprocess."),
    Kind("segregation_of_duties",  _P, Origin.PERSON, _NEVER, _FIN,  "One person requested and approved",         "Have somebody else approve; the old approval does not count."),
    Kind("approval_conflict",      _P, Origin.PERSON, _FIX,   _PROC, "Two systems disagree on the approval",      "Settle the decision in the system that owns it, then reprocess."),
    Kind("duplicate_order",        _P, Origin.SOURCE, _NEVER, _PROC, "It looks like an order that exists",        "Compare both; cancel this one or accept it as a new order with a reason."),
    Kind("duplicate_invoice",      _P, Origin.SOURCE, _NEVER, _FIN,  "It looks like an invoice that exists",      "Compare both; reject this one or accept it with a reason."),
    Kind("order_missing",          _P, Origin.SOURCE, _FIX,   _FIN,  "The invoice names no order",                "Ask the supplier for the order number or code it without an order."),
    Kind("receipt_missing",        _P, Origin.PERSON, _AUTO,  _PROC, "The goods receipt is missing",              "Ask the receiver to post the receipt; the match repeats by itself."),
    Kind("quantity_variance",      _P, Origin.SOURCE, _FIX,   _FIN,  "More is invoiced than was received",        "Review in the approval tool: accept the variance or ask for a credit note."),
    Kind("price_variance",         _P, Origin.SOURCE, _FIX,   _FIN,  "The price is not the ordered price",        "Review in the approval tool: accept the variance or ask for a credit note."),
    Kind("amount_variance",        _P, Origin.SOURCE, _FIX,   _FIN,  "The amount is outside its tolerance",       "Review in the approval tool: accept the variance or ask for a credit note."),
    Kind("date_variance",          _P, Origin.SOURCE, _FIX,   _FIN,  "It was invoiced too early",                 "Wait for the agreed date or accept the variance in the approval tool."),
    Kind("review_refused",         _P, Origin.PERSON, _NEVER, _FIN,  "The reviewer refused the invoice",          "Return the invoice to the supplier with the reviewer's reason."),
    Kind("period_closed",          _E, Origin.TARGET, _FIX,   _FIN,  "The posting period is closed",              "Open the period or wait until the next one opens, then reprocess."),
    Kind("document_locked",        _E, Origin.TARGET, _AUTO,  _INT,  "Somebody has the document open in the ERP", "The engine repeats it; ask the user to leave the document if it stays."),
    Kind("document_changed",       _E, Origin.TARGET, _AUTO,  _INT,  "The document changed while we worked on it", "The engine reads it again and repeats."),
    Kind("order_refused",          _E, Origin.TARGET, _FIX,   _FIN,  "The ERP refused the order",                 "Read the ERP's message, repair its cause, then reprocess."),
    Kind("posting_refused",        _E, Origin.TARGET, _FIX,   _FIN,  "The ERP refused the posting",               "Read the ERP's message, repair its cause, then reprocess."),
    Kind("refused",                _E, Origin.TARGET, _FIX,   _FIN,  "The system refused the request",            "Read the system's message, repair its cause, then reprocess."),
    Kind("cancellation_refused",   _E, Origin.TARGET, _FIX,   _FIN,  "The order can no longer be cancelled",      "Return the goods or reverse the invoice, then reprocess; or keep the order and close this."),
    Kind("commitment_missing",     _E, Origin.TARGET, _FIX,   _FIN,  "The order has no commitment entry",         "Check commitment posting for the order in the ERP, then reprocess."),
    Kind("effect_conflict",        _E, Origin.TARGET, _FIX,   _INT,  "The ERP holds something else under our reference", "Compare what differs; correct or delete the document there, then reprocess: it is looked up first."),
    Kind("payment_blocked",        _E, Origin.TARGET, _FIX,   _FIN,  "The invoice is blocked for payment",        "Clear the blocking reason in the ERP; readiness is checked again by itself."),
    Kind("answer_lost",            _O, Origin.TARGET, _AUTO,  _INT,  "Sent, and the answer was lost",             "The engine looks in the target before it sends again."),
    Kind("system_unavailable",     _O, Origin.TARGET, _AUTO,  _INT,  "A system does not answer",                  "The engine repeats it; see Integration health for the outage."),
    Kind("rate_limited",           _O, Origin.TARGET, _AUTO,  _INT,  "A system asks us to slow down",             "The engine waits as long as the system asks."),
    Kind("access_refused",         _O, Origin.HUB,    _FIX,   _INT,  "A system refuses our credentials",          "Renew the credentials or the scope; run finsync doctor."),
    Kind("unexpected",             _O, Origin.HUB,    _FIX,   _INT,  "Something happened that nobody planned for", "Send the case to engineering with its dump; reprocess after the repair."),
]
# fmt: on

KINDS: dict[str, Kind] = {kind.code: kind for kind in _KINDS}


def kind_of(code: str) -> Kind:
    """The kind called `code`; an unknown code is shown as `unexpected`, never dropped."""
    return KINDS.get(code, KINDS["unexpected"])
