"""Supplier invoices against orders: posting with its variances, payment block, release, cancellation.

A variance does not fail the posting: the invoice is posted and blocked for payment with reason R. A reversal clears the
supplier's open items of both documents against each other, so that a clearing date alone does not mean "paid".
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from sandbox.ledger import Ledger, Row
from sandbox.s4hana.entities import INVOICE, INVOICE_ITEM, INVOICE_TAX, INVOICES
from sandbox.s4hana.gateway import Created
from sandbox.s4hana.journal import GR_IR_ACCOUNT, PAYABLES_ACCOUNT, TAX_ACCOUNT, in_minor_units
from sandbox.s4hana.master import ZERO
from sandbox.s4hana.messages import Message, Rejected, message
from sandbox.s4hana.orders import find_item, net_value
from sandbox.s4hana.query import EntitySet
from sandbox.s4hana.receipts import GoodsReceipts
from sandbox.s4hana.wire import bare

PARKED, POSTED = "A", "5"
BLOCKED_BY_VARIANCE = "R"
# fmt: off
NET_DAYS = {
    # terms of payment    net due after so many days: a key is a name in SAP's customizing, not a number of days
    "0001":               0,    # due immediately
    "0002":               30,   # 2 % off within 10 days
    "0014":               14,
    "0030":               30,
    "0045":               45,
    "0060":               60,
}
# fmt: on
DEFAULT_TERMS = "0030"
"""Of a supplier with whom no terms are agreed."""


class SupplierInvoices(GoodsReceipts):
    """Invoices; see the module.

    Args:
        ledger: What it remembers.
        clock: Tells the time; aware UTC.
        rng: Draws faults and ids.
        tolerance_pct: How much price or quantity may be above order and receipt before payment is blocked, in percent.
        settings: Passed on to the layers below.
    """

    def __init__(
        self,
        ledger: Ledger,
        clock: Callable[[], datetime],
        rng: Random,
        *,
        tolerance_pct: Decimal = Decimal(5),
        **settings: Any,
    ) -> None:
        super().__init__(ledger, clock, rng, **settings)
        self._tolerance = 1 + tolerance_pct / 100
        self._invoices = ledger.table("supplier_invoice", ("SupplierInvoice", "SupplierInvoiceIDByInvcgParty"))
        found_by = {
            "SupplierInvoice": "SupplierInvoice",
            "SupplierInvoiceIDByInvcgParty": "SupplierInvoiceIDByInvcgParty",
        }
        by_number = {"SupplierInvoice": "SupplierInvoice"}
        self.register(
            EntitySet(INVOICE, self._invoices, found_by),
            EntitySet(INVOICE_ITEM, self._invoices, by_number, entities=lambda row: list(row["_items"])),
            EntitySet(INVOICE_TAX, self._invoices, by_number, entities=lambda row: list(row["_taxes"])),
        )
        self.creates[INVOICES, INVOICE.name] = self._create_invoice
        self.functions[INVOICES, "Post"] = self._post_parked
        self.functions[INVOICES, "Release"] = self._release
        self.functions[INVOICES, "Cancel"] = self._cancel

    @property
    def invoices(self) -> dict[str, Row]:
        """Every invoice by "number/year", items under "_items". For reading only."""
        return self._invoices.rows

    def live_invoices_by_reference(self) -> dict[tuple[str, str, str], list[str]]:
        """Invoices neither reversed nor reversing, as "number/year", by company, supplier and the supplier's number."""
        with self.lock:
            found: dict[tuple[str, str, str], list[str]] = {}
            for key, row in self._invoices.rows.items():
                if not row.get("IsReversed") and not row.get("IsReversal"):
                    told = (row["CompanyCode"], row["InvoicingParty"], row.get("SupplierInvoiceIDByInvcgParty", ""))
                    found.setdefault(told, []).append(key)
            return found

    def release_invoice(self, *, number: str, year: str, by: str) -> None:
        """Lift the payment block of a posted invoice; `by` is who did it.

        Raises:
            Rejected: there is no such invoice.
        """
        with self.lock:
            row = self.invoice(number, year)
            row |= {"PaymentBlockingReason": "", "_released_by": by}
            self._keep(row)

    def invoice(self, number: str, year: str) -> Row:
        """The invoice.

        Raises:
            Rejected: there is none.
        """
        row = self._invoices.get(f"{bare(number)}/{year}")
        if row is None:
            raise Rejected(message("M8/802", f"{number} {year}", "it does not exist"), status=404)
        return row

    def _keep(self, row: Row) -> None:
        self._invoices.put(f"{row['SupplierInvoice']}/{row['FiscalYear']}", row, self.clock())

    def _create_invoice(self, body: dict[str, Any], user: str) -> Created:
        given = self.read_in(INVOICE, body)
        needed = (
            "CompanyCode",
            "DocumentDate",
            "PostingDate",
            "InvoicingParty",
            "DocumentCurrency",
            "InvoiceGrossAmount",
        )
        missing = [name for name in needed if not given.get(name)]
        if missing:
            raise Rejected(*(message("ME/801", name, target=name) for name in missing))
        items, taxes = given.pop("to_SuplrInvcItemPurOrdRef", []), given.pop("to_SupplierInvoiceTax", [])
        invoice = {
            "SupplierInvoiceStatus": POSTED,
            "AccountingDocumentType": "RE",
            **given,
            "CreationDate": self.today(),
            "FiscalYear": given["PostingDate"][:4],
            "_items": items,
            "_taxes": taxes,
            "_user": user,
        }
        messages = [*self._set_due_day(invoice), *self._check_invoice(invoice)]
        parked = invoice["SupplierInvoiceStatus"] != POSTED
        if not parked:
            messages += self.check_period(invoice["CompanyCode"], invoice["PostingDate"])
        if any(told.severity == "error" for told in messages):
            raise Rejected(*messages)
        number = str(self.ledger.number("supplier_invoice", 5_105_600_101))
        invoice["SupplierInvoice"] = number
        for position, part in enumerate(items, start=1):
            part |= {"SupplierInvoice": number, "FiscalYear": invoice["FiscalYear"]}
            part.setdefault("SupplierInvoiceItem", str(position))
            part.setdefault("DocumentCurrency", invoice["DocumentCurrency"])
        for position, part in enumerate(taxes, start=1):
            key = {"SupplierInvoice": number, "FiscalYear": invoice["FiscalYear"]}
            part |= {**key, "SupplierInvoiceTaxCounter": f"{position:06d}"}
        if not parked:
            self._book(invoice)
        self._keep(invoice)
        return Created(INVOICE, invoice, messages)

    def _set_due_day(self, invoice: Row) -> list[Message]:
        """Work out when an invoice is due; days that the caller names stand above the days of the terms."""
        agreed = self.supplier_in_company(invoice["InvoicingParty"], invoice["CompanyCode"])
        terms = invoice.get("PaymentTerms") or agreed.get("PaymentTerms") or DEFAULT_TERMS
        if terms not in NET_DAYS:
            return [message("M8/803", terms, target="PaymentTerms")]
        base = invoice.get("DueCalculationBaseDate") or invoice["DocumentDate"]
        days = int(invoice.get("NetPaymentDays") or NET_DAYS[terms])
        invoice |= {"PaymentTerms": terms, "DueCalculationBaseDate": base, "NetPaymentDays": str(days)}
        invoice["_due"] = (date.fromisoformat(base) + timedelta(days=days)).isoformat()
        return []

    def _check_invoice(self, invoice: Row) -> list[Message]:
        said = self.check_supplier(invoice["InvoicingParty"], company_code=invoice["CompanyCode"])
        said += self._check_duplicate(invoice)
        net = ZERO
        for part in invoice["_items"]:
            order = self.order(part.get("PurchaseOrder", ""))
            item = self.item_of(order, part.get("PurchaseOrderItem", ""))
            amount = Decimal(part.get("SupplierInvoiceItemAmount") or 0)
            net += amount
            if amount <= 0 or Decimal(part.get("QuantityInPurchaseOrderUnit") or 0) <= 0:
                said.append(message("ME/801", f"amount and quantity for item {item['PurchaseOrderItem']}"))
            if invoice["InvoicingParty"] not in {order["Supplier"], order.get("InvoicingParty")}:
                said.append(message("M8/802", order["PurchaseOrder"], "it is another supplier's order"))
            if invoice["DocumentCurrency"] != order["DocumentCurrency"]:
                said.append(message("M8/802", order["PurchaseOrder"], f"its currency is {order['DocumentCurrency']}"))
        gross = Decimal(invoice["InvoiceGrossAmount"])
        tax = sum((Decimal(part["TaxAmount"]) for part in invoice["_taxes"]), ZERO)
        if invoice.get("TaxIsCalculatedAutomatically"):
            tax = gross - net
        if net + tax != gross:
            said.append(message("M8/534", gross - net - tax, net + tax, gross, target="InvoiceGrossAmount"))
        invoice["_tax"] = str(tax)
        return said

    def _check_duplicate(self, invoice: Row) -> Iterator[Message]:
        reference = invoice.get("SupplierInvoiceIDByInvcgParty")
        if not reference:
            return
        agreed = self.supplier_in_company(invoice["InvoicingParty"], invoice["CompanyCode"])
        severity = "error" if agreed.get("IsToBeCheckedForDuplicates") else "warning"
        for row in self._invoices.find("SupplierInvoiceIDByInvcgParty", reference):
            same = all(row[name] == invoice[name] for name in ("CompanyCode", "InvoicingParty"))
            if same and not row.get("IsReversed") and not row.get("IsReversal"):
                number = f"{row['SupplierInvoice']} {row['FiscalYear']}"
                yield message("M8/462", number, severity=severity, target="SupplierInvoiceIDByInvcgParty")
                return

    def _book(self, invoice: Row) -> None:
        """Post the invoice: the supplier's open item against cost or goods received, and the tax."""
        lines: list[dict[str, Any]] = []
        blocked = False
        for part in invoice["_items"]:
            order = self.order(part["PurchaseOrder"])
            item = self.item_of(order, part["PurchaseOrderItem"])
            blocked = self._varies(item, part) or blocked
            lines += self._bill(
                order, item, Decimal(part["QuantityInPurchaseOrderUnit"]), Decimal(part["SupplierInvoiceItemAmount"])
            )
        if blocked and not invoice.get("PaymentBlockingReason"):
            invoice["PaymentBlockingReason"] = BLOCKED_BY_VARIANCE
        invoice["SupplierInvoiceStatus"] = POSTED
        invoice["_document"] = self._post_invoice_lines(invoice, lines, sign=1)

    def _varies(self, item: Row, part: Row) -> bool:
        """Whether price or quantity are further above order and receipt than is tolerated."""
        quantity, amount = Decimal(part["QuantityInPurchaseOrderUnit"]), Decimal(part["SupplierInvoiceItemAmount"])
        expected = net_value(item) * quantity / Decimal(item["OrderQuantity"])
        basis = item.get("_received", "0") if item.get("GoodsReceiptIsExpected", True) else item["OrderQuantity"]
        invoiced = Decimal(item.get("_invoiced", "0")) + quantity
        return amount > expected * self._tolerance or invoiced > Decimal(basis) * self._tolerance

    def _bill(self, order: Row, item: Row, quantity: Decimal, amount: Decimal) -> list[dict[str, Any]]:
        """Debit lines of one item. What was received is taken from the clearing account, a difference is cost."""
        item["_invoiced"] = str(Decimal(item.get("_invoiced", "0")) + quantity)
        lines: list[dict[str, Any]] = []
        cost = amount
        if item.get("GoodsReceiptIsExpected", True):
            value = in_minor_units(
                net_value(item) * quantity / Decimal(item["OrderQuantity"]), item["DocumentCurrency"]
            )
            lines.append({"amount": value, "GLAccount": GR_IR_ACCOUNT, "PostingKey": "86" if value >= 0 else "96"})
            cost = amount - value
        if cost:
            lines += self.cost_lines(item, cost)
            self.consume(order, item, cost)
        self._orders.put(order["PurchaseOrder"], order, datetime.fromisoformat(order["LastChangeDateTime"]))
        return lines

    def _post_invoice_lines(self, invoice: Row, lines: Sequence[dict[str, Any]], *, sign: int, **marks: Any) -> str:
        gross, tax = sign * Decimal(invoice["InvoiceGrossAmount"]), sign * Decimal(invoice["_tax"])
        key = f"{invoice['SupplierInvoice']}/{invoice['FiscalYear']}"
        supplier = {
            "amount": -gross,
            "GLAccount": PAYABLES_ACCOUNT,
            "FinancialAccountType": "K",
            "PostingKey": "31" if sign > 0 else "21",
            "_invoice": key,
            "_open": invoice["CompanyCode"] if sign > 0 else "",
        }
        head = {
            "CompanyCode": invoice["CompanyCode"],
            "FiscalYear": invoice["FiscalYear"],
            "TransactionCurrency": invoice["DocumentCurrency"],
            "PostingDate": invoice["PostingDate"],
            "DocumentDate": invoice["DocumentDate"],
            "AccountingDocumentType": invoice["AccountingDocumentType"],
            "AccountingDocCreatedByUser": invoice["_user"],
            "ReferenceDocumentType": "RMRP",
            "ReferenceDocument": invoice["SupplierInvoice"],
            "ReferenceDocumentContext": invoice["FiscalYear"],
            "AssignmentReference": invoice.get("AssignmentReference", ""),
            "Supplier": invoice["InvoicingParty"],
            **marks,
        }
        taxes = [{"amount": tax, "GLAccount": TAX_ACCOUNT, "PostingKey": "40"}] if tax else []
        rate = self.rate(invoice["DocumentCurrency"], invoice["CompanyCode"], invoice["PostingDate"])
        return self.post(head, [supplier, *lines, *taxes], rate=rate)

    def _post_parked(self, given: dict[str, Any], _user: str) -> dict[str, Any]:
        invoice = self.invoice(given.get("SupplierInvoice", ""), given.get("FiscalYear", ""))
        if invoice["SupplierInvoiceStatus"] == POSTED:
            raise Rejected(message("M8/802", invoice["SupplierInvoice"], "it is posted already"))
        said = self.check_period(invoice["CompanyCode"], invoice["PostingDate"])
        if said:
            raise Rejected(*said)
        self._book(invoice)
        self._keep(invoice)
        return {"Success": True}

    def _release(self, given: dict[str, Any], user: str) -> dict[str, Any]:
        self.release_invoice(number=given.get("SupplierInvoice", ""), year=given.get("FiscalYear", ""), by=user)
        return {"Success": True}

    def _cancel(self, given: dict[str, Any], user: str) -> dict[str, Any]:
        """Reverse a posted invoice by a second one."""
        first = self.invoice(given.get("SupplierInvoice", ""), given.get("FiscalYear", ""))
        day = given.get("PostingDate") or self.today()
        open_lines = self.supplier_lines_of(first["CompanyCode"], first["FiscalYear"], first.get("_document", ""))
        said = self.check_period(first["CompanyCode"], day)
        if first["SupplierInvoiceStatus"] != POSTED or first.get("IsReversed") or first.get("IsReversal"):
            said.append(message("M8/802", first["SupplierInvoice"], "it is not posted, or reversed already"))
        elif any(line.get("ClearingDate") for line in open_lines):
            said.append(message("M8/802", first["SupplierInvoice"], "it is paid"))
        if said:
            raise Rejected(*said)
        number = str(self.ledger.number("supplier_invoice", 5_105_600_101))
        second = {
            **first,
            "SupplierInvoice": number,
            "FiscalYear": day[:4],
            "PostingDate": day,
            "CreationDate": self.today(),
        }
        second |= {"IsReversal": True, "PaymentBlockingReason": "", "_user": user, "_items": [], "_taxes": []}
        lines: list[dict[str, Any]] = []
        for part in first["_items"]:
            order = self.order(part["PurchaseOrder"])
            item = find_item(order, part["PurchaseOrderItem"])
            if item is not None:
                quantity, amount = (
                    Decimal(part["QuantityInPurchaseOrderUnit"]),
                    Decimal(part["SupplierInvoiceItemAmount"]),
                )
                lines += self._bill(order, item, -quantity, -amount)
        second["_document"] = self._post_invoice_lines(second, lines, sign=-1, IsReversal=True)
        self._keep(second)
        first |= {"IsReversed": True, "ReverseDocument": number, "ReverseDocumentFiscalYear": day[:4]}
        self._keep(first)
        reversing = self.supplier_lines_of(second["CompanyCode"], second["FiscalYear"], second["_document"])
        marked = [{**line, "IsReversed": True} for line in open_lines]
        self.clear([*marked, *reversing], second["_document"], day)
        return {"ReverseDocument": number, "FiscalYear": day[:4], "Success": True}
