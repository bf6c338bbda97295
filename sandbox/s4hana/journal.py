"""The universal journal: accounting documents, commitments and open items, and API_GLACCOUNTLINEITEM over them.

A line is a row. Commitments stand in ledger 0E, everything else in 0L. Amounts are signed: debit positive. This
service shows document numbers with leading zeros where the others do not, which is the vendor's trap.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from random import Random
from typing import Any

from babel.numbers import get_currency_precision

from sandbox.ledger import Ledger, Row
from sandbox.s4hana.entities import ACTUAL, LINE_ITEM
from sandbox.s4hana.master import ZERO, MasterData
from sandbox.s4hana.query import EntitySet

GR_IR_ACCOUNT, PAYABLES_ACCOUNT, TAX_ACCOUNT, BANK_ACCOUNT = "21120000", "21100000", "12600000", "11001010"


def in_minor_units(amount: Decimal, currency: str) -> Decimal:
    """`amount` as a ledger keeps it: to the currency's minor unit, half up."""
    return amount.quantize(Decimal(1).scaleb(-get_currency_precision(currency)), rounding=ROUND_HALF_UP)


def shares(amount: Decimal, weights: Sequence[Decimal], currency: str) -> list[Decimal]:
    """`amount` by `weights`, in whole minor units; the last share takes what is left over, as SAP does it."""
    whole = sum(weights, ZERO)
    if whole == 0:
        return [ZERO] * (len(weights) - 1) + [amount]
    parts = [in_minor_units(amount * weight / whole, currency) for weight in weights[:-1]]
    return [*parts, amount - sum(parts, ZERO)]


class Journal(MasterData):
    """Accounting documents and commitments."""

    def __init__(self, ledger: Ledger, clock: Callable[[], datetime], rng: Random, **settings: Any) -> None:
        super().__init__(ledger, clock, rng, **settings)
        indexes = ("PurchasingDocument", "AccountingDocument", "ReferenceDocument", "_open")
        self._lines = ledger.table("line_item", indexes)
        found_by = {"ID": "", **{name: name for name in indexes[:3]}}
        self.register(
            EntitySet(LINE_ITEM, self._lines, found_by, ("LastChangeDateTime",), entities=_visible, is_feed=True)
        )

    def post(self, head: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], *, rate: Decimal) -> str:
        """Write one accounting document; returns its number.

        Args:
            head: What all lines share; at least company, year, currency, posting date.
            lines: Account, amount in transaction currency (debit positive), and what is particular.
            rate: Units of company currency for one unit of transaction currency.
        """
        at = self.now_to_the_second()
        moment = self.moment(at)
        company_code, year = head["CompanyCode"], head["FiscalYear"]
        company = self.company(company_code)
        ledger = head.get("Ledger", ACTUAL)
        start = 5_100_000_000 if ledger == ACTUAL else 9_000_000_000
        number = str(self.ledger.number(f"accounting_document {company_code} {year} {ledger}", start))
        for position, line in enumerate(lines, start=1):
            amount = in_minor_units(Decimal(line["amount"]), head["TransactionCurrency"])
            row = {
                **head,
                **{name: value for name, value in line.items() if name != "amount"},
                "ID": f"{ledger}{company_code}{year}{number}{position:06d}",
                "AccountingDocument": number,
                "LedgerGLLineItem": str(position),
                "AccountingDocumentItem": f"{position:03d}",
                "LedgerFiscalYear": year,
                "ControllingArea": company["controlling_area"],
                "AmountInTransactionCurrency": str(amount),
                "CompanyCodeCurrency": company["currency"],
                "AmountInCompanyCodeCurrency": str(in_minor_units(amount * rate, company["currency"])),
                "DebitCreditCode": "S" if amount >= 0 else "H",
                "FiscalPeriod": f"{int(head['PostingDate'][5:7]):03d}",
                "CreationDate": self.today(),
                "CreationDateTime": moment,
            }
            self.store_line(row)
        return number

    def store_line(self, row: Row) -> None:
        """Keep a line as changed now."""
        at = self.now_to_the_second()
        row["LastChangeDateTime"] = self.moment(at)
        self._lines.put(row["ID"], row, at)

    def supplier_lines_of(self, company_code: str, year: str, number: str) -> list[Row]:
        """The lines of one accounting document that stand on a supplier's account."""
        return [
            row
            for row in self._lines.find("AccountingDocument", number)
            if (row["CompanyCode"], row["FiscalYear"], row.get("FinancialAccountType")) == (company_code, year, "K")
        ]

    def clear(self, lines: Sequence[Row], number: str, day: str) -> None:
        """Settle open items against each other, by the accounting document `number`."""
        for line in lines:
            clearing = {"ClearingDate": day, "ClearingAccountingDocument": number, "ClearingDocFiscalYear": day[:4]}
            self.store_line({**line, **clearing, "_open": ""})

    def drop_commitment(self, *, order: str) -> None:
        """The fault behind "an order without a commitment": its commitment lines vanish."""
        with self.lock:
            for row in self._lines.find("PurchasingDocument", order):
                if row.get("IsCommitment"):
                    self.store_line({**row, "_vanished": True})


def _visible(row: Row) -> Sequence[Row]:
    return () if row.get("_vanished") else (row,)
