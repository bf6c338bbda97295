"""A PostgreSQL whose process can be killed, that can have a standby, and whose disk can be full.

It runs as in production: fsync, full_page_writes and synchronous_commit on, over TCP on loopback.
"""

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psycopg

from sync_engine.database import postgres
from sync_engine.database.postgres import Embedded
from tests.living.living import free_port

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "max_connections": "150",
    "shared_buffers": "64MB",
    "max_wal_size": "128MB",
    "min_wal_size": "64MB",
    "wal_level": "replica",
    "log_min_messages": "fatal",
}
UP_AGAIN_S = 30.0


class Server:
    """One PostgreSQL with its data in `home`."""

    def __init__(self, home: Path, *, port: int | None = None, **settings: str) -> None:
        self.home = home
        self.port = port or free_port()
        self.settings = {**SETTINGS, "port": str(self.port), **settings}
        home.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._running: Embedded | None = None

    @property
    def data(self) -> Path:
        """The data folder, once it has been started."""
        assert self._running is not None
        return self._running.data

    @property
    def url(self) -> str:
        """Its address for the owner."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> "Server":
        """Begin, or begin again after a crash: what the dead left behind is waited for."""
        give_up_at = time.monotonic() + UP_AGAIN_S
        while True:
            try:
                self._running = postgres.start_embedded(self.home, settings=self.settings)
                postgres.wait_until_ready(self.url, seconds=UP_AGAIN_S)
            except (postgres.NoPostgres, psycopg.OperationalError):
                if time.monotonic() > give_up_at:
                    raise
                time.sleep(0.2)
            else:
                return self

    def kill(self) -> None:
        """SIGKILL of the postmaster; returns when its children have noticed and ended themselves."""
        note = self.data / "postmaster.pid"
        os.kill(int(note.read_text().split("\n", 1)[0]), signal.SIGKILL)
        give_up_at = time.monotonic() + UP_AGAIN_S
        while _at_work_in(self.data):
            assert time.monotonic() < give_up_at, "the server's processes do not end"
            time.sleep(0.02)
        # Where nobody collects dead processes (a container without an init), the note would keep a new server from starting.
        note.unlink()

    def stop(self) -> None:
        """End it if it runs."""
        if self._running is not None and (self.data / "postmaster.pid").exists():
            try:
                self._running.stop(mode="immediate")
            except subprocess.CalledProcessError:
                return  # it was dead already

    def ask(self, query: str, *values: object) -> list[tuple]:
        """What the owner sees."""
        with psycopg.connect(self.url, autocommit=True, connect_timeout=5) as connection:
            return connection.execute(query, values or None).fetchall()

    def run(self, statement: str) -> None:
        """Something the owner does."""
        with psycopg.connect(self.url, autocommit=True, connect_timeout=5) as connection:
            connection.execute(statement)

    # -- a standby ------------------------------------------------------------------------------------------------------

    def make_standby(self, home: Path, *, port: int | None = None) -> "Server":
        """A synchronous standby of this server, up and streaming: a commit is acknowledged when both have it."""
        standby = Server(home, port=port)
        target = home / "postgres" / self.data.name
        target.parent.mkdir(parents=True, exist_ok=True)
        user = postgres._as(postgres._service_user())
        target.parent.chmod(0o755)
        postgres._hand_over(target.parent)
        command = [
            self._running.bin / "pg_basebackup",
            "-D",
            target,
            "-d",
            self.url,
            "-R",
            "-X",
            "stream",
            "-c",
            "fast",
        ]
        subprocess.run(command, check=True, capture_output=True, cwd="/", **user)
        settings = target / "postgresql.auto.conf"
        said = settings.read_text()
        settings.write_text(said.replace("primary_conninfo = '", "primary_conninfo = 'application_name=standby "))
        standby.start()
        self.run("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
        self.run("SELECT pg_reload_conf()")
        give_up_at = time.monotonic() + UP_AGAIN_S
        while self.ask("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'") != [(1,)]:
            assert time.monotonic() < give_up_at, "the standby does not follow"
            time.sleep(0.1)
        return standby

    def promote(self) -> None:
        """Become the primary, with nobody to wait for."""
        postgres._run(self._running.bin, "pg_ctl", "-D", str(self.data), "-w", "promote", cwd=self.data)
        self.run("ALTER SYSTEM RESET synchronous_standby_names")
        self.run("SELECT pg_reload_conf()")

    def discard(self) -> None:
        """Its data is of no use any more."""
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)


def _at_work_in(folder: Path) -> bool:
    """Whether a process that is not dead yet has its working directory there."""
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with suppress(OSError):
                if (process / "cwd").readlink() == folder:
                    return True
    return False


def address(*servers: Server) -> str:
    """DATABASE_URL of a server, or of several of which the one that takes writes is meant."""
    if len(servers) == 1:
        return servers[0].url
    hosts = ",".join(f"127.0.0.1:{server.port}" for server in servers)
    return f"postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write"
