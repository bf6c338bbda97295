"""Several processes as one: started together, restarted when they die, stopped in order.

Children run in sessions of their own, so that Ctrl-C reaches the supervisor alone and it can stop them in order; each
holds the reading end of a pipe from us and ends by itself when we are gone (see `stopping`).
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sync_engine.cli.stopping import SUPERVISED

LOG_BYTES = 10_000_000
"""A log longer than this is put aside when its process starts."""

RESTART_S = (1.0, 2.0, 5.0, 15.0, 60.0)
STEADY_S = 120.0
"""Whoever lived this long is restarted at once."""


@dataclass(slots=True)
class Child:
    """One process: a command of our own command line."""

    name: str
    arguments: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    failures: int = 0
    due_at: float = 0.0

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start it; what it says goes to its log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "sync_engine.cli", *self.arguments],
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=said,
                env={**os.environ, **self.environment, SUPERVISED: "1"},
                start_new_session=True,
            )
        self.started_at = time.monotonic()

    def stop(self, seconds: float) -> None:
        """Let it finish what is under way; end it when it takes longer than `seconds`."""
        process = self.process
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stdin is not None:
            process.stdin.close()

    def last_words(self, lines: int = 3) -> str:
        """The end of its log."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


class Supervisor:
    """Looks after children.

    Args:
        tell: Shows a line to the person at the terminal.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._children: list[Child] = []

    def add(self, child: Child) -> None:
        """Start a child and look after it."""
        child.start()
        self._children.append(child)

    def watch(self, stop: threading.Event) -> None:
        """Restart whoever dies, until `stop` is set."""
        while not stop.wait(0.5):
            for child in self._children:
                self._look_after(child)

    def _look_after(self, child: Child) -> None:
        now = time.monotonic()
        if child.is_alive:
            return
        if child.due_at == 0.0:
            steady = now - child.started_at > STEADY_S
            child.failures = 0 if steady else child.failures + 1
            pause = RESTART_S[min(child.failures, len(RESTART_S) - 1)]
            child.due_at = now + pause
            self._tell(
                f"{child.name} stopped by itself; starting it again in {pause:.0f} s. Its log: {child.log}\n{child.last_words()}"
            )
        elif now >= child.due_at:
            child.due_at = 0.0
            child.start()

    def stop(self, seconds: float = 40.0) -> None:
        """Stop everybody, the last started first."""
        for child in reversed(self._children):
            child.stop(seconds)
