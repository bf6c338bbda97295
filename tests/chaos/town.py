"""A company whose systems answer over HTTP behind a faulty network, and whose people go on working whatever breaks."""

import json
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

from sandbox.basware import Basware
from sandbox.company import CLIENT
from sandbox.coupa import Coupa
from sandbox.ledger import Ledger
from sandbox.s4hana import S4Hana
from sandbox.server import StandinServer
from sandbox.servicenow import ServiceNow
from sandbox.wire import Standin
from tests.chaos.proxy import FaultProxy
from tests.house import House

KINDS: dict[str, Callable[..., Standin]] = {
    "coupa": lambda *world: Coupa(*world, client_id=CLIENT[0], client_secret=CLIENT[1]),
    "servicenow": lambda *world: ServiceNow(*world, client=CLIENT),
    "s4hana": lambda *world: S4Hana(*world, client=CLIENT),
    "basware": lambda *world: Basware(*world, client=CLIENT),
}
BILLED = 3
"""Every so many orders are delivered and billed."""

LATER = timedelta(seconds=4)
"""How long people take to react."""


class WallClock:
    """The time outside."""

    def now(self) -> datetime:
        """UTC."""
        return datetime.now(UTC)


@dataclass
class Wish:
    """A requisition on its way."""

    requisition: int
    at: datetime


class Town(House):
    """The people and systems of a house, in real time and over real sockets."""

    def __init__(self, home: Path, seed: int) -> None:
        self.clock = WallClock()
        self.seed = seed
        self.supplier_ids = {}
        self.standins = {name: kind(Ledger(), self.clock.now, Random(f"{seed} {name}")) for name, kind in KINDS.items()}
        self._furnish()
        today = self.clock.now().date()
        for month in (today.replace(day=1) - timedelta(days=1), today, today.replace(day=28) + timedelta(days=4)):
            self.s4hana.open_period(company_code="1010", year=month.year, month=month.month)
        self.servers = {name: StandinServer(standin).start() for name, standin in self.standins.items()}
        self.network = {
            name: FaultProxy(("127.0.0.1", server.server_address[1]), seed) for name, server in self.servers.items()
        }
        (home / "demo").mkdir(parents=True, exist_ok=True)
        (home / "demo" / "sandbox.json").write_text(
            json.dumps({"control": "http://127.0.0.1:9", **{name: proxy.url for name, proxy in self.network.items()}})
        )
        self.wished = 0
        self.billed = 0
        self._waiting: list[Wish] = []
        self._rng = random.Random(seed)
        self._served: set[str] = set()
        self._over = threading.Event()
        self._pause_s = 1.0
        self._life = threading.Thread(target=self._live, name="town", daemon=True)

    def begin(self, *, per_s: float) -> None:
        """People begin to work, and wish for so many things in a second."""
        self._pause_s = 1 / per_s
        self._life.start()

    def pause(self) -> None:
        """Nobody wishes for anything more; what has been begun is finished."""
        self._over.set()
        self._life.join()

    def close(self) -> None:
        """The end."""
        self._over.set()
        for proxy in self.network.values():
            proxy.close()
        for server in self.servers.values():
            server.stop()

    def heal(self) -> None:
        """The network carries everything again."""
        for proxy in self.network.values():
            proxy.set(type(proxy.trouble)())

    def _live(self) -> None:
        while not self._over.wait(self._pause_s):
            self.work()
            self._wish()

    def _wish(self) -> None:
        number = self.wished + 1
        line = self.line(
            description=f"Bearing {number} {self._rng.randrange(10**9):x}",
            unit_price=f"{20 + number % 400}.{number % 100:02d}",
            need_by=self.clock.now().date() + timedelta(days=10),
        )
        with self.coupa.lock:
            requisition = self.submit(line, title=f"Bearing {number}")
        self.wished += 1
        self._waiting.append(Wish(requisition, self.clock.now()))

    def work(self) -> None:
        """Everybody does what is waiting for them."""
        due = self.clock.now() - LATER
        for wish in list(self._waiting):
            if wish.at < due:
                with self.coupa.lock:
                    self.approve_in_coupa(wish.requisition)
                    if self.coupa.requisition(wish.requisition)["status"] == "ordered":
                        self._waiting.remove(wish)
        with self.s4hana.lock:
            orders = self.live_orders()
        for order in orders:
            if order in self._served:
                continue
            self._served.add(order)
            if len(self._served) % BILLED == 0:
                self._deliver_and_bill(order)

    def _deliver_and_bill(self, order: str) -> None:
        with self.s4hana.lock:
            [item] = self.s4hana.orders[order]["_items"]
            price = str(Decimal(item["NetPriceAmount"]))
            self.receive(order)
        with self.basware.lock:
            self.invoice(order, reference=f"RE-{order}", price=price)
        self.billed += 1

    # -- what is true outside, by the systems' own ledgers -----------------------------------------------------------

    def duplicates(self) -> list[str]:
        """Orders and postings that are there twice."""
        with self.s4hana.lock:
            orders, bills = self.s4hana.live_orders_by_reference(), self.s4hana.live_invoices_by_reference()
        return [f"{name}: {numbers}" for name, numbers in {**orders, **bills}.items() if len(numbers) > 1]

    @property
    def ordered(self) -> int:
        """Orders that stand in the ERP."""
        with self.s4hana.lock:
            return len(self.live_orders())

    @property
    def posted(self) -> int:
        """Invoices that are posted in the ERP."""
        with self.s4hana.lock:
            return len(self.s4hana.live_invoices_by_reference())
