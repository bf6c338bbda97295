"""What breaks: one function per kind of fault, each one cycle of it. A cycle begins and ends with everything running."""

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from tests.chaos.proxy import Trouble
from tests.chaos.stage import ROOT, Finding, Stage

SPACE_MB = 100
"""What has to be free for the next cycle to begin with a disk that is not full."""

FULL = "53100"
"""SQLSTATE disk_full."""


class Skipped(Exception):
    """This cannot be done here; says why."""


def engine_kill(stage: Stage) -> None:
    """F9: SIGKILL of an engine in the middle of its work; another takes its place, as a supervisor would see to."""
    for proxy in stage.town.network.values():
        proxy.set(Trouble(latency_s=0.3))  # so that it dies with calls under way
    stage.wait(stage.rng.uniform(2.0, 6.0))
    engine = stage.rng.choice(stage.engines)
    engine.kill()
    stage.town.heal()
    stage.bury(engine)
    stage.start_engine()
    stage.await_engines()


def database_restart(stage: Stage) -> None:
    """F10: SIGKILL of the postmaster, a while of nothing, and a new start with crash recovery."""
    stage.wait(stage.rng.uniform(1.0, 3.0 if stage.hurry else 8.0))
    stage.server.kill()
    time.sleep(stage.rng.uniform(0.0, 2.0))
    stage.server.start()
    stage.reconnected()


def failover(stage: Stage) -> None:
    """F11: the primary dies and its synchronous standby takes over; the old one is thrown away and rebuilt as a standby.

    The engines know both addresses, of this and of the next primary.
    """
    if stage.standby is None:
        raise Finding("this stage has no standby")
    stage.wait(stage.rng.uniform(1.0, 2.0 if stage.hurry else 4.0))
    before, after = stage.server, stage.standby
    before.kill()
    after.promote()
    stage.server, stage.standby = after, None
    stage.reconnected()
    before.discard()
    if not stage.hurry:
        stage.standby = after.make_standby(before.home, port=before.port)


def disk_full(stage: Stage) -> None:
    """F12: a full disk under the data; statements fail with 53100 or the server goes down; then there is space again."""
    folder = stage.server.home
    ballast = folder / "ballast"
    stage.wait(1.0)
    free_mb = shutil.disk_usage(folder).free / 1e6
    if free_mb < SPACE_MB:
        raise Finding(f"only {free_mb:.0f} MB are free: {_largest(folder)}")
    _fill(ballast, folder)
    refused = 0
    until = time.monotonic() + (3.0 if stage.hurry else 8.0)
    while time.monotonic() < until:
        stage.look()
        refused += _is_refused(stage)
        time.sleep(0.2)
    ballast.unlink()
    if not refused:
        raise Finding("the disk was full, and nobody noticed")
    stage.server.start()  # running out of space for the log itself ends the server
    stage.reconnected()


def _largest(folder: Path) -> list[tuple[int, str]]:
    """What takes the space: bytes and file."""
    sizes = [(path.stat().st_size, str(path.relative_to(folder))) for path in folder.rglob("*") if path.is_file()]
    return sorted(sizes, reverse=True)[:8]


def _fill(ballast: Path, folder: Path) -> None:
    with ballast.open("wb", buffering=0) as file:  # what a buffer still held could not be written when it is closed
        block = b"\0" * 65_536
        while shutil.disk_usage(folder).free > 0:
            try:
                file.write(block)
            except OSError:
                block = block[: len(block) // 2]
                if not block:
                    return


def _is_refused(stage: Stage) -> bool:
    """Whether the database refuses to store something new."""
    try:
        with psycopg.connect(stage.server.url, autocommit=True, connect_timeout=2) as connection:
            connection.execute("CREATE TABLE public.grows AS SELECT repeat('x', 2000) FROM generate_series(1, 2000)")
            connection.execute("DROP TABLE public.grows")
    except psycopg.errors.DiskFull as error:
        return error.sqlstate == FULL
    except psycopg.OperationalError:
        return True
    return False


def network(stage: Stage) -> None:
    """F1, F2, F6, F13: one system behind a network that is slow, breaks off, drips, swallows everything or is down."""
    troubles = [
        Trouble(latency_s=stage.rng.uniform(0.2, 1.5), jitter_s=1.0),
        Trouble(reset_after=stage.rng.choice([0, 1, 20, 200, 2000])),
        Trouble(drip=stage.rng.choice([20.0, 200.0, 1000.0])),
        Trouble(black_hole=True),
        Trouble(down=True),
    ]
    name = stage.rng.choice(sorted(stage.town.network))
    trouble = Trouble(reset_after=0) if stage.hurry else troubles[stage.cycles["network"] % len(troubles)]
    proxy = stage.town.network[name]
    proxy.set(trouble)
    stage.wait(1.5 if stage.hurry else stage.rng.uniform(3.0, 7.0))
    proxy.set(Trouble())
    stage.wait(0.5 if stage.hurry else 2.0)


def releases(stage: Stage) -> None:
    """F22: the release before the newest migration at work, the migration under it, and both releases side by side."""
    before = _release_before(stage.home)
    cell = Stage(
        stage.home / "releases",
        stage.server,
        stage.seed,
        cell=f"releases_{stage.cycles['releases']}",
        hurry=stage.hurry,
        source=before,
    )
    try:
        cell.begin(engines=1)
        cell.wait(2.0 if stage.hurry else 8.0)
        cell.source = ROOT
        done = cell.finsync("migrate")
        if done.returncode:
            raise Finding(f"migrate: {done.stderr}")
        cell.start_engine()
        cell.wait(3.0 if stage.hurry else 12.0)
        cell.engines.pop(0).stop()
        cell.settle()
    finally:
        cell.close()


def _release_before(home: Path) -> Path:
    """A checkout of the newest commit that has the first of today's migrations, as they are, and not all of them.

    Raises:
        Skipped: there is no repository here, or only one release in it.
    """
    target = home / "release-before"
    if target.exists():
        return target
    try:
        today = _migrations("HEAD")
        older = (
            commit
            for commit in _git("log", "--format=%H", "--", "sql/migrations").split()
            if (then := _migrations(commit)) and then != today and then == today[: len(then)]
        )
        commit = next(older, None)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Skipped(f"no repository to take the older release from ({error})") from None
    if commit is None:
        raise Skipped("the repository knows no release before this one")
    archive = home / "release-before.tar"
    target.mkdir()
    _git("archive", "--format=tar", "-o", str(archive), commit)
    shutil.unpack_archive(archive, target, filter="data")
    return target


def _migrations(commit: str) -> list[str]:
    """Each migration of a commit, by its content and name."""
    return sorted(_git("ls-tree", commit, "sql/migrations/").splitlines(), key=lambda line: line.split("\t")[1])


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


SCENARIOS: dict[str, Callable[[Stage], None]] = {
    "engine_kill": engine_kill,
    "database_restart": database_restart,
    "network": network,
    "releases": releases,
    "failover": failover,
    "disk_full": disk_full,
}
