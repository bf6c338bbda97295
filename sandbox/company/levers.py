"""What somebody at the command line can break in the sandbox, and how it is repaired: one table.

finsync sandbox break s4hana cost_centre_blocked=4711
finsync sandbox repair s4hana cost_centre_blocked=4711
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from sandbox.company.bad_master_data import BadMasterData
from sandbox.company.conditions import MAINTENANCE, Conditions, Values
from sandbox.company.founding import set_budget, yearly_budget
from sandbox.company.office import Office
from sandbox.company.units import Unit

EVERY_SYSTEM = ("coupa", "servicenow", "s4hana", "basware")
SAP = ("s4hana",)


@dataclass(frozen=True, slots=True)
class Lever:
    """One thing that can be broken: where, what it does, what it is told, and which lever takes it back."""

    systems: tuple[str, ...]
    title: str
    argument: str
    example: str
    undo: str
    undo_argument: str = ""
    """What the undoing lever is told; "" is the same as was told before."""


# fmt: off
BREAKABLE: dict[str, Lever] = {
    #                                systems       title                                        argument                           example      undone by                undo is told
    "period_closed":          Lever(SAP,          "Close a posting period",                    "company code, or code/YYYY-MM",   "1010",      "period_open"),
    "period_open":            Lever(SAP,          "Open a posting period",                     "company code, or code/YYYY-MM",   "1010",      "period_closed"),
    "cost_centre_blocked":    Lever(SAP,          "Block a cost centre",                       "cost centre",                     "4711",      "cost_centre_unblocked"),
    "cost_centre_unblocked":  Lever(SAP,          "Unblock a cost centre",                     "cost centre",                     "4711",      "cost_centre_blocked"),
    "budget_exhausted":       Lever(SAP,          "Use up a cost centre's budget everywhere",  "cost centre",                     "4711",      "budget_restored"),
    "budget_exhausted_in_erp": Lever(SAP,         "Use up a cost centre's budget in SAP only", "cost centre",                     "4711",      "budget_restored"),
    "budget_restored":        Lever(SAP,          "Give a cost centre its budget back",        "cost centre",                     "4711",      "budget_exhausted"),
    "supplier_blocked":       Lever(SAP,          "Block a supplier for purchasing",           "the ERP's supplier number",       "10300001",  "supplier_unblocked"),
    "supplier_unblocked":     Lever(SAP,          "Take a supplier's blocks off",              "the ERP's supplier number",       "10300001",  "supplier_blocked"),
    "outage":                 Lever(EVERY_SYSTEM, "Take a system down",                        "true or false",                   "true",      "outage",                "false"),
    "maintenance":            Lever(SAP,          "Begin SAP's maintenance, or end it early",  "true or false",                   "true",      "maintenance",           "false"),
    "throttle":               Lever(EVERY_SYSTEM, "Answer a share of calls with 429",          "share from 0 to 1",               "0.4",       "throttle",              "0"),
    "errors":                 Lever(EVERY_SYSTEM, "Answer a share of calls with 503",          "share from 0 to 1",               "0.5",       "errors",                "0"),
    "lost_replies":           Lever(EVERY_SYSTEM, "Do a share of writes and lose the answer",  "share from 0 to 1",               "0.2",       "lost_replies",          "0"),
    "schema_drift":           Lever(EVERY_SYSTEM, "Change a field of what a system sends",     "added, renamed, removed, retyped", "removed",  "schema_drift",          "none"),
}
# fmt: on
DRIFTS = ("added", "renamed", "removed", "retyped")


class Levers:
    """Pulls them, and notes what it did among the troubles."""

    def __init__(self, office: Office, conditions: Conditions, master_data: BadMasterData) -> None:
        self._office = office
        self._conditions = conditions
        self._master_data = master_data
        self._pulled = office.ledger.table("lever")
        self._sap: dict[str, Callable[[str], None]] = {
            "period_closed": self._close_period,
            "period_open": self._open_period,
            "cost_centre_blocked": lambda code: office.s4hana.block_cost_centre(code=self._centre(code)),
            "cost_centre_unblocked": lambda code: office.s4hana.unblock_cost_centre(code=self._centre(code)),
            "budget_exhausted": lambda code: master_data.cut_budget(self._unit(code), code, erp_only=False),
            "budget_exhausted_in_erp": lambda code: master_data.cut_budget(self._unit(code), code, erp_only=True),
            "budget_restored": self._restore_budget,
            "supplier_blocked": lambda number: office.s4hana.block_supplier(
                number=self._supplier(number), kind="purchasing"
            ),
            "supplier_unblocked": lambda number: office.s4hana.unblock_supplier(number=self._supplier(number)),
        }

    def pull(self, system: str, name: str, value: object) -> str:
        """Break, or take back, one thing; returns what was done, in a sentence.

        Raises:
            ValueError: no such lever at that system, or nothing that can be meant by the value.
        """
        lever = BREAKABLE.get(name)
        if lever is None or system not in lever.systems:
            there = ", ".join(known for known, each in BREAKABLE.items() if system in each.systems)
            raise ValueError(f"{system!r} has no {name!r} to break; there are {there or 'no levers at all'}")
        told = _told(value)
        if name in self._sap:
            self._sap[name](told)
            breaks = name not in {"period_open", "cost_centre_unblocked", "budget_restored", "supplier_unblocked"}
        else:
            faults = _faults(name, told)
            breaks = faults is not None
            # The weekly window is the same thing, and is over too when somebody ends it.
            key = MAINTENANCE if name == MAINTENANCE else f"by hand {name}"
            if faults is None:
                self._conditions.calm(system, key, at=self._office.now)
            else:
                self._conditions.disturb(system, key, faults, at=self._office.now)
            if name == MAINTENANCE and not breaks:
                self._office.end_all("sap_maintenance")
        what = f"{lever.title} ({system}): {told}"
        self._note(system, name, told, what, breaks=breaks)
        return what

    def repair(self, system: str, name: str, value: object) -> str:
        """Pull the lever that undoes one; returns what was done.

        Raises:
            ValueError: as `pull`.
        """
        lever = BREAKABLE.get(name)
        if lever is None:
            raise ValueError(f"there is no {name!r} to repair; there are {', '.join(BREAKABLE)}")
        return self.pull(system, lever.undo, lever.undo_argument or value)

    def _note(self, system: str, name: str, told: str, what: str, *, breaks: bool) -> None:
        lever = BREAKABLE[name]
        names = {name, lever.undo, *(other for other, each in BREAKABLE.items() if each.undo == name)}
        about = "" if lever.undo == name else told
        for key in sorted(f"{system}/{each}/{about}" for each in names):
            row = self._pulled.get(key)
            if row:
                self._office.end(row["episode"])
                self._pulled.put(key, {}, self._office.now)
        if breaks:
            episode = self._office.begin(f"{name} by hand", system, what)
            self._pulled.put(f"{system}/{name}/{about}", {"episode": episode}, self._office.now)

    def _period(self, told: str) -> tuple[str, int, int]:
        company_code, _, month = told.partition("/")
        if company_code not in self._office.company_codes:
            raise ValueError(f"{company_code!r} is no company code; there are {', '.join(self._office.company_codes)}")
        calendar = self._office.unit_of_company(company_code).calendar
        first = date.fromisoformat(f"{month}-01") if month else calendar.day(self._office.now)
        return company_code, first.year, first.month

    def _close_period(self, told: str) -> None:
        company_code, year, month = self._period(told)
        self._office.s4hana.close_period(company_code=company_code, year=year, month=month)

    def _open_period(self, told: str) -> None:
        company_code, year, month = self._period(told)
        self._office.s4hana.open_period(company_code=company_code, year=year, month=month)

    def _unit(self, centre: str) -> Unit:
        found = next((unit for unit in self._office.units.values() if centre in unit.cost_centres), None)
        if found is None:
            raise ValueError(f"{centre!r} is no cost centre")
        return found

    def _centre(self, centre: str) -> str:
        self._unit(centre)
        return centre

    def _supplier(self, number: str) -> str:
        if self._office.supplier_by_number(number) is None:
            raise ValueError(f"{number!r} is no supplier's number in the ERP")
        return number

    def _restore_budget(self, centre: str) -> None:
        unit, year = self._unit(centre), self._office.now.year
        set_budget(self._office, unit, centre, year, yearly_budget(self._office, unit, centre, year))


def _told(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value).strip()


def _faults(name: str, told: str) -> Values | None:
    """The faults a lever brings; None when it is told to stop."""
    if name in {"outage", MAINTENANCE}:
        if told not in {"true", "false"}:
            raise ValueError(f"{name} is true or false, not {told!r}")
        return {"outage": True} if told == "true" else None
    if name == "schema_drift":
        if told in {"", "none"}:
            return None
        if told not in DRIFTS:
            raise ValueError(f"schema_drift is one of {', '.join(DRIFTS)} or none, not {told!r}")
        return {"schema_drift": told}
    try:
        share = float(Decimal(told))
    except ArithmeticError:
        raise ValueError(f"{name} is a share from 0 to 1, not {told!r}") from None
    if not 0 <= share <= 1:
        raise ValueError(f"{name} is a share from 0 to 1, not {told}")
    if share == 0:
        return None
    return {
        "throttle": {"throttle_share": share, "retry_after_s": 15.0},
        "errors": {"error_share": share, "error_status": 503},
        "lost_replies": {"reply_lost_share": share, "only_writes": True},
    }[name]
