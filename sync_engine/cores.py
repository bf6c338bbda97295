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
from contextlib import contextmanager, suppress
from pathlib import Path

SEAT = "\0finance-workflow-sync core {}"
"""An address that is no file: whoever has it sits on that core, and it is free again when they end, however that happens."""


_before: set[int] | None = None
"""Where this process might run before it took its seat."""


@contextmanager
def on_one(*, spare: int = 0, wanted: bool = True) -> Iterator[int | None]:
    """Within the block, this process stays on one core that no other of ours sits on: the threads that are running, and all they
    start.

    Args:
        spare: As many cores are left to others: engines that keep every core busy wait for a PostgreSQL on the same machine.
        wanted: Not at all, if false.

    Yields:
        The core; None where this process goes on running everywhere: no core is left, there is one only, or the operating system
        does not know this.
    """
    global _before  # noqa: PLW0603 - a process has one place, whoever asks
    cores = sorted(os.sched_getaffinity(0)) if wanted and hasattr(os, "sched_setaffinity") else []
    claim = _take(cores, spare) if len(cores) > 1 else None
    if claim is None:
        yield None
        return
    core, seat = claim
    _before = set(cores)
    _move({core})
    try:
        yield core
    finally:
        _move(_before)
        _before = None
        seat.close()


@contextmanager
def everywhere() -> Iterator[None]:
    """Programs that are started in the block may run wherever this process might before it took its seat."""
    if _before is None:
        yield
        return
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, _before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)


def _take(cores: list[int], spare: int) -> tuple[int, socket.socket] | None:
    """A free core and what keeps others of ours away from it, if more than `spare` are free."""
    # Processes in containers do not see each other's seats: were each to begin with the first core, all would sit there.
    shuffled = secrets.SystemRandom().sample(cores, len(cores))
    free = [(core, seat) for core in shuffled if (seat := _sit(core)) is not None]
    taken = free[0] if len(free) > spare else None
    for found in free:
        if found is not taken:
            found[1].close()
    return taken


def _sit(core: int) -> socket.socket | None:
    seat = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        seat.bind(SEAT.format(core))
    except OSError:
        seat.close()
        return None
    return seat


def _move(cores: set[int]) -> None:
    for thread in Path("/proc/self/task").iterdir():
        with suppress(ProcessLookupError):  # it has ended meanwhile
            os.sched_setaffinity(int(thread.name), cores)
