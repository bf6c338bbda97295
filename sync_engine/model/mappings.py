"""The mapping service: what one system calls something, in the words of another.

Every table is versioned data in `config/mappings`, with an owner and the day it holds from; nothing here knows an
entry by heart, and a connector never translates on its own (R097, R098). A word without an entry is an error that
names the word, the table and the nearest entries; it is never passed through and never guessed (R049).
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field
from rapidfuzz import process

from sync_engine.model.errors import MappingError
from sync_engine.model.money import parse_amount, rounded

_Amount = Annotated[Decimal, Field(strict=False)]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BusinessUnit(_Entry):
    """A part of the company that buys for itself."""

    code: str
    name: str
    country: str
    currency: str
    company_code: str
    controlling_area: str
    purchasing_organization: str
    purchasing_group: str
    time_zone: str
    calendar: str
    finance_group: str
    """The approval tool's group of regional finance approvers."""
    procurement_group: str
    """The approval tool's group of procurement approvers."""

    @property
    def zone(self) -> ZoneInfo:
        """Where its working day is."""
        return ZoneInfo(self.time_zone)


class CostCentre(_Entry):
    """A cost centre and its way up the hierarchy, itself first."""

    code: str
    business_unit: str
    path: tuple[str, ...]
    valid_from: date
    valid_to: date


class Rate(_Entry):
    """Units of group currency for one unit of `currency`, on a day, from a named source (R094)."""

    currency: str
    rate: _Amount
    valid_on: date
    source: str


class Converted(_Entry):
    """An amount in group currency, and what made it so."""

    amount: _Amount
    currency: str
    rate: _Amount
    rate_on: date
    rate_source: str


class Table(_Entry):
    """One mapping table as a file states it."""

    name: str
    version: str
    owner: str
    valid_from: date
    entries: dict[str, Any]


class Mappings:
    """All tables together, at one version.

    Args:
        tables: The tables by name. `business_units`, `cost_centres`, `rates` have entries with fields; the others
            map a word to a word.
        version: Identifies this exact content; stored beside every document mapped with it.
        group_currency: What sums are shown in.
    """

    def __init__(self, tables: Mapping[str, Table], *, version: str, group_currency: str) -> None:
        self.tables = dict(tables)
        self.version = version
        self.group_currency = group_currency
        self.business_units = {
            code: BusinessUnit(code=code, **entry) for code, entry in self._entries("business_units").items()
        }
        self._cost_centres = {
            code: CostCentre(code=code, **entry) for code, entry in self._entries("cost_centres").items()
        }
        self._rates = [
            Rate(
                currency=currency, rate=parse_amount(entry["rate"]), valid_on=entry["valid_on"], source=entry["source"]
            )
            for currency, history in self._entries("rates").items()
            for entry in history
        ]

    def _entries(self, table: str) -> dict[str, Any]:
        return self.tables[table].entries if table in self.tables else {}

    def word(self, table: str, key: str, *, system: str, code: str = "value_unmapped") -> str:
        """What `key` is called on the other side, by `table`.

        Raises:
            MappingError: no entry; names the three nearest ones.
        """
        entries = self._entries(table)
        if key in entries:
            return str(entries[key])
        raise MappingError(
            f"{key!r} has no entry in the table {table.replace('_', ' ')}{nearest(key, entries)}.",
            system=system,
            code=code,
            facts={"table": table, "value": key},
        )

    def unit(self, code: str) -> BusinessUnit:
        """The business unit called `code`."""
        if code in self.business_units:
            return self.business_units[code]
        raise MappingError(
            f"{code!r} is not a business unit{nearest(code, self.business_units)}.",
            code="value_unmapped",
            facts={"table": "business_units", "value": code},
        )

    def unit_of_department(self, department: str, *, system: str) -> BusinessUnit:
        """The business unit a department of procurement or AP automation belongs to."""
        return self.unit(self.word("departments", department, system=system))

    def cost_centre(self, code: str, on: date) -> CostCentre:
        """The cost centre called `code`, valid on a day.

        Raises:
            MappingError: unknown, or outside its validity.
        """
        found = self._cost_centres.get(code)
        if found is None:
            raise MappingError(
                f"Cost centre {code} is not in the hierarchy{nearest(code, self._cost_centres)}.",
                code="cost_centre_unknown",
                facts={"cost_centre": code},
            )
        if not found.valid_from <= on <= found.valid_to:
            raise MappingError(
                f"Cost centre {code} is valid from {found.valid_from} to {found.valid_to}, not on {on}.",
                code="cost_centre_unknown",
                facts={"cost_centre": code},
            )
        return found

    def plant(self, code: str) -> str:
        """The ERP's plant for procurement's plant code."""
        return self.word("plants", code, system="finsync")

    def tax_code(self, code: str) -> str:
        """The ERP's tax code for a tax code of procurement or AP automation."""
        return self.word("tax_codes", code, system="finsync")

    def payment_term(self, code: str) -> str:
        """The ERP's payment term for procurement's."""
        return self.word("payment_terms", code, system="finsync")

    def unit_of_measure(self, code: str) -> str:
        """The ERP's unit of measure for procurement's."""
        return self.word("units_of_measure", code, system="finsync")

    def employee(self, system: str, user: str, email: str = "") -> str:
        """The one person behind a login (R085): by the identities table, else by the mail address, else the login itself
        named with its system, which never equals another system's."""
        key = f"{system}:{user}".lower()
        entries = self._entries("identities")
        if key in entries:
            return str(entries[key])
        return email.strip().lower() or key

    def is_integration_user(self, system: str, user: str) -> bool:
        """Whether a login is a program's, so that its decision is nobody's approval."""
        return f"{system}:{user}".lower() in self._entries("integration_users")

    def rate(self, currency: str, on: date) -> Rate:
        """The latest rate of `currency` not after `on`."""
        if currency == self.group_currency:
            return Rate(currency=currency, rate=Decimal(1), valid_on=on, source="group currency")
        known = [rate for rate in self._rates if rate.currency == currency and rate.valid_on <= on]
        if not known:
            raise MappingError(
                f"There is no rate for {currency} on or before {on}.",
                code="currency_unknown",
                facts={"currency": currency},
            )
        return max(known, key=lambda rate: rate.valid_on)

    def in_group_currency(self, amount: Decimal, currency: str, on: date) -> Converted:
        """`amount` in group currency at the latest rate not after `on`, with the rate, its date and its source."""
        rate = self.rate(currency, on)
        return Converted(
            amount=rounded(amount * rate.rate, self.group_currency),
            currency=self.group_currency,
            rate=rate.rate,
            rate_on=rate.valid_on,
            rate_source=rate.source,
        )

    def in_currency(self, group_amount: Decimal, currency: str, on: date) -> Decimal:
        """An amount of group currency in another currency."""
        return rounded(group_amount / self.rate(currency, on).rate, currency)

    def local_day(self, business_unit: str, moment: datetime) -> date:
        """The calendar day it is at a business unit, which is the day its ledger posts on."""
        return moment.astimezone(self.unit(business_unit).zone).date()


def nearest(word: str, entries: Iterable[str]) -> str:
    """The words "; nearest are a, b, c" for an error message, or nothing when there is nothing like it."""
    hits = [str(hit) for hit, score, _ in process.extract(word, list(entries), limit=3) if score >= 60]
    return f"; nearest are {', '.join(hits)}" if hits else ""
