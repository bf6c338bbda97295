"""A demo as a person starts it: the command in a process of its own, with a home, ports and a company of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import httpx2

from sync_engine.database import postgres
from sync_engine.database.connections import Database

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
PATIENCE_S = 240.0


def eventually(what: str, find: Callable[[], T | None], *, within_s: float = PATIENCE_S) -> T:
    """What `find` answers, as soon as it is something."""
    give_up_at = time.monotonic() + within_s
    while time.monotonic() < give_up_at:
        found = find()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"{what}: not within {within_s:.0f} s")


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class LivingDemo:
    """One home, in which demos are started and stopped."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("FINSYNC_") and name != "DATABASE_URL"
        }
        self._environment = {
            **inherited,
            "FINSYNC_HOME": str(home),
            "FINSYNC_APP_PORT": str(self.port),
            "COLUMNS": "200",
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._said = home / "said.log"

    def start(self, *options: str) -> None:
        """`finsync demo`."""
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "sync_engine.cli", "demo", *options],
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )

    @property
    def said(self) -> str:
        """What it has told the person at the terminal."""
        return self._said.read_text(encoding="utf-8", errors="replace")

    def wait_until(self, told: str) -> None:
        """Wait for a line."""

        def look() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, self.said
            return told in self.said

        eventually(told, look)

    def wait_until_alive(self) -> None:
        """Wait until the company lives on, with every system there: on a Sunday night SAP is in its weekly maintenance."""
        self.wait_until("The company lives on")
        self.finsync("sandbox", "repair", "s4hana", "maintenance=true")

    def stop(self) -> int:
        """Ctrl-C, and how it ended."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(60)

    def kill(self) -> None:
        """The plug is pulled."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def close(self) -> None:
        """Leave nothing behind, whatever a test did."""
        if self._process is not None and self._process.poll() is None:
            self.stop()
        server = postgres.start_embedded(self.home)
        server.stop(mode="immediate")

    def finsync(self, *arguments: str) -> str:
        """Another terminal."""
        done = subprocess.run(
            [sys.executable, "-m", "sync_engine.cli", *arguments],
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def systems(self) -> dict[str, str]:
        """Where the company's systems listen; empty when it does not."""
        path = self.home / "demo" / "sandbox.json"
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}

    @property
    def database(self) -> Database:
        """Its database, while it runs."""
        return Database(postgres.start_embedded(self.home).url(), cell="public", roles_log_in=True)

    def answers(self, url: str) -> bool:
        """Whether somebody listens there."""
        try:
            httpx2.get(url, timeout=3)
        except httpx2.TransportError:
            return False
        return True
