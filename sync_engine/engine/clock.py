"""The time the engine goes by.

All engines of a cell share one time, the database's: leases, due times and objectives would otherwise depend on whose
machine is fast. Between two readings of it the machine's monotonic clock counts on.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the time (aware UTC) and counts seconds."""

    def now(self) -> datetime:
        """The present moment."""
        ...

    def timer(self) -> float:
        """Seconds that only grow; for measuring durations."""
        ...


class DatabaseClock:
    """The database's time, carried on by the monotonic clock.

    `anchor` is called with every time the database tells; the machine's own wall clock is never read.
    """

    def __init__(self, told: datetime) -> None:
        self._anchored = (told, time.monotonic())

    def anchor(self, told: datetime) -> None:
        """Go by this from now on."""
        # One assignment: a thread that reads the time meanwhile must not see the new time beside the old moment.
        self._anchored = (told, time.monotonic())

    def now(self) -> datetime:
        """The database's time."""
        told, told_at = self._anchored
        return told + timedelta(seconds=time.monotonic() - told_at)

    def timer(self) -> float:
        """The monotonic clock."""
        return time.perf_counter()


class VirtualClock:
    """A clock that stands still until it is moved: for the fast clock and for tests."""

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError("the virtual clock starts at an aware time")
        self._now = start.astimezone(UTC)
        self._elapsed_s = 0.0

    def now(self) -> datetime:
        """Where it stands."""
        return self._now

    def timer(self) -> float:
        """Seconds it has been moved so far."""
        return self._elapsed_s

    def advance(self, seconds: float) -> None:
        """Move forward."""
        if seconds < 0:
            raise ValueError("the virtual clock does not run backwards")
        self._now += timedelta(seconds=seconds)
        self._elapsed_s += seconds

    def advance_to(self, moment: datetime) -> None:
        """Move forward to a moment; one in the past changes nothing."""
        self.advance(max(0.0, (moment - self._now).total_seconds()))
