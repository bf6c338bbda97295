"""Whom the company buys from: invented suppliers with tax numbers that hold by their country's own rule.

Every name has a number in it and none is a real company's.
"""

from dataclasses import dataclass
from random import Random

from stdnum import get_cc_module

from sandbox.company.units import config_entries

FIRST_NUMBER = 10_300_001
"""The ERP's number of the first supplier."""
UNKNOWN_NUMBER = 10_399_000
"""Numbers from here on look like the ERP's and are none."""

# fmt: off
TRADES = {
    "Maintenance services": ("Wartung", "Maintenance", "Maintenance", "Hozen"),
    "Spare parts":          ("Komponenten", "Components", "Components", "Buhin"),
    "Raw material":         ("Werkstoffe", "Materials", "Materials", "Zairyo"),
    "IT equipment":         ("Systemtechnik", "Systems", "Systems", "Joho"),
    "Office supplies":      ("Bürobedarf", "Stationery", "Office Supply", "Bungu"),
    "Logistics services":   ("Logistik", "Haulage", "Freight", "Butsuryu"),
    "Facility services":    ("Gebäudedienste", "Facilities", "Facility Care", "Shisetsu"),
    "Engineering services": ("Konstruktion", "Engineering", "Engineering", "Sekkei"),
}
"""What a supplier of each category calls its trade in Germany, Britain, America and Japan."""


@dataclass(frozen=True, slots=True)
class Region:
    """Where suppliers sit: words for their names, whom they serve, and how many there are of each category."""

    country: str
    words: tuple[str, ...]
    form: str
    company_codes: tuple[str, ...]
    per_category: tuple[int, ...]


REGIONS = (
    #      country  words for names                                  form       companies            suppliers per category
    Region("DE", ("Nordwerk", "Elbring", "Isarform", "Heidekamp"),   "GmbH",    ("1010", "1110"),    (3, 3, 3, 3, 3, 3, 3, 3)),
    Region("GB", ("Midvale", "Fenbridge", "Oakmoor"),                "Ltd",     ("1110",),           (2, 2, 2, 2, 1, 1, 1, 1)),
    Region("US", ("Lakemont", "Redfield", "Pinehollow"),             "Inc",     ("1710",),           (2, 2, 2, 2, 2, 2, 2, 2)),
    Region("JP", ("Kitahama", "Minamori"),                           "K.K.",    ("1510",),           (1, 1, 1, 1, 1, 1, 1, 1)),
)
_TERMS = ("NET 30", "NET 30", "NET 45", "NET 14", "NET 60", "2/10 NET 30")
TERM_DAYS = {"NET 14": 14, "NET 30": 30, "NET 45": 45, "NET 60": 60, "2/10 NET 30": 30}
# fmt: on


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A supplier before anybody has entered it anywhere. `number` is what the ERP will call it."""

    number: str
    name: str
    country: str
    tax_id: str
    category: str
    term: str
    company_codes: tuple[str, ...]


def founding_suppliers(luck: Random) -> list[Newcomer]:
    """The suppliers the company has from the beginning."""
    found: list[Newcomer] = []
    for place, region in enumerate(REGIONS):
        for category, count in zip(TRADES, region.per_category, strict=True):
            for number in range(count):
                # Every third German supplier delivers to Britain too.
                serves = region.company_codes if number % 3 == 0 else region.company_codes[:1]
                found.append(_newcomer(luck, len(found) + 1, place, category, serves))
    return found


def newcomer(luck: Random, ordinal: int, country: str, category: str) -> Newcomer:
    """One more supplier in a country; `ordinal` counts all there have ever been."""
    place = next(i for i, region in enumerate(REGIONS) if region.country == country)
    return _newcomer(luck, ordinal, place, category, REGIONS[place].company_codes[:1])


def _newcomer(luck: Random, ordinal: int, place: int, category: str, serves: tuple[str, ...]) -> Newcomer:
    region = REGIONS[place]
    word = region.words[ordinal % len(region.words)]
    return Newcomer(
        number=str(FIRST_NUMBER + ordinal - 1),
        name=f"{word} {TRADES[category][place]} {ordinal:02} {region.form}",
        country=region.country,
        tax_id=tax_number(luck, region.country),
        category=category,
        term=_TERMS[ordinal % len(_TERMS)],
        company_codes=serves,
    )


def tax_number(luck: Random, country: str) -> str:
    """A number that passes the country's own check."""
    while True:
        tax_id = _number_like(luck, country)
        if _holds(country, tax_id):
            return tax_id


def spoilt(tax_id: str, country: str) -> str:
    """The tax number with its last digit mistyped, so that it no longer passes."""
    digits = (tax_id[:-1] + str((int(tax_id[-1]) + step) % 10) for step in range(1, 10))
    return next(
        (wrong for wrong in digits if not _holds(country, wrong)),
        tax_id[:-1],  # a country without check digits: one digit is missing
    )


def _number_like(luck: Random, country: str) -> str:
    if country == "US":
        return f"{luck.randrange(10, 99):02}-{luck.randrange(10**7):07}"
    digits = {"DE": 9, "GB": 9, "JP": 13}[country]
    prefix = "" if country == "JP" else country
    return f"{prefix}{luck.randrange(10 ** (digits - 1), 10**digits)}"


def _holds(country: str, tax_id: str) -> bool:
    modules = (get_cc_module(country.lower(), kind) for kind in ("vat", "ein"))
    module = next(module for module in modules if module is not None)
    return bool(module.is_valid(tax_id))


def erp_term(term: str) -> str:
    """The ERP's word for a payment term."""
    return str(config_entries("payment_terms")[term])
