"""When which trouble begins: a quarter's troubles, spread by the seed, each kind early and some of them late.

The first of every kind comes within the first four weeks, so that a short run shows all of them. Kinds marked late have
one more in the last days of the quarter, so that a run always ends with something open.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from sandbox.company import odds
from sandbox.company.agenda import action, actions_of
from sandbox.company.bad_systems import DISTURBANCES, BadSystems
from sandbox.company.office import Office
from sandbox.company.units import Unit

FIRST_DAYS = (2.0, 24.0)
"""Between which days of the period the first trouble of a kind begins, unless its row says otherwise."""
SYSTEM_HOURS_OF = "UK-MIDLANDS"
"""Systems fail in these office hours, when most of the company is at work."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How often a kind of trouble comes in a period, whether one is added at its end, when the first comes, and to whom.

    Units that are named take turns; without names each unit is met as often as it buys.
    """

    count: int
    late: bool = False
    first_days: tuple[float, float] = FIRST_DAYS
    units: tuple[str, ...] = ()


# fmt: off
PLAN = {
    # Stale master data: words that no mapping knows                why so often
    "cost_centre_unmapped":      Plan(8, late=True),              # the commonest slip there is
    "plant_unmapped":            Plan(3, late=True),
    "unit_unmapped":             Plan(3, late=True),
    # The ERP refuses to post
    "cost_centre_blocked":       Plan(15, late=True, units=tuple(odds.UNIT_SHARES)),   # two or three per unit and quarter
    "supplier_blocked":          Plan(5, late=True),
    "budget_exhausted":          Plan(4, late=True),              # in turns in both systems and in the ERP alone
    "order_locked":              Plan(6),
    "commitment_missing":        Plan(1, first_days=(3, 16)),     # once: posting a commitment is what SAP does best
    # Supplier identifiers
    "supplier_without_number":   Plan(7, late=True),              # a newcomer every other week
    "supplier_number_unknown":   Plan(2, late=True),
    "supplier_tax_invalid":      Plan(3, late=True),
    "supplier_duplicate":        Plan(3, late=True),
    # Approvals that do not agree
    "withdrawn_during_approval": Plan(6),
    "withdrawn_after_ordering":  Plan(4, first_days=(2, 14)),
    "self_approval":             Plan(3, first_days=(4, 20), units=("DE-SOUTH", "US-EAST")),
    # Bad input
    "amount_mismatch":           Plan(4, late=True),
    "currency_unknown":          Plan(3),
    "cost_centre_missing":       Plan(4, late=True),
    "date_implausible":          Plan(2),
    "hostile_text":              Plan(4),
    "hostile_name":              Plan(2),
    "unknown_status":            Plan(1),
    # Systems
    "servicenow_outage":         Plan(2),
    "sap_outage":                Plan(1),
    "coupa_throttled":           Plan(4),
    "basware_errors":            Plan(3),
    "replies_lost":              Plan(1),
    "drift_added":               Plan(1, first_days=(3, 8)),      # harmless, and a warning of what is to come
    "drift_removed":             Plan(1, first_days=(15, 25)),
}
BY_CHANCE = (
    "requisition_twice", "invoice_twice", "price_variance", "quantity_overbilled", "invoice_without_order",
    "invoice_unknown_order", "invoice_before_receipt", "payment_blocked",
)
"""Kinds that befall single documents by the shares of `odds`."""
BY_CALENDAR = ("period_late", "sap_maintenance")
KINDS = (*PLAN, *BY_CHANCE, *BY_CALENDAR)
# fmt: on


class Troubles:
    """Plans a period after the other.

    Args:
        office: The surroundings.
        systems: Who disturbs systems.
        groups: Who begins the other kinds, by methods of their names.
    """

    def __init__(self, office: Office, systems: BadSystems, groups: Iterable[object]) -> None:
        self._office = office
        self._systems = systems
        self._begin: dict[str, Callable[..., None]] = {}
        for group in groups:
            self._begin |= actions_of(group)

    def begin(self) -> None:
        """Plan the first period."""
        self.plan_period(nth=0)

    @action
    def plan_period(self, *, nth: int) -> None:
        """Plan the troubles of a period, and the planning of the next one."""
        office = self._office
        start = office.start + timedelta(days=odds.PERIOD_DAYS) * nth
        for kind, plan in PLAN.items():
            for place, day in enumerate(self._days(kind, plan, nth)):
                self._add(kind, nth * 1000 + place, start, day, late=False)
            if plan.late:
                day = office.luck("late", kind, nth).uniform(
                    odds.PERIOD_DAYS - odds.LATE_DAYS + 0.2, odds.PERIOD_DAYS - 1
                )
                self._add(kind, nth * 1000 + plan.count, start, day, late=True)
        office.agenda.add(start + timedelta(days=odds.PERIOD_DAYS), self.plan_period, nth=nth + 1)

    def _days(self, kind: str, plan: Plan, nth: int) -> list[float]:
        """On which days of the period a kind begins: one in each of as many equal stretches, the first one early."""
        luck = self._office.luck("days", kind, nth)
        stretch = (odds.PERIOD_DAYS - odds.LATE_DAYS) / plan.count
        days = [stretch * place + luck.random() * stretch for place in range(plan.count)]
        days[0] = luck.uniform(plan.first_days[0], min(plan.first_days[1], max(stretch, plan.first_days[0] + 3)))
        return days

    def _add(self, kind: str, number: int, start: datetime, day: float, *, late: bool) -> None:
        office = self._office
        luck = office.luck("begins", kind, number)
        if kind in DISTURBANCES:
            at = self._working_moment(office.units[SYSTEM_HOURS_OF], start, day, luck.random(), late=late)
            office.agenda.add(at, self._systems.disturb, kind=kind, nth=number)
        else:
            unit = self._unit(kind, number, luck)
            at = self._working_moment(unit, start, day, luck.random(), late=late)
            office.agenda.add(at, self._begin[kind], unit=unit.code, nth=number)

    def _unit(self, kind: str, number: int, luck: Random) -> Unit:
        units = self._office.units
        in_turn = PLAN[kind].units
        if in_turn:
            return units[in_turn[number % len(in_turn)]]
        return luck.choices(list(units.values()), weights=[unit.share for unit in units.values()])[0]

    @staticmethod
    def _working_moment(unit: Unit, start: datetime, day: float, share: float, *, late: bool) -> datetime:
        """A moment of the first working day on or after a day of the period; for a late one on or before it."""
        wanted = unit.calendar.day(start + timedelta(days=day))
        while late and not unit.calendar.is_working_day(wanted):
            wanted -= timedelta(days=1)
        # Mornings, so that there is a day left in which something can come of it.
        return unit.calendar.within(unit.calendar.working_day(wanted), share * 0.7)
