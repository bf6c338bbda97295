"""Everything a scenario needs, running: a database, a town, engines in processes of their own; and what must be true of it
all when the dust has settled."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import psycopg

from sync_engine.engine.lanes import LEASE_S
from tests.chaos.sender import Sender
from tests.chaos.server import Server, address
from tests.chaos.town import Town
from tests.living.living import free_port
from tests.matrix.trial import UNSOUND

ROOT = Path(__file__).parents[2]

RECONNECT_S = 10.0
"""Seconds within which every engine is back after the database is (F10)."""

LOOPS = 11
"""Connections an engine holds as long as it runs: two for each of four lanes, intake, decisions, commands."""

SETTLED_S = LEASE_S + 120.0
"""Seconds within which everything is done once nothing breaks any more: a dead engine's lease, a call that hangs until it times
out, an open breaker, quiet periods, backoffs."""


EXPECTED = {202, 503}
"""What a sender of hints may hear: it is stored, or it is to come back."""


class Finding(Exception):
    """Something that must not be."""


@dataclass
class Process:
    """One `finsync` command that runs until it is told to stop."""

    name: str
    log: Path
    popen: subprocess.Popen[bytes]

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self.popen.poll() is None

    def kill(self) -> None:
        """SIGKILL."""
        self.popen.kill()
        self.popen.wait(10)

    def stop(self) -> None:
        """Tell it to stop; end it when it does not."""
        if self.is_alive:
            self.popen.terminate()
            try:
                self.popen.wait(45)
            except subprocess.TimeoutExpired:
                self.kill()

    @property
    def has_started(self) -> bool:
        """Whether an engine has found its database and begun to work, at any time."""
        return "engine started" in self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def bugs(self) -> list[str]:
        """What it has logged of things nobody planned for."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        found = [line for line in text.splitlines() if "Traceback" in line or "a step failed" in line]
        # What went wrong stands at the end of a dump, where it went wrong before that.
        return [line if len(line) <= 1500 else f"{line[:200]} ... {line[-1300:]}" for line in found]


@dataclass
class Stage:
    """One database and one town.

    Args:
        home: Where everything is kept.
        server: The database's server, running.
        cell: The schema.
        hurry: Does not wait for the lease of an engine that is known to be dead: its claims are aged instead.
    """

    home: Path
    server: Server
    seed: int
    cell: str = "chaos"
    hurry: bool = False
    source: Path = ROOT
    standby: Server | None = None
    servers: list[Server] = field(default_factory=list)
    engines: list[Process] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)
    reconnects: list[float] = field(default_factory=list)
    cycles: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.home.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.rng = Random(self.seed)
        self.servers = [self.server]
        self.town = Town(self.home, self.seed)
        self.sender = Sender(free_port())

    def environment(self) -> dict[str, str]:
        """What its commands are told."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("FINSYNC_") and name not in {"DATABASE_URL", "PYTHONPATH"}
        }
        return {
            **inherited,
            "FINSYNC_HOME": str(self.home),
            "FINSYNC_CELL": self.cell,
            "DATABASE_URL": address(*self.servers),
        }

    def finsync(self, *arguments: str, source: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "sync_engine.cli", *arguments],
            cwd=source or self.source,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def spawn(self, name: str, *arguments: str, source: Path | None = None, **environment: str) -> Process:
        """Start a command that stays."""
        log = self.home / f"{len(self.processes)}-{name}.log"
        with log.open("wb") as said:
            popen = subprocess.Popen(
                [sys.executable, "-m", "sync_engine.cli", *arguments],
                cwd=source or self.source,
                env={**self.environment(), **environment},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )
        process = Process(name, log, popen)
        self.processes.append(process)
        return process

    def begin(self, *, engines: int = 2, per_s: float = 1.5) -> None:
        """Make the schema, start engines, and let people work."""
        done = self.finsync("migrate")
        if done.returncode:
            raise Finding(f"migrate: {done.stderr}")
        for _ in range(engines):
            self.start_engine()
        self.await_engines()
        self.town.begin(per_s=per_s)
        if self.source == ROOT:
            self.spawn(
                "api",
                "api",
                FINSYNC_API_PORT=str(self.sender.port),
                FINSYNC_COUPA_WEBHOOK_SECRET=self.sender.secret,
            )
            self.sender.begin()
            self.until("the API acknowledges hints", lambda: bool(self.sender.acknowledged), 60)

    def start_engine(self, source: Path | None = None) -> Process:
        """One more engine."""
        engine = self.spawn("engine", "engine", "--sandbox", source=source)
        self.engines.append(engine)
        return engine

    def close(self) -> None:
        """End everything this stage has started, but for its server."""
        self.sender.pause()
        for process in self.processes:
            process.stop()
        self.town.close()

    # -- looking --------------------------------------------------------------------------------------------------------

    def ask(self, query: str, *values: object) -> list[tuple]:
        """What the owner sees in the cell."""
        with psycopg.connect(self.server.url, autocommit=True, connect_timeout=5) as connection:
            connection.execute(f"SET search_path = {self.cell}")
            return connection.execute(query, values or None).fetchall()

    def wait(self, seconds: float) -> None:
        """Let time pass; engines must not end by themselves meanwhile."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.look()
            time.sleep(0.1)

    def look(self) -> None:
        """Whatever must be true at any time."""
        for engine in self.engines:
            if not engine.is_alive:
                raise Finding(f"an engine ended by itself: {engine.log.read_text()[-1000:]}")
        if twice := self.town.duplicates():
            raise Finding(f"there twice: {twice}")

    def until(self, what: str, find: Callable[[], bool], seconds: float) -> float:
        """Wait for something. Answers the seconds that took.

        Raises:
            Finding: it took longer than `seconds`.
        """
        began = time.monotonic()
        while True:
            self.look()
            try:
                if find():
                    return time.monotonic() - began
            except psycopg.OperationalError as error:
                problem = str(error).strip()
            else:
                problem = "not yet"
            if time.monotonic() - began > seconds:
                raise Finding(f"{what}: not within {seconds:.0f} s ({problem})")
            time.sleep(0.05)

    def await_engines(self) -> float:
        """Wait until every engine is at work on this server. Answers the seconds that took. The connections of an engine that was
        killed may outlive it for a moment, so they are not enough to know that another has taken its place."""
        wanted = LOOPS * len(self.engines)
        query = """SELECT count(*) FROM pg_stat_activity WHERE application_name = 'finsync_engine' AND query <> ''
                      AND client_port IS NOT NULL"""
        return self.until(
            "every engine is connected",
            lambda: all(engine.has_started for engine in self.engines) and self.ask(query)[0][0] >= wanted,
            60,
        )

    def reconnected(self) -> None:
        """The database is back: all engines find it by themselves, soon, and record again."""
        seconds = self.await_engines()
        self.reconnects.append(seconds)
        if seconds > RECONNECT_S and not self.hurry:  # a test run shares its machine with whoever else is at work
            raise Finding(f"the engines took {seconds:.1f} s to come back")

    # -- the end --------------------------------------------------------------------------------------------------------

    def bury(self, engine: Process) -> None:
        """An engine is dead. In a hurry, what it held is handed on now instead of when its lease is over."""
        self.engines.remove(engine)
        if self.hurry:
            self.ask(
                """UPDATE work_item SET lease_until = clock_timestamp() - interval '1 second'
                    WHERE status = 'in_call' AND engine_id LIKE %s RETURNING 1""",
                f"%-{engine.popen.pid}-%",
            )
            self.ask(
                "UPDATE feed_state SET lease_until = NULL WHERE lease_until > clock_timestamp() + interval '30 seconds' RETURNING 1"
            )

    @property
    def figures(self) -> dict[str, int]:
        """How far everything has come."""
        [row] = self.ask(
            """SELECT count(*) FILTER (WHERE document_type = 'requisition' AND state = 'ordered'),
                      count(*) FILTER (WHERE document_type = 'purchase_order' AND state IN ('ordered', 'partially_received', 'received', 'closed')),
                      count(*) FILTER (WHERE document_type = 'invoice' AND state = 'payment_ready'),
                      (SELECT count(*) FROM work_item WHERE status = 'in_call') FROM document"""
        )
        return dict(zip(("requisitions", "orders", "invoices", "in call"), row, strict=True))

    def settle(self) -> float:
        """Nothing breaks any more. Answers the seconds until everything wished for is done.

        Raises:
            Finding: it is not, or something is not as it must be.
        """
        self.town.heal()
        self.town.pause()
        self.sender.pause()

        def done() -> bool:
            self.town.work()
            now = self.figures
            return (now["requisitions"], now["orders"], now["invoices"]) == (
                self.town.wished,
                self.town.wished,
                self.town.billed,
            )

        try:
            seconds = self.until("everything is done", done, SETTLED_S)
        except Finding as error:
            open_work = self.ask(
                "SELECT flow, step, status, due_at - clock_timestamp(), tries, waiting_for FROM work_item WHERE status IN ('in_call', 'parked') OR tries > 0 LIMIT 10"
            )
            cases = self.ask("SELECT code, number, message FROM exception_case WHERE closed_at IS NULL LIMIT 5")
            raise Finding(
                f"{error}: {self.figures} of {self.town.wished} wished, {self.town.billed} billed; {open_work}; {cases}"
            ) from None
        self.verify()
        return seconds

    def lost(self) -> set[str]:
        """Hints that were acknowledged and are not there."""
        if not self.sender.acknowledged:
            return set()
        return self.sender.acknowledged - {name for (name,) in self.ask("SELECT hint_id FROM webhook_hint")}

    def verify(self) -> None:
        """Nothing is there twice, nothing is lost, and all books agree."""
        self.look()
        if (self.town.ordered, self.town.posted) != (self.town.wished, self.town.billed):
            raise Finding(
                f"the ERP has {self.town.ordered} orders for {self.town.wished} requisitions, {self.town.posted} postings"
            )
        if lost := self.lost():
            raise Finding(f"acknowledged and not there: {sorted(lost)[:5]}")
        wrong = {status for status in self.sender.answers if status not in EXPECTED}
        if wrong:
            raise Finding(f"the API answered a hint with {wrong}")
        for what, query in UNSOUND.items():
            if rows := self.ask(query):
                raise Finding(f"{what}: {rows[:5]}")
        compared = self.finsync("reconcile", "--sandbox", "--json")
        if compared.returncode:
            raise Finding(f"the books: {compared.stdout[-2000:]} {compared.stderr[-500:]}")
        if json.loads(compared.stdout)["purchase_orders"] != self.town.wished:
            raise Finding(f"the hub has another number of orders: {compared.stdout[:300]}")
        bugs = [bug for process in self.processes for bug in process.bugs]
        if bugs:
            raise Finding(f"{len(bugs)} bugs logged: {bugs[:3]}")
