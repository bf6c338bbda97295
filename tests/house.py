"""Four stand-ins, a few people and an engine on a clock that stands still: the smallest world in which a requisition can
travel from its requester to a paid invoice. Journeys are told with it; nothing in it knows the engine's inside."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID, uuid4

import psycopg

from config import FOLDER
from sandbox.basware import Basware
from sandbox.coupa import Coupa
from sandbox.ledger import Ledger
from sandbox.s4hana import S4Hana
from sandbox.servicenow import ServiceNow
from sandbox.transport import InProcessTransport, Stopwatch
from sandbox.wire import Standin
from sync_engine.cli.wiring import connect_systems, make_setup
from sync_engine.configuration import load_systems
from sync_engine.control import access, commands
from sync_engine.control.access import AppSession, Person
from sync_engine.control.commands import Answered
from sync_engine.control.execute import execute_commands
from sync_engine.control.roles import Action, Role
from sync_engine.database.connections import Database
from sync_engine.engine import promote
from sync_engine.engine.clock import VirtualClock
from sync_engine.engine.engine import Engine
from sync_engine.engine.fast_forward import FastForward
from sync_engine.insight import fold
from sync_engine.model.ports import Access

TUESDAY = datetime(2026, 9, 15, 7, 0, tzinfo=UTC)
SUPPLIER, SUPPLIER_2 = "10300001", "10300002"
TOKEN_PATHS = {
    "coupa": "/oauth2/token",
    "servicenow": "/oauth_token.do",
    "s4hana": "/sap/bc/sec/oauth2/token",
    "basware": "/v1/tokens",
}


def in_process(name: str) -> Access:
    """How the engine reaches a stand-in without a socket."""
    return Access(f"http://{name}", f"http://{name}{TOKEN_PATHS[name]}", lambda: ("finsync", "sandbox"))


@dataclass
class House:
    """The world of one test. Times move only when `run` is told to let them."""

    clock: VirtualClock
    connection: psycopg.Connection
    database: Database
    seed: int = 1
    standins: dict[str, Standin] = field(default_factory=dict)
    engines: int = 0
    supplier_ids: dict[str, int] = field(default_factory=dict)
    """Procurement's ids of the suppliers, by ERP number."""
    folds: bool = False
    """The folder looks at what has happened again and again meanwhile, as it does beside an engine."""

    def __post_init__(self) -> None:
        kinds: dict[str, Callable[..., Standin]] = {
            "coupa": Coupa,
            "servicenow": ServiceNow,
            "s4hana": S4Hana,
            "basware": Basware,
        }
        for name, kind in kinds.items():
            self.standins[name] = kind(Ledger(), self.clock.now, Random(f"{self.seed} {name}"))
        self.stopwatch = Stopwatch()
        self.transport = InProcessTransport(self.standins, self.stopwatch)
        self._furnish()
        self.configuration = promote.load(FOLDER)
        self.engine = self.new_engine()
        promote.put_in_force(
            self.connection, self.configuration, today=self.clock.now().date(), now=self.clock.now(), by="test"
        )
        self.engine.register(self.connection, release="test")
        self.forward = FastForward(self.engine, self.connection, self, spent_s=self.stopwatch, also=[self.carry_out])

    def new_engine(self, crash_point: Callable[[str], None] = lambda _: None) -> Engine:
        """One more engine on the same database and the same systems."""
        self.engines += 1
        systems = load_systems(FOLDER)
        setup = make_setup(
            self.configuration, systems, rng=Random(f"{self.seed} engine {self.engines}"), app_url="http://finsync.test"
        )
        sessions = connect_systems(setup, systems, timer=self.stopwatch, transport=self.transport, access=in_process)
        return Engine(setup, sessions, self.clock, engine_id=f"engine-{self.engines}", crash_point=crash_point)

    @property
    def coupa(self) -> Any:
        return self.standins["coupa"]

    @property
    def servicenow(self) -> Any:
        return self.standins["servicenow"]

    @property
    def s4hana(self) -> Any:
        return self.standins["s4hana"]

    @property
    def basware(self) -> Any:
        return self.standins["basware"]

    def _furnish(self) -> None:
        self.s4hana.add_company_code(code="1010", currency="EUR", controlling_area="A000")
        for plant in ("1010", "1020", "1021"):
            self.s4hana.add_plant(code=plant, company_code="1010")
        for code in ("4701", "4702", "4711", "4101"):
            self.s4hana.add_cost_centre(
                code=code, company_code="1010", valid_from=date(2020, 1, 1), valid_to=date(2035, 12, 31)
            )
        for month in (8, 9, 10, 11, 12):
            self.s4hana.open_period(company_code="1010", year=2026, month=month)
        for number, name, tax in (
            (SUPPLIER, "Nordwerk Komponenten 07 GmbH", "DE136695976"),
            (SUPPLIER_2, "Suedstahl Lager 12 GmbH", "DE129274202"),
        ):
            self.s4hana.add_supplier(
                number=number,
                name=name,
                tax_id=tax,
                country="DE",
                company_codes=["1010"],
                purchasing_organizations=["1010"],
                payment_terms="0030",
            )
            self.supplier_ids[number] = self.coupa.register_supplier(
                name=name, number=number, tax_id=tax, country="DE", payment_term="NET 30"
            )
        self.coupa.add_user(login="head.de-south", full_name="Head DE-SOUTH", email="head.de-south@example.test")
        self.coupa.add_user(
            login="lead.de-south",
            full_name="Lead DE-SOUTH",
            email="lead.de-south@example.test",
            manager="head.de-south",
        )
        self.coupa.add_user(
            login="planner.de-south",
            full_name="Planner DE-SOUTH",
            email="planner.de-south@example.test",
            manager="lead.de-south",
        )
        self.coupa.add_user(
            login="plant.manager.de-south", full_name="Plant manager DE-SOUTH", email="", manager="head.de-south"
        )
        for login, group in (
            ("fin.1", "Finance DE-SOUTH"),
            ("proc.1", "Procurement DE-SOUTH"),
            ("fin.2", "Finance DE-NORTH"),
            ("proc.2", "Procurement DE-NORTH"),
        ):
            self.servicenow.add_user(user_name=login, name=login, email=f"{login}@example.test")
            self.servicenow.add_group(name=group, members=[login])

    # -- what people do ---------------------------------------------------------------------------------------------

    def line(self, **changes: Any) -> dict[str, Any]:
        """A line as a requester fills it in: ten pieces at 20.00 for cost centre 4711, under contract."""
        return {
            "description": "Bearing 6204",
            "quantity": "10",
            "unit": "EA",
            "unit_price": "20.00",
            "supplier_id": self.supplier_ids[SUPPLIER],
            "company_code": "1010",
            "cost_centre": "4711",
            "account": "51600000",
            "plant": "DES1",
            "commodity": "Spare parts",
            "contract": "C-100",
            "tax_code": "VAT19",
            "need_by": date(2026, 9, 25),
            **changes,
        }

    def submit(
        self,
        *lines: dict[str, Any],
        requester: str = "planner.de-south",
        department: str = "DE-SOUTH Plant",
        currency: str = "EUR",
        title: str = "Bearings",
    ) -> int:
        """Somebody submits a requisition; answers its id."""
        return self.coupa.submit_requisition(
            requester=requester,
            department=department,
            currency=currency,
            title=title,
            lines=list(lines) or [self.line()],
            need_by=date(2026, 9, 25),
        )

    def approve_in_coupa(self, requisition: int) -> None:
        """Every human approver of procurement agrees, one after the other."""
        while (waiting := self.coupa.pending_approval(requisition)) is not None and waiting[1] != "finsync":
            self.coupa.approve(approval_id=waiting[0], by=waiting[1], comment="needed")

    def decide_in_servicenow(self, user: str, state: str = "approved", comment: str = "fine") -> int:
        """Somebody decides everything that waits for them; answers how many that was."""
        rows = self.servicenow.open_approvals(user_name=user)
        for row in rows:
            self.servicenow.decide(approver_row=row["sys_id"], state=state, comment=comment)
        return len(rows)

    def receive(self, order: str, quantity: str = "10", item: int = 10) -> tuple[str, str]:
        """Goods arrive."""
        return self.s4hana.post_goods_receipt(order=order, lines=[(item, Decimal(quantity))], by="RECEIVER1")

    def invoice(
        self,
        order: str,
        *,
        reference: str = "RE-4711",
        quantity: str = "10",
        price: str = "20.00",
        item: int = 10,
        tax_share: str = "0.19",
        order_line: bool = True,
        supplier: str = SUPPLIER,
        name: str = "Nordwerk Komponenten 07 GmbH",
    ) -> str:
        """The supplier's invoice arrives in AP automation; answers its id."""
        amount = (Decimal(quantity) * Decimal(price)).quantize(Decimal("0.01"))
        today = self.clock.now().date()
        return self.basware.receive_invoice(
            supplier_code=supplier,
            supplier_name=name,
            organization_code="ORG-DE-SOUTH",
            company_code="1010",
            invoice_number=reference,
            currency="EUR",
            invoice_date=today,
            baseline_date=today,
            due_date=today + timedelta(days=30),
            payment_term="NET 30",
            tax_code="VAT19",
            tax=(amount * Decimal(tax_share)).quantize(Decimal("0.01")),
            lines=[
                {
                    "order_number": order if order_line else "",
                    "order_line": item,
                    "description": "Bearing 6204",
                    "quantity": quantity,
                    "unit": "EA",
                    "unit_price": price,
                    "amount": str(amount),
                }
            ],
        )

    # -- the world as the fast clock sees it --------------------------------------------------------------------------

    def next_action_at(self) -> datetime | None:
        return None

    def act(self, _now: datetime) -> bool:
        """Nobody does anything by themselves here."""
        return False

    def revision(self, system: str, _feed: str) -> int:
        return sum(table.revision for table in self.standins[system].ledger.tables())

    def run(self, **duration: float) -> None:
        """Let time pass, and the engine do what it does."""
        until = self.clock.now() + timedelta(**(duration or {"minutes": 30}))
        self.forward.run_until(until)
        while self.carry_out():
            self.forward.run_until(self.clock.now() + timedelta(minutes=10))

    def carry_out(self) -> int:
        """Carry out what people have asked for, and send what is due of their reprocessings."""
        if self.folds:
            fold.fold(self.connection, now=self.clock.now())
        return execute_commands(
            self.connection, self.engine.setup, engine_id=self.engine.engine_id, now=self.clock.now()
        )

    # -- what can be seen ---------------------------------------------------------------------------------------------

    def documents(self, document_type: str) -> list[tuple[str, str, str, str]]:
        """(number, state, approval, posting) of every document of a type, in the order they came."""
        query = "SELECT number, state, approval_status, posting_status FROM document WHERE document_type = %s ORDER BY created_at, number"
        return self.connection.execute(query, [document_type]).fetchall()

    def cases(self, *, is_open: bool = True) -> list[tuple[Any, ...]]:
        """(code, number, blocks, message) of exceptions."""
        query = f"SELECT code, number, blocks, message FROM exception_case WHERE closed_at IS {'' if is_open else 'NOT '}NULL ORDER BY raised_at, number"
        return self.connection.execute(query).fetchall()

    def live_orders(self) -> list[str]:
        """Numbers of the orders that stand in SAP, by its own ledger."""
        return sorted(number for numbers in self.s4hana.live_orders_by_reference().values() for number in numbers)

    def order_one(self, *lines: dict[str, Any], **how: Any) -> tuple[int, str]:
        """A requisition that has become an order: (requisition, SAP number)."""
        before = set(self.live_orders())
        requisition = self.submit(*lines, **how)
        self.run(minutes=10)
        self.approve_in_coupa(requisition)
        self.run(minutes=30)
        [order] = set(self.live_orders()) - before
        return requisition, order

    def put_person(self, user_id: str, *roles: Role, units: tuple[str, ...] = ("*",)) -> AppSession:
        """Somebody who may use the application, and their open session."""
        access.put_people(self.connection, [Person(user_id, user_id, frozenset(roles), units)], now=self.clock.now())
        gate = self.database.engine("finsync_gate", pool_size=1)
        session = access.open_session(gate, user_id, hours=1)
        gate.dispose()
        return session

    def order_in_coupa(self) -> int:
        """The id of the one order procurement has."""
        [order] = self.coupa.orders()
        return int(order["id"])

    def reprocess(
        self, session: AppSession, reason: str = "the cause is repaired", code: str | None = None
    ) -> Answered:
        """Ask for every open exception (of one kind) to be reprocessed, let the engine do it, and answer what became of it."""
        found = self.connection.execute(
            "SELECT case_id, version FROM exception_case WHERE closed_at IS NULL AND (%s::text IS NULL OR code = %s)",
            [code, code],
        ).fetchall()
        return self.ask(
            session,
            Action.REPROCESS,
            reason=reason,
            cases=[{"case_id": str(case_id), "version": version} for case_id, version in found],
        )

    def ask(self, session: AppSession, action: Action, *, reason: str = "", **arguments: Any) -> Answered:
        """Ask as the application does, and let the engine carry it out."""
        command_id = self.only_ask(session, action, reason=reason, **arguments)
        self.run(minutes=20)
        app = self.database.engine("finsync_app", pool_size=1)
        answered = commands.answer(app, session.token, command_id)
        app.dispose()
        assert answered is not None
        return answered

    def only_ask(self, session: AppSession, action: Action, *, reason: str = "", **arguments: Any) -> UUID:
        """Ask as the application does; the engine has not heard of it yet."""
        app = self.database.engine("finsync_app", pool_size=1)
        command_id = uuid4()
        commands.ask(
            app,
            session.token,
            session.person,
            command_id=command_id,
            action=action,
            arguments=arguments,
            now=self.clock.now(),
            reason=reason,
        )
        app.dispose()
        return command_id

    def redrive_results(self) -> list[tuple[str, str]]:
        """(status, result) of every reprocessed item, in the order they were asked for."""
        return self.connection.execute(
            "SELECT i.status, i.result FROM redrive_item i JOIN redrive r USING (redrive_id) ORDER BY r.asked_at"
        ).fetchall()
