"""One core for a process of many threads.

Python's threads run one at a time and hand a lock to each other. Spread over the machine's cores, every hand-over wakes a thread
somewhere else, with a cold cache: journeys over HTTP, which change threads at every call, took twice the processor time they take
on one core, and a dashboard that many people draw at once a half more. What else runs on the machine, PostgreSQL above all, keeps
every core. A second process of ours sits on another core.
"""

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SEAT = "\0finance-workflow-sync core {}"
"""An address that is no file: whoever has it sits on that core, and it is free again when they end, however that happens."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A core that this process stays on.

    Attributes:
        core: Its number.
        claim: What keeps others of ours away from it.
    """

    core: int
    claim: socket.socket

    def leave(self) -> None:
        """Another process may sit here. This one stays where it is."""
        self.claim.close()


def stay_on_one(*, spare: int = 0) -> Seat | None:
    """Keep this thread, all that are running and all it starts on one core that no other process of ours sits on.

    Args:
        spare: As many cores are left to others: engines that keep every core busy wait for a PostgreSQL on the same machine.

    Returns:
        The core; None where this process goes on running everywhere: no core is left, there is one only, or the operating system
        does not know this.
    """
    if not hasattr(os, "sched_setaffinity"):
        return None
    cores = sorted(os.sched_getaffinity(0))
    # Processes in containers do not see each other's seats: were each to begin with the first core, all would sit there.
    secrets.SystemRandom().shuffle(cores)
    free = [seat for core in cores if (seat := _sit(core)) is not None]
    for seat in free[1:]:
        seat.leave()
    if len(cores) < 2 or len(free) <= spare:
        for seat in free[:1]:
            seat.leave()
        return None
    seat = free[0]
    for thread in Path("/proc/self/task").iterdir():
        try:
            os.sched_setaffinity(int(thread.name), {seat.core})
        except ProcessLookupError:
            continue  # it has ended meanwhile
    return seat


@contextmanager
def everywhere() -> Iterator[None]:
    """Programs that are started in the block may run on every core, wherever their starter sits."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))  # the kernel leaves out what this process may not have
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)


def _sit(core: int) -> Seat | None:
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(SEAT.format(core))
    except OSError:
        claim.close()
        return None
    return Seat(core, claim)
