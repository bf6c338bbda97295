"""Suppliers bill what they have delivered, rightly and wrongly, and accounts payable sees to what is wrong.

Invoices reach AP automation with the supplier's number as the ERP has it, and with payment terms, tax codes and units
as procurement has them. Due days are set to the payment day on or after the end of the term.
"""

from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from sandbox.basware import NOT_POSTED
from sandbox.company import odds
from sandbox.company.agenda import action
from sandbox.company.catalogue import rounded
from sandbox.company.fulfilment import is_service_order
from sandbox.company.office import Office, Watch, plain, total
from sandbox.company.suppliers import TERM_DAYS
from sandbox.company.units import TAX_CODES, TAX_PERCENT, Unit, config_entries
from sandbox.ledger import Row

DEFAULT_TERM = "NET 30"
Lines = list[dict[str, Any]]


class Billing:
    """Supplier invoices, from the supplier's desk to the day they are paid or sent back."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._orders = office.ledger.table("order")
        self._billed = office.ledger.table("billed")
        self._tax_words = {erp: word for word, erp in config_entries("tax_codes").items()}
        self._unit_words = {erp: word for word, erp in config_entries("units_of_measure").items()}
        self._blocked = Watch("blocked", office.s4hana.ledger.table("supplier_invoice"), office.ledger, _blocked)
        self._refused = Watch("refused", office.basware.invoices, office.ledger, _refused)

    def notice(self) -> None:
        """See which invoices are blocked or refused, and plan what is done about them."""
        office = self._office
        for word, row in self._blocked.news():
            unit = office.unit_of_company(row["CompanyCode"])
            number, year = word.split("/")
            episode = office.begin("payment_blocked", "s4hana", f"Invoice {word} is posted and blocked for payment.")
            at = office.repaired_at(unit, office.luck("release", word), (7, 30))
            office.agenda.add(at, self.release, number=number, year=year, episode=episode)
        for invoice_id, row in self._refused.news():
            unit = office.unit_of_company(row["companyCode"])
            at = unit.calendar.after(office.now, office.luck("return", invoice_id).uniform(2, 12))
            office.agenda.add(at, self.return_to_supplier, invoice_id=invoice_id)

    # The supplier's desk

    def bill(self, order: str, part: int, delivered_at: datetime) -> datetime:
        """Plan the invoice for a part of an order; answers when it will be there."""
        office = self._office
        luck = office.luck("bill", order, part)
        unit = office.units[self._orders.rows[order]["unit"]]
        least = 1.0 if is_service_order(office.s4hana.orders[order]) else 0.1
        at = unit.calendar.after(delivered_at + timedelta(days=luck.uniform(least, odds.BILLED_WITHIN_DAYS)))
        office.agenda.add(at, self.send_invoice, order=order, part=part)
        return at

    @action
    def send_invoice(self, *, order: str, part: int) -> None:
        """The supplier's invoice arrives, and now and then something is wrong with it."""
        office = self._office
        row = office.s4hana.orders[order]
        lines = self._lines(order, part)
        if not lines:
            return
        unit = office.units[self._orders.rows[order]["unit"]]
        luck = office.luck("invoice", order, part)
        reference = self._next_reference(row["Supplier"], unit)
        given: dict[str, Any] = {
            "order": order,
            "reference": reference,
            "lines": lines,
            "day": unit.calendar.day(office.now),
        }
        flaw = self._flaw(luck)
        if flaw:
            given["lines"], what = self._flawed(flaw, lines, luck, row["DocumentCurrency"])
            invoice_id = self._receive(**given)
            episode = office.begin(
                flaw, "basware", f"Invoice {reference} for order {order}: {what}", lasts=_lasts(flaw)
            )
            if _lasts(flaw):
                at = office.repaired_at(unit, luck, (6, 24))
                office.agenda.add(at, self.name_order, invoice_id=invoice_id, episode=episode)
        else:
            invoice_id = self._receive(**given)
        self._billed.put(invoice_id, {"order": order, "lines": lines, "flaw": flaw}, office.now)
        if luck.random() < odds.BILLED_TWICE_SHARE:
            kind = luck.choice(("exact", "reference retyped", "digits slipped", "another date"))
            at = unit.calendar.after(office.now, luck.uniform(2, 40))
            office.agenda.add(at, self.send_twice, invoice_id=invoice_id, kind=kind)

    @staticmethod
    def _flaw(luck: Random) -> str:
        fate = luck.random()
        for flaw, share in (
            ("price_variance", odds.PRICE_VARIANCE_SHARE),
            ("quantity_overbilled", odds.OVERBILLED_SHARE),
            ("invoice_without_order", odds.NO_ORDER_SHARE),
            ("invoice_unknown_order", odds.UNKNOWN_ORDER_SHARE),
        ):
            if fate < share:
                return flaw
            fate -= share
        return ""

    @staticmethod
    def _flawed(flaw: str, lines: Lines, luck: Random, currency: str) -> tuple[Lines, str]:
        """The lines with the flaw in them, and what it is."""
        place = luck.randrange(len(lines))
        line = lines[place]
        if flaw == "price_variance":
            percent = luck.uniform(2, 15)
            step = Decimal(1) if currency == "JPY" else Decimal("0.01")
            price = (Decimal(line["unit_price"]) * Decimal(1 + percent / 100)).quantize(step) + step
            wrong = [_priced({**line, "unit_price": plain(price)}, currency)]
            return [*lines[:place], *wrong, *lines[place + 1 :]], f"a price is {percent:.1f} % too high."
        if flaw == "quantity_overbilled":
            more = max(Decimal(1), (Decimal(line["quantity"]) * Decimal(luck.uniform(0.05, 0.2))).to_integral_value())
            quantity = plain(Decimal(line["quantity"]) + more)
            wrong = [_priced({**line, "quantity": quantity}, currency)]
            return [*lines[:place], *wrong, *lines[place + 1 :]], f"{plain(more)} more is billed than was delivered."
        if flaw == "invoice_without_order":
            return [{**line, "order_number": "", "order_line": ""} for line in lines], "it names no order."
        number = str(4_599_000_000 + luck.randrange(900_000))
        return [{**line, "order_number": number} for line in lines], f"it names order {number}, which nobody knows."

    def _lines(self, order: str, part: int) -> Lines:
        """What the supplier bills for a part: what it delivered, at the order's present prices."""
        row, came = self._office.s4hana.orders[order], self._orders.rows[order]["delivered"][str(part)]
        return [
            _priced(
                {
                    "order_number": order,
                    "order_line": item["PurchaseOrderItem"],
                    "description": item.get("PurchaseOrderItemText") or f"Item {item['PurchaseOrderItem']}",
                    "quantity": came[item["PurchaseOrderItem"]],
                    "unit": self._unit_words.get(item["PurchaseOrderQuantityUnit"], item["PurchaseOrderQuantityUnit"]),
                    "unit_price": plain(Decimal(item["NetPriceAmount"]) / Decimal(item.get("NetPriceQuantity") or "1")),
                },
                row["DocumentCurrency"],
            )
            for item in row["_items"]
            if item["PurchaseOrderItem"] in came
        ]

    def _next_reference(self, supplier: str, unit: Unit) -> str:
        """The supplier's next invoice number: each counts in its own way, in at most 16 characters."""
        place = int(supplier) if supplier.isdecimal() else 0
        number = self._office.ledger.number(f"invoice of {supplier}", 1000 + place % 7919)
        prefix = ("RE-", "INV", "", "R/", "F-00")[place % 5]
        return f"{prefix}{unit.calendar.day(self._office.now):%y}{number:06}"

    def _receive(self, *, order: str, reference: str, lines: Lines, day: date) -> str:
        office = self._office
        row = office.s4hana.orders[order]
        unit = office.units[self._orders.rows[order]["unit"]]
        supplier = office.supplier_by_number(row["Supplier"]) or {"name": row["Supplier"], "term": DEFAULT_TERM}
        usual = TAX_CODES[unit.country][0][0]
        tax_code = self._tax_words.get(row["_items"][0].get("TaxCode") or "", usual)
        net = total(Decimal(line["amount"]) for line in lines)
        return office.basware.receive_invoice(
            supplier_code=row["Supplier"],
            supplier_name=supplier["name"],
            organization_code=f"ORG-{unit.code}",
            company_code=row["CompanyCode"],
            invoice_number=reference,
            currency=row["DocumentCurrency"],
            invoice_date=day,
            baseline_date=day,
            due_date=due_day(unit, day, TERM_DAYS[supplier["term"]]),
            payment_term=supplier["term"],
            tax_code=tax_code,
            tax=rounded(net * TAX_PERCENT[tax_code] / 100, row["DocumentCurrency"]),
            lines=lines,
        )

    # Accounts payable

    @action
    def send_twice(self, *, invoice_id: str, kind: str) -> None:
        """The same invoice arrives again; a clerk takes it out of processing when it is noticed."""
        office, first = self._office, self._office.basware.invoices.rows[invoice_id]
        known = self._billed.rows[invoice_id]
        unit = office.units[self._orders.rows[known["order"]]["unit"]]
        luck = office.luck("twice", invoice_id)
        day = date.fromisoformat(first["invoiceDate"][:10])
        reference = first["invoiceNumber"]
        if kind == "reference retyped":
            reference = "".join(char for char in reference if char.isdecimal()).lstrip("0")
        elif kind == "digits slipped":
            reference = slipped(reference, luck)
        elif kind == "another date":
            day += timedelta(days=luck.randrange(1, 6))
        lines = first["_received"]["lines"]
        second = self._receive(order=known["order"], reference=reference, lines=lines, day=day)
        episode = office.begin("invoice_twice", "basware", f"Invoice {first['invoiceNumber']} came again ({kind}).")
        at = office.repaired_at(unit, luck, (6, 20))
        office.agenda.add(at, self.take_out, invoice_id=second, episode=episode)

    @action
    def take_out(self, *, invoice_id: str, episode: int) -> None:
        """A clerk takes a second copy out of processing, if accounting has not posted it."""
        basware = self._office.basware
        with basware.lock:
            if basware.invoices.rows[invoice_id]["processingStatus"] in NOT_POSTED:
                basware.remove_invoice(invoice_id=invoice_id, reason="A copy of an invoice that is here already")
        self._office.end(episode)

    @action
    def name_order(self, *, invoice_id: str, episode: int) -> None:
        """A clerk has asked the supplier for the order, and enters it."""
        basware = self._office.basware
        with basware.lock:
            if basware.invoices.rows[invoice_id]["processingStatus"] in NOT_POSTED:
                basware.correct_invoice(invoice_id=invoice_id, lines=self._billed.rows[invoice_id]["lines"])
        self._office.end(episode)

    @action
    def return_to_supplier(self, *, invoice_id: str) -> None:
        """What accounting refused goes back, and the supplier sends a right one some days later."""
        office, basware = self._office, self._office.basware
        with basware.lock:
            row = basware.invoices.rows[invoice_id]
            if row["processingStatus"] != "TransferFailed":
                return
            basware.return_invoice(invoice_id=invoice_id, reason="Refused in review; please send a corrected invoice")
        known = self._billed.get(invoice_id)
        if known is not None:
            unit = office.units[self._orders.rows[known["order"]]["unit"]]
            at = unit.calendar.after(office.now, office.luck("again", invoice_id).uniform(20, 60))
            office.agenda.add(at, self.send_corrected, invoice_id=invoice_id)

    @action
    def send_corrected(self, *, invoice_id: str) -> None:
        """The supplier's second invoice, with the figures of the order."""
        office, known = self._office, self._billed.rows[invoice_id]
        row = office.s4hana.orders[known["order"]]
        unit = office.units[self._orders.rows[known["order"]]["unit"]]
        reference = self._next_reference(row["Supplier"], unit)
        day = unit.calendar.day(office.now)
        second = self._receive(order=known["order"], reference=reference, lines=known["lines"], day=day)
        self._billed.put(second, {**known, "flaw": ""}, office.now)

    @action
    def release(self, *, number: str, year: str, episode: int) -> None:
        """A clerk lifts the payment block after having settled the variance."""
        office = self._office
        row = office.s4hana.invoices.get(f"{number}/{year}")
        if row is not None and row.get("PaymentBlockingReason"):
            clerk = office.unit_of_company(row["CompanyCode"]).company_code
            office.s4hana.release_invoice(number=number, year=year, by=f"AP {clerk}")
        office.end(episode)


def _priced(line: dict[str, Any], currency: str) -> dict[str, Any]:
    """The line with its amount."""
    return {**line, "amount": plain(rounded(Decimal(line["quantity"]) * Decimal(line["unit_price"]), currency))}


def slipped(reference: str, luck: Random) -> str:
    """The reference with two neighbouring digits changed places, or the last one mistyped when all are alike."""
    places = [
        i for i in range(len(reference) - 1) if reference[i : i + 2].isdecimal() and reference[i] != reference[i + 1]
    ]
    if not places:
        return f"{reference[:-1]}{(int(reference[-1]) + 1) % 10}"
    i = luck.choice(places)
    return f"{reference[:i]}{reference[i + 1]}{reference[i]}{reference[i + 2 :]}"


def due_day(unit: Unit, baseline: date, term_days: int) -> date:
    """The payment day on or after the end of the term."""
    ends = baseline + timedelta(days=term_days)
    payment_day = ends + timedelta(days=(odds.PAYMENT_WEEKDAY - ends.weekday()) % 7)
    return unit.calendar.working_day(payment_day)


def _lasts(flaw: str) -> bool:
    return flaw in {"invoice_without_order", "invoice_unknown_order"}


def _blocked(row: Row) -> str:
    return f"{row['SupplierInvoice']}/{row['FiscalYear']}" if row.get("PaymentBlockingReason") else ""


def _refused(row: Row) -> str:
    return str(row["invoiceId"]) if row["processingStatus"] == "TransferFailed" else ""
