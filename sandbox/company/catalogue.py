"""What people ask for: categories with their lines, quantities, prices and cost centres.

Amounts are log-normal and scaled by a unit's approval threshold, so that about one requisition in seven reaches it in
every unit and currency.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from math import exp, log
from random import Random
from typing import Any, cast

from sandbox.company import odds
from sandbox.company.units import TAX_CODES, Unit
from sandbox.coupa import Wanted

MEASURED_AT = Decimal(10_000)
"""The threshold that the categories' medians go with."""
CENT_BELOW = Decimal(400)
"""Prices at and above this much are whole units of the currency, as price lists have them."""


@dataclass(frozen=True, slots=True)
class Category:
    """A commodity.

    `median` and `sigma` shape a requisition's amount at a threshold of 10,000; `quantities` are the smallest and the
    largest of a line, per unit of measure; `centres` are the last digits of the cost centres that buy it.
    """

    name: str
    share: float
    median: float
    sigma: float
    account: str
    units: tuple[str, ...]
    quantities: tuple[int, int]
    centres: tuple[str, ...]
    department: str
    things: tuple[str, ...]
    is_service: bool = False


# fmt: off
CATEGORIES = (
    #        name                   share median sigma account     units               quantities centres            department
    Category("Maintenance services", .18, 3200, 1.1, "61003000", ("HUR", "LS", "DAY"), (4, 60),  ("01", "02", "11"), "Plant",
             ("Pump overhaul", "Press inspection", "Conveyor repair", "Crane safety check", "Compressor service", "Cooling circuit flush"), is_service=True),
    Category("Spare parts",          .22, 1400, 1.2, "51600000", ("EA", "PC", "BX"),   (1, 40),  ("01", "02", "11"), "Plant",
             ("Roller bearing 6204", "Hydraulic hose 12 mm", "Proximity switch", "Drive belt", "Shaft seal kit", "Filter cartridge", "Servo motor")),
    Category("Raw material",         .14, 7000, 0.9, "51100000", ("KGM", "MTR", "LTR"), (50, 3000), ("02", "11"),    "Plant",
             ("Steel strip 1.5 mm", "Aluminium bar 40 mm", "Polyamide granulate", "Cutting fluid", "Copper wire 2 mm")),
    Category("IT equipment",         .10, 3000, 1.0, "64001000", ("EA",),              (1, 20),  ("04", "07", "08"), "Offices",
             ("Notebook 14 inch", "Industrial tablet", "Switch 24 ports", "Label printer", "Docking station")),
    Category("Office supplies",      .12,  280, 0.8, "65001000", ("BX", "EA"),         (2, 60),  ("08", "04", "06", "07"), "Offices",
             ("Copy paper A4", "Toner black", "Whiteboard markers", "Archive boxes", "Ergonomic footrest")),
    Category("Logistics services",   .10, 2600, 0.9, "63001000", ("EA", "DAY", "LS"),  (1, 25),  ("03",),            "Plant",
             ("Freight to the coast", "Pallet storage", "Courier transport", "Container unloading"), is_service=True),
    Category("Facility services",    .08, 1800, 1.0, "63002000", ("MON", "HUR", "LS"), (1, 12),  ("05",),            "Plant",
             ("Window cleaning", "Waste disposal", "Green area care", "Fire door inspection"), is_service=True),
    Category("Engineering services", .06, 8000, 0.9, "61008000", ("HUR", "DAY"),       (8, 160), ("07", "06"),       "Offices",
             ("Fixture design", "Control cabinet planning", "Material fatigue study", "Layout of line 2"), is_service=True),
)
# fmt: on
BY_NAME = {category.name: category for category in CATEGORIES}
BY_ACCOUNT = {category.account: category for category in CATEGORIES}

_REASONS = (
    "Needed to keep the line running.",
    "Planned in this year's budget.",
    "Replacement for worn parts.",
    "Agreed in the monthly plant meeting.",
    "Stock is below the reorder point.",
)


@dataclass(frozen=True, slots=True)
class Wish:
    """A requisition before it is entered."""

    requester: str
    department: str
    currency: str
    title: str
    justification: str
    need_by: date
    lines: tuple[Wanted, ...]

    @property
    def amount(self) -> Decimal:
        """What its lines come to."""
        return sum((line_amount(line, self.currency) for line in self.lines), Decimal(0))


@dataclass(frozen=True, slots=True)
class Source:
    """A supplier as buyers see it in procurement."""

    supplier_id: int
    number: str
    category: str
    contract: str
    company_codes: tuple[str, ...]
    country: str


def rounded(amount: Decimal, currency: str) -> Decimal:
    """`amount` in whole minor units."""
    return amount.quantize(Decimal(1) if currency == "JPY" else Decimal("0.01"), ROUND_HALF_UP)


def line_amount(line: Wanted, currency: str) -> Decimal:
    """Quantity times price."""
    return rounded(Decimal(line["quantity"]) * Decimal(line["unit_price"]), currency)


def stored_lines(lines: Sequence[Wanted]) -> list[dict[str, Any]]:
    """Lines as the agenda keeps them."""
    return [{**line, "need_by": need_by.isoformat() if (need_by := line.get("need_by")) else None} for line in lines]


def wanted_lines(rows: Sequence[dict[str, Any]]) -> list[Wanted]:
    """Lines as the agenda kept them."""
    lines = []
    for row in rows:
        line = cast("Wanted", {**row})
        line["need_by"] = date.fromisoformat(row["need_by"]) if row["need_by"] else None
        lines.append(line)
    return lines


def drawn_category(luck: Random) -> Category:
    """A category by its share."""
    return luck.choices(CATEGORIES, weights=[category.share for category in CATEGORIES])[0]


def yearly_need(unit: Unit, centre: str, requisitions_per_day: float) -> Decimal:
    """What a cost centre asks for in a year of 250 working days, on average and in the unit's currency."""
    suffix = centre[-2:]
    mean = sum(
        category.share * category.median * exp(category.sigma**2 / 2) / len(category.centres)
        for category in CATEGORIES
        if suffix in category.centres
    )
    count = 250 * requisitions_per_day * unit.share
    return Decimal(round(mean * count)) * unit.threshold / MEASURED_AT


def draw(
    luck: Random,
    unit: Unit,
    category: Category,
    sources: Sequence[Source],
    *,
    requester: str,
    today: date,
    currency: str = "",
    scale: Decimal | None = None,
    amount: Decimal | None = None,
    contract: bool | None = None,
) -> Wish:
    """A requisition of a category.

    Args:
        luck: Decides everything that is not given.
        unit: Who buys.
        category: What.
        sources: Suppliers of the category that serve the unit; at least one.
        requester: A login.
        today: The unit's day.
        currency: Another one than the unit's.
        scale: The threshold that goes with the currency; the unit's own when it is not given.
        amount: About how much, in the currency.
        contract: Whether the suppliers are under contract; None: mostly.
    """
    currency = currency or unit.currency
    scale = (scale or unit.threshold) / MEASURED_AT
    whole = amount or min(
        Decimal(luck.lognormvariate(log(category.median), category.sigma)) * scale,
        odds.AMOUNT_CAP * scale * MEASURED_AT,
    )
    count = luck.choices((1, 2, 3, 4), weights=odds.LINE_COUNT_WEIGHTS)[0]
    chosen = luck.sample(list(sources), 2) if _has_two_suppliers(luck, count, sources) else [luck.choice(sources)]
    need_by = unit.calendar.working_day(today, luck.randrange(4, 18) if category.is_service else luck.randrange(3, 15))
    tax_code = luck.choices(TAX_CODES[unit.country], weights=[20, 2, 1][: len(TAX_CODES[unit.country])])[0][0]
    weights = [luck.uniform(0.4, 1.6) for _ in range(count)]
    under_contract = [luck.random() >= odds.NO_CONTRACT_SHARE if contract is None else contract for _ in chosen]
    things = luck.sample(category.things, min(count, len(category.things)))
    plant = luck.choice(unit.plants)
    lines = []
    for place in range(count):
        whose = place * len(chosen) // count
        line = _line(luck, unit, category, whole * Decimal(weights[place] / sum(weights)), currency)
        line |= {
            "description": f"{things[place % len(things)]}, {plant}",
            "supplier_id": chosen[whose].supplier_id,
            "contract": chosen[whose].contract if under_contract[whose] else "",
            "company_code": unit.company_code,
            "plant": plant,
            "tax_code": tax_code,
            "need_by": need_by,
        }
        lines.append(line)
    return Wish(
        requester=requester,
        department=f"{unit.code} {category.department}",
        currency=currency,
        title=f"{category.name}: {things[0].lower()}",
        justification=luck.choice(_REASONS),
        need_by=need_by,
        lines=tuple(lines),
    )


def _has_two_suppliers(luck: Random, line_count: int, sources: Sequence[Source]) -> bool:
    return luck.random() < odds.TWO_SUPPLIERS_SHARE and line_count > 1 and len(sources) > 1


def _line(luck: Random, unit: Unit, category: Category, amount: Decimal, currency: str) -> Wanted:
    measure = luck.choice(category.units)
    centre = unit.cost_centre(luck.choice(category.centres))
    smallest, largest = category.quantities
    quantity = 1 if measure in {"LS", "MON"} else luck.randint(smallest, largest)
    least = Decimal(1) if currency == "JPY" else Decimal("0.01")
    exact = amount / quantity
    step = Decimal(1) if exact >= CENT_BELOW or currency == "JPY" else Decimal("0.01")
    price = max(exact.quantize(step, ROUND_HALF_UP), least)
    line = Wanted(
        quantity=str(quantity),
        unit=measure,
        unit_price=str(price),
        cost_centre=centre,
        account=category.account,
        commodity=category.name,
    )
    if measure == "LS":
        line["amount_line"] = True
    others = [code for code in unit.cost_centres if code != centre]
    if luck.random() < odds.SPLIT_SHARE:
        first = luck.choice((50, 60, 70, 80))
        line["splits"] = [(centre, str(first)), (luck.choice(others), str(100 - first))]
    return line
