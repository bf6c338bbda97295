"""What SAP is asked about supplier invoices and suppliers: to post, to cancel, whether they may be paid or bought from."""

from datetime import date
from typing import Any

from collectors import odata
from collectors.http import Session
from collectors.odata_values import Entity, Literal, bare, key, literal
from collectors.sap_s4hana_bodies import SYSTEM, asked, invoice_body, supplier_reference
from collectors.sap_s4hana_feeds import LINE_ITEMS
from collectors.sap_s4hana_messages import accepted_but_unread, refusal, supplier_blocks, supplier_refusal
from collectors.sap_s4hana_orders import repeatable
from sync_engine.model.documents import Document, Invoice, Supplier
from sync_engine.model.errors import BusinessRejection, MappingError, SyncError
from sync_engine.model.flows import DAY, HOUR
from sync_engine.model.ports import Answer, Ask, Identifier, Json

INVOICES = "API_SUPPLIERINVOICE_PROCESS_SRV"

READINESS_WAIT_S = 1 * HOUR
BLOCK_WAIT_S = 4 * HOUR
NUMBER_WAIT_S = 1 * DAY
REVERSED_IN_CURRENT_PERIOD = "01"
"""The reason of a cancellation (recalled: reasons are customizing, and 01 comes with the system)."""

POSTED = "5"
# fmt: off
INVOICE_STATUS: dict[str, str] = {
    # SupplierInvoiceStatus (recalled; the EDMX gives the field, not its values)
    POSTED: "posted",
    "A":    "parked",
    "B":    "parked and completed",
    "D":    "entered and held",
    "E":    "parked and released",
}
PAYMENT_BLOCKS: dict[str, str] = {
    # PaymentBlockingReason; a company may define more letters, which are shown as they are
    "A": "blocked for payment",
    "R": "invoice verification: price or quantity is off",
}
# fmt: on


def create_supplier_invoice(session: Session, ask: Ask) -> Answer:
    """Post the invoice. A variance does not fail it: SAP posts and blocks it for payment (the vendor's way).

    SAP repeats its first answer to a request it knows, also when somebody has reversed that invoice since: then it is
    posted as a new request.

    Raises:
        BusinessRejection: SAP does not take it.
        AnswerLost: it may have, and only a look-up can tell.
    """
    invoice = asked(ask, Invoice)
    options = session.state["options"]
    body = invoice_body(
        invoice,
        posted_on=ask.mappings.local_day(invoice.business_unit, ask.now),
        document_type=options.get("invoice_document_type", "RE"),
        order_lines=ask.facts.get("order_lines", ()),
        reference=ask.reference(18),
    )
    gone = ""
    while True:
        headers = repeatable(ask, invoice.invoiced_on, instead_of=gone)
        outcome = odata.create(session, INVOICES, "A_SupplierInvoice", body, headers=headers)
        if not outcome.done:
            doing = f"invoice {invoice.supplier_invoice_number} of supplier {invoice.supplier}"
            concerns = {"supplier": [invoice.supplier], "company_code": [invoice.company_code]}
            error = refusal(outcome, doing=doing, default="posting_refused", concerns=concerns)
            raise supplier_refusal(session, error, invoice.supplier, default="posting_refused")
        with accepted_but_unread("invoice"):
            found = Entity(outcome.values, system=SYSTEM, what="supplier invoice")
            line = _supplier_line(session, found)
            # Repeated answers are kept as they were given: only the posting knows.
            if _number(found) == gone or line is None or not line.flag("IsReversed"):
                return _posted(found, line)
            gone = _number(found)


def find_supplier_invoice(session: Session, ask: Ask) -> Answer | None:
    """The invoice under the supplier's number. Reversed ones and reversals are none.

    Raises:
        BusinessRejection: it is there with another amount or not posted, or it is there twice.
    """
    invoice = asked(ask, Invoice)
    reference = supplier_reference(invoice)
    wanted = {
        "SupplierInvoiceIDByInvcgParty": reference,
        "InvoicingParty": invoice.supplier,
        "CompanyCode": invoice.company_code,
    }
    query = {"$filter": " and ".join(f"{name} eq {literal(value)}" for name, value in wanted.items())}
    listed = odata.read_set(session, INVOICES, "A_SupplierInvoice", query)
    told = [Entity(values, system=SYSTEM, what="supplier invoice") for values in listed.entities]
    # SAP cannot filter by these two.
    live = [found for found in told if not found.flag("IsReversed") and not found.flag("IsReversal")]
    if not live:
        return None
    pairs: dict[str, tuple[Any, Any]] = {
        "gross_amount": (invoice.gross_amount, live[0].amount("InvoiceGrossAmount")),
        "currency": (invoice.currency, live[0].text("DocumentCurrency")),
        "status": ("posted", INVOICE_STATUS.get(live[0].text("SupplierInvoiceStatus"), "unknown")),
        "invoices": (1, len(live)),
    }
    differing = {name: f"{ours}, SAP {theirs}" for name, (ours, theirs) in pairs.items() if ours != theirs}
    if differing:
        number = _number(live[0])
        message = (
            f"SAP's invoice {number} carries number {reference} of supplier {invoice.supplier} and is not invoice "
            f"{invoice.number}: it differs in {', '.join(differing)}"
        )
        raise BusinessRejection(message, system=SYSTEM, code="effect_conflict", facts={"found": number, **differing})
    return _posted(live[0], _supplier_line(session, live[0]))


def _number(found: Entity) -> str:
    return f"{found.bare('SupplierInvoice')}/{found.text('FiscalYear')}"


def _posted(found: Entity, line: Entity | None) -> Answer:
    number, block = _number(found), found.text("PaymentBlockingReason")
    document = ""
    if line is not None:
        document = f"{line.text('CompanyCode')}/{line.bare('AccountingDocument')}/{line.text('FiscalYear')}"
    return Answer(
        facts={"erp_invoice_number": number, "accounting_document": document, "payment_block": block},
        # The accounting document's number is the posting's own; were it the invoice's too, the posting would be lost in
        # the invoice.
        identifiers=(Identifier(SYSTEM, "supplier_invoice", number),),
        event="invoice_blocked" if block else None,
        at=line.moment("CreationDateTime") if line is not None else None,
    )


def _supplier_line(session: Session, found: Entity) -> Entity | None:
    """The supplier's line of the accounting document behind an invoice; None when it cannot be had now.

    The invoice itself does not name its accounting document. The posting stands whether we can read the line or not,
    so that nothing is raised here; the feed of postings brings the document in any case.
    """
    wanted = {
        "CompanyCode": found.text("CompanyCode"),
        "ReferenceDocument": found.bare("SupplierInvoice"),
        "ReferenceDocumentContext": found.text("FiscalYear"),
        "ReferenceDocumentType": "RMRP",
        "FinancialAccountType": "K",
        "Ledger": session.state["options"].get("ledger", "0L"),
    }
    query = {
        "$filter": " and ".join(f"{name} eq {literal(value)}" for name, value in wanted.items()),
        "$select": "CompanyCode,AccountingDocument,FiscalYear,CreationDateTime,IsReversed",
        "$top": "1",
    }
    try:
        listed = odata.read_set(session, LINE_ITEMS, "GLAccountLineItem", query)
        line = next(iter(listed.entities), None)
        return None if line is None else Entity(line, system=SYSTEM, what="supplier line")
    except SyncError:
        return None


def read_payment_readiness(session: Session, ask: Ask) -> Answer:
    """Whether the next payment run would take the invoice; reasons when not (R119).

    Raises:
        BusinessRejection: it was reversed, so that it will never be paid.
        MappingError: a status word that is not in the table.
    """
    found = _read_invoice(session, ask)
    status, block = found.text("SupplierInvoiceStatus"), found.text("PaymentBlockingReason")
    if status not in INVOICE_STATUS:
        message = f"{status!r} is not a known status of a supplier invoice ({_number(found)})"
        facts = {"field": "SupplierInvoiceStatus", "value": status}
        raise MappingError(message, system=SYSTEM, code="status_unmapped", facts=facts)
    if found.flag("IsReversed"):
        message = f"Invoice {_number(found)} was reversed in SAP by {found.bare('ReverseDocument')}"
        raise BusinessRejection(message, system=SYSTEM, code="posting_refused", facts={"invoice": _number(found)})
    reasons = []
    if status != POSTED:
        reasons.append(f"posting (it is {INVOICE_STATUS[status]})")
    if block:
        reasons.append(f"release of payment block {block} ({PAYMENT_BLOCKS.get(block, 'set by the company')})")
    if not reasons:
        return Answer(facts={"ready": True})
    told: Json = {"ready": False, "reasons": reasons}
    return Answer(facts=told, wait_s=READINESS_WAIT_S, waiting_for=" and ".join(reasons))


def cancel_supplier_invoice(session: Session, ask: Ask) -> Answer:
    """Reverse the invoice; reversed already is done.

    Raises:
        BusinessRejection: SAP refuses, as it is paid or the period is closed.
    """
    found = _read_invoice(session, ask)
    number = _number(found)
    if not found.flag("IsReversed"):
        parameters: dict[str, Literal] = {
            "PostingDate": _posting_day(ask.document, ask),
            "ReversalReason": REVERSED_IN_CURRENT_PERIOD,
            "FiscalYear": found.text("FiscalYear"),
            "SupplierInvoice": found.bare("SupplierInvoice"),
        }
        outcome = odata.call(session, INVOICES, "Cancel", parameters)
        if not outcome.done:
            raise refusal(
                outcome, doing=f"the cancellation of invoice {number}", default="posting_refused", concerns={}
            )
        found = _read_invoice(session, ask)
    by = f"{found.bare('ReverseDocument')}/{found.text('ReverseDocumentFiscalYear')}"
    return Answer(facts={"erp_invoice_number": number, "reversed_by": by})


def _posting_day(document: Document, ask: Ask) -> date:
    return ask.mappings.local_day(document.business_unit, ask.now)


def _read_invoice(session: Session, ask: Ask) -> Entity:
    """The invoice that is asked about.

    Raises:
        BusinessRejection: SAP does not have it.
        MappingError: nobody has told its number.
    """
    number = ask.identifiers.get(f"{SYSTEM}.supplier_invoice") or str(ask.facts.get("erp_invoice_number", ""))
    name, _, year = number.partition("/")
    if not name or not year:
        message = f"SAP's number of invoice {ask.document.number} is not known here"
        raise MappingError(message, system=SYSTEM, code="field_invalid", facts={"document": ask.document.number})
    path = key("A_SupplierInvoice", SupplierInvoice=bare(name), FiscalYear=year)
    found = odata.read_one(session, INVOICES, path, {}, what="supplier invoice")
    if found is None:
        message = f"Invoice {number} does not exist in SAP"
        raise BusinessRejection(message, system=SYSTEM, code="posting_refused", facts={"invoice": number})
    return found


def read_supplier(session: Session, ask: Ask) -> Answer:
    """Whether a supplier is in SAP and free of blocks.

    Raises:
        BusinessRejection: SAP does not know the number.
    """
    supplier = asked(ask, Supplier)
    if not supplier.erp_number:
        return Answer(wait_s=NUMBER_WAIT_S, waiting_for="an ERP number")
    blocks = supplier_blocks(session, bare(supplier.erp_number), company_code=supplier.company_code)
    if blocks is None:
        message = f"Supplier {supplier.erp_number} ({supplier.name}) does not exist in SAP"
        facts = {"supplier": supplier.erp_number}
        raise BusinessRejection(message, system=SYSTEM, code="supplier_unknown", facts=facts)
    if blocks:
        waiting_for = f"the block on {', '.join(blocks)} to be lifted"
        return Answer(facts={"supplier_blocks": blocks}, wait_s=BLOCK_WAIT_S, waiting_for=waiting_for)
    identifier = Identifier(SYSTEM, "supplier", bare(supplier.erp_number))
    return Answer(facts={"supplier_blocks": []}, identifiers=(identifier,))
