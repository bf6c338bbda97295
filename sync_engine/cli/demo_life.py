"""`finsync demo` as a person sees it: a company's past made in front of their eyes, then the company at work in real time.

The application opens first and shows the past while it is being made. Ctrl-C stops everything in good order at any
moment; starting again goes on from there.
"""

import shutil
import threading
import time
from datetime import UTC, datetime, timedelta

import httpx2
from rich.console import Console

from sync_engine.cli import sandbox_remote
from sync_engine.cli.demo import Past, begin_anew, only_one, past_of, produce
from sync_engine.cli.listening import is_taken
from sync_engine.cli.progress import console, days_bar
from sync_engine.cli.stopping import told_to_stop
from sync_engine.cli.supervisor import Child, Supervisor
from sync_engine.cli.wiring import bring_up_to_date, make_people_known
from sync_engine.database.connections import Database
from sync_engine.engine import store
from sync_engine.opening import open_database
from sync_engine.settings import Settings

PORTS_TRIED = 20
PAGE_WITHIN_S = 120.0


def live(settings: Settings, *, days: int, seed: int, anew: bool) -> None:
    """Run the demo until told to stop.

    Raises:
        AlreadyRunning: another one runs on this database.
        NotADemo: the cell holds documents that no demo made.
    """
    terminal = console()

    def tell(line: str) -> None:
        terminal.print(line, markup=False, soft_wrap=True)

    began = time.monotonic()
    settings = _with_a_free_port(settings)
    found = open_database(settings)
    supervisor = Supervisor(tell)
    try:
        with told_to_stop() as stop, only_one(found.database):
            past = _prepare(settings, found.database, days=days, seed=seed, anew=anew)
            supervisor.add(_child(settings, "app", ["app"]))
            if not _wait_for_page(settings, stop):
                tell(f"The application has not come up; its log: {settings.home / 'logs' / 'app.log'}")
            else:
                tell(f"The application is open after {time.monotonic() - began:.0f} s: {settings.app_url}")
            if past.finished_at is None and not _make_past(settings, found.database, past, terminal, stop):
                tell("Stopped. The past stays as far as it has come; starting again goes on from there.")
                return
            if stop.is_set():
                return
            _bring_to_life(settings, supervisor, seed=past.seed)
            tell(
                f"The company lives on at {settings.app_url}\n"
                "Break something in another terminal, for instance:  finsync sandbox break s4hana --posting-period closed\n"
                "Ctrl-C stops everything; starting again goes on from here."
            )
            supervisor.watch(stop)
            tell("Stopping: everything under way is being finished and recorded.")
    finally:
        supervisor.stop()
        found.close()


def _with_a_free_port(settings: Settings) -> Settings:
    """The settings with a port for the application that nobody has."""
    if not is_taken(settings.app_host, settings.app_port):
        return settings
    port = next(
        (
            port
            for port in range(settings.app_port + 1, settings.app_port + PORTS_TRIED)
            if not is_taken(settings.app_host, port)
        ),
        None,
    )
    if port is None:
        raise sandbox_remote.NotThere(
            f"Port {settings.app_port} and the {PORTS_TRIED - 1} after it are taken; set FINSYNC_APP_PORT."
        )
    return settings.model_copy(
        update={"app_port": port, "app_url": settings.app_url.replace(f":{settings.app_port}", f":{port}")}
    )


def _prepare(settings: Settings, database: Database, *, days: int, seed: int, anew: bool) -> Past:
    """The past to go on from; a new one where there is none, or none that can be gone on with."""
    past = past_of(database)
    company = sandbox_remote.folder(settings.home)
    if anew or past is None or not past.can_go_on or not company.exists():
        begin_anew(database)
        shutil.rmtree(company, ignore_errors=True)
        end = datetime.now(UTC).replace(second=0, microsecond=0)
        past = Past(seed, end - timedelta(days=days), end, end - timedelta(days=days), rests=False, finished_at=None)
    else:
        bring_up_to_date(database)
    if past.finished_at is None:
        with database.connected("finsync_engine") as connection:
            store.run(connection, "demo.begin_past", seed=past.seed, begins_at=past.begins_at, ends_at=past.ends_at)
    make_people_known(settings, database)
    return past


def _make_past(settings: Settings, database: Database, past: Past, terminal: Console, stop: threading.Event) -> bool:
    """Produce what is missing of the past; whether it is complete."""
    days = (past.ends_at - past.begins_at).days
    with days_bar(days, past.begins_at, on=terminal) as show, database.connected("finsync_engine") as connection:
        produced = produce(
            settings,
            connection,
            start=past.reached_at,
            end=past.ends_at,
            seed=past.seed,
            folder=sandbox_remote.folder(settings.home),
            progress=show,
            stop=stop,
        )
        produced.company.close()
        if produced.is_complete:
            store.run(connection, "demo.finish_past", finished_at=datetime.now(UTC))
        else:
            store.run(connection, "demo.rest_past", reached_at=produced.reached_at)
    return produced.is_complete


def _child(settings: Settings, name: str, arguments: list[str]) -> Child:
    environment = {
        "FINSYNC_HOME": str(settings.home),
        "FINSYNC_APP_PORT": str(settings.app_port),
        "FINSYNC_APP_URL": settings.app_url,
    }
    return Child(name, arguments, settings.home / "logs" / f"{name}.log", environment)


def _bring_to_life(settings: Settings, supervisor: Supervisor, *, seed: int) -> None:
    first_port = sandbox_remote.free_first_port()
    serve = ["sandbox", "serve", "--first-port", str(first_port), "--seed", str(seed)]
    supervisor.add(_child(settings, "sandbox", serve))
    sandbox_remote.wait_for_company(settings.home, seconds=60)
    supervisor.add(_child(settings, "engine", ["engine", "--sandbox"]))


def _wait_for_page(settings: Settings, stop: threading.Event) -> bool:
    """Whether the application answers before the patience of a person ends."""
    give_up_at = time.monotonic() + PAGE_WITHIN_S
    address = f"http://{settings.app_host}:{settings.app_port}/_stcore/health"
    while time.monotonic() < give_up_at and not stop.is_set():
        try:
            if httpx2.get(address, timeout=2).status_code == 200:
                return True
        except httpx2.TransportError:
            stop.wait(0.2)
    return False


def run_together(settings: Settings) -> None:
    """Engine and application over the configured systems, until told to stop."""
    terminal = console()
    logs = settings.home / "logs"
    found = open_database(settings)
    supervisor = Supervisor(lambda line: terminal.print(line, markup=False))
    try:
        bring_up_to_date(found.database)
        make_people_known(settings, found.database)
        with told_to_stop() as stop:
            supervisor.add(Child("app", ["app"], logs / "app.log"))
            supervisor.add(Child("engine", ["engine"], logs / "engine.log"))
            terminal.print(
                f"Engine and application are running: {settings.app_url}. Logs: {logs}. Ctrl-C stops both.",
                markup=False,
            )
            supervisor.watch(stop)
    finally:
        supervisor.stop()
        found.close()
