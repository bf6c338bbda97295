"""The sandbox company as a process, and the switchboard's other end: what `finsync sandbox ...` says to it.

The company listens on five ports in a row: the switchboard first, then the systems. Where it is, it writes to a file in
the state folder, so that the engine and a person in another terminal find it.
"""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2

from sync_engine.cli.listening import is_taken
from sync_engine.cli.speaking import Told
from sync_engine.configuration import Systems, load_mappings, load_systems
from sync_engine.model.ports import Access
from sync_engine.settings import Settings

NAMES = ("control", "coupa", "servicenow", "s4hana", "basware")
FIRST_PORT = 8900
POLL_S = 5.0
"""How often the living company's feeds are read: somebody is watching."""
SPARE_FIRST_PORTS = range(FIRST_PORT, FIRST_PORT + 500, 10)


class NotThere(Told):
    """No sandbox company is running; the message says how to start one."""


class Refused(Told):
    """The company does not do what it was asked; says why."""


def folder(home: Path) -> Path:
    """Where the company keeps its ledgers."""
    return home / "demo" / "company"


def _whereabouts(home: Path) -> Path:
    return home / "demo" / "sandbox.json"


def free_first_port() -> int:
    """The first of five ports in a row that nobody listens on."""
    for first in SPARE_FIRST_PORTS:
        if not any(is_taken("127.0.0.1", first + n) for n in range(len(NAMES))):
            return first
    raise NotThere(f"No five free ports in a row from {SPARE_FIRST_PORTS[0]} on.")


def serve_company(home: Path, first_port: int, stop: threading.Event, *, seed: int) -> None:
    """Let the company live on loopback ports until `stop` is set."""
    from sandbox.living import LivingCompany  # takes longer to load than anybody wants to wait who only pulls a lever

    ports = {name: first_port + n for n, name in enumerate(NAMES)}
    company = LivingCompany(folder(home), ports, seed=seed).start()
    path = _whereabouts(home)
    try:
        partial = path.with_suffix(".new")
        partial.write_text(json.dumps(company.urls), encoding="utf-8")
        partial.replace(path)
        stop.wait()
    finally:
        path.unlink(missing_ok=True)
        company.stop()


def urls(home: Path) -> dict[str, str]:
    """Where each system of the running company listens, and its switchboard under "control".

    Raises:
        NotThere: none is running.
    """
    try:
        found: dict[str, str] = json.loads(_whereabouts(home).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotThere("No sandbox company is running here. Start one with `make demo` or `finsync demo`.") from None
    return found


def wait_for_company(home: Path, *, seconds: float) -> dict[str, str]:
    """Where the company listens, as soon as it does.

    Raises:
        NotThere: not within `seconds`.
    """
    give_up_at = time.monotonic() + seconds
    while True:
        try:
            found = urls(home)
            httpx2.get(found["control"] + "/status", timeout=5)
        except (NotThere, httpx2.TransportError):
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.1)
        else:
            return found


def ask_company(home: Path, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Ask the switchboard.

    Raises:
        NotThere: no company is running.
        Refused: it does not do that; says why.
    """
    base = urls(home)["control"]
    try:
        answer = httpx2.request(method, base + path, json=body, timeout=30)
    except httpx2.TransportError as error:
        raise NotThere(f"The sandbox company at {base} does not answer ({error}). Start the demo again.") from error
    told: dict[str, Any] = answer.json()
    if answer.status_code != 200:
        raise Refused(str(told.get("error", told)))
    return told


def sandbox_systems(settings: Settings) -> tuple[Systems, Callable[[str], Access]]:
    """The systems of the running company, read every few seconds, and how to get into them.

    Raises:
        NotThere: no company is running.
    """
    from sandbox.company import CLIENT

    bases = {name: url for name, url in urls(settings.home).items() if name != "control"}
    systems = load_systems(settings.config, bases, poll_s=POLL_S)
    return systems, lambda name: replace(systems.access(name), credentials=lambda: CLIENT)


def period_levers(settings: Settings, state: str, company_code: str) -> list[tuple[str, str]]:
    """The levers behind `--posting-period closed|open`: of one company code, or of every one the units post in."""
    names = {"closed": "period_closed", "open": "period_open"}
    if state not in names:
        raise Refused(f"--posting-period is {' or '.join(names)}, not {state!r}.")
    codes = (
        [company_code]
        if company_code
        else sorted({unit.company_code for unit in load_mappings(settings.config).business_units.values()})
    )
    return [(names[state], code) for code in codes]
