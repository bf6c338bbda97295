"""How a process is told to stop: SIGTERM, Ctrl-C, or the end of the pipe that its supervisor holds.

The pipe is what makes children end with a supervisor that was killed: nobody has to find and kill them.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SUPERVISED = "FINSYNC_SUPERVISED"
"""Set in the environment of children whose standard input is their supervisor's pipe."""


@contextmanager
def told_to_stop(also: Callable[[], None] = lambda: None) -> Iterator[threading.Event]:
    """An event that is set when the process is told to stop, for as long as the block lasts; a second Ctrl-C is not caught."""
    stop = threading.Event()

    def tell(number: int, _frame: FrameType | None) -> None:
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.set()
        also()

    before = {number: signal.signal(number, tell) for number in (signal.SIGINT, signal.SIGTERM)}
    end_with_supervisor()
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_with_supervisor() -> None:
    """When this process is supervised: send it SIGTERM as soon as its supervisor is gone."""
    if not os.environ.get(SUPERVISED):
        return

    descriptor = sys.stdin.fileno()

    def watch() -> None:
        # Not through sys.stdin: the interpreter could not end while this thread holds its lock.
        while os.read(descriptor, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="supervisor-watch", daemon=True).start()
