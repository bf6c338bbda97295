"""Whole journeys over HTTP, by the real connectors against stand-ins in another process; and the bare calls beside them.

A journey is a requisition that people have approved and that becomes an order in the ERP whose number procurement knows. The
yardstick is the very requests of those journeys, sent again by the same HTTP library without an engine and without a
database: by a bare loop, one after the other, and by as many threads to each system as the engine has for it. All are measured
in one process of their own, set up as an engine's process is; further engines are in processes beside it.
"""

import json
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from random import SystemRandom
from typing import Any, LiteralString
from urllib.parse import urlsplit

import httpx2
import psycopg

from benchmarks import beside
from benchmarks.beside import ROOT
from benchmarks.process import address, addressed
from benchmarks.standins import TOKEN_PATHS, Standins, standins
from collectors import SYSTEMS
from config import FOLDER
from sync_engine import cores
from sync_engine.cli.logs import set_up_logs
from sync_engine.cli.wiring import connect_systems, make_setup
from sync_engine.configuration import load_systems
from sync_engine.database.connections import Database
from sync_engine.engine import promote
from sync_engine.engine.clock import DatabaseClock
from sync_engine.engine.engine import Engine, database_now
from sync_engine.engine.runner import Runner, calm_collector
from sync_engine.model.ports import Access, Feed, System

POLL_S = 0.5
PATIENCE_S = 300.0
DECIDERS = 1


@dataclass(frozen=True, slots=True)
class Sent:
    """One request as it went out."""

    method: str
    url: str
    headers: list[tuple[str, str]]
    content: bytes


class Tape(httpx2.BaseTransport):
    """The network, with a record of what was sent."""

    def __init__(self, connections: int) -> None:
        self._limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
        self._networks: dict[int | None, httpx2.HTTPTransport] = {}
        self._lock = threading.Lock()
        self._requests: list[httpx2.Request] = []

    def _network(self, port: int | None) -> httpx2.HTTPTransport:
        """A pool of connections per system, as every session has outside of a benchmark."""
        with self._lock:
            return self._networks.setdefault(port, httpx2.HTTPTransport(limits=self._limits))

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send, and remember; as little as can be, because it counts as the engine's own time."""
        port = request.url.port
        network = self._networks.get(port) or self._network(port)
        self._requests.append(request)
        return network.handle_request(request)

    @property
    def sent(self) -> list[Sent]:
        """Everything that went out so far."""
        return [Sent(one.method, str(one.url), list(one.headers.items()), one.read()) for one in list(self._requests)]

    def __len__(self) -> int:
        return len(self._requests)

    def close(self) -> None:
        """Let go of the connections."""
        for network in self._networks.values():
            network.close()


def http_rates(database: Database, *, requisitions: int, engines: int = 1) -> dict[str, Any]:
    """Journeys and calls a second, of so many requisitions, by so many engines in processes of their own."""
    told = subprocess.run(  # noqa: S603 - this very program
        [sys.executable, "-m", "benchmarks.network", str(requisitions), str(engines)],
        cwd=ROOT,
        input=f"{address(database)}\n",
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    rates: dict[str, Any] = json.loads(told.stdout)
    return rates


def _rates(database: Database, requisitions: int, engines: int) -> dict[str, Any]:
    with standins() as systems:
        tape, calls, seconds = _journeys(database, systems, requisitions, engines)
        bare, threaded = _bare(tape), _threaded(tape)
    calls_per_s = calls / seconds
    return {
        "journeys_per_s_http": round(requisitions / seconds, 1),
        "calls_per_journey_http": round(calls / requisitions, 2),
        "journey_calls_per_s_http": round(calls_per_s, 1),
        "bare_calls_per_s_http": round(bare, 1),
        "threaded_calls_per_s_http": round(threaded, 1),
        "journey_share_of_bare_calls": round(calls_per_s / bare, 3),
        "journey_share_of_threaded_calls": round(calls_per_s / threaded, 3),
    }


def _journeys(database: Database, systems: Standins, requisitions: int, engines: int) -> tuple[list[Sent], int, float]:
    """What this process's engine has sent, how many calls all engines made, and in how many seconds."""
    with _running(database, systems.urls, "engine-1") as tape, ExitStack() as others:
        others_running = [
            others.enter_context(_beside(database, systems, f"engine-{n}")) for n in range(2, engines + 1)
        ]
        with database.connected("finsync_engine") as connection:
            # The supplier is known and checked before anybody buys from it, and tokens have been fetched.
            _wait(lambda: _count(connection, "SELECT count(*) FROM document WHERE state = 'ready'") == 1)
            systems.submit(1)
            _wait(lambda: _exported(connection) == 1)
            before = len(tape), [other.calls() for other in others_running]
            began = time.perf_counter()
            systems.submit(requisitions)
            _wait(lambda: _exported(connection) == 1 + requisitions)
            seconds = time.perf_counter() - began
        sent = tape.sent
        ours = sent[before[0] :]
        # Of a few journeys another engine may have made every call; what this one asked before serves as the yardstick then.
        return (
            ours or sent,
            len(ours) + sum(other.calls() - had for other, had in zip(others_running, before[1], strict=True)),
            seconds,
        )


@contextmanager
def _running(database: Database, urls: dict[str, str], name: str) -> Iterator[Tape]:
    """An engine in this process, at work for as long as the block lasts, and what it sends."""
    tape = Tape(sum(system.max_in_flight for system in SYSTEMS.values()))
    with database.connected("finsync_engine") as connection:
        engine = _engine(connection, urls, tape, name)
    also = {"collect": engine.collect}
    pool = database.engine("finsync_engine", pool_size=Runner.connections_needed(engine, also=also))
    runner = Runner(engine, pool, deciders=DECIDERS, also=also)
    calm_collector()
    runner.start()
    try:
        yield tape
    finally:
        runner.stop()
        pool.dispose()
        tape.close()


class _Other:
    """An engine in another process, at work."""

    def __init__(self, running: subprocess.Popen[str]) -> None:
        self._running = running
        self.calls()

    def calls(self) -> int:
        """How many calls it has made so far."""
        if self._running.stdin is not None:
            self._running.stdin.write("calls\n")
            self._running.stdin.flush()
        line = self._running.stdout.readline() if self._running.stdout is not None else ""
        if not line:
            raise RuntimeError(f"the engine's process ended with {self._running.wait()}")
        return int(line)


@contextmanager
def _beside(database: Database, systems: Standins, name: str) -> Iterator[_Other]:
    with beside.start("network", "beside", name) as process:
        try:
            if process.stdin is not None:
                process.stdin.write(f"{address(database)}\n{json.dumps(systems.urls)}\n")
            yield _Other(process)
        finally:
            if process.stdin is not None:
                process.stdin.close()
            process.wait(timeout=60)


def _engine(connection: psycopg.Connection, urls: dict[str, str], tape: Tape, name: str) -> Engine:
    configuration, blocks = promote.load(FOLDER), load_systems(FOLDER)
    setup = make_setup(
        configuration, blocks, rng=SystemRandom(), declared={name: _eager(one) for name, one in SYSTEMS.items()}
    )
    clock = DatabaseClock(database_now(connection))

    def access(name: str) -> Access:
        url = urls[name]
        return Access(url, url + TOKEN_PATHS[name], lambda: ("finsync", "sandbox"))

    sessions = connect_systems(setup, blocks, timer=clock.timer, transport=tape, access=access)
    engine = Engine(setup, sessions, clock, engine_id=name)
    promote.put_in_force(connection, configuration, today=clock.now().date(), now=clock.now(), by=engine.engine_id)
    engine.register(connection, release="benchmark")
    return engine


def _eager(system: System) -> System:
    """A system without a rate limit, whose feeds are read all the time."""

    def often(feed: Feed) -> Feed:
        return replace(feed, interval_s=POLL_S)

    return replace(system, requests_per_s=1e6, burst=1_000_000, feeds=tuple(often(feed) for feed in system.feeds))


def _exported(connection: psycopg.Connection) -> int:
    return _count(connection, "SELECT count(*) FROM event WHERE activity = 'export_marked'")


def _count(connection: psycopg.Connection, query: LiteralString) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def _wait(what: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while not what():
        if time.monotonic() > give_up_at:
            raise RuntimeError("the journeys did not come to their end")
        time.sleep(0.05)


def _bare(tape: list[Sent]) -> float:
    """Requests a second of a loop that does nothing but send them, each when the one before has been answered."""
    clients = {address: httpx2.Client(timeout=30.0) for address in {urlsplit(sent.url).netloc for sent in tape}}
    began = time.perf_counter()
    for sent in tape:
        _send(clients[urlsplit(sent.url).netloc], [sent])
    seconds = time.perf_counter() - began
    for client in clients.values():
        client.close()
    return len(tape) / seconds


def _threaded(tape: list[Sent]) -> float:
    """Requests a second when they are only sent: each system's by as many threads as the engine has for it."""
    capacity = {name: system.max_in_flight for name, system in SYSTEMS.items()}
    by_system: dict[str, list[Sent]] = defaultdict(list)
    for sent in tape:
        by_system[urlsplit(sent.url).netloc].append(sent)
    threads = max(capacity.values())
    limits = httpx2.Limits(max_connections=threads, max_keepalive_connections=threads)
    with ThreadPoolExecutor(threads * len(by_system)) as pool:
        clients = {address: httpx2.Client(limits=limits, timeout=30.0) for address in by_system}
        began = time.perf_counter()
        for address, requests in by_system.items():
            for first in range(threads):
                pool.submit(_send, clients[address], requests[first::threads])
        pool.shutdown()
        seconds = time.perf_counter() - began
        for client in clients.values():
            client.close()
    return len(tape) / seconds


def _send(client: httpx2.Client, requests: list[Sent]) -> None:
    for sent in requests:
        client.request(sent.method, sent.url, headers=sent.headers, content=sent.content)


def main() -> None:
    """Be such a process: the one that measures, or the engine beside it."""
    set_up_logs()  # to standard error: the figures stand alone on standard output
    database = addressed(sys.stdin.readline())
    with cores.on_one(spare=1):
        if sys.argv[1] == "beside":
            with _running(database, json.loads(sys.stdin.readline()), sys.argv[2]) as tape:
                for _ in sys.stdin:
                    print(len(tape), flush=True)
        else:
            print(json.dumps(_rates(database, int(sys.argv[1]), int(sys.argv[2]))))


if __name__ == "__main__":
    main()
