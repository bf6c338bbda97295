"""Requisitions that are wrong in themselves or in how they were approved, and what people do about it.

What the screen lets a requester enter is entered there. What no screen allows (a total that does not add up, a status
nobody has heard of) is written into the instance's books, as an import or a support engineer would.
"""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from sandbox.company.agenda import action
from sandbox.company.buying import Buying
from sandbox.company.catalogue import Wish, stored_lines, wanted_lines
from sandbox.company.office import Office
from sandbox.company.people import SELF_APPROVERS, STEWARD
from sandbox.company.units import Unit
from sandbox.coupa import Wanted, stamp
from sandbox.ledger import Row

STEWARD_HOURS = (8.0, 16.0)
"""Working hours until a steward has corrected a requisition: one to two days."""
UNKNOWN_STATUS = "pending_legal_review"
UNKNOWN_CURRENCY = "ZZZ"
"""Looks like a code and is none; the instance takes it from a price list."""
IMPLAUSIBLE_DAY = date(1948, 6, 20)
HOSTILE_TITLES = (
    '=HYPERLINK("http://offer.invalid";"Offer")',
    "<script>alert('offer')</script> Copy paper",
    "@SUM(A1:A9) Toner; DROP TABLE orders",
)


class BadRequisitions:
    """Troubles that begin with a requisition. Every method that takes `unit` and `nth` begins one; see PLAN."""

    def __init__(self, office: Office, buying: Buying) -> None:
        self._office = office
        self._buying = buying
        self._rows = office.coupa.ledger.table("requisition")
        self._to_withdraw = office.ledger.table("withdraw after ordering")
        self._revision = -1

    # A word that a system does not know, a field that is missing

    @action
    def cost_centre_unmapped(self, *, unit: str, nth: int) -> None:
        """A cost centre that was never in the hierarchy."""
        whose = self._office.units[unit]
        wrong = {"cost_centre": whose.unknown_cost_centre, "splits": ()}
        self._enter_wrong("cost_centre_unmapped", whose, nth, wrong, f"names cost centre {whose.unknown_cost_centre}")

    @action
    def plant_unmapped(self, *, unit: str, nth: int) -> None:
        """A plant code that procurement has and no mapping."""
        plant = f"{self._office.units[unit].plants[0][:-1]}9"
        self._enter_wrong("plant_unmapped", self._office.units[unit], nth, {"plant": plant}, f"goes to plant {plant}")

    @action
    def unit_unmapped(self, *, unit: str, nth: int) -> None:
        """A unit of measure nobody has mapped."""
        self._enter_wrong("unit_unmapped", self._office.units[unit], nth, {"unit": "ROL"}, "is measured in ROL")

    @action
    def cost_centre_missing(self, *, unit: str, nth: int) -> None:
        """No cost centre at all."""
        wrong = {"cost_centre": "", "splits": ()}
        self._enter_wrong("cost_centre_missing", self._office.units[unit], nth, wrong, "names no cost centre")

    @action
    def date_implausible(self, *, unit: str, nth: int) -> None:
        """A day that cannot be meant."""
        wrong = {"need_by": IMPLAUSIBLE_DAY}
        what = f"is needed by {IMPLAUSIBLE_DAY}"
        self._enter_wrong("date_implausible", self._office.units[unit], nth, wrong, what)

    def _enter_wrong(self, kind: str, unit: Unit, nth: int, wrong: dict[str, Any], what: str) -> None:
        """A requisition whose first line is wrong; a steward corrects it."""
        wish, luck = self._wish(kind, unit, nth)
        first, *others = wish.lines
        broken: Wanted = {**first, **wrong}  # type: ignore[typeddict-item]
        requisition_id = self._buying.place(wish, lines=(broken, *others))
        self._to_correct(kind, unit, luck, requisition_id, wish, what)

    def _to_correct(self, kind: str, unit: Unit, luck: Random, requisition_id: int, wish: Wish, what: str) -> None:
        episode = self._office.begin(kind, "coupa", f"Requisition {requisition_id} {what}.")
        at = self._office.repaired_at(unit, luck, STEWARD_HOURS)
        lines = stored_lines(wish.lines)
        self._office.agenda.add(at, self.correct, requisition_id=requisition_id, lines=lines, episode=episode)

    @action
    def correct(self, *, requisition_id: int, lines: list[dict[str, Any]], episode: int) -> None:
        """A steward enters what was meant; a requisition that has ended meanwhile needs no correction."""
        self._buying.edit(requisition_id, STEWARD, wanted_lines(lines))
        self._office.end(episode)

    # What no screen allows

    @action
    def amount_mismatch(self, *, unit: str, nth: int) -> None:
        """A total that is not what the lines add up to."""
        whose = self._office.units[unit]
        wish, luck = self._wish("amount_mismatch", whose, nth)
        requisition_id = self._buying.place(wish)
        row = self._rows.rows[str(requisition_id)]
        wrong = str(Decimal(row["total"]) + (100 if whose.decimals == 0 else Decimal("10.00")))
        self._write(row, total=wrong)
        self._to_correct(
            "amount_mismatch", whose, luck, requisition_id, wish, f"says {wrong} and adds up to another amount"
        )

    @action
    def unknown_status(self, *, unit: str, nth: int) -> None:
        """A word for a status that came with a vendor's release, for some hours."""
        whose = self._office.units[unit]
        wish, luck = self._wish("unknown_status", whose, nth)
        requisition_id = self._buying.place(wish)
        self._write(self._rows.rows[str(requisition_id)], status=UNKNOWN_STATUS)
        episode = self._office.begin("unknown_status", "coupa", f"Requisition {requisition_id} is {UNKNOWN_STATUS!r}.")
        at = self._office.repaired_at(whose, luck, (3, 6))
        self._office.agenda.add(at, self.restore_status, requisition_id=requisition_id, episode=episode)

    @action
    def restore_status(self, *, requisition_id: int, episode: int) -> None:
        """The vendor takes the word back, where approvals have not changed it meanwhile."""
        with self._office.coupa.lock:
            row = self._rows.rows[str(requisition_id)]
            if row["status"] == UNKNOWN_STATUS:
                self._write(row, status="pending_approval")
        self._office.end(episode)

    def _write(self, row: Row, **values: Any) -> None:
        now = self._office.now
        with self._office.coupa.lock:
            self._rows.put(str(row["id"]), {**row, **values, "updated-at": stamp(now)}, now)

    # What cannot be repaired by an edit

    @action
    def currency_unknown(self, *, unit: str, nth: int) -> None:
        """A currency that does not exist; it has to be asked for anew."""
        whose = self._office.units[unit]
        wish, luck = self._wish("currency_unknown", whose, nth)
        requisition_id = self._buying.place(wish, currency=UNKNOWN_CURRENCY)
        episode = self._office.begin(
            "currency_unknown", "coupa", f"Requisition {requisition_id} is in {UNKNOWN_CURRENCY}."
        )
        at = self._office.repaired_at(whose, luck, STEWARD_HOURS)
        about = {"requisition_id": requisition_id, "requester": wish.requester, "next_requester": wish.requester}
        self._office.agenda.add(
            at, self.ask_anew, unit=unit, nth=nth, kind="currency_unknown", episode=episode, **about
        )

    @action
    def hostile_text(self, *, unit: str, nth: int) -> None:
        """A title that a spreadsheet or a browser would run. It is a text like any other, and nobody repairs it."""
        wish, _ = self._wish("hostile_text", self._office.units[unit], nth)
        first, *others = wish.lines
        formula: Wanted = {**first, "description": "=1+1|cmd <b>bold</b>"}
        title = HOSTILE_TITLES[nth % len(HOSTILE_TITLES)]
        requisition_id = self._buying.place(wish, title=title, lines=(formula, *others))
        self._office.begin(
            "hostile_text", "coupa", f"Requisition {requisition_id} has a formula for a title.", lasts=False
        )

    # Approvals that do not agree

    @action
    def withdrawn_during_approval(self, *, unit: str, nth: int) -> None:
        """Taken back in procurement while the exception approval is still asked for."""
        whose = self._office.units[unit]
        wish, luck = self._wish("withdrawn_during_approval", whose, nth, thresholds=luck_between(1.4, 2.2))
        requisition_id = self._buying.place(wish)
        at = whose.calendar.after(self._office.now, luck.uniform(0.6, 1.6))
        arguments = {"requisition_id": requisition_id, "by": wish.requester}
        self._office.agenda.add(at, self.withdraw_in_approval, **arguments)

    @action
    def withdraw_in_approval(self, *, requisition_id: int, by: str) -> None:
        """Take it back, unless it was decided already."""
        if self._buying.is_open(requisition_id):
            self._buying.withdraw(requisition_id=requisition_id, by=by)
            what = f"Requisition {requisition_id} was withdrawn while its exception approval was open."
            self._office.begin("withdrawn_during_approval", "coupa", what, lasts=False)

    @action
    def withdrawn_after_ordering(self, *, unit: str, nth: int) -> None:
        """To be taken back as soon as it is approved: too late, ordering has begun."""
        wish, _ = self._wish("withdrawn_after_ordering", self._office.units[unit], nth)
        requisition_id = self._buying.place(wish)
        self._to_withdraw.put(str(requisition_id), {"by": wish.requester, "unit": unit}, self._office.now)

    def notice(self) -> None:
        """See whether one of those that are to be withdrawn too late is approved."""
        if self._rows.revision == self._revision:
            return
        self._revision = self._rows.revision
        for key in sorted(self._to_withdraw.rows, key=int):
            row = self._to_withdraw.rows[key]
            if row and self._rows.rows[key]["status"] in {"approved", "ordered"}:
                at = self._office.now + timedelta(minutes=self._office.luck("too late", key).uniform(1, 3))
                self._office.agenda.add(at, self.withdraw_too_late, requisition_id=int(key), **row)
                self._to_withdraw.put(key, {}, self._office.now)

    @action
    def withdraw_too_late(self, *, requisition_id: int, by: str, unit: str) -> None:
        """Support withdraws an approved requisition in the books; the buyer cancels what was ordered, days later."""
        office = self._office
        with office.coupa.lock:
            self._write(self._rows.rows[str(requisition_id)], status="withdrawn")
        episode = office.begin(
            "withdrawn_after_ordering", "coupa", f"{by} withdrew requisition {requisition_id} after it was approved."
        )
        at = office.repaired_at(office.units[unit], office.luck("cancel", requisition_id), (6, 18))
        office.agenda.add(at, self.cancel_orders, requisition_id=requisition_id, unit=unit, episode=episode)

    @action
    def cancel_orders(self, *, requisition_id: int, unit: str, episode: int) -> None:
        """The buyer cancels the orders of a withdrawn requisition."""
        coupa = self._office.coupa
        with coupa.lock:
            for order in coupa.orders():
                if order["requisition-header"]["id"] == requisition_id and order["status"] == "issued":
                    coupa.cancel_order(order_id=order["id"], by=f"buyer.{self._office.units[unit].slug}")
        self._office.end(episode)

    @action
    def self_approval(self, *, unit: str, nth: int) -> None:
        """Somebody asks in procurement for what he decides himself in the approval tool, under another login."""
        whose = self._office.units[unit]
        login, user = next((login, user) for login, (user, code, _) in SELF_APPROVERS.items() if code == unit)
        wish, luck = self._wish("self_approval", whose, nth, requester=login, thresholds=luck_between(1.2, 1.8))
        requisition_id = self._buying.place(wish)
        what = f"{login} asks for requisition {requisition_id} and decides it as {user}."
        episode = self._office.begin("self_approval", "servicenow", what)
        at = self._office.repaired_at(whose, luck, (18, 26))
        about = {"requisition_id": requisition_id, "requester": login, "next_requester": f"lead.2.{whose.slug}"}
        self._office.agenda.add(at, self.ask_anew, unit=unit, nth=nth, kind="self_approval", episode=episode, **about)

    @action
    def ask_anew(
        self, *, unit: str, nth: int, kind: str, requisition_id: int, requester: str, next_requester: str, episode: int
    ) -> None:
        """Take the requisition back and let the right person ask for it in the right way."""
        if self._buying.is_open(requisition_id):
            self._buying.withdraw(requisition_id=requisition_id, by=requester)
            wish, _ = self._wish(f"{kind}, anew", self._office.units[unit], nth, requester=next_requester)
            self._buying.place(wish)
        self._office.end(episode)

    def _wish(
        self,
        kind: str,
        unit: Unit,
        nth: int,
        *,
        requester: str = "",
        thresholds: Callable[[Random], float] | None = None,
    ) -> tuple[Wish, Random]:
        """What is asked for, and the luck of what follows. `thresholds`: the amount in thresholds, when it matters."""
        luck = self._office.luck(kind, unit.code, nth)
        amount = unit.threshold * Decimal(thresholds(luck)) if thresholds else None
        return self._buying.wish(unit, luck, requester=requester, amount=amount), luck


def luck_between(least: float, most: float) -> Callable[[Random], float]:
    """Draws a figure between two."""
    return lambda luck: luck.uniform(least, most)
