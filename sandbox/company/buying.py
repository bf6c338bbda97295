"""People ask for things: a day's requisitions, second thoughts about them, and the buyers' hand in it."""

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from math import sqrt
from random import Random
from typing import Any

from sandbox.company import odds
from sandbox.company.agenda import action
from sandbox.company.catalogue import BY_NAME, Category, Source, Wish, draw, drawn_category, stored_lines, wanted_lines
from sandbox.company.office import Office, plain
from sandbox.company.people import requesters
from sandbox.company.units import Unit
from sandbox.coupa import OPEN_STATUSES, Wanted

JUST_AFTER_MIDNIGHT = timedelta(minutes=5)


class Buying:
    """Requisitions, from the wish to the moment they are approved or taken back.

    Args:
        office: The surroundings.
        ask_approver: Called with a requisition's id whenever it begins to wait for somebody.
    """

    def __init__(self, office: Office, ask_approver: Callable[[int], None]) -> None:
        self._office = office
        self._ask_approver = ask_approver

    def begin(self) -> None:
        """Plan the first day of every unit."""
        for unit in self._office.units.values():
            day = unit.calendar.day(self._office.start)
            self._office.agenda.add(self._office.start, self.open_day, unit=unit.code, day=day.isoformat())

    @action
    def open_day(self, *, unit: str, day: str) -> None:
        """Plan what a unit asks for on a day, and the next day. Days on which the company was switched off are left out."""
        office, whose, today = self._office, self._office.units[unit], date.fromisoformat(day)
        if whose.calendar.is_working_day(today):
            count = self.requisition_count(whose, today)
            for nth in range(count):
                share = office.luck("when", unit, day, nth).betavariate(1.5, 1.9)
                at = whose.calendar.within(today, share)
                if at >= office.now - timedelta(hours=odds.MISSED_AFTER_H):
                    office.agenda.add(at, self.submit, unit=unit, day=day, nth=nth)
        following = max(today + timedelta(days=1), whose.calendar.day(office.now))
        if following == today:
            following += timedelta(days=1)
        midnight = datetime.combine(following, datetime.min.time(), whose.calendar.zone) + JUST_AFTER_MIDNIGHT
        office.agenda.add(midnight.astimezone(office.now.tzinfo), self.open_day, unit=unit, day=following.isoformat())

    def requisition_count(self, unit: Unit, day: date) -> int:
        """How many requisitions a unit submits on a working day."""
        mean = self._office.requisitions_per_day * unit.share * odds.WEEKDAY_FACTORS[day.weekday()]
        if unit.calendar.working_days_left(day) < odds.MONTH_END_DAYS:
            mean *= odds.MONTH_END_FACTOR
        return max(0, round(self._office.luck("count", unit.code, day).gauss(mean, sqrt(mean))))

    @action
    def submit(self, *, unit: str, day: str, nth: int) -> None:
        """Submit one requisition, and decide whether its requester will think again."""
        whose = self._office.units[unit]
        luck = self._office.luck("requisition", unit, day, nth)
        wish = self.wish(whose, luck)
        requisition_id = self.place(wish)
        second_thoughts = luck.random()
        about = {"requisition_id": requisition_id, "by": wish.requester}
        soon = self._later(whose, luck.uniform(0.5, 6))
        if second_thoughts < odds.WITHDRAWN_SHARE:
            self._office.agenda.add(soon, self.withdraw, **about)
        elif second_thoughts < odds.WITHDRAWN_SHARE + odds.EDITED_SHARE:
            self._office.agenda.add(soon, self.change_mind, **about, lines=stored_lines(wish.lines))
        elif second_thoughts < odds.WITHDRAWN_SHARE + odds.EDITED_SHARE + odds.COPIED_SHARE:
            at = self._office.now + timedelta(minutes=luck.uniform(1, 9))
            self._office.agenda.add(at, self.submit_again, unit=unit, day=day, nth=nth, first=requisition_id)

    def wish(
        self,
        unit: Unit,
        luck: Random,
        *,
        requester: str = "",
        category: str = "",
        amount: Decimal | None = None,
        contract: bool | None = None,
        sources: Sequence[Source] = (),
    ) -> Wish:
        """What somebody of a unit asks for, as luck has it where nothing else is said."""
        office = self._office
        kind = BY_NAME[category] if category else drawn_category(luck)
        who = requester or luck.choice(requesters(unit))
        abroad = self._abroad(unit, kind, luck) if not sources and amount is None else None
        return draw(
            luck,
            unit,
            kind,
            sources or (abroad[0] if abroad else office.sources(unit, kind.name)),
            requester=who,
            today=unit.calendar.day(office.now),
            currency=abroad[1].currency if abroad else "",
            scale=abroad[1].threshold if abroad else None,
            amount=amount,
            contract=contract,
        )

    def _abroad(self, unit: Unit, category: Category, luck: Random) -> tuple[list[Source], Unit] | None:
        """Suppliers of another country and a unit of that country, when this is bought there."""
        if luck.random() >= odds.FOREIGN_CURRENCY_SHARES.get(unit.code, 0):
            return None
        other = self._office.units["DE-SOUTH"]
        sources = self._office.sources(unit, category.name, country=other.country)
        return (sources, other) if sources else None

    def place(self, wish: Wish, **different: Any) -> int:
        """Enter a wish in procurement, with `different` where the requester enters something else; returns its id."""
        requisition_id = self.enter(wish, **different)
        self._ask_approver(requisition_id)
        return requisition_id

    def enter(self, wish: Wish, **different: Any) -> int:
        """As `place`, but nobody is told yet that it waits for him."""
        values: dict[str, Any] = {
            "requester": wish.requester,
            "department": wish.department,
            "currency": wish.currency,
            "title": wish.title,
            "lines": wish.lines,
            "justification": wish.justification,
            "need_by": wish.need_by,
        }
        return self._office.coupa.submit_requisition(**{**values, **different})

    def is_open(self, requisition_id: int) -> bool:
        """Whether a requisition still waits for approval."""
        return self.status(requisition_id) in OPEN_STATUSES

    def status(self, requisition_id: int) -> str:
        """Procurement's status word."""
        return str(self._office.coupa.requisition(requisition_id)["status"])

    def edit(self, requisition_id: int, by: str, lines: Sequence[Wanted]) -> bool:
        """Change the lines if that can still be done; its approvals begin anew."""
        with self._office.coupa.lock:
            if not self.is_open(requisition_id):
                return False
            self._office.coupa.edit_requisition(requisition_id=requisition_id, by=by, lines=lines)
            self._ask_approver(requisition_id)
            return True

    @action
    def withdraw(self, *, requisition_id: int, by: str) -> None:
        """Take a requisition back, if that can still be done."""
        with self._office.coupa.lock:
            if self.is_open(requisition_id):
                self._office.coupa.withdraw(requisition_id=requisition_id, by=by)

    @action
    def change_mind(self, *, requisition_id: int, by: str, lines: list[dict[str, Any]]) -> None:
        """Another quantity of the first line, while nobody has approved all of it."""
        wanted = wanted_lines(lines)
        quantity = Decimal(wanted[0]["quantity"])
        more = self._office.luck("edit", requisition_id).choice((Decimal("1.25"), Decimal("0.75"), Decimal(2)))
        wanted[0]["quantity"] = plain(max(Decimal(1), (quantity * more).quantize(Decimal(1))))
        self.edit(requisition_id, by, wanted)

    @action
    def submit_again(self, *, unit: str, day: str, nth: int, first: int) -> None:
        """The same requisition once more, by mistake; somebody notices it a day or two later and takes it back."""
        office, whose = self._office, self._office.units[unit]
        wish = self.wish(whose, office.luck("requisition", unit, day, nth))
        copy = self.place(wish)
        episode = office.begin("requisition_twice", "coupa", f"Requisition {copy} repeats {first}.")
        at = office.repaired_at(whose, office.luck("copy", copy), (6, 18))
        office.agenda.add(at, self.withdraw_copy, requisition_id=copy, by=wish.requester, episode=episode)

    @action
    def withdraw_copy(self, *, requisition_id: int, by: str, episode: int) -> None:
        """Take back what was submitted by mistake."""
        self.withdraw(requisition_id=requisition_id, by=by)
        self._office.end(episode)

    def _later(self, unit: Unit, hours: float) -> datetime:
        return unit.calendar.after(self._office.now, hours)
