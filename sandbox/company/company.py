"""The company that lives in the sandbox: a manufacturing group of six units at work in four systems.

People ask, approve, receive, pay and repair through the stand-ins' screens, in their own office hours; suppliers bill;
things go wrong and are put right again. Nothing here knows the engine: it sees what anybody would see on a screen. One
seed makes one company, whatever the engine does to it.

    odds        every share, amount and duration          office      what all share: screens, luck, log
    units       units from the configuration              calendar    office hours and holidays
    people      who works there, how quickly they decide  suppliers   who sells
    catalogue   what is bought                            founding    the first day
    buying      requisitions                              approving   decisions
    fulfilment  deliveries, receipts, order changes       billing     supplier invoices
    finance     periods, payments, maintenance            troubles    when what goes wrong
    bad_*       how it goes wrong and is repaired         levers      breaking things by hand
    hurry       what is decided at once, at any hour      agenda      what is still to be done, and when
    conditions  what is wrong with a system
"""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from threading import RLock
from typing import Any

from sandbox.basware import Basware
from sandbox.company import odds
from sandbox.company.agenda import actions_of
from sandbox.company.approving import Approving
from sandbox.company.bad_master_data import BadMasterData
from sandbox.company.bad_requisitions import BadRequisitions
from sandbox.company.bad_systems import BadSystems
from sandbox.company.billing import Billing
from sandbox.company.buying import Buying
from sandbox.company.conditions import Conditions
from sandbox.company.finance import Finance
from sandbox.company.founding import found
from sandbox.company.fulfilment import Fulfilment
from sandbox.company.hurry import Hurried
from sandbox.company.levers import Levers
from sandbox.company.office import Episode, Office, Systems
from sandbox.company.troubles import Troubles
from sandbox.coupa import Coupa
from sandbox.ledger import Ledger
from sandbox.s4hana import S4Hana
from sandbox.servicenow import ServiceNow
from sandbox.wire import Standin

CLIENT = ("finsync", "sandbox")
FEED_TABLES = {
    ("coupa", "requisitions"): "requisition",
    ("coupa", "approvals"): "approval",
    ("coupa", "suppliers"): "supplier",
    ("coupa", "order_revisions"): "purchase_order",
    ("servicenow", "approvals"): "servicenow.sysapproval_approver",
    ("s4hana", "goods_receipts"): "material_document",
    ("s4hana", "postings"): "line_item",
    ("basware", "invoices"): "basware.invoice",
}
"""The table whose changes are the news of a feed."""


class Company:
    """The company and the systems it works in.

    Args:
        clock: Tells the time; aware UTC.
        seed: Decides everything that happens.
        start: The company's first moment.
        folder: Where the ledgers are kept, one SQLite file per system; None keeps them in memory. A folder that holds a
            company already goes on with it, with the seed and the start it began with.
        requisitions_per_day: On an average working day, all units together.
        latency_scale: How much of a system's usual latency its answers take.
    """

    def __init__(
        self,
        clock: Callable[[], datetime],
        seed: int,
        start: datetime,
        folder: Path | None = None,
        *,
        requisitions_per_day: float = 55.0,
        latency_scale: float = 1.0,
    ) -> None:
        self.lock = RLock()
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self.ledger = Ledger(_file(folder, "company"))
        self._state = self.ledger.table("state")
        began = self._state.get("company")
        if began is not None:
            seed, start = began["seed"], datetime.fromisoformat(began["start"])
            requisitions_per_day = began["requisitions_per_day"]
        self.seed = seed
        self.start = start
        systems = _systems(clock, seed, folder)
        self.standins: dict[str, Standin] = systems.by_name
        self._conditions = Conditions(self.standins, self.ledger, latency_scale=latency_scale)
        self._office = Office(
            systems, clock, self.ledger, seed=seed, start=start, requisitions_per_day=requisitions_per_day
        )
        self._build()
        self._feeds = {
            feed: self.standins[feed[0]].ledger.table(table_name) for feed, table_name in FEED_TABLES.items()
        }
        if began is None:
            self._begin(requisitions_per_day)
        else:
            self._restore_luck()

    def _build(self) -> None:
        office = self._office
        self._hurried = Hurried(office)
        self._approving = approving = Approving(office, self._hurried)
        self._buying = Buying(office, approving.ask_approver)
        billing = Billing(office)
        fulfilment = Fulfilment(office, billing.bill)
        bad_requisitions = BadRequisitions(office, self._buying)
        bad_master_data = BadMasterData(office, self._buying, fulfilment)
        bad_systems = BadSystems(office, self._conditions)
        self._levers = Levers(office, self._conditions, bad_master_data)
        self._finance = Finance(office, self._conditions)
        self._troubles = Troubles(office, bad_systems, (bad_requisitions, bad_master_data))
        self._watchful = (approving, fulfilment, billing, bad_requisitions, bad_master_data)
        groups = (*self._watchful, self._buying, bad_systems, self._finance, self._troubles)
        self._actions = {name: doing for group in groups for name, doing in actions_of(group).items()}

    def _begin(self, requisitions_per_day: float) -> None:
        began = {
            "seed": self.seed,
            "start": self.start.isoformat(),
            "requisitions_per_day": requisitions_per_day,
        }
        self._state.put("company", began, self.start)
        found(self._office)
        self._buying.begin()
        self._finance.begin()
        self._troubles.begin()

    # What the fast clock asks

    def next_action_at(self) -> datetime | None:
        """When somebody does something next; None: never again."""
        with self.lock:
            return self._office.agenda.next_at()

    def act(self, now: datetime) -> bool:
        """Do everything that is due by `now`, in order; after a long pause the rest of it the next time.

        Answers whether anything was asked of the engine itself: never, people work in their own systems.
        """
        with self.lock:
            for group in self._watchful:
                group.notice()
            for _ in range(odds.ACTIONS_AT_ONCE):
                entry = self._office.agenda.pop_due(now)
                if entry is None:
                    break
                self._actions[entry.name](**entry.arguments)
        return False

    def revision(self, system: str, feed: str) -> int:
        """A number that changes whenever a feed has news."""
        return self._feeds[system, feed].revision

    # What the command line asks

    def submit_now(
        self,
        unit: str,
        amount: Decimal | None = None,
        *,
        contract: bool = True,
        hurry: bool = True,
        approve: bool = True,
    ) -> int:
        """Let somebody of a unit submit a requisition at this moment; returns its id.

        Args:
            unit: Which unit's.
            amount: About how much, in the unit's currency; None: as luck has it.
            contract: Whether the supplier is under contract.
            hurry: Everybody who is asked about it decides within seconds, whatever the hour, and in its favour.
            approve: Of one in a hurry: False lets the first group that is asked in the approval tool refuse it.

        Raises:
            ValueError: no such unit, or one without hurry that is to be refused.
        """
        if not hurry and not approve:
            raise ValueError("only a requisition in a hurry can be refused by order; the others are decided by people")
        with self.lock:
            if unit not in self._office.units:
                raise ValueError(f"{unit!r} is no business unit; there are {', '.join(self._office.units)}")
            luck = self._office.luck("by hand", self.ledger.number("by hand"))
            wish = self._buying.wish(self._office.units[unit], luck, amount=amount, contract=contract)
            with self._office.coupa.lock:
                requisition_id = self._buying.enter(wish)
                if hurry:
                    self._hurried.remember(requisition_id, approve=approve)
                self._approving.ask_approver(requisition_id)
            return requisition_id

    def set_trouble(self, system: str, **levers: Any) -> list[str]:
        """Pull levers of `BREAKABLE` at a system, by name and value; returns what was done, a sentence each.

        Raises:
            ValueError: no such lever there, or nothing that can be meant by its value.
        """
        with self.lock:
            return [self._levers.pull(system, name, value) for name, value in levers.items()]

    def repair(self, system: str, **levers: Any) -> list[str]:
        """Take back what `set_trouble` did with the same arguments; returns what was done, a sentence each.

        Raises:
            ValueError: as `set_trouble`.
        """
        with self.lock:
            return [self._levers.repair(system, name, value) for name, value in levers.items()]

    def troubles(self) -> list[Episode]:
        """Every trouble so far, in the order they began."""
        with self.lock:
            return self._office.episodes()

    def disturbances(self) -> dict[str, list[str]]:
        """What is wrong with each system itself at the moment, by the names of the disturbances."""
        with self.lock:
            return {name: sorted(self._conditions.of(name)) for name in self.standins}

    @property
    def agenda_length(self) -> int:
        """How many things are still to be done."""
        return len(self._office.agenda)

    # Keeping

    def save(self) -> None:
        """Write everything to the files. The company's own memory last: what was done twice is seen, what was never
        done is missed by nobody."""
        with self.lock:
            for name, standin in self.standins.items():
                with standin.lock:
                    version, state, gauss = standin.rng.getstate()
                    self._state.put(f"luck of {name}", {"state": [version, list(state), gauss]}, self._office.now)
                    standin.ledger.save()
            self.ledger.save()

    def close(self) -> None:
        """Save and let go of the files."""
        self.save()
        with self.lock:
            for standin in self.standins.values():
                with standin.lock:
                    standin.ledger.close()
            self.ledger.close()

    def _restore_luck(self) -> None:
        for name, standin in self.standins.items():
            row = self._state.get(f"luck of {name}")
            if row is not None:
                version, state, gauss = row["state"]
                standin.rng.setstate((version, tuple(state), gauss))


def _file(folder: Path | None, name: str) -> Path | None:
    return None if folder is None else folder / f"{name}.sqlite"


def _systems(clock: Callable[[], datetime], seed: int, folder: Path | None) -> Systems:
    def kept(name: str) -> tuple[Ledger, Callable[[], datetime], Random]:
        return Ledger(_file(folder, name)), clock, Random(f"{seed}/{name}")

    return Systems(
        coupa=Coupa(*kept("coupa"), client_id=CLIENT[0], client_secret=CLIENT[1]),
        servicenow=ServiceNow(*kept("servicenow"), client=CLIENT),
        s4hana=S4Hana(*kept("s4hana"), client=CLIENT),
        basware=Basware(*kept("basware"), client=CLIENT),
    )
