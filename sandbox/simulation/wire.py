"""What lies between an engine and the systems: a transport that loses, delays, repeats and garbles.

It stands in front of the in-process transport. What it has done to records (withheld, spoiled) it remembers, so that the
schedule can make the vendor repair it when the faults are over.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2

from sandbox.simulation.clocks import WorldClock
from sandbox.simulation.faults import Faults
from sandbox.simulation.landscape import TOKEN_PATHS, Landscape
from sandbox.simulation.trace import Trace
from sandbox.transport import InProcessTransport, Stopwatch

TIMEOUT_S = 30.0
QUIET_S = {"coupa": 4.0, "servicenow": 4.0, "s4hana": 18.0, "basware": 9.0}
"""How late a request may still take effect after its caller has given up: within what each connector allows for."""

STORMS_S = (1.0, 30.0, 600.0, 21_600.0)
OUTAGES_S = (3_600.0, 21_600.0, 259_200.0)
LATE_S = (10.0, 600.0, 86_400.0, 604_800.0)

FORGETFUL_FACTOR = 3.0
"""There are few creates in a schedule, and whether they are known again matters only when an answer is lost as well."""

SCHEMA_FACTOR = 0.2
"""A vendor's release is heavier than a lost call: it concerns every record from then on."""

# fmt: off
SPOILABLE = ("coupa", "basware")
"""Systems that tell a repaired record again. SAP's journal and its receipts never change once they are told."""

NASTY: tuple[Any, ...] = (None, "", "on_the_moon", -1, 1e300, [1], {"a": None}, "Bea\x00rings", "half \ud800 a character", "9" * 40, "1948-06-20T00:00:00Z")
"""What a record may hold that nobody can read."""
# fmt: on


@dataclass(slots=True)
class Weather:
    """What one system is like at the moment; times in true elapsed seconds."""

    down_until_s: float = 0.0
    storm_until_s: float = 0.0
    storm_share: float = 0.0
    storm_status: int = 503
    retry_after_s: int | None = None


@dataclass(slots=True)
class Held:
    """A record that a feed has not told yet, or tells again."""

    record: Any
    due_s: float


@dataclass(slots=True)
class Late:
    """A request that takes effect after its caller has given up."""

    request: httpx2.Request
    due_s: float


@dataclass
class Wire:
    """All lines of a schedule, shared by its engines.

    Attributes:
        where: Which step or feed is asking, set by whoever asks.
        calls: Requests sent per system.
        about: The claim that is being asked about (item, token), set by whoever asks.
        told_to_wait: For how many seconds the system has asked to be left alone when it was asked about a claim.
    """

    landscape: Landscape
    clock: WorldClock
    faults: Faults
    trace: Trace
    where: str = ""
    weather: dict[str, Weather] = field(default_factory=lambda: {name: Weather() for name in TOKEN_PATHS})
    held: dict[str, list[Held]] = field(default_factory=dict)
    spoiled: set[tuple[str, str]] = field(default_factory=set)
    late: list[Late] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TOKEN_PATHS, 0))
    about: Any = None
    told_to_wait: dict[Any, float] = field(default_factory=dict)

    def transport(self) -> "FaultTransport":
        """A line for one engine."""
        return FaultTransport(self)

    def deliver_late(self) -> bool:
        """Let requests take effect whose time has come. Answers whether any did."""
        due = [late for late in self.late if late.due_s <= self.clock.elapsed_s]
        self.late = [late for late in self.late if late.due_s > self.clock.elapsed_s]
        for late in due:
            self.trace.say("late", late.request.method, late.request.url.path)
            InProcessTransport(self.landscape.standins, Stopwatch()).handle_request(late.request)
        return bool(due)

    def holds_back(self, system: str) -> bool:
        """Whether a feed of a system has not told everything yet."""
        return any(held for where, held in self.held.items() if where.startswith(f"{system} "))

    def clear_up(self) -> None:
        """The faults are over: every system is up, and what was held back is told at the next opportunity."""
        self.weather = {name: Weather() for name in TOKEN_PATHS}
        for held in self.held.values():
            for one in held:
                one.due_s = 0.0


class FaultTransport(httpx2.BaseTransport):
    """One engine's line to all systems."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._inner = InProcessTransport(wire.landscape.standins, Stopwatch(), TIMEOUT_S)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """The system's answer, or what is left of it.

        Raises:
            ConnectError: it was certainly not sent.
            ReadTimeout: nobody knows.
        """
        wire, system = self._wire, request.url.host
        is_token = request.url.path == TOKEN_PATHS.get(system)
        wire.calls[system] += 1
        refused = self._refused(request, system)
        if refused is not None:
            if not is_token and "Retry-After" in refused.headers:
                wire.told_to_wait[wire.about] = float(refused.headers["Retry-After"])
            return self._said(request, refused)
        if is_token:
            return self._said(request, self._inner.handle_request(request))
        if "RequestID" in request.headers and wire.faults.strikes("forgetful", wire.where, factor=FORGETFUL_FACTOR):
            del request.headers["RequestID"]
        self._lose(request, system)
        response = self._inner.handle_request(request)
        if wire.faults.strikes("slow", wire.where):
            wire.clock.advance(wire.faults.chance("slow").uniform(0.5, TIMEOUT_S - 1))
        if wire.faults.strikes("reply_lost", wire.where):
            wire.clock.advance(TIMEOUT_S)
            raise httpx2.ReadTimeout("no reply", request=request)
        if wire.faults.strikes("garbled", wire.where):
            response = self._garbled(request, response)
        elif wire.where.startswith("feed:") and response.status_code == 200:
            response = self._retold(request, system, response)
        return self._said(request, response)

    def _said(self, request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        self._wire.trace.say(request.method, request.url.host, request.url.path, response.status_code)
        return response

    def _refused(self, request: httpx2.Request, system: str) -> httpx2.Response | None:
        """A system that is down or busy answers at once, or not at all."""
        wire = self._wire
        weather, now = wire.weather[system], wire.clock.elapsed_s
        if wire.faults.strikes("outage", system, factor=0.01):
            weather.down_until_s = now + wire.faults.chance("outage").choice(OUTAGES_S)
        if wire.faults.strikes("storm", wire.where, factor=0.1):
            chance = wire.faults.chance("storm")
            weather.storm_until_s = now + chance.choice(STORMS_S)
            weather.storm_share = chance.choice((0.3, 1.0))
            weather.storm_status = chance.choice((429, 503))
            weather.retry_after_s = chance.choice((None, 1, 60, 900))
        if now < weather.down_until_s:
            raise httpx2.ConnectError(f"{system} is down", request=request)
        if now < weather.storm_until_s and wire.faults.chance("storm").random() < weather.storm_share:
            headers = {} if weather.retry_after_s is None else {"Retry-After": str(weather.retry_after_s)}
            return httpx2.Response(weather.storm_status, headers=headers, content=b"busy", request=request)
        return None

    def _lose(self, request: httpx2.Request, system: str) -> None:
        wire = self._wire
        if wire.faults.strikes("request_lost", wire.where):
            if wire.faults.chance("request_lost").random() < 0.5:
                raise httpx2.ConnectError("connection refused", request=request)
            wire.clock.advance(TIMEOUT_S)
            raise httpx2.ReadTimeout("no reply", request=request)
        if request.method not in {"GET", "HEAD"} and wire.faults.strikes("delayed", wire.where):
            after_s = wire.faults.chance("delayed").uniform(1, TIMEOUT_S + QUIET_S[system])
            wire.late.append(Late(request, wire.clock.elapsed_s + after_s))
            wire.clock.advance(TIMEOUT_S)
            wire.deliver_late()
            raise httpx2.ReadTimeout("no reply yet", request=request)

    def _garbled(self, request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        chance, body = self._wire.faults.chance("garbled"), response.content
        match chance.randrange(4):
            case 0:
                body = body[: chance.randrange(len(body) + 1)]
            case 1:
                body = b"<html><body>Bad gateway</body></html>"
            case 2:
                body = body.decode(errors="replace").encode("utf-16")
            case _:
                headers = {"Content-Length": str(10**9)}
                return httpx2.Response(response.status_code, headers=headers, stream=_Endless(), request=request)
        return httpx2.Response(response.status_code, headers=_kept(response), content=body, request=request)

    def _retold(self, request: httpx2.Request, system: str, response: httpx2.Response) -> httpx2.Response:
        """A page of a feed, with records left out, told again or spoiled."""
        wire = self._wire
        held = wire.held.setdefault(f"{system} {request.url.path}", [])
        due = [one for one in held if one.due_s <= wire.clock.elapsed_s]
        if system in SPOILABLE and wire.faults.strikes("schema", wire.where, factor=SCHEMA_FACTOR):
            kind = wire.faults.chance("schema").choice(("added", "renamed", "removed", "retyped"))
            wire.landscape.standins[system].faults.update({"schema_drift": kind})
        strikes = [name for name in ("duplicate", "late", "poison") if wire.faults.strikes(name, wire.where)]
        if not due and not strikes:
            return response
        content = json.loads(response.content)
        records = _list_in(content)
        if records is None:
            return response
        for name in strikes:
            if records:
                getattr(self, f"_{name}")(system, records, held)
        for one in due:
            held.remove(one)
            records.insert(0, one.record)
        return httpx2.Response(
            200, headers=_kept(response), content=json.dumps(content).encode(errors="surrogatepass"), request=request
        )

    def _duplicate(self, _system: str, records: list[Any], held: list[Held]) -> None:
        chance = self._wire.faults.chance("duplicate")
        record = chance.choice(records)
        if chance.random() < 0.5:
            records.insert(records.index(record), record)
        else:
            held.append(Held(record, self._wire.clock.elapsed_s + chance.choice(LATE_S)))

    def _late(self, _system: str, records: list[Any], held: list[Held]) -> None:
        chance = self._wire.faults.chance("late")
        record = records.pop(chance.randrange(len(records)))
        held.append(Held(record, self._wire.clock.elapsed_s + chance.choice(LATE_S)))

    def _poison(self, system: str, records: list[Any], _held: list[Held]) -> None:
        chance = self._wire.faults.chance("poison")
        place = chance.randrange(len(records))
        if system not in SPOILABLE or not isinstance(records[place], dict):
            return
        record = dict(records[place])
        name = chance.choice(sorted(set(record) - {"id", "invoiceId", "updated-at", "lastUpdated"}))
        record[name] = chance.choice(NASTY)
        records[place] = record
        self._wire.spoiled.add((system, str(record.get("id") or record.get("invoiceId"))))


def _list_in(content: Any) -> list[Any] | None:
    """The list of records of a page, wherever the system puts it."""
    if isinstance(content, list):
        return content
    if isinstance(content, dict):
        for value in content.values():
            found = _list_in(value)
            if found is not None:
                return found
    return None


def _kept(response: httpx2.Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name.lower() != "content-length"}


class _Endless(httpx2.SyncByteStream):
    """A body that says it is a gigabyte."""

    def __iter__(self) -> Iterator[bytes]:
        yield b"x" * 65_536
