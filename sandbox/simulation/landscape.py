"""The outside world of a schedule: four stand-ins in process, each with a ledger of its own, furnished for two business units,
and engines connected to them through the wire of the schedule."""

from dataclasses import replace
from datetime import date
from functools import cache
from random import Random
from typing import Any

import httpx2

from collectors import SYSTEMS
from config import FOLDER
from sandbox.basware import Basware
from sandbox.company.company import FEED_TABLES
from sandbox.coupa import Coupa
from sandbox.ledger import Ledger
from sandbox.s4hana import S4Hana
from sandbox.servicenow import ServiceNow
from sandbox.simulation.clocks import EngineClock, VendorClock, WorldClock
from sandbox.wire import Standin
from sync_engine.configuration import Systems, load_systems
from sync_engine.engine import promote
from sync_engine.engine.engine import Engine
from sync_engine.engine.outcomes import Setup
from sync_engine.engine.results import CrashPoint, no_crash
from sync_engine.model.ids import id_maker
from sync_engine.model.ports import Access

UNITS = ("DE-SOUTH", "DE-NORTH")
SUPPLIERS = (
    ("10300001", "Nordwerk Komponenten 07 GmbH", "DE136695976"),
    ("10300002", "Suedstahl Lager 12 GmbH", "DE129274202"),
)
SECRET = "sandbox"  # noqa: S105 - what the stand-ins of a simulation ask for
TOKEN_PATHS = {
    "coupa": "/oauth2/token",
    "servicenow": "/oauth_token.do",
    "s4hana": "/sap/bc/sec/oauth2/token",
    "basware": "/v1/tokens",
}


@cache
def configuration() -> promote.Configuration:
    """The configuration as shipped, read once per process."""
    return promote.load(FOLDER)


@cache
def _systems() -> Systems:
    return load_systems(FOLDER)


def _access(name: str) -> Access:
    return Access(f"http://{name}", f"http://{name}{TOKEN_PATHS[name]}", lambda: ("finsync", SECRET))


class Landscape:
    """The four systems of one schedule.

    Args:
        seed: Makes their ids and tokens.
        clock: The true time; each system has a clock of its own over it.
    """

    def __init__(self, seed: int, clock: WorldClock) -> None:
        self.seed = seed
        self.world_clock = clock
        self.clocks = {name: VendorClock(clock) for name in TOKEN_PATHS}
        self.coupa = Coupa(Ledger(), self.clocks["coupa"].now, self._chance("coupa"))
        self.servicenow = ServiceNow(Ledger(), self.clocks["servicenow"].now, self._chance("servicenow"))
        self.s4hana = S4Hana(Ledger(), self.clocks["s4hana"].now, self._chance("s4hana"))
        self.basware = Basware(Ledger(), self.clocks["basware"].now, self._chance("basware"))
        self.standins: dict[str, Standin] = {
            "coupa": self.coupa,
            "servicenow": self.servicenow,
            "s4hana": self.s4hana,
            "basware": self.basware,
        }
        self.supplier_ids: dict[str, int] = {}
        self._furnish_erp()
        self._furnish_procurement()
        self._furnish_approvals()

    def _chance(self, what: str) -> Random:
        return Random(f"{self.seed} {what}")

    def _furnish_erp(self) -> None:
        self.s4hana.add_company_code(code="1010", currency="EUR", controlling_area="A000")
        for plant in ("1010", "1020", "1021"):
            self.s4hana.add_plant(code=plant, company_code="1010")
        begin, end = date(2020, 1, 1), date(2035, 12, 31)
        for code in [f"{area}{n:02d}" for area in ("47", "41") for n in range(1, 9)]:
            self.s4hana.add_cost_centre(code=code, company_code="1010", valid_from=begin, valid_to=end)
        for month in (8, 9, 10, 11, 12):
            self.s4hana.open_period(company_code="1010", year=2026, month=month)
        for number, name, tax in SUPPLIERS:
            self.s4hana.add_supplier(
                number=number,
                name=name,
                tax_id=tax,
                country="DE",
                company_codes=["1010"],
                purchasing_organizations=["1010"],
                payment_terms="0030",
            )

    def _furnish_procurement(self) -> None:
        for number, name, tax in SUPPLIERS:
            self.supplier_ids[number] = self.coupa.register_supplier(
                name=name, number=number, tax_id=tax, country="DE", payment_term="NET 30"
            )
        for unit in UNITS:
            low = unit.lower()
            manager = ""
            for who in ("head", "lead", "planner"):
                login = f"{who}.{low}"
                self.coupa.add_user(login=login, full_name=login, email=f"{login}@example.test", manager=manager)
                manager = login

    def _furnish_approvals(self) -> None:
        for unit in UNITS:
            for team, who in (("Finance", "fin"), ("Procurement", "proc")):
                login = f"{who}.{unit.lower()}"
                self.servicenow.add_user(user_name=login, name=login, email=f"{login}@example.test")
                self.servicenow.add_group(name=f"{team} {unit}", members=[login])

    def connect(
        self,
        number: int,
        clock: EngineClock,
        *,
        transport: httpx2.BaseTransport,
        crash_point: CrashPoint = no_crash,
    ) -> Engine:
        """A new engine, the `number`th of this schedule, and its sessions."""
        shipped, chance = configuration(), self._chance(f"engine {number}")
        blocks = _systems()
        systems = {
            name: replace(
                system,
                requests_per_s=blocks.systems[name].requests_per_s or system.requests_per_s,
                max_in_flight=blocks.systems[name].max_in_flight or system.max_in_flight,
            )
            for name, system in SYSTEMS.items()
        }
        setup = Setup(
            systems,
            blocks.roles.system,
            shipped.mappings,
            shipped.policies,
            chance,
            id_maker(chance),
            "http://finsync.test",
        )
        sessions: dict[str, Any] = {
            name: system.connect(_access(name), timer=clock.timer, transport=transport)
            for name, system in systems.items()
        }
        return Engine(setup, sessions, clock, engine_id=f"engine-{number}", crash_point=crash_point)

    def revisions(self) -> dict[tuple[str, str], int]:
        """For each feed a number that grows with every change it has to tell."""
        return {feed: self.revision(feed) for feed in FEED_TABLES}

    def revision(self, feed: tuple[str, str]) -> int:
        """The number of one feed that grows with every change it has to tell."""
        return self.standins[feed[0]].ledger.table(FEED_TABLES[feed]).revision

    def told_by(self, system: str) -> set[str]:
        """Every record that a system's feeds may have told."""
        tables = [self.standins[name].ledger.table(table) for (name, _), table in FEED_TABLES.items() if name == system]
        return {key for table in tables for key in table.rows}

    def touch(self, system: str, number: str) -> None:
        """Change a record once more without changing anything in it, so that it is told again as it is."""
        if system == "coupa":
            self.coupa.save_again(number)
        elif number in self.basware.invoices.rows:
            self.basware.save(self.basware.invoices.rows[number])
