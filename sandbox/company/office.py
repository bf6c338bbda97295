"""What everybody in the company shares: the screens of the four systems, the clock, the agenda, luck, the log of troubles.

Luck is drawn per thing, never from one stream: what becomes of requisition 2077 depends on the seed and its number,
not on what else happened before it. So the company does not turn into another one when a system is slow for once.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import NamedTuple

from sandbox.basware import Basware
from sandbox.company import odds
from sandbox.company.agenda import Agenda
from sandbox.company.catalogue import Source
from sandbox.company.suppliers import Newcomer
from sandbox.company.units import Unit, load_units
from sandbox.coupa import Coupa
from sandbox.ledger import Ledger, Row, Table
from sandbox.s4hana import S4Hana
from sandbox.servicenow import ServiceNow
from sandbox.wire import Standin

OVERLAP = timedelta(seconds=5)
"""How far a watch looks back: a system stamps what it writes by the second, or a little late."""


class Episode(NamedTuple):
    """One trouble: what, where, from when, until when (None: still so), and in words."""

    kind: str
    system: str
    since: datetime
    until: datetime | None
    what: str

    @property
    def told(self) -> dict[str, str | None]:
        """As JSON."""
        until = self.until.isoformat() if self.until else None
        return {
            "kind": self.kind,
            "system": self.system,
            "from": self.since.isoformat(),
            "until": until,
            "what": self.what,
        }


@dataclass(frozen=True, slots=True)
class Systems:
    """The four stand-ins."""

    coupa: Coupa
    servicenow: ServiceNow
    s4hana: S4Hana
    basware: Basware

    @property
    def by_name(self) -> dict[str, Standin]:
        """As the engine calls them."""
        return {standin.name: standin for standin in (self.coupa, self.servicenow, self.s4hana, self.basware)}


class Watch:
    """What is new in a table of a stand-in since somebody last looked.

    Args:
        name: Under which it remembers what it has seen.
        table: What it looks at.
        memory: The company's own ledger.
        tells: What is worth noticing about a row, as a word that no other row has; "" for nothing. Each word is told
            once.
    """

    def __init__(self, name: str, table: Table, memory: Ledger, tells: Callable[[Row], str]) -> None:
        self._name = name
        self._table = table
        self._seen = memory.table("seen")
        self._marks = memory.table("watch")
        self._tells = tells
        self._revision = -1
        mark = self._marks.get(name)
        self._mark = datetime.fromisoformat(mark["mark"]) if mark else None

    def news(self) -> list[tuple[str, Row]]:
        """(word, row) of what is new, oldest change first and rows of one moment by their word and content."""
        if self._table.revision == self._revision:
            return []
        self._revision = self._table.revision
        found = []
        last = self._mark
        for at, row in self._table.changed_since(self._mark):
            last = max(at, last or at)
            word = self._tells(row)
            if word and self._seen.get(f"{self._name}/{word}") is None:
                found.append((at, word, row))
        if last is not None:
            self._mark = last - OVERLAP
            self._marks.put(self._name, {"mark": self._mark.isoformat()}, last)
        # Which of two calls of one moment came first is not to decide what people do first.
        found.sort(key=lambda told: told[:2])
        for at, word, _ in found:
            self._seen.put(f"{self._name}/{word}", {}, at)
        return [(word, row) for _, word, row in found]


class Office:
    """The shared surroundings.

    Args:
        systems: Where people work.
        clock: Tells the time; aware UTC.
        ledger: What the company itself remembers.
        seed: Decides its fate.
        start: Its first moment.
        requisitions_per_day: On an average working day, all units together.
    """

    def __init__(
        self,
        systems: Systems,
        clock: Callable[[], datetime],
        ledger: Ledger,
        *,
        seed: int,
        start: datetime,
        requisitions_per_day: float,
    ) -> None:
        self.systems = systems
        self.coupa = systems.coupa
        self.servicenow = systems.servicenow
        self.s4hana = systems.s4hana
        self.basware = systems.basware
        self.clock = clock
        self.ledger = ledger
        self.seed = seed
        self.start = start
        self.requisitions_per_day = requisitions_per_day
        self.units: dict[str, Unit] = load_units()
        self.agenda = Agenda(ledger)
        self._episodes = ledger.table("episode")
        self._sources = ledger.table("supplier", ("category",))

    @property
    def now(self) -> datetime:
        """The present moment."""
        return self.clock()

    def luck(self, *about: object) -> Random:
        """The luck of one thing, always the same for one seed."""
        return Random("/".join(map(str, (self.seed, *about))))

    def unit_of_order(self, order: Row) -> Unit:
        """The unit that placed an order in the ERP, by company and purchasing group."""
        of_company = [unit for unit in self.units.values() if unit.company_code == order["CompanyCode"]]
        by_group = [unit for unit in of_company if unit.purchasing_group == order.get("PurchasingGroup")]
        return (by_group or of_company)[0]

    def unit_of_company(self, company_code: str) -> Unit:
        """The first unit of a company: its books are kept in that unit's office hours."""
        return next(unit for unit in self.units.values() if unit.company_code == company_code)

    @property
    def company_codes(self) -> list[str]:
        """The legal entities."""
        return list(dict.fromkeys(unit.company_code for unit in self.units.values()))

    # Suppliers as buyers know them

    def add_source(self, supplier_id: int, newcomer: Newcomer, *, at: datetime) -> None:
        """From now on people buy from a supplier."""
        row = {
            "supplier_id": supplier_id,
            "number": newcomer.number,
            "name": newcomer.name,
            "category": newcomer.category,
            "contract": f"C-{newcomer.number[-4:]}",
            "company_codes": list(newcomer.company_codes),
            "country": newcomer.country,
            "term": newcomer.term,
            "tax_id": newcomer.tax_id,
        }
        self._sources.put(str(supplier_id), row, at)

    def sources(self, unit: Unit, category: str, country: str = "") -> list[Source]:
        """The suppliers of a category that serve a unit, the unit's own country's unless another is named."""
        rows = self._sources.find("category", category)
        found = [
            Source(
                row["supplier_id"],
                row["number"],
                row["category"],
                row["contract"],
                tuple(row["company_codes"]),
                row["country"],
            )
            for row in rows
            if unit.company_code in row["company_codes"] and row["country"] == (country or unit.country)
        ]
        return sorted(found, key=lambda source: source.supplier_id)

    def supplier_rows(self) -> list[Row]:
        """Every supplier people buy from, by procurement's id."""
        return sorted(self._sources, key=lambda row: int(row["supplier_id"]))

    def supplier_by_number(self, number: str) -> Row | None:
        """The supplier the ERP knows under a number; None when people do not buy from it."""
        return next((row for row in self._sources if row["number"] == number), None)

    # Troubles

    def begin(self, kind: str, system: str, what: str, *, lasts: bool = True) -> int:
        """Note that a trouble has begun; one that does not last is over at once. Returns its number, for `end`."""
        number = self.ledger.number("episode")
        now = self.now.isoformat()
        row = {"kind": kind, "system": system, "since": now, "until": None if lasts else now, "what": what}
        self._episodes.put(str(number), row, self.now)
        return number

    def end(self, number: int) -> None:
        """Note that a trouble is over. Over twice is over."""
        row = self._episodes.rows[str(number)]
        if row["until"] is None:
            self._episodes.put(str(number), {**row, "until": self.now.isoformat()}, self.now)

    def end_all(self, kind: str) -> None:
        """Note that every trouble of a kind is over."""
        for number in [key for key, row in self._episodes.rows.items() if row["kind"] == kind and row["until"] is None]:
            self.end(int(number))

    def episodes(self) -> list[Episode]:
        """Every trouble so far, in the order they began."""
        rows = (self._episodes.rows[key] for key in sorted(self._episodes.rows, key=int))
        return [
            Episode(
                row["kind"],
                row["system"],
                datetime.fromisoformat(row["since"]),
                datetime.fromisoformat(row["until"]) if row["until"] else None,
                row["what"],
            )
            for row in rows
        ]

    def repaired_at(self, unit: Unit, luck: Random, hours: tuple[float, float]) -> datetime:
        """When somebody of a unit has repaired what has just gone wrong, after so many working hours.

        Of what goes wrong in the last days of a period, every fourth thing is left as it is until well into the next.
        """
        period = timedelta(days=odds.PERIOD_DAYS)
        into = (self.now - self.start) % period
        if into >= period - timedelta(days=odds.LATE_DAYS):
            nth = self.ledger.number("late trouble")
            if nth % odds.LEFT_UNREPAIRED_EVERY == 1:
                next_period = self.now - into + period
                return unit.calendar.after(next_period + timedelta(days=luck.uniform(3, 9)))
        return unit.calendar.after(self.now, luck.uniform(*hours))


def month_after(day: date) -> date:
    """The first of the next month."""
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def total(amounts: Iterable[Decimal]) -> Decimal:
    """The sum; zero of nothing."""
    return sum(amounts, Decimal(0))


def plain(figure: Decimal) -> str:
    """A figure without an exponent.

    >>> plain(Decimal("1E+2"))
    '100'
    """
    return f"{figure:f}"
