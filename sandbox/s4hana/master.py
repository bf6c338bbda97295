"""SAP's master data and the checks on it: companies, plants, cost centres, suppliers, periods, budgets, rates.

Posting periods are open until somebody closes them. A cost centre without a budget is not checked for one. Blocking
flags are SAP's own fields, so that a caller can read them before it writes.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from random import Random
from typing import Any, NamedTuple

from sandbox.ledger import Ledger, Row
from sandbox.s4hana.entities import (
    BUSINESS_PARTNER,
    COST_CENTRE,
    SUPPLIER,
    SUPPLIER_COMPANY,
    SUPPLIER_PURCHASING_ORG,
)
from sandbox.s4hana.gateway import Gateway
from sandbox.s4hana.messages import Message, Rejected, german_day, message
from sandbox.s4hana.query import EntitySet
from sandbox.s4hana.wire import bare

ZERO = Decimal(0)
BUDGET_WARNING_PCT = 90
"""From this share of a budget on, SAP warns (BP/603); above all of it, it refuses (BP/604)."""

BLOCKS: dict[str, tuple[str, str]] = {
    "purchasing": ("PurchasingIsBlocked", "purchasing"),
    "posting": ("PostingIsBlocked", "posting"),
    "payment": ("PaymentIsBlockedForSupplier", "payment"),
    "deletion": ("DeletionIndicator", "deletion"),
}
"""Kind of block to its field on the supplier and the word in the message."""


class CostObject(NamedTuple):
    """What bears a cost: the account and the cost centre, in a company, on a day."""

    company_code: str
    account: str
    cost_centre: str
    on: str


class MasterData(Gateway):
    """Companies, plants, cost centres, suppliers, periods, budgets and rates; see the module."""

    def __init__(self, ledger: Ledger, clock: Callable[[], datetime], rng: Random, **settings: Any) -> None:
        super().__init__(ledger, clock, rng, **settings)
        self._companies = ledger.table("company_code")
        self._plants = ledger.table("plant")
        self._cost_centres = ledger.table("cost_centre", ("CostCenter",))
        self._suppliers = ledger.table("supplier")
        self._periods = ledger.table("period")
        self._budgets = ledger.table("budget")
        self._rates = ledger.table("exchange_rate")
        by_supplier = {"Supplier": ""}
        self.register(
            EntitySet(COST_CENTRE, self._cost_centres, {"CostCenter": "CostCenter"}),
            EntitySet(SUPPLIER, self._suppliers, by_supplier),
            EntitySet(SUPPLIER_COMPANY, self._suppliers, by_supplier, entities=lambda row: list(row["_companies"])),
            EntitySet(
                SUPPLIER_PURCHASING_ORG, self._suppliers, by_supplier, entities=lambda row: list(row["_organizations"])
            ),
            EntitySet(
                BUSINESS_PARTNER,
                self._suppliers,
                {"BusinessPartner": "", "Supplier": ""},
                ("LastChangeDate", "LastChangeTime"),
            ),
        )

    def add_company_code(self, *, code: str, currency: str, controlling_area: str) -> None:
        """A legal entity that keeps books in `currency`."""
        with self.lock:
            company = {"code": code, "currency": currency, "controlling_area": controlling_area}
            self._companies.put(code, company, self.clock())

    def add_plant(self, *, code: str, company_code: str) -> None:
        """A place of a company that goods and services go to."""
        with self.lock:
            self._plants.put(code, {"code": code, "company_code": company_code}, self.clock())

    def add_cost_centre(self, *, code: str, company_code: str, valid_from: date, valid_to: date) -> None:
        """A cost centre, for one stretch of time; the same code may be added again for another."""
        with self.lock:
            company = self.company(company_code)
            row = {
                "ControllingArea": company["controlling_area"],
                "CostCenter": bare(code),
                "ValidityStartDate": valid_from.isoformat(),
                "ValidityEndDate": valid_to.isoformat(),
                "CompanyCode": company_code,
                "CostCenterCurrency": company["currency"],
                "CostCenterCreationDate": self.today(),
            }
            key = f"{row['ControllingArea']}/{row['CostCenter']}/{row['ValidityEndDate']}"
            self._cost_centres.put(key, row, self.clock())

    def block_cost_centre(self, *, code: str) -> None:
        """Nothing more can be posted on it, actual costs or commitments."""
        self._mark_cost_centre(code, "X")

    def unblock_cost_centre(self, *, code: str) -> None:
        """It can be posted on again."""
        self._mark_cost_centre(code, "")

    def _mark_cost_centre(self, code: str, flag: str) -> None:
        with self.lock:
            for row in self._cost_centres.find("CostCenter", bare(code)):
                row |= {"IsBlkdForPrimaryCostsPosting": flag, "IsBlockedForCommitmentPosting": flag}
                key = f"{row['ControllingArea']}/{row['CostCenter']}/{row['ValidityEndDate']}"
                self._cost_centres.put(key, row, self.clock())

    def add_supplier(
        self,
        *,
        number: str,
        name: str,
        tax_id: str,
        country: str,
        company_codes: Iterable[str],
        purchasing_organizations: Iterable[str],
        payment_terms: str,
        check_duplicates: bool = False,
    ) -> None:
        """A supplier with its business partner, set up for companies and purchasing organizations."""
        number = bare(number)
        with self.lock:
            at = self.now_to_the_second()
            created = {"CreatedByUser": "BUYER", "CreationDate": self.today(), "CreationTime": f"{at:%H:%M:%S}"}
            organizations = [
                {"Supplier": number, "PurchasingOrganization": code, "PaymentTerms": payment_terms}
                for code in purchasing_organizations
            ]
            companies = [
                {
                    "Supplier": number,
                    "CompanyCode": code,
                    "PaymentTerms": payment_terms,
                    "IsToBeCheckedForDuplicates": check_duplicates,
                }
                for code in company_codes
            ]
            names = ("SupplierName", "SupplierFullName", "BusinessPartnerName", "BusinessPartnerFullName")
            self._store_supplier(
                {
                    **dict.fromkeys(names, name),
                    **created,
                    "Supplier": number,
                    "BusinessPartner": number,
                    "OrganizationBPName1": name[:40],
                    "SearchTerm1": name[:20].upper(),
                    "VATRegistration": tax_id,
                    "_country": country,
                    "_companies": companies,
                    "_organizations": organizations,
                }
            )

    def block_supplier(self, *, number: str, kind: str) -> None:
        """Block a supplier for "purchasing", "posting" or "payment", or mark it for "deletion"."""
        self._mark_supplier(number, [kind], blocked=True)

    def unblock_supplier(self, *, number: str) -> None:
        """Take all blocks off."""
        self._mark_supplier(number, BLOCKS, blocked=False)

    def _mark_supplier(self, number: str, kinds: Iterable[str], *, blocked: bool) -> None:
        with self.lock:
            row = self._suppliers.rows[bare(number)]
            self._store_supplier({**row, **{BLOCKS[kind][0]: blocked for kind in kinds}})

    def _store_supplier(self, row: Row) -> None:
        at = self.now_to_the_second()
        row |= {"LastChangeDate": self.today(), "LastChangeTime": f"{at:%H:%M:%S}"}
        self._suppliers.put(row["Supplier"], row, at)

    def open_period(self, *, company_code: str, year: int, month: int) -> None:
        """Let a month be posted in."""
        with self.lock:
            self._periods.put(f"{company_code}/{year}/{month}", {"open": True}, self.clock())

    def close_period(self, *, company_code: str, year: int, month: int) -> None:
        """Nothing more is posted in a month."""
        with self.lock:
            self._periods.put(f"{company_code}/{year}/{month}", {"open": False}, self.clock())

    def is_period_open(self, *, company_code: str, year: int, month: int) -> bool:
        """Whether a month can be posted in."""
        with self.lock:
            period = self._periods.get(f"{company_code}/{year}/{month}")
            return period is None or bool(period["open"])

    def set_budget(self, *, cost_centre: str, year: int, amount: Decimal) -> None:
        """Give a cost centre a yearly budget, in its company's currency."""
        with self.lock:
            self._store_budget(bare(cost_centre), str(year), amount=str(amount))

    def budget_left(self, *, cost_centre: str, year: int) -> Decimal | None:
        """What commitments and actual costs have left of a budget; None without one."""
        with self.lock:
            row = self._budgets.get(f"{bare(cost_centre)}/{year}")
            if row is None or "amount" not in row:
                return None
            return Decimal(row["amount"]) - Decimal(row["committed"]) - Decimal(row["actual"])

    def _store_budget(self, cost_centre: str, year: str, **values: str) -> None:
        key = f"{cost_centre}/{year}"
        row = self._budgets.get(key) or {"committed": "0", "actual": "0"}
        self._budgets.put(key, {**row, **values}, self.clock())

    def book_budget(self, cost_centre: str, year: str, *, committed: Decimal = ZERO, actual: Decimal = ZERO) -> None:
        """Use, or give back, some of a budget."""
        row = self._budgets.get(f"{cost_centre}/{year}") or {"committed": "0", "actual": "0"}
        values = {
            "committed": str(Decimal(row["committed"]) + committed),
            "actual": str(Decimal(row["actual"]) + actual),
        }
        self._store_budget(cost_centre, year, **values)

    def budget_messages(self, wanted: Mapping[tuple[str, str], Decimal]) -> list[Message]:
        """What SAP says when so much more is to be committed, per cost centre and year."""
        said = []
        for (cost_centre, year), amount in wanted.items():
            row = self._budgets.get(f"{cost_centre}/{year}")
            if row is None or "amount" not in row or amount <= 0:
                continue
            budget = Decimal(row["amount"])
            used = Decimal(row["committed"]) + Decimal(row["actual"]) + amount
            if used > budget:
                said.append(message("BP/604", cost_centre, target="CostCenter"))
            elif used * 100 > budget * BUDGET_WARNING_PCT:
                said.append(message("BP/603", cost_centre, severity="warning", target="CostCenter"))
        return said

    def set_exchange_rate(self, *, currency: str, to: str, rate: Decimal) -> None:
        """Units of `to` for one unit of `currency`, from now on."""
        with self.lock:
            self._rates.put(f"{currency}/{to}", {"rate": str(rate)}, self.clock())

    def rate(self, currency: str, company_code: str, on: str) -> Decimal:
        """Units of the company's currency for one unit of `currency`.

        Raises:
            Rejected: no rate is known.
        """
        own = str(self.company(company_code)["currency"])
        if currency == own:
            return Decimal(1)
        row = self._rates.get(f"{currency}/{own}")
        if row is None:
            raise Rejected(message("SG/105", currency, own, german_day(on), target="DocumentCurrency"))
        return Decimal(row["rate"])

    def company(self, code: str) -> Row:
        """The company code.

        Raises:
            Rejected: it is not defined.
        """
        row = self._companies.get(code)
        if row is None:
            raise Rejected(message("F5/800", code, target="CompanyCode"))
        return row

    def check_period(self, company_code: str, day: str) -> list[Message]:
        """Whether the ledger is open on a day."""
        year, month = int(day[:4]), int(day[5:7])
        if self.is_period_open(company_code=company_code, year=year, month=month):
            return []
        return [message("F5/201", f"{month:03d} {year}", target="PostingDate")]

    def check_cost_object(self, asked: CostObject) -> list[Message]:
        """Whether a cost can be posted there."""
        if not asked.cost_centre:
            return [message("KI/235", asked.account, target="CostCenter")]
        area = str(self.company(asked.company_code)["controlling_area"])
        known = [
            row for row in self._cost_centres.find("CostCenter", asked.cost_centre) if row["ControllingArea"] == area
        ]
        words = (area, asked.cost_centre, german_day(asked.on))
        if not known:
            return [message("KI/265", *words, target="CostCenter")]
        valid = [row for row in known if row["ValidityStartDate"] <= asked.on <= row["ValidityEndDate"]]
        if not valid or valid[0].get("IsBlockedForCommitmentPosting") == "X":
            return [message("KI/260", *words, target="CostCenter")]
        return []

    def check_supplier(self, number: str, *, organization: str = "", company_code: str = "") -> list[Message]:
        """Whether one can order from a supplier, or post its invoices."""
        row = self._suppliers.get(number)
        use = "purchasing" if organization else "posting"
        if row is None or (organization and _part(row, "_organizations", organization) is None):
            if organization:
                return [message("06/027", number, organization, target="Supplier")]
            return [message("M8/801", number, company_code, target="InvoicingParty")]
        if company_code and _part(row, "_companies", company_code) is None:
            return [message("M8/801", number, company_code, target="InvoicingParty")]
        if row.get(BLOCKS[use][0]):
            return [message("ME/802", number, BLOCKS[use][1], target="Supplier")]
        if row.get("DeletionIndicator"):
            return [message("ME/810", number, target="Supplier")]
        return []

    def supplier_in_company(self, number: str, company_code: str) -> Row:
        """What is agreed with a supplier in a company; empty when nothing is."""
        row = self._suppliers.get(number)
        return (_part(row, "_companies", company_code) if row else None) or {}

    def payment_terms_of(self, number: str, organization: str) -> str:
        """The payment terms agreed with a purchasing organization."""
        row = self._suppliers.get(number)
        part = _part(row, "_organizations", organization) if row else None
        return str(part["PaymentTerms"]) if part else ""


def _part(row: Row, name: str, code: str) -> Row | None:
    field = "CompanyCode" if name == "_companies" else "PurchasingOrganization"
    return next((part for part in row[name] if part[field] == code), None)
