"""The payment run: what is due, posted and not blocked is paid and cleared."""

from datetime import date
from decimal import Decimal

from sandbox.ledger import Row
from sandbox.s4hana.invoices import SupplierInvoices
from sandbox.s4hana.journal import BANK_ACCOUNT, PAYABLES_ACCOUNT
from sandbox.s4hana.master import ZERO


class Payments(SupplierInvoices):
    """Paying suppliers."""

    def run_payment(self, *, company_code: str, on: date) -> list[str]:
        """Pay what is due by a day, posted and not blocked; returns the invoices paid, as "number/year"."""
        with self.lock:
            due: dict[tuple[str, str], list[Row]] = {}
            for line in self._lines.find("_open", company_code):
                invoice = self._invoices.rows[line["_invoice"]]
                supplier = self._suppliers.get(line["Supplier"]) or {}
                if invoice["_due"] > on.isoformat() or invoice.get("PaymentBlockingReason"):
                    continue
                if not supplier.get("PaymentIsBlockedForSupplier"):
                    due.setdefault((line["Supplier"], line["TransactionCurrency"]), []).append(line)
            for (supplier_number, currency), lines in due.items():
                self._pay(company_code, on.isoformat(), supplier_number, currency, lines)
            return [line["_invoice"] for lines in due.values() for line in lines]

    def _pay(self, company_code: str, day: str, supplier: str, currency: str, lines: list[Row]) -> None:
        amount = sum((-Decimal(line["AmountInTransactionCurrency"]) for line in lines), ZERO)
        head = {
            "CompanyCode": company_code,
            "FiscalYear": day[:4],
            "TransactionCurrency": currency,
            "PostingDate": day,
            "DocumentDate": day,
            "AccountingDocumentType": "ZP",
            "ReferenceDocumentType": "BKPF",
            "Supplier": supplier,
        }
        paid = {"amount": amount, "GLAccount": PAYABLES_ACCOUNT, "FinancialAccountType": "K", "PostingKey": "25"}
        bank = {"amount": -amount, "GLAccount": BANK_ACCOUNT, "PostingKey": "50"}
        number = self.post(head, [paid, bank], rate=self.rate(currency, company_code, day))
        own = self.supplier_lines_of(company_code, day[:4], number)
        self.clear([*own, *lines], number, day)
