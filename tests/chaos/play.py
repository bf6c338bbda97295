"""Puts the stages up, plays the scenarios on them and reports."""

import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.chaos.scenarios import SCENARIOS, Skipped
from tests.chaos.server import Server
from tests.chaos.stage import Finding, Stage

LONG = {"engine_kill": 20, "database_restart": 20, "network": 20, "releases": 3, "failover": 5, "disk_full": 3}
"""Cycles of each kind that a whole run plays."""

TOGETHER = (("engine_kill", "database_restart", "network", "releases"), ("failover",), ("disk_full",))
"""Kinds that share a stage."""

TMPFS_MB = 700

Tell = Callable[[str], None]


def play(
    wanted: dict[str, int], *, minutes: float, seed: int, hurry: bool = False, tell: Tell = lambda _: None
) -> dict[str, Any]:
    """Play so many cycles of each kind. Answers the report."""
    ends_at = time.monotonic() + 60 * minutes
    resource.setrlimit(
        resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1])
    )  # a small disk has no room
    report: dict[str, Any] = {
        "seed": seed,
        "cycles": dict.fromkeys(wanted, 0),
        "skipped": {},
        "findings": [],
        "requisitions": 0,
        "invoices": 0,
        "orders_twice": 0,
        "acknowledged": 0,
        "acknowledged_and_lost": 0,
        "refused_with_503": 0,
        "reconnect_s": {},
        "settled_s": [],
    }
    reconnects: list[float] = []
    began = time.monotonic()
    # On one stage a full disk comes last: it would be full for a standby, too, and without one no commit is acknowledged.
    groups = [tuple(wanted)] if hurry else TOGETHER
    for group in groups:
        here = {name: count for name in group if (count := wanted.get(name, 0))}
        if here:
            _play_group(here, report, reconnects, ends_at=ends_at, seed=seed, hurry=hurry, tell=tell)
    if reconnects:
        report["reconnect_s"] = {
            "times": len(reconnects),
            "p50": round(statistics.median(reconnects), 2),
            "max": round(max(reconnects), 2),
        }
    report["seconds"] = round(time.monotonic() - began)
    return report


def _play_group(
    wanted: dict[str, int],
    report: dict[str, Any],
    reconnects: list[float],
    *,
    ends_at: float,
    seed: int,
    hurry: bool,
    tell: Tell,
) -> None:
    with _stage(wanted, report, seed=seed, hurry=hurry) as stage:
        left = [name for name, count in wanted.items() for _ in range(count) if name not in report["skipped"]]
        if not hurry:
            stage.rng.shuffle(left)
        try:
            stage.begin()
            stage.wait(2.0 if hurry else 5.0)
            for name in left:
                if time.monotonic() > ends_at:
                    tell(f"time is up; {name} and what follows is not played")
                    break
                _cycle(stage, name, report, tell)
            report["settled_s"].append(round(stage.settle(), 1))
            report["acknowledged_and_lost"] += len(stage.lost())
        except Finding as finding:
            report["findings"].append(str(finding))
            tell(f"FINDING {finding}")
            _keep_logs(stage, tell)
        report["requisitions"] += stage.town.wished
        report["invoices"] += stage.town.billed
        report["orders_twice"] += len(stage.town.duplicates())
        report["acknowledged"] += len(stage.sender.acknowledged)
        report["refused_with_503"] += stage.sender.answers[503]
        reconnects += stage.reconnects


def _cycle(stage: Stage, name: str, report: dict[str, Any], tell: Tell) -> None:
    if name in report["skipped"]:
        return
    began = time.monotonic()
    try:
        SCENARIOS[name](stage)
    except Skipped as skipped:
        report["skipped"][name] = str(skipped)
        return
    report["cycles"][name] += 1
    stage.cycles[name] += 1
    tell(f"{name} {report['cycles'][name]}: {time.monotonic() - began:.1f} s; {stage.town.wished} wished")


def _keep_logs(stage: Stage, tell: Tell) -> None:
    kept = Path(tempfile.mkdtemp(prefix="finsync-chaos-logs-"))
    for log in stage.home.rglob("*.log"):
        shutil.copy(log, kept)
    tell(f"the logs are kept in {kept}")


@contextmanager
def _stage(wanted: dict[str, int], report: dict[str, Any], *, seed: int, hurry: bool) -> Iterator[Stage]:
    """A stage with what the wanted kinds need: a disk that can be full, a standby."""
    with tempfile.TemporaryDirectory(prefix="finsync-chaos-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        home.chmod(0o755)
        disk = home / "disk"
        disk.mkdir(mode=0o755)
        with _small_disk(disk, wanted, report):
            server = Server(disk / "one").start()
            stage = Stage(home, server, seed, hurry=hurry)
            try:
                if "failover" in wanted:
                    stage.standby = server.make_standby(disk / "two")
                    stage.servers = [server, stage.standby]
                yield stage
            finally:
                stage.close()
                for one in {server, stage.server, stage.standby} - {None}:
                    one.stop()


@contextmanager
def _small_disk(disk: Path, wanted: dict[str, int], report: dict[str, Any]) -> Iterator[None]:
    if "disk_full" not in wanted:
        yield
        return
    if os.geteuid() != 0 or shutil.which("mount") is None:
        report["skipped"]["disk_full"] = "only root may mount a small disk"
        yield
        return
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={TMPFS_MB}m,mode=755", "finsync-chaos", str(disk)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        report["skipped"]["disk_full"] = mounted.stderr.strip()
        yield
        return
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)
