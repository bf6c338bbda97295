"""Master data that does not fit together: suppliers, cost centres, budgets, and two things that befall orders."""

from datetime import timedelta
from decimal import Decimal
from random import Random

from sandbox.company.agenda import action
from sandbox.company.buying import Buying
from sandbox.company.catalogue import CATEGORIES, Source
from sandbox.company.founding import enter_in_erp, enter_in_procurement, set_budget, yearly_budget
from sandbox.company.fulfilment import Fulfilment
from sandbox.company.office import Office, Watch, total
from sandbox.company.suppliers import UNKNOWN_NUMBER, Newcomer, newcomer, spoilt
from sandbox.company.units import Unit

MASTER_DATA_HOURS = (8.0, 28.0)
"""Working hours until a supplier's record is put right: one to three days."""
BUSY_CENTRES = ("01", "02", "11")
BUSY_CATEGORIES = ("Spare parts", "Maintenance services")
LOCK_TRIES = 10


class BadMasterData:
    """Troubles of master data. Every method that takes `unit` and `nth` begins one; see PLAN."""

    def __init__(self, office: Office, buying: Buying, fulfilment: Fulfilment) -> None:
        self._office = office
        self._buying = buying
        self._fulfilment = fulfilment
        self._state = office.ledger.table("armed")
        self._ordered = Watch(
            "commitment",
            office.s4hana.ledger.table("purchase_order"),
            office.ledger,
            lambda row: str(row["PurchaseOrder"]),
        )
        if self._is_armed:
            office.s4hana.next_orders_without_commitment = 1

    # Suppliers

    @action
    def supplier_without_number(self, *, unit: str, nth: int) -> None:
        """A new supplier that the ERP does not know yet, and somebody who cannot wait."""
        whose, luck, new = self._newcomer("supplier_without_number", unit, nth)
        supplier_id = enter_in_procurement(self._office, new, number="", known=False)
        what = f"{new.name} has no number in the ERP yet."
        self._to_complete("supplier_without_number", whose, luck, new, supplier_id, what)
        self._ask_for_its_goods(whose, luck, new, supplier_id)

    @action
    def supplier_number_unknown(self, *, unit: str, nth: int) -> None:
        """A number that procurement believes in and the ERP has never given out."""
        whose, luck, new = self._newcomer("supplier_number_unknown", unit, nth)
        wrong = str(UNKNOWN_NUMBER + int(new.number) % 1000)
        supplier_id = enter_in_procurement(self._office, new, number=wrong, known=False)
        what = f"{new.name} stands in procurement as {wrong}, which the ERP does not know."
        self._to_complete("supplier_number_unknown", whose, luck, new, supplier_id, what)
        self._ask_for_its_goods(whose, luck, new, supplier_id)

    @action
    def supplier_tax_invalid(self, *, unit: str, nth: int) -> None:
        """A tax number with a slip of the pen."""
        whose, luck, new = self._newcomer("supplier_tax_invalid", unit, nth)
        wrong = spoilt(new.tax_id, new.country)
        supplier_id = enter_in_procurement(self._office, new, number=new.number, tax_id=wrong, known=False)
        what = f"{new.name} has the tax number {wrong}, which is none."
        self._to_complete("supplier_tax_invalid", whose, luck, new, supplier_id, what)

    @action
    def hostile_name(self, *, unit: str, nth: int) -> None:
        """A supplier whose name a spreadsheet or a browser would run, until somebody renames it."""
        whose, luck, new = self._newcomer("hostile_name", unit, nth)
        name = f'=HYPERLINK("http://x.invalid";"{new.name}")' if nth % 2 else f"<script>alert(1)</script>{new.name}"
        supplier_id = enter_in_procurement(self._office, new, number=new.number, name=name, known=False)
        what = f"Supplier {supplier_id} is called {name}."
        self._to_complete("hostile_name", whose, luck, new, supplier_id, what)

    @action
    def supplier_duplicate(self, *, unit: str, nth: int) -> None:
        """The same supplier entered a second time, under a name that is almost its own."""
        office, whose = self._office, self._office.units[unit]
        luck = office.luck("supplier_duplicate", unit, nth)
        row = luck.choice([row for row in office.supplier_rows() if row["country"] == whose.country])
        copy = office.coupa.register_supplier(
            name=f"{row['name']} Branch",
            tax_id=row["tax_id"],
            country=row["country"],
            payment_term=row["term"],
        )
        episode = office.begin("supplier_duplicate", "coupa", f"Supplier {copy} is {row['name']} once more.")
        at = office.repaired_at(whose, luck, MASTER_DATA_HOURS)
        office.agenda.add(at, self.close_duplicate, supplier_id=copy, episode=episode)

    @action
    def close_duplicate(self, *, supplier_id: int, episode: int) -> None:
        """The second record is made inactive."""
        self._office.coupa.update_supplier(supplier_id=supplier_id, status="inactive")
        self._office.end(episode)

    def _newcomer(self, kind: str, unit: str, nth: int) -> tuple[Unit, Random, Newcomer]:
        office, whose = self._office, self._office.units[unit]
        luck = office.luck(kind, unit, nth)
        ordinal = office.ledger.number("newcomer", len(office.supplier_rows()) + 1)
        return whose, luck, newcomer(luck, ordinal, whose.country, luck.choice(CATEGORIES).name)

    def _to_complete(self, kind: str, unit: Unit, luck: Random, new: Newcomer, supplier_id: int, what: str) -> None:
        if kind not in {"supplier_without_number", "supplier_number_unknown"}:
            enter_in_erp(self._office, new)
        episode = self._office.begin(kind, "coupa", what)
        at = self._office.repaired_at(unit, luck, MASTER_DATA_HOURS)
        about = {**_words(new), "supplier_id": supplier_id, "episode": episode}
        self._office.agenda.add(at, self.complete_supplier, **about)

    @action
    def complete_supplier(
        self,
        *,
        number: str,
        name: str,
        country: str,
        tax_id: str,
        category: str,
        term: str,
        company_codes: list[str],
        supplier_id: int,
        episode: int,
    ) -> None:
        """A steward puts the record right in both systems; from now on people buy there."""
        office = self._office
        new = Newcomer(number, name, country, tax_id, category, term, tuple(company_codes))
        enter_in_erp(office, new)
        office.coupa.update_supplier(
            supplier_id=supplier_id, number=number, tax_id=tax_id, name=name, display_name=name
        )
        office.add_source(supplier_id, new, at=office.now)
        office.end(episode)

    def _ask_for_its_goods(self, unit: Unit, luck: Random, new: Newcomer, supplier_id: int) -> None:
        at = unit.calendar.after(self._office.now, luck.uniform(0.5, 2))
        arguments = {"unit": unit.code, "supplier_id": supplier_id, "number": new.number, "category": new.category}
        self._office.agenda.add(at, self.ask_for, **arguments)

    @action
    def ask_for(self, *, unit: str, supplier_id: int, number: str, category: str) -> None:
        """Somebody asks for what one supplier sells."""
        whose = self._office.units[unit]
        source = Source(supplier_id, number, category, f"C-{number[-4:]}", (whose.company_code,), whose.country)
        luck = self._office.luck("ask for", supplier_id, self._office.now.date())
        self._buying.place(self._buying.wish(whose, luck, category=category, sources=[source]))

    @action
    def supplier_blocked(self, *, unit: str, nth: int) -> None:
        """The ERP lets nobody order from a supplier for some days."""
        office, whose = self._office, self._office.units[unit]
        luck = office.luck("supplier_blocked", unit, nth)
        source = luck.choice(office.sources(whose, luck.choice(BUSY_CATEGORIES)))
        office.s4hana.block_supplier(number=source.number, kind="purchasing")
        episode = office.begin("supplier_blocked", "s4hana", f"Supplier {source.number} is blocked for purchasing.")
        at = office.repaired_at(whose, luck, MASTER_DATA_HOURS)
        office.agenda.add(at, self.unblock_supplier, number=source.number, episode=episode)
        about = {"supplier_id": source.supplier_id, "number": source.number, "category": source.category}
        office.agenda.add(whose.calendar.after(office.now, luck.uniform(0.5, 3)), self.ask_for, unit=unit, **about)

    @action
    def unblock_supplier(self, *, number: str, episode: int) -> None:
        """The block is settled with the supplier."""
        self._office.s4hana.unblock_supplier(number=number)
        self._office.end(episode)

    # Cost centres and budgets

    @action
    def cost_centre_blocked(self, *, unit: str, nth: int) -> None:
        """Controlling blocks a busy cost centre for a day or more."""
        office, whose = self._office, self._office.units[unit]
        luck = office.luck("cost_centre_blocked", unit, nth)
        centre = whose.cost_centre(luck.choice(BUSY_CENTRES))
        office.s4hana.block_cost_centre(code=centre)
        episode = office.begin("cost_centre_blocked", "s4hana", f"Cost centre {centre} is blocked.")
        at = office.repaired_at(whose, luck, (8, 34))
        office.agenda.add(at, self.unblock_cost_centre, centre=centre, episode=episode)

    @action
    def unblock_cost_centre(self, *, centre: str, episode: int) -> None:
        """Controlling opens it again."""
        self._office.s4hana.unblock_cost_centre(code=centre)
        self._office.end(episode)

    @action
    def budget_exhausted(self, *, unit: str, nth: int) -> None:
        """A budget is cut to what is spent; every second time only the ERP is told, and the two disagree."""
        office, whose = self._office, self._office.units[unit]
        luck = office.luck("budget_exhausted", unit, nth)
        centre = whose.cost_centre(luck.choice(BUSY_CENTRES))
        self.cut_budget(whose, centre, erp_only=nth % 2 == 1)
        where = "in the ERP only" if nth % 2 else "in procurement and in the ERP"
        episode = office.begin("budget_exhausted", "s4hana", f"The budget of cost centre {centre} is used up, {where}.")
        at = office.repaired_at(whose, luck, (16, 40))
        office.agenda.add(at, self.raise_budget, unit=unit, centre=centre, episode=episode)

    def cut_budget(self, unit: Unit, centre: str, *, erp_only: bool) -> None:
        """Leave a cost centre with next to nothing for the rest of the year."""
        office, year = self._office, self._office.now.year
        given = yearly_budget(office, unit, centre, year)
        left = office.s4hana.budget_left(cost_centre=centre, year=year)
        used = given - left if left is not None else Decimal(0)
        lines = [line for line in office.coupa.budget_lines(centre) if line["period"]["name"] == str(year)]
        ordered = total(Decimal(line["amount"]) - Decimal(line["remaining"]) for line in lines)
        amount = max(used, Decimal(0)) if erp_only else max(used, ordered, Decimal(0))
        set_budget(office, unit, centre, year, amount + unit.threshold / 1000, erp_only=erp_only)

    @action
    def raise_budget(self, *, unit: str, centre: str, episode: int) -> None:
        """Controlling gives the cost centre its budget back, and a fifth more."""
        office, whose = self._office, self._office.units[unit]
        year = office.now.year
        set_budget(office, whose, centre, year, yearly_budget(office, whose, centre, year) * Decimal("1.2"))
        office.end(episode)

    # Orders

    @action
    def order_locked(self, *, unit: str, nth: int, tries: int = 1) -> None:
        """A buyer has an order open on the ERP's screen while it is changed in procurement."""
        office, whose = self._office, self._office.units[unit]
        orders = self._fulfilment.recent_orders()[:20]
        if not orders:
            if tries < LOCK_TRIES:
                at = whose.calendar.after(office.now, 8)
                office.agenda.add(at, self.order_locked, unit=unit, nth=nth, tries=tries + 1)
            return
        luck = office.luck("order_locked", unit, nth)
        number = luck.choice(orders)
        until = office.now + timedelta(minutes=luck.uniform(20, 40))
        office.s4hana.lock_order(number=number, until=until)
        episode = office.begin("order_locked", "s4hana", f"Order {number} is open on somebody's screen.")
        office.agenda.add(office.now + timedelta(minutes=2), self._fulfilment.revise, order=number)
        office.agenda.add(until, self.leave_order, episode=episode)

    @action
    def leave_order(self, *, episode: int) -> None:
        """The lock has run out by itself."""
        self._office.end(episode)

    @action
    def commitment_missing(self, *, unit: str, nth: int) -> None:
        """The next order is taken without a commitment entry."""
        self._arm(armed=True, why=f"{unit} {nth}")
        self._office.s4hana.next_orders_without_commitment = 1

    def notice(self) -> None:
        """See whether the order without a commitment has come."""
        for number, order in self._ordered.news():
            if self._is_armed and self._office.s4hana.commitment_of(number) == 0:
                self._arm(armed=False, why=number)
                office, unit = self._office, self._office.unit_of_order(order)
                episode = office.begin("commitment_missing", "s4hana", f"Order {number} has no commitment entry.")
                at = office.repaired_at(unit, office.luck("commitment", number), (8, 10))
                office.agenda.add(at, self.post_commitment, order=number, episode=episode)

    @action
    def post_commitment(self, *, order: str, episode: int) -> None:
        """Accounting builds the commitment anew from the order."""
        sap = self._office.s4hana
        with sap.lock:
            row = sap.orders[order]
            sap.commit(row)
            sap.store(row)
        self._office.end(episode)

    @property
    def _is_armed(self) -> bool:
        row = self._state.get("commitment")
        return row is not None and bool(row["armed"])

    def _arm(self, *, armed: bool, why: str) -> None:
        self._state.put("commitment", {"armed": armed, "why": why}, self._office.now)


def _words(new: Newcomer) -> dict[str, object]:
    """A newcomer as the agenda keeps it."""
    return {
        "number": new.number,
        "name": new.name,
        "country": new.country,
        "tax_id": new.tax_id,
        "category": new.category,
        "term": new.term,
        "company_codes": list(new.company_codes),
    }
