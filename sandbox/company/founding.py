"""The company's first day: master data, people and groups, suppliers, budgets and posting periods in four systems."""

from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal

from sandbox.company.catalogue import rounded, yearly_need
from sandbox.company.office import Office, month_after, plain
from sandbox.company.people import MAIL, STEWARD, group_members, procurement_people
from sandbox.company.suppliers import Newcomer, erp_term, founding_suppliers
from sandbox.company.units import Unit, config_entries

BUDGET_HEADROOM = (1.3, 1.9)
"""A cost centre's yearly budget, as a multiple of what it asks for."""
LEAST_YEAR_SHARE = 0.4
LEAST_BUDGET = 25
"""Approval thresholds: one large purchase does not use up a small cost centre's year."""


def found(office: Office) -> None:
    """Enter everything that has to be there before anybody can ask for anything."""
    _enter_structure(office)
    _enter_people(office)
    for newcomer in founding_suppliers(office.luck("suppliers")):
        enter_in_erp(office, newcomer)
        enter_in_procurement(office, newcomer, number=newcomer.number)
    for year in (office.start.year, office.start.year + 1):
        set_budgets(office, year)
    for company_code in office.company_codes:
        today = office.unit_of_company(company_code).calendar.day(office.start)
        before, after = today.replace(day=1) - timedelta(days=1), month_after(today)
        office.s4hana.close_period(company_code=company_code, year=before.year, month=before.month)
        office.s4hana.close_period(company_code=company_code, year=after.year, month=after.month)


def _enter_structure(office: Office) -> None:
    units = office.units.values()
    sap = office.s4hana
    for unit in units:
        sap.add_company_code(code=unit.company_code, currency=unit.currency, controlling_area=unit.controlling_area)
    erp_plants, centres = config_entries("plants"), config_entries("cost_centres")
    for unit in units:
        for plant in unit.plants:
            sap.add_plant(code=erp_plants[plant], company_code=unit.company_code)
        for code in unit.cost_centres:
            row = centres[code]
            sap.add_cost_centre(
                code=code, company_code=unit.company_code, valid_from=row["valid_from"], valid_to=row["valid_to"]
            )
    for currency, rate in _rates().items():
        for other, other_rate in _rates().items():
            if currency != other:
                exact = (rate / other_rate).quantize(Decimal("0.000001"), ROUND_HALF_UP)
                sap.set_exchange_rate(currency=currency, to=other, rate=exact)


def _rates() -> dict[str, Decimal]:
    """Group currency for one unit of each currency, at the latest rate treasury has given."""
    latest = {
        currency: Decimal(max(history, key=lambda entry: entry["valid_on"])["rate"])
        for currency, history in config_entries("rates").items()
    }
    return {"EUR": Decimal(1), **latest}


def _enter_people(office: Office) -> None:
    coupa, servicenow = office.coupa, office.servicenow
    coupa.add_user(login=STEWARD, full_name="Steward Master Data", email=f"{STEWARD}@{MAIL}")
    servicenow.add_user(user_name="finsync", name="Integration User", email=f"integration@{MAIL}")
    for unit in office.units.values():
        for login, name, manager in procurement_people(unit):
            coupa.add_user(login=login, full_name=name, email=f"{login}@{MAIL}", manager=manager)
        for group, name in (("finance", unit.finance_group), ("procurement", unit.procurement_group)):
            members = group_members(unit, group)
            for place, user in enumerate(members, 1):
                title = f"{group.capitalize()} {place} {unit.code}"
                servicenow.add_user(user_name=user, name=title, email=f"{user}@it.{MAIL}")
            servicenow.add_group(name=name, members=members)


def enter_in_erp(office: Office, newcomer: Newcomer) -> None:
    """Set a supplier up in the ERP, for all companies it serves."""
    office.s4hana.add_supplier(
        number=newcomer.number,
        name=newcomer.name,
        tax_id=newcomer.tax_id,
        country=newcomer.country,
        company_codes=newcomer.company_codes,
        purchasing_organizations=newcomer.company_codes,
        payment_terms=erp_term(newcomer.term),
    )


def enter_in_procurement(
    office: Office, newcomer: Newcomer, *, number: str, tax_id: str = "", name: str = "", known: bool = True
) -> int:
    """Register a supplier in procurement; returns procurement's id.

    Args:
        office: Where.
        newcomer: Whom.
        number: What procurement believes the ERP calls it; "" when nobody knows yet.
        tax_id: Another tax number than its own.
        name: Another name than its own.
        known: Whether people buy from it from now on.
    """
    supplier_id = office.coupa.register_supplier(
        name=name or newcomer.name,
        number=number,
        tax_id=tax_id or newcomer.tax_id,
        country=newcomer.country,
        payment_term=newcomer.term,
    )
    if known:
        office.add_source(supplier_id, newcomer, at=office.now)
    return supplier_id


def yearly_budget(office: Office, unit: Unit, centre: str, year: int) -> Decimal:
    """What a cost centre may spend in a year, in whole thousands of its currency.

    Of the year the company began in only the rest counts: nobody knows what was spent before.
    """
    need = yearly_need(unit, centre, office.requisitions_per_day)
    headroom = Decimal(office.luck("budget", centre, year).uniform(*BUDGET_HEADROOM))
    began = office.start.date()
    share = max(LEAST_YEAR_SHARE, (date(year, 12, 31) - began).days / 365) if year == began.year else 1.0
    amount = max(need * headroom * Decimal(share), LEAST_BUDGET * unit.threshold)
    return rounded(amount / 1000, "JPY") * 1000


def set_budgets(office: Office, year: int) -> None:
    """Give every cost centre its budget for a year, the same in procurement and in the ERP."""
    for unit in office.units.values():
        for centre in unit.cost_centres:
            set_budget(office, unit, centre, year, yearly_budget(office, unit, centre, year))


def set_budget(office: Office, unit: Unit, centre: str, year: int, amount: Decimal, *, erp_only: bool = False) -> None:
    """Change a cost centre's budget."""
    office.s4hana.set_budget(cost_centre=centre, year=year, amount=amount)
    if not erp_only:
        office.coupa.set_budget(
            company_code=unit.company_code,
            cost_centre=centre,
            period=str(year),
            amount=plain(amount),
            currency=unit.currency,
        )
