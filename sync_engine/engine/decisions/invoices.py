"""Invoice to payment readiness: validation, duplicates, the three-way match, review, release and clearing."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from sync_engine.engine.decisions.desk import (
    LOOK_AGAIN_S,
    Desk,
    accepted,
    deciders,
    document,
    named,
    place_of,
    refused,
    refused_because,
    votes,
)
from sync_engine.engine.decisions.orders import belongs_to
from sync_engine.engine.outcomes import Item, Kind, Movement, Outcome
from sync_engine.engine.troubles import Trouble
from sync_engine.model import matching, policies
from sync_engine.model.documents import Decision, Invoice, Posting, PurchaseOrder, Supplier
from sync_engine.model.errors import SyncError
from sync_engine.model.flows import DAY, HOUR
from sync_engine.model.matching import BilledLine, Match, OrderedLine, Verdict

RECEIPT_GRACE_S = 1 * DAY
"""An invoice may come a day before the receipt is posted without anybody being bothered."""


def validate_invoice(items: Sequence[Item], desk: Desk) -> list[Outcome | None]:
    """The supplier is known, the tax codes are, and every order it names has arrived here."""
    orders = desk.linked(items, "bills")
    numbers = sorted({document(item, Invoice).supplier for item in items})
    known = {
        Supplier.model_validate_json(row["canonical"]).erp_number
        for row in desk.rows("suppliers_by_number", number=numbers)
    }
    outcomes: list[Outcome | None] = []
    for item in items:
        try:
            outcomes.append(_validated(item, orders.get(item.head.document_id, []), known, desk))
        except SyncError as error:
            outcomes.append(refused(error))
    return outcomes


def _validated(item: Item, orders: list[dict[str, Any]], known: set[str], desk: Desk) -> Outcome:
    invoice = document(item, Invoice)
    if invoice.supplier not in known:
        trouble = Trouble(
            "supplier_unknown",
            f"Supplier {invoice.supplier} ({invoice.supplier_name}) of the invoice is not known here.",
            item.system,
            {"supplier": invoice.supplier},
        )
        return Outcome(Kind.REFUSED, trouble=trouble)
    if not invoice.order_numbers:
        return Outcome(
            Kind.REFUSED,
            trouble=Trouble(
                "order_missing",
                f"Invoice {invoice.supplier_invoice_number} of {invoice.supplier_name} names no order.",
                "finsync",
                {"supplier": invoice.supplier},
            ),
        )
    arrived = {_order(row).erp_number for row in orders if row["canonical"]}
    missing = [number for number in invoice.order_numbers if number not in arrived]
    if missing:
        named_orders = ", ".join(missing)
        trouble = Trouble(
            "order_unknown",
            f"Invoice {invoice.supplier_invoice_number} bills order {named_orders}, which has not arrived here.",
            "finsync",
            {"order": named_orders},
        )
        return Outcome(Kind.WAIT, wait_s=1 * HOUR, waiting_for=f"order {named_orders}", also_troubles=[trouble])
    return Outcome(Kind.DONE, document=_in_erp_words(invoice, desk), revise=belongs_to(orders[0]))


def _in_erp_words(invoice: Invoice, desk: Desk) -> Invoice:
    """The invoice with tax codes, units and payment term as the ERP calls them."""
    mappings = desk.setup.mappings
    lines = tuple(
        line.model_copy(
            update={
                "tax_code": mappings.tax_code(line.tax_code) if line.tax_code else "",
                "unit": mappings.unit_of_measure(line.unit),
            }
        )
        for line in invoice.lines
    )
    term = mappings.payment_term(invoice.payment_term) if invoice.payment_term else ""
    return invoice.model_copy(update={"lines": lines, "payment_term": term})


def _order(row: dict[str, Any]) -> PurchaseOrder:
    return PurchaseOrder.model_validate_json(row["canonical"])


def check_duplicate_invoice(items: Sequence[Item], desk: Desk) -> list[Outcome | None]:
    """The same bill through two channels, or twice with a slip of the pen (R082). Bills that share a supplier or an amount take
    turns, so that of two checked at the same moment one sees the other let through."""
    heads = [item.head for item in items]
    desk.take_turns(
        place
        for head in heads
        for place in (
            place_of("bill", head.currency, head.supplier),
            place_of("bill", head.currency, head.amount),
        )
    )
    alike: dict[UUID, list[policies.Bill]] = defaultdict(list)
    judged: dict[UUID, list[policies.Reason]] = defaultdict(list)
    rules = desk.setup.policies
    for row in desk.rows(
        "invoices_alike", document_id=[head.document_id for head in heads], days=rules.duplicate_invoice_days
    ):
        other = _bill(Invoice.model_validate_json(row["canonical"]))
        alike[row["document_id"]].append(other)
        if row["verdict"] == "duplicate":
            sentence = f"Somebody has judged it to be the same bill as {other.reference} ({other.number})."
            judged[row["document_id"]].append(policies.Reason("duplicate_invoice", sentence, {"other": other.number}))
    outcomes: list[Outcome | None] = []
    for item in items:
        reasons = policies.duplicate_invoices(
            _bill(document(item, Invoice)),
            alike[item.head.document_id],
            days=rules.duplicate_invoice_days,
            name_score=rules.duplicate_name_score,
        ) or tuple(judged[item.head.document_id])
        outcomes.append(
            refused_because(reasons) if reasons and not accepted(item, "duplicate_invoice") else Outcome(Kind.DONE)
        )
    return outcomes


def _bill(invoice: Invoice) -> policies.Bill:
    return policies.Bill(
        invoice.number,
        invoice.supplier_invoice_number,
        invoice.invoiced_on,
        invoice.gross_amount,
        invoice.currency,
        invoice.supplier,
        invoice.supplier_name,
    )


def match_invoice(items: Sequence[Item], desk: Desk) -> list[Outcome | None]:
    """Three-way match per line. Invoices on one order take turns, so that two cannot both bill the same goods."""
    return [_match_outcome(item, match) for item, match in zip(items, _matches(items, desk), strict=True)]


def _matches(items: Sequence[Item], desk: Desk) -> list[tuple[Match, dict[tuple[str, int], UUID]]]:
    orders = desk.linked(items, "bills")
    order_ids = {row["document_id"] for rows in orders.values() for row in rows}
    desk.take_turns(f"order:{order_id}" for order_id in order_ids)
    moved = {
        (row["order_document_id"], row["order_line"]): row
        for row in desk.rows("order_lines", document_id=list(order_ids))
    }
    own: dict[tuple[UUID, UUID, int], Decimal] = defaultdict(lambda: Decimal(0))
    for row in desk.rows("billed_by", document_id=[item.head.document_id for item in items]):
        own[row["source_document_id"], row["order_document_id"], row["order_line"]] += row["quantity"]
    taken: dict[tuple[UUID, int], Decimal] = defaultdict(lambda: Decimal(0))
    results = []
    for item in items:
        invoice = document(item, Invoice)
        book, ids = [], {}
        for row in orders.get(item.head.document_id, []):
            order = _order(row)
            for line in order.lines:
                sums = moved.get((row["document_id"], line.number), {})
                mine = own[item.head.document_id, row["document_id"], line.number]
                billed = Decimal(sums.get("billed", 0)) - mine + taken[row["document_id"], line.number]
                book.append(
                    OrderedLine(
                        order.erp_number,
                        line.number,
                        line.quantity,
                        line.unit_price,
                        Decimal(sums.get("received", 0)),
                        billed,
                        line.receipt_required,
                        line.need_by_on or order.need_by_on,
                    )
                )
                ids[order.erp_number, line.number] = row["document_id"]
        result = matching.match(
            _billed(invoice),
            book,
            _tolerance(invoice, orders.get(item.head.document_id, []), desk),
            currency=invoice.currency,
            invoiced_on=invoice.invoiced_on,
        )
        if result.verdict is Verdict.MATCHED:
            for line in invoice.lines:
                if line.order_line is not None:
                    taken[ids[line.order_number, line.order_line], line.order_line] += line.quantity
        results.append((result, ids))
    return results


def _billed(invoice: Invoice) -> list[BilledLine]:
    return [
        BilledLine(line.number, line.order_number, line.order_line, line.quantity, line.unit_price, line.amount)
        for line in invoice.lines
    ]


def _tolerance(invoice: Invoice, orders: Iterable[dict[str, Any]], desk: Desk) -> matching.Tolerance:
    categories = (line.category for row in orders for line in _order(row).lines if line.category)
    return desk.setup.policies.tolerance(invoice.company_code, categories)


def _movements(invoice: Invoice, ids: dict[tuple[str, int], UUID]) -> list[Movement]:
    return [
        Movement(
            "billed",
            line.number,
            ids[line.order_number, line.order_line],
            line.order_line,
            line.quantity,
            line.amount,
            invoice.invoiced_on,
        )
        for line in invoice.lines
        if line.order_line is not None and (line.order_number, line.order_line) in ids
    ]


def _match_outcome(item: Item, matched: tuple[Match, dict[tuple[str, int], UUID]]) -> Outcome:
    match, ids = matched
    invoice = document(item, Invoice)
    if match.verdict is Verdict.MATCHED:
        facts = {"variances": [], "exact_match": match.exact, "first_evaluation": item.head.state == "checked"}
        return Outcome(
            Kind.DONE,
            facts=facts,
            movements=_movements(invoice, ids),
            wakes=list(set(ids.values())),
            attributes={"exact": match.exact},
        )
    sentences = [variance.sentence for variance in match.variances]
    if match.verdict is Verdict.AWAITING_RECEIPT:
        late = (
            []
            if item.head.state == "checked"
            else [
                Trouble("receipt_missing", " ".join(sentences), "finsync", {"order": ", ".join(invoice.order_numbers)})
            ]
        )
        event = "receipt_awaited" if item.head.state == "checked" else None
        return Outcome(
            Kind.WAIT, event=event, wait_s=RECEIPT_GRACE_S, waiting_for="the goods receipt", also_troubles=late
        )
    first = match.variances[0]
    trouble = Trouble(
        first.code,
        " ".join(sentences),
        "finsync",
        {"supplier": invoice.supplier, "order": ", ".join(invoice.order_numbers)},
    )
    facts = {"variances": sentences, "variance_keys": _keys(match), "exact_match": False}
    return Outcome(
        Kind.DONE,
        event="match_blocked",
        facts=facts,
        also_troubles=[trouble],
        attributes={"reasons": [v.code for v in match.variances]},
    )


def _keys(match: Match) -> list[str]:
    """What a reviewer accepts: these reasons on these lines with these figures, and no others."""
    return [f"{variance.line}:{variance.code}:{variance.actual}" for variance in match.variances]


def await_match_review(items: Sequence[Item], desk: Desk) -> list[Outcome | None]:
    """The reviewer's decision on a blocked match (R118)."""
    approvals = desk.approvals(items)
    outcomes: list[Outcome | None] = []
    for item in items:
        request = item.facts.get("approval_request", "")
        asked = approvals.get(item.head.document_id, [])
        joint = policies.joint_decision(item.facts.get("approval_groups", []), votes(asked, request))
        decided = deciders(asked, request)
        last = decided[-1] if decided else None
        actor, at = (named(last) if last else ""), (last.decided_at if last else None)
        if joint is Decision.PENDING:
            outcomes.append(
                Outcome(Kind.WAIT, wait_s=LOOK_AGAIN_S, waiting_for=", ".join(item.facts.get("approval_groups", [])))
            )
        elif joint is Decision.APPROVED:
            outcomes.append(
                Outcome(Kind.DONE, at=at, actor=actor, facts={"reviewed": item.facts.get("variance_keys", [])})
            )
        else:
            why = f"{actor}: {last.comment}" if last else "The review was cancelled."
            outcomes.append(
                Outcome(
                    Kind.DECLINED,
                    event="review_refused",
                    at=at,
                    actor=actor,
                    facts={"refusal_reason": why},
                    closes=("match_invoice",),
                    attributes={"reason": why},
                )
            )
    return outcomes


def release_invoice(items: Sequence[Item], desk: Desk) -> list[Outcome | None]:
    """Check every reason once more; free the invoice only when none is left that nobody accepted (PRODUCT.md 2F)."""
    outcomes: list[Outcome | None] = []
    for item, (match, ids) in zip(items, _matches(items, desk), strict=True):
        invoice = document(item, Invoice)
        reviewed = set(item.facts.get("reviewed", []))
        left = [variance for variance, key in zip(match.variances, _keys(match), strict=True) if key not in reviewed]
        if match.verdict is Verdict.MATCHED or (reviewed and not left):
            lines = [
                {"line": line.number, "order_number": line.order_number, "item": line.order_line}
                for line in invoice.lines
            ]
            outcomes.append(
                Outcome(
                    Kind.DONE,
                    facts={"order_lines": lines},
                    movements=_movements(invoice, ids),
                    wakes=list(set(ids.values())),
                    closes=("match_invoice",),
                )
            )
        elif item.head.state == "matched":
            # Matched before and not any more (a receipt was reversed, say): it waits where it stands.
            outcomes.append(
                Outcome(
                    Kind.WAIT,
                    wait_s=1 * HOUR,
                    waiting_for="its match to hold again",
                    also_troubles=[Trouble(left[0].code, left[0].sentence, "finsync", {"supplier": invoice.supplier})],
                )
            )
        else:
            trouble = Trouble(
                left[0].code,
                " ".join(variance.sentence for variance in left),
                "finsync",
                {"supplier": invoice.supplier},
            )
            facts = {
                "variances": [variance.sentence for variance in match.variances],
                "variance_keys": _keys(match),
                "approval_request": "",
            }
            outcomes.append(
                Outcome(
                    Kind.DONE, event="match_blocked", goto="request_match_review", facts=facts, also_troubles=[trouble]
                )
            )
    return outcomes


def await_clearing(items: Sequence[Item], desk: Desk) -> list[Outcome | None]:
    """Paid, when the ERP's accounting document is cleared."""
    postings = desk.linking((item.head.document_id for item in items), "books")
    outcomes: list[Outcome | None] = []
    for item in items:
        cleared = [
            posting
            for row in postings.get(item.head.document_id, [])
            if row["canonical"]
            for posting in [Posting.model_validate_json(row["canonical"])]
            if posting.cleared_on
        ]
        if cleared:
            last = max(cleared, key=lambda posting: posting.cleared_on or posting.posted_on)
            on = last.cleared_on or last.posted_on
            facts = {"cleared_on": on.isoformat(), "clearing_document": last.clearing_document}
            outcomes.append(
                Outcome(Kind.DONE, facts=facts, at=datetime.combine(on, time(0), tzinfo=UTC), attributes=facts)
            )
        else:
            outcomes.append(Outcome(Kind.WAIT, wait_s=LOOK_AGAIN_S, waiting_for="the payment run"))
    return outcomes


def apply_posting(items: Sequence[Item], desk: Desk) -> list[Outcome | None]:
    """Join an accounting document to the invoice it books; one that books nothing of ours is only kept."""
    invoices = desk.linked(items, "books")
    outcomes: list[Outcome | None] = []
    for item in items:
        found = invoices.get(item.head.document_id, [])
        if found:
            outcomes.append(
                Outcome(Kind.DONE, wakes=[row["document_id"] for row in found], revise=belongs_to(found[0]))
            )
        elif (desk.now - item.step_since).total_seconds() < 1 * DAY:
            outcomes.append(Outcome(Kind.WAIT, wait_s=1 * HOUR, waiting_for="its invoice"))
        else:
            outcomes.append(Outcome(Kind.DONE, attributes={"books": "nothing known here"}))
    return outcomes


def await_settlement(items: Sequence[Item], desk: Desk) -> list[Outcome | None]:
    """Cleared or reversed, and the invoice hears of it."""
    invoices = desk.linked(items, "books")
    outcomes: list[Outcome | None] = []
    for item in items:
        posting = document(item, Posting)
        wakes = [row["document_id"] for row in invoices.get(item.head.document_id, [])]
        if posting.is_reversal:
            outcomes.append(Outcome(Kind.DONE, event="reversal_applied", wakes=wakes))
        elif posting.cleared_on is not None:
            outcomes.append(
                Outcome(Kind.DONE, at=datetime.combine(posting.cleared_on, time(0), tzinfo=UTC), wakes=wakes)
            )
        else:
            outcomes.append(Outcome(Kind.WAIT, wait_s=30 * DAY, waiting_for="the payment run"))
    return outcomes


DECISIONS = {
    "validate_invoice": validate_invoice,
    "check_duplicate_invoice": check_duplicate_invoice,
    "match_invoice": match_invoice,
    "await_match_review": await_match_review,
    "release_invoice": release_invoice,
    "await_clearing": await_clearing,
    "apply_posting": apply_posting,
    "await_settlement": await_settlement,
}
