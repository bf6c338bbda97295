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
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

SEAT = "\0finance-workflow-sync core {}"
"""An address that is no file: whoever has it sits on that core, and it is free again when they end, however that happens."""

TICKET = "\0finance-workflow-sync busy {}"
"""Of these there are fewer than cores: whoever may keep a core busy all the time needs one to sit down."""


_before: set[int] | None = None
"""Where this process might run before it took its seat."""


@contextmanager
def on_one(*, spare: int = 0, wanted: bool = True) -> Iterator[int | None]:
    """Within the block, this process stays on one core that no other of ours sits on: the threads that are running, and all they
    start.

    Args:
        spare: Of processes that may keep a core busy all the time, so many fewer sit down than there are cores: two engines on two
            cores would wait for a PostgreSQL beside them. Others are not counted.
        wanted: Not at all, if false.

    Yields:
        The core; None where this process goes on running everywhere: no core is left, there is one only, or the operating system
        does not know this.
    """
    global _before  # noqa: PLW0603 - a process has one place, whoever asks
    cores = sorted(os.sched_getaffinity(0)) if wanted and hasattr(os, "sched_setaffinity") else []
    with ExitStack() as held:
        core = _sit_down(cores, spare, held) if len(cores) > 1 else None
        if core is None:
            yield None
            return
        _before = set(cores)
        _move({core})
        try:
            yield core
        finally:
            _move(_before)
            _before = None


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


def _sit_down(cores: list[int], spare: int, held: ExitStack) -> int | None:
    """A core that nobody of ours sits on; `held` keeps what it took to get there."""
    tickets = [TICKET.format(number) for number in range(len(cores) - spare)] if spare else []
    # Processes in containers do not see each other's seats: were each to begin with the first core, all would sit there.
    shuffled = secrets.SystemRandom().sample(cores, len(cores))
    if spare and _first_free(tickets, held) is None:
        return None
    place = _first_free([SEAT.format(core) for core in shuffled], held)
    return None if place is None else shuffled[place]


def _first_free(addresses: list[str], held: ExitStack) -> int | None:
    """Which of these addresses nobody has; from now on we have it."""
    for place, address in enumerate(addresses):
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(address)
        except OSError:
            claim.close()
        else:
            held.enter_context(claim)
            return place
    return None


def _move(cores: set[int]) -> None:
    for thread in Path("/proc/self/task").iterdir():
        with suppress(ProcessLookupError):  # it has ended meanwhile
            os.sched_setaffinity(int(thread.name), cores)
