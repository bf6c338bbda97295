"""The application, and beside it a page with one chart, each served by a process of its own on a loopback port."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from sync_engine.database.connections import Database

ROOT = Path(__file__).parents[1]
PAGE = Path(__file__).parent / "one_chart.py"
PATIENCE_S = 60.0
"""A server that does not answer by then will not."""


@dataclass(frozen=True, slots=True)
class Served:
    """A server that answers."""

    port: int
    pid: int
    started_s: float
    """From the start of its process to its first answer."""

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def rss_mb(self) -> float:
        """Memory its process holds, in megabytes of a million bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
        return int(line.split()[1]) * 1024 / 1e6


def free_port() -> int:
    """A loopback port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def application(database: Database, port: int) -> Iterator[Served]:
    """The real application over a cell, as `finsync demo` serves it. The same port again is the same site to a browser."""
    environment = {
        "DATABASE_URL": database.owner_url.render_as_string(hide_password=False),
        "FINSYNC_CELL": database.cell,
        "FINSYNC_MODE": "evaluation",
        "FINSYNC_APP_PORT": str(port),
    }
    if database.roles_log_in:
        for name, role in (("APP", "finsync_app"), ("GATE", "finsync_gate")):
            url = database.owner_url.set(username=role)
            environment[f"FINSYNC_{name}_DATABASE_URL"] = url.render_as_string(hide_password=False)
    with _process(["-m", "sync_engine.cli", "app"], environment, port) as served:
        yield served


@contextmanager
def one_chart(port: int) -> Iterator[Served]:
    """The page of one_chart.py, as Streamlit itself serves it, with the same settings."""
    with _process(["-m", "streamlit", "run", str(PAGE), "--server.port", str(port)], {}, port) as served:
        yield served


@contextmanager
def _process(arguments: list[str], environment: Mapping[str, str], port: int) -> Iterator[Served]:
    with tempfile.TemporaryFile() as said:
        began = time.perf_counter()
        running = subprocess.Popen(  # noqa: S603 - this very program
            [sys.executable, *arguments], cwd=ROOT, env={**os.environ, **environment}, stdout=said, stderr=said
        )
        try:
            while not _answers(port):
                if running.poll() is not None or time.perf_counter() - began > PATIENCE_S:
                    said.seek(0)
                    raise RuntimeError(f"no server came up: {said.read().decode(errors='replace')[-500:]}")
                time.sleep(0.05)
            yield Served(port, running.pid, round(time.perf_counter() - began, 2))
        finally:
            running.terminate()
            try:
                running.wait(timeout=20)
            except subprocess.TimeoutExpired:
                # A server with open sessions may wait for them; the measurement is over.
                running.kill()
                running.wait()


def _answers(port: int) -> bool:
    try:
        urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1).close()
    except (URLError, OSError):
        return False
    return True
