"""An engine in a process of its own, that is told on its standard input what to do: "go" (begin), "rss" (say how much memory
it holds), and the end of the input (stop in good order). Run by the benchmark, not by hand.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import beside
from benchmarks.workshop import instant_engine
from sync_engine import cores
from sync_engine.cli.logs import set_up_logs
from sync_engine.database.connections import Database
from sync_engine.engine.runner import Runner, calm_collector


class Process:
    """The other end: an engine that has been started and waits to be told."""

    def __init__(self, running: subprocess.Popen[str]) -> None:
        self._running = running
        self._hear()

    def go(self) -> None:
        """Begin to work."""
        self._say("go")

    def rss_mb(self) -> float:
        """Memory it holds, in megabytes of a million bytes."""
        self._say("rss")
        return float(self._hear())

    def _say(self, word: str) -> None:
        if self._running.stdin is not None:
            self._running.stdin.write(f"{word}\n")
            self._running.stdin.flush()

    def _hear(self) -> str:
        line = self._running.stdout.readline() if self._running.stdout is not None else ""
        if not line:
            raise RuntimeError(f"the engine's process ended with {self._running.wait()}")
        return line


def address(database: Database) -> str:
    """A database as one line, for another process's input: on a command line a password could be read."""
    return json.dumps(
        {
            "owner_url": database.owner_url.set(drivername="postgresql").render_as_string(hide_password=False),
            "cell": database.cell,
            "roles_log_in": database.roles_log_in,
        }
    )


def addressed(line: str) -> Database:
    """The database in such a line."""
    return Database(**json.loads(line))


@contextmanager
def engines(database: Database, many: int) -> Iterator[list[Process]]:
    """Engines in processes of their own, ready; they stop when the block ends."""
    told = address(database)
    running = [beside.start("process", f"engine-{n}") for n in range(1, many + 1)]
    try:
        for process in running:
            if process.stdin is not None:
                process.stdin.write(f"{told}\n")
                process.stdin.flush()
        yield [Process(process) for process in running]
    finally:
        for process in running:
            if process.stdin is not None:
                process.stdin.close()
        for process in running:
            process.wait(timeout=60)
            if process.stdout is not None:
                process.stdout.close()


def rss_mb() -> float:
    """Memory this process holds."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024 / 1e6


def main() -> None:
    """Be such a process."""
    set_up_logs()  # to standard error: answers stand alone on standard output
    database = addressed(sys.stdin.readline())
    with database.connected("finsync_engine") as connection:
        engine = instant_engine(connection, sys.argv[1])
    pool = database.engine("finsync_engine", pool_size=Runner.connections_needed(engine))
    runner = Runner(engine, pool)
    calm_collector()
    with cores.on_one(spare=1):
        print("ready", flush=True)
        for line in sys.stdin:
            if line.strip() == "go":
                runner.start()
            else:
                print(rss_mb(), flush=True)
        runner.stop()
        pool.dispose()


if __name__ == "__main__":
    main()
