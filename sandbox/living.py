"""The company in real time: four systems on loopback ports, people who act every second, and a switchboard.

The switchboard speaks JSON on a port of its own, for the command line in another process:

    GET  /status     what the company is and what is wrong at the moment
    GET  /levers     what can be broken, with what arguments, and what takes it back
    GET  /troubles   every trouble so far; ?open=true for those that last
    POST /break      {"system": "s4hana", "name": "cost_centre_blocked", "value": "4711"}
    POST /repair     the same: takes it back
    POST /submit     {"unit": "DE-SOUTH", "amount": "12500", "contract": false}: everybody hurries to decide it.
                     "approve": false has the approval tool refuse it; "hurry": false leaves it to office hours
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from random import Random
from threading import Event, Thread
from typing import Any, ClassVar

from sandbox.company import BREAKABLE, Company
from sandbox.ledger import Ledger
from sandbox.server import StandinServer
from sandbox.wire import Refused, Request, Response, Standin, json_response, route

BEAT_S = 1.0
SAVE_EVERY_BEATS = 60
LIVING_LATENCY = 0.1
"""A tenth of a real system's latency: nobody wants to wait for realism."""
DEMO_SEED = 7
LARGEST_AMOUNT = Decimal(10) ** 9


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Switchboard(Standin):
    """What the command line talks to. It has nothing to remember of its own.

    Args:
        company: Whose levers it pulls.
        clock: Tells the time; aware UTC.
        more: Adds to the status what only the host of the company knows.
    """

    name: ClassVar[str] = "control"

    def __init__(self, company: Company, clock: Callable[[], datetime], more: Callable[[], dict[str, Any]]) -> None:
        super().__init__(Ledger(), clock, Random(0))
        self._company = company
        self._more = more

    @route("GET", "/status")
    def _status(self, _request: Request) -> Response:
        company = self._company
        following = company.next_action_at()
        lasting = [episode.told for episode in company.troubles() if episode.until is None]
        return json_response(
            200,
            {
                "now": self.clock().isoformat(),
                "seed": company.seed,
                "start": company.start.isoformat(),
                "next_action_at": following.isoformat() if following else None,
                "agenda": company.agenda_length,
                "disturbances": company.disturbances(),
                "open_troubles": len(lasting),
                **self._more(),
            },
        )

    @route("GET", "/levers")
    def _levers(self, _request: Request) -> Response:
        return json_response(200, {name: asdict(lever) for name, lever in BREAKABLE.items()})

    @route("GET", "/troubles")
    def _troubles(self, request: Request) -> Response:
        only_open = request.first("open") == "true"
        told = [episode.told for episode in self._company.troubles() if episode.until is None or not only_open]
        return json_response(200, {"troubles": told})

    @route("POST", "/break")
    def _break(self, request: Request) -> Response:
        return self._pull(request, self._company.set_trouble)

    @route("POST", "/repair")
    def _repair(self, request: Request) -> Response:
        return self._pull(request, self._company.repair)

    def _pull(self, request: Request, pull: Callable[..., list[str]]) -> Response:
        asked = _asked(request, "system", "name", "value")
        try:
            return json_response(200, {"done": pull(str(asked["system"]), **{str(asked["name"]): asked["value"]})})
        except ValueError as error:
            return json_response(400, {"error": str(error)})

    @route("POST", "/submit")
    def _submit(self, request: Request) -> Response:
        asked = _asked(request, "unit")
        try:
            amount = _amount(asked.get("amount"))
            answers = {name: _yes_or_no(asked, name) for name in ("contract", "hurry", "approve")}
            requisition_id = self._company.submit_now(str(asked["unit"]), amount, **answers)
        except ValueError as error:
            return json_response(400, {"error": str(error)})
        return json_response(200, {"requisition": requisition_id})


def _amount(given: object) -> Decimal | None:
    """An amount somebody may ask for; None when none is given.

    Raises:
        ValueError: it is none.
    """
    if given is None:
        return None
    try:
        amount = Decimal(str(given))
    except InvalidOperation:
        raise ValueError(f"{given!r} is no amount") from None
    if not 0 < amount < LARGEST_AMOUNT:
        raise ValueError(f"{amount} is no amount to ask for")
    return amount


def _yes_or_no(asked: Mapping[str, Any], name: str) -> bool:
    """An answer that is yes unless somebody says no.

    Raises:
        ValueError: it is neither.
    """
    answer = asked.get(name, True)
    if answer is True or answer is False:
        return answer
    raise ValueError(f"{name} is true or false, not {answer!r}")


def _asked(request: Request, *names: str) -> dict[str, Any]:
    try:
        asked = request.json()
    except ValueError:
        asked = None
    if not isinstance(asked, dict) or any(name not in asked for name in names):
        raise Refused(json_response(400, {"error": f"Send a JSON object with {', '.join(names)}"}))
    return asked


class LivingCompany:
    """A company that is there until it is stopped.

    Args:
        folder: Where its ledgers are, or will be.
        ports: By system name, and "control" for the switchboard; 0 or none picks a free one.
        seed: Of a company that is not there yet.
        clock: Tells the time; aware UTC.
    """

    def __init__(
        self,
        folder: Path,
        ports: Mapping[str, int],
        *,
        seed: int = DEMO_SEED,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._clock = clock
        self.company = Company(clock, seed, clock(), folder, latency_scale=LIVING_LATENCY)
        self.failure = ""
        """What went wrong in the last beat that failed, in words; "" so far nothing."""
        self._stopped = Event()
        self._heart = Thread(target=self._live, name="sandbox-company", daemon=True)
        self._servers: dict[str, StandinServer] = {}
        control = Switchboard(self.company, clock, lambda: {"systems": self.urls, "failure": self.failure})
        try:
            for standin in (*self.company.standins.values(), control):
                self._servers[standin.name] = StandinServer(standin, ports.get(standin.name, 0))
        except OSError:
            for server in self._servers.values():
                server.server_close()
            self.company.close()
            raise

    @property
    def urls(self) -> dict[str, str]:
        """Where each system, and the switchboard under "control", listens."""
        return {name: server.url for name, server in self._servers.items()}

    def start(self) -> "LivingCompany":
        """Begin to answer and to live."""
        for server in self._servers.values():
            server.start()
        self._heart.start()
        return self

    def stop(self) -> None:
        """Stop living, then answering; save everything. Only once, and only after `start`."""
        self._stopped.set()
        self._heart.join()
        for server in self._servers.values():
            server.stop()
        self.company.close()

    def _live(self) -> None:
        beats = 0
        while not self._stopped.wait(BEAT_S):
            beats += 1
            try:
                now = self._clock()
                due = self.company.next_action_at()
                self.company.act(now)
                if (due is not None and due <= now) or beats % SAVE_EVERY_BEATS == 0:
                    self.company.save()
            except Exception as error:  # noqa: BLE001 - one clumsy employee does not close the company; /status tells
                self.failure = f"{self._clock().isoformat()} {type(error).__name__}: {error}"
