"""What the rivals' programs share: being told on standard input what to do, and saying when each step began.

A program is told one JSON object and does one of three things: prepares its tables, submits journeys, or works on them until
it is told to stop. A step does nothing but note the moment it began, on a clock that all processes of a machine share.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STEPS = 6
"""Of every journey: what the measurement's papers and the rivals' own examples have about as many of."""

LONE_PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True)
class Told:
    """What a program is to do.

    Attributes:
        role: prepare, submit or work.
        url: The PostgreSQL that makes steps durable.
        schema: Where its tables are.
        folder: Where steps are noted, a file for each process.
        broker: Address of the message broker, for those that have one.
        options: The rival's own settings.
        first: Number of the first journey to submit.
        many: How many journeys.
        is_lone: Whether each is submitted only when the one before has begun its last step.
        worker: Which worker this is.
    """

    role: str
    url: str
    schema: str
    folder: str
    broker: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    first: int = 0
    many: int = 0
    is_lone: bool = False
    worker: int = 0


def told() -> Told:
    """What the parent says."""
    return Told(**json.loads(sys.stdin.readline()))


class StepLog:
    """Notes when steps began: "journey step nanoseconds" a line, in a file of each process."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._lock = threading.Lock()
        self._pid = 0
        self._file = -1

    def note(self, journey: int, step: int) -> None:
        """A step begins now."""
        line = f"{journey} {step} {time.monotonic_ns()}\n".encode()
        with self._lock:
            if self._pid != os.getpid():  # a pool's child has been forked with its parent's log
                self._pid = os.getpid()
                path = self._folder / f"{self._pid}.steps"
                self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.write(self._file, line)


def read_steps(folder: Path) -> list[tuple[str, int, int, int]]:
    """(process, journey, step, nanoseconds) of every step noted so far."""
    found = []
    for path in folder.glob("*.steps"):
        for line in path.read_text(encoding="ascii").splitlines():
            journey, step, at = line.split()
            found.append((path.stem, int(journey), int(step), int(at)))
    return found


def submit_all(told: Told, submit: Callable[[list[int]], None]) -> None:
    """Submit the journeys, all at once or one after the other.

    Raises:
        RuntimeError: a lone journey does not come to its last step.
    """
    numbers = list(range(told.first, told.first + told.many))
    if not told.is_lone:
        submit(numbers)
        return
    log, folder = StepLog(told.folder), Path(told.folder)
    for number in numbers:
        log.note(number, 0)
        submit([number])
        give_up_at = time.monotonic() + LONE_PATIENCE_S
        while not any(journey == number and step == STEPS for _, journey, step, _ in read_steps(folder)):
            if time.monotonic() > give_up_at:
                raise RuntimeError(f"journey {number} does not come to its end")
            time.sleep(0.01)


def wait_for_the_end() -> None:
    """Say that work has begun, and return when the parent closes our input."""
    print("ready", flush=True)
    sys.stdin.read()
