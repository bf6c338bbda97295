"""The business units as the configuration names them, with what only the company itself knows of them.

The same files that tell the engine who is who tell the company: a stand-in company with other names would test nothing.
"""

import tomllib
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from config import FOLDER
from sandbox.company.calendar import WorkCalendar
from sandbox.company.odds import UNIT_SHARES

CURRENCY_DECIMALS = {"JPY": 0}
"""Minor units, where they are not two."""

# fmt: off
PLANTS = {
    "DE-NORTH": ("DEN1",), "DE-SOUTH": ("DES1", "DES2"), "UK-MIDLANDS": ("UKM1",),
    "US-EAST": ("USE1",), "US-WEST": ("USW1",), "JP-KANTO": ("JPK1",),
}
TAX_CODES = {              # by country: (procurement's code, per cent), the usual one first
    "DE": (("VAT19", 19), ("VAT7", 7), ("VAT0", 0)),
    "GB": (("UK20", 20), ("UK0", 0)),
    "US": (("USE", 0), ("US0", 0)),   # use tax is self-assessed: no supplier bills it
    "JP": (("JCT10", 10), ("JCT8", 8)),
}
# fmt: on
TAX_PERCENT = {code: Decimal(percent) for codes in TAX_CODES.values() for code, percent in codes}


def config_entries(table: str) -> dict[str, Any]:
    """The entries of one mapping table of `config/mappings`."""
    entries: dict[str, Any] = tomllib.loads((FOLDER / "mappings" / f"{table}.toml").read_text(encoding="utf-8"))[
        "entries"
    ]
    return entries


@dataclass(frozen=True, slots=True)
class Unit:
    """A part of the company that buys for itself."""

    code: str
    country: str
    currency: str
    company_code: str
    controlling_area: str
    purchasing_organization: str
    purchasing_group: str
    finance_group: str
    procurement_group: str
    calendar: WorkCalendar
    cost_centres: tuple[str, ...]
    plants: tuple[str, ...]
    """In procurement's words."""
    threshold: Decimal
    """From this amount on in its own currency, the exception approval is needed; it also says how large amounts are."""
    share: float
    """Of all requisitions."""

    @property
    def slug(self) -> str:
        """The end of its people's logins in procurement."""
        return self.code.lower()

    @property
    def compact(self) -> str:
        """The end of its people's user names in the approval tool."""
        return self.slug.replace("-", "")

    @property
    def decimals(self) -> int:
        """Of its currency."""
        return CURRENCY_DECIMALS.get(self.currency, 2)

    def cost_centre(self, suffix: str) -> str:
        """The cost centre with these last two digits: "04" is information technology everywhere."""
        return next(code for code in self.cost_centres if code.endswith(suffix))

    @property
    def unknown_cost_centre(self) -> str:
        """A code that looks like one of its own and is in nobody's hierarchy."""
        return f"{self.cost_centres[0][:2]}19"


def load_units() -> dict[str, Unit]:
    """The units by code, in the order of the configuration."""
    policies = tomllib.loads((FOLDER / "policies.toml").read_text(encoding="utf-8"))
    calendars = tomllib.loads((FOLDER / "calendars.toml").read_text(encoding="utf-8"))["calendars"]
    thresholds = {row["business_unit"]: Decimal(row["amount"]) for row in policies["approval_thresholds"]}
    centres = config_entries("cost_centres")
    return {
        code: Unit(
            code=code,
            calendar=WorkCalendar(**calendars[entry["calendar"]]),
            cost_centres=tuple(centre for centre, row in centres.items() if row["business_unit"] == code),
            plants=PLANTS[code],
            threshold=thresholds[code],
            share=UNIT_SHARES[code],
            **{name: entry[name] for name in _FROM_CONFIGURATION},
        )
        for code, entry in config_entries("business_units").items()
    }


_FROM_CONFIGURATION = (
    "country",
    "currency",
    "company_code",
    "controlling_area",
    "purchasing_organization",
    "purchasing_group",
    "finance_group",
    "procurement_group",
)
