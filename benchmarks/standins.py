"""The four stand-ins in a process of their own, with one buyer, one supplier and as many requisitions as are asked for.

It prints the addresses as one line of JSON; a number on its input submits so many requisitions, each approved by people
already, and is answered with "submitted". Run by the benchmark, not by hand.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from benchmarks import beside
from sandbox.basware import Basware
from sandbox.coupa import Coupa
from sandbox.coupa.records import Wanted
from sandbox.ledger import Ledger
from sandbox.s4hana import S4Hana
from sandbox.server import StandinServer
from sandbox.servicenow import ServiceNow
from sandbox.wire import Standin
from sync_engine.cli.logs import set_up_logs

TOKEN_PATHS = {
    "coupa": "/oauth2/token",
    "servicenow": "/oauth_token.do",
    "s4hana": "/sap/bc/sec/oauth2/token",
    "basware": "/v1/tokens",
}
SUPPLIER = "10300001"


class Standins:
    """The other end: the process, running."""

    def __init__(self, running: subprocess.Popen[str]) -> None:
        self._running = running
        self.urls: dict[str, str] = json.loads(self._hear())

    def submit(self, many: int) -> None:
        """Let people submit and approve so many requisitions."""
        if self._running.stdin is not None:
            self._running.stdin.write(f"{many}\n")
            self._running.stdin.flush()
        self._hear()

    def _hear(self) -> str:
        line = self._running.stdout.readline() if self._running.stdout is not None else ""
        if not line:
            raise RuntimeError(f"the stand-ins' process ended with {self._running.wait()}")
        return line


@contextmanager
def standins() -> Iterator[Standins]:
    """The stand-ins, answering for as long as the block lasts."""
    with beside.start("standins") as process:
        try:
            yield Standins(process)
        finally:
            if process.stdin is not None:
                process.stdin.close()
            process.wait(timeout=60)


class _Buyer:
    """One department that buys bearings."""

    def __init__(self, coupa: Coupa, s4hana: S4Hana, today: date) -> None:
        self._coupa, self._today, self._submitted = coupa, today, 0
        s4hana.add_company_code(code="1010", currency="EUR", controlling_area="A000")
        for plant in ("1010", "1020", "1021"):
            s4hana.add_plant(code=plant, company_code="1010")
        s4hana.add_cost_centre(
            code="4711", company_code="1010", valid_from=date(2020, 1, 1), valid_to=date(today.year + 5, 12, 31)
        )
        for month in range(1, 13):
            s4hana.open_period(company_code="1010", year=today.year, month=month)
        s4hana.add_supplier(
            number=SUPPLIER,
            name="Nordwerk Komponenten 07 GmbH",
            tax_id="DE136695976",
            country="DE",
            company_codes=["1010"],
            purchasing_organizations=["1010"],
            payment_terms="0030",
        )
        self._supplier = coupa.register_supplier(
            name="Nordwerk Komponenten 07 GmbH",
            number=SUPPLIER,
            tax_id="DE136695976",
            country="DE",
            payment_term="NET 30",
        )
        coupa.add_user(login="head.de-south", full_name="Head DE-SOUTH", email="head.de-south@example.test")
        coupa.add_user(login="planner.de-south", full_name="Planner DE-SOUTH", email="", manager="head.de-south")

    def submit(self) -> None:
        self._submitted += 1
        line: Wanted = {
            "description": f"Bearing {self._submitted:06}",  # no two alike, or they would be duplicates
            "quantity": "10",
            "unit": "EA",
            "unit_price": str(Decimal(10) + Decimal(self._submitted) / 100),
            "supplier_id": self._supplier,
            "company_code": "1010",
            "cost_centre": "4711",
            "account": "51600000",
            "plant": "DES1",
            "commodity": "Spare parts",
            "contract": "C-100",
            "tax_code": "VAT19",
            "need_by": self._today + timedelta(days=10),
        }
        requisition = self._coupa.submit_requisition(
            requester="planner.de-south",
            department="DE-SOUTH Plant",
            currency="EUR",
            title="Bearings",
            lines=[line],
            need_by=self._today + timedelta(days=10),
        )
        while (waiting := self._coupa.pending_approval(requisition)) is not None and waiting[1] != "finsync":
            self._coupa.approve(approval_id=waiting[0], by=waiting[1])


def main() -> None:
    """Be such a process."""
    set_up_logs()  # to standard error: answers stand alone on standard output

    def now() -> datetime:
        return datetime.now(UTC)

    kinds: dict[str, Callable[..., Any]] = {
        "coupa": Coupa,
        "servicenow": ServiceNow,
        "s4hana": S4Hana,
        "basware": Basware,
    }
    served: dict[str, Standin] = {name: kind(Ledger(), now, Random(name)) for name, kind in kinds.items()}
    buyer = _Buyer(served["coupa"], served["s4hana"], now().date())  # type: ignore[arg-type]
    servers = {name: StandinServer(standin).start() for name, standin in served.items()}
    print(json.dumps({name: server.url for name, server in servers.items()}), flush=True)
    for line in sys.stdin:
        for _ in range(int(line)):
            buyer.submit()
        print("submitted", flush=True)
    for server in servers.values():
        server.stop()


if __name__ == "__main__":
    main()
