"""Why SAP refuses, in the words of our exception queue: the one place that knows SAP's message classes and numbers."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from collectors.http import Session
from collectors.odata import Outcome, Told, read_one
from collectors.odata_values import bare, key
from collectors.sap_s4hana_bodies import SYSTEM
from sync_engine.model.documents import ChangeOrder, PurchaseOrder, Requisition
from sync_engine.model.errors import AnswerLost, BusinessRejection, MappingError, SyncError, TransientError

BUSINESS_PARTNERS = "API_BUSINESS_PARTNER"

# fmt: off
MESSAGES: dict[str, str] = {
    # class/number                 kind of exception
    "F5/201":                      "period_closed",         # posting period is not open
    "F5/567":                      "period_closed",         # period is not allowed
    "M7/053":                      "period_closed",         # the same, for goods movements and invoices
    "KI/260":                      "cost_centre_blocked",   # blocked against direct postings, or not valid on the day
    "KI/265":                      "cost_centre_unknown",   # does not exist on the day (recalled)
    "KI/235":                      "account_invalid",       # the account requires an assignment to a CO object
    "BP/603":                      "budget_exceeded",
    "BP/604":                      "budget_exceeded",
    "FMCE/002":                    "budget_exceeded",       # the annual budget, in funds management
    "FMAVC/*":                     "budget_exceeded",       # availability control of funds management
    "F5/117":                      "duplicate_invoice",
    "M8/462":                      "duplicate_invoice",
    "06/027":                      "supplier_unknown",      # not created for the purchasing organization
    "ME/802":                      "supplier_blocked",      # blocked (the number is not confirmed, see supplier_refusal)
    "06/016":                      "effect_conflict",       # external document number already assigned
    "SG/105":                      "currency_unknown",      # no exchange rate (recalled)
    "MMPUR_INTEGRATION_PO/002":    "document_locked",       # locked in another session
}
# fmt: on

TRANSIENT = frozenset({"document_locked", "document_changed"})
BY_STATUS = {412: "document_changed", 423: "document_locked"}

# fmt: off
ABOUT: dict[str, str] = {
    # kind of exception      the master data that has to be repaired, as its fact is called
    "cost_centre_blocked":   "cost_centre",
    "cost_centre_unknown":   "cost_centre",
    "budget_exceeded":       "cost_centre",
    "supplier_blocked":      "supplier",
    "supplier_unknown":      "supplier",
    "period_closed":         "company_code",
}
# fmt: on

Concerns = Mapping[str, Iterable[str]]
"""The master data in what was refused: codes, by the name of their fact."""

SUPPLIER_BLOCKS = {
    "PurchasingIsBlocked": "purchasing",
    "PostingIsBlocked": "posting",
    "PaymentIsBlockedForSupplier": "payment",
    "DeletionIndicator": "everything, as it is marked for deletion",
}
COMPANY_BLOCKS = {"SupplierIsBlockedForPosting": "posting", "DeletionIndicator": "everything"}
ORGANIZATION_BLOCKS = {"PurchasingIsBlockedForSupplier": "purchasing", "DeletionIndicator": "everything"}


def kind_of(told: Told) -> str | None:
    """The kind of exception a message stands for; None when the table has none."""
    return MESSAGES.get(told.code) or MESSAGES.get(told.code.partition("/")[0] + "/*")


def refusal(outcome: Outcome, *, doing: str, default: str, concerns: Concerns) -> SyncError:
    """The error for a write that SAP refused.

    Args:
        outcome: What SAP said; the first message with a kind of its own decides.
        doing: What was refused, for the sentence: "the order".
        default: The kind when no message has one.
        concerns: What it may be about. What it is about tells one cause from another: whoever unblocks a cost centre helps all that wait for
            it, and nobody who waits for another.
    """
    errors = outcome.errors or outcome.told or (Told("", f"status {outcome.status}"),)
    known = [told for told in errors if kind_of(told)]
    main = (known or list(errors))[0]
    code = BY_STATUS.get(outcome.status) or kind_of(main) or default
    others = [told for told in errors if told != main]
    said = "; ".join(_sentence(told) for told in (main, *others))
    message = f"SAP refuses {doing}: {said}"
    facts = {"sap_code": main.code, "status": outcome.status, "said": main.text} | _about(code, main.text, concerns)
    kind = TransientError if code in TRANSIENT else BusinessRejection
    return kind(message, system=SYSTEM, code=code, facts=facts)


def concerns_of(document: Requisition | PurchaseOrder | ChangeOrder, suppliers: Iterable[str]) -> Concerns:
    """The master data that a refusal of a document may be about."""
    centres = (bare(part.cost_centre) for line in document.lines for part in line.distributions)
    return {"cost_centre": list(centres), "supplier": list(suppliers), "company_code": [document.company_code]}


def _about(code: str, said: str, concerns: Concerns) -> dict[str, str]:
    """The one code that SAP's sentence names, in whatever language, or the only one there is."""
    name = ABOUT.get(code, "")
    there = list(dict.fromkeys(one for one in concerns.get(name, ()) if one))
    named = [one for one in there if re.search(rf"(?<!\w)0*{re.escape(one)}(?!\w)", said)]
    found = named or there
    return {name: found[0]} if len(found) == 1 else {}


def _sentence(told: Told) -> str:
    return f"{told.text} ({told.code})" if told.code else told.text


@contextmanager
def accepted_but_unread(what: str) -> Iterator[None]:
    """SAP has it; when what it has cannot be read, only a look-up may follow, never a second create.

    Raises:
        AnswerLost: the answer does not have the agreed shape, or a further question was not answered.
    """
    try:
        yield
    except (MappingError, TransientError) as error:
        raise AnswerLost(f"SAP accepted the {what}, and its answer cannot be read: {error}", system=SYSTEM) from error


def supplier_refusal(session: Session, error: SyncError, supplier: str, *, default: str) -> SyncError:
    """The error, or a better one where SAP's message has no kind and the supplier turns out to be the reason.

    Of the message numbers for blocked suppliers the table knows one, and SAP publishes none; the flags on the supplier
    are published.
    """
    if error.code != default:
        return error
    try:
        blocks = supplier_blocks(session, supplier)
    except SyncError:
        return error  # the refusal is certain; why is a courtesy
    if blocks is None:
        message, code = f"{error} Supplier {supplier} does not exist in SAP.", "supplier_unknown"
    elif blocks:
        message, code = f"{error} Supplier {supplier} is blocked for {', '.join(blocks)}.", "supplier_blocked"
    else:
        return error
    return BusinessRejection(message, system=SYSTEM, code=code, facts={**error.facts, "supplier": supplier})


def supplier_blocks(session: Session, supplier: str, *, company_code: str = "") -> list[str] | None:
    """What a supplier is blocked for, each once; None when SAP does not know it.

    Args:
        session: To SAP.
        supplier: Its number.
        company_code: Look at this company's blocks only; empty for every company's.
    """
    query = {"$expand": "to_SupplierCompany,to_SupplierPurchasingOrg"}
    path = key("A_Supplier", supplier)
    found = read_one(session, BUSINESS_PARTNERS, path, query, what="supplier")
    if found is None:
        return None
    blocks = [word for field, word in SUPPLIER_BLOCKS.items() if found.flag(field)]
    if found.text("SupplierProcurementBlock"):
        blocks.append("procurement")
    for company in found.entities("to_SupplierCompany", "supplier in a company"):
        code = company.text("CompanyCode")
        if company_code in {"", code}:
            blocks += _where(
                f"in company {code}", (word for field, word in COMPANY_BLOCKS.items() if company.flag(field))
            )
            blocks += _where(f"in company {code}", ("payment",) if company.text("PaymentBlockingReason") else ())
    for part in found.entities("to_SupplierPurchasingOrg", "supplier in a purchasing organization"):
        words = (word for field, word in ORGANIZATION_BLOCKS.items() if part.flag(field))
        blocks += _where(f"by purchasing organization {part.text('PurchasingOrganization')}", words)
    return list(dict.fromkeys(blocks))


def _where(place: str, words: Iterable[str]) -> list[str]:
    return [f"{word} {place}" for word in words]
